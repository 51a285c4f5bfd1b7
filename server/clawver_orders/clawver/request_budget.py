"""The request allowance of one store, shared by all processes of this machine.

Clawver allows 60 requests a minute and 1,000 a day for a store. A part of both is kept back
for looking refunds up: an agent that lists orders in a loop must not make a refund
unverifiable. Losing this file costs nothing, so it is written without waiting for the disk, and
where it cannot be written this process counts for itself alone.
"""

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import anyio

from clawver_orders.errors import RateLimitedError
from clawver_orders.storage.folders import make_private

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400
LONGEST_WAIT_SECONDS = 10.0
"""How long a request may wait for its turn before the caller is told to come back."""
_BUSY_SECONDS = 1.0


class Budget:
    """Counts requests.

    Args:
        path: The file that all processes share.
        per_minute: The most requests in any 60 seconds.
        per_day: The most requests in any 24 hours.
        now: The time of day, in seconds since the epoch.
    """

    def __init__(self, path: Path, per_minute: int, per_day: int, now: Callable[[], float]) -> None:
        self._path = path
        self._per_minute = per_minute
        self._per_day = per_day
        self._now = now
        self._connection: sqlite3.Connection | None = None

    async def take(self, *, urgent: bool) -> None:
        """Take one request out of the allowance, waiting for a bounded time where it is used up.

        Args:
            urgent: Use the part that is kept back for refunds too.

        Raises:
            RateLimitedError: None will be free soon enough; it says in how many seconds.
        """
        waited = 0.0
        while (seconds := self._seconds_to_wait(urgent=urgent)) > 0:
            if waited + seconds > LONGEST_WAIT_SECONDS:
                raise RateLimitedError(
                    math.ceil(seconds),
                    happened=f"The request budget for this store ({self._per_minute} a minute, "
                    f"{self._per_day} a day) is used up, so nothing was sent.",
                )
            await anyio.sleep(seconds)
            waited += seconds

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _seconds_to_wait(self, *, urgent: bool) -> float:
        """0 when a request was taken; otherwise how long until one can be."""
        try:
            return self._take_or_wait(self._opened(), urgent=urgent)
        except (sqlite3.Error, OSError):
            self.close()
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
            _prepare(self._connection)
            return self._take_or_wait(self._connection, urgent=urgent)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            make_private(self._path.parent)
            self._connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None
            )
            self._path.chmod(0o600)
            _prepare(self._connection)
        return self._connection

    def _take_or_wait(self, connection: sqlite3.Connection, *, urgent: bool) -> float:
        now = self._now()
        connection.execute("BEGIN IMMEDIATE")
        try:
            # What lies in the future was noted before the clock was put back: it counts for nothing.
            connection.execute(
                "DELETE FROM request WHERE at <= ? OR at > ?", (now - DAY_SECONDS, now)
            )
            wait = max(
                _until_free(connection, now, MINUTE_SECONDS, _allowed(self._per_minute, urgent)),
                _until_free(connection, now, DAY_SECONDS, _allowed(self._per_day, urgent)),
            )
            if wait == 0:
                connection.execute("INSERT INTO request (at) VALUES (?)", (now,))
        finally:
            connection.execute("COMMIT")
        return wait


def _allowed(most: int, urgent: bool) -> int:
    """A sixth of the allowance is kept back for what is urgent."""
    return most if urgent else most - most // 6


def _until_free(connection: sqlite3.Connection, now: float, window: int, allowed: int) -> float:
    """How long until fewer than `allowed` requests lie in the window, in seconds."""
    row = connection.execute(
        "SELECT at FROM request WHERE at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",
        (now - window, allowed - 1),
    ).fetchone()
    return 0 if row is None else max(row[0] + window - now, 0.001)


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in ("journal_mode = MEMORY", "synchronous = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE IF NOT EXISTS request (at REAL NOT NULL)")
    connection.execute("CREATE INDEX IF NOT EXISTS by_time ON request (at)")
