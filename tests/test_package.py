"""The built wheel: what is in it, and that it runs in a clean environment."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from clawver_orders import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # The build's own tools are those of this environment: no second download, the same result.
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.mark.slow
def test_the_tests_of_the_source_archive_find_all_they_look_into(
    built: Path, tmp_path: Path
) -> None:
    (archive,) = built.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    (project,) = tmp_path.iterdir()

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n0", "-p", "no:cacheprovider", "-m", ""],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-2000:]
    here = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))
    assert re.findall(r"^(tests/\S+): \d+$", done.stdout, re.MULTILINE) == here


def test_the_source_archive_holds_every_page(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    (project,) = tmp_path.iterdir()
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "references").glob("*.md")]

    assert [page for page in pages if not (project / page.relative_to(ROOT)).is_file()] == []


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/")[0] for name in names}
    assert tops == {"clawver_orders", "clawver_sandbox", f"clawver_orders-{__version__}.dist-info"}
    assert "clawver_orders/py.typed" in names
    page = (ROOT / "server" / "clawver_orders" / "web").rglob("*.*")
    parts = {path.relative_to(ROOT / "server").as_posix() for path in page if path.suffix != ".pyc"}
    assert {
        f"clawver_orders/web/{name}" for name in ("templates/base.html", "static/board.js")
    } <= parts
    assert parts <= set(names)
    references = {f"references/{page.name}" for page in (ROOT / "references").glob("*.md")}
    pages = {f"clawver_orders/skill/{path}" for path in {"SKILL.md"} | references}
    assert {name for name in names if name.endswith(".md")} == pages
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_runs_without_the_source(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path[:] = [{str(site)!r}] + [p for p in sys.path if not p.endswith('server')]\n"
        "import clawver_orders, clawver_sandbox\n"
        "assert 'site' in clawver_orders.__file__ and 'site' in clawver_sandbox.__file__\n"
        "from clawver_orders.cli.main import commands; commands(['call', 'get_order', 'order_id=ord_shirt', '--sandbox'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=dict(os.environ) | {"CLAWVER_STATE_DIR": str(tmp_path / "state")},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert '"order_id":"ord_shirt"' in done.stdout


def test_ci_lets_everybody_elses_clients_drive_what_was_built() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    started = re.search(
        r'^INSTALLED_COMMAND="(\S+)/bin/(\S+)" uv run pytest -m clients', script, re.MULTILINE
    )

    assert started is not None
    assert f'pip install --quiet --python "{started[1]}" "$clean"/dist/*.whl' in script
    assert (
        started[2]
        in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    )


def test_no_dependency_may_take_a_step_that_nobody_has_tried() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert all(re.fullmatch(r"[a-z0-9]+>=[\d.]+,<\d+", need) for need in project["dependencies"])


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "server/clawver_orders/__init__.py"


def test_no_file_of_the_project_names_a_registry_or_a_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()

    assert "uv.lock" not in tracked
    assert "uv.lock" in (ROOT / ".gitignore").read_text("utf-8")
