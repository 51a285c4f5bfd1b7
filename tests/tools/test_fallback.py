"""Lists and sums while Clawver cannot be asked: from the history, and said so. Money never is."""

from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client
from tests.conftest import Configure, Connect, folder_of
from tests.tools.test_older_orders import know_all
from tests.tools.test_tools import call, rows

from clawver_orders import time_limit
from clawver_orders.history.mirror import HISTORY_FILE
from clawver_orders.money import display
from clawver_sandbox.shop import Shop

ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_orders", {}),
    ("list_orders", {"search": "tee"}),
    ("list_orders", {"status": "shipped"}),
    ("get_customer", {"customer_email": "zoe@example.com"}),
    ("summarize_orders", {}),
    ("summarize_orders", {"by": "week"}),
)
ONLY_KEPT = "This is what is kept here; what is newer is missing."


def failing(status: int) -> Callable[[Shop, pytest.MonkeyPatch], None]:
    return lambda shop, _: shop.add_fault("status_before", status=status, times=-1)


def cut_off(shop: Shop, _: pytest.MonkeyPatch) -> None:
    shop.add_fault("drop_before", times=-1)


def too_slow(_: Shop, changes: pytest.MonkeyPatch) -> None:
    changes.setattr(time_limit, "CALL_SECONDS", 0.0)


def limited(shop: Shop, _: pytest.MonkeyPatch) -> None:
    shop.add_fault("rate_limited", times=-1, retry_after=600)


TROUBLES = {
    "Clawver has a problem of its own (HTTP 503).": failing(503),
    "Clawver could not be reached: the connection was cut off": cut_off,
    "Clawver did not answer in time.": too_slow,
    "Clawver's request limit is reached.": limited,
}


def is_paid(order: dict[str, Any]) -> bool:
    return order["paymentStatus"] not in {"pending", "failed"}


async def answers_from_history(client: Client, shop: Shop, cause: str) -> None:
    """All of what is asked is answered, with the cause, and as it was kept."""
    told = [(await call(client, tool, **given)) for tool, given in ASKED]
    for answer in told:
        assert cause in answer["why_incomplete"]
        assert ONLY_KEPT in answer["why_incomplete"]
        assert "epeat the " in answer["why_incomplete"]
        assert "req_" not in answer["why_incomplete"]
        assert answer["complete"] is False
        assert answer["as_of"].endswith(("0 minutes ago", "1 minute ago"))
    newest, tees, shipped, zoe, sums, by_week = told
    everything = shop.orders()
    assert {row["source"] for row in rows(newest)} == {"history"}
    behind = await call(client, "list_orders", cursor=newest["cursor"])
    paged = [row["order_id"] for row in (*rows(newest), *rows(behind))]
    assert len(set(paged)) == 40
    assert [shop.order(each)["createdAt"] for each in paged] == [
        each["createdAt"] for each in everything[:40]
    ]
    assert "ord_shirt" in {row["order_id"] for row in rows(tees)}
    assert {row["status"] for row in rows(shipped)} == {"shipped"}
    assert zoe["orders"] == sum(each["customerEmail"] == "zoe@example.com" for each in everything)
    sales = sum(each["totalInCents"] for each in everything if is_paid(each))
    for answer in (sums, by_week):
        assert answer["orders"] == len(everything)
        assert answer["sales"] == display(sales)
    assert "Which orders need attention is not known." in sums["why_incomplete"]
    assert "needs_attention" not in sums
    assert "attention" not in by_week["why_incomplete"]


@pytest.mark.parametrize("cause", TROUBLES)
async def test_while_clawver_cannot_be_asked_the_history_answers(
    connect: Connect,
    configure: Configure,
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    cause: str,
) -> None:
    await know_all(shop, configure)
    async with connect() as client:
        TROUBLES[cause](shop, monkeypatch)
        await answers_from_history(client, shop, cause)


async def test_with_the_request_budget_used_up_the_history_answers_without_a_request(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    await know_all(shop, configure)
    async with connect(requests_per_day=6) as client:
        for _ in range(5):
            await call(client, "list_orders", limit=1)
        shop.forget_requests()
        await answers_from_history(client, shop, "The request budget for this store (")

    assert shop.requests() == []


async def test_what_was_read_before_it_failed_is_in_the_answer(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    await know_all(shop, configure)
    shop.add_past(300)
    new = shop.sell(status="processing")["id"]
    shop.add_fault("rate_limited", path="/orders$", times=-1, retry_after=600)
    async with connect() as client:
        before = await call(client, "list_orders", search=new)
        shop.clear_faults()
        await call(client, "list_orders", limit=1)
        shop.add_fault("rate_limited", path="/orders$", times=-1, retry_after=600)
        after = await call(client, "list_orders", search=new)

    assert rows(before) == []
    assert [row["order_id"] for row in rows(after)] == [new]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"name": "status_before", "status": 401}, "does not accept the store's key"),
        ({"name": "status_before", "status": 403}, "does not accept the store's key"),
        ({"name": "garbage"}, "cannot be read"),
    ],
)
async def test_what_does_not_pass_by_itself_stays_an_error(
    connect: Connect, configure: Configure, shop: Shop, fault: dict[str, Any], said: str
) -> None:
    await know_all(shop, configure)
    shop.add_fault(**fault, times=-1)
    async with connect() as client:
        for tool, given in ASKED:
            answer = await client.call_tool(tool, given)
            assert answer.is_error
            assert said in answer.content[0].text  # type: ignore[union-attr]


@pytest.mark.slow
async def test_where_no_history_can_answer_the_error_stays(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    shop.add_fault("status_before", status=503, times=-1)

    async def fail(**changed: Any) -> None:
        async with connect(**changed) as client:
            for tool, given in ASKED:
                answer = await client.call_tool(tool, given)
                assert answer.is_error
                assert "a problem of its own (HTTP 503)" in answer.content[0].text  # type: ignore[union-attr]

    await fail()  # nothing is kept yet
    await know_all(shop, configure)
    await fail(history=False)
    (folder_of(configure()) / HISTORY_FILE).write_bytes(b"no database" * 100)
    await fail()


async def test_for_money_only_clawver_itself_answers(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    await know_all(shop, configure)
    shop.add_fault("status_before", status=503, times=-1)
    refund = {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Torn"}
    async with connect() as client:
        read = await client.call_tool("get_order", {"order_id": "ord_shirt"})
        sent = await client.call_tool("refund_order", refund)

    assert read.is_error
    assert sent.is_error
    assert {request["method"] for request in shop.requests()} == {"GET"}
