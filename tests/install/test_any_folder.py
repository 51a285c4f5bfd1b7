"""Whatever is printed or started runs nothing of the folder that it is started in."""

import json
import os
import re
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tests.cli.test_main import keyless
from tests.conftest import offered_by_default, with_slow
from tests.install.test_hosts import openclaw, understood
from tests.install.traps import sprung, tools, trapped

import clawver_orders
from clawver_orders.install.hosts import HOSTS
from clawver_orders.install.installation import documented

ROOT = Path(__file__).parents[2]
HOSTS_PAGE = (ROOT / "docs" / "hosts.md").read_text("utf-8")
SETUP = (ROOT / "docs" / "setup.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "SKILL.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPT = Path(sys.executable).with_name("clawver-orders")
ON_PATH = f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def without_script(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What starts an installation that has no script."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/*/site-packages")
    places = [str(Path(clawver_orders.__file__).parents[1]), *site.getsitepackages()]
    (packages / "borrowed.pth").write_text("\n".join(places), "utf-8")
    return (str(folder / "bin" / "python"), "-E", "-P", "-m", "clawver_orders")


@pytest.fixture(params=with_slow(["script"], ["module"]))
def installed(request: pytest.FixtureRequest, without_script: tuple[str, ...]) -> tuple[str, ...]:
    """What starts an installation, with and without a script."""
    return (str(SCRIPT),) if request.param == "script" else without_script


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return trapped(tmp_path / "workspace")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The variables of a person who has installed the command."""
    return {
        "PATH": ON_PATH,
        "CLAW_API_KEY": "claw_sk_example_of_traps",
        "CLAWVER_STATE_DIR": str(tmp_path / "state"),
    }


def ran(
    words: tuple[str, ...], workspace: Path, home: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=workspace, env=keyless() | home, stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--sandbox",)], ids=["live", "sandbox"])
async def test_what_config_prints_for_a_host_starts_this_installation(
    options: tuple[str, ...], installed: tuple[str, ...], workspace: Path, home: dict[str, str]
) -> None:
    printed = set()
    for host in HOSTS.values():
        done = ran((*installed, "config", host.name, *options), workspace, home)
        assert done.returncode == 0, done.stderr
        printed.add(tuple(understood(host, done.stdout)[0]))

    assert printed == {(*installed, *(("serve", "--sandbox") if options else ()))}
    for words in printed:
        assert await tools(words, workspace, home) == offered_by_default()
    assert sprung(workspace) == []


@pytest.mark.parametrize("named", [":", ":/opt/x", "."])
async def test_what_config_prints_without_a_script_ignores_a_pythonpath_of_the_folder(
    named: str, without_script: tuple[str, ...], workspace: Path, home: dict[str, str]
) -> None:
    done = ran((*without_script, "config", "generic"), workspace, home | {"PYTHONPATH": named})
    assert done.returncode == 0, done.stderr
    words, _ = understood(HOSTS["generic"], done.stdout)

    assert await tools(words, workspace, home | {"PYTHONPATH": named})
    assert sprung(workspace) == []


def test_the_setup_page_warns_of_a_pythonpath_with_an_empty_entry(
    workspace: Path, home: dict[str, str]
) -> None:
    (named,) = re.findall(r"A `PYTHONPATH` with an empty entry, such as `(\S+)`,", SETUP)
    ran((str(SCRIPT), "--version"), workspace, home | {"PYTHONPATH": named})

    assert sprung(workspace) != []


@pytest.mark.slow
def test_the_demo_starts_its_own_server(
    installed: tuple[str, ...], workspace: Path, home: dict[str, str]
) -> None:
    done = ran((*installed, "demo"), workspace, home)

    assert done.returncode == 0, done.stderr
    assert "That was the main job" in done.stdout
    assert sprung(workspace) == []


def documented_servers() -> set[tuple[str, ...]]:
    """Every command that a document gives a host."""
    found = set()
    assert HOSTS_PAGE.count("```") == 2 * (len(HOSTS) - 1), "a block that is no host's"
    for host in HOSTS.values():
        if host.name != "generic":
            section = HOSTS_PAGE.split(f"\n## {host.title}\n")[1]
            words, _ = understood(host, section.split("```")[1].partition("\n")[2])
            found.add(tuple(words))
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            entry = json.loads(block).get("mcpServers", {}).get("clawver-orders")
            if entry is not None:
                found.add((entry["command"], *entry["args"]))
        found |= {tuple(words.split()) for words in re.findall(r"mcp add .* -- (.*)`", text)}
        for words in re.findall(r"`openclaw mcp add clawver-orders (.*)`", text):
            found.add(tuple(openclaw(words.split())[0]))
    return found


async def test_what_the_documents_give_a_host_starts_the_installed_command(
    workspace: Path, home: dict[str, str]
) -> None:
    found = {words for words in documented_servers() if words[0] != "docker"}

    assert found == {documented(), (*documented(), "serve", "--sandbox")}
    for words in found:
        installed = ("clawver-orders", *words[len(documented()) :])  # what uvx runs, once published
        assert await tools(installed, workspace, home) == offered_by_default()
    assert sprung(workspace) == []


@pytest.mark.parametrize("page", ["README.md", "docs/setup.md"])
async def test_the_full_path_that_the_documents_name_first_is_not_looked_for_in_the_folder(
    page: str, workspace: Path, home: dict[str, str]
) -> None:
    text = (ROOT / page).read_text("utf-8").split("## Connect a host")[1]
    (config,) = re.findall(r"clawver-orders config HOST", text.split("```json")[0])
    (inside,) = re.findall(r"`(node_modules/\.bin)`", text)
    planted = workspace / inside / "clawver-orders"
    planted.parent.mkdir(parents=True)
    planted.write_text('#!/bin/sh\n: > "$0.ran"\n', "utf-8")
    planted.chmod(0o755)
    printed = ran(tuple(config.replace("HOST", "generic").split()), workspace, home).stdout
    words, _ = understood(HOSTS["generic"], printed)
    as_npx_does = home | {"PATH": f"{planted.parent}{os.pathsep}{home['PATH']}"}

    assert await tools(words, workspace, as_npx_does)
    assert sprung(workspace) == []
    ran(("sh", "-c", "clawver-orders --version"), workspace, as_npx_does)
    assert sprung(workspace) == [f"{inside}/clawver-orders.ran"]


def test_what_the_documents_have_typed_runs_the_installed_command(
    workspace: Path, home: dict[str, str]
) -> None:
    typed = {
        line.split()[1]: line  # one of each command: it is what decides which code is loaded
        for page in PAGES
        for line in page.read_text("utf-8").splitlines()
        if line.startswith("clawver-orders ") and "--sandbox" in line
    }

    assert set(typed) >= {"call", "doctor", "refunds"}
    for line in typed.values():
        assert "Traceback" not in ran(("sh", "-c", line), workspace, home).stderr
    assert sprung(workspace) == []


def test_the_traps_work(workspace: Path, home: dict[str, str]) -> None:
    for words in ((sys.executable, "-m", "clawver_orders"), (sys.executable, "-c", "import mcp")):
        assert ran(words, workspace, home).returncode != 0

    assert {"clawver_orders/__init__.ran", "mcp/__init__.ran"} & set(sprung(workspace))
    assert ran(("uv", "run", "true"), workspace, home).returncode != 0
