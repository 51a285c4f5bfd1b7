"""Figures over a list of orders. No I/O."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from clawver_orders.clawver.models import Order
from clawver_orders.orders.lifecycle import attention


@dataclass(frozen=True)
class Tally:
    """How many orders share a word, and what they come to."""

    name: str
    orders: int
    total_in_cents: int


@dataclass(frozen=True)
class Figures:
    """A store's orders in numbers. All money in cents."""

    orders: int
    paid_orders: int
    sales_in_cents: int
    """The totals of all orders that were paid, before refunds."""
    refunds: int
    refunded_in_cents: int
    average_order_in_cents: int | None
    """Rounded down; None when no order was paid."""
    by_status: tuple[Tally, ...]
    by_payment_status: tuple[Tally, ...]
    attention: tuple[tuple[Order, str], ...]
    """Orders that somebody should look at, oldest first, each with the reason."""


def figures(orders: Iterable[Order], now: datetime) -> Figures:
    """Add orders up.

    Args:
        orders: Each order once.
        now: What counts as the present for orders that wait.
    """
    listed = sorted(orders, key=lambda order: order.age_order)
    paid = [order for order in listed if order.is_paid or order.is_refunded]
    sales = sum(order.total_in_cents for order in paid)
    reasons = [(order, attention(order, now)) for order in listed]
    return Figures(
        orders=len(listed),
        paid_orders=len(paid),
        sales_in_cents=sales,
        refunds=sum(len(order.refunds or ()) for order in listed),
        refunded_in_cents=sum(order.refunded_in_cents for order in listed),
        average_order_in_cents=sales // len(paid) if paid else None,
        by_status=_tally((order.status or "not given", order.total_in_cents) for order in listed),
        by_payment_status=_tally(
            (order.payment_status or "not given", order.total_in_cents) for order in listed
        ),
        attention=tuple((order, reason) for order, reason in reasons if reason),
    )


def _tally(rows: Iterable[tuple[str, int]]) -> tuple[Tally, ...]:
    counts: Counter[str] = Counter()
    cents: Counter[str] = Counter()
    for name, total in rows:
        counts[name] += 1
        cents[name] += total
    return tuple(Tally(name, counts[name], cents[name]) for name in sorted(counts))
