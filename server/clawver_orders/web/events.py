"""What the store sent to this machine, on the page: the events that arrived, and what was refused.

The page asks every ten seconds how many are new, and says so; the list itself changes only when a person
asks for that.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clawver_orders.errors import ClawverError
from clawver_orders.services import Services, Store
from clawver_orders.text import clean, is_id
from clawver_orders.web.deciding import Handler, NotDoneError, number_in
from clawver_orders.web.rendering import Renderer
from clawver_orders.web.sessions import Session
from clawver_orders.webhooks.inbox import Cause, Query, Received, ReceiverStatus

ROWS = 50
EVERY_SECONDS = 10.0
"""How often the page asks whether something is new."""
MOST_NEW = 99
"""More are counted as one more than these."""
REFUSED: Final[dict[Cause, tuple[str, str]]] = {
    "signature": (
        "The signature didn't fit",
        "Somebody is guessing, or the webhook has another secret than CLAWVER_WEBHOOK_SECRET holds here.",
    ),
    "path": (
        "Sent to another path",
        "Compare the webhook's address with the one that clawver-orders listen prints.",
    ),
    "method": ("Not a POST request", "See what a proxy in front of clawver-orders listen does."),
    "body": ("Genuine, but not readable by this version", "Update clawver-orders."),
    "size": ("Too large", "Look at the orders themselves."),
    "time": ("Came too slowly", "Check the way from Clawver to this machine."),
    "cut off": ("Cut off in the middle", "Check the way from Clawver to this machine."),
    "disk": ("Could not be noted on this disk", "Run clawver-orders doctor in a terminal."),
}
"""Why a delivery was refused, and what to do about it."""


@dataclass(frozen=True)
class EventLine:
    """An event in the list. Its name and its order are what the store sent."""

    number: int
    name: str
    order_id: str
    is_linked: bool
    """Whether its order can be opened."""
    at: datetime | None
    received_at: datetime


def line_of_event(each: Received) -> EventLine:
    """An event in the list."""
    order_id = clean(each.order_id or "", 255)
    return EventLine(
        each.number,
        clean(each.name, 100),
        order_id,
        is_id(order_id),
        each.at,
        each.received_at,
    )


class EventViews:
    """The handlers of all paths about events.

    Args:
        services: What they work with.
        store: The store.
        shown: Makes the pages.
    """

    def __init__(self, services: Services, store: Store, shown: Renderer) -> None:
        self._services, self._inbox, self._shown = services, store.inbox, shown

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""
        return {"/events": self._list, "/events/new": self._new}

    @property
    def forms(self) -> dict[str, Handler]:
        """What a form leads to."""
        return {}

    async def _list(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        before, now = number_in(request.query_params.get("before", "")), self._services.now()
        query = Query(before=before, limit=ROWS)
        try:
            # First the number that the page counts from: what arrives meanwhile is shown, and told again.
            status = await to_thread.run_sync(self._inbox.receiver_status, now)
            page = await to_thread.run_sync(self._inbox.find, query, now)
        except ClawverError as error:
            raise NotDoneError(503, "The events can't be read", error.happened) from error
        return self._shown.page(
            "events",
            session,
            title="Events",
            rows=[line_of_event(each) for each in page.events],
            has_more=page.has_more,
            is_first=before is None,
            receiver=status,
            refused=_refused(status),
            refused_words=REFUSED,
            every_seconds=EVERY_SECONDS,
            kept_days=self._services.settings.inbox_days,
        )

    async def _new(self, request: Request, _: Session, __: dict[str, str]) -> Response:
        """How many events and refusals there are that the page does not show yet."""
        given, now = request.query_params, self._services.now()
        query = Query(after=number_in(given.get("after", "")) or 0, limit=MOST_NEW)
        page = await to_thread.run_sync(self._inbox.find, query, now)
        status = await to_thread.run_sync(self._inbox.receiver_status, now)
        refused = max(0, _refused(status) - (number_in(given.get("refused", "")) or 0))
        return JSONResponse({"events": len(page.events) + page.has_more, "refused": refused})


def _refused(status: ReceiverStatus) -> int:
    """How many deliveries were refused in all."""
    return sum(each.count for each in status.refusals)
