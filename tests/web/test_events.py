"""The events on the page: what arrived, what was refused, and how many are new."""

import json
import re
from datetime import timedelta
from typing import Any, get_args

from tests.web.conftest import Opens
from tests.web.visitor import Room, Visitor, listed

from clawver_orders.web.events import REFUSED
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Cause, Delivery, RefusedDeliveries


def arrive(room: Room, *names: str, order_id: str = "ord_shirt", **more: Any) -> None:
    """Have events arrive, a second apart."""
    for number, name in enumerate(names):
        at = room.time.at - timedelta(seconds=len(names) - number)
        sent = {"event": name, "timestamp": at.isoformat(), "data": {"orderId": order_id}} | more
        body = json.dumps(sent | {"number": number}).encode()
        room.store.inbox.note("r", [Delivery(body, parse(body), at + timedelta(minutes=1))])


def refuse(room: Room, *causes: Cause, count: int = 1) -> None:
    refused = [
        RefusedDeliveries(each, count, room.time.at + timedelta(minutes=2)) for each in causes
    ]
    room.store.inbox.heartbeat("r", room.time.at, refused)


async def test_events_are_listed_the_newest_first_a_page_at_a_time(
    room: Room, merchant: Visitor
) -> None:
    arrive(room, *["order.created", "order.paid"] * 60)
    pages = [await merchant.go("/events")]
    orders = listed(merchant)
    pages += [await merchant.go(f"/events?before={number}") for number in (71, 21, 1)]

    assert orders == ["ord_shirt"] * 50
    assert [re.findall(r"evt_(\d+)", each) for each in pages] == [
        [str(number) for number in numbers]
        for numbers in (range(120, 70, -1), range(70, 20, -1), range(20, 0, -1), ())
    ]
    assert "Receiving. The last delivery came" in pages[0]
    assert "Refused Nothing of a refused delivery is kept or used. None." in pages[0]
    assert "Events are kept for" in pages[0]
    assert "Newest Older" in pages[1]
    assert "Older" not in pages[2]
    assert "There are no older ones." in pages[3]


async def test_nothing_that_ever_listened_is_said_with_what_to_do(
    room: Room, merchant: Visitor
) -> None:
    said = await merchant.go("/events")
    arrive(room, "order.paid")
    room.passes(hours=1)
    silent = await merchant.go("/events")

    assert "Nothing has ever listened here." in said
    assert "keep this running on this machine clawver-orders listen" in said
    assert "No events have arrived." in said
    assert "Nothing listens now, so no events can arrive. The last delivery came" in silent


async def test_a_receiver_that_has_just_begun_is_said_to_have_nothing_yet(
    room: Room, merchant: Visitor
) -> None:
    room.store.inbox.start("r", room.time.at)
    said = await merchant.go("/events")

    assert "Receiving. No delivery has come yet." in said
    assert "keep this running" not in said


async def test_each_refusal_is_told_in_our_words(room: Room, merchant: Visitor) -> None:
    arrive(room, "order.paid")
    for number, cause in enumerate(get_args(Cause)):
        refuse(room, cause, count=300 + number)
    said = await merchant.go("/events")
    room.passes(minutes=10)
    arrive(room, "order.cancelled")
    later = await merchant.go("/events")

    notice, _, table = said.partition("How many")
    assert "Deliveries were refused since the last good one" in notice
    assert "Deliveries were refused since" not in later
    for number, (cause, words) in enumerate(REFUSED.items()):
        assert all(each in notice and each in table for each in words), cause
        assert f" {300 + number} " in later


async def test_what_a_store_sends_stays_text(room: Room, merchant: Visitor) -> None:
    evil = "order.<script>x</script>"
    arrive(room, evil, order_id="<b>/../ord", timestamp="9999-99-99")
    arrive(room, "product.made", data={})
    said = await merchant.go("/events")

    assert "<script>x" not in merchant.last.text
    assert evil in said
    assert "not told" in said
    assert "/order/" not in merchant.last.text


async def test_the_page_is_told_how_many_are_new(room: Room, merchant: Visitor) -> None:
    arrive(room, "order.created")
    refuse(room, "size", count=2)
    await merchant.go("/events")
    (query,) = (
        part.partition('"')[0].replace("&amp;", "&")
        for part in merchant.last.text.split("/events/new")[1:]
    )
    await merchant.go(f"/events/new{query}")
    before = merchant.last.json()
    arrive(room, "order.paid", "order.shipped")
    refuse(room, "size", "path")
    await merchant.go(f"/events/new{query}")
    after = merchant.last.json()
    arrive(room, *["order.paid"] * 150)
    await merchant.go("/events/new")

    assert before == {"events": 0, "refused": 0}
    assert after == {"events": 2, "refused": 2}
    assert merchant.last.json() == {"events": 100, "refused": 4}
    assert merchant.last.headers["cache-control"] == "no-store"


async def test_an_inbox_that_cannot_be_read_is_no_error_of_the_page(
    room: Room, merchant: Visitor
) -> None:
    arrive(room, "order.created")
    room.spoil("inbox.sqlite3")
    said = await merchant.go("/events")
    status = merchant.last.status_code
    await merchant.go("/events/new")

    assert status == 503
    assert "The events can't be read" in said
    assert merchant.last.status_code == 409


async def test_events_need_no_store(opens: Opens) -> None:
    async with opens(pii="masked") as room:
        arrive(room, "order.created", data={"orderId": "ord_shirt", "customerEmail": "a@b.com"})
        visitor = await room.signed_in()
        room.shop.forget_requests()
        room.shop.add_fault("status_before", times=-1, status=403)
        said = await visitor.go("/events")

        assert "order.created" in said
        assert "a@b.com" not in visitor.last.text
        assert room.shop.requests() == []
        await visitor.http.aclose()
