"""Which events have arrived on this machine."""

from contextlib import suppress
from datetime import datetime
from typing import Self

from anyio import to_thread
from pydantic import Field

from clawver_orders.errors import ClawverError, InvalidRequestError
from clawver_orders.refunds.records import Wish
from clawver_orders.refunds.reported import CheckedRefund, check_reported
from clawver_orders.services import INBOX, Services
from clawver_orders.time_limit import while_there_is_time
from clawver_orders.tools.answers import Answer, Money, Part, in_utc, table
from clawver_orders.tools.arguments import (
    Before,
    EventFilter,
    EventLimit,
    EventOrderId,
    Since,
    event_number,
    moment,
    zone_of,
)
from clawver_orders.tools.receiving import (
    ReceivingDetail,
    lost,
    receiver_status,
    trouble,
)
from clawver_orders.webhooks.inbox import Inbox, Page, Query, Received, ReceiverStatus
from clawver_orders.webhooks.signature import EVENTS


class EventRow(Part):
    """An event in a list."""

    event_id: str = ""
    event: str = ""
    order_id: str = ""
    happened_at: str = ""
    received_at: str = ""

    @classmethod
    def of(cls, found: Received) -> "EventRow":
        """An event as a row."""
        return cls(
            event_id=f"evt_{found.number}",
            event=found.name,
            order_id=found.order_id or "",
            happened_at=in_utc(found.at) if found.at else "",
            received_at=in_utc(found.received_at),
        )


class LookedDetail(Part):
    """A refund that was looked at because of an event."""

    refund_id: str
    order_id: str
    amount: Money
    status: str

    @classmethod
    def of(cls, wish: Wish, status: str) -> Self:
        """A refund of the ledger, and how it stands now."""
        return cls(
            refund_id=wish.refund_id,
            order_id=wish.order_id,
            amount=wish.amount_in_cents,
            status=status,
        )


class EventList(Answer):
    """Events that were received, newest arrival first."""

    columns: list[str] = Field(description="The columns of each row.")
    events: list[list[str]]
    in_all_rows: EventRow | None = Field(None, description="Columns that are the same in all rows.")
    now: str = Field(description="In UTC, as those of the rows.")
    time_zone: str | None = None
    complete: bool = Field(description="False when something is known to be missing.")
    why_incomplete: str | None = None
    newest: str | None = Field(
        None, description="Pass as since to get only what arrives later; not on a continued list."
    )
    older: str | None = Field(None, description="Pass as before for the next part of this list.")
    receiving: ReceivingDetail
    refunds_checked: list[LookedDetail] = Field(
        [], description="Refunds that were unknown here, looked up because an event reports them."
    )


async def list_order_events(
    services: Services,
    since: Since = "",
    before: Before = "",
    order_id: EventOrderId = "",
    event: EventFilter = "any",
    limit: EventLimit = 50,
) -> EventList:
    """List the events that Clawver reported to this machine, newest first.

    Use it for what happened lately; for how an order stands get_order. It keeps 30 days of
    what came while `clawver-orders listen` ran and misses the rest; if nothing came, see
    list_webhooks.
    """
    query = Query(
        after=event_number(since) or 0,
        since=moment(since, services.settings.calendar, services.now())
        if since and event_number(since) is None
        else None,
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
    checked: tuple[CheckedRefund, ...] | None = None
    with suppress(ClawverError), while_there_is_time():
        checked = await check_reported(
            store.ledger,
            store.inbox,
            lambda refund_id: store.desk.check(
                refund_id
            ),  # the desk is made for the first open one
        )
    if checked is None:  # what has arrived can be read all the same
        checked = ()
        not_looked = "Reported refunds could not be looked up: see clawver-orders doctor."
        why = f"{why} {not_looked}" if why else not_looked
    listed = table([EventRow.of(found) for found in page.events])
    newest = max([status.last_number, *(found.number for found in page.events)])
    return EventList(
        columns=listed.columns,
        events=listed.cells,
        in_all_rows=listed.in_all_rows,
        now=in_utc(now),
        time_zone=zone_of(services.settings.calendar, since),
        complete=why is None,
        why_incomplete=why,
        newest=f"evt_{newest}" if query.before is None else None,
        older=f"evt_{page.events[-1].number}" if page.has_more else None,
        receiving=ReceivingDetail.of(status),
        refunds_checked=[LookedDetail.of(each.wish, each.status) for each in checked],
        next_step=_about_money(checked) + _after_events(query, page, status),
    )


def _about_money(checked: tuple[CheckedRefund, ...]) -> str:
    """What comes before anything else: the outcome of a refund that was waited for."""
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
    reasons += [lost(status)] if status.lost else []
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
