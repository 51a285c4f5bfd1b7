"""What every database engine has: transactions, statements with `?` for values, and errors of ours.

`sqlite` is the engine that is always there, and `postgres` the one for several machines. The
statements of a part that both can keep are SQL that both understand.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from anyio import to_thread

from clawver_orders.errors import NOTHING_SENT, ClawverError

T = TypeVar("T")
Value = str | int | float | bytes | None
"""What a column can hold."""


class ConstraintError(Exception):
    """A rule of the schema forbids a statement. Nothing of it was kept."""


class TableRow(Protocol):
    """One row: its values in their order, or by the names of their columns."""

    def __getitem__(self, column: str, /) -> Any:
        """The value of a column."""

    def __iter__(self) -> Iterator[Any]:
        """The values."""


class Result(Protocol):
    """What a statement found or changed."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """The next row, a `TableRow`; None where there is none left."""

    def fetchall(self) -> list[Any]:
        """All rows that are left, each a `TableRow`."""

    def __iter__(self) -> Iterator[Any]:
        """The rows, each a `TableRow`."""


class Connection(Protocol):
    """One transaction, or one look."""

    def execute(self, sql: str, values: Sequence[Value] = (), /) -> Result:
        """Run one statement, with a value for each `?`.

        Raises:
            ConstraintError: A rule of the schema forbids it, or a text that would be kept holds a NUL
                character. The transaction is over.
        """

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]], /) -> Result:
        """Run one statement for each of several rows of values. It raises what `execute` does."""


class Database(Protocol):
    """Where the tables of one kind are kept."""

    @property
    def is_shared(self) -> bool:
        """Whether several machines share it: a database, and no file of this one."""

    @property
    def exists(self) -> bool:
        """Whether it was ever made, even if it is gone now."""

    @property
    def clock_ahead(self) -> timedelta:
        """How far the clock that counts here is ahead of this machine's, as last seen."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection for looking, which sees one state of everything. Nothing is written."""

    def read_or_empty(self) -> AbstractContextManager[Connection]:
        """As `reading`; what was never made is empty, and is not made by looking."""

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction that works alone from its beginning, and is kept at its end.

        Raises:
            ClawverError: It cannot be used. Nothing was kept.
            ConstraintError: A rule of the schema forbids it. Nothing was kept.
        """

    def prove(self) -> None:
        """Take it for writing and let it go again. Where there is none, one is tried and removed.

        Raises:
            ClawverError: It cannot be used or made.
            OSError: Its folder cannot be written.
        """

    def rewrite(self) -> None:
        """Leave nothing of what was deleted, where this program writes the disk itself.

        Raises:
            ClawverError: It cannot be used. It is as it was.
        """


def insert(connection: Connection, table: str, rows: Sequence[Sequence[Value]]) -> None:
    """Add rows to a table, in one statement: each takes a database on another machine as long.

    Args:
        connection: A transaction.
        table: The name of the table, which is ours.
        rows: Values for all columns; there may be none.
    """
    if rows:
        each = f"({', '.join('?' * len(rows[0]))})"
        connection.execute(
            f"INSERT INTO {table} VALUES {', '.join([each] * len(rows))}",  # noqa: S608  # a name of ours
            [value for row in rows for value in row],
        )


def check_texts(values: Iterable[object] | Mapping[str, object]) -> None:
    """Refuse texts with a NUL character, which not every engine can hold.

    Args:
        values: Those of a statement, in their order or by name.

    Raises:
        ConstraintError: There is one.
    """
    each = values.values() if isinstance(values, Mapping) else values
    if any(isinstance(value, str) and "\0" in value for value in each):
        raise ConstraintError("a text holds a NUL character")


async def off_thread(work: Callable[[], T]) -> T:
    """Do what waits for the disk elsewhere than where all other calls run.

    Args:
        work: Reads or writes a file that money or customers' data depend on.

    Raises:
        ClawverError: The file cannot be used. Nothing was sent.
    """
    try:
        return await to_thread.run_sync(work)
    except ClawverError as error:
        error.begin_with(NOTHING_SENT)
        raise
