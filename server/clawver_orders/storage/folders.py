"""Folders and files for one user alone: who may write them, and how they come to be.

Windows has no owners and modes of this kind, and its profile folders are private: there only the
kind of a file is looked at.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_OWNER = getattr(os, "geteuid", None)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, closed to everybody else.

    `Path.mkdir(parents=True)` gives its mode to the last one only. With a permissive umask anybody
    could then move the ones above away, and the refunds noted in them would be forgotten.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def is_safe(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether nobody but this user may write a file or folder, and it is what it should be.

    Args:
        found: What `lstat` says of it, so that a link is none of either kind.
        is_kind: `stat.S_ISREG` or `stat.S_ISDIR`.
    """
    closed = _OWNER is None or (found.st_uid == _OWNER() and not found.st_mode & _OTHERS_WRITE)
    return is_kind(found.st_mode) and closed


def is_open_to_others(found: os.stat_result) -> bool:
    """Whether anybody but its owner may do anything with it."""
    return _OWNER is not None and bool(found.st_mode & _OTHERS)


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Make a private file under another name, and link it into place once it is whole.

    So nobody ever reads half of it. Where another process was faster, its file stays: it is as good.

    Yields:
        The empty file to fill.
    """
    draft = path.with_suffix(f".{secrets.token_hex(4)}.draft")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield draft
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
