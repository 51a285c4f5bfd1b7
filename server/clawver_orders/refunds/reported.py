"""An event that says "refunded" is a reason to look at an open refund, never the proof of one.

Who looks is the refund desk, which believes only what the order lists.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from clawver_orders.errors import ClawverError
from clawver_orders.refunds.desk import Outcome
from clawver_orders.refunds.ledger import Intent, Ledger, Moment, Trace
from clawver_orders.refunds.settlement import off_thread
from clawver_orders.webhooks.inbox import Inbox, Query

REFUNDED = "order.refunded"
REASON = "looked because of an event"
MOST = 5
"""The most refunds that one call looks at: each costs a request."""


@dataclass(frozen=True)
class CheckedRefund:
    """A refund that was looked at because of an event."""

    intent: Intent
    status: str
    """As the refund desk gives it; `unknown` where the order could not be read."""


async def check_reported(
    ledger: Ledger,
    inbox: Inbox,
    check: Callable[[str], Awaitable[Outcome]],
    moment: Callable[[], Moment],
) -> tuple[CheckedRefund, ...]:
    """Look once at every open refund whose order sent an event since it was sent.

    Args:
        ledger: The refunds.
        inbox: The events.
        check: What the refund desk does to find out about a refund, by its id.
        moment: The current time.

    Raises:
        ClawverError: The ledger or the inbox cannot be read.
    """
    if not ledger.exists:
        return ()
    looked: list[CheckedRefund] = []
    for intent in await off_thread(ledger.all_open):
        number = await off_thread(_news, ledger, inbox, intent, moment())
        if number and len(looked) < MOST:
            looked.append(await _check_one(ledger, check, moment, intent, f"evt_{number}"))
    return tuple(looked)


def _news(ledger: Ledger, inbox: Inbox, intent: Intent, now: Moment) -> int:
    """The number of the latest event that was not yet a reason; 0 where there is none."""
    query = Query(since=intent.sent_at, order_id=intent.order_id, name=REFUNDED, limit=1)
    events = inbox.find(query, now.at).events
    if not events:
        return 0
    reasons = {e.detail for e in ledger.history(intent.refund_id) if e.event == REASON}
    return 0 if f"evt_{events[0].number}" in reasons else events[0].number


async def _check_one(
    ledger: Ledger,
    check: Callable[[str], Awaitable[Outcome]],
    moment: Callable[[], Moment],
    intent: Intent,
    event_id: str,
) -> CheckedRefund:
    try:
        outcome = await check(intent.refund_id)
    except ClawverError:
        return CheckedRefund(intent, "unknown")
    if outcome.order is not None:  # otherwise the next call tries again
        trace = Trace("inbox")
        await off_thread(ledger.note, intent.refund_id, REASON, moment(), trace, event_id)
    return CheckedRefund(intent, outcome.status)
