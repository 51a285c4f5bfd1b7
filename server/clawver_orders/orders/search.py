"""Finding orders by what the API cannot filter, and saying honestly what was not seen.

`GET /orders` filters by status alone and has no cursor, so a search reads what one call can
give, and one call for each status where that is not everything.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order, OrderPage
from clawver_orders.orders.lifecycle import EARLY_STATUSES, STATUSES

PAGE = 100
"""The most orders that one call asks for; Clawver documents no maximum."""
DETAILS = 20
"""The most orders that are opened because their row does not carry what a filter needs."""
ALL_STATUSES = (*STATUSES, *EARLY_STATUSES)
_USUAL_PAGE_SIZES = frozenset({10, 20, 25, 30, 40, 50})


@dataclass(frozen=True)
class Found:
    """Orders, newest first, each once."""

    orders: tuple[Order, ...]
    scanned: int
    why_incomplete: str | None
    """None when nothing was missed."""


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


def is_whole(page: OrderPage, asked: int) -> bool:
    """Whether a page holds everything there was.

    A page that says so is believed. One that does not, and is full or as long as a usual
    page, may have been cut.
    """
    if page.has_more is not None:
        return not page.has_more
    rows = len(page.orders) + page.unreadable
    return rows < asked and rows not in _USUAL_PAGE_SIZES


async def search(
    clawver: Clawver,
    *,
    status: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    needs: tuple[str, ...] = (),
    matches: Callable[[Order], bool] | None = None,
    progress: Progress | None = None,
) -> Found:
    """Read as many orders as the API can give and keep those that match.

    Args:
        clawver: The store.
        status: Only this status; the API filters it.
        created_after: Only orders created at or after this time.
        created_before: Only orders created before this time.
        needs: Fields that are looked at; rows without them are opened, up to a bound.
        matches: Whether an order is wanted. All are when it is left out, also those of which
            something stays unknown.
        progress: Told how many of how many requests are done, where there are several.
    """
    is_span = created_after is not None or created_before is not None
    steps = _Steps(progress)
    seen: dict[str, Order] = {}
    cut: list[str] = []
    unreadable = 0

    async def read(one_status: str | None) -> bool:
        nonlocal unreadable
        page = await clawver.orders(status=one_status, limit=PAGE)
        unreadable += page.unreadable
        seen.update((order.id, order) for order in page.orders)
        # Newest first: a page that reaches back far enough has all that can match.
        reached = created_after is not None and any(
            order.created_at is not None and order.created_at < created_after
            for order in page.orders
        )
        return reached or is_whole(page, PAGE)

    if not await read(status):
        cut = [status] if status else []
        if not status:
            steps.ahead(len(ALL_STATUSES))
            for each in ALL_STATUSES:
                await steps.one_more()
                if not await read(each):
                    cut.append(each)
        if any(order.status not in ALL_STATUSES for order in seen.values()):
            cut.append("in a status that this version does not know")
    in_time = [each for each in seen.values() if _is_within(each, created_after, created_before)]
    undated = sum(order.created_at is None for order in seen.values()) if is_span else 0
    ready, unknown = await _with_fields(clawver, in_time, needs, steps)
    wanted = [*ready, *unknown] if matches is None else [o for o in ready if matches(o)]
    newest_first = sorted(wanted, key=lambda order: order.age_order, reverse=True)
    why = _why(cut, unreadable, undated, len(unknown), needs)
    return Found(tuple(newest_first), len(seen), why)


def _is_within(order: Order, after: datetime | None, before: datetime | None) -> bool:
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


async def _with_fields(
    clawver: Clawver, orders: list[Order], needs: tuple[str, ...], steps: _Steps
) -> tuple[list[Order], list[Order]]:
    """Open rows that lack a field, up to a bound; those that still lack it come second."""
    ready: list[Order] = []
    unknown: list[Order] = []
    opened = 0
    lacking = sum(not all(tells(row, field) for field in needs) for row in orders)
    steps.ahead(min(DETAILS, lacking))
    for row in sorted(orders, key=lambda order: order.age_order, reverse=True):
        order = row
        if not all(tells(row, field) for field in needs) and opened < DETAILS:
            opened += 1
            await steps.one_more()
            order = await clawver.order(row.id)
        (ready if all(tells(order, field) for field in needs) else unknown).append(order)
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
