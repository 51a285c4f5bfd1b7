"""A run of the tests that leaves something outside its own folders fails and names it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.cli.test_main import run_process
from tests.leftovers import ROOT, RUN, there

FORGETFUL = """
import os, pathlib, tempfile
def test_that_passes() -> None:
    tempfile.mkdtemp(prefix="clawver-orders-demo-")
    state = pathlib.Path.home() / ".local" / "state" / "clawver-orders" / "stores" / "forgotten"
    state.mkdir(parents=True, exist_ok=True)
    cursor = pathlib.Path.home() / ".cursor" / "mcp.json"
    cursor.write_text(cursor.read_text() + '"clawver-orders"')
    for name in (".config", ".cache"):
        (pathlib.Path.home() / name / "clawver-orders").mkdir(parents=True)
    (state.parent / "real" / "ledger.sqlite3").write_text("an empty one")
    (state.parent / "real" / "ledger.made").unlink()
"""


def test_a_test_has_a_home_and_temporary_files_of_its_own(tmp_path: Path) -> None:
    home = Path.home()
    assert home.is_relative_to(tmp_path.parent)
    assert Path(tempfile.gettempdir()).is_relative_to(home)

    asked = run_process("call", "list_orders", "limit=1", "--sandbox")

    assert asked.returncode == 0
    assert any(path.name == "sandbox.sqlite3" for path in home.rglob("*"))


@pytest.mark.slow
def test_a_run_that_leaves_something_fails_and_names_it(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    (home / ".cursor").mkdir(parents=True)
    (home / ".cursor" / "mcp.json").write_text('{"mcpServers": {"clawver-orders": {}}}')
    stores = home / ".local" / "state" / "clawver-orders" / "stores"
    (stores / "real").mkdir(parents=True)
    for name in ("ledger.sqlite3", "ledger.made", "inbox.sqlite3"):
        (stores / "real" / name).write_text("of a store")
    temporary.mkdir()
    (tmp_path / "test_it.py").write_text(FORGETFUL)
    places = {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "TMPDIR": str(temporary),
        "TEMP": str(temporary),
    }
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider",
            "-p", "tests.leftovers", "-n", "1", str(tmp_path / "test_it.py"),
        ],
        env=os.environ | places | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    left = [line for line in done.stdout.splitlines() if line.startswith("left behind")]
    for path in (
        stores / "forgotten",
        stores / "real" / "ledger.sqlite3",
        stores / "real" / "ledger.made",
        home / ".config" / "clawver-orders",
        home / ".cache" / "clawver-orders",
        f"{home / '.cursor' / 'mcp.json'} (mention 2 of clawver-orders)",
    ):
        assert any(line.endswith(f": {path}") for line in left)
    assert any("clawver-orders-demo-" in line for line in left)
    assert not any("mention 1" in line or "inbox" in line for line in left)


def test_a_surface_that_is_written_on_request_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "tests" / "tools" / "surface" / "get_store.json"
    new.parent.mkdir(parents=True)
    new.touch()

    assert str(new) in there(tmp_path, temporary=tmp_path)
    monkeypatch.setenv("UPDATE_SURFACE", "1")
    assert str(new) not in there(tmp_path, temporary=tmp_path)


def test_what_tools_keep_in_the_project_is_not_left_behind(tmp_path: Path) -> None:
    project, temporary = tmp_path / "project", tmp_path / "temporary"

    def now() -> set[str]:
        return there(project, tmp_path / "home", temporary)

    temporary.mkdir()
    before = now()
    for name in (".hypothesis/a", "tests/__pycache__/b.pyc", ".pytest_cache/c", ".venv/d"):
        (project / name).parent.mkdir(parents=True)
        (project / name).touch()
    (project / ".coverage.host.1").touch()
    (temporary / "of-another-run").touch()
    assert now() == before

    left = {project / "tests" / "store.sqlite3", temporary / f"{RUN}-x"}
    for path in left:
        path.touch()
    assert now() - before == {str(path) for path in left}
