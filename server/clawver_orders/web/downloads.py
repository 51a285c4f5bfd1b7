"""Orders and refunds as files for a spreadsheet: the rows of `clawver-orders export`, sent as they are read."""

from collections.abc import AsyncIterator, Iterator
from itertools import islice

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from clawver_orders.errors import ClawverError
from clawver_orders.history.parts import orders
from clawver_orders.reports.exporting import refund_rows
from clawver_orders.reports.rows import ORDERS, REFUNDS, order_row
from clawver_orders.reports.sheet import BOM, SheetRow, heading, line
from clawver_orders.services import Services, Store
from clawver_orders.web.deciding import Handler, NotDoneError
from clawver_orders.web.filters import Searches, filters_of
from clawver_orders.web.rendering import Place
from clawver_orders.web.sessions import Session

BATCH = 500
"""So many rows are sent at once."""
NO_HISTORY = (
    "There is no file of orders",
    "CLAWVER_HISTORY is off, so no orders are kept on this machine. Nothing was written.",
)


class Downloads:
    """The handlers of all paths of files.

    Args:
        services: What they work with.
        store: The store.
        place: Where the page is.
        searches: The lists of each session.
    """

    def __init__(self, services: Services, store: Store, place: Place, searches: Searches) -> None:
        self._services, self._store, self._place = services, store, place
        self._searches = searches

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""
        return {
            "/orders.csv": self._orders,
            "/orders/{handle}/orders.csv": self._orders,
            "/refunds.csv": self._refunds,
        }

    @property
    def forms(self) -> dict[str, Handler]:
        """What a form leads to."""
        return {}

    async def _orders(self, request: Request, session: Session, _: dict[str, str]) -> Response:
        services = self._services
        search = await self._searches.find(session, request.path_params.get("handle", ""))
        if search is None:
            home = f"{self._place.prefix}/s/{session.place}"
            return RedirectResponse(f"{home}/orders", 303)
        filters = filters_of(search.typed, services.settings.calendar, services.now())
        mirror = await services.history()
        if mirror is None:
            raise NotDoneError(409, *NO_HISTORY)
        rows = (
            order_row(kept, services.masking, "csv")
            for kept in orders(mirror, filters.sought(None))
            if filters.match(kept.order)
        )
        return await _file("orders.csv", _lines(ORDERS, _in_threads(rows)))

    async def _refunds(self, _: Request, __: Session, ___: dict[str, str]) -> Response:
        rows = refund_rows(self._store.ledger, self._services.masking)
        return await _file("refunds.csv", _lines(REFUNDS, rows))


async def _in_threads(rows: Iterator[SheetRow]) -> AsyncIterator[SheetRow]:
    """Rows that are read from a file, without anybody else having to wait for the disk."""
    while part := await to_thread.run_sync(lambda: list(islice(rows, BATCH))):
        for each in part:
            yield each


async def _lines(columns: tuple[str, ...], rows: AsyncIterator[SheetRow]) -> AsyncIterator[bytes]:
    """What is sent, part by part."""
    part = [BOM, heading(columns, "csv")]
    async for row in rows:
        part.append(line(row, "csv"))
        if len(part) > BATCH:
            yield b"".join(part)
            part = []
    yield b"".join(part)


async def _file(name: str, parts: AsyncIterator[bytes]) -> Response:
    """A file to keep. Where reading fails in the middle, the browser is told that it isn't whole.

    Raises:
        NotDoneError: Nothing of it can be read.
    """
    try:
        first = await anext(parts)
    except ClawverError as error:
        raise NotDoneError(503, "There is no file", error.happened) from error

    async def all_parts() -> AsyncIterator[bytes]:
        yield first
        async for each in parts:
            yield each

    return StreamingResponse(
        all_parts(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
