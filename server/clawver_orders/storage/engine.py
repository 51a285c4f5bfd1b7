"""The database that several machines share, where CLAWVER_DATABASE_URL names one.

The sandbox store is on one machine alone, and so is all that is kept of it.
"""

import atexit
from dataclasses import dataclass
from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from clawver_orders.errors import SetupError
from clawver_orders.settings import Settings

if TYPE_CHECKING:
    from clawver_orders.storage.postgres import PostgresDatabase
    from clawver_orders.storage.postgres_server import Facts, PostgresServer


@dataclass(frozen=True)
class TableKind:
    """Tables of one kind."""

    key: str
    """What the database calls it."""
    name: str
    """What a person calls it, as in "the refund ledger"."""
    steps: str
    """Where their shape is, as `module:name`. It is loaded only where it is needed."""
    may_be_lost: bool = False
    """Whether a crash may take what was kept last: then nothing waits for a disk or a standby."""


LEDGER = TableKind("ledger", "the refund ledger", "clawver_orders.refunds.ledger_postgres:STEPS")
HISTORY = TableKind("history", "the order history", "clawver_orders.history.mirror_postgres:STEPS")
INBOX = TableKind(
    "inbox", "the inbox of order events", "clawver_orders.webhooks.inbox_postgres:STEPS"
)
CHANGES = TableKind(
    "webhooks", "the changes of webhooks", "clawver_orders.webhooks.changes_postgres:STEPS"
)
PIN = TableKind("pin", "the PIN", "clawver_orders.storage.pin_postgres:STEPS")
PAGE = TableKind("page", "who has signed in", "clawver_orders.web.sessions_postgres:STEPS")
BUDGET = TableKind(
    "budget",
    "the request allowance",
    "clawver_orders.clawver.request_budget_postgres:STEPS",
    may_be_lost=True,
)
KEYS = TableKind("keys", "the keys of the server", "clawver_orders.storage.keys_postgres:STEPS")
NOTES = TableKind("notes", "the list of stores", "clawver_orders.storage.notes_postgres:STEPS")
PARTS = (LEDGER, HISTORY, INBOX, CHANGES, PIN, PAGE, BUDGET, KEYS, NOTES)
"""All there are."""


def server_of(settings: Settings, deadline_seconds: float | None = None) -> "PostgresServer | None":
    """The database that these settings name; None where everything is kept in files.

    Args:
        settings: With the address of the database.
        deadline_seconds: How long one transaction may take, where that is not as usual.

    Raises:
        SetupError: What works with PostgreSQL isn't installed, or cannot read the address.
    """
    if settings.database_url is None or not settings.has_database:
        return None
    return _server(settings.database_url.get_secret_value(), deadline_seconds)


def tables_of(
    settings: Settings,
    schema: str,
    part: TableKind,
    deadline_seconds: float | None = None,
) -> "PostgresDatabase | None":
    """Tables of one kind in that database.

    Args:
        settings: With the address of the database.
        schema: Whose they are, as `schema_of` names it. Each kind has a schema of its own, named after both.
        part: Of which kind.
        deadline_seconds: How long one transaction may take, where that is not as usual.

    Returns:
        The tables; None where everything is kept in files.

    Raises:
        SetupError: As `server_of`.
    """
    server = server_of(settings, deadline_seconds)
    if server is None:
        return None
    from clawver_orders.storage.postgres import PostgresDatabase

    return PostgresDatabase(
        server,
        f"{schema}_{part.key}",
        resolve_name(part.steps),
        part.name,
        may_be_lost=part.may_be_lost,
    )


def facts_of(settings: Settings) -> "Facts | None":
    """What that database says of itself, once it takes changes; None where everything is kept in files.

    Raises:
        ClawverError: It cannot be used.
    """
    server = server_of(settings)
    if server is None:
        return None
    from clawver_orders.storage.postgres import refusing

    with refusing("this server's tables"):
        return server.facts()


@cache
def _server(url: str, deadline_seconds: float | None) -> "PostgresServer":
    """One for all that this process does: its connections are few, and shared."""
    try:
        import psycopg
    except ImportError as error:
        raise SetupError(
            f"CLAWVER_DATABASE_URL names a PostgreSQL database, and its driver cannot be loaded ({type(error).__name__}).",
            next_step="A person must install it with clawver-orders[postgres].",
        ) from None
    from clawver_orders.storage.postgres_server import DEADLINE_SECONDS, PostgresServer

    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise SetupError(
            "CLAWVER_DATABASE_URL cannot be used: PostgreSQL does not understand it.",
            next_step="A person must correct it: postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with every sign "
            "that has a meaning in addresses written as %40 and the like.",
        ) from None  # the cause repeats the value
    server = PostgresServer(url, deadline_seconds or DEADLINE_SECONDS)
    atexit.register(server.close)
    return server
