"""The page of all stores in a real Chromium."""

import anyio
import pytest
from playwright.async_api import Page
from tests.clients.conftest import Install, with_node
from tests.test_store_file import write
from tests.test_stores import at
from tests.web.chromium import (
    SCHEMES,
    WIDTHS,
    approve,
    axe_of,
    browser,
    heading,
    needs_chromium,
    serious,
    tab,
)
from tests.web.test_all_stores import AllRoom, room, wanted
from tests.web.visitor import PIN

from clawver_orders.web import codes

__all__ = ["at", "browser", "room", "tab", "with_node", "write"]
pytestmark = needs_chromium


async def opened_by_a_terminal(room: AllRoom, tab: Page) -> None:
    file = codes.hand_over(room.up.folder, room.up.address, room.code())
    await tab.goto(file.as_uri())
    await tab.wait_for_url("**/all/s/**")


@pytest.mark.slow
async def test_a_link_of_an_agent_leads_into_the_store_without_a_second_sign_in(
    room: AllRoom, tab: Page
) -> None:
    refund_id = await wanted(room.settings("photos"), 700)
    await opened_by_a_terminal(room, tab)
    await heading(tab, "1 refund waits for you")
    await tab.goto(f"{room.root}/photos/refund/{refund_id}")
    await heading(tab, "Refund $7.00?")
    await approve(tab)
    await heading(tab, "Refunded $7.00")
    await tab.get_by_role("link", name="All stores").click()
    await tab.wait_for_url("**/all/s/**")
    await heading(tab, "Nothing waits for you")


@pytest.mark.slow
async def test_a_person_signs_in_and_out_of_all(room: AllRoom, tab: Page) -> None:
    await tab.goto(room.up.address.removesuffix("/all"))
    await tab.get_by_label("Store").fill("prints")
    await tab.get_by_label("PIN").fill(PIN)
    await tab.get_by_role("button", name="Sign in").click()
    await heading(tab, "Nothing waits for you")
    await tab.get_by_text("You are signed in to 1 of 2 stores.").wait_for()
    await tab.get_by_role("button", name="Sign out").click()
    await heading(tab, "Sign in")
    await tab.goto(room.up.address)
    await heading(tab, "Sign in")
    await tab.goto(f"{room.root}/prints")
    await heading(tab, "Sign in")


@pytest.mark.clients
async def test_axe_finds_nothing_serious(room: AllRoom, tab: Page, with_node: Install) -> None:
    axe = await anyio.to_thread.run_sync(axe_of, with_node)
    await wanted(room.settings("photos"), 700)
    found: list[object] = []

    async def look(name: str) -> None:
        for scheme in SCHEMES:
            await tab.emulate_media(color_scheme=scheme)
            for width in WIDTHS:
                await tab.set_viewport_size({"width": width, "height": 900})
                found.extend((name, scheme, width, *each) for each in await serious(tab, axe))

    await tab.goto(room.up.address)
    await look("sign-in")
    await tab.get_by_label("Store").fill("prints")
    await tab.get_by_label("PIN").fill("example-0")
    await tab.get_by_role("button", name="Sign in").click()
    await tab.locator("#problem").wait_for()
    await look("refused")
    await tab.get_by_label("Store").fill("prints")
    await tab.get_by_label("PIN").fill(PIN)
    await tab.get_by_role("button", name="Sign in").click()
    await tab.wait_for_url("**/all/s/**")
    await look("one of two")
    await opened_by_a_terminal(room, tab)
    await look("all")
    assert found == []
