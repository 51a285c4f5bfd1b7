"""A no holds, whenever and wherever it was said; a question that nobody answered is no yes."""

import pytest
from tests.refunds.room import TRACE, AskingHost, Left, Modern, Room, Terminal, intent_of

from clawver_orders.caller import Reply, Script
from clawver_orders.clawver.models import Order
from clawver_orders.errors import RefusedError
from clawver_orders.refunds.approvals import ASKED


async def refused(room: Room) -> str:
    """The id of a refund that Clawver refused, while a person was still shown the question."""
    asked, desk = await room.asked(), room.desk(refund_approval="ask")
    room.passes(121)
    await desk.confirm(asked, Script())
    room.shop.add_fault("status_before", method="POST", status=400)
    with pytest.raises(RefusedError):
        await desk.confirm(asked, Script())
    return asked


# A no


async def test_a_no_reaches_what_was_previewed_before_it(room: Room) -> None:
    other = await room.waiting(699)
    await room.refund(700, AskingHost(Reply.NO), refund_approval="ask")
    desk = room.desk(refund_approval="ask")

    outcome = await desk.confirm(other.refund_id, Script())

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "person")
    assert intent_of(outcome).refund_id != other.refund_id
    again = await desk.confirm(intent_of(outcome).refund_id, Script())
    assert (again.status, again.approver) == ("needs_confirmation", "person")
    assert room.posts() == 0


async def test_an_attempt_that_was_given_up_reaches_what_was_previewed_before_it(
    room: Room,
) -> None:
    other = await room.waiting(699)
    await room.given_up(700)
    posts = room.posts()

    outcome = await room.desk(refund_approval="ask").confirm(other.refund_id, Script())

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "person")
    assert room.posts() == posts


async def test_what_a_person_has_to_approve_is_approved_by_one_after_a_no(room: Room) -> None:
    await room.refund(700, AskingHost(Reply.NO), refund_approval="ask")
    other = await room.waiting(699)
    assert other.needs_person

    outcome = await room.desk(refund_approval="ask").confirm(other.refund_id, AskingHost(Reply.YES))

    assert (outcome.status, intent_of(outcome).refund_id) == ("refunded", other.refund_id)


async def test_a_no_after_a_yes_is_not_settled_by_it(room: Room) -> None:
    """Which was previewed first says nothing about which was decided first."""
    declined, approved = await room.waiting(700), await room.waiting(500)
    desk = room.desk(refund_approval="ask")
    assert (await desk.confirm(approved.refund_id, Script())).status == "refunded"
    await desk.decline(declined.refund_id, TRACE)

    outcome = await room.refund(699, refund_approval="ask")

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "person")
    assert room.given_back() == [500]


async def test_a_yes_after_a_no_settles_it(room: Room) -> None:
    approved = await room.waiting(500)
    await room.refund(700, AskingHost(Reply.NO), refund_approval="ask")
    desk = room.desk(refund_approval="ask")
    assert (await desk.approve(approved.refund_id, Terminal(Reply.YES))).status == "refunded"

    outcome = await room.refund(699, refund_approval="ask")

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "agent")


async def test_an_attempt_that_landed_late_needs_nobody_any_more(room: Room) -> None:
    attempt = await room.given_up(700)
    room.shop.refund(room.order_id, 700, "It took its time")
    assert (await room.desk().check(attempt.refund_id)).status == "refunded"

    outcome = await room.refund(699, refund_approval="ask")

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "agent")


@pytest.mark.parametrize("where", ["host", "terminal"])
async def test_a_no_to_what_failed_meanwhile_holds_for_what_came_after(
    room: Room, where: str
) -> None:
    asked, desk = await refused(room), room.desk(refund_approval="ask")
    later = await room.waiting()
    assert later.refund_id != asked

    said = (
        await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))
        if where == "host"
        else await desk.decline(asked, TRACE)
    )

    assert (said.status, intent_of(said).refund_id) == ("declined", asked)
    assert room.found(later).state == "declined"
    assert (await desk.confirm(later.refund_id, Script())).status == "declined"
    assert room.given_back() == []


async def test_a_no_to_what_failed_is_asked_about_again(room: Room) -> None:
    asked, desk = await refused(room), room.desk(refund_approval="ask")
    await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))

    same = await room.refund(700, refund_approval="ask")
    other = await room.refund(699, refund_approval="ask")

    assert (same.status, same.earlier) == ("declined", (asked,))
    assert (other.status, other.approver) == ("needs_confirmation", "person")


async def test_a_no_to_an_old_wording_leaves_a_further_refund_alone(room: Room) -> None:
    old = await room.waiting()
    room.passes(901)
    first = await room.refund()
    further = intent_of(await room.refund(named=first.earlier, refund_approval="ask"))

    told = await room.desk().decline(old.refund_id, TRACE)

    assert room.found(further).state == "previewed"
    assert (told.status, told.intent) == ("refunded", first.intent)


# What took the place of another


@pytest.mark.parametrize("end", ["expired", "declined"])
async def test_what_was_approved_anew_is_told_by_its_old_id_too(room: Room, end: str) -> None:
    old = await room.waiting(refund_approval="human")
    desk = room.desk(refund_approval="human")
    if end == "expired":
        room.passes(901)
    else:
        await desk.decline(old.refund_id, TRACE)
    sent = await desk.approve(old.refund_id, Terminal(Reply.YES))
    assert (sent.status, room.given_back()) == ("refunded", [700])

    for told in (
        await desk.check(old.refund_id),
        await desk.confirm(old.refund_id, Script()),
        await desk.decline(old.refund_id, TRACE),
        await desk.check(old.refund_id),
    ):
        assert (told.status, told.intent) == ("refunded", sent.intent)
    assert room.given_back() == [700]


async def test_a_late_no_tells_of_an_attempt_that_may_still_land(room: Room) -> None:
    asked = await room.asked()
    room.shop.add_fault("drop_before", method="POST")
    sent = await room.refund(700, Terminal(Reply.YES), reason="Other words", refund_approval="ask")
    for _ in range(2):
        room.passes(10)
        await room.desk().check(intent_of(sent).refund_id)
    no = Modern(asked, Reply.NO)

    told = await room.desk(refund_approval="ask").refund(room.order_id, 700, "Torn", (), no)

    assert told.status == "not_recorded"
    assert intent_of(told).refund_id == intent_of(sent).refund_id


async def test_a_late_no_tells_of_what_went_along_a_chain_of_noes(room: Room) -> None:
    asked = await room.asked()
    room.passes(901)
    desk = room.desk(refund_approval="ask")
    second = await desk.approve(asked, Terminal(Reply.NO))
    third = await desk.approve(intent_of(second).refund_id, Terminal(Reply.YES))
    assert (second.status, third.status) == ("declined", "refunded")

    told = await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))

    assert (told.status, told.intent) == ("refunded", third.intent)
    assert (await desk.check(asked)).intent == third.intent


async def test_a_no_to_what_a_person_approved_stands_in_nobodys_way(room: Room) -> None:
    """They approve in the terminal, and then close the form that a host still shows."""
    asked = await room.asked()
    desk = room.desk(refund_approval="ask")
    sent = await desk.approve(asked, Terminal(Reply.YES))
    told = await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))

    other = await room.refund(699, refund_approval="ask")

    assert (told.status, intent_of(told).refund_id) == ("refunded", asked)
    assert intent_of(sent).refund_id == asked
    assert (other.status, other.approver) == ("needs_confirmation", "agent")


async def test_a_no_to_an_old_wording_of_what_a_person_approved_stands_in_nobodys_way(
    room: Room,
) -> None:
    old = await room.waiting()
    new = await room.refund(reason="Other words", refund_approval="ask")
    desk = room.desk(refund_approval="ask")
    await desk.approve(intent_of(new).refund_id, Terminal(Reply.YES))
    told = [
        await desk.decline(old.refund_id, TRACE),
        await desk.refund(room.order_id, 700, "Torn", (), Modern(old.refund_id, Reply.NO)),
    ]

    further = await room.refund(named=room.listed(), refund_approval="ask")

    assert [each.status for each in told] == ["refunded", "refunded"]
    assert (further.status, further.approver) == ("needs_confirmation", "agent")


async def test_a_no_to_what_an_agent_sent_holds_for_whatever_follows(room: Room) -> None:
    asked = await room.asked()
    room.passes(121)
    desk = room.desk(refund_approval="ask")
    await desk.confirm(asked, Script())
    assert (await desk.confirm(asked, Script())).status == "refunded"
    told = await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))
    host = AskingHost(Reply.NO)

    other = await room.refund(699, refund_approval="ask")
    await room.refund(698, host, refund_approval="ask")

    assert told.status == "refunded"
    assert (other.status, other.approver) == ("needs_confirmation", "person")
    assert "A person said no to $7.00 on this order before, when it had been sent." in (
        host.questions[0].text.splitlines()
    )


async def test_a_no_to_an_old_wording_of_what_an_agent_sent_holds(room: Room) -> None:
    asked = await room.asked()
    room.passes(121)
    desk = room.desk(refund_approval="ask")
    new = await desk.refund(room.order_id, 700, "Other words", (), Script())
    assert (await desk.confirm(intent_of(new).refund_id, Script())).status == "refunded"
    told = await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))

    other = await room.refund(699, refund_approval="ask")

    assert (told.status, intent_of(told).refund_id) == ("refunded", intent_of(new).refund_id)
    assert (other.status, other.approver) == ("needs_confirmation", "person")


async def test_a_no_in_the_terminal_to_what_an_agent_sent_holds_too(room: Room) -> None:
    intent = await room.waiting()
    desk = room.desk(refund_approval="ask")
    assert (await desk.confirm(intent.refund_id, Script())).status == "refunded"
    with pytest.raises(RefusedError, match="can no longer be declined: it is confirmed"):
        await desk.decline(intent.refund_id, TRACE)

    other = await room.refund(699, refund_approval="ask")

    assert (other.status, other.approver) == ("needs_confirmation", "person")


@pytest.mark.parametrize("where", ["host", "terminal"])
async def test_a_clock_that_is_set_back_takes_no_earlier_refund_for_a_later_one(
    room: Room, where: str
) -> None:
    first = await room.refund()
    room.passes(-300)
    further = intent_of(await room.refund(named=first.earlier, refund_approval="ask"))
    desk = room.desk(refund_approval="ask")

    said = (
        await desk.confirm(further.refund_id, Modern(further.refund_id, Reply.NO))
        if where == "host"
        else await desk.decline(further.refund_id, TRACE)
    )

    assert (said.status, intent_of(said).refund_id) == ("declined", further.refund_id)
    assert (await desk.confirm(further.refund_id, Script())).status == "declined"
    assert room.given_back() == [700]


async def test_a_clock_that_is_set_back_hides_nothing_that_was_sent(room: Room) -> None:
    asked = await room.asked()
    room.passes(121)
    desk = room.desk(refund_approval="ask")
    new = await desk.refund(room.order_id, 700, "Other words", (), Script())
    room.passes(-300)
    sent = await desk.confirm(intent_of(new).refund_id, Script())

    told = await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))

    assert (sent.status, told.status, told.intent) == ("refunded", "refunded", sent.intent)


async def test_a_no_to_what_was_refused_is_noted_while_another_call_is_at_it(room: Room) -> None:
    asked, desk = await refused(room), room.desk(refund_approval="ask")
    async with room.locks.held(room.order_id, 1.0):
        said = await desk.decline(asked, TRACE)

    assert (said.status, room.given_back()) == ("declined", [])
    assert room.ledger.history(asked)[-1].event == "declined"


async def test_a_person_approves_after_all_what_was_declined_in_two_wordings(room: Room) -> None:
    asked = await room.asked()
    room.passes(121)
    desk = room.desk(refund_approval="ask")
    new = intent_of(await desk.refund(room.order_id, 700, "Other words", (), Script()))
    await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))
    assert room.found(new).state == "declined"

    sent = await desk.approve(asked, Terminal(Reply.YES))
    again = await desk.approve(new.refund_id, Terminal(Reply.YES))

    assert (sent.status, again.status) == ("refunded", "already_refunded")
    assert room.given_back() == [700]


async def test_what_no_person_approved_settles_no_no(room: Room) -> None:
    await room.refund(700, AskingHost(Reply.NO), refund_approval="ask")
    assert (await room.refund(500, refund_approval="off")).status == "refunded"

    other = await room.refund(699, refund_approval="ask")

    assert (other.status, other.approver) == ("needs_confirmation", "person")


async def test_where_nobody_is_asked_a_confirmation_needs_nobody_either(room: Room) -> None:
    waiting = await room.waiting(699)
    await room.refund(700, AskingHost(Reply.NO), refund_approval="ask")

    assert (await room.desk().confirm(waiting.refund_id, Script())).status == "refunded"


@pytest.mark.parametrize("where", ["host", "terminal"])
async def test_a_no_to_what_was_refused_and_landed_late_tells_of_it(room: Room, where: str) -> None:
    asked, desk = await refused(room), room.desk(refund_approval="ask")
    room.shop.refund(room.order_id, 700, "It landed after all")

    said = (
        await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.NO))
        if where == "host"
        else await desk.decline(asked, TRACE)
    )

    assert (said.status, intent_of(said).refund_id) == ("refunded", asked)


async def test_what_was_refused_and_declined_is_approved_by_a_person_after_all(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    with pytest.raises(RefusedError):
        await room.refund()
    (failed,) = room.ledger.of_order(room.order_id)
    desk = room.desk(refund_approval="ask")
    assert (await desk.decline(failed.refund_id, TRACE)).status == "declined"
    assert (await desk.check(failed.refund_id)).status == "declined"

    outcome = await desk.approve(failed.refund_id, Terminal(Reply.YES))

    assert outcome.status == "refunded"
    assert intent_of(outcome).in_addition_to == (failed.refund_id,)
    assert room.given_back() == [700]


# A question that nobody answered


async def test_who_goes_on_without_an_answer_sees_the_preview_first(room: Room) -> None:
    asked = await room.asked()
    desk = room.desk(refund_approval="ask")
    assert (await desk.refund(room.order_id, 700, "Other", (), Script())).status == "busy"
    assert (await desk.confirm(asked, Script())).status == "busy"
    room.passes(120)

    shown = await desk.confirm(asked, Script())

    assert (shown.status, shown.approver) == ("needs_confirmation", "agent")
    assert shown.order is not None
    assert room.posts() == 0
    assert (await desk.confirm(asked, Script())).status == "refunded"


async def test_a_preview_that_is_asked_for_again_has_been_seen(room: Room) -> None:
    asked = await room.asked()
    room.passes(120)

    shown = await room.refund(refund_approval="ask")

    assert (shown.status, intent_of(shown).refund_id) == ("needs_confirmation", asked)
    confirmed = await room.desk(refund_approval="ask").confirm(asked, Script())
    assert confirmed.status == "refunded"


async def test_who_cannot_approve_is_shown_nothing_new(room: Room) -> None:
    intent = await room.waiting(refund_approval="human")
    room.ledger.note(intent.refund_id, ASKED, room.now(), TRACE)
    room.passes(120)

    outcome = await room.desk(refund_approval="human").confirm(intent.refund_id, Script())

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "person")
    assert [event for event, _, _ in room.trail(intent)] == ["previewed", "asked"]


@pytest.mark.parametrize("late", [Reply.DISMISSED, Reply.SILENT, Reply.FAILED])
async def test_the_answer_to_an_older_question_leaves_a_newer_one_open(
    room: Room, late: Reply
) -> None:
    asked = await room.asked()
    older = room.question_number
    room.passes(121)
    assert await room.asked() == asked
    desk = room.desk(refund_approval="ask")
    for _ in range(2):  # hosts repeat their calls
        await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, late, older))

    assert (await desk.confirm(asked, Script())).status == "busy"
    no = Modern(asked, Reply.NO)
    assert (await desk.refund(room.order_id, 700, "Torn", (), no)).status == "declined"
    assert room.posts() == 0


@pytest.mark.parametrize("late", [Reply.DISMISSED, Reply.YES])
async def test_the_answer_to_an_old_wording_leaves_the_new_question_alone(
    room: Room, late: Reply
) -> None:
    old = await room.asked()
    room.passes(121)
    new = await room.asked(reason="Other words")
    desk = room.desk(refund_approval="ask")

    outcome = await desk.refund(room.order_id, 700, "Torn", (), Modern(old, late))

    assert (outcome.status, intent_of(outcome).refund_id) == ("busy", new)
    yes = Modern(new, Reply.YES)
    sent = await desk.refund(room.order_id, 700, "Other words", (), yes)
    assert (sent.status, intent_of(sent).refund_id) == ("refunded", new)
    assert room.given_back() == [700]


async def test_a_question_that_was_lost_leaves_the_next_one_alone(room: Room) -> None:
    asked = await room.asked()
    room.passes(121)
    assert await room.asked() == asked
    desk, number = room.desk(refund_approval="ask"), room.question_number
    dismissed = Modern(asked, Reply.DISMISSED, number)
    outcome = await desk.refund(room.order_id, 700, "Torn", (), dismissed)

    assert (outcome.status, outcome.is_put_aside) == ("needs_confirmation", True)
    assert (await desk.confirm(asked, Script())).status == "needs_confirmation"


async def test_who_puts_an_old_question_aside_is_not_asked_another(room: Room) -> None:
    old = await room.asked()
    room.passes(901)
    desk = room.desk(refund_approval="ask")
    put_aside = Modern(old, Reply.DISMISSED, room.question_number)

    outcome = await desk.refund(room.order_id, 700, "Torn", (), put_aside)

    assert (outcome.status, outcome.is_put_aside) == ("needs_confirmation", True)
    assert intent_of(outcome).refund_id != old


async def test_a_clock_that_is_set_back_a_little_ends_no_question(room: Room) -> None:
    asked = await room.asked()
    room.passes(-600)

    assert (await room.desk(refund_approval="ask").confirm(asked, Script())).status == "busy"


async def test_a_question_that_nobody_answered_is_not_the_only_way(room: Room) -> None:
    asked = await room.asked()
    room.passes(120)

    outcome = await room.desk(refund_approval="ask").check(asked)

    assert (outcome.status, outcome.is_put_aside) == ("needs_confirmation", True)


async def test_no_agent_sends_another_amount_while_a_person_is_asked(room: Room) -> None:
    other = await room.waiting(699)
    asked = await room.asked(700)
    desk = room.desk(refund_approval="ask")

    outcome = await desk.confirm(other.refund_id, Script())

    assert (outcome.status, intent_of(outcome).refund_id) == ("busy", asked)
    assert room.posts() == 0
    room.passes(120)
    assert (await desk.confirm(other.refund_id, Script())).status == "refunded"


async def test_a_clock_that_is_set_back_keeps_no_question_open(room: Room) -> None:
    await room.asked()
    room.passes(-6 * 3600)

    await room.asked()


async def test_a_yes_to_what_took_the_place_of_an_old_preview_is_heard(room: Room) -> None:
    """The host repeats the call that it was asked in, which names the old one."""
    old = await room.waiting()
    room.passes(901)
    desk = room.desk(refund_approval="ask")
    with pytest.raises(Left) as left:
        await desk.confirm(old.refund_id, Modern())
    new, number = left.value.args
    assert new != old.refund_id

    outcome = await desk.confirm(old.refund_id, Modern(new, Reply.YES, number))

    assert (outcome.status, intent_of(outcome).refund_id) == ("refunded", new)
    assert room.given_back() == [700]


@pytest.mark.parametrize("how", ["declined", "taken over"])
async def test_what_was_decided_before_the_lock_was_had_is_not_sent(
    room: Room, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    intent = await room.waiting()
    desk, read = room.desk(refund_approval="ask"), room.parts.clawver.order

    async def meanwhile(order_id: str, *, urgent: bool = False) -> Order:
        if room.found(intent).state == "previewed" and how == "declined":
            room.ledger.decline(intent.refund_id, room.now(), TRACE)
        elif room.found(intent).state == "previewed":
            room.ledger.preview(
                order_id, 700, "Other words", (), intent.seen, False, room.now(), TRACE
            )
        return await read(order_id, urgent=urgent)

    monkeypatch.setattr(room.parts.clawver, "order", meanwhile)
    outcome = await desk.confirm(intent.refund_id, Script())

    assert outcome.status == ("declined" if how == "declined" else "needs_confirmation")
    assert how == "declined" or intent_of(outcome).refund_id != intent.refund_id
    assert room.posts() == 0


# What the person is told


async def test_the_question_says_why_a_person_is_asked(room: Room) -> None:
    await room.refund(700, AskingHost(Reply.NO), refund_approval="ask")
    await room.given_up(300)
    host = AskingHost(Reply.NO)

    await room.refund(699, host, refund_approval="ask")

    lines = host.questions[0].text.splitlines()
    assert "A person said no to $7.00 on this order before." in lines
    assert "An attempt of $3.00 is not accounted for, and may still show." in lines
