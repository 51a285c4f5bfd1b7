"""Who lets a refund go, and what they are asked."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.refunds.room import (
    ACTOR,
    IN_TERMINAL,
    PERSON,
    START,
    AskingHost,
    Left,
    Modern,
    Room,
    Terminal,
    attempt_of,
    store_of,
    wish_of,
)

from clawver_orders.caller import GRADES, LIFETIME, WAITS, Grade, Question, Reply, Script
from clawver_orders.clawver.models import Order
from clawver_orders.errors import (
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SetupError,
    UnreachableError,
)
from clawver_orders.instants import Instant
from clawver_orders.refunds import outcome as words
from clawver_orders.refunds.approvals import Asking, asking, grade_needed
from clawver_orders.refunds.matching import Doubt
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Asked, Wish

BY_AGENT_TOO: dict[str, Any] = {"refund_approval": "agent"}
BY_CHAT: dict[str, Any] = {"refund_approval": "chat"}


class Meanwhile(AskingHost):
    """A host whose person answers after something else has happened."""

    def __init__(self, reply: Reply, act: Callable[[Question], Awaitable[object]]) -> None:
        super().__init__(reply)
        self.act = act

    async def ask(self, question: Question) -> Reply:
        await self.act(question)
        return await super().ask(question)


class Program(Terminal):
    """`clawver-orders approve` without a person: no terminal at its other end, or `--yes`."""

    grade: Grade = "agent"
    person = "program in the terminal"


async def gone(room: Room, *outcomes: Outcome) -> None:
    """These are about one refund that went out once."""
    assert [outcome.status for outcome in outcomes] == ["refunded"] * len(outcomes)
    assert len({wish_of(outcome).refund_id for outcome in outcomes}) == 1
    assert (room.given_back().count(700), room.posts()) == (1, 1)


# An agent's word


async def test_where_nobody_can_be_asked_an_agent_confirms(room: Room) -> None:
    outcome = await room.refund(**BY_AGENT_TOO)
    wish = wish_of(outcome)
    assert outcome == Outcome("needs_approval", room.order_id, 700, wish=wish, order=outcome.order)
    assert (wish.revision, wish.grade_needed, outcome.needs) == (1, "agent", "agent")
    assert room.posts() == 0
    assert wish_of(await room.refund(**BY_AGENT_TOO)) == wish

    desk = room.desk(**BY_AGENT_TOO)
    confirmed = await desk.confirm(wish.refund_id, 1, Script())
    assert confirmed.status == "refunded"
    (decision,) = (await room.found(wish)).decisions
    assert (decision.verdict, decision.grade, decision.channel, decision.who) == (
        "approve", "agent", "confirm_refund", "agent by confirm_refund",
    )  # fmt: skip
    assert await room.trail(wish) == [
        ("waiting", "", ""),
        ("sending", "agent by confirm_refund", "revision 1, approved by agent by confirm_refund (agent)"),
        ("refunded", "agent by confirm_refund", f"listed as {room.listed()[0]}"),
    ]  # fmt: skip
    again = await desk.confirm(wish.refund_id, 1, Script())
    assert (again.status, again.earlier) == ("refunded", room.listed())
    assert room.given_back() == [700]


async def test_where_nobody_is_asked_the_setting_approves_and_is_written_down(room: Room) -> None:
    wish = wish_of(await room.refund())

    (decision,) = wish.decisions
    assert (decision.verdict, decision.grade, decision.channel, decision.who) == (
        "approve", "setting", "setting", "setting off",
    )  # fmt: skip
    assert (wish.grade_needed, room.given_back()) == ("setting", [700])


async def test_where_nobody_is_asked_a_preview_from_before_is_sent_by_the_next_call(
    room: Room,
) -> None:
    wish = await room.waiting(**BY_CHAT)

    outcome = await room.refund(caller=AskingHost())

    assert (outcome.status, wish_of(outcome).refund_id) == ("refunded", wish.refund_id)
    assert wish_of(outcome).revision == 2  # another grade is needed than was shown


async def test_only_a_person_confirms_where_the_merchant_wants_that(room: Room) -> None:
    first = await room.refund(**BY_CHAT)
    assert (first.status, first.needs) == ("needs_approval", "chat")

    again = await room.desk(**BY_CHAT).confirm(wish_of(first).refund_id, 1, Script())

    assert (again.status, again.needs) == ("needs_approval", "chat")
    assert wish_of(again) == wish_of(first)
    assert room.posts() == 0


async def test_only_a_person_confirms_another_try(room: Room) -> None:
    earlier = await room.not_recorded()
    posts = room.posts()
    first = await room.refund(named=[earlier.refund_id], **BY_AGENT_TOO)
    desk = room.desk(**BY_AGENT_TOO)
    again = await desk.confirm(wish_of(first).refund_id, 1, Script())
    checked = await desk.check(wish_of(first).refund_id)

    for outcome in (first, again, checked):
        assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
        assert outcome.earlier == (earlier.refund_id,)
    assert room.posts() == posts

    asked = await desk.confirm(wish_of(first).refund_id, 1, AskingHost(Reply.YES))
    assert asked.status == "refunded"


async def test_what_is_not_known_is_not_decided_about(room: Room) -> None:
    desk = room.desk()
    brought = Modern("rfi_1", Reply.YES, 1)
    for call in (
        desk.confirm("rfi_1", 1, Script()),
        desk.approve("rfi_1", Script()),
        desk.decline("rfi_1", IN_TERMINAL, "a terminal"),
        desk.refund(room.order_id, 700, "Torn", (), brought),
    ):
        with pytest.raises(NotFoundError, match=r"^Nothing was sent: .* holds no refund rfi_1"):
            await call
    assert room.posts() == 0


async def test_what_may_not_be_written_is_not_approved(room: Room) -> None:
    wish = await room.waiting()
    caller = AskingHost()

    with pytest.raises(SetupError, match=r"^No money was moved: CLAWVER_READ_ONLY is set"):
        await room.desk(read_only=True).approve(wish.refund_id, caller)

    assert (caller.questions, room.posts()) == ([], 0)
    assert (await room.found(wish)).status == "waiting"


# A revision is approved, and no other


@pytest.mark.parametrize("mode", ["agent", "off"])
@pytest.mark.parametrize("how", ["one refund", "one refund more"])
async def test_a_preview_that_is_no_longer_true_is_shown_anew(
    room: Room, how: str, mode: str
) -> None:
    if how == "one refund more":
        room.shop.refund(room.order_id, 6, "By hand")
    old = await room.waiting()
    room.shop.refund(room.order_id, 5, "By hand")
    desk = room.desk(refund_approval=mode)

    shown = await desk.confirm(old.refund_id, 1, Script())

    assert (shown.status, wish_of(shown).refund_id) == ("needs_approval", old.refund_id)
    assert (wish_of(shown).revision, room.posts()) == (2, 0)
    assert shown.order is not None  # so the preview stands in the answer
    assert await room.trail(old) == [("waiting", "", ""), ("waiting", "", "revision 2")]
    sent = await desk.confirm(old.refund_id, 2, Script())
    assert (sent.status, attempt_of(wish_of(sent)).revision) == ("refunded", 2)


@pytest.mark.parametrize("revision", [0, 1, 3])
async def test_a_confirmation_of_another_revision_is_answered_with_the_current_one(
    room: Room, revision: int
) -> None:
    wish = await room.waiting()
    room.shop.refund(room.order_id, 5, "By hand")
    assert (await room.waiting()).revision == 2
    desk = room.desk(**BY_AGENT_TOO)

    shown = await desk.confirm(wish.refund_id, revision, Script())

    assert (shown.status, wish_of(shown).revision) == ("needs_approval", 2)
    assert f"refund_id {wish.refund_id} and revision 2" in words.next_step(
        shown, room.parts.settings
    )
    assert room.posts() == 0


async def test_a_revision_that_was_not_shown_yet_is_not_confirmed(room: Room) -> None:
    """An agent names the next number, and the call itself makes that revision."""
    wish = await room.waiting()
    room.shop.refund(room.order_id, 5, "By hand")

    shown = await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 2, Script())

    assert (shown.status, wish_of(shown).revision) == ("needs_approval", 2)
    assert room.posts() == 0


async def test_a_host_that_can_ask_is_asked_about_the_current_revision(room: Room) -> None:
    wish = await room.waiting()
    room.shop.refund(room.order_id, 5, "By hand")
    caller = AskingHost(Reply.YES)

    outcome = await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 1, caller)

    assert (outcome.status, [q.revision for q in caller.questions]) == ("refunded", [2])


async def test_a_call_that_brings_no_answer_along_is_a_call_like_any_other(room: Room) -> None:
    wish = await room.waiting()

    with pytest.raises(Left):  # it asks
        await room.desk(**BY_AGENT_TOO).refund(
            room.order_id, 700, "Torn", (), Modern(answered=wish.refund_id)
        )

    assert room.posts() == 0


async def test_another_grade_needed_is_another_revision(room: Room) -> None:
    wish = await room.waiting()

    shown = await room.desk(**BY_CHAT).confirm(wish.refund_id, 1, Script())

    assert (shown.needs, wish_of(shown).revision) == ("chat", 2)
    assert (await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 2, Script())).status == (
        "needs_approval"
    )
    assert room.posts() == 0


async def test_a_rewording_stays_what_it_is_and_is_sent_as_it_was_put_last(room: Room) -> None:
    first = await room.waiting()
    second = await room.waiting(reason="In other words")

    assert (second.refund_id, second.revision) == (first.refund_id, 1)
    assert await room.trail(first) == [("waiting", "", ""), ("reworded", "", "")]
    sent = await room.desk(**BY_AGENT_TOO).confirm(first.refund_id, 1, Script())
    assert attempt_of(wish_of(sent)).reason == "In other words"
    await gone(room, sent)


async def test_a_preview_that_became_a_repeat_is_not_sent(room: Room) -> None:
    wish = await room.waiting()
    room.shop.refund(room.order_id, 700, "By hand")

    outcome = await room.desk().confirm(wish.refund_id, 1, Script())

    assert outcome.status == "already_refunded"
    assert room.posts() == 0


@pytest.mark.parametrize("step", ["want", "ask", "begin_send"])
async def test_what_happens_between_reading_and_writing_stops_it(
    room: Room, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Another process that lost its lock is at the same order: nothing goes by what is outdated."""
    wish = await room.waiting()
    caller: Any = AskingHost() if step == "ask" else Script()
    write = getattr(room.ledger, step)

    async def late(*args: Any) -> Any:
        await room.ledger.decline(wish.refund_id, IN_TERMINAL, "a terminal")
        return await write(*args)

    monkeypatch.setattr(room.ledger, step, late)
    outcome = await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 1, caller)

    assert outcome == Outcome("busy", room.order_id, None, check_after_seconds=5)
    assert (await room.found(wish)).status == "declined"
    assert room.posts() == 0


@pytest.mark.parametrize("how", ["declined", "shown anew"])
async def test_what_was_decided_before_the_lock_was_had_is_not_sent(
    room: Room, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    wish = await room.waiting()
    desk, read = room.desk(**BY_AGENT_TOO), room.parts.clawver.order

    async def meanwhile(order_id: str, *, urgent: bool = False) -> Order:
        monkeypatch.setattr(room.parts.clawver, "order", read)
        if how == "declined":
            await room.ledger.decline(wish.refund_id, IN_TERMINAL, "a terminal")
        else:
            room.shop.refund(room.order_id, 5, "By hand")
        return await read(order_id, urgent=urgent)

    monkeypatch.setattr(room.parts.clawver, "order", meanwhile)
    outcome = await desk.confirm(wish.refund_id, 1, Script())

    assert outcome.status == ("declined" if how == "declined" else "needs_approval")
    assert wish_of(outcome).refund_id == wish.refund_id
    assert room.posts() == 0


# How long a preview and a form hold


async def test_a_preview_can_be_sent_until_its_last_moment(room: Room) -> None:
    wish = await room.waiting()
    room.passes(899.9)

    assert (
        await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 1, Script())
    ).status == "refunded"
    assert (await room.found(wish)).status == "refunded"


@pytest.mark.parametrize("clock", ["both", "clock", "uptime"])
async def test_a_preview_of_fifteen_minutes_ago_is_shown_again_first(
    room: Room, clock: str
) -> None:
    """Whichever of clock and uptime says more."""
    wish = await room.waiting()
    room.at += timedelta(seconds=0 if clock == "uptime" else 900)
    room.up += 0 if clock == "clock" else 900
    desk = room.desk(**BY_AGENT_TOO)

    shown = await desk.confirm(wish.refund_id, 1, Script())

    assert (shown.status, wish_of(shown).revision) == ("needs_approval", 1)
    assert shown.order is not None
    assert room.posts() == 0
    await gone(room, await desk.confirm(wish.refund_id, 1, Script()))


async def test_a_wish_waits_three_days_for_a_terminal(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)
    room.passes(WAITS.total_seconds() - 1)
    assert (await room.found(wish)).status == "waiting"
    caller = Terminal(Reply.YES)

    outcome = await room.desk(**BY_CHAT).approve(wish.refund_id, caller)

    await gone(room, outcome)
    assert caller.questions[0].revision == 1


@pytest.mark.parametrize("how", ["confirm", "refund", "approve"])
async def test_what_expired_is_asked_again_under_its_id(room: Room, how: str) -> None:
    wish = await room.waiting()
    room.passes(WAITS.total_seconds())
    assert (await room.found(wish)).status == "expired"
    desk = room.desk(**BY_AGENT_TOO)
    with pytest.raises(
        RefusedError, match=r"^No money was moved by refund .* not approved in time"
    ):
        await desk.check(wish.refund_id)

    if how == "approve":
        await gone(room, await desk.approve(wish.refund_id, Terminal(Reply.YES)))
        return
    shown = (
        await desk.confirm(wish.refund_id, 1, Script())
        if how == "confirm"
        else await desk.refund(room.order_id, 700, "Torn", (), Script())
    )
    assert (shown.status, room.posts()) == ("needs_approval", 0)
    assert (wish_of(shown).refund_id, wish_of(shown).revision) == (wish.refund_id, 2)
    await gone(room, await desk.confirm(wish.refund_id, 2, Script()))


async def test_a_form_holds_for_fifteen_minutes(room: Room) -> None:
    asked = await room.asked()
    room.passes(899.9)
    yes = Modern(asked, Reply.YES, room.question_number)

    await gone(room, await room.refund(caller=yes, **BY_AGENT_TOO))


@pytest.mark.parametrize("how", ["inline", "brought"])
async def test_a_yes_to_a_form_that_is_too_old_sends_nothing(room: Room, how: str) -> None:
    desk = room.desk(**BY_AGENT_TOO)
    if how == "inline":
        caller = AskingHost(Reply.YES, meanwhile=lambda _: room.passes(900))
        shown = await desk.refund(room.order_id, 700, "Torn", (), caller)
        assert (shown.status, len(caller.questions)) == ("needs_approval", 1)
    else:
        asked = await room.asked()
        room.passes(900)
        yes = Modern(asked, Reply.YES, room.question_number)
        with pytest.raises(Left):  # with a question that is new
            await desk.refund(room.order_id, 700, "Torn", (), yes)
    assert room.posts() == 0


async def test_the_terminals_question_holds_for_three_days(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)
    desk = room.desk(**BY_CHAT)
    over_night = Terminal(Reply.YES, meanwhile=lambda _: room.passes(WAITS.total_seconds() - 1))

    await gone(room, await desk.approve(wish.refund_id, over_night))


async def test_the_terminals_question_holds_no_longer(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)
    too_long = Terminal(Reply.YES, meanwhile=lambda _: room.passes(WAITS.total_seconds()))

    outcome = await room.desk(**BY_CHAT).approve(wish.refund_id, too_long)

    assert (outcome.status, wish_of(outcome).revision) == ("needs_approval", 2)
    assert room.posts() == 0


# A person's yes


async def test_a_yes_sends_and_is_written_down(room: Room) -> None:
    caller = AskingHost(Reply.YES)

    outcome = await room.refund(caller=caller, **BY_AGENT_TOO)

    wish = wish_of(outcome)
    assert outcome.status == "refunded"
    assert [(q.about, q.revision) for q in caller.questions] == [(wish.refund_id, 1)]
    (decision,) = wish.decisions
    assert (
        decision.verdict, decision.revision, decision.grade, decision.channel, decision.who,
        decision.client,
    ) == ("approve", 1, "chat", "form", PERSON, "host 1")  # fmt: skip
    number = caller.questions[0].number
    assert await room.trail(wish) == [
        ("waiting", "", ""),
        ("asked", "", f"question {number}, revision 1"),
        ("answered", PERSON, f"yes to question {number}, after 4.000 s"),
        ("sending", PERSON, f"revision 1, approved by {PERSON} (chat)"),
        ("refunded", PERSON, f"listed as {room.listed()[0]}"),
    ]
    assert {event.client for event in await room.ledger.history(wish.refund_id)} == {"host 1"}


async def test_the_question_is_noted_before_anybody_else_gets_to_the_order(room: Room) -> None:
    seen: list[str] = []

    async def look(question: Question) -> None:
        seen.extend(event.event for event in await room.ledger.history(question.about))

    await room.refund(caller=Meanwhile(Reply.NO, look), **BY_AGENT_TOO)

    assert seen == ["waiting", "asked"]


async def test_a_person_is_asked_even_where_an_agent_may_confirm(room: Room) -> None:
    wish = await room.waiting()
    caller = AskingHost(Reply.NO)

    outcome = await room.desk(**BY_AGENT_TOO).confirm(wish.refund_id, 1, caller)

    assert (outcome.status, len(caller.questions)) == ("declined", 1)


async def test_an_answer_that_was_brought_along_is_not_asked_for(room: Room) -> None:
    asked = await room.asked()
    yes = Modern(asked, Reply.YES, room.question_number)

    first = await room.refund(caller=yes, **BY_AGENT_TOO)
    second = await room.refund(caller=yes, **BY_AGENT_TOO)

    assert [first.status, second.status] == ["refunded", "already_refunded"]
    assert room.given_back() == [700]


async def test_a_yes_that_came_with_a_confirmation_counts(room: Room) -> None:
    """The host repeats the call that it was asked in, whatever it names by then."""
    wish = await room.waiting()
    room.passes(901)
    desk = room.desk(**BY_AGENT_TOO)
    with pytest.raises(Left) as left:
        await desk.confirm(wish.refund_id, 1, Modern())
    refund_id, number = left.value.args

    await gone(room, await desk.confirm(wish.refund_id, 1, Modern(refund_id, Reply.YES, number)))


async def test_a_person_at_the_other_end_is_always_asked(room: Room) -> None:
    caller = Terminal(Reply.YES, can_ask=False)

    outcome = await room.refund(caller=caller)

    assert (outcome.status, len(caller.questions)) == ("refunded", 1)
    assert wish_of(outcome).decisions[0].grade == "console"


async def test_what_was_shown_differently_while_the_person_thought_is_not_sent(room: Room) -> None:
    caller = AskingHost(
        Reply.YES, meanwhile=lambda _: room.shop.refund(room.order_id, 5, "By hand")
    )

    shown = await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (shown.status, wish_of(shown).revision) == ("needs_approval", 2)
    assert shown.order is not None  # so the preview stands in the answer
    assert (room.posts(), len(caller.questions)) == (0, 1)


async def test_a_yes_to_an_old_revision_opens_nothing(room: Room) -> None:
    asked = await room.asked()
    old = room.question_number
    room.passes(121)
    room.shop.refund(room.order_id, 5, "By hand")
    desk = room.desk(**BY_AGENT_TOO)
    shown = await desk.refund(room.order_id, 700, "Torn", (), Script())
    assert wish_of(shown).revision == 2

    with pytest.raises(Left) as left:
        await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.YES, old))

    assert room.posts() == 0
    yes = Modern(asked, Reply.YES, left.value.args[1])
    yes.answered_revision = 2
    await gone(room, await desk.refund(room.order_id, 700, "Torn", (), yes))


@pytest.mark.parametrize("revision", [0, 2])
async def test_a_yes_to_another_revision_than_its_question_was_about_opens_nothing(
    room: Room, revision: int
) -> None:
    asked = await room.asked()
    yes = Modern(asked, Reply.YES, room.question_number)
    yes.answered_revision = revision

    with pytest.raises(Left):
        await room.refund(caller=yes, **BY_AGENT_TOO)

    assert room.posts() == 0


async def test_a_yes_to_a_question_that_was_never_put_opens_nothing(room: Room) -> None:
    asked = await room.asked()
    number = room.question_number
    room.passes(121)
    for made_up in (Modern(asked, Reply.YES), Modern(asked, Reply.YES, number + 100)):
        with pytest.raises(Left):
            await room.refund(caller=made_up, **BY_AGENT_TOO)
        room.passes(121)
    assert room.posts() == 0


async def test_a_yes_to_another_refund_opens_nothing(room: Room) -> None:
    other = await room.asked(300)
    yes = Modern(other, Reply.YES, room.question_number)

    with pytest.raises(Left) as left:
        await room.refund(700, yes, **BY_AGENT_TOO)

    assert (left.value.args[0] != other, room.posts()) == (True, 0)


async def test_what_was_refunded_while_the_person_thought_is_a_repeat(room: Room) -> None:
    caller = AskingHost(
        Reply.YES, meanwhile=lambda _: room.shop.refund(room.order_id, 700, "By hand")
    )

    outcome = await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (outcome.status, room.posts()) == ("already_refunded", 0)


async def test_a_yes_that_finds_the_order_busy_sends_nothing(room: Room) -> None:
    async with AsyncExitStack() as stack:

        async def lock(_: Question) -> None:
            await stack.enter_async_context(room.locks.held(room.order_id, 0))

        outcome = await room.refund(caller=Meanwhile(Reply.YES, lock), **BY_AGENT_TOO)

    assert (outcome.status, room.posts()) == ("busy", 0)
    assert (await room.refund(caller=AskingHost(Reply.YES), **BY_AGENT_TOO)).status == "refunded"


async def test_a_yes_that_no_store_hears_moves_nothing(room: Room) -> None:
    """The connection is never made: the same wish waits again at once."""
    room.shop.add_fault("status_before", method="GET", status=503, times=9)
    with pytest.raises(UnreachableError, match=r"^No money was moved"):
        await room.refund(caller=AskingHost(Reply.YES), **BY_AGENT_TOO)
    assert room.posts() == 0


@pytest.mark.parametrize(
    ("cents", "changed", "why"),
    [
        (700, {"refund_limit_in_cents": 699}, "is above the limit of"),
        (700, {"refund_daily_limit_in_cents": 699}, "more than the limit of"),
        (2500, {}, "left to refund, less than"),
    ],
)
async def test_nobody_is_asked_about_what_cannot_be_sent(
    room: Room, cents: int, changed: dict[str, Any], why: str
) -> None:
    for caller in (AskingHost(), Terminal(), Script()):
        with pytest.raises(RefusedError, match=f"^No money was moved: .*{why}"):
            await room.refund(cents, caller, **BY_AGENT_TOO | changed)
    assert (await room.ledger.of_order(room.order_id)).wishes == ()
    assert room.posts() == 0


async def test_nobody_is_asked_while_money_may_be_on_its_way(room: Room) -> None:
    lost = await room.lost(300)
    caller = Terminal()

    other = await room.refund(700, caller, **BY_AGENT_TOO)
    same = await room.refund(300, caller, **BY_AGENT_TOO)

    assert [other.status, same.status] == ["busy", "unknown"]
    assert wish_of(other).refund_id == wish_of(same).refund_id == lost.refund_id
    assert caller.questions == []


async def test_a_daily_limit_that_was_reached_at_the_last_moment_holds(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger counts once more in the transaction that lets the money go."""
    other, begin_send = room.sell(2000), room.ledger.begin_send
    await room.waiting()

    async def late(*args: Any) -> Any:
        monkeypatch.setattr(room.ledger, "begin_send", begin_send)
        await room.refund(400, order_id=other)
        return await begin_send(*args)

    monkeypatch.setattr(room.ledger, "begin_send", late)
    with pytest.raises(RefusedError, match=r"^No money was moved: \$4\.00 .* last 24 hours"):
        await room.refund(
            caller=AskingHost(Reply.YES), refund_daily_limit_in_cents=1000, **BY_AGENT_TOO
        )

    assert (room.given_back(), room.posts()) == ([], 1)


# An approval that is too weak


@pytest.mark.parametrize("why", ["the merchant", "a decline", "an attempt"])
async def test_a_hosts_own_yes_is_too_weak_where_a_person_is_needed(room: Room, why: str) -> None:
    if why == "a decline":
        other = await room.waiting(300)
        await room.desk().decline(other.refund_id, IN_TERMINAL, "a terminal")
    elif why == "an attempt":
        await room.not_recorded(300)
    posts = room.posts()
    mode = "chat" if why == "the merchant" else "agent"

    outcome = await room.refund(caller=AskingHost(Reply.HOST_YES), refund_approval=mode)

    wish = wish_of(outcome)
    assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert outcome.asking_is_no_use
    assert (wish.status, wish.decisions, wish.attempts) == ("waiting", (), ())
    assert (await room.trail(wish))[-1] == (
        "not enough", "agent by confirm_refund", "revision 1: agent, and chat is needed",
    )  # fmt: skip
    confirmed = await room.desk(refund_approval=mode).confirm(wish.refund_id, 1, Script())
    assert (confirmed.status, room.posts()) == ("needs_approval", posts)


async def test_a_program_in_the_terminal_is_no_person(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)

    outcome = await room.desk(**BY_CHAT).approve(wish.refund_id, Program(Reply.YES))

    assert (outcome.status, outcome.needs, room.posts()) == ("needs_approval", "chat", 0)
    assert (await room.trail(wish))[-1] == (
        "not enough", "program in the terminal", "revision 1: agent, and chat is needed",
    )  # fmt: skip
    await gone(room, await room.desk(**BY_CHAT).approve(wish.refund_id, Terminal(Reply.YES)))


async def test_a_program_in_the_terminal_is_written_down_as_one(room: Room) -> None:
    wish = await room.waiting()

    outcome = await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, Program(Reply.YES))

    (decision,) = wish_of(outcome).decisions
    assert (outcome.status, decision.grade, decision.channel, decision.who) == (
        "refunded", "agent", "terminal", "program in the terminal",
    )  # fmt: skip


@pytest.mark.parametrize("cents", [700, 300])
async def test_a_program_in_the_terminal_waits_for_a_person_who_is_asked(
    room: Room, cents: int
) -> None:
    wish = await room.waiting()
    asked = await room.asked(cents)

    outcome = await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, Program(Reply.YES))

    assert (outcome.status, wish_of(outcome).refund_id) == ("busy", asked)
    assert room.posts() == 0


# A host that answers by itself


async def test_a_hosts_own_yes_is_worth_an_agents_word(room: Room) -> None:
    caller = AskingHost(Reply.HOST_YES)
    caller.answered_after_seconds = 0.09

    outcome = await room.refund(caller=caller, **BY_AGENT_TOO)

    (decision,) = wish_of(outcome).decisions
    number = caller.questions[0].number
    assert (outcome.status, decision.grade, decision.channel) == ("refunded", "agent", "form")
    answered = ("answered", "", f"yes of the program itself to question {number}, after 0.090 s")
    assert answered in await room.trail(wish_of(outcome))


async def test_a_hosts_own_no_declines_nothing_and_names_the_terminal(room: Room) -> None:
    outcome = await room.refund(caller=AskingHost(Reply.HOST_NO), **BY_AGENT_TOO)
    other = await room.refund(699, **BY_AGENT_TOO)

    wish = await room.found(wish_of(outcome))
    assert (outcome.status, outcome.asking_is_no_use) == ("needs_approval", True)
    assert (wish.status, wish.decisions) == ("waiting", ())
    assert (other.status, other.needs) == ("needs_approval", "agent")
    told = words.next_step(outcome, room.parts.settings)
    assert f"clawver-orders approve {wish.refund_id}" in told
    checked = await room.desk(**BY_AGENT_TOO).check(wish.refund_id)
    assert (checked.status, checked.asking_is_no_use) == ("needs_approval", True)


@pytest.mark.parametrize("first", [Reply.HOST_NO, Reply.HOST_YES])
async def test_a_hosts_own_answer_stays_one_however_late_it_comes_again(
    room: Room, first: Reply
) -> None:
    """Hosts repeat their calls with the answer in it: by then it looks as if a person had taken long."""
    desk = room.desk(**BY_CHAT)
    with pytest.raises(Left) as left:
        await desk.refund(room.order_id, 700, "Torn", (), Modern())
    asked, number = left.value.args
    await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, first, number))

    later = Reply.NO if first is Reply.HOST_NO else Reply.YES
    again = await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, later, number))

    assert again.status == "needs_approval"
    assert (await room.found(wish_of(again))).decisions == ()
    assert room.posts() == 0


async def test_a_host_that_says_yes_by_itself_is_overruled_by_a_decline_meanwhile(
    room: Room,
) -> None:
    other = await room.waiting(300)

    async def decline(_: Question) -> None:
        await room.ledger.decline(other.refund_id, IN_TERMINAL, "a terminal")

    outcome = await room.refund(caller=Meanwhile(Reply.HOST_YES, decline), **BY_AGENT_TOO)

    assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert room.posts() == 0


async def test_a_host_that_says_yes_by_itself_waits_for_a_person_who_is_asked(room: Room) -> None:
    asked = await room.asked(300)

    outcome = await room.refund(caller=AskingHost(Reply.HOST_YES), **BY_AGENT_TOO)

    assert (outcome.status, wish_of(outcome).refund_id) == ("busy", asked)
    assert room.posts() == 0


async def test_a_host_that_says_yes_by_itself_waits_for_a_person_who_is_asked_meanwhile(
    room: Room,
) -> None:
    other = await room.waiting(300)

    async def ask(_: Question) -> None:
        await room.ledger.ask(other, "form", ACTOR)

    outcome = await room.refund(caller=Meanwhile(Reply.HOST_YES, ask), **BY_AGENT_TOO)

    assert (outcome.status, wish_of(outcome).refund_id) == ("busy", other.refund_id)
    assert room.posts() == 0


async def test_a_hosts_own_answer_to_another_refund_is_no_answer_to_this_one(room: Room) -> None:
    other = await room.asked(300)
    number = room.question_number
    with pytest.raises(Left):
        await room.refund(caller=Modern(other, Reply.HOST_YES, number), **BY_AGENT_TOO)
    room.passes(121)

    outcome = await room.refund(caller=Modern(other, Reply.HOST_NO, number), **BY_AGENT_TOO)

    assert (outcome.status, outcome.asking_is_no_use) == ("needs_approval", True)
    assert room.posts() == 0


# A question that nobody answered


@pytest.mark.parametrize("reply", [Reply.DISMISSED, Reply.UNCLEAR, Reply.SILENT, Reply.FAILED])
async def test_no_answer_is_no_yes(room: Room, reply: Reply) -> None:
    outcome = await room.refund(caller=AskingHost(reply), **BY_AGENT_TOO)

    wish = wish_of(outcome)
    assert outcome == Outcome(
        "needs_approval", room.order_id, 700, wish=wish, order=outcome.order,
        was_dismissed=reply is not Reply.FAILED,
    )  # fmt: skip
    who = PERSON if reply is Reply.DISMISSED else ""
    assert wish.question is not None
    assert (await room.trail(wish))[-1] == (
        "answered", who, f"{reply.value} to question {wish.question.number}, after 4.000 s",
    )  # fmt: skip
    assert (wish.decisions, room.posts()) == ((), 0)


async def test_a_question_that_was_dismissed_is_put_again(room: Room) -> None:
    caller = AskingHost(Reply.DISMISSED, Reply.YES)
    await room.refund(caller=caller, **BY_AGENT_TOO)

    await gone(room, await room.refund(caller=caller, **BY_AGENT_TOO))
    assert len(caller.questions) == 2


async def test_a_confirmation_that_changed_nothing_is_not_told_to_be_repeated(room: Room) -> None:
    wish = await room.waiting()

    outcome = await room.desk(**BY_AGENT_TOO).confirm(
        wish.refund_id, 1, AskingHost(Reply.DISMISSED)
    )

    assert (outcome.was_dismissed, outcome.asking_is_no_use) == (True, True)
    told = words.next_step(outcome, room.parts.settings)
    assert "confirm_refund" not in told
    assert f"clawver-orders approve {wish.refund_id}" in told


async def test_a_host_that_failed_to_ask_is_not_told_to_again(room: Room) -> None:
    caller = AskingHost(Reply.FAILED)
    first = await room.refund(caller=caller, **BY_AGENT_TOO)

    again = await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (again.status, len(caller.questions)) == ("needs_approval", 1)
    await gone(room, await room.desk(**BY_AGENT_TOO).confirm(wish_of(first).refund_id, 1, caller))


async def test_a_host_that_failed_to_ask_about_an_old_revision_asks_about_the_new_one(
    room: Room,
) -> None:
    caller = AskingHost(Reply.FAILED, Reply.YES)
    await room.refund(caller=caller, **BY_AGENT_TOO)
    room.shop.refund(room.order_id, 5, "By hand")

    outcome = await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (outcome.status, [q.revision for q in caller.questions]) == ("refunded", [1, 2])


async def test_who_goes_on_without_an_answer_sees_the_preview_first(room: Room) -> None:
    asked = await room.asked()
    desk = room.desk(**BY_AGENT_TOO)
    assert (await desk.refund(room.order_id, 700, "Torn", (), Script())).status == "busy"
    assert (await desk.confirm(asked, 1, Script())).status == "busy"
    room.passes(120)

    shown = await desk.confirm(asked, 1, Script())

    assert (shown.status, shown.needs) == ("needs_approval", "agent")
    assert shown.order is not None  # so the preview stands in the answer
    assert room.posts() == 0
    assert (await room.trail(wish_of(shown)))[-1] == ("shown", "", "")
    await gone(room, await desk.confirm(asked, 1, Script()))


async def test_a_preview_that_is_asked_for_again_has_been_seen(room: Room) -> None:
    asked = await room.asked()
    room.passes(120)

    shown = await room.refund(**BY_AGENT_TOO)

    assert (shown.status, wish_of(shown).refund_id) == ("needs_approval", asked)
    await gone(room, await room.desk(**BY_AGENT_TOO).confirm(asked, 1, Script()))


async def test_who_cannot_approve_is_shown_nothing_new(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)
    await room.ledger.ask(wish, "form", ACTOR)
    room.passes(120)

    outcome = await room.desk(**BY_CHAT).confirm(wish.refund_id, 1, Script())

    assert (outcome.status, outcome.needs) == ("needs_approval", "chat")
    assert [event for event, _, _ in await room.trail(wish)] == ["waiting", "asked"]


async def test_an_open_question_is_waited_for_in_bounds(room: Room) -> None:
    wish = await room.waiting()
    await room.ledger.ask(wish, "form", ACTOR)
    room.passes(121)
    await room.ledger.ask(wish, "form", ACTOR)
    desk, caller = room.desk(**BY_AGENT_TOO), AskingHost(Reply.SILENT, Reply.YES)

    room.passes(119)
    busy = await desk.confirm(wish.refund_id, 1, caller)
    assert (busy.status, wish_of(busy).refund_id, caller.questions) == ("busy", wish.refund_id, [])
    assert (busy.check_after_seconds, busy.order is not None) == (15, True)
    room.passes(1)
    assert (await desk.confirm(wish.refund_id, 1, caller)).status == "needs_approval"
    assert room.posts() == 0  # silence makes nobody else the one who approves
    await gone(room, await desk.confirm(wish.refund_id, 1, caller))
    assert len(caller.questions) == 2


@pytest.mark.parametrize("why", ["another reason", "another payment"])
async def test_what_a_person_is_asked_about_stays_as_they_see_it(room: Room, why: str) -> None:
    asked = await room.asked()
    before = (await room.ledger.of_order(room.order_id)).wishes
    if why == "another payment":
        room.shop.refund(room.order_id, 5, "By hand")
    desk = room.desk(**BY_AGENT_TOO)

    again = await desk.refund(room.order_id, 700, "Torn apart", (), Script())
    eager = await desk.confirm(asked, 1, Script())

    assert [again.status, eager.status, room.posts()] == ["busy", "busy", 0]
    assert (await room.ledger.of_order(room.order_id)).wishes == before
    room.passes(120)
    later = await desk.refund(room.order_id, 700, "Torn apart", (), Script())
    assert (later.status, wish_of(later).reason) == ("needs_approval", "Torn apart")
    assert (wish_of(later).revision, room.posts()) == (2, 0)


async def test_a_yes_counts_for_the_reason_that_was_shown(room: Room) -> None:
    """The customer reads the reason, so a person who was asked has approved that one."""
    asked = await room.asked()
    number = room.question_number
    room.passes(121)
    desk = room.desk(**BY_AGENT_TOO)
    later = await desk.refund(room.order_id, 700, "In other words", (), Script())
    assert wish_of(later).revision == 2

    with pytest.raises(Left):  # with a question that shows the other reason
        await desk.confirm(asked, 2, Modern(asked, Reply.YES, number))

    assert room.posts() == 0


async def test_no_agent_sends_another_amount_while_a_person_is_asked(room: Room) -> None:
    other = await room.waiting(699)
    asked = await room.asked(700)
    desk = room.desk(**BY_AGENT_TOO)

    outcome = await desk.confirm(other.refund_id, 1, Script())

    assert (outcome.status, wish_of(outcome).refund_id) == ("busy", asked)
    assert room.posts() == 0
    room.passes(120)
    assert (await desk.confirm(other.refund_id, 1, Script())).status == "refunded"


@pytest.mark.parametrize("cents", [700, 699])
async def test_where_nobody_is_asked_an_open_question_keeps_nobody_waiting(
    room: Room, cents: int
) -> None:
    await room.asked(700)

    assert (await room.refund(cents)).status == "refunded"


async def test_a_person_in_the_terminal_waits_for_no_form(room: Room) -> None:
    asked = await room.asked()

    await gone(room, await room.desk(**BY_AGENT_TOO).approve(asked, Terminal(Reply.YES)))


@pytest.mark.parametrize("late", [Reply.DISMISSED, Reply.SILENT, Reply.FAILED, Reply.YES])
async def test_the_answer_to_an_older_question_leaves_a_newer_one_open(
    room: Room, late: Reply
) -> None:
    asked = await room.asked()
    older = room.question_number
    room.passes(121)
    assert await room.asked() == asked
    desk = room.desk(**BY_AGENT_TOO)
    for _ in range(2):  # hosts repeat their calls
        await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, late, older))

    assert (await desk.confirm(asked, 1, Script())).status == "busy"
    no = Modern(asked, Reply.NO, room.question_number)
    assert (await desk.refund(room.order_id, 700, "Torn", (), no)).status == "declined"
    assert room.posts() == 0


async def test_a_question_that_was_lost_leaves_the_next_one_alone(room: Room) -> None:
    asked = await room.asked()
    room.passes(121)
    assert await room.asked() == asked
    desk = room.desk(**BY_AGENT_TOO)
    dismissed = Modern(asked, Reply.DISMISSED, room.question_number)

    outcome = await desk.refund(room.order_id, 700, "Torn", (), dismissed)

    assert (outcome.status, outcome.was_dismissed) == ("needs_approval", True)
    assert (await desk.confirm(asked, 1, Script())).status == "needs_approval"


@pytest.mark.parametrize("why", ["too old", "another revision"])
async def test_who_dismisses_an_old_question_is_not_asked_another(room: Room, why: str) -> None:
    asked = await room.asked()
    if why == "too old":
        room.passes(901)
    else:
        room.shop.refund(room.order_id, 5, "By hand")
    dismissed = Modern(asked, Reply.DISMISSED, room.question_number)

    outcome = await room.refund(caller=dismissed, **BY_AGENT_TOO)

    assert (outcome.status, outcome.was_dismissed) == ("needs_approval", True)
    assert wish_of(outcome).refund_id == asked
    assert room.posts() == 0


async def test_a_question_that_nobody_answered_is_not_the_only_way(room: Room) -> None:
    asked = await room.asked()
    desk = room.desk(**BY_AGENT_TOO)
    busy = await desk.check(asked)
    assert busy.status == "busy"
    assert words.next_step(busy, room.parts.settings).startswith("Wait for their answer: wait ")
    room.passes(120)

    outcome = await desk.check(asked)

    assert (outcome.status, outcome.was_dismissed) == ("needs_approval", True)
    assert f"clawver-orders approve {asked}" in words.next_step(outcome, room.parts.settings)


async def test_a_clock_that_is_set_back_ends_no_question_and_keeps_none_open(room: Room) -> None:
    asked = await room.asked()
    room.at -= timedelta(hours=6)
    assert (await room.desk(**BY_AGENT_TOO).confirm(asked, 1, Script())).status == "busy"

    room.up += 120

    assert (await room.desk(**BY_AGENT_TOO).confirm(asked, 1, Script())).status == "needs_approval"


# A decision is told to whoever comes second


async def test_a_second_yes_is_told_what_was_decided(room: Room) -> None:
    asked = await room.asked()
    number = room.question_number
    desk = room.desk(**BY_AGENT_TOO)
    first = await desk.approve(asked, Terminal(Reply.YES))

    told = [
        await desk.approve(asked, Terminal()),
        await desk.confirm(asked, 1, Modern(asked, Reply.YES, number)),
        await desk.confirm(asked, 1, Script()),
    ]
    repeated = await desk.refund(room.order_id, 700, "Torn", (), Modern(asked, Reply.YES, number))

    await gone(room, first, *told)
    assert (repeated.status, wish_of(repeated).refund_id) == ("already_refunded", asked)
    (decision,) = wish_of(told[-1]).decisions
    assert decision.grade == "console"


async def test_a_yes_while_another_person_approves_is_told_what_was_decided(room: Room) -> None:
    async def approve(question: Question) -> None:
        await room.desk(**BY_AGENT_TOO).approve(question.about, Terminal(Reply.YES))

    outcome = await room.refund(caller=Meanwhile(Reply.YES, approve), **BY_AGENT_TOO)

    assert (outcome.status, room.given_back()) == ("already_refunded", [700])
    assert [d.channel for d in wish_of(outcome).decisions] == ["terminal"]


async def test_a_yes_after_a_decline_is_told_what_was_decided(room: Room) -> None:
    async def decline(question: Question) -> None:
        await room.desk(**BY_AGENT_TOO).decline(question.about, IN_TERMINAL, "a terminal")

    outcome = await room.refund(caller=Meanwhile(Reply.YES, decline), **BY_AGENT_TOO)

    assert (outcome.status, room.posts()) == ("declined", 0)
    (decision,) = wish_of(outcome).decisions
    assert (decision.verdict, decision.who) == ("decline", IN_TERMINAL.who)


# A person out of band


async def test_a_person_approves_what_waits(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)
    desk = room.desk(**BY_CHAT)

    outcome = await desk.approve(wish.refund_id, Terminal(Reply.YES))

    await gone(room, outcome, await desk.approve(wish.refund_id, AskingHost()))
    assert wish_of(outcome).decisions[0].channel == "terminal"


@pytest.mark.parametrize("end", ["expired", "declined", "refused", "not_recorded"])
async def test_approving_twice_sends_once(room: Room, end: str) -> None:
    if end == "not_recorded":
        wish = await room.not_recorded()
    elif end == "refused":
        wish = await room.refused()
    else:
        wish = await room.waiting()
    if end == "expired":
        room.passes(WAITS.total_seconds())
    elif end == "declined":
        await room.desk().decline(wish.refund_id, IN_TERMINAL, "a terminal")
    assert (await room.found(wish)).status == end
    desk = room.desk(**BY_CHAT)

    outcomes = [await desk.approve(wish.refund_id, Terminal(Reply.YES)) for _ in range(3)]

    then = "already_refunded" if end == "not_recorded" else "refunded"
    assert [each.status for each in outcomes] == ["refunded", then, then]
    assert room.given_back() == [700]
    is_another = wish_of(outcomes[0]).refund_id != wish.refund_id
    assert is_another == (end == "not_recorded")  # what may still land keeps its own id
    assert wish_of(outcomes[0]).in_addition_to == ((wish.refund_id,) if is_another else ())


async def test_a_person_in_the_terminal_is_told_what_was_refused_and_may_land(room: Room) -> None:
    wish = await room.refused()
    caller = Terminal(Reply.YES)

    outcome = await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, caller)

    assert outcome.status == "refunded"
    assert (
        "Clawver refused $7.00 on this order a moment ago. That request could still take effect: "
        "then both are paid."
    ) in caller.questions[0].text.splitlines()


async def test_an_open_refund_is_looked_up_and_not_approved(room: Room) -> None:
    wish = await room.lost()
    caller = Terminal()

    outcome = await room.desk().approve(wish.refund_id, caller)

    assert (outcome.status, caller.questions) == ("unknown", [])
    less = await room.desk().approve(wish.refund_id, caller, 500)
    assert (less.status, caller.questions) == ("unknown", [])


# Less than what is wanted


async def test_a_person_approves_less_and_declines_the_rest_in_one_step(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)
    caller, desk = Terminal(Reply.YES), room.desk(**BY_CHAT)

    outcome = await desk.approve(wish.refund_id, caller, 500)

    less = wish_of(outcome)
    assert (outcome.status, less.amount_in_cents, room.given_back()) == ("refunded", 500, [500])
    assert caller.questions[0].text.startswith(f"Refund $5.00 on order {room.order_id}?")
    assert [q.about for q in caller.questions] == [less.refund_id]
    whole = await room.found(wish)
    (declined,), (approved,) = whole.decisions, less.decisions
    assert (whole.status, declined.verdict, declined.grade, declined.channel) == (
        "declined", "decline", "console", "terminal",
    )  # fmt: skip
    assert declined.number < approved.number
    assert (await room.refund(**BY_CHAT)).status == "declined"
    other = await room.refund(100, **BY_AGENT_TOO)
    assert (other.status, other.needs) == ("needs_approval", "chat")


async def test_less_is_not_sent_where_the_whole_was_sent_meanwhile(room: Room) -> None:
    wish = await room.waiting(**BY_AGENT_TOO)
    caller = Meanwhile(Reply.YES, lambda _: room.refund(700))
    caller.is_person = True

    outcome = await room.desk(**BY_CHAT).approve(wish.refund_id, caller, 500)

    assert (outcome.status, room.given_back()) == ("needs_approval", [700])


async def test_less_is_declined_by_itself(room: Room) -> None:
    wish = await room.waiting(**BY_CHAT)

    outcome = await room.desk(**BY_CHAT).approve(wish.refund_id, Terminal(Reply.NO), 500)

    assert (outcome.status, outcome.amount_in_cents) == ("declined", 500)
    assert (await room.found(wish)).status == "waiting"
    assert room.posts() == 0


@pytest.mark.parametrize("why", ["too weak", "daily limit"])
async def test_what_is_wanted_stays_where_less_does_not_go(room: Room, why: str) -> None:
    wish = await room.waiting(**BY_CHAT)
    if why == "too weak":
        desk = room.desk(**BY_CHAT)
        outcome = await desk.approve(wish.refund_id, Program(Reply.YES), 500)
        assert outcome.status == "needs_approval"
    else:
        other = room.sell(2000)
        desk = room.desk(**BY_CHAT, refund_daily_limit_in_cents=600)

        async def refund(_: Question) -> None:
            await room.refund(200, order_id=other)

        caller = Meanwhile(Reply.YES, refund)
        caller.is_person = True
        with pytest.raises(RefusedError, match=r"^No money was moved: .* last 24 hours"):
            await desk.approve(wish.refund_id, caller, 500)

    assert (await room.found(wish)).status == "waiting"
    assert room.given_back() == []


async def test_nobody_approves_more_than_what_is_wanted(room: Room) -> None:
    wish = await room.waiting()
    caller = Terminal()

    with pytest.raises(
        InvalidRequestError, match=r"^No money was moved: \$7\.01 is more than the \$7\.00"
    ):
        await room.desk().approve(wish.refund_id, caller, 701)

    assert caller.questions == []
    assert len((await room.ledger.of_order(room.order_id)).wishes) == 1


async def test_the_amount_itself_is_no_less(room: Room) -> None:
    wish = await room.waiting()

    outcome = await room.desk(**BY_AGENT_TOO).approve(wish.refund_id, Terminal(Reply.YES), 700)

    assert (outcome.status, wish_of(outcome).refund_id) == ("refunded", wish.refund_id)


# What a person is asked


async def test_the_question_says_all_in_a_few_lines(room: Room) -> None:
    order = room.shop.order(room.order_id)
    room.shop.refund(room.order_id, 100, "One")
    room.shop.refund(room.order_id, 250, "Two")
    caller = AskingHost(Reply.NO)

    outcome = await room.refund(caller=caller, reason='A "torn"\npage', **BY_AGENT_TOO)

    (item,) = order["items"]
    (question,) = caller.questions
    assert question.text.splitlines() == [
        f"Refund $7.00 on order {room.order_id}? Money cannot be called back.",
        "The order's total is $24.99; $21.49 can be refunded, and $14.49 would be left.",
        "Refunded before: $1.00, $2.50.",
        "Store: a store",
        f'Customer: "{order["customerEmail"]}"',
        f'Items: 1 x "{item["productName"]}"',
        "Reason given: \"A 'torn' page\"",
        f"Refund id: {wish_of(outcome).refund_id}, revision 1",
    ]
    assert (question.yes, question.choice) == (
        "Send this refund", "Yes sends the money now. No sends nothing.",
    )  # fmt: skip


async def test_the_question_names_what_it_comes_on_top_of(room: Room) -> None:
    first = (await room.refund()).earlier
    caller = AskingHost(Reply.YES)

    second = await room.refund(caller=caller, named=first, reason="x" * 500, **BY_AGENT_TOO)

    lines = caller.questions[0].text.splitlines()
    assert f'Reason given: "{"x" * 500}"' in lines
    assert (
        f"This would be another after 1 earlier attempt or refund of this amount: {first[0]}."
    ) in lines
    caller.replies = [Reply.NO]
    await room.refund(caller=caller, named=second.earlier, **BY_AGENT_TOO)
    both = ", ".join(sorted(second.earlier))
    assert (
        f"This would be another after 2 earlier attempts or refunds of this amount: {both}."
    ) in caller.questions[1].text.splitlines()


async def test_the_warnings_come_right_after_the_money(room: Room) -> None:
    await room.not_recorded(300)
    other = await room.waiting(700)
    await room.desk().decline(other.refund_id, IN_TERMINAL, "a terminal")
    caller = AskingHost(Reply.NO)

    await room.refund(699, caller, **BY_AGENT_TOO)

    assert caller.questions[0].text.splitlines()[2:5] == [
        "An attempt of $3.00 isn't on the order, and could still show: then both are paid.",
        "A person declined $7.00 on this order in the last 24 hours.",
        "Store: a store",
    ]


async def test_a_person_is_told_what_another_person_had_to_say(room: Room) -> None:
    wish = await room.lost(300)
    await room.desk().resolve(
        wish.refund_id, was_refunded=False, because="the bank told us", actor=ACTOR
    )
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (
        "A person said what became of an attempt of $3.00, because the order doesn't tell."
    ) in caller.questions[0].text.splitlines()
    assert "the bank told us" not in caller.questions[0].text


async def test_a_person_is_told_that_the_ledger_is_an_older_copy(room: Room) -> None:
    await room.waiting(300)
    file = store_of(room.parts).scope.folder / "ledger.number"
    file.write_text(str(int(file.read_text().split()[0]) + 5))
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, **BY_AGENT_TOO)

    assert (
        "The refund ledger on this machine is an older copy of itself: a refund that it doesn't know "
        "of may be on its way."
    ) in caller.questions[0].text.splitlines()


async def test_what_the_order_does_not_tell_is_said_to_be_unknown(room: Room) -> None:
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_remove(body, '$.items', '$.customerEmail') WHERE id = ?",
            (room.order_id,),
        )
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, **BY_AGENT_TOO)

    lines = caller.questions[0].text.splitlines()
    assert 'Customer: "not known"' in lines
    assert "Items: not known" in lines


async def test_a_printed_item_is_asked_about_with_its_size(room: Room) -> None:
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, order_id="ord_shirt", **BY_AGENT_TOO)

    item = room.shop.order("ord_shirt")["items"][0]
    assert f'1 x "{item["productName"]}" ("{item["variantName"]}")' in caller.questions[0].text


async def test_what_others_wrote_is_cut_short_in_the_question(room: Room) -> None:
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_set(body, '$.items[0].productName', ?, "
            "'$.items[0].variantName', ?) WHERE id = ?",
            ("p" * 80, "v" * 81, room.order_id),
        )
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, reason="r" * 501, **BY_AGENT_TOO)

    lines = caller.questions[0].text.splitlines()
    assert f'Items: 1 x "{"p" * 80}" ("{"v" * 79}…")' in lines
    assert f'Reason given: "{"r" * 499}…"' in lines


@pytest.mark.parametrize(
    ("count", "more"), [(10, ""), (11, "; and 1 more"), (1000, "; and 990 more")]
)
async def test_at_most_ten_items_are_named(room: Room, count: int, more: str) -> None:
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_set(body, '$.items', (WITH RECURSIVE n(value) AS ("
            "SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?) SELECT json_group_array("
            "json_set(json_extract(body, '$.items[0]'), '$.productName', 'Page ' || value)) FROM n))"
            " WHERE id = ?",
            (count, room.order_id),
        )
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, **BY_AGENT_TOO)

    (items,) = (line for line in caller.questions[0].text.splitlines() if "Items" in line)
    assert items == "Items: " + "; ".join(f'1 x "Page {n}"' for n in range(1, 11)) + more


@pytest.mark.parametrize(("count", "more"), [(10, ""), (12, " and 2 more")])
async def test_at_most_ten_earlier_refunds_are_named(room: Room, count: int, more: str) -> None:
    for _ in range(count):
        room.shop.refund(room.order_id, 5, "By hand")
    caller = AskingHost(Reply.NO)

    await room.refund(5, caller, named=room.listed(), **BY_AGENT_TOO)

    lines = caller.questions[0].text.splitlines()
    assert f"Refunded before: {', '.join(['$0.05'] * 10)}{more}." in lines
    first = ", ".join(sorted(room.listed())[:10])
    assert (
        f"This would be another after {count} earlier attempts or refunds of this amount: {first}{more}."
    ) in lines


# Which grade is needed, and how the asking stands


@pytest.mark.parametrize("floor", GRADES)
@pytest.mark.parametrize("doubts", [(), (Doubt("declined"),)])
@pytest.mark.parametrize("is_further", [False, True])
def test_which_grade_is_needed(floor: Grade, doubts: tuple[Doubt, ...], is_further: bool) -> None:
    def needed(outside_policy: Grade | None, *, is_above_pin_limit: bool) -> Grade:
        return grade_needed(
            floor, doubts, is_further=is_further, is_above_pin_limit=is_above_pin_limit,
            outside_policy=outside_policy,
        )  # fmt: skip

    is_raised = floor == "agent" and (doubts or is_further)
    usual: Grade = "chat" if is_raised else floor
    assert needed(None, is_above_pin_limit=False) == usual
    assert needed(None, is_above_pin_limit=True) == "pin"
    assert needed("chat", is_above_pin_limit=True) == "pin"
    for outside in GRADES:
        raised = max(usual, outside, key=GRADES.index)
        assert needed(outside, is_above_pin_limit=False) == raised


THEN = Instant(START, 5000.0, "this start")
NEVER_ASKED = Wish(
    refund_id="rfi_1", order_id="ord_1", amount_in_cents=700, reason="Torn", in_addition_to=(),
    revision=1, grade_needed="agent", shown="[]", created_at=START, previewed=THEN, status="waiting",
)  # fmt: skip
ASKED = Asked(1, "rfi_1", 1, THEN, "form")


@pytest.mark.parametrize(
    ("questions", "seconds", "stands"),
    [
        ((), 0, Asking.POSSIBLE),
        ((ASKED,), 0, Asking.OPEN),
        ((ASKED,), 119.9, Asking.OPEN),
        ((ASKED,), 120, Asking.UNANSWERED),
        ((replace(ASKED, shown_since=True),), 1, Asking.POSSIBLE),
        ((replace(ASKED, shown_since=True), ASKED), 1, Asking.OPEN),
        ((replace(ASKED, shown_since=True), ASKED), 120, Asking.UNANSWERED),
        ((replace(ASKED, answer=Reply.FAILED), ASKED), 119, Asking.OPEN),
        ((ASKED, replace(ASKED, answer=Reply.FAILED)), 1, Asking.COULD_NOT_ASK),
        ((replace(ASKED, answer=Reply.FAILED, shown_since=True),), 1, Asking.POSSIBLE),
        *(
            ((replace(ASKED, answer=reply),), seconds, Asking.UNANSWERED)
            for reply in Reply
            if reply is not Reply.FAILED
            for seconds in (1, 1000)
        ),
        ((replace(ASKED, answer=Reply.FAILED),), 1000, Asking.COULD_NOT_ASK),
    ],
)
def test_how_the_asking_stands(
    questions: tuple[Asked, ...], seconds: float, stands: Asking
) -> None:
    now = Instant(START + timedelta(seconds=seconds), 5000.0 + seconds, "this start")

    assert asking(replace(NEVER_ASKED, questions=questions), now) is stands


@pytest.mark.parametrize(
    ("now", "stands"),
    [
        (Instant(START - timedelta(hours=6), 5119.0, "this start"), Asking.OPEN),
        (Instant(START - timedelta(hours=6), 5120.0, "this start"), Asking.UNANSWERED),
        (Instant(START + timedelta(seconds=119), 3.0, "another start"), Asking.OPEN),
        (Instant(START + timedelta(seconds=120), 3.0, "another start"), Asking.UNANSWERED),
        (Instant(START - timedelta(seconds=1), 3.0, "another start"), Asking.UNANSWERED),
    ],
)
def test_no_clock_keeps_a_question_open_for_longer(now: Instant, stands: Asking) -> None:
    assert asking(replace(NEVER_ASKED, questions=(ASKED,)), now) is stands


def test_what_is_kept_of_a_reply_does_not_change() -> None:
    """Ledgers hold these words, and other versions of this program read them."""
    assert [reply.value for reply in Reply] == [
        "yes", "no", "yes of the program itself", "no of the program itself", "dismissed", "unclear", "silent",
        "failed",
    ]  # fmt: skip


def test_how_long_things_hold() -> None:
    assert (LIFETIME.total_seconds(), WAITS.total_seconds()) == (15 * 60, 72 * 3600)
