"""What the orders of a span come to: those that Clawver lists, and those that are kept here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import TypeVar

from anyio import to_thread

from clawver_orders.caller import Caller
from clawver_orders.clawver.models import Order
from clawver_orders.days import Calendar, monday_of
from clawver_orders.errors import ClawverError
from clawver_orders.history.mirror import Extent, Kept, Mirror
from clawver_orders.history.summing import TOLD_OF_MONEY, By, Summed
from clawver_orders.history.told import told
from clawver_orders.orders.figures import Batch, products_of
from clawver_orders.orders.search import Found, is_within, mailbox, search, tells_all
from clawver_orders.services import Services
from clawver_orders.tools.fallback import NO_ATTENTION, live_or_kept
from clawver_orders.tools.listing import HISTORY_UNREADABLE

T = TypeVar("T")
_LOOKED_AT: dict[By | None, tuple[str, ...]] = {
    "product": (*TOLD_OF_MONEY, "items"),
    "customer": (*TOLD_OF_MONEY, "customer_email"),
}
"""The fields of an order that are looked at, where that is more than the money."""


@dataclass(frozen=True)
class Span:
    """Orders that were created from a time on, up to another one; None where that end is open."""

    begin: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class KnownSums:
    """What the orders of a span come to, as far as they are known."""

    span: Span
    sums: Summed
    is_complete: bool


@dataclass(frozen=True)
class SpanSums:
    """What the orders of a span come to, and how far that can be trusted."""

    found: Found
    """Those of them that Clawver lists."""
    sums: Summed
    why_incomplete: str | None
    as_of: datetime | None
    """The oldest of those that come from the history was seen then."""
    before: KnownSums | None
    """The span before; None where this one has no beginning, or nothing is known of that."""


async def sums_of(services: Services, caller: Caller, span: Span, by: By | None) -> SpanSums:
    """Add up the orders of a span, and those of the span before.

    It takes the requests of one search, whatever the span.

    Args:
        services: What tools work with.
        caller: Is told how far it is.
        span: The span.
        by: What the sums are split by.
    """
    calendar = services.settings.calendar
    history = _History(services)
    listed = partial(
        search,
        services.clawver,
        created_after=span.begin,
        created_before=span.end,
        needs=_LOOKED_AT.get(by, TOLD_OF_MONEY),
        recall=history.recall,
        progress=caller.progress,
    )
    found = await live_or_kept(services, listed, "" if by else NO_ATTENTION)
    sums = added_up(found.orders, by, calendar)
    reasons = [found.why_incomplete]
    if found.why_incomplete is not None:
        kept = await history.summed(span, found.seen, by)
        sums = _together(sums, kept)
        if kept.untold:
            reasons.append(f"{kept.untold} older orders do not tell all that is added up.")
        reasons.append(await history.told())
    as_of = min(history.seen_at, default=None)
    return SpanSums(
        found,
        sums,
        " ".join(filter(None, reasons)) or None,
        None if as_of is None else datetime.fromtimestamp(as_of, UTC),
        await _before(services, history, span, found),
    )


async def _before(
    services: Services, history: "_History", span: Span, found: Found
) -> KnownSums | None:
    """The span before, without any further request."""
    if span.begin is None:
        return None
    now = services.now()
    before = Span(*services.settings.calendar.span_before(span.begin, min(span.end or now, now)))
    if not _is_whole(found, before) and not await history.is_there():
        return None
    return await _known(services, history, before, found, None)


async def known_sums(services: Services, span: Span, by: By | None, found: Found) -> KnownSums:
    """What the orders of a span come to, without any request.

    Args:
        services: What tools work with.
        span: The span.
        by: What the sums are split by.
        found: What was listed before: all orders, not those of a span alone.
    """
    return await _known(services, _History(services), span, found, by)


async def _known(
    services: Services, history: "_History", span: Span, found: Found, by: By | None
) -> KnownSums:
    listed = {order.id: order for order in found.seen if is_within(order, span.begin, span.end)}
    listed |= {order.id: order for order in found.orders if order.id in listed}
    looked_at = _LOOKED_AT.get(by, TOLD_OF_MONEY)
    untold = [each.id for each in listed.values() if not tells_all(each, looked_at)]
    if untold:
        listed |= await history.recall(untold)
    sums = added_up(listed.values(), by, services.settings.calendar)
    is_whole = _is_whole(found, span)
    if not is_whole and await history.is_there():
        sums = _together(sums, await history.summed(span, found.seen, by))
    return KnownSums(span, sums, is_whole and not sums.untold)


def _is_whole(found: Found, span: Span) -> bool:
    """Whether all orders since the beginning of a span were listed."""
    return found.reach is not None and (span.begin is not None and found.reach < span.begin)


def added_up(orders: Iterable[Order], by: By | None, calendar: Calendar) -> Summed:
    """What orders come to, each of which is given once.

    Args:
        orders: The orders.
        by: What the sums are split by.
        calendar: Whose days and weeks are meant.
    """
    sums, untold = Summed(), 0
    for order in sorted(orders, key=lambda each: each.age_order):
        batch = Batch.of(order)
        sums.batches.append(batch)
        untold += not tells_all(order, _LOOKED_AT.get(by, TOLD_OF_MONEY))
        if by == "product":
            for product, name, each in products_of(order):
                sums.rows[product].append(each)
                sums.names[product] = name
        elif by == "customer":
            sums.rows[mailbox(order.customer_email or "")].append(batch)
        elif by is not None:
            at = order.created_at
            sums.rows[_day(by, calendar)(at) if at else ""].append(batch)
    return replace(sums, untold=untold)


def cut_short(span: Span, by: By, calendar: Calendar) -> set[str]:
    """The days or weeks, by their names, in which a span begins or ends; none where it is split otherwise."""
    if by not in {"day", "week"}:
        return set()
    name_of = _day(by, calendar)
    ends = [(name_of(each), each) for each in (span.begin, span.end) if each is not None]
    return {name for name, each in ends if calendar.begin_of(date.fromisoformat(name)) != each}


def _day(by: By | None, calendar: Calendar) -> Callable[[datetime], str]:
    """Names the day or the week of a time."""
    if by == "week":
        return lambda moment: monday_of(calendar.day_of(moment)).isoformat()
    return lambda moment: calendar.day_of(moment).isoformat()


def _together(live: Summed, kept: Summed) -> Summed:
    rows = kept.rows
    for name, batches in live.rows.items():
        rows[name] += batches
    return replace(
        kept,
        batches=live.batches + kept.batches,
        names=kept.names | live.names,
        untold=live.untold + kept.untold,
    )


class _History:
    """What is kept of the store. Where it cannot be read, nothing is known, and that is said."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._is_unreadable = False
        self.seen_at: list[float] = []
        """When the oldest of each answer was seen, in seconds since the epoch."""

    async def is_there(self) -> bool:
        """Whether anything can be known from it."""
        return await self._services.history() is not None and not self._is_unreadable

    async def recall(self, order_ids: list[str]) -> dict[str, Order]:
        """Orders as they were last seen."""
        nothing: dict[str, Kept] = {}
        kept = await self._ask(lambda mirror: mirror.read(order_ids), nothing)
        self.seen_at += [each.as_of.timestamp() for each in kept.values()]
        return {order_id: each.order for order_id, each in kept.items()}

    async def summed(self, span: Span, without: Iterable[Order], by: By | None) -> Summed:
        """What the others come to that are kept of a span."""
        name_of = _day(by, self._services.settings.calendar)
        ids = [order.id for order in without]
        sums = await self._ask(
            lambda mirror: mirror.summed(span.begin, span.end, ids, by, name_of), Summed()
        )
        self.seen_at += [] if sums.as_of is None else [sums.as_of]
        return sums

    async def told(self) -> str:
        """How much is kept; nothing where nothing can be."""
        nothing: Extent | None = None
        extent = await self._ask(lambda mirror: mirror.extent(), nothing)
        if self._is_unreadable:
            return HISTORY_UNREADABLE
        return told(extent, self._services.settings.calendar) if extent else ""

    async def _ask(self, read: Callable[[Mirror], T], nothing: T) -> T:
        mirror = await self._services.history()
        return (
            nothing
            if mirror is None
            else await to_thread.run_sync(self._read, read, mirror, nothing)
        )

    def _read(self, read: Callable[[Mirror], T], mirror: Mirror, nothing: T) -> T:
        try:
            return read(mirror)
        except ClawverError:
            self._is_unreadable = True
            return nothing
