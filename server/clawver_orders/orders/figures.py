"""Figures over a list of orders. No I/O."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clawver_orders.clawver.models import Order
from clawver_orders.money import UNKNOWN, USD
from clawver_orders.orders.lifecycle import attention


@dataclass(frozen=True)
class Tally:
    """How many orders share a word, and what they come to."""

    name: str
    orders: int
    total_in_cents: int | None
    """None where the currency is unknown: what is in different ones is never added."""
    currency: str = USD


@dataclass(frozen=True)
class Sums:
    """What the orders in one currency come to, in the smallest unit of it."""

    currency: str
    paid_orders: int
    sales_in_cents: int
    """The totals of all orders that were paid, before refunds."""
    refunded_in_cents: int

    @property
    def average_order_in_cents(self) -> int | None:
        """Rounded down; None when no order was paid."""
        return self.sales_in_cents // self.paid_orders if self.paid_orders else None


@dataclass(frozen=True)
class Figures:
    """A store's orders in numbers. Amounts in different currencies are never added."""

    orders: int
    paid_orders: int
    refunds: int
    sums: tuple[Sums, ...]
    """One for each currency that is known: US dollars first, or else the most frequent one."""
    unsummed: int
    """Orders whose currency is unknown, so that their money is in no sum."""
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
    reasons = [(order, attention(order, now)) for order in listed]
    return Figures(
        orders=len(listed),
        paid_orders=len(paid),
        refunds=sum(len(order.refunds or ()) for order in listed),
        sums=_sums(listed),
        unsummed=sum(order.currency == UNKNOWN for order in listed),
        by_status=_tally(listed, lambda order: order.status),
        by_payment_status=_tally(listed, lambda order: order.payment_status),
        attention=tuple((order, reason) for order, reason in reasons if reason),
    )


def _sums(orders: Sequence[Order]) -> tuple[Sums, ...]:
    often = Counter(order.currency for order in orders if order.currency != UNKNOWN)
    currencies = sorted(often or {USD}, key=lambda each: (each != USD, -often[each], each))
    return tuple(_sum([o for o in orders if o.currency == each], each) for each in currencies)


def _sum(orders: Sequence[Order], currency: str) -> Sums:
    paid = [order.total_in_cents for order in orders if order.is_paid or order.is_refunded]
    refunded = sum(order.refunded_in_cents for order in orders)
    return Sums(currency, len(paid), sum(paid), refunded)


def _tally(orders: Iterable[Order], word: Callable[[Order], str]) -> tuple[Tally, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    cents: Counter[tuple[str, str]] = Counter()
    for order in orders:
        row = (word(order) or "not given", order.currency)
        counts[row] += 1
        cents[row] += order.total_in_cents
    return tuple(
        Tally(name, orders, None if currency == UNKNOWN else cents[name, currency], currency)
        for (name, currency), orders in sorted(counts.items())
    )
