"""The refund's card within the official `AppBridge`, in a real Chromium, in front of a real server, in both eras."""

import json
import os
import subprocess
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest
from playwright.async_api import Page, expect
from tests.clients.bridge import Chat, chatting
from tests.clients.conftest import Install
from tests.clients.inspector import inspected
from tests.clients.test_clients import CLIENTS, set_pin
from tests.conftest import Configure
from tests.tools.test_refunds import given_back, posts
from tests.web.chromium import browser, needs_chromium, tab

from clawver_orders.serving.card import ADDRESS, MIME_TYPE
from clawver_sandbox.shop import Shop

__all__ = ["browser", "tab"]
pytestmark = [pytest.mark.clients, needs_chromium]

HOST = Path(__file__).parent / "drivers" / "card_host.mjs"
PACKAGES = ("@modelcontextprotocol/ext-apps@2", "@modelcontextprotocol/client@2", "esbuild@0")
OPTIONS = ("--bundle", "--format=iife", "--minify-syntax", "--pure:console.debug")
"""What the bridge complains of is heard, and not what it says of every message."""
VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}
DARK_INK = "rgb(236, 236, 238)"
OUT_OF_DATE = (
    "Nothing was sent by this click: this click was counted before, or its card is out of date."
)


class Opens(Protocol):
    def __call__(
        self, approval: str = "chat", *, shows_cards: bool = True
    ) -> AbstractAsyncContextManager[Chat]: ...


@pytest.fixture(scope="module")
def bundle(with_node: Install, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The host, and all that it is made of, as one script."""
    environment = with_node(PACKAGES)
    made = tmp_path_factory.mktemp("bundle") / "host.js"
    modules = environment.folder / "node_modules"
    subprocess.run(
        [modules / ".bin" / "esbuild", HOST, *OPTIONS, f"--outfile={made}"],
        env=os.environ | {"NODE_PATH": str(modules)}, check=True, capture_output=True,
    )  # fmt: skip
    return made.read_text("utf-8")


@pytest.fixture(params=VERSIONS)
def opens(request: pytest.FixtureRequest, bundle: str, tab: Page, live: dict[str, str]) -> Opens:
    """A host of each era in the tab, with a setting of the test's choice."""

    def up(approval: str = "chat", *, shows_cards: bool = True) -> AbstractAsyncContextManager[Chat]:  # fmt: skip
        quiet = {name: each for name, each in os.environ.items() if not name.startswith("CLAW")}
        environment = quiet | live | {"CLAWVER_REFUND_APPROVAL": approval}
        return chatting(tab, bundle, request.param, environment, shows_cards=shows_cards)

    return up


@pytest.fixture
def wanted(shop: Shop) -> dict[str, Any]:
    sale = shop.sell(total_in_cents=2499)["id"]
    return {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}


async def says(chat: Chat, text: str) -> None:
    await expect(chat.card.locator("#told")).to_contain_text(text, timeout=20_000)


async def waits(chat: Chat) -> None:
    """Wait until the buttons take a click."""
    await expect(chat.card.locator("#yes")).to_be_enabled(timeout=20_000)


async def has_no_buttons(chat: Chat) -> None:
    await expect(chat.card.locator("#decide")).to_be_hidden()


def told(result: dict[str, Any]) -> dict[str, Any]:
    """What a model is told."""
    assert not result.get("isError"), result["content"]
    answer: dict[str, Any] = result["structuredContent"]
    assert json.loads(result["content"][0]["text"]) == answer
    return answer


async def refused(chat: Chat, **click: Any) -> str:
    """What a call of the buttons' tool is told that has to fail."""
    result = await chat.call("decide_refund", **click)
    assert result["isError"]
    return str(result["content"][0]["text"])


async def test_one_click_is_one_refund_and_nothing_else_counts(
    opens: Opens, request: pytest.FixtureRequest, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with opens() as chat:
        result = await chat.call("refund_order", **wanted)
        refund_id = told(result)["refund_id"]
        await chat.mount(result)
        await waits(chat)
        nonce = chat.nonce()
        click = {"refund_id": refund_id, "revision": 1, "approve": True, "nonce": nonce}
        made_up = await refused(chat, **click | {"nonce": "x" * len(nonce)})
        other_revision = await refused(chat, **click | {"revision": 2})
        assert posts(shop) == []
        await chat.card.locator("#yes").dblclick()
        await says(chat, "✓ $7.00 was refunded")
        await has_no_buttons(chat)
        replayed = await refused(chat, **click)
        after = told(await chat.call("check_refund", refund_id=refund_id))
        models_tools = await chat.tab.evaluate("host.modelsTools()")

    assert VERSIONS[request.node.callspec.params["opens"]] == chat.version
    assert set(chat.tools) - set(models_tools) == {"decide_refund"}
    assert nonce not in json.dumps(told(result)) + json.dumps(after)
    for each in (made_up, other_revision, replayed):
        assert OUT_OF_DATE in each
    assert len(chat.clicks()) == 4
    assert after["decided_by"] == "person by card (chat)"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_card_that_is_mounted_again_asks_the_server_and_has_no_button_of_an_old_answer(
    opens: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with opens() as chat:
        result = await chat.call("refund_order", **wanted)
        await chat.mount(result)
        await waits(chat)
        await chat.mount(result, is_cut=True)
        await says(chat, "can't be reached from this card")
        await has_no_buttons(chat)
        await chat.mount(result)
        await waits(chat)
        reworded = told(await chat.call("refund_order", **wanted | {"reason": "Torn"}))
        await chat.card.locator("#yes").click()
        await says(chat, "Your click did not count: look again.")
        assert posts(shop) == []
        await waits(chat)
        await chat.card.locator("#no").click()
        await says(chat, "a person declined the refund of $7.00")
        await chat.mount(result)
        await says(chat, "a person declined the refund of $7.00")
        await has_no_buttons(chat)

    assert reworded["revision"] == 2
    assert [each["revision"] for each in chat.clicks()] == [1, 2]
    assert posts(shop) == []


async def test_above_chat_it_has_the_link_to_the_page_and_a_click_opens_it(
    opens: Opens, configure: Configure, live: dict[str, str], shop: Shop, wanted: dict[str, Any]
) -> None:
    await set_pin(configure(state_dir=Path(live["CLAWVER_STATE_DIR"])))
    async with opens("pin") as chat:
        result = await chat.call("refund_order", **wanted)
        page = told(result)["approve_at"]
        await chat.mount(result)
        await says(chat, "No money was moved: it waits for a person's approval.")
        await has_no_buttons(chat)
        await expect(chat.card.locator("#open")).to_contain_text("Never type it here.")
        await chat.card.locator("#open").click()
        await chat.tab.wait_for_function("host.links.length")
        links = await chat.tab.evaluate("host.links")
        async with httpx2.AsyncClient(trust_env=False, follow_redirects=True) as visitor:
            opened = await visitor.get(page)
        revision, refund_id = told(result)["revision"], told(result)["refund_id"]
        guessed = await refused(
            chat, refund_id=refund_id, revision=revision, approve=True, nonce="x" * 32
        )

    assert links == [page]
    assert "Sign in" in opened.text
    assert OUT_OF_DATE in guessed
    assert posts(shop) == []


async def test_it_reports_its_size_and_follows_the_hosts_theme(
    opens: Opens, wanted: dict[str, Any]
) -> None:
    async with opens() as chat:
        await chat.mount(await chat.call("refund_order", **wanted), theme="dark")
        await waits(chat)
        root, body = chat.card.locator("html"), chat.card.locator("body")
        ink = "each => getComputedStyle(each).color"
        assert await body.evaluate(ink) == DARK_INK
        assert await root.evaluate("each => getComputedStyle(each).colorScheme") == "dark"
        await chat.tab.evaluate("host.theme('light')")
        await expect(root).to_have_attribute("data-theme", "light")
        assert await body.evaluate(ink) != DARK_INK
        sizes = await chat.tab.evaluate("host.sizes")
        fits = await root.evaluate(
            "each => [each.scrollHeight <= each.clientHeight, each.scrollWidth <= each.clientWidth]"
        )
        high = await chat.card.locator("#card").evaluate("each => each.getBoundingClientRect().height")  # fmt: skip

    assert fits == [True, True]
    assert 0 <= sizes[-1] - high < 1


async def test_a_host_without_the_extension_gets_no_card_and_no_buttons(
    opens: Opens, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with opens(shows_cards=False) as chat:
        asked = told(await chat.call("refund_order", **wanted))
        checked = await chat.call("check_refund", refund_id=asked["refund_id"])
        said = await refused(
            chat, refund_id=asked["refund_id"], revision=1, approve=True, nonce="x" * 32
        )

    assert "decide_refund" not in chat.tools
    assert "clawver-orders/card" not in checked.get("_meta", {})
    assert "works only from a refund's card, in a host that shows one. Nothing was done." in said
    assert posts(shop) == []


@pytest.mark.parametrize("shows_cards", [True, False])
@pytest.mark.parametrize("era", VERSIONS)
def test_the_inspector_finds_the_card_and_its_buttons_for_apps_alone(
    with_node: Install, tmp_path: Path, era: str, *, shows_cards: bool
) -> None:
    inspector = with_node(CLIENTS["inspector"].packages)
    words = ["--method", "tools/list", "--app-info", *["--advertise-apps"][: int(shows_cards)]]
    reports = inspected(inspector, tmp_path, era, *words)

    found = {each["toolName"]: each.get("visibility") for each in reports if each["hasApp"]}
    buttons = {"decide_refund": ["app"]} if shows_cards else {}
    assert found == {"refund_order": None, "check_refund": None} | buttons
    for each in reports:
        if each["hasApp"]:
            assert (each["resourceUri"], each["resourceMimeType"]) == (ADDRESS, MIME_TYPE)
