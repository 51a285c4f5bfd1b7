"""The installed command: the one that `.ci/run` built and installed, or this environment's own."""

import os
import sys
from pathlib import Path

INSTALLED = os.environ.get(
    "INSTALLED_COMMAND", str(Path(sys.executable).with_name("clawver-orders"))
)


def uvx(folder: Path) -> Path:
    """A `uvx` that runs the installed command, since nothing is published before it is tested.

    Returns:
        The folder to put in front of the search path.
    """
    stand_in = folder / "uvx"
    stand_in.write_text(
        f'#!/bin/sh\n[ "$1" = clawver-orders ] && shift && exec {INSTALLED!r} "$@"\nexit 64\n',
        "utf-8",
    )
    stand_in.chmod(0o755)
    return folder
