"""Orders as the page shows them: read once in five minutes, however often it is reloaded."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError
from clawver_orders.instants import Instant, seconds_at_most
from clawver_orders.refunds.matching import payment_fingerprint
from clawver_orders.refunds.reading import OrderReader
from clawver_orders.refunds.records import Wish

FRESH_SECONDS = 300.0
MOST_FOR_LISTS = 10
"""How many orders are read for lists in five minutes; the others are read when they are opened."""
_TOGETHER = 3
_LIST_SECONDS = 8.0
MOST_KEPT = 500


@dataclass(frozen=True)
class Reading:
    """An order, and when it was read."""

    order: Order | None = None
    """As it was read last; None where it never was."""
    at: Instant | None = None
    """When that was."""
    tried: Instant | None = None
    """When it was last asked for, whatever came of it."""
    error: ClawverError | None = None
    """Why the last try gave none."""

    def is_of(self, wish: Wish) -> bool:
        """Whether it shows the payment that the current revision of a refund rests on."""
        if self.order is None:
            return False
        payment, *_ = json.loads(wish.shown)
        return bool(payment == payment_fingerprint(self.order))


class Orders:
    """Reads orders for the page.

    Args:
        reader: Reads one.
        now: The current time.
    """

    def __init__(self, reader: OrderReader, now: Callable[[], Instant]) -> None:
        self._reader = reader
        self._now = now
        self._kept: dict[str, Reading] = {}
        self._since: Instant | None = None
        self._left = 0
        self._at_work = anyio.Lock()

    def kept(self, order_id: str) -> Reading:
        """What was read of an order last, without asking for it."""
        return self._kept.get(order_id, Reading())

    async def of(self, wish: Wish, *, again: bool = False) -> Reading:
        """The order of a refund, not older than five minutes, nor than the refund's own revision.

        Args:
            wish: The refund.
            again: Ask for it in any case: a person wants that.
        """
        async with self._at_work:  # tabs that are opened together ask once
            kept = self.kept(wish.order_id)
            is_wanted = again or self._is_old(kept, wish)
            return await self._read(wish.order_id) if is_wanted else kept

    async def of_id(self, order_id: str, *, again: bool = False) -> Reading:
        """An order, not older than five minutes.

        Args:
            order_id: Which one.
            again: Ask for it in any case: a person wants that.
        """
        async with self._at_work:
            kept = self.kept(order_id)
            return await self._read(order_id) if again or self._is_old(kept) else kept

    async def some_of(self, wishes: Sequence[Wish]) -> None:
        """Read orders of a list that weren't read lately: so many in five minutes, and no more."""
        async with self._at_work:
            now = self._now()
            if self._since is None or seconds_at_most(self._since, now) >= FRESH_SECONDS:
                self._since, self._left = now, MOST_FOR_LISTS
            wanted = [
                order_id
                for order_id in dict.fromkeys(wish.order_id for wish in wishes)
                if self._is_old(self.kept(order_id))
            ][: self._left]
            self._left -= len(wanted)
            limit = anyio.CapacityLimiter(_TOGETHER)
            with anyio.move_on_after(_LIST_SECONDS):
                async with anyio.create_task_group() as tasks:
                    for order_id in wanted:
                        tasks.start_soon(self._read_within, limit, order_id)

    def is_fresh(self, reading: Reading) -> bool:
        """Whether it may be decided on what was read."""
        return (
            reading.at is not None
            and reading.error is None
            and seconds_at_most(reading.at, self._now()) < FRESH_SECONDS
        )

    def _is_old(self, kept: Reading, wish: Wish | None = None) -> bool:
        """Whether an order is to be read again: also where it was read before a refund was shown last."""
        if kept.tried is None:
            return True
        now = self._now()
        passed = seconds_at_most(kept.tried, now)
        before = wish is not None and passed >= seconds_at_most(wish.previewed, now)
        return before or passed >= FRESH_SECONDS

    async def _read_within(self, limit: anyio.CapacityLimiter, order_id: str) -> None:
        async with limit:
            await self._read(order_id)

    async def _read(self, order_id: str) -> Reading:
        now, before = self._now(), self.kept(order_id)
        try:
            order = await self._reader.read(order_id)
            read = Reading(order, now, now)
        except ClawverError as error:
            read = Reading(before.order, before.at, now, error)
        self._kept.pop(order_id, None)
        self._kept[order_id] = read
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return read
