"""Figures over orders, against sums made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

from clawver_orders.clawver.models import Order
from clawver_orders.orders.figures import Tally, figures

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def order(number: int, **fields: Any) -> Order:
    row = {
        "id": f"ord_{number}",
        "status": "delivered",
        "paymentStatus": "paid",
        "totalInCents": 1000,
    }
    return Order.model_validate(row | {"createdAt": NOW - timedelta(days=number)} | fields)


def test_nothing_adds_up_to_nothing() -> None:
    sums = figures([], NOW)

    assert (sums.orders, sums.sales_in_cents, sums.average_order_in_cents) == (0, 0, None)


def test_sales_refunds_and_the_average_add_up() -> None:
    refunds = [{"id": "ref_1", "amountInCents": 300}, {"id": "ref_2", "amountInCents": 100}]
    sums = figures(
        [
            order(1),
            order(2, totalInCents=1001, paymentStatus="partially_refunded", refunds=refunds),
            order(3, paymentStatus="failed", status="pending"),
            order(4, paymentStatus="", status="shipped"),
        ],
        NOW,
    )

    assert (sums.orders, sums.paid_orders) == (4, 2)
    assert (sums.sales_in_cents, sums.average_order_in_cents) == (2001, 1000)
    assert (sums.refunds, sums.refunded_in_cents) == (2, 400)
    assert sums.by_status == (
        Tally("delivered", 2, 2001), Tally("pending", 1, 1000), Tally("shipped", 1, 1000),
    )  # fmt: skip
    assert [each.name for each in sums.by_payment_status] == [
        "failed", "not given", "paid", "partially_refunded",
    ]  # fmt: skip
    assert [(each.id, why) for each, why in sums.attention] == [("ord_3", "The payment failed.")]


def test_orders_that_need_attention_come_oldest_first() -> None:
    waiting = [
        order(5, status="confirmed"),
        order(40, status="shipped"),
        order(10, status="processing"),
    ]

    undated = order(7, status="shipped", createdAt="soon")

    listed = [each.id for each, _ in figures([*waiting, undated], NOW).attention]
    assert listed == ["ord_7", "ord_40", "ord_10", "ord_5"]


def test_an_order_without_a_status_is_counted() -> None:
    assert figures([order(1, status=None)], NOW).by_status == (Tally("not given", 1, 1000),)
