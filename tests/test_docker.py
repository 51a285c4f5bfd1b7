"""The image, as far as it can be checked without an engine."""

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / ".docker" / "Dockerfile").read_text("utf-8")
IGNORED = (ROOT / ".docker" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()


def test_what_the_image_copies_is_enough_to_build_from(tmp_path: Path) -> None:
    for words in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, target = words.split()
        for source in sources:
            assert f"!{source}" in IGNORED
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / target)
            else:
                shutil.copy2(ROOT / source, tmp_path / target)

    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    assert list((tmp_path / "dist").glob("*.whl"))


def test_nothing_else_of_a_checkout_reaches_the_engine() -> None:
    assert IGNORED[0] == "*"
    assert {line[1:] for line in IGNORED if line.startswith("!")} == {
        "pyproject.toml", "README.md", "SKILL.md", "LICENSE", "server", "references",
    }  # fmt: skip


def test_the_image_runs_the_command_as_a_user_of_its_own() -> None:
    user = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)

    assert len(user) == 1
    assert int(user[0]) > 0
    assert f"--uid {user[0]}" in DOCKERFILE
    assert DOCKERFILE.index("USER") < DOCKERFILE.index('ENTRYPOINT ["clawver-orders"]')
    assert fnmatch.fnmatch(DOCKERFILE, "*FROM python:3.*-slim*")
