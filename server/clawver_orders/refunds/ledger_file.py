"""The file of the ledger: its transactions, each in a thread of its own, and what is kept beside it."""

import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from anyio import to_thread

from clawver_orders.errors import NOTHING_SENT, ClawverError
from clawver_orders.instants import Instant
from clawver_orders.refunds.ledger_rows import Rows
from clawver_orders.refunds.ledger_schema import SCHEMA
from clawver_orders.storage.database import Database

_LARGEST_NUMBER = 2**62
"""No history gets that long: whatever says so is no number of ours."""
P = ParamSpec("P")
T = TypeVar("T")
L = TypeVar("L", bound="LedgerFile")


class LedgerFile:
    """The file, and what is kept beside it.

    Every method that is awaited works in a thread of its own. Its errors begin with the fact that
    nothing was sent.

    Args:
        path: The file. It is made with the first preview, and never again.
        clock: The current time.
    """

    def __init__(self, path: Path, clock: Callable[[], Instant]) -> None:
        self._database = Database(path, SCHEMA, "the refund ledger")
        self._clock = clock
        self._mark = path.with_suffix(".number")

    def now(self) -> Instant:
        """The current time."""
        return self._clock()

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

    async def off_thread(self, run: Callable[[], T]) -> T:
        """Do what waits for the disk elsewhere than where all other calls run.

        Raises:
            ClawverError: The file cannot be used. Nothing was sent.
        """
        try:
            return await to_thread.run_sync(run)
        except ClawverError as error:
            error.begin_with(NOTHING_SENT)
            raise

    @contextmanager
    def looking(self) -> Iterator[Rows]:
        """The file as it is; an empty one where it was never made."""
        with self._database.looking() as connection:
            yield Rows(connection, self._clock())

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """One transaction. An older copy of the file is noticed at its beginning."""
        with self._database.writing() as connection:
            rows = Rows(connection, self._clock())
            rows.know_boot()
            if self.is_older(rows):
                rows.note_restored(self.kept_number())
            yield rows
            # While the file is held: else a slower program could keep a lower number than this one.
            self._keep_number(rows.last_number())

    @contextmanager
    def noticing(self) -> Iterator[Rows]:
        """As `looking`, once it is noted that this start of this machine works on the file.

        Times that others noted count from then on. An older copy of the file is noted as that.
        """
        with self.looking() as rows:
            is_noted = not self.exists or (rows.knows_boot() and not self.is_older(rows))
            if is_noted:
                yield rows
        if not is_noted:
            with suppress(ClawverError), self.transaction():
                pass  # reading goes on where nothing can be written
            with self.looking() as rows:
                yield rows

    def is_older(self, rows: Rows) -> bool:
        """Whether this is an older copy of the file: more was written than it knows of."""
        return self.kept_number() > rows.last_number()

    def kept_number(self) -> int:
        """The highest number of a line of history that was ever written, as far as it was kept."""
        try:
            number = int(self._mark.read_text("ascii"))
        except (OSError, ValueError):
            return 0
        return number if number <= _LARGEST_NUMBER else 0

    def _keep_number(self, number: int) -> None:
        if number <= self.kept_number():
            return
        with suppress(OSError):  # without it an older copy isn't noticed, and nothing else changes
            mark = os.open(self._mark, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.write(mark, b"%020d" % number)  # never empty in between
                os.ftruncate(mark, 20)
            finally:
                os.close(mark)


def reads(
    work: Callable[Concatenate[L, Rows, P], T],
) -> Callable[Concatenate[L, P], Coroutine[Any, Any, T]]:
    """Look something up, in a thread of its own."""

    async def inside(self: L, /, *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with self.noticing() as rows:
                return work(self, rows, *args, **kwargs)

        return await self.off_thread(run)

    inside.__doc__ = work.__doc__
    return inside


def writes(
    work: Callable[Concatenate[L, Rows, P], T],
) -> Callable[Concatenate[L, P], Coroutine[Any, Any, T]]:
    """One transaction, in a thread of its own."""

    async def inside(self: L, /, *args: P.args, **kwargs: P.kwargs) -> T:
        def run() -> T:
            with self.transaction() as rows:
                return work(self, rows, *args, **kwargs)

        return await self.off_thread(run)

    inside.__doc__ = work.__doc__
    return inside
