"""Opens the SQLite files the safe way: private, checked, and never replaced in silence.

A rollback journal and `synchronous=EXTRA`, because what is written here is about money: the
write-ahead log of SQLite before 3.51.3 can lose a reset between processes
(https://sqlite.org/wal.html). A file is made whole under another name and then put into
place, so that a file of that name was once complete; a second, small file
remembers that it was made, so that one that has gone missing is noticed.

Every transaction opens the file again, and checks all of it where anything else wrote it last: what
was deleted, replaced or damaged meanwhile is found before anything rests on it. What it looked like
after the last check or transaction is kept beside it, so that the next process does not check a file
again that nobody has touched: that would take longer with every refund.
"""

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from clawver_orders.errors import ClawverError, SetupError, UnreachableError
from clawver_orders.storage.database import ConstraintError, check_texts
from clawver_orders.storage.folders import (
    check_above,
    is_open_to_others,
    is_safe,
    made_whole,
    make_private,
    read_private,
    remedy,
)

BUSY_SECONDS = 3.0
"""How long to wait for another process that is writing."""
MOVING, MOVED = 0x636C6D67, 0x636C6D64
"""Marks a file in SQLite's own header field whose rows are on their way into a database, or are there."""
_MAGIC = b"SQLite format 3\0"
NOT_OVERWRITTEN = "What is deleted may still be in the file"
_PRIMARY = 0xFF  # SQLite's extended error codes carry the plain one in their last byte


@dataclass(frozen=True)
class Schema:
    """The shape of a file and its whole past.

    Args:
        application_id: Marks the file as this kind, in SQLite's own header field.
        steps: One script for each version, oldest first; a file at version N has run N of them.
        after: What follows the script of a version, where SQL alone cannot fill what it made.
        before_rewrite: A statement that merges what has to be merged before the file is rewritten.
    """

    application_id: int
    steps: tuple[str, ...]
    after: Mapping[int, Callable[[sqlite3.Connection], None]] = field(default_factory=dict)
    before_rewrite: str = ""

    @property
    def version(self) -> int:
        """The version that this program writes."""
        return len(self.steps)


class _Connection(sqlite3.Connection):
    """SQLite's own, with the errors and the texts that every engine has."""

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        if self.in_transaction:  # what is only looked for is found nowhere
            check_texts(values)
        try:
            return super().execute(sql, values)
        except sqlite3.IntegrityError as error:
            raise ConstraintError(str(error)) from error

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        every = list(rows)
        for values in every:
            check_texts(values)
        try:
            return super().executemany(sql, every)
        except sqlite3.IntegrityError as error:
            raise ConstraintError(str(error)) from error


class SqliteDatabase:
    """One SQLite file.

    Args:
        path: Where it is. Its folder is made when the file is.
        schema: Its shape.
        name: What a person calls it, as in "the refund ledger".
        suspicious: Whether all of it is checked again whenever another program wrote it last;
            otherwise only where another file stands in its place.
        checked_whole: Whether all of it is checked before it is first used, unless it is as a process
            left it. That takes a second for a few hundred megabytes; a page that is damaged is found
            when it is read.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        name: str,
        *,
        suspicious: bool = True,
        checked_whole: bool = True,
    ) -> None:
        self.path = path
        self._schema = schema
        self._name = name
        self._suspicious = suspicious
        self._checked_whole = checked_whole
        self._marker = path.with_suffix(".made")
        self._proof = path.with_suffix(".checked")
        self._checked: tuple[int, ...] = ()

    is_shared = False
    clock_ahead = timedelta()

    @property
    def exists(self) -> bool:
        """Whether it was ever made, even if it is gone now."""
        return bool(self._checked) or _stands(self.path) or _stands(self._marker)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for looking. Nothing is written."""
        with self._connection() as connection:
            yield connection

    @contextmanager
    def read_or_empty(self) -> Iterator[sqlite3.Connection]:
        """As `reading`; what was never made is empty, and is not made by looking."""
        if self.exists:
            with self.reading() as connection:
                yield connection
        else:
            with closing(sqlite3.connect(":memory:")) as connection:
                connection.row_factory = sqlite3.Row
                connection.executescript("".join(self._schema.steps))
                yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the file from its beginning, and is on disk at its end.

        Raises:
            SetupError: The file is damaged, gone, read-only, newer than this program, not this
                user's alone, below a folder that others may change, or the disk is full. Nothing of
                the transaction was kept.
            UnreachableError: Another program holds the file. Nothing was kept.
            ConstraintError: A rule of the schema forbids it. Nothing was kept.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            # Where it is not reached, closing the connection undoes all.
            connection.execute("COMMIT")
            self._keep(self._looks())

    def prove(self) -> None:
        """Take the file for writing and let it go again. Where there is none, one is tried and removed.

        Raises:
            ClawverError: It cannot be used or made.
            OSError: Its folder cannot be written.
        """
        if self.exists:
            with self.writing():
                return
        from tempfile import (
            TemporaryDirectory,  # takes a while, and a server that starts needs none
        )

        make_private(self.path.parent)
        with TemporaryDirectory(prefix="trial-", dir=self.path.parent) as folder:
            trial = SqliteDatabase(Path(folder) / self.path.name, self._schema, self._name)
            with trial.writing():
                pass

    def rewrite(self) -> None:
        """Write the file once more, with what is in it and nothing of what was deleted.

        SQLite moves rows from page to page, and `secure_delete` overwrites only the last of the places
        where a row has been. It needs as much room on the disk again, for a moment.

        Raises:
            ClawverError: The file cannot be used. It is as it was.
        """
        try:
            with self._connection() as connection:
                connection.execute(self._schema.before_rewrite)
                connection.execute("VACUUM")
                self._keep(self._looks())
        except ClawverError as error:
            error.begin_with(NOT_OVERWRITTEN)
            raise

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            make_private(self.path.parent)
            self._check_owner(self.path.parent, stat.S_ISDIR, 0o700)
            check_above(self.path.parent, self._name)
            self._make_sure_of_file()
            self._check_owner(self.path, stat.S_ISREG, 0o600)
            with closing(self._open(self.path)) as connection:
                self._check_content(connection)
                yield connection
        except sqlite3.Error as error:
            self._refuse(error)
        except OSError as error:
            raise SetupError(
                f"The file of {self._name} cannot be used ({type(error).__name__}).",
                next_step=f"A person must make {self.path.parent} readable and writable for this user alone, or "
                "set CLAWVER_STATE_DIR to a folder on a local disk.",
            ) from error

    def _check_owner(self, path: Path, is_kind: Callable[[int], bool], mode: int) -> None:
        """Nobody else may write it, and it is no detour to somewhere else."""
        found = path.lstat()
        if not is_safe(found, is_kind):
            raise SetupError(
                f"{path} is not safe to keep {self._name} in: it must belong to this user alone, and be "
                "no link.",
                next_step=f"A person must look at who changed it, and then run: {remedy(path, found, mode)}",
            )
        if is_open_to_others(found):
            path.chmod(mode)

    def _make_sure_of_file(self) -> None:
        # Asked first: another process, or another thread of this one, may make the file just now,
        # and notes only then that it was made.
        was_made = bool(self._checked) or _stands(self._marker)
        if _stands(self.path):
            return
        if was_made:
            raise SetupError(
                f"The file of {self._name} is gone: {self.path}.",
                next_step="A person must put it back from a backup. To begin a new one knowingly, "
                f"without its history, delete {self._marker} too.",
            )
        with made_whole(self.path) as draft, closing(self._open(draft)) as connection:
            connection.execute(f"PRAGMA application_id = {self._schema.application_id}")
            self._migrate(connection)

    def _open(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path))}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            factory=_Connection,
        )
        try:
            connection.row_factory = sqlite3.Row
            for pragma in (
                "journal_mode = DELETE",
                "synchronous = EXTRA",
                "foreign_keys = ON",
                "secure_delete = ON",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _check_content(self, connection: sqlite3.Connection) -> None:
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        if kind != self._schema.application_id and kind in (MOVING, MOVED):
            raise SetupError(
                f"The file of {self._name} was moved into a database, and is no longer used.",
                next_step="A person must set CLAWVER_DATABASE_URL to that database wherever this server is "
                "configured. If the move was interrupted, they run: clawver-orders ledger move.",
            )
        if kind != self._schema.application_id or (version := self._version(connection)) < 1:
            raise sqlite3.DatabaseError("not this kind of file")
        looks = self._looks()
        if looks != self._checked:
            if self._checked_whole and looks != self._kept():
                (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                if verdict != "ok":
                    raise sqlite3.DatabaseError("damaged")
            if not os.path.lexists(self._marker):
                os.close(os.open(self._marker, os.O_CREAT | os.O_WRONLY, 0o600))
            self._keep(looks)
        if version < self._schema.version:
            self._migrate(connection)

    def _looks(self) -> tuple[int, ...]:
        """What another program changes when it writes the file or puts another in its place."""
        found = self.path.stat()
        content = (found.st_size, found.st_mtime_ns) if self._suspicious else ()
        return found.st_dev, found.st_ino, *content

    def _kept(self) -> tuple[int, ...]:
        """What it looked like when a process last found it good, or wrote it."""
        try:
            return tuple(json.loads(read_private(self._proof)))
        except (OSError, ValueError, TypeError):
            return ()

    def _keep(self, looks: tuple[int, ...]) -> None:
        self._checked = looks
        if self._checked_whole and looks != self._kept():
            with suppress(OSError):  # without it the next process checks all of it
                proof = os.open(self._proof, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
                with open(proof, "w", encoding="ascii") as file:  # noqa: PTH123  # a descriptor
                    json.dump(looks, file)

    def _version(self, connection: sqlite3.Connection) -> int:
        """The version of the file.

        Raises:
            SetupError: This program is too old for it.
        """
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > self._schema.version:
            raise SetupError(
                f"The file of {self._name} was written by a newer version of clawver-orders.",
                next_step="A person must update clawver-orders here too.",
            )
        return int(version)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Run what is missing, all of it or nothing."""
        connection.execute("BEGIN IMMEDIATE")
        version = self._version(connection)  # another program may have run it meanwhile
        for number, step in enumerate(self._schema.steps[version:], version + 1):
            for statement in _statements(step):
                connection.execute(statement)
            if number in self._schema.after:
                self._schema.after[number](connection)
        connection.execute(f"PRAGMA user_version = {self._schema.version}")
        connection.execute("COMMIT")

    def _refuse(self, error: sqlite3.Error) -> NoReturn:
        code = (getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_CORRUPT) & _PRIMARY
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise UnreachableError(
                f"Another program holds the file of {self._name}.",
                next_step="Repeat the call in a minute. If it stays, a person must find the program "
                f"that has {self.path} open.",
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise SetupError(
                f"The disk is full, so {self._name} cannot be written.",
                next_step=f"A person must make room where {self.path} is.",
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise SetupError(
                f"The file of {self._name} is damaged: {self.path}.",
                next_step="A person must put it back from a backup; it is never replaced by itself.",
            ) from error
        raise SetupError(
            f"The file of {self._name} cannot be written ({error.sqlite_errorname}).",
            next_step=f"A person must make {self.path} writable for this user, or make room on its disk.",
        ) from error


def kind_of(path: Path) -> int | None:
    """What marks a file as its kind, in SQLite's own header field (https://sqlite.org/fileformat2.html).

    Args:
        path: Where it may be.

    Returns:
        The mark; None where there is no file; 0 where it has none, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(72)
    except FileNotFoundError:
        return None
    except OSError:
        return 0
    return int.from_bytes(header[68:72], "big") if header.startswith(_MAGIC) else 0


def _stands(path: Path) -> bool:
    """Whether something has this name. Where that cannot be seen, opening it will say why."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would commit in between."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
