"""Which command starts this installation, and whether the package is published.

Hosts start a server in the folder that somebody works in, and that folder can hold anything: a
`secrets.py` there must never run with the store's key. So no command here imports from the
working directory.
"""

import json
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

NAME = "clawver-orders"

PUBLISHED: str | None = None
"""The version on the package index, such as "0.1.0"; None while there is none.

Until then anybody can take the name, so nothing may start the package by its name alone: no
document, no button, no registry entry and no command.
"""

REGISTRY_NAME: str | None = None
"""The name in the MCP registry; None while the package has no public home."""


class TemporaryError(Exception):
    """No command starts this installation again; the message says what to do."""


def documented() -> tuple[str, ...]:
    """The command in the documents: what is installed, or the published version through uvx."""
    return ("uvx", f"{NAME}=={PUBLISHED}") if PUBLISHED else (NAME,)


def to_install() -> str:
    """What a person types to install the command: in a copy of the repository, until it is published."""
    return f"uv tool install {NAME}=={PUBLISHED}" if PUBLISHED else "uv tool install ."


def running() -> tuple[str, ...]:
    """The command that starts this environment's own copy, in any working directory."""
    suffix = sysconfig.get_config_var("EXE") or ""  # ".exe" on Windows
    script = Path(sysconfig.get_path("scripts")) / f"{NAME}{suffix}"
    if script.is_file():
        return (str(script),)
    # -P leaves out the working directory, and -E a PYTHONPATH, which may name it.
    return (sys.executable, "-E", "-P", "-m", "clawver_orders")


def lasting() -> tuple[str, ...]:
    """The command that starts this installation from now on.

    Where uv made an environment for one run only, that is uvx with what it was made from.

    Raises:
        TemporaryError: Nothing says what such an environment was made from.
    """
    prefix = Path(sys.prefix)
    is_tool = (prefix / "uv-receipt.toml").is_file()  # of `uv tool install`, wherever its folder is
    if is_tool or not any((folder / "CACHEDIR.TAG").is_file() for folder in prefix.parents):
        return running()
    uvx, origin = shutil.which("uvx"), _origin()
    if uvx is None or not Path(uvx).is_absolute() or origin is None:
        where = "" if PUBLISHED else f" in your copy of the repository of {NAME}"
        raise TemporaryError(
            f"This runs in a temporary environment, {sys.prefix}, and no command starts it again. "
            f"Nothing was changed. Install it: run `{to_install()}`{where}, "
            "then repeat this with the installed command."
        )
    return (uvx, "--from", origin, NAME)


def _origin() -> str | None:
    """What this environment was made from, as uvx takes it."""
    from importlib import metadata

    noted = metadata.distribution(NAME).read_text("direct_url.json")
    if noted is not None:
        return _source(json.loads(noted))
    return f"{NAME}=={PUBLISHED}" if PUBLISHED else None


def _source(noted: dict[str, Any]) -> str:
    """An origin as the installer noted it (PEP 610): a path, or an address at its commit."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    address: str = noted["url"]
    if (vcs := noted.get("vcs_info")) is not None:
        address = f"{vcs['vcs']}+{address}@{vcs['commit_id']}"
    elif address.startswith("file:"):
        return url2pathname(urlsplit(address).path)
    part = f"#subdirectory={noted['subdirectory']}" if "subdirectory" in noted else ""
    return f"{NAME} @ {address}{part}"
