"""What the page shows of a refund: words and figures, and none of the rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from clawver_orders.caller import GRADES, WAITS, Grade
from clawver_orders.clawver.models import Item, Order
from clawver_orders.days import Calendar
from clawver_orders.errors import ClawverError
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.approvals import MOST_ITEMS, warning_about
from clawver_orders.refunds.matching import Doubt
from clawver_orders.refunds.records import LedgerEvent, Wish
from clawver_orders.web.reading import Reading

if TYPE_CHECKING:
    from clawver_orders.refunds.policy import PolicyVerdict

GRADE_WORDS: dict[Grade, str] = {
    "setting": "setting",
    "agent": "agent",
    "chat": "chat",
    "console": "this machine",
    "pin": "PIN",
}
NEEDS: dict[Grade, str] = {
    "setting": "Nobody has to approve it: approval is off.",
    "agent": "The agent's approval is enough.",
    "chat": "You have to approve it. You're signed in, so no PIN is needed.",
    "console": "You have to approve it in a terminal or here. You're signed in, so no PIN is needed.",
    "pin": "Only your PIN approves it.",
}
STATUS_WORDS = {
    "waiting": "Waiting for your decision",
    "sending": "Being sent",
    "unknown": "It isn't known yet whether it was paid",
    "refunded": "Refunded",
    "not_recorded": "Sent, and not on the order",
    "refused": "Refused by Clawver",
    "not_sent": "Not sent: the connection was never made",
    "declined": "Declined",
    "expired": "Expired: nobody decided in time",
}
MAY_ASK_AGAIN = frozenset({"expired", "declined", "refused", "not_sent", "not_recorded"})


def when(calendar: Calendar, at: datetime) -> str:
    """A time as a person reads it, in the zone of a calendar, which it names."""
    local = at.astimezone(calendar.zone)
    return f"{local.day} {local:%b %Y, %H:%M %Z}"


def clock(calendar: Calendar, at: datetime) -> str:
    """The time of day alone, for what is not older than minutes."""
    return f"{at.astimezone(calendar.zone):%H:%M}"


def grade_steps(grade: Grade) -> int:
    """How many of the four steps of the meter a grade fills."""
    return GRADES.index(grade)


@dataclass(frozen=True)
class OrderFacts:
    """An order, as far as whoever decides needs it. Words of others are marked as theirs."""

    order: Order
    customer: str
    name: str
    items: tuple[Item, ...]
    more_items: int
    before_in_cents: int
    left_in_cents: int | None
    """What can be refunded now; None where the order doesn't tell."""

    def money(self, cents: int) -> str:
        """An amount in the order's currency."""
        return display(cents, self.order.currency)


def facts_of(order: Order, masking: Masking) -> OrderFacts:
    """What is shown of an order.

    Args:
        order: The order.
        masking: How customers are shown.
    """
    items = order.items or ()
    where = order.shipping_address
    return OrderFacts(
        order=order,
        customer=masking.email(order.customer_email) or "",
        name=(masking.name(where.name) if where else None) or "",
        items=items[:MOST_ITEMS],
        more_items=max(0, len(items) - MOST_ITEMS) + order.unread_items,
        before_in_cents=order.refunded_in_cents,
        left_in_cents=order.refundable_in_cents,
    )


@dataclass(frozen=True)
class RefundRow:
    """One refund in a list."""

    wish: Wish
    facts: OrderFacts | None
    warnings: int

    @property
    def amount(self) -> str:
        """How much."""
        return display(self.wish.amount_in_cents)

    @property
    def part(self) -> str:
        """How much of the order that is."""
        if self.facts is None:
            return ""
        total = self.facts.order.total_in_cents
        is_all = total == self.wish.amount_in_cents
        return "the whole order" if is_all else f"part of {self.facts.money(total)}"

    @property
    def expires_at(self) -> datetime:
        """When nobody can decide any more without asking again."""
        return self.wish.previewed.at + WAITS


def row_of(wish: Wish, reading: Reading, masking: Masking) -> RefundRow:
    """A refund in a list, with its order where that was read."""
    facts = None if reading.order is None else facts_of(reading.order, masking)
    return RefundRow(wish, facts, len(warnings_of(wish, (), reading.order)))


@dataclass(frozen=True)
class RefundOnPage:
    """One refund in full."""

    wish: Wish
    facts: OrderFacts | None
    reason: str
    warnings: tuple[str, ...]
    policy: tuple[str, ...]
    """What the refund policy says, a sentence each, where it allows this one; else the warnings say it."""
    history: tuple[LedgerEvent, ...]
    read_at: datetime | None
    is_fresh: bool
    """Whether the order was read a short time ago, and can be read."""
    is_current: bool
    """Whether it shows the payment that the revision rests on."""
    problem: str
    """Why the order can't be read; nothing where it can."""
    is_read_only: bool

    @property
    def amount(self) -> str:
        """How much."""
        return display(self.wish.amount_in_cents)

    @property
    def can_decide(self) -> bool:
        """Whether it can be approved as it is shown."""
        return self.may_act and self.is_waiting and self.is_fresh and self.is_current

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a decision."""
        return self.wish.status == "waiting"

    @property
    def may_act(self) -> bool:
        """Whether anything can be decided here."""
        return not self.is_read_only

    @property
    def can_ask_again(self) -> bool:
        """Whether it can be put to the person once more."""
        changed = self.is_waiting and self.is_fresh and not self.is_current
        return self.may_act and (changed or self.wish.status in MAY_ASK_AGAIN)

    @property
    def left_after_in_cents(self) -> int | None:
        """What could be refunded afterwards."""
        left = None if self.facts is None else self.facts.left_in_cents
        return None if left is None else left - self.wish.amount_in_cents

    @property
    def asked_by(self) -> str:
        """The program that wanted it."""
        return self.history[0].client if self.history else ""

    @property
    def expires_at(self) -> datetime:
        """When nobody can decide any more without asking again."""
        return self.wish.previewed.at + WAITS


def detail_of(
    wish: Wish,
    reading: Reading,
    doubts: Sequence[Doubt],
    verdict: "PolicyVerdict | ClawverError | None",
    history: Sequence[LedgerEvent],
    masking: Masking,
    *,
    is_fresh: bool,
    is_read_only: bool,
) -> RefundOnPage:
    """A refund in full.

    Args:
        wish: The refund.
        reading: Its order.
        doubts: What a person has to know of the order's other refunds.
        verdict: What the merchant's refund policy says of it; None where there is none.
        history: What happened to it.
        masking: How customers are shown.
        is_fresh: Whether the order may be decided on.
        is_read_only: Whether nothing may be decided here.
    """
    order = reading.order
    outside = _outside_policy(verdict)
    hidden = "…" if masking.masked else wish.reason
    return RefundOnPage(
        wish=wish,
        facts=None if order is None else facts_of(order, masking),
        reason=hidden if order is None else masking.words(wish.reason, order),
        warnings=(*outside, *warnings_of(wish, doubts, order)),
        policy=_within_policy(verdict),
        history=tuple(history),
        read_at=reading.at.at if reading.at else None,
        is_fresh=is_fresh,
        is_current=reading.is_of(wish),
        problem=reading.error.happened if reading.error else "",
        is_read_only=is_read_only,
    )


def _within_policy(verdict: "PolicyVerdict | ClawverError | None") -> tuple[str, ...]:
    """What the refund policy says where it allows it; nothing where it doesn't, or there is none."""
    if verdict is None or isinstance(verdict, ClawverError) or verdict.outside:
        return ()
    return "It is within the store's rules.", *verdict.facts


def _outside_policy(verdict: "PolicyVerdict | ClawverError | None") -> tuple[str, ...]:
    """Why the refund policy doesn't simply allow it; nothing where it does, or there is none."""
    if isinstance(verdict, ClawverError):
        return (verdict.happened,)
    return verdict.told if verdict is not None and verdict.outside else ()


def warnings_of(wish: Wish, doubts: Sequence[Doubt], order: Order | None) -> tuple[str, ...]:
    """What a person has to hear: of what went wrong always, of the rest while it can be approved."""
    found = _went_wrong(wish, order)
    if wish.status != "waiting":
        return tuple(found)
    found += dict.fromkeys(warning_about(doubt) for doubt in doubts)
    if wish.in_addition_to:
        found.append(
            "This would be another after what was refunded or tried before with this amount: "
            f"{', '.join(wish.in_addition_to[:MOST_ITEMS])}."
        )
    if order is not None and order.refunds:
        amounts = [display(each.amount_in_cents, order.currency) for each in order.refunds]
        more = f" and {len(amounts) - MOST_ITEMS} more" if len(amounts) > MOST_ITEMS else ""
        found.append(f"Already refunded on this order: {', '.join(amounts[:MOST_ITEMS])}{more}.")
    return tuple(found)


def _went_wrong(wish: Wish, order: Order | None) -> list[str]:
    found = []
    if others := [each for each in wish.unexpected_refunds if each != wish.clawver_refund_id]:
        found.append(
            f"Clawver lists refunds of this amount that nobody approved: {', '.join(others)}. Look at the "
            "order in Clawver's dashboard at once."
        )
    uncounted = () if order is None else order.uncounted_refunds
    if any(each.id == wish.clawver_refund_id for each in uncounted):
        found.append(
            "Clawver lists this refund with a status other than success: the money may not have gone back."
        )
    elif order is not None and order.has_unclear_refunds:
        found.append("The order lists a refund of which it isn't clear whether money went back.")
    return found
