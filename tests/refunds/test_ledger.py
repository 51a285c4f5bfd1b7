"""The ledger's doors: what is wanted, asked and decided, what is sent once, and what becomes of it."""

import os
import platform
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from tests.processes import Start
from tests.refunds.book import (
    ACTOR,
    AGENT,
    IN_A_FILE,
    IN_TERMINAL,
    ONE,
    PERSON,
    START,
    TWO,
    Book,
)

from clawver_orders.caller import WAITS, Approval, Grade, Reply
from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.refunds import ledger as ledger_module
from clawver_orders.refunds import ledger_rows
from clawver_orders.refunds.ledger import DailyLimitError
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.records import (
    MAY_FOLLOW,
    UNCERTAIN,
    Actor,
    Asked,
    Attempt,
    Decision,
    Limits,
    Looks,
    Preview,
    Sent,
    Status,
    Wish,
)
from clawver_orders.storage import sqlite
from clawver_orders.storage.database import ConstraintError

IN_A_PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
import anyio
from clawver_orders.instants import Instant
from clawver_orders.refunds import ledger as module
from clawver_orders.refunds.ledger import DailyLimitError, Ledger
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.caller import Approval
from clawver_orders.refunds.records import Limits
now = Instant(datetime(2026, 11, 24, 12, tzinfo=UTC), 1000.0, "this start")
ledger = Ledger(Path(sys.argv[1]), lambda: now)
def meet(line):
    print(line, flush=True)
    sys.stdin.readline()
async def send(refund_id, limit=10_000):
    wish = await ledger.find(refund_id)
    number = (await ledger.of_order(wish.order_id)).number
    meet("ready")
    approval = Approval("agent", "confirm_refund", "racer")
    try:
        sent = await ledger.begin_send(number, wish, approval, None, [], None, Limits(limit), "racer")
    except DailyLimitError as error:
        return f"limit at {error.spent_in_cents}"
    except MovedOnError:
        return "moved on"
    return sent.status
"""


# Looking


@IN_A_FILE
async def test_looking_makes_no_file(book: Book) -> None:
    ledger = book.ledger

    assert await ledger.find("rfi_1") is None
    assert await ledger.latest(1000) == await ledger.all_open() == ()
    assert await ledger.history("rfi_1") == ()
    assert await ledger.seen("ord_1") == ()
    assert await ledger.spent_in_cents() == 0
    records = await ledger.of_order("ord_1")
    assert (records.order_id, records.wishes, records.number) == ("ord_1", (), 0)
    assert (records.looks, records.restored) == (Looks(), None)
    assert not ledger.exists
    assert not book.path.parent.exists()


@IN_A_FILE
async def test_a_ledger_that_is_gone_is_not_an_empty_one(book: Book) -> None:
    await book.wants()
    book.path.unlink()

    assert book.ledger.exists
    with pytest.raises(
        SetupError, match=r"Nothing was sent\. The file of the refund ledger is gone"
    ):
        await book.ledger.of_order("ord_1")


async def test_lists_show_what_waits_what_was_decided_and_what_may_still_change(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_AT_ONCE", 1)
    expired = await book.wants("ord_1")
    book.now.passes(seconds=WAITS.total_seconds())
    refunded = await book.at("refunded", "ord_2")
    uncertain = [await book.at(status, f"ord_{status}") for status in UNCERTAIN]
    waiting, newest = await book.wants("ord_3"), await book.wants("ord_4")
    ledger = book.ledger
    opened = await ledger.all_open()

    assert await ledger.waiting() == (newest, waiting)
    assert [each.refund_id for each in await ledger.uncertain()] == [
        each.refund_id for each in reversed(uncertain)
    ]
    decided = [each.refund_id for each in await ledger.decided(10)]
    neither = {waiting.refund_id, newest.refund_id, *(each.refund_id for each in opened)}
    assert decided == [
        each.refund_id for each in await ledger.latest(100) if each.refund_id not in neither
    ]
    assert decided[-2:] == [refunded.refund_id, expired.refund_id]
    assert [each.refund_id for each in await ledger.decided(2)] == decided[:2]


async def test_parts_of_the_ledger_join_up_to_all_of_it_whatever_is_noted_meanwhile(
    book: Book,
) -> None:
    ids = [(await book.wants(f"ord_{n}")).refund_id for n in range(5)]

    first = await book.ledger.latest(2)
    await book.wants("ord_new")
    second = await book.ledger.latest(2, first[-1].refund_id)
    third = await book.ledger.latest(2, second[-1].refund_id)

    assert [each.refund_id for each in (*first, *second, *third)] == ids[::-1]
    assert await book.ledger.latest(2, third[-1].refund_id) == ()


async def test_more_wishes_than_a_statement_takes_values_come_with_all_that_is_theirs(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_rows, "_AT_ONCE", 2)
    sent = [await book.at("unknown", f"ord_{n}") for n in range(5)]

    assert await book.ledger.latest(10) == tuple(reversed(sent))


@IN_A_FILE
async def test_a_ledger_is_proven_by_taking_it_for_writing(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.ledger.prove()
    assert list(book.path.parent.iterdir()) == []

    book.ledger.begin()
    assert book.path.exists()
    book.ledger.prove()
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(book.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnreachableError):
            book.ledger.prove()


@IN_A_FILE
async def test_reading_goes_on_where_nothing_can_be_written(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = await book.wants()
    book.now.boot = "another start"
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(book.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert await book.found(wish) == wish
        book.now.passes(seconds=5)
        assert (await book.ledger.of_order("ord_1")).looks == Looks()
        with pytest.raises(UnreachableError, match=r"Nothing was sent\. Another program holds"):
            await book.wants()


async def test_wishes_are_listed_in_their_order(book: Book) -> None:
    first = await book.at("refunded", cents=100)
    second = await book.at("unknown", cents=200)
    book.now.passes(seconds=1)
    other = await book.at("sending", "ord_2", 300)
    last = await book.at("waiting", cents=400)
    ledger = book.ledger

    records = await ledger.of_order("ord_1")
    assert records.wishes == (first, second, last)
    assert records.attempts == (first.attempts[0], second.attempts[0])
    assert records.open_wish == second
    assert (await ledger.of_order("ord_2")).wishes == (other,)
    assert await ledger.latest(1000) == (last, other, second, first)
    assert await ledger.all_open() == (other, second)
    assert await ledger.all_open("ord_1") == (second,)
    assert await ledger.all_open("ord_3") == ()
    assert [each.is_open for each in await ledger.latest(1000)] == [False, True, True, False]


async def test_a_wish_is_found_by_its_amount_and_what_it_comes_on_top_of(book: Book) -> None:
    plain = await book.wants()
    named = await book.wants(named=["ref_b", "ref_a"])
    theirs = await book.wants(sandbox="sbx_a")
    records = await book.ledger.of_order("ord_1")

    assert records.wish(500, ["ref_a", "ref_b"]) == records.wish(500, ["ref_b", "ref_a"]) == named
    assert records.wish(500, []) == records.wish(500, [], "sbx_a") == theirs
    assert records.wish(500, [], "") == plain
    assert records.wish(501, []) is records.wish(500, ["ref_a"]) is None


# What somebody wants


async def test_a_wish_is_noted_whole(book: Book) -> None:
    wish = await book.wants("ord_1", 500, "Torn", ["ref_b", "ref_a"], "paid", "chat")

    assert wish.refund_id.startswith("rfi_")
    assert len(wish.refund_id) == 20
    assert wish == Wish(
        refund_id=wish.refund_id,
        order_id="ord_1",
        amount_in_cents=500,
        reason="Torn",
        in_addition_to=("ref_a", "ref_b"),
        revision=1,
        grade_needed="chat",
        shown="paid",
        created_at=START,
        previewed=book.now(),
        status="waiting",
    )
    assert await book.found(wish) == wish
    assert (wish.latest, wish.sent_at, wish.clawver_refund_id, wish.stripe_refund_id) == (None,) * 4
    assert (wish.question, wish.unexpected_refunds) == (None, ())


async def test_the_records_come_back_with_a_wish(book: Book) -> None:
    records, wish = await book.ledger.want(
        0, "ord_1", 500, [], "Torn", Preview("paid", "agent"), ACTOR
    )

    assert records == await book.ledger.of_order("ord_1")
    assert (records.wishes, records.number) == ((wish,), 1)


async def test_the_same_wish_is_the_same_and_is_shown_anew(book: Book) -> None:
    first = await book.wants(named=["ref_a", "ref_b"])
    book.now.passes(minutes=20)

    again = await book.wants(named=["ref_b", "ref_a"])

    assert (again.refund_id, again.revision) == (first.refund_id, 1)
    assert (again.previewed, again.created_at) == (book.now(), START)
    assert await book.trail(first) == [("waiting", "")]


async def test_a_rewording_is_no_other_wish_and_no_other_revision(book: Book) -> None:
    first = await book.wants(reason="Torn")
    second = await book.wants(reason="It was torn")

    assert (second.refund_id, second.revision, second.reason) == (first.refund_id, 1, "It was torn")
    assert await book.trail(first) == [("waiting", ""), ("reworded", "")]


@pytest.mark.parametrize("changed", [{"shown": "refunded"}, {"needed": "chat"}])
async def test_what_a_person_would_see_otherwise_is_a_new_revision(
    book: Book, changed: dict[str, str]
) -> None:
    first = await book.wants()
    second = await book.wants(**changed)  # type: ignore[arg-type]  # by name

    assert (second.refund_id, second.revision, second.status) == (first.refund_id, 2, "waiting")
    assert await book.trail(first) == [("waiting", ""), ("waiting", "revision 2")]
    with pytest.raises(MovedOnError):
        await book.sends(first)


@pytest.mark.parametrize("status", ["expired", "declined", "refused", "not_sent"])
async def test_what_was_not_sent_can_be_wanted_again_in_a_new_revision(
    book: Book, status: Status
) -> None:
    first = await book.at(status)
    again = await book.wants()

    assert (again.refund_id, again.revision, again.status) == (first.refund_id, 2, "waiting")
    sent = await book.sends(again)
    assert [each.revision for each in sent.attempts] == [*(a.revision for a in first.attempts), 2]
    assert sent.attempts[:-1] == first.attempts


@pytest.mark.parametrize("status", ["sending", "unknown", "refunded", "not_recorded"])
async def test_what_may_have_moved_money_is_not_wanted_again(book: Book, status: Status) -> None:
    wish = await book.at(status)
    trail = await book.trail(wish)

    with pytest.raises(MovedOnError):
        await book.wants()

    assert await book.found(wish) == wish
    assert await book.trail(wish) == trail
    assert (await book.wants(named=[wish.refund_id])).refund_id != wish.refund_id


async def test_other_orders_amounts_and_stores_are_other_wishes(book: Book) -> None:
    wishes = [
        await book.wants(), await book.wants("ord_2"), await book.wants(cents=501),
        await book.wants(named=["ref_1"]), await book.wants(sandbox="sbx_a"),
    ]  # fmt: skip

    assert len({each.refund_id for each in wishes}) == 5
    assert {each.status for each in await book.ledger.latest(1000)} == {"waiting"}


async def test_a_wish_waits_for_three_days(book: Book) -> None:
    wish = await book.wants()
    book.now.passes(hours=71, minutes=59, seconds=59.9)
    assert (await book.found(wish)).status == "waiting"
    book.now.passes(seconds=0.1)
    assert (await book.found(wish)).status == "expired"


async def test_nothing_is_wanted_on_records_that_are_out_of_date(book: Book) -> None:
    number = await book.number()
    await book.wants(cents=700)

    with pytest.raises(MovedOnError):
        await book.ledger.want(number, "ord_1", 500, [], "Torn", Preview("paid", "agent"), ACTOR)

    assert [each.amount_in_cents for each in await book.ledger.latest(1000)] == [700]


# What a person is asked


async def test_a_question_and_its_answer_are_kept_with_the_revision(book: Book) -> None:
    wish = await book.wants()
    number = await book.ledger.ask(wish, "form", Actor("host 2"))
    asked = Asked(number, wish.refund_id, 1, book.now(), "form")

    assert (await book.found(wish)).question == asked
    assert (await book.found(wish)).questions == (asked,)
    book.now.passes(seconds=5)
    worth = await book.ledger.answer(wish.refund_id, number, Reply.YES, 5.0, PERSON, "host 1")
    assert worth is Reply.YES
    assert (await book.found(wish)).question == Asked(
        number, wish.refund_id, 1, asked.asked, "form", Reply.YES
    )
    assert (await book.trail(wish))[1:] == [
        ("asked", "question 1, revision 1"), ("answered", "yes to question 1, after 5.000 s"),
    ]  # fmt: skip
    assert (await book.wants(shown="else")).question is None


async def test_only_what_is_current_and_waits_is_asked_about(book: Book) -> None:
    first = await book.wants()
    await book.wants(shown="else")
    declined = await book.at("declined", "ord_2")

    for wish in (first, declined):
        with pytest.raises(MovedOnError):
            await book.ledger.ask(wish, "form", ACTOR)
    assert all(not each.questions for each in await book.ledger.latest(1000))


@pytest.mark.parametrize("reply", [Reply.YES, Reply.NO, Reply.DISMISSED])
@pytest.mark.parametrize("before", [Reply.HOST_YES, Reply.HOST_NO])
async def test_a_program_that_answered_by_itself_brings_no_persons_answer_any_more(
    book: Book, before: Reply, reply: Reply
) -> None:
    wish = await book.wants()
    number = await book.ledger.ask(wish, "form", ACTOR)
    await book.ledger.answer(wish.refund_id, number, before, 0.1, PERSON, "host 1")

    worth = await book.ledger.answer(wish.refund_id, number, reply, 60.0, PERSON, "host 1")

    assert worth is (Reply.HOST_YES if reply is Reply.YES else Reply.HOST_NO)
    question = (await book.found(wish)).question
    assert question is not None
    assert question.answer is worth


async def test_the_answer_to_a_question_about_another_refund_is_no_answer(book: Book) -> None:
    wish, other = await book.wants(), await book.wants("ord_2")
    number = await book.ledger.ask(wish, "form", ACTOR)

    for refund_id, asked in (
        (other.refund_id, number),
        (wish.refund_id, number + 1),
        (wish.refund_id, 0),
    ):
        assert (
            await book.ledger.answer(refund_id, asked, Reply.YES, 5.0, PERSON, "host 1")
            is Reply.YES
        )
    by_host = await book.ledger.ask(other, "form", ACTOR)
    await book.ledger.answer(other.refund_id, by_host, Reply.HOST_NO, 0.1, PERSON, "host 1")
    said = await book.ledger.answer(wish.refund_id, by_host, Reply.YES, 5.0, PERSON, "host 1")
    assert said is Reply.YES

    question = (await book.found(wish)).question
    assert question is not None
    assert question.answer is None


async def test_a_preview_that_was_shown_puts_the_question_behind(book: Book) -> None:
    wish = await book.wants()
    await book.ledger.ask(wish, "form", ACTOR)
    await book.ledger.note_shown(wish, ACTOR)

    question = (await book.found(wish)).question
    assert question is not None
    assert question.shown_since


async def test_an_approval_that_does_not_suffice_is_no_decision(book: Book) -> None:
    wish = await book.wants(needed="chat")
    await book.ledger.note_too_weak(wish, AGENT, "host 2")

    with pytest.raises(MovedOnError):
        await book.sends(wish, AGENT)
    assert (await book.found(wish)).decisions == ()
    assert (await book.trail(wish))[-1] == ("not enough", "revision 1: agent, and chat is needed")
    assert (await book.sends(wish, PERSON)).status == "sending"


# Declines


async def test_a_decline_is_a_decision_about_the_current_revision(book: Book) -> None:
    await book.wants()
    wish = await book.wants(shown="else")
    declined = await book.ledger.decline(wish.refund_id, PERSON, "host 2")

    assert (declined.status, declined.revision) == ("declined", 2)
    line = (await book.ledger.history(wish.refund_id))[-1]
    assert declined.decisions == (
        Decision(wish.refund_id, 2, "decline", "chat", "form", PERSON.who, "host 2", book.now(), line.number),
    )  # fmt: skip
    assert (line.event, line.who, line.client, line.detail) == (
        "declined", PERSON.who, "host 2", "revision 2",
    )  # fmt: skip
    with pytest.raises(MovedOnError):
        await book.sends(wish, IN_TERMINAL)


async def test_a_decline_that_comes_twice_is_one(book: Book) -> None:
    declined = await book.at("declined")

    assert await book.ledger.decline(declined.refund_id, PERSON, "host 2") == declined
    assert (await book.trail(declined))[-1] == ("declined", "again")


async def test_a_decline_reaches_what_has_expired(book: Book) -> None:
    wish = await book.at("expired")
    declined = await book.ledger.decline(wish.refund_id, PERSON, "host 2")

    assert (declined.status, declined.revision) == ("declined", 1)


@pytest.mark.parametrize("status", ["sending", "unknown", "refunded", "not_recorded"])
async def test_a_decline_of_what_a_person_approved_comes_too_late(
    book: Book, status: Status
) -> None:
    wish = await book.at(status, approval=PERSON)

    assert await book.ledger.decline(wish.refund_id, PERSON, "host 2") == wish
    assert (await book.trail(wish))[-1] == ("declined", "too late: a person approved it")


@pytest.mark.parametrize("status", ["sending", "unknown", "refunded", "not_recorded"])
async def test_a_decline_of_what_no_person_approved_is_kept_and_changes_nothing_else(
    book: Book, status: Status
) -> None:
    wish = await book.at(status, approval=AGENT)
    declined = await book.ledger.decline(wish.refund_id, PERSON, "host 2")

    assert (declined.status, declined.attempts) == (status, wish.attempts)
    assert [(d.verdict, d.revision) for d in declined.decisions] == [("approve", 1), ("decline", 2)]


@pytest.mark.parametrize("approval", [AGENT, PERSON])
@pytest.mark.parametrize("status", ["refused", "not_sent"])
async def test_a_decline_of_what_did_not_go_keeps_it_from_going(
    book: Book, status: Status, approval: Approval
) -> None:
    wish = await book.at(status, approval=approval)
    declined = await book.ledger.decline(wish.refund_id, PERSON, "host 2")

    assert (declined.status, declined.attempts) == ("declined", wish.attempts)
    assert [(d.verdict, d.revision) for d in declined.decisions] == [("approve", 1), ("decline", 2)]


async def test_what_nobody_wants_is_not_declined(book: Book) -> None:
    await book.wants()

    with pytest.raises(MovedOnError):
        await book.ledger.decline("rfi_unknown", PERSON, "host 2")


# Letting the money go


async def test_what_is_sent_is_noted_with_the_approval(book: Book) -> None:
    wish = await book.wants()
    await book.wants(reason="It was torn")
    question = await book.ledger.ask(wish, "form", ACTOR)
    book.now.passes(minutes=1)

    sent = await book.ledger.begin_send(
        await book.number(), wish, PERSON, question, ["ref_b", "ref_a"],
        START + timedelta(seconds=2), Limits(10_000), "host 2",
    )  # fmt: skip

    line = (await book.ledger.history(wish.refund_id))[-1]
    assert sent.attempts == (
        Attempt(
            refund_id=wish.refund_id, revision=1, order_id="ord_1", amount_in_cents=500,
            reason="It was torn", refunds_before=frozenset({"ref_a", "ref_b"}), sent=book.now(),
            sent_by_server=START + timedelta(seconds=2), status="sending", number=line.number,
            sent_number=line.number,
        ),
    )  # fmt: skip
    assert sent.decisions == (
        Decision(wish.refund_id, 1, "approve", "chat", "form", PERSON.who, "host 2", book.now(), line.number),
    )  # fmt: skip
    assert (sent.status, sent.is_open, sent.latest) == ("sending", True, sent.attempts[0])
    assert sent.sent_at == START + timedelta(minutes=1)
    assert (line.event, line.who, line.client, line.detail) == (
        "sending", PERSON.who, "host 2", "revision 1, approved by person by elicitation (chat)",
    )  # fmt: skip


async def test_a_store_that_tells_no_time_is_taken_as_that(book: Book) -> None:
    wish = await book.wants()
    sent = await book.ledger.begin_send(1, wish, AGENT, None, [], None, Limits(500), "host 2")

    assert sent.attempts[0].sent_by_server is None


@pytest.mark.parametrize(
    "happened", ["another wish", "a question", "a rewording", "a decline elsewhere"]
)
async def test_nothing_is_sent_once_something_happened_on_the_order(
    book: Book, happened: str
) -> None:
    """Whoever holds the order's lock sees nothing of the kind: then somebody else held it too."""
    wish, other = await book.wants(), await book.wants(cents=700)
    number = await book.number()
    if happened == "another wish":
        await book.wants(cents=900)
    elif happened == "a question":
        await book.ledger.ask(wish, "form", ACTOR)
    elif happened == "a rewording":
        await book.wants(reason="It was torn")
    else:
        await book.ledger.decline(other.refund_id, PERSON, "host 2")
    trail = await book.trail(wish)

    with pytest.raises(MovedOnError):
        await book.sends(wish, number=number)

    assert (await book.found(wish)).status == "waiting"
    assert await book.trail(wish) == trail
    assert (await book.sends(wish)).status == "sending"


async def test_what_happens_on_another_order_keeps_nothing_back(book: Book) -> None:
    wish = await book.wants()
    number = await book.number()
    await book.at("refunded", "ord_2")

    assert (await book.sends(wish, number=number)).status == "sending"


@pytest.mark.parametrize("status", sorted({*get_args(Status), *get_args(Sent)} - {"waiting"}))
async def test_only_what_waits_is_sent(book: Book, status: Status) -> None:
    wish = await book.at(status)
    trail = await book.trail(wish)

    with pytest.raises(MovedOnError):
        await book.sends(wish, IN_TERMINAL)

    assert await book.found(wish) == wish
    assert await book.trail(wish) == trail


async def test_what_nobody_wants_is_not_sent(book: Book) -> None:
    wish = await book.wants()

    with pytest.raises(MovedOnError):
        await book.ledger.begin_send(
            0, Wish(**{**vars(wish), "refund_id": "rfi_unknown", "order_id": "ord_2"}), IN_TERMINAL,
            None, [], None, Limits(10_000), "host 2",
        )  # fmt: skip


@pytest.mark.parametrize("status", ["sending", "unknown"])
async def test_an_order_has_one_open_refund(book: Book, status: Status) -> None:
    await book.at(status, cents=500)
    wish = await book.wants(cents=600)

    with pytest.raises(MovedOnError):
        await book.sends(wish)

    assert await book.found(wish) == wish
    assert (await book.at("sending", "ord_2")).status == "sending"


@pytest.mark.parametrize("status", ["refunded", "refused", "not_sent", "not_recorded"])
async def test_an_order_whose_refund_is_settled_can_have_another(
    book: Book, status: Status
) -> None:
    await book.at(status, cents=500)

    assert (await book.at("sending", cents=600)).status == "sending"


async def test_less_than_was_wanted_is_sent_and_the_rest_declined_in_one_step(book: Book) -> None:
    more, less = await book.wants(cents=900), await book.wants(cents=300)

    sent = await book.sends(less, IN_TERMINAL, instead_of=more.refund_id)

    declined = await book.found(more)
    assert (sent.status, declined.status) == ("sending", "declined")
    assert [(d.verdict, d.grade, d.who) for d in declined.decisions] == [
        ("decline", "console", "person in the terminal")
    ]


@pytest.mark.parametrize("why", ["the limit", "an open refund", "no such wish"])
async def test_where_less_is_not_sent_nothing_is_declined(book: Book, why: str) -> None:
    more, less = await book.wants(cents=900), await book.wants(cents=300)
    if why == "an open refund":
        await book.at("unknown", cents=100)

    with pytest.raises((MovedOnError, DailyLimitError)):
        await book.sends(
            less, IN_TERMINAL, limit=299 if why == "the limit" else 10_000,
            instead_of="rfi_unknown" if why == "no such wish" else more.refund_id,
        )  # fmt: skip

    assert (await book.found(more)).status == (await book.found(less)).status == "waiting"


@pytest.mark.parametrize(
    ("above", "grade", "goes"),
    [(None, "chat", True), (800, "chat", True), (799, "chat", False), (799, "pin", True)],
)
async def test_without_the_pin_no_more_goes_back_on_an_order_than_it_may(
    book: Book, above: int | None, grade: Grade, *, goes: bool
) -> None:
    await book.at("refunded", cents=300, approval=PERSON)
    book.now.passes(days=2)  # on the order itself all of it counts
    await book.at("refunded", "ord_2", 900, approval=PERSON)
    book.now.passes(days=2)
    wish, limits = await book.wants(cents=500), Limits(10_000, above)
    approval = Approval(grade, "terminal", "a person")

    async def send() -> Wish:
        return await book.ledger.begin_send(
            await book.number(), wish, approval, None, [], None, limits, "test 1.0"
        )

    if goes:
        assert (await send()).status == "sending"
    else:
        with pytest.raises(MovedOnError):
            await send()
        assert await book.found(wish) == wish


# The limit of a day


async def test_the_limit_of_a_day_can_be_reached_and_not_passed(book: Book) -> None:
    await book.at("refunded", "ord_1", 600)
    fits, too_much = await book.wants("ord_2", 400), await book.wants("ord_3", 401)

    with pytest.raises(DailyLimitError) as refusal:
        await book.sends(too_much, limit=1000)
    assert refusal.value.spent_in_cents == 600
    assert await book.found(too_much) == too_much

    assert (await book.sends(fits, limit=1000)).status == "sending"
    assert await book.ledger.spent_in_cents() == 1000


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("sending", 500), ("unknown", 500), ("refunded", 500), ("not_recorded", 500),
        ("refused", 500), ("not_sent", 0), ("waiting", 0), ("declined", 0), ("expired", 0),
    ],
)  # fmt: skip
async def test_what_may_have_moved_counts_for_a_day(
    book: Book, status: Status, counts: int
) -> None:
    await book.at(status)

    assert await book.ledger.spent_in_cents() == counts
    book.now.passes(hours=23, minutes=59, seconds=59)
    assert await book.ledger.spent_in_cents() == counts
    book.now.passes(seconds=1)
    assert await book.ledger.spent_in_cents() == 0


async def test_what_was_refused_counts_until_the_order_was_read(book: Book) -> None:
    wish = await book.at("refused")
    assert wish.attempts[0].is_provisional

    read = await book.ledger.count_read(wish.attempts[0], ACTOR)

    assert (read.status, read.attempts[0].is_provisional) == ("refused", False)
    assert await book.ledger.spent_in_cents() == 0


# What becomes of it


@pytest.mark.parametrize("status", get_args(Sent))
async def test_a_status_follows_only_from_those_before_it(book: Book, status: Sent) -> None:
    for to in get_args(Sent):
        wish = await book.at(status, f"ord_{to}")
        trail = await book.trail(wish)
        if to in MAY_FOLLOW.get(status, ()):
            moved = await book.becomes(wish, to)
            assert (moved.status, moved.attempts[0].status) == (to, to)
            assert (await book.trail(wish))[-1][0] == to
            assert (
                moved.attempts[0].number == (await book.ledger.history(wish.refund_id))[-1].number
            )
        elif to != status:
            with pytest.raises(MovedOnError):
                await book.becomes(wish, to)
            assert await book.found(wish) == wish
            assert await book.trail(wish) == trail


async def test_whoever_read_an_earlier_status_changes_nothing(book: Book) -> None:
    wish = await book.at("unknown")
    stale = wish.attempts[0]
    moved = await book.becomes(wish, "refunded")

    for work in (
        book.ledger.move(stale, "not_recorded", "", ACTOR),
        book.ledger.count_read(stale, ACTOR),
        book.ledger.claim(stale, "ref_9", None, [], ACTOR),
        book.ledger.resolve(stale, "not_recorded", None, "", ACTOR),
    ):
        with pytest.raises(MovedOnError):
            await work
    await book.ledger.note_check(stale)
    assert await book.found(wish) == moved


async def test_a_refund_of_clawver_belongs_to_one_attempt_of_its_order(book: Book) -> None:
    one = await book.at("refunded", cents=500)
    two, elsewhere = await book.at("unknown", cents=600), await book.at("unknown", "ord_2")
    assert one.clawver_refund_id

    with pytest.raises(MovedOnError):
        await book.ledger.claim(two.attempts[0], one.clawver_refund_id, None, [], ACTOR)
    assert await book.found(two) == two
    other = await book.ledger.claim(elsewhere.attempts[0], one.clawver_refund_id, None, [], ACTOR)
    assert (other.status, other.clawver_refund_id) == ("refunded", one.clawver_refund_id)


async def test_what_is_known_of_a_refund_is_kept(book: Book) -> None:
    wish = await book.at("refunded")

    assert (wish.clawver_refund_id, wish.stripe_refund_id) == (f"ref_{wish.refund_id}", "re_1")
    assert wish.unexpected_refunds == ("ref_x",)
    await book.ledger.add_unexpected(wish.attempts[0], ["ref_z", "ref_y"], ACTOR)
    assert (await book.found(wish)).unexpected_refunds == ("ref_y", "ref_z")
    assert (await book.trail(wish))[-1] == ("unexpected", 'also listed: ["ref_y", "ref_z"]')


async def test_two_reads_after_the_window_are_believed(book: Book) -> None:
    wish = await book.at("unknown")
    once = await book.ledger.count_read(wish.attempts[0], ACTOR)
    assert (once.status, once.attempts[0].reads_after_window) == ("unknown", 1)
    assert once.attempts[0].last_read == book.now()

    book.now.passes(minutes=1)
    twice = await book.ledger.count_read(once.attempts[0], ACTOR)

    assert (twice.status, twice.is_open) == ("not_recorded", False)
    assert (twice.attempts[0].reads_after_window, twice.attempts[0].last_read) == (2, book.now())
    assert (await book.trail(wish))[-3:] == [
        ("not listed", "after the verification window"),
        ("not listed", "after the verification window"),
        ("not_recorded", "not listed, twice"),
    ]


@pytest.mark.parametrize(
    ("to", "its_own"), [("refunded", "ref_1"), ("refunded", None), ("not_recorded", None)]
)
async def test_a_person_says_what_became_of_it(book: Book, to: Sent, its_own: str | None) -> None:
    wish = await book.at("unknown")
    told = await book.ledger.resolve(wish.attempts[0], to, its_own, "Stripe shows it", ACTOR)

    assert (told.status, told.attempts[0].resolved, told.clawver_refund_id) == (to, True, its_own)
    assert (await book.trail(wish))[-1] == (to, "Stripe shows it")


async def test_what_a_person_said_can_be_claimed_later(book: Book) -> None:
    wish = await book.at("unknown")
    told = await book.ledger.resolve(wish.attempts[0], "refunded", None, "Stripe shows it", ACTOR)
    found = await book.ledger.claim(told.attempts[0], "ref_1", None, [], ACTOR)

    assert (found.status, found.clawver_refund_id, found.attempts[0].resolved) == (
        "refunded", "ref_1", True,
    )  # fmt: skip


async def test_looks_at_a_start_are_counted(book: Book) -> None:
    wish = await book.at("unknown")
    await book.ledger.note_check(wish.attempts[0])
    await book.ledger.note_check((await book.found(wish)).attempts[0])

    (attempt,) = (await book.found(wish)).attempts
    assert (attempt.checks, attempt.last_check) == (2, book.now())


@pytest.mark.parametrize("found", ["unknown", "refunded"])
async def test_an_event_that_was_a_reason_to_look_is_noted_whatever_was_found(
    book: Book, found: Sent
) -> None:
    wish = await book.at("unknown")
    if found == "refunded":
        await book.becomes(wish, "refunded")
    await book.ledger.note_reported(wish.attempts[0], 7, ACTOR)

    assert (await book.found(wish)).attempts[0].reported_event == 7
    assert (await book.trail(wish))[-1] == ("looked because of an event", "evt_7")


async def test_an_earlier_attempt_that_lands_late_is_what_the_wish_is_told_as(book: Book) -> None:
    refused = await book.at("refused")
    again = await book.at("refused")
    landed = await book.ledger.claim(refused.attempts[0], "ref_1", None, [], ACTOR)

    assert [each.status for each in landed.attempts] == ["refunded", "refused"]
    assert again.latest == again.attempts[1]
    assert (landed.status, landed.latest, landed.clawver_refund_id) == (
        "refunded", landed.attempts[0], "ref_1",
    )  # fmt: skip


# The trail


async def test_everything_that_happens_is_written_down(book: Book) -> None:
    wish = await book.wants()
    book.now.passes(seconds=1)
    await book.sends(wish)
    await book.becomes(await book.found(wish), "unknown")
    await book.wants("ord_2")

    history = await book.ledger.history(wish.refund_id)

    assert [event.event for event in history] == ["waiting", "sending", "unknown"]
    assert [event.at for event in history] == [START] + [START + timedelta(seconds=1)] * 2
    assert {(event.process, event.host) for event in history} == {(os.getpid(), platform.node())}
    assert [event.who for event in history] == ["a person", AGENT.who, "a person"]
    assert {event.client for event in history} == {"test 1.0"}
    assert [event.number for event in history] == sorted({event.number for event in history})


# Refunds that were seen


async def test_what_was_seen_of_an_order_is_only_added_to(book: Book) -> None:
    await book.ledger.add_seen("ord_1", [ONE])
    changed = [type(ONE)("ref_1", 1, reason="else", created_at=START), TWO]
    await book.ledger.add_seen("ord_1", changed)
    whole = type(ONE)("ref_2", 900, "re_2", "Torn", START, "sbx_a")
    await book.ledger.add_seen("ord_2", [whole])

    assert await book.ledger.seen("ord_1") == (ONE, TWO)
    assert await book.ledger.seen("ord_2") == (whole,)
    assert await book.ledger.seen("ord_3") == ()


# Forgetting, when a sandbox store starts again


async def test_only_what_was_noted_for_the_sandbox_that_starts_again_is_forgotten(
    book: Book,
) -> None:
    real = await book.at("refunded", "ord_1", 100)
    theirs = [
        await book.at(status, f"ord_{status}", sandbox="sbx_a")
        for status in ("refunded", "sending", "declined", "waiting")
    ]
    await book.ledger.ask(theirs[-1], "form", ACTOR)
    other = await book.at("waiting", cents=200, sandbox="sbx_b")
    for sandbox in ("sbx_a", ""):
        await book.ledger.add_seen("ord_1", [type(ONE)("ref_1", 700, sandbox=sandbox)])
    before = await book.trail(real), await book.trail(other)

    assert book.ledger.forget("sbx_a") == 2

    assert await book.ledger.latest(1000) == (other, real)
    assert (await book.trail(real), await book.trail(other)) == before
    assert [await book.trail(each) for each in theirs] == [[]] * 4
    assert [each.sandbox for each in await book.ledger.seen("ord_1")] == [""]
    assert book.ledger.forget(None) == 1
    assert await book.ledger.latest(1000) == (real,)
    with book.ledger.read_or_empty() as rows:
        assert rows.connection.execute("SELECT * FROM question").fetchall() == []


@IN_A_FILE
def test_nothing_is_forgotten_where_nothing_was_noted(book: Book) -> None:
    assert book.ledger.forget(None) == 0
    assert not book.path.parent.exists()


# Several processes


async def race(
    book: Book, another: Start, wishes: Sequence[Wish], limit: int = 10_000
) -> list[str]:
    """Two processes that read the records before either of them sends, and what becomes of them."""
    code = "print(anyio.run(send, sys.argv[2], int(sys.argv[3])), flush=True)"
    both = [
        another(code, book.path, wish.refund_id, limit, before=book.elsewhere + IN_A_PROCESS)
        for wish in wishes
    ]
    assert [each.hear() for each in both] == ["ready", "ready"]
    for each in both:
        each.go_on()
    return sorted(each.hear() for each in both)


async def test_two_processes_cannot_both_fit_under_the_limit(book: Book, another: Start) -> None:
    wishes = [await book.wants("ord_1", 600), await book.wants("ord_2", 600)]

    assert await race(book, another, wishes, 1000) == ["limit at 600", "sending"]


async def test_two_processes_cannot_both_refund_an_order(book: Book, another: Start) -> None:
    wishes = [await book.wants(cents=500), await book.wants(cents=600)]

    assert await race(book, another, wishes) == ["moved on", "sending"]


async def test_the_same_wish_is_sent_by_one_of_two_processes(book: Book, another: Start) -> None:
    wish = await book.wants()

    assert await race(book, another, [wish, wish]) == ["moved on", "sending"]
    assert [event for event, _ in await book.trail(wish)] == ["waiting", "sending"]


async def test_a_process_that_is_killed_before_its_commit_has_let_nothing_go(
    book: Book, another: Start
) -> None:
    wish = await book.wants()
    process = another(
        """
decide = module.decide
def stop_here(*values):
    decide(*values)
    meet("decided, not committed")
module.decide = stop_here
anyio.run(send, sys.argv[2])
""",
        book.path,
        wish.refund_id,
        before=book.elsewhere + IN_A_PROCESS,
    )
    assert process.hear() == "ready"
    process.go_on()
    assert process.hear() == "decided, not committed"
    process.kill()

    assert await book.found(wish) == wish
    assert [event for event, _ in await book.trail(wish)] == ["waiting"]
    assert (await book.sends(wish)).status == "sending"


async def test_a_refund_of_nothing_is_never_seen(book: Book) -> None:
    with (
        pytest.raises(ConstraintError, match=r"> 0|amount_in_cents_check"),
        book.ledger.transaction() as rows,
    ):
        rows.connection.execute(
            "INSERT INTO seen_refund (order_id, sandbox, clawver_refund_id, amount_in_cents)"
            " VALUES ('ord_1', '', 'ref_1', 0)"
        )


@IN_A_FILE
async def test_the_file_is_made_for_this_user_alone(book: Book, tmp_path: Path) -> None:
    await book.wants()

    made = {each.name: each.stat().st_mode & 0o777 for each in book.path.parent.iterdir()}
    endings = ("sqlite3", "made", "number", "checked")
    assert made == {f"ledger.{ending}": 0o600 for ending in endings}


@pytest.mark.parametrize("status", ["sending", "unknown", "refunded", "not_recorded"])
async def test_less_is_not_sent_instead_of_what_may_have_been_paid(
    book: Book, status: Status
) -> None:
    whole = await book.at(status)
    less = await book.wants("ord_1", 300)

    with pytest.raises(MovedOnError):
        await book.sends(less, IN_TERMINAL, instead_of=whole.refund_id)

    assert (await book.found(less)).attempts == ()
    assert (await book.found(whole)).status == status


async def test_a_persons_no_declines_with_its_answer(book: Book) -> None:
    wish = await book.wants()
    number = await book.ledger.ask(wish, "form", ACTOR)

    worth = await book.ledger.answer(wish.refund_id, number, Reply.NO, 5.0, PERSON, "host 1")

    assert (worth, (await book.found(wish)).status) == (Reply.NO, "declined")


async def test_another_reason_after_a_question_is_another_revision(book: Book) -> None:
    wish = await book.wants()
    assert (await book.wants(reason="Never asked about")).revision == wish.revision
    await book.ledger.ask(await book.found(wish), "form", ACTOR)

    assert (await book.wants(reason="Asked about the other one")).revision == 2
