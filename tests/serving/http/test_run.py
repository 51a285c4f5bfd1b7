"""Streamable HTTP as clients and load balancers meet it: a real process, real sockets."""

import json
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tests.cli.test_main import keyless, run
from tests.conftest import KEY, leading_to, slow, with_slow
from tests.crowds import crowd_out, is_served_again
from tests.documents.test_references import TEXTS, blocks
from tests.hosts import COMMAND, INITIALIZE, MODERN, patched, stop, wait_for
from tests.postgres import Schemas
from tests.serving.test_stopping import SAYS_WHEN_ITS_LIFESPAN_CLOSES, is_asked_for

from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.tools import SURFACE
from clawver_sandbox.api import build_app
from clawver_sandbox.serving import running
from clawver_sandbox.shop import Shop

TOKEN = "an-example-token-of-32-characters"
ACCEPT = {"accept": "application/json, text/event-stream"}
GET_ORDER = {"name": "get_order", "arguments": {"order_id": "ord_shirt"}}
ERAS: dict[str, dict[str, Any]] = {"2025-11-25": {}, "2026-07-28": MODERN}
one_now = pytest.mark.parametrize("era", with_slow(["2026-07-28"], ["2025-11-25"]))


def bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


class Site:
    """A server over HTTP, and a client of it that writes its requests by hand."""

    def __init__(self, process: subprocess.Popen[str], url: str, token: str | None) -> None:
        self.process = process
        self.token = token
        self.url = url
        self.base = url.removesuffix("/mcp")
        self.port = int(self.base.rsplit(":", 1)[1])

    def post(self, body: object, **headers: str) -> httpx2.Response:
        return httpx2.post(
            self.url, json=body, headers=ACCEPT | headers, trust_env=False, timeout=60
        )

    def ask(self, era: str, method: str, /, **params: Any) -> httpx2.Response:
        """One request in the way of a revision of the protocol, with the token if there is one."""
        headers = {"mcp-protocol-version": era} | bearer(self.token)
        if era == "2026-07-28":
            headers["mcp-method"] = method
            if "name" in params:
                headers["mcp-name"] = params["name"]
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": ERAS[era] | params}
        return self.post(body, **headers)

    def end(self) -> str:
        """What it complained of, once it has ended by itself."""
        return self.process.communicate(timeout=60)[1]


@contextmanager
def site(
    environment: dict[str, str], *options: str, command: tuple[str, ...] = ()
) -> Iterator[Site]:
    """A server process, started with these options or with a command of the test's own."""
    with subprocess.Popen(
        command or (*COMMAND, "serve", "--http", "--port", "0", *options),
        env=keyless() | environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("Serving MCP at http://"), process.communicate(timeout=60)
            yield Site(process, said.split()[3], environment.get("CLAWVER_HTTP_TOKEN"))
        finally:
            stop(process)


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, dict[str, str]]]:
    """A shop for all tests that leave everything as it was, and what points a server at it."""
    folder = tmp_path_factory.mktemp("common")
    shop = Shop.open(folder / "store.sqlite3")
    with running(shop, app=build_app(shop, keys=(KEY,))) as url:
        yield shop, leading_to(url, folder / "state")


@pytest.fixture(scope="module")
def shared(common: tuple[Shop, dict[str, str]]) -> Iterator[Site]:
    """A server on that shop, for the same tests."""
    with site(common[1]) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(common: tuple[Shop, dict[str, str]]) -> Iterator[Site]:
    """The same behind a token."""
    with site(common[1] | {"CLAWVER_HTTP_TOKEN": TOKEN}) as server:
        yield server


def telling_when_closed() -> tuple[str, ...]:
    return patched(SAYS_WHEN_ITS_LIFESPAN_CLOSES, "serve", "--http", "--port", "0")


@asynccontextmanager
async def official(server: Site, era: str) -> AsyncIterator[Client]:
    """The official client, which has the token if there is one."""
    async with (
        httpx2.AsyncClient(headers=bearer(server.token), trust_env=False, timeout=60) as http,
        Client(streamable_http_client(server.url, http_client=http), mode=era) as client,
    ):
        yield client


async def test_the_official_client_works_in_both_eras(
    era: str, guarded: Site, common: tuple[Shop, dict[str, str]]
) -> None:
    shop, _ = common
    sale = shop.sell(total_in_cents=2499)["id"]
    wanted = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
    async with official(guarded, era) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        order = await client.call_tool("get_order", {"order_id": sale})
        refund = await client.call_tool("refund_order", wanted)
        refused = await client.call_tool("refund_order", wanted | {"dry_run": True})

    assert "refund_order" in names
    assert order.structured_content is not None
    assert order.structured_content["orders"][0]["order_id"] == sale
    assert refund.structured_content is not None
    assert refund.structured_content["status"] == "refunded"
    assert refused.is_error
    assert [cents for order_id, cents in shop.refunds() if order_id == sale] == [700]


WITHOUT_A_TOKEN = "no CLAWVER_HTTP_TOKEN"
REMEDY = "A person can set CLAWVER_HTTP_TOKEN for this server, and give its clients that token."


@pytest.mark.slow
@pytest.mark.parametrize("era", with_slow(["auto"], ["legacy"]))
async def test_without_a_token_it_is_read_only_and_says_why(
    era: str, live: dict[str, str], shop: Shop
) -> None:
    with site(live | {"CLAWVER_TOOLSETS": "all"}) as server:
        async with official(server, era) as client:
            offered = {tool.name for tool in (await client.list_tools()).tools}
            prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
            refused = [
                (tool.name, await client.call_tool(tool.name, tool.example))
                for tool in SURFACE
                if not tool.hints.read_only
            ]
            told = [
                await client.call_tool("get_order", {"order_id": "ord_cancelled_paid"}),
                await client.call_tool("handle_wrong_size", {"order_id": "ord_shirt"}),
                await client.call_tool("list_webhooks", {}),
            ]
            instructions = client.instructions or ""
        server.process.send_signal(signal.SIGTERM)
        complaints = server.end()

    assert offered == {tool.name for tool in SURFACE if tool.hints.read_only}
    assert "handle_refund_request" not in prompts
    assert len(refused) == 4
    for name, answer in refused:
        assert answer.is_error
        assert getattr(answer.content[0], "text", "") == (
            f"{name} is not offered: this server is read-only ({WITHOUT_A_TOKEN}). Nothing was done. {REMEDY}"
        )
    assert all(f"({WITHOUT_A_TOKEN})" in json.dumps(answer.structured_content) for answer in told)
    assert f"This server is read-only ({WITHOUT_A_TOKEN})" in instructions
    assert REMEDY in instructions
    assert complaints == f"This server is read-only ({WITHOUT_A_TOKEN}). {REMEDY}\n"
    assert {request["method"] for request in shop.requests()} == {"GET"}


@pytest.mark.slow
@pytest.mark.parametrize("era", with_slow(["auto"], ["legacy"]))
async def test_without_a_token_an_earlier_refund_is_looked_at_and_no_other_is_sent(
    era: str, live: dict[str, str], shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    asks = live | {"CLAWVER_REFUND_APPROVAL": "agent"}
    with site(asks | {"CLAWVER_HTTP_TOKEN": TOKEN}) as server:
        async with official(server, era) as client:
            preview = (await client.call_tool(**refund(sale))).structured_content or {}
    with site(asks) as server:
        async with official(server, era) as client:
            given = {"refund_id": preview["refund_id"]}
            looked = (await client.call_tool("check_refund", given)).structured_content or {}
            confirmed = await client.call_tool("confirm_refund", given)

    assert (preview["status"], looked["status"]) == ("needs_approval", "needs_approval")
    assert f"can be done about it here ({WITHOUT_A_TOKEN})" in looked["next_step"]
    assert confirmed.is_error
    assert not [cents for order, cents in shop.refunds() if order == sale]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "settings", "because"),
    [
        (("--sandbox",), {}, WITHOUT_A_TOKEN),
        ((), {"CLAWVER_READ_ONLY": "on", "CLAWVER_HTTP_TOKEN": TOKEN}, "CLAWVER_READ_ONLY"),
        slow(("--read-only",), {}, "CLAWVER_READ_ONLY"),
    ],
)
def test_it_says_what_makes_it_read_only(
    options: tuple[str, ...], settings: dict[str, str], because: str, live: dict[str, str]
) -> None:
    with site(live | settings, *options) as server:
        listed = server.ask("2026-07-28", "tools/list").json()["result"]["tools"]
        server.process.send_signal(signal.SIGTERM)
        complaints = server.end()

    assert "refund_order" not in {tool["name"] for tool in listed}
    assert complaints.startswith(f"This server is read-only ({because}). ")
    assert ("unset CLAWVER_READ_ONLY" in complaints) == (because == "CLAWVER_READ_ONLY")
    assert ("set CLAWVER_HTTP_TOKEN" in complaints) == (because == WITHOUT_A_TOKEN)


@pytest.mark.slow
@one_now
def test_any_process_behind_a_load_balancer_can_answer(
    era: str, shared: Site, common: tuple[Shop, dict[str, str]]
) -> None:
    one = shared
    with site(common[1]) as another:
        opened = one.ask("2025-11-25", "initialize", **INITIALIZE)
        answers = [each.ask(era, "tools/call", **GET_ORDER) for each in (one, another, one)]

    assert "mcp-session-id" not in opened.headers
    for answer in answers:
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["result"]["structuredContent"]["orders"][0]["order_id"] == "ord_shirt"
        assert "mcp-session-id" not in answer.headers


@pytest.mark.slow
def test_any_process_takes_the_answer_to_a_question_of_another(
    live: dict[str, str], shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    able: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
    wanted = refund(sale) | {"_meta": MODERN["_meta"] | able}
    asks = live | {"CLAWVER_REFUND_APPROVAL": "chat", "CLAWVER_HTTP_TOKEN": TOKEN}
    with site(asks) as one, site(asks) as another:
        asked = one.ask("2026-07-28", "tools/call", **wanted).json()["result"]
        (refund_id,) = asked["inputRequests"]
        reply = wanted | {
            "inputResponses": {refund_id: {"action": "accept", "content": {"approve": True}}},
            "requestState": asked["requestState"],
        }
        time.sleep(1.05)  # a person takes a while
        answers = [each.ask("2026-07-28", "tools/call", **reply) for each in (another, one)]

    assert [answer.json()["result"]["structuredContent"]["status"] for answer in answers] == [
        "refunded", "already_refunded"
    ]  # fmt: skip
    assert [cents for order, cents in shop.refunds() if order == sale] == [700]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_is_no_stream_and_no_session_to_open_or_close(method: str, shared: Site) -> None:
    answer = httpx2.request(method, shared.url, headers=ACCEPT, trust_env=False)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_slash_at_the_end_is_no_other_address(shared: Site) -> None:
    health = httpx2.get(f"{shared.base}/healthz/", headers=ACCEPT, trust_env=False)
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    answer = httpx2.post(f"{shared.url}/", json=body, headers=ACCEPT, trust_env=False)

    assert (answer.status_code, answer.json()["result"]) == (200, {})
    assert health.status_code == 404


def test_a_stranger_who_wants_another_protocol_leaves_no_trace(live: dict[str, str]) -> None:
    with site(live | {"CLAWVER_HTTP_TOKEN": TOKEN}) as server:
        answer = server.post({}, upgrade="websocket", connection="Upgrade")
        server.process.send_signal(signal.SIGTERM)
        complaints = server.end()

    assert answer.status_code == 401
    assert "uvicorn" not in complaints


def test_a_load_balancer_may_ask_whether_it_is_up(guarded: Site) -> None:
    answer = httpx2.get(f"{guarded.base}/healthz", headers={"host": "10.0.0.7"}, trust_env=False)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "options", "ready"),
    [
        ({}, [], True),
        ({"CLAW_API_KEY": ""}, [], True),  # then it is not known where its ledger will be
        ({}, ["--sandbox"], False),
    ],
)
def test_it_says_whether_it_can_write_where_its_ledger_is(
    live: dict[str, str], which: dict[str, str], options: list[str], ready: bool
) -> None:
    stores = Path(live["CLAWVER_STATE_DIR"]) / "stores"
    stores.mkdir(parents=True, mode=0o700)
    (stores / "sandbox").write_text("in the way")
    with site(live | which | {"CLAWVER_HTTP_TOKEN": TOKEN}, *options) as server:
        paths = ("healthz", "readyz")
        up, able = (
            httpx2.get(f"{server.base}/{path}", headers={"host": "10.0.0.7"}, trust_env=False)
            for path in paths
        )

    assert up.status_code == 200
    reason = {"status": "not ready", "reason": "it cannot be written"}
    assert able.status_code == (200 if ready else 503)
    assert able.json() == ({"status": "ready"} if ready else reason)


@pytest.mark.slow
@pytest.mark.parametrize("is_met", [True, False])
def test_where_a_database_is_named_it_says_whether_that_can_be_written(
    live: dict[str, str], tmp_path: Path, shop: Shop, schemas: Schemas, is_met: bool
) -> None:
    settings = Settings.from_environment(live | {"CLAWVER_DATABASE_URL": schemas.url})
    if is_met:
        scopes.note(settings, shop.details()["id"], "Ada's")
    schemas.are_used_by(settings, shop.details()["id"])
    (tmp_path / "state").mkdir(exist_ok=True, mode=0o700)
    told = []
    for url in (schemas.url, "postgresql://ada:password_example@127.0.0.1:1/orders"):
        with site(live | {"CLAWVER_HTTP_TOKEN": TOKEN, "CLAWVER_DATABASE_URL": url}) as server:
            able = httpx2.get(f"{server.base}/readyz", trust_env=False)
        told.append((able.status_code, able.json()))

    away = {"status": "not ready", "reason": "the database cannot be reached, or is busy"}
    assert told == [(200, {"status": "ready"}), (503, away)]


@pytest.mark.slow
def test_more_connections_than_it_holds_are_turned_away_and_it_recovers(
    live: dict[str, str],
) -> None:
    with site(live) as server:
        assert crowd_out(server.port).endswith(b"503")
        assert is_served_again(lambda: server.ask("2026-07-28", "tools/list"))


def test_the_body_of_a_refused_request_is_not_waited_for(guarded: Site) -> None:
    with connected(guarded, "{", length=100) as line:
        line.settimeout(10)
        said = b""
        while piece := line.recv(4096):
            said += piece

    assert said.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421), ({"origin": "http://evil.example"}, 403), ({"origin": "null"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 421),
    ],
)  # fmt: skip
def test_a_page_elsewhere_reaches_nothing(
    headers: dict[str, str], status: int, shared: Site, common: tuple[Shop, dict[str, str]]
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": GET_ORDER}
    before = len(common[0].requests())
    assert shared.post(body, **headers).status_code == status
    assert shared.post(body).status_code == 200

    assert len(common[0].requests()) == before + 1


@pytest.mark.parametrize("bearer", ["", "wrong-example-token-of-32-charact", KEY])
def test_with_a_token_nothing_else_is_accepted_not_even_the_stores_key(
    bearer: str, guarded: Site, common: tuple[Shop, dict[str, str]]
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": GET_ORDER}
    given = {"authorization": f"Bearer {bearer}"} if bearer else {}
    before = common[0].requests()
    refused = guarded.post(body, **given)
    asked = common[0].requests()
    accepted = guarded.post(body, authorization=f"Bearer {TOKEN}")

    assert (refused.status_code, asked) == (401, before)
    assert accepted.json()["result"]["structuredContent"]["orders"][0]["order_id"] == "ord_shirt"


def test_off_loopback_it_answers_to_the_names_and_the_token_that_were_set(
    live: dict[str, str],
) -> None:
    protected = live | {"CLAWVER_HTTP_TOKEN": TOKEN, "CLAWVER_HTTP_HOSTS": "shop.example"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    bearer = {"authorization": f"Bearer {TOKEN}"}
    with site(protected, "--host", "0.0.0.0") as server:  # noqa: S104  # what is tested
        server.url = f"http://127.0.0.1:{server.port}/mcp"
        answers = [
            server.post(body, host="shop.example", **bearer),
            server.post(body, host=f"127.0.0.1:{server.port}", **bearer),
            server.post(body, host="shop.example"),
            server.post(body, host="shop.example", origin="https://evil.example", **bearer),
        ]

    assert [answer.status_code for answer in answers] == [200, 421, 401, 403]


@pytest.mark.parametrize(
    ("host", "settings", "says"),
    [
        ("0.0.0.0", {}, "CLAWVER_HTTP_TOKEN"), ("::", {}, "CLAWVER_HTTP_TOKEN"), ("", {}, "CLAWVER_HTTP_TOKEN"),  # noqa: S104
        ("192.0.2.1", {"CLAWVER_HTTP_HOSTS": "shop.example"}, "CLAWVER_HTTP_TOKEN"),
        ("0.0.0.0", {"CLAWVER_HTTP_TOKEN": TOKEN}, "CLAWVER_HTTP_HOSTS"),  # noqa: S104
        ("0.0.0.0", {"CLAWVER_HTTP_TOKEN": "too-short", "CLAWVER_HTTP_HOSTS": "a.example"}, "CLAWVER_HTTP_TOKEN"),  # noqa: S104
        ("127.0.0.1", {"CLAWVER_HTTP_HOSTS": "shop.example"}, "CLAWVER_HTTP_TOKEN"),
        ("127.0.0.1", {"CLAWVER_HTTP_TOKEN": KEY}, "CLAWVER_HTTP_TOKEN"),
        ("127.0.0.1", {"CLAWVER_HTTP_HOSTS": "https://shop.example/"}, "CLAWVER_HTTP_HOSTS"),
        ("192.0.2.1", {"CLAWVER_HTTP_TOKEN": TOKEN, "CLAWVER_HTTP_HOSTS": "a.example"}, "--host"),
        ("a..b", {"CLAWVER_HTTP_TOKEN": TOKEN, "CLAWVER_HTTP_HOSTS": "a.example"}, "--host"),
    ],
)  # fmt: skip
def test_it_does_not_start_where_others_could_reach_it_unprotected(
    host: str, settings: dict[str, str], says: str, live: dict[str, str]
) -> None:
    done = run("serve", "--http", "--port", "0", "--host", host, **live | settings)

    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(value in done.stderr for value in settings.values() if "example-" in value)


@pytest.mark.parametrize("host", with_slow(["127.0.0.7"], ["localhost", "127.0.0.1"]))
def test_on_this_machine_it_starts_without_a_token(host: str, live: dict[str, str]) -> None:
    with site(live, "--host", host) as server:
        assert server.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code == 200


@pytest.mark.slow
def test_the_page_says_where_it_serves_and_its_examples_start(live: dict[str, str]) -> None:
    page = TEXTS["docs/http.md"]
    with_token, off_loopback, _ = (block.strip() for block in blocks(page, "sh"))
    token, echo, _ = with_token.splitlines()
    assert echo.startswith('echo "$CLAWVER_HTTP_TOKEN"')
    command = off_loopback.replace("clawver-orders", f"exec {shlex.join(COMMAND)}") + " --port 0"
    command = f"{token}\n{command}"
    with site(live, command=("sh", "-c", command)) as server:
        server.url = f"http://127.0.0.1:{server.port}/mcp"
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert server.post(body, host="orders.example.com").status_code == 401

    assert "`http://127.0.0.1:8788/mcp`" in page
    command = with_token.replace(echo, 'echo "$CLAWVER_HTTP_TOKEN" >&2').replace(
        "\nclawver-orders", f"\nexec {shlex.join(COMMAND)}"
    )
    with site(live, command=("sh", "-c", f"{command} --port 0")) as server:
        assert server.process.stderr is not None
        server.token = server.process.stderr.readline().strip()
        listed = server.ask("2026-07-28", "tools/list").json()["result"]["tools"]
        server.token = None
        refused = server.ask("2026-07-28", "tools/list")
    assert "refund_order" in {tool["name"] for tool in listed}
    assert refused.status_code == 401
    told = " ".join(run("serve", "--help").stdout.split())
    assert "[default: 127.0.0.1]" in told
    assert "[default: 8788]" in told


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_it_serves_over_ipv6(live: dict[str, str]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with site(live, "--host", "::1") as server:
        assert server.base.startswith("http://[::1]:")
        assert server.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}).status_code == 200


def test_a_port_that_is_taken_is_a_sentence(store_url: str, live: dict[str, str]) -> None:
    port = store_url.rsplit(":", 1)[1]
    done = run("serve", "--http", "--port", port, **live)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"Port {port} is in use, so nothing was started. Choose another one"
    )


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        (f"{'x' * 70}.example", "this is no host name"),
    ],
)
def test_an_address_that_cannot_be_had_is_a_sentence(
    live: dict[str, str], host: str, why: str
) -> None:
    told = {"CLAWVER_HTTP_TOKEN": "example-" * 5, "CLAWVER_HTTP_HOSTS": "desk.example"}
    done = run("serve", "--http", "--host", host, "--port", "0", **live, **told)

    assert done.returncode == 1
    assert done.stderr.startswith(f"The server cannot listen on that host and port ({why}). Take")


@pytest.mark.parametrize("words", [("--port", "1"), ("--host", "127.0.0.1")])
def test_an_address_without_http_is_refused(words: tuple[str, ...], live: dict[str, str]) -> None:
    done = run("serve", *words, **live)

    assert (done.returncode, done.stdout) == (2, "")
    assert "belong to --http" in done.stderr


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "Application/JSON; charset=utf-8", "Accept": "application/json"},
    ],
    ids=["no Accept", "in capitals"],
)
def test_headers_are_read_as_http_means_them(headers: dict[str, str], shared: Site) -> None:
    connection = HTTPConnection("127.0.0.1", shared.port, timeout=30)
    token = {"Authorization": f"Bearer {shared.token}"} if shared.token else {}
    connection.request("POST", "/mcp", b'{"jsonrpc":"2.0","id":1,"method":"ping"}', headers | token)

    assert connection.getresponse().status == 200
    connection.close()


def test_a_body_that_is_too_large_is_refused_and_the_server_lives_on(shared: Site) -> None:
    padding = "x" * (4 * 1024 * 1024)
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": padding}}
    declared = shared.post(body)
    chunked = httpx2.post(
        shared.url,
        content=(padding[:65536].encode() for _ in range(80)),
        headers=ACCEPT | {"content-type": "application/json"},
        trust_env=False,
    )
    after = shared.post(body | {"params": {"x": padding[:-200]}})

    assert (declared.status_code, chunked.status_code) == (413, 413)
    assert after.json()["result"] == {}


@pytest.mark.parametrize("era", ERAS)
def test_what_is_no_message_is_answered_and_the_server_lives_on(era: str, shared: Site) -> None:
    headers = ACCEPT | {"content-type": "application/json", "mcp-protocol-version": era}
    for content in (b"hello", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}'):  # fmt: skip
        answer = httpx2.post(shared.url, content=content, headers=headers, trust_env=False)
        assert answer.status_code in {200, 400, 404}, content
        assert "error" in answer.json()
    after = shared.ask(era, "tools/call", **GET_ORDER)

    assert after.json()["result"]["structuredContent"]["orders"][0]["order_id"] == "ord_shirt"


@pytest.fixture
def clawver() -> Iterator[tuple[str, list[str]]]:
    """A Clawver that keeps everything that it is sent, and knows nothing."""
    heard: list[str] = []

    class Keeping(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path}\n{self.headers}")
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Keeping) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", heard
        server.shutdown()
        thread.join()


@one_now
def test_the_token_is_never_forwarded(
    era: str, clawver: tuple[str, list[str]], live: dict[str, str]
) -> None:
    url, heard = clawver
    live |= {"CLAWVER_API_URL": url, "CLAWVER_HTTP_TOKEN": TOKEN}
    calls: tuple[dict[str, Any], ...] = (
        GET_ORDER,
        {"name": "get_receipt", "arguments": {"checkout_id": "chk_digital"}},
    )
    with site(live) as server:
        for each in calls:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": each | ERAS[era]}
            headers = {
                "mcp-protocol-version": era,
                "mcp-method": "tools/call",
                "mcp-name": each["name"],
            }
            answer = server.post(body, authorization=f"Bearer {TOKEN}", **headers)
            assert answer.status_code == 200

    assert len(heard) == 2
    assert TOKEN not in "".join(heard)
    assert KEY in heard[0]
    assert "authorization" not in heard[1].lower()


@pytest.mark.slow
def test_the_token_is_never_logged(live: dict[str, str]) -> None:
    protected = live | {"CLAWVER_HTTP_TOKEN": TOKEN, "CLAWVER_LOG_LEVEL": "debug"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": GET_ORDER}
    with site(protected) as server:
        server.post(body, authorization=f"Bearer {TOKEN}")
        server.post(body, authorization=f"Basic {TOKEN}")
        server.post({}, authorization=f"Bearer {TOKEN}")
        httpx2.get(f"{server.url}?token={TOKEN}", trust_env=False)
        server.process.send_signal(signal.SIGTERM)
        said, complaints = server.process.communicate(timeout=60)

    assert "refused a request with status 401" in complaints
    assert TOKEN not in said + complaints
    assert KEY not in said + complaints


@pytest.mark.parametrize("number", with_slow([signal.SIGTERM], [signal.SIGINT]))
def test_an_idle_server_ends_cleanly(number: signal.Signals, live: dict[str, str]) -> None:
    live |= {"CLAWVER_HTTP_TOKEN": TOKEN}
    with site(live, command=telling_when_closed()) as server:
        server.ask("2025-11-25", "ping")
        server.process.send_signal(number)
        complaints = server.end()

    assert (server.process.returncode, complaints) == (0, "the lifespan is closed\n")


class Asking:
    """A request that is made while the test does something else."""

    def __init__(self, server: Site, era: str, **params: Any) -> None:
        self._answers: list[httpx2.Response] = []
        self.thread = threading.Thread(
            target=lambda: self._answers.append(server.ask(era, "tools/call", **params))
        )
        self.thread.start()

    def heard(self) -> httpx2.Response:
        self.thread.join(timeout=60)
        return self._answers[0]


def refund(order_id: str) -> dict[str, Any]:
    wanted = {"order_id": order_id, "amount_in_cents": 700, "reason": "Smudged"}
    return {"name": "refund_order", "arguments": wanted}


@pytest.mark.slow
@one_now
def test_what_is_under_way_is_finished_and_answered(
    era: str, live: dict[str, str], shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("slow", method="POST", path="/refund", seconds=2)
    shop.add_fault("slow", method="GET", path="ord_shirt", seconds=2)
    live |= {"CLAWVER_HTTP_TOKEN": TOKEN}
    with site(live, command=telling_when_closed()) as server:
        refunding = Asking(server, era, **refund(sale))
        reading = Asking(server, era, **GET_ORDER)
        wait_for(is_asked_for(shop, "POST"))
        wait_for(lambda: any("ord_shirt" in request["path"] for request in shop.requests()))
        server.process.send_signal(signal.SIGTERM)
        refunded, read = refunding.heard(), reading.heard()
        complaints = server.end()

    assert refunded.json()["result"]["structuredContent"]["status"] == "refunded"
    assert read.json()["result"]["structuredContent"]["orders"][0]["order_id"] == "ord_shirt"
    assert (server.process.returncode, complaints) == (0, "the lifespan is closed\n")


PATIENT_FOR_A_SECOND = """
import clawver_orders.serving.http.run as http
stop = http._stop_when_told
async def soon(server, under_way, patience): await stop(server, under_way, 1.0)
http._stop_when_told = soon
"""


@pytest.mark.slow
@one_now
def test_after_a_while_reads_are_ended_and_a_refund_is_still_finished(
    era: str, live: dict[str, str], shop: Shop
) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("slow", method="POST", path="/refund", seconds=4)
    shop.add_fault("slow", method="GET", path="ord_shirt", seconds=50)
    patch = SAYS_WHEN_ITS_LIFESPAN_CLOSES + PATIENT_FOR_A_SECOND
    command = patched(patch, "serve", "--http", "--port", "0")
    live |= {"CLAWVER_TIMEOUT_SECONDS": "60", "CLAWVER_HTTP_TOKEN": TOKEN}
    with site(live, command=command) as server:
        refunding = Asking(server, era, **refund(sale))
        reading = Asking(server, era, **GET_ORDER)
        wait_for(is_asked_for(shop, "POST"))
        wait_for(lambda: any("ord_shirt" in request["path"] for request in shop.requests()))
        server.process.send_signal(signal.SIGTERM)
        read = reading.heard()
        refunded = refunding.heard()
        complaints = server.end()

    assert read.status_code == 503
    assert "look before you repeat it" in read.text
    assert [cents for order, cents in shop.refunds() if order == sale] == [700]
    assert (server.process.returncode, complaints) == (0, "the lifespan is closed\n")
    if era == "2026-07-28":  # the older way keeps the request and its work apart
        assert refunded.json()["result"]["structuredContent"]["status"] == "refunded"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix sends them")
def test_a_second_signal_ends_it_at_once(live: dict[str, str], shop: Shop) -> None:
    shop.add_fault("slow", method="GET", path="ord_shirt", seconds=50)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": GET_ORDER})
    with site(live | {"CLAWVER_TIMEOUT_SECONDS": "60"}) as server, connected(server, body):
        wait_for(is_asked_for(shop, "GET"))
        server.process.send_signal(signal.SIGINT)
        with pytest.raises(TimeoutError):
            wait_for(lambda: server.process.poll() is not None, seconds=1)
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(timeout=120) == -signal.SIGTERM


@contextmanager
def connected(server: Site, body: str, *, length: int = 0) -> Iterator[socket.socket]:
    """A connection on which this has been sent, and nothing is read."""
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: {ACCEPT['accept']}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"{head}Content-Length: {length or len(body)}\r\n\r\n{body}".encode())
        yield line


@pytest.mark.slow
def test_a_client_that_keeps_its_connection_cannot_keep_the_server(live: dict[str, str]) -> None:
    with (
        site(live | {"CLAWVER_TIMEOUT_SECONDS": "1"}) as server,
        connected(server, "{", length=100),  # says the rest never
        connected(server, '{"jsonrpc":"2.0","id":1,"method":"ping"}') as idle,
    ):
        assert idle.recv(12) == b"HTTP/1.1 200"
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(timeout=120) == 0


@pytest.mark.slow
def test_a_client_that_does_not_read_cannot_keep_the_server(live: dict[str, str]) -> None:
    listing = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    with (
        site(live | {"CLAWVER_TIMEOUT_SECONDS": "1"}) as server,
        connected(server, listing) as line,
    ):
        head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: {ACCEPT['accept']}\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(listing)}\r\n\r\n{listing}".encode()
        line.settimeout(1)
        with suppress(TimeoutError):
            while True:  # until the server can send no more and reads no more
                line.sendall(request)
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(timeout=120) == 0


def test_short_answers_do_not_wait_for_the_network(shared: Site) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    medians: list[float] = []
    with httpx2.Client(trust_env=False) as client:
        while len(medians) < 20:
            taken = []
            for _ in range(30):
                start = time.monotonic()
                client.post(shared.url, json=ping, headers=ACCEPT)
                taken.append(time.monotonic() - start)
            medians.append(statistics.median(taken))
            if medians[-1] < 0.035:
                break

    # With the delay of small packets it is 0.044, always; the machine may be busy now and then.
    assert min(medians) < 0.035
