"""Where the tests keep things, and a look at the end of a run at what it left anywhere else.

`conftest.py` takes the hooks from here. What is looked at: the folders that the command may have
for this user, where nothing may be changed or deleted either; the files of the hosts that can be
configured, the project's own folder, and the system's folder for temporary files.
"""

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from clawver_orders.install.hosts import HOSTS, Places
from clawver_orders.install.installation import NAME
from clawver_orders.settings import Settings

ROOT = Path(__file__).parent.parent
HOME = Path.home()
STATE = Settings().state_dir
TEMPORARY = Path(tempfile.gettempdir())
RUN = os.environ.setdefault("RUN_OF_THE_TESTS", secrets.token_hex(4))
"""Tells this run from others on the same machine. All of its processes know it."""
CACHES = {
    ".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__", "htmlcov",
}  # fmt: skip
"""What tools keep in the project's folder on purpose; files of coverage begin with `.coverage`."""
BY_COMMAND = (
    ".claude.json", ".codex/config.toml", ".openclaw/openclaw.json", ".config/goose/config.yaml",
    ".config/zed/settings.json", ".config/Code/User/mcp.json",
)  # fmt: skip
"""The files of hosts that are changed by a command of theirs, below the user's folder."""

Found = dict[str, tuple[int, int]]
"""What there is, by its path: how large, and when it was written last."""
_BEFORE = pytest.StashKey[tuple[set[str], Found]]()
_LEFT = pytest.StashKey[list[str]]()


def own_places(folder: Path) -> dict[str, str]:
    """The variables that put what programs keep for their user, and temporary files, elsewhere.

    Package managers keep their caches and their settings: without them every client would be
    fetched again, or not be found at all.

    Args:
        folder: Takes the user's folder and the temporary files.
    """
    home, temporary = str(folder), str(folder / "tmp")
    places = {"HOME": home, "USERPROFILE": home}
    places |= {"LOCALAPPDATA": str(folder / "local"), "APPDATA": str(folder / "roaming")}
    places |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), temporary)
    cache = Path(os.environ.get("XDG_CACHE_HOME", HOME / ".cache"))
    kept = {
        "UV_CACHE_DIR": cache / "uv",
        "UV_PYTHON_INSTALL_DIR": HOME / ".local" / "share" / "uv" / "python",
        "PIP_CACHE_DIR": cache / "pip",
        "npm_config_cache": HOME / ".npm",
    }
    settings = {
        "UV_CONFIG_FILE": HOME / ".config" / "uv" / "uv.toml",
        "PIP_CONFIG_FILE": HOME / ".config" / "pip" / "pip.conf",
        "npm_config_userconfig": HOME / ".npmrc",
        "GIT_CONFIG_GLOBAL": HOME / ".gitconfig",
    }
    kept |= {name: path for name, path in settings.items() if path.is_file()}
    return places | {name: str(path) for name, path in kept.items() if name not in os.environ}


def move_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process and those that it starts keep everything in a folder."""
    (folder / "tmp").mkdir(parents=True)
    for name, value in own_places(folder).items():
        monkeypatch.setenv(name, value)
    for name in ("STATE", "CONFIG", "DATA", "CACHE"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))


def there(root: Path = ROOT, home: Path = HOME, temporary: Path = TEMPORARY) -> set[str]:
    """What could have been left behind, by its path.

    Args:
        root: The project's folder.
        home: The user's folder.
        temporary: Where the system keeps temporary files.
    """
    return _in_project(root) | _of_hosts(home) | _in_temporary(temporary)


def of_user(home: Path = HOME, state: Path = STATE) -> Found:
    """What the command keeps for its user, the refunds of real stores among it.

    Args:
        home: The user's folder.
        state: Where the server keeps its state for this user.
    """
    found = {}
    for folder in (state, home / ".config" / NAME, home / ".cache" / NAME):
        for path in (folder, *folder.rglob("*")):
            with suppress(FileNotFoundError):
                about = path.lstat()
                is_folder = stat.S_ISDIR(about.st_mode)  # what is in it is found by itself
                found[str(path)] = (0, 0) if is_folder else (about.st_size, about.st_mtime_ns)
    return found


def changed(before: Found, after: Found) -> set[str]:
    """The paths that came, went, or were written."""
    return {path for path, _ in before.items() ^ after.items()}


def _in_project(root: Path) -> set[str]:
    found = set()
    kept = CACHES | ({"surface"} if os.environ.get("UPDATE_SURFACE") else set())  # asked for
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name not in kept and not name.endswith(".egg-info")]
        found |= {str(Path(folder, name)) for name in files if not name.startswith(".coverage")}
    return found


def _of_hosts(home: Path) -> set[str]:
    """The files that name this server, copies of what was there before among them.

    Hosts write into them at any time, so how often it is named is what counts.
    """
    found = set()
    for applications in (home / ".config", home / "Library" / "Application Support"):
        places = Places(home, applications)
        files = [host.file(places) for host in HOSTS.values() if host.file is not None]
        for file in (*files, *(home / name for name in BY_COMMAND)):
            for path in file.parent.glob(f"*{file.name}*"):
                times = path.read_bytes().count(NAME.encode()) if path.is_file() else 0
                found |= {f"{path} (mention {n} of {NAME})" for n in range(1, times + 1)}
    return found


def _in_temporary(folder: Path) -> set[str]:
    """Other runs may be at work there: what the product names, or what was made for this one."""
    names = (path.name for path in folder.iterdir())
    return {str(folder / name) for name in names if name.startswith(NAME) or RUN in name}


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Note what is there before any test runs."""
    if not _is_worker(session.config):
        session.config.stash[_BEFORE] = there(), of_user()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that leaves or changes something, whether its tests passed or not."""
    if _is_worker(session.config):
        return
    before, kept = session.config.stash[_BEFORE]
    left = sorted((there() - before) | changed(kept, of_user()))
    session.config.stash[_LEFT] = left
    if left and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name what was left behind or changed."""
    for path in config.stash.get(_LEFT, []):
        terminalreporter.write_line(
            f"left behind or changed by the tests, or by another program meanwhile: {path}",
            red=True,
        )
