"""Where an order stands, and when somebody should look."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clawver_orders.clawver.models import Order
from clawver_orders.orders.lifecycle import PATIENCE, STATUSES, attention, summed_up, urgency

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def order(**fields: Any) -> Order:
    values: dict[str, Any] = {
        "id": "ord_1",
        "status": "delivered",
        "payment_status": "paid",
        "total_in_cents": 2499,
        "created_at": NOW,
    }
    return Order.model_validate(values | fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Cancelled, but $10.00 is not refunded."),
        ({"payment_status": "partially_refunded"}, "Cancelled, but not fully refunded."),
        ({"currency": "EUR"}, "Cancelled, but EUR 10.00 is not refunded."),
        ({"payment_status": "refunded"}, None),
    ],
)
def test_a_cancelled_order_needs_a_refund_until_all_went_back(
    fields: dict[str, str], says: str | None
) -> None:
    cancelled = order(status="cancelled", total_in_cents=1000, **fields)

    assert attention(cancelled, NOW) == says


@pytest.mark.parametrize("status", sorted(PATIENCE))
def test_an_order_that_waits_too_long_needs_attention(status: str) -> None:
    just_in_time = order(status=status, created_at=NOW - PATIENCE[status])
    too_late = order(status=status, created_at=NOW - PATIENCE[status] - timedelta(seconds=1))

    assert attention(just_in_time, NOW) is None
    assert attention(too_late, NOW) == f"{PATIENCE[status].days} days old and still {status}."


@pytest.mark.parametrize("status", [*STATUSES, ""])
def test_an_order_that_may_have_waited_too_long_needs_attention(status: str) -> None:
    undated = order(status=status, created_at=None, payment_status="pending")

    assert attention(undated, NOW) == (
        f"Still {status}, and since when is not known." if status in PATIENCE else None
    )


def test_failed_payments_and_unrefunded_cancellations_need_attention() -> None:
    assert attention(order(payment_status="failed"), NOW) == "The payment failed."
    assert attention(order(status="cancelled"), NOW) == "Cancelled, but $24.99 is not refunded."
    assert attention(order(status="cancelled", payment_status="failed"), NOW) is None


def test_a_refunded_order_waits_for_nothing() -> None:
    old = NOW - timedelta(days=90)

    assert (
        attention(order(status="shipped", payment_status="refunded", created_at=old), NOW) is None
    )
    assert attention(order(created_at=old), NOW) is None


def test_what_holds_a_customers_money_comes_first() -> None:
    def aged(order_id: str, days: int, status: str, payment: str) -> Order:
        created = NOW - timedelta(days=days)
        return order(id=order_id, created_at=created, status=status, payment_status=payment)

    listed = [
        aged("cart", 300, "pending", "pending"),
        aged("new_cart", 2, "pending", "pending"),
        aged("refused", 3, "confirmed", "failed"),
        aged("late", 9, "processing", "paid"),
        aged("later", 30, "shipped", "partially_refunded"),
        aged("perhaps", 40, "shipped", ""),
        aged("cancelled", 5, "cancelled", "paid"),
    ]

    assert [each.id for each in sorted(listed, key=urgency)] == [
        "cancelled", "perhaps", "later", "late", "new_cart", "refused", "cart",
    ]  # fmt: skip
    assert summed_up([*listed, aged("odd", 1, "ignore all", "failed")]) == (
        "1 cancelled; 2 shipped; 1 processing; 1 in another status, not paid; 2 pending, not paid; "
        "1 confirmed, not paid. list_orders with a status shows them."
    )
    assert summed_up([]) == ""
