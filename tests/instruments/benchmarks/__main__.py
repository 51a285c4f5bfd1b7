"""What starting and calling cost, as ratios inside one run: `uv run python -m tests.benchmarks`.

Not a test: nothing here passes or fails. Each measure runs in turns with its floor: a bare
MCPServer, the same GET by httpx2 in one process, or `curl` once per call. What stands beside a call of
`get_order` is such a GET and a call of the bare server that answers with as many bytes, as text and as
structured content: nothing that passes an order on can do without.
`--brief` does a little of each.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
from tests.instruments.benchmarks.databases import databases
from tests.instruments.benchmarks.growth import (
    FEW,
    MANY_EVENTS,
    MANY_ORDERS,
    MANY_REFUNDS,
    fill,
    fill_mirror,
)
from tests.instruments.benchmarks.pages import pages
from tests.instruments.benchmarks.peers import beside, plain
from tests.instruments.benchmarks.ratios import compare, heading, row, spent
from tests.instruments.benchmarks.wire import Server, started

from clawver_orders.instants import Instant, this_boot
from clawver_orders.sandbox_store import open_sandbox
from clawver_orders.services import utc_now
from clawver_orders.settings import Settings
from clawver_sandbox.shop import API_KEY

BARE = """
import json
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, TextContent
server = MCPServer("bare")
kept = {}
@server.tool()
def keep(answer: str) -> str:
    kept.update(json.loads(answer))
    return ""
@server.tool()
def echo(text: str) -> CallToolResult:
    said = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(type="text", text=said)], structured_content=kept)
server.run()
"""
STORE = """
import pathlib, sys
from clawver_sandbox.serving import running
from clawver_sandbox.shop import Shop
with running(Shop.open(pathlib.Path(sys.argv[1]))) as url:  # without the limit of requests
    print(url, flush=True)
    sys.stdin.read()
"""
OURS = [sys.executable, "-m", "clawver_orders"]
ORDER = {"order_id": "ord_shirt"}
SETTING = "CLAWVER_REFUND"
GROWING_COMMANDS = (
    ("refunds",), ("refunds", "--open"), ("refunds", "check"), ("events",),
    ("events", "--order", "ord_0000100"), ("call", "get_order", "order_id=ord_shirt"),
)  # fmt: skip
GROWING_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("get_order", ORDER),
    ("list_orders", {}),
    ("summarize_orders", {}),
    ("list_order_events", {}),
    ("list_order_events", {"event": "order.paid"}),
    ("list_order_events", {"order_id": "ord_0000100"}),
)
UNLIMITED = {  # the request budget is not what is measured
    "CLAWVER_REQUESTS_PER_MINUTE": "1000000",
    "CLAWVER_REQUESTS_PER_DAY": "1000000",
}
BEHIND_ALL = str(2**62)
"""A cursor that is newer than any order."""
KEPT_PAGES: dict[str, dict[str, Any]] = {
    "a page": {},
    "a customer": {"customer_email": "buyer.000100@example.com"},
    "a customer's orders of a status": {
        "customer_email": "buyer.000100@example.com", "status": "delivered",
    },
    "search: an e-mail address": {"search": "buyer.000100@example.com"},
    "search: a part of a name": {"search": "etterin"},
    "search: a product": {"search": "moon mug"},
    "search: two letters": {"search": "ng"},
    "search: two letters and a product": {"search": "ng moon", "limit": 50},  # few find 66 of them
    "search: two signs of a name in Chinese": {"search": "王伟"},
    "search: a tracking number": {"search": "SBX000000400"},
    "search: a piece of an id": {"search": "d_0000400"},
    "search: nothing that there is": {"search": "nobody@example.com"},
}  # fmt: skip
LISTED = 400
"""Orders of the store itself, more than its lists give: so figures come from the history too."""
BRIEF = "--brief" in sys.argv[1:]
STARTS = 1 if BRIEF else 11
CALLS = 5 if BRIEF else 300
BATCHES = 2 if BRIEF else 10
BATCH = 50 if BRIEF else 1000
NEIGHBOURS = 10  # calls in flight while memory is watched


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, store(Path(folder)) as url:
        bare_file = Path(folder) / "bare.py"
        bare_file.write_text(BARE, "utf-8")
        bare = [sys.executable, str(bare_file)]
        environment = plain(
            CLAW_API_KEY=API_KEY,
            CLAWVER_API_URL=f"{url}/v1",
            CLAWVER_STATE_DIR=str(Path(folder) / "state"),
            **UNLIMITED,
        )
        starts(bare, environment, Path(folder))
        calls_once(bare, environment, f"{url}/v1/orders/ord_shirt")
        with started(OURS, environment) as ours, started(bare, environment) as echo:
            ours.greet()
            echo.greet()
            echo_what(ours, echo)
            calls(ours, echo, f"{url}/v1/orders/ord_shirt")  # first: a store has few requests a day
            row(
                "memory after these calls, over bare",
                f"{ours.megabytes() - echo.megabytes():.1f} MB",
            )
            memory(ours, echo)
        growth(Path(folder))
        growth_of_history(Path(folder))
        databases(OURS, Path(folder), 2 if BRIEF else 20, (1, 4) if BRIEF else (1, 4, 16))
        beside(OURS, bare, environment, STARTS)


@contextmanager
def store(folder: Path) -> Iterator[str]:
    """A sandbox store in a process of its own, so that it slows down both sides alike."""
    with subprocess.Popen(
        [sys.executable, "-c", STORE, str(folder / "store.sqlite3")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def starts(bare: list[str], environment: dict[str, str], folder: Path) -> None:
    """From the start to what a host waits for. The same settings were used before, but where it says so."""
    number = count()

    def to(answer: Callable[[Server], object], *command: str, **changed: str) -> Callable[[], None]:
        def start() -> None:
            fresh = {name: value.format(next(number)) for name, value in changed.items()}
            with started(command, environment | fresh) as server:
                server.greet()
                answer(server)

        return start

    def listed(server: Server) -> None:
        server.ask("tools/list")

    def called(server: Server) -> None:
        server.at_once(1, "get_order", ORDER)

    def echoed(server: Server) -> None:
        server.at_once(1, "echo", {"text": "x"})

    def ends(stop: Callable[[Server], None]) -> Callable[[], None]:
        """The end of a server that has listed its tools and is still loading."""

        def end() -> None:
            with started(OURS, environment) as server:
                server.greet()
                listed(server)
                times.append(spent(lambda: stop(server)))

        return end

    keep_what_is_said_early(environment)
    heading("medians, measured in turns", "ours", "bare server", "ratio")
    floor = to(listed, *bare)
    changed = {f"{SETTING}_LIMIT_CENTS": "5{:05}"}
    new = {"CLAWVER_STATE_DIR": str(folder / "state-{}")}
    off = {"CLAWVER_OPENER": "off"}
    compare("start to tools/list", to(listed, *OURS), floor, STARTS)
    compare("the same after a change of settings", to(listed, *OURS, **changed), floor, STARTS)
    compare("the same where nothing is kept", to(listed, *OURS, **new), floor, STARTS)
    compare("the same without early answers", to(listed, *OURS, **off), floor, STARTS)
    compare("start to the first answer of a tool", to(called, *OURS), to(echoed, *bare), STARTS)
    for name, stop in (("end of input", Server.hang_up), ("SIGTERM", Server.terminate)):
        times: list[float] = []
        end = ends(stop)
        for _ in range(STARTS):
            end()
        row(f"{name} while loading, to the end", f"{statistics.median(times) * 1000:.1f} ms")


def keep_what_is_said_early(environment: dict[str, str]) -> None:
    """Start once and wait until it is kept."""
    with started(OURS, environment) as server:
        server.greet()
        server.at_once(1, "get_order", ORDER)
        server.hang_up()


def calls_once(bare: list[str], environment: dict[str, str], order_url: str) -> None:
    """Whole processes for one call."""

    def once(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run(command, env=environment, check=True, capture_output=True)

    def start() -> None:
        with started(bare, environment) as server:
            server.greet()
            server.ask("tools/list")

    call = once(*OURS, "call", "get_order", "order_id=ord_shirt")
    compare("call get_order, whole process / a bare MCPServer", call, start, STARTS)
    if curl := shutil.which("curl"):
        header = f"Authorization: Bearer {API_KEY}"
        asked = once(curl, "--silent", "--fail", "--header", header, order_url)
        compare("call get_order, whole process / curl", call, asked, STARTS)
    else:
        row("call get_order, whole process / curl", "no curl")


def growth(folder: Path) -> None:
    """The same with few rows and with many."""
    now = Instant(datetime.now(UTC), time.monotonic(), this_boot())
    states, both = [], []
    for name, events, refunds in (("few", FEW, FEW), ("many", MANY_EVENTS, MANY_REFUNDS)):
        settings = Settings(
            sandbox=True, state_dir=folder / name,
            requests_per_minute=MANY_EVENTS, requests_per_day=MANY_EVENTS,
        )  # fmt: skip
        both.append(settings)
        settings.origin_dir.mkdir(parents=True, mode=0o700)
        fill(
            settings,
            events // (50 if BRIEF and events > FEW else 1),
            refunds // (50 if BRIEF and refunds > FEW else 1),
            now,
        )
        state = {"CLAWVER_SANDBOX": "on", "CLAWVER_STATE_DIR": str(folder / name)}
        states.append(plain(**state, **UNLIMITED))
    few, many = states
    heading("many refunds and events / 1,000 of each", "many", "few", "ratio")

    def command(words: Sequence[str], environment: dict[str, str]) -> Callable[[], object]:
        whole = [*OURS, *words]
        return lambda: subprocess.run(whole, env=environment, check=True, capture_output=True)

    for words in GROWING_COMMANDS:
        compare(" ".join(words), command(words, many), command(words, few), STARTS)
    with started(OURS, many) as large, started(OURS, few) as small:
        large.greet()
        small.greet()
        for tool, arguments in GROWING_CALLS:

            def ask(server: Server, tool: str = tool, given: dict[str, Any] = arguments) -> None:
                server.at_once(1, tool, given)

            compare(
                f"{tool} {json.dumps(arguments) if arguments else ''}",
                partial(ask, large), partial(ask, small), CALLS // 3 + 1,
            )  # fmt: skip
    pages(both[0], both[1], CALLS // 10 + 1)


def growth_of_history(folder: Path) -> None:
    """Pages and searches of what is kept, with few orders and with many."""
    now = Instant(datetime.now(UTC), time.monotonic(), this_boot())
    states = []
    for name, orders in (("short", FEW), ("long", MANY_ORDERS // (10 if BRIEF else 1))):
        settings = Settings(sandbox=True, state_dir=folder / name)
        settings.origin_dir.mkdir(parents=True, mode=0o700)
        fill_mirror(settings, orders, now)
        open_sandbox(settings, utc_now).add_past(LISTED)
        states.append(
            plain(CLAWVER_SANDBOX="on", CLAWVER_STATE_DIR=str(folder / name), **UNLIMITED)
        )
    asked = [
        *(
            (title, "list_orders", {"cursor": BEHIND_ALL, "limit": 100, **arguments})
            for title, arguments in KEPT_PAGES.items()  # Clawver is not asked
        ),
        ("get_customer", "get_customer", {"customer_email": "buyer.000100@example.com"}),
    ]
    heading("orders of the history, as many as there are / 1,000", "many", "few", "ratio")
    with started(OURS, states[1]) as large, started(OURS, states[0]) as small:
        large.greet()
        small.greet()
        for title, tool, given in asked:

            def ask(server: Server, tool: str = tool, given: dict[str, Any] = given) -> None:
                server.at_once(1, tool, given)

            compare(title, partial(ask, large), partial(ask, small), CALLS // 3 + 1)
        first, last = (f"{now.at - timedelta(days=days):%Y-%m-%d}" for days in (130, 100))
        for by in ("any", "day", "product", "customer"):
            given = {"created_after": first, "created_before": last, "by": by}

            def add_up(server: Server, given: dict[str, Any] = given) -> None:
                server.at_once(1, "summarize_orders", given)

            title = f"figures of a month, by {by}"
            compare(title, partial(add_up, large), partial(add_up, small), CALLS // 10 + 1)


def echo_what(ours: Server, echo: Server) -> None:
    """Have a bare server answer with what ours answers."""
    answer = json.loads(ours.ask("tools/call", name="get_order", arguments=ORDER))["result"]
    echo.ask("tools/call", name="keep", arguments={"answer": answer["content"][0]["text"]})
    echoed = json.loads(echo.ask("tools/call", name="echo", arguments={"text": "x"}))["result"]
    assert all(echoed[part] == answer[part] for part in ("content", "structuredContent"))


def calls(ours: Server, echo: Server, order_url: str) -> None:
    """A read tool of a running server, alone and many at once."""
    with asyncio.Runner() as loop:
        limits = httpx2.Limits(max_connections=100, max_keepalive_connections=100)
        headers = {"Authorization": f"Bearer {API_KEY}"}
        http = httpx2.AsyncClient(trust_env=False, limits=limits, headers=headers, timeout=60)

        async def get(count: int) -> None:
            for answer in await asyncio.gather(*(http.get(order_url) for _ in range(count))):
                answer.raise_for_status()

        for count, rounds in ((1, CALLS), (10, CALLS // 5), (100, max(1, CALLS // 15))):

            def floor(count: int = count) -> None:
                loop.run(get(count))
                echo.at_once(count, "echo", {"text": "x"})

            def call(count: int = count) -> None:
                ours.at_once(count, "get_order", ORDER)

            compare(f"get_order, {count} at once / as many GET and echo calls", call, floor, rounds)
        loop.run(http.aclose())


def memory(ours: Server, echo: Server) -> None:
    """What a server holds while it is called again and again."""
    heading("memory while called", "ours", "bare", "over it")
    for batch in range(BATCHES + 1):
        held, lower = ours.megabytes(), echo.megabytes()
        row(f"after {batch * BATCH} calls more", f"{held:.1f} MB", f"{lower:.1f} MB", f"{held - lower:.1f} MB")  # fmt: skip
        for _ in range(0 if batch == BATCHES else BATCH // NEIGHBOURS):
            ours.at_once(NEIGHBOURS, "get_order", ORDER)
            echo.at_once(NEIGHBOURS, "echo", {"text": "x"})


if __name__ == "__main__":
    main()
