"""Money goes back once. What the store recorded is the judge."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from tests.conftest import Connect, succeeding, telling
from tests.test_tools import call, failure

from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_sandbox.shop import API_KEY, Shop


def given_back(shop: Shop, order_id: str) -> list[int]:
    return [cents for order, cents in shop.refunds() if order == order_id]


async def test_a_refund_reaches_the_store_once(connect: Connect, shop: Shop, era: str) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect(era) as client:
        answer = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=1000, reason="Smudged"
        )

    (refund,) = shop.order(sale["id"])["refunds"]
    assert answer["status"] == "refunded"
    assert answer["clawver_refund_id"] == refund["id"]
    assert answer["stripe_refund_id"] == refund["stripeRefundId"]
    assert (answer["refundable_in_cents"], answer["refundable"]) == (1499, "$14.99")
    assert refund["reason"] == "Smudged"
    assert given_back(shop, sale["id"]) == [1000]


async def test_the_same_call_again_sends_nothing_whatever_its_reason(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect() as client:
        first = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=1000, reason="Smudged"
        )
        again = await call(
            client,
            "refund_order",
            order_id=sale["id"],
            amount_in_cents=1000,
            reason="Print was smudged",
        )

    assert again["status"] == "already_refunded"
    assert again["clawver_refund_id"] == first["clawver_refund_id"]
    assert given_back(shop, sale["id"]) == [1000]


async def test_a_further_refund_of_the_same_amount_names_all_earlier_ones(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted: dict[str, Any] = {"order_id": sale["id"], "amount_in_cents": 500, "reason": "Goodwill"}
    async with connect() as client:
        await call(client, "refund_order", **wanted)
        seen = (await call(client, "refund_order", **wanted))["in_addition_to"]
        second = await call(client, "refund_order", **wanted, in_addition_to=seen)
        replay = await call(client, "refund_order", **wanted, in_addition_to=seen)
        guess = await call(client, "refund_order", **wanted, in_addition_to=["ref_guess"])

    assert second["status"] == "refunded"
    assert (replay["status"], guess["status"]) == ("already_refunded", "already_refunded")
    assert given_back(shop, sale["id"]) == [500, 500]


async def test_a_list_may_arrive_as_json_text(connect: Connect, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted: dict[str, Any] = {"order_id": sale["id"], "amount_in_cents": 500, "reason": "Goodwill"}
    async with connect() as client:
        first = await call(client, "refund_order", **wanted, in_addition_to="[]")
        text = f'["{first["clawver_refund_id"]}"]'
        assert (await call(client, "refund_order", **wanted, in_addition_to=text))[
            "status"
        ] == "refunded"
        assert "must be a list" in await failure(
            client, "refund_order", **wanted, in_addition_to="[oops"
        )


async def test_named_refunds_that_are_none_are_an_error(connect: Connect, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect() as client:
        text = await failure(
            client, "refund_order",
            order_id=sale["id"], amount_in_cents=500, reason="Goodwill", in_addition_to=["ref_guess"],
        )  # fmt: skip

    assert "No money was moved" in text
    assert given_back(shop, sale["id"]) == []


@pytest.mark.parametrize(
    ("order_id", "amount", "says"),
    [
        ("ord_shirt", 3201, "$32.00 (3200 cents) left to refund"),
        ("ord_shirt", 50_001, "CLAWVER_REFUND_LIMIT_CENTS"),
        ("ord_unpaid", 100, "neither paid nor partially_refunded"),
        ("ord_failed", 100, "neither paid nor partially_refunded"),
        ("ord_refunded", 1, "already refunded in full"),
        ("ord_nobody", 100, "Clawver knows no order ord_nobody"),
    ],
)
async def test_a_refund_that_cannot_be_is_never_sent(
    connect: Connect, shop: Shop, order_id: str, amount: int, says: str
) -> None:
    before = shop.refunds()
    async with connect() as client:
        text = await failure(
            client, "refund_order", order_id=order_id, amount_in_cents=amount, reason="Test"
        )

    assert says in text
    assert text.startswith("refund_order failed. No money was moved")
    assert shop.refunds() == before
    assert not [request for request in shop.requests() if request["method"] == "POST"]


@pytest.mark.parametrize(
    "fault",
    ["drop_before", "drop_after", "status_before", "status_after", "status_bare", "truncated", "garbage",
     "bare_success", "no_success", "not_an_object", "wrong_types", "redirect", "hang_after", "huge",
     "no_refunds_listed", "foreign_order", "refunds_unreadable"],
)  # fmt: skip
async def test_a_lost_answer_is_unknown_and_nothing_is_sent_again(
    connect: Connect, shop: Shop, fault: str
) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault(fault, method="POST", status=503, seconds=1.0)
    async with connect(timeout_seconds=0.8) as client:
        answer = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )

    assert answer["status"] == "unknown"
    assert "Do not repeat this call" in answer["next_step"]
    assert f"get_order with order_id {sale['id']}" in answer["next_step"]
    assert "refundable_in_cents" not in answer
    assert len([r for r in shop.requests() if r["method"] == "POST"]) == 1
    assert given_back(shop, sale["id"]) in ([], [700])


async def test_a_refusal_by_clawver_moved_nothing(connect: Connect, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault("status_before", method="POST", status=400)
    async with connect() as client:
        text = await failure(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )

    assert "No money was moved" in text
    assert given_back(shop, sale["id"]) == []


@pytest.mark.parametrize("fault", ["refunds_unreadable", "foreign_order", "garbage"])
async def test_an_order_that_cannot_be_read_is_not_refunded(
    connect: Connect, shop: Shop, fault: str
) -> None:
    shop.add_fault(fault, method="GET", times=-1)
    async with connect() as client:
        text = await failure(
            client, "refund_order", order_id="ord_shirt", amount_in_cents=700, reason="Smudged"
        )

    assert "No money was moved" in text
    assert not [request for request in shop.requests() if request["method"] == "POST"]


async def test_read_only_cannot_refund(connect: Connect, shop: Shop) -> None:
    async with connect(read_only=True) as client:
        result = await client.call_tool(
            "refund_order", {"order_id": "ord_shirt", "amount_in_cents": 1, "reason": "x"}
        )

    assert result.is_error
    assert shop.requests() == []


async def test_a_call_that_is_cancelled_still_finishes_what_it_sent(
    connect: Connect, shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault("slow", method="POST", seconds=0.6)
    wanted = {"order_id": sale["id"], "amount_in_cents": 700, "reason": "Smudged"}
    async with connect("legacy") as client:
        with anyio.move_on_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.call_tool, "refund_order", wanted)
                while not [r for r in shop.requests() if r["method"] == "POST"]:
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
        again = await call(client, "refund_order", **wanted)

    assert again["status"] == "already_refunded"
    assert given_back(shop, sale["id"]) == [700]


async def test_an_order_that_hides_its_refunds_is_not_refunded(tmp_path: Path) -> None:
    order = {
        "id": "ord_1",
        "status": "delivered",
        "paymentStatus": "partially_refunded",
        "totalInCents": 2400,
    }
    asked: list[str] = []

    def answer(path: str) -> tuple[bytes, bytes]:
        asked.append(path)
        return succeeding({"order": order | {"createdAt": "2026-11-24T00:00:00Z"}})

    async with telling(answer) as url:
        settings = Settings(api_key=API_KEY, api_url=url, state_dir=tmp_path)
        async with Client(build_server(settings)) as client:
            text = await failure(
                client, "refund_order", order_id="ord_1", amount_in_cents=1, reason="x"
            )

    assert "No money was moved" in text
    assert "does not list its refunds" in text
    assert asked == ["/v1/orders/ord_1"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429])
async def test_a_no_after_the_money_moved_is_not_believed(
    connect: Connect, shop: Shop, status: int
) -> None:
    sale = shop.sell(total_in_cents=2499)
    shop.add_fault("status_after", method="POST", status=status)
    async with connect() as client:
        answer = await call(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )

    assert answer["status"] == "unknown"
    assert given_back(shop, sale["id"]) == [700]


async def test_a_no_that_cannot_be_checked_is_unknown(tmp_path: Path) -> None:
    order = {"id": "ord_1", "status": "delivered", "paymentStatus": "paid", "totalInCents": 2400}
    asked: list[str] = []

    def answer(path: str) -> tuple[bytes, bytes]:
        asked.append(path)
        if len(asked) == 1:
            return succeeding({"order": order | {"createdAt": "2026-11-24T00:00:00Z"}})
        if path.endswith("/refund"):
            return b"X-Status: 400", json.dumps(
                {"success": False, "error": {"code": "VALIDATION_ERROR"}}
            ).encode()
        return b"", b"gone"

    async with telling(answer) as url:
        settings = Settings(api_key=API_KEY, api_url=url, state_dir=tmp_path)
        async with Client(build_server(settings)) as client:
            said = await call(
                client, "refund_order", order_id="ord_1", amount_in_cents=1, reason="x"
            )

    assert said["status"] == "unknown"
    assert len(asked) == 3


async def test_two_refunds_that_are_new_are_said_at_once(connect: Connect, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)
    wanted = {"order_id": sale["id"], "amount_in_cents": 700, "reason": "Smudged"}
    async with connect() as client:
        await call(client, "refund_order", **wanted)
        shop.add_fault("stale_read", method="GET")
        answer = await call(client, "refund_order", **wanted)

    ids = [refund["id"] for refund in shop.order(sale["id"])["refunds"]]
    assert len(ids) == 2
    assert answer["status"] == "refunded"
    assert all(each in answer["warning"] for each in ids)
    assert "tell the merchant at once" in answer["warning"]


async def test_a_refund_that_never_left_moved_nothing(
    connect: Connect, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = shop.sell(total_in_cents=2499)
    async with connect() as client:
        real = httpx2.AsyncClient.send

        async def refuse_posts(
            self: httpx2.AsyncClient, request: httpx2.Request, **how: Any
        ) -> httpx2.Response:
            if request.method == "POST":
                request.url = request.url.copy_with(port=1)
            return await real(self, request, **how)

        monkeypatch.setattr(httpx2.AsyncClient, "send", refuse_posts)
        text = await failure(
            client, "refund_order", order_id=sale["id"], amount_in_cents=700, reason="Smudged"
        )

    assert text.startswith("refund_order failed. No money was moved.")
    assert "never left" in text
    assert given_back(shop, sale["id"]) == []
