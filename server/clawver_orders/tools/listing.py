"""Finding orders: the list."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from anyio import to_thread
from pydantic import Field

from clawver_orders.caller import Caller
from clawver_orders.clawver.client import PAGE
from clawver_orders.clawver.models import Order, OrderPage
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.history.mirror import Extent, Kept, Mirror, Sought, place_of
from clawver_orders.history.told import told
from clawver_orders.history.words import is_found
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.orders.search import Found, is_whole, is_within, mailbox
from clawver_orders.orders.search import search as search_orders
from clawver_orders.services import Services
from clawver_orders.time_limit import not_in_time, while_there_is_time
from clawver_orders.tools.answers import (
    LINES_SHOWN,
    Answer,
    Part,
    Past,
    in_one_line,
    in_utc,
    parcel,
    table,
)
from clawver_orders.tools.arguments import (
    CreatedAfter,
    CreatedBefore,
    Cursor,
    CustomerEmail,
    Limit,
    PaymentStatus,
    ProductText,
    SearchText,
    StatusFilter,
    span_of,
    zone_of,
)
from clawver_orders.tools.fallback import live_or_kept

SHORT_LIST = 10
"""Where a customer's or a product's orders are no more, each row names all of its items."""
MOST_OF_A_CUSTOMER = 1000
"""The most orders of a customer that are added up."""
LOOKS = 20
"""How often the history is asked for more, where few of the orders that it finds match."""
HISTORY_UNREADABLE = (
    "The history of older orders cannot be read now: a person can run clawver-orders doctor."
)
LAST_PAGE = "This is the last page of what is known here."
NOT_ALL_LOOKED_AT = (
    "Not all that is kept here was looked at: narrow with status, created_after or created_before."
)
NOTHING_MATCHES = "Nothing matches: widen the filters, or check the spelling."
NOTHING_KNOWN = (
    "Nothing matches among the orders that are known here, but others may exist: check the spelling, "
    "or ask for the order's id and call get_order."
)
NOT_TOLD = "?"
"""Shown where Clawver did not tell, so that it is not taken for nothing."""


class OrderRow(Part):
    """An order in a list."""

    order_id: str = ""
    status: str = ""
    payment_status: str = ""
    total: str = ""
    created_at: str = ""
    customer: str = ""
    items: str = ""
    tracking: str = ""
    source: str = ""

    @classmethod
    def of(cls, order: Order, masking: Masking, items: int, *, is_kept: bool = False) -> "OrderRow":
        """An order as a row of a list. No address.

        Args:
            order: The order.
            masking: How its customer is shown.
            items: How many of its items are named.
            is_kept: Whether it comes from the history.
        """
        return cls(
            order_id=order.id,
            status=order.status or NOT_TOLD,
            payment_status=order.payment_status or NOT_TOLD,
            total=display(order.total_in_cents, order.currency) + _refunded(order),
            created_at=in_utc(order.created_at) if order.created_at else "",
            customer=masking.email(order.customer_email) or "",
            items=NOT_TOLD if order.items is None else in_one_line(order, items),
            tracking=parcel(order, masking),
            source="history" if is_kept else "",
        )


class OrderList(Answer):
    """Orders, newest first."""

    columns: list[str] = Field(description="The columns of each row.")
    orders: list[list[str]]
    in_all_rows: OrderRow | None = Field(None, description="Columns that are the same in all rows.")
    now: str = Field(description="In UTC, as those of the rows.")
    time_zone: str | None = None
    as_of: Past | None = None
    scanned: int | None = None
    complete: bool = Field(description="Whether every order that matches is listed.")
    why_incomplete: str | None = None
    cursor: str | None = None


@dataclass(frozen=True)
class Filters:
    """Which orders are listed: those that match all that is given."""

    status: str | None
    payment_status: str | None
    customer_email: str
    product: str
    search: str
    created_after: datetime | None
    created_before: datetime | None

    @property
    def is_more_than_status(self) -> bool:
        """Whether Clawver itself cannot filter like that."""
        return replace(self, status=None) != Filters(None, None, "", "", "", None, None)

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of an order that are looked at."""
        looked_at = {
            "payment_status": self.payment_status,
            "customer_email": self.customer_email or self.search,
            "items": self.product or self.search,
            "shipping_address": self.search,
            "tracking_number": self.search,
        }
        return tuple(field for field, needed in looked_at.items() if needed)

    def fit(self, order: Order) -> bool:
        """Whether an order matches all that is given."""
        is_status = self.status in {None, order.status}
        is_in_time = is_within(order, self.created_after, self.created_before)
        return is_status and is_in_time and self.match(order)

    def match(self, order: Order) -> bool:
        """Whether an order matches, but for its status and its time."""
        if self.payment_status not in {None, order.payment_status}:
            return False
        email = self.customer_email
        if email and mailbox(email) != mailbox(order.customer_email or ""):
            return False
        part = self.product.casefold()
        is_product = not part or any(
            part in item.product_name.casefold() or self.product == item.product_id
            for item in order.items or ()
        )
        return is_product and is_found(order, self.search)

    def sought(self, before_key: int | None) -> Sought:
        """The same for the history, which finds a part of a product's name as words."""
        return Sought(
            search=f"{self.search} {self.product}",
            status=self.status,
            payment_status=self.payment_status,
            customer_email=self.customer_email,
            created_after=self.created_after,
            created_before=self.created_before,
            before_key=before_key,
        )


@dataclass(frozen=True)
class Listed:
    """A page of orders, newest first, and what is known of others."""

    orders: tuple[Order, ...]
    kept: tuple[Kept, ...] = ()
    """Those of them that come from the history."""
    has_more: bool = False
    """Whether the history has more of them."""
    extent: str = ""
    """How much of the store is known, where that matters."""


@dataclass(frozen=True)
class KeptPage:
    """A page of the orders of the history that match, newest first."""

    rows: tuple[Kept, ...]
    has_more: bool
    extent: Extent
    """How much of the store the history has."""
    is_all: bool
    """Whether all of the history was looked at for it."""

    @property
    def behind(self) -> int | None:
        """Where the page after it begins; None where there is none."""
        return self.rows[-1].key if self.has_more else None


async def list_orders(
    services: Services,
    caller: Caller,
    status: StatusFilter = None,
    payment_status: PaymentStatus = None,
    customer_email: CustomerEmail = "",
    product: ProductText = "",
    search: SearchText = "",
    created_after: CreatedAfter = "",
    created_before: CreatedBefore = "",
    limit: Limit = 20,
    cursor: Cursor = "",
) -> OrderList:
    """List orders that match all filters, newest first.

    For known ones use get_order, for sums summarize_orders. Clawver shows the newest 100 of a
    status; older ones come from this machine's history, as of `as_of`. If not `complete`, some
    may be missing.
    """
    calendar = services.settings.calendar
    span = span_of(created_after, created_before, calendar, services.now())
    filters = Filters(status, payment_status, customer_email, product, search, *span)
    if cursor:
        found = Found((), 0, None)
        listed = await _kept_page(services, filters, int(cursor), limit)
    else:
        found = await _live(services, caller, filters, limit)
        listed = await _with_history(services, filters, found, limit)
    rows = listed.orders
    is_about_few = len(rows) <= SHORT_LIST and bool(customer_email or product or search)
    named = LINES_SHOWN if is_about_few else 2
    old = {each.order.id for each in listed.kept}
    lines = table(
        [OrderRow.of(each, services.masking, named, is_kept=each.id in old) for each in rows]
    )
    why = _why(found, listed, limit)
    return OrderList(
        columns=lines.columns,
        orders=lines.cells,
        in_all_rows=lines.in_all_rows,
        now=in_utc(services.now()),
        time_zone=zone_of(calendar, created_after, created_before),
        as_of=min((each.as_of for each in listed.kept), default=None),
        scanned=found.scanned if filters.is_more_than_status and not cursor else None,
        complete=why is None,
        why_incomplete=why,
        cursor=str(place_of(rows[-1].id, rows[-1])) if rows and listed.has_more else None,
        next_step="" if rows else (NOTHING_KNOWN if why else NOTHING_MATCHES),
    )


async def orders_of_customer(services: Services, caller: Caller, customer_email: str) -> Listed:
    """All that is known of a customer's orders, and in `extent` why some may be missing."""
    filters = Filters(None, None, customer_email, "", "", None, None)
    found = await _live(services, caller, filters, MOST_OF_A_CUSTOMER)
    listed = await _with_history(services, filters, found, MOST_OF_A_CUSTOMER)
    more = f"Only the newest {MOST_OF_A_CUSTOMER} orders are counted." if listed.has_more else ""
    reasons = (more, found.why_incomplete, listed.extent)
    return replace(listed, extent=" ".join(each for each in reasons if each))


async def _live(services: Services, caller: Caller, filters: Filters, limit: int) -> Found:
    """What Clawver itself lists; nothing, and why, where only the history can answer now."""
    return await live_or_kept(services, partial(_listed, services, caller, filters, limit))


async def _listed(services: Services, caller: Caller, filters: Filters, limit: int) -> Found:
    if not filters.is_more_than_status:
        return await _newest(services, filters.status, limit)
    return await search_orders(
        services.clawver,
        status=filters.status,
        created_after=filters.created_after,
        created_before=filters.created_before,
        needs=filters.needs,
        matches=filters.match,
        progress=caller.progress,
    )


async def _newest(services: Services, status: str | None, limit: int) -> Found:
    with while_there_is_time():
        page = await services.clawver.page_of_orders(status, limit)
        return _whole_or_newest(page, limit)
    raise not_in_time()


def _whole_or_newest(page: OrderPage, limit: int) -> Found:
    orders = tuple(sorted(page.orders, key=lambda order: order.age_order, reverse=True))
    reasons = []
    if not is_whole(page):
        more = "raise limit, or narrow" if limit < PAGE else "narrow"
        reasons.append(f"Only the newest: {more} with status, created_after or created_before.")
    if page.unreadable:
        reasons.append(f"{page.unreadable} orders could not be read and are left out.")
    return Found(orders, len(orders), " ".join(reasons) or None)


async def _with_history(services: Services, filters: Filters, found: Found, limit: int) -> Listed:
    """The newest of what Clawver lists and of what is kept, where Clawver may not have listed all."""
    live = {order.id: order for order in found.orders}
    more = len(live) > limit and services.settings.history
    if found.why_incomplete is None:
        return Listed(found.orders[:limit], has_more=more)
    mirror = await services.history()
    if mirror is None:
        return Listed(found.orders[:limit])
    try:
        kept, extent, is_all = await to_thread.run_sync(_find, mirror, filters, None, limit + 1)
    except ClawverError:
        return Listed(found.orders[:limit], extent=HISTORY_UNREADABLE)
    others = {each.order.id: each for each in kept if each.order.id not in live}
    merged = sorted(
        [*live.values(), *(each.order for each in others.values())],
        key=lambda order: order.age_order,
        reverse=True,
    )
    rows = tuple(merged[:limit])
    shown = tuple(others[each.id] for each in rows if each.id in others)
    is_told = filters.is_more_than_status or shown
    known = told(extent, services.settings.calendar) if is_told else ""
    return Listed(
        rows, shown, len(merged) > limit, known if is_all else f"{NOT_ALL_LOOKED_AT} {known}"
    )


async def _kept_page(services: Services, filters: Filters, cursor: int, limit: int) -> Listed:
    """What comes behind a page, from the history alone.

    Raises:
        SetupError: There is none.
    """
    if not services.settings.history:
        raise SetupError(
            "CLAWVER_HISTORY is off, so there are no further pages.",
            next_step="Narrow the list with status, created_after or created_before instead.",
        )
    page = await kept_page(services, filters, cursor, limit)
    known = told(page.extent, services.settings.calendar)
    if not page.has_more:
        known = f"{LAST_PAGE if page.is_all else NOT_ALL_LOOKED_AT} {known}"
    orders = tuple(each.order for each in page.rows)
    return Listed(orders, page.rows, page.has_more, known)


async def kept_page(
    services: Services, filters: Filters, before_key: int | None, limit: int
) -> KeptPage:
    """A page of the orders of the history that match; no more of the others are read than it takes.

    Args:
        services: What tools work with.
        filters: Which orders are listed.
        before_key: The `behind` of the page before it; None for the first one.
        limit: The most orders of a page.

    Raises:
        ClawverError: The history cannot be read.
    """
    mirror = await services.history() or (await services.store()).mirror
    kept, extent, is_all = await to_thread.run_sync(_find, mirror, filters, before_key, limit + 1)
    return KeptPage(tuple(kept[:limit]), len(kept) > limit, extent, is_all)


def _find(
    mirror: Mirror, filters: Filters, before_key: int | None, most: int
) -> tuple[list[Kept], Extent, bool]:
    """Orders of the history that match, how much of it there is, and whether all of that was looked at."""
    found: list[Kept] = []
    sought = filters.sought(before_key)
    for _ in range(LOOKS):
        page = mirror.find(sought, PAGE)
        found += [each for each in page if filters.match(each.order)]
        if len(page) < PAGE or len(found) >= most:
            return found[:most], mirror.extent(), True
        sought = replace(sought, before_key=page[-1].key)
    return found[:most], mirror.extent(), False


def _why(found: Found, listed: Listed, limit: int) -> str | None:
    """Why some orders that match may not be listed; None where all are."""
    reasons = []
    if len(found.orders) > limit:
        more = "Raise limit (at most 100)" + (", or pass cursor" if listed.has_more else "")
        reasons.append(f"{len(found.orders)} orders match; the newest {limit} are listed. {more}.")
    elif listed.has_more:
        reasons.append("There are more: pass cursor.")
    if found.why_incomplete:
        reasons.append(found.why_incomplete)
    if listed.extent:
        reasons.append(listed.extent)
    return " ".join(reasons) or None


def _refunded(order: Order) -> str:
    """What went back, in a row behind the total: nothing only where it is certain that nothing did."""
    refunded = order.certainly_refunded_in_cents
    if refunded is None:
        return " (refunds not known)"
    return f" ({display(refunded, order.currency)} refunded)" if refunded else ""
