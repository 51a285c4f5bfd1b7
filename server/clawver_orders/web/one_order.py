"""One order on the page, in full: what was ordered, its money, its refunds, its parcel and its story.

An order that is opened is read from Clawver, no more than once in five minutes. Where that fails it is
shown as it was last seen, and says so.
"""

from dataclasses import dataclass
from datetime import datetime

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError, NotFoundError
from clawver_orders.history.mirror import Kept
from clawver_orders.orders.lifecycle import attention
from clawver_orders.refunds.matching import refundable
from clawver_orders.services import Services
from clawver_orders.text import is_id
from clawver_orders.tools.reviews import REVIEWS_UNREADABLE, Reviews
from clawver_orders.tools.timeline import moments_of, sources_of, undated
from clawver_orders.web.deciding import Handler, NotDoneError
from clawver_orders.web.filters import Searches
from clawver_orders.web.order_facts import MOST_MOMENTS, WHAT, OrderOnPage, address_of, refunds_of
from clawver_orders.web.reading import Orders
from clawver_orders.web.rendering import Place, Renderer
from clawver_orders.web.sessions import Session
from clawver_orders.web.store_answers import StoreAnswers
from clawver_orders.webhooks.signature import EVENTS

NO_ORDER = (
    "There is no such order",
    "Neither Clawver nor this machine knows it. The link may be of another store.",
)


@dataclass(frozen=True)
class Sight:
    """An order as it was seen."""

    order: Order
    as_of: datetime
    problem: str = ""
    """Why it can't be read now; nothing where it was."""
    is_thin: bool = False
    """Whether it was only seen as a row of a list."""


class OneOrderViews:
    """The handlers of all paths about one order.

    Args:
        services: What they work with.
        place: Where the page is.
        shown: Makes the pages.
        orders: Reads orders.
        answers: What the store says of all of them.
        searches: The lists of each session.
    """

    def __init__(
        self,
        services: Services,
        place: Place,
        shown: Renderer,
        orders: Orders,
        answers: StoreAnswers,
        searches: Searches,
    ) -> None:
        self._services, self._place, self._shown = services, place, shown
        self._orders, self._answers, self._searches = orders, answers, searches

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""
        return {"/order/{order_id}": self._view}

    @property
    def forms(self) -> dict[str, Handler]:
        """What a form leads to."""
        order = "/order/{order_id}"
        return {f"{order}/read": self._read_again, f"{order}/customer": self._of_customer}

    async def _view(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        shown = await self._in_full(await self._seen(_order_id(request)))
        return self._shown.page(
            "order",
            session,
            title=f"Order {shown.order.id}",
            shown=shown,
            what=WHAT,
            event_names=EVENTS,
            may_list_customer=bool(shown.customer) and not self._services.masking.masked,
        )

    async def _read_again(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        order_id = _order_id(request)
        await self._orders.of_id(order_id, again=True)
        return self._to(session, f"order/{order_id}")

    async def _of_customer(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        """List the orders of the customer; masked, their whole address would stand in the form."""
        order = (await self._seen(_order_id(request))).order
        if self._services.masking.masked or not order.customer_email:
            return self._to(session, f"order/{order.id}")
        search = await self._searches.keep(session, {"customer_email": order.customer_email})
        return self._to(session, f"orders/{search.handle}")

    async def _seen(self, order_id: str) -> Sight:
        """The order as Clawver shows it now, or as it was last seen.

        Raises:
            NotDoneError: It isn't known.
        """
        reading = await self._orders.of_id(order_id)
        problem = "" if reading.error is None else reading.error.happened
        if reading.order is not None and reading.at is not None:
            return Sight(reading.order, reading.at.at, problem)
        kept = await self._kept(order_id)
        if kept is not None:
            return Sight(kept.order, kept.as_of, problem, kept.is_thin)
        if isinstance(reading.error, NotFoundError):
            raise NotDoneError(404, *NO_ORDER)
        raise NotDoneError(503, "This order can't be read now", problem)

    async def _kept(self, order_id: str) -> Kept | None:
        """The order as the history has it."""
        try:
            mirror = await self._services.history()
            found = {} if mirror is None else await to_thread.run_sync(mirror.read, [order_id])
        except ClawverError:  # then it isn't known here either
            return None
        return found.get(order_id)

    async def _in_full(self, seen: Sight) -> OrderOnPage:
        services, order = self._services, seen.order
        masking = services.masking
        reviews = Reviews((), REVIEWS_UNREADABLE)
        if not seen.problem:  # a store that doesn't answer would be waited for once more
            reviews = (await self._answers.reviews.get()).value or reviews
        sources = await sources_of(services, order, reviews.found)
        moments = moments_of(order, sources, masking)
        left_out = max(0, len(moments) - MOST_MOMENTS)
        lacks = [*(f"Not readable now: {each}." for each in sources.unreadable), reviews.lacks]
        return OrderOnPage(
            order=order,
            read_at=seen.as_of,
            problem=seen.problem,
            is_thin=seen.is_thin,
            customer=masking.email(order.customer_email) or "",
            address=address_of(order, masking),
            tracking_number=masking.detail(order.tracking_number) or "",
            tracking_url="" if masking.masked else order.tracking_url or "",
            attention=attention(order, services.now()) or "",
            money=refundable(order, await services.open_refunds(order.id)),
            refunds=refunds_of(order, sources.wishes, masking),
            moments=tuple(moments[left_out:]),
            left_out=left_out,
            lacks=tuple(filter(None, [*lacks, undated(order)])),
        )

    def _to(self, session: Session, path: str) -> Response:
        return RedirectResponse(f"{self._place.prefix}/s/{session.place}/{path}", 303)


def _order_id(request: Request) -> str:
    """The id of the order that is asked for.

    Raises:
        NotDoneError: It has not the form of one.
    """
    order_id: str = request.path_params["order_id"]
    if not is_id(order_id):
        raise NotDoneError(404, *NO_ORDER)
    return order_id
