"""Keeping what is read, in a thread: no call waits for the file, and none fails because of it."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from queue import Empty, Queue
from typing import Literal

import anyio
from anyio import to_thread

from clawver_orders.errors import ClawverError
from clawver_orders.history.knowledge import Sighting
from clawver_orders.history.mirror import Mirror

MOST_AT_ONCE = 50
"""The most orders of one transaction: other machines wait for it."""
GATHERING_SECONDS = 0.2
"""How long the next ones are waited for, unless somebody waits for those before: each transaction takes as long as many orders."""
_NOW: Literal["now"] = "now"
log = logging.getLogger(__name__)


class Recorder:
    """Keeps what was seen of a store's orders.

    Args:
        mirror: Where.
        now: The current time in UTC.
    """

    def __init__(self, mirror: Mirror, now: Callable[[], datetime]) -> None:
        self.mirror = mirror
        self._now = now
        self._seen: Queue[Sighting | Literal["now"] | None] = Queue()
        self._is_waited_for = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def saw(self, seen: Sighting) -> None:
        """Have it kept soon. Waits for nothing.

        Raises:
            RuntimeError: No thread can be started.
        """
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="history", daemon=True)
                thread.start()
                self._thread = thread
        self._seen.put(seen)

    async def all_kept(self) -> None:
        """Wait until everything that was seen so far is kept, or could not be."""
        if self._thread is not None:
            self._seen.put(_NOW)
            self._is_waited_for.set()
            await to_thread.run_sync(self._seen.join)

    async def close(self) -> None:
        """Keep what is left, and end, whatever is cancelled meanwhile."""
        with anyio.CancelScope(shield=True):
            await self.all_kept()
            self._seen.put(None)

    def _run(self) -> None:
        is_over = False
        while not is_over:
            batch = [self._seen.get()]
            if isinstance(batch[0], Sighting) and self._seen.qsize() < MOST_AT_ONCE:
                # The queue is not what is waited for: each order would wake this thread, and hold up the others.
                self._is_waited_for.wait(GATHERING_SECONDS)
            with suppress(Empty):
                while len(batch) < MOST_AT_ONCE and isinstance(batch[-1], Sighting):
                    batch.append(self._seen.get_nowait())
            is_over = batch[-1] is None
            if batch[-1] == _NOW:
                self._is_waited_for.clear()
            self._keep([each for each in batch if isinstance(each, Sighting)])
            for _ in batch:
                self._seen.task_done()

    def _keep(self, seen: Sequence[Sighting]) -> None:
        try:
            self.mirror.note(seen, self._now())
        except ClawverError as error:
            log.warning("%d orders are not in the history: %s", len(seen), type(error).__name__)
        except Exception:  # whatever it is, the next ones are tried
            log.exception("%d orders are not in the history", len(seen))
