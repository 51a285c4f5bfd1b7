"""Orders in odd shapes, from the wire to the refund: a harmless change stops nothing."""

from typing import Any

import pytest
from tests.conftest import Connect, succeeding, telling, with_slow
from tests.tools.test_tools import call, failure, one_order, rows

ORDER: dict[str, Any] = {
    "id": "ord_1", "status": "delivered", "paymentStatus": "paid", "totalInCents": 2499,
    "createdAt": "2026-11-20T10:00:00Z", "customerEmail": "ada@example.com",
    "items": [{"id": "item_1", "productName": "Fonts", "productType": "digital", "quantity": 1}],
    "refunds": [],
}  # fmt: skip
LINE = ORDER["items"][0]
EARLIER = {"id": "ref_1", "amountInCents": 100}
HARMLESS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "no time": {"createdAt": None},
    "a time in words": {"createdAt": "yesterday"},
    "a time before all times": {"createdAt": "0001-01-01T00:00:00+23:59"},
    "a time as an object": {"createdAt": {"seconds": 1}},
    "an odd time of payment": {"paidAt": "soon"},
    "no status": {"status": None},
    "a status as a list": {"status": ["delivered"]},
    "a status as a number": {"status": 3},
    "an e-mail address as an object": {"customerEmail": {"address": "ada@example.com"}},
    "an address in one text": {"shippingAddress": "12 Main St"},
    "an address of numbers": {"shippingAddress": {"postalCode": 10115, "line1": ["12 Main St"]}},
    "tracking as numbers": {"trackingUrl": 7, "trackingNumber": 4012, "carrier": []},
    "a tracking address that is none": {"trackingUrl": "https://["},
    "fees as fractions": {"platformFeeInCents": 49.98, "subtotalInCents": None},
    "no items": {"items": None},
    "items as a number": {"items": 3},
    "items by their ids": {"items": {"item_1": LINE}},
    "a discount": {"items": [LINE, {"id": "d", "productName": "WELCOME10", "totalInCents": -250}]},
    "a piece and a half": {"items": [LINE | {"quantity": 1.5}]},
    "no quantity": {"items": [LINE | {"quantity": None}]},
    "a line without an id": {"items": [LINE, {"productName": "Shipping", "totalInCents": 499}]},
    "a line with an odd id": {"items": [LINE | {"id": "a/b"}]},
    "a line that is none": {"items": [None, LINE, 7]},
    "a price as a float": {"items": [LINE | {"priceInCents": 2499.0}]},
    "a price in words": {"items": [LINE | {"priceInCents": "24.99", "totalInCents": {}}]},
    "more lines than anybody reads": {"items": [LINE] * 1001},
    "a refund of nothing": {"refunds": [{"id": "ref_0", "amountInCents": 0}]},
    "an odd reason": {"refunds": [EARLIER | {"reason": 7}], "paymentStatus": "partially_refunded"},
    "an odd Stripe id": {"refunds": [EARLIER | {"stripeRefundId": {}}]},
    "an odd time of a refund": {"refunds": [EARLIER | {"createdAt": "soon"}]},
    "new fields": {"tax": {"rate": 0.19}, "tags": [None]},
}


class OddStore:
    """One order, in whatever shape, that can be refunded by 500 cents."""

    def __init__(self, **change: Any) -> None:
        self.order = ORDER | change
        self.sent = 0

    def __call__(self, path: str) -> tuple[bytes, bytes]:
        if path == "/v1/stores/me":
            return succeeding({"store": {"id": "store_1", "name": "Tees"}})
        if path.startswith("/v1/orders?"):
            return succeeding({"orders": [self.order]}, pagination={"hasMore": False})
        if path.endswith("/refund"):
            self.sent += 1
            refund = {"id": f"ref_new{self.sent}", "amountInCents": 500}
            refunds = [*(self.order["refunds"] or ()), refund]
            self.order |= {"refunds": refunds, "paymentStatus": "partially_refunded"}
        return succeeding({"order": self.order})


@pytest.mark.parametrize(
    "name", with_slow([*HARMLESS][::4], [each for n, each in enumerate(HARMLESS) if n % 4])
)
async def test_a_harmless_change_hides_no_order_and_stops_no_refund(
    connect: Connect, name: str
) -> None:
    change = HARMLESS[name]
    store = OddStore(**change)
    async with telling(store) as url, connect(api_url=url) as client:
        read = await one_order(client, order_id="ord_1")
        listed = await call(client, "list_orders")
        summary = await call(client, "summarize_orders")
        refunded = await call(
            client, "refund_order", order_id="ord_1", amount_in_cents=500, reason="Torn"
        )

    before = sum(each["amountInCents"] for each in change.get("refunds", ()))
    assert read["total"] == summary["sales"] == "$24.99"
    assert read["refundable_in_cents"] == 2499 - before
    assert [row["order_id"] for row in rows(listed)] == ["ord_1"]
    assert (refunded["status"], refunded["refundable_in_cents"]) == ("refunded", 1999 - before)
    assert store.sent == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"totalInCents": "2499"}, "cannot be read"), ({"totalInCents": 2499.0}, "cannot be read"),
        ({"totalInCents": None}, "cannot be read"), ({"refunds": "none"}, "cannot be read"),
        ({"refunds": [{"id": "ref_1"}]}, "cannot be read"), ({"refunds": [None]}, "cannot be read"),
        ({"refunds": [{"id": "ref_1", "amountInCents": 1.0}]}, "cannot be read"),
        ({"refunds": [{"amountInCents": 100}]}, "cannot be read"),
        ({"paymentStatus": ["paid"]}, "no payment that could be given back"),
        ({"paymentStatus": "Paid?"}, "no payment that could be given back"),
    ],
)  # fmt: skip
async def test_what_money_rests_on_is_read_strictly(
    connect: Connect, change: dict[str, Any], says: str
) -> None:
    store = OddStore(**change)
    async with telling(store) as url, connect(api_url=url) as client:
        text = await failure(
            client, "refund_order", order_id="ord_1", amount_in_cents=500, reason="Torn"
        )

    assert "No money was moved" in text
    assert says in text
    assert store.sent == 0


async def test_odd_lines_are_shown_as_far_as_they_go_and_the_rest_is_counted(
    connect: Connect,
) -> None:
    half = LINE | {"quantity": 1.5}
    store = OddStore(items=[half, {"totalInCents": -250}, None, 7], createdAt="yesterday", status=7)
    async with telling(store) as url, connect(api_url=url, refund_approval="agent") as client:
        read = await one_order(client, order_id="ord_1")
        (row,) = rows(await call(client, "list_orders"))
        asked = await call(
            client, "refund_order", order_id="ord_1", amount_in_cents=500, reason="Torn"
        )

    assert [item["name"] for item in read["items"]] == ["Fonts", "?"]
    assert [item.get("quantity") for item in read["items"]] == ["?", None]
    assert read["items"][1]["total"] == "-$2.50"
    assert read["next_step"] == "Lines that cannot be read and are left out of items: 2."
    assert "created_at" not in read
    assert row["items"] == "?× Fonts; ?; 2 more"
    assert row["status"] == "7"
    assert "created_at" not in row
    assert asked["preview"]["items"] == ['? x "Fonts"', '1 x "?"', "and 2 more"]


async def test_a_file_without_an_id_is_left_to_the_merchant(connect: Connect) -> None:
    store = OddStore(items=[LINE | {"id": None}])
    async with telling(store) as url, connect(api_url=url) as client:
        read = await one_order(client, order_id="ord_1")
        text = await failure(client, "generate_download_link", order_id="ord_1")

    assert "item_id" not in read["items"][0]
    assert "next_step" not in read
    assert "no id that can be read, so no link can be asked for. Tell the merchant" in text


@pytest.mark.parametrize("tool", ["generate_download_link", "handle_wrong_size"])
async def test_lines_that_cannot_be_read_may_be_what_is_looked_for(
    connect: Connect, tool: str
) -> None:
    async with telling(OddStore(items=[7])) as url, connect(api_url=url) as client:
        text = await failure(client, tool, order_id="ord_1")

    assert "item among the lines that can be read, so" in text


async def test_an_order_that_does_not_tell_its_time_is_in_no_span_and_still_looked_after(
    connect: Connect,
) -> None:
    store = OddStore(createdAt=None, status="shipped")
    async with telling(store) as url, connect(api_url=url) as client:
        summary = await call(client, "summarize_orders")
        span = await call(client, "summarize_orders", created_after="2020-01-01")
        before = await call(client, "list_orders", created_before="2030-01-01")

    assert [row["why"] for row in rows(summary, "needs_attention")] == [
        "Still shipped, and since when is not known."
    ]
    assert summary["complete"] is True
    assert (span["orders"], span["complete"], before["orders"]) == (0, False, [])
    why = "1 orders do not tell when they were created, so a filter by day leaves them out."
    assert span["why_incomplete"].startswith(f"{why} Orders kept here since ")
    assert before["why_incomplete"].startswith(f"{why} Orders kept here since ")
