"""The orders on the page, as a list that can be searched.

A list comes from the history, a page of rows at a time; Clawver is asked for its own lists once in five
minutes. Where no history is kept, these are all there is.
"""

from collections.abc import Iterable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError
from clawver_orders.history.mirror import Extent, place_of
from clawver_orders.history.told import told
from clawver_orders.orders.lifecycle import STATUSES
from clawver_orders.orders.search import Found, tells_all
from clawver_orders.services import Services, Store
from clawver_orders.tools.listing import Filters, kept_page
from clawver_orders.web.deciding import Handler, NotDoneError, number_in
from clawver_orders.web.filters import LABELS, MistypedError, OrderSearch, Searches, filters_of
from clawver_orders.web.order_facts import (
    PAYMENTS,
    ListExtent,
    OrderLine,
    line_of,
)
from clawver_orders.web.rendering import Place, Renderer
from clawver_orders.web.sessions import Session
from clawver_orders.web.store_answers import Answered, StoreAnswers

ROWS = 50
"""So many orders are on a page of a list."""
ListPage = tuple[tuple[OrderLine, ...], ListExtent, int | None]
"""Rows, how much of the store they were taken from, and behind which order the next page begins."""


class OrderListViews:
    """The handlers of all paths about lists of orders.

    Args:
        services: What they work with.
        store: The store.
        place: Where the page is.
        shown: Makes the pages.
        answers: What Clawver lists.
        searches: The lists of each session.
    """

    def __init__(
        self,
        services: Services,
        store: Store,
        place: Place,
        shown: Renderer,
        answers: StoreAnswers,
        searches: Searches,
    ) -> None:
        self._services, self._store, self._place, self._shown = services, store, place, shown
        self._answers, self._searches = answers, searches

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""
        return {"/orders": self._list, "/orders/{handle}": self._list}

    @property
    def forms(self) -> dict[str, Handler]:
        """What a form leads to."""
        return {"/orders": self._search}

    async def _list(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        search = await self._searches.find(session, request.path_params.get("handle", ""))
        if search is None:  # it made room for others
            return RedirectResponse(f"{self._home(session)}/orders", 303)
        asked = number_in(request.query_params.get("page", "")) or 1
        number = min(max(1, asked), len(search.begins))
        filters = self._filters(search.typed)
        lists = await self._answers.lists.get()
        rows, known, behind = await self._page(filters, search.begins[number - 1], lists)
        await self._searches.shown(session, search, number, behind)
        return self._rendered(session, search, rows, known, number=number)

    async def _search(self, _: Request, session: Session, form: dict[str, str]) -> Response:
        try:
            self._filters(form)
        except MistypedError as problem:
            typed = OrderSearch(typed={name: form.get(name, "") for name in LABELS})
            return self._rendered(session, typed, (), None, mistyped=problem, status=422)
        search = await self._searches.keep(session, form)
        return RedirectResponse(f"{self._home(session)}/orders/{search.handle}".rstrip("/"), 303)

    async def _page(self, filters: Filters, begin: int | None, lists: Answered[Found]) -> ListPage:
        listed = lists.value.orders if lists.value else ()
        silent = _silent(listed, filters)
        if self._services.settings.history:
            try:
                page = await kept_page(self._services, filters, begin, ROWS)
                silent = await self._still_silent(silent, filters)
            except ClawverError as error:
                raise NotDoneError(503, "The orders can't be read", error.happened) from error
            rows = tuple(self._line(each.order, is_due=each.is_due) for each in page.rows)
            said = told(page.extent, self._services.settings.calendar)
            known = _known(lists, page.extent, said, is_all_told=not silent, is_all=page.is_all)
            return rows, known, page.behind
        placed = {place_of(order.id, order): order for order in listed if filters.fit(order)}
        fit = sorted((key for key in placed if begin is None or key < begin), reverse=True)
        rows = tuple(self._line(placed[key], is_due=False) for key in fit[:ROWS])
        behind = fit[ROWS - 1] if len(fit) > ROWS else None
        return rows, _known(lists, is_all_told=not silent), behind

    async def _still_silent(self, order_ids: list[str], filters: Filters) -> list[str]:
        """Those of them that don't tell what is looked for in the history either."""
        kept = await to_thread.run_sync(self._store.mirror.read, order_ids) if order_ids else {}
        told_there = kept.keys() - _silent((each.order for each in kept.values()), filters)
        return [each for each in order_ids if each not in told_there]

    def _line(self, order: Order, *, is_due: bool) -> OrderLine:
        return line_of(order, self._services.masking, self._services.now(), is_due=is_due)

    def _filters(self, typed: dict[str, str]) -> Filters:
        return filters_of(typed, self._services.settings.calendar, self._services.now())

    def _rendered(
        self,
        session: Session,
        search: OrderSearch,
        rows: tuple[OrderLine, ...],
        known: ListExtent | None,
        *,
        number: int = 1,
        mistyped: MistypedError | None = None,
        status: int = 200,
    ) -> Response:
        return self._shown.page(
            "orders",
            session,
            status,
            title="Orders",
            search=search,
            path=f"orders/{search.handle}".rstrip("/"),
            rows=rows,
            known=known,
            number=number,
            has_more=len(search.begins) > number,
            first=(number - 1) * ROWS + 1,
            mistyped=mistyped,
            statuses=STATUSES,
            payments=PAYMENTS,
            is_history_on=self._services.settings.history,
        )

    def _home(self, session: Session) -> str:
        return f"{self._place.prefix}/s/{session.place}"


def _silent(orders: Iterable[Order], filters: Filters) -> list[str]:
    """The ids of orders that don't tell what is looked for."""
    is_span = filters.created_after is not None or filters.created_before is not None
    return [
        order.id
        for order in orders
        if (is_span and order.created_at is None) or not tells_all(order, filters.needs)
    ]


def _known(
    lists: Answered[Found],
    extent: Extent | None = None,
    said: str = "",
    *,
    is_all_told: bool,
    is_all: bool = True,
) -> ListExtent:
    """How much of the store a list was taken from."""
    return ListExtent(
        extent,
        has_all=lists.value is not None and lists.value.has_all,
        is_all_looked_at=is_all,
        is_all_told=is_all_told,
        read_at=lists.at,
        problem="" if lists.error is None else lists.error.happened,
        told=said,
    )
