"""An event that says "refunded" is a reason to look at an open refund, never the proof of one.

Who looks is the refund desk, which believes only what the order lists.
"""

from dataclasses import dataclass

from clawver_orders.errors import ClawverError
from clawver_orders.services import Services
from clawver_orders.settling import off_thread
from clawver_orders.state.inbox import Query
from clawver_orders.state.ledger import Intent, Moment, Trace

REFUNDED = "order.refunded"
REASON = "looked because of an event"
MOST = 5
"""The most refunds that one call looks at: each costs a request."""


@dataclass(frozen=True)
class Looked:
    """A refund that was looked at because of an event."""

    intent: Intent
    status: str
    """As the refund desk gives it; `unknown` where the order could not be read."""


async def look_where_events_say(services: Services) -> tuple[Looked, ...]:
    """Look once at every open refund whose order sent an event since it was sent.

    Args:
        services: The ledger, the inbox and the refund desk.

    Raises:
        ClawverError: The ledger or the inbox cannot be read.
    """
    if not services.ledger.exists:
        return ()
    looked: list[Looked] = []
    for intent in await off_thread(services.ledger.all_open):
        number = await off_thread(_news, services, intent)
        if number and len(looked) < MOST:
            looked.append(await _look(services, intent, f"evt_{number}"))
    return tuple(looked)


def _news(services: Services, intent: Intent) -> int:
    """The number of the latest event that was not yet a reason; 0 where there is none."""
    query = Query(since=intent.sent_at, order_id=intent.order_id, name=REFUNDED, limit=1)
    events = services.inbox.find(query, services.now()).events
    if not events:
        return 0
    reasons = {e.detail for e in services.ledger.history(intent.refund_id) if e.event == REASON}
    return 0 if f"evt_{events[0].number}" in reasons else events[0].number


async def _look(services: Services, intent: Intent, event_id: str) -> Looked:
    try:
        outcome = await services.desk.check(intent.refund_id)
    except ClawverError:
        return Looked(intent, "unknown")
    if outcome.order is not None:  # otherwise the next call tries again
        moment = Moment(services.now(), services.uptime())
        trace = Trace("inbox")
        await off_thread(services.ledger.note, intent.refund_id, REASON, moment, trace, event_id)
    return Looked(intent, outcome.status)
