"""From a checkout to a running server, with the words that the documents print."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.clients.command import newcomer
from tests.clients.conftest import Install
from tests.clients.environments import UNREACHABLE
from tests.conftest import offered_by_default
from tests.install.traps import sprung, tools, trapped

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
HOSTS = (ROOT / "docs" / "hosts.md").read_text("utf-8")
CLAUDE = ("@anthropic-ai/claude-code@2",)


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return newcomer(tmp_path / "home")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return trapped(tmp_path / "workspace")


def said(words: list[str], folder: Path, home: dict[str, str]) -> str:
    """What a command says on stdout; it has to succeed, where there is a registry."""
    done = subprocess.run(
        words, cwd=folder, env=home, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"no registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def chapter(name: str) -> str:
    return README.split(f"\n## {name}\n")[1].split("\n## ")[0]


def block(name: str) -> str:
    """The one block of shell in a chapter."""
    (words,) = re.findall(r"^```sh\n(.*?)^```$", chapter(name), re.MULTILINE | re.DOTALL)
    return str(words)


async def test_the_readmes_words_install_a_command_that_starts_in_any_folder(
    checkout: Path, workspace: Path, home: dict[str, str]
) -> None:
    said(["sh", "-c", block("Install")], checkout, home)
    add_to_path(checkout, home)

    def typed(words: str) -> str:
        return said(["bash", "-lic", words], workspace, home)

    assert typed("command -v clawver-orders").startswith(home["HOME"])
    (config,) = re.findall(r"^```sh\n(.*? HOST)\n```$", chapter("Connect a host"), re.MULTILINE)
    printed = typed(f"{config.replace('HOST', 'generic')} --sandbox")
    entry = json.loads(printed)["mcpServers"]["clawver-orders"]
    assert Path(entry["command"]).is_absolute()
    assert await tools([entry["command"], *entry["args"]], workspace, home) == offered_by_default()
    assert "BAD" not in typed("clawver-orders doctor --sandbox")
    assert sprung(workspace) == []


def add_to_path(checkout: Path, home: dict[str, str]) -> None:
    """What the README says for a terminal that does not find the command."""
    (shell_setup,) = re.findall("run `(uv tool [a-z-]+)` and open a new terminal", chapter("Install"))  # fmt: skip
    said(["sh", "-c", shell_setup], checkout, home)


def test_the_readmes_first_command_needs_only_uv_and_a_checkout_and_ends_with_what_to_type(
    checkout: Path, workspace: Path, home: dict[str, str]
) -> None:
    shown = said(["sh", "-c", block("Try it")], checkout, home)
    end = shown.split("That was the main job")[1]
    install, *then = re.findall("^ {4}(.+)$", end, re.MULTILINE)

    said(["sh", "-c", install], checkout, home)
    add_to_path(checkout, home)
    for words in then:
        assert said(["bash", "-lic", words.replace("HOST", "generic")], workspace, home)
    assert len(then) == 2


async def test_what_uvx_runs_from_a_checkout_prints_a_command_that_starts_it_again(
    checkout: Path, workspace: Path, home: dict[str, str]
) -> None:
    words = ["uvx", "--from", str(checkout), "clawver-orders", "config", "generic", "--sandbox"]
    entry = json.loads(said(words, workspace, home))["mcpServers"]["clawver-orders"]

    assert Path(entry["command"]).is_absolute()
    assert entry["args"] == ["--from", str(checkout), "clawver-orders", "serve", "--sandbox"]
    assert await tools([entry["command"], *entry["args"]], workspace, home) == offered_by_default()
    assert sprung(workspace) == []


@pytest.mark.parametrize(
    "name",
    [
        "server/clawver_orders/__init__.py",
        "server/clawver_orders/web/static/board.css",
        "references/refunds.md",
    ],
)
def test_what_uvx_runs_from_a_checkout_or_an_unpacked_archive_is_what_lies_there(
    name: str, checkout: Path, home: dict[str, str]
) -> None:
    inside = name.removeprefix("server/clawver_orders/")
    show = f"from importlib.resources import files; print((files('clawver_orders') / {inside!r}).read_text('utf-8'))"
    for number in range(2):
        with (checkout / name).open("a", encoding="utf-8") as file:
            file.write(f"\n# edit {number}\n")

        assert f"# edit {number}" in said(
            ["uvx", "--from", ".", "python", "-c", show], checkout, home
        )


def test_claude_code_starts_the_plugins_own_copy(
    with_node: Install, checkout: Path, workspace: Path, home: dict[str, str]
) -> None:
    claude = with_node(CLAUDE).interpreter.parent
    home |= {"PATH": f"{claude}{os.pathsep}{home['PATH']}"}
    for words in re.findall("`/(plugin [^`]+)`", HOSTS):
        said(["sh", "-c", f"claude {words}"], checkout, home)
    listed = said(["claude", "mcp", "list"], workspace, home)

    (line,) = [line for line in listed.splitlines() if line.startswith("plugin:clawver-orders:")]
    assert re.search(rf"uvx --from {re.escape(str(checkout))}/? clawver-orders - ✔ Connected", line)
    assert sprung(workspace) == []
