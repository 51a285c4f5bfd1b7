"""One lock for each order, over all processes of this machine.

Whoever holds it is the only one who reads an order's refunds and acts on what was read. It is
the operating system's lock on a file: it goes when its process goes, however that ends.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from clawver_orders.errors import SetupError
from clawver_orders.storage.folders import make_private

if TYPE_CHECKING:
    from filelock import FileLock

POLL_SECONDS = 0.02


class OrderBusyError(Exception):
    """Somebody else is working on this order just now."""


class OrderLocks:
    """The locks of one store's orders.

    Args:
        folder: Where the lock files are; they are never deleted, because a lock on a deleted
            file keeps nobody out.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_proven = False

    @asynccontextmanager
    async def held(self, order_id: str, wait_seconds: float) -> AsyncIterator[None]:
        """The lock of an order, for as long as the block lasts.

        Args:
            order_id: The order; an id that passed its check.
            wait_seconds: How long to wait for whoever has it.

        Raises:
            OrderBusyError: It was not to be had in that time.
            SetupError: Locks do not lock here, or this one cannot be made.
        """
        self.prove()
        path = self._folder / f"order-{order_id}.lock"
        lock = _file_lock(path)
        until = anyio.current_time() + wait_seconds
        try:
            while not _taken(lock):
                if anyio.current_time() >= until:
                    raise OrderBusyError
                await anyio.sleep(POLL_SECONDS)
        except OSError as error:
            raise SetupError(
                f"The lock of order {order_id} cannot be used ({type(error).__name__}).",
                next_step=f"A person must look at {path}, and make its folder writable for this user alone.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def prove(self) -> None:
        """Take one lock twice: some network file systems grant both, and then nothing is safe.

        Raises:
            SetupError: The second one was granted, or none at all.
        """
        if self._is_proven:
            return
        try:
            make_private(self._folder)
            # A file of its own each time: two that start together must not fail each other.
            probe = self._folder / f"probe-{secrets.token_hex(8)}"
            works = _excludes(_file_lock(probe), _file_lock(probe))
            probe.unlink(missing_ok=True)
        except (OSError, NotImplementedError):
            works = False
        if not works:
            raise SetupError(
                "File locks do not work in the state folder, so two refunds of one order could not be "
                "kept apart.",
                next_step="A person must set CLAWVER_STATE_DIR to a folder on a local disk.",
            )
        self._is_proven = True


def _file_lock(path: Path) -> "FileLock":
    from filelock import FileLock  # 40 ms that only a refund has to wait for

    return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


def _taken(lock: "FileLock") -> bool:
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _excludes(first: "FileLock", second: "FileLock") -> bool:
    first.acquire(blocking=False)
    try:
        return not _taken(second)
    finally:
        for each in (first, second):
            each.release()
