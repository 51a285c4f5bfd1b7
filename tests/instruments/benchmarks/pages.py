"""What the page takes to answer, over few refunds and events and over many."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from tests.instruments.benchmarks.growth import REFUND_ID
from tests.instruments.benchmarks.ratios import compare
from tests.web.visitor import PIN, Visitor

from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.web.starting import running


def pages(few: Settings, many: Settings, rounds: int) -> None:
    """Print how long the views take over `many`, and over `few`.

    Args:
        few: The settings of a store with few refunds and events.
        many: Those of one with many.
        rounds: How often each is opened.
    """
    with asyncio.Runner() as loop:
        stack = AsyncExitStack()
        try:
            small, large = (loop.run(_visiting(stack, each)) for each in (few, many))
            for path in ("/", f"/refund/{REFUND_ID}"):
                compare(
                    f"page {path[:7]}", _opens(loop, large, path), _opens(loop, small, path), rounds
                )
        finally:
            loop.run(stack.aclose())


def _opens(loop: asyncio.Runner, visitor: Visitor, path: str) -> Callable[[], object]:
    return partial(lambda: loop.run(_seen(visitor, path)))


async def _seen(visitor: Visitor, path: str) -> None:
    text = await visitor.go(path)
    assert path == "/" or REFUND_ID in text, text


async def _visiting(stack: AsyncExitStack, settings: Settings) -> Visitor:
    """A page that is up, and somebody who has signed in there."""
    services = await stack.enter_async_context(opened(settings))
    (await services.store()).pin.set(PIN, None)
    page = await stack.enter_async_context(running(services, 0))
    visitor = Visitor(page.address)
    stack.push_async_callback(visitor.http.aclose)
    await visitor.sign_in()
    return visitor
