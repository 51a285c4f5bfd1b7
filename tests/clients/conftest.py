"""Environments of their own, each made once, and a report that names what was in them."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients import environments
from tests.clients.environments import Environment

ROOT = Path(__file__).parents[2]
Install = Callable[[tuple[str, ...]], Environment]
_MADE = pytest.StashKey[dict[tuple[str, ...], Environment]]()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The working tree as a checkout has it, in a folder of the skill's name."""
    folder = tmp_path / "my checkouts" / "clawver-orders"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():  # and not deleted since the last commit
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def with_python(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Takes packages of Python's index; gives the environment that has them."""
    made = pytestconfig.stash.setdefault(_MADE, {})

    def install(packages: tuple[str, ...]) -> Environment:
        if packages not in made:
            made[packages] = environments.python(tmp_path_factory.mktemp("python"), packages)
        return made[packages]

    return install


@pytest.fixture(scope="session")
def with_node(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Takes packages of Node's registry; gives the folder that has them."""
    made = pytestconfig.stash.setdefault(_MADE, {})

    def install(packages: tuple[str, ...]) -> Environment:
        if packages not in made:
            made[packages] = environments.node(tmp_path_factory.mktemp("node"), packages)
        return made[packages]

    return install


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for packages, environment in config.stash.get(_MADE, {}).items():
        terminalreporter.write_line(f"installed: {environment.summary(packages)}")
