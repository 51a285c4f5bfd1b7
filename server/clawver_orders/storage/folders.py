"""Folders and files for one user alone: who may write them, and how they come to be.

Windows has no owners and modes of this kind, and its profile folders are private: there only the
kind of a file is looked at.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from clawver_orders.errors import SetupError

LEDGER, INBOX, HISTORY = "ledger.", "inbox.", "history."
"""What the files of a store's refunds, of its events and of its orders begin with."""
_OTHERS = 0o077
_OTHERS_WRITE = 0o022
_OWNER = getattr(os, "geteuid", None)
_NOT_OURS = "it is not this user's alone"
_NO_DETOUR = getattr(os, "O_NOFOLLOW", 0)
_AS_IT_IS = getattr(os, "O_BINARY", 0)  # Windows would end the file at a byte 26
_MOST_BYTES = 4096


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, closed to everybody else.

    `Path.mkdir(parents=True)` gives its mode to the last one only. With a permissive umask anybody
    could then move the ones above away, and the refunds noted in them would be forgotten.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def try_writing(folder: Path) -> None:
    """Write a little into a folder, down to the disk, and leave nothing of it.

    Raises:
        OSError: It cannot be done.
    """
    import tempfile  # takes a while, and a server that starts needs none

    make_private(folder)
    with tempfile.TemporaryFile(buffering=0, dir=folder) as probe:
        probe.write(b"writable")
        os.fsync(probe.fileno())


def is_safe(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether nobody but this user may write a file or folder, and it is what it should be.

    Args:
        found: What `lstat` says of it, so that a link is none of either kind.
        is_kind: `stat.S_ISREG` or `stat.S_ISDIR`.
    """
    closed = _OWNER is None or (found.st_uid == _OWNER() and not found.st_mode & _OTHERS_WRITE)
    return is_kind(found.st_mode) and closed


def remedy(path: Path, found: os.stat_result, mode: int) -> str:
    """What a person types so that a file or folder is this user's alone.

    Args:
        path: The file or folder.
        found: What `lstat` says of it.
        mode: The mode it should have.
    """
    elsewhere = "If that changes nothing, set CLAWVER_STATE_DIR to a folder on a local disk."
    if _OWNER is not None and found.st_uid != _OWNER():
        whole = next((each.parent for each in path.parents if each.name == "stores"), path)
        sudo = "sudo " if _OWNER() else ""
        return (
            f"{sudo}chown -R {_OWNER()} '{whole}'. Or start the server as the user that owns it. "
            f"{elsewhere}"
        )
    return f"chmod {mode:o} '{path}'. {elsewhere}"


def is_open_to_others(found: os.stat_result) -> bool:
    """Whether anybody but its owner may do anything with it."""
    return _OWNER is not None and bool(found.st_mode & _OTHERS)


def check_above(path: Path, name: str) -> None:
    """Refuse a place where another user could put something of theirs instead.

    Every folder above it, and every link on the way, must belong to this user or root, and nobody
    else may write it. Two exceptions: in a folder with the sticky bit, such as /tmp, users cannot
    replace each other's names; and a group may write that nobody else is in, since folders made
    with a umask of 002 are like that. Debian's sshd makes the second one too.

    Args:
        path: A file or folder that is looked at by other means.
        name: What a person calls what is kept there, as in "the refund ledger".

    Raises:
        SetupError: Another user owns such a folder, or may write it.
        OSError: One cannot be looked at.
    """
    if _OWNER is None:
        return
    user = _OWNER()
    for each, found in _on_the_way(path.absolute().parent):
        if found.st_uid != user and found.st_uid not in _roots():
            raise SetupError(
                f"Another user owns {each}, and could replace {name}.",
                next_step="A person must set CLAWVER_STATE_DIR to a folder of this user: every folder above "
                "it must belong to this user or to root.",
            )
        if _others_may_write(each, found, user):
            sudo = "" if found.st_uid == user else "sudo "
            raise SetupError(
                f"Other users may write {each}, and could replace {name}.",
                next_step=f"A person must run: {sudo}chmod go-w '{each}'. Where others need to write there, "
                "set CLAWVER_STATE_DIR to a folder elsewhere.",
            )


def _on_the_way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every folder and link that a path leads through, from the root on, and its end."""
    for each in (*reversed(path.parents), path):
        found = each.lstat()
        yield each, found
        if stat.S_ISLNK(found.st_mode):
            yield from _on_the_way(each.parent / each.readlink())


def _others_may_write(folder: Path, found: os.stat_result, user: int) -> bool:
    mode = found.st_mode
    if stat.S_ISLNK(mode) or mode & stat.S_ISVTX or not mode & _OTHERS_WRITE:
        return False
    return bool(mode & stat.S_IWOTH) or not _is_alone_in(found.st_gid, user) or _has_list(folder)


@cache
def _is_alone_in(group: int, user: int) -> bool:
    """Whether a group has members, and they are this user or root: an empty one is for programs."""
    import grp
    import pwd

    users = pwd.getpwall()
    ids = {each.pw_name: each.pw_uid for each in users}
    try:
        named = grp.getgrgid(group).gr_mem
    except KeyError:
        return False
    members = {each.pw_uid for each in users if each.pw_gid == group} | {ids.get(n) for n in named}
    return bool(members) and members <= {user, 0}


def _has_list(folder: Path) -> bool:
    """Whether an access control list of Linux names others, which its mode shows as the group."""
    with suppress(OSError, AttributeError):  # not every file system has lists, nor every system
        return "system.posix_acl_access" in os.listxattr(folder)
    return False


@cache
def _roots() -> frozenset[int]:
    """Who may own what is root's: in a user namespace without the machine's root, as in Flatpak, nobody too.

    There the owners that it does not know all look alike, and other users of the machine among them.
    """
    try:
        known = Path("/proc/self/uid_map").read_text("utf-8").splitlines()
        nobody = int(Path("/proc/sys/fs/overflowuid").read_text("utf-8"))
    except OSError:  # not Linux
        return frozenset({0})
    if any(line.split()[1] == "0" for line in known):
        return frozenset({0})
    return frozenset({0, nobody})


_NO_HARD_LINKS = {
    errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM,
}  # fmt: skip
"""What a file system without hard links answers, always: in other trouble another process's link may work."""


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Make a private file under another name, and put it into place once it is whole.

    So nobody ever reads half of it. Where another process was faster, its file stays: it is as good.
    A hard link puts it there; where the file system has none, as exFAT and some mounts, a lock keeps
    two processes apart.

    Yields:
        The empty file to fill.
    """
    draft = _new_draft(path)
    try:
        yield draft
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            _move_once(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _move_once(draft: Path, path: Path) -> None:
    from filelock import FileLock  # 40 ms that hardly anybody has to wait for

    with FileLock(path.with_suffix(".making"), mode=0o600, fallback_to_soft=False):
        if not os.path.lexists(path):
            draft.replace(path)


def kept_once(path: Path, content: bytes) -> bytes:
    """What a small private file holds. Where there is none it is made with this content: the first stays.

    Raises:
        OSError: It cannot be read or made, or others could have read it or put it there.
    """
    make_private(path.parent)
    if not is_safe(path.parent.lstat(), stat.S_ISDIR):
        raise PermissionError(_NOT_OURS)
    with suppress(FileNotFoundError):
        return read_private(path)
    with made_whole(path) as draft:
        _write(draft, content)
    return read_private(path)


def replace_private(path: Path, content: bytes) -> None:
    """Give a small private file other content, all of it at once.

    Raises:
        OSError: It cannot be made.
    """
    draft = _new_draft(path)
    try:
        _write(draft, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_private(path: Path, most_bytes: int = _MOST_BYTES) -> bytes:
    """What a small private file holds.

    Args:
        path: The file.
        most_bytes: How much of it is read.

    Raises:
        OSError: It cannot be read, or others could have read it or put it there.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_DETOUR | _AS_IT_IS)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # of what was opened, not of a name
        found = os.fstat(descriptor)
        if not is_safe(found, stat.S_ISREG) or is_open_to_others(found):
            raise PermissionError(_NOT_OURS)
        return file.read(most_bytes)


def may_hold(folder: Path, beginning: str) -> bool:
    """Whether a folder, or one right in it, may have a file whose name begins so."""
    try:
        inside = [each for each in folder.iterdir() if each.is_dir()]
        names = [file.name for each in (folder, *inside) for file in each.iterdir()]
    except FileNotFoundError:
        return False
    except OSError:
        return True  # opening it will say why it cannot be seen
    return any(name.startswith(beginning) for name in names)


def _new_draft(path: Path) -> Path:
    """An empty private file beside another one."""
    draft = path.with_suffix(f".{os.urandom(4).hex()}.draft")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return draft


def _write(draft: Path, content: bytes) -> None:
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
