"""A chat host in a real browser: shakes hands with the card, hands answers over, and calls tools for it."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from mcp import Client
from mcp_types import CallToolResult
from playwright.async_api import FrameLocator, Page, Route

from clawver_orders.serving.card import ADDRESS

URL = "https://chat.example/"
CSP = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'none'"
)
"""What a host gives a card that asks for no exception."""
BACKGROUNDS = {"light": "#fff", "dark": "#262624"}
"""What is behind the card, by the host's theme."""
PAGE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>A chat</title>
<style>body { margin: 0; background: %(background)s; color-scheme: %(theme)s; }
iframe { display: block; border: 0; width: 100%%; height: 0; color-scheme: %(theme)s; }</style>
<script>
"use strict";
const heard = [], setup = %(setup)s;
let frame;
function say(message) { frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*"); }
addEventListener("message", async (event) => {
  if (!frame || event.source !== frame.contentWindow) return;
  const { id, method, params } = event.data;
  heard.push(event.data);
  if (method === "ui/initialize" && setup.shakes) say({ id, result: {
    protocolVersion: "2026-01-26", hostInfo: { name: "a chat", version: "1" },
    hostCapabilities: setup.can, hostContext: { theme: setup.theme },
  } });
  if (method === "ui/notifications/initialized") {
    say({ method: "ui/notifications/tool-input", params: { arguments: {} } });
    say({ method: "ui/notifications/tool-result", params: setup.result });
  }
  if (method === "ui/notifications/size-changed") frame.style.height = `${params.height}px`;
  if (method === "ui/open-link") say({ id, result: setup.opens ? {} : { isError: true } });
  if (method === "tools/call") {
    const told = JSON.parse(await window.callTool(JSON.stringify(params)));
    say(told ? { id, result: told } : { id, error: { code: -32603, message: "lost" } });
  }
});
function mount() {
  if (frame) frame.remove();
  frame = document.createElement("iframe");
  frame.title = "Refund";
  frame.setAttribute("sandbox", "allow-scripts");
  frame.srcdoc = setup.html;
  document.body.append(frame);
}
addEventListener("load", mount);
</script><body></body>"""


@dataclass
class RealTime:
    """Both clocks of this machine, which can be set forward."""

    forward: timedelta = timedelta(0)

    @property
    def at(self) -> datetime:
        return datetime.now(UTC) + self.forward

    @property
    def up(self) -> float:
        return time.monotonic() + self.forward.total_seconds()


@dataclass
class Host:
    """A host with one card.

    Args:
        tab: Where it is shown.
        client: A client of the server.
        time: Of the server.
    """

    tab: Page
    client: Client
    time: RealTime
    calls: list[dict[str, Any]] = field(default_factory=list)
    """What the card called, with its arguments."""
    loses: str = ""
    """The tool whose answers get lost, after they were given."""
    let_go: anyio.Event | None = None
    """What the calls of a card wait for, where they wait."""

    @property
    def card(self) -> FrameLocator:
        return self.tab.frame_locator("iframe")

    async def show(
        self,
        result: CallToolResult,
        *,
        theme: str = "light",
        shakes: bool = True,
        opens: bool = True,
        can: tuple[str, ...] = ("serverTools", "openLinks"),
        width: int = 360,
    ) -> None:
        """Mount the card for an answer of a tool."""
        (content,) = (await self.client.read_resource(ADDRESS)).contents
        setup: dict[str, Any] = {
            "html": getattr(content, "text", ""),
            "result": _dumped(result),
            "theme": theme,
            "shakes": shakes,
            "opens": opens,
            "can": {name: {} for name in can},
        }
        as_script = json.dumps(setup).replace("</", "<\\/").replace("<!--", "<\\!--")
        body = PAGE % {"background": BACKGROUNDS[theme], "theme": theme, "setup": as_script}

        async def answer(route: Route) -> None:
            headers = {"Content-Security-Policy": CSP}
            await route.fulfill(body=body, content_type="text/html", headers=headers)

        await self.tab.unroute_all()
        await self.tab.route(URL, answer)
        await self.tab.set_viewport_size({"width": width, "height": 700})
        await self.tab.goto(URL)

    async def listen(self) -> None:
        """Take what cards call, once for each tab."""
        await self.tab.expose_function("callTool", self._call)

    async def mount_again(self) -> None:
        """Draw the card anew, from the answer that was kept."""
        await self.tab.evaluate("mount()")

    async def change_theme(self, theme: str | None) -> None:
        """Tell the card of another theme; or of nothing, as hosts may."""
        await self.tab.evaluate(
            "theme => say({ method: 'ui/notifications/host-context-changed', params: theme ? { theme } : null })",
            theme,
        )

    async def heard(self, method: str) -> list[dict[str, Any]]:
        """What the card said by this method."""
        said: list[dict[str, Any]] = await self.tab.evaluate(
            "method => heard.filter(each => each.method === method)", method
        )
        return said

    async def _call(self, given: str) -> str:
        params = json.loads(given)
        self.calls.append(params)
        if self.let_go is not None:
            await self.let_go.wait()
        result = await self.client.call_tool(params["name"], params["arguments"])
        return "null" if self.loses == params["name"] else json.dumps(_dumped(result))


def _dumped(result: CallToolResult) -> dict[str, Any]:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)
