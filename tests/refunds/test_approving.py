"""Who lets a refund go, and what they are asked."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.refunds.room import PERSON, TRACE, AskingHost, Left, Modern, Room, Terminal, intent_of

from clawver_orders.caller import Question, Reply, Script
from clawver_orders.errors import NotFoundError, RefusedError, SetupError
from clawver_orders.refunds.approvals import ASKED, Asking, answer_detail, asking
from clawver_orders.refunds.desk import Outcome
from clawver_orders.refunds.ledger import Intent, LedgerEvent, Moment, Trace

# Approval


async def test_where_nobody_can_be_asked_an_agent_confirms(room: Room) -> None:
    outcome = await room.refund(refund_approval="ask")
    intent = intent_of(outcome)
    assert outcome == Outcome(
        "needs_confirmation", room.order_id, 700, intent=intent, order=outcome.order
    )
    assert room.posts() == 0
    assert intent_of(await room.refund(refund_approval="ask")) == intent

    desk = room.desk(refund_approval="ask")
    confirmed = await desk.confirm(intent.refund_id, Script())
    assert confirmed.status == "refunded"
    assert room.trail(intent)[1:] == [
        ("sending", "agent by confirm_refund", "approved by agent by confirm_refund"),
        ("confirmed", "agent by confirm_refund", f"listed as {room.listed()[0]}"),
    ]
    again = await desk.confirm(intent.refund_id, Script())
    assert (again.status, again.earlier) == ("refunded", room.listed())
    assert room.given_back() == [700]


async def test_only_a_person_confirms_where_the_merchant_wants_that(room: Room) -> None:
    first = await room.refund(refund_approval="human")
    assert (first.status, first.approver) == ("needs_confirmation", "person")

    again = await room.desk(refund_approval="human").confirm(intent_of(first).refund_id, Script())

    assert (again.status, again.approver) == ("needs_confirmation", "person")
    assert intent_of(again) == intent_of(first)
    assert room.posts() == 0


async def test_only_a_person_confirms_another_try(room: Room) -> None:
    attempt = await room.given_up()
    posts = room.posts()
    first = await room.refund(named=[attempt.refund_id], refund_approval="ask")
    desk = room.desk(refund_approval="ask")
    again = await desk.confirm(intent_of(first).refund_id, Script())
    checked = await desk.check(intent_of(first).refund_id)

    for outcome in (first, again, checked):
        assert (outcome.status, outcome.approver) == ("needs_confirmation", "person")
    assert room.posts() == posts

    asked = await desk.confirm(intent_of(first).refund_id, AskingHost(Reply.YES))
    assert asked.status == "refunded"


async def test_a_confirmation_of_what_is_not_known_sends_nothing(room: Room) -> None:
    with pytest.raises(NotFoundError, match="holds no refund rfi_1"):
        await room.desk().confirm("rfi_1", Script())
    with pytest.raises(NotFoundError, match="holds no refund rfi_1"):
        await room.desk().approve("rfi_1", Script())


@pytest.mark.parametrize("why", ["time", "order", "one refund more"])
async def test_a_preview_that_is_no_longer_true_is_never_sent(room: Room, why: str) -> None:
    if why == "one refund more":
        room.shop.refund(room.order_id, 6, "By hand")
    intent = await room.waiting()
    if why == "time":
        room.passes(900)
    else:
        room.shop.refund(room.order_id, 5, "By hand")

    outcome = await room.desk(refund_approval="ask").confirm(intent.refund_id, Script())

    assert outcome.status == "needs_confirmation"
    assert intent_of(outcome).refund_id != intent.refund_id
    assert room.trail(intent)[-1] == (
        "expired", "", "the order changed, or nobody said yes in time",
    )  # fmt: skip
    assert room.posts() == 0
    with pytest.raises(RefusedError, match="No money was moved by refund"):
        await room.desk().confirm(intent.refund_id, Script())


async def test_a_preview_can_be_sent_until_its_last_moment(room: Room) -> None:
    intent = await room.waiting()
    room.passes(899.9)

    assert (await room.desk().confirm(intent.refund_id, Script())).status == "refunded"
    assert room.found(intent).state == "confirmed"


async def test_a_preview_that_became_a_repeat_is_not_sent(room: Room) -> None:
    intent = await room.waiting()
    room.shop.refund(room.order_id, 700, "By hand")

    outcome = await room.desk().confirm(intent.refund_id, Script())

    assert outcome.status == "already_refunded"
    assert room.posts() == 0


async def test_a_yes_sends_and_is_written_down(room: Room) -> None:
    caller = AskingHost(Reply.YES)

    outcome = await room.refund(caller=caller, refund_approval="ask")

    intent = intent_of(outcome)
    assert outcome.status == "refunded"
    assert [question.about for question in caller.questions] == [intent.refund_id]
    assert room.trail(intent) == [
        ("previewed", "", ""),
        ("asked", "", ""),
        ("answered", PERSON, "yes to question 2"),
        ("sending", PERSON, f"approved by {PERSON}"),
        ("confirmed", PERSON, f"listed as {room.listed()[0]}"),
    ]
    assert {event.client for event in room.ledger.history(intent.refund_id)} == {"host 1"}


async def test_a_no_stands_until_a_person_says_yes_to_the_same(room: Room) -> None:
    outcome = await room.refund(caller=AskingHost(Reply.NO), refund_approval="ask")
    no = intent_of(outcome)
    assert outcome == Outcome(
        "declined",
        room.order_id,
        700,
        intent=room.found(no),
        order=outcome.order,
        earlier=(no.refund_id,),
    )
    assert room.trail(no)[-1] == ("declined", PERSON, f"declined by {PERSON}")

    again = await room.refund(reason="Really torn")
    assert (again.status, again.intent, again.earlier) == ("declined", no, (no.refund_id,))
    assert (await room.refund(701)).status == "refunded"
    named = await room.refund(named=[no.refund_id], refund_approval="ask")
    assert (named.status, named.approver) == ("needs_confirmation", "person")

    yes = await room.refund(
        caller=AskingHost(Reply.YES), named=[no.refund_id], refund_approval="ask"
    )
    assert yes.status == "refunded"
    repeat = await room.refund()
    assert (repeat.status, repeat.earlier) == ("already_refunded", room.listed()[1:])


async def test_a_second_no_comes_on_top_of_the_first(room: Room) -> None:
    first = await room.refund(caller=AskingHost(Reply.NO), refund_approval="ask")
    second = await room.refund(
        caller=AskingHost(Reply.NO), named=first.earlier, refund_approval="ask"
    )

    assert second.status == "declined"
    assert second.earlier == (intent_of(first).refund_id, intent_of(second).refund_id)
    again = await room.refund()
    assert (again.status, again.earlier) == ("declined", second.earlier)
    assert again.intent == second.intent


@pytest.mark.parametrize("reply", [Reply.DISMISSED, Reply.UNCLEAR, Reply.SILENT, Reply.FAILED])
async def test_no_answer_is_no_yes(room: Room, reply: Reply) -> None:
    outcome = await room.refund(caller=AskingHost(reply), refund_approval="ask")

    intent = intent_of(outcome)
    assert outcome == Outcome(
        "needs_confirmation",
        room.order_id,
        700,
        intent=intent,
        order=outcome.order,
        is_put_aside=reply is not Reply.FAILED,
    )
    who = PERSON if reply is Reply.DISMISSED else ""
    assert room.trail(intent)[-1] == ("answered", who, f"{reply.value} to question 2")
    assert room.posts() == 0


async def test_a_question_that_was_put_aside_is_put_again(room: Room) -> None:
    caller = AskingHost(Reply.DISMISSED, Reply.YES)
    await room.refund(caller=caller, refund_approval="ask")

    assert (await room.refund(caller=caller, refund_approval="ask")).status == "refunded"
    assert len(caller.questions) == 2


async def test_a_host_that_failed_to_ask_is_not_told_to_again(room: Room) -> None:
    caller = AskingHost(Reply.FAILED)
    first = await room.refund(caller=caller, refund_approval="ask")

    again = await room.refund(caller=caller, refund_approval="ask")

    assert again.status == "needs_confirmation"
    assert len(caller.questions) == 1
    confirmed = await room.desk(refund_approval="ask").confirm(intent_of(first).refund_id, caller)
    assert confirmed.status == "refunded"


async def test_an_open_question_is_waited_for_in_bounds(room: Room) -> None:
    intent = await room.waiting()
    room.ledger.note(intent.refund_id, "asked", room.now(), TRACE)
    room.passes(121)
    room.ledger.note(intent.refund_id, "asked", room.now(), TRACE)
    desk, caller = room.desk(refund_approval="ask"), AskingHost()

    room.passes(119)
    busy = await desk.confirm(intent.refund_id, caller)
    assert (busy.status, busy.intent) == ("busy", intent)
    assert busy.order is not None
    room.passes(1)
    caller.replies = [Reply.SILENT, Reply.YES]
    assert (await desk.confirm(intent.refund_id, caller)).status == "needs_confirmation"
    assert room.posts() == 0  # silence makes nobody else the one who approves
    assert (await desk.confirm(intent.refund_id, caller)).status == "refunded"
    assert len(caller.questions) == 2


async def test_a_person_is_asked_even_where_an_agent_may_confirm(room: Room) -> None:
    intent = await room.waiting()
    caller = AskingHost(Reply.NO)

    outcome = await room.desk(refund_approval="ask").confirm(intent.refund_id, caller)

    assert outcome.status == "declined"
    assert len(caller.questions) == 1


async def test_an_answer_that_was_brought_along_is_not_asked_for(room: Room) -> None:
    caller = AskingHost(brought=Reply.YES)

    assert (await room.refund(caller=caller, refund_approval="human")).status == "refunded"
    assert (await room.refund(caller=caller, refund_approval="human")).status == "already_refunded"
    assert caller.questions == []
    assert room.given_back() == [700]


async def test_a_no_that_was_brought_along_sends_nothing(room: Room) -> None:
    outcome = await room.refund(caller=AskingHost(brought=Reply.NO), refund_approval="off")

    assert outcome.status == "declined"
    assert room.posts() == 0


@pytest.mark.parametrize("how", ["by the host", "in the terminal", "with the call"])
async def test_a_no_holds_for_the_preview_that_took_the_place_of_the_question(
    room: Room, how: str
) -> None:
    reworded: list[Intent] = []

    async def reword() -> None:
        reworded.append(intent_of(await room.refund(reason="Again", refund_approval="ask")))

    desk = room.desk(refund_approval="ask")
    if how == "by the host":
        caller = AskingHost(Reply.NO)
        ask = caller.ask

        async def slow(question: Question) -> Reply:
            await reword()
            return await ask(question)

        caller.ask = slow  # type: ignore[method-assign]
        outcome = await room.refund(caller=caller, refund_approval="ask")
    else:
        first = await room.waiting()
        await reword()
        if how == "in the terminal":
            outcome = await desk.decline(first.refund_id, TRACE)
        else:
            caller = AskingHost(brought=Reply.NO)
            caller.answered = first.refund_id
            outcome = await room.refund(caller=caller, refund_approval="ask")

    assert outcome.status == "declined"
    assert room.found(reworded[0]).state == "declined"
    assert (await desk.confirm(reworded[0].refund_id, Script())).status == "declined"
    assert (await room.refund(refund_approval="ask")).status == "declined"
    assert room.given_back() == []


async def test_a_no_that_came_with_a_confirmation_holds(room: Room) -> None:
    intent = await room.waiting()
    caller = AskingHost(brought=Reply.NO)
    caller.answered = intent.refund_id

    outcome = await room.desk(refund_approval="ask").confirm(intent.refund_id, caller)

    assert (outcome.status, room.posts()) == ("declined", 0)
    assert room.trail(intent)[-2:] == [
        ("answered", PERSON, "no"),
        ("declined", PERSON, f"declined by {PERSON}"),
    ]


async def test_a_no_is_settled_by_a_later_yes_and_not_by_an_earlier_one(room: Room) -> None:
    await room.refund(500)
    no = intent_of(await room.refund(600, AskingHost(Reply.NO), refund_approval="ask"))
    after_the_no = await room.refund(601, refund_approval="ask")
    yes = await room.desk(refund_approval="ask").approve(no.refund_id, AskingHost(Reply.YES))
    after_the_yes = await room.refund(602, refund_approval="ask")

    assert (after_the_no.approver, yes.status) == ("person", "refunded")
    assert (after_the_yes.status, after_the_yes.approver) == ("needs_confirmation", "agent")


@pytest.mark.parametrize("cents", [699, 701])
async def test_a_no_is_not_got_round_by_a_cent(room: Room, cents: int) -> None:
    first = await room.waiting()
    await room.desk().decline(first.refund_id, TRACE)

    preview = intent_of(await room.refund(cents, refund_approval="ask"))
    outcome = await room.desk(refund_approval="ask").confirm(preview.refund_id, Script())

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "person")
    assert room.given_back() == []
    await room.desk().approve(preview.refund_id, Terminal(Reply.YES))
    other = intent_of(await room.refund(50, refund_approval="ask"))
    assert not other.needs_person  # a person has decided since


async def test_where_nobody_is_asked_a_preview_that_changed_is_shown_again(room: Room) -> None:
    intent = await room.waiting()
    room.shop.refund(room.order_id, 5, "By hand")

    outcome = await room.desk().confirm(intent.refund_id, Script())

    assert outcome.status == "needs_confirmation"
    assert intent_of(outcome).refund_id != intent.refund_id
    assert room.posts() == 0


async def test_what_may_not_be_written_is_not_approved(room: Room) -> None:
    intent = await room.waiting()
    caller = AskingHost()

    with pytest.raises(SetupError, match=r"^No money was moved: CLAWVER_READ_ONLY is set"):
        await room.desk(read_only=True).approve(intent.refund_id, caller)

    assert (caller.questions, room.posts()) == ([], 0)
    assert room.found(intent).state == "previewed"


async def test_a_person_at_the_other_end_is_always_asked(room: Room) -> None:
    class Person(AskingHost):
        is_person = True

    caller = Person(Reply.YES, can_ask=False)

    assert (await room.refund(caller=caller, refund_approval="off")).status == "refunded"
    assert len(caller.questions) == 1


@pytest.mark.parametrize("why", ["time", "order", "declined"])
async def test_what_changed_while_the_person_thought_is_not_sent(room: Room, why: str) -> None:
    def meanwhile(refund_id: str) -> None:
        if why == "time":
            room.passes(900)
        elif why == "order":
            room.shop.refund(room.order_id, 5, "By hand")
        else:
            room.ledger.expire(refund_id, "x", room.now(), TRACE)

    with pytest.raises(RefusedError, match="while the person was asked") as refusal:
        await room.refund(caller=AskingHost(Reply.YES, meanwhile=meanwhile), refund_approval="ask")

    assert refusal.value.happened.startswith(f"No money was moved: order {room.order_id} changed")
    assert "Call refund_order again" in refusal.value.next_step
    assert room.posts() == 0


async def test_what_was_refunded_while_the_person_thought_is_a_repeat(room: Room) -> None:
    caller = AskingHost(
        Reply.YES, meanwhile=lambda _: room.shop.refund(room.order_id, 700, "By hand")
    )

    outcome = await room.refund(caller=caller, refund_approval="ask")

    assert (outcome.status, room.posts()) == ("already_refunded", 0)


async def test_a_yes_that_finds_the_order_busy_sends_nothing(room: Room) -> None:
    async with AsyncExitStack() as stack:

        class Slow(AskingHost):
            async def ask(self, question: Question) -> Reply:
                await stack.enter_async_context(room.locks.held(room.order_id, 0))
                return await super().ask(question)

        outcome = await room.refund(caller=Slow(Reply.YES), refund_approval="ask")

    assert (outcome.status, room.posts()) == ("busy", 0)
    assert (
        await room.refund(caller=AskingHost(Reply.YES), refund_approval="ask")
    ).status == "refunded"


async def test_a_no_to_what_was_settled_meanwhile_changes_nothing(room: Room) -> None:
    def meanwhile(refund_id: str) -> None:
        room.ledger.begin_send(refund_id, (), 10**6, room.now(), TRACE)

    outcome = await room.refund(
        caller=AskingHost(Reply.NO, meanwhile=meanwhile), refund_approval="ask"
    )

    assert outcome.status == "unknown"
    assert intent_of(outcome).state == "sending"


# A person out of band


async def test_a_person_declines_what_waits_and_nothing_else(room: Room) -> None:
    intent = await room.waiting()
    outcome = await room.desk().decline(intent.refund_id, Trace("shell", "a person"))

    assert outcome == Outcome(
        "declined", room.order_id, 700, intent=room.found(intent), earlier=(intent.refund_id,)
    )
    assert room.trail(intent)[-1] == ("declined", "a person", "declined by a person")
    assert (await room.desk().decline(intent.refund_id, TRACE)).status == "declined"
    sent = intent_of(await room.refund(5))
    with pytest.raises(RefusedError) as refusal:
        await room.desk().decline(sent.refund_id, TRACE)
    assert refusal.value.happened == (
        f"Refund {sent.refund_id} can no longer be declined: it is confirmed."
    )
    assert f"clawver-orders refunds show {sent.refund_id}" in refusal.value.next_step
    with pytest.raises(NotFoundError):
        await room.desk().decline("rfi_1", TRACE)


async def test_what_was_settled_while_it_was_declined_says_how_it_stands(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent, decline = await room.waiting(), room.ledger.decline

    def too_late(refund_id: str, now: Moment, trace: Trace) -> Intent:
        room.ledger.begin_send(refund_id, (), 10**6, now, trace)
        return decline(refund_id, now, trace)

    monkeypatch.setattr(room.ledger, "decline", too_late)
    with pytest.raises(RefusedError, match="can no longer be declined: it is sending"):
        await room.desk().decline(intent.refund_id, TRACE)


async def test_a_person_approves_what_waits(room: Room) -> None:
    intent = await room.waiting(refund_approval="human")

    outcome = await room.desk(refund_approval="human").approve(
        intent.refund_id, AskingHost(Reply.YES)
    )

    assert outcome.status == "refunded"
    assert intent_of(outcome).refund_id == intent.refund_id
    assert (await room.desk().approve(intent.refund_id, AskingHost())).status == "refunded"
    assert room.posts() == 1


async def test_a_person_approves_anew_what_was_declined_or_given_up(room: Room) -> None:
    declined = intent_of(await room.refund(caller=AskingHost(Reply.NO), refund_approval="ask"))
    caller = AskingHost(Reply.YES)

    outcome = await room.desk(refund_approval="human").approve(declined.refund_id, caller)

    assert outcome.status == "refunded"
    assert intent_of(outcome).in_addition_to == (declined.refund_id,)
    assert intent_of(outcome).needs_person
    assert declined.refund_id in caller.questions[0].text


@pytest.mark.parametrize("end", ["expired", "declined", "failed", "absent"])
async def test_approving_twice_sends_once(room: Room, end: str) -> None:
    if end == "absent":
        intent = await room.given_up()
    elif end == "failed":
        room.shop.add_fault("status_before", method="POST", status=400)
        with pytest.raises(RefusedError):
            await room.refund()
        (intent,) = room.ledger.all()
    else:
        intent = await room.waiting()
        room.passes(16 * 60)
    if end == "declined":
        await room.desk().decline(intent.refund_id, TRACE)
    desk = room.desk(refund_approval="human")

    outcomes = [await desk.approve(intent.refund_id, AskingHost(Reply.YES)) for _ in range(3)]

    assert [each.status for each in outcomes] == [
        "refunded",
        "already_refunded",
        "already_refunded",
    ]
    assert room.given_back() == [700]


async def test_both_wordings_of_one_wish_are_one_refund(room: Room) -> None:
    first = await room.waiting()
    second = intent_of(await room.refund(reason="In other words", refund_approval="ask"))
    desk = room.desk(refund_approval="human")

    outcomes = [
        await desk.approve(each.refund_id, AskingHost(Reply.YES))
        for each in (second, first, second)
    ]

    assert [each.status for each in outcomes] == ["refunded", "already_refunded", "refunded"]
    assert room.given_back() == [700]


async def test_an_open_refund_is_looked_up_and_not_approved(room: Room) -> None:
    intent = await room.lost()
    caller = AskingHost()

    outcome = await room.desk().approve(intent.refund_id, caller)

    assert (outcome.status, caller.questions) == ("unknown", [])


# What a person is asked


async def test_the_question_says_all_in_a_few_lines(room: Room) -> None:
    order = room.shop.order(room.order_id)
    room.shop.refund(room.order_id, 100, "One")
    room.shop.refund(room.order_id, 250, "Two")
    caller = AskingHost(Reply.NO)

    outcome = await room.refund(caller=caller, refund_approval="ask", reason='A "torn"\npage')

    (item,) = order["items"]
    assert caller.questions[0].text.splitlines() == [
        f"Refund $7.00 on order {room.order_id}? Money cannot be called back.",
        "Store: a store",
        f'Customer: "{order["customerEmail"]}"',
        f'Items: 1 x "{item["productName"]}"',
        "Reason given: \"A 'torn' page\"",
        "The order's total is $24.99; $21.49 can be refunded, and $14.49 would be left.",
        "Refunded before: $1.00, $2.50.",
        f"Refund id: {intent_of(outcome).refund_id}",
    ]


async def test_the_question_names_what_it_comes_on_top_of(room: Room) -> None:
    first = (await room.refund()).earlier
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, named=first, refund_approval="ask", reason="x" * 500)

    lines = caller.questions[0].text.splitlines()
    assert f'Reason given: "{"x" * 500}"' in lines
    assert (
        "There were 1 earlier attempts or refunds of this very amount: "
        f"{first[0]}. This one comes on top."
    ) in lines


async def test_what_the_order_does_not_tell_is_said_to_be_unknown(room: Room) -> None:
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_remove(body, '$.items', '$.customerEmail') WHERE id = ?",
            (room.order_id,),
        )
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, refund_approval="ask")

    lines = caller.questions[0].text.splitlines()
    assert 'Customer: "not known"' in lines
    assert "Items: not known" in lines


async def test_a_printed_item_is_asked_about_with_its_size(room: Room) -> None:
    caller = AskingHost(Reply.NO)

    await room.refund(caller=caller, order_id="ord_shirt", refund_approval="ask")

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

    await room.refund(caller=caller, refund_approval="ask", reason="r" * 501)

    lines = caller.questions[0].text.splitlines()
    assert f'Items: 1 x "{"p" * 80}" ("{"v" * 79}…")' in lines
    assert f'Reason given: "{"r" * 499}…"' in lines


# How the asking stands


NOW = datetime(2026, 11, 24, tzinfo=UTC)


def event(name: str, detail: str = "") -> LedgerEvent:
    return LedgerEvent(0, NOW - timedelta(hours=1), 1, name, "previewed", "", "", detail)


@pytest.mark.parametrize(
    ("history", "seconds", "stands"),
    [
        ((), 0, Asking.POSSIBLE),
        ((event("asked"),), 119, Asking.OPEN),
        ((event("asked"),), -899, Asking.OPEN),
        ((event("asked"),), 120, Asking.UNANSWERED),
        ((event("asked"),), -900, Asking.UNANSWERED),
        ((event("asked"), event("answered", "dismissed")), 1, Asking.UNANSWERED),
        ((event("asked"), event("answered", "silent")), 1, Asking.UNANSWERED),
        ((event("asked"), event("shown")), 120, Asking.POSSIBLE),
        ((event("asked"), event("shown"), event("asked")), 1, Asking.OPEN),
        ((event("asked"), event("shown"), event("asked")), 120, Asking.UNANSWERED),
        ((event("asked"), event("answered", "dismissed to question 1")), 1, Asking.UNANSWERED),
        ((event("asked"), event("answered", "failed to question 1")), 1, Asking.IN_VAIN),
        (
            (event("asked"), event("asked"), event("answered", "failed to question 1")),
            119,
            Asking.OPEN,
        ),
        (
            (event("asked"), event("asked"), event("answered", "failed to question 1")),
            120,
            Asking.UNANSWERED,
        ),
        (
            (event("asked"), event("asked"), event("answered", "failed to question 2")),
            1,
            Asking.IN_VAIN,
        ),
        ((event("asked"), event("answered", "failed")), 1, Asking.IN_VAIN),
        ((event("asked"), event("answered", "failed"), event("asked")), 1, Asking.OPEN),
        ((event("asked"), event("answered", "failed"), event("surplus")), 1, Asking.IN_VAIN),
        ((event("asked"), event("declined", "failed")), 120, Asking.UNANSWERED),
        (
            (event("asked"), event("answered", answer_detail(Reply.HOST_NO, 1, 0.09))),
            1,
            Asking.UNANSWERED,
        ),
    ],
)
def test_how_the_asking_stands(
    history: tuple[LedgerEvent, ...], seconds: float, stands: Asking
) -> None:
    numbered = tuple(replace(event, number=n) for n, event in enumerate(history, start=1))

    assert asking(numbered, seconds) is stands


def test_what_is_kept_of_a_reply_does_not_change() -> None:
    """Ledgers hold these words, and other versions of this program read them."""
    assert [reply.value for reply in Reply] == [
        "yes", "no", "yes of the program itself", "no of the program itself", "dismissed", "unclear", "silent",
        "failed",
    ]  # fmt: skip


async def test_a_host_that_says_yes_by_itself_is_overruled_by_a_no_meanwhile(room: Room) -> None:
    other = await room.waiting(300)

    def meanwhile(_: str) -> None:
        room.ledger.decline(other.refund_id, room.now(), TRACE)

    caller = AskingHost(Reply.HOST_YES, meanwhile=meanwhile)
    outcome = await room.refund(caller=caller, refund_approval="ask")

    assert (outcome.status, outcome.approver) == ("needs_confirmation", "person")
    assert outcome.only_in_terminal
    assert room.posts() == 0


async def test_a_host_that_says_yes_by_itself_waits_for_a_person_who_is_asked(room: Room) -> None:
    asked = await room.asked(300)

    outcome = await room.refund(caller=AskingHost(Reply.HOST_YES), refund_approval="ask")

    assert (outcome.status, intent_of(outcome).refund_id) == ("busy", asked)
    assert room.posts() == 0


async def test_a_host_that_says_yes_by_itself_waits_for_a_person_who_is_asked_meanwhile(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its answer and the order's lock, another call asks about another amount."""
    waiting, desk = await room.waiting(300), room.desk(refund_approval="ask")
    alone = desk._alone_with

    @asynccontextmanager
    async def late(order_id: str) -> AsyncIterator[Outcome | None]:
        if caller.questions:
            room.ledger.note(waiting.refund_id, ASKED, room.now(), TRACE)
        async with alone(order_id) as busy:
            yield busy

    caller = AskingHost(Reply.HOST_YES)
    monkeypatch.setattr(desk, "_alone_with", late)
    outcome = await desk.refund(room.order_id, 700, "Torn", (), caller)

    assert (outcome.status, intent_of(outcome).refund_id) == ("busy", waiting.refund_id)
    assert room.posts() == 0


async def test_a_hosts_own_yes_to_another_preview_is_asked_about_anew(room: Room) -> None:
    caller = Modern("rfi_another", Reply.HOST_YES)

    with pytest.raises(Left):
        await room.refund(caller=caller, refund_approval="ask")


async def test_a_host_that_puts_a_question_aside_by_itself_is_told_of_the_terminal(
    room: Room,
) -> None:
    caller = Modern("rfi_another", Reply.HOST_NO)

    outcome = await room.refund(caller=caller, refund_approval="ask")

    assert (outcome.status, outcome.only_in_terminal) == ("needs_confirmation", True)


async def test_while_a_person_is_asked_no_other_program_takes_an_agents_word(room: Room) -> None:
    intent = await room.waiting()
    room.ledger.note(intent.refund_id, ASKED, room.now(), TRACE)

    eager = await room.desk(refund_approval="ask").confirm(intent.refund_id, Script())
    again = await room.refund(caller=Script(), refund_approval="ask")

    assert [eager.status, again.status, room.posts()] == ["busy", "busy", 0]
    room.passes(120)
    desk = room.desk(refund_approval="ask")
    shown = await desk.confirm(intent.refund_id, Script())
    assert (shown.status, shown.approver, room.posts()) == ("needs_confirmation", "agent", 0)
    assert shown.order is not None  # so the preview stands in the answer
    assert room.trail(intent)[-1] == ("shown", "", "")
    assert (await desk.confirm(intent.refund_id, Script())).status == "refunded"


@pytest.mark.parametrize("why", ["another reason", "another payment"])
async def test_a_preview_is_not_replaced_while_a_person_is_asked_about_it(
    room: Room, why: str
) -> None:
    intent = await room.waiting()
    room.ledger.note(intent.refund_id, ASKED, room.now(), TRACE)
    if why == "another payment":
        room.shop.refund(room.order_id, 5, "By hand")

    desk = room.desk(refund_approval="ask")
    again = await desk.refund(room.order_id, 700, "Torn apart", (), Script())
    eager = await desk.confirm(intent.refund_id, Script())

    assert [again.status, eager.status] == ["busy", "busy"]
    assert again.intent == eager.intent == room.found(intent)
    assert room.found(intent).state == "previewed"
    room.passes(120)
    later = await desk.refund(room.order_id, 700, "Torn apart", (), Script())
    assert later.status == "needs_confirmation"
    assert room.posts() == 0


async def test_the_question_is_noted_before_anybody_else_gets_to_the_order(room: Room) -> None:
    seen: list[str] = []

    def meanwhile(refund_id: str) -> None:
        seen.extend(event.event for event in room.ledger.history(refund_id))

    await room.refund(caller=AskingHost(Reply.NO, meanwhile=meanwhile), refund_approval="ask")

    assert seen == ["previewed", "asked"]


async def test_a_no_does_not_hide_what_another_person_let_go_meanwhile(room: Room) -> None:
    intent = await room.waiting()
    room.ledger.note(intent.refund_id, ASKED, room.now(), TRACE)

    class AtTheTerminal(AskingHost):
        is_person = True

    went = await room.refund(caller=AtTheTerminal(Reply.YES), reason="In other words")
    host = AskingHost(brought=Reply.NO)
    host.answered = intent.refund_id
    late = await room.refund(caller=host, refund_approval="ask")

    assert went.status == "refunded"
    assert room.found(intent).doubted == 0  # a person approved it: this no is about what is done
    assert (late.status, late.intent) == ("refunded", went.intent)
    assert room.posts() == 1


async def test_an_answer_to_another_question_does_not_end_an_open_one(room: Room) -> None:
    intent = await room.waiting()
    room.ledger.note(intent.refund_id, ASKED, room.now(), TRACE)
    host = AskingHost()
    host.answered = "rfi_another"

    outcome = await room.refund(caller=host, refund_approval="ask")

    assert (outcome.status, outcome.intent) == ("busy", intent)
    assert (host.questions, room.posts()) == ([], 0)
