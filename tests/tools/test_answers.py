"""The words of answers, and orders that say less or more than usual."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import Field
from tests.conftest import succeeding, telling

from clawver_orders.caller import Script
from clawver_orders.clawver.models import Order
from clawver_orders.orders.privacy import Masking
from clawver_orders.services import TEST_NOTICE, opened
from clawver_orders.settings import Settings
from clawver_orders.tools import TOOLS
from clawver_orders.tools.answers import Answer, Money, Part, Past, ago, table
from clawver_orders.tools.contract import flat
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


class Payment(Part):
    paid: Money
    last_try: Past | None = None


class Sample(Answer):
    left: Money | None = None
    sent_at: Past
    notes: list[str] = Field([])
    payments: list[Payment]


def test_money_and_times_are_one_text_each() -> None:
    payment = Payment(paid=2499, last_try=NOW - timedelta(hours=3))
    sample = Sample(next_step="Wait.", left=0, sent_at=NOW, payments=[payment])

    assert list(sample.said(NOW + timedelta(days=3)).items()) == [
        ("next_step", "Wait."),
        ("left", "$0.00"),
        ("sent_at", "2026-11-24T12:00Z, 3 days ago"),
        ("payments", [{"paid": "$24.99", "last_try": "2026-11-24T09:00Z, 3 days ago"}]),
    ]


def test_what_is_not_known_or_empty_is_left_out_unless_it_is_what_was_asked_for() -> None:
    assert Sample(sent_at=NOW, payments=[]).said(NOW) == {
        "sent_at": "2026-11-24T12:00Z, 0 minutes ago",
        "payments": [],
    }


def test_a_schema_says_text_where_the_answer_has_text() -> None:
    schema = flat(Sample.model_json_schema(mode="serialization"), defaults=False)

    assert schema["required"] == ["sent_at", "payments"]
    assert schema["properties"]["left"] == schema["properties"]["sent_at"] == {"type": "string"}
    assert schema["properties"]["payments"]["items"] == {
        "type": "object",
        "properties": {"paid": {"type": "string"}, "last_try": {"type": "string"}},
        "required": ["paid"],
    }


class Line(Part):
    name: str = ""
    colour: str = ""
    size: str = ""
    note: str = ""


def test_a_table_says_once_what_is_the_same_and_leaves_out_what_is_empty() -> None:
    lines = [Line(name="A", colour="red", size="S"), Line(name="A", colour="red", size="")]

    assert table(lines) == (["name", "size"], [["A", "S"], ["A", ""]], Line(colour="red"))
    assert table(lines[:1]) == (["name", "colour", "size"], [["A", "red", "S"]], None)
    assert table([]) == ([], [], None)


async def ask(tool: str, answers: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """Call a tool on a store that knows just these answers, by path."""

    def answer(path: str) -> tuple[bytes, bytes]:
        return succeeding(answers[path.partition("?")[0].removeprefix("/v1")])

    async with (
        telling(answer) as url,
        opened(Settings(api_key=API_KEY, api_url=url, history=False), lambda: NOW) as services,
    ):
        return await TOOLS[tool].call(services, arguments, Script())


async def test_an_order_with_nothing_but_the_essentials_is_shown() -> None:
    answer = await ask("get_order", {"/orders/ord_1": {"order": ORDER}}, order_id="ord_1")

    assert answer == {
        "orders": [
            {
                "order_id": "ord_1", "status": "delivered", "payment_status": "?",
                "created_at": "2026-11-24T00:00Z, 12 hours ago", "total": "$24.00", "refundable": "$0.00",
            }
        ],
        "sandbox": TEST_NOTICE,
    }  # fmt: skip


async def test_an_order_says_how_long_ago_everything_was() -> None:
    refund = {"id": "r", "amountInCents": 500, "createdAt": str(NOW - timedelta(hours=3))}
    order = ORDER | {
        "createdAt": str(NOW - timedelta(days=3)),
        "paidAt": str(NOW - timedelta(days=2)),
        "refunds": [refund],
    }
    known = {"/orders/ord_1": {"order": order}, "/stores/me/reviews": {"reviews": []}}
    answer = (await ask("get_order", known, order_id="ord_1", include=["timeline"]))["orders"][0]

    assert (answer["created_at"], answer["paid_at"]) == (
        "2026-11-21T12:00Z, 3 days ago", "2026-11-22T12:00Z, 2 days ago",
    )  # fmt: skip
    assert [each["created_at"] for each in answer["refunds"]] == ["2026-11-24T09:00Z, 3 hours ago"]


async def test_an_order_whose_refunds_are_not_listed_does_not_guess_what_is_left() -> None:
    order = ORDER | {
        "paymentStatus": "partially_refunded",
        "items": [{"id": "i", "productType": "hologram"}],
    }
    known = {"/orders/ord_1": {"order": order}}
    answer = (await ask("get_order", known, order_id="ord_1"))["orders"][0]

    assert not {"refundable", "refundable_in_cents"} & answer.keys()
    assert answer["next_step"].startswith("What can still be refunded is not known")
    assert answer["items"][0]["type"] == "hologram"


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
    assert item["wanted"] == ["L", "$26.00", "$2.00 more"]
    assert item["stock_unknown"] == [
        ["S", "not known", "not known"], ["XS", "$20.00", "$4.00 less"],
    ]  # fmt: skip
    assert "What can be refunded is not known" in answer["next_step"]


async def test_sizes_of_a_refunded_order_offer_no_money() -> None:
    shirt = {"id": "i", "productType": "print_on_demand"}
    order = ORDER | {"paymentStatus": "refunded", "items": [shirt]}
    answer = await ask("handle_wrong_size", {"/orders/ord_1": {"order": order}}, order_id="ord_1")

    assert answer["next_step"].endswith("Nothing can be refunded on this order.")


async def test_a_receipt_that_tells_little_is_shown() -> None:
    answer = await ask(
        "get_receipt",
        {"/checkout/chk_1/receipt": {"receipt": {"items": [{}, None]}}},
        checkout_id="chk_1",
    )

    assert answer["items"] == [{"name": "?"}]
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
    assert "unexpected_host" not in answer
    assert "expires_at" not in answer


async def test_a_store_without_trouble_needs_no_attention() -> None:
    answer = await ask("summarize_orders", {"/orders": {"orders": []}})

    assert not {"needs_attention", "open_refunds", "next_step", "by_status"} & answer.keys()
    assert (answer["orders"], answer["sales"], answer["complete"]) == (0, "$0.00", True)


async def test_unpaid_orders_never_hide_one_that_was_paid() -> None:
    email = {"customerEmail": "ada@example.com", "paymentStatus": "paid", "refunds": []}
    paid = ORDER | email | {"id": "paid", "status": "cancelled"}
    carts = [
        paid | {"id": f"cart_{n:02}", "status": "pending", "paymentStatus": "pending", "createdAt": f"2025-11-{n:02}T00:00:00Z"}
        for n in range(1, 31)
    ]  # fmt: skip
    routes = {"/orders": {"orders": [*carts, paid]}, "/stores/me/reviews": {"reviews": []}}
    for answer in (
        await ask("summarize_orders", routes),
        await ask("get_customer", routes, customer_email="ada@example.com"),
    ):
        named = [row[0] for row in answer["needs_attention"]]

        assert named == ["paid", "cart_30", "cart_29", "cart_28", "cart_27", "cart_26"]
        assert answer["more_that_need_attention"] == (
            "25 pending, not paid. list_orders with a status shows them."
        )


@pytest.mark.parametrize(
    ("name", "reason", "shown"),
    [
        ("李明", "客户 李明 要求退款", "客户 … 要求退款"), ("李 明", "客户李明要求、李先生", "客户…要求、…先生"),
        ("王小明", "小明和王小明都说", "…和…都说"), ("欧阳修文", "欧阳先生、修文", "…先生、…"),
        ("山田 太郎", "山田太郎様、山田様、太郎様へ返金", "…様、…様、…様へ返金"), ("マリア・ロペス", "ロペスさん", "…さん"),
        ("김민수", "민수님이, 김 고객님", "…님이, … 고객님"), ("สมชาย ใจดี", "คุณสมชาย ใจดี", "คุณ…"),
        ("Wei Li", "LI WEI wants it back in NY", "… … wants it back in NY"),
        ("Zoë O'Neil-Núñez", "ZOE, Oneil, NUNEZ and Neil", "…, Oneil, … and …"),
        ("Bo", "Bo of Bonn, NEW YORK", "… of Bonn, …"),
    ],
)  # fmt: skip
def test_no_part_of_a_name_is_left_in_a_reason(name: str, reason: str, shown: str) -> None:
    where = {"name": name, "state": "NY", "city": "New York"}
    order = Order.model_validate(ORDER | {"shippingAddress": where})

    assert Masking(masked=True).words(reason, order) == shown


@pytest.mark.parametrize(
    ("email", "reason", "shown"),
    [
        ("olena.kovalenko@example.com", "Olena lost it, says KOVALENKO", "… lost it, says …"),
        ("olena+shop@example.com", "olena bought twice", "… bought twice"),
        ("jo.x@example.com", "Jo x bought twice", "Jo x bought twice"),
        ("", "bought twice", "bought twice"),
    ],
)
def test_the_name_in_an_orders_own_address_is_hidden_where_nothing_is_shipped(
    email: str, reason: str, shown: str
) -> None:
    order = Order.model_validate(ORDER | {"customerEmail": email, "shippingAddress": None})

    assert Masking(masked=True).words(reason, order) == shown


def test_a_city_of_two_letters_is_hidden_in_scripts_without_spaces() -> None:
    order = Order.model_validate(ORDER | {"shippingAddress": {"city": "北京"}})

    assert Masking(masked=True).words("寄到北京", order) == "寄到…"


def test_a_reason_is_shown_without_any_part_of_a_name_or_address() -> None:
    where = {"name": "Lovelace, Ada-Mae", "line1": "12 Main St", "state": "California"}
    order = Order.model_validate(ORDER | {"shippingAddress": where})
    reason = "Mrs Lovelace (Mae) moved from 12 Main St to California"

    assert Masking(masked=True).words(reason, order) == "Mrs … (…) moved from … to …"
    assert Masking().words(reason, order) == reason
