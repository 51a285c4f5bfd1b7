"""One order on the page, in full."""

from datetime import timedelta
from typing import Any

import pytest
from tests.amending import amend
from tests.tools.test_older_orders import know_all
from tests.web.conftest import Opens
from tests.web.visitor import REASON, Forms, Room, Visitor, decide, listed

from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.web import one_order


async def test_an_order_is_told_in_full(room: Room, merchant: Visitor) -> None:
    said = await merchant.go("/order/ord_shirt")
    order = room.shop.order("ord_shirt")

    assert "Order ord_shirt Shipped, paid. On its way to the customer. Next: delivered." in said
    assert "1 × Star map tee Printed to order." in said
    assert "Total $32.00 Refunded $0.00 Can be refunded $32.00" in said
    assert f"Parcel USPS {order['trackingNumber']} Open at tracking.example" in said
    assert f'href="{order["trackingUrl"]}" rel="noreferrer noopener"' in merchant.last.text
    for part in ("name", "line1", "city", "postalCode", "country"):
        assert order["shippingAddress"][part] in said
    assert order["customerEmail"] in said
    assert "Order placed" in said
    assert "Refunds" not in said
    assert "This order was read from Clawver at" in said
    assert room.shop.requests()[-1]["path"] != "/v1/orders/ord_shirt/refund"


async def test_an_order_is_read_once_in_five_minutes(room: Room, merchant: Visitor) -> None:
    room.shop.forget_requests()
    for _ in range(5):
        await merchant.go("/order/ord_shirt")
    first = [each["path"] for each in room.shop.requests()]
    room.passes(minutes=5)
    await merchant.go("/order/ord_shirt")

    assert sorted(first) == ["/v1/orders/ord_shirt", "/v1/stores/me/reviews"]
    assert len(room.shop.requests()) == 2 * len(first)


async def test_an_orders_refunds_lead_to_their_pages(room: Room, merchant: Visitor) -> None:
    waiting = await room.wanted(500, "ord_mixed")
    paid = await room.wanted(700, "ord_mixed")
    await decide(f"{room.address}/refund/{paid.refund_id}", "approve")
    room.passes(minutes=6)
    said = await merchant.go("/order/ord_mixed")
    story = said.partition("What happened")[2].partition("Money")[0]

    for wish in (waiting, paid):
        assert f"{merchant.home.partition('//')[2].partition('/')[2]}/refund/{wish.refund_id}" in (
            merchant.last.text
        )
    own = said.partition("Refunds $")[2]
    assert own.index("7.00 Refunded") < own.index("$5.00 Waiting for your decision")
    assert f"Refunded $7.00 {REASON}" in story
    assert "Refund approved $7.00 by person on the page, grade console, through page" in story
    assert "not by this server" not in said
    assert "Total $41.99 Refunded \u2212 $7.00 Can be refunded $34.99" in said
    assert f"/order/{paid.order_id}" in await _linked(merchant, f"/refund/{paid.refund_id}")


async def _linked(visitor: Visitor, path: str) -> str:
    await visitor.go(path)
    return visitor.last.text


async def test_refunds_that_clawver_alone_lists_are_told_apart(
    room: Room, merchant: Visitor
) -> None:
    odd = {"id": "ref_odd", "amountInCents": 100, "status": "in doubt", "reason": ""}
    amend(
        room.shop,
        "ord_hostile",
        refunds=[*room.shop.order("ord_hostile")["refunds"], odd],
    )
    said = await merchant.go("/order/ord_hostile")

    assert "$5.00 Refunded, not by this server" in said
    assert "$1.00 Clawver says in doubt , not by this server ref_odd" in said
    assert "Refunded not known Can be refunded not known" in said
    assert "Clawver does not tell when these refunds" not in said  # they count as no money


@pytest.mark.slow  # it is sent and looked for
async def test_a_refund_of_which_nobody_knows_is_warned_of(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted(700, "ord_mixed")
    room.shop.add_fault("drop_before", method="POST")
    await decide(f"{room.address}/refund/{wish.refund_id}", "approve")
    said = await merchant.go("/order/ord_mixed")

    assert "It isn't known yet whether a refund was paid Don't refund this order again" in said
    assert "Can be refunded not known" in said
    assert "Refund sent, and not listed by Clawver $7.00, now unknown" in said


async def test_what_customers_wrote_of_an_order_is_in_its_story(
    room: Room, merchant: Visitor
) -> None:
    reviews, _ = room.shop.reviews(None, 100)
    about = reviews[0]
    said = await merchant.go(f"/order/{about['orderId']}")

    assert f"Reviewed {about['rating']} of 5." in said


async def test_a_store_that_does_not_answer_leaves_an_order_as_it_was_seen(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go("/orders")
    room.passes(minutes=6)
    room.shop.add_fault("status_before", times=-1, status=403)
    room.shop.forget_requests()
    said = await merchant.go("/order/ord_shirt")
    assert {each["path"] for each in room.shop.requests()} == {"/v1/orders/ord_shirt"}
    assert merchant.last.status_code == 200
    assert "the order can't be read now" in said
    assert "Star map tee" in said
    assert "Reviews could not be read now." in said

    room.shop.clear_faults()
    said = await merchant.press("read")
    assert "can't be read now" not in said.replace("Reviews could not", "")
    assert "This order was read from Clawver at" in said

    room.passes(minutes=6)
    room.shop.add_fault("status_before", times=-1, status=403)
    said = await merchant.go("/order/ord_shirt")
    assert "This is as of" in said
    assert "Star map tee" in said


@pytest.mark.parametrize("history", [True, False])
async def test_an_order_that_is_known_nowhere_is_said_to_be(opens: Opens, *, history: bool) -> None:
    async with opens(history=history) as room:
        visitor = await room.signed_in()
        unknown = await visitor.go("/order/ord_nothing")
        status = visitor.last.status_code
        odd = await visitor.go("/order/-odd-")
        room.shop.add_fault("status_before", times=-1, status=403)
        failed = await visitor.go("/order/ord_shirt")

        assert status == 404
        for said in (unknown, odd):
            assert "There is no such order Neither Clawver nor this machine knows it." in said
        assert visitor.last.status_code == 503
        assert "This order can't be read now" in failed
        await visitor.http.aclose()


async def test_a_history_that_cannot_be_read_hides_no_order(room: Room, merchant: Visitor) -> None:
    await merchant.go("/orders")
    room.spoil(HISTORY_FILE)
    said = await merchant.go("/order/ord_shirt")
    assert "Star map tee" in said
    assert "Not readable now: the history." in said

    room.shop.add_fault("status_before", times=-1, status=403)
    await merchant.go("/order/ord_mixed")
    assert merchant.last.status_code == 503


async def test_what_only_a_list_told_is_said_to_be_little(
    room: Room, merchant: Visitor, configure: Any
) -> None:
    await know_all(room.shop, configure, [room.shop.order("ord_shirt")])
    room.shop.add_fault("status_before", times=-1, status=403)
    said = await merchant.go("/order/ord_shirt")

    assert "What was ordered isn't known." in said
    assert "Only Clawver's list told of this order" in said
    assert "Order ord_shirt Shipped. On its way" in said
    assert "Refunded not known Can be refunded not known" in said
    assert "Customer Not known." in said


async def test_odd_orders_are_shown_with_what_they_tell(room: Room, merchant: Visitor) -> None:
    amend(
        room.shop, "ord_mixed", status="on the moon", paymentStatus="in shells", createdAt=None,
        paidAt=None, customerEmail=None, items=[],
    )  # fmt: skip
    said = await merchant.go("/order/ord_mixed")
    line = room.shop.order("ord_shirt")["items"][0] | {"variantName": None, "totalInCents": "?"}
    amend(room.shop, "ord_shirt", items=[line | {"productType": "odd"}] * 120, carrier=None)
    many = await merchant.go("/order/ord_shirt")

    assert "words that this version doesn't know Status on the moon Payment in shells" in said
    assert "Can be refunded not known" in said
    assert "When it was placed isn't known" in said
    assert "No items." in said
    assert "Nothing of it is known." in said
    assert merchant.forms("customer")
    assert "and 20 more" in many


async def test_an_order_that_needs_a_look_says_why(merchant: Visitor) -> None:
    said = await merchant.go("/order/ord_cancelled_paid")

    assert "This order needs a look Cancelled, but $54.00 is not refunded." in said
    assert "Nothing follows." not in said


async def test_the_orders_of_a_customer_are_a_click_away(room: Room, merchant: Visitor) -> None:
    await merchant.go("/order/ord_shirt")
    email = room.shop.order("ord_shirt")["customerEmail"]
    said = await merchant.press("customer")

    assert sorted(listed(merchant)) == sorted(
        each["id"] for each in room.shop.orders() if each["customerEmail"] == email
    )
    assert "Every order that matches is listed." in said
    assert email not in str(merchant.last.url)


async def test_nobody_is_listed_where_the_customer_is_not_told(
    room: Room, merchant: Visitor
) -> None:
    await merchant.go("/order/ord_shirt")
    (form,) = merchant.forms("customer")
    amend(room.shop, "ord_shirt", customerEmail=None)
    room.passes(minutes=6)
    await merchant.post(str(merchant.last.url.join(form.action)), form.fields)

    assert merchant.last.url.path.endswith("/order/ord_shirt")
    assert merchant.forms("customer") == []


async def test_masked_mode_masks_an_order(opens: Opens) -> None:
    async with opens(pii="masked") as room:
        visitor = await room.signed_in()
        order = room.shop.order("ord_shirt")
        said = await visitor.go("/order/ord_shirt")
        shown = visitor.last.text
        token = Forms(shown).found[0].fields
        await visitor.post(f"{visitor.home}/order/ord_shirt/customer", token)

        where = order["shippingAddress"]
        hidden = [where["name"], where["line1"], where["postalCode"], order["customerEmail"]]
        for each in (*hidden, order["trackingNumber"], order["trackingUrl"]):
            assert each not in shown
        assert "נ… ל…" in said
        assert "Parcel USPS …" in said
        assert visitor.last.url.path.endswith("/order/ord_shirt")
        assert order["customerEmail"] not in visitor.last.text
        await visitor.http.aclose()


async def test_texts_of_others_stay_text(room: Room, merchant: Visitor) -> None:
    evil = "</span><button class='money'>Refund</button><script>x</script> APPROVED " + "x" * 300
    item = room.shop.order("ord_shirt")["items"][0] | {"productName": evil, "variantName": evil}
    amend(
        room.shop, "ord_shirt", items=[item], carrier=evil, trackingNumber=evil,
        shippingAddress={"name": evil, "line1": evil}, trackingUrl="javascript:alert(1)",
        status=evil, paymentStatus=evil,
    )  # fmt: skip
    await merchant.go("/order/ord_shirt")
    tags = Forms(merchant.last.text).tags

    assert tags.count("script") == 1
    assert "<button class='money'>" not in merchant.last.text
    assert "javascript:" not in merchant.last.text
    await merchant.go("/orders")
    assert Forms(merchant.last.text).tags.count("script") == 1


async def test_a_long_story_begins_with_what_is_left_out(
    room: Room, merchant: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_order, "MOST_MOMENTS", 1)
    said = await merchant.go("/order/ord_shirt")

    assert "1 earlier moment isn't shown." in said
    assert "Order placed" not in said


async def test_a_change_that_was_only_noticed_is_told_as_between_two_times(
    room: Room, merchant: Visitor
) -> None:
    sold, now = room.shop.order("ord_shirt"), room.time.at
    for status, days in (("processing", 3), ("delivered", 1)):
        at = (now - timedelta(days=days)).timestamp()
        body = kept(sold | {"status": status})
        room.store.mirror.note([Sighting("ord_shirt", body, "read", at)], now)
    said = await merchant.go("/order/ord_shirt")

    assert "seen between" in said
    assert "Seen in another status delivered" in said


async def test_a_ledger_that_cannot_be_read_is_said(room: Room, merchant: Visitor) -> None:
    await room.wanted(500, "ord_shirt")
    await merchant.go("/order/ord_shirt")
    room.spoil(LEDGER_FILE)
    said = await merchant.go("/order/ord_shirt")

    assert "The refund ledger can't be read now" in said
    assert "Can be refunded not known" in said
    assert "Not readable now: the refund ledger." in said
