"""The skill passes the validators that hosts and registries use, as it would be published."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
NOT_PUBLISHED = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", ".coverage*", "__pycache__", "dist", "build",
    "htmlcov", "uv.lock", "*.sqlite3",
)  # fmt: skip


@pytest.fixture
def skill(tmp_path: Path) -> Path:
    """The tree in a folder of the skill's own name, which is a rule of its own."""
    return shutil.copytree(ROOT, tmp_path / "clawver-orders", ignore=NOT_PUBLISHED)


def test_the_skill_is_valid(skill: Path) -> None:
    done = subprocess.run(
        [TOOLS / "agentskills", "validate", skill],
        capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Valid skill")


def test_the_linter_finds_nothing_to_sharpen(skill: Path) -> None:
    done = subprocess.run(
        [TOOLS / "skillsaw", "lint", "--strict", "--no-color", "."],
        cwd=skill, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert "All checks passed" in done.stdout
