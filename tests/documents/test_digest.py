"""The lines of docs/digest.md for schedulers: read as each of them reads it, and run where it would run."""

import os
import plistlib
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_main import keyless
from tests.documents.printed import Shell, block, sections, steps

PAGE = "docs/digest.md"
posix = pytest.mark.skipif(os.name != "posix", reason="the lines are those of a POSIX shell")


def blocks(heading: str) -> dict[str, str]:
    """The blocks of a section by their language."""
    (section,) = (each for each in sections() if each.name == (PAGE, heading))
    return {each.language: each.text for each in section.blocks}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of somebody who has done what the page says, with the sandbox in the place of a store."""
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    script = Path(sys.executable).with_name("clawver-orders")
    (tmp_path / ".local" / "bin" / "clawver-orders").symlink_to(script)
    with Shell(tmp_path, keyless() | {"HOME": str(tmp_path)}, is_terminal=False) as shell:
        for step in steps(blocks("Every morning")["sh"]):
            assert shell.typed(step.line)[0] == 0
    settings = tmp_path / ".config" / "clawver-orders.env"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    settings.write_text(blocks("Every morning")["ini"] + "export CLAWVER_SANDBOX=on\n")
    return tmp_path


def scheduled(words: list[str], home: Path) -> str:
    """What a scheduler's command prints, with the few variables that one has."""
    found = {"HOME": str(home), "PATH": "/usr/bin:/bin", "CLAWVER_STATE_DIR": str(home / "state")}
    done = subprocess.run(
        words, env=found, cwd=home, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


@posix
@pytest.mark.slow
def test_cron_runs_its_line(home: Path) -> None:
    fields = blocks("cron")["text"].strip().split(" ", 5)

    assert fields[:5] == ["0", "8", "*", "*", "*"]
    assert "%" not in fields[5]  # a line break to cron
    assert scheduled(["/bin/sh", "-c", fields[5]], home).startswith("Store: the sandbox\n")


@posix
@pytest.mark.slow
def test_launchd_runs_its_file(home: Path) -> None:
    found = blocks("launchd")
    job = plistlib.loads(found["xml"].encode())

    assert job["StartCalendarInterval"] == {"Hour": 8, "Minute": 0}
    assert f"{job['Label']}.plist" in found["text"]
    assert scheduled(job["ProgramArguments"], home) == ""
    digest = (home / "clawver-orders-digest.txt").read_text("utf-8")
    assert digest.startswith("Store: the sandbox\n")


def test_the_task_of_windows_runs_the_same_command() -> None:
    text = block(PAGE, "Task Scheduler")

    (argument,) = re.findall(r"-Argument '([^']*)'", text)
    assert argument.startswith("/c clawver-orders digest > ")
    names = set(re.findall(r"\$(\w+)", text))
    assert names == set(re.findall(r"^\$(\w+) = ", text, re.MULTILINE))


def test_openclaw_is_told_when_and_what() -> None:
    words = shlex.split(block(PAGE, "OpenClaw"))

    assert words[:3] == ["openclaw", "cron", "add"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert set(given) == {"--name", "--cron", "--tz", "--session", "--message"}
    assert given["--cron"].split() == ["0", "8", "*", "*", "*"]
    assert "clawver-orders" in given["--message"]
