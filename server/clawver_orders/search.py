"""Finding orders by what the API cannot filter, and saying honestly what was not seen.

`GET /orders` filters by status alone and has no cursor, so a search reads what one call can
give, and one call for each status where that is not everything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from clawver_orders.client import Clawver
from clawver_orders.lifecycle import STATUSES
from clawver_orders.models import Order, OrderPage

PAGE = 100
"""The most orders that one call asks for; Clawver documents no maximum."""
DETAILS = 20
"""The most orders that are opened because their row does not carry what a filter needs."""
_USUAL_PAGE_SIZES = frozenset({10, 20, 25, 30, 40, 50})


@dataclass(frozen=True)
class Found:
    """Orders, newest first, each once."""

    orders: tuple[Order, ...]
    scanned: int
    why_incomplete: str | None
    """None when nothing was missed."""


def is_whole(page: OrderPage, asked: int) -> bool:
    """Whether a page holds everything there was.

    A page that says so is believed. One that does not, and is full or as long as a usual
    page, may have been cut.
    """
    if page.has_more is not None:
        return not page.has_more
    return len(page.orders) < asked and len(page.orders) not in _USUAL_PAGE_SIZES


async def search(
    clawver: Clawver,
    *,
    status: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    needs: tuple[str, ...] = (),
    matches: Callable[[Order], bool] = lambda _: True,
) -> Found:
    """Read as many orders as the API can give and keep those that match.

    Args:
        clawver: The store.
        status: Only this status; the API filters it.
        created_after: Only orders created at or after this time.
        created_before: Only orders created before this time.
        needs: Fields that `matches` looks at; rows without them are opened, up to a bound.
        matches: Whether an order is wanted.
    """
    seen: dict[str, Order] = {}
    cut: list[str] = []

    async def read(one_status: str | None) -> bool:
        page = await clawver.orders(status=one_status, limit=PAGE)
        seen.update((order.id, order) for order in page.orders)
        # Newest first: a page that reaches back far enough has all that can match.
        reached = created_after is not None and any(
            o.created_at < created_after for o in page.orders
        )
        return reached or is_whole(page, PAGE)

    if not await read(status):
        cut = [status] if status else [each for each in STATUSES if not await read(each)]
    in_time = [
        order
        for order in seen.values()
        if (created_after is None or order.created_at >= created_after)
        and (created_before is None or order.created_at < created_before)
    ]
    ready, unread = await _with_fields(clawver, in_time, needs)
    found = sorted(
        (o for o in ready if matches(o)), key=lambda o: (o.created_at, o.id), reverse=True
    )
    return Found(tuple(found), len(seen), _why(cut, unread))


async def _with_fields(
    clawver: Clawver, orders: list[Order], needs: tuple[str, ...]
) -> tuple[list[Order], int]:
    """Open rows that lack a field, and count those for which that would have been too many."""
    ready, opened, unread = [], 0, 0
    for order in sorted(orders, key=lambda o: o.created_at, reverse=True):
        if all(field in order.model_fields_set for field in needs):
            ready.append(order)
        elif opened < DETAILS:
            opened += 1
            ready.append(await clawver.order(order.id))
        else:
            unread += 1
    return ready, unread


def _why(cut: list[str], unread: int) -> str | None:
    reasons = []
    if cut:
        reasons.append(
            f"Clawver gives at most {PAGE} orders per call and has no cursor, so older orders that "
            f"are {', '.join(cut)} may be missing; created_after with a later day narrows it."
        )
    if unread:
        reasons.append(
            f"{unread} rows did not carry what the filter needs and were not opened; narrow by "
            "status or day."
        )
    return " ".join(reasons) or None
