"""A full pass over what Clawver gives of a store's orders, which may end anywhere and go on later.

What is left to do stands in the history itself: orders that were only seen as a row of a list, or
that an event was about. So nothing has to be remembered, and nothing is read twice. It takes
what others leave of the request allowance, and waits for it.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from clawver_orders.clawver.client import Clawver
from clawver_orders.errors import (
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnexpectedAnswerError,
)
from clawver_orders.history.mirror import Extent
from clawver_orders.history.recording import Recorder
from clawver_orders.orders.search import ALL_STATUSES, is_whole

if TYPE_CHECKING:
    from clawver_orders.webhooks.inbox import Inbox

T = TypeVar("T")
AT_ONCE = 100
"""How many orders are read before it is noted that events about them are answered."""
LONGEST_WAIT_SECONDS = 120
"""A longer wait means that the day's allowance is used up."""


@dataclass(frozen=True)
class Synced:
    """What a pass came to."""

    extent: Extent
    unreadable: int
    """Orders that Clawver gives and that cannot be read."""
    seconds_to_wait: int | None
    """How long until it can go on, where the request allowance ended it."""


HowFar = Callable[[int, int, int], None]
"""Told how many requests of how many are done, as far as is known, and how many seconds it waits before the next."""


class _UsedUpError(Exception):
    def __init__(self, seconds: int) -> None:
        self.seconds = seconds


class Sync:
    """One pass.

    Args:
        clawver: The store, asked with what others leave of the request allowance. What it reads
            goes to the recorder.
        recorder: Keeps what is read.
        inbox: The events of the store.
        now: The current time in UTC.
        progress: Told after each request.
        wait: Waits for so many seconds.
    """

    def __init__(
        self,
        clawver: Clawver,
        recorder: Recorder,
        inbox: "Inbox",
        now: Callable[[], datetime],
        progress: HowFar,
        wait: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._clawver = clawver
        self._recorder = recorder
        self._mirror = recorder.mirror
        self._inbox = inbox
        self._now = now
        self._progress = progress
        self._wait = wait
        self._done = 0
        self._total = 2
        self._read: set[str] = set()
        self._unreadable = 0

    async def run(self) -> Synced:
        """Read the lists, and then what is not known in full.

        Raises:
            ClawverError: The store or the history cannot be used now. What was read is kept.
        """
        seconds = None
        try:
            await self._read_lists()
            counted = await self._asking(self._clawver.counted_orders)
            try:
                await self._read_due()
            finally:  # what was read until then is compared with the count
                await self._recorder.all_kept()
                await to_thread.run_sync(self._mirror.note_sync, self._now(), counted)
        except _UsedUpError as error:
            seconds = error.seconds
        await self._recorder.all_kept()
        extent = await to_thread.run_sync(self._mirror.extent)
        return Synced(extent, self._unreadable, seconds)

    async def catch_up(self) -> None:
        """Read what is not known in full or what events were about, as far as the allowance goes.

        Raises:
            ClawverError: As `run`.
        """
        with suppress(_UsedUpError):
            await self._read_due()

    async def _read_lists(self) -> None:
        page = await self._asking(self._clawver.page_of_orders)
        if is_whole(page):
            return
        self._total += len(ALL_STATUSES)
        for status in ALL_STATUSES:
            await self._asking(partial(self._clawver.page_of_orders, status))

    async def _read_due(self) -> None:
        await to_thread.run_sync(self._mirror.take_events, self._inbox, self._now())
        while due := await self._due():
            self._total = self._done + len(due)
            for first in range(0, len(due), AT_ONCE):
                await self._read_some(due[first : first + AT_ONCE])

    async def _read_some(self, due: Sequence[tuple[str, float | None]]) -> None:
        """Read orders, and note together what they were read for: each time waits for the disk."""
        read = []
        try:
            for order_id, mark in due:
                await self._read_one(order_id)
                read += [(order_id, mark)] if mark is not None else []
        finally:
            if read:
                await self._recorder.all_kept()
                await to_thread.run_sync(self._mirror.note_answered, read)

    async def _due(self) -> list[tuple[str, float | None]]:
        """What is left, without what this pass has read: once is enough."""
        await self._recorder.all_kept()
        due = await to_thread.run_sync(self._mirror.due)
        return [each for each in due if each[0] not in self._read]

    async def _read_one(self, order_id: str) -> None:
        self._read.add(order_id)
        try:
            await self._asking(lambda: self._clawver.order(order_id))
        except NotFoundError:
            pass  # the recorder was told
        except (RefusedError, UnexpectedAnswerError):
            self._unreadable += 1

    async def _asking(self, ask: Callable[[], Awaitable[T]]) -> T:
        """One request, once it is its turn."""
        while True:
            try:
                answer = await ask()
            except RateLimitedError as error:
                if error.seconds > LONGEST_WAIT_SECONDS:
                    raise _UsedUpError(error.seconds) from error
                self._progress(self._done, self._total, error.seconds)
                await self._wait(error.seconds)
            else:
                self._done += 1
                self._progress(self._done, self._total, 0)
                return answer
