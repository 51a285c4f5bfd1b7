"""The installed command: the one that `.ci/run` built and installed, or this environment's own."""

import os
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
