"""What Clawver sends: tolerant of what is new, strict about what is used."""

import typing
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from clawver_orders.clawver import models
from clawver_orders.clawver.models import Download, Order, OrderPage, Receipt, Record, Variant

ROW = {
    "id": "ord_1",
    "status": "confirmed",
    "totalInCents": 2499,
    "createdAt": "2026-11-24T09:30:00Z",
}


def order(**fields: Any) -> Order:
    return Order.model_validate(ROW | fields)


def test_a_row_with_nothing_but_the_essentials_is_an_order() -> None:
    row = order()

    assert row.total_in_cents == 2499
    assert row.items is None
    assert row.refunds is None


def test_new_fields_old_words_and_times_with_milliseconds_do_no_harm() -> None:
    read = order(status="refunded", createdAt="2026-11-24T09:30:00.123Z", invented={"deep": [1]})

    assert read.status == "refunded"
    assert read.created_at is not None
    assert read.created_at.isoformat() == "2026-11-24T09:30:00.123000+00:00"


@pytest.mark.parametrize("when", ["2026-11-24T09:30:00", "2026-11-24T10:30:00+01:00"])
def test_times_are_in_utc(when: str) -> None:
    assert order(createdAt=when).created_at == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "wrong",
    [
        {"totalInCents": "2499"}, {"totalInCents": 24.99}, {"totalInCents": True}, {"totalInCents": -1},
        {"id": "../stores/me"}, {"id": 7}, {"id": ""}, {"refunds": "none"}, {"refunds": {}},
        {"refunds": [{"id": "ref_1"}]}, {"refunds": [{"id": "ref_1", "amountInCents": -1}]},
        {"refunds": [{"id": "ref_1", "amountInCents": "5", "status": "failed"}]}, {"refunds": [None]},
        {"refunds": [{"id": "a b", "amountInCents": 1}]},
    ],
)  # fmt: skip
def test_what_is_used_must_be_right(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        order(**wrong)


@pytest.mark.parametrize(
    ("payment_status", "refunds", "left"),
    [
        ("paid", [], 2499), ("paid", None, 2499), ("partially_refunded", [499], 2000),
        ("partially_refunded", [], None), ("partially_refunded", None, None), ("refunded", [2499], 0),
        ("pending", [], 0), ("failed", [], 0), ("invented", [], 0), ("paid", [3000], 0),
    ],
)  # fmt: skip
def test_what_is_left_to_refund_follows_from_the_payment_and_the_refunds(
    payment_status: str, refunds: list[int] | None, left: int | None
) -> None:
    listed = None if refunds is None else [
        {"id": f"ref_{n}", "amountInCents": cents} for n, cents in enumerate(refunds)
    ]  # fmt: skip

    assert order(paymentStatus=payment_status, refunds=listed).refundable_in_cents == left


EUR, JPY = {"currency": "eur"}, {"currency": "JPY"}
PAID_BACK = {"id": "ref_1", "amountInCents": 1}


@pytest.mark.parametrize(
    ("fields", "currency"),
    [
        ({}, "USD"), ({"currency": None}, "USD"), ({"currency": ""}, "USD"), ({"currency": "usd"}, "USD"),
        (JPY, "JPY"), ({"currencyCode": "JPY"}, "JPY"), ({"currencyCode": "JPY"} | EUR, "XXX"),
        ({"currency": 840}, "XXX"), ({"currency": {"code": "USD"}}, "XXX"), ({"currency": "US$"}, "XXX"),
        ({"items": [EUR, {}]}, "EUR"), ({"items": [EUR, JPY]}, "XXX"), (JPY | {"items": [JPY]}, "JPY"),
        ({"currency": "USD", "items": [EUR]}, "XXX"), ({"items": [7, None]}, "USD"),
        ({"refunds": [PAID_BACK | JPY]}, "JPY"), (EUR | {"refunds": [PAID_BACK | JPY]}, "XXX"),
        ({"items": [{"currency": []}]}, "XXX"),
    ],
)  # fmt: skip
def test_an_order_is_in_dollars_only_if_nothing_on_it_says_otherwise(
    fields: dict[str, Any], currency: str
) -> None:
    assert order(**fields).currency == currency
    if "refunds" not in fields:
        assert Receipt.model_validate(fields).currency == currency


FAILED = {"id": "ref_f", "amountInCents": 700, "status": "failed"}


@pytest.mark.parametrize(
    ("status", "counts", "left"),
    [
        (None, True, 2000), ("", True, 2000), ("succeeded", True, 2000), ("pending", True, 2000),
        ("Succeeded ", True, 2000), ("failed", False, 2499), ("CANCELED", False, 2499),
        ("cancelled", False, 2499), ("requires_action", False, None), ("reversed", False, None),
        (" ", False, None), ("\u200b", False, None), (True, False, None), (0, False, None),
        ([], False, None), ({"value": "succeeded"}, False, None),
    ],
)  # fmt: skip
def test_only_a_refund_that_succeeded_or_is_pending_counts_as_money(
    status: object, counts: bool, left: int | None
) -> None:
    found = order(
        paymentStatus="paid", refunds=[{"id": "ref_1", "amountInCents": 499, "status": status}]
    )

    listed = [refund.id for refund in found.refunds or ()]
    uncounted = [refund.id for refund in found.uncounted_refunds]
    assert (listed, uncounted) == ((["ref_1"], []) if counts else ([], ["ref_1"]))
    assert found.refunded_in_cents == (499 if counts else 0)
    assert found.refundable_in_cents == left
    assert found.has_unclear_refunds is (left is None)
    assert found.lists_its_refunds is (left is not None)


def test_refunds_that_moved_nothing_hide_no_others() -> None:
    nothing = {"id": "ref_0", "amountInCents": 0}
    real = {"id": "ref_1", "amountInCents": 499}
    found = order(paymentStatus="partially_refunded", refunds=[FAILED, real, nothing])

    assert [refund.id for refund in found.refunds or ()] == ["ref_1"]
    assert [refund.status for refund in found.uncounted_refunds] == ["failed", ""]
    assert (found.refunded_in_cents, found.refundable_in_cents) == (499, 2000)


def test_failed_refunds_alone_do_not_explain_a_partial_refund() -> None:
    found = order(paymentStatus="partially_refunded", refunds=[FAILED])

    assert not found.lists_its_refunds
    assert found.refundable_in_cents is None


def test_an_unclear_refund_beside_others_leaves_the_rest_unknown() -> None:
    refunds = [{"id": "ref_1", "amountInCents": 499}, FAILED | {"status": "requires_action"}]
    found = order(paymentStatus="partially_refunded", refunds=refunds)

    assert found.refunded_in_cents == 499
    assert found.refundable_in_cents is None


@pytest.mark.parametrize(
    ("payment_status", "is_paid", "is_refunded"),
    [
        ("paid", True, False), ("partially_refunded", True, False), ("refunded", False, True),
        ("pending", False, False), ("failed", False, False), ("invented", False, False), ("", False, False),
    ],
)  # fmt: skip
def test_an_order_is_paid_until_all_of_it_is_refunded(
    payment_status: str, is_paid: bool, is_refunded: bool
) -> None:
    found = order(paymentStatus=payment_status)

    assert (found.is_paid, found.is_refunded) == (is_paid, is_refunded)


@pytest.mark.parametrize(
    ("body", "more"),
    [
        ({"meta": {"pagination": {"hasMore": True}}}, True), ({"pagination": {"hasMore": False}}, False),
        ({}, None), ({"meta": {}}, None), ({"meta": []}, None), ({"pagination": {"hasMore": "yes"}}, None),
    ],
)  # fmt: skip
def test_both_shapes_of_pagination_are_read(body: dict[str, Any], more: bool | None) -> None:
    page = OrderPage.model_validate({"data": {"orders": [ROW]}} | body)

    assert [each.id for each in page.orders] == ["ord_1"]
    assert page.has_more is more


@pytest.mark.parametrize(
    "body", [[], "x", {}, {"data": []}, {"data": {}}, {"data": {"orders": {}}}]
)
def test_a_page_without_a_list_of_orders_is_none(body: Any) -> None:
    with pytest.raises(ValidationError):
        OrderPage.model_validate(body)


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/x", "javascript:alert(1)", "file:///etc/passwd", "https://user@files.example/",
        "https:///x", "https://files.example/\n", "https://files.example/\u202e", "https://files.exämple/",
        "https://files.example/" + "x" * 4096, "https://files.example/" + "ä" * 1000, 7, None, "",
        "https://files.example\\@evil.example/", "https://files.example/a\\b", "https://a b.example/",
        " https://files.example/", "https://files.example:x/", "https://[::2]/", "https://%41.example/",
    ],
)  # fmt: skip
def test_a_link_that_nobody_should_open_is_refused(url: Any) -> None:
    with pytest.raises(ValidationError):
        Download.model_validate({"downloadUrl": url})


@pytest.mark.parametrize("url", ["https://files.example/x?y=1", "http://127.0.0.1:8787/files/x"])
def test_a_link_to_https_or_this_machine_is_fine(url: str) -> None:
    assert Download.model_validate({"downloadUrl": url}).download_url == url


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        ("https://f.example/my fonts.zip", "https://f.example/my%20fonts.zip"),
        ("https://f.example/für?n=ä#ö", "https://f.example/f%C3%BCr?n=%C3%A4#%C3%B6"),
        ("https://f.example/a%20b?s=%2B+&t=~x,(y)", "https://f.example/a%20b?s=%2B+&t=~x,(y)"),
        ('https://f.example/"<b>`', "https://f.example/%22%3Cb%3E%60"),
        ("http://[::1]:8787/x", "http://[::1]:8787/x"),
    ],
)
def test_a_link_is_encoded_where_it_has_to_be(url: str, encoded: str) -> None:
    assert Download.model_validate({"downloadUrl": url}).download_url == encoded


def test_a_tracking_address_that_nobody_should_open_is_left_out() -> None:
    assert order(trackingUrl="javascript:alert(1)").tracking_url is None
    assert order(trackingUrl="https://post.example/1").tracking_url == "https://post.example/1"


def test_printful_numbers_are_read_as_text_and_stock_in_both_ways() -> None:
    numbered = Variant.model_validate({"id": 4012, "printfulVariantId": 77, "inStock": True})
    sold_out = Variant.model_validate(
        {"id": "v", "availabilityStatus": "out_of_stock", "inStock": True}
    )

    assert (numbered.id, numbered.printful_variant_id, numbered.is_available) == (
        "4012",
        "77",
        True,
    )
    assert sold_out.is_available is False
    assert Variant.model_validate({"id": "v"}).is_available is None
    assert Variant.model_validate({"id": True}).id is None


def test_no_text_enters_without_passing_a_check() -> None:
    """A bare `str` in a wire model would let hidden characters through."""
    for kind in vars(models).values():
        if isinstance(kind, type) and issubclass(kind, Record):
            for name, hint in typing.get_type_hints(kind, include_extras=True).items():
                if name == "model_config" or typing.get_origin(hint) is typing.ClassVar:
                    continue
                assert hint is not str, f"{kind.__name__}.{name}"
                assert str not in typing.get_args(hint) or hasattr(hint, "__metadata__"), (
                    f"{kind.__name__}.{name}"
                )


def test_what_is_only_shown_is_left_out_when_it_cannot_be_read() -> None:
    odd = order(
        paymentStatus=None, carrier={}, shippingAddress="x", platformFeeInCents=49.98, trackingNumber=[],
        refunds=[{"id": "ref_1", "amountInCents": 1, "reason": None, "stripeRefundId": "re:1"}],
        items=[{"id": "i", "productName": None, "productId": "a/b", "variantName": None}],
    )  # fmt: skip

    assert (odd.payment_status, odd.carrier, odd.shipping_address) == ("", None, None)
    assert odd.refunds is not None
    assert (odd.refunds[0].reason, odd.refunds[0].stripe_refund_id) == ("", None)
    assert odd.items is not None
    assert (odd.items[0].product_name, odd.items[0].product_id) == ("", None)
    assert Variant.model_validate({"id": "v", "size": None, "availabilityStatus": None}).size == ""
