"""Faults: what the caller sees, and whether the refund was recorded."""

import asyncio
import zlib
from itertools import repeat
from typing import Any

import httpx2
import pytest
from starlette.responses import Response
from starlette.types import Message

from clawver_sandbox.api import build_app
from clawver_sandbox.faults import NAMES, Exchange, Fault, play
from clawver_sandbox.shop import API_KEY, Shop

REFUND = {"amountInCents": 100, "reason": "a reason"}
PATH = "/orders/ord_digital/refund"
WITHOUT_EFFECT = {
    "drop_before",
    "hang_before",
    "status_before",
    "status_bare",
    "rate_limited",
    "redirect",
    "echo_key",
}


def send(owner: httpx2.Client) -> httpx2.Response:
    return owner.post(PATH, json=REFUND)


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_has_the_effect_its_name_says(owner: httpx2.Client, shop: Shop, name: str) -> None:
    shop.add_fault(name, method="POST", path="/refund")

    try:
        with owner.stream("POST", PATH, json=REFUND) as response:
            for _ in response.iter_raw():
                pass
    except httpx2.TransportError:
        pass
    expected = {"duplicate": 2, "duplicate_listed": 2}.get(name, int(name not in WITHOUT_EFFECT))
    for _ in repeat(None, 200):  # a late effect needs a moment
        if len(shop.refunds()) == expected:
            break
        owner.get("/orders/ord_digital")

    assert shop.refunds() == [("ord_digital", 100)] * expected
    assert shop.faults() == []


@pytest.mark.parametrize(
    "name", ["drop_before", "drop_after", "hang_before", "hang_after", "late", "truncated"]
)
def test_a_cut_line_gives_no_whole_answer(owner: httpx2.Client, shop: Shop, name: str) -> None:
    shop.add_fault(name, seconds=0.01)

    with pytest.raises(httpx2.TransportError):
        send(owner)

    assert shop.requests()[0]["status"] == (200 if name == "truncated" else None)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "VALIDATION_ERROR"), (403, "FORBIDDEN"), (404, "RESOURCE_NOT_FOUND"), (429, "RATE_LIMITED")],
)  # fmt: skip
def test_a_refused_request_is_recorded_later(
    owner: httpx2.Client, shop: Shop, status: int, code: str
) -> None:
    shop.add_fault("status_late", method="POST", status=status, headers={"Retry-After": "7"})

    refused = send(owner)
    for _ in repeat(None, 200):
        if shop.refunds():
            break
        owner.get("/orders/ord_digital")

    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert refused.headers["retry-after"] == "7"
    assert shop.refunds() == [("ord_digital", 100)]


async def test_a_request_is_refused_before_it_is_recorded() -> None:
    happened: list[str] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        happened.append(message["type"])

    async def effect() -> Response:
        happened.append("recorded")
        return Response()

    scope = {"type": "http", "headers": [], "state": {"request_id": "req_1"}}
    await play(Fault("status_late", status=400), Exchange(scope, receive, send, effect))

    assert happened == ["http.response.start", "http.response.body", "recorded"]


@pytest.mark.parametrize("name", ["hang_before", "hang_after"])
def test_a_hanging_shop_makes_the_caller_give_up(
    owner: httpx2.Client, shop: Shop, name: str
) -> None:
    shop.add_fault(name, seconds=600)

    with pytest.raises(httpx2.ReadTimeout):
        owner.get("/orders", timeout=0.1)


def test_a_slow_answer_is_whole_in_the_end(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("slow", seconds=0.02)

    response = send(owner)

    assert response.json()["data"]["order"] == shop.order("ord_digital")
    assert response.elapsed.total_seconds() >= 0.02


def test_a_duplicated_refund_can_be_listed_by_its_own_answer(
    owner: httpx2.Client, shop: Shop
) -> None:
    shop.add_fault("duplicate_listed")

    assert len(send(owner).json()["data"]["order"]["refunds"]) == 2


def test_a_duplicated_refund_is_answered_once(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("duplicate")

    assert len(send(owner).json()["data"]["order"]["refunds"]) == 1
    assert len(shop.order("ord_digital")["refunds"]) == 2


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("garbage", '{"success": tr'),
        ("not_an_object", '["success",true]'),
        ("no_success", "{}"),
        ("bare_success", '{"success":true}'),
        ("deep", "[" * 100_000 + "]" * 100_000),
    ],
)
def test_a_strange_answer_is_strange(
    owner: httpx2.Client, shop: Shop, name: str, body: str
) -> None:
    shop.add_fault(name)

    response = send(owner)

    assert (response.status_code, response.text) == (200, body)


def test_an_answer_has_the_wrong_types_everywhere(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("wrong_types")

    order = owner.get("/orders/ord_digital").json()["data"]["order"]

    assert (order["id"], order["totalInCents"], order["items"]) == (7, "12.50", "none")
    assert order["trackingUrl"] == []


def test_a_huge_answer_is_fifty_megabytes(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("huge")

    with owner.stream("GET", "/orders") as response:
        size = sum(len(chunk) for chunk in response.iter_raw())

    assert size > 50_000_000


def test_a_small_gzip_answer_unpacks_to_hundreds_of_megabytes(
    owner: httpx2.Client, shop: Shop
) -> None:
    shop.add_fault("gzip_bomb")

    with owner.stream("GET", "/orders") as response:
        packed = b"".join(response.iter_raw())
    unpacking, size = zlib.decompressobj(31), 0
    while not unpacking.eof:
        size += len(unpacking.decompress(packed, 1 << 24))
        packed = unpacking.unconsumed_tail

    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) < 500_000
    assert size > 300_000_000


def test_a_redirect_points_where_it_was_told(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("redirect")
    shop.add_fault("redirect", headers={"location": "https://elsewhere.example/"})

    answers = [send(owner), send(owner)]

    assert [response.status_code for response in answers] == [307, 307]
    assert [response.headers["location"] for response in answers] == [
        "/v1/moved",
        "https://elsewhere.example/",
    ]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "INTERNAL_ERROR"),
        (409, "CONFLICT"),
        (503, "INTERNAL_ERROR"),
        (418, "VALIDATION_ERROR"),
    ],
)
@pytest.mark.parametrize("name", ["status_before", "status_after"])
def test_a_failure_comes_in_the_envelope(
    owner: httpx2.Client, shop: Shop, name: str, status: int, code: str
) -> None:
    shop.add_fault(name, status=status)

    response = send(owner)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["requestId"] == response.headers["x-request-id"]


def test_a_bare_failure_is_a_page_of_html(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("status_bare", status=502)

    response = send(owner)

    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("retry_after", [3, "Sat, 14 Mar 2026 15:10:00 GMT", None])
def test_a_limit_says_when_to_come_back(
    owner: httpx2.Client, shop: Shop, retry_after: int | str | None
) -> None:
    shop.add_fault("rate_limited", retry_after=retry_after)

    response = send(owner)

    assert response.json()["error"]["code"] == "RATE_LIMITED"
    assert response.headers.get("retry-after") == (retry_after and str(retry_after))


def test_an_echo_repeats_the_key(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("echo_key")

    assert API_KEY in send(owner).json()["error"]["message"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_stale_answer_lacks_the_latest_refund(
    owner: httpx2.Client, shop: Shop, times: int
) -> None:
    for _ in range(times):
        shop.refund("ord_digital", 100, "a reason")
    shop.add_fault("stale_read", method="GET")

    order = owner.get("/orders/ord_digital").json()["data"]["order"]

    assert len(order["refunds"]) == times - 1
    assert order["paymentStatus"] == ("paid" if times == 1 else "partially_refunded")


def test_a_refund_may_be_missing_from_its_own_answer(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("no_refunds_listed")

    assert send(owner).json()["data"]["order"]["refunds"] == []
    assert len(shop.order("ord_digital")["refunds"]) == 1


def test_a_list_may_be_stale_and_foreign_too(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("foreign_order")
    shop.add_fault("refunds_unreadable")

    foreign = owner.get("/orders", params={"limit": 2}).json()["data"]["orders"]
    unreadable = owner.get("/orders/ord_digital").json()["data"]["order"]

    assert [order["id"] for order in foreign] == ["ord_foreign", "ord_foreign"]
    assert unreadable["refunds"] == "unreadable"


def page(owner: httpx2.Client, limit: int = 10) -> dict[str, Any]:
    found: dict[str, Any] = owner.get("/orders", params={"limit": limit}).json()
    return found


def test_a_page_may_be_cut_without_a_word(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("page_cut")

    cut = page(owner)

    assert cut["data"]["orders"] == shop.orders()[:5]
    assert set(cut) == {"success", "data"}


def test_a_page_may_have_thin_rows(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("page_thin")

    rows = page(owner)["data"]["orders"]

    assert [row["id"] for row in rows] == [order["id"] for order in shop.orders()[:10]]
    assert {tuple(row) for row in rows} == {("id", "status", "totalInCents", "createdAt")}


def test_a_page_may_have_an_old_order_among_the_new(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("page_unsorted")

    newest = shop.orders()[:10]

    assert page(owner)["data"]["orders"] == [newest[-1], *newest[:-1]]


def test_a_large_page_may_be_refused(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("page_refused", status=400, times=2)

    answers = [owner.get("/orders", params={"limit": limit}) for limit in (51, 50)]

    assert [answer.status_code for answer in answers] == [400, 200]


def test_a_large_page_may_be_more_than_four_megabytes(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("page_huge", times=2)

    sizes = [len(owner.get("/orders", params={"limit": limit}).content) for limit in (51, 50)]

    assert sizes[0] > 4 * 1024 * 1024 > sizes[1]


def test_a_page_of_something_else_stays_as_it_is(owner: httpx2.Client, shop: Shop) -> None:
    shop.add_fault("page_cut")

    assert owner.get("/products").json()["data"]["products"] == shop.all_products(None)


def test_a_fault_meant_for_orders_leaves_other_answers_alone(
    owner: httpx2.Client, customer: httpx2.Client, shop: Shop
) -> None:
    url = owner.get("/orders/ord_digital/download/item_digital_1").json()["data"]["downloadUrl"]
    shop.add_fault("stale_read", times=3)

    product = owner.get("/products/prod_tee").json()["data"]["product"]
    public = customer.get("/orders/ord_digital/public?token=ost_example_digital")

    assert product == shop.product("prod_tee")
    assert public.json()["data"]["order"]["id"] == "ord_digital"
    assert httpx2.get(url).json() == {}


@pytest.mark.parametrize("name", ["drop_before", "drop_after", "hang_after", "late"])
def test_without_a_socket_a_cut_line_is_a_bare_502(shop: Shop, name: str) -> None:
    shop.add_fault(name)

    response = asyncio.run(post_in_process(shop))

    assert (response.status_code, response.content) == (502, b"")
    assert len(shop.refunds()) == int(name != "drop_before")


def test_without_a_socket_a_truncated_answer_just_ends(shop: Shop) -> None:
    shop.add_fault("truncated")

    response = asyncio.run(post_in_process(shop))

    assert int(response.headers["content-length"]) > len(response.content)


async def post_in_process(shop: Shop) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=build_app(shop))
    headers = {"authorization": f"Bearer {API_KEY}"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://sandbox/v1", headers=headers
    ) as client:
        return await client.post(PATH, json=REFUND)


@pytest.mark.parametrize(
    "wrong", [{"times": "a"}, {"status": True}, {"seconds": "1"}, {"path": 7}, {"method": []}]
)
def test_a_fault_of_the_wrong_types_is_refused_before_it_breaks_the_store(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="are"):
        Fault("slow", **wrong)
