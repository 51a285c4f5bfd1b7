"""What the ledger's file itself refuses, to whoever works on it past all doors."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import product
from typing import get_args

import pytest
from tests.refunds.book import AGENT, ONE, PERSON, TWO, Book

from clawver_orders.caller import GRADES, Grade
from clawver_orders.errors import SetupError
from clawver_orders.refunds.records import OPEN, Sent, Wish

VERBS = ("INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE")
EDITS = ("UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE")
ATTEMPT = {
    "refund_id": "", "revision": 1, "order_id": "ord_1", "amount_in_cents": 500, "reason": "Torn",
    "refunds_before": "[]", "sent_at": 0.0, "sent_uptime": 0.0, "sent_boot": "", "status": "sending",
    "sent_number": 98, "number": 99,
}  # fmt: skip
DECISION = {
    "subject": "", "revision": 1, "verdict": "approve", "grade": "pin", "channel": "", "who": "",
    "client": "", "made": '[0.0, 0.0, ""]' , "number": 99,
}  # fmt: skip


@pytest.fixture
def engine() -> str:
    """All of this is about the file."""
    return "sqlite"


@pytest.fixture
async def by_hand(book: Book) -> Iterator[sqlite3.Connection]:  # type: ignore[misc]  # async
    """Somebody who works on the file with another program, which knows nothing of ours."""
    await book.wants("ord_of_hand")
    with closing(sqlite3.connect(book.path, isolation_level=None)) as connection:
        yield connection


def add(
    by_hand: sqlite3.Connection, table: str, row: dict[str, object], verb: str = VERBS[0]
) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    by_hand.execute(f"{verb} INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def attempt(wish: Wish, **changed: object) -> dict[str, object]:
    own = {"refund_id": wish.refund_id, "revision": wish.revision, "order_id": wish.order_id,
           "amount_in_cents": wish.amount_in_cents}  # fmt: skip
    return ATTEMPT | own | changed


def decision(wish: Wish, **changed: object) -> dict[str, object]:
    return DECISION | {"subject": wish.refund_id, "revision": wish.revision} | changed


def refused(
    by_hand: sqlite3.Connection, work: Callable[[], object], why: str | None = None
) -> None:
    """The file refuses it, and is as it was."""
    before = list(by_hand.iterdump())
    with pytest.raises(sqlite3.IntegrityError, match=why):
        work()
    assert list(by_hand.iterdump()) == before


@contextmanager
def undone(by_hand: sqlite3.Connection) -> Iterator[None]:
    """Try something, and take it back."""
    by_hand.execute("BEGIN")
    yield
    by_hand.execute("ROLLBACK")


# Attempts


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", OPEN)
async def test_an_order_has_one_open_attempt(
    book: Book, by_hand: sqlite3.Connection, status: Sent, verb: str
) -> None:
    await book.at(status)
    other = await book.wants(cents=600)
    add(by_hand, "decision", decision(other))

    refused(
        by_hand, partial(add, by_hand, "attempt", attempt(other), verb), "may have moved already"
    )


async def test_the_index_alone_keeps_an_order_to_one_open_attempt(
    book: Book, by_hand: sqlite3.Connection
) -> None:
    await book.at("unknown")
    other = await book.wants(cents=600)
    add(by_hand, "decision", decision(other))
    by_hand.execute("DROP TRIGGER attempts_are_not_replaced")

    refused(by_hand, partial(add, by_hand, "attempt", attempt(other)), "UNIQUE.*order_id")


async def test_another_order_can_have_one_too(book: Book, by_hand: sqlite3.Connection) -> None:
    await book.at("sending")
    other = await book.wants("ord_2")
    add(by_hand, "decision", decision(other))
    add(by_hand, "attempt", attempt(other))

    assert len(await book.ledger.all_open()) == 2


@pytest.mark.parametrize("verb", VERBS)
async def test_a_revision_is_sent_once(book: Book, by_hand: sqlite3.Connection, verb: str) -> None:
    for status in ("refused", "not_sent"):
        sent = await book.at(status, f"ord_{status}")
        refused(by_hand, partial(add, by_hand, "attempt", attempt(sent), verb), "moved already")
    by_hand.execute("DROP TRIGGER attempts_are_not_replaced")
    refused(by_hand, partial(add, by_hand, "attempt", attempt(sent)), "UNIQUE.*revision")


@pytest.mark.parametrize("status", ["refunded", "not_recorded"])
async def test_a_refund_whose_money_may_have_moved_is_not_sent_again(
    book: Book, by_hand: sqlite3.Connection, status: Sent
) -> None:
    sent = await book.at(status)
    by_hand.execute("UPDATE wish SET revision = 2 WHERE order_id = 'ord_1'")
    again = await book.found(sent)
    add(by_hand, "decision", decision(again))

    refused(by_hand, partial(add, by_hand, "attempt", attempt(again)), "moved already")


@pytest.mark.parametrize("status", ["refused", "not_sent"])
async def test_a_refund_whose_money_did_not_move_can_be_sent_again(
    book: Book, by_hand: sqlite3.Connection, status: Sent
) -> None:
    sent = await book.at(status)
    by_hand.execute("UPDATE wish SET revision = 2 WHERE order_id = 'ord_1'")
    add(by_hand, "decision", decision(await book.found(sent)))
    add(by_hand, "attempt", attempt(await book.found(sent)))

    assert [each.status for each in (await book.found(sent)).attempts] == [status, "sending"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("verdict", ["decline", None])
async def test_nothing_is_sent_without_an_approval(
    book: Book, by_hand: sqlite3.Connection, verdict: str | None, verb: str
) -> None:
    wish = await book.wants()
    if verdict:
        add(by_hand, "decision", decision(wish, verdict=verdict))

    refused(by_hand, partial(add, by_hand, "attempt", attempt(wish), verb), "without a decision")


@pytest.mark.parametrize("needed", GRADES)
async def test_nothing_is_sent_with_less_than_the_grade_needed(
    book: Book, by_hand: sqlite3.Connection, needed: Grade
) -> None:
    wish = await book.wants(needed=needed)
    row = attempt(wish)

    for given in ("setting", "agent", "chat", "console", "pin"):  # from the least to the most
        with undone(by_hand):
            add(by_hand, "decision", decision(wish, grade=given))
            if GRADES.index(given) < GRADES.index(needed):
                refused(by_hand, partial(add, by_hand, "attempt", row), "without a decision")
            else:
                add(by_hand, "attempt", row)
    assert GRADES == ("setting", "agent", "chat", "console", "pin")


async def test_nothing_is_sent_on_the_approval_of_what_was_shown_before(
    book: Book, by_hand: sqlite3.Connection
) -> None:
    before = await book.wants()
    add(by_hand, "decision", decision(before))
    current = await book.wants(shown="partially refunded")

    for wish in (before, current):
        refused(by_hand, partial(add, by_hand, "attempt", attempt(wish)), "without a decision")


@pytest.mark.parametrize(
    "changed",
    [
        {"order_id": "ord_2"}, {"amount_in_cents": 501}, {"refund_id": "rfi_unknown"},
        {"status": "refunded"}, {"status": "unknown"}, {"status": "not_sent"}, {"revision": 2},
    ],
)  # fmt: skip
async def test_what_is_sent_is_what_was_approved(
    book: Book, by_hand: sqlite3.Connection, changed: dict[str, object]
) -> None:
    wish = await book.wants()
    add(by_hand, "decision", decision(wish))

    row = attempt(wish, **changed)
    refused(by_hand, partial(add, by_hand, "attempt", row), "without a decision")


FOLLOWS = {
    "sending": {"unknown", "refunded", "refused", "not_sent"},
    "unknown": {"refunded", "not_recorded"},
    "not_recorded": {"refunded"},
    "refused": {"refunded"},
    "refunded": set(),
    "not_sent": set(),
}


@pytest.mark.parametrize("status", get_args(Sent))
async def test_a_status_follows_only_from_those_before_it(
    book: Book, by_hand: sqlite3.Connection, status: Sent
) -> None:
    await book.at(status)

    for edit, to in product(EDITS, get_args(Sent)):
        work = partial(by_hand.execute, f"{edit} attempt SET status = ?", (to,))
        with undone(by_hand):
            if to == status or to in FOLLOWS[status]:
                work()
            else:
                refused(by_hand, work, "cannot follow")


@pytest.mark.parametrize("edit", EDITS)
async def test_a_refund_of_clawver_belongs_to_one_attempt_of_its_order(
    book: Book, by_hand: sqlite3.Connection, edit: str
) -> None:
    first = await book.at("refunded", cents=500)
    second = await book.at("unknown", cents=600)
    elsewhere = await book.at("unknown", "ord_2")
    claim = f"{edit} attempt SET status = 'refunded', clawver_refund_id = ? WHERE refund_id = ?"

    def work() -> None:
        by_hand.execute(claim, (first.clawver_refund_id, second.refund_id))

    refused(by_hand, work, "a claim is kept")
    by_hand.execute(
        claim, (first.clawver_refund_id, elsewhere.refund_id)
    )  # ids are the order's own
    if edit == "UPDATE":
        by_hand.execute("DROP TRIGGER claims_are_kept")
        refused(by_hand, work, "UNIQUE.*clawver_refund_id")


SETS = (
    "refund_id = 'rfi_other'", "revision = 2", "order_id = 'ord_9'", "amount_in_cents = 1",
    "reason = 'Changed'", "refunds_before = '[]'", "sent_at = 0.5", "sent_uptime = 0.5",
    "sent_boot = 'other'", "sent_number = 99", "sent_by_server = NULL", "id = id + 50", "rowid = rowid + 50",
    "clawver_refund_id = 'ref_other'", "clawver_refund_id = NULL", "reads_after_window = 0",
    "resolved = 0", "number = number - 1", "amount_in_cents = 'much'", "status = 'else'",
)  # fmt: skip


async def test_an_attempt_stays_what_it_is(book: Book, by_hand: sqlite3.Connection) -> None:
    await book.at("refunded")
    by_hand.execute("UPDATE attempt SET reads_after_window = 1, resolved = 1")

    for edit, sets in product(EDITS, SETS):
        refused(by_hand, partial(by_hand.execute, f"{edit} attempt SET {sets}"))


async def test_no_attempt_is_put_in_the_place_of_another(
    book: Book, by_hand: sqlite3.Connection
) -> None:
    await book.at("unknown")
    await book.at("sending", "ord_2")
    other = await book.wants("ord_3")
    add(by_hand, "decision", decision(other))

    for name in ("id", "rowid"):
        work = f"UPDATE OR REPLACE attempt SET {name} = 1 WHERE order_id = 'ord_2'"  # noqa: S608  # words of this test
        refused(by_hand, partial(by_hand.execute, work), "stays what it is")
        row = attempt(other) | {name: 1}
        refused(
            by_hand, partial(add, by_hand, "attempt", row, "INSERT OR REPLACE"), "moved already"
        )


async def test_only_what_clawver_lists_is_claimed(book: Book, by_hand: sqlite3.Connection) -> None:
    await book.at("unknown")

    claim = "UPDATE attempt SET clawver_refund_id = 'ref_1'"
    refused(by_hand, partial(by_hand.execute, claim), "CHECK")


# Decisions


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("verdict", ["approve", "decline"])
async def test_a_revision_is_decided_once(
    book: Book, by_hand: sqlite3.Connection, verdict: str, verb: str
) -> None:
    wish = await book.at("declined")

    row = decision(wish, verdict=verdict)
    refused(by_hand, partial(add, by_hand, "decision", row, verb), "a decision is kept")
    if verb == "INSERT":
        by_hand.execute("DROP TRIGGER decisions_are_final")
        refused(by_hand, partial(add, by_hand, "decision", row), "UNIQUE")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("revision", [0, 1, 3])
async def test_only_what_is_current_is_decided(
    book: Book, by_hand: sqlite3.Connection, revision: int, verb: str
) -> None:
    await book.wants()
    wish = await book.wants(shown="partially refunded")
    assert wish.revision == 2

    row = decision(wish, revision=revision)
    refused(by_hand, partial(add, by_hand, "decision", row, verb), "no longer shown")


@pytest.mark.parametrize(
    "changed", [{"subject": "rfi_unknown"}, {"verdict": "perhaps"}, {"grade": "friend"}]
)
async def test_a_decision_makes_sense(
    book: Book, by_hand: sqlite3.Connection, changed: dict[str, object]
) -> None:
    wish = await book.wants()

    refused(by_hand, partial(add, by_hand, "decision", decision(wish, **changed)))


# What was noted


@pytest.mark.parametrize(
    "work",
    [
        "DELETE FROM history", "UPDATE history SET who = 'nobody'", "UPDATE history SET at = 0",
        "UPDATE OR REPLACE history SET number = 1 WHERE number = 2",
        "DELETE FROM decision", "UPDATE decision SET verdict = 'approve'",
        "UPDATE decision SET grade = 'pin'", "UPDATE OR REPLACE decision SET revision = 1",
        "DELETE FROM attempt", "UPDATE attempt SET resolved = 2", "DELETE FROM wish",
        "DELETE FROM seen_refund", "UPDATE seen_refund SET amount_in_cents = 1",
        "UPDATE seen_refund SET sandbox = 'sbx_a'",
        "UPDATE wish SET order_id = 'ord_9'", "UPDATE wish SET amount_in_cents = 1",
        "UPDATE wish SET in_addition_to = '[\"ref_1\"]'", "UPDATE wish SET sandbox = 'sbx_a'",
        "UPDATE wish SET refund_id = 'rfi_other'", "UPDATE wish SET created_at = 0",
        "UPDATE OR REPLACE wish SET rowid = 1 WHERE rowid = 2",
        "UPDATE wish SET revision = revision - 1", "UPDATE wish SET shown = 'else'",
        "UPDATE wish SET grade_needed = 'setting'",
        "UPDATE wish SET grade_needed = 'friend', revision = revision + 1",
        "UPDATE wish SET revision = 0", "UPDATE wish SET amount_in_cents = 0",
        "UPDATE OR REPLACE wish SET number = 1 WHERE number = 2", "UPDATE wish SET number = number + 50",
        "INSERT OR REPLACE INTO wish SELECT refund_id, order_id, amount_in_cents, in_addition_to,"
        " 'sbx_a', reason, revision, grade_needed, shown, created_at, previewed, 0, number + 50 FROM wish",
        "INSERT OR REPLACE INTO wish SELECT 'rfi_' || rowid, order_id, amount_in_cents, in_addition_to,"
        " sandbox, reason, revision, 'setting', shown, created_at, previewed, 0, number + 50 FROM wish",
        "INSERT OR REPLACE INTO wish SELECT 'rfi_' || rowid, 'ord_9', amount_in_cents, in_addition_to,"
        " sandbox, reason, revision, 'setting', shown, created_at, previewed, 0, number FROM wish",
        "UPDATE last_line SET number = number - 1", "DELETE FROM last_line", "UPDATE last_line SET number = NULL",
        "INSERT INTO last_line VALUES (900)", "INSERT OR REPLACE INTO last_line (rowid, number) VALUES (1, 900)",
        "INSERT OR REPLACE INTO wish (rowid, refund_id, order_id, amount_in_cents, in_addition_to,"
        " sandbox, reason, revision, grade_needed, shown, created_at, previewed, number) SELECT rowid,"
        " 'rfi_' || rowid, 'ord_9', rowid, '', '', '', 1, 'setting', '', 0, '', number + 50 FROM wish",
        "INSERT OR REPLACE INTO history SELECT number, refund_id, order_id, at, process, 'else', who,"
        " client, detail, host FROM history",
    ],
)  # fmt: skip
async def test_the_past_of_a_real_store_is_not_changed(
    book: Book, by_hand: sqlite3.Connection, work: str
) -> None:
    await book.at("declined")
    await book.at("refunded", "ord_2", 600)
    await book.ledger.add_seen("ord_1", [ONE, TWO])

    refused(by_hand, partial(by_hand.execute, work))


async def test_what_was_seen_is_not_replaced(book: Book, by_hand: sqlite3.Connection) -> None:
    await book.ledger.add_seen("ord_1", [ONE])

    by_hand.execute(
        "INSERT OR REPLACE INTO seen_refund (order_id, sandbox, clawver_refund_id, amount_in_cents)"
        " VALUES ('ord_1', '', 'ref_1', 1)"
    )

    assert await book.ledger.seen("ord_1") == (ONE,)


async def test_nothing_makes_a_real_stores_past_look_like_a_sandboxs(
    book: Book, by_hand: sqlite3.Connection
) -> None:
    """What hangs on a wish that is missing is a real one's too."""
    by_hand.execute(
        "INSERT INTO history (number, refund_id, order_id, at, process, event, who, client, detail)"
        " VALUES (0, 'rfi_gone', 'ord_1', 0, 0, '', '', '', '')"
    )
    await book.at("sending", sandbox="sbx_a")
    by_hand.execute("DELETE FROM attempt")
    by_hand.execute("DELETE FROM decision")

    gone = "DELETE FROM history WHERE refund_id = 'rfi_gone'"
    refused(by_hand, partial(by_hand.execute, gone), "only added to")


async def test_a_line_of_the_history_is_typed_and_belongs_to_a_wish(
    book: Book, by_hand: sqlite3.Connection
) -> None:
    by_hand.execute("PRAGMA foreign_keys = ON")
    wish = await book.wants()
    row = {"refund_id": wish.refund_id, "order_id": "ord_1", "at": 0.0, "process": 0, "event": "",
           "who": "", "client": "", "detail": ""}  # fmt: skip

    for changed in ({"at": "noon"}, {"refund_id": "rfi_unknown"}):
        refused(by_hand, partial(add, by_hand, "history", row | changed))
    add(by_hand, "history", row)


async def test_numbers_of_the_history_are_never_given_twice(
    book: Book, by_hand: sqlite3.Connection
) -> None:
    await book.wants("ord_2", sandbox="sbx_a")
    last = await book.number("ord_2")
    book.ledger.forget(None)
    await book.wants("ord_2")

    assert await book.number("ord_2") == last + 1


async def test_a_file_that_refuses_says_nothing_was_sent(book: Book) -> None:
    """Our own doors lead to the same rules: what they refuse is no damage."""
    await book.at("unknown")
    book.path.write_bytes(b"no ledger" * 900)

    with pytest.raises(
        SetupError, match=re.escape("Nothing was sent. The file of the refund ledger is damaged")
    ):
        await book.wants("ord_2")


async def test_the_file_says_what_it_is(by_hand: sqlite3.Connection) -> None:
    """A later version finds the ledgers of this one by these numbers."""
    header = [
        by_hand.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    ]

    assert header == [0x636C7672, 8]


async def test_what_belongs_to_a_refund_names_one_that_is_there(
    by_hand: sqlite3.Connection,
) -> None:
    tables = ("attempt", "former_id", "history")
    found = {
        table: [
            (mine, theirs, other)
            for _, _, other, mine, theirs, *_ in by_hand.execute(
                f"PRAGMA foreign_key_list({table})"
            )
        ]
        for table in tables
    }

    assert found == {key: [("refund_id", "refund_id", "wish")] for key in tables}


async def test_our_own_approvals_pass(book: Book) -> None:
    """The rules above forbid nothing that has to be possible."""
    for status in (*get_args(Sent), "declined", "waiting"):
        for approval in (AGENT, PERSON):
            order_id = f"ord_{status}_{approval.grade}"
            assert (await book.at(status, order_id, approval=approval)).status == status
            assert (await book.at("refunded", f"{order_id}_2", 600)).status == "refunded"


WHOLE: dict[str, dict[str, object]] = {
    "wish": {
        "refund_id": "rfi_1", "order_id": "ord_1", "amount_in_cents": 1, "in_addition_to": "[]",
        "sandbox": "", "reason": "", "revision": 1, "grade_needed": "agent", "shown": "",
        "created_at": 0.0, "previewed": '[0.0, 0.0, ""]',
    },
    "attempt": ATTEMPT | {"refund_id": "rfi_1"},
    "decision": DECISION | {"subject": "rfi_1"},
    "question": {"subject": "rfi_1", "revision": 1, "channel": "", "client": "", "asked": "[]"},
    "seen_refund": {"order_id": "ord_1", "sandbox": "", "clawver_refund_id": "r", "amount_in_cents": 1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "changed", "rule"),
    [
        ("wish", {"amount_in_cents": 0}, "CHECK"), ("wish", {"revision": 0}, "CHECK"),
        ("wish", {"grade_needed": "else"}, "CHECK"), ("wish", {"refund_id": "rfi_2"}, "UNIQUE"),
        ("wish", {"order_id": "ord_2"}, "UNIQUE"), ("attempt", {"amount_in_cents": 0}, "CHECK"),
        ("attempt", {"status": "else"}, "CHECK"), ("attempt", {"resolved": 2}, "CHECK"),
        ("attempt", {"clawver_refund_id": "ref_1"}, "CHECK"), ("attempt", {"order_id": "ord_2"}, "UNIQUE"),
        ("attempt", {"revision": 2}, "UNIQUE"), ("decision", {"verdict": "else"}, "CHECK"),
        ("decision", {"grade": "else"}, "CHECK"), ("decision", {"grade": "chat"}, "UNIQUE"),
        ("question", {"answer": "else"}, "CHECK"), ("question", {"shown_since": 2}, "CHECK"),
        ("seen_refund", {"amount_in_cents": 0}, "CHECK"), ("seen_refund", {"amount_in_cents": 2}, "UNIQUE"),
    ],
)  # fmt: skip
async def test_the_tables_alone_hold_nothing_that_makes_no_sense(
    by_hand: sqlite3.Connection, table: str, changed: dict[str, object], rule: str
) -> None:
    """Whatever becomes of the triggers: no row of another kind, and none twice."""
    triggers = by_hand.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        by_hand.execute(f"DROP TRIGGER {name}")
    add(by_hand, table, WHOLE[table])

    refused(by_hand, partial(add, by_hand, table, WHOLE[table] | changed), rule)
