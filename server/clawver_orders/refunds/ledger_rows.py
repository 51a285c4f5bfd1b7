"""Rows of the ledger's file as records, within one connection and at one time."""

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from clawver_orders.caller import Reply
from clawver_orders.instants import Instant, seconds_by_clock
from clawver_orders.refunds.ledger_schema import listed
from clawver_orders.refunds.records import (
    MAY_HAVE_MOVED,
    Actor,
    Asked,
    Attempt,
    Decision,
    LedgerEvent,
    OrderRecords,
    SeenRefund,
    Wish,
    status_of,
)

_DAY_IN_SECONDS = timedelta(hours=24).total_seconds()
_MAY_BE_OF_THE_LAST_DAY = f"""
SELECT * FROM attempt
WHERE (status IN {listed(MAY_HAVE_MOVED)}
        OR (status = 'refused' AND reads_after_window = 0))
    AND (sent_at > :at - {_DAY_IN_SECONDS}
        OR (sent_boot = :boot AND sent_uptime > :uptime - {_DAY_IN_SECONDS}))
"""  # noqa: S608  # words of ours


def as_text(instant: Instant) -> str:
    """An instant as the file keeps it."""
    return json.dumps([instant.at.timestamp(), instant.uptime, instant.boot])


def in_seconds(when: datetime | None) -> float | None:
    """A time of day as the file keeps it."""
    return None if when is None else when.timestamp()


def _instant(text: str) -> Instant:
    at, uptime, boot = json.loads(text)
    return Instant(datetime.fromtimestamp(at, UTC), uptime, boot)


def _instant_or_none(text: str | None) -> Instant | None:
    return None if text is None else _instant(text)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class Rows:
    """What one connection sees.

    Args:
        connection: To the file.
        now: The current time.
    """

    def __init__(self, connection: sqlite3.Connection, now: Instant) -> None:
        self.connection = connection
        self.now = now

    def note(self, refund_id: str, event: str, actor: Actor, detail: str = "") -> int:
        """Add a line to the history, and return its number."""
        line = self.connection.execute(
            "INSERT INTO history (refund_id, order_id, at, process, event, who, client, detail)"
            " SELECT refund_id, order_id, ?, ?, ?, ?, ?, ? FROM wish WHERE refund_id = ?",
            (
                self.now.at.timestamp(),
                os.getpid(),
                event,
                actor.who,
                actor.client,
                detail,
                refund_id,
            ),
        )
        return int(line.lastrowid or 0)

    def wish(self, refund_id: str) -> Wish | None:
        """The wish with this id, or with this former one."""
        found = self.wishes(
            "WHERE refund_id = ?1 OR refund_id = (SELECT refund_id FROM former_id WHERE former = ?1)",
            refund_id,
        )
        return found[0] if found else None

    def wishes(self, clause: str, *values: str | int) -> tuple[Wish, ...]:
        """Wishes with all that belongs to them."""
        rows = self.connection.execute(f"SELECT * FROM wish {clause}", values).fetchall()  # noqa: S608  # words of ours
        ids = json.dumps([row["refund_id"] for row in rows])
        attempts = self._by_wish("attempt", "refund_id", "id", ids)
        decisions = self._by_wish("decision", "subject", "number", ids)
        questions = self._by_wish("question", "subject", "number", ids)
        return tuple(
            self._wish(
                row,
                tuple(map(_attempt, attempts[row["refund_id"]])),
                tuple(map(_decision, decisions[row["refund_id"]])),
                tuple(map(_question, questions[row["refund_id"]])),
            )
            for row in rows
        )

    def _by_wish(
        self, table: str, key: str, order: str, ids: str
    ) -> Mapping[str, list[sqlite3.Row]]:
        found: dict[str, list[sqlite3.Row]] = defaultdict(list)
        rows = self.connection.execute(
            f"SELECT * FROM {table} WHERE {key} IN (SELECT value FROM json_each(?)) ORDER BY {order}",  # noqa: S608  # words of ours
            (ids,),
        )
        for row in rows:
            found[row[key]].append(row)
        return found

    def _wish(
        self,
        row: sqlite3.Row,
        attempts: tuple[Attempt, ...],
        decisions: tuple[Decision, ...],
        questions: tuple[Asked, ...],
    ) -> Wish:
        revision, previewed = row["revision"], _instant(row["previewed"])
        current = [each for each in decisions if each.revision == revision]
        decision = current[0] if current else None
        return Wish(
            refund_id=row["refund_id"],
            order_id=row["order_id"],
            amount_in_cents=row["amount_in_cents"],
            reason=row["reason"],
            in_addition_to=tuple(json.loads(row["in_addition_to"])),
            revision=revision,
            grade_needed=row["grade_needed"],
            shown=row["shown"],
            created_at=datetime.fromtimestamp(row["created_at"], UTC),
            previewed=previewed,
            status=status_of(attempts, revision, decision, previewed, self.now),
            attempts=attempts,
            questions=tuple(each for each in questions if each.revision == revision),
            decisions=decisions,
            sandbox=row["sandbox"],
        )

    def order(self, order_id: str, restored: Instant | None) -> OrderRecords:
        """All that is known of the refunds of an order."""
        (number,) = self.connection.execute(
            "SELECT COALESCE(MAX(number), 0) FROM history WHERE order_id = ?", (order_id,)
        ).fetchone()
        return OrderRecords(
            order_id=order_id,
            wishes=self.wishes("WHERE order_id = ? ORDER BY rowid", order_id),
            number=number,
            first_look=self.first_look(),
            restored=restored or self.restored(),
        )

    def history(self, refund_id: str) -> tuple[LedgerEvent, ...]:
        """What happened to a wish, oldest first."""
        rows = self.connection.execute(
            "SELECT number, at, process, event, who, client, detail FROM history WHERE refund_id = ?"
            " ORDER BY number",
            (refund_id,),
        )
        return tuple(
            LedgerEvent(number, datetime.fromtimestamp(at, UTC), *rest)
            for number, at, *rest in rows
        )

    def first_look(self) -> Instant:
        """Since when only this start of this machine works on the file; now, where that isn't noted.

        All that another one wrote was there by then.
        """
        last = self._last_boot()
        return last if last is not None and last.boot == self.now.boot else self.now

    def knows_boot(self) -> bool:
        """Whether it is noted that this start of this machine works on the file."""
        last = self._last_boot()
        return last is not None and last.boot == self.now.boot

    def know_boot(self) -> None:
        """Note that this start of this machine works on the file, where another one did last."""
        if not self.knows_boot():
            self.connection.execute(
                "INSERT INTO boot (boot, at, uptime) VALUES (?, ?, ?)",
                (self.now.boot, self.now.at.timestamp(), self.now.uptime),
            )

    def _last_boot(self) -> Instant | None:
        row = self.connection.execute("SELECT * FROM boot ORDER BY number DESC LIMIT 1").fetchone()
        if row is None:
            return None
        return Instant(datetime.fromtimestamp(row["at"], UTC), row["uptime"], row["boot"])

    def last_number(self) -> int:
        """The highest number that any line of the history ever had."""
        row = self.connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'history'"
        ).fetchone()
        return int(row["seq"]) if row else 0

    def restored(self) -> Instant | None:
        """When it was last noticed that this is an older copy of the file."""
        row = self.connection.execute(
            "SELECT noticed FROM restored ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return _instant(row["noticed"]) if row else None

    def note_restored(self, number: int) -> None:
        """Note that this is an older copy of the file. Its history goes on where the newer one ended.

        Args:
            number: The highest number of a line of history that was ever written.
        """
        self.connection.execute("INSERT INTO restored (noticed) VALUES (?)", (as_text(self.now),))
        self.connection.execute("DELETE FROM sqlite_sequence WHERE name = 'history'")
        self.connection.execute("INSERT INTO sqlite_sequence VALUES ('history', ?)", (number,))

    def spent_in_cents(self) -> int:
        """What was sent in the last 24 hours and may have moved money, in cents."""
        now, look = self.now, self.first_look()
        values = {"at": now.at.timestamp(), "uptime": now.uptime, "boot": now.boot}
        found = map(_attempt, self.connection.execute(_MAY_BE_OF_THE_LAST_DAY, values))
        return sum(
            attempt.amount_in_cents
            for attempt in found
            if seconds_by_clock(attempt.sent, now, look) < _DAY_IN_SECONDS
        )

    def seen(self, order_id: str) -> tuple[SeenRefund, ...]:
        """All refunds that Clawver ever listed of an order, as far as they were noted."""
        rows = self.connection.execute(
            "SELECT * FROM seen_refund WHERE order_id = ? ORDER BY clawver_refund_id, sandbox",
            (order_id,),
        )
        return tuple(
            SeenRefund(
                row["clawver_refund_id"],
                row["amount_in_cents"],
                row["stripe_refund_id"],
                row["reason"],
                _time(row["created_at"]),
                row["sandbox"],
            )
            for row in rows
        )

    def add_seen(self, order_id: str, refunds: Iterable[SeenRefund]) -> None:
        """Note refunds that Clawver lists."""
        self.connection.executemany(
            "INSERT INTO seen_refund (order_id, sandbox, clawver_refund_id, amount_in_cents,"
            " stripe_refund_id, reason, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    order_id, each.sandbox, each.clawver_refund_id, each.amount_in_cents,
                    each.stripe_refund_id, each.reason, in_seconds(each.created_at),
                )
                for each in refunds
            ],
        )  # fmt: skip


def _attempt(row: sqlite3.Row) -> Attempt:
    return Attempt(
        refund_id=row["refund_id"],
        revision=row["revision"],
        order_id=row["order_id"],
        amount_in_cents=row["amount_in_cents"],
        reason=row["reason"],
        refunds_before=frozenset(json.loads(row["refunds_before"])),
        sent=Instant(
            datetime.fromtimestamp(row["sent_at"], UTC), row["sent_uptime"], row["sent_boot"]
        ),
        sent_by_server=_time(row["sent_by_server"]),
        status=row["status"],
        reads_after_window=row["reads_after_window"],
        last_read=_instant_or_none(row["last_read"]),
        checks=row["checks"],
        last_check=_instant_or_none(row["last_check"]),
        reported_event=row["reported_event"],
        clawver_refund_id=row["clawver_refund_id"],
        stripe_refund_id=row["stripe_refund_id"],
        unexpected_refunds=tuple(json.loads(row["unexpected_refunds"])),
        resolved=bool(row["resolved"]),
        number=row["number"],
    )


def _decision(row: sqlite3.Row) -> Decision:
    return Decision(
        refund_id=row["subject"],
        revision=row["revision"],
        verdict=row["verdict"],
        grade=row["grade"],
        channel=row["channel"],
        who=row["who"],
        client=row["client"],
        made=_instant(row["made"]),
        number=row["number"],
    )


def _question(row: sqlite3.Row) -> Asked:
    return Asked(
        number=row["number"],
        refund_id=row["subject"],
        revision=row["revision"],
        asked=_instant(row["asked"]),
        answer=None if row["answer"] is None else Reply(row["answer"]),
        shown_since=bool(row["shown_since"]),
    )
