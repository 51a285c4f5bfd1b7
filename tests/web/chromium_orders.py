"""The views of orders and events in a real Chromium: each in the states that look different."""

from collections.abc import AsyncIterator
from typing import get_args

from playwright.async_api import Page
from tests.amending import amend
from tests.web.test_events import arrive, refuse
from tests.web.visitor import Room

from clawver_orders.webhooks.inbox import Cause


async def order_views(
    room: Room, tab: Page, home: str, hostile: str
) -> AsyncIterator[tuple[str, str]]:
    """The address of each view, by name.

    Args:
        room: The page.
        tab: A tab that has signed in.
        home: Where its session is.
        hostile: A text that no view may fall for.
    """
    room.passes(minutes=6)
    yield "orders", f"{home}/orders"
    yield "order", f"{home}/order/ord_shirt"
    yield "order-hostile", f"{home}/order/ord_hostile"
    amend(room.shop, "ord_mixed", status=hostile, paymentStatus=hostile, carrier=hostile)
    yield "order-odd", f"{home}/order/ord_mixed"
    await tab.goto(f"{home}/orders")
    await tab.get_by_label("Product").fill("x" * 200)
    await tab.get_by_role("button", name="Search").click()
    await tab.wait_for_url("**/orders/*")
    yield "orders-none", tab.url
    yield "events-never", f"{home}/events"
    arrive(room, *["order.created", hostile.replace(" ", "")[:90]] * 30)
    refuse(room, *get_args(Cause))
    yield "events", f"{home}/events"
    room.shop.add_fault("status_before", times=-1, status=403)
    room.passes(minutes=6)
    yield "orders-store-error", f"{home}/orders"
    yield "order-store-error", f"{home}/order/ord_shirt"
    room.shop.clear_faults()
