"""The page in a real Chromium: as the merchant meets it, and other servers and pages on their machine."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from playwright.async_api import Browser, Locator, Page, expect
from tests.web.chromium import (
    SCHEMES,
    approve,
    browser,
    heading,
    needs_chromium,
    review,
    sign_in,
    tab,
    views,
)
from tests.web.conftest import Opens
from tests.web.test_events import arrive, refuse
from tests.web.visitor import PIN, Room

from clawver_orders.caller import WAITS
from clawver_orders.web import events

__all__ = ["browser", "tab"]
pytestmark = [pytest.mark.slow, needs_chromium]
PICTURES = os.environ.get("BOARD_PICTURES")
"""A folder for pictures of what the tests see."""


async def test_a_link_leads_to_its_refund_and_one_click_sends_it_once(
    room: Room, tab: Page
) -> None:
    wish = await room.wanted()
    await sign_in(tab, room, f"/refund/{wish.refund_id}")
    await heading(tab, "Refund $7.00?")
    await tab.locator("button.money").dblclick()
    await heading(tab, "Refunded $7.00")

    assert room.sent() == [(wish.order_id, 700)]
    assert [each.grade for each in (await room.now(wish)).decisions] == ["console"]


async def test_the_button_ignores_its_first_second(room: Room, tab: Page) -> None:
    wish = await room.wanted()
    await sign_in(tab, room)
    await review(tab, wish)
    await tab.locator("button.money").click(force=True, no_wait_after=True)
    await tab.locator("button.money").press("Enter")
    assert room.sent() == []

    await approve(tab)
    await heading(tab, "Refunded $7.00")


async def test_the_pin_is_typed_for_this_refund(room: Room, tab: Page) -> None:
    wish = await room.wanted()
    await sign_in(tab, room)
    await review(tab, wish)
    await tab.locator("#pin").fill("example-473")
    await approve(tab)
    await expect(tab.locator("#problem")).to_contain_text("the PIN is wrong. 4 tries are left")
    assert room.sent() == []
    await tab.locator("#pin").fill(PIN)
    await approve(tab)
    await heading(tab, "Refunded $7.00")

    assert [each.grade for each in (await room.now(wish)).decisions] == ["pin"]


async def test_a_file_of_the_terminal_signs_in_once(
    room: Room, browser: Browser, tab: Page
) -> None:
    file = room.opens_itself()
    await tab.goto(file.as_uri())
    await tab.wait_for_url("**/s/**")
    await heading(tab, "Nothing waits for you")
    assert not file.exists()
    assert "code" not in tab.url


async def test_without_script_it_works_as_well(room: Room, browser: Browser) -> None:
    wish = await room.wanted()
    file = room.opens_itself()
    context = await browser.new_context(java_script_enabled=False)
    tab = await context.new_page()
    await tab.goto(file.as_uri())
    await tab.get_by_role("button").click()
    await heading(tab, "1 refund waits for you")
    await tab.get_by_role("link", name="Review").click()
    await approve(tab)
    await heading(tab, "Refunded $7.00")
    await context.close()

    assert room.sent() == [(wish.order_id, 700)]


async def test_less_is_approved_and_declined(room: Room, tab: Page) -> None:
    less, none = await room.wanted(1000), await room.wanted(900)
    await sign_in(tab, room)
    await review(tab, less)
    await tab.get_by_text("Approve less").click()
    await tab.get_by_label("Dollars, less than").fill("4.50")
    await tab.get_by_role("button", name="Refund that much").click()
    await heading(tab, "Refunded $4.50")
    await review(tab, none)
    await tab.get_by_role("button", name="Decline").click()
    await heading(tab, "Declined. No money moved.")

    assert room.sent() == [(less.order_id, 450)]


async def test_two_tabs_decide_once(room: Room, tab: Page) -> None:
    wish = await room.wanted()
    await sign_in(tab, room)
    await review(tab, wish)
    other = await tab.context.new_page()
    await other.goto(tab.url)
    await approve(tab)
    await heading(tab, "Refunded $7.00")
    await other.get_by_role("button", name="Decline").click()
    await expect(other.get_by_role("alert")).to_contain_text("This was decided before")
    await other.go_back()
    if await other.locator("button.money").count():
        await approve(other)
    await anyio.sleep(0.2)

    assert room.sent() == [(wish.order_id, 700)]


async def test_a_later_link_leads_into_the_session_and_a_stranger_out_of_it(
    room: Room, browser: Browser, tab: Page
) -> None:
    """What an agent is given carries nothing of the session, and still opens it for the merchant."""
    wish = await room.wanted()
    await sign_in(tab, room)
    await tab.goto(f"{room.address}/refund/{wish.refund_id}")
    await heading(tab, "Refund $7.00?")
    stranger = await browser.new_page()
    await stranger.goto(tab.url)
    await heading(stranger, "Sign in")
    await tab.get_by_role("button", name="Sign out").click()
    await heading(tab, "Sign in")
    await tab.goto(f"{room.address}/refund/{wish.refund_id}")
    await heading(tab, "Sign in")


async def test_what_changed_or_expired_is_shown_anew(room: Room, tab: Page) -> None:
    changed, expired = await room.wanted(), await room.wanted(600)
    await sign_in(tab, room)
    await review(tab, changed)
    room.shop.refund(changed.order_id, 500, "elsewhere")
    await approve(tab)
    await expect(tab.get_by_role("alert").first).to_contain_text("no longer current")
    await expect(tab.get_by_text("Already refunded on this order: $5.00.")).to_be_visible()
    assert room.sent() == [(changed.order_id, 500)]
    await approve(tab)
    await heading(tab, "Refunded $7.00")
    room.passes(hours=WAITS.total_seconds() / 3600)
    await sign_in(tab, room)
    await review(tab, expired)
    await expect(tab.get_by_text("Expired: nobody decided in time.")).to_be_visible()
    await tab.get_by_role("button", name="Read the order and ask again").click()
    await heading(tab, "Refund $6.00?")
    await approve(tab)
    await heading(tab, "Refunded $6.00")


# Other servers and other pages.


@asynccontextmanager
async def neighbour(page: bytes = b"hello") -> AsyncIterator[tuple[str, list[str]]]:
    """A server of another program on another port of this machine, and what it hears."""
    heard: list[str] = []
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's

    async def say(stream: SocketStream) -> None:
        async with stream:
            heard.append((await stream.receive()).decode())
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"
            await stream.send(head + b"Content-Length: %d\r\n\r\n" % len(page) + page)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, say)
        yield f"http://127.0.0.1:{port}", heard
        tasks.cancel_scope.cancel()


async def test_a_server_on_another_port_does_not_get_the_cookie(room: Room, tab: Page) -> None:
    wish = await room.wanted()
    await sign_in(tab, room, f"/refund/{wish.refund_id}")
    own = tab.url
    async with neighbour() as (address, heard):
        for path in ("/", f"/refund/{wish.refund_id}", "/s/", "/s/x/"):
            await tab.goto(f"{address}{path}")
        await tab.goto(own)
        await tab.evaluate("address => { location.href = address }", address)
        await tab.wait_for_url(f"{address}/")

    assert len([each for each in heard if each.startswith("GET")]) >= 5
    for each in heard:
        assert "clawver_board" not in each
        assert room.address not in each  # nor where the session is


async def test_a_page_on_another_port_cannot_read_or_decide(room: Room, tab: Page) -> None:
    wish = await room.wanted()
    await sign_in(tab, room, f"/refund/{wish.refund_id}")
    fields = await tab.locator("form[action$=approve]").first.evaluate(
        "form => [form.action, ...new FormData(form).entries()]"
    )
    action, *pairs = fields
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in pairs)
    page = (
        f'<form method="post" action="{action}">{inputs}</form>'
        f'<iframe src="{room.address}"></iframe>'
        "<script>window.kept = localStorage.length</script>"
    )
    async with neighbour(page.encode()) as (address, _):
        other = await tab.context.new_page()
        await other.goto(address)
        assert await other.evaluate("window.kept") == 0
        framed = await other.evaluate(
            "() => { try { return document.querySelector('iframe').contentDocument?.title ?? 'none' }"
            " catch { return 'none' } }"
        )
        assert framed == "none"
        read = await other.evaluate(
            "url => fetch(url, {credentials: 'include'}).then(r => r.text()).catch(() => 'refused')",
            tab.url,
        )
        assert read == "refused"
        # Even with the token in its hands: the browser says where the form comes from.
        await other.evaluate("document.forms[0].submit()")
        await heading(other, "Nothing was done")

    assert (room.sent(), (await room.now(wish)).status) == ([], "waiting")


# What it looks like.


async def test_no_view_is_wider_than_its_window(room: Room, tab: Page) -> None:
    async for name, address in views(room, tab):
        await tab.goto(address)
        for scheme in SCHEMES:
            await tab.emulate_media(color_scheme=scheme)
            for width in (320, 360, 768, 1280):
                await tab.set_viewport_size({"width": width, "height": 900})
                if PICTURES and width in {360, 1280}:
                    await tab.screenshot(
                        path=str(Path(PICTURES) / f"{name}-{width}-{scheme}.png"), full_page=True
                    )
                wide = await tab.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (name, width)
                assert await tab.title() != "owned"
                assert await tab.locator("button.money").count() <= 1
        await tab.set_viewport_size({"width": 1280, "height": 900})


async def test_a_list_of_hundreds_stays_on_its_pages(room: Room, tab: Page) -> None:
    sale = room.shop.sell(total_in_cents=100_000)["id"]
    for cents in range(1, 121):
        await room.wanted(cents, sale)
    await sign_in(tab, room)
    await heading(tab, "120 refunds wait for you")
    await tab.get_by_role("link", name="Older").click()
    await expect(tab.get_by_text("Page 2 of 3.")).to_be_visible()
    await tab.keyboard.press("Tab")
    await expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()


async def test_a_page_that_needs_the_pin_has_no_button_before_there_is_one(
    opens: Opens, tab: Page
) -> None:
    async with opens(has_pin=False) as room:
        file = room.opens_itself()
        await tab.goto(file.as_uri())
        await tab.wait_for_url("**/s/**")
        wish = await room.wanted()
        await review(tab, wish)
        assert await tab.locator("#pin").count() == 0
        await approve(tab)
        await heading(tab, "Refunded $7.00")
        await tab.goto("about:blank")  # or it loads from a page that has ended


async def test_new_events_are_told_and_nothing_moves_under_the_pointer(
    room: Room, tab: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "EVERY_SECONDS", 0.2)
    arrive(room, *["order.paid"] * 3)
    await sign_in(tab, room, "/events")
    await tab.set_viewport_size({"width": 360, "height": 900})
    row = tab.locator("tbody tr").first
    before = await row.bounding_box(), await row.inner_text()

    async def told(words: str) -> Locator:
        link = tab.get_by_role("link", name=words, exact=True)
        await expect(link).to_be_visible(timeout=20_000)
        assert (await row.bounding_box(), await row.inner_text()) == before
        return link

    await told("Look again")
    arrive(room, "order.created")
    await told("Show 1 new event")
    arrive(room, *["order.shipped"] * 120)
    await told("Show 99+ new events")
    refuse(room, "size")
    await (await told("Show 99+ new")).click()
    await expect(tab.locator("tbody").first.locator("tr")).to_have_count(50, timeout=20_000)
    before = await row.bounding_box(), await row.inner_text()
    refuse(room, "size")
    await told("Show 1 refused")
    await tab.context.clear_cookies()
    await told("Reload the page")
