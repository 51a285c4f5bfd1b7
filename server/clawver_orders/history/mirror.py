"""The orders of one store as they were last seen, in a file or a database that can be searched.

Nothing here decides about money: what acts on an order reads it from Clawver. Writing it is
left to `recording`, so that no call waits for the disk.

An order's key is the time of its creation, so that the newest come first without being sorted,
however many there are.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from clawver_orders.clawver.models import Order
from clawver_orders.history import summing
from clawver_orders.history.finding import KeyList, find
from clawver_orders.history.forgetting import KEY_FILE, Forgotten
from clawver_orders.history.knowledge import (
    Body,
    Knowledge,
    Noticed,
    Sighting,
    answered,
    learned,
    marked,
    noticed,
)
from clawver_orders.history.summing import By, Summed
from clawver_orders.history.words import searched, short_words, wanted
from clawver_orders.orders.search import mailbox
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Connection, Database, TableRow, Value, insert
from clawver_orders.storage.engine import HISTORY, tables_of
from clawver_orders.storage.scopes import Scope
from clawver_orders.storage.sql import among, marks
from clawver_orders.storage.sqlite import Schema, SqliteDatabase
from clawver_orders.text import clean

if TYPE_CHECKING:
    from clawver_orders.webhooks.inbox import Inbox

HISTORY_FILE = "history.sqlite3"
_ALL = (1 << 63) - 1
_TIE_BITS = 20
_TIES = 64
"""How far from its place an order may stand because others stand there already."""
_LATEST_MS = (1 << 43) - 1
"""The year 2248: with the bits that tell ties apart it fits into SQLite's integers."""
_EVENTS_AT_ONCE = 1000
BEFORE_ALL = ("", _ALL)
"""Where the orders begin that tell whose they are: those that do not have an empty mailbox."""

_SCHEMA = Schema(
    application_id=0x636C7768,
    steps=(
        """
CREATE TABLE known (
    key INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    whole BLOB,
    whole_at REAL,
    row BLOB,
    row_at REAL,
    marked_at REAL,
    sandbox TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('list', 'read', 'event')),
    is_due INTEGER NOT NULL CHECK (is_due IN (0, 1)),
    is_thin INTEGER NOT NULL CHECK (is_thin IN (0, 1)),
    status TEXT,
    payment_status TEXT,
    mailbox TEXT,
    words TEXT
) STRICT;
CREATE INDEX known_by_mailbox ON known (mailbox, key) WHERE mailbox IS NOT NULL;
CREATE INDEX known_by_status ON known (status, key) WHERE status IS NOT NULL;
CREATE INDEX known_by_payment ON known (payment_status, key) WHERE payment_status IS NOT NULL;
CREATE INDEX known_due ON known (key) WHERE is_due = 1;
CREATE INDEX known_thin ON known (key) WHERE is_thin = 1;
CREATE VIRTUAL TABLE word USING fts5 (
    words, content = 'known', content_rowid = 'key', tokenize = 'trigram case_sensitive 1'
);
CREATE TABLE short_word (
    word TEXT NOT NULL,
    key INTEGER NOT NULL,
    PRIMARY KEY (word, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE mirror (
    is_it INTEGER PRIMARY KEY CHECK (is_it = 1),
    began_at REAL NOT NULL,
    last_event INTEGER NOT NULL DEFAULT 0,
    synced_at REAL,
    counted_at REAL,
    counted INTEGER,
    paid_then INTEGER,
    orders INTEGER NOT NULL DEFAULT 0,
    paid INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TRIGGER one_more AFTER INSERT ON known WHEN NEW.words IS NOT NULL BEGIN
    UPDATE mirror SET orders = orders + 1, paid = paid + (NEW.payment_status IN ('paid', 'partially_refunded', 'refunded'));
END;
CREATE TRIGGER one_less AFTER DELETE ON known WHEN OLD.words IS NOT NULL BEGIN
    UPDATE mirror SET orders = orders - 1, paid = paid - (OLD.payment_status IN ('paid', 'partially_refunded', 'refunded'));
END;
""",
        """
CREATE TABLE forgotten (digest BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
""",
        summing.TABLES,
        """
CREATE TABLE noticed (
    order_id TEXT NOT NULL,
    what TEXT NOT NULL,
    became TEXT NOT NULL,
    after REAL NOT NULL,
    until REAL NOT NULL
) STRICT;
CREATE INDEX noticed_by_order ON noticed (order_id, until);
""",
        """
CREATE TRIGGER words_of_one_more AFTER INSERT ON known WHEN NEW.words IS NOT NULL BEGIN
    INSERT INTO word (rowid, words) VALUES (NEW.key, NEW.words);
END;
CREATE TRIGGER words_of_one_less AFTER DELETE ON known WHEN OLD.words IS NOT NULL BEGIN
    INSERT INTO word (word, rowid, words) VALUES ('delete', OLD.key, OLD.words);
END;
""",
    ),
    after={3: lambda db: _sum_all(db)},
    # Until its parts are merged the index still has the words that were deleted from it.
    before_rewrite="INSERT INTO word (word) VALUES ('optimize')",
)


@dataclass(frozen=True)
class Sought:
    """Which orders are looked for; all that is given has to fit."""

    search: str = ""
    """Words, each of which is somewhere in the order."""
    status: str | None = None
    payment_status: str | None = None
    customer_email: str = ""
    created_after: datetime | None = None
    created_before: datetime | None = None
    before_key: int | None = None
    """Only what comes after the order with this key, in a list with the newest first."""


@dataclass(frozen=True)
class Kept:
    """An order as it was last seen."""

    key: int
    order: Order
    as_of: datetime
    is_thin: bool
    """Whether it was only seen as a row of a list."""
    is_due: bool
    """Whether it has changed since, or may have."""


@dataclass(frozen=True)
class Extent:
    """How much is kept of a store."""

    orders: int = 0
    thin: int = 0
    due: int = 0
    began_at: datetime | None = None
    """None where nothing was ever kept."""
    synced_at: datetime | None = None
    """When everything that Clawver's lists give was last read."""
    counted: int | None = None
    """How many orders Clawver counted, when it was last asked."""
    counted_at: datetime | None = None
    paid_then: int | None = None
    """How many orders that were ever paid were known here at that time."""


class Mirror:
    """What is kept of the orders of one store.

    Args:
        path: The file. It is made by the first order that is kept.
        keep: How long orders are kept after they were placed.
        database: What several machines share in place of the file. Its clock counts then.
    """

    def __init__(self, path: Path, keep: timedelta, database: Database | None = None) -> None:
        self._database: Database = database or SqliteDatabase(
            path, _SCHEMA, HISTORY.name, suspicious=False, checked_whole=False
        )
        is_shared = self._database.is_shared
        self._forgotten = Forgotten(path.with_name(KEY_FILE), is_shared=is_shared)
        self.folder = path.parent
        self._keep = keep

    @classmethod
    def of(cls, settings: Settings, scope: Scope) -> Self:
        """The history of a store; nothing is opened before it is asked something.

        Raises:
            SetupError: What the database needs isn't installed, or its address cannot be used.
        """
        shared = tables_of(settings, scope.schema, HISTORY)
        return cls(scope.folder / HISTORY_FILE, timedelta(days=settings.history_days), shared)

    @property
    def exists(self) -> bool:
        """Whether anything was ever kept."""
        return self._database.exists

    # Learning.

    def note(self, seen: Sequence[Sighting], now: datetime) -> None:
        """Take down what was seen of orders, all of it or nothing.

        Raises:
            ClawverError: The file cannot be used.
        """
        if not seen:
            return
        with self._database.writing() as db:
            now = self._begin(db, now)
            is_forgotten = self._forgotten.in_orders(db)
            ahead = self._database.clock_ahead.total_seconds()
            for each in seen:
                before = _known(db, each.order_id)
                as_shared = replace(each, asked_at=each.asked_at + ahead)
                known = learned(_or_new(before, each.order_id), as_shared, now.timestamp())
                if is_forgotten(known):
                    if before is not None:
                        _delete(db, before)
                else:
                    _put(db, before, known)
            self._drop_old(db, now)

    def take_events(self, inbox: "Inbox", now: datetime) -> None:
        """Mark the orders that events were about since this was last done.

        Raises:
            ClawverError: A file cannot be used.
        """
        from clawver_orders.webhooks.inbox import Query as EventQuery

        about: dict[str, float] = {}
        last = after = self._last_event()
        query = EventQuery(after=after, limit=_EVENTS_AT_ONCE)
        is_more = True
        while is_more:
            page = inbox.find(query, now)
            for each in page.events:
                last = max(last, each.number)
                if each.order_id is not None and each.name.startswith("order."):
                    at = each.received_at.timestamp()
                    about[each.order_id] = max(at, about.get(each.order_id, at))
            is_more = page.has_more
            if is_more:
                query = replace(query, before=page.events[-1].number)
        if last == after:
            return
        with self._database.writing() as db:
            self._begin(db, now)
            for order_id, at in about.items():
                before = _known(db, order_id)
                _put(db, before, marked(_or_new(before, order_id), at))
            db.execute("UPDATE mirror SET last_event = ? WHERE last_event < ?", (last, last))

    def note_answered(self, read: Sequence[tuple[str, float]]) -> None:
        """Note that orders were read because events had marked them.

        Args:
            read: Each by its id, with the mark that it was read for.
        """
        with self._database.writing() as db:
            for order_id, mark in read:
                before = _known(db, order_id)
                if before is not None:
                    _put(db, before, answered(_knowledge(before), mark))

    def note_sync(self, now: datetime, counted: int | None) -> None:
        """Note that everything that Clawver's lists give was read, and leave nothing old in the file.

        Args:
            now: The current time.
            counted: How many orders Clawver counts; None where it did not say.
        """
        with self._database.writing() as db:
            now = self._begin(db, now)
            at = now.timestamp()
            db.execute("UPDATE mirror SET synced_at = ?", (at,))
            if counted is not None:
                db.execute(
                    "UPDATE mirror SET counted = ?, counted_at = ?, paid_then = paid",
                    (counted, at),
                )
            self._drop_old(db, now)
        self._database.rewrite()

    def forget_sandbox(self, sandbox: str | None) -> None:
        """Delete the orders of a sandbox store that goes back to its beginning.

        Args:
            sandbox: Its id; None where all that is kept is of it.

        Raises:
            ClawverError: The file cannot be used.
        """
        if not self.exists:
            return
        with self._database.writing() as db:
            for row in db.execute("SELECT * FROM known").fetchall():
                if sandbox in {None, row["sandbox"]}:
                    _delete(db, row)

    def forget(self, customer_email: str, now: datetime) -> list[str]:
        """Delete a customer's orders, leave nothing of them in the file, and keep none of them again.

        What stays is a digest of the address, made with a key of this machine or of the database.

        Args:
            customer_email: The whole address.
            now: The current time.

        Returns:
            The ids of the orders that were deleted.

        Raises:
            ClawverError: The file cannot be used.
        """
        with self._database.writing() as db:
            self._begin(db, now)
            query = "SELECT * FROM known WHERE mailbox = ?"
            rows = db.execute(query, (mailbox(customer_email),)).fetchall()
            for row in rows:
                _delete(db, row)
            self._forgotten.add(db, customer_email)
        self._database.rewrite()
        return [row["order_id"] for row in rows]

    def forgets(self, customer_email: str) -> bool:
        """Whether the orders of this address were deleted, and none of them is kept again."""
        with self._database.read_or_empty() as db:
            return self._forgotten.have(db, customer_email)

    # Looking.

    def find(self, asked: Sought, limit: int) -> list[Kept]:
        """Orders that fit, newest first; those that do not tell when they were created come last."""
        with self._database.read_or_empty() as db:
            is_shared = self._database.is_shared
            rows = find(db, _lists(asked), _span(asked), limit, is_shared=is_shared)
        return [each for row in rows if (each := _kept(row)) is not None]

    def read(self, order_ids: Sequence[str]) -> dict[str, Kept]:
        """Orders by their ids, those that are kept."""
        with self._database.read_or_empty() as db:
            rows = db.execute(
                f"SELECT * FROM known WHERE order_id IN {among(order_ids)}",  # noqa: S608  # marks
                order_ids,
            ).fetchall()
        return {each.order.id: each for row in rows if (each := _kept(row)) is not None}

    def changes(self, order_id: str, limit: int) -> list[Noticed]:
        """The changes of an order that were noticed, newest first."""
        with self._database.read_or_empty() as db:
            rows = db.execute(
                "SELECT what, became, after, until FROM noticed WHERE order_id = ?"
                " ORDER BY until DESC, after DESC, what LIMIT ?",
                (order_id, limit),
            ).fetchall()
        return [
            Noticed(row["what"], clean(row["became"], 50), row["after"], row["until"])
            for row in rows
        ]

    def summed(
        self,
        created_after: datetime | None,
        created_before: datetime | None,
        without: Sequence[str],
        by: By | None = None,
        name_of: Callable[[datetime], str] = str,
    ) -> Summed:
        """Add up the orders of a span, or all of them.

        Args:
            created_after: Its beginning.
            created_before: Its end; it is not in the span itself.
            without: The ids of orders that are left out.
            by: What the sums are split by.
            name_of: The name of the day or week of a time.
        """

        def name_of_key(key: int) -> str:
            return "" if key < 0 else name_of(_time_of(key))

        keys = _keys(created_after, created_before)
        with self._database.read_or_empty() as db:
            return summing.summed(db, keys, without, by, name_of_key)

    def find_by_customer(
        self, asked: Sought, behind: tuple[str, int], limit: int
    ) -> list[tuple[str, Kept]]:
        """Orders of a span that tell whose they are: a customer's together, oldest first.

        Args:
            asked: The span; anything else of it is left out.
            behind: The mailbox and key of the order behind which to go on; `BEFORE_ALL` at first.
            limit: The most orders.

        Returns:
            Each with its customer's address as `mailbox` writes it.
        """
        span = _span(asked)
        with self._database.read_or_empty() as db:
            rows = db.execute(
                "SELECT * FROM known WHERE mailbox IS NOT NULL AND (mailbox, key) > (?, ?)"  # noqa: S608  # words of ours
                f" {''.join(f'AND key {sign} ? ' for sign, _ in span)}ORDER BY mailbox, key LIMIT ?",
                (*behind, *(end for _, end in span), limit),
            ).fetchall()
        return [(row["mailbox"], each) for row in rows if (each := _kept(row)) is not None]

    def due(self, limit: int = _ALL) -> list[tuple[str, float | None]]:
        """Orders that have to be read, newest first, each with the mark that an event left."""
        with self._database.read_or_empty() as db:
            rows = db.execute(
                "SELECT order_id, marked_at FROM known WHERE is_due = 1 ORDER BY key DESC LIMIT ?",
                (limit,),
            )
            return [(row["order_id"], row["marked_at"]) for row in rows]

    def extent(self) -> Extent:
        """How much is kept."""
        with self._database.read_or_empty() as db:
            about = db.execute("SELECT * FROM mirror").fetchone()
            if about is None:
                return Extent()
            thin, due = db.execute(
                "SELECT (SELECT COUNT(*) FROM known WHERE is_thin = 1),"
                " (SELECT COUNT(*) FROM known WHERE is_due = 1)"
            ).fetchone()
        return Extent(
            orders=about["orders"],
            thin=thin,
            due=due,
            began_at=_time(about["began_at"]),
            synced_at=_time(about["synced_at"]),
            counted=about["counted"],
            counted_at=_time(about["counted_at"]),
            paid_then=about["paid_then"],
        )

    def _last_event(self) -> int:
        with self._database.read_or_empty() as db:
            row = db.execute("SELECT last_event FROM mirror").fetchone()
            return 0 if row is None else int(row["last_event"])

    def _begin(self, db: Connection, now: datetime) -> datetime:
        """Note when the first order was kept; the time by the clock that counts for all machines."""
        now += self._database.clock_ahead
        db.execute(
            "INSERT INTO mirror (is_it, began_at) VALUES (1, ?) ON CONFLICT DO NOTHING",
            (now.timestamp(),),
        )
        return now

    def _drop_old(self, db: Connection, now: datetime) -> None:
        """Delete what is too old. Copies that SQLite made of it may stay until the file is rewritten."""
        oldest = _first_key(now - self._keep)
        old = db.execute("SELECT * FROM known WHERE key BETWEEN 0 AND ?", (oldest - 1,)).fetchall()
        for row in old:
            _delete(db, row)


def _known(db: Connection, order_id: str) -> TableRow | None:
    found: TableRow | None = db.execute(
        "SELECT * FROM known WHERE order_id = ?", (order_id,)
    ).fetchone()
    return found


def _or_new(row: TableRow | None, order_id: str) -> Knowledge:
    return Knowledge(order_id) if row is None else _knowledge(row)


def _knowledge(row: TableRow) -> Knowledge:
    return Knowledge(
        order_id=row["order_id"],
        whole=_body(row["whole"]),
        whole_at=row["whole_at"],
        row=_body(row["row"]),
        row_at=row["row_at"],
        marked_at=row["marked_at"],
        source=row["source"],
        sandbox=row["sandbox"],
    )


def _put(db: Connection, before: TableRow | None, known: Knowledge) -> None:
    """Keep what is known of an order, in the place of what was."""
    if before is not None:
        earlier = _knowledge(before)
        if earlier == known:
            return
        if _is_same_but_later(earlier, known):
            times = (known.whole_at, known.row_at, before["key"])
            db.execute("UPDATE known SET whole_at = ?, row_at = ? WHERE key = ?", times)
            summing.put_time(db, before["key"], known.as_of)
            return
        changes = noticed(earlier, known)
        insert(
            db,
            "noticed",
            [(known.order_id, each.what, each.became, each.after, each.until) for each in changes],
        )
    order = _order(known.body)
    words = searched(order) if order else None
    key = place_of(known.order_id, order)
    row: dict[str, Value] = {
        "whole": _bytes(known.whole),
        "whole_at": known.whole_at,
        "row": _bytes(known.row),
        "row_at": known.row_at,
        "marked_at": known.marked_at,
        "source": known.source,
        "sandbox": known.sandbox,
        "is_due": int(known.is_due),
        "is_thin": int(known.is_thin),
        "status": order.status if order else None,
        "payment_status": order.payment_status if order else None,
        "mailbox": mailbox(order.customer_email or "") if order else None,
    }
    if before is not None and before["words"] == words and 0 <= key - before["key"] < _TIES:
        columns = ", ".join(f"{column} = ?" for column in row)
        db.execute(f"UPDATE known SET {columns} WHERE key = ?", (*row.values(), before["key"]))  # noqa: S608
        summing.remove(db, before["key"])
        _sum(db, before["key"], order, known.as_of)
        return
    if before is not None:
        _remove(db, before)
    while db.execute("SELECT 1 FROM known WHERE key = ?", (key,)).fetchone():
        key -= 1
    row |= {"key": key, "order_id": known.order_id, "words": words}
    columns, values = ", ".join(row), [*row.values()]
    db.execute(f"INSERT INTO known ({columns}) VALUES ({marks(values)})", values)  # noqa: S608  # names of ours
    _sum(db, key, order, known.as_of)
    if words is not None:
        insert(db, "short_word", [(each, key) for each in short_words(words)])


def _is_same_but_later(earlier: Knowledge, known: Knowledge) -> bool:
    """Whether an order was only seen again, as it was: that is most of what is seen."""
    same = replace(earlier, whole_at=known.whole_at, row_at=known.row_at)
    return same == known and earlier.body == known.body


def _delete(db: Connection, row: TableRow) -> None:
    """Keep nothing of an order any more."""
    _remove(db, row)
    db.execute("DELETE FROM noticed WHERE order_id = ?", (row["order_id"],))


def _remove(db: Connection, row: TableRow) -> None:
    key, words = row["key"], row["words"]
    if words is not None:
        db.executemany(
            "DELETE FROM short_word WHERE word = ? AND key = ?",
            [(each, key) for each in short_words(words)],
        )
    summing.remove(db, key)
    db.execute("DELETE FROM known WHERE key = ?", (key,))


def _sum(db: Connection, key: int, order: Order | None, as_of: float | None) -> None:
    if order is not None and as_of is not None:
        summing.put(db, key, order, as_of)


def _sum_all(db: Connection) -> None:
    """Add up what was kept before anything was added up."""
    for row in db.execute("SELECT * FROM known").fetchall():
        known = _knowledge(row)
        _sum(db, row["key"], _order(known.body), known.as_of)


def _first_key(moment: datetime) -> int:
    """The lowest key of an order that was created then."""
    return min(max(0, math.ceil(moment.timestamp() * 1000)), _LATEST_MS) << _TIE_BITS


def _time_of(key: int) -> datetime:
    """When the order with this key was created, to the millisecond."""
    return datetime.fromtimestamp((key >> _TIE_BITS) / 1000, UTC)


def _keys(created_after: datetime | None, created_before: datetime | None) -> tuple[int, int]:
    """The first key of a span, and the first one behind it."""
    if created_after is None and created_before is None:
        return -(1 << 63), (1 << 63) - 1
    first = 0 if created_after is None else _first_key(created_after)
    last = (1 << 63) - 1 if created_before is None else _first_key(created_before)
    return first, last


def place_of(order_id: str, order: Order | None) -> int:
    """Where an order belongs among all: by its time, and by its id where it shares that with others.

    One that does not tell its time is older than any other.
    """
    tie = int.from_bytes(hashlib.sha256(order_id.encode()).digest()[:5])
    if order is None or order.created_at is None:
        return -1 - tie
    return _first_key(order.created_at) | (tie % (1 << _TIE_BITS))


def _lists(asked: Sought) -> list[KeyList]:
    """What is looked for, each as a list of its own."""
    anywhere, short = wanted(asked.search)
    columns = (
        ("mailbox", "known_by_mailbox", mailbox(asked.customer_email)),
        ("status", "known_by_status", asked.status),
        ("payment_status", "known_by_payment", asked.payment_status),
    )
    return [
        *(KeyList.by_column(column, index, value) for column, index, value in columns if value),
        *([KeyList.by_words(anywhere)] if anywhere else []),
        *(KeyList.by_short_word(each) for each in short),
    ]


def _span(asked: Sought) -> list[tuple[str, int]]:
    """Between which keys it is looked for."""
    after = None if asked.created_after is None else _first_key(asked.created_after)
    before = None if asked.created_before is None else _first_key(asked.created_before)
    if after is None and before is not None:
        after = 0  # an order that does not tell its time is in no span
    ends = ((">=", after), ("<", before), ("<", asked.before_key))
    return [(sign, key) for sign, key in ends if key is not None]


def _kept(row: TableRow) -> Kept | None:
    known = _knowledge(row)
    order, as_of = _order(known.body), _time(known.as_of)
    if order is None or as_of is None:
        return None
    return Kept(row["key"], order, as_of, known.is_thin, known.is_due)


def _order(body: Body | None) -> Order | None:
    """The order that a body is; None where this version cannot read it."""
    try:
        return None if body is None else Order.model_validate(body)
    except ValidationError:
        return None


def _bytes(body: Body | None) -> bytes | None:
    """A body as the file keeps it. Half characters, which JSON can carry, stay what they are."""
    if body is None:
        return None
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def _body(kept: bytes | None) -> Body | None:
    if kept is None:
        return None
    body: Body = json.loads(kept.decode("utf-8", "surrogatepass"))
    return body


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
