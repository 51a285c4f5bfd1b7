"""Takes the pictures of the README: a refund that waits, as a card in the chat and on the page.

`uv run python -m tests.instruments.pictures` takes both again. A real MCP client asks for the refund on
the sandbox store, and a real Chromium shows it. Each picture carries the words that it shows; only random
ids, times and addresses are left out.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.client import advertise
from mcp_types import Implementation
from playwright.async_api import Browser, Locator, Page
from tests.instruments.picture import WISH
from tests.instruments.small_png import small
from tests.serving.card_host import Host, RealTime
from tests.web.chromium import launched
from tests.web.visitor import PIN

from clawver_orders.services import opened
from clawver_orders.serving.card import EXTENSION, MIME_TYPE
from clawver_orders.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
CARD, PAGE = DOCS / "card.png", DOCS / "page.png"
LARGEST = 100_000
"""Bytes of a picture."""
WIDTH = 1000
"""Of the page, in the browser's pixels."""
SHARPNESS = 1.5
"""Pixels of a picture for each of the browser's."""
_LEFT_OUT = {r"rfi_[0-9a-f]{16}": "rfi_…", r"http://[\w.:]+\d": "http://…"}
_WORDS = """shown => {
  const copy = shown.cloneNode(true);
  for (const each of copy.querySelectorAll("time")) each.textContent = "…";
  for (const each of copy.querySelectorAll("[hidden], .vh, .skip, .sprite, script")) each.remove();
  const walk = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT), words = [];
  while (walk.nextNode()) words.push(walk.currentNode.data.trim());
  return words.filter(each => each).join("\\n");
}"""


async def words_in(shown: Locator) -> str:
    """The words that are shown, line by line."""
    words: str = await shown.evaluate(_WORDS)
    for pattern, word in _LEFT_OUT.items():
        words = re.sub(pattern, word, words)
    return re.sub(r" +", " ", words)


async def opened_in(browser: Browser, width: int = WIDTH) -> Page:
    """A tab of this width, in light colours."""
    size: Any = {"width": width, "height": 700}
    return await browser.new_page(viewport=size, device_scale_factor=SHARPNESS)


def variables(state: Path) -> dict[str, str]:
    """What a server or a page on the sandbox store in this folder is started with."""
    path = os.environ["PATH"]
    return {"CLAWVER_STATE_DIR": str(state), "CLAWVER_TIME_ZONE": "UTC", "PATH": path}


@asynccontextmanager
async def chatting(state: Path) -> AsyncIterator[Client]:
    """A client that shows cards, of a server on the sandbox store in this folder."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-E", "-P", "-m", "clawver_orders", "serve", "--sandbox"],
        env=variables(state),
    )
    cards = advertise(EXTENSION, {"mimeTypes": [MIME_TYPE]})
    about = Implementation(name="A chat", version="1.0")
    async with Client(server, extensions=[cards], client_info=about) as chat:
        yield chat


@contextmanager
def board(state: Path) -> Iterator[str]:
    """The page of the sandbox store in this folder."""
    with subprocess.Popen(
        [sys.executable, "-E", "-P", "-m", "clawver_orders", "board", "--sandbox", "--port", "0"],
        env=variables(state),
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            found = re.search(r"http://[\w.]+:\d+", process.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


async def card(browser: Browser, state: Path) -> tuple[bytes, str]:
    """The card: its picture, and the words in it."""
    width = 540
    tab = await opened_in(browser, width)
    async with chatting(state) as client:
        host = Host(tab, client, RealTime())
        await host.listen()
        await host.show(await client.call_tool("refund_order", WISH), width=width)
        frame = "body { padding: 19px } iframe { outline: 1px solid #d0d7de; border-radius: 8px }"
        await tab.add_style_tag(content=frame)
        await host.card.locator("#yes:enabled").wait_for()
        picture = await tab.locator("body").screenshot()
        return picture, await words_in(host.card.locator("body"))


async def page(browser: Browser, state: Path) -> tuple[bytes, str]:
    """The page about the same refund, for somebody who has signed in."""
    settings = Settings.from_environment(variables(state), sandbox=True)
    async with chatting(state) as client:
        asked = (await client.call_tool("refund_order", WISH)).structured_content or {}
    async with opened(settings) as services:
        (await services.store()).pin.set(PIN, None)
    tab = await opened_in(browser)
    with board(state) as address:
        await tab.goto(f"{address}/refund/{asked['refund_id']}")
        await tab.get_by_label("PIN").fill(PIN)
        await tab.get_by_role("button", name="Sign in").click()
        await tab.wait_for_url("**/s/**")
        await tab.wait_for_timeout(1100)  # its button is dimmed in its first second
        return await tab.screenshot(full_page=True), await words_in(tab.locator("body"))


async def main() -> None:
    """Take both pictures, each of a store of its own that is thrown away."""
    async with launched() as browser:
        for take, file in ((card, CARD), (page, PAGE)):
            with tempfile.TemporaryDirectory() as folder:
                picture, words = await take(browser, Path(folder) / "state")
            file.write_bytes(await small(picture, words, await browser.new_page()))


if __name__ == "__main__":
    anyio.run(main)
