"""Today: what needs somebody and why, and the figures of the last two weeks.

What waits for a decision is read from the ledger each time. The rest rests on the lists that the
views share, and is made once for each of them.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from clawver_orders.clawver.models import Order
from clawver_orders.days import next_day
from clawver_orders.errors import ClawverError
from clawver_orders.history.told import told
from clawver_orders.money import display
from clawver_orders.orders.search import Found
from clawver_orders.refunds.records import Wish
from clawver_orders.reports.digest import NOT_LISTED, Stuck, orders_looked_at
from clawver_orders.services import Services, Store
from clawver_orders.tools.answers import in_one_line, parcel
from clawver_orders.tools.listing import HISTORY_UNREADABLE
from clawver_orders.tools.spans import Span, known_sums
from clawver_orders.web import views
from clawver_orders.web.deciding import Handler
from clawver_orders.web.events import REFUSED
from clawver_orders.web.figures import DAYS, LastDays, last_days
from clawver_orders.web.reading import Orders, Reading
from clawver_orders.web.rendering import Renderer
from clawver_orders.web.sessions import Session
from clawver_orders.web.store_answers import Answered, StoreAnswers, within_patience
from clawver_orders.web.webhooks import WebhookViews, heading
from clawver_orders.webhooks.changes import Change
from clawver_orders.webhooks.inbox import RefusedDeliveries

MOST_WAITING = 5
"""The most refunds, and webhooks, that are named: the others are in the view of all that waits."""
SOON_SECONDS = 2.0
"""How long the page of all stores waits for the lists of one of them."""
MOST_STUCK = 25
MOST_UNPAID = 5
NEXT_STEPS = {
    "pending": "Ask Clawver why an order that was paid isn't confirmed, then tell the customer.",
    "confirmed": "Nothing was printed or delivered yet. Ask Clawver why, then tell the customer.",
    "processing": "It is still being made. Ask Clawver about it, then tell the customer.",
    "shipped": "Look at its tracking. If the parcel is lost, agree on a refund or a new order with the customer.",
    "cancelled": "Have your agent refund it; the refund waits here for your yes. Or leave it, if you agreed on "
    "something else with the customer.",
}
"""What to do about an order that is stuck, by its status."""


@dataclass(frozen=True)
class StuckRow:
    """An order that somebody should look at, as the page shows it."""

    stuck: Stuck
    customer: str
    items: str
    tracking: str
    next_step: str

    @property
    def total(self) -> str:
        """What it comes to."""
        return display(self.stuck.total_in_cents, self.stuck.currency)


@dataclass(frozen=True)
class Looked:
    """What was made of the lists that the views share."""

    of: Answered[Found]
    day: datetime
    """The first moment of the day that it was made on."""
    last_days: LastDays
    holding: tuple[StuckRow, ...]
    """Orders that are stuck and hold a customer's money, those that are shown."""
    unpaid: tuple[StuckRow, ...]
    more_holding: int
    more_unpaid: int
    extent: str
    """How much is known of what Clawver doesn't list; nothing where it lists all."""

    @property
    def stuck(self) -> int:
        """How many orders need a look."""
        return len(self.holding) + self.more_holding


@dataclass(frozen=True)
class Needs:
    """What a store needs somebody for now, and its figures."""

    rows: Sequence[views.RefundRow]
    """The refunds that wait, the newest of them."""
    count: int
    """How many there are."""
    opened: Sequence[views.RefundRow]
    """The refunds that may or may not have been paid, some of them."""
    open_count: int
    hooks: Sequence[Change]
    """The changes of webhooks that wait, some of them."""
    hook_count: int
    hooks_problem: str
    """Why those aren't known; nothing where they are."""
    refused: Sequence[RefusedDeliveries]
    """The deliveries that were lost, by cause."""
    refused_problem: str
    looked: Looked | None
    """What was made of the lists; None while Clawver is asked for them for the first time."""

    @property
    def waits(self) -> bool:
        """Whether there is anything to decide or to find out about money."""
        return self.count + self.hook_count + self.open_count > 0

    @property
    def more(self) -> int:
        """How many there are of all this that are not among those."""
        shown = len(self.rows) + len(self.opened) + len(self.hooks)
        return self.count + self.open_count + self.hook_count - shown

    @property
    def parts(self) -> list[str]:
        """What needs somebody, in words, the most urgent first."""
        waiting, hooks = self.count, self.hook_count
        parts = [heading(waiting, hooks)] if waiting or hooks else []
        if self.open_count:
            parts.append(f"{many(self.open_count, 'refund')} may or may not have been paid")
        if stuck := self.looked.stuck if self.looked else 0:
            parts.append(f"{many(stuck, 'order')} {'needs' if stuck == 1 else 'need'} a look")
        return [*parts, *(["Events were refused"] if self.refused else [])]

    @property
    def heading(self) -> str:
        """The most urgent of it; or that there is nothing."""
        if self.parts:
            return self.parts[0]
        return "Nothing needs you" if self.is_known else "Nothing that is known needs you"

    @property
    def summary(self) -> str:
        """All of it, in sentences."""
        return f"{'. '.join(self.parts or [self.heading])}."

    @property
    def is_known(self) -> bool:
        """Whether all of it could be asked."""
        is_asked = self.looked is not None and self.looked.of.error is None
        return is_asked and not (self.hooks_problem or self.refused_problem)


class TodayViews:
    """The handler of the view.

    Args:
        services: What it works with.
        store: The store.
        shown: Makes the pages.
        orders: What was read of single orders.
        webhooks: What waits of webhooks.
        answers: What all views ask of the store.
    """

    def __init__(
        self,
        services: Services,
        store: Store,
        shown: Renderer,
        orders: Orders,
        webhooks: WebhookViews,
        answers: StoreAnswers,
    ) -> None:
        self._services, self._store, self._shown = services, store, shown
        self._orders, self._webhooks, self._answers = orders, webhooks, answers
        self._looked: Looked | None = None
        self._at_work = anyio.Lock()
        self._looking: asyncio.Task[Looked] | None = None

    @property
    def views(self) -> dict[str, Handler]:
        """What is shown where."""
        return {"/today": self._today}

    @property
    def forms(self) -> dict[str, Handler]:
        """Nothing is decided here."""
        return {}

    async def _today(self, _: Request, session: Session, __: dict[str, str]) -> Response:
        looked = await self._look()
        needs, lists = await self._needs(looked), looked.of
        return self._shown.page(
            "today",
            session,
            title=needs.heading,
            others=needs.parts[1:],
            lists=lists,
            refused_words=REFUSED,
            is_empty=lists.error is None and not (lists.value and lists.value.orders),
            is_read_only=self._services.settings.read_only,
            **vars(needs),
        )

    async def needs_soon(self) -> Needs:
        """What there is to show without waiting long for Clawver, which is asked all the same.

        Raises:
            ClawverError: The ledger cannot be read.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.wait({self._looking}, timeout=SOON_SECONDS)
        looked = self._looked
        with suppress(ClawverError):  # what waits is in the ledger, whatever comes of the lists
            looked = self._looking.result() if self._looking.done() else looked
        return await self._needs(looked)

    async def close(self) -> None:
        """End what still asks Clawver."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})

    async def _needs(self, looked: Looked | None) -> Needs:
        ledger = self._store.ledger
        waiting, opened = await ledger.waiting(), await ledger.all_open()
        hooks, hooks_problem = await self._webhooks.waiting()
        lists = looked.of.value if looked else None
        listed = {order.id: order for order in lists.orders} if lists else {}

        def row(wish: Wish) -> views.RefundRow:
            kept = self._orders.kept(wish.order_id)
            seen = kept if kept.order else Reading(listed.get(wish.order_id))
            return views.row_of(wish, seen, self._services.masking)

        refused, refused_problem = await self._refused()
        return Needs(
            rows=[row(wish) for wish in waiting[:MOST_WAITING]],
            count=len(waiting),
            opened=[row(wish) for wish in opened[:MOST_WAITING]],
            open_count=len(opened),
            hooks=hooks[:MOST_WAITING],
            hook_count=len(hooks),
            hooks_problem=hooks_problem,
            refused=refused,
            refused_problem=refused_problem,
            looked=looked,
        )

    async def _refused(self) -> tuple[tuple[RefusedDeliveries, ...], str]:
        """The deliveries that were lost, by cause; and why they aren't known, where they aren't."""
        receiver = self._store.inbox.receiver_status
        try:
            return (await to_thread.run_sync(receiver, self._services.now())).lost, ""
        except ClawverError as error:
            return (), error.happened

    async def _look(self) -> Looked:
        """What the lists come to, made once for each of them and each day."""
        lists = await self._answers.lists.get()
        calendar = self._services.settings.calendar
        day = calendar.begin_of(calendar.day_of(self._services.now()))
        async with self._at_work:
            kept = self._looked
            if kept is None or kept.of is not lists or kept.day != day:
                kept = self._looked = await self._made_of(lists, day)
            return kept

    async def _made_of(self, lists: Answered[Found], day: datetime) -> Looked:
        services, calendar = self._services, self._services.settings.calendar
        # While Clawver doesn't answer, the history knows each order as of when it was seen last.
        is_kept = lists.error is not None and services.settings.history
        found = NOT_LISTED if is_kept or lists.value is None else lists.value
        today = calendar.day_of(day)
        begin = calendar.begin_of(next_day(today, 1 - DAYS))
        earlier = calendar.begin_of(next_day(today, 1 - 2 * DAYS))
        seen = await within_patience(
            lambda: orders_looked_at(services, begin, (found, lists.error))
        )
        holding = [each for each in seen.stuck if each.holds_money]
        unpaid = [each for each in seen.stuck if not each.holds_money]
        orders = await self._orders_of([*holding[:MOST_STUCK], *unpaid[:MOST_UNPAID]], found)
        sums = await known_sums(services, Span(begin, None), "day", found)
        before = await known_sums(services, Span(earlier, begin), None, found)
        is_whole = lists.error is None and found.why_incomplete is None
        return Looked(
            lists,
            day,
            holding=self._rows(holding[:MOST_STUCK], orders),
            unpaid=self._rows(unpaid[:MOST_UNPAID], orders),
            more_holding=max(0, len(holding) - MOST_STUCK),
            more_unpaid=max(0, len(unpaid) - MOST_UNPAID),
            last_days=last_days(sums, before, seen.went_back, calendar, today),
            extent="" if is_whole else await self._extent(),
        )

    async def _extent(self) -> str:
        """How much is known of what Clawver doesn't list."""
        try:
            mirror = await self._services.history()
            if mirror is None:
                return "No order history is kept (CLAWVER_HISTORY is off), so it isn't known."
            extent = await to_thread.run_sync(mirror.extent)
        except ClawverError:
            return HISTORY_UNREADABLE
        return told(extent, self._services.settings.calendar)

    async def _orders_of(self, stuck: Sequence[Stuck], found: Found) -> dict[str, Order]:
        """Orders by their ids: as Clawver lists them, or as they were last seen."""
        orders = {order.id: order for order in found.orders}
        missing = [each.order_id for each in stuck if each.order_id not in orders]
        mirror = await self._services.history() if missing else None
        if mirror is not None:
            kept = await to_thread.run_sync(mirror.read, missing)
            orders |= {order_id: each.order for order_id, each in kept.items()}
        return orders

    def _rows(self, stuck: Sequence[Stuck], orders: dict[str, Order]) -> tuple[StuckRow, ...]:
        """Orders with what tells a person which they are."""
        masking = self._services.masking
        return tuple(
            StuckRow(
                each,
                masking.email(order.customer_email) or "",
                in_one_line(order),
                parcel(order, masking) if order.status == "shipped" else "",
                NEXT_STEPS.get(order.status, "") if each.holds_money else "",
            )
            for each in stuck
            if (order := orders.get(each.order_id)) is not None
        )


def many(count: int, name: str) -> str:
    """So many of something, in words."""
    return f"{count} {name}{'' if count == 1 else 's'}"
