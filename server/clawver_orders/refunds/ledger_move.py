"""Moves the refunds of a store from this machine's file into the database that several machines share.

The file is taken out of use first, and kept: from then on no server takes it for the ledger, whatever
happens on the way. What is in it gets into the database in one transaction, or not at all. Both can be
done again at any time.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clawver_orders.caller import DECLINES_COUNT
from clawver_orders.errors import SetupError
from clawver_orders.refunds.ledger_file import LEDGER_FILE, MARK, ledger_tables
from clawver_orders.refunds.ledger_schema import SCHEMA
from clawver_orders.refunds.records import OPEN
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Connection, ConstraintError, Database
from clawver_orders.storage.engine import LEDGER
from clawver_orders.storage.scopes import Scope
from clawver_orders.storage.sql import instant_of, listed, marks
from clawver_orders.storage.sqlite import MOVED, MOVING, SqliteDatabase, kind_of

MOVE_SECONDS = 600.0
"""How long all of it may take in the database."""
_TABLES = ("wish", "former_id", "decision", "attempt", "history", "seen_refund")
"""What is moved as it is, but for the numbers in it, in the order in which rows refer to each other."""
_NUMBERED = ("wish", "attempt", "decision", "history")
"""Those with the number of a line of history, which goes on from the last one of the database."""
_OF_A_WISH = (
    ("question", "subject"), ("decision", "subject"), ("history", "refund_id"),
    ("former_id", "refund_id"), ("wish", "refund_id"),
)  # fmt: skip
_OPEN = f"SELECT COUNT(*) FROM attempt WHERE status IN {listed(OPEN)}"  # noqa: S608  # words of ours
_KEY = ("order_id", "amount_in_cents", "in_addition_to", "sandbox")
_ATTEMPTED = "EXISTS (SELECT 1 FROM attempt WHERE attempt.refund_id = wish.refund_id)"

_Columns = dict[str, Any]
"""Values by the names of their columns."""


class _DeclinedError(Exception):
    """A person's decline would be lost."""


@dataclass(frozen=True)
class Moved:
    """What became of it."""

    path: Path
    """The file, which is kept."""
    refunds: int | None
    """How many refunds the database got now; None where the file was moved before."""


def move(settings: Settings, scope: Scope) -> Moved | None:
    """Move the ledger of a store.

    Args:
        settings: With the address of the database.
        scope: The store.

    Returns:
        What became of it; None where this machine has no ledger of the store in a file.

    Raises:
        SetupError: No database is named; refunds are open; or both have refunds that cannot stand beside
            each other. Nothing was moved.
        UnreachableError: The database cannot be used now. The file is out of use until it was moved.
    """
    target = ledger_tables(settings, scope, deadline_seconds=MOVE_SECONDS)
    if target is None:
        raise SetupError(
            "CLAWVER_DATABASE_URL is not set, so nothing was moved.",
            next_step="Set it to the database that is to have the refunds, then run this again.",
        )
    path = scope.folder / LEDGER_FILE
    kind = kind_of(path)
    if kind is None:
        return None
    if kind == MOVED:
        return Moved(path, None)
    target.check_owner()  # while the file can still be used
    if kind != MOVING:
        _take_out_of_use(path)
    moving = SqliteDatabase(path, replace(SCHEMA, application_id=MOVING), LEDGER.name)
    try:
        count = _copy(moving, target, hashlib.sha256(path.read_bytes()).hexdigest())
    except _DeclinedError:
        _become(moving, SCHEMA.application_id)
        raise SetupError(
            "A person declined a refund that is in the database too, less than 24 hours ago. Nothing was moved.",
            next_step="A person must run this again once those 24 hours are over.",
        ) from None
    except ConstraintError as error:
        _become(moving, SCHEMA.application_id)
        raise SetupError(
            "The database has refunds already that cannot stand beside those of this machine. Nothing was moved.",
            next_step=f"A person must compare them with: clawver-orders refunds. If those of the database are "
            f"all that is needed, move {path} away by hand.",
        ) from error
    path.with_suffix(MARK).unlink(missing_ok=True)  # it knows lines by their numbers in the file
    _become(moving, MOVED)
    return Moved(path, count)


def _take_out_of_use(path: Path) -> None:
    with SqliteDatabase(path, SCHEMA, LEDGER.name).writing() as connection:
        (count,) = connection.execute(_OPEN).fetchone()
        if count:
            raise SetupError(
                f"What became of the money of {count} refund{'' if count == 1 else 's'} is not known yet. Nothing "
                "was moved.",
                next_step="Unset CLAWVER_DATABASE_URL, and look them up with: clawver-orders refunds check. A person "
                "can decide about one with refunds resolve. Then run this again.",
            )
        connection.execute(f"PRAGMA application_id = {MOVING}")


def _become(database: SqliteDatabase, kind: int) -> None:
    with database.writing() as connection:
        connection.execute(f"PRAGMA application_id = {kind}")


def _copy(source: SqliteDatabase, target: Database, digest: str) -> int | None:
    """Copy everything, unless it is there already.

    Returns:
        How many refunds were copied; None where they are there already.
    """
    with source.reading() as file, target.writing() as shared:
        if shared.execute("SELECT 1 FROM moved WHERE file = ?", (digest,)).fetchone():
            return None
        shared.execute("SET LOCAL statement_timeout TO 0")
        for table in (*_TABLES, "question", "last_line"):
            shared.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        count = _copy_rows(file, shared)
        _copy_restored(file, shared)
        shared.execute("INSERT INTO moved (file) VALUES (?)", (digest,))
        for table in (*_TABLES, "question", "last_line"):
            shared.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return count


def _copy_rows(file: sqlite3.Connection, shared: Connection) -> int:
    left_out = _undecided_twice(file, shared)
    [(lines,)] = shared.execute("SELECT number FROM last_line").fetchall()
    questions = _copy_questions(file, shared, left_out)
    for table in _TABLES:
        rows = (
            _renumbered(table, row, lines, questions)
            for row in _rows(file, table)
            if row.get("subject", row.get("refund_id")) not in left_out
        )
        _insert(shared, table, rows)
    (last,) = file.execute("SELECT number FROM last_line").fetchone()
    shared.execute("UPDATE last_line SET number = ?", (lines + last,))
    (count,) = file.execute("SELECT COUNT(*) FROM wish").fetchone()
    return int(count) - len(left_out)


def _copy_restored(file: sqlite3.Connection, shared: Connection) -> None:
    """Copy since when the file is known to be an older copy; what was moved counts as noticed then, too."""
    [(last,)] = shared.execute("SELECT number FROM last_line").fetchall()
    for row in file.execute("SELECT noticed FROM restored ORDER BY number"):
        shared.execute(
            "INSERT INTO restored (noticed, last_line) VALUES (?, ?)", (row["noticed"], last)
        )


def _undecided_twice(file: sqlite3.Connection, shared: Connection) -> frozenset[str]:
    """Wishes of the file that were also wished for in the database, and for which nothing was sent here.

    What was wished for in both and sent from here takes the place of the other one, for which nothing
    was sent.

    Raises:
        _DeclinedError: One that would be left out was declined by a person a short time ago.
    """
    left_out = set()
    for row in file.execute(f"SELECT *, {_ATTEMPTED} AS is_sent FROM wish"):  # noqa: S608  # words of ours
        where = " AND ".join(f"{column} = ?" for column in _KEY)
        same = shared.execute(
            f"SELECT refund_id, {_ATTEMPTED} AS is_sent FROM wish WHERE {where}",  # noqa: S608  # words of ours
            [row[column] for column in _KEY],
        ).fetchone()
        if same is None:
            continue
        if not row["is_sent"]:
            _check_no_decline(file, row["refund_id"])
            left_out.add(row["refund_id"])
        elif not same["is_sent"]:
            _check_no_decline(shared, same["refund_id"])
            for table, key in _OF_A_WISH:
                shared.execute(f"DELETE FROM {table} WHERE {key} = ?", (same["refund_id"],))  # noqa: S608  # words of ours
        # What was sent from both stays, and the database refuses the second one.
    return frozenset(left_out)


def _check_no_decline(connection: Connection | sqlite3.Connection, refund_id: str) -> None:
    since = datetime.now(UTC) - DECLINES_COUNT
    for row in connection.execute(
        "SELECT made FROM decision WHERE subject = ? AND verdict = 'decline'", (refund_id,)
    ).fetchall():
        if instant_of(row["made"]).at > since:
            raise _DeclinedError


def _copy_questions(
    file: sqlite3.Connection, shared: Connection, left_out: Iterable[str]
) -> Mapping[int, int]:
    """Copy the questions, which get new numbers; those by the old ones."""
    numbers = {}
    for row in _rows(file, "question"):
        if row["subject"] in left_out:
            continue
        old = row.pop("number")
        columns = ", ".join(row)
        [(numbers[old],)] = shared.execute(
            f"INSERT INTO question ({columns}) VALUES ({marks([*row])}) RETURNING number",  # noqa: S608  # names of ours
            [*row.values()],
        ).fetchall()
    return numbers


def _renumbered(table: str, row: _Columns, lines: int, questions: Mapping[int, int]) -> _Columns:
    changed = dict(row)
    if table in _NUMBERED:
        changed["number"] += lines
    if table == "attempt":
        del changed["id"]
        changed["sent_number"] += lines
        changed["reported_event"] = 0  # events are numbered anew, too
    if table == "decision":
        if row["question"] is not None:
            changed["question"] = questions[row["question"]]
        if lines and row["verdict"] == "approve":
            # Nobody knows whether it came before or after what others noted, so it settles none of that.
            changed["number"] = 0
    return changed


def _rows(file: sqlite3.Connection, table: str) -> Iterator[_Columns]:
    for row in file.execute(f"SELECT * FROM {table} ORDER BY 1"):  # noqa: S608  # words of ours
        yield dict(row)


def _insert(shared: Connection, table: str, rows: Iterable[_Columns]) -> None:
    every = list(rows)
    if every:
        columns = ", ".join(every[0])
        refused = " ON CONFLICT DO NOTHING" if table == "seen_refund" else ""
        shared.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({marks([*every[0]])}){refused}",  # noqa: S608  # names of ours
            [[*row.values()] for row in every],
        )
