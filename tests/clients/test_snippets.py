"""The README's lines for frameworks run as they stand, each beside its own framework."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.clients.command import on_path
from tests.clients.conftest import Install

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SNIPPETS = dict(
    re.findall(
        r"^<summary>([^<]+), <code>([^<]+)</code></summary>\n\n```python\n.*?^```$",
        README, re.MULTILINE | re.DOTALL,
    )
)  # fmt: skip
RUN = """
import ast, asyncio, sys, types
code = compile(sys.stdin.read(), "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def main():
    if (waiting := types.FunctionType(code, {})()) is not None:
        await waiting
asyncio.run(main())
"""


def lines(framework: str) -> str:
    found = re.search(
        rf"<summary>{re.escape(framework)}, .*?```python\n(.*?)```", README, re.DOTALL
    )
    assert found is not None
    return found[1]


def test_every_framework_has_lines_of_its_own() -> None:
    assert set(SNIPPETS) == {"FastMCP", "LangChain", "OpenAI Agents", "Pydantic AI"}
    for framework in SNIPPETS:
        assert len([line for line in lines(framework).splitlines() if line.strip()]) <= 5


@pytest.mark.clients
@pytest.mark.parametrize("framework", sorted(SNIPPETS))
def test_the_lines_run(framework: str, with_python: Install, tmp_path: Path) -> None:
    environment = with_python((SNIPPETS[framework],))
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}
    quiet |= {"HOME": str(tmp_path), "PATH": on_path(tmp_path)}

    done = subprocess.run(
        [environment.interpreter, "-c", RUN], input=lines(framework), env=quiet, cwd=tmp_path,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "summarize_orders" in done.stdout
