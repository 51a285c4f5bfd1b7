"""Requests over HTTP: what leaves this machine, and what is made of what comes back."""

import gzip
import socket
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from tests.clawver.conftest import Talk
from tests.conftest import Configure, client_of, succeeding, telling

from clawver_orders.clawver import transport
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.transport import Response, Transport
from clawver_orders.errors import (
    ClawverError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    SetupError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_sandbox.api import build_app
from clawver_sandbox.shop import API_KEY, Shop


async def test_the_key_travels_on_owner_calls_and_never_with_a_customers_token(
    clawver: Clawver, shop: Shop
) -> None:
    await clawver.order("ord_digital")
    receipt = await clawver.receipt("chk_digital")
    await clawver.customer_order("ord_digital", receipt.order_status_token or "")
    item = receipt.items[0]
    await clawver.customer_download("ord_digital", item.id or "", item.download_token or "")

    assert [request["has_key"] for request in shop.requests()] == [True, False, False, False]


@pytest.mark.parametrize(
    ("fault", "settings"),
    [
        ("drop_before", {}), ("status_before", {"status": 500}), ("status_before", {"status": 503}),
        ("status_bare", {"status": 502}), ("rate_limited", {"retry_after": "0"}),
    ],
)  # fmt: skip
async def test_a_read_is_repeated_when_that_can_help(
    clawver: Clawver, shop: Shop, fault: str, settings: dict[str, Any]
) -> None:
    shop.add_fault(fault, times=2, **settings)

    order = await clawver.order("ord_digital")

    assert order.id == "ord_digital"
    assert len(shop.requests()) == 3


async def test_a_read_is_not_repeated_for_ever(clawver: Clawver, shop: Shop) -> None:
    shop.add_fault("status_before", status=500, times=-1)

    with pytest.raises(UnreachableError, match=r"HTTP 500\)\. Nothing was changed\."):
        await clawver.order("ord_digital")
    assert len(shop.requests()) == transport.TRIES


@pytest.mark.parametrize(
    "send",
    [
        lambda c: c.send_refund("ord_shirt", 100, "test", "rfi_1"),
        lambda c: c.register_webhook(
            "https://hooks.example/", ["order.paid"], "example-secret-of-16"
        ),
        lambda c: c.delete_webhook("wh_1"),
    ],
)
@pytest.mark.parametrize(
    "fault", ["drop_before", "status_before", "status_bare", "redirect", "hang_before"]
)
async def test_nothing_that_writes_is_ever_repeated(
    talk: Talk, shop: Shop, fault: str, send: Callable[[Clawver], Any]
) -> None:
    shop.add_fault(fault, times=-1, status=503, seconds=4.0)

    with pytest.raises(OutcomeUnknownError, match="Do not repeat it"):
        await send(talk(timeout_seconds=2.0))
    assert len(shop.requests()) == 1


async def test_a_refund_that_never_left_is_not_unknown(http: httpx2.AsyncClient) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listening: nobody else gets the port meanwhile
        port = closed.getsockname()[1]
        nobody = Settings(api_key=API_KEY, api_url=f"http://127.0.0.1:{port}/v1")

        with pytest.raises(UnreachableError, match="never left"):
            await client_of(nobody, http).send_refund("ord_1", 100, "test", "rfi_1")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("garbage", UnexpectedAnswerError), ("not_an_object", UnexpectedAnswerError),
        ("no_success", UnexpectedAnswerError), ("bare_success", UnexpectedAnswerError),
        ("wrong_types", UnexpectedAnswerError), ("deep", UnexpectedAnswerError),
        ("foreign_order", UnexpectedAnswerError), ("refunds_unreadable", UnexpectedAnswerError),
        ("redirect", UnexpectedAnswerError), ("huge", UnexpectedAnswerError),
        ("gzip_bomb", UnexpectedAnswerError), ("truncated", UnreachableError),
        ("drop_before", UnreachableError), ("hang_before", UnreachableError), ("slow", UnreachableError),
        ("echo_key", SetupError),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_used_says_so_and_repeats_nothing_of_it(
    talk: Talk, shop: Shop, fault: str, error: type[ClawverError]
) -> None:
    shop.add_fault(fault, times=-1, seconds=3.0)

    with pytest.raises(error) as caught:
        await talk(timeout_seconds=0.6).order("ord_digital")
    assert "Nothing was changed." in str(caught.value)
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, UnexpectedAnswerError), (401, SetupError), (403, SetupError), (404, SetupError),
        (409, UnexpectedAnswerError), (418, UnexpectedAnswerError), (304, UnexpectedAnswerError),
    ],
)  # fmt: skip
async def test_a_status_without_the_envelope_is_understood_as_far_as_it_goes(
    clawver: Clawver, shop: Shop, status: int, error: type[ClawverError]
) -> None:
    shop.add_fault("status_bare", status=status, times=-1)

    with pytest.raises(error):
        await clawver.order("ord_digital")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 418, 429])
async def test_a_refusal_without_the_envelope_is_no_refusal_of_a_refund(
    clawver: Clawver, shop: Shop, status: int
) -> None:
    shop.add_fault("status_bare", status=status, method="POST")

    with pytest.raises(OutcomeUnknownError):
        await clawver.send_refund("ord_shirt", 100, "test", "rfi_1")


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("", bytes), ("Identity", bytes), ("gzip", gzip.compress), ("x-gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(b"") + gzip.compress(body[9:])),
    ],
)  # fmt: skip
async def test_an_answer_is_read_in_every_form_that_http_has_for_it(
    encoding: str, packed: Callable[[bytes], bytes], http: httpx2.AsyncClient
) -> None:
    order = {"id": "ord_1", "totalInCents": 100, "paymentStatus": "paid", "refunds": []}
    _, body = succeeding({"order": order})
    headers = f"Content-Encoding: {encoding}\r\n".encode()
    async with telling(lambda _: (headers, packed(body))) as url:
        read = await client_of(Settings(api_url=url, api_key=API_KEY), http).order("ord_1")

    assert read.id == "ord_1"


async def test_a_bomb_does_not_fill_the_memory(talk: Talk, shop: Shop) -> None:
    shop.add_fault("gzip_bomb", times=1)
    tracemalloc.start()

    with pytest.raises(UnexpectedAnswerError):
        await talk().order("ord_digital")

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024 * 1024  # the store makes its bomb in this process, too


async def test_a_wait_that_is_too_long_is_told_instead_of_waited_for(
    clawver: Clawver, shop: Shop
) -> None:
    shop.add_fault("rate_limited", retry_after="3600", times=-1)

    with pytest.raises(RateLimitedError, match=r"Wait 3600 seconds, then repeat the same call\."):
        await clawver.order("ord_digital")
    assert len(shop.requests()) == 1


@pytest.mark.parametrize(
    ("says", "seconds"),
    [
        ("120", 120), ("0", 0), ("9" * 6, 86_400), ("soon", 60), ("", 60), ("9" * 30, 60), ("Mon, 01 Jan 2024 00:00:00 +99999999999999999", 60), ("-5", 60),
        ("DATE", 300), ("DATE -0000", 300), ("Wed, 01 Jan 2020 00:00:00 GMT", 0),
    ],
)  # fmt: skip
async def test_both_forms_of_retry_after_are_read(
    http: httpx2.AsyncClient, configure: Configure, shop: Shop, says: str, seconds: int
) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    later = format_datetime(now + timedelta(minutes=5), usegmt=says == "DATE")
    value = says if "DATE" not in says else later.replace("+0000", "-0000")
    shop.add_fault("rate_limited", method="DELETE", retry_after=value)

    with pytest.raises(RateLimitedError) as refused:
        await client_of(configure(), http, now=lambda: now).delete_webhook("wh_1")
    assert refused.value.seconds == seconds


async def test_a_redirect_takes_neither_the_key_nor_the_request(
    clawver: Clawver, shop: Shop
) -> None:
    shop.add_fault("redirect", times=-1)

    with pytest.raises(UnexpectedAnswerError, match="redirect"):
        await clawver.order("ord_digital")
    assert [request["path"] for request in shop.requests()] == ["/v1/orders/ord_digital"]


async def test_without_a_key_nothing_is_sent_but_customers_calls_work(
    talk: Talk, shop: Shop
) -> None:
    keyless = talk(api_key=None)

    with pytest.raises(SetupError, match=r"set CLAW_API_KEY .* --sandbox"):
        await keyless.order("ord_digital")
    assert shop.requests() == []
    assert (await keyless.receipt("chk_digital")).order_id == "ord_digital"


@pytest.mark.parametrize("because", ["CLAWVER_READ_ONLY", "no CLAWVER_HTTP_TOKEN"])
async def test_read_only_sends_nothing_but_get(
    because: str, talk: Talk, http: httpx2.AsyncClient, configure: Configure, shop: Shop
) -> None:
    reader = (
        talk(read_only=True)
        if because == "CLAWVER_READ_ONLY"
        else client_of(configure().over_http(), http)
    )

    for send in (
        reader.send_refund("ord_shirt", 100, "test", "rfi_1"),
        reader.register_webhook("https://hooks.example/", ["order.paid"], "example-secret-of-16"),
        reader.delete_webhook("wh_1"),
    ):
        with pytest.raises(SetupError, match=rf"This server is read-only \({because}\)"):
            await send
    assert shop.requests() == []


async def test_a_wrong_token_and_a_wrong_key_are_told_apart(talk: Talk) -> None:
    with pytest.raises(RefusedError, match="token"):
        await talk().customer_order("ord_digital", "wrong-example-token")
    with pytest.raises(SetupError, match="CLAW_API_KEY"):
        await talk(api_key="claw_sk_test_example_wrong").order("ord_digital")


def test_a_request_id_is_passed_on_only_when_it_is_one() -> None:
    assert (
        Response(500, {"x-request-id": "req_abc"}, None).request_id
        == " Clawver's request id: req_abc."
    )
    assert Response(500, {}, {"requestId": "req_1"}).request_id == " Clawver's request id: req_1."
    assert Response(500, {"x-request-id": "req_1 do as I say"}, {"requestId": 7}).request_id == ""


async def test_a_store_elsewhere_is_no_sandbox_whatever_its_header_says(shop: Shop) -> None:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=build_app(shop))) as http:
        here, there = (
            client_of(Settings(api_url=url, api_key=API_KEY), http)
            for url in ("http://127.0.0.1/v1", "https://api.clawver.store/v1")
        )
        orders = [await each.order("ord_digital") for each in (here, there)]

    assert [each.sandbox for each in orders] == [shop.id, ""]


@pytest.mark.parametrize(
    "headers",
    [
        b"", b"X-Clawver-Sandbox: \r\n", b"X-Clawver-Sandbox: sbx_\r\n", b"X-Clawver-Sandbox: on\r\n",
        b"X-Clawver-Sandbox: sbx_A\r\n", b"X-Clawver-Sandbox: sbx_" + b"a" * 41 + b"\r\n",
        b"X-Clawver-Sandbox: sbx_a\r\nX-Clawver-Sandbox: sbx_b\r\n",
    ],
)  # fmt: skip
async def test_only_a_header_that_names_a_sandbox_makes_an_order_one_of_a_sandbox(
    http: httpx2.AsyncClient, headers: bytes
) -> None:
    order = {"id": "ord_1", "status": "confirmed", "totalInCents": 500, "createdAt": "2026-01-01T00:00:00Z"}  # fmt: skip
    order["sandbox"] = "sbx_a"
    _, body = succeeding({"order": order, "orders": [order]})
    async with telling(lambda _: (headers, body)) as url:
        clawver = client_of(Settings(api_url=url, api_key=API_KEY), http)
        read = [await clawver.order("ord_1"), *(await clawver.orders(limit=1)).orders]

    assert [each.sandbox for each in read] == ["", ""]


async def test_a_session_from_an_owners_call_joins_no_customers_call(
    configure: Configure, shop: Shop
) -> None:
    shop.add_fault("status_before", status=401, headers={"set-cookie": "session=owner; Path=/"})
    async with opened(configure()) as services:
        with pytest.raises(SetupError):
            await services.clawver.order("ord_digital")
        await services.clawver.receipt("chk_digital")
        assert not services.clawver._transport._http.cookies


async def test_an_address_that_is_not_the_api_is_a_matter_of_settings(
    http: httpx2.AsyncClient, store_url: str
) -> None:
    with pytest.raises(SetupError, match="CLAWVER_API_URL"):
        await client_of(Settings(api_key=API_KEY, api_url=store_url), http).orders(limit=1)


async def test_a_refund_without_a_key_is_a_matter_of_settings_and_not_unknown(
    talk: Talk, shop: Shop
) -> None:
    with pytest.raises(SetupError, match="nothing was sent"):
        await talk(api_key=None).send_refund("ord_shirt", 100, "test", "rfi_1")
    assert shop.requests() == []


async def test_a_request_beyond_the_allowance_never_leaves(
    configure: Configure, shop: Shop
) -> None:
    budget = Budget(Path(":memory:"), 6, 6, lambda: 1000.0)
    for _ in range(6):
        await budget.take(urgent=True)
    async with httpx2.AsyncClient() as http:
        clawver = Clawver(Transport(configure(), http, fresh=http, budget=budget))
        with pytest.raises(UnreachableError, match=r"6 a minute, 6 a day\) is used up"):
            await clawver.send_refund("ord_shirt", 100, "test", "rfi_1")
        with pytest.raises(RateLimitedError) as refused:
            await clawver.order("ord_shirt")

    assert refused.value.seconds == 86_400
    assert shop.requests() == []


async def test_what_writes_goes_out_on_a_connection_of_its_own(configure: Configure) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
    _, body = succeeding({"webhooks": []})
    connections: list[list[str]] = []

    async def answer(stream: SocketStream) -> None:
        heard: list[str] = []
        connections.append(heard)
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:  # the other side may keep the connection for its next request
                    heard.append((await stream.receive()).split(b" ")[0].decode())
                    await stream.send(
                        b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                    )

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        async with opened(configure(api_url=f"http://127.0.0.1:{port}/v1")) as services:
            for _ in range(2):
                await services.clawver.webhooks()
                await services.clawver.delete_webhook("wh_1")
        tasks.cancel_scope.cancel()

    assert connections == [["GET", "GET"], ["DELETE"], ["DELETE"]]
