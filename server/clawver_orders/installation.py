"""Which command starts this installation.

Hosts start a server in the folder that somebody works in, and that folder can hold anything: a
`secrets.py` there must never run with the store's key. So no command here imports from the
working directory.
"""

import sys
import sysconfig
from pathlib import Path

NAME = "clawver-orders"


def running() -> tuple[str, ...]:
    """The command that starts this environment's own copy, in any working directory."""
    suffix = sysconfig.get_config_var("EXE") or ""  # ".exe" on Windows
    script = Path(sysconfig.get_path("scripts")) / f"{NAME}{suffix}"
    if script.is_file():
        return (str(script),)
    return (sys.executable, "-P", "-m", "clawver_orders")  # -P: import nothing from there
