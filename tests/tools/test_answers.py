"""The words of answers, and orders that say less or more than usual."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import succeeding, telling

from clawver_orders.caller import Script
from clawver_orders.clawver.models import Order
from clawver_orders.orders.privacy import Masking
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.tools import TOOLS
from clawver_orders.tools.answers import Answer, MoneyInCents, Part, Past, ago
from clawver_orders.tools.contract import flat
from clawver_orders.tools.downloads import in_bytes
from clawver_sandbox.shop import API_KEY

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ORDER = {
    "id": "ord_1",
    "status": "delivered",
    "totalInCents": 2400,
    "createdAt": "2026-11-24T00:00:00Z",
}


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(days=3, hours=5), "3 days ago"), (timedelta(hours=47), "47 hours ago"),
        (timedelta(minutes=119), "119 minutes ago"), (timedelta(0), "0 minutes ago"),
        (timedelta(seconds=61), "1 minute ago"),
        (timedelta(hours=-3), "0 minutes ago"),
    ],
)  # fmt: skip
def test_how_long_ago_is_said_in_the_largest_unit(passed: timedelta, words: str) -> None:
    assert ago(NOW - passed, NOW) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (48_095, "48.1 kB"), (999_949, "999.9 kB"),
        (999_950, "1.0 MB"), (5 * 10**9, "5.0 GB"), (10**15, "1000.0 TB"),
    ],
)  # fmt: skip
def test_sizes_are_said_in_words(size: int, words: str) -> None:
    assert in_bytes(size) == words


class Payment(Part):
    paid_in_cents: MoneyInCents
    last_try: Past | None = None


class Sample(Answer):
    left_in_cents: MoneyInCents | None = None
    sent_at: Past
    payments: list[Payment]


def test_money_and_times_are_said_in_words_right_behind_the_value() -> None:
    payment = Payment(paid_in_cents=2499, last_try=NOW - timedelta(hours=3))
    sample = Sample(next_step="", left_in_cents=0, sent_at=NOW, payments=[payment])

    assert list(sample.said(NOW + timedelta(days=3)).items()) == [
        ("next_step", ""),
        ("left_in_cents", 0),
        ("left", "$0.00"),
        ("sent_at", "2026-11-24T12:00:00Z"),
        ("sent_ago", "3 days ago"),
        ("payments", [{
            "paid_in_cents": 2499, "paid": "$24.99",
            "last_try": "2026-11-24T09:00:00Z", "last_try_ago": "3 days ago",
        }]),
    ]  # fmt: skip


def test_what_is_not_known_is_left_out_together_with_its_words() -> None:
    sample = Sample(next_step="", sent_at=NOW, payments=[Payment(paid_in_cents=0)])

    assert list(sample.said(NOW)) == ["next_step", "sent_at", "sent_ago", "payments"]
    assert list(sample.said(NOW)["payments"][0]) == ["paid_in_cents", "paid"]


def test_a_schema_has_the_words_where_the_answer_has_them() -> None:
    schema = flat(Sample.model_json_schema(mode="serialization"))
    text = {"type": "string"}

    assert list(schema["properties"]) == [
        "next_step", "sandbox", "left_in_cents", "left", "sent_at", "sent_ago", "payments",
    ]  # fmt: skip
    assert schema["required"] == ["next_step", "sent_at", "sent_ago", "payments"]
    assert schema["properties"]["payments"]["items"] == {
        "type": "object",
        "properties": {
            "paid_in_cents": {"type": "integer"}, "paid": text, "last_try": text, "last_try_ago": text,
        },
        "required": ["paid_in_cents", "paid"],
    }  # fmt: skip


async def ask(tool: str, answers: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """Call a tool on a store that knows just these answers, by path."""

    def answer(path: str) -> tuple[bytes, bytes]:
        return succeeding(answers[path.partition("?")[0].removeprefix("/v1")])

    async with (
        telling(answer) as url,
        opened(Settings(api_key=API_KEY, api_url=url), lambda: NOW) as services,
    ):
        return await TOOLS[tool].call(services, arguments, Script())


async def test_an_order_with_nothing_but_the_essentials_is_shown() -> None:
    answer = await ask("get_order", {"/orders/ord_1": {"order": ORDER}}, order_id="ord_1")

    assert answer["items"] == []
    assert answer["refundable_in_cents"] == 0
    assert "payment_status" not in answer
    assert "tracking" not in answer


async def test_an_order_says_how_long_ago_everything_was() -> None:
    refund = {"id": "r", "amountInCents": 500, "createdAt": str(NOW - timedelta(hours=3))}
    order = ORDER | {
        "createdAt": str(NOW - timedelta(days=3)),
        "paidAt": str(NOW - timedelta(days=2)),
        "refunds": [refund],
    }
    answer = await ask("get_order", {"/orders/ord_1": {"order": order}}, order_id="ord_1")

    assert (answer["created_ago"], answer["paid_ago"]) == ("3 days ago", "2 days ago")
    assert [each["created_ago"] for each in answer["refunds"]] == ["3 hours ago"]


async def test_an_order_whose_refunds_are_not_listed_does_not_guess_what_is_left() -> None:
    order = ORDER | {
        "paymentStatus": "partially_refunded",
        "items": [{"id": "i", "productType": "hologram"}],
    }
    answer = await ask("get_order", {"/orders/ord_1": {"order": order}}, order_id="ord_1")

    assert "refundable_in_cents" not in answer
    assert answer["next_step"].startswith("What can still be refunded is not known")
    assert answer["items"][0]["what_can_be_done"].startswith("Nothing")


async def test_sizes_of_an_order_that_tells_little() -> None:
    shirt = {
        "id": "i",
        "productType": "print_on_demand",
        "productId": "p",
        "variantId": "v_m",
        "priceInCents": 2400,
    }
    variants = [
        {"id": "v_m", "size": "M", "priceInCents": 2400}, {"id": "v_l", "size": "L", "priceInCents": 2600},
        {"id": "v_s", "size": "S"}, {"id": "v_xs", "size": "XS", "priceInCents": 2000},
    ]  # fmt: skip
    order = ORDER | {"paymentStatus": "partially_refunded", "items": [shirt]}
    known = {
        "/orders/ord_1": {"order": order},
        "/products/p": {"product": {"id": "p", "printOnDemand": {"variants": variants}}},
    }
    answer = await ask("handle_wrong_size", known, order_id="ord_1", wanted_size="L")

    (item,) = answer["items"]
    assert item["wanted_available"] == "not_known"
    assert [choice.get("difference") for choice in item["stock_unknown"]] == [
        "$2.00 more",
        None,
        "$4.00 less",
    ]
    assert "not known" in answer["steps"][-1]


async def test_sizes_of_a_refunded_order_offer_no_money() -> None:
    shirt = {"id": "i", "productType": "print_on_demand"}
    order = ORDER | {"paymentStatus": "refunded", "items": [shirt]}
    answer = await ask("handle_wrong_size", {"/orders/ord_1": {"order": order}}, order_id="ord_1")

    assert answer["steps"][-1] == "Nothing can be refunded on this order."


async def test_a_receipt_that_tells_little_is_shown() -> None:
    answer = await ask(
        "get_receipt",
        {"/checkout/chk_1/receipt": {"receipt": {"items": [{}, None]}}},
        checkout_id="chk_1",
    )

    assert answer["items"] == [{"product_name": "?", "quantity": 1}]
    assert "left out of items: 1. Find the order with list_orders" in answer["next_step"]


async def test_a_link_that_leaves_clawver_is_labelled() -> None:
    file = ORDER | {"paymentStatus": "paid", "items": [{"id": "i", "productType": "digital"}]}
    known: dict[str, Any] = {"/orders/ord_1": {"order": file}}
    elsewhere = known | {"/orders/ord_1/download/i": {"downloadUrl": "https://files.example/x"}}
    at_home = known | {"/orders/ord_1/download/i": {"downloadUrl": "https://cdn.clawver.store/x"}}

    assert (await ask("generate_download_link", elsewhere, order_id="ord_1"))[
        "unexpected_host"
    ] is True
    answer = await ask("generate_download_link", at_home, order_id="ord_1", item_id="i")
    assert answer["unexpected_host"] is False
    assert "expires_at" not in answer


async def test_a_store_without_trouble_needs_no_attention() -> None:
    answer = await ask("summarize_orders", {"/orders": {"orders": []}})

    assert answer["needs_attention"] == answer["open_refunds"] == []
    assert answer["next_step"] == "Nothing needs attention."


def test_a_reason_is_shown_without_any_part_of_a_name_or_address() -> None:
    where = {"name": "Lovelace, Ada-Mae", "line1": "12 Main St", "state": "California"}
    order = Order.model_validate(ORDER | {"shippingAddress": where})
    reason = "Mrs Lovelace (Mae) moved from 12 Main St to California"

    assert Masking(masked=True).words(reason, order) == "Mrs … (…) moved from … to …"
    assert Masking().words(reason, order) == reason
