"""Who may approve what: the grade that a refund needs, and what each way of approving proves."""

from datetime import timedelta
from typing import Any

import pytest
from tests.refunds.room import AskingHost, Room, Terminal, wish_of

from clawver_orders.caller import GRADES, Approval, Grade, Reply, Script, suffices
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.records import Limits

FLOORS = {"off": "setting", "agent": "agent", "chat": "chat", "console": "console", "pin": "pin"}


class WithPin(Terminal):
    """A person who types the PIN."""

    grade: Grade = "pin"


class ForScripts(Terminal):
    """A program in the place of a person."""

    grade: Grade = "agent"


WAYS: dict[str, tuple[Any, Grade]] = {
    "agent": (ForScripts, "agent"),
    "form": (AskingHost, "chat"),
    "terminal": (Terminal, "console"),
    "PIN": (WithPin, "pin"),
}


@pytest.mark.parametrize("floor", [each for each in FLOORS if each != "off"])
@pytest.mark.parametrize("way", WAYS)
async def test_only_what_proves_enough_lets_the_money_go(room: Room, floor: str, way: str) -> None:
    make, grade = WAYS[way]
    needed: Any = FLOORS[floor]
    caller = make(Reply.YES)
    desk = room.desk(refund_approval=floor)
    shown = wish_of(await room.refund(refund_approval=floor))

    if caller.is_person:
        outcome = await desk.approve(shown.refund_id, caller)
    else:
        outcome = await room.refund(caller=caller, refund_approval=floor)

    enough = suffices(grade, needed)
    assert shown.grade_needed == needed
    assert outcome.status == ("refunded" if enough else "needs_approval")
    assert room.given_back() == ([700] if enough else [])
    if enough:
        assert wish_of(outcome).decisions[-1].grade == grade
    else:
        assert (outcome.needs, wish_of(outcome).decisions) == (needed, ())


@pytest.mark.parametrize("floor", ["console", "pin"])
async def test_a_form_is_not_shown_where_a_yes_to_it_would_not_be_enough(
    room: Room, floor: str
) -> None:
    host = AskingHost(Reply.YES)

    outcome = await room.refund(caller=host, refund_approval=floor)

    assert (outcome.status, outcome.needs, host.questions) == ("needs_approval", floor, [])


@pytest.mark.parametrize("floor", ["chat", "console", "pin"])
async def test_confirming_is_never_enough_above_an_agents_word(room: Room, floor: str) -> None:
    shown = wish_of(await room.refund(refund_approval=floor))

    outcome = await room.desk(refund_approval=floor).confirm(
        shown.refund_id, shown.revision, Script()
    )

    assert (outcome.status, room.given_back()) == ("needs_approval", [])


async def test_a_further_refund_of_the_amount_needs_a_person(room: Room) -> None:
    first = await room.refund(refund_approval="off")

    further = await room.refund(named=first.earlier, refund_approval="agent")
    confirmed = await room.desk(refund_approval="agent").confirm(
        wish_of(further).refund_id, 1, Script()
    )
    approved = await room.refund(
        caller=AskingHost(Reply.YES), named=first.earlier, refund_approval="agent"
    )

    assert (further.status, further.needs) == ("needs_approval", "chat")
    assert confirmed.status == "needs_approval"
    assert (approved.status, room.given_back()) == ("refunded", [700, 700])


async def test_a_further_refund_needs_nobody_where_nobody_is_asked(room: Room) -> None:
    first = await room.refund(refund_approval="off")

    assert (await room.refund(named=first.earlier, refund_approval="off")).status == "refunded"


# The amount above which only the PIN counts

LIMITED: dict[str, Any] = {"refund_approval": "off", "refund_pin_above_in_cents": 1000}


async def test_up_to_the_limit_no_pin_is_needed_and_above_it_is(room: Room) -> None:
    above = await room.refund(1001, **LIMITED)
    upto = await room.refund(1000, **LIMITED)

    assert (above.status, above.needs) == ("needs_approval", "pin")
    assert (upto.status, room.given_back()) == ("refunded", [1000])


async def test_the_limit_holds_at_zero(room: Room) -> None:
    outcome = await room.refund(1, refund_approval="off", refund_pin_above_in_cents=0)

    assert (outcome.needs, room.given_back()) == ("pin", [])


@pytest.mark.parametrize("same_order", [True, False])
async def test_splitting_gets_around_no_limit(room: Room, same_order: bool) -> None:
    other = room.order_id if same_order else room.sell(2499)
    await room.refund(600, **LIMITED)

    second = await room.refund(500, order_id=other, **LIMITED)
    third = await room.refund(400, order_id=other, **LIMITED)

    assert (second.status, second.needs) == ("needs_approval", "pin")
    assert third.status == "refunded"


async def test_on_one_order_no_time_gets_around_the_limit(room: Room) -> None:
    await room.refund(600, **LIMITED)
    room.passes(timedelta(days=40).total_seconds())

    elsewhere = await room.refund(500, order_id=room.sell(2499), **LIMITED)
    on_it = await room.refund(450, **LIMITED)

    assert elsewhere.status == "refunded"
    assert (on_it.status, on_it.needs) == ("needs_approval", "pin")


async def test_what_the_pin_approved_does_not_count(room: Room) -> None:
    large = wish_of(await room.refund(1500, **LIMITED))
    await room.desk(**LIMITED).approve(large.refund_id, WithPin(Reply.YES))

    small = await room.refund(900, **LIMITED)

    assert (small.status, room.given_back()) == ("refunded", [1500, 900])


async def test_what_may_have_moved_counts_too(room: Room) -> None:
    room.shop.add_fault("drop_before", method="POST")
    await room.refund(600, **LIMITED)

    other = await room.refund(500, order_id=room.sell(2499), **LIMITED)

    assert (other.status, other.needs) == ("needs_approval", "pin")


async def test_two_refunds_at_once_cannot_both_stay_below_the_limit(room: Room) -> None:
    """What is needed is judged again in the step that lets the money go."""
    order_id = room.sell(2499)
    wish = wish_of(
        await room.refund(600, order_id=order_id, **LIMITED | {"refund_approval": "agent"})
    )
    number = (await room.ledger.of_order(order_id)).number
    await room.refund(700, **LIMITED)

    limits = Limits(10**6, pin_above_in_cents=1000)
    by_agent = Approval("agent", "confirm_refund", "agent")
    with pytest.raises(MovedOnError):
        await room.ledger.begin_send(number, wish, by_agent, None, [], None, limits, "racer")
    by_pin = Approval("pin", "terminal", "a person")
    sent = await room.ledger.begin_send(number, wish, by_pin, None, [], None, limits, "racer")
    assert sent.status == "sending"


@pytest.mark.parametrize("floor", FLOORS)
async def test_above_the_limit_nothing_but_the_pin_counts(room: Room, floor: str) -> None:
    how: dict[str, Any] = {"refund_approval": floor, "refund_pin_above_in_cents": 500}
    wish = wish_of(await room.refund(**how))

    for caller in (ForScripts(Reply.YES), Terminal(Reply.YES)):
        outcome = await room.desk(**how).approve(wish.refund_id, caller)
        assert (outcome.status, outcome.needs) == ("needs_approval", "pin")
    assert room.given_back() == []
    done = await room.desk(**how).approve(wish.refund_id, WithPin(Reply.YES))
    assert (done.status, wish_of(done).decisions[-1].grade) == ("refunded", "pin")


def test_the_grades_are_in_their_order() -> None:
    assert GRADES == ("setting", "agent", "chat", "console", "pin")
