"""Figures over orders, read one by one or added up already. No I/O."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from clawver_orders.clawver.models import Order
from clawver_orders.money import UNKNOWN, USD
from clawver_orders.orders.lifecycle import attention, urgency


@dataclass(frozen=True)
class Batch:
    """Orders that are alike in status, payment and currency, added up. Amounts are in the smallest unit of it."""

    status: str
    payment_status: str
    currency: str
    was_paid: bool
    """Whether they were ever paid, whatever went back."""
    orders: int
    total_in_cents: int
    refunds: int = 0
    refunded_in_cents: int = 0
    pieces: int = 0
    """Of one product, where they are added up by product."""

    @classmethod
    def of(cls, order: Order) -> "Batch":
        """One order."""
        return cls(
            order.status,
            order.payment_status,
            order.currency,
            order.was_paid,
            1,
            order.total_in_cents,
            len(order.refunds or ()),
            order.refunded_in_cents,
        )


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
    paid_orders: int = 0
    sales_in_cents: int = 0
    """The totals of all orders that were paid, before refunds."""
    refunded_in_cents: int = 0

    @property
    def average_order_in_cents(self) -> int | None:
        """Rounded down; None when no order was paid."""
        return self.sales_in_cents // self.paid_orders if self.paid_orders else None

    @property
    def refund_rate(self) -> str:
        """What went back of the sales, such as 3.2%; nothing when nothing was sold."""
        return percent(self.refunded_in_cents, self.sales_in_cents)


@dataclass(frozen=True)
class Figures:
    """A store's orders in numbers. Amounts in different currencies are never added."""

    orders: int
    paid_orders: int
    refunds: int
    pieces: int
    sums: tuple[Sums, ...]
    """One for each currency that is known: US dollars first, or else the most frequent one."""
    unsummed: int
    """Orders whose currency is unknown, so that their money is in no sum."""
    by_status: tuple[Tally, ...]
    by_payment_status: tuple[Tally, ...]

    def in_currency(self, currency: str) -> Sums:
        """What the orders in one currency come to."""
        return next((each for each in self.sums if each.currency == currency), Sums(currency))


def percent(part: int, whole: int) -> str:
    """A part of a whole in percent, such as 3.2%; nothing where the whole is nothing."""
    return f"{100 * part / whole:.1f}%" if whole else ""


def figures(batches: Iterable[Batch]) -> Figures:
    """Add orders up, each of which is in one batch."""
    listed = list(batches)
    return Figures(
        orders=sum(each.orders for each in listed),
        paid_orders=sum(each.orders for each in listed if each.was_paid),
        refunds=sum(each.refunds for each in listed),
        pieces=sum(each.pieces for each in listed),
        sums=_sums(listed),
        unsummed=sum(each.orders for each in listed if each.currency == UNKNOWN),
        by_status=_tally((each.status, each) for each in listed),
        by_payment_status=_tally((each.payment_status, each) for each in listed),
    )


def needing_attention(orders: Iterable[Order], now: datetime) -> tuple[tuple[Order, str], ...]:
    """Orders that somebody should look at, the most urgent first, each with the reason.

    Args:
        orders: Each order once.
        now: What counts as the present for orders that wait.
    """
    reasons = ((order, attention(order, now)) for order in sorted(orders, key=urgency))
    return tuple((order, reason) for order, reason in reasons if reason)


def products_of(order: Order) -> Iterator[tuple[str, str, Batch]]:
    """Each product of an order once: its id, its name, and what its lines come to."""
    lines = defaultdict(list)
    for item in order.items or ():
        lines[item.product_id or item.name].append(item)
    for product, items in lines.items():
        total = sum(item.total_in_cents or 0 for item in items)
        pieces = sum(item.quantity or 0 for item in items)
        batch = Batch(
            "", order.payment_status, order.currency, order.was_paid, 1, total, pieces=pieces
        )
        yield product, items[0].name, batch


def _sums(batches: list[Batch]) -> tuple[Sums, ...]:
    often: dict[str, int] = defaultdict(int)
    for each in batches:
        if each.currency != UNKNOWN:
            often[each.currency] += each.orders
    currencies = sorted(often or {USD: 0}, key=lambda each: (each != USD, -often[each], each))
    return tuple(_sum([b for b in batches if b.currency == each], each) for each in currencies)


def _sum(batches: list[Batch], currency: str) -> Sums:
    paid = [each for each in batches if each.was_paid]
    return Sums(
        currency,
        sum(each.orders for each in paid),
        sum(each.total_in_cents for each in paid),
        sum(each.refunded_in_cents for each in batches),
    )


def _tally(named: Iterable[tuple[str, Batch]]) -> tuple[Tally, ...]:
    orders: dict[tuple[str, str], int] = defaultdict(int)
    cents: dict[tuple[str, str], int] = defaultdict(int)
    for name, each in named:
        row = (name or "not given", each.currency)
        orders[row] += each.orders
        cents[row] += each.total_in_cents
    return tuple(
        Tally(name, count, None if currency == UNKNOWN else cents[name, currency], currency)
        for (name, currency), count in sorted(orders.items())
    )
