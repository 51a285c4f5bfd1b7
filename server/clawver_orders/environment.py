"""The environment of this process, as it was given: nothing is checked here. Standard library only.

It is read before anything else is loaded, and `settings` checks it later.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from clawver_orders.errors import SetupError


def variables() -> Mapping[str, str]:
    """The variables of this process, by name."""
    return os.environ


def default_state_dir() -> Path:
    """Where state is kept when nobody decides.

    Variables that move such folders, as those of XDG, do not count: hosts do not pass them to the
    servers that they start, and a terminal would look for the refunds elsewhere.

    Raises:
        SetupError: This user has no home folder, or HOME is no whole path.
    """
    if sys.platform == "win32":
        from platformdirs import user_state_path

        return user_state_path("clawver-orders", appauthor=False)
    try:
        home = Path.home()
    except RuntimeError:
        home = Path()
    if not home.is_absolute():  # each working directory would have a ledger of its own
        raise SetupError(
            "This user has no home folder, so there is no place to keep state between runs.",
            next_step="Set CLAWVER_STATE_DIR to a folder for it.",
        )
    inside = "Library/Application Support" if sys.platform == "darwin" else ".local/state"
    return home / inside / "clawver-orders"


def time_zone_name() -> str:
    """The IANA name of this machine's time zone; `UTC` where it does not tell one."""
    from tzlocal import get_localzone_name  # most of it is a table for Windows

    try:
        return get_localzone_name() or "UTC"
    except (LookupError, OSError, ValueError):  # its files contradict each other, or hold none
        return "UTC"
