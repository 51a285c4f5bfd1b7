"""What an order and the ledger together say about a refund. No I/O."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import NO_MONEY_MOVED, RefusedError, UnexpectedAnswerError
from clawver_orders.money import USD, currency_name, display
from clawver_orders.refunds.ledger import Intent


@dataclass(frozen=True)
class Earlier:
    """What stands in the way of a refund, because a call for it may be a repeat."""

    refunds: tuple[str, ...]
    """Refunds of the amount, by Clawver's id."""
    attempts: tuple[Intent, ...]
    """Attempts that were declined or are not accounted for."""
    doubts: tuple[Intent, ...] = ()
    """Why only a person may approve: noes, and attempts that may still land, of whatever amount."""

    @property
    def needs_person(self) -> bool:
        """Whether no agent may approve a further one."""
        return bool(self.doubts)

    @property
    def names(self) -> tuple[str, ...]:
        """What a further one has to name."""
        return self.refunds + tuple(attempt.refund_id for attempt in self.attempts)


@dataclass(frozen=True)
class Refundable:
    """What can be given back on an order now, and where that is not known, why not."""

    in_cents: int | None
    """None where it is not known: because of one of the two below, or since the order does not tell."""
    open_refund: Intent | None
    """The refund whose money may be on its way; the latest where there are several."""
    is_ledger_readable: bool
    """Whether it is known that there is no other."""


def refundable(order: Order, open_refunds: Sequence[Intent] | None) -> Refundable:
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
            next_step=f"Call refund_order with amount_in_cents {left} or less.",
        )


def earlier_of(order: Order | None, intents: Sequence[Intent], amount_in_cents: int) -> Earlier:
    """All refunds and attempts of this amount: what the order lists, and what only the ledger knows."""
    same = [intent for intent in intents if intent.amount_in_cents == amount_in_cents]
    refunds = order.refunds or () if order is not None else ()
    listed = [r.id for r in refunds if r.amount_in_cents == amount_in_cents]
    ours = [intent.clawver_refund_id for intent in same if intent.clawver_refund_id]
    never_went = [i for i in _doubts(same) if i.state in {"declined", "failed"}]
    attempts = tuple(i for i in same if i.state == "absent" or i in never_went)
    # Another amount is another wish, but whoever said no, or does not know, is asked again.
    stand = _doubts(intents)
    doubts = tuple(i for i in intents if i in attempts or i in stand)
    return Earlier(tuple(dict.fromkeys([*listed, *ours])), attempts, doubts)


def _doubts(intents: Sequence[Intent]) -> list[Intent]:
    """The noes, and the attempts that are not accounted for, after which no person approved anything."""
    last_yes = max((i.approved for i in intents if i.state == "confirmed"), default=0)
    return [i for i in intents if i.doubted > last_yes]


def united(order: Order, seen: Iterable[Refund]) -> Order:
    """The order with every refund of it that was ever seen: refunds are only ever added.

    A read can be older than what is known. An order that does not tell its refunds stays so: what
    is known from before need not be all.
    """
    if not order.lists_its_refunds:
        return order
    listed = {refund.id for refund in order.refunds or ()}
    older = tuple(refund for refund in seen if refund.id not in listed)
    return order.model_copy(update={"refunds": (order.refunds or ()) + older}) if older else order


def new_refunds(intent: Intent, refunds: Iterable[Refund]) -> list[Refund]:
    """Those of the intent's amount that were not there when it was sent."""
    return [
        refund
        for refund in refunds
        if refund.id not in intent.baseline and refund.amount_in_cents == intent.amount_in_cents
    ]


def surplus_of(intent: Intent, intents: Sequence[Intent], order: Order) -> set[str]:
    """The refunds that came with or after this one, of its amount, and that nobody meant.

    That is what no intent accounts for, told with the latest of those it may belong to; and where
    an attempt that was given up landed after all, it and the one made in its place.

    Args:
        intent: One of the order's intents.
        intents: All of them, oldest first.
        order: The order as it was read.
    """
    if intent.state != "confirmed":
        return set()
    same = [
        other
        for other in intents
        if other.state == "confirmed" and other.amount_in_cents == intent.amount_in_cents
    ]
    ours = {other.clawver_refund_id for other in same}
    late = {
        str(other.clawver_refund_id)
        for other in same
        if other.refund_id in intent.in_addition_to or intent.refund_id in other.in_addition_to
    }
    unclaimed = {refund.id for refund in new_refunds(intent, order.refunds or ())} - ours
    return late | unclaimed if intent is same[-1] else late


def surplus_beside(intent: Intent, intents: Iterable[Intent]) -> tuple[str, ...]:
    """The refunds that nobody meant, as they are noted with the other intents of the order."""
    own = {intent.clawver_refund_id, *intent.surplus}
    others = (other.surplus for other in intents if other.refund_id != intent.refund_id)
    return tuple(sorted({each for surplus in others for each in surplus} - own))


def listed(order: Order | None, clawver_refund_id: str | None) -> Refund | None:
    """The refund with this id of Clawver's, where the order was read and lists it."""
    refunds = order.refunds or () if order is not None else ()
    return next((refund for refund in refunds if refund.id == clawver_refund_id), None)


def payment_of(order: Order) -> str:
    """What an approval rests on: the payment of an order, and whose order it is."""
    return json.dumps(
        [
            order.sandbox,
            order.payment_status,
            order.total_in_cents,
            sorted((refund.id, refund.amount_in_cents) for refund in order.refunds or ()),
        ]
    )


def passed_at_least(then: float, now: float) -> float:
    """At least how many seconds lie between two readings of this machine's uptime.

    After a restart the uptime is smaller than before, and all of it lies in between. Setting the
    clock changes neither.
    """
    return now - then if now >= then else now
