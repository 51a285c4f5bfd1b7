"""Where the page of a store is, for all processes: one page each, and everybody else links to it.

Whoever runs the page holds a lock for as long as it does; the operating system lets it go when the
process ends, however it ends. So a file that was left behind misleads nobody.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from anyio import to_thread
from filelock import FileLock, Timeout

from clawver_orders.errors import SetupError
from clawver_orders.storage.folders import make_private, read_private, replace_private

ADDRESS_FILE, LOCK_FILE = "board.json", "board.lock"
_LOOKS, _BETWEEN_LOOKS_SECONDS = 3, 0.02
_MOST_WAITS, _WAIT_SECONDS = 100, 0.05


def address_of(folder: Path) -> str | None:
    """Where the page of a store is up now, without a slash at its end; None where none is.

    Args:
        folder: Where what belongs to the store is kept.

    Raises:
        SetupError: Others could have written the file.
    """
    if not (folder / ADDRESS_FILE).exists():
        return None
    for _ in range(_LOOKS):  # another one that looks holds the lock for a moment, too
        with _held(folder) as is_ours:
            if is_ours:
                return None
        time.sleep(_BETWEEN_LOOKS_SECONDS)
    try:
        return str(json.loads(read_private(folder / ADDRESS_FILE))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unusable(folder / ADDRESS_FILE, error) from error


async def of_another(folder: Path) -> str:
    """Where the page of another process is, which may be starting just now.

    Args:
        folder: Where what belongs to the page is kept.

    Raises:
        SetupError: It has no address for a while, or others could have written the file.
    """
    for _ in range(_MOST_WAITS):
        address = await to_thread.run_sync(address_of, folder)
        if address is not None:
            return address
        await anyio.sleep(_WAIT_SECONDS)
    raise SetupError(
        "Another process is starting or ending this page, and it doesn't answer.",
        next_step="Run the command again in a moment.",
    )


@contextmanager
def only_page(folder: Path) -> Iterator[Callable[[str, int], None] | None]:
    """Be the page of a store for as long as the block lasts.

    Args:
        folder: Where what belongs to the store is kept.

    Yields:
        What notes the address and the process once the page is up; None where another one is.

    Raises:
        SetupError: The files cannot be written.
    """
    try:
        make_private(folder)
        with _held(folder) as is_ours:
            yield (lambda address, process: _note(folder, address, process)) if is_ours else None
            if is_ours:
                (folder / ADDRESS_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise _unusable(folder / LOCK_FILE, error) from error


def _note(folder: Path, address: str, process: int) -> None:
    told = json.dumps({"address": address, "process": process})
    replace_private(folder / ADDRESS_FILE, told.encode())


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    lock = FileLock(folder / LOCK_FILE, mode=0o600, thread_local=False, fallback_to_soft=False)
    for _ in range(_LOOKS):
        try:
            with lock.acquire(blocking=False):
                yield True
                return
        except Timeout:
            time.sleep(_BETWEEN_LOOKS_SECONDS)
    yield False


def _unusable(path: Path, error: Exception) -> SetupError:
    return SetupError(
        f"The file of the page cannot be used ({type(error).__name__}).",
        next_step=f"A person must make {path.parent} readable and writable for this user alone, and delete "
        f"{path}.",
    )
