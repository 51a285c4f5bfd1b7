"""Environments of their own, each made once, and a report that names what was in them."""

from collections.abc import Callable

import pytest
from tests.clients import environments
from tests.clients.environments import Environment

Install = Callable[[tuple[str, ...]], Environment]
_MADE = pytest.StashKey[dict[tuple[str, ...], Environment]]()


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
