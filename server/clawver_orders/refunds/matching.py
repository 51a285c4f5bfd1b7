"""What an order and the ledger together say about a refund. No I/O."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from clawver_orders.caller import DECLINES_COUNT, suffices
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import NO_MONEY_MOVED, RefusedError, UnexpectedAnswerError
from clawver_orders.instants import Instant, seconds_at_least, seconds_by_clock
from clawver_orders.money import USD, currency_name, display
from clawver_orders.text import clean

if TYPE_CHECKING:
    from clawver_orders.refunds.records import Attempt, Decision, OrderRecords, Wish

DoubtKind = Literal["declined", "not_recorded", "refused", "resolved", "restored"]
"""Why only a person may approve: a person declined; an attempt isn't on the order and can still appear;
one was refused so short a time ago that it may show; a person said what became of one; the ledger is
an older copy of itself.
"""
LANDS_WITHIN = timedelta(hours=24)
"""How far from the time of sending a refund can be listed and still belong to it."""
DECLINES_BEFORE_ONLY_TERMINAL = 2
"""After so many declines in 24 hours no form asks about that order any more."""
TRUNCATED_FROM = 20
"""The fewest characters of a reason that Clawver can be taken to have cut short."""


@dataclass(frozen=True)
class Doubt:
    """Something on the order that nobody but a person may decide about."""

    kind: DoubtKind
    refund_id: str = ""
    amount_in_cents: int = 0
    was_sent: bool = False
    """Of a decline: whether the refund had been sent all the same."""
    seconds_left: float = 0.0
    """How long it lasts, where it ends by itself."""

    @property
    def shown(self) -> tuple[str, str, int]:
        """What a person is shown of it."""
        return self.kind, self.refund_id, self.amount_in_cents


@dataclass(frozen=True)
class Earlier:
    """What blocks a refund, because a call for it may be a repeat."""

    refunds: tuple[str, ...]
    """Refunds of the amount: by Clawver's id, or by ours where only a person knows of it."""
    attempts: "tuple[Wish, ...]"
    """Those of which an attempt isn't on the order, and can still appear."""

    @property
    def names(self) -> tuple[str, ...]:
        """What a further one has to name."""
        return self.refunds + tuple(wish.refund_id for wish in self.attempts)

    def is_repeated_by(self, named: frozenset[str]) -> bool:
        """Whether a refund of the amount that names these is taken for a repeat of one of them."""
        return bool(self.names) and named != set(self.names)


@dataclass(frozen=True)
class Refundable:
    """What can be given back on an order now, and where that is not known, why not."""

    in_cents: int | None
    """None where it is not known: because of one of the two below, or since the order does not tell."""
    open_refund: "Wish | None"
    """The refund whose money may be on its way; the latest where there are several."""
    is_ledger_readable: bool
    """Whether it is known that there is no other."""


def refundable(order: Order, open_refunds: "Sequence[Wish] | None") -> Refundable:
    """What can be given back on an order.

    Args:
        order: The order as it was read.
        open_refunds: Its refunds that are open, newest first; None where the ledger cannot be read.
    """
    is_settled = open_refunds is not None and not open_refunds
    return Refundable(
        in_cents=order.refundable_in_cents if is_settled else None,
        open_refund=open_refunds[0] if open_refunds else None,
        is_ledger_readable=open_refunds is not None,
    )


def check_possible(order: Order, amount_in_cents: int) -> None:
    """Whether the order allows it.

    Raises:
        ClawverError: It does not.
    """
    if order.currency != USD:
        raise RefusedError(
            f"{order.id} is in {currency_name(order.currency)}, and the limits for refunds are in US dollars.",
            fact=NO_MONEY_MOVED,
            next_step="Tell a person, who can refund it in Clawver's dashboard.",
        )
    left = order.refundable_in_cents
    if left is None and order.has_unclear_refunds:
        raise UnexpectedAnswerError(
            f"{order.id} carries a refund of which Clawver does not clearly say whether money went back.",
            fact=NO_MONEY_MOVED,
            next_step="Tell a person; what is left cannot be known from here.",
        )
    if left is None:
        raise UnexpectedAnswerError(
            f"{order.id} is partially refunded, but Clawver does not list its refunds.",
            fact=NO_MONEY_MOVED,
            next_step="Tell a person; what is left cannot be known from here.",
        )
    if order.is_refunded or (left == 0 and order.refunds):
        raise RefusedError(
            f"{order.id} is already refunded in full.",
            fact=NO_MONEY_MOVED,
            next_step=f"Call get_order with order_id {order.id} to see its refunds.",
        )
    if not order.is_paid:
        raise RefusedError(
            f"{order.id} has no payment that could be given back; its payment status is neither paid "
            "nor partially_refunded.",
            fact=NO_MONEY_MOVED,
            next_step=f"Call get_order with order_id {order.id} to see its payment status.",
        )
    if amount_in_cents > left:
        raise RefusedError(
            f"{order.id} has {display(left)} ({left} cents) left to refund, "
            f"less than {display(amount_in_cents)}.",
            fact=NO_MONEY_MOVED,
            next_step=f"Ask the merchant whether {left} cents will do, then call refund_order with what they say.",
        )


def earlier_of(order: Order | None, records: "OrderRecords", amount_in_cents: int) -> Earlier:
    """All refunds and attempts of this amount: what the order lists, and what only the ledger knows."""
    same = [wish for wish in records.wishes if wish.amount_in_cents == amount_in_cents]
    # What another currency counts is no amount in cents.
    refunds = order.refunds or () if order is not None and order.currency == USD else ()
    listed = [r.id for r in refunds if r.amount_in_cents == amount_in_cents]
    ours = [
        attempt.clawver_refund_id or wish.refund_id
        for wish in same
        for attempt in wish.attempts
        if attempt.status == "refunded"
    ]
    attempts = tuple(
        wish for wish in same if any(attempt.status == "not_recorded" for attempt in wish.attempts)
    )
    return Earlier(tuple(dict.fromkeys([*listed, *ours])), attempts)


def doubts_of(records: "OrderRecords", now: Instant, window_seconds: float) -> tuple[Doubt, ...]:
    """Why only a person may approve a refund of an order, of whatever amount.

    A person's approval clears the declines and the attempts that came before it: they were told of
    them. What can still appear by itself lasts until it can't any more, and so do declines where there
    are so many that no form asks any more: nobody else's word takes the place of a form.

    Args:
        records: What the ledger knows of the order.
        now: The current time.
        window_seconds: How long a refund that isn't listed can still appear.
    """
    decisions = [decision for wish in records.wishes for decision in wish.decisions]
    approved = [d.number for d in decisions if d.verdict == "approve" and suffices(d.grade, "chat")]
    last_yes = max(approved, default=0)
    found = []
    if records.restored is not None:
        look = records.looks.first(records.restored_number, now)
        left = window_seconds - seconds_at_least(records.restored, now, look)
        found += [Doubt("restored", seconds_left=left)] if left > 0 else []
    is_often = is_declined_often(records, now)
    for wish in records.wishes:
        own_yes = max((d.number for d in wish.decisions if d.number in approved), default=0)
        found += [
            Doubt("declined", wish.refund_id, wish.amount_in_cents, wish.sent_at is not None)
            for decision in recent_declines(wish, records, now)
            if is_often or decision.number > own_yes
        ][:1]
        for attempt in wish.attempts:
            kind, left = _doubt_about(attempt, records, now, window_seconds)
            if kind is not None and (kind == "refused" or attempt.number > last_yes):
                found.append(Doubt(kind, wish.refund_id, wish.amount_in_cents, seconds_left=left))
    return tuple(found)


def _doubt_about(
    attempt: "Attempt", records: "OrderRecords", now: Instant, window_seconds: float
) -> tuple[DoubtKind | None, float]:
    if attempt.resolved:
        return "resolved", 0.0
    if attempt.status == "not_recorded":
        return "not_recorded", 0.0
    look = records.looks.first(attempt.sent_number, now)
    left = window_seconds - seconds_at_least(attempt.sent, now, look)
    return "refused" if attempt.is_provisional and left > 0 else None, left


def recent_declines(wish: "Wish", records: "OrderRecords", now: Instant) -> "list[Decision]":
    """A person's declines of the last 24 hours."""
    return [
        decision
        for decision in wish.decisions
        if decision.verdict == "decline"
        and seconds_by_clock(decision.made, now, records.looks.first(decision.number, now))
        < DECLINES_COUNT.total_seconds()
    ]


def is_declined_often(records: "OrderRecords", now: Instant) -> bool:
    """Whether persons declined refunds of an order so often in 24 hours that no form asks any more."""
    declines = sum(len(recent_declines(wish, records, now)) for wish in records.wishes)
    return declines >= DECLINES_BEFORE_ONLY_TERMINAL


def united(order: Order, seen: Iterable[Refund]) -> Order:
    """The order with every refund of it that was ever seen: refunds are only ever added.

    A read can be older than what is known. An order that does not tell its refunds stays so: what
    is known from before need not be all. What it lists as failed by now moved nothing after all.
    """
    if not order.lists_its_refunds:
        return order
    listed = {refund.id for refund in (*(order.refunds or ()), *order.uncounted_refunds)}
    older = tuple(refund for refund in seen if refund.id not in listed)
    return order.model_copy(update={"refunds": (order.refunds or ()) + older}) if older else order


def agrees(attempt: "Attempt", refund: Refund) -> bool:
    """Whether a new refund can be that of an attempt: its amount, its reason and its time say so.

    What Clawver doesn't tell counts as agreeing.
    """
    if refund.amount_in_cents != attempt.amount_in_cents:
        return False
    told, sent = _folded(refund.reason), _folded(attempt.reason)
    begins = told.rstrip("….").rstrip()
    is_cut = len(begins) >= TRUNCATED_FROM and sent.startswith(begins)
    if told and told != sent and not is_cut:
        return False
    return _is_near(refund, attempt.sent_by_server or attempt.sent.at)


def _folded(reason: str) -> str:
    return " ".join(clean(reason, 500, lines=True).split()).casefold()


def is_like(refund: Refund, other: Refund) -> bool:
    """Whether Clawver lists two refunds as if one request had been delivered twice.

    It need not tell the reason as it was sent; but then it tells it for both in the same way.
    """
    return (
        refund.amount_in_cents == other.amount_in_cents
        and _folded(refund.reason) == _folded(other.reason)
        and _is_near(refund, other.created_at)
    )


def _is_near(refund: Refund, at: datetime | None) -> bool:
    if refund.created_at is None or at is None:
        return True
    return abs(refund.created_at - at) <= LANDS_WITHIN


def new_refunds(attempt: "Attempt", refunds: Iterable[Refund]) -> list[Refund]:
    """Those that were not there before an attempt was sent."""
    return [refund for refund in refunds if refund.id not in attempt.refunds_before]


def claimed(attempts: "Iterable[Attempt]") -> set[str]:
    """The refunds of Clawver that belong to an attempt."""
    return {each.clawver_refund_id for each in attempts if each.clawver_refund_id}


def unexplained(
    attempt: "Attempt", records: "OrderRecords", order: Order | None
) -> tuple[Refund, ...]:
    """The new refunds on the order that no attempt accounts for, and that may have moved money."""
    if order is None:
        return ()
    known = claimed(records.attempts)
    unclear = (refund for refund in order.uncounted_refunds if not refund.moved_nothing)
    new = new_refunds(attempt, (*(order.refunds or ()), *unclear))
    return tuple(refund for refund in new if refund.id not in known)


def unexpected_of(attempt: "Attempt", records: "OrderRecords", order: Order) -> set[str]:
    """The refunds that came with or after this one, of its amount, and that nobody meant.

    That is what no attempt accounts for, told with the latest of those that it may belong to; and
    where an attempt that was `not_recorded` or refused landed after all, it and the one made in its place.

    Args:
        attempt: One of the order's attempts.
        records: What the ledger knows of the order.
        order: The order as it was read.
    """
    if attempt.status != "refunded":
        return set()
    same = [
        other
        for other in records.attempts
        if other.status == "refunded" and other.amount_in_cents == attempt.amount_in_cents
    ]
    named = {wish.refund_id: {wish.refund_id, *wish.in_addition_to} for wish in records.wishes}
    late = {
        str(other.clawver_refund_id)
        for other in same
        if other is not attempt
        and other.clawver_refund_id
        and (
            other.refund_id in named[attempt.refund_id]
            or attempt.refund_id in named[other.refund_id]
        )
    }
    return late | {
        refund.id
        for refund in unexplained(attempt, records, order)
        if attempt is _latest_that_made(refund, same, order)
    }


def _latest_that_made(
    refund: Refund, attempts: "Sequence[Attempt]", order: Order
) -> "Attempt | None":
    """The latest of these that a refund can have come of."""
    able = []
    for attempt in attempts:
        own = listed(order, attempt.clawver_refund_id)
        is_its = agrees(attempt, refund) or (own is not None and is_like(refund, own))
        if is_its and new_refunds(attempt, [refund]):
            able.append(attempt)
    return max(able, key=lambda attempt: attempt.sent.at, default=None)


def unexpected_beside(wish: "Wish", records: "OrderRecords") -> tuple[str, ...]:
    """The refunds that nobody meant, as they are noted with the other wishes of the order."""
    own = {*claimed(wish.attempts), *wish.unexpected_refunds}
    others = (w.unexpected_refunds for w in records.wishes if w.refund_id != wish.refund_id)
    return tuple(sorted({each for ids in others for each in ids} - own))


def listed(order: Order | None, clawver_refund_id: str | None) -> Refund | None:
    """The refund with this id of Clawver's, where the order was read and lists it."""
    refunds = order.refunds or () if order is not None else ()
    return next((refund for refund in refunds if refund.id == clawver_refund_id), None)


def payment_fingerprint(order: Order) -> str:
    """What an approval rests on: the payment of an order, and whose order it is."""
    return json.dumps(
        [
            order.sandbox,
            order.payment_status,
            order.total_in_cents,
            order.currency,
            sorted((refund.id, refund.amount_in_cents) for refund in order.refunds or ()),
            sorted((refund.id, refund.status) for refund in order.uncounted_refunds),
        ]
    )


def needs_read(wish: "Wish", records: "OrderRecords") -> bool:
    """Whether the order may tell more about a wish, or about its amount, than the ledger does."""
    found = wish.latest is not None and wish.latest.status == "refunded"
    is_forgetful = records.restored is not None  # what it doesn't know of may have landed
    return (
        found
        or is_forgetful
        or any(
            attempt.is_open or attempt.status in {"not_recorded", "refused"}
            for attempt in records.attempts
            if attempt.amount_in_cents == wish.amount_in_cents
        )
    )
