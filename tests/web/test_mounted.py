"""The page on the server of `serve --http`, as browsers meet it through a proxy that ends TLS."""

from pathlib import Path

import httpx2
import pytest
from tests.conftest import Configure, folder_of
from tests.serving.http.test_run import TOKEN, site
from tests.web.visitor import Visitor, listed

from clawver_orders.caller import Script
from clawver_orders.instants import now
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.storage.pin import Pin
from clawver_orders.web.rendering import Place
from clawver_orders.web.security import origin_of
from clawver_orders.web.store_page import CANNOT_BE_SHOWN, StorePage
from clawver_sandbox.shop import Shop

PUBLIC = "https://orders.example/refunds"
LONG_PIN = "example-4728"


@pytest.fixture
def served(live: dict[str, str]) -> dict[str, str]:
    """The variables of a server behind a proxy."""
    return live | {
        "CLAWVER_HTTP_TOKEN": TOKEN,
        "CLAWVER_HTTP_HOSTS": "orders.example",
        "CLAWVER_BOARD_URL": PUBLIC,
        "CLAWVER_REFUND_APPROVAL": "chat",
    }


class Proxied(Visitor):
    """A browser that reaches the page through a proxy: it asks for the public address."""

    def __init__(self, base: str) -> None:
        super().__init__(PUBLIC)

        self.http = httpx2.AsyncClient(trust_env=False, timeout=60, transport=_Through(base))
        self.http.follow_redirects = True


class _Through(httpx2.AsyncBaseTransport):
    """What a reverse proxy does: the host stays, the prefix is its own."""

    def __init__(self, base: str) -> None:
        self._base = httpx2.URL(base)
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/refunds")
        url = request.url.copy_with(
            scheme="http", host=self._base.host, port=self._base.port, path=f"/board{path or '/'}"
        )
        onward = httpx2.Request(
            request.method, url, headers=request.headers, content=await request.aread()
        )
        response = await self._inner.handle_async_request(onward)
        body = await response.aread()
        return httpx2.Response(response.status_code, headers=response.headers, content=body)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def wanted(settings: Settings, order_id: str) -> str:
    async with opened(settings) as services:
        desk = (await services.store()).desk
        outcome = await desk.refund(order_id, 700, "Torn", (), Script())
    assert outcome.wish is not None
    return outcome.wish.refund_id


@pytest.mark.slow
async def test_a_person_decides_through_a_proxy(
    served: dict[str, str], configure: Configure, shop: Shop
) -> None:
    settings = configure(refund_approval="chat")
    sale = str(shop.sell()["id"])
    refund_id = await wanted(settings, sale)
    Pin(folder_of(settings), now).set(LONG_PIN, None)
    with site(served, "--port", "0") as server:
        visitor = Proxied(server.base)
        assert "Then you'll see what you were asked about" in await visitor.go(
            f"/refund/{refund_id}"
        )
        shown = await visitor.press("signin", pin=LONG_PIN)
        assert f"Refund $7.00? on order {sale}" in shown
        (cookie,) = visitor.http.cookies.jar
        assert cookie.secure
        assert cookie.path.startswith("/refunds/s/")
        assert "Refunded $7.00" in await visitor.press("approve", pin=LONG_PIN)
        await visitor.go("/orders")
        await visitor.press("orders", 0, search=sale)
        assert visitor.last.url.path.startswith(f"{cookie.path.rstrip('/')}/orders/")
        assert listed(visitor) == [sale]
        assert f"Order {sale}" in await visitor.go(f"/order/{sale}")
        await visitor.press("customer")
        assert sale in listed(visitor)
        await visitor.http.aclose()

    assert shop.refunds() == [(sale, 700)]


async def test_a_short_pin_does_not_open_what_others_can_reach(
    served: dict[str, str], configure: Configure
) -> None:
    Pin(folder_of(configure()), now).set("123456", None)
    with site(served, "--port", "0") as server:
        visitor = Proxied(server.base)
        said = await visitor.sign_in("123456")
        await visitor.http.aclose()

    assert "Others can reach this page, so it takes a PIN of 10 characters or more." in said


async def test_neither_opens_the_other(served: dict[str, str], configure: Configure) -> None:
    Pin(folder_of(configure()), now).set(LONG_PIN, None)
    with site(served, "--port", "0") as server:
        base = server.base
        visitor = Proxied(base)
        await visitor.sign_in(LONG_PIN)
        cookie = {"Cookie": visitor.last.request.headers["cookie"]}
        tools = httpx2.post(f"{base}/mcp", json={}, headers=cookie, trust_env=False)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        page = httpx2.get(f"{base}/board/s/x/", headers=bearer, trust_env=False)
        elsewhere = httpx2.get(f"{base}/boards", trust_env=False)
        under_another_name = httpx2.get(
            f"{base}/board/", headers={"Host": "evil.example"}, trust_env=False
        )
        from_its_own_port = await visitor.post(f"{PUBLIC}/signin", {"pin": LONG_PIN}, origin=base)
        await visitor.http.aclose()

    assert tools.status_code == 401
    assert page.status_code == 401
    assert "Sign in" in page.text
    assert elsewhere.status_code == 401
    assert under_another_name.status_code == 421
    assert "That form didn't come from this page" in from_its_own_port


async def test_without_a_token_it_shows_all_and_decides_nothing(
    live: dict[str, str], configure: Configure, shop: Shop
) -> None:
    settings = configure(refund_approval="chat")
    refund_id = await wanted(settings, str(shop.sell()["id"]))
    Pin(folder_of(settings), now).set("123456", None)
    with site(live | {"CLAWVER_BOARD_URL": "http://127.0.0.1:8788/board"}, "--port", "0") as server:
        visitor = Visitor(f"{server.base}/board")
        said = await visitor.post(
            f"{server.base}/board/signin", {"pin": "123456"}, origin="http://127.0.0.1:8788"
        )
        assert "1 refund waits for you" in said
        assert "This page is read-only" in await visitor.go(f"/refund/{refund_id}")
        assert visitor.forms("approve") == visitor.forms("decline") == []
        await visitor.http.aclose()


def test_where_nobody_says_how_browsers_reach_it_there_is_none(
    live: dict[str, str], tmp_path: Path
) -> None:
    with site(live, "--port", "0") as server:
        assert httpx2.get(f"{server.base}/board/", trust_env=False).status_code == 404


@pytest.mark.slow
def test_a_store_that_is_not_known_is_said(served: dict[str, str], shop: Shop) -> None:
    shop.add_fault("status_before", times=1000, status=503)
    with site(served, "--port", "0") as server:
        for path in ("/board", "/board/"):
            answer = httpx2.get(
                f"{server.base}{path}", headers={"Host": "orders.example"}, trust_env=False
            )
            assert answer.status_code == 503
            assert answer.text == f"{CANNOT_BE_SHOWN}\n"


async def test_it_is_made_for_the_first_request_and_kept(configure: Configure) -> None:
    page = StorePage(configure(), Place(PUBLIC, None))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=page)) as http:
        answers = [await http.get("http://orders.example/") for _ in range(2)]
    assert await page.board() is await page.board()
    await page.close()

    assert ["Sign in" in answer.text for answer in answers] == [True, True]


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://Orders.example:443/refunds", "https://orders.example"),
        ("http://127.0.0.1:80/board", "http://127.0.0.1"),
        ("https://orders.example:8443", "https://orders.example:8443"),
    ],
)
def test_a_form_comes_from_where_a_browser_says_it_does(address: str, origin: str) -> None:
    assert origin_of(address) == origin
