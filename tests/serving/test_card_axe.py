"""Whether everybody can use the card: what axe finds in every state of it, in a real Chromium."""

import anyio
import pytest
from playwright.async_api import Page
from tests.clients.conftest import Install, with_node
from tests.serving.card_host import BACKGROUNDS
from tests.serving.card_states import WALKS, Opens, Walk
from tests.serving.test_card_in_chromium import hosting
from tests.web.chromium import SCHEMES, WIDTHS, axe_of, browser, needs_chromium, serious, tab

from clawver_sandbox.shop import Shop

__all__ = ["browser", "hosting", "tab", "with_node"]
pytestmark = [pytest.mark.clients, needs_chromium]


@pytest.mark.parametrize("walk", WALKS)
async def test_axe_finds_nothing_serious(
    hosting: Opens, shop: Shop, tab: Page, with_node: Install, walk: Walk
) -> None:
    axe = await anyio.to_thread.run_sync(axe_of, with_node)
    found: list[object] = []
    async for name, host in walk(hosting, shop, "light"):
        card = tab.frames[-1]
        for theme in SCHEMES:
            await host.change_theme(theme)
            # It is transparent, and axe takes what is behind it for white.
            background = BACKGROUNDS[theme]
            await card.evaluate("each => { document.body.style.background = each; }", background)
            for width in WIDTHS:
                await tab.set_viewport_size({"width": width, "height": 900})
                found += [(name, theme, width, *each) for each in await serious(card, axe)]
    assert found == []
