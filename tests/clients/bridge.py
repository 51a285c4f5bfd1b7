"""A chat host made of the official `AppBridge` and the official client, in a real browser, and a real server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from playwright.async_api import FrameLocator, Page, Route
from tests.clients.command import INSTALLED
from tests.serving.card_host import CSP

CHAT, SANDBOX = "https://chat.example/", "https://sandbox.example/"
LONGEST_LINE = 1_000_000
PAGE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>A chat</title>
<style>body { margin: 0 } iframe { display: block; border: 0; width: 100%%; height: 0 }</style>
<body></body><script>%s</script>"""
PROXY = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>A sandbox</title>
<style>html, body, iframe { margin: 0; border: 0; width: 100%; height: 100%; display: block }</style>
<body></body><script>
"use strict";
const inner = document.createElement("iframe"), READY = "ui/notifications/sandbox-resource-ready";
document.body.append(inner);
addEventListener("message", ({ source, data }) => {
  if (source === inner.contentWindow) parent.postMessage(data, "*");
  else if (source !== parent) return;
  else if (data.method !== READY) inner.contentWindow.postMessage(data, "*");
  else { inner.setAttribute("sandbox", data.params.sandbox); inner.srcdoc = data.params.html; }
});
parent.postMessage({ jsonrpc: "2.0", method: "ui/notifications/sandbox-proxy-ready", params: {} }, "*");
</script>"""
"""What the extension asks of hosts on the web: a frame of another origin, with the card in a frame of its own."""


@dataclass
class Chat:
    """A host in a tab, connected to a server.

    Attributes:
        tab: Where it is shown.
        version: The revision of the protocol that both speak.
        tools: All that the server offers.
        said: What went to the server.
        heard: What came from it.
    """

    tab: Page
    version: str = ""
    tools: list[str] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)

    @property
    def card(self) -> FrameLocator:
        return self.tab.frame_locator("iframe").frame_locator("iframe")

    async def call(self, name: str, **given: Any) -> dict[str, Any]:
        """Call a tool past the card, as a model does, or a script of the host."""
        result: dict[str, Any] = await self.tab.evaluate(
            "([name, given]) => host.call(name, given)", [name, given]
        )
        return result

    async def mount(
        self, result: dict[str, Any], *, theme: str = "light", is_cut: bool = False
    ) -> None:
        """Draw the card of an answer of `refund_order`, in place of the one that is there.

        Args:
            result: The answer.
            theme: The host's.
            is_cut: Whether the card's calls reach no server.
        """
        given = ["refund_order", result, {"theme": theme, "isCut": is_cut}]
        await self.tab.evaluate("given => host.mount(...given)", given)

    def clicks(self) -> list[dict[str, Any]]:
        """What calls of `decide_refund` brought to the server."""
        calls = [each["params"] for each in self.said if each.get("method") == "tools/call"]
        return [each["arguments"] for each in calls if each["name"] == "decide_refund"]

    def nonce(self) -> str:
        """The newest one that the server gave away."""
        own = [
            each["result"]["_meta"].get("clawver-orders/card", {})
            for each in self.heard
            if "_meta" in each.get("result", {})
        ]
        return str([each["nonce"] for each in own if "nonce" in each][-1])


@asynccontextmanager
async def chatting(
    tab: Page, bundle: str, era: str, environment: dict[str, str], *, shows_cards: bool = True
) -> AsyncIterator[Chat]:
    """A host in a tab, and a server of its own.

    Args:
        tab: An empty one.
        bundle: `drivers/card_host.mjs`, ready for a browser.
        era: "legacy" for 2025-11-25, or "modern" for 2026-07-28.
        environment: Of the server.
        shows_cards: Whether the host says that it shows cards.
    """
    chat = Chat(tab)

    async def answer(route: Route) -> None:
        is_proxy = route.request.url == SANDBOX
        body = PROXY if is_proxy else PAGE % bundle.replace("</", "<\\/")
        headers = {"Content-Security-Policy": CSP} if is_proxy else {}
        await route.fulfill(body=body, content_type="text/html", headers=headers)

    await tab.route(CHAT, answer)
    await tab.route(SANDBOX, answer)
    await tab.set_viewport_size({"width": 360, "height": 700})
    async with (
        await anyio.open_process([INSTALLED, "serve"], env=environment, stderr=None) as server,
        anyio.create_task_group() as tasks,
    ):
        await tab.expose_function("sayToServer", lambda line: _say(chat, server, line))
        await tab.goto(CHAT)
        tasks.start_soon(_listen, chat, server)
        about = await tab.evaluate("given => host.connect(...given)", [era, shows_cards])
        chat.version, chat.tools = about["version"], about["tools"]
        yield chat
        tasks.cancel_scope.cancel()
        server.terminate()


async def _say(chat: Chat, server: Process, line: str) -> None:
    assert server.stdin is not None
    chat.said.append(json.loads(line))
    await server.stdin.send(line.encode() + b"\n")


async def _listen(chat: Chat, server: Process) -> None:
    assert server.stdout is not None
    lines = BufferedByteReceiveStream(server.stdout)
    while True:
        line = await lines.receive_until(b"\n", LONGEST_LINE)
        chat.heard.append(json.loads(line))
        await chat.tab.evaluate("line => host.hear(line)", line.decode())
