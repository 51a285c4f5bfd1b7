"""An event that says "refunded" is a reason to look at an open refund, never the proof of one.

`refunds.desk` looks, and believes only what the order lists.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from anyio import to_thread

from clawver_orders.errors import ClawverError
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Actor, Attempt, Wish
from clawver_orders.webhooks.inbox import Inbox, Query

REFUNDED = "order.refunded"
MOST = 5
"""The most refunds that one call looks at: each costs a request."""


@dataclass(frozen=True)
class CheckedRefund:
    """A refund that was looked at because of an event."""

    wish: Wish
    status: str
    """As `refunds.desk` gives it; `unknown` where the order could not be read."""


async def check_reported(
    ledger: Ledger,
    inbox: Inbox,
    check: Callable[[str], Awaitable[Outcome]],
) -> tuple[CheckedRefund, ...]:
    """Look once at every open refund whose order sent an event since it was sent.

    Args:
        ledger: The refunds.
        inbox: The events.
        check: What `refunds.desk` does to find out about a refund, by its id.

    Raises:
        ClawverError: The ledger or the inbox cannot be read.
    """
    if not ledger.exists:
        return ()
    checked: list[CheckedRefund] = []
    for wish in await ledger.all_open():
        attempt = next(attempt for attempt in wish.attempts if attempt.is_open)
        number = await to_thread.run_sync(_news, inbox, attempt, ledger.now().at)
        if number and len(checked) < MOST:
            checked.append(await _check_one(ledger, check, wish, attempt, number))
    return tuple(checked)


def _news(inbox: Inbox, attempt: Attempt, now: datetime) -> int:
    """The number of the latest event that was not yet a reason; 0 where there is none."""
    query = Query(since=attempt.sent.at, order_id=attempt.order_id, name=REFUNDED, limit=1)
    events = inbox.find(query, now).events
    if not events or events[0].number == attempt.reported_event:
        return 0
    return events[0].number


async def _check_one(
    ledger: Ledger,
    check: Callable[[str], Awaitable[Outcome]],
    wish: Wish,
    attempt: Attempt,
    number: int,
) -> CheckedRefund:
    try:
        outcome = await check(wish.refund_id)
    except ClawverError:
        return CheckedRefund(wish, "unknown")
    if outcome.order is not None:  # otherwise the next call tries again
        await ledger.note_reported(attempt, number, Actor("inbox"))
    return CheckedRefund(wish, outcome.status)
