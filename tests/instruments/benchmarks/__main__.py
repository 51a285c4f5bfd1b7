"""What starting and calling cost, as ratios inside one run: `uv run python -m tests.instruments.benchmarks`.

Not a test: nothing here passes or fails. Each measure runs in turns with its floor: a bare
MCPServer with one echo tool, the same GET by httpx2 in one process, or `curl` once per call.
`--brief` does a little of each.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from tests.instruments.benchmarks.peers import beside, plain
from tests.instruments.benchmarks.ratios import compare, heading, row
from tests.instruments.benchmarks.wire import Server, started

from clawver_sandbox.shop import API_KEY

BARE = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
def echo(text: str) -> str:
    return text
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
BRIEF = "--brief" in sys.argv[1:]
STARTS = 2 if BRIEF else 11
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
            CLAWVER_REQUESTS_PER_MINUTE="1000000",  # the budget is not what is measured
            CLAWVER_REQUESTS_PER_DAY="1000000",
        )
        starts(bare, environment, f"{url}/v1/orders/ord_shirt")
        with started(OURS, environment) as ours, started(bare, environment) as echo:
            ours.greet()
            echo.greet()
            calls(ours, echo, f"{url}/v1/orders/ord_shirt")
            memory(ours, echo)
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


def starts(bare: list[str], environment: dict[str, str], order_url: str) -> None:
    """Whole processes."""

    def listing(command: list[str]) -> Callable[[], object]:
        def start() -> None:
            with started(command, environment) as server:
                server.greet()
                server.ask("tools/list")

        return start

    def once(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run(command, env=environment, check=True, capture_output=True)

    call = once(*OURS, "call", "get_order", "order_id=ord_shirt")
    heading("medians, measured in turns", "ours", "floor", "ratio")
    compare("start to tools/list / a bare MCPServer", listing(OURS), listing(bare), STARTS)
    compare("call get_order, whole process / a bare MCPServer", call, listing(bare), STARTS)
    if curl := shutil.which("curl"):
        header = f"Authorization: Bearer {API_KEY}"
        asked = once(curl, "--silent", "--fail", "--header", header, order_url)
        compare("call get_order, whole process / curl", call, asked, STARTS)
    else:
        row("call get_order, whole process / curl", "no curl")


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
