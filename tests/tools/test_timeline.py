"""What happened to an order and when: from the order, the ledger, events, the history and reviews."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.amending import amend
from tests.conftest import Configure, Connect, folder_of, inbox_of
from tests.tools.test_older_orders import know_all
from tests.tools.test_tools import call, one_order

from clawver_orders.caller import Approval
from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE, Mirror
from clawver_orders.services import opened
from clawver_orders.tools.timeline import Moment
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery
from clawver_sandbox.shop import Shop

MINUTE = "%Y-%m-%dT%H:%MZ"


def at(text: str) -> str:
    """A time of the store, as a row has it."""
    return datetime.fromisoformat(text).strftime(MINUTE)


def arrive(configure: Configure, name: str, order_id: str, when: datetime) -> None:
    body = json.dumps({"event": name, "timestamp": when.isoformat(), "data": {"orderId": order_id}})
    delivery = Delivery(body.encode(), parse(body.encode()), when + timedelta(hours=1))
    inbox_of(configure()).note("r", [delivery])


def see(configure: Configure, order: dict[str, Any], when: datetime, source: str = "read") -> None:
    """Have an order in the history as it was seen at some time."""
    mirror = Mirror(folder_of(configure()) / HISTORY_FILE, timedelta(days=400))
    sighting = Sighting(order["id"], kept(order), source, when.timestamp())  # type: ignore[arg-type]
    mirror.note([sighting], datetime.now(UTC))


async def test_an_orders_timeline_tells_what_happened_oldest_first(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    order = shop.order("ord_shirt")
    shipped = datetime.now(UTC) - timedelta(days=1)
    arrive(configure, "order.shipped", "ord_shirt", shipped)
    arrive(configure, "order.shipped", "ord_shirt", shipped)
    arrive(configure, "order.paid", "ord_shirt", shipped)
    async with connect() as client:
        sent = {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Torn"}
        await call(client, "refund_order", **sent)
        found = await one_order(client, "ord_shirt", include=["timeline"])
        without = await one_order(client, "ord_shirt")

    created, paid, on_its_way, approved, refunded = found["timeline"]
    assert created == [at(order["createdAt"]), "created", ""]
    assert paid == [at(order["paidAt"]), "paid", ""]
    assert on_its_way == [
        shipped.strftime(MINUTE),
        "order.shipped",
        f"USPS {order['trackingNumber']}",
    ]
    assert approved[1:] == [
        "refund approved",
        "$5.00 by setting off, grade setting, through setting",
    ]
    assert refunded[1:] == ["refunded", "$5.00: Torn"]
    assert "timeline" not in without


async def test_a_change_that_was_only_noticed_is_told_as_between_two_times(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    now = datetime.now(UTC)
    before, after = now - timedelta(days=3), now - timedelta(days=1)
    sold = shop.order("ord_shirt")
    see(configure, sold | {"status": "processing"}, before)
    see(configure, sold, after)
    async with connect() as client:
        found = await one_order(client, "ord_shirt", include=["timeline"])

    assert found["timeline"][-1] == [
        f"seen between {before.strftime(MINUTE)} and {after.strftime(MINUTE)}",
        "status",
        f"shipped, USPS {sold['trackingNumber']}",
    ]


def test_a_change_within_a_minute_is_told_to_the_second() -> None:
    seen = datetime(2026, 11, 24, 23, 0, 41, tzinfo=UTC)
    moment = Moment(seen, "status", "shipped", after=seen - timedelta(seconds=36))

    assert moment.cells[0] == "seen between 2026-11-24T23:00:05Z and 2026-11-24T23:00:41Z"


async def test_a_change_that_this_very_call_notices_is_told(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    before = datetime.now(UTC) - timedelta(days=3)
    see(configure, shop.order("ord_unpaid"), before)
    amend(shop, "ord_unpaid", status="cancelled", paymentStatus="failed")
    async with connect() as client:
        found = await one_order(client, "ord_unpaid", include=["timeline"])

    changes = [row for row in found["timeline"] if row[0].startswith("seen between ")]
    assert [row[1:] for row in changes] == [["status", "cancelled"], ["payment_status", "failed"]]
    assert all(before.strftime(MINUTE) in row[0] for row in changes)


@pytest.mark.parametrize(
    ("order_id", "was"),
    [
        ("ord_shirt", {"status": "processing"}),
        ("ord_shirt", {"paymentStatus": "pending"}),
        ("ord_partly_refunded", {"paymentStatus": "paid", "refunds": []}),
    ],
)
async def test_what_is_known_exactly_is_not_told_a_second_time(
    connect: Connect, configure: Configure, shop: Shop, order_id: str, was: dict[str, Any]
) -> None:
    see(configure, shop.order(order_id) | was, datetime.now(UTC) - timedelta(days=5))
    arrive(configure, "order.shipped", order_id, datetime.now(UTC) - timedelta(days=1))
    async with connect() as client:
        found = await one_order(client, order_id, include=["timeline"])

    assert not [row for row in found["timeline"] if row[0].startswith("seen between ")]


async def test_refunds_say_whether_this_server_made_them(connect: Connect, shop: Shop) -> None:
    shop.add_fault("drop_before", method="POST", path="/ord_mixed/")
    async with connect() as client:
        elsewhere = await one_order(client, "ord_partly_refunded", include=["timeline"])
        await client.call_tool(
            "refund_order", {"order_id": "ord_mixed", "amount_in_cents": 500, "reason": "Torn"}
        )
        unknown = await one_order(client, "ord_mixed", include=["timeline"])

    assert "refunded, not by this server" in [row[1] for row in elsewhere["timeline"]]
    assert unknown["timeline"][-1][1:] == ["refund sent", "$5.00, now unknown"]


async def test_a_refund_that_does_not_tell_its_time_is_named_beside_the_timeline(
    connect: Connect, shop: Shop
) -> None:
    (refund,) = shop.order("ord_partly_refunded")["refunds"]
    amend(shop, "ord_partly_refunded", refunds=[refund | {"createdAt": None}])
    async with connect() as client:
        answer = await call(
            client, "get_order", order_id="ord_partly_refunded", include=["timeline"]
        )

    (found,) = answer["orders"]
    assert answer["timeline_lacks"] == (
        "Clawver does not tell when these refunds of ord_partly_refunded were made: 1, $10.00."
    )
    assert [row[1] for row in found["timeline"]][:2] == ["created", "paid"]
    assert not [row for row in found["timeline"] if "refunded" in row[1]]
    assert found["refunds"][0]["amount"] == "$10.00"


async def test_a_decline_is_told(connect: Connect, configure: Configure, shop: Shop) -> None:
    async with connect(refund_approval="chat") as client:
        preview = await call(
            client, "refund_order", order_id="ord_shirt", amount_in_cents=500, reason="Torn"
        )
    async with opened(configure(refund_approval="chat")) as services:
        desk = (await services.store()).desk
        await desk.decline(
            preview["refund_id"], Approval("console", "terminal", "person in the terminal"), "tests"
        )
    async with connect() as client:
        found = await one_order(client, "ord_shirt", include=["timeline"])

    assert found["timeline"][-1][1:] == [
        "refund declined", "$5.00 by person in the terminal, grade console, through terminal",
    ]  # fmt: skip


@pytest.fixture
def reviewed(shop: Shop) -> Shop:
    """A store with reviews, one of them answered."""
    order = shop.order("ord_shirt")
    reviews = [
        review(order, 1, rating=2, title="Torn", body="One sleeve is torn, Noam says.\nSend another.",
               response={"body": "Sorry!", "createdAt": "2026-11-26T09:00:00Z"}),
        review(order, 2, rating="?", body="x" * 300),
        review(order, 3, createdAt=None),
    ]  # fmt: skip
    with shop._transaction() as db:
        db.execute("DELETE FROM review")
        db.executemany(
            "INSERT INTO review (id, written, body) VALUES (?, ?, ?)",
            [(each["id"], n, json.dumps(each)) for n, each in enumerate(reviews)],
        )
    return shop


def review(order: dict[str, Any], number: int, **changed: Any) -> dict[str, Any]:
    return {
        "id": f"rev_{number}",
        "orderId": order["id"],
        "body": "",
        "rating": 5,
        "reviewerName": "Noam Example",
        "reviewerEmail": order["customerEmail"],
        "createdAt": f"2026-11-25T0{number}:00:00Z",
    } | changed


async def test_reviews_are_in_the_timeline_and_beside_the_customer(
    connect: Connect, reviewed: Shop
) -> None:
    async with connect() as client:
        found = await one_order(client, "ord_shirt", include=["timeline"])
        other = await one_order(client, "ord_mixed", include=["timeline"])
        customer = await call(client, "get_customer", customer_email="Noam@example.com")

    texts = ["2 of 5. Torn: One sleeve is torn, Noam says. Send another.", f"? of 5. {'x' * 191}"]
    said = [row for row in found["timeline"] if row[1].startswith("review")]
    assert [row[1] for row in said] == ["review", "review", "review answered"]
    assert said[0][2] == texts[0]
    assert said[1][2].startswith(texts[1])
    assert not [row for row in other["timeline"] if row[1] == "review"]
    assert [row[:2] for row in customer["reviews"]] == [
        ["2026-11-25T02:00Z", "ord_shirt"], ["2026-11-25T01:00Z", "ord_shirt"],
    ]  # fmt: skip
    assert customer["reviews"][1][2] == texts[0]
    assert "more_reviews" not in customer


async def test_masked_reviews_do_not_name_the_customer(connect: Connect, reviewed: Shop) -> None:
    amend(reviewed, "ord_shirt", customerEmail="noam@example.com")
    async with connect(pii="masked") as client:
        found = await one_order(client, "ord_shirt", include=["timeline"])
        customer = await call(client, "get_customer", customer_email="noam@example.com")

    shown = json.dumps([found["timeline"], customer["reviews"]])
    assert "One sleeve is torn" in shown
    assert "Noam" not in shown
    assert "SBX" not in shown


async def test_a_masked_review_of_an_order_that_is_not_at_hand_shows_no_text(
    connect: Connect, reviewed: Shop
) -> None:
    elsewhere = review(reviewed.order("ord_shirt"), 4, orderId="ord_gone", body="I am Noam")
    with reviewed._transaction() as db:
        db.execute(
            "INSERT INTO review (id, written, body) VALUES ('r', 9, ?)", (json.dumps(elsewhere),)
        )
    async with connect(pii="masked") as client:
        customer = await call(client, "get_customer", customer_email="noam@example.com")

    assert customer["reviews"][0] == ["2026-11-25T04:00Z", "ord_gone", "5 of 5. …"]


async def test_reviews_take_a_few_requests_and_what_was_not_looked_at_is_said(
    connect: Connect, shop: Shop
) -> None:
    shop.add_past(5000)
    async with connect() as client:
        await call(client, "list_orders", limit=1)
        shop.forget_requests()
        answer = await call(
            client, "get_order", order_id="ord_shirt,ord_mixed", include=["timeline"]
        )

    asked = [request["path"] for request in shop.requests()]
    assert asked.count("/v1/stores/me/reviews") == 3
    assert len(asked) == 5
    assert (
        answer["timeline_lacks"]
        == "Only the first 300 reviews that Clawver lists were looked through."
    )


async def test_what_cannot_be_read_is_said_and_the_rest_is_told(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    await know_all(shop, configure)
    arrive(configure, "order.shipped", "ord_shirt", datetime.now(UTC))
    folder = folder_of(configure())
    async with connect() as client:
        await call(client, "list_orders", limit=1)
        for name in (HISTORY_FILE, "inbox.sqlite3", "ledger.sqlite3"):
            (folder / name).write_bytes(b"no database" * 100)
            (folder / name).chmod(0o600)
        shop.add_fault("status_before", path="/reviews", status=404, times=-1)
        answer = await call(client, "get_order", order_id="ord_shirt", include=["timeline"])
        customer = await call(client, "get_customer", customer_email="noam@example.com")

    assert [row[1] for row in answer["orders"][0]["timeline"]] == ["created", "paid"]
    assert answer["timeline_lacks"] == (
        "Reviews could not be read now. Not readable now: the refund ledger. Not readable now: order events. "
        "Not readable now: the history."
    )
    assert customer["more_reviews"] == "Reviews could not be read now."


async def test_an_endless_story_is_cut_at_its_beginning(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    for hour in range(60):
        at_that = datetime.now(UTC) - timedelta(hours=hour, minutes=5)
        arrive(configure, "order.fulfilled", "ord_shirt", at_that)
    async with connect() as client:
        answer = await call(client, "get_order", order_id="ord_shirt", include=["timeline"])

    assert len(answer["orders"][0]["timeline"]) == 40
    assert answer["timeline_lacks"] == "2 earlier moments of ord_shirt."


async def test_a_store_without_a_history_tells_the_rest(connect: Connect, shop: Shop) -> None:
    amend(shop, "ord_shirt", paidAt=None, createdAt=None)
    async with connect(history=False) as client:
        found = await one_order(client, "ord_shirt", include=["timeline"])

    assert not [row for row in found.get("timeline", ()) if row[1] in {"created", "paid"}]
