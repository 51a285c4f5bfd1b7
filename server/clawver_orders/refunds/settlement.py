"""What becomes of a refund: the one request that moves money, and settling it by looking.

The request is sent once. When its answer is lost, the order is read: a refund of that amount
that was not there before, and that belongs to no other intent, is ours. "Not listed" counts
only after the settle window, and only when it was read twice; a refusal counts only when the
order was read twice as it was before. Nothing here is ever sent again.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import anyio
from anyio import to_thread

from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import (
    NO_MONEY_MOVED,
    NOTHING_SENT,
    ClawverError,
    OutcomeUnknownError,
    UnreachableError,
)
from clawver_orders.refunds.ledger import Intent, Ledger, Moment, MovedOnError, SeenRefund, Trace
from clawver_orders.refunds.matching import (
    new_refunds,
    passed_at_least,
    payment_of,
    surplus_beside,
    surplus_of,
    united,
)
from clawver_orders.settings import Settings

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

READS_TO_BELIEVE = 2
"""How many reads have to agree before anything is taken for not having happened."""
LOOKS = 3
"""How often the order is read at once when the answer to a refund was lost."""
ANSWER_EXPECTED_AFTER_SECONDS = 15
"""When it is worth asking again what a person said to a refund that was not sent yet."""


@dataclass(frozen=True)
class Bounds:
    """How long each part of a call may take at most, in seconds: all of it less than 45."""

    lock: float = 2.0
    read: float = 8.0
    send: float = 18.0
    look: float = 6.0

    @property
    def call(self) -> float:
        """All of a call: the lock is taken, and the order read, once more after a person was asked."""
        return 2 * (self.lock + self.read) + self.send + self.look


BOUNDS = Bounds()


@dataclass(frozen=True)
class Sent:
    """What is known once a request has left."""

    intent: Intent
    order: Order | None
    """The order as last read."""
    is_written: bool
    """Whether the ledger could take it down."""
    surplus_beside: tuple[str, ...] = ()
    """Refunds of another amount on the order that nobody meant."""


class Settling:
    """Sends refunds and finds out what became of them. The only caller of `send_refund`.

    Whoever calls holds the order's lock.

    Args:
        clawver: The store.
        ledger: Where every intent is noted.
        settings: The daily limit, and how long a refund may take to show.
        moment: The current time.
        bounds: How long each part of a call may take.
    """

    def __init__(
        self,
        clawver: Clawver,
        ledger: Ledger,
        settings: Settings,
        moment: Callable[[], Moment],
        bounds: Bounds,
    ) -> None:
        self._clawver = clawver
        self._ledger = ledger
        self._settings = settings
        self._moment = moment
        self._bounds = bounds

    async def send(self, intent: Intent, order: Order, trace: Trace) -> Sent:
        """Let the money go, once. Neither a cancelled call nor a host that hangs up stops it half way.

        Args:
            intent: A preview that was approved.
            order: Its order, read under the lock that is still held.
            trace: Who approved it.

        Raises:
            DailyLimitError: It would be too much for 24 hours. Nothing was sent.
            MovedOnError: It is no longer to be sent. Nothing was sent.
            ClawverError: It never left, or Clawver refused. No money was moved.
        """
        with anyio.CancelScope(shield=True):
            before = [refund.id for refund in order.refunds or ()]
            limit = self._settings.refund_daily_limit_in_cents
            sending = await self.write(
                lambda now: self._ledger.begin_send(intent.refund_id, before, limit, now, trace)
            )
            sent = await self._request(sending, order, trace)
            beside = await self._surplus_beside(sent)
            sent = replace(sent, surplus_beside=beside)
        return sent  # noqa: RET504  # for mypy: a scope could swallow what is in it

    async def _request(self, intent: Intent, before: Order, trace: Trace) -> Sent:
        refusal: ClawverError | None = None
        after: Order | None = None
        try:
            with anyio.fail_after(self._bounds.send):
                after = await self._clawver.send_refund(
                    intent.order_id, intent.amount_in_cents, intent.reason, intent.refund_id
                )
        except (OutcomeUnknownError, TimeoutError):
            pass
        except UnreachableError as error:
            await self._written(
                intent.refund_id,
                lambda now: self._ledger.fail(intent.refund_id, "it never left", now, trace),
            )
            error.begin_with(NO_MONEY_MOVED)
            raise
        except ClawverError as error:
            refusal = error  # believed when the order agrees
        if after is not None:
            after = await self._remembered_if_possible(after)
        return await self._settle_now(intent, before, after, refusal, trace)

    async def _settle_now(
        self,
        intent: Intent,
        before: Order,
        after: Order | None,
        refusal: ClawverError | None,
        trace: Trace,
    ) -> Sent:
        """Look at the order, until it is clear what became of the request or time is up."""
        # Every answer counts, and none takes the place of another: a later read can be an older one.
        evidence = {refund.id: refund for refund in (after and after.refunds) or ()}
        found, seen, unchanged = new_refunds(intent, evidence.values()), after, 0
        with anyio.move_on_after(self._bounds.look):
            for look in range(LOOKS):
                if look:
                    await anyio.sleep(self._pause)
                now = await self.look(intent.order_id)
                if now is None and found:
                    break  # Clawver's own answer listed it
                if now is None:
                    continue
                evidence |= {refund.id: refund for refund in now.refunds or ()}
                found, seen = new_refunds(intent, evidence.values()), united(now, evidence.values())
                unchanged += 1 if payment_of(now) == payment_of(before) else -LOOKS
                if found or (refusal is not None and unchanged == READS_TO_BELIEVE):
                    break
        if refusal is not None and not found and unchanged == READS_TO_BELIEVE:
            await self._written(
                intent.refund_id,
                lambda now: self._ledger.fail(intent.refund_id, "Clawver refused", now, trace),
            )
            refusal.begin_with(NO_MONEY_MOVED)
            raise refusal
        ours, surplus = await self._ours(intent, found)
        if ours is None:
            lost = await self._written(
                intent.refund_id,
                lambda now: self._ledger.lose(intent.refund_id, "no clear answer", now, trace),
            )
            return Sent(lost or replace(intent, state="unknown"), seen, is_written=lost is not None)
        kept = await self._written(
            intent.refund_id,
            lambda now: self._ledger.confirm(
                intent.refund_id, ours.id, ours.stripe_refund_id, surplus, now, trace
            ),
        )
        settled = kept or replace(
            intent, state="confirmed", clawver_refund_id=ours.id, surplus=surplus
        )
        return Sent(settled, seen, is_written=kept is not None)

    async def _ours(
        self, intent: Intent, found: Sequence[Refund]
    ) -> tuple[Refund | None, tuple[str, ...]]:
        """The refund that belongs to an intent, and those that nobody accounts for.

        Needs the order's lock, so that nobody else claims one meanwhile.
        """
        try:
            claimed = await off_thread(self._ledger.claimed, [refund.id for refund in found])
            others = await off_thread(self._ledger.of_order, intent.order_id)
        except ClawverError:
            claimed, others = {}, ()  # the ledger is out of order; what Clawver lists is still true
        free = [refund for refund in found if refund.id not in claimed]
        if not free:
            return None, ()
        # An attempt that was given up as absent may have landed late: one refund is its own.
        late = sum(
            other.state == "absent"
            and other.amount_in_cents == intent.amount_in_cents
            and other.refund_id != intent.refund_id
            for other in others
        )
        return free[0], tuple(refund.id for refund in free[1 + late :])

    async def settle(self, order: Order) -> tuple[Intent, ...]:
        """Match what the order lists with the intents that wait for it. Needs the order's lock.

        An open intent has the first claim on a new refund; those that were given up as absent, or
        refused a moment ago, adopt only what is left. What nobody adopts is noted as surplus.

        Returns:
            All intents of the order as they stand afterwards.
        """
        intents = await off_thread(self._ledger.of_order, order.id)
        trace = Trace("clawver-orders")
        for intent in sorted(
            filter(self._may_land, intents), key=lambda intent: not intent.is_open
        ):
            await self._settle_one(intent, order, trace)
        intents = await off_thread(self._ledger.of_order, order.id)
        for intent in intents:
            surplus = surplus_of(intent, intents, order)
            if not surplus.issubset(intent.surplus):
                named = sorted(surplus.union(intent.surplus))
                await self._add_surplus(intent.refund_id, named, trace)
        return await off_thread(self._ledger.of_order, order.id)

    async def _surplus_beside(self, sent: Sent) -> tuple[str, ...]:
        """What the order shows, now that it was read, of its other refunds."""
        if sent.order is None or not sent.is_written or sent.intent.state != "confirmed":
            return ()
        try:
            return surplus_beside(sent.intent, await self.settle(sent.order))
        except (ClawverError, MovedOnError) as error:
            log.error("other refunds of an order could not be matched: %s", type(error).__name__)  # noqa: TRY400  # a trace would show what the ledger holds
            return ()

    async def _add_surplus(self, refund_id: str, named: Sequence[str], trace: Trace) -> None:
        await self.write(lambda now: self._ledger.add_surplus(refund_id, named, now, trace))

    def _may_land(self, intent: Intent) -> bool:
        """Whether a refund of it may still show on its order."""
        return intent.is_open or intent.state == "absent" or self.was_refused_just_now(intent)

    def was_refused_just_now(self, intent: Intent) -> bool:
        """Whether Clawver said no so short a time ago that it may have done it all the same."""
        return (
            intent.state == "failed"
            and self._seconds_since_sent(intent) < self._settings.refund_settle_seconds
        )

    async def _settle_one(self, intent: Intent, order: Order, trace: Trace) -> None:
        if intent.state == "sending":
            # Whoever sent it held the lock that is ours now: it is gone.
            why = "the process that sent it is gone"
            intent = await self.write(
                lambda now: self._ledger.lose(intent.refund_id, why, now, trace)
            )
        ours, _ = await self._ours(intent, new_refunds(intent, order.refunds or ()))
        if ours is not None:
            await self.write(
                lambda now: self._ledger.confirm(
                    intent.refund_id, ours.id, ours.stripe_refund_id, (), now, trace
                )
            )
        elif intent.is_open and order.lists_its_refunds and self._may_count_as_absent(intent):
            await self.write(lambda now: self._ledger.count_absence(intent.refund_id, now, trace))

    def _may_count_as_absent(self, intent: Intent) -> bool:
        """Whether a read that does not list it says anything yet."""
        if self._seconds_since_sent(intent) < self._settings.refund_settle_seconds:
            return False
        last = intent.absent_uptime
        return last is None or passed_at_least(last, self._moment().uptime) >= self._between_reads

    def _seconds_since_sent(self, intent: Intent) -> float:
        """At least."""
        return passed_at_least(intent.sent_uptime or 0.0, self._moment().uptime)

    def check_after(self, intent: Intent) -> int:
        """When it is worth looking again, in whole seconds."""
        if intent.sent_at is None:
            return ANSWER_EXPECTED_AFTER_SECONDS
        passed = self._seconds_since_sent(intent)
        left = self._settings.refund_settle_seconds - passed
        if left <= 0:
            return max(1, round(self._between_reads))
        # Most refunds show within moments; the rest is asked for less and less often.
        return max(1, round(min(left, max(15.0, passed))))

    @property
    def _between_reads(self) -> float:
        return self._settings.refund_settle_seconds / 60

    @property
    def _pause(self) -> float:
        """Between the reads of one call, in seconds: 1 with the usual settle window."""
        return min(1.0, self._settings.refund_settle_seconds / 900)

    async def read(self, order_id: str, *, urgent: bool = False) -> Order:
        """The order as it is now, with all its refunds that were ever seen.

        Raises:
            ClawverError: It cannot be read, in the time that a call may take for it; or the ledger
                cannot, which holds what was seen.
        """
        return await self._remembered(await self._fresh(order_id, urgent=urgent))

    async def read_or_error(self, order_id: str) -> Order | ClawverError:
        """The same; or why the store does not show the order.

        Raises:
            ClawverError: The ledger cannot be used.
        """
        try:
            order = await self._fresh(order_id)
        except ClawverError as error:
            return error
        return await self._remembered(order)

    async def _remembered(self, order: Order) -> Order:
        """Note the refunds that an answer lists, and add those that an earlier one did.

        Raises:
            ClawverError: The ledger cannot be used.
        """
        if order.refunds or self._ledger.exists:
            with said_first(NOTHING_SENT):
                return await off_thread(self._with_all_seen, order)
        return order

    def _with_all_seen(self, order: Order) -> Order:
        seen = self._ledger.seen(order.id)
        noted = {each.clawver_refund_id for each in seen if each.sandbox == order.sandbox}
        new = [
            SeenRefund(refund.id, refund.amount_in_cents, refund.stripe_refund_id, order.sandbox)
            for refund in order.refunds or ()
            if refund.id not in noted
        ]
        if new:
            self._ledger.add_seen(order.id, new)
        older = {
            each.clawver_refund_id: Refund(
                id=each.clawver_refund_id,
                amount_in_cents=each.amount_in_cents,
                stripe_refund_id=each.stripe_refund_id,
            )
            for each in seen
        }
        return united(order, older.values())

    async def _remembered_if_possible(self, order: Order) -> Order:
        """The same once money may be on its way: what the answer says counts without the ledger too."""
        try:
            return await self._remembered(order)
        except ClawverError as error:
            log.error(  # noqa: TRY400  # a trace would show what the ledger holds
                "the ledger could not note the refunds of an order: %s", type(error).__name__
            )
            return order

    async def _fresh(self, order_id: str, *, urgent: bool = False) -> Order:
        with anyio.move_on_after(self._bounds.read):
            return await self._clawver.order(order_id, urgent=urgent)
        raise UnreachableError(
            "Clawver did not answer in time. Nothing was changed.",
            next_step="Repeat the call in a minute.",
        )

    async def look(self, order_id: str) -> Order | None:
        """The order where it can be read, for finding out; the allowance keeps a reserve for it."""
        try:
            order = await self._fresh(order_id, urgent=True)
        except ClawverError:
            return None
        return await self._remembered_if_possible(order)

    async def write(self, work: Callable[[Moment], T]) -> T:
        """One transaction of the ledger.

        Args:
            work: The call of the ledger; it is given the current time.

        Raises:
            ClawverError: The ledger cannot be written. Nothing was sent.
            MovedOnError: The intent is no longer in a state from which this could follow.
        """
        with said_first(NOTHING_SENT):
            return await off_thread(lambda: work(self._moment()))

    async def _written(self, refund_id: str, work: Callable[[Moment], Intent]) -> Intent | None:
        """The same after the request left: what happened is told even where it cannot be noted."""
        try:
            return await self.write(work)
        except (ClawverError, MovedOnError) as error:
            log.error(  # noqa: TRY400  # a trace would show what the ledger holds
                "the ledger could not note %s: %s", refund_id, type(error).__name__
            )
            return None


async def off_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do what waits for the disk elsewhere than where all other calls run."""
    return await to_thread.run_sync(lambda: work(*args, **kwargs))


@contextmanager
def said_first(fact: str) -> Iterator[None]:
    """Let every error begin with what its reader must know before anything else."""
    try:
        yield
    except ClawverError as error:
        error.begin_with(fact)
        raise
