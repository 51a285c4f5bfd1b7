"""What the ledger's tables in PostgreSQL refuse, to whoever works on them past all doors."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
from tests.postgres import Schemas
from tests.refunds.book import ACTOR, IN_POSTGRES, ONE, Book
from tests.refunds.test_ledger_file import ATTEMPT, DECISION, FOLLOWS, WHOLE

from clawver_orders.caller import GRADES, Grade
from clawver_orders.errors import UnreachableError
from clawver_orders.refunds.ledger_postgres import STEPS
from clawver_orders.refunds.ledger_schema import RULES, SCHEMA
from clawver_orders.refunds.records import OPEN, Sent, Wish
from clawver_orders.storage import postgres
from clawver_orders.storage.sqlite import SqliteDatabase

pytestmark = IN_POSTGRES
KINDS = {"TEXT": "text", "INTEGER": "bigint", "REAL": "double precision"}
Hand = psycopg.Connection[Any]


@pytest.fixture
async def by_hand(book: Book, schemas: Schemas) -> Iterator[Hand]:  # type: ignore[misc]  # async
    """Somebody who works on the tables with another program, which knows nothing of ours."""
    await book.wants("ord_of_hand")
    with psycopg.connect(schemas.url, autocommit=True) as connection:
        connection.execute(f'SET search_path TO "{schemas.database(book.path).schema}"'.encode())
        yield connection


def add(by_hand: Hand, table: str, row: dict[str, object], *, or_ignore: bool = False) -> None:
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    work = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  # words of this test
    work += " ON CONFLICT DO NOTHING" if or_ignore else ""
    by_hand.execute(work.encode(), list(row.values()))


def attempt(wish: Wish, **changed: object) -> dict[str, object]:
    own = {"refund_id": wish.refund_id, "revision": wish.revision, "order_id": wish.order_id,
           "amount_in_cents": wish.amount_in_cents}  # fmt: skip
    return ATTEMPT | own | changed


def decision(wish: Wish, **changed: object) -> dict[str, object]:
    return DECISION | {"subject": wish.refund_id, "revision": wish.revision} | changed


def refused(by_hand: Hand, work: str, why: str | None = None) -> None:
    with pytest.raises((psycopg.IntegrityError, psycopg.DataError), match=why):
        by_hand.execute(work.encode())


# The same tables and rules as in the file


async def test_the_tables_are_those_of_the_file(by_hand: Hand, tmp_path: Path) -> None:
    with SqliteDatabase(tmp_path / "l.sqlite3", SCHEMA, "a ledger").reading() as file:
        tables = [
            row["name"]
            for row in file.execute("PRAGMA table_list")
            if row["type"] == "table" and not row["name"].startswith("sqlite_")
        ]
        in_file = {
            table: [
                (row["name"], KINDS[row["type"]], bool(row["notnull"] or row["pk"]))
                for row in file.execute(f"PRAGMA table_info({table})")
            ]
            for table in tables
        }
        indexes = {
            row["name"]: " ".join(row["sql"].split())
            for row in file.execute("SELECT * FROM sqlite_schema WHERE type = 'index'")
            if row["sql"]
        }
    found = by_hand.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name NOT IN ('store', 'written', 'moved')"
        " ORDER BY table_name, ordinal_position"
    ).fetchall()
    here: dict[str, list[tuple[str, str, bool]]] = {}
    for table, column, kind, is_nullable in found:
        here.setdefault(table, []).append((column, kind, is_nullable == "NO"))

    assert {name: sorted(columns) for name, columns in here.items()} == {
        name: sorted(columns) for name, columns in in_file.items()
    }
    (script,) = STEPS
    assert {
        name: " ".join(sql.split())
        for sql, name in re.findall(r"(CREATE (?:UNIQUE )?INDEX (\w+) [^;]*);", script)
    } == indexes


async def test_every_rule_is_carried_over(by_hand: Hand) -> None:
    names = set(re.findall(r"TRIGGER (\w+)", RULES))

    found = by_hand.execute(
        "SELECT DISTINCT trigger_name FROM information_schema.triggers"
        " WHERE trigger_schema = current_schema()"
    ).fetchall()
    assert {name for (name,) in found} == names
    assert len(names) > 20


# Attempts


@pytest.mark.parametrize("or_ignore", [False, True])
@pytest.mark.parametrize("status", OPEN)
async def test_an_order_has_one_open_attempt(
    book: Book, by_hand: Hand, status: Sent, or_ignore: bool
) -> None:
    await book.at(status)
    other = await book.wants(cents=600)
    add(by_hand, "decision", decision(other))

    with pytest.raises(psycopg.IntegrityError, match="may have moved already"):
        add(by_hand, "attempt", attempt(other), or_ignore=or_ignore)
    with by_hand.transaction(force_rollback=True):
        by_hand.execute("DROP TRIGGER attempts_are_not_replaced ON attempt")
        with pytest.raises(psycopg.errors.UniqueViolation, match="one_open_attempt_per_order"):
            add(by_hand, "attempt", attempt(other))
    elsewhere = await book.wants("ord_2")
    add(by_hand, "decision", decision(elsewhere))
    add(by_hand, "attempt", attempt(elsewhere))
    assert len(await book.ledger.all_open()) == 2


@pytest.mark.parametrize("needed", GRADES)
async def test_nothing_is_sent_with_less_than_the_grade_needed(
    book: Book, by_hand: Hand, needed: Grade
) -> None:
    for given in GRADES:
        wish = await book.wants(f"ord_{given}", needed=needed)
        with pytest.raises(psycopg.IntegrityError, match="without a decision"):
            add(by_hand, "attempt", attempt(wish))
        add(by_hand, "decision", decision(wish, grade=given))
        if GRADES.index(given) < GRADES.index(needed):
            with pytest.raises(psycopg.IntegrityError, match="without a decision"):
                add(by_hand, "attempt", attempt(wish))
        else:
            for changed in ({"order_id": "ord_9"}, {"amount_in_cents": 501}, {"status": "unknown"}):
                with pytest.raises(psycopg.IntegrityError, match="without a decision"):
                    add(by_hand, "attempt", attempt(wish, **changed))
            add(by_hand, "attempt", attempt(wish))


@pytest.mark.parametrize("status", get_args(Sent))
async def test_a_status_follows_only_from_those_before_it(
    book: Book, by_hand: Hand, status: Sent
) -> None:
    await book.at(status)

    for to in get_args(Sent):
        work = f"UPDATE attempt SET status = '{to}'"  # noqa: S608  # words of this test
        if to == status or to in FOLLOWS[status]:
            with by_hand.transaction(force_rollback=True):
                by_hand.execute(work.encode())
        else:
            refused(by_hand, work, "cannot follow")


async def test_a_refund_of_clawver_belongs_to_one_attempt_of_its_order(
    book: Book, by_hand: Hand
) -> None:
    first = await book.at("refunded", cents=500)
    second = await book.at("unknown", cents=600)
    claim = f"UPDATE attempt SET status = 'refunded', clawver_refund_id = '{first.clawver_refund_id}' WHERE refund_id = '{second.refund_id}'"  # noqa: S608  # words of this test

    refused(by_hand, claim, "a claim is kept")
    refused(by_hand, "UPDATE attempt SET clawver_refund_id = NULL", "a claim is kept|check")
    with by_hand.transaction(force_rollback=True):
        by_hand.execute("DROP TRIGGER claims_are_kept ON attempt")
        refused(by_hand, claim, "one_attempt_per_clawver_refund")


# What was noted


@pytest.mark.parametrize(
    "work",
    [
        "DELETE FROM history", "UPDATE history SET who = 'nobody'",
        "DELETE FROM decision", "UPDATE decision SET verdict = 'approve'", "DELETE FROM attempt",
        "UPDATE attempt SET amount_in_cents = 1", "UPDATE attempt SET id = id + 50",
        "UPDATE attempt SET number = number - 1", "UPDATE attempt SET resolved = 2",
        "UPDATE attempt SET sent_at = 0.5", "UPDATE attempt SET sent_number = 99", "UPDATE attempt SET refunds_before = '[]'",
        "DELETE FROM wish", "UPDATE wish SET order_id = 'ord_9'", "UPDATE wish SET sandbox = 'sbx_a'",
        "UPDATE wish SET number = number + 50", "UPDATE wish SET revision = revision - 1",
        "UPDATE wish SET shown = 'else'", "UPDATE wish SET grade_needed = 'setting'",
        "DELETE FROM seen_refund", "UPDATE seen_refund SET amount_in_cents = 1",
        "UPDATE last_line SET number = number - 1", "DELETE FROM last_line",
        "INSERT INTO last_line VALUES (900)", "UPDATE last_line SET number = NULL",
        "TRUNCATE wish CASCADE", "TRUNCATE history", "TRUNCATE attempt", "TRUNCATE decision",
        "TRUNCATE seen_refund", "TRUNCATE last_line",
        "UPDATE attempt SET amount_in_cents = 'much'", "UPDATE wish SET created_at = 'noon'",
    ],
)  # fmt: skip
async def test_the_past_of_a_real_store_is_not_changed(
    book: Book, by_hand: Hand, work: str
) -> None:
    await book.at("declined")
    await book.at("refunded", "ord_2", 600)
    await book.ledger.add_seen("ord_1", [ONE])

    refused(by_hand, work)


@pytest.mark.parametrize(
    ("table", "changed"),
    [
        ("wish", {"amount_in_cents": 0}), ("wish", {"revision": 0}), ("wish", {"grade_needed": "else"}),
        ("wish", {"refund_id": "rfi_2"}), ("wish", {"order_id": "ord_2"}),
        ("wish", {"order_id": "ord_2", "refund_id": "rfi_2"}),
        ("attempt", {"amount_in_cents": 0}), ("attempt", {"status": "else"}),
        ("attempt", {"resolved": 2}), ("attempt", {"clawver_refund_id": "ref_1"}),
        ("attempt", {"order_id": "ord_2"}), ("attempt", {"revision": 2}),
        ("decision", {"verdict": "else"}), ("decision", {"grade": "else"}), ("decision", {"grade": "chat"}),
        ("question", {"answer": "else"}), ("question", {"shown_since": 2}),
        ("seen_refund", {"amount_in_cents": 0}), ("seen_refund", {"amount_in_cents": 2}),
    ],
)  # fmt: skip
async def test_the_tables_alone_hold_nothing_that_makes_no_sense(
    by_hand: Hand, table: str, changed: dict[str, object]
) -> None:
    """Whatever becomes of the triggers: no row of another kind, and none twice."""
    by_hand.execute("SET session_replication_role = replica")  # no triggers
    row = WHOLE[table] | ({"previewed_at": 0.0, "number": 99} if table == "wish" else {})
    add(by_hand, table, row)

    with pytest.raises(psycopg.IntegrityError):
        add(by_hand, table, row | changed)


# Several servers


async def test_reading_goes_on_while_another_server_writes(
    book: Book, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = await book.wants()
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.05)
    name = schemas.database(book.path).schema
    late = postgres.PostgresDatabase(schemas.server, name, STEPS, "the refund ledger")
    with late.writing():
        book.ledger._database = late
        assert await book.found(wish) == wish
        with pytest.raises(
            UnreachableError, match=r"Nothing was sent\. Another server is working on the refund"
        ):
            await book.ledger.ask(wish, "form", ACTOR)


async def test_the_time_of_day_is_that_of_the_database(book: Book, schemas: Schemas) -> None:
    schemas.database(book.path).clock_ahead = (
        ahead := book.now().at - book.now().at.replace(hour=1)
    )

    assert book.ledger.now().at == book.now().at + ahead
    assert book.ledger.now().uptime == book.now().uptime
