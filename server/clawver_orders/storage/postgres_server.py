"""The few connections of this process to a PostgreSQL server, each with an end to all waiting.

`psycopg` waits for an answer as long as the connection seems to be there: where a packet is swallowed,
for ever. So whatever takes longer than it may is cut off here. The server gives up by itself too, as
each transaction asks it to.
"""

import os
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

CONNECT_SECONDS = 3
DEADLINE_SECONDS = 10.0
"""How long one transaction takes at most, and how long it waits for a connection."""
IDLE_SECONDS = 60.0
"""How long a connection is kept for the next transaction."""
OUTAGE_SECONDS = 5.0
"""How long it is remembered that the server was not reached: else every call would wait for it."""
MOST_CONNECTIONS = 4
_QUIET_MS = 5000
_AT_CONNECTING: tuple[tuple[str, type[psycopg.Error]], ...] = (
    ("password authentication failed|no password supplied", psycopg.errors.InvalidPassword),
    (
        'no pg_hba.conf entry|not permitted to log in|role ".*" does not exist',
        psycopg.errors.InvalidAuthorizationSpecification,
    ),
    ('database ".*" does not exist', psycopg.errors.InvalidCatalogName),
    ("too many (clients|connections)|connection slots", psycopg.errors.TooManyConnections),
    ("session is read-only", psycopg.errors.ReadOnlySqlTransaction),
)
"""libpq passes on no code of what a server says to a new connection, only its words. Those of a server
that speaks another language are told as one that is not reached."""
_ASKED = """
SELECT current_setting('server_version') AS version,
    current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    (SELECT count(*) FROM pg_stat_replication) AS replicas,
    (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('async', 'potential')) AS lagging,
    (SELECT count(*) FROM pg_stat_replication WHERE sync_state IS NULL) AS hidden,
    EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'clawver\\_%' AND pg_has_role(nspowner, 'MEMBER')) AS owns
"""


@dataclass(frozen=True)
class Facts:
    """What a server says of itself."""

    host: str
    """Where it is: a name, or the folder of its socket."""
    version: str
    forgets: tuple[str, ...]
    """The settings with which it forgets, in a crash, what it said was kept."""
    lagging: int
    """How many replicas may lack what it said was kept."""
    hidden: int
    """Of how many replicas it doesn't say that to this user."""
    owns: bool
    """Whether this user could change the rules of tables of ours."""


class _Named:
    """One row: its values in their order, or by the names of their columns."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: dict[str, int], values: Sequence[Any]) -> None:
        self._names = names
        self._values = values

    def __getitem__(self, column: str) -> Any:
        return self._values[self._names[column]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)


def _by_name(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], _Named]:
    names = {column.name: place for place, column in enumerate(cursor.description or ())}
    return lambda values: _Named(names, values)


class PostgresServer:
    """A PostgreSQL server, for all that this process does with it.

    Args:
        url: Where it is: what libpq calls a connection URI
            (https://www.postgresql.org/docs/current/libpq-connect.html).
        deadline_seconds: How long one transaction takes at most, and how long it waits for its turn.
    """

    def __init__(self, url: str, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._url = url
        self.deadline_seconds = deadline_seconds
        self.clock_ahead = timedelta()
        """How far its clock is ahead of this machine's, as last seen."""
        self._turns = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._one_at_a_time = threading.Lock()
        self._idle: list[tuple[psycopg.Connection[Any], float]] = []
        self._down_until = 0.0
        self._outage: type[psycopg.Error] = psycopg.OperationalError

    def facts(self) -> Facts:
        """What the server says of itself, on a connection that may write.

        Raises:
            psycopg.Error: It is not reached, or takes no changes.
        """
        with self.connection(is_urgent=True) as connection:
            [row] = connection.execute(_ASKED).fetchall()
            host = connection.info.host
        off = [name for name in ("fsync", "synchronous_commit") if row[name] == "off"]
        is_local = row["synchronous_commit"] == "local"  # then it waits for no replica
        return Facts(
            host,
            str(row["version"]).split()[0],
            tuple(off),
            row["replicas"] if is_local else row["lagging"],
            0 if is_local else row["hidden"],
            bool(row["owns"]),
        )

    @contextmanager
    def connection(self, *, is_urgent: bool = False) -> Iterator[psycopg.Connection[Any]]:
        """A connection for one transaction, which is undone where it was not ended.

        Args:
            is_urgent: Whether the server is tried though it was not reached a moment ago.

        Raises:
            psycopg.Error: The server is not reached or lets nobody in, or all connections are in use.
        """
        if not self._turns.acquire(timeout=self.deadline_seconds):
            raise psycopg.errors.TooManyConnections
        try:
            connection = self.taken(is_urgent=is_urgent)
            try:
                with self.ending(connection):
                    try:
                        yield connection
                    finally:
                        _undo(connection)
            finally:
                self._keep(connection)
        finally:
            self._turns.release()

    @contextmanager
    def ending(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Cut a connection where the block takes longer than a transaction may."""
        timer = threading.Timer(self.deadline_seconds, self._cut, (connection,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def taken(self, *, is_urgent: bool = False) -> psycopg.Connection[Any]:
        """A connection for as long as it is needed, beside those that `connection` counts.

        Args:
            is_urgent: Whether the server is tried though it was not reached a moment ago.

        Raises:
            psycopg.Error: The server is not reached, or lets nobody in.
        """
        while (kept := self._kept()) is not None:
            connection, since = kept
            if time.monotonic() - since < IDLE_SECONDS and _is_quiet(connection):
                return connection
            connection.close()
        if not is_urgent and time.monotonic() < self._down_until:
            raise self._outage
        try:
            return psycopg.connect(
                self._url,
                autocommit=True,
                row_factory=_by_name,
                prepare_threshold=None,  # a pooler gives the next transaction another session
                connect_timeout=CONNECT_SECONDS,
                target_session_attrs="read-write",
                tcp_user_timeout=_QUIET_MS,
                keepalives_idle=_QUIET_MS // 1000,
                application_name="clawver-orders",
            )
        except psycopg.OperationalError as error:
            self._note_outage(_kind_of(error))
            raise self._outage from error

    def give_back(self, connection: psycopg.Connection[Any]) -> None:
        """Undo what was not ended, and keep the connection for the next one if that can be done."""
        with self.ending(connection):
            _undo(connection)
        self._keep(connection)

    def _keep(self, connection: psycopg.Connection[Any]) -> None:
        """Keep a connection for the next transaction, once nothing cuts it any more."""
        if not connection.closed:
            self._idle.append((connection, time.monotonic()))

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while (kept := self._kept()) is not None:
            kept[0].close()

    def _kept(self) -> tuple[psycopg.Connection[Any], float] | None:
        """A connection that nobody uses, and since when; each is given to one thread."""
        with self._one_at_a_time:
            return self._idle.pop() if self._idle else None

    def _note_outage(self, kind: type[psycopg.Error]) -> None:
        self._outage = kind
        self._down_until = time.monotonic() + OUTAGE_SECONDS

    def _cut(self, connection: psycopg.Connection[Any]) -> None:
        self._note_outage(psycopg.OperationalError)
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as it,
        ):
            it.shutdown(socket.SHUT_RDWR)


def _kind_of(error: psycopg.OperationalError) -> type[psycopg.Error]:
    """What kept a connection from being made."""
    said = str(error)
    return next((kind for words, kind in _AT_CONNECTING if re.search(words, said)), type(error))


def _is_quiet(connection: psycopg.Connection[Any]) -> bool:
    """Whether a connection is as it was left: a server that closes it says so, or hangs up."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return not selector.select(0)


def _undo(connection: psycopg.Connection[Any]) -> None:
    """Undo what was not ended, and close a connection with which that cannot be done."""
    if connection.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()
