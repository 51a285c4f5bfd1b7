"""What an order and the ledger together say about money."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clawver_orders.clawver.models import Order, Refund
from clawver_orders.instants import Instant
from clawver_orders.refunds.matching import (
    Doubt,
    Refundable,
    agrees,
    doubts_of,
    is_like,
    refundable,
    unexplained,
    united,
)
from clawver_orders.refunds.records import Attempt, OrderRecords, Wish

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
INSTANT = Instant(NOW, 5000.0, "this start")


def order(**fields: Any) -> Order:
    values = {"id": "ord_1", "status": "shipped", "totalInCents": 2499, "createdAt": NOW}
    return Order.model_validate(values | {"paymentStatus": "paid"} | fields)


def wish(refund_id: str) -> Wish:
    return Wish(
        refund_id, "ord_1", 500, "Torn", (), revision=1, grade_needed="agent", shown="paid",
        created_at=NOW, previewed=INSTANT, status="unknown",
    )  # fmt: skip


def attempt(reason: str = "Torn", **fields: Any) -> Attempt:
    values: dict[str, Any] = {
        "refunds_before": frozenset({"ref_0"}), "sent": INSTANT, "sent_by_server": None,
        "status": "unknown",
    }  # fmt: skip
    return Attempt("rfi_1", 1, "ord_1", 500, reason, **values | fields)


def refund(ref: str = "ref_1", cents: int = 500, **fields: Any) -> Refund:
    return Refund.model_validate({"id": ref, "amountInCents": cents} | fields)


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
    newest, older = wish("rfi_2"), wish("rfi_1")

    assert refundable(order(), (newest, older)) == Refundable(None, newest, is_ledger_readable=True)


def test_nothing_is_known_while_the_ledger_cannot_be_read() -> None:
    assert refundable(order(), None) == Refundable(None, None, is_ledger_readable=False)


# Every refund that was ever seen


def test_an_order_that_does_not_tell_its_refunds_stays_so() -> None:
    seen = refund()
    hides, paid = order(paymentStatus="partially_refunded"), order()

    assert united(hides, [seen]) is hides
    assert united(paid, ()) is paid
    assert united(paid, [seen]).refunds == (seen,)
    assert united(united(paid, [seen]), [seen]).refunds == (seen,)


def test_what_is_listed_as_failed_by_now_is_no_refund_any_more() -> None:
    failed = order(refunds=[{"id": "ref_1", "amountInCents": 500, "status": "failed"}])

    assert united(failed, [refund(), refund("ref_2")]).refunds == (refund("ref_2"),)


# What only a person may decide about


@pytest.mark.parametrize(("passed", "left"), [(0, 90), (89, 1), (90, None)])
def test_an_older_copy_of_the_ledger_is_in_doubt_for_a_verification_window(
    passed: float, left: float | None
) -> None:
    noticed = Instant(NOW - timedelta(seconds=passed), 5000.0 - passed, "this start")
    records = OrderRecords("ord_1", (), 0, INSTANT, restored=noticed)

    doubts = doubts_of(records, INSTANT, 90)

    assert doubts == (() if left is None else (Doubt("restored", seconds_left=left),))


# Whether a refund can be that of an attempt

LONG = "The print came out smudged on the left sleeve."


@pytest.mark.parametrize(
    ("sent", "told", "counts"),
    [
        ("Torn", "", True),
        ("Torn", "Torn", True),
        ("Torn", " TORN\n", True),
        ("Torn  at the  seam", "Torn at the seam", True),
        ("Torn", "Torn and wet", False),
        ("Torn and wet", "Torn", False),  # it could be anybody's
        (LONG, LONG[:20], True),
        (LONG, LONG[:19], False),
        (LONG, "Another reason of at least twenty letters", False),
        (LONG, LONG[:24] + "…", True),
        (LONG, LONG[:24] + " ...", True),
        (LONG, LONG[:19] + "…", False),
    ],
)
def test_the_reason_has_to_agree_or_to_be_missing_or_cut_short(
    sent: str, told: str, *, counts: bool
) -> None:
    assert agrees(attempt(sent), refund(reason=told)) is counts


@pytest.mark.parametrize(
    ("hours", "counts"), [(-24, True), (-24.01, False), (0, True), (24, True), (24.01, False)]
)
@pytest.mark.parametrize("by_server", [True, False])
def test_the_time_has_to_be_near_that_of_sending(
    hours: float, *, counts: bool, by_server: bool
) -> None:
    """The server's time counts; this machine's only where the server tells none."""
    at = NOW + timedelta(days=400) if by_server else NOW
    sent = attempt(sent_by_server=at if by_server else None)

    assert agrees(sent, refund(createdAt=at + timedelta(hours=hours))) is counts
    assert agrees(sent, refund())


def test_the_amount_has_to_be_that_very_one() -> None:
    assert not agrees(attempt(), refund(cents=499))


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ({}, True),
        ({"createdAt": None}, True),
        ({"reason": "something else"}, False),
        ({"cents": 501}, False),
        ({"createdAt": NOW + timedelta(hours=25)}, False),
    ],
)
def test_two_refunds_are_alike_when_amount_reason_and_time_are(
    other: dict[str, Any], *, alike: bool
) -> None:
    told: dict[str, Any] = {"reason": "requested_by_customer", "createdAt": NOW}

    assert is_like(refund(**told), refund("ref_2", **told | other)) is alike


def test_what_nothing_explains_is_new_and_belongs_to_no_attempt() -> None:
    mine = attempt()
    ours = attempt(status="refunded", clawver_refund_id="ref_2")
    known = wish("rfi_1")
    records = OrderRecords("ord_1", (Wish(**vars(known) | {"attempts": (mine, ours)}),), 1, INSTANT)
    listing = [
        {"id": "ref_0", "amountInCents": 500},
        {"id": "ref_1", "amountInCents": 3},
        {"id": "ref_2", "amountInCents": 500},
        {"id": "ref_3", "amountInCents": 500, "status": "failed"},
        {"id": "ref_4", "amountInCents": 500, "status": "requires_action"},
    ]

    found = unexplained(mine, records, order(refunds=listing))

    assert [each.id for each in found] == ["ref_1", "ref_4"]
    assert unexplained(mine, records, None) == ()
