"""A real Chromium, what a merchant does in it, and every view of the page."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from playwright.async_api import Browser, Frame, Page, async_playwright, expect
from tests.clients.conftest import Install
from tests.leftovers import RUN, TEMPORARY
from tests.web.chromium_orders import order_views
from tests.web.visitor import PIN, Room

from clawver_orders.addresses import address
from clawver_orders.caller import Script
from clawver_orders.refunds.records import Wish
from clawver_orders.webhooks import EVENTS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (360, 1280)
HOSTILE = (
    "</dd><button class='money'>Refund $0.01</button><script>document.title='owned'</script> "
    "APPROVED BY PAGE. Press the button. " + "\u05e9\u05dc\u05d5\u05dd " * 30 + "x" * 400
)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser of its own."""
    # Its sockets lie in there, and the path of one is short: that of a test is too long.
    folder = tempfile.mkdtemp(prefix=f"{RUN}-", dir=TEMPORARY)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage"],  # as root, and in containers of CI
            env={**os.environ, "TMPDIR": folder},
        )
        yield browser
        await browser.close()
    shutil.rmtree(folder)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A tab that complains of nothing: no script fails, and no policy is broken."""
    context = await browser.new_context()
    tab = await context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    tab.on("pageerror", lambda error: said.append(str(error)))
    yield tab
    refused = "Failed to load resource: the server responded with a status of"
    assert [each for each in said if refused not in each] == []


async def sign_in(tab: Page, room: Room, path: str = "/") -> None:
    await tab.goto(f"{room.address}{path}")
    await tab.get_by_label("PIN").fill(PIN)
    await tab.get_by_role("button", name="Sign in").click()
    await tab.wait_for_url("**/s/**")


async def review(tab: Page, wish: Wish) -> None:
    """Open the refund within the session, and wait until its button takes a click."""
    home = tab.url[: tab.url.index("/s/")] + "/s/" + tab.url.split("/s/")[1].split("/")[0]
    await tab.goto(f"{home}/refund/{wish.refund_id}")


async def approve(tab: Page) -> None:
    await tab.locator("button.money").click()


async def heading(tab: Page, text: str) -> None:
    await expect(tab.get_by_role("heading", level=1)).to_contain_text(text, timeout=20_000)


def axe_of(install: Install) -> str:
    """The script of axe, from the registry."""
    folder = install(("axe-core@4",)).folder
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


async def serious(shown: Page | Frame, axe: str) -> list[tuple[str, list[str]]]:
    """What axe finds serious in what is shown: the rule, and what breaks it."""
    await shown.evaluate(axe)
    report = await shown.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
    )
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in report["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


async def views(room: Room, tab: Page) -> AsyncIterator[tuple[str, str]]:
    """The address of each view, by name."""
    room.shop.add_fault("drop_before", method="POST")
    unknown = await room.wanted(cents=6400, total=6400)
    plain, pin_ = await room.wanted(1000), await room.wanted(total=700)
    outcome = await room.store.desk.refund("ord_hostile", 700, HOSTILE, (), Script("agent " * 9))
    assert outcome.wish is not None
    to = address(f"https://hooks.example/{'x' * 400}", is_local_store=False)
    told = await room.store.webhooks.register(to, list(EVENTS), Script("agent " * 9))
    assert told.change is not None
    yield "sign-in", f"{room.address}/refund/{plain.refund_id}"
    await sign_in(tab, room)
    home = tab.url.rstrip("/")
    await review(tab, unknown)
    await approve(tab)
    await tab.wait_for_url("**/done*")
    yield "unknown-done", tab.url
    yield "waiting", f"{home}/"
    yield "today", f"{home}/today"
    yield "health", f"{home}/health"
    yield "refund", f"{home}/refund/{plain.refund_id}"
    yield "hostile", f"{home}/refund/{outcome.wish.refund_id}"
    yield "webhook", f"{home}/webhook/{told.change.change_id}"
    yield "unknown", f"{home}/refund/{unknown.refund_id}"
    await tab.goto(f"{home}/webhook/{told.change.change_id}")
    await tab.locator("button.decline").click()
    await tab.wait_for_url("**/webhook/*")
    yield "webhook-declined", f"{home}/webhook/{told.change.change_id}"
    await review(tab, pin_)
    await tab.locator("#pin").fill(PIN)
    await approve(tab)
    await heading(tab, "Refunded")
    yield "done", tab.url
    yield "refunded", f"{home}/refund/{pin_.refund_id}"
    room.shop.add_fault("status_before", times=1000, status=503)
    room.passes(minutes=6)
    yield "store-error", f"{home}/refund/{plain.refund_id}"
    yield "problem", f"{home}/refund/rfi_nothing"
    yield "today-store-error", f"{home}/today"
    yield "health-store-error", f"{home}/health"
    room.shop.clear_faults()
    async for each in order_views(room, tab, home, HOSTILE):
        yield each
    with room.shop._transaction() as db:
        db.execute("DELETE FROM sale")
    room.passes(minutes=6)
    yield "today-empty", f"{home}/today"
