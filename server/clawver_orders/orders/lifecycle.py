"""Where an order stands, and whether somebody should look. No I/O.

Digital orders go confirmed → delivered at once; printed ones go confirmed → processing →
shipped → delivered. A refund shows in the payment status and never in the status.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, get_args

from clawver_orders.clawver.models import Order
from clawver_orders.money import display

KnownStatus = Literal["pending", "confirmed", "processing", "shipped", "delivered", "cancelled"]
"""The documented statuses. Others may come, so an order keeps its status as text."""
KnownPaymentStatus = Literal["pending", "paid", "failed", "partially_refunded", "refunded"]
"""The same for payments."""
STATUSES: tuple[KnownStatus, ...] = get_args(KnownStatus)
EARLY_STATUSES = ("paid", "refunded")
"""Two words that early pages of Clawver used."""

PATIENCE = {
    "pending": timedelta(days=1),
    "confirmed": timedelta(days=3),
    "processing": timedelta(days=7),
    "shipped": timedelta(days=21),
}
"""How long an order may stay in a status before it counts as waiting too long.

Clawver gives no time for the last change of status, so the age of the order stands in.
"""


def attention(order: Order, now: datetime) -> str | None:
    """Why somebody should look at an order, or None when nobody needs to."""
    if order.payment_status == "failed" and order.status != "cancelled":
        return "The payment failed."
    if order.status == "cancelled" and order.is_paid:
        left = order.refundable_in_cents
        what = (
            "not fully refunded"
            if left is None
            else f"{display(left, order.currency)} is not refunded"
        )
        return f"Cancelled, but {what}."
    if order.is_refunded:
        return None
    patience = PATIENCE.get(order.status)
    if patience is None:
        return None
    if order.created_at is None:
        return f"Still {order.status}, and since when is not known."
    waited = now - order.created_at
    if waited > patience:
        return f"{waited.days} days old and still {order.status}."
    return None


def holds_money(order: Order) -> bool:
    """Whether a customer has paid for an order, or may have."""
    return order.payment_status not in {"pending", "failed", "refunded"}


def urgency(order: Order) -> tuple[int, float, str]:
    """Sorts orders that somebody should look at.

    First come those that a customer paid for and that are cancelled, then the others that were
    paid, the oldest first; then those that were not, the newest first.
    """
    created, order_id = order.age_order
    if holds_money(order):
        return (0 if order.status == "cancelled" else 1, created.timestamp(), order_id)
    return (2, -created.timestamp(), order_id)


def summed_up(orders: Iterable[Order]) -> str:
    """Orders that are left out of a list of those that somebody should look at, in a line."""
    kinds = Counter(
        (order.status if order.status in STATUSES else "in another status", holds_money(order))
        for order in sorted(orders, key=urgency)
    )
    counts = [
        f"{count} {status}{'' if is_paid else ', not paid'}"
        for (status, is_paid), count in kinds.items()
    ]
    return f"{'; '.join(counts)}. list_orders with a status shows them." if counts else ""
