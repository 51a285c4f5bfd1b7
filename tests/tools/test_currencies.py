"""Orders that are not in US dollars, through a real client: never shown, summed or refunded as dollars."""

import json
from typing import Any

import pytest
from tests.amending import amend
from tests.conftest import Connect, succeeding, telling
from tests.tools.test_tools import call, failure, one_order, rows

from clawver_sandbox.shop import Shop

TEE = {
    "id": "item_1", "productId": "prod_tee", "productName": "Tee", "productType": "print_on_demand",
    "variantId": "v_m", "priceInCents": 2900, "totalInCents": 2900,
}  # fmt: skip
YEN: dict[str, Any] = {
    "id": "ord_yen", "status": "delivered", "paymentStatus": "partially_refunded", "currency": "jpy",
    "totalInCents": 5800, "createdAt": "2026-11-20T10:00:00Z", "items": [TEE],
    "refunds": [{"id": "ref_1", "amountInCents": 800}],
}  # fmt: skip
EURO = {
    "id": "ord_euro",
    "totalInCents": 2499,
    "paymentStatus": "paid",
    "currency": "EUR",
    "refunds": [],
}
DOLLAR = {"id": "ord_dollar", "totalInCents": 1000, "paymentStatus": "paid", "refunds": []}
ODD = DOLLAR | {"id": "ord_odd", "currency": 392}
SIZES = [
    {"id": "v_m", "size": "M", "priceInCents": 2900, "inStock": True},
    {"id": "v_l", "size": "L", "priceInCents": 3100, "inStock": True},
]


class Abroad:
    """A store with an order in yen, and with others in its list."""

    def __init__(self, *others: dict[str, Any], **change: Any) -> None:
        self.yen = YEN | change
        self.others = others
        self.asked: list[str] = []
        self.is_mute = False
        """Whether nobody learns what became of a refund."""

    def __call__(self, path: str) -> tuple[bytes, bytes]:
        self.asked.append(path)
        if path == "/v1/stores/me":
            return succeeding({"store": {"id": "store_1", "name": "Tees"}})
        if path.startswith("/v1/orders?"):
            return succeeding({"orders": [self.yen, *self.others]})
        if path.startswith("/v1/checkout/"):
            line = {"productName": "Tee", "totalInCents": 5800}
            return succeeding(
                {"receipt": {"totalInCents": 5800, "items": [line | {"currency": "JPY"}]}}
            )
        if path.startswith("/v1/products/"):
            return succeeding({"product": {"id": "prod_tee", "printOnDemand": {"variants": SIZES}}})
        if path.endswith("/refund") and self.is_mute:
            return succeeding({})
        return succeeding({"order": self.yen})

    @property
    def refunds_sent(self) -> int:
        return sum(path.endswith("/refund") for path in self.asked)


def without_dollars(answer: dict[str, Any]) -> dict[str, Any]:
    assert "$" not in json.dumps(answer)
    return answer


async def test_an_order_is_shown_in_its_own_currency(connect: Connect) -> None:
    async with telling(Abroad()) as url, connect(api_url=url) as client:
        order = without_dollars(await one_order(client, order_id="ord_yen"))
        (row,) = rows(without_dollars(await call(client, "list_orders")))
        status = without_dollars(
            await call(client, "get_order_status", order_id="ord_yen", order_status_token="t")
        )
        receipt = without_dollars(await call(client, "get_receipt", checkout_id="chk_1"))
        attached = await client.read_resource("clawver://orders/ord_yen")

    assert order["currency"] == status["currency"] == receipt["currency"] == "JPY"
    assert (order["total"], order["refundable"]) == ("JPY 5,800", "JPY 5,000")
    assert not {"refundable_in_cents", "total_in_cents"} & {*order, *order["items"][0]}
    assert order["items"][0]["total"] == "JPY 2,900"
    assert order["refunds"][0]["amount"] == "JPY 800"
    assert row["total"] == "JPY 5,800 (JPY 800 refunded)"
    assert status["total"] == receipt["total"] == "JPY 5,800"
    assert receipt["items"][0]["total"] == "JPY 5,800"
    assert "$" not in attached.model_dump_json()


async def test_sizes_are_compared_in_the_currency_of_the_order(connect: Connect) -> None:
    async with telling(Abroad()) as url, connect(api_url=url) as client:
        sizes = without_dollars(await call(client, "handle_wrong_size", order_id="ord_yen"))

    (item,) = sizes["items"]
    assert (sizes["currency"], sizes["refundable"], item["total"]) == (
        "JPY", "JPY 5,000", "JPY 2,900",
    )  # fmt: skip
    assert item["in_stock"] == [["L", "JPY 3,100", "JPY 200 more"]]
    assert "refundable_in_cents" not in sizes
    assert "cannot be given here (the limits for refunds are in US dollars)" in sizes["next_step"]


async def test_sums_are_kept_apart_by_currency(connect: Connect) -> None:
    async with telling(Abroad(EURO, DOLLAR, ODD)) as url, connect(api_url=url) as client:
        summary = await call(client, "summarize_orders")

    assert (summary["orders"], summary["paid_orders"], summary["refunds"]) == (4, 4, 1)
    assert (summary["sales"], summary["refunded"]) == ("$10.00", "$0.00")
    assert "average_order" not in summary
    assert "currency" not in summary
    assert summary["other_currencies"] == [
        "paid 1, sales EUR 24.99, refunded EUR 0.00",
        "paid 1, sales JPY 5,800, refunded JPY 800",
    ]
    assert [count for name, count in summary["by_payment_status"] if name == "paid"] == [
        "1 order, EUR 24.99", "1 order, $10.00", "1 order in an unknown currency",
    ]  # fmt: skip
    assert summary["complete"] is False
    assert "1 orders are in an unknown currency, so their money is in no sum." in str(
        summary["why_incomplete"]
    )


async def test_a_store_without_dollars_is_summed_in_its_own_currency(connect: Connect) -> None:
    store = Abroad(status="cancelled")
    async with telling(store) as url, connect(api_url=url) as client:
        summary = without_dollars(await call(client, "summarize_orders"))

    assert (summary["currency"], summary["sales"], summary["refunded"]) == (
        "JPY", "JPY 5,800", "JPY 800",
    )  # fmt: skip
    assert "other_currencies" not in summary
    assert [row["total"] for row in rows(summary, "needs_attention")] == ["JPY 5,800"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, "JPY"), ({"currency": "EUR"}, "EUR"), ({"currency": 392}, "an unknown currency"),
        ({"currency": "US Dollar"}, "an unknown currency"),
        ({"currency": "USD", "items": [TEE | {"currency": "JPY"}]}, "an unknown currency"),
        ({"currency": None, "items": [TEE | {"currency": "JPY"}]}, "JPY"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("approval", ["off", "agent"])
async def test_an_order_that_is_not_in_dollars_is_not_refunded(
    connect: Connect, change: dict[str, Any], named: str, approval: str
) -> None:
    store = Abroad(**change)
    async with telling(store) as url, connect(api_url=url, refund_approval=approval) as client:
        text = await failure(
            client, "refund_order", order_id="ord_yen", amount_in_cents=100, reason="Torn"
        )

    assert (
        f"No money was moved: ord_yen is in {named}, and the limits for refunds are in US dollars"
        in text
    )
    assert "Tell a person, who can refund it in Clawver's dashboard" in text
    assert store.refunds_sent == 0


async def test_a_preview_in_dollars_is_not_confirmed_in_another_currency(
    connect: Connect, shop: Shop
) -> None:
    async with connect(refund_approval="agent") as client:
        asked = await call(
            client, "refund_order", order_id="ord_digital", amount_in_cents=500, reason="Torn"
        )
        amend(shop, "ord_digital", currency="JPY")
        text = await failure(client, "confirm_refund", refund_id=asked["refund_id"], revision=1)

    assert asked["status"] == "needs_approval"
    assert "is in JPY" in text
    assert shop.refunds() == []


async def test_an_open_refund_is_in_dollars_whatever_the_store_sells_in(connect: Connect) -> None:
    store = Abroad(currency="USD")
    store.is_mute = True
    async with telling(store) as url, connect(api_url=url, refund_verify_seconds=30) as client:
        lost = await call(
            client, "refund_order", order_id="ord_yen", amount_in_cents=100, reason="Torn"
        )
        store.yen = YEN
        summary = await call(client, "summarize_orders")

    assert (lost["status"], summary["currency"]) == ("unknown", "JPY")
    assert [refund["amount"] for refund in summary["open_refunds"]] == ["$1.00"]


async def test_a_cancelled_order_in_another_currency_is_left_to_the_merchant(
    connect: Connect,
) -> None:
    async with telling(Abroad(status="cancelled")) as url, connect(api_url=url) as client:
        order = await one_order(client, order_id="ord_yen")

    assert order["needs_attention"] == "Cancelled, but JPY 5,000 is not refunded."
    assert order["next_step"] == (
        "It cannot be refunded here (the limits for refunds are in US dollars)."
    )


async def test_an_answer_in_dollars_names_no_currency(connect: Connect) -> None:
    async with connect() as client:
        answers = [
            await one_order(client, order_id="ord_shirt"),
            await call(client, "handle_wrong_size", order_id="ord_shirt"),
            await call(client, "get_receipt", checkout_id="chk_digital"),
            await call(client, "summarize_orders"),
        ]

    for answer in answers:
        assert "$" in json.dumps(answer)
        assert '"currency"' not in json.dumps(answer)
        assert "other_currencies" not in answer
