"""Where events go is changed only with an approval: what waits for one, who was asked, and who decided.

A change registers a webhook or removes one. It has one id (`wch_…`) for good, and a revision that goes
up each time it waits again. A decision is about one revision. The file itself refuses a second decision
about a revision, one about another revision than the current one, and that a change is begun without an
approval that suffices, or twice. It refuses them before the row is written: `INSERT OR REPLACE` would
delete whatever conflicts with it, and SQLite asks no trigger about that
(https://sqlite.org/lang_conflict.html).
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self, get_args

from clawver_orders.caller import (
    BY_PROGRAM,
    DECLINES_COUNT,
    GRADES,
    LIFETIME,
    WAITS,
    Approval,
    Grade,
    Reply,
    Verdict,
)
from clawver_orders.instants import Instant, seconds_at_most, seconds_by_clock
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Connection, Database, TableRow
from clawver_orders.storage.engine import CHANGES, tables_of
from clawver_orders.storage.scopes import Scope
from clawver_orders.storage.sql import as_text, instant_of, listed, rank, same
from clawver_orders.storage.sqlite import Schema, SqliteDatabase

CHANGES_FILE = "webhooks.sqlite3"
IN_PROGRESS_SECONDS = 300.0
"""Whoever began a change and has not said by then what came of it never will."""
Action = Literal["register", "delete"]
ChangeProgress = Literal["begun", "done", "failed"]
"""What became of an approved revision; `failed`, where the request was refused or its answer was lost."""
ChangeStatus = Literal[ChangeProgress, "waiting", "declined", "expired"]
_CLOCKS_DIFFER = timedelta(seconds=10)
"""How far ahead of this machine another one may be in what it takes for the time of the database."""
_KEY = ("action", "url", "events", "webhook_id")


def _kept_change(*own: str) -> str:
    """Rules for the row of a change.

    Args:
        own: The columns that say where it stands among all of them.
    """
    return f"""
CREATE TRIGGER changes_are_not_replaced BEFORE INSERT ON change
WHEN EXISTS (SELECT 1 FROM change WHERE change_id = NEW.change_id
    OR {" OR ".join(f"{each} = NEW.{each}" for each in own)} OR {same(_KEY, "NEW")})
BEGIN SELECT RAISE(ABORT, 'a change stays what it is'); END;
CREATE TRIGGER changes_stay_what_they_are BEFORE UPDATE ON change
WHEN NOT {same(("change_id", *own, *_KEY), "NEW", "OLD.")}
BEGIN SELECT RAISE(ABORT, 'a change stays what it is'); END;
"""  # noqa: S608  # words of ours


_RULES = f"""
CREATE TRIGGER what_is_needed_has_its_revision BEFORE UPDATE ON change
WHEN NEW.revision < OLD.revision
    OR (NEW.revision = OLD.revision AND NEW.grade_needed <> OLD.grade_needed)
BEGIN SELECT RAISE(ABORT, 'what needs another grade is a new revision'); END;
CREATE TRIGGER changes_are_not_deleted BEFORE DELETE ON change
BEGIN SELECT RAISE(ABORT, 'a change is kept'); END;
CREATE TRIGGER decisions_are_about_what_is_current BEFORE INSERT ON decision
WHEN NEW.revision IS NOT (SELECT revision FROM change WHERE change_id = NEW.change_id)
BEGIN SELECT RAISE(ABORT, 'that revision is no longer current'); END;
CREATE TRIGGER decisions_are_final BEFORE INSERT ON decision
WHEN EXISTS (SELECT 1 FROM decision WHERE (change_id, revision) = (NEW.change_id, NEW.revision))
BEGIN SELECT RAISE(ABORT, 'a decision is kept'); END;
CREATE TRIGGER decisions_are_not_edited BEFORE UPDATE ON decision
BEGIN SELECT RAISE(ABORT, 'a decision is kept'); END;
CREATE TRIGGER decisions_are_not_deleted BEFORE DELETE ON decision
BEGIN SELECT RAISE(ABORT, 'a decision is kept'); END;
CREATE TRIGGER nothing_is_begun_without_an_approval BEFORE INSERT ON carried_out
WHEN NEW.progress <> 'begun' OR NOT EXISTS (
    SELECT 1 FROM change JOIN decision USING (change_id, revision)
    WHERE change_id = NEW.change_id AND revision = NEW.revision AND verdict = 'approve'
        AND {rank("grade")} >= {rank("grade_needed")})
BEGIN SELECT RAISE(ABORT, 'nothing is changed without an approval'); END;
CREATE TRIGGER nothing_is_begun_twice BEFORE INSERT ON carried_out
WHEN EXISTS (SELECT 1 FROM carried_out WHERE (change_id, revision) = (NEW.change_id, NEW.revision))
BEGIN SELECT RAISE(ABORT, 'it was begun already'); END;
CREATE TRIGGER what_is_over_stays_so BEFORE UPDATE ON carried_out
WHEN OLD.progress <> 'begun' OR NOT {same(("change_id", "revision", "begun"), "NEW", "OLD.")}
BEGIN SELECT RAISE(ABORT, 'what came of it is kept'); END;
CREATE TRIGGER what_was_begun_is_kept BEFORE DELETE ON carried_out
BEGIN SELECT RAISE(ABORT, 'what came of it is kept'); END;
"""  # noqa: S608  # words of ours
SHARED_RULES = _kept_change("number") + _RULES
"""What the tables of a database refuse, in SQLite's words."""
_SCHEMA = Schema(
    application_id=0x636C7768,
    steps=(
        f"""
CREATE TABLE change (
    change_id TEXT PRIMARY KEY NOT NULL,
    action TEXT NOT NULL CHECK (action IN {listed(get_args(Action))}),
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    grade_needed TEXT NOT NULL CHECK (grade_needed IN {listed(GRADES)}),
    client TEXT NOT NULL,
    since TEXT NOT NULL,
    UNIQUE (action, url, events, webhook_id)
) STRICT;
CREATE TABLE question (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    change_id TEXT NOT NULL REFERENCES change (change_id),
    revision INTEGER NOT NULL,
    channel TEXT NOT NULL,
    client TEXT NOT NULL,
    asked TEXT NOT NULL,
    answer TEXT CHECK (answer IN {listed(reply.value for reply in Reply)}),
    answered_after_seconds REAL
) STRICT;
CREATE TABLE decision (
    change_id TEXT NOT NULL REFERENCES change (change_id),
    revision INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN {listed(get_args(Verdict))}),
    grade TEXT NOT NULL CHECK (grade IN {listed(GRADES)}),
    channel TEXT NOT NULL,
    who TEXT NOT NULL,
    client TEXT NOT NULL,
    made TEXT NOT NULL,
    question INTEGER,
    PRIMARY KEY (change_id, revision)
) STRICT, WITHOUT ROWID;
CREATE TABLE carried_out (
    change_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    progress TEXT NOT NULL CHECK (progress IN {listed(get_args(ChangeProgress))}),
    begun TEXT NOT NULL,
    PRIMARY KEY (change_id, revision),
    FOREIGN KEY (change_id, revision) REFERENCES decision (change_id, revision)
) STRICT, WITHOUT ROWID;
{_kept_change("rowid")}{_RULES}""",
        f"""
ALTER TABLE change ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE change SET number = rowid;
CREATE UNIQUE INDEX change_by_number ON change (number);
DROP TRIGGER changes_are_not_replaced;
DROP TRIGGER changes_stay_what_they_are;
{_kept_change("rowid", "number")}""",  # noqa: S608  # words of ours
    ),
)


@dataclass(frozen=True)
class WantedChange:
    """What somebody wants: the same again is the same change."""

    action: Action
    url: str
    """Where the events go, or went."""
    events: tuple[str, ...]
    webhook_id: str = ""
    """Of the webhook to be removed."""


@dataclass(frozen=True)
class ChangeDecision:
    """What was decided about one revision of a change."""

    revision: int
    verdict: Verdict
    approval: Approval
    client: str
    made: Instant


@dataclass(frozen=True)
class Change:
    """A change that somebody wants, and how far it has come."""

    change_id: str
    wanted: WantedChange
    revision: int
    grade_needed: Grade
    client: str
    """Through which program it was wanted."""
    since: Instant
    """Since when it waits."""
    status: ChangeStatus
    decisions: tuple[ChangeDecision, ...] = ()
    """Oldest first."""


class OvertakenError(Exception):
    """Another revision is current by now, or somebody has decided about this one."""


class Changes:
    """The changes of one store's webhooks.

    Every method works on the disk. They raise SetupError where the file cannot be used and
    UnreachableError where other programs hold it; nothing was changed then.

    Args:
        folder: Where what belongs to the store is kept.
        clock: The current time, by this machine's clocks.
        database: What several machines share in place of a file in the folder.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], Instant], database: Database | None = None
    ) -> None:
        self._database: Database = database or SqliteDatabase(
            folder / CHANGES_FILE, _SCHEMA, CHANGES.name
        )
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, scope: Scope, clock: Callable[[], Instant]) -> Self:
        """The changes of a store; nothing is opened before it is asked something.

        Raises:
            SetupError: What the database needs isn't installed, or its address cannot be used.
        """
        return cls(scope.folder, clock, tables_of(settings, scope.schema, CHANGES))

    def _now(self) -> Instant:
        """The current time: of day by the clock of the database, where that has one of its own."""
        instant = self._clock()
        return replace(instant, at=instant.at + self._database.clock_ahead)

    def waiting(self) -> tuple[Change, ...]:
        """Those that wait for a decision, newest first."""
        with self._database.read_or_empty() as rows:
            found = rows.execute("SELECT * FROM change ORDER BY number DESC").fetchall()
            changes = [_change(rows, each, self._now()) for each in found]
        return tuple(each for each in changes if each.status == "waiting")

    def find(self, change_id: str) -> Change | None:
        """A change; None where there is none with this id."""
        with self._database.read_or_empty() as rows:
            return _find(rows, change_id, self._now())

    def want(
        self, wanted: WantedChange, grade_needed: Grade, client: str, *, is_person: bool
    ) -> Change:
        """Note what somebody wants, or that they still do.

        It waits, unless it is being carried out; where a person declined it in the last 24 hours, only
        another person makes it wait again.

        Args:
            wanted: The change.
            grade_needed: The lowest grade of approval that suffices.
            client: The name and version of the program that wants it.
            is_person: Whether a person does.

        Returns:
            The change as it stands then.
        """
        key = (wanted.action, wanted.url, json.dumps(wanted.events), wanted.webhook_id)
        with self._database.writing() as rows:
            now = self._now()
            kept = rows.execute(
                "SELECT change_id FROM change WHERE (action, url, events, webhook_id) = (?, ?, ?, ?)",
                key,
            ).fetchone()
            if kept is None:
                change_id = f"wch_{secrets.token_hex(8)}"
                last = rows.execute("SELECT COALESCE(MAX(number), 0) AS number FROM change")
                number = last.fetchone()["number"] + 1  # none is ever deleted
                rows.execute(
                    "INSERT INTO change VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?)",
                    (change_id, *key, grade_needed, client, as_text(now), number),
                )
                return _known(rows, change_id, now)
            change = _known(rows, kept["change_id"], now)
            stays = change.status == "begun" or (
                change.status == "declined"
                and not is_person
                and self._is_fresh(change.decisions[-1], now)
            )
            still = change.status == "waiting" and change.grade_needed == grade_needed
            if not (stays or still):
                rows.execute(
                    "UPDATE change SET revision = revision + 1, grade_needed = ?, client = ?, since = ?"
                    " WHERE change_id = ?",
                    (grade_needed, client, as_text(now), change.change_id),
                )
            return _known(rows, change.change_id, now)

    def ask(self, change: Change, channel: str, client: str) -> int:
        """Note that a person is asked about a revision, and return the question's number.

        Raises:
            OvertakenError: It doesn't wait any more, or not with that revision.
        """
        with self._database.writing() as rows:
            _check_waits(rows, change, self._now())
            asked = rows.execute(
                "INSERT INTO question (change_id, revision, channel, client, asked) VALUES (?, ?, ?, ?, ?)"
                " RETURNING number",
                (change.change_id, change.revision, channel, client, as_text(self._now())),
            )
            return int(asked.fetchone()["number"])

    def answer(
        self,
        change_id: str,
        number: int,
        reply: Reply,
        after_seconds: float,
        person: Approval,
        client: str,
    ) -> Reply | None:
        """Note an answer to a question; a person's decline is noted in the same step.

        A program that answered by itself gives no person's answer to that question any more.

        Args:
            change_id: What was asked about.
            number: Of the question.
            reply: The answer.
            after_seconds: How long it took.
            person: What a person's word through this program is.
            client: The name and version of the program.

        Returns:
            What the answer is worth; None where it is no longer about what is current: the revision has
            changed, or it was asked more than 15 minutes ago. A decline counts all the same.
        """
        with self._database.writing() as rows:
            now = self._now()
            kept = rows.execute(
                "SELECT * FROM question WHERE number = ? AND change_id = ?", (number, change_id)
            ).fetchone()
            if kept is None:
                return None
            before = Reply(kept["answer"]) if kept["answer"] else None
            worth = reply.after(0.0) if before in BY_PROGRAM else reply
            rows.execute(
                "UPDATE question SET answer = ?, answered_after_seconds = ? WHERE number = ?",
                (worth.value, after_seconds, number),
            )
            change = _known(rows, change_id, now)
            if worth is Reply.NO:
                _decline(rows, change, person, client, number, now)
                return worth
            is_late = _seconds(instant_of(kept["asked"]), now) >= LIFETIME.total_seconds()
            return None if is_late or kept["revision"] != change.revision else worth

    def decline(self, change_id: str, person: Approval, client: str) -> Change:
        """A person declined. What is being carried out, or is over, stays what it is.

        Args:
            change_id: The change.
            person: Who declined, and through what.
            client: The name and version of the program.

        Returns:
            The change as it stands then.
        """
        with self._database.writing() as rows:
            now = self._now()
            _decline(rows, _known(rows, change_id, now), person, client, None, now)
            return _known(rows, change_id, now)

    def begin(self, change: Change, approval: Approval, client: str, number: int | None) -> None:
        """Note an approval, and that it is being carried out, before anything is sent.

        Args:
            change: The change, with the revision that was approved.
            approval: Who approved, through what, and what that proves.
            client: The name and version of the program.
            number: Of the question that was answered; None where there was none.

        Raises:
            OvertakenError: It doesn't wait any more, or not with that revision. Nothing was noted.
            ConstraintError: The approval doesn't suffice. Nothing was noted.
        """
        with self._database.writing() as rows:
            now = self._now()
            _check_waits(rows, change, now)
            _decide(rows, change, "approve", approval, client, number, now)
            rows.execute(
                "INSERT INTO carried_out VALUES (?, ?, 'begun', ?)",
                (change.change_id, change.revision, as_text(now)),
            )

    def end(self, change: Change, *, is_done: bool) -> None:
        """Note what came of a change that was begun.

        Args:
            change: The change, with the revision that was begun.
            is_done: Whether it is certain that it took effect.
        """
        with self._database.writing() as rows:
            rows.execute(
                "UPDATE carried_out SET progress = ? WHERE change_id = ? AND revision = ?",
                ("done" if is_done else "failed", change.change_id, change.revision),
            )

    def _is_fresh(self, decision: ChangeDecision, now: Instant) -> bool:
        """Whether it was made in the last 24 hours, whatever was done to the clock since.

        What another start noted in a file was there before this one began. In a database another
        machine may have noted it at any time, and the clock is not this machine's.
        """
        since = now.uptime if self._database.is_shared else 0.0
        seconds = seconds_by_clock(decision.made, now, Instant(now.at, since, now.boot))
        return seconds < DECLINES_COUNT.total_seconds()


def _find(rows: Connection, change_id: str, now: Instant) -> Change | None:
    row = rows.execute("SELECT * FROM change WHERE change_id = ?", (change_id,)).fetchone()
    return None if row is None else _change(rows, row, now)


def _known(rows: Connection, change_id: str, now: Instant) -> Change:
    change = _find(rows, change_id, now)
    if change is None:
        raise OvertakenError
    return change


def _change(rows: Connection, row: TableRow, now: Instant) -> Change:
    change_id, revision = row["change_id"], row["revision"]
    decisions = tuple(
        ChangeDecision(
            each["revision"],
            each["verdict"],
            Approval(each["grade"], each["channel"], each["who"]),
            each["client"],
            instant_of(each["made"]),
        )
        for each in rows.execute(
            "SELECT * FROM decision WHERE change_id = ? ORDER BY revision", (change_id,)
        )
    )
    begun = rows.execute(
        "SELECT * FROM carried_out WHERE change_id = ? AND revision = ?", (change_id, revision)
    ).fetchone()
    since = instant_of(row["since"])
    return Change(
        change_id,
        WantedChange(
            row["action"], row["url"], tuple(json.loads(row["events"])), row["webhook_id"]
        ),
        revision,
        row["grade_needed"],
        row["client"],
        since,
        _status(begun, decisions, revision, since, now),
        decisions,
    )


def _status(
    begun: TableRow | None,
    decisions: tuple[ChangeDecision, ...],
    revision: int,
    since: Instant,
    now: Instant,
) -> ChangeStatus:
    """How the current revision stands."""
    if begun is not None:
        progress: ChangeProgress = begun["progress"]
        passed = _seconds(instant_of(begun["begun"]), now)
        return "failed" if progress == "begun" and passed >= IN_PROGRESS_SECONDS else progress
    if decisions and decisions[-1].revision == revision:
        return "declined"
    return "expired" if _seconds(since, now) >= WAITS.total_seconds() else "waiting"


def _seconds(then: Instant, now: Instant) -> float:
    """At most how many seconds have passed; none where another machine is a little ahead."""
    is_ahead = then.boot != now.boot and timedelta() < then.at - now.at < _CLOCKS_DIFFER
    return 0.0 if is_ahead else seconds_at_most(then, now)


def _check_waits(rows: Connection, change: Change, now: Instant) -> None:
    current = _known(rows, change.change_id, now)
    if (current.revision, current.status) != (change.revision, "waiting"):
        raise OvertakenError


def _decline(
    rows: Connection,
    change: Change,
    person: Approval,
    client: str,
    number: int | None,
    now: Instant,
) -> None:
    if change.status == "failed":  # what failed would be wanted again
        rows.execute(
            "UPDATE change SET revision = revision + 1 WHERE change_id = ?", (change.change_id,)
        )
        change = _known(rows, change.change_id, now)
    if change.status in {"waiting", "expired"}:
        _decide(rows, change, "decline", person, client, number, now)


def _decide(
    rows: Connection,
    change: Change,
    verdict: Verdict,
    approval: Approval,
    client: str,
    number: int | None,
    now: Instant,
) -> None:
    rows.execute(
        "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (change.change_id, change.revision, verdict, approval.grade, approval.channel, approval.who,
         client, as_text(now), number),
    )  # fmt: skip
