"""What starting and calling cost, as ratios inside one run: `uv run python -m tests.benchmarks`.

Not a test: nothing here passes or fails. Each measure runs interleaved with its floor, so that a
noisy machine disturbs both alike.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from mcp import Client, StdioServerParameters

from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, Shop

BARE = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
def echo(text: str) -> str:
    return text
server.run()
"""
ROUNDS = 9


def spent(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(
    title: str, ours: Callable[[], object], floor: Callable[[], object], rounds: int = ROUNDS
) -> None:
    pairs = [(spent(floor), spent(ours)) for _ in range(rounds)]
    lower, upper = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(f"{title:<52}{upper * 1000:8.1f} ms {lower * 1000:8.1f} ms {upper / lower:6.2f}")


def listing(*command: str, **environment: str) -> Callable[[], object]:
    server = StdioServerParameters(command=sys.executable, args=list(command), env=environment)

    async def go() -> None:
        async with Client(server, mode="legacy") as client:
            await client.list_tools()

    return lambda: asyncio.run(go())


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        bare_file = Path(folder) / "bare.py"
        bare_file.write_text(BARE, "utf-8")
        shop = Shop.open(Path(folder) / "store.sqlite3")
        with running(shop) as url:
            bare = listing(str(bare_file))
            store = {
                "CLAW_API_KEY": API_KEY,
                "CLAWVER_API_URL": f"{url}/v1",
                "CLAWVER_STATE_DIR": folder,
                "CLAWVER_REQUESTS_PER_MINUTE": "1000000",
                "CLAWVER_REQUESTS_PER_DAY": "1000000",
            }
            print(f"{'':<52}{'ours':>11} {'floor':>11} {'ratio':>6}")
            compare(
                "start to tools/list, against a bare MCPServer",
                listing("-m", "clawver_orders", **store),
                bare,
            )
            call = [
                sys.executable,
                "-m",
                "clawver_orders",
                "call",
                "get_order",
                "order_id=ord_shirt",
            ]
            environment = os.environ | store
            compare(
                "call get_order, whole process, against the same",
                lambda: subprocess.run(call, env=environment, check=True, capture_output=True),
                bare,
            )
            asyncio.run(read_tool(bare_file, store, url))
        shop.close()


async def read_tool(bare_file: Path, store: dict[str, str], url: str) -> None:
    """A read tool over stdio, against the same GET and an echo call."""
    ours = StdioServerParameters(command=sys.executable, args=["-m", "clawver_orders"], env=store)
    bare = StdioServerParameters(command=sys.executable, args=[str(bare_file)])
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with (
        Client(ours) as server,
        Client(bare) as echo,
        httpx2.AsyncClient(trust_env=False) as http,
    ):
        pairs = []
        for _ in range(300):
            start = time.perf_counter()
            await http.get(f"{url}/v1/orders/ord_shirt", headers=headers)
            await echo.call_tool("echo", {"text": "x"})
            middle = time.perf_counter()
            answer = await server.call_tool("get_order", {"order_id": "ord_shirt"})
            assert not answer.is_error
            pairs.append((middle - start, time.perf_counter() - middle))
    lower, upper = (statistics.median(each) for each in zip(*pairs[20:], strict=True))
    title = "get_order over stdio, against its GET + an echo call"
    print(f"{title:<52}{upper * 1000:8.1f} ms {lower * 1000:8.1f} ms {upper / lower:6.2f}")


if __name__ == "__main__":
    main()
