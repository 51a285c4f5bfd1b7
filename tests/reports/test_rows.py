"""Orders, refunds and customers as rows."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.history.conftest import NOON, order
from tests.refunds.book import PERSON, Book

from clawver_orders.clawver.models import Order
from clawver_orders.history.mirror import Kept
from clawver_orders.orders.privacy import Masking
from clawver_orders.reports.rows import (
    CUSTOMERS,
    ORDERS,
    REFUNDS,
    customer_rows,
    order_row,
    refund_row,
)

OPEN, MASKED = Masking(), Masking(masked=True)
REFUND = {"id": "ref_1", "amountInCents": 500, "reason": "Torn"}
ADDRESS = {
    "name": "Ada Lovelace", "line1": "1 Main St", "line2": "Flat 2", "city": "Springfield", "state": "IL",
    "postalCode": "62704", "country": "US",
}  # fmt: skip


def kept(as_of: datetime = NOON, *, is_thin: bool = False, **changed: Any) -> Kept:
    return Kept(1, Order.model_validate(order(**changed)), as_of, is_thin, is_due=False)


def whole() -> Kept:
    return kept(
        paymentStatus="partially_refunded", paidAt="2026-11-20T09:01:00Z", refunds=[REFUND],
        shippingAddress=ADDRESS, carrier="UPS", trackingNumber="1Z999", trackingUrl="https://ups.example/1Z999",
        items=[{"productId": "prod_1", "productName": "Star map tee", "variantName": "XL", "quantity": 2, "totalInCents": 2499}],
    )  # fmt: skip


def test_an_order_is_a_row() -> None:
    row = order_row(whole(), OPEN, "csv")

    assert tuple(row) == ORDERS
    assert list(row.values()) == [
        "ord_1", "2026-11-20T09:00:00Z", "2026-11-20T09:01:00Z", "delivered", "partially_refunded", "USD", 2499,
        500, "ada@example.com", "Ada Lovelace", "1 Main St", "Flat 2", "Springfield", "IL", "62704", "US",
        "2× Star map tee", "UPS", "1Z999", "https://ups.example/1Z999", "2026-11-24T12:00:00Z", False,
    ]  # fmt: skip


def test_programs_get_each_item() -> None:
    assert order_row(whole(), OPEN, "jsonl")["items"] == [
        {
            "product_id": "prod_1",
            "name": "Star map tee",
            "variant": "XL",
            "quantity": 2,
            "total_in_cents": 2499,
        }
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_a_row_of_a_list_does_not_tell_is_empty(form: Any) -> None:
    thin = Order.model_validate({"id": "ord_1", "totalInCents": 2499, "status": "shipped"})

    row = order_row(Kept(1, thin, NOON, is_thin=True, is_due=True), OPEN, form)

    told = {name: value for name, value in row.items() if value not in ("", None)}
    assert told == {
        "order_id": "ord_1",
        "status": "shipped",
        "currency": "USD",
        "total_in_cents": 2499,
        "as_of": "2026-11-24T12:00:00Z",
        "is_thin": True,
    }


def test_an_amount_in_a_currency_that_cannot_be_told_names_none() -> None:
    assert order_row(kept(currency="?"), OPEN, "csv")["currency"] is None


@pytest.mark.parametrize(
    ("changed", "refunded"),
    [
        ({"paymentStatus": "paid"}, 0),
        ({"paymentStatus": "paid", "refunds": [REFUND | {"status": "strange"}]}, None),
        ({"paymentStatus": "refunded", "refunds": None}, None),
    ],
)
def test_what_went_back_is_nothing_only_where_that_is_certain(
    changed: dict[str, Any], refunded: int | None
) -> None:
    assert order_row(kept(**changed), OPEN, "csv")["refunded_in_cents"] == refunded


def test_a_masked_order_names_nobody() -> None:
    row = order_row(whole(), MASKED, "csv")

    assert row["customer_email"] == "a…@….com"
    assert row["name"] == "A… L…"
    hidden = (
        "line1",
        "line2",
        "city",
        "state",
        "postal_code",
        "country",
        "tracking_number",
        "tracking_url",
    )
    assert {row[name] for name in hidden} == {"…"}
    assert not {"Ada", "ada@example.com", "Springfield"} & set(map(str, row.values()))


async def test_a_refund_tells_who_approved_it_by_which_grade_and_channel(book: Book) -> None:
    wish = await book.at("refunded", approval=PERSON)

    row = refund_row(wish, OPEN)

    assert tuple(row) == REFUNDS
    assert list(row.values()) == [
        wish.refund_id, "ord_1", "refunded", "USD", 500, "Torn", "2026-11-24T12:00:00Z", "2026-11-24T12:00:00Z",
        "approve", "2026-11-24T12:00:00Z", "person by elicitation", "chat", "form", f"ref_{wish.refund_id}", "re_1",
    ]  # fmt: skip


async def test_a_refund_that_waits_has_no_decision(book: Book) -> None:
    row = refund_row(await book.at("waiting"), MASKED)

    assert row["reason"] == "…"
    assert [row[name] for name in ("sent_at", "decision", "decided_by", "grade", "channel")] == [
        None
    ] * 5


def test_a_customer_is_summed_by_currency() -> None:
    later = NOON + timedelta(hours=1)
    theirs = [
        kept(later, order_id="ord_1", paymentStatus="partially_refunded", refunds=[REFUND]),
        kept(order_id="ord_2", paymentStatus="pending", createdAt="2026-11-21T09:00:00Z"),
        kept(later, order_id="ord_3", currency="EUR", totalInCents=700),
        kept(order_id="ord_4", currency="?"),
    ]

    rows = list(customer_rows(iter(theirs), MASKED))

    assert {tuple(row) for row in rows} == {CUSTOMERS}
    assert [list(row.values()) for row in rows] == [
        ["a…@….com", "USD", 2, 1, 2499, 1, 500, "2026-11-20T09:00:00Z", "2026-11-21T09:00:00Z", "2026-11-24T12:00:00Z"],
        ["a…@….com", "EUR", 1, 1, 700, 0, 0, "2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z", "2026-11-24T13:00:00Z"],
        ["a…@….com", None, 1, 1, None, 0, None, "2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z", "2026-11-24T12:00:00Z"],
    ]  # fmt: skip


def test_an_order_without_a_time_hides_neither_the_first_nor_the_last_that_tell_theirs() -> None:
    theirs = [
        kept(order_id="ord_1", createdAt=None),
        kept(order_id="ord_2"),
        kept(order_id="ord_3", createdAt="2026-11-21T09:00:00Z"),
    ]

    (row,) = customer_rows(theirs, OPEN)
    (undated,) = customer_rows(theirs[:1], OPEN)

    assert row["first_order_at"] == "2026-11-20T09:00:00Z"
    assert row["last_order_at"] == "2026-11-21T09:00:00Z"
    assert (undated["first_order_at"], undated["last_order_at"]) == (None, None)


def test_what_went_back_to_a_customer_is_not_known_where_it_is_not_of_one_order() -> None:
    theirs = [
        kept(order_id="ord_1", paymentStatus="refunded", refunds=None),
        kept(order_id="ord_2"),
    ]

    (row,) = customer_rows(theirs, OPEN)

    assert (row["paid_in_cents"], row["refunded_in_cents"]) == (4998, None)


def test_times_are_in_utc() -> None:
    row = order_row(kept(datetime(2026, 11, 24, 12, tzinfo=UTC), createdAt="2026-11-20T09:00:00+02:00"), OPEN, "csv")  # fmt: skip

    assert row["created_at"] == "2026-11-20T07:00:00Z"
