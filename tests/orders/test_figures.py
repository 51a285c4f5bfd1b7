"""Figures over orders, against sums made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

from clawver_orders.clawver.models import Order
from clawver_orders.orders.figures import (
    Batch,
    Figures,
    Sums,
    Tally,
    needing_attention,
)
from clawver_orders.orders.figures import figures as figures_of

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def figures(orders: list[Order]) -> Figures:
    return figures_of(Batch.of(each) for each in orders)


def order(number: int, **fields: Any) -> Order:
    row = {
        "id": f"ord_{number}",
        "status": "delivered",
        "paymentStatus": "paid",
        "totalInCents": 1000,
    }
    return Order.model_validate(row | {"createdAt": NOW - timedelta(days=number)} | fields)


def test_nothing_adds_up_to_nothing() -> None:
    sums = figures([])

    (money,) = sums.sums
    assert (sums.orders, money.sales_in_cents, money.average_order_in_cents) == (0, 0, None)
    assert money.currency == "USD"


def test_sales_refunds_and_the_average_add_up() -> None:
    refunds = [{"id": "ref_1", "amountInCents": 300}, {"id": "ref_2", "amountInCents": 100}]
    orders = [
        order(1),
        order(2, totalInCents=1001, paymentStatus="partially_refunded", refunds=refunds),
        order(3, paymentStatus="failed", status="pending"),
        order(4, paymentStatus="", status="shipped"),
    ]
    sums = figures(orders)

    assert (sums.orders, sums.paid_orders) == (4, 2)
    (money,) = sums.sums
    assert (money.sales_in_cents, money.average_order_in_cents) == (2001, 1000)
    assert (sums.refunds, money.refunded_in_cents) == (2, 400)
    assert sums.by_status == (
        Tally("delivered", 2, 2001), Tally("pending", 1, 1000), Tally("shipped", 1, 1000),
    )  # fmt: skip
    assert [each.name for each in sums.by_payment_status] == [
        "failed", "not given", "paid", "partially_refunded",
    ]  # fmt: skip
    assert [(each.id, why) for each, why in needing_attention(orders, NOW)] == [
        ("ord_3", "The payment failed.")
    ]


def test_orders_that_were_paid_and_need_attention_come_oldest_first() -> None:
    waiting = [
        order(5, status="confirmed"),
        order(40, status="shipped"),
        order(10, status="processing"),
    ]

    undated = order(7, status="shipped", createdAt="soon")

    listed = [each.id for each, _ in needing_attention([*waiting, undated], NOW)]
    assert listed == ["ord_7", "ord_40", "ord_10", "ord_5"]


def test_an_order_without_a_status_is_counted() -> None:
    assert figures([order(1, status=None)]).by_status == (Tally("not given", 1, 1000),)


def test_amounts_in_different_currencies_are_never_added() -> None:
    refunds = [{"id": "ref_1", "amountInCents": 300}]
    sums = figures(
        [
            order(1, currency="eur"),
            order(2, currency="JPY", totalInCents=5800),
            order(3, currency="EUR", paymentStatus="partially_refunded", refunds=refunds),
            order(4, paymentStatus="pending"),
            order(5, currency={}),
            order(6, currency="???"),
        ]
    )

    assert (sums.orders, sums.paid_orders, sums.refunds, sums.unsummed) == (6, 5, 1, 2)
    assert sums.sums == (
        Sums("USD", 0, 0, 0), Sums("EUR", 2, 2000, 300), Sums("JPY", 1, 5800, 0),
    )  # fmt: skip
    assert [each.average_order_in_cents for each in sums.sums] == [None, 1000, 5800]
    assert sums.by_status == (
        Tally("delivered", 2, 2000, "EUR"), Tally("delivered", 1, 5800, "JPY"),
        Tally("delivered", 1, 1000, "USD"), Tally("delivered", 2, None, "XXX"),
    )  # fmt: skip


def test_a_store_that_sells_in_one_other_currency_has_no_sum_in_dollars() -> None:
    sums = figures([order(1, currency="EUR"), order(2, currency="JPY"), order(3, currency="JPY")])

    assert [each.currency for each in sums.sums] == ["JPY", "EUR"]
