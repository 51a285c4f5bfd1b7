"""Which events have arrived on this machine."""

from datetime import datetime
from typing import Self

from anyio import to_thread
from pydantic import Field

from clawver_orders.errors import ClawverError, InvalidRequestError
from clawver_orders.refunds.records import Wish
from clawver_orders.refunds.reported import CheckedRefund, check_reported
from clawver_orders.services import INBOX, Services
from clawver_orders.tools.answers import Answer, MoneyInCents, Part, ago, in_utc
from clawver_orders.tools.arguments import (
    Before,
    EventFilter,
    EventLimit,
    EventOrderId,
    Since,
    event_number,
    moment,
)
from clawver_orders.tools.receiving import (
    SECRETS_DIFFER,
    ReceivingDetail,
    receiver_status,
    secrets_differ,
    trouble,
)
from clawver_orders.webhooks.inbox import Inbox, Page, Query, Received, ReceiverStatus
from clawver_orders.webhooks.signature import EVENTS

EVENT_COLUMNS = (
    "event_id",
    "event",
    "order_id",
    "happened_at",
    "happened_ago",
    "received_at",
    "received_ago",
)
"""What stands in a row of events."""


class LookedDetail(Part):
    """A refund that was looked at because of an event."""

    refund_id: str
    order_id: str
    amount_in_cents: MoneyInCents
    status: str

    @classmethod
    def of(cls, wish: Wish, status: str) -> Self:
        """A refund of the ledger, and how it stands now."""
        return cls(
            refund_id=wish.refund_id,
            order_id=wish.order_id,
            amount_in_cents=wish.amount_in_cents,
            status=status,
        )


class EventList(Answer):
    """Events that were received, newest arrival first."""

    columns: list[str] = Field(description="What stands in each row of events.")
    events: list[list[str]] = Field(description="One row an event; empty text where not known.")
    complete: bool = Field(description="False when something is known to be missing.")
    why_incomplete: str | None = None
    newest: str | None = Field(
        None, description="Pass as since to get only what arrives later; not on a continued list."
    )
    older: str | None = Field(None, description="Pass as before for the next part of this list.")
    receiving: ReceivingDetail
    refunds_checked: list[LookedDetail] = Field(
        description="Refunds that were unknown here, looked up because an event reports them."
    )


async def list_order_events(
    services: Services,
    since: Since = "",
    before: Before = "",
    order_id: EventOrderId = "",
    event: EventFilter = "any",
    limit: EventLimit = 50,
) -> EventList:
    """List the events that Clawver reported to this machine, newest first: orders paid, shipped, refunded, reviews.

    Use it to learn what happened since the last look. For how an order stands now use
    get_order, for all orders list_orders.

    It knows only what arrived while `clawver-orders listen` ran here, for 30 days; when
    `receiving` says that it does not run, ask a person to start it. Reading takes none of the
    store's requests, as a rule.

    Filters combine. For what is new, pass the last answer's `newest` as since; for the rest of
    a list that was cut, pass its `older` as before.
    """
    query = Query(
        after=event_number(since) or 0,
        since=moment(since) if since and event_number(since) is None else None,
        before=event_number(before),
        order_id=order_id,
        name="" if event == "any" else event,
        limit=limit,
    )
    now = services.now()
    store = await services.kept(INBOX)
    status = await receiver_status(services)
    if max(query.after, query.before or 0) > status.last_number:
        raise InvalidRequestError(
            "Nothing was read: no event with that id ever arrived here.",
            next_step="Call list_order_events without since and before, and go on from its newest.",
        )
    page = await to_thread.run_sync(store.inbox.find, query, now)
    why = await to_thread.run_sync(_why_incomplete, services, store.inbox, query, page, status)
    try:
        checked = await check_reported(
            store.ledger,
            store.inbox,
            lambda refund_id: store.desk.check(
                refund_id
            ),  # the desk is made for the first open one
        )
    except ClawverError:  # what has arrived can be read all the same
        checked = ()
        not_looked = "Reported refunds could not be looked up: see clawver-orders doctor."
        why = f"{why} {not_looked}" if why else not_looked
    newest = max([status.last_number, *(found.number for found in page.events)])
    return EventList(
        columns=list(EVENT_COLUMNS),
        events=[_row(found, now) for found in page.events],
        complete=why is None,
        why_incomplete=why,
        newest=f"evt_{newest}" if query.before is None else None,
        older=f"evt_{page.events[-1].number}" if page.has_more else None,
        receiving=ReceivingDetail.of(status),
        refunds_checked=[LookedDetail.of(each.wish, each.status) for each in checked],
        next_step=_about_money(checked) + _after_events(query, page, status),
    )


def _about_money(checked: tuple[CheckedRefund, ...]) -> str:
    """What comes before anything else: a refund that was waited for is settled."""
    settled = [each.wish.refund_id for each in checked if each.status not in {"unknown", "busy"}]
    if not settled:
        return ""
    return f"Tell the person what became of refund {', '.join(settled)}: see refunds_checked. "


def _after_events(query: Query, page: Page, status: ReceiverStatus) -> str:
    if query.name and not page.events and query.name not in EVENTS:
        return f"Clawver has no event of that name; there are: {', '.join(EVENTS)}."
    if said := trouble(status):
        return said
    if page.has_more:
        return f"For the older ones call list_order_events again with before evt_{page.events[-1].number}."
    order_id = next((found.order_id for found in page.events if found.order_id), None)
    if order_id:
        return f"See how an order stands now with get_order, such as order_id {order_id}."
    return "Nothing to do; call list_order_events later with since set to newest."


def _why_incomplete(
    services: Services, inbox: Inbox, query: Query, page: Page, status: ReceiverStatus
) -> str | None:
    reasons = []
    if page.has_more:
        reasons.append(
            f"Only the newest {len(page.events)} that match are listed; older says how to go on."
        )
    too_early = query.since is not None and query.since < inbox.kept_since(services.now())
    if too_early or 0 < query.after < status.forgotten:
        reasons.append(f"Events are kept for {services.settings.inbox_days} days.")
    since = query.since or _arrival(inbox, query.after, services.now())
    if status.started_at and since and since < status.started_at:
        reasons.append("The listener began after that; what was sent while none ran is missed.")
    if secrets_differ(status):
        reasons.append(SECRETS_DIFFER)
    if status.started_at is None:
        reasons.append("Nothing has ever listened here, so nothing could arrive.")
    elif not status.is_listening:
        reasons.append("Nothing listens now, so what the store sends is missed.")
    return " ".join(reasons) or None


def _arrival(inbox: Inbox, number: int, now: datetime) -> datetime | None:
    """When an event arrived here, while it is kept."""
    query = Query(after=number - 1, before=number + 1, limit=1)
    events = inbox.find(query, now).events if number else ()
    return events[0].received_at if events else None


def _row(found: Received, now: datetime) -> list[str]:
    return [
        f"evt_{found.number}",
        found.name,
        found.order_id or "",
        in_utc(found.at) if found.at else "",
        ago(found.at, now) if found.at else "",
        in_utc(found.received_at),
        ago(found.received_at, now),
    ]
