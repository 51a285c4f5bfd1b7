"""The page as a browser without script meets it: what it shows, and what a decision does."""

import time
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2
import pytest
from tests.conftest import with_slow
from tests.refunds.book import START
from tests.tools.test_refunds import posts
from tests.web.conftest import Opens
from tests.web.visitor import PIN, Forms, Room, Visitor

from clawver_orders.caller import WAITS, Approval, Script
from clawver_orders.clawver.models import Order
from clawver_orders.instants import Instant
from clawver_orders.refunds.records import Attempt, Wish
from clawver_orders.web import reading, sessions
from clawver_orders.web.deciding import OnPage
from clawver_orders.web.views import warnings_of

ATTEMPT = Attempt(
    "rfi_1", 1, "ord_1", 700, "Torn", frozenset(), Instant(START, 1.0, "a start"), None, "refunded"
)
EVIL = "https://evil.example"


async def reviewed(visitor: Visitor, wish: Wish) -> str:
    """Open the page of a refund."""
    return await visitor.go(f"/refund/{wish.refund_id}")


# Approving.


async def test_a_person_who_signed_in_approves_what_they_saw(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    shown = await reviewed(merchant, wish)
    said = await merchant.press("approve")

    assert f"Refund $7.00? on order {wish.order_id}" in shown
    assert "Left afterwards $17.99" in shown
    assert "Refunded $7.00" in said
    assert room.sent() == [(wish.order_id, 700)]
    (decision,) = (await room.now(wish)).decisions
    assert (decision.verdict, decision.grade, decision.channel, decision.who) == (
        "approve", "console", "page", "person on the page",
    )  # fmt: skip
    assert decision.client.startswith("clawver-orders page ")


async def test_the_pin_typed_for_a_refund_makes_its_grade_pin(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    said = await merchant.press("approve", pin=PIN)

    assert "Refunded $7.00" in said
    assert [each.grade for each in (await room.now(wish)).decisions] == ["pin"]
    assert "person on the page PIN" in said


async def test_a_wrong_pin_sends_nothing_and_counts(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    for left in range(4, 0, -1):
        await reviewed(merchant, wish)
        said = await merchant.press("approve", pin="example-473")
        assert merchant.last.status_code == 403
        assert f"{left} {'try is' if left == 1 else 'tries are'} left before it is locked" in said
    await merchant.press("approve", pin="example-474")
    said = await merchant.press("approve", pin=PIN)

    assert "the PIN was wrong too often, and is locked until" in said
    assert room.sent() == []
    assert (await room.now(wish)).status == "waiting"
    assert "Declined. No money moved." in await merchant.press("decline")  # never locked


async def test_without_a_pin_the_page_asks_for_none(opens: Opens) -> None:
    async with opens(has_pin=False) as room:
        wish = await room.wanted()
        visitor = await signed_in_by_code(room)
        await reviewed(visitor, wish)

        assert "pin" not in visitor.forms("approve")[0].fields
        assert "Refunded $7.00" in await visitor.press("approve")
        await visitor.http.aclose()


async def signed_in_by_code(room: Room) -> Visitor:
    file = room.opens_itself()
    (form,) = Forms(file.read_text("utf-8")).found
    visitor = Visitor(room.address)
    await visitor.post(form.action, form.fields, origin="null")
    return visitor


async def test_what_needs_the_pin_is_not_approved_without_it(opens: Opens) -> None:
    async with opens(refund_approval="pin") as room:
        wish = await room.wanted()
        visitor = await signed_in_by_code(room)
        shown = await reviewed(visitor, wish)
        assert "Needs PIN Only your PIN approves it." in shown
        said = await visitor.press("approve")
        assert "Type your PIN to approve this. Never type the PIN in a chat" in said
        assert (visitor.last.status_code, room.sent()) == (403, [])
        assert "Refunded $7.00" in await visitor.press("approve", pin=PIN)
        assert [each.grade for each in (await room.now(wish)).decisions] == ["pin"]
        await visitor.http.aclose()


async def test_what_is_outside_the_policy_is_said_first_and_needs_what_the_policy_says(
    opens: Opens, tmp_path: Path
) -> None:
    policy = tmp_path / "refund-policy.toml"
    policy.write_text("[refund]\nmax_cents_per_order = 700\n", "utf-8")
    async with opens(refund_policy=policy) as room:
        wish = await room.wanted()
        visitor = await signed_in_by_code(room)
        assert "Refund policy It is within the store's rules." in await reviewed(visitor, wish)

        policy.write_text("[refund]\nmax_cents_per_order = 699\n", "utf-8")
        assert (
            "1 warning, read it first It is outside the store's refund policy: with it $7.00"
            in (await reviewed(visitor, wish))
        )
        await visitor.press("approve")
        assert (room.sent(), (await room.now(wish)).grade_needed) == ([], "pin")

        rule = "max_refunds_per_customer = {count = %d, days = 9}\n"
        policy.write_text(f"[refund]\n{rule % 1}", "utf-8")
        assert (
            "It is within the store's rules. With it this customer would have 1 refund in 9 days "
            "(max_refunds_per_customer is 1 in 9 days). That is as far as the order history"
        ) in await reviewed(visitor, wish)

        policy.write_text("[refund]\nmax_cents = 699\n", "utf-8")
        assert "CLAWVER_REFUND_POLICY cannot be used, line 2: max_cents is no rule." in (
            await reviewed(visitor, wish)
        )
        assert "CLAWVER_REFUND_POLICY cannot be used, line 2" in (
            await visitor.press("approve", pin=PIN)
        )
        assert room.sent() == []

        policy.write_text("[refund]\nmax_cents_per_order = 699\n", "utf-8")
        await reviewed(visitor, wish)
        assert "Refunded $7.00" in await visitor.press("approve", pin=PIN)
        await visitor.http.aclose()


async def test_what_needs_the_pin_has_no_button_while_there_is_none(opens: Opens) -> None:
    async with opens(refund_approval="pin", has_pin=False) as room:
        wish = await room.wanted()
        visitor = await signed_in_by_code(room)
        shown = await reviewed(visitor, wish)
        assert "this store has none yet. Set one in a terminal, then reload this page" in shown
        assert visitor.forms("approve") == []
        token = visitor.forms("decline")[0].fields
        said = await visitor.post(
            f"{visitor.home}/refund/{wish.refund_id}/approve", token | {"revision": "1", "pin": PIN}
        )
        assert "this store has no PIN yet" in said
        assert room.sent() == []
        await visitor.http.aclose()


async def test_splitting_does_not_get_round_the_amount_above_which_the_pin_is_needed(
    opens: Opens,
) -> None:
    async with opens(refund_approval="console", refund_pin_above_in_cents=1000) as room:
        first, second = await room.wanted(), await room.wanted()
        visitor = await signed_in_by_code(room)
        await reviewed(visitor, second)
        open_before = visitor.last
        await reviewed(visitor, first)
        assert "Refunded $7.00" in await visitor.press("approve")
        visitor.last = open_before
        said = await visitor.press("approve")
        assert "What you saw is no longer current, so nothing was sent." in said
        assert "Only your PIN approves it." in said
        await visitor.press("approve", 1, amount="4.00")
        assert room.sent() == [(first.order_id, 700)]
        await reviewed(visitor, second)
        assert "Refunded $7.00" in await visitor.press("approve", pin=PIN)
        await visitor.http.aclose()


async def test_less_can_be_approved_and_what_was_asked_for_is_declined(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted(cents=1000)
    assert "Refund that much, and decline $10.00" in await reviewed(merchant, wish)
    said = await merchant.press("approve", 1, amount="4.50")

    assert "Refunded $4.50" in said
    assert room.sent() == [(wish.order_id, 450)]
    assert (await room.now(wish)).status == "declined"


@pytest.mark.parametrize(
    "amount",
    with_slow(
        ["10.00", "0", "x"],
        ["10.01", "0.00", "", "-1", "1e1", "4.5", "99999999", "4.50 USD"],
    ),
)
async def test_what_is_not_less_is_not_approved(room: Room, merchant: Visitor, amount: str) -> None:
    wish = await room.wanted(cents=1000)
    await reviewed(merchant, wish)
    said = await merchant.press("approve", 1, amount=amount)

    assert "Type an amount of less than $10.00, such as 5.00." in said
    assert merchant.last.status_code == 422
    assert (room.sent(), (await room.now(wish)).status) == ([], "waiting")


@pytest.mark.parametrize("amount", with_slow(["$4"], ["4", "4.00", "4,00", " 4.00 "]))
async def test_amounts_are_read_as_people_type_them(
    room: Room, merchant: Visitor, amount: str
) -> None:
    wish = await room.wanted(cents=1000)
    await reviewed(merchant, wish)
    await merchant.press("approve", 1, amount=amount)

    assert room.sent() == [(wish.order_id, 400)]


async def test_what_the_limit_forbids_is_said(opens: Opens) -> None:
    async with opens(refund_daily_limit_in_cents=1000) as room:
        first, second = await room.wanted(), await room.wanted()
        visitor = await signed_in_by_code(room)
        await reviewed(visitor, first)
        await visitor.press("approve")
        await reviewed(visitor, second)
        said = await visitor.press("approve")

        assert "This refund was not made" in said
        assert "it would be more than the limit of $10.00" in said
        assert visitor.last.status_code == 409
        assert room.sent() == [(first.order_id, 700)]
        await visitor.http.aclose()


# Declining.


async def test_declining_moves_no_money_and_keeps_agents_from_asking(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    said = await merchant.press("decline")
    again = await room.store.desk.refund(wish.order_id, 700, "Torn", (), Script())

    assert "Declined. No money moved." in said
    assert again.status == "declined"
    assert room.sent() == []


async def test_a_decline_that_comes_too_late_says_so(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    page = merchant.last
    await merchant.press("approve")
    merchant.last = page
    said = await merchant.press("decline")

    assert "This was decided before" in said
    assert "Refunded $7.00" in said
    assert room.sent() == [(wish.order_id, 700)]


# Two tabs, replays, races.


@pytest.mark.parametrize("ending", ["approve", "decline"])
async def test_a_form_that_is_sent_again_changes_nothing(
    room: Room, merchant: Visitor, ending: str
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    page = merchant.last
    await merchant.press(ending)
    after = room.sent()
    for _ in range(3):
        merchant.last = page
        await merchant.press("approve")

    assert room.sent() == after
    assert "This was decided before" in Forms(merchant.last.text).text


async def test_an_approval_is_about_one_sending(room: Room, merchant: Visitor) -> None:
    """A replayed form does not reopen what Clawver refused, or what never left."""
    wish = await room.wanted()
    await reviewed(merchant, wish)
    page = merchant.last
    room.shop.add_fault("status_before", method="POST", status=422)
    await merchant.press("approve")
    assert (await room.now(wish)).status == "refused"
    merchant.last = page
    await merchant.press("approve")

    assert room.sent() == []
    assert (await room.now(wish)).status == "refused"


@pytest.mark.slow
async def test_a_hundred_approvals_at_once_send_one_refund(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    (form,) = [each for each in merchant.forms("approve") if "amount" not in each.fields]
    answers = []

    async def press() -> None:
        answer = await merchant.http.post(
            f"{room.address}{form.action}", data=form.fields, headers={"Origin": room.address}
        )
        answers.append(answer.status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(press)

    assert room.sent() == [(wish.order_id, 700)]
    assert set(answers) == {200}


async def test_one_of_two_tabs_decides(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    forms = [merchant.forms("approve")[0], merchant.forms("decline")[0]]

    async def press(action: str, fields: dict[str, str]) -> None:
        headers = {"Origin": room.address}
        await merchant.http.post(f"{room.address}{action}", data=fields, headers=headers)

    async with anyio.create_task_group() as tasks:
        for form in forms:
            tasks.start_soon(press, form.action, form.fields)

    stands = (await room.now(wish)).status
    assert (stands, len(room.sent())) in {("refunded", 1), ("declined", 0), ("waiting", 0)}


# What they saw is no longer current.


async def test_a_payment_that_changed_meanwhile_is_shown_before_anything_is_sent(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    room.shop.refund(wish.order_id, 500, "elsewhere")
    said = await merchant.press("approve")

    assert "What you saw is no longer current, so nothing was sent." in said
    assert "Already refunded on this order: $5.00." in said
    assert room.sent() == [(wish.order_id, 500)]
    assert "Refunded $7.00" in await merchant.press("approve")
    assert room.sent() == [(wish.order_id, 500), (wish.order_id, 700)]


async def test_less_of_a_payment_that_changed_meanwhile_is_not_sent(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    room.shop.refund(wish.order_id, 500, "elsewhere")
    said = await merchant.press("approve", 1, amount="3.00")

    assert "What you saw is no longer current, so nothing was sent." in said
    assert room.sent() == [(wish.order_id, 500)]


async def test_a_payment_that_changed_before_it_was_opened_is_asked_about_again(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    room.shop.refund(wish.order_id, 500, "elsewhere")
    room.passes(seconds=1)
    shown = await reviewed(merchant, wish)

    assert "The payment changed since this refund was asked for" in shown
    assert merchant.forms("approve") == []
    shown = await merchant.press("again")
    assert "Refund $7.00?" in shown
    assert "revision 2" in shown
    assert "Refunded $7.00" in await merchant.press("approve")


@pytest.mark.parametrize("revision", with_slow(["2", "one"], ["0", "", "1" * 30, "-1"]))
async def test_another_revision_is_not_approved(
    room: Room, merchant: Visitor, revision: str
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    said = await merchant.press("approve", revision=revision)

    assert "What you saw is no longer current" in said
    assert room.sent() == []


async def test_what_expired_can_be_asked_again(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    page = merchant.last
    room.passes(hours=WAITS.total_seconds() / 3600)
    await merchant.sign_in()
    shown = await reviewed(merchant, wish)

    assert "Expired: nobody decided in time." in shown
    assert merchant.forms("approve") == []
    assert room.sent() == []
    shown = await merchant.press("again")
    assert "Refund $7.00?" in shown
    assert "Refunded $7.00" in await merchant.press("approve")
    merchant.last = page
    await merchant.press("approve")
    assert room.sent() == [(wish.order_id, 700)]


async def test_what_was_declined_can_be_asked_again_by_the_person(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    await merchant.press("decline")
    await reviewed(merchant, wish)
    shown = await merchant.press("again")

    assert "A person declined $7.00 on this order in the last 24 hours." in shown
    assert "Refunded $7.00" in await merchant.press("approve")


async def test_what_did_not_show_on_the_order_is_asked_about_as_a_refund_on_top(
    opens: Opens,
) -> None:
    async with opens(refund_verify_seconds=0.001) as room:
        wish = await room.wanted()
        visitor = await signed_in_by_code(room)
        await reviewed(visitor, wish)
        room.shop.add_fault("drop_before", method="POST")
        said = await visitor.press("approve")
        assert "It isn't known yet whether $7.00 was refunded" in said
        assert "Not known yet whether it was paid" in await visitor.go()
        for _ in range(3):
            room.passes(minutes=10)
            await reviewed(visitor, wish)
            if visitor.forms("check"):
                await visitor.press("check")
        assert (await room.now(wish)).status == "not_recorded"
        shown = await visitor.press("again")

        assert "This would be another after what was refunded or tried before" in shown
        assert wish.refund_id in shown
        assert "Refunded $7.00" in await visitor.press("approve")
        assert room.sent() == [(wish.order_id, 700)]
        await visitor.http.aclose()


@pytest.mark.slow
async def test_an_order_that_another_call_works_on_is_left_alone(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    async with room.store.locks.held(wish.order_id, 1.0):
        said = await merchant.press("approve")

    assert "Something else is at work on this order, so nothing was sent." in said
    assert room.sent() == []


# A store that does not answer.


@pytest.mark.slow
async def test_an_order_that_cannot_be_read_is_shown_as_of_then_and_only_declined(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    page = merchant.last
    room.shop.add_fault("status_before", times=1000, status=503)
    room.passes(minutes=6)
    shown = await reviewed(merchant, wish)

    assert "This is as of" in shown
    assert "can't be approved" in shown
    assert merchant.forms("approve") == []
    merchant.last = page
    assert "This refund was not made" in await merchant.press("approve")
    assert room.sent() == []
    await reviewed(merchant, wish)
    assert "Declined. No money moved." in await merchant.press("decline")


@pytest.mark.slow
async def test_an_order_that_was_never_read_can_be_read_again(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    room.shop.add_fault("status_before", times=1000, status=503)
    room.passes(seconds=1)
    shown = await reviewed(merchant, wish)
    assert "The order can't be read, so nothing can be approved" in shown
    await merchant.press("read")
    room.shop.clear_faults()
    await merchant.press("read")

    assert "Refunded $7.00" in await merchant.press("approve")


async def test_a_page_that_is_reloaded_asks_the_store_once_in_five_minutes(
    room: Room, merchant: Visitor
) -> None:
    wishes = [await room.wanted() for _ in range(3)]
    room.passes(seconds=1)
    room.shop.forget_requests()
    for _ in range(5):
        await merchant.go()
        for wish in wishes:
            await reviewed(merchant, wish)
    once = len(room.shop.requests())
    room.passes(minutes=5)
    await merchant.go()

    assert once == len(wishes)
    assert len(room.shop.requests()) == 2 * len(wishes)


# What is shown.


async def test_what_waits_is_listed_with_its_order(room: Room, merchant: Visitor) -> None:
    first, second = await room.wanted(total=700), await room.wanted(cents=500)
    shown = await merchant.go()
    email = room.shop.order(first.order_id)["customerEmail"]

    assert "2 refunds wait for you" in shown
    assert f"$7.00 the whole order {first.order_id} {email}" in shown
    assert f"$5.00 part of $24.99 {second.order_id}" in shown
    assert merchant.forms("approve") == []


async def test_a_list_reads_ten_orders_in_five_minutes(room: Room, merchant: Visitor) -> None:
    wishes = [await room.wanted() for _ in range(12)]
    room.shop.forget_requests()
    shown = [await merchant.go() for _ in range(3)][-1]
    room.passes(minutes=5)
    await merchant.go()

    assert sum(f"of $24.99 {wish.order_id} " in shown for wish in wishes) == 10
    assert all(wish.order_id in shown for wish in wishes)
    assert len(room.shop.requests()) == 20


async def test_nothing_waits(room: Room, merchant: Visitor) -> None:
    shown = await merchant.go()

    assert "Nothing waits for you" in shown
    assert "No money moves before you approve it." in shown


async def test_the_history_says_who_did_what_through_what(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    await merchant.press("approve", pin=PIN)
    shown = await reviewed(merchant, wish)

    assert "Refunded. " in shown
    assert "Approved by person on the page PIN through page, clawver-orders page" in shown
    assert "waiting through agent 1" in shown
    assert "What was sent $7.00 Refunded" in shown
    assert (
        f"What Clawver lists on this order $7.00 {room.shop.order(wish.order_id)['refunds'][0]['id']}"
        in shown
    )


async def test_texts_of_others_are_shown_as_text(room: Room, merchant: Visitor) -> None:
    hostile = (
        "</dd><button class='money'>Refund $0.01</button><script>alert(1)</script>" + "x" * 300
    )
    outcome = await room.store.desk.refund("ord_hostile", 700, hostile, (), Script("<i>agent</i>"))
    assert outcome.wish is not None
    shown = await reviewed(merchant, outcome.wish)

    assert "<script>alert(1)</script>" in shown
    assert "<i>agent</i>" in shown
    tags = Forms(merchant.last.text).tags
    assert (tags.count("script"), tags.count("i")) == (1, 0)
    assert merchant.last.text.count('class="money"') == 1
    await merchant.go()
    assert Forms(merchant.last.text).tags.count("script") == 1


async def test_a_masked_page_leaves_enough_to_recognise_the_customer(opens: Opens) -> None:
    async with opens(pii="masked") as room:
        reason = "noam@example.com wrote"
        outcome = await room.store.desk.refund("ord_shirt", 700, reason, (), Script())
        assert outcome.wish is not None
        visitor = await signed_in_by_code(room)
        shown = await reviewed(visitor, outcome.wish) + await visitor.go()

        assert "noam" not in shown
        assert "Customer n…@….com" in shown
        assert "Star map tee" in shown
        await visitor.http.aclose()


async def test_a_read_only_page_shows_all_and_decides_nothing(
    opens: Opens, room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    settings = room.services.settings.model_copy(update={"read_only": True})
    room.services.settings = settings
    await reviewed(merchant, wish)
    shown = await reviewed(merchant, wish)

    assert "This page is read-only: nothing can be decided here." in shown
    assert "This page is read-only" in await merchant.go()
    assert f"Refund $7.00? on order {wish.order_id}" in shown
    for ending in ("approve", "decline", "again"):
        assert merchant.forms(ending) == []
        token = Forms((await merchant.http.get(f"{merchant.home}/")).text).found[0].fields
        said = await merchant.post(
            f"{merchant.home}/refund/{wish.refund_id}/{ending}", token | {"revision": "1"}
        )
        assert "Nothing was done: this page is read-only" in said
    assert (room.sent(), (await room.now(wish)).status) == ([], "waiting")


@pytest.mark.slow
async def test_a_hundred_and_fifty_refunds_wait_on_pages_that_come_at_once(
    room: Room, merchant: Visitor
) -> None:
    sale = room.shop.sell(total_in_cents=100_000)["id"]
    for cents in range(1, 151):
        await room.wanted(cents, sale)
    started = time.perf_counter()
    shown = await merchant.go()
    seconds = time.perf_counter() - started

    assert "150 refunds wait for you" in shown
    assert "Page 1 of 3." in shown
    assert merchant.last.text.count(">Review<") == 50
    assert seconds < 10
    last = await merchant.go("/?page=3")
    assert "$0.01" in last
    assert "Older" not in last
    assert "150 refunds wait for you" in await merchant.go("/?page=x")
    assert merchant.last.text.count(">Review<") == 50


async def test_a_refund_that_this_ledger_does_not_hold(room: Room, merchant: Visitor) -> None:
    for path in ("/refund/rfi_nothing", "/refund/rfi_nothing/done", "/refund/..%2f..%2f"):
        await merchant.go(path)
        assert merchant.last.status_code in {200, 404}
        assert (
            "There is no such refund" in Forms(merchant.last.text).text
            or "Sign in" in merchant.last.text
        )


@pytest.mark.slow
async def test_checking_reads_and_moves_nothing(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    room.shop.add_fault("drop_after", method="POST")
    room.shop.add_fault("status_before", method="GET", times=3, status=503)
    await merchant.press("approve")
    before = len(posts(room.shop))
    await reviewed(merchant, wish)
    if merchant.forms("check"):
        await merchant.press("check")

    assert (await room.now(wish)).status == "refunded"
    assert len(posts(room.shop)) == before
    assert room.sent() == [(wish.order_id, 700)]


async def test_another_channel_decides_while_the_page_is_open(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    await room.store.desk.decline(
        wish.refund_id, Approval("console", "terminal", "person in the terminal"), "terminal"
    )
    said = await merchant.press("approve")

    assert "This was decided before" in said
    assert "Declined. No money moved." in said
    assert room.sent() == []


async def test_what_went_wrong_is_said_whatever_came_of_it(room: Room, merchant: Visitor) -> None:
    twice = await room.wanted()
    await reviewed(merchant, twice)
    room.shop.add_fault("duplicate", method="POST")
    await merchant.press("approve")
    shown = await reviewed(merchant, twice)
    assert "Clawver lists refunds of this amount that nobody approved: ref_" in shown


async def test_what_an_order_tells_beside_the_payment_is_said(room: Room) -> None:
    wish = await room.wanted()
    refunds: list[dict[str, object]] = [
        {"id": f"ref_{number}", "amountInCents": 100, "status": "succeeded"} for number in range(12)
    ]
    read = Order.model_validate({"id": "ord_1", "totalInCents": 5000, "refunds": refunds})
    odd = [*refunds, {"id": "ref_x", "amountInCents": 100, "status": "requires_action"}]
    unclear = Order.model_validate({"id": "ord_1", "totalInCents": 5000, "refunds": odd})
    own = replace(wish, status="refunded", attempts=(replace(ATTEMPT, clawver_refund_id="ref_x"),))
    named = replace(wish, in_addition_to=("ref_1",))

    assert warnings_of(wish, (), None) == ()
    assert warnings_of(wish, (), read) == (
        f"Already refunded on this order: {', '.join(['$1.00'] * 10)} and 2 more.",
    )
    assert warnings_of(wish, (), unclear)[0] == (
        "The order lists a refund of which it isn't clear whether money went back."
    )
    assert warnings_of(own, (), unclear) == (
        "Clawver lists this refund with a status other than success: the money may not have gone back.",
    )
    assert "This would be another after" in warnings_of(named, (), None)[0]


@pytest.mark.slow
async def test_asking_again_for_what_cannot_be_read_says_why(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    await merchant.press("decline")
    await reviewed(merchant, wish)
    room.shop.add_fault("status_before", times=1000, status=503)
    said = await merchant.press("again")

    assert "This can't be done now" in said
    assert merchant.last.status_code == 409


# Who gets in.


async def test_nothing_but_the_sign_in_is_served_to_strangers(
    room: Room, stranger: Visitor
) -> None:
    wish = await room.wanted()
    refund = f"refund/{wish.refund_id}"
    for path in (
        "",
        "orders",
        "s/x/",
        f"s/x/{refund}",
        refund,
        f"s/x/{refund}/done",
        "%2e%2e/x",
        "mcp",
    ):
        shown = await stranger.go(f"/{path}")
        assert "Sign in" in shown
        assert stranger.last.status_code == (401 if path.startswith("s/") else 200)
        for secret in (
            wish.order_id,
            "$7.00",
            "Torn",
            room.store.title,
            room.shop.details()["name"],
        ):
            assert secret not in stranger.last.text
    for ending in ("approve", "decline", "again", "check", "read"):
        await stranger.post(f"{room.address}/s/x/{refund}/{ending}", {"revision": "1"})
        assert stranger.last.status_code == 401
    assert (await room.now(wish)).status == "waiting"
    for name in ("board.css", "board.js"):
        await stranger.go(f"/{name}")
        assert stranger.last.status_code == 200


async def test_a_link_leads_to_its_refund_after_signing_in(room: Room, stranger: Visitor) -> None:
    wish = await room.wanted()
    await stranger.go(f"/refund/{wish.refund_id}")
    shown = await stranger.press("signin", pin=PIN)

    assert f"Refund $7.00? on order {wish.order_id}" in shown


@pytest.mark.parametrize(
    "onward",
    ["//evil.example", "https://evil.example", "refund/../..", "refund/a/b", "\\\\evil", "x"],
)
async def test_signing_in_leads_nowhere_else(room: Room, stranger: Visitor, onward: str) -> None:
    shown = await stranger.sign_in(onward=onward)

    assert "Nothing waits for you" in shown
    assert str(stranger.last.url) == f"{stranger.home}/"


async def test_wrong_pins_of_strangers_lock_out_strangers_alone(
    room: Room, merchant: Visitor, stranger: Visitor
) -> None:
    said = [await stranger.sign_in("example-473") for _ in range(5)]
    locked = await stranger.sign_in()
    wish = await room.wanted()
    await reviewed(merchant, wish)

    assert "the PIN is wrong. 4 tries are left before it is locked." in said[0]
    assert "Each store has a PIN of its own." in said[0]
    assert "is locked until" in said[-1]
    assert "is locked until" in locked
    assert stranger.last.status_code == 403
    assert "Refunded $7.00" in await merchant.press("approve", pin=PIN)


async def test_a_store_without_a_pin_says_how_to_get_in(opens: Opens) -> None:
    async with opens(has_pin=False) as room:
        visitor = Visitor(room.address)
        said = await visitor.sign_in()

        assert (
            "this store has no PIN yet. A person sets one in a terminal: clawver-orders pin" in said
        )
        assert "clawver-orders board --open" in said
        await visitor.http.aclose()


async def test_a_code_signs_in_once(room: Room) -> None:
    file = room.opens_itself()
    (form,) = Forms(file.read_text("utf-8")).found
    first, second = Visitor(room.address), Visitor(room.address)
    shown = await first.post(form.action, form.fields, origin="null")
    said = await second.post(form.action, form.fields, origin="null")

    assert "Nothing waits for you" in shown
    assert "That code was used already, or is older than two minutes." in said
    for each in (first, second):
        await each.http.aclose()


async def test_a_session_ends_after_twelve_hours_and_when_it_is_told_to(
    room: Room, merchant: Visitor
) -> None:
    home = merchant.home
    room.passes(hours=11.9)
    assert "Nothing waits for you" in await merchant.go()
    room.passes(hours=0.2)
    assert "Sign in" in await merchant.go()
    assert merchant.last.status_code == 401
    await merchant.sign_in()
    assert merchant.home != home
    assert "Sign in" in await merchant.press("signout")
    assert "Sign in" in await merchant.go()


async def test_a_session_is_known_by_its_cookie_and_at_its_own_path_alone(
    room: Room, merchant: Visitor, stranger: Visitor
) -> None:
    (cookie,) = merchant.http.cookies.jar
    await stranger.sign_in()
    (other,) = stranger.http.cookies.jar

    assert cookie.path == httpx2.URL(merchant.home).path
    assert cookie.path != other.path
    assert "HttpOnly" in cookie._rest  # type: ignore[attr-defined]
    assert cookie._rest["SameSite"] == "lax"  # type: ignore[attr-defined]
    tossed = f"clawver_board=tossed; clawver_board={cookie.value}"
    wrong = [f"clawver_board={each}" for each in ("", "x", other.value, f"{cookie.value}x")]
    async with httpx2.AsyncClient(trust_env=False) as http:
        answers = [
            (await http.get(f"{merchant.home}/", headers={"Cookie": each})).status_code
            for each in [*wrong, tossed]
        ]
    assert answers == [401, 401, 401, 401, 200]


async def test_so_many_sessions_and_orders_are_kept_and_no_more(
    room: Room, merchant: Visitor, stranger: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 1)
    monkeypatch.setattr(reading, "MOST_KEPT", 1)
    for wish in [await room.wanted() for _ in range(3)]:
        assert "Refund $7.00?" in await reviewed(merchant, wish)
    await stranger.sign_in()

    assert "refunds wait for you" in await stranger.go()
    assert "Sign in" in await merchant.go()


async def test_the_person_on_the_page_brings_no_answer_along(room: Room) -> None:
    caller = OnPage(room.store.ledger, "rfi_1", 1, says_yes=True)
    await caller.progress(1, 2)

    assert caller.reply_to("rfi_1") is None


# Other pages, other hosts.


@pytest.mark.parametrize(
    "origin", with_slow([EVIL, ""], ["null", "http://127.0.0.1:1", "http://127.0.0.1"])
)
async def test_a_form_of_another_page_does_nothing(
    room: Room, merchant: Visitor, origin: str
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    for ending in ("approve", "decline", "again"):
        fields = (merchant.forms(ending) or merchant.forms("approve"))[0].fields
        said = await merchant.post(
            f"{merchant.home}/refund/{wish.refund_id}/{ending}", fields, origin=origin
        )
        assert merchant.last.status_code == 403
        assert "That form didn't come from this page, so nothing was done." in said
        await reviewed(merchant, wish)
    said = await merchant.post(f"{room.address}/signin", {"pin": PIN}, origin=origin)
    assert "That form didn't come from this page" in said
    assert (room.sent(), (await room.now(wish)).status) == ([], "waiting")


@pytest.mark.parametrize("token", with_slow(["x", None], ["", "é"]))
async def test_a_form_without_its_token_does_nothing(
    room: Room, merchant: Visitor, token: str | None
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    fields = merchant.forms("approve")[0].fields
    given = {name: value for name, value in fields.items() if name != "form_token"}
    given |= {} if token is None else {"form_token": token}
    await merchant.post(f"{merchant.home}/refund/{wish.refund_id}/approve", given)

    assert merchant.last.status_code == 403
    assert room.sent() == []


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "x.localhost:{port}", ""]
)
async def test_another_host_name_is_not_answered(room: Room, stranger: Visitor, host: str) -> None:
    port = httpx2.URL(room.address).port
    answer = await stranger.http.get(room.address, headers={"Host": host.format(port=port)})

    assert answer.status_code in {400, 421}
    assert "Sign in" not in answer.text


@pytest.mark.parametrize("fields", [{"pin": "x" * 20_000}, {f"f{n}": "x" for n in range(50)}])
async def test_a_form_that_is_too_large_is_not_read(
    room: Room, merchant: Visitor, stranger: Visitor, fields: dict[str, str]
) -> None:
    said = await stranger.post(f"{room.address}/signin", fields)
    assert "That form was too large." in said
    assert stranger.last.status_code == 413
    await merchant.post(f"{merchant.home}/signout", fields)
    assert merchant.last.status_code == 403


async def test_every_answer_keeps_other_pages_out(
    room: Room, merchant: Visitor, stranger: Visitor
) -> None:
    wish = await room.wanted()
    await reviewed(merchant, wish)
    await stranger.go("/board.js")
    evil = await stranger.http.get(room.address, headers={"Host": "evil.example"})
    for answer in (merchant.last, stranger.last, evil):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert " style=" not in merchant.last.text
    assert "https://" not in merchant.last.text


async def test_addresses_carry_nothing_of_an_order(room: Room, merchant: Visitor) -> None:
    wish = await room.wanted()
    await merchant.go()
    await reviewed(merchant, wish)
    await merchant.press("approve", pin=PIN)
    visited = [str(each.url) for each in [*merchant.last.history, merchant.last]]

    assert not [url for url in visited if wish.order_id in url or "700" in url or PIN in url]
