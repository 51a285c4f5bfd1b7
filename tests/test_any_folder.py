"""Whatever is printed or started runs nothing of the folder that it is started in."""

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from tests.test_cli import KEYLESS
from tests.test_hosts import understood
from tests.traps import sprung, tools, trapped

import clawver_orders
from clawver_orders.hosts import HOSTS
from clawver_orders.tools import SURFACE

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
    return (str(folder / "bin" / "python"), "-P", "-m", "clawver_orders")


@pytest.fixture(params=["script", "module"])
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
        words, cwd=workspace, env=KEYLESS | home, stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


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
        assert await tools(words, workspace, home) == [tool.name for tool in SURFACE]
    assert sprung(workspace) == []


def test_the_demo_starts_its_own_server(
    installed: tuple[str, ...], workspace: Path, home: dict[str, str]
) -> None:
    done = ran((*installed, "demo"), workspace, home)

    assert done.returncode == 0, done.stderr
    assert "That was the main job" in done.stdout
    assert sprung(workspace) == []


def test_the_traps_work(workspace: Path, home: dict[str, str]) -> None:
    for words in ((sys.executable, "-m", "clawver_orders"), (sys.executable, "-c", "import mcp")):
        assert ran(words, workspace, home).returncode != 0

    assert {"clawver_orders/__init__.ran", "mcp/__init__.ran"} & set(sprung(workspace))
    assert ran(("uv", "run", "true"), workspace, home).returncode != 0
