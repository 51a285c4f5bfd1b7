"""A refusal by Clawver is provisional: the same request may be delivered again and take effect."""

from typing import Any

import anyio
import pytest
from tests.conftest import Configure, with_slow
from tests.refunds.room import (
    REASON,
    AskingHost,
    Room,
    Terminal,
    attempt_of,
    store_of,
    wish_of,
)

from clawver_orders.caller import Reply, Script
from clawver_orders.errors import ClawverError, RefusedError
from clawver_orders.refunds.desk import RefundDesk
from clawver_orders.refunds.outcome import NOT_LISTED_SO_FAR, Outcome, next_step, warning
from clawver_orders.refunds.records import Wish
from clawver_orders.services import opened
from clawver_sandbox.shop import Shop

STATUSES = [400, 403, 404, 429]


async def by_agent(desk: RefundDesk, order_id: str, cents: int = 700, named: Any = ()) -> Outcome:
    """What an agent does alone: it asks for the preview, and confirms it."""
    shown = await desk.refund(order_id, cents, REASON, named, Script())
    if shown.status != "needs_approval":
        return shown
    wish = wish_of(shown)
    return await desk.confirm(wish.refund_id, wish.revision, Script())


async def refused_to_agent(room: Room, cents: int = 700, status: int = 400) -> Wish:
    """One that an agent confirmed and Clawver refused a moment ago."""
    room.shop.add_fault("status_before", method="POST", status=status)
    with pytest.raises(ClawverError, match=f"^{NOT_LISTED_SO_FAR}: "):
        await by_agent(room.desk(refund_approval="agent"), room.order_id, cents)
    wishes = (await room.ledger.of_order(room.order_id)).wishes
    return next(wish for wish in wishes if wish.amount_in_cents == cents)


# Over a real connection: refused now, recorded later


@pytest.mark.parametrize("status", STATUSES)
async def test_an_agent_alone_cannot_double_a_refund_that_lands_after_its_refusal(
    configure: Configure, shop: Shop, status: int
) -> None:
    order_id = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("status_late", method="POST", status=status, seconds=0.5)
    settings = configure(refund_approval="agent", refund_verify_seconds=60)

    async with opened(settings) as services:
        with pytest.raises(ClawverError, match=f"^{NOT_LISTED_SO_FAR}: ") as refusal:
            await by_agent((await services.store()).desk, order_id)
        again = await by_agent((await services.store()).desk, order_id)
        with anyio.fail_after(30):
            while not shop.refunds():
                await anyio.sleep(0.02)
        repeated = await by_agent((await services.store()).desk, order_id)
        checked = await (await services.store()).desk.check(order_id=order_id)

    assert "repeat" not in refusal.value.next_step.lower()
    # Before it landed only a person could let it go again; afterwards it is known.
    assert again.status in {"needs_approval", "already_refunded"}
    assert (repeated.status, checked.status) == ("already_refunded", "refunded")
    assert shop.refunds() == [(order_id, 700)]


# What the answer says


async def test_a_refusal_names_both_ways_on(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    with pytest.raises(RefusedError) as refusal:
        await by_agent(room.desk(refund_approval="agent"), room.order_id)
    (wish,) = await room.ledger.latest(1000)

    assert refusal.value.next_step.startswith(
        "It could still take effect for 9 seconds. Wait that long, then call refund_order again with "
        f"order_id {room.order_id}, amount_in_cents 700 and a reason: the order is read first. Or a person "
        f"approves it now, knowing that, in a terminal: `clawver-orders approve {wish.refund_id}"
    )


async def test_where_nobody_is_asked_a_refusal_says_how_to_send_it_now(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    with pytest.raises(RefusedError) as refusal:
        await room.refund()

    assert (
        "only if the merchant accepts that both may be paid: call refund_order again"
        in refusal.value.next_step
    )
    assert "approve" not in refusal.value.next_step


async def test_what_was_refused_is_told_as_long_as_it_may_take_effect(room: Room) -> None:
    wish = await room.refused()
    room.passes(4)

    with pytest.raises(RefusedError) as early:
        await room.desk().check(wish.refund_id)
    assert early.value.happened.startswith(f"{NOT_LISTED_SO_FAR}: $7.00")
    assert "It could still take effect for 5 seconds." in early.value.next_step

    room.passes(5)
    room.shop.add_fault("garbage", method="GET")
    with pytest.raises(RefusedError, match=f"^{NOT_LISTED_SO_FAR}"):
        await room.desk().check(wish.refund_id)  # it was not read yet

    with pytest.raises(RefusedError) as late:
        await room.desk().check(order_id=room.order_id)
    assert late.value.happened == (
        f"No money was moved: Clawver refused $7.00 on order {room.order_id} (refund {wish.refund_id}), "
        "and the order does not list it."
    )
    assert late.value.next_step == (
        f"If it is still wanted, call refund_order again with order_id {room.order_id}, "
        "amount_in_cents 700 and a reason."
    )


async def test_after_a_restart_the_wait_is_counted_from_the_first_look(room: Room) -> None:
    wish = await room.refused()
    room.boot, room.up = "the next start", 100_000.0
    room.ledger = store_of(room.services()).ledger
    told = []
    for _ in range(2):
        with pytest.raises(RefusedError) as refusal:
            await room.desk().check(wish.refund_id)
        told.append(refusal.value.next_step[:47])
        room.passes(5)

    assert told == [
        "It could still take effect for 9 seconds. Wait ",
        "It could still take effect for 4 seconds. Wait ",
    ]


async def test_a_server_that_is_read_only_says_what_was_refused_and_offers_nothing(
    room: Room,
) -> None:
    wish = await room.refused()

    with pytest.raises(RefusedError) as refusal:
        await room.desk(read_only=True).check(wish.refund_id)

    assert refusal.value.next_step.startswith("Tell the merchant")


# Who may let another one go


@pytest.mark.parametrize("cents", [700, 300])
async def test_within_the_window_only_a_person_lets_a_refund_of_the_order_go(
    room: Room, cents: int
) -> None:
    wish = await refused_to_agent(room)
    desk = room.desk(refund_approval="agent")

    shown = await by_agent(desk, room.order_id, cents)

    assert (shown.status, shown.needs) == ("needs_approval", "chat")
    assert shown.retry_after_seconds == 9
    says = next_step(shown, room.parts.settings)
    assert "Only a person can approve this one" in says
    assert f"Or wait 9 seconds, then call refund_order again with order_id {room.order_id}" in says
    host = AskingHost(Reply.YES)
    outcome = await room.refund(cents, host, refund_approval="agent")
    assert "Clawver refused $7.00 on this order a moment ago." in host.questions[0].text
    assert outcome.status == "refunded"
    assert (await room.found(wish)).status == ("refunded" if cents == 700 else "refused")
    assert room.given_back() == [cents]


async def test_another_order_needs_nobody_else(room: Room) -> None:
    await refused_to_agent(room)

    outcome = await by_agent(room.desk(refund_approval="agent"), room.sell(2499))

    assert outcome.status == "refunded"


async def test_another_process_knows_of_the_refusal(room: Room) -> None:
    await refused_to_agent(room)
    other = room.services(refund_approval="agent", refund_verify_seconds=9)

    shown = await by_agent((await other.store()).desk, room.order_id)
    await other.close()

    assert (shown.status, shown.needs) == ("needs_approval", "chat")


async def test_after_the_window_the_same_refund_goes_on_with_nothing_to_name(room: Room) -> None:
    wish = await refused_to_agent(room)
    room.passes(9)

    outcome = await by_agent(room.desk(refund_approval="agent"), room.order_id)

    assert outcome.status == "refunded"
    sent = wish_of(outcome)
    assert (sent.refund_id, sent.in_addition_to) == (wish.refund_id, ())
    assert [attempt.status for attempt in sent.attempts] == ["refused", "refunded"]
    assert room.given_back() == [700]


async def test_after_the_window_a_person_who_always_decides_is_told_of_nothing(room: Room) -> None:
    await room.refused(refund_approval="chat", caller=AskingHost(Reply.YES))
    room.passes(9)
    host = AskingHost(Reply.YES)

    outcome = await room.refund(700, host, refund_approval="chat")

    assert "refused" not in host.questions[0].text
    assert outcome.status == "refunded"


async def test_where_only_a_person_ever_decides_the_wait_is_not_offered(room: Room) -> None:
    await room.refused(refund_approval="chat", caller=AskingHost(Reply.YES))

    shown = await room.refund(700, refund_approval="chat")

    assert (shown.status, shown.retry_after_seconds) == ("needs_approval", None)


async def test_where_nobody_is_asked_it_is_sent_again_at_once(room: Room) -> None:
    await room.refused()

    outcome = await room.refund()

    assert outcome.status == "refunded"
    assert room.given_back() == [700]


async def test_an_order_that_cannot_be_read_after_the_window_keeps_everybody_waiting(
    room: Room,
) -> None:
    await refused_to_agent(room)
    room.passes(9)
    room.shop.add_fault("garbage", method="GET")

    with pytest.raises(ClawverError, match=r"^Nothing was sent"):
        await by_agent(room.desk(refund_approval="agent"), room.order_id)

    assert room.posts() == 1


# It landed


@pytest.mark.parametrize("seconds", with_slow([0, 9], [8, 60_000]))
@pytest.mark.parametrize("mode", ["off", "agent", "chat"])
@pytest.mark.parametrize("status", STATUSES)
async def test_what_landed_after_all_is_never_sent_again(
    room: Room, mode: str, seconds: float, status: int
) -> None:
    wish = await room.refused(status=status)
    room.passes(min(seconds, 5))
    ref = room.lands()
    room.passes(max(seconds - 5, 0))

    again = await room.refund(700, AskingHost(Reply.YES), refund_approval=mode)
    checked = await room.desk(refund_approval=mode).check(wish.refund_id)

    assert (again.status, again.earlier) == ("already_refunded", (ref,))
    assert (checked.status, wish_of(checked).clawver_refund_id) == ("refunded", ref)
    assert warning(checked) is None
    assert room.posts() == 1


@pytest.mark.parametrize("by", ["refund id", "order id"])
async def test_asking_about_it_for_the_first_time_after_the_window_reads_the_order(
    room: Room, by: str
) -> None:
    wish = await room.refused()
    ref = room.lands()
    room.passes(960)
    asked = {"refund_id": wish.refund_id} if by == "refund id" else {"order_id": room.order_id}

    checked = await room.desk().check(**asked)

    assert (checked.status, wish_of(checked).clawver_refund_id) == ("refunded", ref)


async def test_it_is_read_whenever_somebody_asks_what_became_of_it(room: Room) -> None:
    wish = await room.refused()
    room.passes(9)
    gets = room.gets()
    for _ in range(3):
        with pytest.raises(RefusedError, match=r"^No money was moved"):
            await room.desk().check(wish.refund_id)

    assert room.gets() == gets + 3
    assert attempt_of(await room.found(wish)).reads_after_window == 1
    ref = room.lands()
    told = await room.desk().check(wish.refund_id)
    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", ref)


@pytest.mark.parametrize("status", STATUSES)
async def test_what_lands_beside_the_same_refund_sent_again_is_said(
    room: Room, status: int
) -> None:
    wish = await room.refused(status=status)
    approved = await room.desk(refund_approval="agent").approve(wish.refund_id, Terminal(Reply.YES))
    assert approved.status == "refunded"
    room.passes(5)
    ref = room.lands()

    checked = await room.desk().check(wish.refund_id)
    again = await room.refund()

    first = room.listed()[0]
    assert (wish_of(checked).clawver_refund_id, checked.unexpected_refunds) == (first, (ref,))
    assert f"2 refunds of this amount are new on the order: {first}, {ref}." in str(
        warning(checked)
    )
    assert (again.status, warning(again)) == ("already_refunded", warning(checked))
    assert again.earlier == (first, ref)
    assert room.posts() == 2


async def test_what_lands_before_a_person_answers_is_known_by_then(room: Room) -> None:
    wish = await room.refused()
    host = AskingHost(Reply.YES, meanwhile=lambda _: room.lands())

    outcome = await room.refund(700, host, refund_approval="agent")

    assert outcome.status == "already_refunded"
    assert (await room.found(wish)).status == "refunded"
    assert room.posts() == 1


async def test_what_lands_while_it_is_sent_again_is_said_in_the_same_call(room: Room) -> None:
    wish = await room.refused()
    room.shop.add_fault("duplicate_listed", method="POST")  # the old request, and the new one

    outcome = await room.refund()

    assert (outcome.status, len(outcome.unexpected_refunds)) == ("refunded", 1)
    claims = {attempt.clawver_refund_id for attempt in (await room.found(wish)).attempts}
    assert claims == set(room.listed())


async def test_what_lands_beside_a_refund_of_another_amount_is_said(room: Room) -> None:
    wish = await room.refused()
    other = wish_of(await room.refund(300))
    ref = room.lands()

    told = await room.desk().check(other.refund_id)

    assert told.unexpected_beside == (ref,)
    assert f"nobody asked for: {ref}." in str(warning(told))
    assert (await room.found(wish)).status == "refunded"


# Limits


async def test_what_was_refused_counts_for_the_daily_limit_until_the_order_was_read(
    room: Room,
) -> None:
    wish = await room.refused()
    assert await room.ledger.spent_in_cents() == 700
    room.passes(9)
    assert await room.ledger.spent_in_cents() == 700
    with pytest.raises(RefusedError, match=r"more than the limit of \$9.00"):
        await room.refund(300, order_id=room.sell(2499), refund_daily_limit_in_cents=900)

    with pytest.raises(RefusedError, match=r"^No money was moved"):
        await room.desk().check(wish.refund_id)

    assert await room.ledger.spent_in_cents() == 0
    outcome = await room.refund(300, order_id=room.sell(2499), refund_daily_limit_in_cents=900)
    assert outcome.status == "refunded"
