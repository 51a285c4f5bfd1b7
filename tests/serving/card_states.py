"""Every state of the refund's card, one after the other, in a host in a real browser."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import anyio
from mcp_types import CallToolResult
from playwright.async_api import expect
from tests.serving.card_host import Host
from tests.web.chromium import HOSTILE

from clawver_sandbox.shop import Shop

Opens = Callable[..., AbstractAsyncContextManager[Host]]
Walk = Callable[[Opens, Shop, str], AsyncIterator[tuple[str, Host]]]
SHIRT = {"order_id": "ord_shirt", "amount_in_cents": 700, "reason": "One sleeve is torn"}
PARTLY = {"order_id": "ord_partly_refunded", "amount_in_cents": 500, "reason": "Smudged"}


async def asked(host: Host, wanted: dict[str, Any], **changed: Any) -> CallToolResult:
    return await host.client.call_tool("refund_order", wanted | changed)


async def waits(host: Host) -> None:
    """Wait until the card's buttons take a click."""
    await expect(host.card.locator("#yes")).to_be_enabled(timeout=10_000)


async def says(host: Host, text: str) -> None:
    await expect(host.card.locator("#told")).to_contain_text(text, timeout=20_000)


async def decided_here(opens: Opens, shop: Shop, theme: str) -> AsyncIterator[tuple[str, Host]]:
    """What a card shows whose click is enough."""

    async def show(given: dict[str, Any]) -> None:
        await host.show(await asked(host, given), theme=theme)
        await waits(host)

    async with opens() as host:
        await show(SHIRT | {"order_id": "ord_hostile", "reason": HOSTILE[:500]})
        yield "hostile", host
        await show(PARTLY)
        yield "warning", host
        await host.card.locator("#no").click()
        await says(host, "declined")
        yield "declined", host
        await show(SHIRT)
        yield "waiting", host
        host.let_go = anyio.Event()
        await host.card.locator("#yes").click()
        await says(host, "Sending")
        yield "sending", host
        host.let_go.set()
        await says(host, "✓")
        yield "refunded", host
        await show(_of(shop))
        host.loses = "decide_refund"
        await host.card.locator("#yes").click()
        await says(host, "got lost")
        yield "lost", host
        host.loses = "check_refund"
        await host.mount_again()
        await says(host, "can't be reached")
        yield "unreachable", host
        host.loses = ""
        await show(given := _of(shop))
        shop.refund(given["order_id"], 500, "Elsewhere")
        await host.card.locator("#yes").click()
        await says(host, "look again")
        await waits(host)
        yield "changed", host
        await show(_of(shop))
        shop.add_fault("drop_before", method="POST")
        await host.card.locator("#yes").click()
        await says(host, "It may have been paid: don't refund it again.")
        yield "unknown", host
        await show(_of(shop))
        host.time.forward = timedelta(hours=73)
        await host.mount_again()
        await says(host, "not approved in time")
        await expect(host.card.locator("#told")).not_to_contain_text("call refund_order")
        yield "expired", host


async def decided_on_the_page(
    opens: Opens, shop: Shop, theme: str
) -> AsyncIterator[tuple[str, Host]]:
    """What a card shows that has the link."""
    async with opens(refund_approval="pin") as host:
        result = await asked(host, _of(shop))
        await host.show(result, theme=theme)
        await says(host, "it waits for a person's approval.")
        yield "page", host
        await host.show(result, theme=theme, opens=False)
        await host.card.locator("#open").click()
        await says(host, "Your chat can't open it.")
        yield "page-not-opened", host
        await host.show(result, theme=theme, can=("serverTools",))
        await says(host, "To decide, open ")
        yield "page-address", host


async def decided_in_a_terminal(
    opens: Opens, shop: Shop, theme: str
) -> AsyncIterator[tuple[str, Host]]:
    """What a card shows where there is no page."""
    async with opens(refund_approval="console", page=None) as host:
        await host.show(await asked(host, _of(shop)), theme=theme)
        await says(host, "run in a terminal")
        yield "terminal", host


def _of(shop: Shop) -> dict[str, Any]:
    return SHIRT | {"order_id": shop.sell(total_in_cents=2499)["id"]}


WALKS: tuple[Walk, ...] = (decided_here, decided_on_the_page, decided_in_a_terminal)
