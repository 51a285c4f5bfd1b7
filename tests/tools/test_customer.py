"""A customer at a glance: orders, money, and what needs somebody."""

from typing import Any

import pytest
from tests.conftest import Configure, Connect
from tests.tools.test_older_orders import know_all
from tests.tools.test_tools import call, rows

from clawver_orders.money import display
from clawver_sandbox.shop import Shop


def of(shop: Shop, email: str) -> list[dict[str, Any]]:
    return [each for each in shop.orders() if each["customerEmail"] == email]


def is_paid(order: dict[str, Any]) -> bool:
    return order["paymentStatus"] not in {"pending", "failed"}


def refunds(orders: list[dict[str, Any]]) -> list[int]:
    return [refund["amountInCents"] for each in orders for refund in each["refunds"]]


@pytest.mark.parametrize("email", ["zoe@example.com", "Zoe@Example.com"])
async def test_a_customers_orders_are_counted_and_added_up(
    connect: Connect, shop: Shop, email: str
) -> None:
    async with connect() as client:
        answer = await call(client, "get_customer", customer_email=email)

    theirs = of(shop, "zoe@example.com")
    paid = [each for each in theirs if is_paid(each)]
    assert answer["orders"] == len(theirs) > 5
    assert answer["paid_orders"] == len(paid)
    assert answer["paid"] == display(sum(each["totalInCents"] for each in paid))
    assert answer["refunds"] == len(refunds(theirs))
    assert answer["refunded"] == display(sum(refunds(theirs)))
    times = sorted(each["createdAt"] for each in theirs)
    assert answer["first_order_at"].startswith(times[0][:16])
    assert answer["last_order_at"].startswith(times[-1][:16])
    assert answer["complete"] is True
    waiting = [row["order_id"] for row in rows(answer, "needs_attention")]
    assert "ord_cancelled_paid" in waiting
    assert set(waiting) <= {each["id"] for each in theirs}
    assert "next_step" not in answer


async def test_orders_that_clawver_no_longer_lists_count_too(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    shop.add_past(320)
    await know_all(shop, configure)
    oldest = shop.orders()[-1]
    async with connect() as client:
        answer = await call(client, "get_customer", customer_email=oldest["customerEmail"])

    theirs = of(shop, oldest["customerEmail"])
    assert answer["orders"] == len(theirs)
    assert answer["as_of"].endswith(("0 minutes ago", "1 minute ago"))
    assert answer["complete"] is False
    assert "Orders kept here since " in answer["why_incomplete"]


async def test_a_customer_with_more_orders_than_are_added_up_is_told_as_that(
    connect: Connect, configure: Configure, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add_past(320)
    await know_all(shop, configure)
    monkeypatch.setattr("clawver_orders.tools.listing.MOST_OF_A_CUSTOMER", 3)
    async with connect() as client:
        answer = await call(client, "get_customer", customer_email="zoe@example.com")

    assert answer["orders"] == 3
    assert answer["why_incomplete"].startswith("Only the newest 3 orders are counted. ")


async def test_amounts_in_several_currencies_are_not_added(
    connect: Connect, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = of(shop, "zoe@example.com")
    listed = Shop.newest
    monkeypatch.setattr(
        Shop,
        "newest",
        lambda *asked: [
            each | ({"currency": "JPY"} if each["id"] == first["id"] else {})
            for each in listed(*asked)
        ],
    )
    async with connect() as client:
        answer = await call(client, "get_customer", customer_email="zoe@example.com")

    usd, yen = answer["paid"].split(" + ")
    assert usd.startswith("$")
    assert "JPY" in yen


@pytest.mark.slow
async def test_an_open_refund_of_the_customer_comes_first_and_of_others_not(
    connect: Connect, shop: Shop
) -> None:
    shop.add_fault("drop_before", method="POST", path="/ord_shirt/")
    async with connect() as client:
        await client.call_tool(
            "refund_order", {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Torn"}
        )
        theirs = await call(client, "get_customer", customer_email="noam@example.com")
        other = await call(client, "get_customer", customer_email="zoe@example.com")

    assert "call check_refund with refund_id rfi_" in theirs["next_step"]
    assert "next_step" not in other


async def test_somebody_without_an_order_is_told_as_that(connect: Connect) -> None:
    async with connect() as client:
        answer = await call(client, "get_customer", customer_email="nobody@example.com")

    assert answer["orders"] == 0
    assert "No order has this address" in answer["next_step"]


async def test_masked_the_address_is_short(connect: Connect) -> None:
    async with connect(pii="masked") as client:
        answer = await call(client, "get_customer", customer_email="zoe@example.com")

    assert "zoe@example.com" not in str(answer)
    assert answer["orders"] > 5
