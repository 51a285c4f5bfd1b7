"""A page on a real port, and whoever visits it: by hand, form by form, as a browser does without script."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx2
from tests.tools.test_refunds import Time

from clawver_orders.caller import Script
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services, Store
from clawver_orders.web import codes
from clawver_sandbox.shop import Shop

PIN = "example-472"
REASON = "Torn"
HOOKS = {"webhook_secret": "whsec_example_0123456789", "webhook_hosts": "hooks.example"}
"""Settings with which webhooks can be registered."""


@dataclass
class Form:
    """A form as it stands in a page."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    """All forms and links of a page, and all of its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self._within = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "a":
            self.links.append(values["href"])
        if tag == "form":
            self.found.append(Form(values["action"]))
            self._within = True
        if tag == "input" and self._within:
            self.found[-1].fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._within = self._within and tag != "form"

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        """All words of the page, with a blank between any two."""
        return " ".join(self.words)


class Visitor:
    """A browser without script.

    Args:
        address: Where the page is.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx2.AsyncClient(trust_env=False, timeout=60, follow_redirects=True)
        self.home = ""
        self.last: httpx2.Response

    async def go(self, path: str = "/") -> str:
        """Open a page within the session, and read it."""
        self.last = await self.http.get(f"{self.home or self.address}{path}")
        return Forms(self.last.text).text

    async def sign_in(self, pin: str = PIN, onward: str = "") -> str:
        """Sign in by the PIN."""
        return await self.post(f"{self.address}/signin", {"pin": pin, "next": onward})

    async def post(self, url: str, fields: dict[str, str], origin: str | None = None) -> str:
        """Send a form as a page of this origin would."""
        own = httpx2.URL(self.address)
        headers = {"Origin": f"{own.scheme}://{own.netloc.decode()}" if origin is None else origin}
        self.last = await self.http.post(url, data=fields, headers=headers)
        path = self.last.url.path
        if path.startswith("/s/") or "/s/" in path:
            begin = path[: path.index("/s/")]
            self.home = (
                f"{self.address.removesuffix(begin)}{begin}/s/{path.split('/s/')[1].split('/')[0]}"
            )
        return Forms(self.last.text).text

    def forms(self, ending: str) -> list[Form]:
        """The forms of the last page that lead to a path with this ending."""
        return [form for form in Forms(self.last.text).found if form.action.endswith(f"/{ending}")]

    async def press(self, ending: str, number: int = 0, **fields: str) -> str:
        """Fill in a form of the last page and send it."""
        form = self.forms(ending)[number]
        origin = self.last.url.copy_with(path="/", query=None)
        return await self.post(str(origin.join(form.action)), form.fields | fields)


def listed(visitor: Visitor) -> list[str]:
    """The orders that the last page links to, as they come."""
    return re.findall(r'href="[^"]*/order/([^"/]+)"', visitor.last.text)


async def decide(url: str, presses: str, **fields: str) -> None:
    """Open the address as a browser does, sign in, and press a button."""
    address, kind, about = url.rsplit("/", 2)
    visitor = Visitor(address)
    await visitor.go(f"/{kind}/{about}")
    await visitor.sign_in(onward=f"{kind}/{about}")
    await visitor.press(presses, 0, **fields)
    await visitor.http.aclose()


@dataclass
class Room:
    """A page that is up, its store, and the clocks of its machine."""

    address: str
    services: Services
    store: Store
    shop: Shop
    time: Time

    async def wanted(self, cents: int = 700, order_id: str = "", total: int = 2499) -> Wish:
        """A refund that an agent wants, and that waits for a person."""
        order = order_id or str(self.shop.sell(total_in_cents=total)["id"])
        outcome = await self.store.desk.refund(order, cents, REASON, (), Script("agent 1"))
        assert outcome.wish is not None
        return outcome.wish

    async def now(self, wish: Wish) -> Wish:
        """The same refund as it stands now."""
        found = await self.store.ledger.find(wish.refund_id)
        assert found is not None
        return found

    def sent(self) -> list[tuple[str, int]]:
        """What the store gave back."""
        return self.shop.refunds()

    def spoil(self, name: str) -> None:
        """Leave nothing readable in a file that is kept of the store."""
        (self.store.scope.folder / name).write_bytes(b"nothing of ours" * 100)

    def opens_itself(self) -> Path:
        """The file that a terminal opens in a browser, to sign in."""
        folder = self.store.scope.folder
        code = codes.make(folder, self.services.instant())
        return codes.hand_over(folder, self.address, code)

    async def signed_in(self) -> Visitor:
        """Somebody who has signed in."""
        visitor = Visitor(self.address)
        await visitor.sign_in()
        return visitor

    def passes(self, **span: float) -> None:
        """Let time pass on both clocks."""
        self.time.pass_by(timedelta(**span).total_seconds())
