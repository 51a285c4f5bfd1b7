"""What an order and the ledger together say about money."""

from datetime import UTC, datetime
from typing import Any

import pytest

from clawver_orders.clawver.models import Order
from clawver_orders.refunds.ledger import LIFETIME, Intent
from clawver_orders.refunds.matching import Refundable, refundable

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def order(**fields: Any) -> Order:
    values = {"id": "ord_1", "status": "shipped", "totalInCents": 2499, "createdAt": NOW}
    return Order.model_validate(values | {"paymentStatus": "paid"} | fields)


def intent(refund_id: str) -> Intent:
    return Intent(
        refund_id, "ord_1", 500, "Torn", (), "paid", needs_person=False, state="unknown",
        created_at=NOW, expires_at=NOW + LIFETIME,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({}, 2499),
        ({"paymentStatus": "partially_refunded", "refunds": [{"id": "ref_1", "amountInCents": 499}]}, 2000),
        ({"paymentStatus": "refunded"}, 0),
        ({"paymentStatus": "partially_refunded"}, None),
    ],
)  # fmt: skip
def test_what_is_left_is_what_the_order_says_while_no_refund_is_open(
    fields: dict[str, Any], left: int | None
) -> None:
    assert refundable(order(**fields), ()) == Refundable(left, None, is_ledger_readable=True)


def test_nothing_is_known_while_a_refund_is_open() -> None:
    newest, older = intent("rfi_2"), intent("rfi_1")

    assert refundable(order(), (newest, older)) == Refundable(None, newest, is_ledger_readable=True)


def test_nothing_is_known_while_the_ledger_cannot_be_read() -> None:
    assert refundable(order(), None) == Refundable(None, None, is_ledger_readable=False)
