"""CI runs every test there is, and fails when anything fails."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from tests.postgres import REQUIRED

ROOT = Path(__file__).parent.parent
SCRIPT = (ROOT / ".ci" / "run").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"][
    "ini_options"
]
MARKERS = {line.split(":")[0] for line in OPTIONS["markers"]}
STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >> "$CALLS"
if [ "$1" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/clawver-orders"; fi
[ "$(wc -l < "$CALLS")" -ne "$FAILS" ]
"""
"""Notes how it is called, and fails when its turn comes."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with `.ci/run`, and stand-ins for what it calls."""
    for folder in (".ci", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy2(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    for name in (
        "uv",
        "python3",
        "chromium",
        "ssconvert",
        "initdb",
        "nginx",
        "pgbouncer",
    ):  # with these there is nothing to install
        (tmp_path / "bin" / name).write_text(STAND_IN)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def ci(project: Path, *words: str, fails: int = 0) -> tuple[int, list[str]]:
    """Run it, where one call fails; gives its exit code and what it called."""
    calls = project / "calls"
    calls.write_text("")
    path = f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(project / ".ci" / "run"), *words],
        env=os.environ | {"PATH": path, "CALLS": str(calls), "FAILS": str(fails)},
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, calls.read_text().splitlines()


def selected(calls: list[str]) -> list[str]:
    """Which tests were run: a marker, or nothing for those that the plain command runs."""
    found = [
        re.fullmatch(r"uv run pytest(?: -m (\w+))?(?: -rs -n 2 --dist loadfile)?", call)
        for call in calls
    ]
    return [match[1] or "" for match in found if match]


def test_without_a_postgresql_the_tests_of_it_fail() -> None:
    assert f"export {REQUIRED}=" in SCRIPT


def test_the_plain_command_leaves_out_what_has_a_marker_and_ci_runs_it(project: Path) -> None:
    left_out = OPTIONS["addopts"][OPTIONS["addopts"].index("-m") + 1]
    usual, everything = ci(project), ci(project, "--all")

    assert set(left_out.split(" and ")) == {f"not {marker}" for marker in MARKERS}
    assert (usual[0], everything[0]) == (0, 0)
    assert selected(usual[1]) == ["", "slow", "clients"]
    assert sorted(selected(everything[1])) == sorted({"", *MARKERS})


def test_whatever_fails_ci_fails(project: Path) -> None:
    _, calls = ci(project, "--all")

    assert len(calls) > 10
    passed = [call for n, call in enumerate(calls, 1) if ci(project, "--all", fails=n)[0] == 0]
    assert passed == []


def test_an_option_that_ci_does_not_know_is_no_quick_success(project: Path) -> None:
    assert ci(project, "--al") == (2, [])


def test_contributors_are_told_what_each_command_runs_and_how_long_it_takes() -> None:
    for marker in MARKERS:
        assert f"| `uv run pytest -m {marker}` |" in CONTRIBUTING
    for command in ("uv run pytest", ".ci/run", ".ci/run --all"):
        assert re.search(rf"^\| `{re.escape(command)}` \|.*\| \d+ \|$", CONTRIBUTING, re.MULTILINE)
