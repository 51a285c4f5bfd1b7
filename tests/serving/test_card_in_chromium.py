"""The refund's card in a real Chromium, within a small host of our own that speaks the documented messages."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, expect
from tests.conftest import Configure
from tests.serving.card_host import Host, RealTime
from tests.serving.card_states import WALKS, Opens, Walk, asked, says, waits
from tests.serving.test_card import PAGE, a_page, chat
from tests.tools.test_refunds import given_back, posts
from tests.tools.test_tools import call
from tests.web.chromium import HOSTILE, SCHEMES, browser, needs_chromium, tab

from clawver_sandbox.shop import Shop

__all__ = ["browser", "tab"]
pytestmark = [pytest.mark.slow, needs_chromium]
PICTURES = os.environ.get("BOARD_PICTURES")
"""A folder for pictures of what the tests see."""


@pytest.fixture
def wanted(shop: Shop) -> dict[str, Any]:
    sale = shop.sell(total_in_cents=2499)["id"]
    return {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}


@pytest.fixture
def hosting(configure: Configure, tab: Page) -> Opens:
    """A host in the tab, with settings of the test's choice."""

    @asynccontextmanager
    async def up(**changed: Any) -> AsyncIterator[Host]:
        page = changed.pop("page", a_page)
        settings = configure(**{"refund_approval": "chat"} | changed)
        real: Any = RealTime()
        async with chat(settings, time=real, page=page) as client:
            host = Host(tab, client, real)
            await host.listen()
            yield host

    return up


async def has_no_buttons(host: Host) -> None:
    await expect(host.card.locator("#decide")).to_be_hidden()


async def test_one_click_is_one_refund(hosting: Opens, shop: Shop, wanted: dict[str, Any]) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted))
        await waits(host)
        await expect(host.card.get_by_role("heading", level=1)).to_have_text(
            "Refund $7.00of $24.99"
        )
        await host.card.locator("#yes").dblclick()
        await says(host, "✓ $7.00 was refunded")
        await has_no_buttons(host)
        answer = await call(host.client, "check_refund", order_id=wanted["order_id"])

    assert [each["name"] for each in host.calls] == ["check_refund", "decide_refund"]
    assert answer["decided_by"] == "person by card (chat)"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_the_other_button_declines(
    hosting: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted))
        await waits(host)
        await host.card.locator("#no").click()
        await says(host, "a person declined the refund of $7.00")
        await has_no_buttons(host)

    assert posts(shop) == []


async def test_its_buttons_ignore_their_first_second(
    hosting: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted))
        yes = host.card.locator("#yes")
        await yes.wait_for(state="visible")
        await yes.evaluate("each => { each.click(); each.focus(); }")
        await host.tab.keyboard.press("Enter")
        assert [each["name"] for each in host.calls] == ["check_refund"]
        await waits(host)

    assert posts(shop) == []


async def test_a_card_that_is_drawn_again_asks_the_server(
    hosting: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted))
        await waits(host)
        await host.mount_again()
        await waits(host)
        await host.card.locator("#yes").click()
        await says(host, "✓ $7.00 was refunded")
        await host.mount_again()
        await says(host, "✓ $7.00 was refunded")
        await has_no_buttons(host)
        host.loses = "check_refund"
        await host.mount_again()
        await says(host, "can't be reached from this card")
        await has_no_buttons(host)

    assert [each["name"] for each in host.calls if each["name"] == "decide_refund"] == ["decide_refund"]  # fmt: skip
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_the_click_on_an_older_card_is_refused_and_the_next_one_counts(
    hosting: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        result = await asked(host, wanted)
        await host.show(result)
        await waits(host)
        refund_id = (result.structured_content or {})["refund_id"]
        await call(host.client, "check_refund", refund_id=refund_id)
        await host.card.locator("#yes").click()
        await says(
            host, "Your click did not count: look again. No money was moved: it waits for you."
        )
        assert posts(shop) == []
        await waits(host)
        await host.card.locator("#yes").click()
        await says(host, "✓ $7.00 was refunded")

    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_payment_that_changed_meanwhile_is_shown_before_another_click(
    hosting: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted))
        await waits(host)
        shop.refund(wanted["order_id"], 500, "Elsewhere")
        await host.card.locator("#yes").click()
        await says(host, "Your click did not count: look again.")
        await expect(host.card.locator(".warn").nth(1)).to_have_text("Refunded before: $5.00.")
        await waits(host)

    assert given_back(shop, wanted["order_id"]) == [500]


async def test_an_answer_that_got_lost_is_looked_up(
    hosting: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted))
        await waits(host)
        host.loses = "decide_refund"
        await host.card.locator("#yes").click()
        await says(host, "The answer to your click got lost")
        await has_no_buttons(host)
        await host.card.locator("#again").click()
        await says(host, "✓ $7.00 was refunded")
        await expect(host.card.locator("#again")).to_be_hidden()

    assert given_back(shop, wanted["order_id"]) == [700]


@pytest.mark.parametrize(
    ("needed", "why"), [("console", "You sign in there."), ("pin", "Never type it here.")]
)
async def test_above_chat_it_has_the_link_instead_of_buttons(
    hosting: Opens, wanted: dict[str, Any], needed: str, why: str
) -> None:
    async with hosting(refund_approval=needed) as host:
        result = await asked(host, wanted)
        url = f"{PAGE}/refund/{(result.structured_content or {})['refund_id']}"
        await host.show(result)
        await says(host, "No money was moved: it waits for a person's approval.")
        await has_no_buttons(host)
        await expect(host.card.locator("#open")).to_contain_text(why)
        await host.card.locator("#open").click()
        assert [each["params"] for each in await host.heard("ui/open-link")] == [{"url": url}]
        await host.show(result, opens=False)
        await host.card.locator("#open").click()
        await says(host, f"Your chat can't open it. Open it yourself: {url}")
        await host.show(result, can=("serverTools",))
        await says(host, f"To decide, open {url}.")
        await expect(host.card.locator("#open")).to_be_hidden()


async def test_where_no_click_can_count_it_names_the_terminal(
    hosting: Opens, wanted: dict[str, Any]
) -> None:
    async with hosting(refund_limit_in_cents=1000) as host:
        result = await asked(host, wanted)
        await host.show(result, can=())
        await says(host, "$7.00 on ")
        await has_no_buttons(host)
        await expect(host.card.locator("#again")).to_be_hidden()
    assert host.calls == []


async def test_texts_from_outside_stay_texts(hosting: Opens, shop: Shop) -> None:
    async with hosting() as host:
        given = {"order_id": "ord_hostile", "amount_in_cents": 700, "reason": HOSTILE[:500]}
        await host.show(await asked(host, given))
        await waits(host)
        html = host.card.locator("html")
        found = await html.evaluate(
            """html => ({
                title: document.title, scripts: document.scripts.length, facts: document.querySelectorAll("dt").length,
                buttons: [...document.querySelectorAll("button")].filter(each => each.offsetParent).map(each => each.textContent),
                scrolls: [html, ...document.querySelectorAll("*")].filter(each => each !== html && getComputedStyle(each).overflowY === "auto").length,
                wide: html.scrollWidth - html.clientWidth, high: html.scrollHeight - html.clientHeight,
            })"""
        )

    assert found == {
        "title": "Refund",
        "scripts": 1,
        "facts": 5,
        "buttons": ["DeclineNo money moves", "Refund $7.00Can't be undone"],
        "scrolls": 0,
        "wide": 0,
        "high": 0,
    }


async def test_without_a_handshake_it_stays_invisible(
    hosting: Opens, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted), shakes=False)
        await anyio.sleep(1)
        await expect(host.card.locator("#card")).to_be_hidden()
        said = await host.tab.evaluate("heard.map(each => each.method)")

    assert said == ["ui/initialize"]
    assert host.calls == []


async def test_an_answer_about_no_refund_draws_nothing(hosting: Opens) -> None:
    async with hosting() as host:
        given = {"order_id": "ord_nothing", "amount_in_cents": 700, "reason": "Torn"}
        await host.show(await asked(host, given))
        await anyio.sleep(1)
        await expect(host.card.locator("#card")).to_be_hidden()


async def test_it_answers_the_host_and_nobody_else(hosting: Opens, wanted: dict[str, Any]) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted))
        await waits(host)
        for number, method in enumerate(("ping", "ui/resource-teardown", "ui/no-such"), 90):
            await host.tab.evaluate("([id, method]) => say({ id, method })", [number, method])
        await host.change_theme("dark")
        await expect(host.card.locator("html")).to_have_attribute("data-theme", "dark")
        for theme in ("no-such", None):
            await host.change_theme(theme)
        forged = {"jsonrpc": "2.0", "method": "ui/notifications/tool-result", "params": {}}
        await host.card.locator("html").evaluate("(_, forged) => window.postMessage(forged, '*')", forged)  # fmt: skip
        answers = await host.tab.evaluate("heard.filter(each => each.id >= 90)")
        sizes = await host.heard("ui/notifications/size-changed")
        high = await host.card.locator("#card").evaluate("each => each.getBoundingClientRect().height")  # fmt: skip
        background = await host.card.locator("body").evaluate("each => getComputedStyle(each).backgroundColor")  # fmt: skip
        await expect(host.card.locator("html")).to_have_attribute("data-theme", "dark")

    assert [each.get("result", each.get("error")) for each in answers] == [
        {}, {}, {"code": -32601, "message": "Method not found"},
    ]  # fmt: skip
    assert 0 <= sizes[-1]["params"]["height"] - high < 1
    assert background == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("theme", SCHEMES if PICTURES else SCHEMES[:1])  # no theme moves anything
@pytest.mark.parametrize("walk", WALKS)
async def test_it_fits_into_360_pixels_in_every_state(
    hosting: Opens, shop: Shop, tab: Page, walk: Walk, theme: str
) -> None:
    async for name, host in walk(hosting, shop, theme):
        facts = await host.card.locator("dt").count()
        buttons = await host.card.locator("button:visible").count()
        root = host.card.locator("html")
        too_wide = await root.evaluate("each => each.scrollWidth - each.clientWidth")
        assert (name, facts <= 5, buttons <= 2, too_wide) == (name, True, True, 0)
        await expect(host.card.get_by_role("heading", level=1)).to_contain_text("Refund $")
        if PICTURES:
            high = await host.card.locator("#card").evaluate("each => each.getBoundingClientRect().height")  # fmt: skip
            await tab.set_viewport_size({"width": 360, "height": int(high) + 1})
            await tab.screenshot(path=Path(PICTURES) / f"card-{name}-{theme}.png")


async def test_it_grows_no_wider_than_its_lines_are_read_well(
    hosting: Opens, wanted: dict[str, Any]
) -> None:
    async with hosting() as host:
        await host.show(await asked(host, wanted), width=1280)
        await waits(host)
        wide = await host.card.locator("#card").evaluate("each => each.getBoundingClientRect().width")  # fmt: skip

    assert wide == 500
