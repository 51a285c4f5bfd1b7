"""A secret key that all processes share, made once: the first one stays."""

import secrets
from pathlib import Path

from clawver_orders.storage.folders import kept_once

LENGTH = 32


def kept_key(path: Path) -> bytes:
    """The key in this file; a new one where there is no file.

    Raises:
        OSError: It cannot be read or made, or others could have read it or put it there.
    """
    key = kept_once(path, secrets.token_bytes(LENGTH))
    if len(key) != LENGTH:
        raise OSError("the key is not whole")
    return key
