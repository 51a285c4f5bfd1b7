"""Every delivery that a store sent and that was verified, once.

Clawver documents no event id, so the digest of a body tells repeats apart. Digests are kept for
good, so that what was received once is never taken for new; what a delivery says is kept for as
long as the merchant wants, because it is about customers. The number of an event is its place in
the order of arrival: whoever has seen all events up to one number has missed none of them. So it is
given within a transaction that works alone, and not by a sequence: with that, an event could be
there before another one that has a lower number.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from clawver_orders.settings import Settings
from clawver_orders.storage.database import Connection, Database, TableRow, Value
from clawver_orders.storage.engine import INBOX, tables_of
from clawver_orders.storage.folders import try_writing
from clawver_orders.storage.scopes import Scope
from clawver_orders.storage.sqlite import Schema, SqliteDatabase
from clawver_orders.webhooks.signature import Event

SIGN_OF_LIFE = timedelta(seconds=30)
"""How often a receiver says that it is there."""
SILENT_AFTER = 4 * SIGN_OF_LIFE
INBOX_FILE = "inbox.sqlite3"
_MANY = 200
_PART = 1000
"""The most events that are read at once."""

_SCHEMA = Schema(
    application_id=0x636C7769,
    steps=(
        """
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    order_id TEXT,
    at REAL,
    received_at REAL NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX event_by_order ON event (order_id, number);
CREATE INDEX event_by_name ON event (name, number);
CREATE INDEX event_by_arrival ON event (received_at);
CREATE TABLE digest (sha256 BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE receiver (
    receiver_id TEXT PRIMARY KEY NOT NULL,
    started_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    stopped_at REAL,
    delivered_at REAL,
    refused_at REAL,
    refused INTEGER NOT NULL DEFAULT 0
) STRICT;
""",
        """
CREATE TABLE refusal (
    receiver_id TEXT NOT NULL,
    cause TEXT NOT NULL,
    count INTEGER NOT NULL,
    last_at REAL NOT NULL,
    PRIMARY KEY (receiver_id, cause)
) STRICT, WITHOUT ROWID;
INSERT INTO refusal SELECT receiver_id, 'signature', refused, refused_at FROM receiver WHERE refused_at IS NOT NULL;
UPDATE receiver SET refused = 0, refused_at = NULL;
""",
        """
CREATE TABLE last_event (number INTEGER NOT NULL) STRICT;
INSERT INTO last_event SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'event';
""",
    ),
)


@dataclass(frozen=True)
class Delivery:
    """A verified delivery that has just arrived."""

    body: bytes
    event: Event
    received_at: datetime


@dataclass(frozen=True)
class Received:
    """An event as the inbox remembers it."""

    number: int
    name: str
    order_id: str | None
    at: datetime | None
    """When it happened, as far as it said."""
    received_at: datetime
    body: bytes
    """What was verified, byte for byte."""


@dataclass(frozen=True)
class Query:
    """Which events are wanted.

    Args:
        after: Only those that arrived after the event with this number.
        since: Only those that arrived at this time or later.
        before: Only those that arrived before the event with this number.
        order_id: Only those about this order.
        name: Only those with this name.
        limit: The most to give.
    """

    after: int = 0
    since: datetime | None = None
    before: int | None = None
    order_id: str = ""
    name: str = ""
    limit: int = 50


@dataclass(frozen=True)
class Page:
    """Events, and whether there are more of them."""

    events: tuple[Received, ...]
    """Newest arrival first."""
    has_more: bool
    """Whether older ones match too."""


Cause = Literal["signature", "path", "method", "body", "size", "time", "cut off", "disk"]
"""Why a delivery was refused."""


@dataclass(frozen=True)
class RefusedDeliveries:
    """Deliveries that were refused for the same cause. Nothing of them is kept."""

    cause: Cause
    count: int
    last_at: datetime


@dataclass(frozen=True)
class ReceiverStatus:
    """How it stands with receiving."""

    started_at: datetime | None = None
    """The last start of a receiver; None where there never was one."""
    seen_at: datetime | None = None
    """The last sign of life of a receiver."""
    is_listening: bool = False
    delivered_at: datetime | None = None
    """The last delivery, repeats included."""
    refusals: tuple[RefusedDeliveries, ...] = ()
    """What was refused, by its cause, the latest first."""
    last_number: int = 0
    """The highest number that an event ever had."""
    forgotten: int = 0
    """The highest number that is no longer kept."""

    @property
    def lost(self) -> tuple[RefusedDeliveries, ...]:
        """What was refused after the last delivery that was taken."""
        since = self.delivered_at
        return tuple(each for each in self.refusals if since is None or since < each.last_at)


class Inbox:
    """The events of one store.

    Every time that is given is of this machine's clock. Where several machines share a database, its
    clock counts: what is noted and what is asked for is moved by the difference.

    Args:
        path: The file. It is made by the first receiver, and never again.
        keep: How long to keep what deliveries say.
        database: What several machines share in place of the file.
    """

    def __init__(self, path: Path, keep: timedelta, database: Database | None = None) -> None:
        # It may be large, others write it all the time, and no money rests on it.
        self._database: Database = database or SqliteDatabase(
            path, _SCHEMA, INBOX.name, suspicious=False, checked_whole=False
        )
        self._folder = path.parent
        self._keep = keep

    @classmethod
    def of(cls, settings: Settings, scope: Scope) -> Self:
        """The inbox of a store; nothing is opened before it is asked something.

        Raises:
            SetupError: What the database needs isn't installed, or its address cannot be used.
        """
        shared = tables_of(settings, scope.schema, INBOX)
        return cls(scope.folder / INBOX_FILE, timedelta(days=settings.inbox_days), shared)

    # What a receiver does.

    def prove(self) -> None:
        """Show that deliveries can be written down now, with as little work as possible.

        Raises:
            ClawverError: The database cannot be used.
            OSError: The folder of the file cannot be written.
        """
        if self._database.is_shared:
            self._database.prove()
        else:
            try_writing(self._folder)

    def open(self) -> None:
        """Show that it can be opened, or made.

        Raises:
            ClawverError: It cannot.
        """
        with self._database.reading():
            pass

    def start(self, receiver_id: str, now: datetime) -> None:
        """A receiver begins to listen. Nothing of what is too old stays in the file."""
        with self._database.writing() as connection:
            _heartbeat(connection, receiver_id, self._shared(now))
            self._forget(connection, now)
        self._database.rewrite()

    def heartbeat(
        self, receiver_id: str, now: datetime, refusals: Sequence[RefusedDeliveries] = ()
    ) -> None:
        """A receiver is still there.

        Args:
            receiver_id: Which one.
            now: The current time.
            refusals: What it refused since it last said so.
        """
        with self._database.writing() as connection:
            _heartbeat(connection, receiver_id, self._shared(now))
            connection.executemany(
                "INSERT INTO refusal VALUES (?, ?, ?, ?) ON CONFLICT (receiver_id, cause) DO UPDATE SET"
                " count = refusal.count + excluded.count, last_at = CASE WHEN refusal.last_at > excluded.last_at"
                " THEN refusal.last_at ELSE excluded.last_at END",
                [
                    (receiver_id, each.cause, each.count, self._shared(each.last_at).timestamp())
                    for each in refusals
                ],
            )
            self._forget(connection, now)

    def stop(self, receiver_id: str, now: datetime) -> None:
        """A receiver ends, as it should."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE receiver SET stopped_at = ? WHERE receiver_id = ?",
                (self._shared(now).timestamp(), receiver_id),
            )

    def note(self, receiver_id: str, deliveries: Sequence[Delivery]) -> list[bool]:
        """Take down deliveries, all of them or none. They are on disk when this returns.

        Returns:
            For each whether it was new; a repeat is not stored again.
        """
        digests = [hashlib.sha256(each.body).digest() for each in deliveries]
        by_digest: dict[bytes, Delivery] = {}
        for digest, each in zip(digests, deliveries, strict=True):
            by_digest.setdefault(digest, each)
        with self._database.writing() as connection:
            unknown = connection.execute(
                f"INSERT INTO digest (sha256) VALUES {', '.join(['(?)'] * len(by_digest))}"  # noqa: S608  # marks
                " ON CONFLICT DO NOTHING RETURNING sha256",
                [*by_digest],
            )
            new = {bytes(row["sha256"]) for row in unknown.fetchall()}
            self._add(connection, [each for digest, each in by_digest.items() if digest in new])
            latest = max(delivery.received_at for delivery in deliveries)
            _heartbeat(connection, receiver_id, self._shared(latest))
            connection.execute(
                "UPDATE receiver SET delivered_at = ? WHERE receiver_id = ?",
                (self._shared(latest).timestamp(), receiver_id),
            )
            self._forget(connection, latest)
        found = []
        for digest in digests:
            found.append(digest in new)
            new.discard(digest)  # the next of the same is a repeat
        return found

    def _add(self, connection: Connection, deliveries: Sequence[Delivery]) -> None:
        """Give each its number, in this order."""
        row = connection.execute(
            "UPDATE last_event SET number = number + ? RETURNING number", (len(deliveries),)
        ).fetchone()
        first = row["number"] - len(deliveries) + 1
        connection.executemany(
            "INSERT INTO event (number, name, order_id, at, received_at, body) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    number,
                    each.event.name,
                    each.event.order_id,
                    None if each.event.at is None else each.event.at.timestamp(),
                    self._shared(each.received_at).timestamp(),
                    each.body,
                )
                for number, each in enumerate(deliveries, first)
            ],
        )

    def forget(self, order_ids: Sequence[str], email: str) -> int:
        """Delete what deliveries say about these orders or this address, and leave nothing in the file.

        Args:
            order_ids: The orders of a customer.
            email: The customer's whole address. One that merely ends or begins like it is another's.

        Returns:
            How many events were deleted.

        Raises:
            ClawverError: The file cannot be used.
        """
        if not self._database.exists:
            return 0
        named, whole = _naming(email), frozenset(order_ids)
        theirs = [
            each["number"]
            for each in self._every()
            if each["order_id"] in whole
            or any(named.search(text) for text in _texts(json.loads(each["body"])))
        ]
        with self._database.writing() as connection:
            connection.executemany(
                "DELETE FROM event WHERE number = ?", [(number,) for number in theirs]
            )
        self._database.rewrite()
        return len(theirs)

    def _every(self) -> Iterator[TableRow]:
        """All that is kept, in parts."""
        last: int | None = 0
        while last is not None:
            with self._database.reading() as connection:
                rows = connection.execute(
                    "SELECT number, order_id, body FROM event WHERE number > ? ORDER BY number LIMIT ?",
                    (last, _PART),
                ).fetchall()
            yield from rows
            last = rows[-1]["number"] if rows else None

    # Looking.

    def find(self, query: Query, now: datetime) -> Page:
        """The events that are wanted and still kept, newest arrival first."""
        with self._database.read_or_empty() as connection:
            kept_since = self.kept_since(now)
            since = kept_since if query.since is None else max(query.since, kept_since)
            since_seconds = self._shared(since).timestamp()
            conditions = ["number > ?", "received_at >= ?"]
            values: list[Value] = [query.after, since_seconds]
            for condition, value in (
                ("number < ?", query.before),
                ("order_id = ?", query.order_id or None),
                # An order has few events, a name many: only one of them may choose the index.
                ("name || '' = ?" if query.order_id else "name = ?", query.name or None),
            ):
                if value is not None:
                    conditions.append(condition)
                    values.append(value)
            lately = "SELECT * FROM event WHERE received_at >= ? ORDER BY received_at LIMIT ?"
            (count,) = connection.execute(
                f"SELECT COUNT(*) FROM ({lately}) AS lately",  # noqa: S608  # words of ours
                (since_seconds, _MANY),
            ).fetchone()
            # Where few arrived in that time, the way by number would lead through all the others.
            source = "event"
            if count < _MANY:
                source, values = f"({lately}) AS event", [since_seconds, _MANY, *values]
            rows = connection.execute(
                f"SELECT * FROM {source} WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?",  # noqa: S608  # conditions of ours
                (*values, query.limit + 1),
            ).fetchall()
        return Page(tuple(_received(row) for row in rows[: query.limit]), len(rows) > query.limit)

    def receiver_status(self, now: datetime) -> ReceiverStatus:
        """Whether somebody listens, and when there was last something to hear."""
        with self._database.read_or_empty() as connection:
            row = connection.execute(
                "SELECT MAX(started_at) AS started_at, MAX(seen_at) AS seen_at,"
                " MAX(CASE WHEN stopped_at IS NULL THEN seen_at END) AS running_at,"
                " MAX(delivered_at) AS delivered_at,"
                " (SELECT number FROM last_event) AS last_number,"
                # By arrival, which has an index: the lowest number of them would need them all.
                " (SELECT number FROM event WHERE received_at >= ? ORDER BY received_at, number LIMIT 1)"
                " AS first_number FROM receiver",
                (self._shared(self.kept_since(now)).timestamp(),),
            ).fetchone()
            refusals = connection.execute(
                "SELECT cause, CAST(SUM(count) AS BIGINT) AS count, MAX(last_at) AS last_at FROM refusal"
                " GROUP BY cause ORDER BY 3 DESC, cause"
            ).fetchall()
        now, last_number = self._shared(now), row["last_number"]
        running_at = _time(row["running_at"])
        return ReceiverStatus(
            started_at=_time(row["started_at"]),
            seen_at=_time(row["seen_at"]),
            is_listening=running_at is not None and abs(now - running_at) <= SILENT_AFTER,
            delivered_at=_time(row["delivered_at"]),
            refusals=tuple(
                RefusedDeliveries(
                    each["cause"], each["count"], datetime.fromtimestamp(each["last_at"], UTC)
                )
                for each in refusals
            ),
            last_number=last_number,
            forgotten=last_number if row["first_number"] is None else row["first_number"] - 1,
        )

    def kept_since(self, now: datetime) -> datetime:
        """What arrived before this time is no longer kept."""
        return now - self._keep

    def _shared(self, at: datetime) -> datetime:
        """A time by the clock that counts for all machines, which is known within a transaction."""
        return at + self._database.clock_ahead

    def _forget(self, connection: Connection, now: datetime) -> None:
        """Delete what is too old. Copies that SQLite made of it may stay until the file is rewritten."""
        old = self._shared(self.kept_since(now)).timestamp()
        connection.execute("DELETE FROM event WHERE received_at < ?", (old,))
        connection.execute(
            "DELETE FROM receiver WHERE seen_at < ? AND seen_at < (SELECT MAX(seen_at) FROM receiver)",
            (old,),
        )
        connection.execute(
            "DELETE FROM refusal WHERE receiver_id NOT IN (SELECT receiver_id FROM receiver)"
        )


def _naming(email: str) -> re.Pattern[str]:
    """Finds a whole address in a text, in any case of ASCII's letters, and not as a part of a longer one."""
    letters = (
        f"[{c.lower()}{c.upper()}]" if c.isascii() and c.isalpha() else re.escape(c) for c in email
    )
    return re.compile(rf"(?<![\w+])(?<!\w[.'&-]){''.join(letters)}(?![\w-])(?!\.\w)")


def _texts(value: object) -> Iterator[str]:
    """All texts of a JSON value, the names of its fields too, in NFC."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield unicodedata.normalize("NFC", each)
        elif isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each


def _heartbeat(connection: Connection, receiver_id: str, now: datetime) -> None:
    at = now.timestamp()
    connection.execute(
        "INSERT INTO receiver (receiver_id, started_at, seen_at) VALUES (?, ?, ?)"
        " ON CONFLICT (receiver_id) DO UPDATE SET seen_at = excluded.seen_at",
        (receiver_id, at, at),
    )


def _received(row: TableRow) -> Received:
    return Received(
        number=row["number"],
        name=row["name"],
        order_id=row["order_id"],
        at=_time(row["at"]),
        received_at=datetime.fromtimestamp(row["received_at"], UTC),
        body=row["body"],
    )


def _time(seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # a sender may date an event as it likes
        return None
