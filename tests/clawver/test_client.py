"""Each endpoint of Clawver's API: what it asks for, and which answers it takes."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.clawver.conftest import Talk
from tests.conftest import client_of, succeeding, telling

from clawver_orders.clawver.client import Clawver, _in_path
from clawver_orders.errors import (
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    UnexpectedAnswerError,
)
from clawver_orders.settings import Settings
from clawver_sandbox.shop import API_KEY, Shop


async def test_every_endpoint_answers_as_documented(clawver: Clawver) -> None:
    assert len((await clawver.orders(limit=5)).orders) == 5
    assert {o.status for o in (await clawver.orders(status="shipped", limit=5)).orders} == {
        "shipped"
    }
    order = await clawver.order("ord_digital")
    item = (order.items or ())[0]
    assert item.id is not None
    assert (await clawver.download(order.id, item.id)).file_size_bytes
    receipt = await clawver.receipt("chk_digital")
    assert receipt.order_id == order.id
    assert receipt.order_status_token is not None
    token = receipt.items[0].download_token
    assert token is not None
    assert (await clawver.customer_order(order.id, receipt.order_status_token)).id == order.id
    assert (await clawver.customer_download(order.id, item.id, token)).download_url
    shirt = await clawver.order("ord_shirt")
    product = await clawver.product((shirt.items or ())[0].product_id or "")
    assert product.print_on_demand is not None
    hook = await clawver.register_webhook(
        "https://hooks.example/x", ["order.paid"], "example-secret-of-16"
    )
    assert [each.id for each in await clawver.webhooks()] == [hook.id]
    assert hook.id is not None
    await clawver.delete_webhook(hook.id)
    assert await clawver.webhooks() == ()
    assert await clawver.server_time() is not None


@pytest.mark.parametrize(
    "fault", ["drop_after", "truncated", "garbage", "bare_success", "status_after", "huge", "gzip_bomb",
              "hang_after", "wrong_types", "deep", "foreign_order", "refunds_unreadable", "not_an_object"],
)  # fmt: skip
async def test_a_refund_without_a_clear_answer_is_unknown(
    talk: Talk, shop: Shop, fault: str
) -> None:
    shop.add_fault(fault, method="POST", status=500, seconds=1.0)

    with pytest.raises(OutcomeUnknownError):
        await talk(timeout_seconds=0.8).send_refund("ord_shirt", 100, "test", "rfi_1")
    assert [r["path"].endswith("/refund") for r in shop.requests()].count(True) == 1


async def test_a_refused_refund_is_a_refusal(clawver: Clawver, shop: Shop) -> None:
    with pytest.raises(RefusedError, match="VALIDATION_ERROR"):
        await clawver.send_refund("ord_shirt", 10**9, "too much", "rfi_1")
    with pytest.raises(OutcomeUnknownError):  # a conflict may be a second delivery
        await clawver.send_refund("ord_unpaid", 100, "never paid", "rfi_1")
    with pytest.raises(NotFoundError):
        await clawver.send_refund("ord_nobody", 100, "no such order", "rfi_1")
    assert not [r for r in shop.refunds() if r[0] in {"ord_shirt", "ord_unpaid"}]


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=80))
def test_only_an_id_becomes_part_of_a_path(value: str) -> None:
    is_id = re.fullmatch("[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", value) is not None

    if is_id:
        assert _in_path(value) == value
    else:
        with pytest.raises(InvalidRequestError):
            _in_path(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "../stores/me",
        "a/b",
        "%2e%2e",
        "a.b",
        "ord_1\n",
        "ord_1\x00",
        "ord_\u202e1",
        "órd",
        "-a",
        "a-",
        "a" * 256,
    ],
)
async def test_an_id_that_is_none_reaches_nobody(clawver: Clawver, shop: Shop, value: str) -> None:
    with pytest.raises(InvalidRequestError, match="Nothing was sent"):
        await clawver.order(value)
    assert shop.requests() == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xfe", b""),
        (b'{"success": true, "data": {"webhooks": {}}}', b""),
        (b'{"success": true, "data": {"webhooks": [7]}}', b""),
        (b"not gzip", b"Content-Encoding: gzip\r\n"),
        (b"{}", b"Content-Encoding: br\r\n"),
        (b'{"success": 1, "data": {"webhooks": []}}', b""),
        (b'{"success": true, "data": []}', b""),
    ],
)
async def test_a_body_that_says_nothing_usable_is_an_error(
    http: httpx2.AsyncClient, body: bytes, headers: bytes
) -> None:
    async with telling(lambda _: (headers, body)) as url:
        with pytest.raises(UnexpectedAnswerError):
            await client_of(Settings(api_key=API_KEY, api_url=url), http).webhooks()


@pytest.mark.parametrize(
    "data",
    [{"receipt": {"checkoutId": "chk_2"}}],
)
async def test_a_receipt_that_is_wrong_is_an_error(http: httpx2.AsyncClient, data: Any) -> None:
    async with telling(lambda _: succeeding(data)) as url:
        with pytest.raises(UnexpectedAnswerError):
            await client_of(Settings(api_key=API_KEY, api_url=url), http).receipt("chk_1")


async def test_a_token_that_is_none_is_left_out(http: httpx2.AsyncClient) -> None:
    items = [{"downloadToken": "a b"}, {"downloadToken": "abc"}]
    async with telling(lambda _: succeeding({"receipt": {"items": items}})) as url:
        receipt = await client_of(Settings(api_key=API_KEY, api_url=url), http).receipt("chk_1")

    assert [item.download_token for item in receipt.items] == [None, "abc"]


@pytest.mark.parametrize("webhook", [{"url": "https://hooks.example/x"}, {"id": 7}, None])
async def test_a_registered_webhook_without_an_id_is_unknown(
    http: httpx2.AsyncClient, webhook: Any
) -> None:
    async with telling(lambda _: succeeding({"webhook": webhook})) as url:
        clawver = client_of(Settings(api_key=API_KEY, api_url=url), http)
        with pytest.raises(OutcomeUnknownError):
            await clawver.register_webhook("https://hooks.example/x", ["order.paid"], "x" * 16)


async def test_a_webhook_with_odd_parts_hides_no_others(http: httpx2.AsyncClient) -> None:
    listed = [{"id": 7, "url": None, "events": ["order.paid", None], "createdAt": "x"}, {"id": "w"}]
    async with telling(lambda _: succeeding({"webhooks": listed})) as url:
        first, second = await client_of(Settings(api_key=API_KEY, api_url=url), http).webhooks()

    assert (first.id, first.url, first.events, first.created_at) == (
        None,
        "",
        ("order.paid",),
        None,
    )
    assert second.id == "w"


async def test_a_receipt_without_a_frame_is_read(http: httpx2.AsyncClient) -> None:
    async with telling(lambda _: succeeding({"orderId": "ord_1"})) as url:
        receipt = await client_of(Settings(api_key=API_KEY, api_url=url), http).receipt("chk_1")

    assert receipt.order_id == "ord_1"


async def test_an_order_of_the_sandbox_is_known_as_one(clawver: Clawver, shop: Shop) -> None:
    read = await clawver.order("ord_digital")
    refunded = await clawver.send_refund("ord_digital", 100, "Torn", "rfi_example")

    assert read.sandbox == refunded.sandbox == shop.id


DATED = b"Date: Tue, 24 Nov 2026 12:00:00 GMT\r\n"


@pytest.mark.parametrize(
    ("header", "answered_at"),
    [(DATED, datetime(2026, 11, 24, 12, tzinfo=UTC)), (b"Date: yesterday\r\n", None), (b"", None)],
)
async def test_an_order_tells_when_its_server_answered(
    http: httpx2.AsyncClient, header: bytes, answered_at: datetime | None
) -> None:
    order = {
        "id": "ord_1",
        "status": "delivered",
        "totalInCents": 100,
        "createdAt": "2026-11-20T00:00:00Z",
    }
    claimed = order | {"answeredAt": "2020-01-01T00:00:00Z", "answered_at": "2020-01-01T00:00:00Z"}
    async with telling(lambda _: (header, succeeding({"order": claimed})[1])) as url:
        clawver = client_of(Settings(api_key=API_KEY, api_url=url), http)
        read = await clawver.order("ord_1")
        as_customer = await clawver.customer_order("ord_1", "token")
        refunded = await clawver.send_refund("ord_1", 100, "Torn", "rfi_example")

    assert read.answered_at == as_customer.answered_at == refunded.answered_at == answered_at


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda c: c.receipt("chk_nope"), "no call lists them"),
        (lambda c: c.order("ord_nope"), "list_orders, or with get_receipt"),
    ],
)
async def test_an_id_that_is_not_known_names_where_ids_stand(
    clawver: Clawver, read: Callable[[Clawver], Any], says: str
) -> None:
    with pytest.raises(NotFoundError, match=says):
        await read(clawver)


async def test_a_yes_to_a_refund_is_one_whatever_is_only_shown(http: httpx2.AsyncClient) -> None:
    refund = {"id": "ref_1", "amountInCents": 1, "createdAt": "0001-01-01T00:00:00+23:59"}
    order = {"id": "ord_1", "totalInCents": 1, "createdAt": "soon", "refunds": [refund], "items": 3}
    async with telling(lambda _: succeeding({"order": order})) as url:
        clawver = client_of(Settings(api_key=API_KEY, api_url=url), http)
        read = await clawver.send_refund("ord_1", 1, "x", "rfi_1")

    assert [each.id for each in read.refunds or ()] == ["ref_1"]


@pytest.mark.parametrize(
    ("pages", "cursor"),
    [
        ({"cursor": "next", "hasMore": True}, "next"),
        ({"cursor": "next", "hasMore": False}, ""),
        ({"cursor": None, "hasMore": True}, ""),
        ({"cursor": "x" * 1001, "hasMore": True}, ""),
        (None, ""),
    ],
)
async def test_odd_reviews_hide_no_others_and_pages_go_on_only_with_a_cursor(
    pages: object, cursor: str, http: httpx2.AsyncClient
) -> None:
    rows = [
        {"orderId": "ord_1", "rating": 4},
        None,
        {"orderId": 7, "rating": "*", "response": "Hi"},
    ]
    body = {"success": True, "data": {"reviews": rows}, "pagination": pages}
    async with telling(lambda _: (b"", json.dumps(body).encode())) as url:
        read, following = await client_of(Settings(api_key=API_KEY, api_url=url), http).reviews()

    assert [(each.order_id, each.rating, each.response) for each in read] == [
        ("ord_1", 4, None), (None, None, None),
    ]  # fmt: skip
    assert following == cursor


async def test_a_list_of_reviews_that_is_none_is_an_error(http: httpx2.AsyncClient) -> None:
    async with telling(lambda _: succeeding({"reviews": 3})) as url:
        clawver = client_of(Settings(api_key=API_KEY, api_url=url), http)
        with pytest.raises(UnexpectedAnswerError, match="list of reviews cannot be read"):
            await clawver.reviews()
