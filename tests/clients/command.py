"""The installed command: the one that `.ci/run` built and installed, or this environment's own."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

INSTALLED = os.environ.get(
    "INSTALLED_COMMAND", str(Path(sys.executable).with_name("clawver-orders"))
)


def on_path(folder: Path) -> str:
    """A search path on which the installed command is found, as `uv tool install` leaves it.

    Args:
        folder: Where the link to it goes.
    """
    (folder / "clawver-orders").symlink_to(INSTALLED)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


STARTS_LATE_BY_SECONDS = 8
"""Longer than several frameworks wait by themselves."""


def on_path_late(folder: Path) -> str:
    """A search path on which the command is found, and starts late, as on a busy machine.

    Args:
        folder: Where the program that waits goes.
    """
    late = folder / "clawver-orders"
    late.write_text(
        f'#!/bin/sh\nsleep {STARTS_LATE_BY_SECONDS}\nexec {shlex.quote(INSTALLED)} "$@"\n', "utf-8"
    )
    late.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def newcomer(home: Path) -> dict[str, str]:
    """The variables of somebody who has uv and nothing of ours; what uv downloaded is shared."""
    uv = os.environ.get("UV") or shutil.which("uv")  # the one that runs the tests, not a wrapper
    assert uv is not None
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True)
    theirs = ("CLAW", "UV", "VIRTUAL_ENV", "XDG_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return kept | {
        "HOME": str(home),
        "PATH": os.pathsep.join([str(Path(uv).parent), "/usr/bin", "/bin"]),
        "SHELL": "/bin/bash",
        "UV_CACHE_DIR": cache.stdout.strip(),
    }
