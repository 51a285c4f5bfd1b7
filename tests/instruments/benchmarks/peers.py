"""Other people's servers that start without credentials, beside ours."""

import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.clients import environments
from tests.instruments.benchmarks.ratios import heading, row
from tests.instruments.benchmarks.wire import started

EVERYTHING = "@modelcontextprotocol/server-everything"
FETCH = "mcp-server-fetch"
FASTMCP = "fastmcp"
_FASTMCP_SERVER = """
from fastmcp import FastMCP
server = FastMCP("bare")
@server.tool
def echo(text: str) -> str:
    return text
server.run(show_banner=False)
"""


def beside(
    ours: Sequence[str], bare: Sequence[str], environment: Mapping[str, str], rounds: int
) -> None:
    """Start all of them in turns; print start-up, memory and the size of tools/list."""
    heading("medians, started in turns", "to tools/list", "memory", "tools/list")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        servers = {"clawver-orders": list(ours), "a bare MCPServer with one tool": list(bare)}
        servers |= _installed(Path(folder))
        seen: dict[str, list[tuple[float, float, int]]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, command in servers.items():
                seen[name].append(_measured(command, environment))
    for name, measures in seen.items():
        seconds, megabytes, size = (statistics.median(each) for each in zip(*measures, strict=True))
        row(name, f"{seconds * 1000:.0f} ms", f"{megabytes:.0f} MB", f"{size / 1000:.1f} kB")


def _measured(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float, int]:
    begun = time.perf_counter()
    with started(command, environment) as server:
        server.greet()
        listed = server.ask("tools/list")
        return time.perf_counter() - begun, server.megabytes(), len(listed)


def _installed(folder: Path) -> dict[str, list[str]]:
    found = {}
    for name, make in (
        (EVERYTHING, environments.node),
        (FETCH, environments.python),
        (FASTMCP, environments.python),
    ):
        place = folder / name.replace("/", "-")
        place.mkdir()
        try:
            environment = make(place, (name,))
        except pytest.skip.Exception as reason:
            print(f"{name} is left out: {reason}")
            continue
        title = f"{name} {environment.versions[name]}"
        programs = environment.interpreter.parent
        if name == FASTMCP:
            (place / "server.py").write_text(_FASTMCP_SERVER, "utf-8")
            found[f"{title}, one tool"] = [str(environment.interpreter), str(place / "server.py")]
        elif name == EVERYTHING:
            script = str(programs / "mcp-server-everything")
            found[title] = [str(environment.interpreter), script, "stdio"]
        else:
            found[title] = [str(programs / "mcp-server-fetch")]
    return found


def plain(**more: str) -> dict[str, str]:
    """This environment without settings of ours, and with these."""
    return {name: v for name, v in os.environ.items() if not name.startswith("CLAW")} | more
