"""Two servers of one store behind a real nginx, with the configuration that the repository has for it."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitRequestParams, ElicitResult
from tests.conftest import KEY
from tests.postgres import Schemas
from tests.serving.http.test_run import TOKEN, Site, bearer, site
from tests.tools.test_tools import call
from tests.web.visitor import Visitor

from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx"),
]
CONFIGURATION = Path(__file__).parents[3] / ".docker" / "nginx.conf"
LONG_PIN = "example-4728"
SALE = {"order_id": "ord_shirt", "amount_in_cents": 700, "reason": "Smudged"}


@dataclass(frozen=True)
class Proxy:
    """Two servers, and nginx before them."""

    address: str
    servers: list[Site]
    state: list[dict[str, str]]
    log: Path
    """A line for each request: the server that was asked."""


@pytest.fixture
def proxy(
    live: dict[str, str],
    shop: Shop,
    schemas: Schemas,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Proxy]:
    schemas.are_used_by(
        Settings(api_key=KEY, api_url=live["CLAWVER_API_URL"]), shop.details()["id"]
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    common = live | {
        "CLAWVER_HTTP_TOKEN": TOKEN,
        "CLAWVER_DATABASE_URL": schemas.url,
        "CLAWVER_BOARD_URL": f"{address}/board",
        "CLAWVER_REFUND_APPROVAL": request.param,
    }
    state = [common | {"CLAWVER_STATE_DIR": str(tmp_path / name)} for name in ("one", "two")]
    with site(state[0]) as one, site(state[1]) as two, running(address, [one, two], tmp_path):
        yield Proxy(address, [one, two], state, tmp_path / "asked")


@contextmanager
def running(address: str, servers: list[Site], folder: Path) -> Iterator[None]:
    """nginx as the repository configures it, but for names and ports."""
    text = CONFIGURATION.read_text("utf-8")
    for number, server in enumerate(servers, 1):
        text = text.replace(
            f"server orders-{number}:8788 resolve;", f"server 127.0.0.1:{server.port};"
        )
    text = text.replace("listen 8788;", f"listen {address.removeprefix('http://')};")
    places = "".join(
        f"{what}_temp_path {folder / what};\n"
        for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off;\nmaster_process off;\npid {folder / 'nginx.pid'};\nerror_log stderr;\nevents {{}}\n"
        f"http {{\nlog_format to '$upstream_addr';\naccess_log {folder / 'asked'} to;\n{places}{text}\n}}\n"
    )
    with subprocess.Popen(
        ["nginx", "-p", str(folder), "-c", str(whole)], stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(1000):
                with suppress(httpx2.TransportError):
                    if httpx2.get(f"{address}/readyz", trust_env=False).status_code == 200:
                        break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


@asynccontextmanager
async def connected(proxy: Proxy, era: str, person: Any = None) -> AsyncIterator[Client]:
    """The official client, of which each request goes to the other server."""
    async with (
        httpx2.AsyncClient(headers=bearer(TOKEN), trust_env=False, timeout=60) as http,
        Client(
            streamable_http_client(f"{proxy.address}/mcp", http_client=http),
            mode=era,
            elicitation_callback=person,
        ) as client,
    ):
        yield client


@pytest.mark.parametrize("proxy", ["off"], indirect=True)
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_refund_is_sent_once_whichever_server_is_asked(
    proxy: Proxy, shop: Shop, era: str
) -> None:
    async with connected(proxy, era) as client:
        statuses = [(await call(client, "refund_order", **SALE))["status"] for _ in range(4)]
        at_once = await asyncio.gather(
            *(call(client, "refund_order", **SALE | {"amount_in_cents": 600}) for _ in range(6))
        )
        orders = [await call(client, "get_order", order_id="ord_shirt") for _ in range(2)]

    assert statuses == ["refunded", *["already_refunded"] * 3]
    assert {each["status"] for each in at_once} <= {"refunded", "already_refunded", "busy"}
    assert [each["status"] for each in at_once].count("refunded") == 1
    assert shop.refunds() == [("ord_shirt", 700), ("ord_shirt", 600)]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("proxy", ["chat"], indirect=True)
async def test_the_answer_to_a_question_is_taken_by_the_other_server(
    proxy: Proxy, shop: Shop
) -> None:
    asked = []

    async def person(_: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        await asyncio.sleep(1.05)  # a person takes a while
        return ElicitResult(action="accept", content={"approve": True})

    async with connected(proxy, "auto", person) as client:
        answer = await call(client, "refund_order", **SALE)
        servers = proxy.log.read_text("utf-8").split()
        again = await call(client, "refund_order", **SALE)

    assert (answer["status"], answer["decided_by"]) == ("refunded", "person by elicitation (chat)")
    assert servers[-1] != servers[-2]
    assert again["status"] == "already_refunded"
    assert len(asked) == 1
    assert "$7.00" in asked[0]
    assert shop.refunds() == [("ord_shirt", 700)]


@pytest.mark.parametrize("proxy", ["pin"], indirect=True)
async def test_it_is_approved_on_the_page_of_either_server(proxy: Proxy, shop: Shop) -> None:
    settings = Settings.from_environment(proxy.state[0])
    async with opened(settings) as services:
        (await services.store()).pin.set(LONG_PIN, None)
    async with connected(proxy, "auto") as client:
        waits = await call(client, "refund_order", **SALE)
        assert (waits["status"], shop.refunds()) == ("needs_approval", [])
        visitor = Visitor(f"{proxy.address}/board")
        await visitor.go(f"/refund/{waits['refund_id']}")
        await visitor.press("signin", pin=LONG_PIN)
        assert "Refunded $7.00" in await visitor.press("approve", pin=LONG_PIN)
        await visitor.http.aclose()
        known = await call(client, "check_refund", order_id="ord_shirt")

    assert known["status"] == "refunded"
    assert shop.refunds() == [("ord_shirt", 700)]


@pytest.mark.parametrize("proxy", ["off"], indirect=True)
def test_while_one_server_is_away_the_other_one_answers(proxy: Proxy, shop: Shop) -> None:
    proxy.servers[0].process.kill()
    proxy.servers[0].process.wait()
    modern = Site(proxy.servers[1].process, f"{proxy.address}/mcp", TOKEN)
    reads = [
        modern.ask(
            "2026-07-28", "tools/call", name="get_order", arguments={"order_id": "ord_shirt"}
        )
        for _ in range(4)
    ]
    wants = [
        modern.ask("2026-07-28", "tools/call", name="refund_order", arguments=SALE)
        for _ in range(4)
    ]

    assert {each.status_code for each in reads + wants} <= {200, 502}
    assert 200 in {each.status_code for each in reads}
    assert shop.refunds() == [("ord_shirt", 700)]
