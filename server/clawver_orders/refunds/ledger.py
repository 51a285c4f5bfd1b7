"""Every refund of one store, noted before the money moves and never forgotten.

A refund is an intent with an id (`rfi_…`) that goes through states:

    previewed ──► sending ──► confirmed          Clawver listed it
        │            │  └───► failed ──► confirmed   Clawver refused, or it never left
        │            └──► unknown ──► confirmed  found by reading the order
        │                        └──► absent ──► confirmed (landed late)
        ├──► declined                            a person said no
        └──► expired ──► declined                nobody said anything, or the order changed

Only `begin_send` lets money go. It works in one transaction, and the file itself refuses a
second open refund of an order, and a second intent for one refund of Clawver. Every change of
state leaves a line in a history that nobody can edit.

An intent keeps which sandbox store it was for, where that store said that it is one. Those alone
can be forgotten, when the sandbox starts again; the file itself refuses to delete any other.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from clawver_orders.storage.database import Database, Schema

LEDGER_FILE = "ledger.sqlite3"
"""The refund ledger in a store's folder."""
State = Literal[
    "previewed", "sending", "confirmed", "failed", "unknown", "absent", "declined", "expired"
]
OPEN: tuple[State, ...] = ("sending", "unknown")
"""Money may be on its way."""
SPENT: tuple[State, ...] = ("sending", "unknown", "confirmed", "absent")
"""What counts against the daily limit: all that was sent and not refused, even where it is not to
be seen, because it may still show."""
ALLOWED: dict[State, tuple[State, ...]] = {
    "sending": ("previewed",),
    "confirmed": ("sending", "unknown", "absent", "failed"),
    "failed": ("sending",),
    "unknown": ("sending",),
    "absent": ("unknown",),
    "declined": ("previewed", "expired"),
    "expired": ("previewed",),
}
"""Each state, and those that may come before it."""
BY_SETTING = "setting off"
BY_AGENT = "agent by confirm_refund"
"""Who approved, where no person did."""
LIFETIME = timedelta(minutes=15)
"""How long a preview can be approved."""
DAY = timedelta(hours=24)

_STATES = ", ".join(f"'{state}'" for state in get_args(State))
_INTENTS = f"""
SELECT intent.*,
    (SELECT COALESCE(MAX(number), 0) FROM history
        WHERE history.refund_id = intent.refund_id
        AND event = 'sending' AND who NOT IN ('{BY_SETTING}', '{BY_AGENT}')) AS approved,
    (SELECT COALESCE(MAX(number), 0) FROM history
        WHERE history.refund_id = intent.refund_id
        AND (event = 'declined' OR (event = 'absent' AND intent.state = 'absent'))) AS doubted
FROM intent
"""  # noqa: S608  # words of ours
_SCHEMA = Schema(
    application_id=0x636C7672,
    steps=(
        f"""
CREATE TABLE intent (
    refund_id TEXT PRIMARY KEY NOT NULL,
    order_id TEXT NOT NULL,
    amount_in_cents INTEGER NOT NULL CHECK (amount_in_cents > 0),
    reason TEXT NOT NULL,
    in_addition_to TEXT NOT NULL,
    seen TEXT NOT NULL,
    needs_person INTEGER NOT NULL CHECK (needs_person IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ({_STATES})),
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    baseline TEXT,
    sent_at REAL,
    sent_uptime REAL,
    absent_reads INTEGER NOT NULL DEFAULT 0,
    absent_uptime REAL,
    clawver_refund_id TEXT,
    stripe_refund_id TEXT,
    surplus TEXT NOT NULL DEFAULT '[]',
    CHECK (clawver_refund_id IS NULL OR state = 'confirmed'),
    CHECK (state IN ('previewed', 'declined', 'expired') OR baseline IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX one_open_refund_per_order ON intent (order_id)
    WHERE state IN ('sending', 'unknown');
CREATE UNIQUE INDEX one_intent_per_clawver_refund ON intent (clawver_refund_id)
    WHERE clawver_refund_id IS NOT NULL;
CREATE INDEX by_order ON intent (order_id, amount_in_cents, state, created_at);
CREATE INDEX by_time ON intent (sent_at, state, amount_in_cents);
CREATE TABLE history (
    number INTEGER PRIMARY KEY,
    refund_id TEXT NOT NULL REFERENCES intent (refund_id),
    at REAL NOT NULL,
    process INTEGER NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ({_STATES})),
    who TEXT NOT NULL,
    client TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX by_refund ON history (refund_id);
CREATE TRIGGER history_is_not_edited BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
CREATE TRIGGER intents_are_not_deleted BEFORE DELETE ON intent
BEGIN SELECT RAISE(ABORT, 'no refund is lost track of'); END;
""",
        """
ALTER TABLE intent ADD COLUMN sandbox TEXT NOT NULL DEFAULT '';
DROP TRIGGER history_is_not_deleted;
CREATE TRIGGER history_is_not_deleted BEFORE DELETE ON history
WHEN COALESCE((SELECT sandbox FROM intent WHERE refund_id = OLD.refund_id), '') = ''
BEGIN SELECT RAISE(ABORT, 'the history is only added to'); END;
DROP TRIGGER intents_are_not_deleted;
CREATE TRIGGER intents_are_not_deleted BEFORE DELETE ON intent
WHEN OLD.sandbox = ''
BEGIN SELECT RAISE(ABORT, 'no refund is lost track of'); END;
CREATE TRIGGER stores_are_not_changed BEFORE UPDATE OF sandbox ON intent
BEGIN SELECT RAISE(ABORT, 'a refund stays that of its store'); END;
CREATE TABLE seen_refund (
    order_id TEXT NOT NULL,
    sandbox TEXT NOT NULL,
    clawver_refund_id TEXT NOT NULL,
    amount_in_cents INTEGER NOT NULL CHECK (amount_in_cents > 0),
    stripe_refund_id TEXT,
    PRIMARY KEY (order_id, sandbox, clawver_refund_id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER seen_refunds_are_not_edited BEFORE UPDATE ON seen_refund
BEGIN SELECT RAISE(ABORT, 'what was seen is only added to'); END;
CREATE TRIGGER seen_refunds_are_not_deleted BEFORE DELETE ON seen_refund
WHEN OLD.sandbox = ''
BEGIN SELECT RAISE(ABORT, 'what was seen is only added to'); END;
""",
    ),
)


@dataclass(frozen=True)
class Intent:
    """A refund that somebody wants, and how far it has come."""

    refund_id: str
    order_id: str
    amount_in_cents: int
    reason: str
    in_addition_to: tuple[str, ...]
    """The earlier attempts and refunds of this amount that it was meant to come on top of."""
    seen: str
    """The order's payment as it was when this was previewed; a changed order needs a new preview."""
    needs_person: bool
    """Whether no agent may approve it: an earlier attempt was declined, or is not accounted for."""
    state: State
    created_at: datetime
    expires_at: datetime
    baseline: frozenset[str] = frozenset()
    """The ids of the refunds that the order carried when this was sent."""
    sent_at: datetime | None = None
    sent_uptime: float | None = None
    absent_reads: int = 0
    """How many reads after the settle window did not list it."""
    absent_uptime: float | None = None
    clawver_refund_id: str | None = None
    stripe_refund_id: str | None = None
    surplus: tuple[str, ...] = ()
    """Further new refunds of the same amount: the request was delivered more than once."""
    approved: int = 0
    """Where in the history a person approved it, and 0 where none did: later is larger."""
    doubted: int = 0
    """Where in the history a person last said no to it, or it was given up and has not shown since."""
    sandbox: str = ""
    """The id of the sandbox store that it is for; nothing where it is for a real one."""

    @property
    def is_open(self) -> bool:
        """Whether money may be on its way."""
        return self.state in OPEN


@dataclass(frozen=True)
class SeenRefund:
    """A refund that Clawver listed at some time."""

    clawver_refund_id: str
    amount_in_cents: int
    stripe_refund_id: str | None = None
    sandbox: str = ""
    """The id of the sandbox store that listed it; nothing for a real one."""


@dataclass(frozen=True)
class LedgerEvent:
    """A line of the history."""

    number: int
    """Later is larger."""
    at: datetime
    process: int
    event: str
    state: State
    """The state after it."""
    who: str
    client: str
    detail: str


@dataclass(frozen=True)
class Moment:
    """Now, twice.

    Args:
        at: The time of day, which people and time servers may change.
        uptime: Seconds since this machine started, which nobody changes.
    """

    at: datetime
    uptime: float


@dataclass(frozen=True)
class Trace:
    """Who is at work: kept with everything that happens.

    Args:
        client: The name and version of the program that called.
        who: Who decided, where somebody did.
    """

    client: str
    who: str = ""


class DailyLimitError(Exception):
    """The refund would go above what may be given back in 24 hours.

    Args:
        spent_in_cents: What went back in the last 24 hours.
    """

    def __init__(self, spent_in_cents: int) -> None:
        self.spent_in_cents = spent_in_cents
        super().__init__(spent_in_cents)


class MovedOnError(Exception):
    """The intent is no longer in a state from which this could follow."""


class Ledger:
    """The refunds of one store.

    Args:
        path: The file. It is made with the first preview, and never again.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA, "the refund ledger")

    @property
    def exists(self) -> bool:
        """Whether there was ever a refund to note."""
        return self._database.exists

    def prove(self) -> None:
        """Take the file for writing and let it go again, where there is one.

        Raises:
            ClawverError: It cannot be used, so nothing can be refunded.
        """
        if self.exists:
            self.begin()

    def begin(self) -> None:
        """Take the file for writing and let it go again; it is made where there was none.

        Raises:
            ClawverError: It cannot be used, so nothing can be refunded.
        """
        with self._database.writing():
            pass

    # Looking.

    def find(self, refund_id: str) -> Intent | None:
        """The intent with this id."""
        rows = self._select("WHERE refund_id = ?", refund_id)
        return rows[0] if rows else None

    def of_order(self, order_id: str) -> tuple[Intent, ...]:
        """All intents of an order, oldest first."""
        return self._select("WHERE order_id = ? ORDER BY rowid", order_id)

    def all(self) -> tuple[Intent, ...]:
        """All intents, newest first."""
        return self._select("ORDER BY rowid DESC")

    def all_open(self, order_id: str = "") -> tuple[Intent, ...]:
        """The intents whose money may be on its way, newest first.

        Args:
            order_id: Only those of this order; of every one when left out.
        """
        where = f"WHERE state IN {_listed(OPEN)}"
        if order_id:
            return self._select(f"{where} AND order_id = ? ORDER BY rowid DESC", order_id)
        return self._select(f"{where} ORDER BY rowid DESC")

    def history(self, refund_id: str) -> tuple[LedgerEvent, ...]:
        """What happened to an intent, oldest first."""
        with self._database.looking() as connection:
            rows = connection.execute(
                "SELECT * FROM history WHERE refund_id = ? ORDER BY number", (refund_id,)
            ).fetchall()
        return tuple(
            LedgerEvent(
                number=row["number"],
                at=_time(row["at"]),
                process=row["process"],
                event=row["event"],
                state=row["state"],
                who=row["who"],
                client=row["client"],
                detail=row["detail"],
            )
            for row in rows
        )

    def claimed(self, clawver_refund_ids: Sequence[str]) -> dict[str, str]:
        """Which of these refunds of Clawver belong to an intent: its id, by theirs."""
        with self._database.looking() as connection:
            rows = connection.execute(
                "SELECT clawver_refund_id, refund_id FROM intent WHERE clawver_refund_id IS NOT NULL"
                " AND clawver_refund_id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(clawver_refund_ids)),),
            ).fetchall()
        return {row["clawver_refund_id"]: row["refund_id"] for row in rows}

    def seen(self, order_id: str) -> tuple[SeenRefund, ...]:
        """All refunds that Clawver ever listed of an order, as far as they were noted.

        Args:
            order_id: The order.

        Returns:
            They, whichever store said that it is a sandbox: the mark only says what may be
            forgotten, and hides nothing.
        """
        with self._database.looking() as connection:
            rows = connection.execute(
                "SELECT clawver_refund_id, amount_in_cents, stripe_refund_id, sandbox FROM seen_refund"
                " WHERE order_id = ? ORDER BY clawver_refund_id, sandbox",
                (order_id,),
            ).fetchall()
        return tuple(SeenRefund(*row) for row in rows)

    def spent_in_cents(self, now: Moment) -> int:
        """What was sent in the last 24 hours and not refused, in cents."""
        with self._database.looking() as connection:
            return _spent(connection, now)

    # Writing.

    def preview(
        self,
        order_id: str,
        amount_in_cents: int,
        reason: str,
        in_addition_to: Sequence[str],
        seen: str,
        needs_person: bool,
        now: Moment,
        trace: Trace,
        sandbox: str = "",
    ) -> Intent:
        """Note what somebody wants. The same again within its lifetime is the same intent.

        Another wish for the same amount takes the place of an earlier one that was not approved.

        Args:
            order_id: The order.
            amount_in_cents: Whole cents, 1 or more.
            reason: Why.
            in_addition_to: The earlier refunds and attempts that it is meant to come on top of.
            seen: The order's payment as it is now.
            needs_person: Whether no agent may approve it.
            now: The current time.
            trace: Through which program.
            sandbox: The id of the sandbox store that gave the order; nothing where a real one did.
        """
        named = json.dumps(sorted(in_addition_to))
        at = now.at.timestamp()
        with self._database.writing() as connection:
            for row in connection.execute(
                "SELECT * FROM intent WHERE order_id = ? AND amount_in_cents = ? AND state = 'previewed'",
                (order_id, amount_in_cents),
            ).fetchall():
                is_like = (row["reason"], row["in_addition_to"], row["seen"], row["sandbox"])
                same = is_like == (reason, named, seen, sandbox)
                if same and at < row["expires_at"] and row["needs_person"] == needs_person:
                    return self._fetch(connection, row["refund_id"])
                why = (
                    "taken over by another preview"
                    if at < row["expires_at"]
                    else "not approved in time"
                )
                self._move(connection, row["refund_id"], "expired", now, trace, why)
            refund_id = f"rfi_{secrets.token_hex(8)}"
            connection.execute(
                "INSERT INTO intent (refund_id, order_id, amount_in_cents, reason, in_addition_to, seen,"
                " sandbox, needs_person, state, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'previewed', ?, ?)",
                (refund_id, order_id, amount_in_cents, reason, named, seen, sandbox, int(needs_person),
                 at, (now.at + LIFETIME).timestamp()),
            )  # fmt: skip
            self._note(connection, refund_id, "previewed", now, trace, "")
            return self._fetch(connection, refund_id)

    def add_seen(self, order_id: str, refunds: Sequence[SeenRefund]) -> None:
        """Note refunds that Clawver lists, so that an older answer cannot hide them later.

        Args:
            order_id: The order.
            refunds: They; what is noted already stays as it is.
        """
        with self._database.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO seen_refund VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        order_id,
                        r.sandbox,
                        r.clawver_refund_id,
                        r.amount_in_cents,
                        r.stripe_refund_id,
                    )
                    for r in refunds
                ],
            )

    def note(self, refund_id: str, event: str, now: Moment, trace: Trace, detail: str = "") -> int:
        """Add to the history of an intent without changing its state.

        Returns:
            The number of the new line.
        """
        with self._database.writing() as connection:
            return self._note(connection, refund_id, event, now, trace, detail)

    def begin_send(
        self,
        refund_id: str,
        baseline: Sequence[str],
        daily_limit_in_cents: int,
        now: Moment,
        trace: Trace,
    ) -> Intent:
        """Let the money go: the only way to a request that moves it.

        Args:
            refund_id: A preview that was approved and has not expired.
            baseline: The ids of the refunds that the order carries now.
            daily_limit_in_cents: The most that may go back in 24 hours, this one included.
            now: The current time.
            trace: Who approved, and through which program.

        Raises:
            DailyLimitError: It would be too much for 24 hours.
            MovedOnError: It is no longer to be approved, or its order has an open refund.
        """
        at = now.at.timestamp()
        with self._database.writing() as connection:
            intent = self._fetch(connection, refund_id)
            if now.at >= intent.expires_at:
                raise MovedOnError
            spent = _spent(connection, now)
            if spent + intent.amount_in_cents > daily_limit_in_cents:
                raise DailyLimitError(spent)
            try:
                self._move(
                    connection, refund_id, "sending", now, trace, f"approved by {trace.who}",
                    baseline=json.dumps(sorted(baseline)), sent_at=at, sent_uptime=now.uptime,
                )  # fmt: skip
            except sqlite3.IntegrityError as error:
                raise MovedOnError from error
            return self._fetch(connection, refund_id)

    def confirm(
        self,
        refund_id: str,
        clawver_refund_id: str,
        stripe_refund_id: str | None,
        surplus: Sequence[str],
        now: Moment,
        trace: Trace,
    ) -> Intent:
        """Clawver lists it: this refund of Clawver's belongs to this intent and to no other.

        Raises:
            MovedOnError: Another intent has claimed that refund, or this one is settled.
        """
        with self._database.writing() as connection:
            try:
                self._move(
                    connection, refund_id, "confirmed", now, trace, f"listed as {clawver_refund_id}",
                    clawver_refund_id=clawver_refund_id, stripe_refund_id=stripe_refund_id,
                    surplus=json.dumps(list(surplus)),
                )  # fmt: skip
            except sqlite3.IntegrityError as error:
                raise MovedOnError from error
            return self._fetch(connection, refund_id)

    def add_surplus(
        self, refund_id: str, clawver_refund_ids: Sequence[str], now: Moment, trace: Trace
    ) -> None:
        """Further refunds of its amount showed on the order, and nobody meant them."""
        named = json.dumps(list(clawver_refund_ids))
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE intent SET surplus = ? WHERE refund_id = ?", (named, refund_id)
            )
            detail = f"also listed: {', '.join(clawver_refund_ids)}"
            self._note(connection, refund_id, "surplus", now, trace, detail)

    def fail(self, refund_id: str, why: str, now: Moment, trace: Trace) -> Intent:
        """No money moved: Clawver refused, or the request never left."""
        return self._settle(refund_id, "failed", why, now, trace)

    def lose(self, refund_id: str, why: str, now: Moment, trace: Trace) -> Intent:
        """It is not known what became of the request."""
        return self._settle(refund_id, "unknown", why, now, trace)

    def decline(self, refund_id: str, now: Moment, trace: Trace) -> Intent:
        """A person said no: to this preview, and to another of the same wish that took its place.

        What was sent meanwhile stays what it is, and the no is noted all the same, unless a person
        had approved it.
        """
        detail = f"declined by {trace.who}"
        with self._database.writing() as connection:
            asked = self._fetch(connection, refund_id)
            successors = connection.execute(
                "SELECT refund_id FROM intent WHERE order_id = ? AND amount_in_cents = ?"
                " AND in_addition_to = ? AND state = 'previewed' AND refund_id <> ?",
                (
                    asked.order_id,
                    asked.amount_in_cents,
                    json.dumps(asked.in_addition_to),
                    refund_id,
                ),
            ).fetchall()
            for row in successors:
                self._move(connection, row["refund_id"], "declined", now, trace, detail)
            if asked.state in ALLOWED["declined"]:
                self._move(connection, refund_id, "declined", now, trace, detail)
            elif asked.state == "failed" or not (asked.state == "declined" or asked.approved):
                self._note(connection, refund_id, "declined", now, trace, detail)
            return self._fetch(connection, refund_id)

    def expire(self, refund_id: str, why: str, now: Moment, trace: Trace) -> Intent:
        """It can no longer be approved."""
        return self._settle(refund_id, "expired", why, now, trace)

    def count_absence(self, refund_id: str, now: Moment, trace: Trace) -> Intent:
        """One read after the settle window did not list it; the second one makes it absent."""
        with self._database.writing() as connection:
            counted = connection.execute(
                "UPDATE intent SET absent_reads = absent_reads + 1, absent_uptime = ?"
                " WHERE refund_id = ? AND state = 'unknown'",
                (now.uptime, refund_id),
            )
            if counted.rowcount != 1:
                raise MovedOnError
            self._note(connection, refund_id, "not listed", now, trace, "after the settle window")
            if self._fetch(connection, refund_id).absent_reads > 1:
                self._move(connection, refund_id, "absent", now, trace, "not listed, twice")
            return self._fetch(connection, refund_id)

    def forget(self, sandbox: str | None) -> int:
        """Forget all intents for a sandbox store that starts again.

        Args:
            sandbox: The id of that store; None for every sandbox store.

        Returns:
            How many intents are kept, because they are for another store.

        Raises:
            ClawverError: The file cannot be used. Nothing was forgotten.
        """
        if not self.exists:
            return 0
        gone = "SELECT refund_id FROM intent WHERE sandbox <> '' AND sandbox = COALESCE(?, sandbox)"
        with self._database.writing() as connection:
            for table in ("history", "intent"):
                connection.execute(f"DELETE FROM {table} WHERE refund_id IN ({gone})", (sandbox,))  # noqa: S608  # words of ours
            connection.execute(
                "DELETE FROM seen_refund WHERE sandbox <> '' AND sandbox = COALESCE(?, sandbox)",
                (sandbox,),
            )
            (kept,) = connection.execute("SELECT COUNT(*) FROM intent").fetchone()
        return int(kept)

    def _settle(self, refund_id: str, to: State, why: str, now: Moment, trace: Trace) -> Intent:
        with self._database.writing() as connection:
            self._move(connection, refund_id, to, now, trace, why)
            return self._fetch(connection, refund_id)

    def _move(
        self,
        connection: sqlite3.Connection,
        refund_id: str,
        to: State,
        now: Moment,
        trace: Trace,
        detail: str,
        **columns: str | float | None,
    ) -> None:
        """The one place where a state changes; from any other state than the allowed ones it does not."""
        sets = ", ".join(f"{column} = ?" for column in ("state", *columns))
        moved = connection.execute(
            f"UPDATE intent SET {sets} WHERE refund_id = ? AND state IN {_listed(ALLOWED[to])}",  # noqa: S608  # names of ours
            (to, *columns.values(), refund_id),
        )
        if moved.rowcount != 1:
            raise MovedOnError
        self._note(connection, refund_id, to, now, trace, detail)

    def _note(
        self,
        connection: sqlite3.Connection,
        refund_id: str,
        event: str,
        now: Moment,
        trace: Trace,
        detail: str,
    ) -> int:
        line = connection.execute(
            "INSERT INTO history (refund_id, at, process, event, state, who, client, detail)"
            " SELECT refund_id, ?, ?, ?, state, ?, ?, ? FROM intent WHERE refund_id = ?",
            (now.at.timestamp(), os.getpid(), event, trace.who, trace.client, detail, refund_id),
        )
        return int(line.lastrowid or 0)

    def _fetch(self, connection: sqlite3.Connection, refund_id: str) -> Intent:
        row = connection.execute(f"{_INTENTS} WHERE refund_id = ?", (refund_id,)).fetchone()
        if row is None:
            raise MovedOnError
        return _intent(row)

    def _select(self, clause: str, *values: str) -> tuple[Intent, ...]:
        with self._database.looking() as connection:
            rows = connection.execute(f"{_INTENTS} {clause}", values).fetchall()
        return tuple(_intent(row) for row in rows)


def _spent(connection: sqlite3.Connection, now: Moment) -> int:
    (cents,) = connection.execute(
        f"SELECT COALESCE(SUM(amount_in_cents), 0) FROM intent WHERE sent_at > ? AND state IN {_listed(SPENT)}",  # noqa: S608  # words of ours
        ((now.at - DAY).timestamp(),),
    ).fetchone()
    return int(cents)


def _listed(states: Sequence[State]) -> str:
    return "(" + ", ".join(f"'{state}'" for state in states) + ")"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _intent(row: sqlite3.Row) -> Intent:
    return Intent(
        refund_id=row["refund_id"],
        order_id=row["order_id"],
        amount_in_cents=row["amount_in_cents"],
        reason=row["reason"],
        in_addition_to=tuple(json.loads(row["in_addition_to"])),
        seen=row["seen"],
        sandbox=row["sandbox"],
        needs_person=bool(row["needs_person"]),
        state=row["state"],
        created_at=_time(row["created_at"]),
        expires_at=_time(row["expires_at"]),
        baseline=frozenset(json.loads(row["baseline"] or "[]")),
        sent_at=None if row["sent_at"] is None else _time(row["sent_at"]),
        sent_uptime=row["sent_uptime"],
        absent_reads=row["absent_reads"],
        absent_uptime=row["absent_uptime"],
        clawver_refund_id=row["clawver_refund_id"],
        stripe_refund_id=row["stripe_refund_id"],
        surplus=tuple(json.loads(row["surplus"])),
        approved=row["approved"],
        doubted=row["doubted"],
    )
