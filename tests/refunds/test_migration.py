"""A ledger of an earlier version is carried over whole: no refund is lost, and no approval is made up."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import get_args

import pytest
from tests.processes import Start
from tests.refunds.book import ACTOR, ONE, START, Book
from tests.refunds.old_ledger import OldLedger, State

from clawver_orders.errors import SetupError
from clawver_orders.instants import Instant
from clawver_orders.refunds.ledger import DailyLimitError
from clawver_orders.refunds.ledger_schema import SCHEMA
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.matching import doubts_of
from clawver_orders.refunds.records import Looks, Status, Wish
from clawver_orders.storage.database import ConstraintError

IN_A_PROCESS = """
import sys
import anyio
from pathlib import Path
from datetime import UTC, datetime
from clawver_orders.instants import Instant
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.storage import sqlite
ledger = Ledger(Path(sys.argv[1]), lambda: Instant(datetime(2026, 11, 24, 12, tzinfo=UTC), 1000.0, "b"))
def meet(line):
    print(line, flush=True)
    sys.stdin.readline()
"""
BECOMES: dict[State, Status] = {
    "previewed": "expired", "sending": "unknown", "confirmed": "refunded", "failed": "refused",
    "unknown": "unknown", "absent": "not_recorded", "declined": "declined", "expired": "expired",
}  # fmt: skip


@pytest.fixture
def engine() -> str:
    """All of this is about the file."""
    return "sqlite"


@pytest.fixture(params=[1, 2])
def old(book: Book, request: pytest.FixtureRequest) -> OldLedger:
    """What the ledger of the book was before."""
    return OldLedger(book.path, request.param)


@pytest.fixture
def second(book: Book) -> OldLedger:
    return OldLedger(book.path, 2)


async def by_id(book: Book, refund_id: str) -> Wish:
    found = await book.ledger.find(refund_id)
    assert found is not None
    return found


async def test_every_state_becomes_what_it_meant(book: Book, old: OldLedger) -> None:
    ids = {state: old.has(f"ord_{state}", state) for state in get_args(State)}

    wishes = {state: await by_id(book, ids[state]) for state in get_args(State)}

    assert {state: wish.status for state, wish in wishes.items()} == BECOMES
    assert {wish.refund_id: wish.revision for wish in wishes.values()} == dict.fromkeys(
        ids.values(), 1
    )
    assert {wish.refund_id for wish in await book.ledger.all_open()} == {
        ids["sending"],
        ids["unknown"],
    }
    with closing(sqlite3.connect(book.path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA.version,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_what_is_known_of_a_refund_is_kept(book: Book, old: OldLedger) -> None:
    refund_id = old.has(
        "ord_1", "confirmed", 700, "Torn", ["ref_b", "ref_a"], surplus=["ref_8", "ref_9"],
        needs_person=True,
    )  # fmt: skip

    wish = await by_id(book, refund_id)
    (attempt,) = wish.attempts
    sent_at = START - timedelta(seconds=600) + timedelta(seconds=1 + 5)

    assert (wish.order_id, wish.amount_in_cents, wish.reason) == ("ord_1", 700, "Torn")
    assert (wish.in_addition_to, wish.sandbox) == (("ref_a", "ref_b"), "")
    assert (wish.shown, wish.grade_needed) == ('["paid"]', "chat")
    assert (wish.clawver_refund_id, wish.stripe_refund_id) == ("ref_1", "re_1")
    assert wish.unexpected_refunds == ("ref_8", "ref_9")
    assert (attempt.amount_in_cents, attempt.reason) == (700, "Torn")
    assert attempt.refunds_before == {"ref_0"}
    assert attempt.sent == Instant(sent_at, 9e6, "")
    assert (attempt.sent_by_server, attempt.reads_after_window, attempt.resolved) == (
        None,
        0,
        False,
    )


async def test_what_never_left_is_told_from_what_clawver_refused(
    book: Book, old: OldLedger
) -> None:
    left = old.has("ord_1", "failed", why="it never left")
    refused = old.has("ord_2", "failed", why="Clawver refused")

    assert (await by_id(book, left)).status == "not_sent"
    assert (await by_id(book, refused)).status == "refused"
    assert (await book.trail(await by_id(book, left)))[-1] == ("not_sent", "it never left")
    assert (await book.trail(await by_id(book, refused)))[-1] == ("refused", "Clawver refused")


async def test_no_approval_is_carried_over(book: Book, old: OldLedger) -> None:
    for state in get_args(State):
        old.has(f"ord_{state}", state)

    decided = [decision for wish in await book.ledger.latest(1000) for decision in wish.decisions]
    assert [(d.verdict, d.refund_id) for d in decided] == [("decline", f"rfi_{7:016x}")]


async def test_what_waited_is_sent_only_when_it_was_shown_again(book: Book, old: OldLedger) -> None:
    wish = await by_id(book, old.has("ord_1", "previewed"))

    with pytest.raises(MovedOnError):
        await book.sends(wish)
    again = await book.wants(shown=wish.shown)
    assert (again.refund_id, again.revision, again.status) == (wish.refund_id, 2, "waiting")
    assert (await book.sends(again)).status == "sending"


@pytest.mark.parametrize("state", ["sending", "unknown"])
async def test_an_order_whose_refund_was_open_lets_no_other_go(
    book: Book, old: OldLedger, state: State
) -> None:
    opened = old.has("ord_1", state)
    wish = await book.wants(cents=600)

    with pytest.raises(MovedOnError):
        await book.sends(wish)
    attempt = (await by_id(book, opened)).attempts[-1]
    await book.ledger.claim(attempt, "ref_1", None, [], ACTOR)
    assert (await book.sends(wish)).status == "sending"


async def test_a_refund_that_lands_late_still_finds_its_own(book: Book, old: OldLedger) -> None:
    for refund_id in [old.has("ord_1", "absent"), old.has("ord_2", "failed")]:
        attempt = (await by_id(book, refund_id)).attempts[-1]
        landed = await book.ledger.claim(attempt, "ref_1", None, [], ACTOR)
        assert (landed.status, landed.clawver_refund_id) == ("refunded", "ref_1")


# Declines


@pytest.mark.parametrize(
    ("who", "grade", "channel"),
    [("person by elicitation", "chat", "form"), ("person in the terminal", "console", "terminal")],
)
async def test_a_decline_is_a_decision(
    book: Book, old: OldLedger, who: str, grade: str, channel: str
) -> None:
    wish = await by_id(book, old.has("ord_1", "declined", who=who))

    (decision,) = wish.decisions
    assert (decision.verdict, decision.revision) == ("decline", wish.revision)
    assert (decision.grade, decision.channel, decision.who) == (grade, channel, who)
    assert decision.client == "host 1"
    assert decision.made == Instant(START - timedelta(seconds=600 - 1 - 5), 0.0, "")


async def test_a_decline_counts_for_a_day(book: Book, old: OldLedger) -> None:
    old.has("ord_1", "declined")
    old.has("ord_2", "declined", days_ago=1)

    for order_id, kinds in (("ord_1", ["declined"]), ("ord_2", [])):
        doubts = doubts_of(await book.ledger.of_order(order_id), book.now(), 900.0)
        assert [doubt.kind for doubt in doubts] == kinds


@pytest.mark.parametrize("state", ["sending", "confirmed", "failed", "absent"])
async def test_a_decline_of_what_was_sent_is_kept_and_changes_nothing_else(
    book: Book, old: OldLedger, state: State
) -> None:
    refund_id = old.has("ord_1", state)
    for seconds in (200.0, 100.0):
        old.note(refund_id, "declined", state, START.timestamp() - seconds)

    wish = await by_id(book, refund_id)

    assert wish.status == ("declined" if state == "failed" else BECOMES[state])
    assert [each.status for each in wish.attempts] == [BECOMES[state]]
    (decision,) = wish.decisions
    assert decision.made.at == START - timedelta(seconds=100)


# Several intents of what is one wish now


async def test_intents_of_one_key_become_one_wish_with_an_attempt_for_each_sending(
    book: Book, old: OldLedger
) -> None:
    refused = old.has("ord_1", "failed", reason="Torn", why="Clawver refused")
    declined = old.has("ord_1", "declined", reason="Torn, she says")
    left = old.has("ord_1", "failed", reason="Ripped", why="it never left")
    lost = old.has("ord_1", "unknown", reason="Ripped, see photo")
    expired = old.has("ord_1", "expired", reason="Once more")

    (wish,) = (await book.ledger.of_order("ord_1")).wishes

    assert (wish.refund_id, wish.status, wish.reason) == (lost, "unknown", "Ripped, see photo")
    assert [(each.status, each.reason) for each in wish.attempts] == [
        ("refused", "Torn"), ("not_sent", "Ripped"), ("unknown", "Ripped, see photo"),
    ]  # fmt: skip
    assert wish.attempts[-1].revision == wish.revision == 5
    assert [(d.verdict, d.revision) for d in wish.decisions] == [("decline", 2)]
    for former in (refused, declined, left, expired):
        assert await by_id(book, former) == wish
    landed = await book.ledger.claim(wish.attempts[0], "ref_1", None, [], ACTOR)
    assert [each.status for each in landed.attempts] == ["refunded", "not_sent", "unknown"]


async def test_where_nothing_was_sent_the_newest_intent_stands(book: Book, old: OldLedger) -> None:
    first = old.has("ord_1", "declined", reason="Torn")
    last = old.has("ord_1", "previewed", reason="Ripped")

    (wish,) = (await book.ledger.of_order("ord_1")).wishes

    assert (wish.refund_id, wish.reason, wish.status, wish.revision) == (
        last,
        "Ripped",
        "expired",
        2,
    )
    assert await by_id(book, first) == wish
    assert [
        doubt.kind for doubt in doubts_of(await book.ledger.of_order("ord_1"), book.now(), 9)
    ] == ["declined"]


async def test_one_that_is_refunded_stands_before_one_that_was_refused_later(
    book: Book, old: OldLedger
) -> None:
    """It was refused, wanted again, and landed late."""
    landed = old.has("ord_1", "confirmed")
    old.has("ord_1", "failed")

    (wish,) = (await book.ledger.of_order("ord_1")).wishes

    assert (wish.refund_id, wish.status) == (landed, "refunded")
    with pytest.raises(MovedOnError):
        await book.wants()


async def test_what_comes_on_top_of_others_is_a_wish_of_its_own(book: Book, old: OldLedger) -> None:
    first = old.has("ord_1", "absent")
    further = old.has("ord_1", "confirmed", named=[first])
    other = old.has("ord_1", "previewed", cents=600)

    wishes = (await book.ledger.of_order("ord_1")).wishes

    assert [(w.refund_id, w.in_addition_to, w.status) for w in wishes] == [
        (first, (), "not_recorded"), (further, (first,), "refunded"), (other, (), "expired"),
    ]  # fmt: skip


async def test_what_was_noted_for_a_sandbox_stays_that(book: Book, second: OldLedger) -> None:
    real = second.has("ord_1", "confirmed")
    theirs = second.has("ord_1", "failed", sandbox="sbx_a")
    former = second.has("ord_2", "expired", sandbox="sbx_a")
    second.has("ord_2", "declined", sandbox="sbx_a")
    with closing(second.open()) as connection:
        connection.execute("INSERT INTO seen_refund VALUES ('ord_1', '', 'ref_1', 700, 're_1')")
        connection.execute("INSERT INTO seen_refund VALUES ('ord_1', 'sbx_a', 'ref_2', 900, NULL)")

    seen = await book.ledger.seen("ord_1")
    assert [(s.clawver_refund_id, s.amount_in_cents, s.sandbox) for s in seen] == [
        ("ref_1", 700, ""), ("ref_2", 900, "sbx_a"),
    ]  # fmt: skip
    assert seen[0] == ONE
    assert (await by_id(book, theirs)).sandbox == "sbx_a"
    assert book.ledger.forget("sbx_a") == 1
    assert [wish.refund_id for wish in await book.ledger.latest(1000)] == [real]
    assert await book.ledger.find(former) is None
    assert await book.ledger.seen("ord_1") == (ONE,)


# The history, and the day's limit


async def test_the_whole_history_is_kept(book: Book, old: OldLedger) -> None:
    for state in get_args(State):
        old.has(f"ord_{state}", state)
        old.has("ord_1", state if state not in {"sending", "confirmed"} else "expired")
    with closing(old.open()) as connection:
        before = connection.execute(
            "SELECT number, at, process, who, client, detail FROM history ORDER BY number"
        ).fetchall()

    wishes = await book.ledger.latest(1000)
    lines = [line for wish in wishes for line in await book.ledger.history(wish.refund_id)]

    assert (
        sorted((e.number, e.at.timestamp(), e.process, e.who, e.client, e.detail) for e in lines)
        == before
    )
    assert {e.host for e in lines} == {""}
    assert {e.event for e in lines} == {
        "waiting", "sending", "unknown", "refunded", "not_recorded", "refused", "declined", "expired",
    }  # fmt: skip
    last = await book.number("ord_new")
    await book.wants("ord_new")
    assert (last, await book.number("ord_new")) == (0, before[-1][0] + 1)


async def test_other_lines_of_the_history_keep_their_words(book: Book, old: OldLedger) -> None:
    refund_id = old.has("ord_1", "confirmed")
    old.note(refund_id, "surplus", "confirmed", 0.0, detail="also listed: ref_9")
    old.note(refund_id, "asked", "confirmed", 0.0, detail="question 4")

    assert (await book.trail(await by_id(book, refund_id)))[-2:] == [
        ("unexpected", "also listed: ref_9"), ("asked", "question 4"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("sending", 500), ("unknown", 500), ("confirmed", 500), ("absent", 500), ("failed", 500),
        ("previewed", 0), ("declined", 0), ("expired", 0),
    ],
)  # fmt: skip
async def test_what_was_sent_still_counts_for_its_day(
    book: Book, old: OldLedger, state: State, counts: int
) -> None:
    old.has("ord_1", state)
    old.has("ord_2", "failed", why="it never left")
    old.has("ord_3", "confirmed", days_ago=1)

    assert await book.ledger.spent_in_cents() == counts
    wish = await book.wants("ord_4", 600)
    if counts:
        with pytest.raises(DailyLimitError):
            await book.sends(wish, limit=1000)
    else:
        await book.sends(wish, limit=1000)


async def test_the_rules_of_the_file_hold_for_what_was_carried_over(
    book: Book, old: OldLedger
) -> None:
    refund_id = old.has("ord_1", "confirmed")
    old.has("ord_2", "declined")
    await by_id(book, refund_id)

    with closing(sqlite3.connect(book.path)) as connection:
        for work in (
            "DELETE FROM attempt", "DELETE FROM wish", "DELETE FROM decision", "DELETE FROM history",
            "UPDATE attempt SET status = 'unknown'", "UPDATE decision SET verdict = 'approve'",
        ):  # fmt: skip
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(work)


# Files that no version wrote


async def test_whatever_may_have_been_sent_is_carried_over(book: Book, old: OldLedger) -> None:
    """Nothing in the old file kept a hand from leaving these out."""
    refund_id = old.has("ord_1", "sending", is_noted=False)
    with closing(old.open()) as connection:
        connection.execute("UPDATE intent SET sent_at = NULL, sent_uptime = NULL")

    wish = await by_id(book, refund_id)

    assert (wish.status, wish.attempts[0].sent.at) == ("unknown", wish.created_at)


async def test_wishes_of_the_version_before_keep_their_order(book: Book) -> None:
    """They had no number of their own, and the file kept that of the last line of history itself."""
    before = OldLedger(book.path, 6)
    with closing(before.open()) as connection:
        for n in (3, 1, 2):
            connection.execute(
                "INSERT INTO wish VALUES (?, 'ord_1', ?, '[]', '', '', 1, 'agent', '', ?, ?)",
                (f"rfi_{n}", n, n, f'[{START.timestamp()}, {n}, ""]'),
            )
            connection.execute(
                "INSERT INTO history (number, refund_id, order_id, at, process, event, who, client,"
                " detail) VALUES (?, ?, 'ord_1', 0, 0, 'waiting', '', '', '')",
                (n * 100, f"rfi_{n}"),
            )

    assert [wish.refund_id for wish in await book.ledger.latest(9)] == ["rfi_2", "rfi_1", "rfi_3"]
    assert await book.ledger.waiting() == await book.ledger.latest(9)
    await book.wants(cents=4)
    assert await book.number() == 301


async def test_the_version_before_leaves_no_look_and_what_it_sent_and_restored_is_seen_from_now(
    book: Book,
) -> None:
    """It noted only which start of a machine wrote last."""
    before = OldLedger(book.path, 7)
    with closing(before.open()) as connection:
        connection.executescript(
            f"""
INSERT INTO boot (boot, at, uptime) VALUES ('this start', {START.timestamp()}, 5.0);
INSERT INTO restored (noticed) VALUES ('[{START.timestamp()}, 1.0, "another"]');
INSERT INTO wish VALUES ('rfi_1', 'ord_1', 500, '[]', '', '', 1, 'agent', '', 0, '[0.0, 0.0, ""]', 0, 1);
INSERT INTO attempt (refund_id, revision, order_id, amount_in_cents, reason, refunds_before, sent_at,
    sent_uptime, sent_boot, status, number) VALUES ('rfi_1', 1, 'ord_1', 500, '', '[]',
    {START.timestamp()}, 1.0, 'another', 'unknown', 3);
INSERT INTO history (number, refund_id, order_id, at, process, event, who, client, detail)
    VALUES (3, 'rfi_1', 'ord_1', 0, 1, 'unknown', '', '', '');
UPDATE last_line SET number = 4;
"""  # noqa: S608  # words of this test
        )

    records = await book.ledger.of_order("ord_1")

    assert records.looks == Looks(((4, book.now()),))
    assert (records.attempts[0].sent_number, records.restored_number) == (3, 4)
    assert records.restored == Instant(START, 1.0, "another")
    assert [line.host for line in await book.ledger.history("rfi_1")] == [""]
    with book.ledger.read_or_empty() as rows, pytest.raises(ConstraintError):
        rows.connection.execute("UPDATE attempt SET sent_number = 4")


# When it is carried over


async def test_looking_is_enough(book: Book, old: OldLedger) -> None:
    lost = old.has("ord_1", "unknown")

    assert [wish.refund_id for wish in await book.ledger.all_open()] == [lost]


def test_a_newer_file_is_left_alone(book: Book, second: OldLedger) -> None:
    second.has("ord_1", "unknown")
    with closing(second.open()) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA.version + 1}")
    before = second.dump()

    with pytest.raises(SetupError, match="was written by a newer version"):
        book.ledger.prove()

    assert second.dump() == before


@pytest.mark.parametrize(
    "at", ["CREATE TABLE look", "DROP TABLE intent", "TRIGGER seen_refunds_are_not_replaced"]
)
async def test_a_migration_that_is_interrupted_leaves_the_old_file_whole(
    book: Book, old: OldLedger, another: Start, at: str
) -> None:
    lost = old.has("ord_1", "unknown")
    old.has("ord_2", "declined")
    before = old.dump()
    process = another(
        """
statements = sqlite._statements
def stopping(step):
    for statement in statements(step):
        yield statement
        if sys.argv[2] in statement:
            meet("half of it")
sqlite._statements = stopping
ledger.prove()
""",
        book.path,
        at,
        before=IN_A_PROCESS,
    )
    assert process.hear() == "half of it"
    process.kill()

    assert old.dump() == before
    with closing(old.open()) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (old.version,)
    assert (await by_id(book, lost)).status == "unknown"


async def test_two_processes_carry_it_over_once(
    book: Book, second: OldLedger, another: Start
) -> None:
    lost = second.has("ord_1", "unknown")
    for number in range(300):
        second.has(f"ord_x{number % 60}", "expired")
    lines = len([line for line in second.dump() if 'INTO "history"' in line])
    code = """
meet("ready")
wish = anyio.run(ledger.find, sys.argv[2])
print(wish.status, len(anyio.run(ledger.latest, 1000)), flush=True)
"""
    both = [another(code, book.path, lost, before=IN_A_PROCESS) for _ in range(2)]
    assert [each.hear() for each in both] == ["ready", "ready"]
    for each in both:
        each.go_on()

    assert [each.hear() for each in both] == ["unknown 61", "unknown 61"]
    with closing(sqlite3.connect(book.path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM history").fetchone() == (lines,)


async def test_what_was_refused_goes_on_as_any_other(book: Book, old: OldLedger) -> None:
    old.has("ord_1", "failed")

    sent = await book.sends(await book.wants())

    assert [each.status for each in sent.attempts] == ["refused", "sending"]
