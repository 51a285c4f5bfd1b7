"""Whether everybody can use the page: what axe finds in every view of it, in a real Chromium."""

import anyio
import pytest
from playwright.async_api import Page
from tests.clients.conftest import Install, with_node
from tests.web.chromium import (
    SCHEMES,
    WIDTHS,
    axe_of,
    browser,
    needs_chromium,
    serious,
    tab,
    views,
)
from tests.web.visitor import Room

__all__ = ["browser", "tab", "with_node"]
pytestmark = [pytest.mark.clients, needs_chromium]


async def test_axe_finds_nothing_serious(room: Room, tab: Page, with_node: Install) -> None:
    axe = await anyio.to_thread.run_sync(axe_of, with_node)
    found: list[object] = []
    async for name, address in views(room, tab):
        await tab.goto(address)
        await anyio.sleep(1.1)  # the button is dimmed in its first second
        for scheme in SCHEMES:
            await tab.emulate_media(color_scheme=scheme)
            for width in WIDTHS:
                await tab.set_viewport_size({"width": width, "height": 900})
                found += [(name, scheme, width, *each) for each in await serious(tab, axe)]
        await tab.set_viewport_size({"width": 1280, "height": 900})
    assert found == []
