"""Where an order stands, and when somebody should look."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clawver_orders.clawver.models import Order
from clawver_orders.orders.lifecycle import EARLY_STATUSES, PATIENCE, STATUSES, attention, stage

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


@pytest.mark.parametrize("status", [*STATUSES, *EARLY_STATUSES])
def test_every_documented_status_and_the_old_words_are_explained(status: str) -> None:
    assert "does not know" not in stage(order(status=status))


def test_a_status_invented_tomorrow_is_named_as_unknown() -> None:
    assert "does not know" in stage(order(status="teleported"))


def test_paid_printed_orders_go_to_print_and_paid_digital_ones_are_delivered() -> None:
    printed = {"id": "item_1", "productType": "print_on_demand"}
    digital = {"id": "item_2", "productType": "digital"}

    assert "processing" in stage(order(status="confirmed", items=[digital, printed]))
    assert "delivered" in stage(order(status="confirmed", items=[digital]))


def test_a_cancelled_order_needs_a_refund_until_all_went_back() -> None:
    assert "needs a refund" in stage(order(status="cancelled"))
    assert "needs a refund" in stage(order(status="cancelled", payment_status="partially_refunded"))
    assert stage(order(status="cancelled", payment_status="refunded")) == (
        "Cancelled, and refunded in full. Nothing follows."
    )


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
    assert attention(order(status="cancelled"), NOW) == "Cancelled, but not fully refunded."
    assert attention(order(status="cancelled", payment_status="failed"), NOW) is None


def test_a_refunded_order_waits_for_nothing() -> None:
    old = NOW - timedelta(days=90)

    assert (
        attention(order(status="shipped", payment_status="refunded", created_at=old), NOW) is None
    )
    assert attention(order(created_at=old), NOW) is None
