"""Customers of whom nothing is kept: digests of their addresses, each made with a key that is a secret."""

import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from clawver_orders.history.knowledge import Knowledge
from clawver_orders.orders.search import mailbox
from clawver_orders.storage.database import Connection
from clawver_orders.storage.keys import kept_key
from clawver_orders.text import clean

KEY_FILE = "history.key"
"""The key of the digests, beside the file of the history."""


class Forgotten:
    """The customers of one store who are forgotten.

    Args:
        key_file: Where the key is, or will be.
        is_shared: Whether several machines share the history. The key is in the database then:
            each has to know the same customers.
    """

    def __init__(self, key_file: Path, *, is_shared: bool) -> None:
        self._key_file = key_file
        self._is_shared = is_shared

    def add(self, db: Connection, customer_email: str) -> None:
        """Keep nothing of this address any more."""
        if self._is_shared:
            db.execute(
                "INSERT INTO digest_key VALUES (1, ?) ON CONFLICT DO NOTHING",
                (secrets.token_bytes(32),),
            )
        digest = self._digest(db, customer_email)
        db.execute("INSERT INTO forgotten VALUES (?) ON CONFLICT DO NOTHING", (digest,))

    def have(self, db: Connection, customer_email: str) -> bool:
        """Whether nothing of this address is kept."""
        digests = _digests(db)
        return bool(digests) and self._digest(db, customer_email) in digests

    def in_orders(self, db: Connection) -> Callable[[Knowledge], bool]:
        """Tells whether an order is of a customer who is forgotten."""
        digests = _digests(db)

        def is_forgotten(known: Knowledge) -> bool:
            email = (known.body or {}).get("customerEmail")
            return (
                bool(digests)
                and isinstance(email, str)
                and self._digest(db, clean(email, 200)) in digests
            )

        return is_forgotten

    def _digest(self, db: Connection, customer_email: str) -> bytes:
        if self._is_shared:
            key: bytes = db.execute("SELECT key FROM digest_key").fetchone()["key"]
        else:
            key = kept_key(self._key_file)
        return hmac.digest(key, mailbox(customer_email).encode("utf-8", "replace"), "sha256")


def _digests(db: Connection) -> set[bytes]:
    return {row["digest"] for row in db.execute("SELECT digest FROM forgotten")}
