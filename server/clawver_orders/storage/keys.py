"""A secret key that all servers of a store share, made once: the first one stays.

It's a file; or a row, where a database keeps what several machines share.
"""

import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path

from clawver_orders.settings import Settings
from clawver_orders.storage.database import Connection, Database
from clawver_orders.storage.engine import KEYS, tables_of
from clawver_orders.storage.folders import kept_once

LENGTH = 32


def kept_key(path: Path) -> bytes:
    """The key in this file; a new one where there is no file.

    Raises:
        OSError: It cannot be read or made, or others could have read it or put it there.
    """
    key = kept_once(path, secrets.token_bytes(LENGTH))
    if len(key) != LENGTH:
        raise OSError("the key is not whole")
    return key


def shared_key(settings: Settings, schema: str, path: Path) -> Callable[[], bytes]:
    """What reads a key, or makes it. Nothing is opened before that.

    Args:
        settings: Say whether a database keeps it.
        schema: Whose it is there.
        path: Where it is otherwise.

    Returns:
        What `kept_key` does, in the database where there is one. It raises OSError or ClawverError
        where the key can't be read or made.
    """

    @cache
    def tables() -> Database | None:
        return tables_of(settings, schema, KEYS)

    def read() -> bytes:
        database = tables()
        return kept_key(path) if database is None else _kept_row(database, path.stem)

    return read


def _kept_row(database: Database, name: str) -> bytes:
    with database.reading() as rows:
        found = _values(rows, name)
    if not found:
        with database.writing() as rows:
            rows.execute(
                "INSERT INTO secret_key (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (name, secrets.token_bytes(LENGTH)),
            )
            found = _values(rows, name)
    return found[0]


def _values(rows: Connection, name: str) -> list[bytes]:
    found = rows.execute("SELECT value FROM secret_key WHERE name = ?", (name,)).fetchall()
    return [bytes(each["value"]) for each in found]
