"""A secret key that all processes of a store share, made once: the first one stays."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from clawver_orders.storage.folders import is_open_to_others, is_safe, made_whole, make_private

LENGTH = 32
_NOT_OURS = "it is not this user's alone"
_NO_DETOUR = getattr(os, "O_NOFOLLOW", 0)
_AS_IT_IS = getattr(os, "O_BINARY", 0)  # Windows would end the file at a byte 26


def kept_key(path: Path) -> bytes:
    """The key in this file; a new one where there is no file.

    Raises:
        OSError: It cannot be read or made, or others could have read it or put it there.
    """
    make_private(path.parent)
    if not is_safe(path.parent.lstat(), stat.S_ISDIR):
        raise PermissionError(_NOT_OURS)
    with suppress(FileNotFoundError):
        return _read(path)
    with made_whole(path) as draft, draft.open("wb") as file:
        file.write(secrets.token_bytes(LENGTH))
        file.flush()
        os.fsync(file.fileno())
    return _read(path)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | _NO_DETOUR | _AS_IT_IS)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # of what was opened, not of a name
        found = os.fstat(descriptor)
        if not is_safe(found, stat.S_ISREG) or is_open_to_others(found):
            raise PermissionError(_NOT_OURS)
        key = file.read(LENGTH + 1)
    if len(key) != LENGTH:
        raise OSError("the key is not whole")
    return key
