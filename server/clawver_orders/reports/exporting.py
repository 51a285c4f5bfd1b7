"""All refunds of a ledger as rows, read in parts: memory does not grow with their number."""

from collections.abc import AsyncIterator
from datetime import datetime

from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.reports.rows import refund_row
from clawver_orders.reports.sheet import SheetRow

PART = 500
"""The most refunds that are read at once."""


async def refund_rows(
    ledger: Ledger,
    masking: Masking,
    after: datetime | None = None,
    before: datetime | None = None,
) -> AsyncIterator[SheetRow]:
    """The refunds of a span, newest first.

    Args:
        ledger: Where they are noted.
        masking: How customers are shown.
        after: The beginning of the span; None where it has none.
        before: Its end, which is not in it.

    Raises:
        ClawverError: The ledger cannot be read.
    """
    behind = ""
    while part := await ledger.latest(PART, behind):
        behind = part[-1].refund_id
        for wish in part:
            at = wish.sent_at or wish.created_at
            if (after is None or at >= after) and (before is None or at < before):
                yield refund_row(wish, masking)
