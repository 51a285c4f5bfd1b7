"""Finding orders by what the API cannot filter, and saying honestly what was not seen.

`GET /orders` filters by status alone and has no cursor, so a search reads what one call can
give, and one call for each status where that is not everything.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

from clawver_orders.clawver.client import PAGE, Clawver
from clawver_orders.clawver.models import Order, OrderPage
from clawver_orders.orders.lifecycle import EARLY_STATUSES, STATUSES
from clawver_orders.time_limit import by_three, not_in_time, while_there_is_time

OUT_OF_TIME = "Clawver answers too slowly for all of it to be read now: repeat the call, or narrow it by status."
DETAILS = 20
"""The most orders that are opened because their row does not carry what a filter needs."""
_NULL_IF_NONE = ("shipping_address", "tracking_number")
"""What an order that is read by its id does not have if it does not tell it."""
ALL_STATUSES = (*STATUSES, *EARLY_STATUSES)


@dataclass(frozen=True)
class Found:
    """Orders, newest first, each once."""

    orders: tuple[Order, ...]
    scanned: int
    why_incomplete: str | None
    """None when nothing was missed."""
    seen: tuple[Order, ...] = ()
    """All that was read, whether it is wanted or not."""
    reach: datetime | None = None
    """All that was created after this time is among them; None where that is not certain of any."""
    has_all: bool = False
    """Whether the lists that were read hold every order that they are about."""


Recall = Callable[[list[str]], Awaitable[dict[str, Order]]]
"""Gives orders as they were read before, those that are known."""
Progress = Callable[[int, int], Awaitable[None]]
"""Told how many requests of how many are done."""


class _Steps:
    """Counts the requests of a search that needs several."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0
        self._total = 0

    def ahead(self, requests: int) -> None:
        """So many more are to come."""
        self._total += requests

    async def one_more(self) -> None:
        """One is done."""
        self._done += 1
        if self._progress is not None:
            await self._progress(self._done, self._total)


def is_whole(page: OrderPage) -> bool:
    """Whether a page certainly holds everything there was.

    A page that says so is believed, and so is one that is shorter than the store says that its pages
    are. Any other may have been cut, however short it is, unless it is empty.
    """
    if page.has_more is not None:
        return not page.has_more
    rows = len(page.orders) + page.unreadable
    return rows < (page.limit or 1)


def mailbox(email: str) -> str:
    """An address for comparing. Other letters than those of ASCII are not folded: that finds other mailboxes."""
    return "".join(c.lower() if c.isascii() else c for c in email)


_ALL = datetime.min.replace(tzinfo=UTC)


def _reach(page: OrderPage) -> datetime | None:
    """The time after which a page has all that was created; None where that is not certain.

    A page that is cut has to come newest first. One old order among newer ones shows nothing, and
    neither does a page that is in no order.
    """
    if is_whole(page):
        return _ALL
    times = [order.created_at for order in page.orders]
    told = [each for each in times if each is not None]
    if not told or len(told) < len(times):
        return None
    return told[-1] if all(one >= other for one, other in pairwise(told)) else None


def _reaches_back(reach: datetime | None, created_after: datetime | None) -> bool:
    """Whether all that was created since then is there."""
    if reach is None or reach == _ALL:
        return reach is not None
    return created_after is not None and reach < created_after


class _Lists:
    """What the lists of a store give, as far as they were read."""

    def __init__(self, clawver: Clawver, created_after: datetime | None) -> None:
        self._clawver = clawver
        self._created_after = created_after
        self.seen: dict[str, Order] = {}
        self._unreadable: dict[str | None, int] = {}
        self.reaches: dict[str | None, datetime | None] = {}
        """How far back the list of each status reaches, and that of all."""

    async def read(self, status: str | None, steps: _Steps | None = None) -> None:
        """Read the list of a status, or of all."""
        if steps:
            await steps.one_more()
        page = await self._clawver.page_of_orders(status)
        self._unreadable[status] = page.unreadable
        self.seen.update((order.id, order) for order in page.orders)
        self.reaches[status] = _reach(page)

    @property
    def unreadable(self) -> int:
        """How many orders cannot be read. One that is in the list of all is in that of its status too."""
        of_all = self._unreadable.get(None, 0)
        return max(of_all, sum(self._unreadable.values()) - of_all)

    def is_enough(self, status: str | None) -> bool:
        """Whether the list of a status has all that is looked for."""
        return _reaches_back(self.reaches.get(status), self._created_after)

    def cut(self, status: str | None) -> tuple[list[str], datetime | None]:
        """Of which orders some may be missing, and how far back there are all."""
        if self.is_enough(status) or status:
            return [] if self.is_enough(status) else [str(status)], self.reaches[status]
        cut = [each for each in ALL_STATUSES if not self.is_enough(each)]
        if any(order.status not in ALL_STATUSES for order in self.seen.values()):
            return [*cut, "in a status that this version does not know"], None
        return cut, _together([self.reaches.get(each) for each in ALL_STATUSES])


async def search(
    clawver: Clawver,
    *,
    status: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    needs: tuple[str, ...] = (),
    matches: Callable[[Order], bool] | None = None,
    recall: Recall | None = None,
    progress: Progress | None = None,
) -> Found:
    """Read as many orders as the API and the time of the call can give, and keep those that match.

    Args:
        clawver: The store.
        status: Only this status; the API filters it.
        created_after: Only orders created at or after this time.
        created_before: Only orders created before this time.
        needs: Fields that are looked at; rows without them are opened, up to a bound.
        matches: Whether an order is wanted, by what it tells: what it does not tell matches nothing.
            All are wanted when it is left out, also those of which something stays unknown.
        recall: Gives what was read before of orders whose rows lack a field, where no more are opened.
        progress: Told how many of how many requests are done, where there are several.

    Raises:
        UnreachableError: Not even one list was read in time.
        ClawverError: The store cannot be read now.
    """
    is_span = created_after is not None or created_before is not None
    steps = _Steps(progress)
    lists = _Lists(clawver, created_after)
    opened: dict[str, Order] = {}
    with while_there_is_time() as time:
        await lists.read(status)
        if not lists.is_enough(status) and not status:
            steps.ahead(len(ALL_STATUSES))
            await by_three(partial(lists.read, each, steps) for each in ALL_STATUSES)
        lacking = [
            each
            for each in _in_time(lists.seen, created_after, created_before)
            if not tells_all(each, needs)
        ]
        steps.ahead(min(DETAILS, len(lacking)))
        await by_three(
            partial(_open, clawver, each.id, opened, steps) for each in lacking[:DETAILS]
        )
    if not lists.reaches:
        raise not_in_time()
    seen, unreadable = lists.seen, lists.unreadable
    cut, reach = lists.cut(status)
    in_time = [opened.get(each.id, each) for each in _in_time(seen, created_after, created_before)]
    undated = sum(order.created_at is None for order in seen.values()) if is_span else 0
    ready, unknown = await _with_fields(in_time, needs, recall)
    wanted = [o for o in (*ready, *unknown) if matches is None or matches(o)]
    if matches is not None:
        unknown = [o for o in unknown if not matches(o)]
    newest_first = sorted(wanted, key=lambda order: order.age_order, reverse=True)
    why = _why(cut, unreadable, undated, len(unknown), needs)
    if time.cancelled_caught:
        why = f"{OUT_OF_TIME} {why}" if why else OUT_OF_TIME
    is_certain = not unreadable and all(each.created_at is not None for each in seen.values())
    return Found(
        tuple(newest_first),
        len(seen),
        why,
        tuple(seen.values()),
        reach if is_certain else None,
        has_all=not cut and not unreadable,
    )


def _together(reaches: list[datetime | None]) -> datetime | None:
    """How far back all of some lists reach."""
    told = [each for each in reaches if each is not None]
    return max(told) if len(told) == len(reaches) else None


def _in_time(
    seen: dict[str, Order], after: datetime | None, before: datetime | None
) -> list[Order]:
    """Those of a span, newest first."""
    found = (each for each in seen.values() if is_within(each, after, before))
    return sorted(found, key=lambda order: order.age_order, reverse=True)


def is_within(order: Order, after: datetime | None, before: datetime | None) -> bool:
    """Whether it was created in a span. One that does not tell its time is in none."""
    if after is None and before is None:
        return True
    created = order.created_at
    return (
        created is not None
        and (after is None or created >= after)
        and (before is None or created < before)
    )


def tells(order: Order, field: str) -> bool:
    """Whether an order says what a field holds. No refunds on a refunded order say nothing."""
    if field == "refunds" and order.has_unclear_refunds:
        return False
    if field == "refunds" and order.payment_status in {"partially_refunded", "refunded"}:
        return bool(order.refunds)
    unread = {"items": order.items is None, "payment_status": not order.payment_status}
    return field in order.model_fields_set and not unread.get(field, False)


def tells_all(order: Order, needs: tuple[str, ...]) -> bool:
    """Whether an order says what all of these fields hold."""
    return all(tells(order, field) for field in needs)


async def _open(clawver: Clawver, order_id: str, opened: dict[str, Order], steps: _Steps) -> None:
    await steps.one_more()
    order = await clawver.order(order_id)
    nowhere = {name: None for name in _NULL_IF_NONE if not tells(order, name)}
    opened[order_id] = order.model_copy(update=nowhere)


async def _with_fields(
    orders: list[Order], needs: tuple[str, ...], recall: Recall | None
) -> tuple[list[Order], list[Order]]:
    """Those that say what is looked at, now or when they were read before; those that do not come second."""
    ready = [order for order in orders if tells_all(order, needs)]
    unknown = [order for order in orders if not tells_all(order, needs)]
    if recall is not None and unknown:
        known = await recall([order.id for order in unknown])
        ready += [each for each in known.values() if tells_all(each, needs)]
        there = {order.id for order in ready}
        unknown = [order for order in unknown if order.id not in there]
    return ready, unknown


def _why(
    cut: list[str], unreadable: int, undated: int, unknown: int, needs: tuple[str, ...]
) -> str | None:
    reasons = []
    if cut:
        reasons.append(
            f"Clawver gives at most {PAGE} orders per call and has no cursor, so older orders that "
            f"are {', '.join(cut)} may be missing; created_after with a later day narrows it."
        )
    if unreadable:
        reasons.append(f"{unreadable} orders could not be read and are left out.")
    if undated:
        reasons.append(
            f"{undated} orders do not tell when they were created, so a filter by day leaves them out."
        )
    if unknown:
        reasons.append(
            f"{unknown} orders do not tell their {' or '.join(needs)}, which filters and sums "
            "would need; narrow by status or day."
        )
    return " ".join(reasons) or None
