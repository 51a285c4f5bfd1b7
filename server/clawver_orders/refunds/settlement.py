"""What becomes of a refund: the one request that moves money, and finding out by reading the order.

The request is sent once. When its answer is lost, the order is read: a refund of that amount and
reason that was not there before, and that belongs to no other attempt, is ours. "Not listed" counts
only after the verification window, and only when it was read twice; a refusal counts only when the
order was read twice as it was before. Nothing here is ever sent again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from clawver_orders.caller import Approval
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import (
    NO_MONEY_MOVED,
    ClawverError,
    OutcomeUnknownError,
    UnreachableError,
)
from clawver_orders.instants import Instant, seconds_at_least, seconds_at_most, seconds_since_boot
from clawver_orders.refunds.ledger import READS_TO_BELIEVE, Ledger
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.matching import (
    agrees,
    claimed,
    new_refunds,
    payment_fingerprint,
    unexpected_beside,
    unexpected_of,
    unexplained,
    united,
)
from clawver_orders.refunds.order_locks import Locks, check_still_alone
from clawver_orders.refunds.outcome import EARLIER_MAY_LAND
from clawver_orders.refunds.reading import Bounds, OrderReader, log_unwritten
from clawver_orders.refunds.records import Actor, Attempt, Limits, OrderRecords, Sent, Wish
from clawver_orders.settings import Settings

log = logging.getLogger(__name__)

READS_AT_ONCE = 3
"""How often the order is read at once when the answer to a refund was lost."""
ANSWER_EXPECTED_AFTER_SECONDS = 15
"""When it is worth asking again what a person said to a refund that was not sent yet."""
FIRST_CHECK_PAUSE_IN_SECONDS = 60.0
LONGEST_CHECK_PAUSE_IN_SECONDS = 86400.0
"""How long a start waits before it looks up the same open attempt again: first, and at most."""
SERVER = Actor("clawver-orders")


@dataclass(frozen=True)
class Settled:
    """What is known once a request has left."""

    wish: Wish
    order: Order | None
    """The order as last read."""
    is_written: bool = True
    """Whether the ledger could take it down."""
    unexpected_beside: tuple[str, ...] = ()
    """Refunds of another amount on the order that nobody meant."""
    refusal: ClawverError | None = None
    """Why Clawver refused it, where it did."""
    unexplained: tuple[Refund, ...] = ()
    """New refunds on the order that may be this one or not, where it is unknown."""


@dataclass(frozen=True)
class _Evidence:
    """What all answers together say after a request has left: none takes the place of another."""

    order: Order | None = None
    """As last read, with every refund that any answer listed."""
    refunds: tuple[Refund, ...] = ()
    told_at_once: frozenset[str] = frozenset()
    """The refunds that Clawver's own answer to the request listed."""
    unchanged_reads: int = 0
    """How many reads in a row showed the payment as it was before."""

    def with_read(self, order: Order, before: Order) -> "_Evidence":
        """The same with one more read."""
        refunds = {refund.id: refund for refund in (*self.refunds, *(order.refunds or ()))}
        known = tuple(refunds.values())
        is_unchanged = payment_fingerprint(order) == payment_fingerprint(before)
        unchanged = self.unchanged_reads + 1 if is_unchanged else 0
        return replace(self, order=united(order, known), refunds=known, unchanged_reads=unchanged)


class Settlement:
    """Sends refunds and finds out what became of them. The only caller of `send_refund`.

    Whoever calls holds the order's lock.

    Args:
        clawver: The store.
        ledger: Where every refund is noted.
        locks: One for each order.
        reader: Reads orders.
        settings: The daily limit, and how long a refund may take to show.
        bounds: How long each part of a call may take.
    """

    def __init__(
        self,
        clawver: Clawver,
        ledger: Ledger,
        locks: Locks,
        reader: OrderReader,
        settings: Settings,
        bounds: Bounds,
    ) -> None:
        self._clawver = clawver
        self._ledger = ledger
        self._locks = locks
        self._reader = reader
        self._settings = settings
        self._bounds = bounds

    async def send(
        self,
        records: OrderRecords,
        wish: Wish,
        order: Order,
        approval: Approval,
        question: int | None,
        client: str,
        instead_of: str | None,
    ) -> Settled:
        """Let the money go, once. Neither a cancelled call nor a host that hangs up stops it half way.

        Args:
            records: What the ledger knew of the order when everything was decided.
            wish: What was approved.
            order: Its order, read under the lock that is still held.
            approval: Whose yes it is.
            question: The number of the question that it answers; None where none was put.
            client: The name and version of the program that called.
            instead_of: A wish for more, which is declined with this one; None where there is none.

        Raises:
            DailyLimitError: It would be too much for 24 hours. Nothing was sent.
            MovedOnError: It is no longer to be sent. Nothing was sent.
            ClawverError: It never left: no money was moved.
        """
        with anyio.CancelScope(shield=True):
            since = seconds_since_boot()
            sending = await self._ledger.begin_send(
                records.number,
                wish,
                approval,
                question,
                [refund.id for refund in (*(order.refunds or ()), *order.uncounted_refunds)],
                order.answered_at,
                _limits(self._settings),
                client,
                instead_of,
            )
            settled = await self._request(sending, order, Actor(client, approval.who), since)
            settled = await self._with_others(settled)
        return settled  # noqa: RET504  # for mypy: a scope could swallow what is in it

    async def _request(self, wish: Wish, before: Order, actor: Actor, since: float) -> Settled:
        attempt = wish.attempts[-1]
        refusal: ClawverError | None = None
        evidence = _Evidence()
        try:
            with anyio.fail_after(self._bounds.send):
                await check_still_alone(self._locks, wish.order_id, since)
                after = await self._clawver.send_refund(
                    wish.order_id, wish.amount_in_cents, attempt.reason, wish.refund_id
                )
            told = frozenset(refund.id for refund in after.refunds or ())
            after = await self._reader.remembered_if_possible(after)
            evidence = _Evidence(after, after.refunds or (), told)
        except (OutcomeUnknownError, TimeoutError):
            pass
        except UnreachableError as error:
            await self._moved_if_possible(attempt, "not_sent", "it never left", actor)
            error.begin_with(EARLIER_MAY_LAND if wish.is_provisional else NO_MONEY_MOVED)
            raise
        except ClawverError as error:
            refusal = error  # believed when the order agrees
        return await self._settle_after_send(wish, before, evidence, refusal, actor)

    async def _settle_after_send(
        self,
        wish: Wish,
        before: Order,
        evidence: _Evidence,
        refusal: ClawverError | None,
        actor: Actor,
    ) -> Settled:
        """Read the order, until it is clear what became of the request or time is up."""
        attempt = wish.attempts[-1]
        records = await self._records_if_possible(wish)
        evidence = await self._gathered(attempt, records, before, evidence, refusal)
        ours, unexpected = _ours(attempt, records, evidence.refunds, evidence.told_at_once)
        if ours is not None:
            kept = await self._claimed_if_possible(attempt, ours, unexpected, actor)
            here = replace(
                attempt,
                status="refunded",
                clawver_refund_id=ours.id,
                unexpected_refunds=unexpected,
            )
            return _settled(wish, kept, here, evidence.order)
        if refusal is not None and evidence.unchanged_reads >= READS_TO_BELIEVE:
            kept = await self._moved_if_possible(attempt, "refused", "Clawver refused", actor)
            here = replace(attempt, status="refused")
            return replace(_settled(wish, kept, here, evidence.order), refusal=refusal)
        lost = await self._moved_if_possible(attempt, "unknown", "no clear answer", actor)
        settled = _settled(wish, lost, replace(attempt, status="unknown"), evidence.order)
        return replace(settled, unexplained=unexplained(attempt, records, evidence.order))

    async def _gathered(
        self,
        attempt: Attempt,
        records: OrderRecords,
        before: Order,
        evidence: _Evidence,
        refusal: ClawverError | None,
    ) -> _Evidence:
        """The evidence, with what the reads of the next seconds show."""
        with anyio.move_on_after(self._bounds.look):
            for number in range(READS_AT_ONCE):
                if number:
                    await anyio.sleep(min(1.0, self.window_seconds / 900))  # 1 as a rule
                read = await self._reader.read_urgent(attempt.order_id)
                if read is not None:
                    evidence = evidence.with_read(read, before)
                if _ours(attempt, records, evidence.refunds, evidence.told_at_once)[0] is not None:
                    break
                if refusal is not None and evidence.unchanged_reads >= READS_TO_BELIEVE:
                    break
        return evidence

    async def match_order(self, order: Order) -> OrderRecords:
        """Match what the order lists with the attempts that wait for it. Needs the order's lock.

        An open attempt has the first claim on a new refund, then those that are `not_recorded`, those of
        which a person said it, and those that Clawver refused. What nobody claims is noted as
        unexpected.

        Returns:
            The records of the order as they are afterwards.
        """
        records = await self._ledger.of_order(order.id)
        left = [attempt for attempt in records.attempts if attempt.status != "not_sent"]
        for attempt in sorted(left, key=_first_claim):
            if attempt.clawver_refund_id is None:
                await self._match_one(attempt, records, order)
                records = await self._ledger.of_order(order.id)
        for attempt in records.attempts:
            unexpected = unexpected_of(attempt, records, order)
            if not unexpected.issubset(attempt.unexpected_refunds):
                named = sorted(unexpected.union(attempt.unexpected_refunds))
                await self._ledger.add_unexpected(attempt, named, SERVER)
        return await self._ledger.of_order(order.id)

    async def without_owner(self, order_id: str) -> OrderRecords:
        """The records of an order that can't be read: what was being sent is unknown by now.

        Needs the order's lock: whoever sent it held that, so it is gone.
        """
        for attempt in (await self._ledger.of_order(order_id)).attempts:
            await self._without_owner(attempt)
        return await self._ledger.of_order(order_id)

    async def _without_owner(self, attempt: Attempt) -> Attempt:
        if attempt.status != "sending":
            return attempt
        why = "the process that sent it is gone"
        wish = await self._ledger.move(attempt, "unknown", why, SERVER)
        return next(a for a in wish.attempts if a.revision == attempt.revision)

    async def _match_one(self, attempt: Attempt, records: OrderRecords, order: Order) -> None:
        attempt = await self._without_owner(attempt)
        refunds = order.refunds or ()
        ours, _ = _ours(attempt, records, refunds, frozenset())
        if ours is not None:
            late = (ours.id,) if _is_late_beside_another(attempt, records) else ()
            await self._ledger.claim(attempt, ours.id, ours.stripe_refund_id, late, SERVER)
        elif order.lists_its_refunds and self._may_count(attempt, records):
            is_explained = not unexplained(attempt, records, order)
            if attempt.is_provisional or (attempt.is_open and is_explained):
                await self._ledger.count_read(attempt, SERVER)

    def _may_count(self, attempt: Attempt, records: OrderRecords) -> bool:
        """Whether a read that does not list it says anything yet."""
        now = self._ledger.now()
        if not self._is_window_over(attempt, records, now):
            return False
        last, look = attempt.last_read, records.looks.first(records.number, now)
        return last is None or seconds_at_least(last, now, look) >= self._between_reads_in_seconds

    def _is_window_over(self, attempt: Attempt, records: OrderRecords, now: Instant) -> bool:
        look = records.looks.first(attempt.sent_number, now)
        return seconds_at_least(attempt.sent, now, look) >= self.window_seconds

    async def _with_others(self, settled: Settled) -> Settled:
        """What the order shows, now that it was read, of its other refunds."""
        if settled.order is None or not settled.is_written or settled.wish.status != "refunded":
            return settled
        try:
            records = await self.match_order(settled.order)
        except (ClawverError, MovedOnError) as error:
            log.error("other refunds of an order could not be matched: %s", type(error).__name__)  # noqa: TRY400  # a trace would show what the ledger holds
            return settled
        wish = next(w for w in records.wishes if w.refund_id == settled.wish.refund_id)
        beside = unexpected_beside(wish, records)
        return replace(settled, wish=wish, unexpected_beside=beside)

    # When it is worth looking again.

    @property
    def window_seconds(self) -> float:
        """How long a refund that isn't listed can still appear."""
        return self._settings.refund_verify_seconds

    def is_due(self, attempt: Attempt) -> bool:
        """Whether an open attempt is looked up at a start: less and less often."""
        if attempt.last_check is None:
            return True
        doubled = FIRST_CHECK_PAUSE_IN_SECONDS * 2.0 ** min(attempt.checks - 1, 20)
        pause = min(doubled, LONGEST_CHECK_PAUSE_IN_SECONDS)
        return seconds_at_most(attempt.last_check, self._ledger.now()) >= pause

    def is_overdue(self, wish: Wish, records: OrderRecords) -> bool:
        """Whether an open refund had all the time that it may take to show."""
        now = self._ledger.now()
        return any(
            attempt.is_open and self._is_window_over(attempt, records, now)
            for attempt in wish.attempts
        )

    def check_after_seconds(self, wish: Wish) -> int:
        """When it is worth looking again, in whole seconds."""
        attempt = next((attempt for attempt in wish.attempts if attempt.is_open), None)
        if attempt is None:
            return ANSWER_EXPECTED_AFTER_SECONDS
        now = self._ledger.now()
        passed = seconds_at_least(attempt.sent, now, now)
        left = self.window_seconds - passed
        if left <= 0:
            return max(1, round(self._between_reads_in_seconds))
        # Most refunds show within moments; the rest is asked for less and less often.
        return max(1, round(min(left, max(15.0, passed))))

    @property
    def _between_reads_in_seconds(self) -> float:
        return self.window_seconds / 60

    # Once money may be on its way, what happened is told even where it cannot be noted.

    async def _records_if_possible(self, wish: Wish) -> OrderRecords:
        try:
            return await self._ledger.of_order(wish.order_id)
        except ClawverError as error:
            log_unwritten(wish.refund_id, error)
            return OrderRecords(wish.order_id, (wish,), 0)

    async def _as_noted(self, attempt: Attempt) -> Attempt:
        """The attempt as it is noted by now: who finds no lock takes it for one without an owner."""
        wish = await self._ledger.find(attempt.refund_id)
        attempts = wish.attempts if wish is not None else ()
        return next((a for a in attempts if _key(a) == _key(attempt)), attempt)

    async def _moved_if_possible(
        self, attempt: Attempt, to: Sent, why: str, actor: Actor
    ) -> Wish | None:
        try:
            return await self._ledger.move(await self._as_noted(attempt), to, why, actor)
        except (ClawverError, MovedOnError) as error:
            log_unwritten(attempt.refund_id, error)
            return None

    async def _claimed_if_possible(
        self, attempt: Attempt, refund: Refund, unexpected: Sequence[str], actor: Actor
    ) -> Wish | None:
        try:
            noted = await self._as_noted(attempt)
            return await self._ledger.claim(
                noted, refund.id, refund.stripe_refund_id, unexpected, actor
            )
        except (ClawverError, MovedOnError) as error:
            log_unwritten(attempt.refund_id, error)
            return None


def _first_claim(attempt: Attempt) -> int:
    """Who comes first where several could have made the same new refund."""
    return ("sending", "unknown", "not_recorded", "refunded", "refused").index(attempt.status)


def _ours(
    attempt: Attempt,
    records: OrderRecords,
    refunds: Sequence[Refund],
    told_at_once: frozenset[str],
) -> tuple[Refund | None, tuple[str, ...]]:
    """The refund that belongs to an attempt, and those that nobody accounts for.

    Args:
        attempt: The attempt.
        records: What the ledger knows of the order; what is claimed is somebody else's.
        refunds: What the order lists.
        told_at_once: The refunds of Clawver's own answer to it: the only new one of its amount there
            is ours, whatever reason and time it carries.
    """
    others = claimed(a for a in records.attempts if _key(a) != _key(attempt))
    new = [
        refund
        for refund in new_refunds(attempt, refunds)
        if refund.id not in others and refund.amount_in_cents == attempt.amount_in_cents
    ]
    agreeing = [refund for refund in new if agrees(attempt, refund)]
    at_once = [refund for refund in new if refund.id in told_at_once]
    certain = agreeing or (at_once if len(at_once) == 1 else [])
    if not certain:
        return None, ()
    return certain[0], tuple(refund.id for refund in certain[1:])


def _is_late_beside_another(attempt: Attempt, records: OrderRecords) -> bool:
    """Whether it was told as refused or not recorded, and another one was refunded."""
    return attempt.status in {"refused", "not_recorded"} and any(
        other.status == "refunded" and _key(other) != _key(attempt) for other in records.attempts
    )


def _key(attempt: Attempt) -> tuple[str, int]:
    return attempt.refund_id, attempt.revision


def _settled(wish: Wish, kept: Wish | None, attempt: Attempt, order: Order | None) -> Settled:
    """The wish as it was noted; or as it is all the same, where it could not be."""
    if kept is not None:
        return Settled(kept, order)
    here = replace(wish, attempts=(*wish.attempts[:-1], attempt), status=attempt.status)
    return Settled(here, order, is_written=False)


def _limits(settings: Settings) -> Limits:
    """The most that may be sent, as the merchant set it."""
    return Limits(settings.refund_daily_limit_in_cents, settings.refund_pin_above_in_cents)
