"""What refunds and reads cost with each engine, and how many refunds one database takes from several servers."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from tests.instruments.benchmarks.peers import plain
from tests.instruments.benchmarks.ratios import compare, heading, row, spent
from tests.instruments.benchmarks.wire import Server, started
from tests.postgres import binaries, cluster, listening

from clawver_sandbox.shop import API_KEY

_STORE = """
import pathlib, sys
from clawver_sandbox.serving import running
from clawver_sandbox.shop import Shop
shop = Shop.open(pathlib.Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    shop.sell(order_id=f"ord_bench{number}", total_in_cents=2000)
with running(shop) as url:
    print(url, flush=True)
    sys.stdin.read()
"""
_WITHOUT_LIMITS = {
    "CLAWVER_REFUND_APPROVAL": "off",
    "CLAWVER_REFUND_LIMIT_CENTS": "1000000",
    "CLAWVER_REFUND_DAILY_LIMIT_CENTS": "100000000",
    "CLAWVER_REQUESTS_PER_MINUTE": "1000000",
    "CLAWVER_REQUESTS_PER_DAY": "10000000",
}

_READS: dict[str, dict[str, str]] = {"get_order": {"order_id": "ord_shirt"}, "list_orders": {}}


def databases(ours: Sequence[str], folder: Path, rounds: int, counts: Sequence[int]) -> None:
    """Measure and print; only that it cannot be measured where there is no PostgreSQL.

    Args:
        ours: The command that starts the server.
        folder: Where everything is kept.
        rounds: How often each is measured.
        counts: With how many servers at once.
    """
    heading("refunds in PostgreSQL / in a file of the machine", "PostgreSQL", "SQLite", "ratio")
    if binaries() is None:
        row("refund_order", "no initdb")
        return
    orders = (f"ord_bench{number}" for number in count())
    most = 2 * (rounds + 2) + 2 * sum(counts) + len(counts) * max(counts) * rounds
    with (
        _store(folder, most) as url,
        cluster(**listening(), fsync="on", full_page_writes="on") as database,
    ):
        base = plain(CLAW_API_KEY=API_KEY, CLAWVER_API_URL=f"{url}/v1", **_WITHOUT_LIMITS)
        address = f"postgresql://clawver@127.0.0.1:{database.port}/postgres?sslmode=disable"

        def environment(machine: int) -> dict[str, str]:
            return base | {
                "CLAWVER_DATABASE_URL": address,
                "CLAWVER_STATE_DIR": str(folder / f"machine{machine}"),
            }

        in_files = base | {"CLAWVER_STATE_DIR": str(folder / "files")}
        with started(ours, environment(0)) as shared, started(ours, in_files) as alone:
            _compare_both(shared, alone, orders, rounds)
        heading("refunds a second, of servers with one database", "all", "each", "over 1")
        first = 0.0
        for servers in counts:
            with ExitStack() as stack:
                every = [
                    stack.enter_context(started(ours, environment(n + 1))) for n in range(servers)
                ]
                wanted = max(counts) * rounds // servers
                seconds = _all_at_once(every, orders, wanted)
            rate = servers * wanted / seconds
            first = first or rate
            title = f"{servers} server{'s' if servers > 1 else ''}"
            row(title, f"{rate:.1f}", f"{rate / servers:.1f}", f"{rate / first:.2f}")


def _compare_both(shared: Server, alone: Server, orders: Iterator[str], rounds: int) -> None:
    known = next(orders), next(orders)
    for server, order in zip((shared, alone), known, strict=True):
        _warm(server, order)
    compare(
        "refund_order",
        lambda: _refund(shared, next(orders)), lambda: _refund(alone, next(orders)), rounds,
    )  # fmt: skip
    for tool, given in _READS.items():
        ask = partial(_ask, tool, given)
        compare(tool, partial(ask, shared), partial(ask, alone), rounds)
    of_shared, of_alone = (partial(_ask, "check_refund", {"order_id": each}) for each in known)
    compare("check_refund", partial(of_shared, shared), partial(of_alone, alone), rounds)


def _all_at_once(servers: Sequence[Server], orders: Iterator[str], wanted: int) -> float:
    """The seconds in which each server makes so many refunds, one after another."""
    with ThreadPoolExecutor(len(servers)) as pool:
        for each in servers:
            _warm(each, next(orders))
        share = [[next(orders) for _ in range(wanted)] for _ in servers]

        def work(server: Server, own: list[str]) -> None:
            for order in own:
                _refund(server, order)

        return spent(lambda: list(pool.map(work, servers, share)))


def _ask(tool: str, given: Mapping[str, str], server: Server) -> None:
    server.at_once(1, tool, given)


def _warm(server: Server, order: str) -> None:
    server.greet()
    _refund(server, order)


def _refund(server: Server, order: str) -> None:
    server.at_once(
        1,
        "refund_order",
        {"order_id": order, "amount_in_cents": 100, "reason": "Benchmark"},
    )


@contextmanager
def _store(folder: Path, orders: int) -> Iterator[str]:
    """A store in a process of its own, with orders to refund."""
    command = [sys.executable, "-c", _STORE, str(folder / "sold.sqlite3"), str(orders)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()
