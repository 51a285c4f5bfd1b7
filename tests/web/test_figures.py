"""The figures of the last days as bars."""

from datetime import UTC, date, datetime

from tests.history.conftest import order

from clawver_orders.clawver.models import Order
from clawver_orders.days import IN_UTC
from clawver_orders.reports.digest import WentBack
from clawver_orders.tools.spans import KnownSums, Span, added_up
from clawver_orders.web.figures import Bar, LastDays, last_days

TODAY = date(2026, 11, 24)
EUROS = {"currency": "EUR"}


def placed(day: str, cents: int = 1000, **changed: object) -> Order:
    sent = order(f"ord_{day}_{cents}", createdAt=f"{day}T09:00:00Z", totalInCents=cents, **changed)
    return Order.model_validate(sent)


def known(*orders: Order, is_complete: bool = True) -> KnownSums:
    return KnownSums(Span(None, None), added_up(orders, "day", IN_UTC), is_complete)


def refunded(day: int, cents: int, currency: str = "USD") -> WentBack:
    return WentBack("ord_1", cents, currency, datetime(2026, 11, day, 12, tzinfo=UTC))


def drawn(sums: KnownSums, *refunds: WentBack, before: KnownSums | None = None) -> LastDays:
    return last_days(sums, before or known(), refunds, IN_UTC, TODAY)


def test_each_day_has_a_bar_as_high_as_its_share_of_the_highest() -> None:
    sums = known(placed("2026-11-11", 500), placed("2026-11-20", 2000), placed("2026-11-24", 1000))
    found = drawn(sums, refunded(24, 700), refunded(24, 300))
    orders, sales, refunds = found.charts

    assert (found.span, len(found.days)) == ("11 Nov to 24 Nov", 14)
    assert (orders.total, sales.total, refunds.total) == ("3", "$35.00", "$10.00")
    assert sales.bars == (
        Bar(2, 53, 15, "11 Nov: $5.00", is_today=False),
        Bar(182, 8, 60, "20 Nov: $20.00", is_today=False),
        Bar(262, 38, 30, "Today so far: $10.00", is_today=True),
    )
    assert (sales.most, refunds.most) == ("$20.00, 20 Nov", "$10.00, today so far")
    assert sales.cells[0] == "$5.00"
    assert sales.cells[1] == "$0.00"
    assert found.notes == ()


def test_a_day_of_little_is_not_a_day_of_nothing() -> None:
    _, sales, _ = drawn(known(placed("2026-11-20", 10**6), placed("2026-11-21", 1))).charts

    assert [each.height for each in sales.bars] == [60, 1]


def test_days_without_anything_have_no_bars() -> None:
    for chart in drawn(known()).charts:
        assert (chart.bars, chart.most) == ((), "")


def test_what_was_before_is_said_as_far_as_it_is_known() -> None:
    earlier = (placed("2026-11-01", 300), placed("2026-11-02", 400, paymentStatus="pending"))
    orders, sales, refunds = drawn(known(), before=known(*earlier)).charts
    assert (orders.before, sales.before, refunds.before) == ("2", "$3.00", "")

    orders, sales, _ = drawn(known(), before=known(*earlier, is_complete=False)).charts
    assert (orders.before, sales.before) == ("at least 2", "at least $3.00")


def test_what_is_not_in_the_bars_is_said() -> None:
    sums = known(
        placed("2026-11-20", 1000),
        placed("2026-11-20", 2000),
        placed("2026-11-21", 500, **EUROS),
        placed("2026-11-21", 600, currency="??"),
        placed("2026-11-22", 700, paymentStatus="partially_refunded"),
    )
    found = drawn(sums, refunded(23, 100), refunded(23, 250, "EUR"))
    _, sales, refunds = found.charts

    assert (sales.total, refunds.total) == ("$37.00", "$1.00")
    assert found.notes == (
        "Not in the bars of sales, in another currency: 1 order, EUR 5.00.",
        "Not in the bars of refunds, in another currency: EUR 2.50.",
        "Not in the sales, in an unknown currency: 1 order.",
        "Clawver doesn't tell the payment or the refunds of 1 order.",
    )
