"""Today: what needs somebody and why, and the figures of the last two weeks."""

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.conftest import inbox_of
from tests.history.conftest import order
from tests.history.test_syncing import synced
from tests.reports.test_digest import know
from tests.web.conftest import Opens
from tests.web.visitor import Room, Visitor

from clawver_orders.history.mirror import HISTORY_FILE
from clawver_orders.webhooks.changes import CHANGES_FILE, WantedChange
from clawver_orders.webhooks.inbox import RefusedDeliveries

TODAY = "/today"


async def visit(room: Room) -> Visitor:
    """Somebody who has signed in, to a page with settings of the test's choice."""
    visitor = Visitor(room.address)
    await visitor.sign_in()
    return visitor


def asked(room: Room) -> Counter[str]:
    """How often the store got each request."""
    return Counter(f"{each['path']}?{each['query']}" for each in room.shop.requests())


def heading(visitor: Visitor) -> str:
    (found,) = re.findall(r"<h1>(.*?)</h1>", visitor.last.text)
    return str(found)


def table(visitor: Visitor) -> str:
    """The figures of each day."""
    (found,) = re.findall(r"<tbody>.*?</tbody>", visitor.last.text, re.DOTALL)
    return str(found)


def empty(room: Room) -> None:
    """Take all orders out of the store."""
    with room.shop._transaction() as db:
        db.execute("DELETE FROM sale")


async def test_it_says_what_needs_somebody_why_and_what_to_do(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted(total=2499)
    said = await merchant.go(TODAY)

    assert heading(merchant) == "1 refund waits for you"
    assert "4 orders need a look." in said
    assert f"$7.00 part of $24.99 {wish.order_id} " in said
    assert (
        "Cancelled, but $54.00 is not refunded. $54.00 ord_cancelled_paid zoe@example.com 深海 hoodie "
        "Have your agent refund it; the refund waits here for your yes." in said
    )
    assert (
        "and still shipped. $108.00 ord_waiting_shipped olena@example.com 2× 深海 hoodie "
        "Look at its tracking. If the parcel is lost, agree on a refund or a new order with the "
        "customer. Tracking: USPS" in said
    )
    assert said.index("ord_cancelled_paid") < said.index("ord_waiting_shipped")
    unpaid = said[said.index("Nobody has paid: nothing to do unless the customer writes") :]
    assert "The payment failed. $9.99 ord_failed layla@example.com" in unpaid


async def test_what_needs_somebody_leads_to_the_order_and_the_decision(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await merchant.go(TODAY)
    page, home = merchant.last.text, merchant.home.removeprefix(room.address)

    for about in (f"order/{wish.order_id}", f"refund/{wish.refund_id}", "order/ord_cancelled_paid"):
        assert page.count(f'href="{home}/{about}"') == 1
        await merchant.go(f"/{about}")
        assert merchant.last.status_code == 200


async def test_it_decides_nothing_and_moves_no_money(room: Room, merchant: Visitor) -> None:
    await room.wanted()
    await merchant.go(TODAY)

    assert [form.action.rpartition("/")[2] for form in merchant.forms("signout")] == ["signout"]
    assert merchant.last.text.count("<form") == 1
    assert room.sent() == []


async def test_the_store_is_asked_once_in_five_minutes_whoever_looks(
    room: Room, merchant: Visitor
) -> None:
    other = await visit(room)
    room.shop.forget_requests()
    for _ in range(3):
        said = await merchant.go(TODAY)
        await other.go(TODAY)
    assert set(asked(room).values()) == {1}
    assert {each["method"] for each in room.shop.requests()} == {"GET"}
    assert f"Orders read from Clawver at {room.time.at:%H:%M};" in said
    room.passes(minutes=5)
    await other.go(TODAY)
    await merchant.go(TODAY)
    await other.http.aclose()

    assert set(asked(room).values()) == {2}


async def test_what_waits_is_current_whenever_the_lists_were_read(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go(TODAY)
    assert heading(merchant) == "4 orders need a look"
    await room.wanted()
    await merchant.go(TODAY)

    assert heading(merchant) == "1 refund waits for you"


@pytest.mark.slow
async def test_a_refund_whose_outcome_is_not_known_comes_first(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    room.shop.add_fault("drop_before", method="POST")
    await merchant.go(f"/refund/{wish.refund_id}")
    await merchant.press("approve")
    said = await merchant.go(TODAY)

    assert heading(merchant) == "1 refund may or may not have been paid"
    assert "Not known yet whether it was paid Don't refund these orders again until it is." in said
    assert f"/refund/{wish.refund_id}" in merchant.last.text


async def test_of_many_that_wait_a_few_are_named_and_the_others_are_counted(
    room: Room, merchant: Visitor
) -> None:
    for n in range(6):
        await room.wanted()
        wanted = WantedChange("register", f"https://hooks.example/{n}", ("order.paid",))
        room.store.changes.want(wanted, "chat", "agent 1", is_person=False)
    said = await merchant.go(TODAY)

    assert heading(merchant) == "6 refunds and 6 webhooks wait for you"
    assert said.count("Review refund of") == said.count("Review webhook") == 5
    assert "And 2 more: see all that waits ." in said


async def test_of_many_stuck_orders_the_most_urgent_are_named_and_the_others_are_counted(
    room: Room, merchant: Visitor
) -> None:
    for _ in range(30):
        room.shop.sell(status="cancelled")
        room.shop.sell(payment_status="failed")
    said = await merchant.go(TODAY)

    assert heading(merchant) == "34 orders need a look"
    assert said.count("Cancelled, but $") == 25
    assert "And 9 more that a customer paid for. A terminal names them all:" in said
    assert said.count("The payment failed.") == 5
    assert re.search(r"And \d+ more that nobody has paid\.", said)


async def test_deliveries_that_were_refused_are_told_with_the_cause_and_what_to_do(
    room: Room, merchant: Visitor
) -> None:
    inbox = inbox_of(room.services.settings)
    now = room.time.at
    inbox.start("listener 1", now)
    inbox.heartbeat("listener 1", now, [RefusedDeliveries("signature", 3, now)])
    said = await merchant.go(TODAY)

    assert "4 orders need a look Events were refused." in said
    assert "The signature didn't fit : 3 deliveries, the last " in said
    assert "or the webhook has another secret than CLAWVER_WEBHOOK_SECRET holds here." in said
    assert "See Events for what arrived." in said


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (CHANGES_FILE, "It isn't known which webhooks wait The file of"),
        ("inbox.sqlite3", "It isn't known whether events were refused The file of"),
    ],
)
async def test_a_file_that_cannot_be_used_hides_nothing_else(
    room: Room, merchant: Visitor, file: str, told: str
) -> None:
    wish = await room.wanted()
    (room.store.scope.folder / file).write_bytes(b"no database at all")
    said = await merchant.go(TODAY)

    assert told in said
    assert wish.order_id in said
    assert "4 orders need a look" in said


async def test_a_file_that_cannot_be_used_may_hide_what_needs_somebody(
    room: Room, merchant: Visitor
) -> None:
    empty(room)
    (room.store.scope.folder / CHANGES_FILE).write_bytes(b"no database at all")
    await merchant.go(TODAY)

    assert heading(merchant) == "Nothing that is known needs you"


async def test_a_ledger_that_cannot_be_used_is_said(room: Room, merchant: Visitor) -> None:
    (room.store.scope.folder / "ledger.sqlite3").write_bytes(b"no database at all")
    said = await merchant.go(TODAY)

    assert "This can't be done now" in said
    assert merchant.last.status_code == 409


async def test_a_store_without_orders_says_so(room: Room, merchant: Visitor) -> None:
    empty(room)
    said = await merchant.go(TODAY)

    assert heading(merchant) == "Nothing needs you"
    assert "Clawver lists no orders of this store yet." in said
    assert "No orders need a look None is late" in said
    assert "Orders 0" in said


@pytest.mark.parametrize("fault", [{"status": 403}, {"status": 429}])
async def test_a_store_that_never_answered_is_said_and_no_error_of_the_page(
    room: Room, merchant: Visitor, fault: dict[str, Any]
) -> None:
    await room.wanted()
    room.shop.add_fault("status_before", times=-1, **fault)
    await merchant.go(TODAY)
    assert heading(merchant) == "1 refund waits for you"
    said = await merchant.go(TODAY)

    assert merchant.last.status_code == 200
    assert f"Clawver couldn't be asked at {room.time.at:%H:%M}" in said
    assert "It hasn't answered since this page was started." in said
    assert "See Health for what to do." in said
    assert "What isn't known Clawver couldn't be asked." in said
    assert "Orders that aren't known here are missing in these figures." in said


async def test_while_the_store_does_not_answer_orders_are_told_as_they_were_last_seen(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go(TODAY)
    figures = table(merchant)
    before = room.time.at
    room.passes(minutes=20)
    room.shop.add_fault("status_before", times=-1, status=403)
    said = await merchant.go(TODAY)

    assert heading(merchant) == "4 orders need a look"
    assert f"It last answered at {before.day} {before:%b %Y, %H:%M} UTC ." in said
    assert said.count("As of ") == said.count("days old and still") + said.count(
        "Cancelled, but"
    ) + said.count("The payment failed.")
    assert table(merchant) == figures


async def test_without_a_history_the_last_lists_stay_and_it_is_said_what_is_missing(
    opens: Opens,
) -> None:
    async with opens(history=False) as room:
        visitor = await visit(room)
        await visitor.go(TODAY)
        room.passes(minutes=20)
        room.shop.add_fault("status_before", times=-1, status=403)
        said = await visitor.go(TODAY)
        await visitor.http.aclose()

    assert heading(visitor) == "4 orders need a look"
    assert "No order history is kept (CLAWVER_HISTORY is off), so it isn't known." in said


async def test_nothing_needs_anybody_only_as_far_as_is_known(room: Room, merchant: Visitor) -> None:
    room.shop.add_fault("status_before", times=-1, status=403)
    said = await merchant.go(TODAY)

    assert heading(merchant) == "Nothing that is known needs you"
    assert "None that is known here is late" in said


async def test_a_history_that_cannot_be_read_is_said(room: Room, merchant: Visitor) -> None:
    room.shop.add_past(150)
    (room.store.scope.folder / HISTORY_FILE).write_bytes(b"no database at all")
    said = await merchant.go(TODAY)

    assert "The history of older orders cannot be read now" in said
    assert merchant.last.status_code == 200


async def test_an_order_that_is_listed_no_more_is_told_as_of_when_it_was_seen(
    room: Room, merchant: Visitor
) -> None:
    room.shop.add_past(150)
    late = order(
        "ord_late",
        status="processing",
        createdAt=(room.time.at - timedelta(days=200)).isoformat(),
    )
    seen_at = await know(room.services, late)
    room.shop.add_fault("garbage", path="/ord_late$", times=-1)
    said = await merchant.go(TODAY)
    requests = len(room.shop.requests())
    assert await merchant.go(TODAY) == said

    assert len(room.shop.requests()) == requests
    assert "200 days old and still processing. $24.99 ord_late ada@example.com" in said
    assert f"As of {seen_at.day} {seen_at:%b %Y, %H:%M} UTC" in said
    assert "What isn't known Clawver doesn't list all orders." in said


@pytest.mark.slow
async def test_a_year_of_orders_keeps_it_small_and_asks_the_store_no_more(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go(TODAY)
    room.shop.add_past(5000)
    await synced(room.services)
    room.passes(minutes=6)
    room.shop.forget_requests()
    said = await merchant.go(TODAY)

    assert set(asked(room).values()) == {1}
    assert len(room.shop.requests()) <= 9 + 10
    assert said.count(" ord_") <= 30
    assert len(merchant.last.text) < 50_000
    assert "Orders kept here since" in said


async def test_masked_it_names_no_customer(opens: Opens) -> None:
    async with opens(pii="masked") as room:
        await room.wanted()
        visitor = await visit(room)
        said = await visitor.go(TODAY)
        await visitor.http.aclose()

    assert "ord_waiting_shipped o…@….com" in said
    assert not re.search(r"(olena|zoe|layla|haruka|priya|wei)@", said)
    assert "USPS …" in said


async def test_read_only_it_shows_all_and_says_that_nothing_can_be_decided(opens: Opens) -> None:
    async with opens(read_only=True) as room:
        visitor = await visit(room)
        said = await visitor.go(TODAY)
        await visitor.http.aclose()

    assert "4 orders need a look" in said
    assert "This page is read-only: nothing can be decided here." in said


async def test_days_are_those_of_the_settings(opens: Opens) -> None:
    async with opens(time_zone="Pacific/Kiritimati") as room:
        visitor = await visit(room)
        room.shop.sell(total_in_cents=123456)
        await visitor.go(TODAY)
        await visitor.http.aclose()
        calendar = room.services.settings.calendar
        today = calendar.day_of(room.time.at)
        counted = Counter(
            calendar.day_of(datetime.fromisoformat(each["createdAt"]))
            for each in room.shop.orders()
        )

    rows = re.findall(r'<th scope="row">(\d+ \w+)[^<]*</th><td>(\d+)</td>', table(visitor))
    days = [today - timedelta(days=n) for n in range(13, -1, -1)]
    assert rows == [(f"{day.day} {day:%b}", str(counted[day])) for day in days]


async def test_the_bars_tell_what_the_table_tells_to_those_who_do_not_see_them(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go(TODAY)
    labels = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', merchant.last.text)

    assert [each.split(" per day")[0] for each in labels] == ["Orders", "Sales", "Refunds"]
    assert all("In total " in each and "most " in each for each in labels)
    assert "style=" not in merchant.last.text


async def test_a_new_day_has_new_figures_though_the_lists_are_the_same(room: Room) -> None:
    midnight = datetime.combine(
        room.time.at.date() + timedelta(days=2), datetime.min.time(), room.time.at.tzinfo
    )
    room.time.pass_by((midnight - room.time.at).total_seconds() - 60)
    visitor = await visit(room)
    await visitor.go(TODAY)
    room.passes(minutes=2)
    await visitor.go(TODAY)
    await visitor.http.aclose()

    assert f"to {midnight.day} {midnight:%b}</p>" in visitor.last.text


async def test_words_of_others_stay_within_their_place(room: Room, merchant: Visitor) -> None:
    hostile = "</p><button class='money'>Refund</button><script>x</script>"
    sale = room.shop.sell(status="cancelled")
    sale["items"][0]["productName"] = hostile
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = ? WHERE json_extract(body, '$.id') = ?",
            (json.dumps(sale), sale["id"]),
        )
    await merchant.go(TODAY)

    assert "&lt;/p&gt;&lt;button" in merchant.last.text
    assert "<button class='money'>" not in merchant.last.text
