"""The request allowance of one store, shared by all processes that have one file or database for it.

Clawver allows 60 requests a minute and 1,000 a day for a store. A part of both is kept back
for looking refunds up: an agent that lists orders in a loop must not make a refund
unverifiable. Losing this file costs nothing, so it is written without waiting for the disk. A
request for which it cannot be written, because another program holds it for example, is counted by
this process alone, and the log says so; the next one is shared again if it can be. All of this
happens in a thread, so that a request that waits for the file delays no other. Requests that come
while one waits are taken together, in one transaction.
"""

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import anyio
from anyio import to_thread

from clawver_orders.errors import ClawverError, RateLimitedError
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Connection, Database
from clawver_orders.storage.engine import BUDGET, tables_of
from clawver_orders.storage.folders import make_private
from clawver_orders.storage.scopes import schema_of

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400
LONGEST_WAIT_SECONDS = 10.0
"""How long a request may wait for its turn before the caller is told to come back."""
_BUSY_SECONDS = 1.0
_LATE_SECONDS = 10.0
"""How much later than others a process may hear what time it is at the database."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Wanted:
    """A request that wants its turn."""

    urgent: bool
    seconds: float | None = None
    """How long until it can be had, and 0 where it was; None before that is known."""


class Budget:
    """Counts requests.

    Args:
        path: The file that all processes of this machine share.
        per_minute: The most requests in any 60 seconds.
        per_day: The most requests in any 24 hours.
        now: The time of day, in seconds since the epoch.
        spare: Whether only what nobody else needs may be taken: no more than half of the allowance
            is used up then, and nothing waits for its turn.
        database: What all processes share in place of the file, with a clock that counts for all.
    """

    def __init__(
        self,
        path: Path,
        per_minute: int,
        per_day: int,
        now: Callable[[], float],
        *,
        spare: bool = False,
        database: Database | None = None,
    ) -> None:
        self._path = path
        self._per_minute = per_minute
        self._per_day = per_day
        self._now = now
        self._spare = spare
        self._database = database
        self._own: sqlite3.Connection | None = None
        self._own_turn = threading.Lock()
        self._turn = anyio.Lock()
        """One transaction at a time: others would only wait for the file."""
        self._wanted: list[_Wanted] = []

    @classmethod
    def of(cls, settings: Settings, now: Callable[[], float], *, spare: bool = False) -> Self:
        """The allowance of a key; nothing is opened before the first request.

        Args:
            settings: With the key.
            now: The time of day, in seconds since the epoch.
            spare: As for a budget.

        Raises:
            SetupError: What the database needs isn't installed, or its address cannot be used.
        """
        schema = schema_of(settings, "key", settings.key_dir.name)
        return cls(
            settings.key_dir / "requests.sqlite3",
            settings.requests_per_minute,
            settings.requests_per_day,
            now,
            spare=spare,
            database=tables_of(settings, schema, BUDGET),
        )

    async def take(self, *, urgent: bool) -> None:
        """Take one request out of the allowance, waiting for a bounded time where it is used up.

        Args:
            urgent: Use the part that is kept back for refunds too.

        Raises:
            RateLimitedError: None will be free soon enough; it says in how many seconds.
        """
        waited = 0.0
        while (seconds := await self._taken_in_turn(urgent)) > 0:
            if self._spare or waited + seconds > LONGEST_WAIT_SECONDS:
                raise RateLimitedError(
                    math.ceil(seconds),
                    happened=f"The request budget for this store ({self._per_minute} a minute, "
                    f"{self._per_day} a day) is used up, so nothing was sent.",
                )
            await anyio.sleep(seconds)
            waited += seconds

    def close(self) -> None:
        """Close what was opened."""
        with self._own_turn:
            if self._own is not None:
                self._own.close()
                self._own = None

    async def _taken_in_turn(self, urgent: bool) -> float:
        """0 when the request was taken; otherwise how long until it can be."""
        mine = _Wanted(urgent)
        self._wanted.append(mine)
        try:
            while mine.seconds is None:
                async with self._turn:
                    # Whoever had the turn before may have asked for this one too.
                    together = [each for each in self._wanted if each.seconds is None]
                    if mine.seconds is None:
                        await to_thread.run_sync(self._decide, together)
        finally:
            self._wanted.remove(mine)
        return mine.seconds

    def _decide(self, together: Sequence[_Wanted]) -> None:
        waits = self._seconds_to_wait([each.urgent for each in together])
        for each, seconds in zip(together, waits, strict=True):
            each.seconds = seconds

    def _seconds_to_wait(self, urgent: Sequence[bool]) -> list[float]:
        """For each of some requests 0 when it was taken; otherwise how long until it can be."""
        try:
            if self._database is None:
                return self._of_file(urgent)
            with self._database.writing() as shared:
                now = self._now() + self._database.clock_ahead.total_seconds()
                return self._take_or_wait(shared, now, urgent)
        except (sqlite3.Error, OSError, ClawverError) as error:
            log.warning(
                "the request allowance cannot be shared now (%s): a request counts for this process alone",
                type(error).__name__,
            )
        with self._own_turn:
            if self._own is None:
                self._own = _connected(":memory:")
                _prepare(self._own)
            with _alone(self._own):
                return self._take_or_wait(self._own, self._now(), urgent)

    def _of_file(self, urgent: Sequence[bool]) -> list[float]:
        make_private(self._path.parent)
        with closing(_connected(self._path)) as shared:
            self._path.chmod(0o600)
            _prepare(shared)
            now = self._now()
            with _alone(shared):
                return self._take_or_wait(shared, now, urgent)

    def _take_or_wait(
        self, connection: Connection, now: float, urgent: Sequence[bool]
    ) -> list[float]:
        # What lies in the future was noted before the clock was put back: it counts for nothing. What
        # lies a little ahead was noted by somebody who heard of the time sooner.
        connection.execute(
            "DELETE FROM request WHERE at <= ? OR at > ?",
            (now - DAY_SECONDS, now + _LATE_SECONDS),
        )
        waits = []
        for each in urgent:
            wait = max(
                _until_free(connection, now, MINUTE_SECONDS, self._allowed(self._per_minute, each)),
                _until_free(connection, now, DAY_SECONDS, self._allowed(self._per_day, each)),
            )
            if wait == 0:
                connection.execute("INSERT INTO request (at) VALUES (?)", (now,))
            waits.append(wait)
        return waits

    def _allowed(self, most: int, urgent: bool) -> int:
        """A sixth of the allowance is kept back for what is urgent, and half of it from what can wait."""
        if self._spare:
            return most // 2
        return most if urgent else most - most // 6


@contextmanager
def _alone(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that nobody else writes in."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def _until_free(connection: Connection, now: float, window: int, allowed: int) -> float:
    """How long until fewer than `allowed` requests lie in the window, in seconds."""
    row = connection.execute(
        "SELECT at FROM request WHERE at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",
        (now - window, allowed - 1),
    ).fetchone()
    if row is None:
        return 0.0
    at: float
    (at,) = row
    return max(at + window - now, 0.001)


def _connected(path: Path | Literal[":memory:"]) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in ("journal_mode = MEMORY", "synchronous = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE IF NOT EXISTS request (at REAL NOT NULL)")
    connection.execute("CREATE INDEX IF NOT EXISTS by_time ON request (at)")
