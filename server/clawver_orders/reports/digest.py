"""What a merchant wants to know once a day: what came in, what is stuck, what went back, what waits for them.

It names orders, amounts and ids, and nothing that a customer or a product brought along: a digest is mailed,
and posted where others read it.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from anyio import to_thread

from clawver_orders.caller import Grade
from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError, NotFoundError, RateLimitedError, UnreachableError
from clawver_orders.history.mirror import Extent, Mirror, Sought
from clawver_orders.history.parts import orders
from clawver_orders.history.told import told
from clawver_orders.money import UNKNOWN, USD
from clawver_orders.orders.lifecycle import PATIENCE, attention, holds_money, urgency
from clawver_orders.orders.search import Found, search, tells
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_orders.time_limit import while_there_is_time
from clawver_orders.tools.listing import HISTORY_UNREADABLE
from clawver_orders.webhooks.changes import Change
from clawver_orders.webhooks.desk import command

log = logging.getLogger(__name__)
NEEDED = ("payment_status", "refunds")
"""What an order has to tell, or else it is looked up in the history."""
READ_AGAIN = 10
"""The most orders that are read one by one."""
_LOOKED_FOR = (
    *(Sought(status=status) for status in (*PATIENCE, "cancelled")),
    Sought(payment_status="failed"),
    Sought(payment_status="partially_refunded"),
    Sought(payment_status="refunded"),
)
"""Older orders that may be stuck, or of which something may have gone back."""


@dataclass(frozen=True)
class CameIn:
    """The orders that were placed since then."""

    orders: int
    paid_orders: int
    sales_in_cents: dict[str, int]
    """What the paid ones come to, by currency: never added, and before refunds."""
    by_day: dict[str, int]
    """How many on each day that has any, oldest first."""


@dataclass(frozen=True)
class Stuck:
    """An order that somebody should look at."""

    order_id: str
    why: str
    total_in_cents: int
    currency: str
    holds_money: bool
    """Whether a customer has paid for it."""
    as_of: datetime | None
    """When it was last seen, where Clawver does not list it now, or not in full."""


@dataclass(frozen=True)
class WentBack:
    """A refund since then, as Clawver lists it or as the ledger has it."""

    order_id: str
    amount_in_cents: int
    currency: str
    at: datetime
    refund_id: str | None = None
    """Its id in the ledger; None where it was not sent from here."""
    approved_by: str | None = None
    grade: Grade | None = None
    channel: str | None = None


@dataclass(frozen=True)
class Waiting:
    """A refund that waits for a person, or whose outcome is not known."""

    refund_id: str
    order_id: str
    amount_in_cents: int
    since: datetime


@dataclass(frozen=True)
class WaitingChange:
    """A change of a webhook that waits for a person."""

    change_id: str
    action: str
    since: datetime
    command: str
    """What a person runs to see it and to decide."""


@dataclass(frozen=True)
class Digest:
    """What happened in a store since some time, and what is left to do."""

    store: str
    sandbox: bool
    option: str
    """What a command in a terminal needs to work on this store, with a space before it."""
    since: datetime
    now: datetime
    time_zone: str
    came_in: CameIn
    stuck: list[Stuck]
    """First what holds a customer's money, then what is older."""
    went_back: list[WentBack]
    """Newest first."""
    waiting: list[Waiting]
    unknown: list[Waiting]
    """Refunds that were sent and whose outcome is not known."""
    waiting_changes: list[WaitingChange]
    why_incomplete: str | None
    is_live: bool
    """Whether Clawver was asked."""


@dataclass
class _Seen:
    """Orders that matter here, each as it was last seen."""

    since: datetime
    now: datetime
    orders: dict[str, Order] = field(default_factory=dict)
    as_of: dict[str, datetime] = field(default_factory=dict)

    def add(self, order: Order, as_of: datetime | None = None) -> None:
        """Take an order in, where it matters.

        Args:
            order: The order.
            as_of: When it was last seen; None where Clawver just listed it.
        """
        self.drop(order.id)
        if self.is_new(order) or attention(order, self.now) or any(self.refunds(order)):
            self.orders[order.id] = order
            if as_of is not None:
                self.as_of[order.id] = as_of

    def drop(self, order_id: str) -> None:
        """Forget an order."""
        self.orders.pop(order_id, None)
        self.as_of.pop(order_id, None)

    def is_new(self, order: Order) -> bool:
        return order.created_at is not None and self.since <= order.created_at <= self.now

    def refunds(self, order: Order) -> Iterator[tuple[str, int, datetime]]:
        for each in order.refunds or ():
            if each.created_at is not None and self.since <= each.created_at <= self.now:
                yield each.id, each.amount_in_cents, each.created_at


Lists = tuple[Found, ClawverError | None]
"""What Clawver lists, and why it could not be asked now, where it could not."""
NOT_LISTED = Found((), 0, None)


@dataclass(frozen=True)
class OrdersLookedAt:
    """What happened to the orders of a store since some time, and which of them are stuck."""

    came_in: CameIn
    stuck: list[Stuck]
    """As in a digest."""
    went_back: list[WentBack]
    """As in a digest."""
    why_incomplete: str | None
    is_live: bool
    """Whether Clawver was asked."""


async def digest(services: Services, since: datetime) -> Digest:
    """Look at the store, at what is kept of it, and at what waits.

    Args:
        services: What it works with.
        since: From when on orders and refunds are new.

    Raises:
        ClawverError: The store is not known, or the ledger cannot be read.
    """
    store = await services.store()
    now = services.now()
    seen = await orders_looked_at(services, since, await _listed(services))
    changes = await to_thread.run_sync(store.changes.waiting)
    return Digest(
        store=store.title,
        sandbox=services.settings.sandbox,
        option=services.settings.option,
        since=since,
        now=now,
        time_zone=services.settings.calendar.name,
        came_in=seen.came_in,
        stuck=seen.stuck,
        went_back=seen.went_back,
        waiting=[_waiting(wish) for wish in await store.ledger.waiting()],
        unknown=[_waiting(wish) for wish in await store.ledger.all_open()],
        waiting_changes=[_change(each, services.settings) for each in changes],
        why_incomplete=seen.why_incomplete,
        is_live=seen.is_live,
    )


async def orders_looked_at(services: Services, since: datetime, lists: Lists) -> OrdersLookedAt:
    """Look at the orders that Clawver lists, and at what is kept of others.

    Args:
        services: What it works with.
        since: From when on orders and refunds are new.
        lists: What Clawver lists. Where it could not be asked, nothing, or what it listed before.

    Raises:
        ClawverError: The store is not known, or the ledger cannot be read.
    """
    store = await services.store()
    seen = _Seen(since, services.now())
    found, error = lists
    for order in found.orders:
        seen.add(order)
    listed = frozenset(each.id for each in found.orders if all(tells(each, f) for f in NEEDED))
    is_whole = error is None and found.why_incomplete is None
    extent = "" if is_whole else await _add_kept(services, seen, listed)
    if error is None:
        await _read_again(services, seen)
    not_asked = f"Clawver could not be asked. {error.happened}" if error else None
    reasons = (not_asked, found.why_incomplete, extent)
    return OrdersLookedAt(
        came_in=_came_in(services, seen),
        stuck=_stuck(seen),
        went_back=await _went_back(store.ledger, seen),
        why_incomplete=" ".join(filter(None, reasons)) or None,
        is_live=error is None,
    )


async def _listed(services: Services) -> Lists:
    """What Clawver lists now; nothing where it cannot be asked, and why."""
    try:
        return await search(services.clawver, needs=NEEDED), None
    except (UnreachableError, RateLimitedError) as error:
        return NOT_LISTED, error


async def _add_kept(services: Services, seen: _Seen, listed: frozenset[str]) -> str:
    """Add what Clawver did not list, or not in full; says how much is kept."""
    try:
        mirror = await services.history()
        if mirror is None:
            return ""
        extent = await to_thread.run_sync(_look, mirror, seen, listed)
    except ClawverError:
        return HISTORY_UNREADABLE
    return told(extent, services.settings.calendar)


def _look(mirror: Mirror, seen: _Seen, listed: frozenset[str]) -> Extent:
    asked = (Sought(created_after=seen.since), *_LOOKED_FOR)
    for kept in chain.from_iterable(orders(mirror, each) for each in asked):
        if kept.order.id not in listed:
            seen.add(kept.order, kept.as_of)
    return mirror.extent()


async def _read_again(services: Services, seen: _Seen) -> None:
    """Read some of what seems stuck and Clawver did not list: it may have moved on long ago.

    Those that hold a customer's money, and those first that were not read for longest. What is read is kept,
    so the next digest reads others.
    """
    doubtful = [
        order
        for order in seen.orders.values()
        if order.id in seen.as_of and holds_money(order) and attention(order, seen.now)
    ]
    with while_there_is_time():
        for order in sorted(doubtful, key=lambda each: seen.as_of[each.id])[:READ_AGAIN]:
            try:
                seen.add(await services.clawver.order(order.id))
            except NotFoundError:
                seen.drop(order.id)
            except ClawverError as error:
                log.warning("an order is told as it was kept: %s", type(error).__name__)


def _came_in(services: Services, seen: _Seen) -> CameIn:
    calendar = services.settings.calendar
    new = sorted(
        (order for order in seen.orders.values() if seen.is_new(order)),
        key=lambda order: order.age_order,
    )
    sales: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for order in new:
        days[str(calendar.day_of(order.created_at or seen.since))] += 1
        if order.was_paid and order.currency != UNKNOWN:
            sales[order.currency] += order.total_in_cents
    paid = sum(order.was_paid for order in new)
    return CameIn(len(new), paid, dict(sales), dict(days))


def _stuck(seen: _Seen) -> list[Stuck]:
    late = (
        (order, attention(order, seen.now)) for order in sorted(seen.orders.values(), key=urgency)
    )
    return [
        Stuck(
            order.id,
            why,
            order.total_in_cents,
            order.currency,
            holds_money=holds_money(order),
            as_of=seen.as_of.get(order.id),
        )
        for order, why in late
        if why
    ]


async def _went_back(ledger: Ledger, seen: _Seen) -> list[WentBack]:
    """What Clawver lists, and what the ledger has beside that."""
    found = {
        (order.id, refund_id): WentBack(order.id, cents, order.currency, at)
        for order in seen.orders.values()
        for refund_id, cents, at in seen.refunds(order)
    }
    for wish in await ledger.refunded_between(seen.since, seen.now):
        at = wish.sent_at or wish.created_at
        found[wish.order_id, wish.clawver_refund_id or wish.refund_id] = _ours(wish, at)
    return sorted(found.values(), key=lambda each: each.at, reverse=True)


def _ours(wish: Wish, at: datetime) -> WentBack:
    by = wish.decision
    return WentBack(
        wish.order_id,
        wish.amount_in_cents,
        USD,  # no refund in any other is sent
        at,
        refund_id=wish.refund_id,
        approved_by=by.who if by else None,
        grade=by.grade if by else None,
        channel=by.channel if by else None,
    )


def _waiting(wish: Wish) -> Waiting:
    return Waiting(
        wish.refund_id, wish.order_id, wish.amount_in_cents, wish.sent_at or wish.created_at
    )


def _change(change: Change, settings: Settings) -> WaitingChange:
    wanted = change.wanted
    return WaitingChange(
        change.change_id, wanted.action, change.since.at, command(wanted, settings)
    )
