"""One lock for each order, over all processes of this machine.

Whoever holds it is the only one who reads an order's refunds and acts on what was read. It is
the operating system's lock on a file: it goes when its process goes, however that ends.
"""

import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.instants import seconds_since_boot
from clawver_orders.storage.folders import make_private

if TYPE_CHECKING:
    from filelock import FileLock

POLL_SECONDS = 0.02
LONGEST_STANDSTILL_SECONDS = 15.0
"""How long it may take from noting a refund to sending it: others wait for minutes before they give it up."""
_NOT_WRITTEN = {
    errno.EACCES, errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS,
}  # fmt: skip
"""Trouble that is the folder's, and says nothing of locks."""

LONGEST_NAME = 200
"""The most characters of an id that stand in the name of a file; file systems take 255 bytes in all."""


class OrderBusyError(Exception):
    """Somebody else is working on this order just now."""


class Locks(Protocol):
    """The locks of one store's orders, whatever keeps them."""

    def held(self, order_id: str, wait_seconds: float) -> AbstractAsyncContextManager[None]:
        """The lock of an order, for as long as the block lasts.

        Args:
            order_id: The order; an id that passed its check.
            wait_seconds: How long to wait for whoever has it.

        Raises:
            OrderBusyError: It was not to be had in that time.
            ClawverError: Locks cannot be used.
        """

    async def still_held(self, order_id: str) -> bool:
        """Whether the lock of an order that was taken here is here still."""

    def prove(self) -> None:
        """Take one lock twice.

        Raises:
            ClawverError: The second one was granted, or none at all.
        """


async def check_still_alone(locks: Locks, order_id: str, since: float) -> None:
    """Make sure that nobody can have taken a refund that is about to be sent for an abandoned one.

    Args:
        locks: Those of which the order's is held.
        order_id: The order.
        since: When the refund began to be noted, in seconds since this machine started.

    Raises:
        UnreachableError: The lock is gone, or too long ago. Nothing was sent.
    """
    is_held = await locks.still_held(order_id)
    if is_held and seconds_since_boot() - since <= LONGEST_STANDSTILL_SECONDS:
        return
    raise UnreachableError(
        "This server stood still, or lost the lock of the order, before it sent the refund.",
        next_step="Repeat the call.",
    )


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
        path = self._folder / f"order-{_short(order_id)}.lock"
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

    async def still_held(self, order_id: str) -> bool:  # noqa: ARG002  # as all locks are asked
        """Whether the lock is here still: the system keeps it until this process lets it go or ends."""
        return True

    def prove(self) -> None:
        """Take one lock twice: some network file systems grant both, and then nothing is safe.

        Raises:
            SetupError: The second one was granted, or none at all, or the folder cannot be written.
        """
        if self._is_proven:
            return
        try:
            make_private(self._folder)
            # A file of its own each time: two that start together must not fail each other.
            probe = self._folder / f"probe-{secrets.token_hex(8)}"
            works = _excludes(_file_lock(probe), _file_lock(probe))
            probe.unlink(missing_ok=True)
        except NotImplementedError:
            works = False
        except OSError as error:
            if error.errno in _NOT_WRITTEN:
                raise SetupError(
                    f"The locks of orders cannot be made ({os.strerror(error.errno)}).",
                    next_step=f"A person must make {self._folder} writable for this user, or make room there.",
                ) from error
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


def _short(order_id: str) -> str:
    """How an order is called in the name of a file."""
    if len(order_id) <= LONGEST_NAME:
        return order_id
    return hashlib.sha256(order_id.encode("ascii")).hexdigest()
