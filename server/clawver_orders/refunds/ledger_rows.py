"""Rows of the ledger's file as records, within one connection and at one time."""

import hashlib
import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from clawver_orders.caller import Reply
from clawver_orders.instants import Instant, seconds_by_clock
from clawver_orders.refunds.records import (
    MAY_HAVE_MOVED,
    Actor,
    Asked,
    Attempt,
    Decision,
    LedgerEvent,
    Looks,
    OrderRecords,
    SeenRefund,
    Wish,
    status_of,
)
from clawver_orders.storage.database import Connection, TableRow, Value
from clawver_orders.storage.sql import as_text, instant_of, listed, marks

_DAY_IN_SECONDS = timedelta(hours=24).total_seconds()
_MAY_COUNT = f"""
FROM attempt LEFT JOIN decision AS yes
    ON yes.subject = attempt.refund_id AND yes.revision = attempt.revision
WHERE (status IN {listed(MAY_HAVE_MOVED)} OR (status = 'refused' AND reads_after_window = 0))
    AND (sent_at > ? OR order_id = ? OR (sent_boot = ? AND sent_uptime > ?))
    AND (yes.grade IS NULL OR yes.grade <> ?)
"""
"""What may have moved money: of the last day by either clock, or of an order, but for approvals of a grade."""
_AT_ONCE = 1000
"""So many ids are looked up by one statement."""
_LOOKS_ARE_KEPT_SECONDS = 2 * _DAY_IN_SECONDS
"""Longer than anything is waited for."""
_STARTS_ARE_KEPT_SECONDS = 30 * _DAY_IN_SECONDS
"""What a start looked at that is over goes then. Where it isn't, it looks again."""


def in_seconds(when: datetime | None) -> float | None:
    """A time of day as the file keeps it."""
    return None if when is None else when.timestamp()


def _instant_or_none(text: str | None) -> Instant | None:
    return None if text is None else instant_of(text)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class Rows:
    """What one connection sees.

    Args:
        connection: To the file.
        now: The current time.
    """

    def __init__(self, connection: Connection, now: Instant) -> None:
        self.connection = connection
        self.now = now
        self.is_older = False
        """Whether this is an older copy of the file, and that could not be noted in it."""

    def note(self, refund_id: str, event: str, actor: Actor, detail: str = "") -> int:
        """Add a line to the history, and return its number."""
        [(number,)] = self.connection.execute(
            "UPDATE last_line SET number = number + 1 RETURNING number"
        ).fetchall()
        self.connection.execute(
            "INSERT INTO history (number, refund_id, order_id, at, process, host, event, who, client, detail)"
            " SELECT ?, refund_id, order_id, ?, ?, ?, ?, ?, ?, ? FROM wish WHERE refund_id = ?",
            (
                number,
                self.now.at.timestamp(),
                os.getpid(),
                platform.node(),
                event,
                actor.who,
                actor.client,
                detail,
                refund_id,
            ),
        )
        return int(number)

    def wish(self, refund_id: str) -> Wish | None:
        """The wish with this id, or with this former one."""
        found = self.wishes(
            "WHERE refund_id = ? OR refund_id = (SELECT refund_id FROM former_id WHERE former = ?)",
            refund_id,
            refund_id,
        )
        return found[0] if found else None

    def wishes(self, clause: str, *values: str | float) -> tuple[Wish, ...]:
        """Wishes with all that belongs to them."""
        rows = self.connection.execute(f"SELECT * FROM wish {clause}", values).fetchall()  # noqa: S608  # words of ours
        ids = [row["refund_id"] for row in rows]
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
        self, table: str, key: str, order: str, ids: Sequence[str]
    ) -> Mapping[str, list[TableRow]]:
        found: dict[str, list[TableRow]] = defaultdict(list)
        for first in range(0, len(ids), _AT_ONCE):
            some = ids[first : first + _AT_ONCE]
            for row in self.connection.execute(
                f"SELECT * FROM {table} WHERE {key} IN ({marks(some)}) ORDER BY {order}",  # noqa: S608  # words of ours
                some,
            ):
                found[row[key]].append(row)
        return found

    def _wish(
        self,
        row: TableRow,
        attempts: tuple[Attempt, ...],
        decisions: tuple[Decision, ...],
        questions: tuple[Asked, ...],
    ) -> Wish:
        revision, previewed = row["revision"], instant_of(row["previewed"])
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
        noticed, last_line = self._restored()
        return OrderRecords(
            order_id=order_id,
            wishes=self.wishes("WHERE order_id = ? ORDER BY number", order_id),
            number=number,
            looks=self.looks(
                "SELECT number FROM history WHERE order_id = ?"
                " UNION ALL SELECT MAX(last_line) FROM restored",
                order_id,
            ),
            restored=restored or noticed,
            restored_number=last_line,
        )

    def history(self, refund_id: str) -> tuple[LedgerEvent, ...]:
        """What happened to a wish, oldest first."""
        rows = self.connection.execute(
            "SELECT number, at, process, host, event, who, client, detail FROM history WHERE refund_id = ?"
            " ORDER BY number",
            (refund_id,),
        )
        return tuple(
            LedgerEvent(number, datetime.fromtimestamp(at, UTC), *rest)
            for number, at, *rest in rows
        )

    def looks(self, numbers: str, *values: Value) -> Looks:
        """When this start of this machine first saw lines of history.

        Args:
            numbers: A query for the numbers of the lines.
            values: One for each `?` in it.
        """
        boot = self.now.boot
        rows = self.connection.execute(
            "SELECT number, at, uptime FROM look WHERE boot = ? AND number IN ("  # noqa: S608  # words of ours
            "SELECT (SELECT MIN(number) FROM look WHERE boot = ? AND number >= line.number)"
            f" FROM ({numbers}) AS line) ORDER BY number",
            (boot, boot, *values),
        )
        return Looks(
            tuple(
                (number, Instant(datetime.fromtimestamp(at, UTC), uptime, boot))
                for number, at, uptime in rows
            )
        )

    def is_all_seen(self) -> bool:
        """Whether a look of this start of this machine covers all that other starts wrote."""
        return self._unseen() is None

    def look(self) -> None:
        """Note that this start sees what others wrote since it last looked, or since it began."""
        unseen = self._unseen()
        if unseen is None:
            return
        last, is_first = unseen
        now, at = self.now, self.now.at.timestamp()
        old = now.uptime - _LOOKS_ARE_KEPT_SECONDS
        self.connection.execute(  # a number or an uptime that is yet to come is of an earlier start
            "DELETE FROM look WHERE boot = ? AND (number >= ? OR uptime > ? OR number <"
            " (SELECT MAX(number) FROM look WHERE boot = ? AND uptime <= ?))",
            (now.boot, last, now.uptime, now.boot, old),
        )
        if is_first:
            self.connection.execute(
                "DELETE FROM look WHERE at < ?", (at - _STARTS_ARE_KEPT_SECONDS,)
            )
        self.connection.execute(
            "INSERT INTO look (boot, number, at, uptime) VALUES (?, ?, ?, ?)",
            (now.boot, last, at, now.uptime),
        )

    def _unseen(self) -> tuple[int, bool] | None:
        """The number of the last line, and whether this start never looked; None where it saw all."""
        last, covered, uptime = self.connection.execute(
            "SELECT last_line.number, look.number AS covered, uptime FROM last_line"
            " LEFT JOIN look ON boot = ? ORDER BY covered DESC LIMIT 1",
            (self.now.boot,),
        ).fetchone()
        if covered == last and uptime <= self.now.uptime:
            return None
        return last, covered is None

    def cover_own(self) -> int:
        """Let the last look cover the lines of this transaction too: no other start wrote one meanwhile.

        Returns:
            The highest number that any line of the history ever had.
        """
        boot = self.now.boot
        [(number,)] = self.connection.execute(
            "UPDATE look SET number = (SELECT number FROM last_line) WHERE boot = ?"
            " AND number = (SELECT MAX(number) FROM look WHERE boot = ?) RETURNING number",
            (boot, boot),
        ).fetchall()
        return int(number)

    def line(self, number: int) -> tuple[int, str]:
        """The highest number that any line of the history ever had, and what the line of a number says.

        Args:
            number: That of the line.

        Returns:
            The highest one; and a digest of the line, empty where there is no such line.
        """
        last, there, *values = self.connection.execute(
            "SELECT last_line.number AS last, history.number, refund_id, order_id, at, process, host, event, who,"
            " client, detail FROM last_line LEFT JOIN history ON history.number = ?",
            (number,),
        ).fetchone()
        digest = hashlib.sha256(json.dumps([there, *values]).encode()).hexdigest()
        return int(last), "" if there is None else digest

    def _restored(self) -> tuple[Instant | None, int]:
        """When it was last noticed that this is an older copy of the file, and the last line by then."""
        row = self.connection.execute(
            "SELECT noticed, last_line FROM restored ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return (instant_of(row["noticed"]), row["last_line"]) if row else (None, 0)

    def note_restored(self, number: int) -> None:
        """Note that this is an older copy of the file. Its history goes on where the newer one ended.

        Args:
            number: The highest number of a line of history that was ever written, as far as it is known.
        """
        number = max(number, self.line(number)[0])
        self.connection.execute(
            "INSERT INTO restored (noticed, last_line) VALUES (?, ?)", (as_text(self.now), number)
        )
        self.connection.execute("UPDATE last_line SET number = ?", (number,))

    def spent_in_cents(self) -> int:
        """What was sent in the last 24 hours and may have moved money, in cents."""
        return self._sent_in_cents("", "")

    def sent_without_pin_in_cents(self, order_id: str) -> int:
        """What was sent without the PIN: on this order, and on others in the last 24 hours; in cents."""
        return self._sent_in_cents(order_id, "pin")

    def _sent_in_cents(self, order_id: str, but_for: str) -> int:
        now = self.now
        values = (
            now.at.timestamp() - _DAY_IN_SECONDS, order_id, now.boot, now.uptime - _DAY_IN_SECONDS,
            but_for,
        )  # fmt: skip
        looks = self.looks(f"SELECT sent_number AS number {_MAY_COUNT}", *values)
        found = map(_attempt, self.connection.execute(f"SELECT attempt.* {_MAY_COUNT}", values))
        return sum(
            attempt.amount_in_cents
            for attempt in found
            if attempt.order_id == order_id
            or seconds_by_clock(attempt.sent, now, looks.first(attempt.sent_number, now))
            < _DAY_IN_SECONDS
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
            " stripe_refund_id, reason, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [
                (
                    order_id, each.sandbox, each.clawver_refund_id, each.amount_in_cents,
                    each.stripe_refund_id, each.reason, in_seconds(each.created_at),
                )
                for each in refunds
            ],
        )  # fmt: skip


def _attempt(row: TableRow) -> Attempt:
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
        sent_number=row["sent_number"],
    )


def _decision(row: TableRow) -> Decision:
    return Decision(
        refund_id=row["subject"],
        revision=row["revision"],
        verdict=row["verdict"],
        grade=row["grade"],
        channel=row["channel"],
        who=row["who"],
        client=row["client"],
        made=instant_of(row["made"]),
        number=row["number"],
        policy=row["policy"],
    )


def _question(row: TableRow) -> Asked:
    return Asked(
        number=row["number"],
        refund_id=row["subject"],
        revision=row["revision"],
        asked=instant_of(row["asked"]),
        channel=row["channel"],
        answer=None if row["answer"] is None else Reply(row["answer"]),
        shown_since=bool(row["shown_since"]),
    )
