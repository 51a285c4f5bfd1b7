"""Where else on this machine a refund is noted: a person may have named the wrong store."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from clawver_orders.settings import Settings


def where_else(refund_id: str) -> "Callable[[Settings], Awaitable[str]]":
    """Looks for a refund in the other ledgers of this machine.

    Args:
        refund_id: The refund that wasn't found.

    Returns:
        A function that takes the settings that led to the ledger without it, and gives a sentence:
        which ledger has it, and how to get there. The sentence is empty where none has it.
    """

    async def look(settings: "Settings") -> str:
        from clawver_orders.errors import ClawverError
        from clawver_orders.instants import now
        from clawver_orders.refunds.ledger import Ledger
        from clawver_orders.refunds.ledger_file import LEDGER_FILE
        from clawver_orders.storage import scopes

        own = None
        with suppress(ClawverError):  # which is why it wasn't found
            own = scopes.known(settings)
        stores = settings.state_dir / "stores"
        for file in sorted(stores.glob(f"**/{LEDGER_FILE}")):
            if own is not None and file.parent == own.folder:
                continue
            with suppress(ClawverError):  # another store's trouble
                if await Ledger(file, now).find(refund_id) is not None:
                    return _way_to(file.parent, stores, settings)
        return ""

    return look


def _way_to(folder: Path, stores: Path, settings: "Settings") -> str:
    if folder == stores / "sandbox":
        return "It is in the ledger of the sandbox store: add --sandbox."
    found = f"It is in the ledger of another store, {folder.relative_to(stores)}:"
    if settings.store and not settings.sandbox:
        return f"{found} name that one with --store."
    option = "leave --sandbox out, and " if settings.sandbox else ""
    return f"{found} {option}set CLAW_API_KEY to that store's key."
