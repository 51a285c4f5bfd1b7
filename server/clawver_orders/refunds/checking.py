"""How a refund stands: from the ledger, and from its order where that may tell more. Nothing is sent."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from math import ceil

from clawver_orders.caller import BY_PROGRAM
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import (
    NOTHING_SENT,
    ClawverError,
    NotFoundError,
    RefusedError,
)
from clawver_orders.instants import seconds_at_least
from clawver_orders.refunds import outcome as words
from clawver_orders.refunds.approvals import Asking, asking
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.matching import earlier_of, needs_read, unexpected_beside, unexplained
from clawver_orders.refunds.order_locks import Locks, OrderBusyError
from clawver_orders.refunds.outcome import Outcome, about
from clawver_orders.refunds.reading import Bounds, OrderReader
from clawver_orders.refunds.records import MAY_HAVE_MOVED, Actor, OrderRecords, Wish
from clawver_orders.refunds.settlement import Settlement
from clawver_orders.settings import Settings

log = logging.getLogger(__name__)


class RefundChecks:
    """Finds out how refunds stand.

    Args:
        clawver: The store.
        ledger: Where every refund is noted.
        locks: One for each order.
        settings: How long to wait for a refund to show, and what may follow.
        bounds: How long each part of a call may take.
    """

    def __init__(
        self,
        clawver: Clawver,
        ledger: Ledger,
        locks: Locks,
        settings: Settings,
        bounds: Bounds,
    ) -> None:
        self._ledger = ledger
        self._locks = locks
        self._settings = settings
        self._bounds = bounds
        self._reader = OrderReader(clawver, ledger, bounds)
        self._settlement = Settlement(clawver, ledger, locks, self._reader, settings, bounds)

    async def check(self, refund_id: str = "", order_id: str = "") -> Outcome:
        """Find out what became of a refund.

        Args:
            refund_id: The refund; or
            order_id: the order, for the one that is open or else the latest that has not
                expired, by when it was sent, or wanted where it never was.

        Raises:
            ClawverError: There is none, or it was refused, never left, or expired.
        """
        if refund_id:
            return await self._check_one(await self._known(refund_id))
        wishes = (await self._ledger.of_order(order_id)).wishes
        if not wishes:
            raise NotFoundError(
                f"This machine's ledger holds no refund of order {order_id}.",
                fact=NOTHING_SENT,
                next_step=f"Call get_order with order_id {order_id} to see what Clawver lists.",
            )
        opened = [wish for wish in wishes if wish.is_open]
        # One that was refused is told as that, and not passed over for an earlier one that was not.
        stand = [wish for wish in wishes if wish.status != "expired"]
        latest = max(
            reversed(opened or stand or wishes), key=lambda wish: wish.sent_at or wish.created_at
        )
        return await self._check_one(latest)

    async def resolve(
        self, refund_id: str, *, was_refunded: bool, because: str, actor: Actor
    ) -> Outcome:
        """A person says what became of a refund that the order doesn't tell about.

        Args:
            refund_id: The refund.
            was_refunded: Whether the money went back.
            because: How they know, for the history.
            actor: Who says so.

        Raises:
            ClawverError: There is no such refund, or its outcome is known.
        """
        wish = await self._known(refund_id)
        async with self._locked(wish.order_id) as busy:
            if busy is not None:
                return busy
            try:
                order, records = await self._matched(wish.order_id)
            except MovedOnError:
                return await self._busy(wish.order_id)
            wish = _in(records, wish)
            attempt = next((attempt for attempt in wish.attempts if attempt.is_open), None)
            if attempt is None:
                raise RefusedError(
                    f"nothing was changed, because the outcome of refund {refund_id} is known: {wish.status}.",
                    fact=NOTHING_SENT,
                    next_step=f"See what happened with: clawver-orders refunds show {refund_id}.",
                )
            new = unexplained(attempt, records, order)
            its_own = new[0].id if was_refunded and len(new) == 1 else None
            wish = await self._ledger.resolve(
                attempt, "refunded" if was_refunded else "not_recorded", its_own, because, actor
            )
        return self._described(wish, order, records)

    async def recover(self) -> None:
        """Look once for every refund that another process left open, if it is time. Never raises."""
        try:
            opened = await self._ledger.all_open()
        except ClawverError as error:
            log.warning("open refunds could not be looked up: %s", type(error).__name__)
            return
        for wish in opened:
            await self._recover(wish)

    async def _recover(self, wish: Wish) -> None:
        try:
            for attempt in wish.attempts:
                if attempt.is_open and self._settlement.is_due(attempt):
                    async with self._locks.held(wish.order_id, 0):
                        await self._ledger.note_check(attempt)
                        order = await self._reader.read(wish.order_id, urgent=True)
                        await self._settlement.match_order(order)
        except OrderBusyError:
            pass  # its owner is alive and at it
        except Exception as error:  # noqa: BLE001  # in the background, nothing may end the server
            log.warning(
                "refund %s could not be looked up: %s", wish.refund_id, type(error).__name__
            )

    async def _check_one(self, wish: Wish) -> Outcome:
        """Read the order of a wish, where that may tell more, and match what can be."""
        order, records = None, await self._ledger.of_order(wish.order_id)
        if needs_read(wish, records):
            async with self._locked(wish.order_id) as busy:
                if busy is not None:
                    return busy
                try:
                    order, records = await self._matched(wish.order_id)
                except MovedOnError:  # somebody deleted the locks
                    return await self._busy(wish.order_id)
        wish = _in(records, wish)
        # An earlier attempt of the amount may have landed after all: then that comes first.
        named, cents = frozenset(wish.in_addition_to), wish.amount_in_cents
        has_landed = any(w.refund_id in named and w.status == "refunded" for w in records.wishes)
        is_gone = wish.status == "not_recorded" and has_landed
        if is_gone or (wish.status not in MAY_HAVE_MOVED and not wish.is_provisional):
            earlier = earlier_of(order, records, cents)
            if earlier.is_repeated_by(named):
                return words.repeated(earlier, named, records.wishes, wish.order_id, cents, order)
        outcome = self._described(wish, order, records)
        return replace(outcome, unexpected_beside=unexpected_beside(wish, records))

    async def _matched(self, order_id: str) -> tuple[Order | None, OrderRecords]:
        """The order, where it can be read, and the records that it was matched with."""
        order = await self._reader.read_urgent(order_id)
        if order is None:
            return None, await self._settlement.without_owner(order_id)
        return order, await self._settlement.match_order(order)

    def _described(self, wish: Wish, order: Order | None, records: OrderRecords | None) -> Outcome:
        """How a wish stands.

        Raises:
            RefusedError: Clawver refused it, it never left, or it expired.
        """
        if wish.status == "waiting":
            return self._described_waiting(wish, order)
        if wish.status in {"sending", "unknown"}:
            return replace(
                self._waits("unknown", wish, order),
                unexplained=_unexplained(wish, order, records),
                is_overdue=records is not None
                and (order is None or not order.lists_its_refunds)
                and self._settlement.is_overdue(wish, records),
            )
        is_over = wish.status in {"not_sent", "expired"}
        if wish.status == "refused" or (is_over and wish.is_provisional):
            seconds = self._may_take_effect_for_seconds(wish, records)
            raise words.refused(wish, seconds, self._settings)
        if is_over:
            raise words.never_went(wish, self._settings)
        told = about(_TOLD_AS[wish.status], wish, order)
        return replace(told, unexplained=_unexplained(wish, order, records))

    def _described_waiting(self, wish: Wish, order: Order | None) -> Outcome:
        stands = asking(wish, self._ledger.now())
        if stands is Asking.OPEN:
            return self._waits("busy", wish)
        own = wish.question is not None and wish.question.answer in BY_PROGRAM
        return replace(
            about("needs_approval", wish, order),
            was_dismissed=stands is Asking.UNANSWERED,
            asking_is_no_use=own,
        )

    def _may_take_effect_for_seconds(self, wish: Wish, records: OrderRecords | None) -> int:
        """How long what Clawver refused may still take effect."""
        attempt = next((each for each in reversed(wish.attempts) if each.is_provisional), None)
        if attempt is None:
            return 0
        now = self._ledger.now()
        look = records.looks.first(attempt.sent_number, now) if records is not None else now
        left = self._settlement.window_seconds - seconds_at_least(attempt.sent, now, look)
        return max(1, ceil(left))

    def _waits(self, status: words.RefundStatus, wish: Wish, order: Order | None = None) -> Outcome:
        """An outcome that is not known yet, and when to ask again."""
        again = self._settlement.check_after_seconds(wish)
        return replace(about(status, wish, order), check_after_seconds=again)

    @asynccontextmanager
    async def _locked(self, order_id: str) -> AsyncIterator[Outcome | None]:
        """The order's lock; or, where somebody else keeps it, what to answer instead."""
        held: AbstractAsyncContextManager[None] = self._locks.held(order_id, self._bounds.lock)
        try:
            await held.__aenter__()
        except OrderBusyError:
            yield await self._busy(order_id)
            return
        except ClawverError as error:
            error.begin_with(NOTHING_SENT)
            raise
        try:
            yield None
        finally:
            await held.__aexit__(None, None, None)

    async def _busy(self, order_id: str) -> Outcome:
        opened = (await self._ledger.of_order(order_id)).open_wish
        if opened is not None:
            return self._waits("busy", opened)
        return Outcome("busy", order_id, None, check_after_seconds=5)

    async def _known(self, refund_id: str) -> Wish:
        wish = await self._ledger.find(refund_id)
        if wish is None:
            raise not_in_ledger(refund_id)
        return wish


def not_in_ledger(refund_id: str) -> NotFoundError:
    """The error for a refund that the ledger of this store doesn't hold."""
    return NotFoundError(
        f"This machine's ledger for this store holds no refund {refund_id}.",
        fact=NOTHING_SENT,
        next_step="Copy the refund_id from the answer that gave it, or call check_refund with "
        "the order_id instead.",
    )


_TOLD_AS: dict[str, words.RefundStatus] = {
    "refunded": "refunded",
    "not_recorded": "not_recorded",
    "declined": "declined",
}


def _unexplained(
    wish: Wish, order: Order | None, records: OrderRecords | None
) -> tuple[Refund, ...]:
    """New refunds on the order that may be what was sent, where the order doesn't list that itself."""
    if records is None:
        return ()
    missing = (a for a in wish.attempts if a.is_open or a.status == "not_recorded")
    return tuple(r for attempt in missing for r in unexplained(attempt, records, order))


def _in(records: OrderRecords, wish: Wish) -> Wish:
    """The wish as it stands in these records."""
    return next(each for each in records.wishes if each.refund_id == wish.refund_id)
