"""What the page shows of orders: words and figures, and none of the rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from clawver_orders.clawver.models import Item, Order, Refund
from clawver_orders.history.mirror import Extent
from clawver_orders.money import display
from clawver_orders.orders.lifecycle import STATUSES, attention
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.matching import Refundable
from clawver_orders.refunds.records import Wish
from clawver_orders.tools.answers import in_one_line
from clawver_orders.tools.timeline import Moment

MOST_LINES = 100
"""The most lines of an order that the page shows."""
MOST_MOMENTS = 200
"""The same for what happened to it, and for its refunds."""
PAYMENTS: Final = {
    "pending": "not paid",
    "paid": "paid",
    "failed": "payment failed",
    "partially_refunded": "partially refunded",
    "refunded": "refunded",
}
NEXT: Final = {
    "pending": "It isn't paid yet.",
    "confirmed": "Next: it is made, or its files are delivered.",
    "processing": "It is being made. Next: shipped.",
    "shipped": "On its way to the customer. Next: delivered.",
    "delivered": "Nothing follows.",
    "cancelled": "Nothing follows.",
}
WHAT: Final = {
    "created": "Order placed",
    "paid": "Paid",
    "refunded": "Refunded",
    "refunded, not by this server": "Refunded, not by this server",
    "refund approved": "Refund approved",
    "refund declined": "Refund declined",
    "refund sent": "Refund sent, and not listed by Clawver",
    "status": "Seen in another status",
    "payment_status": "Seen with another payment",
    "review": "Reviewed",
    "review answered": "Review answered",
}
"""What happened, in words of ours; the rest are the names of events."""


@dataclass(frozen=True)
class OrderLine:
    """An order in a list."""

    order: Order
    customer: str
    items: str
    attention: str
    """Why somebody should look at it; nothing where nobody needs to."""
    is_due: bool
    """Whether it has changed since it was read, or may have."""

    @property
    def total(self) -> str:
        """What it came to."""
        return display(self.order.total_in_cents, self.order.currency)

    @property
    def refunded(self) -> str:
        """How much went back; nothing where nothing did."""
        cents = self.order.certainly_refunded_in_cents
        if cents is None:
            return "refunds not known"
        return display(cents, self.order.currency) if cents else ""


def line_of(order: Order, masking: Masking, now: datetime, *, is_due: bool) -> OrderLine:
    """An order in a list.

    Args:
        order: The order.
        masking: How its customer is shown.
        now: The current time.
        is_due: Whether it may have changed since it was read.
    """
    return OrderLine(
        order,
        masking.email(order.customer_email) or "",
        "" if order.items is None else in_one_line(order, 3),
        attention(order, now) or "",
        is_due,
    )


@dataclass(frozen=True)
class ListExtent:
    """How much of the store a list was taken from."""

    extent: Extent | None
    """What the history has; None where there is none."""
    has_all: bool = False
    """Whether Clawver itself listed every order of the store."""
    is_all_looked_at: bool = True
    """Whether all that is known was compared with what is looked for."""
    is_all_told: bool = True
    """Whether every order tells what is looked for."""
    read_at: datetime | None = None
    """When Clawver's lists were read; None where they never were."""
    problem: str = ""
    """Why they can't be read now."""
    told: str = ""
    """How much is kept, in sentences."""

    @property
    def is_complete(self) -> bool:
        """Whether every order that matches is in the list."""
        return self.has_all and not self.problem and self.is_all_looked_at and self.is_all_told


@dataclass(frozen=True)
class RefundOfOrder:
    """A refund of an order: ours, or one that Clawver alone lists."""

    amount: str
    wish: Wish | None = None
    listed: Refund | None = None
    reason: str = ""


@dataclass(frozen=True)
class OrderOnPage:
    """One order in full."""

    order: Order
    read_at: datetime
    """It was like that then."""
    problem: str
    """Why it can't be read now; nothing where it was."""
    is_thin: bool
    """Whether it was only seen as a row of a list."""
    customer: str
    address: tuple[str, ...]
    tracking_number: str
    tracking_url: str
    attention: str
    money: Refundable
    refunds: tuple[RefundOfOrder, ...]
    moments: tuple[Moment, ...]
    left_out: int
    """How many older moments are not shown."""
    lacks: tuple[str, ...] = field(default=())
    """What of its story can't be told now, in sentences."""

    @property
    def lines(self) -> tuple[Item, ...]:
        """What was ordered, as far as it is shown."""
        return (self.order.items or ())[:MOST_LINES]

    @property
    def more_lines(self) -> int:
        """How many lines are not shown."""
        return len(self.order.items or ()) - len(self.lines) + self.order.unread_items

    @property
    def stage(self) -> str:
        """Its status and its payment, as far as both are words that we know."""
        payment = PAYMENTS.get(self.order.payment_status, "")
        status = self.order.status if self.order.status in STATUSES else ""
        return ", ".join(filter(None, (status, payment))).capitalize()

    @property
    def odd_words(self) -> tuple[tuple[str, str], ...]:
        """Words of Clawver's that are none of ours, each with what it is about."""
        order = self.order
        status = "" if order.status in STATUSES else order.status
        payment = "" if order.payment_status in PAYMENTS else order.payment_status
        return tuple(each for each in (("Status", status), ("Payment", payment)) if each[1])

    @property
    def what_follows(self) -> str:
        """What comes next, where that is known and all is well."""
        return "" if self.attention else NEXT.get(self.order.status, "")

    @property
    def left_in_cents(self) -> int | None:
        """What can be refunded; None where it isn't known, as without the payment."""
        return self.money.in_cents if self.order.payment_status in PAYMENTS else None

    @property
    def tracking_host(self) -> str:
        """Where its tracking page is."""
        return urlsplit(self.tracking_url).netloc

    def amount(self, cents: int) -> str:
        """An amount in its currency."""
        return display(cents, self.order.currency)


def address_of(order: Order, masking: Masking) -> tuple[str, ...]:
    """Who gets it and where, a line each."""
    where = order.shipping_address
    if where is None:
        return ()
    town = " ".join(
        each for each in (where.postal_code, where.city, where.state) if each is not None
    )
    hidden = [masking.detail(each) for each in (where.line1, where.line2, town)]
    lines = (masking.name(where.name), *dict.fromkeys(hidden), where.country)
    return tuple(each for each in lines if each)


def refunds_of(order: Order, wishes: Sequence[Wish], masking: Masking) -> tuple[RefundOfOrder, ...]:
    """The refunds of an order, the newest first: those of the ledger, then those that Clawver alone lists.

    Args:
        order: The order.
        wishes: Its refunds in the ledger.
        masking: How its customer is shown.
    """
    ours = {each for wish in wishes for each in (wish.clawver_refund_id, *wish.unexpected_refunds)}
    listed = (*(order.refunds or ()), *order.uncounted_refunds)
    others = sorted(
        (r for r in listed if r.id not in ours), key=lambda r: r.age_order, reverse=True
    )
    return (
        *(RefundOfOrder(display(wish.amount_in_cents), wish=wish) for wish in reversed(wishes)),
        *(
            RefundOfOrder(
                display(each.amount_in_cents, order.currency),
                listed=each,
                reason=masking.words(each.reason, order),
            )
            for each in others[:MOST_MOMENTS]
        ),
    )
