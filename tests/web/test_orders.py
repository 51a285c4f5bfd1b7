"""The lists of orders on the page: what they show, how they are searched, and what they ask of the store."""

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.amending import amend
from tests.tools.test_older_orders import know_all
from tests.web.conftest import Opens
from tests.web.visitor import Forms, Room, Visitor, listed

from clawver_orders.clawver.models import Order
from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE, Mirror, place_of
from clawver_orders.tools import listing
from clawver_orders.web import filters


def newest_first(room: Room) -> list[dict[str, Any]]:
    def place(sent: dict[str, Any]) -> int:
        order = Order.model_validate(sent)
        return place_of(order.id, order)

    return sorted(room.shop.orders(), key=place, reverse=True)


async def search(visitor: Visitor, **typed: str) -> str:
    await visitor.go("/orders")
    return await visitor.press("orders", 0, **typed)


async def test_all_orders_are_listed_the_newest_first_a_page_at_a_time(
    room: Room, merchant: Visitor
) -> None:
    said = await merchant.go("/orders")
    first = listed(merchant)
    older = await merchant.go("/orders?page=2")
    second = listed(merchant)
    await merchant.go("/orders?page=3")
    third = listed(merchant)
    last = merchant.last.text
    await merchant.go("/orders?page=99")

    assert first + second + third == [each["id"] for each in newest_first(room)]
    assert len(first) == len(second) == 50
    assert "All 120 orders of this store are known here." in said
    assert "Page 1: orders 1 to 50 Older" in said
    assert "Newer Page 2: orders 51 to 100 Older" in older
    assert ">Older<" not in last
    assert listed(merchant) == third
    assert "zoe@example.com Tidewater font family; Star map tee $59.99" in said
    assert "Cancelled, but $54.00 is not refunded." in said
    assert "partially refunded , $8.00" in said


async def test_the_store_is_asked_once_in_five_minutes_whatever_is_reloaded(
    room: Room, merchant: Visitor
) -> None:
    room.shop.forget_requests()
    for path in ("/orders", "/orders?page=2", "/orders", "/orders.csv", "/events", "/orders"):
        await merchant.go(path)
    await search(merchant, search="zoe")
    asked = Counter(f"{each['path']}?{each['query']}" for each in room.shop.requests())
    room.passes(minutes=5)
    await merchant.go("/orders")

    assert set(asked.values()) == {1}
    assert len(room.shop.requests()) == 2 * len(asked)


@pytest.mark.parametrize("history", [True, False])
async def test_a_search_finds_what_list_orders_would(opens: Opens, *, history: bool) -> None:
    searches: list[tuple[dict[str, str], Callable[[dict[str, Any]], bool]]] = [
        ({"search": "zoe"}, lambda o: "zoe" in o["customerEmail"]),
        ({"status": "shipped"}, lambda o: o["status"] == "shipped"),
        ({"payment_status": "refunded"}, lambda o: o["paymentStatus"] == "refunded"),
        ({"customer_email": "wei@example.com"}, lambda o: o["customerEmail"] == "wei@example.com"),
        (
            {"product": "kraken", "status": "delivered"},
            lambda o: (
                o["status"] == "delivered"
                and any("Kraken" in item["productName"] for item in o["items"])
            ),
        ),
    ]
    async with opens(history=history) as room:
        visitor = await room.signed_in()
        for typed, fits in searches:
            said = await search(visitor, **typed)
            wanted = [each["id"] for each in newest_first(room) if fits(each)]

            assert wanted
            assert listed(visitor) == wanted[:50]
            assert "Every order that matches is listed." in said
        await visitor.http.aclose()


async def test_days_narrow_a_list(room: Room, merchant: Visitor) -> None:
    day = room.time.at.date()
    span = {
        "created_after": str(day - timedelta(days=9)),
        "created_before": str(day - timedelta(days=3)),
    }
    said = await search(merchant, **span)

    assert listed(merchant) == [
        each["id"]
        for each in newest_first(room)
        if span["created_after"] <= str(each["createdAt"])[:10] < span["created_before"]
    ]
    assert "Every order that matches is listed." in said


async def test_what_is_searched_for_stands_in_no_address(room: Room, merchant: Visitor) -> None:
    said = await search(merchant, search="zoe", customer_email="zoe@example.com")
    address = str(merchant.last.url)
    shown = merchant.last.text
    await search(merchant, search="zoe", customer_email="zoe@example.com")

    assert "zoe" not in address
    assert "zoe" not in "".join(re.findall(r'(?:href|action)="([^"]*)"', shown))
    assert 'value="zoe@example.com"' in shown
    assert "Show all" in said
    assert str(merchant.last.url) == address  # the same list is not kept twice
    assert not merchant.last.url.query
    assert merchant.last.headers["referrer-policy"] == "same-origin"


async def test_a_list_belongs_to_its_session_and_makes_room_for_others(
    room: Room, merchant: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "MOST_LISTS", 3)
    await search(merchant, search="zoe")
    path = merchant.last.url.path.partition(merchant.home.rpartition("/")[2])[2]
    mine = listed(merchant)
    another = await room.signed_in()
    await another.go(path)
    theirs = listed(another)
    for number in range(filters.MOST_LISTS):
        await search(merchant, search=f"nothing {number}")
    await merchant.go(path)

    assert 0 < len(mine) < 50
    assert len(theirs) == 50
    assert another.last.url.path.endswith("/orders")
    assert len(listed(merchant)) == 50
    await another.http.aclose()


async def test_an_empty_search_is_the_list_of_all(merchant: Visitor) -> None:
    await search(merchant, search="", status="any", payment_status="any")

    assert merchant.last.url.path.endswith("/orders")
    assert len(listed(merchant)) == 50


async def test_a_filter_that_cannot_be_used_is_said_beside_the_form(merchant: Visitor) -> None:
    for name, typed, said in (
        ("customer_email", "zoe", "E-mail: must be a whole e-mail address"),
        ("created_after", "soon", "From: must be a day like 2026-11-24"),
        ("created_after", "2999-01-01", "From has to be a day before the other one"),
        ("status", "odd", "Status: choose one of the list."),
        ("search", "x" * 201, "Search: must have at most 200 characters."),
    ):
        shown = await search(merchant, **{name: typed})

        assert said in shown
        assert merchant.last.status_code == 422
        assert listed(merchant) == []
        (form,) = merchant.forms("orders")
        assert form.fields.get(name, typed) == typed


async def test_a_store_that_does_not_answer_leaves_what_is_known(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go("/orders")
    room.passes(minutes=6)
    room.shop.add_fault("status_before", times=-1, status=403)
    said = await merchant.go("/orders")

    assert merchant.last.status_code == 200
    assert len(listed(merchant)) == 50
    assert "Clawver can't be read now" in said
    assert "Its lists are as of" in said
    assert "Shown is what is kept here." in said
    assert "Some orders may be missing: see below." in said
    assert "Orders kept here since" in said


@pytest.mark.parametrize("history", [True, False])
async def test_a_store_that_never_answered_is_no_error(opens: Opens, *, history: bool) -> None:
    async with opens(history=history) as room:
        visitor = await room.signed_in()
        room.shop.add_fault("status_before", times=-1, status=403)
        said = await visitor.go("/orders")

        assert visitor.last.status_code == 200
        assert "Clawver can't be read now" in said
        assert "Its lists are as of" not in said
        assert "No orders are known here yet." in said
        assert ("CLAWVER_HISTORY" in said, "clawver-orders sync" in said) == (False, history)
        await visitor.http.aclose()


async def test_an_empty_store_says_so(room: Room, merchant: Visitor) -> None:
    with room.shop._transaction() as db:
        db.execute("DELETE FROM sale")
    said = await merchant.go("/orders")
    found = await search(merchant, search="zoe")

    assert "This store has no orders yet." in said
    assert "No order matches." in found


async def test_without_a_history_the_list_is_what_clawver_lists(opens: Opens) -> None:
    async with opens(history=False) as room:
        room.shop.add_past(400)
        visitor = await room.signed_in()
        said = await visitor.go("/orders")
        pages = [listed(visitor)]
        for number in (2, 3, 99):
            await visitor.go(f"/orders?page={number}")
            pages.append(listed(visitor))
        await visitor.go("/orders.csv")

        assert pages[0] == [each["id"] for each in newest_first(room)][:50]
        assert len({each for page in pages[:3] for each in page}) == 150
        assert "CLAWVER_HISTORY is off, so none are kept here." in said
        assert "Clawver lists the newest 100 orders of each status, and no older ones." in said
        assert "CSV" not in said
        assert visitor.last.status_code == 409
        await visitor.http.aclose()


async def test_older_orders_than_clawver_lists_are_found_and_said_to_be_perhaps_not_all(
    room: Room, merchant: Visitor, configure: Any
) -> None:
    room.shop.add_past(300)
    thin = newest_first(room)[-2:]
    await know_all(room.shop, configure, thin)
    said = await merchant.go("/orders")
    found = await search(merchant, search=str(newest_first(room)[-3]["id"]))
    due = await search(merchant, search=str(thin[0]["id"]))

    assert "Some orders may be missing: see below." in said
    assert "Those are here if this machine has seen them." in said
    assert "Orders kept here since" in said
    assert "clawver-orders sync reads all that Clawver gives." in said
    assert "Page 1: orders 1 to 50" in said
    assert listed(merchant) == [thin[0]["id"]]
    assert "not known" in due
    assert "May have changed since it was read." in due
    assert "$" in found


async def test_a_search_that_would_take_too_long_says_so(
    room: Room, merchant: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKS", 0)
    said = await search(merchant, search="zoe")

    assert "No order matches among those that are known here." in said
    assert "Narrow the search by status or by day." in said


async def test_a_history_that_cannot_be_read_is_no_error_of_the_page(
    room: Room, merchant: Visitor
) -> None:
    room.spoil(HISTORY_FILE)
    said = await merchant.go("/orders")

    assert merchant.last.status_code == 503
    assert "The orders can't be read" in said


async def test_odd_orders_are_listed_with_what_they_tell(room: Room, merchant: Visitor) -> None:
    amend(
        room.shop, "ord_mixed", status="on the moon", paymentStatus="in shells", customerEmail=None
    )
    amend(room.shop, "ord_shirt", status=None, paymentStatus=None, items=[], createdAt=None)
    said = await search(merchant, search="ord_mixed")
    assert "on the moon in shells , refunds not known not known Nebula wallpaper pack" in said
    said = await search(merchant, search="ord_shirt")
    assert "time not known not known not known , refunds not known" in said
    assert "none $32.00" in said


@pytest.mark.parametrize("history", [True, False])
async def test_orders_that_do_not_tell_what_is_looked_for_leave_a_list_open(
    opens: Opens, *, history: bool
) -> None:
    async with opens(history=history) as room:
        amend(room.shop, "ord_mixed", paymentStatus="in shells", refunds=None)
        visitor = await room.signed_in()
        day = str(room.time.at.date())
        all_dated = await search(visitor, created_before=day, search="zoe")
        amend(room.shop, "ord_shirt", createdAt=None)
        amend(room.shop, "ord_hostile", items=None)
        room.passes(minutes=5)
        everything = await visitor.go("/orders")
        by_product = await search(visitor, product="kraken")
        by_day = await search(visitor, created_before=day)

        assert "Every order that matches is listed." in all_dated
        assert "orders of this store are" in everything
        assert "Some orders may be missing" in by_day
        assert "Some orders don't tell what is looked for" in by_day
        assert "Some orders don't tell what is looked for" in by_product
        assert "no older ones" not in by_day
        await visitor.http.aclose()


async def test_what_a_list_does_not_tell_is_taken_from_what_was_read_before(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go("/orders")
    order = room.shop.order("ord_shirt")
    items = order.pop("items")
    with room.shop._transaction() as db:
        db.execute("UPDATE sale SET body = ? WHERE id = 'ord_shirt'", (json.dumps(order),))
    room.passes(minutes=5)
    said = await search(merchant, product=items[0]["productName"])

    assert "ord_shirt" in listed(merchant)
    assert "Every order that matches is listed." in said


async def test_masked_mode_masks_a_list(opens: Opens) -> None:
    async with opens(pii="masked") as room:
        visitor = await room.signed_in()
        said = await search(visitor, search="zoe")

        assert listed(visitor)
        assert "z…@….com" in said
        assert "zoe@example.com" not in visitor.last.text
        await visitor.http.aclose()


async def test_a_read_only_page_shows_orders_and_events(opens: Opens) -> None:
    async with opens(read_only=True) as room:
        visitor = await room.signed_in()
        for path in ("/orders", "/order/ord_mixed", "/events", "/orders.csv", "/refunds.csv"):
            await visitor.go(path)
            assert visitor.last.status_code == 200, path
        await visitor.go("/order/ord_mixed")
        assert {form.action.rpartition("/")[2] for form in Forms(visitor.last.text).found} == {
            "signout",
            "customer",
        }
        await visitor.http.aclose()


async def test_every_view_says_that_it_is_the_sandbox(opens: Opens) -> None:
    async with opens(sandbox=True, api_key=None) as room:
        visitor = await room.signed_in()
        for path in ("/orders", "/order/ord_mixed", "/events"):
            said = await visitor.go(path)
            assert visitor.last.status_code == 200, path
            assert "Practice Sandbox store on this machine" in said, path
        await visitor.http.aclose()


async def test_nothing_is_served_without_a_session(room: Room, merchant: Visitor) -> None:
    inside = merchant.home
    stranger = Visitor(room.address)
    paths = (
        "/orders", "/orders/any", "/orders.csv", "/orders/any/orders.csv", "/refunds.csv",
        "/order/ord_mixed", "/events", "/events/new",
    )  # fmt: skip
    for path in paths:
        stranger.last = await stranger.http.get(f"{inside}{path}")
        assert stranger.last.status_code == 401, path
        assert "ord_" not in stranger.last.text.replace("order/ord_mixed", ""), path
    for path in ("/orders", "/order/ord_mixed/read", "/order/ord_mixed/customer"):
        said = await stranger.post(f"{inside}{path}", {"search": "zoe"})
        assert stranger.last.status_code == 401, path
        assert "PIN" in said
    await stranger.http.aclose()


@pytest.mark.slow
async def test_a_page_of_five_thousand_orders_reads_a_page_of_rows(
    room: Room, merchant: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.shop.add_past(5000)
    at = room.time.at
    seen = [Sighting(e["id"], kept(e), "read", at.timestamp()) for e in room.shop.orders()]
    room.store.mirror.note(seen, at)
    await merchant.go("/orders")
    read: list[int] = []
    find = Mirror.find

    def counted(self: Mirror, *given: Any) -> Any:
        found = find(self, *given)
        read.append(len(found))
        return found

    monkeypatch.setattr(Mirror, "find", counted)
    said = await merchant.go("/orders")
    await merchant.go("/orders?page=2")
    await search(merchant, search="zoe", status="delivered")

    assert f": {len(seen)}" in said
    assert (
        sum(read) <= 4 * 100
    )  # the list of all, twice; its second page; and what was searched for
    assert listed(merchant)
