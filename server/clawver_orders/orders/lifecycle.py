"""Where an order stands, what comes next, and whether somebody should look. No I/O.

Digital orders go confirmed → delivered at once; printed ones go confirmed → processing →
shipped → delivered. A refund shows in the payment status and never in the status.
"""

from datetime import datetime, timedelta
from typing import Literal, get_args

from clawver_orders.clawver.models import Order

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

_STAGES = {
    "pending": "Created; the payment is outstanding. Next: confirmed, once it is paid.",
    "processing": "Being printed. Next: shipped, with carrier and tracking.",
    "shipped": "On its way to the customer. Next: delivered.",
    "delivered": "Complete. Nothing follows.",
    "cancelled": "Cancelled. Nothing follows; money that was paid needs a refund.",
    "paid": "Paid (an old word for confirmed). Next: it is fulfilled.",
    "refunded": "Refunded (an old word; the payment status says more). Nothing follows.",
}


def stage(order: Order) -> str:
    """The step an order has reached and the one that comes next, as two short sentences."""
    if order.status == "confirmed":
        if any(item.is_printed for item in order.items or ()):
            return "Paid, and waiting to be printed. Next: processing."
        return "Paid. Next: delivered, which for digital items follows at once."
    if order.status == "cancelled" and order.is_refunded:
        return "Cancelled, and refunded in full. Nothing follows."
    return _STAGES.get(order.status, "In a status that this version does not know.")


def attention(order: Order, now: datetime) -> str | None:
    """Why somebody should look at an order, or None when nobody needs to."""
    if order.payment_status == "failed" and order.status != "cancelled":
        return "The payment failed."
    if order.status == "cancelled" and order.is_paid:
        return "Cancelled, but not fully refunded."
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
