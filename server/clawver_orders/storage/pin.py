"""The merchant's PIN of one store: what an agent with tools and a browser was never given.

A program that may guess as often as it likes finds any PIN. So a try is counted before it is looked
at, in one transaction over all processes, of all machines that share a database: guesses that come at the same time get no more tries than
guesses in a row, and one that isn't allowed costs no hashing. Whoever crashes in between has used
up a try.
"""

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from clawver_orders.errors import NOTHING_SENT, ClawverError
from clawver_orders.instants import Instant, seconds_by_clock
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Connection, Database, TableRow
from clawver_orders.storage.engine import PIN, tables_of
from clawver_orders.storage.scopes import Scope
from clawver_orders.storage.sqlite import Schema, SqliteDatabase

PIN_FILE = "pin.sqlite3"
LEAST, LEAST_OFF_LOOPBACK, MOST = 6, 10, 64
"""How many characters a PIN has; the second where others can reach the page."""
TRIES = 5
"""So many wrong ones in a row lock it."""
FIRST_LOCK, LONGEST_LOCK = timedelta(minutes=15), timedelta(days=1)
_COSTS = {"n": 2**14, "r": 8, "p": 5}
"""What OWASP's Password Storage Cheat Sheet names for 16 MiB of memory."""
NEVER_IN_A_CHAT = "Never type the PIN in a chat: no agent needs it."

_SCHEMA = Schema(
    application_id=0x636C7770,
    steps=(
        """
CREATE TABLE pin (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    salt BLOB NOT NULL,
    digest BLOB NOT NULL,
    costs TEXT NOT NULL,
    is_long INTEGER NOT NULL CHECK (is_long IN (0, 1)),
    set_at REAL NOT NULL
) STRICT;
CREATE TABLE tries (
    has_session INTEGER PRIMARY KEY CHECK (has_session IN (0, 1)),
    wrong INTEGER NOT NULL,
    last_at REAL NOT NULL,
    last_uptime REAL NOT NULL,
    last_boot TEXT NOT NULL
) STRICT;
""",
    ),
)


class PinNotSetError(ClawverError):
    """This store has no PIN yet.

    Args:
        option: What a command needs to work on the store.
    """

    def __init__(self, option: str = "") -> None:
        super().__init__(
            "this store has no PIN yet.",
            fact=NOTHING_SENT,
            next_step=f"A person sets one in a terminal: clawver-orders pin{option}",
        )


class PinLengthError(ClawverError):
    """A new PIN is too short or too long.

    Args:
        least: How many characters it has to have.
    """

    def __init__(self, least: int) -> None:
        super().__init__(
            f"A PIN has {least} to {MOST} characters. Nothing was changed.",
            next_step=f"Choose another one. {NEVER_IN_A_CHAT}",
        )


class WrongPinError(ClawverError):
    """It was another PIN.

    Args:
        tries_left: How many more may be wrong before it is locked; 1 or more.
    """

    def __init__(self, tries_left: int) -> None:
        self.tries_left = tries_left
        tries = "1 try is" if tries_left == 1 else f"{tries_left} tries are"
        super().__init__(
            "the PIN is wrong.",
            fact=NOTHING_SENT,
            next_step=f"{tries} left before it is locked. {NEVER_IN_A_CHAT}",
        )


class PinLockedError(ClawverError):
    """Too many wrong ones: no PIN is looked at before the lock ends.

    Args:
        until: When that is, in UTC.
        option: What a command needs to work on the store.
    """

    def __init__(self, until: datetime, option: str = "") -> None:
        self.until = until
        super().__init__(
            f"the PIN was wrong too often, and is locked until {until:%Y-%m-%d %H:%M} UTC.",
            fact=NOTHING_SENT,
            next_step="Wait until then. If those tries weren't yours, a program is guessing: "
            f"close your agents, then change the PIN with: clawver-orders pin{option}",
        )


class Pin:
    """The PIN of one store.

    Args:
        folder: Where what belongs to the store is kept.
        now: The current time, by this machine's clocks.
        database: What several machines share in place of a file in that folder.
        schema: The name of the schema there.
        option: What a command needs to work on the store.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], Instant],
        database: Database | None = None,
        schema: str = "",
        option: str = "",
    ) -> None:
        self.path = folder / PIN_FILE
        self._database: Database = database or SqliteDatabase(self.path, _SCHEMA, PIN.name)
        self._is_shared = database is not None
        self._schema = schema
        self._option = option
        self._clock = now

    @classmethod
    def of(cls, settings: Settings, scope: Scope, now: Callable[[], Instant]) -> Self:
        """The PIN of a store; nothing is opened before it is asked something.

        Raises:
            SetupError: What the database needs isn't installed, or its address cannot be used.
        """
        shared = tables_of(settings, scope.schema, PIN)
        schema = shared.schema if shared else ""
        return cls(scope.folder, now, shared, schema, option=settings.option)

    def _now(self) -> Instant:
        """The current time: of day by the clock of the database, where that has one of its own."""
        instant = self._clock()
        return replace(instant, at=instant.at + self._database.clock_ahead)

    @property
    def when_forgotten(self) -> str:
        """What a person does where nobody knows it any more."""
        if self._is_shared:
            return f'delete it from the database (DELETE FROM "{self._schema}".pin)'  # noqa: S608  # for a person
        return f"delete all files of {self.path.with_suffix('')}.*"

    @property
    def is_set(self) -> bool:
        """Whether there is one.

        Raises:
            SetupError: Its file cannot be used.
        """
        with self._database.read_or_empty() as rows:
            return _kept(rows) is not None

    @property
    def is_long(self) -> bool:
        """Whether there is one that is long enough for a page that others can reach."""
        with self._database.read_or_empty() as rows:
            kept = _kept(rows)
        return kept is not None and bool(kept["is_long"])

    def check_is_set(self) -> None:
        """Make sure that there is one.

        Raises:
            PinNotSetError: There is none.
            SetupError: Its file cannot be used.
        """
        if not self.is_set:
            raise PinNotSetError(self._option)

    def set(self, new: str, old: str | None, *, is_reachable: bool = False) -> None:
        """Set the PIN, or change it.

        Args:
            new: The new one.
            old: The one that is set; None where there is none.
            is_reachable: Whether others than this machine can reach the page.

        Raises:
            PinLengthError: The new one is too short or too long.
            WrongPinError: The old one is another one, or none was given.
            PinLockedError: Too many old ones were wrong.
            SetupError: Its file cannot be used.
        """
        least = LEAST_OFF_LOOPBACK if is_reachable else LEAST
        if not least <= len(new) <= MOST:
            raise PinLengthError(least)
        is_new = not self.is_set
        if not is_new:
            self.check(old or "", has_session=True)
        salt = secrets.token_bytes(16)
        digest = _digest(new, salt, _COSTS)
        is_long, at = int(len(new) >= LEAST_OFF_LOOPBACK), self._now().at.timestamp()
        row = (salt, digest, json.dumps(_COSTS), is_long, at)
        with self._database.writing() as rows:
            if is_new and _kept(rows) is not None:  # another process set one meanwhile
                raise WrongPinError(TRIES)
            rows.execute("DELETE FROM pin")
            rows.execute("INSERT INTO pin VALUES (1, ?, ?, ?, ?, ?)", row)
            rows.execute("DELETE FROM tries")

    def check(self, pin: str, *, has_session: bool) -> None:
        """Let pass whoever knows the PIN. It takes a tenth of a second and 16 MiB.

        Args:
            pin: What was typed.
            has_session: Whether whoever typed it has signed in, or sits at a terminal. Tries of
                strangers are counted apart: they can't lock the merchant out.

        Raises:
            PinNotSetError: There is none.
            WrongPinError: It is another one.
            PinLockedError: It isn't looked at, or it was the last wrong one before that.
            SetupError: Its file cannot be used.
            UnreachableError: Other programs hold it.
        """
        with self._database.read_or_empty() as rows:  # a flood of guesses writes nothing
            self._refuse(rows, has_session)
        with self._database.writing() as rows:
            kept, wrong = self._refuse(rows, has_session)
            self._count(rows, has_session, wrong + 1)
        digest = _digest(pin, kept["salt"], json.loads(kept["costs"]))
        if not hmac.compare_digest(digest, kept["digest"]):
            if (wrong + 1) % TRIES:
                raise WrongPinError(TRIES - (wrong + 1) % TRIES)
            raise PinLockedError(self._now().at + _lock(wrong + 1), self._option)
        with self._database.writing() as rows:
            rows.execute("DELETE FROM tries WHERE has_session = ?", (int(has_session),))

    def locked_until(self, *, has_session: bool) -> datetime | None:
        """When the next try is looked at; None where one is at once.

        Args:
            has_session: As for `check`.
        """
        with self._database.read_or_empty() as rows:
            try:
                self._refuse(rows, has_session)
            except PinLockedError as error:
                return error.until
            except PinNotSetError:
                return None
        return None

    def _refuse(self, rows: Connection, has_session: bool) -> tuple[TableRow, int]:
        """The PIN and how many tries in a row were wrong, where one more may be looked at."""
        kept = _kept(rows)
        if kept is None:
            raise PinNotSetError(self._option)
        counted = "SELECT * FROM tries WHERE has_session = ?"
        tries = rows.execute(counted, (int(has_session),)).fetchone()
        if tries is None:
            return kept, 0
        wrong, now = int(tries["wrong"]), self._now()
        if wrong % TRIES == 0:
            last = datetime.fromtimestamp(tries["last_at"], now.at.tzinfo)
            then = Instant(last, tries["last_uptime"], tries["last_boot"])
            # In a file, the lock of another start was before this one. Other machines' run beside it.
            since = now if self._is_shared else Instant(now.at, 0.0, now.boot)
            left = _lock(wrong) - timedelta(seconds=seconds_by_clock(then, now, since))
            if left > timedelta(0):
                raise PinLockedError(now.at + left, self._option)
        return kept, wrong

    def _count(self, rows: Connection, has_session: bool, wrong: int) -> None:
        now = self._now()
        row = (int(has_session), wrong, now.at.timestamp(), now.uptime, now.boot)
        rows.execute("DELETE FROM tries WHERE has_session = ?", row[:1])
        rows.execute("INSERT INTO tries VALUES (?, ?, ?, ?, ?)", row)


def _kept(rows: Connection) -> TableRow | None:
    found: TableRow | None = rows.execute("SELECT * FROM pin").fetchone()
    return found


def _lock(wrong: int) -> timedelta:
    """How long so many wrong ones lock it: a quarter of an hour, then twice as long each time."""
    doublings = min(wrong // TRIES - 1, 10)
    return min(FIRST_LOCK * (1 << doublings), LONGEST_LOCK)


def _digest(pin: str, salt: bytes, costs: Mapping[str, int]) -> bytes:
    """What is kept of a PIN."""
    typed = unicodedata.normalize("NFKC", pin[: MOST + 1]).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(typed, salt=salt, **costs)
