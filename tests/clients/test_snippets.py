"""The documented lines for frameworks run as they stand, each beside its own framework.

The server starts late, as it can on a busy machine: the lines have to allow for that.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.clients.command import STARTS_LATE_BY_SECONDS, on_path_late
from tests.clients.conftest import Install

PAGE = (Path(__file__).parents[2] / "docs" / "frameworks.md").read_text("utf-8")
SNIPPETS = {
    framework: (packages, language, lines)
    for framework, packages, language, lines in re.findall(
        r"^## ([^\n]+)\n\nInstall `([^`]+)`\.\n\n```(\w+)\n(.*?)^```$",
        PAGE, re.MULTILINE | re.DOTALL,
    )
}  # fmt: skip
RUN = """
import ast, asyncio, sys, types
code = compile(sys.stdin.read(), "frameworks.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def main():
    if (waiting := types.FunctionType(code, {})()) is not None:
        await waiting
asyncio.run(main())
"""


def test_every_framework_has_lines_of_its_own() -> None:
    assert set(SNIPPETS) == {
        "FastMCP", "LangChain", "OpenAI Agents", "OpenAI Agents for JavaScript", "Pydantic AI",
    }  # fmt: skip
    assert PAGE.count("```") == 2 * len(SNIPPETS)
    for _, _, lines in SNIPPETS.values():
        assert len([line for line in lines.splitlines() if line.strip()]) <= 6


@pytest.mark.clients
@pytest.mark.parametrize("framework", sorted(SNIPPETS))
def test_the_lines_run_where_the_server_starts_late(
    framework: str, with_python: Install, with_node: Install, tmp_path: Path
) -> None:
    packages, language, lines = SNIPPETS[framework]
    is_python = language == "python"
    environment = (with_python if is_python else with_node)((packages,))
    how = ["-c", RUN] if is_python else ["--input-type=module"]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}
    quiet |= {"HOME": str(tmp_path), "PATH": on_path_late(tmp_path)}

    done = subprocess.run(
        [environment.interpreter, *how], input=lines, env=quiet,
        cwd=tmp_path if is_python else environment.folder,
        capture_output=True, text=True, timeout=10 * STARTS_LATE_BY_SECONDS, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "summarize_orders" in done.stdout
