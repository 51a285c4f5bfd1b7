"""A decline holds, whenever and wherever it was said, and for a day."""

from datetime import timedelta
from typing import Any

import pytest
from tests.refunds.room import (
    ACTOR,
    IN_TERMINAL,
    PERSON,
    AskingHost,
    Left,
    Modern,
    Room,
    Terminal,
    attempt_of,
    wish_of,
)

from clawver_orders.caller import DECLINES_COUNT, WAITS, Approval, Grade, Question, Reply, Script
from clawver_orders.errors import ClawverError, RefusedError
from clawver_orders.refunds import outcome as words
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Limits, Wish

BY_AGENT_TOO: dict[str, Any] = {"refund_approval": "agent"}
BY_CHAT: dict[str, Any] = {"refund_approval": "chat"}
DAY = DECLINES_COUNT.total_seconds()


async def decline(room: Room, wish: Wish | str) -> Outcome:
    """A person declines in the terminal."""
    refund_id = wish if isinstance(wish, str) else wish.refund_id
    return await room.desk(**BY_AGENT_TOO).decline(refund_id, IN_TERMINAL, "a terminal")


async def declined(room: Room, cents: int = 700) -> Wish:
    """One that a person declined when they were asked."""
    outcome = await room.refund(cents, AskingHost(Reply.NO), **BY_AGENT_TOO)
    assert outcome.status == "declined"
    return wish_of(outcome)


async def sent_by_agent(room: Room) -> str:
    """The id of a refund that an agent sent while a person was still shown the question."""
    asked, desk = await room.asked(), room.desk(**BY_AGENT_TOO)
    room.passes(121)
    await desk.confirm(asked, 1, Script())
    assert (await desk.confirm(asked, 1, Script())).status == "refunded"
    return asked


async def refused(room: Room) -> str:
    """The same of one that Clawver refused."""
    asked, desk = await room.asked(), room.desk(**BY_AGENT_TOO)
    room.passes(121)
    await desk.confirm(asked, 1, Script())
    room.shop.add_fault("status_before", method="POST", status=400)
    with pytest.raises(RefusedError):
        await desk.confirm(asked, 1, Script())
    return asked


async def says_no(room: Room, refund_id: str, where: str) -> Outcome:
    """The person who is still shown the question declines; or they do so in the terminal."""
    if where == "terminal":
        return await decline(room, refund_id)
    no = Modern(refund_id, Reply.NO, room.question_number)
    return await room.desk(**BY_AGENT_TOO).refund(room.order_id, 700, "Torn", (), no)


async def needs(room: Room, cents: int = 699) -> str:
    """Who has to approve another amount on the order."""
    outcome = await room.refund(cents, **BY_AGENT_TOO)
    assert outcome.status == "needs_approval"
    return str(outcome.needs)


# The same amount


async def test_a_decline_is_written_down_and_ends_the_asking(room: Room) -> None:
    caller = AskingHost(Reply.NO)
    outcome = await room.refund(caller=caller, **BY_AGENT_TOO)

    wish = wish_of(outcome)
    assert outcome == Outcome("declined", room.order_id, 700, wish=wish)
    assert (wish.status, wish.revision, outcome.earlier) == ("declined", 1, ())
    (decision,) = wish.decisions
    assert (
        decision.verdict, decision.revision, decision.grade, decision.channel, decision.who,
        decision.client,
    ) == ("decline", 1, "chat", "form", PERSON, "host 1")  # fmt: skip
    number = caller.questions[0].number
    assert (await room.trail(wish))[-2:] == [
        ("answered", PERSON, f"no to question {number}, after 4.000 s"),
        ("declined", PERSON, "revision 1"),
    ]
    told = words.next_step(outcome, room.parts.settings)
    assert "Do not ask again by yourself" in told
    assert f"clawver-orders approve {wish.refund_id}" in told


@pytest.mark.parametrize("mode", ["agent", "chat", "off"])
async def test_the_same_amount_is_not_asked_about_again_for_a_day(room: Room, mode: str) -> None:
    wish = await declined(room)
    caller = AskingHost()
    desk = room.desk(refund_approval=mode)
    room.passes(DAY - 1)

    told = [
        await desk.refund(room.order_id, 700, "Really torn", (), caller),
        await desk.refund(room.order_id, 700, "Torn", (), Script()),
        await desk.confirm(wish.refund_id, 1, caller),
        await desk.check(wish.refund_id),
    ]

    assert [each.status for each in told] == ["declined"] * 4
    assert [wish_of(each).refund_id for each in told] == [wish.refund_id] * 4
    assert (await room.found(wish)).reason == "Torn"
    assert (caller.questions, room.posts()) == ([], 0)


async def test_after_a_day_it_can_be_asked_about_again(room: Room) -> None:
    wish = await declined(room)
    room.passes(DAY)
    caller = AskingHost(Reply.YES)

    shown = await room.refund(**BY_AGENT_TOO)
    sent = await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (shown.status, shown.needs) == ("needs_approval", "agent")
    assert (wish_of(shown).refund_id, wish_of(shown).revision) == (wish.refund_id, 2)
    assert (sent.status, wish_of(sent).refund_id) == ("refunded", wish.refund_id)
    assert "declined" not in caller.questions[0].text
    assert [each.verdict for each in wish_of(sent).decisions] == ["decline", "approve"]


@pytest.mark.parametrize("ahead", [timedelta(days=30), timedelta(days=-30)])
async def test_a_clock_that_is_set_ends_no_decline_and_prolongs_none(
    room: Room, ahead: timedelta
) -> None:
    await declined(room)
    room.at += ahead
    room.up += DAY - 1
    assert (await room.refund(**BY_AGENT_TOO)).status == "declined"

    room.up += 1

    assert (await room.refund(**BY_AGENT_TOO)).status == "needs_approval"


async def test_a_decline_that_was_brought_along_sends_nothing(room: Room) -> None:
    asked = await room.asked()
    no = Modern(asked, Reply.NO, room.question_number)

    outcome = await room.refund(caller=no)  # where nobody is asked any more

    assert (outcome.status, room.posts()) == ("declined", 0)
    assert (await room.refund()).status == "declined"


async def test_a_decline_that_came_with_a_confirmation_holds(room: Room) -> None:
    wish = await room.waiting()
    number = await room.ledger.ask(wish, "form", ACTOR)
    no = Modern(wish.refund_id, Reply.NO, number)

    outcome = await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 1, no)

    assert (outcome.status, room.posts()) == ("declined", 0)
    assert [event for event, _, _ in await room.trail(wish)][-2:] == ["answered", "declined"]


@pytest.mark.parametrize("why", ["reworded", "another payment", "too old", "unknown question"])
@pytest.mark.parametrize("how", ["by the host", "with the call"])
async def test_a_decline_reaches_the_refund_whichever_revision_was_seen(
    room: Room, why: str, how: str
) -> None:
    async def meanwhile(_: object) -> None:
        if why == "too old":
            room.passes(901)
            return
        room.passes(121)
        if why == "another payment":
            room.shop.refund(room.order_id, 5, "By hand")
        await room.refund(reason="Again", **BY_AGENT_TOO)

    if how == "by the host":

        class Slow(AskingHost):
            async def ask(self, question: Question) -> Reply:
                await meanwhile(question)
                return await super().ask(question)

        outcome = await room.refund(caller=Slow(Reply.NO), **BY_AGENT_TOO)
    else:
        asked = await room.asked()
        await meanwhile(None)
        number = 0 if why == "unknown question" else room.question_number
        outcome = await room.refund(caller=Modern(asked, Reply.NO, number), **BY_AGENT_TOO)

    wish = wish_of(outcome)
    assert outcome.status == "declined"
    assert (await room.found(wish)).status == "declined"
    confirmed = await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, wish.revision, Script())
    assert (confirmed.status, (await room.refund(**BY_AGENT_TOO)).status) == (
        "declined",
        "declined",
    )
    assert room.given_back().count(700) == 0


async def test_a_refund_is_declined_once(room: Room) -> None:
    wish = await room.waiting()

    first, second = await decline(room, wish), await decline(room, wish)

    assert first == Outcome("declined", room.order_id, 700, wish=await room.found(wish))
    assert second == first
    assert (await room.trail(wish))[1:] == [
        ("declined", IN_TERMINAL.who, "revision 1"),
        ("declined", IN_TERMINAL.who, "again"),
    ]
    assert await needs(room) == "chat"
    assert (await room.refund(699, AskingHost(Reply.YES), **BY_AGENT_TOO)).status == "refunded"


async def test_what_expired_can_be_declined(room: Room) -> None:
    wish = await room.waiting()
    room.passes(WAITS.total_seconds())

    assert (await decline(room, wish)).status == "declined"
    assert (await room.refund(**BY_AGENT_TOO)).status == "declined"


async def test_a_clock_that_is_set_back_takes_no_earlier_refund_for_a_later_one(
    room: Room,
) -> None:
    first = await room.refund()
    room.at -= timedelta(seconds=300)
    further = wish_of(await room.refund(named=first.earlier, **BY_AGENT_TOO))

    said = await decline(room, further)

    assert (said.status, wish_of(said).refund_id) == ("declined", further.refund_id)
    confirmed = await room.desk(**BY_AGENT_TOO).confirm(further.refund_id, 1, Script())
    assert (confirmed.status, room.given_back()) == ("declined", [700])


# A person approves after all


async def test_a_person_approves_in_the_terminal_what_was_declined(room: Room) -> None:
    wish = await declined(room)
    caller = Terminal(Reply.YES)

    outcome = await room.desk(**BY_CHAT).approve(wish.refund_id, caller)

    assert (outcome.status, wish_of(outcome).refund_id) == ("refunded", wish.refund_id)
    assert (wish_of(outcome).revision, wish_of(outcome).in_addition_to) == (2, ())
    assert wish_of(outcome).grade_needed == "chat"
    assert (
        "A person declined $7.00 on this order in the last 24 hours."
        in caller.questions[0].text.splitlines()
    )
    repeat = await room.refund()
    assert (repeat.status, repeat.earlier) == ("already_refunded", room.listed())
    assert room.given_back() == [700]


@pytest.mark.parametrize("reply", [Reply.DISMISSED, Reply.NO])
async def test_only_a_persons_yes_ends_a_decline(room: Room, reply: Reply) -> None:
    """That they were asked once more in the terminal gives nobody else leave to ask again."""
    wish = await declined(room)
    await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, Terminal(reply))
    caller = AskingHost()

    outcome = await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (outcome.status, wish_of(outcome).refund_id) == ("declined", wish.refund_id)
    assert (caller.questions, room.posts()) == ([], 0)
    sent = await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, Terminal(Reply.YES))
    assert sent.status == "refunded"


@pytest.mark.parametrize("mode", ["agent", "chat", "off"])
async def test_a_program_in_the_terminal_reopens_no_decline(room: Room, mode: str) -> None:
    class Program(Terminal):
        grade: Grade = "agent"

    wish, caller = await declined(room), Program()

    outcome = await room.desk(refund_approval=mode).approve(wish.refund_id, caller)

    assert (outcome.status, caller.questions, room.posts()) == ("declined", [], 0)
    assert (await room.found(wish)).revision == 1


async def test_what_a_person_approved_after_all_is_no_longer_declined(room: Room) -> None:
    """Their yes is the last word, also where the request never left."""
    wish = await declined(room)
    room.shop.add_fault("status_before", method="POST", status=400)
    desk = room.desk(**BY_AGENT_TOO)
    with pytest.raises(RefusedError):
        await desk.approve(wish.refund_id, Terminal(Reply.YES))

    again = await desk.refund(room.order_id, 700, "Torn", (), AskingHost(Reply.YES))

    assert (again.status, wish_of(again).refund_id) == ("refunded", wish.refund_id)


# Another amount on the order


@pytest.mark.parametrize("cents", [699, 701])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_decline_is_not_got_round_by_a_cent(room: Room, cents: int, when: str) -> None:
    first = await room.waiting()
    if when == "before":
        await room.waiting(cents)
    await decline(room, first)
    desk = room.desk(**BY_AGENT_TOO)

    other = await room.waiting(cents)
    outcome = await desk.confirm(other.refund_id, other.revision, Script())

    assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert wish_of(outcome).revision == (2 if when == "before" else 1)
    assert room.posts() == 0


async def test_a_decline_reaches_what_waits_to_be_confirmed(room: Room) -> None:
    other = await room.waiting(699)
    await declined(room)
    desk = room.desk(**BY_AGENT_TOO)

    for revision in (1, 2):
        outcome = await desk.confirm(other.refund_id, revision, Script())
        assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert (wish_of(outcome).refund_id, wish_of(outcome).revision) == (other.refund_id, 2)
    assert room.posts() == 0


async def test_a_person_is_told_of_the_decline_and_may_approve(room: Room) -> None:
    await declined(room)
    caller = AskingHost(Reply.YES)

    outcome = await room.refund(699, caller, **BY_AGENT_TOO)

    assert (outcome.status, wish_of(outcome).grade_needed) == ("refunded", "chat")
    assert (
        "A person declined $7.00 on this order in the last 24 hours."
        in caller.questions[0].text.splitlines()
    )


@pytest.mark.parametrize("mode", ["agent", "chat"])
async def test_who_was_asked_before_the_decline_did_not_approve_knowing_it(
    room: Room, mode: str
) -> None:
    other = await room.waiting(699)

    class Slow(AskingHost):
        async def ask(self, question: Question) -> Reply:
            await decline(room, other)
            return await super().ask(question)

    shown = await room.refund(caller=Slow(Reply.YES), refund_approval=mode)

    assert (shown.status, shown.needs) == ("needs_approval", "chat")
    assert (wish_of(shown).revision, room.posts()) == (2, 0)
    caller = AskingHost(Reply.YES)
    assert (await room.refund(caller=caller, refund_approval=mode)).status == "refunded"
    assert "A person declined $6.99 on this order" in caller.questions[0].text


async def test_a_decline_needs_a_person_for_a_day(room: Room) -> None:
    await declined(room)
    room.passes(DAY - 1)
    assert await needs(room) == "chat"

    room.passes(1)

    assert await needs(room) == "agent"


async def test_a_decline_is_about_its_own_order(room: Room) -> None:
    await declined(room)
    other = room.sell(2000)

    outcome = await room.refund(order_id=other, **BY_AGENT_TOO)

    assert (outcome.status, outcome.needs) == ("needs_approval", "agent")


async def test_where_nobody_is_asked_another_amount_needs_nobody(room: Room) -> None:
    waiting = await room.waiting(699)
    await declined(room)

    shown = await room.desk().confirm(waiting.refund_id, 1, Script())
    sent = await room.desk().confirm(waiting.refund_id, wish_of(shown).revision, Script())

    assert [shown.status, sent.status] == ["needs_approval", "refunded"]
    assert (await room.refund(701)).status == "refunded"


async def test_a_yes_to_another_amount_ends_no_decline(room: Room) -> None:
    waiting = await room.waiting(500)
    await declined(room)
    assert await needs(room) == "chat"

    sent = await room.desk(**BY_AGENT_TOO).approve(waiting.refund_id, Terminal(Reply.YES))

    assert (sent.status, await needs(room)) == ("refunded", "chat")


async def test_a_decline_ends_when_a_person_approves_that_very_refund(room: Room) -> None:
    wish = await declined(room)

    sent = await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, Terminal(Reply.YES))

    assert (sent.status, await needs(room)) == ("refunded", "agent")


async def test_a_decline_is_not_settled_by_an_earlier_yes(room: Room) -> None:
    """Which was wanted first says nothing about which was decided first."""
    first, second = await room.waiting(700), await room.waiting(500)
    desk = room.desk(**BY_AGENT_TOO)
    assert (await desk.approve(second.refund_id, Terminal(Reply.YES))).status == "refunded"

    await decline(room, first)

    assert await needs(room) == "chat"


async def test_a_no_is_noted_and_declines_in_one_step(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps the rest of the call from running, nobody sends it on an agent's word."""

    async def cancelled(*_: object) -> Wish:
        raise Left("the call ends here", 0)

    desk = room.desk(**BY_AGENT_TOO)
    monkeypatch.setattr(desk, "_declined", cancelled)
    with pytest.raises(Left):
        await desk.refund(room.order_id, 700, "Torn", (), AskingHost(Reply.NO))

    (wish,) = (await room.ledger.of_order(room.order_id)).wishes
    assert wish.status == "declined"
    assert (
        await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 1, Script())
    ).status == "declined"


async def test_what_no_person_approved_settles_no_decline(room: Room) -> None:
    await declined(room)
    assert (await room.refund(500)).status == "refunded"

    assert await needs(room) == "chat"


async def test_an_attempt_that_was_given_up_reaches_what_was_wanted_before_it(room: Room) -> None:
    other = await room.waiting(699)
    await room.not_recorded(700)
    posts = room.posts()
    desk = room.desk(**BY_AGENT_TOO)

    for revision in (1, 2):
        outcome = await desk.confirm(other.refund_id, revision, Script())
        assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert room.posts() == posts


async def test_an_attempt_that_landed_late_needs_nobody_any_more(room: Room) -> None:
    attempt = await room.not_recorded(700)
    assert await needs(room) == "chat"
    room.lands(700)
    assert (await room.desk().check(attempt.refund_id)).status == "refunded"

    assert await needs(room) == "agent"


# After two declines


@pytest.mark.parametrize("amounts", [(700, 699), (700, 700)])
async def test_after_two_declines_only_the_terminal_asks(
    room: Room, amounts: tuple[int, int]
) -> None:
    first = await declined(room, amounts[0])
    if amounts[0] == amounts[1]:
        await room.desk(**BY_AGENT_TOO).approve(first.refund_id, Terminal(Reply.NO))
    else:
        await declined(room, amounts[1])
    caller, desk = AskingHost(), room.desk(**BY_AGENT_TOO)

    outcome = await desk.refund(room.order_id, 500, "Torn", (), caller)

    assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert (caller.questions, room.posts()) == ([], 0)
    told = words.next_step(outcome, room.parts.settings)
    assert f"clawver-orders approve {wish_of(outcome).refund_id}" in told
    terminal = Terminal(Reply.YES)
    sent = await desk.approve(wish_of(outcome).refund_id, terminal)
    assert (sent.status, room.given_back()) == ("refunded", [500])
    assert "A person declined $7.00" in terminal.questions[0].text


async def test_declining_one_refund_twice_is_one_decline(room: Room) -> None:
    wish = await declined(room)
    await decline(room, wish)

    assert (await room.refund(699, AskingHost(Reply.YES), **BY_AGENT_TOO)).status == "refunded"


async def test_two_declines_more_than_a_day_apart_are_not_two(room: Room) -> None:
    await declined(room, 700)
    room.passes(DAY)
    await declined(room, 699)

    assert (await room.refund(500, AskingHost(Reply.YES), **BY_AGENT_TOO)).status == "refunded"


async def test_after_a_day_forms_ask_again(room: Room) -> None:
    await declined(room, 700)
    await declined(room, 699)
    room.passes(DAY)

    assert (await room.refund(500, AskingHost(Reply.YES), **BY_AGENT_TOO)).status == "refunded"


@pytest.mark.parametrize("approved", ["another", "both of them"])
async def test_after_two_declines_no_agent_goes_on_though_a_person_approved_something(
    room: Room, approved: str
) -> None:
    """No form is shown, so nobody would be asked: then an agent's word must not do instead."""
    no = [await declined(room, 700), await declined(room, 699)]
    yes = [await room.waiting(500)] if approved == "another" else no
    desk = room.desk(**BY_AGENT_TOO)
    for wish in yes:
        told = await desk.approve(wish.refund_id, Terminal(Reply.YES))
        assert told.status == "refunded"

    for caller in (AskingHost(), Script()):
        shown = await desk.refund(room.order_id, 400, "Torn", (), caller)
        wish = wish_of(shown)
        outcome = await desk.confirm(wish.refund_id, wish.revision, caller)
        assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert room.given_back() == [wish.amount_in_cents for wish in yes]


# A decline of what was sent


@pytest.mark.parametrize("where", ["host", "terminal"])
async def test_a_decline_of_what_a_person_approved_changes_nothing(room: Room, where: str) -> None:
    """They approve in the terminal, and then close the form that a host still shows."""
    asked = await room.asked()
    sent = await room.desk(**BY_AGENT_TOO).approve(asked, Terminal(Reply.YES))

    told = await says_no(room, asked, where)

    assert (told.status, wish_of(told).refund_id) == ("refunded", asked)
    assert [d.verdict for d in wish_of(told).decisions] == ["approve"]
    assert (await room.trail(wish_of(sent)))[-1][::2] == (
        "declined", "too late: a person approved it",
    )  # fmt: skip
    assert (await needs(room), room.given_back()) == ("agent", [700])


@pytest.mark.parametrize("where", ["host", "terminal"])
async def test_a_decline_of_what_an_agent_sent_holds_for_whatever_follows(
    room: Room, where: str
) -> None:
    asked = await sent_by_agent(room)

    told = await says_no(room, asked, where)
    host = AskingHost(Reply.NO)

    assert (told.status, wish_of(told).refund_id) == ("refunded", asked)
    assert [d.verdict for d in wish_of(told).decisions] == ["approve", "decline"]
    assert await needs(room) == "chat"
    await room.refund(698, host, **BY_AGENT_TOO)
    assert "A person declined $7.00 on this order in the last 24 hours, when it had been sent." in (
        host.questions[0].text.splitlines()
    )
    assert (await room.refund(**BY_AGENT_TOO)).status == "already_refunded"
    assert room.given_back() == [700]


async def test_a_decline_of_what_the_setting_sent_holds_too(room: Room) -> None:
    wish = wish_of(await room.refund())

    told = await decline(room, wish)

    assert (told.status, await needs(room)) == ("refunded", "chat")


async def test_a_decline_while_it_is_being_sent_is_kept(room: Room) -> None:
    asked = await room.asked()
    room.passes(121)
    wish = await room.waiting()
    records = await room.ledger.of_order(room.order_id)
    agent = Approval("agent", "confirm_refund", "agent by confirm_refund")
    await room.ledger.begin_send(
        records.number, wish, agent, None, (), None, Limits(10**6), "another"
    )

    told = await says_no(room, asked, "host")

    found = await room.found(wish)
    assert (told.status, found.status) == ("unknown", "unknown")  # its process is gone
    assert [d.verdict for d in found.decisions] == ["approve", "decline"]
    assert attempt_of(found).revision == 1


async def test_a_late_decline_tells_of_an_attempt_that_may_still_land(room: Room) -> None:
    asked = await room.asked()
    room.shop.add_fault("drop_before", method="POST")
    await room.desk(**BY_AGENT_TOO).approve(asked, Terminal(Reply.YES))
    for _ in range(2):
        room.passes(10)
        await room.desk().check(asked)

    told = await says_no(room, asked, "host")

    assert (told.status, wish_of(told).refund_id) == ("not_recorded", asked)


@pytest.mark.parametrize("where", ["host", "terminal"])
async def test_a_decline_of_what_was_refused_holds(room: Room, where: str) -> None:
    asked = await refused(room)

    said = await says_no(room, asked, where)

    desk = room.desk(**BY_AGENT_TOO)
    assert (said.status, wish_of(said).refund_id) == ("declined", asked)
    assert (await desk.check(asked)).status == "declined"
    assert (await desk.confirm(asked, 2, Script())).status == "declined"
    assert (await room.refund(**BY_AGENT_TOO)).status == "declined"
    assert (await needs(room), room.given_back()) == ("chat", [])


async def test_a_decline_of_what_waits_again_after_a_refusal_holds(room: Room) -> None:
    asked = await refused(room)
    again = await room.waiting()
    assert (again.refund_id, again.revision) == (asked, 2)

    said = await says_no(room, asked, "host")

    assert said.status == "declined"
    assert (await room.desk(**BY_AGENT_TOO).confirm(asked, 2, Script())).status == "declined"
    assert room.given_back() == []


@pytest.mark.parametrize("where", ["host", "terminal"])
async def test_a_decline_of_what_was_refused_and_landed_late_tells_of_it(
    room: Room, where: str
) -> None:
    asked = await refused(room)
    room.lands(700)

    said = await says_no(room, asked, where)

    assert (said.status, wish_of(said).refund_id) == ("refunded", asked)
    assert await needs(room) == "chat"


async def test_a_decline_of_what_was_refused_is_noted_while_another_call_is_at_it(
    room: Room,
) -> None:
    asked = await refused(room)
    async with room.locks.held(room.order_id, 1.0):
        said = await decline(room, asked)

    assert (said.status, room.given_back()) == ("declined", [])
    assert (await room.ledger.history(asked))[-1].event == "declined"


async def test_what_was_refused_and_declined_is_approved_by_a_person_after_all(room: Room) -> None:
    wish = await room.refused()
    assert (await decline(room, wish)).status == "declined"

    outcome = await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, Terminal(Reply.YES))

    assert (outcome.status, wish_of(outcome).refund_id) == ("refunded", wish.refund_id)
    assert [a.status for a in wish_of(outcome).attempts] == ["refused", "refunded"]
    assert room.given_back() == [700]


async def test_a_late_decline_tells_of_what_went_after_an_earlier_one(room: Room) -> None:
    asked = await room.asked()
    desk = room.desk(**BY_AGENT_TOO)
    first = await desk.approve(asked, Terminal(Reply.NO))
    second = await desk.approve(asked, Terminal(Reply.YES))
    assert (first.status, second.status) == ("declined", "refunded")

    told = await says_no(room, asked, "host")

    assert (told.status, wish_of(told).refund_id) == ("refunded", asked)
    assert wish_of(told).decisions == wish_of(second).decisions
    assert room.given_back() == [700]


async def test_a_further_refund_is_another_wish_than_the_one_that_was_declined(room: Room) -> None:
    first = await room.refund()
    further = wish_of(await room.refund(named=first.earlier, **BY_AGENT_TOO))

    told = await decline(room, wish_of(first))

    assert (told.status, wish_of(told).refund_id) == ("refunded", wish_of(first).refund_id)
    assert (await room.found(further)).status == "waiting"
    shown = await room.desk(**BY_AGENT_TOO).confirm(further.refund_id, 1, Script())
    assert (shown.status, shown.needs) == ("needs_approval", "chat")


async def test_a_decline_is_nothing_that_a_further_refund_could_name(room: Room) -> None:
    wish = await declined(room)

    with pytest.raises(ClawverError, match=r"^No money was moved: .* carries no refund of \$7\.00"):
        await room.refund(named=[wish.refund_id], **BY_AGENT_TOO)
    assert room.posts() == 0
