"""One entry in a host's own configuration file: planned first, then applied whole or not at all.

What else is in the file stays byte for byte, what was there before stays beside it as a backup,
and a file that changed meanwhile is left alone.
"""

import difflib
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clawver_orders.install.hosts import KEY
from clawver_orders.install.installation import NAME
from clawver_orders.install.json_edit import BrokenTextError, entry_in, with_entry

SECTION = "mcpServers"
_REMOTE = {"url", "serverUrl", "httpUrl", "headers", "type"}
"""What says how a server elsewhere is reached: an entry with a command must not have it too."""
_NOT_SHOWN = "(not shown)"
BACKUP_SUFFIX = ".before-clawver-orders"
_BOM = b"\xef\xbb\xbf"


class UntouchedError(Exception):
    """The file was not changed; the message says why."""


@dataclass(frozen=True)
class Plan:
    """What a file would become.

    Attributes:
        path: The file itself, behind any links to it.
        before: Its bytes; nothing when there is no file yet.
        after: The bytes it shall have.
        difference: The entry's lines as they change, without any secret.
        holds_key: Whether the store's key is in it, so that it has to be for its owner alone.
    """

    path: Path
    before: bytes | None
    after: bytes
    difference: tuple[str, ...]
    holds_key: bool

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.before != self.after


def plan(path: Path, entry: dict[str, Any]) -> Plan:
    """Work out what a file becomes, without changing it.

    Variables and settings that a person added to the entry are kept, and so is its key,
    unless the new entry brings one of its own. Where the entry was for a server elsewhere, its
    address goes.

    Args:
        path: The host's configuration.
        entry: The server as the host notes it.

    Raises:
        UntouchedError: The file cannot be read, or not be edited safely.
    """
    real = path.resolve()
    before = _read(real)
    mark, body = (_BOM, before[3:]) if before and before.startswith(_BOM) else (b"", before or b"")
    try:
        text = body.decode("utf-8")
        old = entry_in(text, SECTION, NAME)
        new = _merged(old or {}, entry)
        after = text if new == old else with_entry(text, SECTION, NAME, new)
        encoded = mark + after.encode("utf-8")
    except UnicodeError:
        raise UntouchedError(f"{path} is not UTF-8 text.") from None
    except BrokenTextError as error:
        raise UntouchedError(f"{path} cannot be edited safely: {error}.") from None
    key = new["env"].get(KEY)
    holds_key = key is not None and not _is_reference(key)
    return Plan(real, before, encoded, tuple(_difference(old, new, entry)), holds_key)


def apply(plan: Plan) -> Path | None:
    """Put a plan into effect. The file keeps its owner, and its mode unless the key is in it.

    Returns:
        Where the file as it was before is kept; nothing when there was none.

    Raises:
        UntouchedError: The file changed since it was planned, or cannot be written.
    """
    path = plan.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _read(path) != plan.before:
            raise UntouchedError(f"{path} changed meanwhile.")
        found = None if plan.before is None else path.stat()
        mode = 0o600 if plan.holds_key or found is None else stat.S_IMODE(found.st_mode)
        backup = None if plan.before is None else _backup(path, plan.before, mode)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        _write(fresh, plan.after, mode)
        try:
            for each in (fresh, backup):
                _give(each, found)
            fresh.replace(path)
        except OSError:
            fresh.unlink()
            raise
    except OSError as error:
        raise UntouchedError(f"{path} cannot be written ({type(error).__name__}).") from error
    return backup


def _give(path: Path | None, found: os.stat_result | None) -> None:
    """Give a new file to whom the old one belongs: root may work for somebody else."""
    if path is None or found is None or not hasattr(os, "chown"):  # as on Windows
        return
    made = path.stat()
    if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
        os.chown(path, found.st_uid, found.st_gid)


def _merged(old: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    kept = old.get("env", {})
    if not isinstance(kept, dict):
        raise BrokenTextError(f"{SECTION}.{NAME}.env is not an object")
    written = {name: value for name, value in entry["env"].items() if not _is_reference(value)}
    local = {
        name: value
        for name, value in old.items()
        if name not in _REMOTE or (name, value) == ("type", "stdio")
    }
    return local | entry | {"env": entry["env"] | kept | written}


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith("${")


def _difference(old: dict[str, Any] | None, new: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """The names of what is in the entry, and of the values only ours: theirs may be secrets."""
    lines = difflib.unified_diff(
        _shown(old, ours), _shown(new, ours), "before", "after", lineterm="", n=99
    )
    return list(lines)[3:]


def _shown(entry: dict[str, Any] | None, ours: dict[str, Any]) -> list[str]:
    if entry is None:
        return []
    shown = {
        name: value if value == ours.get(name) else _NOT_SHOWN for name, value in entry.items()
    }
    if "env" in entry:
        shown["env"] = {
            name: value
            if _is_reference(value) and value == ours["env"].get(name)
            else ("(the key)" if name == KEY else _NOT_SHOWN)
            for name, value in entry["env"].items()
        }
    return json.dumps({NAME: shown}, indent=2, ensure_ascii=False).split("\n")


def _read(path: Path) -> bytes | None:
    try:
        if not path.exists():
            return None
        if not path.is_file():
            raise UntouchedError(f"{path} is not a file.")
        return path.read_bytes()
    except OSError as error:
        raise UntouchedError(f"{path} cannot be read ({type(error).__name__}).") from error


def _backup(path: Path, content: bytes, mode: int) -> Path:
    number = 1
    while True:
        end = BACKUP_SUFFIX + ("" if number == 1 else f"-{number}")
        backup = path.with_name(path.name + end)
        try:
            _write(backup, content, mode)
        except FileExistsError:
            number += 1
        else:
            return backup


def _write(path: Path, content: bytes, mode: int) -> None:
    """A new file, on the disk before this returns; an existing one is an error."""
    with path.open("xb") as file:
        path.chmod(mode)  # while it is still empty
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
