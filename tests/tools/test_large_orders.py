"""Orders with hundreds of lines: every answer stays short, and says what it leaves out."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mcp import Client
from tests.amending import amend
from tests.conftest import Connect, succeeding, telling
from tests.tools.test_tools import call, failure, one_order

from clawver_orders.tools import summary
from clawver_orders.tools.answers import LINES_SHOWN
from clawver_orders.tools.orders import ALL_LINES, LINES_OF_SEVERAL, REFUNDS_SHOWN
from clawver_orders.tools.sizes import CHOICES_SHOWN, ITEMS_SHOWN
from clawver_sandbox.shop import Shop

MOST_BYTES = 8_000
START = datetime(2026, 11, 1, tzinfo=UTC)


def lines(shop: Shop, order_id: str, count: int, **changed: Any) -> list[dict[str, Any]]:
    """Many lines like the first one of an order."""
    first = shop.order(order_id)["items"][0] | changed
    return [first | {"id": f"item_{number}"} for number in range(count)]


async def texts(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    """An answer that keeps to the bound."""
    answer = await call(client, name, **arguments)
    assert len(json.dumps(answer, ensure_ascii=False).encode()) < MOST_BYTES
    return answer


async def test_an_order_of_300_items_is_a_short_answer(
    connect: Connect, shop: Shop, era: str
) -> None:
    items = lines(shop, "ord_shirt", 300)
    amend(shop, "ord_shirt", items=items, totalInCents=300 * 3200)
    async with connect(era) as client:
        (order,) = (await texts(client, "get_order", order_id="ord_shirt"))["orders"]
        sizes = await texts(client, "handle_wrong_size", order_id="ord_shirt", wanted_size="L")

    assert len(order["items"]) == LINES_SHOWN
    assert order["more_items"] == f"{300 - LINES_SHOWN} more, $8,960.00 together"
    assert order["total"] == "$9,600.00"
    assert len(sizes["items"]) == ITEMS_SHOWN
    assert sizes["more_items"] == f"{300 - ITEMS_SHOWN} more, $9,280.00 together"


async def test_lines_whose_price_is_not_known_are_counted_without_a_sum(
    connect: Connect, shop: Shop
) -> None:
    amend(shop, "ord_shirt", items=lines(shop, "ord_shirt", LINES_SHOWN + 2, totalInCents=None))
    async with connect() as client:
        order = await one_order(client, order_id="ord_shirt")

    assert order["more_items"] == "2 more"


async def test_the_newest_of_many_refunds_are_shown(connect: Connect, shop: Shop) -> None:
    refunds = [
        {
            "id": f"ref_{number}",
            "amountInCents": 1,
            "reason": "Torn " * 20,
            "createdAt": (START + timedelta(hours=number)).isoformat(),
        }
        for number in range(100)
    ]
    failed = [each | {"id": f"{each['id']}_f", "status": "failed"} for each in refunds]
    amend(shop, "ord_shirt", refunds=[*refunds, *failed], paymentStatus="partially_refunded")
    async with connect() as client:
        (order,) = (await texts(client, "get_order", order_id="ord_shirt"))["orders"]
        with_ids = await one_order(client, order_id="ord_shirt", include=["timeline"])

    shown = [each["clawver_refund_id"] for each in with_ids["refunds"]]
    assert shown == [f"ref_{number}" for number in range(99, 99 - REFUNDS_SHOWN, -1)]
    assert len(order["refunds"]) == REFUNDS_SHOWN
    assert order["more_refunds"] == "90 more, $0.90 together"
    assert len(order["uncounted_refunds"]) == REFUNDS_SHOWN
    assert order["more_uncounted_refunds"] == "90 more, $0.90 together"
    assert order["refunded"] == "$1.00"


async def test_the_files_of_a_large_order_are_named_in_part(connect: Connect, shop: Shop) -> None:
    amend(shop, "ord_digital", items=lines(shop, "ord_digital", 300))
    async with connect() as client:
        text = await failure(client, "generate_download_link", order_id="ord_digital")

    assert f"item_{LINES_SHOWN - 1} and {300 - LINES_SHOWN} more." in text
    assert len(text) < 1_000


async def test_a_receipt_of_300_lines_is_a_short_answer(connect: Connect) -> None:
    line = {"id": "item_1", "productName": "Fonts", "totalInCents": 100, "downloadToken": "t" * 60}
    receipt = {"checkoutId": "chk_1", "orderId": "ord_1", "items": [line] * 300}
    async with (
        telling(lambda _: succeeding({"receipt": receipt})) as url,
        connect(api_url=url) as client,
    ):
        answer = await texts(client, "get_receipt", checkout_id="chk_1")

    assert len(answer["items"]) == LINES_SHOWN
    assert answer["more_items"] == f"{300 - LINES_SHOWN} more, $280.00 together"


async def test_a_product_of_many_sizes_is_a_short_answer(connect: Connect) -> None:
    item = {"id": "i", "productId": "p", "productType": "print_on_demand", "variantId": "v_0"}
    variants = [
        {"id": f"v_{n}", "name": f"Tee / {n}", "size": f"{n}", "inStock": n % 2 == 0}
        for n in range(400)
    ]
    order = {"id": "ord_1", "totalInCents": 100, "paymentStatus": "paid", "items": [item]}
    product = {"id": "p", "printOnDemand": {"variants": variants}}

    def answer(path: str) -> tuple[bytes, bytes]:
        return succeeding({"product": product} if "products" in path else {"order": order})

    async with telling(answer) as url, connect(api_url=url) as client:
        sizes = await texts(client, "handle_wrong_size", order_id="ord_1", wanted_size="399")

    (shown,) = sizes["items"]
    assert len(shown["in_stock"]) == len(shown["out_of_stock"]) == CHOICES_SHOWN
    assert shown["choices_left_out"] == 398 - 2 * CHOICES_SHOWN
    assert shown["wanted_available"] == "out_of_stock"
    assert shown["wanted"] == ["Tee / 399", "not known", "not known"]


async def test_the_oldest_of_many_open_refunds_are_named(
    connect: Connect, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "OPEN_SHOWN", 1)
    wanted = {"amount_in_cents": 100, "reason": "Torn"}
    async with connect(refund_verify_seconds=90) as client:
        for order_id in ("ord_shirt", "ord_mixed"):
            shop.add_fault("drop_before", method="POST")
            await call(client, "refund_order", order_id=order_id, **wanted)
        answer = await call(client, "summarize_orders")

    assert [each["order_id"] for each in answer["open_refunds"]] == ["ord_shirt"]
    assert answer["more_open_refunds"] == 1


async def test_all_lines_are_shown_when_they_are_asked_for(connect: Connect, shop: Shop) -> None:
    for order_id in ("ord_shirt", "ord_mixed"):
        amend(shop, order_id, items=lines(shop, "ord_digital", 300))
    async with connect() as client:
        order = await one_order(client, "ord_shirt", include=["all_items"])
        both = await call(client, "get_order", order_id="ord_shirt,ord_mixed")
        both_in_full = await call(
            client, "get_order", order_id="ord_shirt,ord_mixed", include="all_items"
        )

    assert [item["item_id"] for item in order["items"]] == [f"item_{n}" for n in range(ALL_LINES)]
    assert [len(each["items"]) for each in both["orders"]] == [LINES_OF_SEVERAL // 2] * 2
    assert [len(each["items"]) for each in both_in_full["orders"]] == [ALL_LINES // 2] * 2
