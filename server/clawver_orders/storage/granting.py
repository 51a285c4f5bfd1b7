"""Tables that one user of the database owns and another one works with.

The owner of a table can switch its rules off. One of them refuses a second request for the same refund.
A server that isn't the owner cannot.
"""

from clawver_orders.errors import SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage.engine import (
    BUDGET,
    CHANGES,
    HISTORY,
    INBOX,
    KEYS,
    LEDGER,
    NOTES,
    PAGE,
    PIN,
    tables_of,
)
from clawver_orders.storage.scopes import Scope, schema_of


def grant(settings: Settings, scope: Scope, user: str) -> None:
    """Make what is missing of all tables of a store, and let a user read and write them.

    Args:
        settings: With the address of the database, as the user who owns the tables or is to own them.
        scope: The store.
        user: Who may work with them. It gets no right to change the tables, their rules or who may use
            them.

    Raises:
        SetupError: No database is named; it knows no such user, or that is the owner; or the user in the
            address doesn't own the tables. What was granted before stays.
        UnreachableError: The database cannot be used now. The same.
    """
    key = schema_of(settings, "key", settings.key_dir.name)
    schemas = {
        schema_of(settings, "address", ""): (NOTES,),
        schema_of(settings, "servers", ""): (KEYS,),
        key: (BUDGET, KEYS),
        scope.schema: (LEDGER, PIN, PAGE, INBOX, CHANGES, HISTORY),
    }
    for schema, parts in schemas.items():
        for part in parts:
            tables = tables_of(settings, schema, part)
            if tables is None:
                raise SetupError(
                    "CLAWVER_DATABASE_URL is not set, so nothing was granted.",
                    next_step="Set it to the database, with the user who is to own the tables. Then run this again.",
                )
            tables.grant(user)
