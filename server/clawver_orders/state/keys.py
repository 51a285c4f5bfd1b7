"""A secret key that all processes of a store share, made once.

The file is made whole under another name and then linked into place, so that two processes that
begin at the same moment end up with the same key, and none ever reads half of one.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from clawver_orders.state.folders import make_private

LENGTH = 32
_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_OWNER = getattr(os, "geteuid", None)  # Windows has no such thing; its profile folders are private
_NO_DETOUR = getattr(os, "O_NOFOLLOW", 0)
_AS_IT_IS = getattr(os, "O_BINARY", 0)  # Windows would end the file at a byte 26


def kept_key(path: Path) -> bytes:
    """The key in this file; a new one where there is no file.

    Raises:
        OSError: It cannot be read or made, or others could have read it or put it there.
    """
    make_private(path.parent)
    folder = path.parent.lstat()
    _check(folder, stat.S_ISDIR(folder.st_mode), _OTHERS_WRITE)
    with suppress(FileNotFoundError):
        return _read(path)
    _make(path)
    return _read(path)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | _NO_DETOUR | _AS_IT_IS)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # of what was opened, not of a name
        found = os.fstat(descriptor)
        _check(found, stat.S_ISREG(found.st_mode), _OTHERS)
        key = file.read(LENGTH + 1)
    if len(key) != LENGTH:
        raise OSError("the key is not whole")
    return key


def _make(path: Path) -> None:
    draft = path.with_suffix(f".{secrets.token_hex(4)}.draft")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _AS_IT_IS, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # as above
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):  # another process was faster, and its key is as good
            os.link(draft, path)
    finally:
        draft.unlink()


def _check(found: os.stat_result, is_right_kind: bool, closed_to_others: int) -> None:
    is_ours = _OWNER is None or (found.st_uid == _OWNER() and not found.st_mode & closed_to_others)
    if not (is_right_kind and is_ours):
        raise PermissionError("it is not this user's alone")
