"""The shop over a real socket: the documented endpoints, shapes and refusals."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from clawver_sandbox.catalogue import stamp
from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, Shop

from .conftest import Clock

Refusal = tuple[int, str]
SECRET = "a secret of some length"


def refusal(response: httpx2.Response) -> Refusal:
    body = response.json()
    assert body["success"] is False
    assert body["error"]["requestId"] == response.headers["x-request-id"]
    assert body["error"]["message"]
    return response.status_code, body["error"]["code"]


def data(response: httpx2.Response) -> dict[str, Any]:
    body = response.json()
    assert (response.status_code, body["success"]) == (200, True)
    assert response.headers["x-request-id"].startswith("req_")
    found: dict[str, Any] = body["data"]
    return found


def test_every_answer_says_which_sandbox_it_comes_from(
    shop: Shop, owner: httpx2.Client, base: str
) -> None:
    shop.add_fault("status_bare", path="/ord_shirt", status=502)
    shop.add_fault("truncated", path="/ord_mixed")
    link = data(owner.get("/orders/ord_digital/download/item_digital_1"))["downloadUrl"]
    answers = [
        owner.get("/orders/ord_digital"),
        owner.get("/orders/ord_shirt"),
        owner.get("/orders/ord_nobody"),
        owner.get("/nowhere"),
        httpx2.get(f"{base}/v1/orders"),
        httpx2.get(link),
    ]
    with owner.stream("GET", "/orders/ord_mixed") as cut:
        answers.append(cut)

    assert [each.status_code for each in answers] == [200, 502, 404, 404, 401, 200, 200]
    assert {each.headers["x-clawver-sandbox"] for each in answers} == {shop.id}


# Reading


def test_a_store_says_who_it_is_and_stays_that(
    owner: httpx2.Client, customer: httpx2.Client, shop: Shop, tmp_path: Path
) -> None:
    store = data(owner.get("/stores/me"))["store"]
    shop.reset()

    assert store["name"] == "Pixel & Thread"
    assert data(owner.get("/stores/me"))["store"] == store
    assert store["id"] != Shop.open(tmp_path / "another.sqlite3").details()["id"]
    assert refusal(customer.get("/stores/me")) == (401, "UNAUTHORIZED")


def test_the_newest_twenty_orders_are_listed(owner: httpx2.Client, shop: Shop) -> None:
    response = owner.get("/orders")

    assert data(response)["orders"] == shop.orders()[:20]
    assert response.json()["meta"]["pagination"] == {"cursor": None, "hasMore": True, "limit": 20}


@pytest.mark.parametrize("period", ["7d", "30d", "90d", "all"])
def test_a_store_has_figures_of_its_paid_orders(
    owner: httpx2.Client, shop: Shop, clock: Clock, period: str
) -> None:
    days = {"7d": 7, "30d": 30, "90d": 90}.get(period, 10_000)
    since = stamp(clock() - timedelta(days=days))
    paid = [
        each
        for each in shop.orders()
        if each["paymentStatus"] not in {"pending", "failed"} and each["createdAt"] > since
    ]
    refunded = sum(refund["amountInCents"] for each in paid for refund in each["refunds"])

    summary = data(owner.get("/stores/me/analytics", params={"period": period}))["analytics"]

    assert summary["summary"]["totalOrders"] == len(paid)
    assert summary["summary"]["totalRevenue"] == sum(o["totalInCents"] for o in paid) - refunded
    assert len(summary["topProducts"]) == 5


def test_a_product_has_figures_of_its_own(owner: httpx2.Client, shop: Shop) -> None:
    path = "/stores/me/products/prod_cap/analytics"
    sold = [o for o in shop.orders() if any(i["productId"] == "prod_tee" for i in o["items"])]
    paid = [each for each in sold if each["paymentStatus"] not in {"pending", "failed"}]

    tee = data(owner.get(path.replace("cap", "tee"), params={"period": "all"}))["analytics"]
    cap = data(owner.get(path, params={"period": "all"}))["analytics"]

    assert tee["summary"]["totalOrders"] == len(paid) > 0
    assert (cap["summary"]["averageOrderValue"], cap["summary"]["conversionRate"]) == (0, 0)
    assert refusal(owner.get(path.replace("cap", "nothing"))) == (404, "RESOURCE_NOT_FOUND")
    assert refusal(owner.get(path, params={"period": "1y"})) == (400, "VALIDATION_ERROR")


def test_reviews_are_read_page_by_page_with_a_cursor(owner: httpx2.Client, shop: Shop) -> None:
    pages: list[list[dict[str, Any]]] = []
    cursor: str | None = None
    while cursor is not None or not pages:
        params = {"limit": "7"} | ({"cursor": cursor} if cursor else {})
        body = owner.get("/stores/me/reviews", params=params).json()
        pages.append(body["data"]["reviews"])
        assert body["pagination"]["hasMore"] == (body["pagination"]["cursor"] is not None)
        cursor = body["pagination"]["cursor"]
    reviews = [review for one in pages for review in one]

    assert [len(one) for one in pages[:-1]] == [7] * (len(pages) - 1)
    assert reviews == sorted(reviews, key=lambda review: review["createdAt"], reverse=True)
    assert len({review["id"] for review in reviews}) == len(reviews) > 7
    for review in reviews:
        assert shop.order(review["orderId"])["customerEmail"] == review["reviewerEmail"]
        assert 1 <= review["rating"] <= 5


def test_a_cursor_that_no_page_gave_is_refused(owner: httpx2.Client) -> None:
    response = owner.get("/stores/me/reviews", params={"cursor": "rev_nothing"})

    assert refusal(response) == (400, "VALIDATION_ERROR")


def test_all_products_are_listed(owner: httpx2.Client) -> None:
    assert len(data(owner.get("/products"))["products"]) == 10
    assert len(data(owner.get("/products?status=active"))["products"]) == 10
    assert data(owner.get("/products?status=draft"))["products"] == []


def test_orders_are_listed_by_status(owner: httpx2.Client, shop: Shop) -> None:
    response = owner.get("/orders", params={"status": "cancelled", "limit": 100})

    cancelled = [order for order in shop.orders() if order["status"] == "cancelled"]
    assert data(response)["orders"] == cancelled
    assert response.json()["meta"]["pagination"]["hasMore"] is False


def test_an_unknown_status_matches_nothing(owner: httpx2.Client) -> None:
    assert data(owner.get("/orders", params={"status": "lost"}))["orders"] == []


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", "", "1" * 5000, "²"])
def test_a_limit_out_of_range_is_refused(owner: httpx2.Client, limit: str) -> None:
    assert refusal(owner.get("/orders", params={"limit": limit})) == (400, "VALIDATION_ERROR")


def test_an_order_is_shown(owner: httpx2.Client, shop: Shop) -> None:
    assert data(owner.get("/orders/ord_shirt"))["order"] == shop.order("ord_shirt")


def test_a_product_shows_its_sizes(owner: httpx2.Client, shop: Shop) -> None:
    assert data(owner.get("/products/prod_tee"))["product"] == shop.product("prod_tee")


@pytest.mark.parametrize(
    "path",
    [
        "/orders/ord_nobody",
        "/orders/ord_digital/download/item_nothing",
        "/products/prod_nothing",
        "/checkout/chk_nothing/receipt",
        "/orders/",
        "/nowhere",
    ],
)
def test_what_is_not_there_is_not_found(owner: httpx2.Client, path: str) -> None:
    assert refusal(owner.get(path)) == (404, "RESOURCE_NOT_FOUND")


def test_a_method_nobody_offers_is_refused(owner: httpx2.Client) -> None:
    response = owner.put("/orders")

    assert refusal(response) == (405, "VALIDATION_ERROR")
    assert "GET" in response.headers["allow"]


@pytest.mark.parametrize("header", ["", "Bearer wrong", API_KEY])
def test_the_owner_needs_the_key(customer: httpx2.Client, header: str) -> None:
    headers = {"authorization": header}

    assert refusal(customer.get("/orders", headers=headers)) == (401, "UNAUTHORIZED")


# Refunds


def test_a_refund_is_recorded_and_listed(owner: httpx2.Client, shop: Shop) -> None:
    body = {"amountInCents": 1000, "reason": "arrived broken"}

    order = data(owner.post("/orders/ord_digital/refund", json=body))["order"]

    (refund,) = order["refunds"]
    assert refund["id"].startswith("ref_")
    assert refund["stripeRefundId"].startswith("re_")
    assert (refund["amountInCents"], refund["reason"]) == (1000, "arrived broken")
    assert (order["paymentStatus"], order["status"]) == ("partially_refunded", "delivered")
    assert order == shop.order("ord_digital")
    assert shop.refunds() == [("ord_digital", 1000)]


def test_the_last_cent_makes_an_order_refunded(owner: httpx2.Client) -> None:
    body = {"amountInCents": 1499, "reason": "the rest"}

    order = data(owner.post("/orders/ord_partly_refunded/refund", json=body))["order"]

    assert order["paymentStatus"] == "refunded"


def test_asking_twice_pays_twice(owner: httpx2.Client, shop: Shop) -> None:
    for _ in range(2):
        owner.post(
            "/orders/ord_digital/refund",
            json={"amountInCents": 500, "reason": "late"},
            headers={"idempotency-key": "the same"},
        )

    assert shop.refunds() == [("ord_digital", 500), ("ord_digital", 500)]
    assert [request["idempotency_key"] for request in shop.requests()] == ["the same", "the same"]


@pytest.mark.parametrize("amount", [0, -1, 2500, 10**30, True, "100", 100.0, None])
def test_an_amount_that_cannot_be_refunded_is_refused(
    owner: httpx2.Client, shop: Shop, amount: object
) -> None:
    body = {"amountInCents": amount, "reason": "a reason"}

    response = owner.post("/orders/ord_digital/refund", json=body)

    assert refusal(response) == (400, "VALIDATION_ERROR")
    assert shop.refunds() == []


@pytest.mark.parametrize("reason", ["", " \n", None, 7])
def test_a_refund_needs_a_reason(owner: httpx2.Client, shop: Shop, reason: object) -> None:
    body = {"amountInCents": 100, "reason": reason}

    response = owner.post("/orders/ord_digital/refund", json=body)

    assert refusal(response) == (400, "VALIDATION_ERROR")
    assert shop.refunds() == []


@pytest.mark.parametrize("order_id", ["ord_unpaid", "ord_failed", "ord_refunded"])
def test_what_was_not_paid_or_is_gone_cannot_be_refunded(
    owner: httpx2.Client, shop: Shop, order_id: str
) -> None:
    body = {"amountInCents": 100, "reason": "a reason"}

    response = owner.post(f"/orders/{order_id}/refund", json=body)

    assert refusal(response) == (409, "CONFLICT")
    assert shop.refunds() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b'{"amountInCents": 1, "reason": "\\ud800"}', b"[" * 100_000],
)
def test_a_body_that_is_no_object_is_refused(owner: httpx2.Client, shop: Shop, body: bytes) -> None:
    response = owner.post("/orders/ord_digital/refund", content=body)

    assert refusal(response) == (400, "VALIDATION_ERROR")
    assert shop.refunds() == []


# Downloads


def test_a_download_link_serves_the_file(owner: httpx2.Client, base: str) -> None:
    link = data(owner.get("/orders/ord_digital_pair/download/item_digital_pair_2"))
    file = httpx2.get(link["downloadUrl"])

    assert link["downloadUrl"].startswith(f"{base}/files/ord_digital_pair/item_digital_pair_2?")
    assert (link["expiresInMinutes"], link["fileName"]) == (60, "wallpapers.zip")
    assert (file.status_code, len(file.content)) == (200, link["fileSizeBytes"])


def test_a_download_link_expires(owner: httpx2.Client, clock: Clock) -> None:
    url = data(owner.get("/orders/ord_digital/download/item_digital_1"))["downloadUrl"]

    clock.pass_by(minutes=60)

    assert refusal(httpx2.get(url)) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("old", "new"),
    [("expires=1", "expires=2"), ("expires=1", "expires=x"), ("signature=", "signature=0é")],
)
def test_a_changed_download_link_opens_nothing(owner: httpx2.Client, old: str, new: str) -> None:
    url = data(owner.get("/orders/ord_digital/download/item_digital_1"))["downloadUrl"]

    assert refusal(httpx2.get(url.replace(old, new))) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ord_mixed/download/item_mixed_2", (400, "VALIDATION_ERROR")),
        ("ord_unpaid/download/item_unpaid_1", (409, "CONFLICT")),
        ("ord_refunded/download/item_refunded_1", (409, "CONFLICT")),
    ],
)
def test_what_is_printed_or_not_paid_has_no_download(
    owner: httpx2.Client, path: str, expected: Refusal
) -> None:
    assert refusal(owner.get(f"/orders/{path}")) == expected


# The customer


def test_a_receipt_opens_the_order_and_its_downloads(customer: httpx2.Client) -> None:
    receipt = data(customer.get("/checkout/chk_mixed/receipt"))["receipt"]
    order_id, (wallpapers, tee) = receipt["orderId"], receipt["items"]
    status = customer.get(
        f"/orders/{order_id}/public", params={"token": receipt["orderStatusToken"]}
    )
    download = customer.get(
        f"/orders/{order_id}/download/{wallpapers['id']}/public",
        params={"token": wallpapers["downloadToken"]},
    )

    assert data(status)["order"]["status"] == "processing"
    assert "customerEmail" not in data(status)["order"]
    assert data(download)["fileName"] == "wallpapers.zip"
    assert "downloadToken" not in tee


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", (400, "VALIDATION_ERROR")), ("?token=wrong", (403, "FORBIDDEN"))],
)
@pytest.mark.parametrize("path", ["public", "download/item_digital_1/public"])
def test_a_customer_needs_the_right_token(
    customer: httpx2.Client, path: str, query: str, expected: Refusal
) -> None:
    assert refusal(customer.get(f"/orders/ord_digital/{path}{query}")) == expected


# Webhooks and feedback


def test_a_webhook_is_kept_listed_without_its_secret_and_removed(owner: httpx2.Client) -> None:
    body = {"url": "https://example.com/hook", "events": ["order.paid"], "secret": SECRET}

    webhook = data(owner.post("/webhooks", json=body))["webhook"]

    assert (webhook["url"], webhook["events"]) == (body["url"], body["events"])
    assert SECRET not in owner.get("/webhooks").text
    assert data(owner.get("/webhooks"))["webhooks"] == [webhook]
    assert data(owner.delete(f"/webhooks/{webhook['id']}"))["deleted"] is True
    assert data(owner.get("/webhooks"))["webhooks"] == []
    gone = owner.delete(f"/webhooks/{webhook['id']}")
    assert refusal(gone) == (404, "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    "change",
    [
        {"url": 7},
        {"url": "ftp://example.com"},
        {"events": "order.paid"},
        {"events": []},
        {"events": ["order.eaten"]},
        {"secret": None},
        {"secret": "too short"},
    ],
)
def test_a_webhook_that_cannot_work_is_refused(
    owner: httpx2.Client, change: dict[str, object]
) -> None:
    body = {"url": "https://example.com", "events": ["order.paid"], "secret": SECRET, **change}

    assert refusal(owner.post("/webhooks", json=body)) == (400, "VALIDATION_ERROR")


def test_feedback_is_taken(owner: httpx2.Client) -> None:
    body = {"category": "bug", "severity": "high", "title": "A title", "description": "It broke"}

    assert data(owner.post("/agents/me/feedback", json=body))["feedback"]["title"] == "A title"
    assert refusal(owner.post("/agents/me/feedback", json={**body, "title": ""}))[0] == 400
    assert refusal(owner.post("/agents/me/feedback", json={"category": "bug"}))[0] == 400


# The log, the limits, what tests arrange


def test_every_request_is_logged_with_what_it_was_answered(
    owner: httpx2.Client, customer: httpx2.Client, shop: Shop
) -> None:
    owner.post("/orders/ord_digital/refund", json={"amountInCents": 0})
    customer.get("/orders/ord_digital/public", params={"token": "t"})

    assert shop.requests() == [
        {
            "method": "POST",
            "path": "/v1/orders/ord_digital/refund",
            "query": "",
            "has_key": True,
            "idempotency_key": None,
            "body": '{"amountInCents":0}',
            "status": 400,
        },
        {
            "method": "GET",
            "path": "/v1/orders/ord_digital/public",
            "query": "token=t",
            "has_key": False,
            "idempotency_key": None,
            "body": "",
            "status": 403,
        },
    ]


@pytest.fixture
def strict_bases(shop: Shop, tmp_path: Path, clock: Clock) -> Iterator[tuple[str, str]]:
    other = Shop.open(tmp_path / "shop.sqlite3", now=clock)
    with running(shop, rate_limited=True) as one, running(other, rate_limited=True) as two:
        yield one, two


def test_sixty_requests_a_minute_are_all_whoever_serves_them(
    strict_bases: tuple[str, str], clock: Clock
) -> None:
    with httpx2.Client() as client:
        urls = [f"{base}/v1/checkout/chk_digital/receipt" for base in strict_bases] * 30
        assert {client.get(url).status_code for url in urls} == {200}
        clock.pass_by(seconds=18.5)

        refused = client.get(urls[0])

        assert refusal(refused) == (429, "RATE_LIMITED")
        assert refused.headers["retry-after"] == "42"
        assert client.get(f"{strict_bases[0]}/_sandbox/refunds").status_code == 200
        clock.pass_by(seconds=42)
        assert client.get(urls[0]).status_code == 200


def test_a_thousand_requests_a_day_are_all(shop: Shop, clock: Clock) -> None:
    for _ in range(1000):
        clock.pass_by(seconds=1)
        assert shop.seconds_to_wait() == 0

    clock.pass_by(hours=1)

    assert shop.seconds_to_wait() == 24 * 3600 - 3600 - 999


def test_a_tester_arranges_and_looks_from_outside(tester: httpx2.Client, shop: Shop) -> None:
    sold = data_of(tester.post("/orders", json={"total_in_cents": 700, "order_id": "ord_x"}))
    assert sold["order"] == shop.order("ord_x")

    assert data_of(tester.post("/orders/ord_x/advance"))["order"]["status"] == "delivered"
    assert tester.post("/orders/ord_x/advance").status_code == 409

    shop.refund("ord_x", 200, "a reason")
    assert data_of(tester.get("/refunds")) == {
        "refunds": [{"orderId": "ord_x", "amountInCents": 200}]
    }

    tester.post("/reset")
    assert data_of(tester.get("/refunds")) == {"refunds": []}


def test_a_tester_arranges_faults_from_outside(tester: httpx2.Client, owner: httpx2.Client) -> None:
    fault = {"name": "status_bare", "method": "GET", "path": "/orders", "times": -1, "status": 503}

    (arranged,) = data_of(tester.post("/faults", json=fault))["faults"]

    assert arranged.items() >= fault.items()
    assert owner.get("/orders").status_code == 503
    assert data_of(tester.get("/faults"))["faults"] == [arranged]
    assert data_of(tester.delete("/faults")) == {"faults": []}
    assert owner.get("/orders").status_code == 200


@pytest.mark.parametrize("body", [{"name": "explode"}, {"nobody": "knows"}, {}])
def test_a_fault_that_cannot_be_arranged_is_refused(
    tester: httpx2.Client, body: dict[str, str]
) -> None:
    response = tester.post("/faults", json=body)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


def test_a_tester_reads_and_empties_the_log(tester: httpx2.Client, owner: httpx2.Client) -> None:
    owner.get("/orders/ord_digital")

    (logged,) = data_of(tester.get("/requests"))["requests"]

    assert (logged["path"], logged["status"]) == ("/v1/orders/ord_digital", 200)
    assert data_of(tester.delete("/requests")) == {"requests": []}


def data_of(response: httpx2.Response) -> dict[str, Any]:
    """The data of an answer to what arranges a test, which carries no request id."""
    assert response.status_code == 200
    found: dict[str, Any] = response.json()["data"]
    return found
