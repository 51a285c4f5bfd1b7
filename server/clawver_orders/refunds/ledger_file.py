"""The file of the ledger: its transactions, each in a thread of its own, and what is kept beside it."""

import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.instants import Instant
from clawver_orders.refunds.ledger_rows import Rows
from clawver_orders.refunds.ledger_schema import SCHEMA
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Database, off_thread
from clawver_orders.storage.engine import LEDGER, tables_of
from clawver_orders.storage.folders import make_private
from clawver_orders.storage.scopes import Scope
from clawver_orders.storage.sqlite import MOVED, SqliteDatabase, kind_of

if TYPE_CHECKING:
    from clawver_orders.storage.postgres import PostgresDatabase

LEDGER_FILE = "ledger.sqlite3"
"""The refund ledger in a store's folder."""
MARK = ".number"
"""The suffix of the file beside it that says how far its history has got."""
_LARGEST_NUMBER = 2**62
"""No history gets that long: whatever says so is no number of ours."""
_MARK_IN_BYTES = 20 + 1 + 64
P = ParamSpec("P")
T = TypeVar("T")
L = TypeVar("L", bound="LedgerFile")


def ledger_tables(
    settings: Settings, scope: Scope, deadline_seconds: float | None = None
) -> "PostgresDatabase | None":
    """The tables of a store's ledger in the database that several machines share; None where there is none.

    Args:
        settings: With the address of the database.
        scope: The store.
        deadline_seconds: How long one transaction may take, where that is not as usual.

    Raises:
        SetupError: What the database needs isn't installed, or its address cannot be used.
    """
    return tables_of(settings, scope.schema, LEDGER, deadline_seconds)


class LedgerFile:
    """The file, and what is kept beside it.

    Every method that is awaited works in a thread of its own. Its errors begin with the fact that
    nothing was sent.

    Args:
        path: The file. It is made with the first preview, and never again.
        clock: The current time.
        database: What several machines share in place of the file. What a machine keeps beside the
            file, it keeps there all the same.
    """

    def __init__(
        self, path: Path, clock: Callable[[], Instant], database: Database | None = None
    ) -> None:
        self._database: Database = database or SqliteDatabase(path, SCHEMA, LEDGER.name)
        self._left_behind = None if database is None else path
        self._folder = path.parent
        self._clock = clock
        self._mark = path.with_suffix(MARK)

    @classmethod
    def of(cls, settings: Settings, scope: Scope, clock: Callable[[], Instant]) -> Self:
        """The ledger of a store; nothing is opened before it is asked something.

        Raises:
            SetupError: What the database needs isn't installed, or its address cannot be used.
        """
        return cls(scope.folder / LEDGER_FILE, clock, ledger_tables(settings, scope))

    def now(self) -> Instant:
        """The current time: of day by the clock of the database, where that has one of its own."""
        instant = self._clock()
        return replace(instant, at=instant.at + self._database.clock_ahead)

    @property
    def folder(self) -> Path:
        """Where the file is, or will be."""
        return self._folder

    @property
    def exists(self) -> bool:
        """Whether there was ever a refund to note."""
        return self._database.exists

    def prove(self) -> None:
        """Take the file for writing and let it go again. Where there is none, one is tried and removed.

        Raises:
            ClawverError: It cannot be used or made, so nothing can be refunded.
            OSError: Its folder cannot be written.
        """
        self._check_nothing_is_left_behind()
        self._database.prove()

    def begin(self) -> None:
        """Take the file for writing and let it go again; it is made where there was none.

        Raises:
            ClawverError: It cannot be used, so nothing can be refunded.
        """
        self._check_nothing_is_left_behind()
        with self._database.writing():
            pass

    @contextmanager
    def read_or_empty(self) -> Iterator[Rows]:
        """The file as it is; an empty one where it was never made."""
        self._check_nothing_is_left_behind()
        with self._database.read_or_empty() as connection:
            yield Rows(connection, self.now())

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """One transaction. An older copy of the file is noticed at its beginning."""
        self._check_nothing_is_left_behind()
        with self._database.writing() as connection:
            rows = Rows(connection, self.now())
            rows.look()
            is_older = self.is_older(rows)
            if is_older:
                rows.note_restored(self.kept_number())
            yield rows
            # While the file is held: else a slower program could keep a lower number than this one.
            number = rows.cover_own()
            if is_older or number > self.kept_number():
                self._keep_number(number, rows.line(number)[1])

    @contextmanager
    def noticing(self) -> Iterator[Rows]:
        """As `read_or_empty`, once it is noted that this start of this machine sees what others wrote.

        What they wrote counts from then on. An older copy of the file is noted as that. Whether it is one
        is decided while nobody else writes: a line is kept beside the file before others can read it.
        """
        with self.read_or_empty() as rows:
            is_older = self.is_older(rows)
            rows.is_older = is_older and not self.exists  # nobody writes what isn't there
            is_noted = not self.exists or (rows.is_all_seen() and not is_older)
            if is_noted:
                yield rows
        if not is_noted:
            could_be_noted = False
            with (
                suppress(ClawverError),
                self.transaction(),
            ):  # reading goes on where nothing can be written
                could_be_noted = True
            with self.read_or_empty() as rows:
                rows.is_older = not could_be_noted and self.is_older(rows)
                yield rows

    def _check_nothing_is_left_behind(self) -> None:
        """Refuse a database where refunds of this store are in a file of this machine still.

        Raises:
            SetupError: There are such refunds.
        """
        if self._left_behind is None or kind_of(self._left_behind) in (None, MOVED):
            return
        raise SetupError(
            "CLAWVER_DATABASE_URL is set, and the refunds of this store are in a file of this machine still.",
            next_step="A person must stop the servers of this store and run: clawver-orders ledger move.",
        )

    def is_older(self, rows: Rows) -> bool:
        """Whether this is an older copy of the file: more was written than it knows of, or something else.

        Others may have gone on from the copy, so that it has as many lines by now.
        """
        number, digest = self._kept()
        last, found = rows.line(number)
        return number > last or (digest != found and "" not in {digest, found})

    def kept_number(self) -> int:
        """The highest number of a line of history that was ever written, as far as it was kept."""
        return self._kept()[0]

    def _kept(self) -> tuple[int, str]:
        """That number, and the digest of its line, as far as both were kept."""
        try:
            number, _, digest = self._mark.read_text("ascii").partition(" ")
            return (int(number), digest.strip()) if int(number) <= _LARGEST_NUMBER else (0, "")
        except (OSError, ValueError):
            return 0, ""

    def _keep_number(self, number: int, digest: str = "") -> None:
        with suppress(OSError):  # without it an older copy isn't noticed, and nothing else changes
            make_private(self._folder)
            mark = os.open(self._mark, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.write(mark, f"{number:020} {digest:64}".encode())  # never empty in between
                os.ftruncate(mark, _MARK_IN_BYTES)
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

        return await off_thread(run)

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

        return await off_thread(run)

    inside.__doc__ = work.__doc__
    return inside
