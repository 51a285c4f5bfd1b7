"""Whether what has to be kept can be kept now, for whoever sends requests here only while it can."""

import errno
import logging
from collections.abc import Callable

import anyio
from anyio import to_thread

from clawver_orders.errors import ClawverError, UnreachableError

KEPT_SECONDS = 5.0
"""How long an answer holds: strangers may ask, and must not make the disk work."""
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
}
_OTHER = "it cannot be written"
_AWAY = "the database cannot be reached, or is busy"
_UNUSABLE = "the database cannot be used"

log = logging.getLogger(__name__)


class Readiness:
    """Tries to write where things are kept, whenever it is asked and was not just before.

    Args:
        prove: Raises OSError where the disk cannot be written, and ClawverError where a database
            cannot.
    """

    def __init__(self, prove: Callable[[], object]) -> None:
        self._prove = prove
        self._turn = anyio.Lock()
        self._until = -KEPT_SECONDS
        self._trouble = ""

    async def trouble(self) -> str:
        """Of what kind the trouble is, without any path of this machine; nothing where all is well."""
        async with self._turn:
            if anyio.current_time() >= self._until:
                self._trouble = await to_thread.run_sync(self._try)
                self._until = anyio.current_time() + KEPT_SECONDS
            return self._trouble

    def _try(self) -> str:
        try:
            self._prove()
        except ClawverError as error:
            log.warning("the database cannot be written: %s", type(error).__name__)
            return _AWAY if isinstance(error, UnreachableError) else _UNUSABLE
        except OSError as error:
            log.warning("the state folder cannot be written: %s", type(error).__name__)
            return _REASONS.get(error.errno or 0, _OTHER)
        return ""
