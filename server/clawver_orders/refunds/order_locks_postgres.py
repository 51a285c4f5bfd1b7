"""One lock for each order in PostgreSQL, over all machines that share the database.

A lock is held by an open transaction on a connection of its own, and goes with it: when the work is
done, when the process or the connection ends, and after a minute in which nothing was asked. A pooler
that hands out connections by transactions keeps it, as no session does
(https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS).

It keeps servers from reading the same order at once. That no money goes twice does not rest on it:
the ledger refuses what was decided on older records.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import psycopg
from anyio import to_thread

from clawver_orders.errors import SetupError
from clawver_orders.refunds.order_locks import POLL_SECONDS, OrderBusyError
from clawver_orders.storage.postgres import refusing
from clawver_orders.storage.postgres_server import PostgresServer

IDLE_SECONDS = 60
"""After so long in which nothing is asked the server takes the lock back."""
MOST_LOCKS = 8
"""So many orders one process works on at once, each with a connection."""
_BEGIN = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout TO '{IDLE_SECONDS}s'"
_TRY = "SELECT pg_try_advisory_xact_lock(%s) AS is_held"
_NAME = "the locks of orders"


class PostgresOrderLocks:
    """The locks of one store's orders.

    Args:
        server: The database.
        schema: What tells the store from others there.
    """

    def __init__(self, server: PostgresServer, schema: str) -> None:
        self._server = server
        self._schema = schema
        self._held: dict[str, psycopg.Connection[Any]] = {}
        self._taken: set[str] = set()
        self._is_proven = False

    @asynccontextmanager
    async def held(self, order_id: str, wait_seconds: float) -> AsyncIterator[None]:
        """The lock of an order, for as long as the block lasts.

        Calls of this process wait for each other first, so that each order needs one connection.

        Args:
            order_id: The order; an id that passed its check.
            wait_seconds: How long to wait for whoever has it.

        Raises:
            OrderBusyError: It was not to be had in that time.
            ClawverError: Locks do not lock here, or the database cannot be used.
        """
        until = anyio.current_time() + wait_seconds
        while order_id in self._taken or len(self._taken) >= MOST_LOCKS:
            await _pause(until)
        self._taken.add(order_id)
        try:
            await to_thread.run_sync(self._connect, order_id)
            while not await to_thread.run_sync(self._try, order_id):
                await _pause(until)
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._release, order_id)
            self._taken.discard(order_id)

    async def still_held(self, order_id: str) -> bool:
        """Whether the transaction that holds the lock is there still."""
        return await to_thread.run_sync(self._is_there, order_id)

    def prove(self) -> None:
        """Take one lock twice.

        Raises:
            SetupError: The second one was granted.
            UnreachableError: The database is not reached.
        """
        if self._is_proven:
            return
        probe = self._key(secrets.token_hex(8))
        with refusing(_NAME), self._server.connection() as one, self._server.connection() as two:
            answers = []
            for each in (one, two):
                each.execute(_BEGIN)
                answers.append(_only(each, probe))
        if answers != [True, False]:
            raise SetupError(
                "Locks do not work in the database, so two refunds of one order could not be kept apart.",
                next_step="A person must look at what is between this server and the database.",
            )
        self._is_proven = True

    def _connect(self, order_id: str) -> None:
        self.prove()
        with refusing(_NAME):
            self._held[order_id] = self._server.taken()
            with self._server.ending(self._held[order_id]):
                self._held[order_id].execute(_BEGIN)

    def _try(self, order_id: str) -> bool:
        connection = self._held[order_id]
        with refusing(_NAME), self._server.ending(connection):
            return _only(connection, self._key(order_id))

    def _is_there(self, order_id: str) -> bool:
        connection = self._held[order_id]
        with suppress(psycopg.Error), self._server.ending(connection):
            connection.execute("SELECT 1")
            return True
        return False

    def _release(self, order_id: str) -> None:
        connection = self._held.pop(order_id, None)
        if connection is not None:
            self._server.give_back(connection)  # which ends the transaction

    def _key(self, order_id: str) -> int:
        """A number for an order of this store: 64 bits, of which no two are alike by chance."""
        words = hashlib.sha256(f"{self._schema}\0{order_id}".encode()).digest()
        return int.from_bytes(words[:8], signed=True)


def _only(connection: psycopg.Connection[Any], key: int) -> bool:
    [row] = connection.execute(_TRY, (key,)).fetchall()
    return bool(row["is_held"])


async def _pause(until: float) -> None:
    """Wait a moment.

    Raises:
        OrderBusyError: It is too late.
    """
    if anyio.current_time() >= until:
        raise OrderBusyError
    await anyio.sleep(POLL_SECONDS)
