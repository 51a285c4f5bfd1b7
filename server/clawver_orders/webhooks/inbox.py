"""Every delivery that a store sent and that was verified, once.

Clawver documents no event id, so the digest of a body tells repeats apart. Digests are kept for
good, so that what was received once is never taken for new; what a delivery says is kept for as
long as the merchant wants, because it is about customers. The number of an event is its place in
the order of arrival: whoever has seen all events up to one number has missed none of them.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from clawver_orders.settings import Settings
from clawver_orders.storage.database import Database, Schema
from clawver_orders.storage.scopes import Scope
from clawver_orders.webhooks.signature import Event

SIGN_OF_LIFE = timedelta(seconds=30)
"""How often a receiver says that it is there."""
SILENT_AFTER = 4 * SIGN_OF_LIFE

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
    refused_at: datetime | None = None
    """The last request whose signature did not fit."""
    refused: int = 0
    """How many there were."""
    last_number: int = 0
    """The highest number that an event ever had."""
    forgotten: int = 0
    """The highest number that is no longer kept."""


class Inbox:
    """The events of one store.

    Args:
        path: The file. It is made by the first receiver, and never again.
        keep: How long to keep what deliveries say.
    """

    def __init__(self, path: Path, keep: timedelta) -> None:
        # It may be large, others write it all the time, and no money rests on it.
        self._database = Database(path, _SCHEMA, "the inbox of order events", suspicious=False)
        self._keep = keep

    @classmethod
    def of(cls, settings: Settings, scope: Scope) -> Self:
        """The inbox of a store; nothing is opened before it is asked something."""
        return cls(scope.folder / "inbox.sqlite3", timedelta(days=settings.inbox_days))

    # What a receiver does.

    def open(self) -> None:
        """Show that the file can be opened, or made.

        Raises:
            ClawverError: It cannot.
        """
        with self._database.reading():
            pass

    def start(self, receiver_id: str, now: datetime) -> None:
        """A receiver begins to listen."""
        with self._database.writing() as connection:
            _heartbeat(connection, receiver_id, now)
            self._forget(connection, now)

    def heartbeat(
        self, receiver_id: str, now: datetime, refused: int, refused_at: datetime | None
    ) -> None:
        """A receiver is still there.

        Args:
            receiver_id: Which one.
            now: The current time.
            refused: How many requests it refused for their signature since it last said so.
            refused_at: The last of them.
        """
        with self._database.writing() as connection:
            _heartbeat(connection, receiver_id, now)
            if refused_at is not None:
                connection.execute(
                    "UPDATE receiver SET refused = refused + ?, refused_at = ? WHERE receiver_id = ?",
                    (refused, refused_at.timestamp(), receiver_id),
                )
            self._forget(connection, now)

    def stop(self, receiver_id: str, now: datetime) -> None:
        """A receiver ends, as it should."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE receiver SET stopped_at = ? WHERE receiver_id = ?",
                (now.timestamp(), receiver_id),
            )

    def note(self, receiver_id: str, deliveries: Sequence[Delivery]) -> list[bool]:
        """Take down deliveries, all of them or none. They are on disk when this returns.

        Returns:
            For each whether it was new; a repeat is not stored again.
        """
        with self._database.writing() as connection:
            new = [_add(connection, delivery) for delivery in deliveries]
            latest = max(delivery.received_at for delivery in deliveries)
            _heartbeat(connection, receiver_id, latest)
            connection.execute(
                "UPDATE receiver SET delivered_at = ? WHERE receiver_id = ?",
                (latest.timestamp(), receiver_id),
            )
            self._forget(connection, latest)
        return new

    # Looking.

    def find(self, query: Query, now: datetime) -> Page:
        """The events that are wanted and still kept, newest arrival first."""
        conditions = ["number > ?", "received_at >= ?"]
        since = (
            self.kept_since(now) if query.since is None else max(query.since, self.kept_since(now))
        )
        values: list[object] = [query.after, since.timestamp()]
        for condition, value in (
            ("number < ?", query.before),
            ("order_id = ?", query.order_id or None),
            ("name = ?", query.name or None),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        with self._database.looking() as connection:
            rows = connection.execute(
                f"SELECT * FROM event WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?",  # noqa: S608  # conditions of ours
                (*values, query.limit + 1),
            ).fetchall()
        return Page(tuple(_received(row) for row in rows[: query.limit]), len(rows) > query.limit)

    def receiver_status(self, now: datetime) -> ReceiverStatus:
        """Whether somebody listens, and when there was last something to hear."""
        with self._database.looking() as connection:
            row = connection.execute(
                "SELECT MAX(started_at) AS started_at, MAX(seen_at) AS seen_at,"
                " MAX(CASE WHEN stopped_at IS NULL THEN seen_at END) AS running_at,"
                " MAX(delivered_at) AS delivered_at, MAX(refused_at) AS refused_at,"
                " COALESCE(SUM(refused), 0) AS refused,"
                " (SELECT seq FROM sqlite_sequence WHERE name = 'event') AS last_number,"
                " (SELECT MIN(number) FROM event WHERE received_at >= ?) AS first_number FROM receiver",
                (self.kept_since(now).timestamp(),),
            ).fetchone()
        last_number = row["last_number"] or 0
        running_at = _time(row["running_at"])
        return ReceiverStatus(
            started_at=_time(row["started_at"]),
            seen_at=_time(row["seen_at"]),
            is_listening=running_at is not None and abs(now - running_at) <= SILENT_AFTER,
            delivered_at=_time(row["delivered_at"]),
            refused_at=_time(row["refused_at"]),
            refused=row["refused"],
            last_number=last_number,
            forgotten=last_number if row["first_number"] is None else row["first_number"] - 1,
        )

    def kept_since(self, now: datetime) -> datetime:
        """What arrived before this time is no longer kept."""
        return now - self._keep

    def _forget(self, connection: sqlite3.Connection, now: datetime) -> None:
        """Delete what is too old, and leave nothing of it in the file's free pages."""
        connection.execute("PRAGMA secure_delete = ON")
        old = self.kept_since(now).timestamp()
        connection.execute("DELETE FROM event WHERE received_at < ?", (old,))
        connection.execute(
            "DELETE FROM receiver WHERE seen_at < ? AND seen_at < (SELECT MAX(seen_at) FROM receiver)",
            (old,),
        )


def _heartbeat(connection: sqlite3.Connection, receiver_id: str, now: datetime) -> None:
    at = now.timestamp()
    connection.execute(
        "INSERT INTO receiver (receiver_id, started_at, seen_at) VALUES (?, ?, ?)"
        " ON CONFLICT (receiver_id) DO UPDATE SET seen_at = excluded.seen_at",
        (receiver_id, at, at),
    )


def _add(connection: sqlite3.Connection, delivery: Delivery) -> bool:
    added = connection.execute(
        "INSERT INTO digest (sha256) VALUES (?) ON CONFLICT DO NOTHING",
        (hashlib.sha256(delivery.body).digest(),),
    )
    if added.rowcount == 0:
        return False
    event = delivery.event
    connection.execute(
        "INSERT INTO event (name, order_id, at, received_at, body) VALUES (?, ?, ?, ?, ?)",
        (
            event.name,
            event.order_id,
            None if event.at is None else event.at.timestamp(),
            delivery.received_at.timestamp(),
            delivery.body,
        ),
    )
    return True


def _received(row: sqlite3.Row) -> Received:
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
