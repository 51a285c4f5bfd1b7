"""The tools through a real client, against a real store: what an agent gets and what was sent."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import category

import httpx2
import pytest
from mcp import Client
from tests.amending import amend
from tests.conftest import Configure, Connect, inbox_of, succeeding, telling

from clawver_orders.clawver.models import Order, ReceiptItem
from clawver_orders.logs import set_up
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.services import SANDBOX_NOTICE
from clawver_orders.serving.server import build_server
from clawver_orders.tools import SURFACE, TOOLS
from clawver_orders.tools.orders import Recipient
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery
from clawver_sandbox.shop import Shop


async def call(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    """A successful call; its text and its structured content say the same."""
    result = await client.call_tool(name, arguments)
    text = getattr(result.content[0], "text", "")
    assert not result.is_error, text
    assert result.structured_content is not None
    answer: dict[str, Any] = json.loads(text)
    assert answer == result.structured_content
    return answer


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """What confirms a preview."""
    return {"refund_id": answer["refund_id"], "revision": answer["revision"]}


async def failure(client: Client, name: str, **arguments: Any) -> str:
    """The text of a failed call."""
    result = await client.call_tool(name, arguments)
    assert result.is_error
    text = str(getattr(result.content[0], "text", ""))
    assert text.startswith(f"{name} failed. ")
    return text


def rows(answer: dict[str, Any], name: str = "orders") -> list[dict[str, str]]:
    """The rows of a table, each with what is the same in all of them."""
    same = answer.get("in_all_rows", {})
    return [
        same | dict(zip(answer.get("columns", ()), cells, strict=True))
        for cells in answer.get(name, ())
    ]


async def one_order(client: Client, order_id: str, **arguments: Any) -> dict[str, Any]:
    """One order as get_order gives it."""
    answer = await call(client, "get_order", order_id=order_id, **arguments)
    (order,) = answer["orders"]
    return dict(order)


def texts(part: Any, key: str = "") -> list[tuple[str, str]]:
    """Every text of an answer, with the name of the field that holds it."""
    if isinstance(part, dict):
        return [found for name, each in part.items() for found in texts(each, name)]
    if isinstance(part, list):
        return [found for each in part for found in texts(each, key)]
    return [(key, part)] if isinstance(part, str) else []


def sent(shop: Shop) -> list[tuple[str, str]]:
    return [(request["method"], request["path"]) for request in shop.requests()]


# list_orders


async def test_the_newest_orders_come_first(connect: Connect, shop: Shop, era: str) -> None:
    async with connect(era) as client:
        answer = await call(client, "list_orders", limit=5)

    newest = sorted((order["createdAt"] for order in shop.orders()), reverse=True)[:5]
    listed = [shop.order(row["order_id"]) for row in rows(answer)]
    assert [order["createdAt"] for order in listed] == newest
    assert [row["total"].split()[0] for row in rows(answer)] == [
        f"${o['totalInCents'] / 100:.2f}" for o in listed
    ]
    assert answer["complete"] is False
    assert "raise limit" in answer["why_incomplete"]
    assert sent(shop) == [("GET", "/v1/orders")]


async def test_a_status_is_filtered_by_clawver(connect: Connect, shop: Shop) -> None:
    async with connect() as client:
        answer = await call(client, "list_orders", status="shipped", limit=100)

    shipped = {order["id"] for order in shop.orders() if order["status"] == "shipped"}
    assert {row["order_id"] for row in rows(answer)} == shipped
    assert answer["complete"] is True
    assert "why_incomplete" not in answer


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"payment_status": "refunded"}, lambda o: o["paymentStatus"] == "refunded"),
        ({"customer_email": "ZOE@example.com"}, lambda o: o["customerEmail"] == "zoe@example.com"),
        (
            {"product": "STAR MAP"},
            lambda o: any("Star map" in i["productName"] for i in o["items"]),
        ),
        ({"product": "prod_tee"}, lambda o: any(i["productId"] == "prod_tee" for i in o["items"])),
        (
            {"product": "prod_tee", "payment_status": "paid", "status": "delivered"},
            lambda o: (
                any(i["productId"] == "prod_tee" for i in o["items"])
                and o["paymentStatus"] == "paid"
                and o["status"] == "delivered"
            ),
        ),
    ],
)
async def test_filters_that_clawver_lacks_see_every_order(
    connect: Connect, shop: Shop, filters: dict[str, Any], wanted: Any
) -> None:
    async with connect() as client:
        answer = await call(client, "list_orders", limit=100, **filters)

    expected = {order["id"] for order in shop.orders() if wanted(order)}
    assert expected
    assert {row["order_id"] for row in rows(answer)} == expected
    assert answer["complete"] is True


async def test_times_select_from_their_first_moment_to_before_their_last(
    connect: Connect, shop: Shop
) -> None:
    times = sorted(order["createdAt"] for order in shop.orders())
    async with connect() as client:
        answer = await call(
            client, "list_orders", created_after=times[10], created_before=times[40], limit=100
        )

    expected = {o["id"] for o in shop.orders() if times[10] <= o["createdAt"] < times[40]}
    seconds = {
        o["id"] for o in shop.orders() if times[10][:19] <= o["createdAt"][:19] <= times[40][:19]
    }
    found = {row["order_id"] for row in rows(answer)}
    assert expected - found == set() or found <= seconds
    assert answer["complete"] is True


async def test_a_list_that_was_cut_says_so(connect: Connect, shop: Shop) -> None:
    for _ in range(120):
        shop.sell(total_in_cents=100)
    async with connect() as client:
        everything = await call(client, "list_orders", limit=100)
        filtered = await call(client, "list_orders", payment_status="paid", limit=1)
        no_match = await call(client, "list_orders", customer_email="nobody@example.com")
        no_customer = await call(client, "get_customer", customer_email="nobody@example.com")

    assert (
        "Only the newest: narrow with status, created_after or created_before."
        in (everything["why_incomplete"])
    )
    assert "orders that are confirmed may be missing" in filtered["why_incomplete"]
    assert "the newest 1 are listed" in filtered["why_incomplete"]
    assert no_match["orders"] == []
    assert no_match["complete"] is False
    assert no_match["next_step"].endswith("or ask for the order's id and call get_order.")
    assert "others may exist" in no_match["next_step"]
    assert no_customer["complete"] is False
    assert no_customer["next_step"] == no_match["next_step"]


@pytest.mark.parametrize(
    ("zone", "day", "next_day", "first", "last"),
    [
        ("Europe/Berlin", "2025-03-30", "2025-03-31", "2025-03-29T23:00:00Z", "2025-03-30T21:59:59Z"),
        ("America/Santiago", "2025-09-07", "2025-09-08", "2025-09-07T04:00:00Z", "2025-09-08T02:59:59Z"),
        ("Africa/Cairo", "2025-10-30", "2025-10-31", "2025-10-29T21:00:00Z", "2025-10-30T21:59:59Z"),
    ],
)  # fmt: skip
async def test_a_day_is_one_of_the_merchants_time_zone_also_when_the_clock_changes(
    connect: Connect, shop: Shop, zone: str, day: str, next_day: str, first: str, last: str
) -> None:
    before, after = (
        (datetime.fromisoformat(each) + timedelta(seconds=seconds)).isoformat()
        for each, seconds in ((first, -1), (last, 1))
    )
    ids = []
    for created in (before, first, last, after):
        ids.append(shop.sell()["id"])
        amend(shop, ids[-1], createdAt=created)
    span = {"created_after": day, "created_before": next_day}
    async with connect(time_zone=zone) as client:
        listed = await call(client, "list_orders", **span)
        summed = await call(client, "summarize_orders", **span)
        without_day = await call(client, "list_orders", created_after=first)

    assert [row["order_id"] for row in rows(listed)] == [ids[2], ids[1]]
    assert listed["time_zone"] == zone
    assert summed["orders"] == 2
    assert "time_zone" not in without_day


async def test_today_begins_when_it_does_for_the_merchant(configure: Configure, shop: Shop) -> None:
    now = datetime(2025, 11, 30, 10, 30, tzinfo=UTC)  # half past midnight in Kiritimati
    ids = []
    for created in ("2025-11-30T10:00:00Z", "2025-11-30T09:59:59Z", "2025-11-29T09:59:59Z"):
        ids.append(shop.sell()["id"])
        amend(shop, ids[-1], createdAt=created)
    server = build_server(configure(time_zone="Pacific/Kiritimati"), now=lambda: now)
    async with Client(server) as client:
        listed = [
            rows(await call(client, "list_orders", created_after=day, created_before="2025-12-02"))
            for day in ("today", "yesterday")
        ]

    found = [{row["order_id"] for row in each}.intersection(ids) for each in listed]
    assert found == [{ids[0]}, {*ids[:2]}]


@pytest.mark.parametrize("email", ["noam", "Noam <noam@example.com>", "noam@example.com."])
async def test_what_is_no_address_is_not_looked_for_as_one(
    connect: Connect, shop: Shop, email: str
) -> None:
    async with connect() as client:
        text = await failure(client, "list_orders", customer_email=email)

    assert "must be a whole e-mail address" in text
    assert sent(shop) == []


async def test_a_row_answers_where_it_is_and_how_much(connect: Connect, shop: Shop) -> None:
    wire = shop.order("ord_shirt")
    async with connect() as client:
        shipped = await call(client, "list_orders", status="shipped")
        partly = await call(client, "list_orders", payment_status="partially_refunded")
        today = await call(client, "list_orders", status="confirmed")

    (row,) = [each for each in rows(shipped) if each["order_id"] == "ord_shirt"]
    created = datetime.fromisoformat(wire["createdAt"])
    assert row == {
        "order_id": "ord_shirt", "status": "shipped", "payment_status": "paid", "total": "$32.00",
        "created_at": f"{created:%Y-%m-%dT%H:%MZ}", "customer": wire["customerEmail"],
        "items": "Star map tee", "tracking": f"{wire['carrier']} {wire['trackingNumber']}",
    }  # fmt: skip
    assert shipped["in_all_rows"]["status"] == "shipped"
    assert "status" not in shipped["columns"]
    totals = {each["order_id"]: each["total"] for each in rows(partly)}
    assert totals["ord_partly_refunded"] == "$24.99 ($10.00 refunded)"
    assert "tracking" not in today["columns"]


async def test_a_short_list_of_a_customer_names_every_item(connect: Connect, shop: Shop) -> None:
    items = [{"productName": f"Thing {number}", "quantity": 1} for number in range(5)]
    amend(shop, "ord_shirt", items=items, customerEmail="byron@example.com")
    async with connect() as client:
        (mine,) = rows(await call(client, "list_orders", customer_email="byron@example.com"))
        lately = rows(await call(client, "list_orders", status="shipped"))

    (among_others,) = [each for each in lately if each["order_id"] == "ord_shirt"]
    assert mine["items"] == "Thing 0; Thing 1; Thing 2; Thing 3; Thing 4"
    assert among_others["items"] == "Thing 0; Thing 1; 3 more"


async def test_what_a_row_does_not_tell_is_not_taken_for_nothing(connect: Connect) -> None:
    thin = {"id": "ord_1", "status": "shipped", "totalInCents": 2400, "createdAt": None}
    unclear = {"refunds": [{"id": "r", "amountInCents": 1, "status": "odd"}]}
    orders = [
        thin,
        thin | {"id": "ord_2", "paymentStatus": "paid"},
        thin | {"id": "ord_3"} | unclear,
    ]
    async with (
        telling(lambda _: succeeding({"orders": orders})) as url,
        connect(api_url=url) as client,
    ):
        answer = await call(client, "list_orders")

    listed = {row["order_id"]: row for row in rows(answer)}
    assert answer["in_all_rows"] == {"status": "shipped", "items": "?"}
    assert [listed[each]["payment_status"] for each in ("ord_1", "ord_2")] == ["?", "paid"]
    assert [listed[each]["total"] for each in ("ord_1", "ord_2", "ord_3")] == [
        "$24.00 (refunds not known)", "$24.00", "$24.00 (refunds not known)",
    ]  # fmt: skip


# get_order


async def test_a_shipped_order_shows_its_items_tracking_and_what_is_left(
    connect: Connect, shop: Shop, era: str
) -> None:
    async with connect(era) as client:
        answer = await one_order(client, order_id="ord_shirt")

    wire = shop.order("ord_shirt")
    assert answer["tracking"] == {
        "carrier": wire["carrier"], "number": wire["trackingNumber"], "url": wire["trackingUrl"],
    }  # fmt: skip
    assert answer["refundable_in_cents"] == wire["totalInCents"]
    assert answer["items"] == [
        {"name": "Star map tee", "variant": wire["items"][0]["variantName"], "type": "printed"}
    ]
    assert answer["created_at"].endswith("Z, 9 days ago")
    assert not {"ship_to", "paid_at", "next_step", "refunds", "refundable"} & answer.keys()


async def test_a_partly_refunded_order_says_what_is_left(connect: Connect, shop: Shop) -> None:
    async with connect() as client:
        answer = await one_order(client, order_id="ord_partly_refunded")

    wire = shop.order("ord_partly_refunded")
    given_back = sum(refund["amountInCents"] for refund in wire["refunds"])
    assert answer["refundable"] == "$14.99"
    assert answer["refundable_in_cents"] == wire["totalInCents"] - given_back
    (refund,) = answer["refunds"]
    assert (refund["amount"], refund["reason"]) == ("$10.00", wire["refunds"][0]["reason"])
    assert refund["created_at"].endswith(" days ago")


async def test_address_and_timeline_are_given_when_they_are_asked_for(
    connect: Connect, shop: Shop
) -> None:
    async with connect() as client:
        address = await one_order(client, "ord_shirt", include=["address"])
        timeline = await one_order(client, "ord_partly_refunded", include=["timeline"])

    where, (refund,) = shop.order("ord_shirt")["shippingAddress"], timeline["refunds"]
    assert address["ship_to"]["city"] == where["city"]
    assert "paid_at" not in address
    assert "ship_to" not in timeline
    assert timeline["paid_at"].endswith(" days ago")
    wire = shop.order("ord_partly_refunded")["refunds"][0]
    assert (refund["clawver_refund_id"], refund["stripe_refund_id"]) == (
        wire["id"], wire["stripeRefundId"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order_id", "says"),
    [
        ("ord_cancelled_paid", "Cancelled, but $54.00 is not refunded."),
        ("ord_failed", "The payment failed."),
        ("ord_waiting_processing", "12 days old and still processing."),
        ("ord_refunded", None),
    ],
)
async def test_an_order_says_whether_somebody_should_look(
    connect: Connect, order_id: str, says: str | None
) -> None:
    async with connect() as client:
        answer = await one_order(client, order_id=order_id)

    assert answer.get("needs_attention") == says
    assert "next_step" not in answer


async def test_a_part_of_an_order_has_its_price_in_cents_where_it_can_be_refunded(
    connect: Connect, shop: Shop
) -> None:
    async with connect() as client:
        mixed = await one_order(client, "ord_mixed")
        pieces = await one_order(client, "ord_waiting_shipped")
        unpaid = await one_order(client, "ord_unpaid")
        files = await one_order(client, "ord_digital_pair")

    assert [(i["total"], i["total_in_cents"]) for i in mixed["items"]] == [
        ("$9.99", 999), ("$32.00", 3200),
    ]  # fmt: skip
    (hoodies,) = pieces["items"]
    assert (hoodies["quantity"], hoodies["each"], hoodies["each_in_cents"]) == ("2", "$54.00", 5400)
    assert unpaid["refundable"] == "$0.00"
    assert "refundable_in_cents" not in unpaid
    assert [item["item_id"] for item in files["items"]] == [
        item["id"] for item in shop.order("ord_digital_pair")["items"]
    ]


async def test_several_orders_are_read_at_once_each_with_its_own_error(
    connect: Connect, shop: Shop, era: str
) -> None:
    ids = "ord_shirt, ord_nobody,ord_mixed,ord_shirt"
    async with connect(era) as client:
        answer = await call(client, "get_order", order_id=ids)
        listed = await call(client, "get_order", order_id=["ord_shirt", "ord_mixed"])
        alone = await one_order(client, "ord_mixed")

    shirt, nobody, mixed = answer["orders"]
    assert (shirt["order_id"], mixed) == ("ord_shirt", alone)
    assert nobody.keys() == {"order_id", "error"}
    assert "Clawver knows no order ord_nobody" in nobody["error"]
    assert listed["orders"] == [shirt, mixed]
    assert sorted(path for _, path in sent(shop)) == sorted(
        f"/v1/orders/{each}"
        for each in ("ord_shirt", "ord_nobody", "ord_mixed", "ord_shirt", "ord_mixed", "ord_mixed")
    )


async def test_more_than_ten_orders_at_once_are_refused(connect: Connect, shop: Shop) -> None:
    ids = [f"ord_{number}" for number in range(11)]
    async with connect() as client:
        text = await failure(client, "get_order", order_id=",".join(ids))
        nothing = await failure(client, "get_order", order_id=" , ")

    assert "must be an id, or up to 10 with commas in between" in text
    assert "must be an id" in nothing
    assert sent(shop) == []


async def test_settings_that_are_missing_fail_the_whole_call(connect: Connect) -> None:
    async with connect(api_key=None) as client:
        text = await failure(client, "get_order", order_id="ord_shirt,ord_mixed")

    assert "CLAW_API_KEY" in text


async def test_an_order_that_nobody_knows_is_looked_up(connect: Connect) -> None:
    async with connect() as client:
        text = await failure(client, "get_order", order_id="ord_nobody")

    assert "Clawver knows no order ord_nobody" in text
    assert "list_orders" in text


# the customer's side


async def test_a_customers_view_and_receipt_use_their_tokens(connect: Connect, shop: Shop) -> None:
    async with connect(api_key=None) as client:
        receipt = await call(client, "get_receipt", checkout_id="chk_digital")
        status = await call(
            client,
            "get_order_status",
            order_id="ord_digital",
            order_status_token=receipt["order_status_token"],
        )
        item = receipt["items"][0]
        link = await call(
            client, "generate_download_link",
            order_id="ord_digital", item_id=item["item_id"], download_token=item["download_token"],
        )  # fmt: skip

    assert receipt["order_id"] == status["order_id"] == "ord_digital"
    assert link["download_url"].startswith(shop.public_url)
    assert not any(request["has_key"] for request in shop.requests())


async def test_a_token_without_its_item_is_not_sent(connect: Connect, shop: Shop) -> None:
    async with connect() as client:
        text = await failure(
            client, "generate_download_link", order_id="ord_digital", download_token="example"
        )

    assert "get_receipt" in text
    assert sent(shop) == []


# refunds that moved no money


async def test_a_failed_refund_is_shown_and_is_no_money(connect: Connect, shop: Shop) -> None:
    failed = {"id": "ref_f", "amountInCents": 700, "status": "Failed", "reason": "Torn"}
    async with connect() as client:
        before = await call(client, "summarize_orders")
        amend(shop, "ord_digital", refunds=[failed])
        order = await one_order(client, order_id="ord_digital")
        summary = await call(client, "summarize_orders")
        again = await call(
            client, "refund_order", order_id="ord_digital", amount_in_cents=700, reason="Torn"
        )

    assert not {"refunds", "refunded", "refundable"} & order.keys()
    assert order["refundable_in_cents"] == 2499
    assert order["uncounted_refunds"] == [
        {"clawver_refund_id": "ref_f", "status": "failed", "amount": "$7.00"}
    ]
    assert summary["refunded"] == before["refunded"] != "$0.00"
    assert again["status"] == "refunded"
    assert shop.refunds() == [("ord_digital", 700)]


async def test_a_refund_that_is_not_clear_leaves_the_rest_to_a_person(
    connect: Connect, shop: Shop
) -> None:
    unclear = {"id": "ref_u", "amountInCents": 700, "status": "requires_action"}
    for order_id in ("ord_digital", "ord_shirt"):
        amend(shop, order_id, refunds=[unclear])
    async with connect() as client:
        order = await one_order(client, order_id="ord_digital")
        sizes = await call(client, "handle_wrong_size", order_id="ord_shirt")
        text = await failure(
            client, "refund_order", order_id="ord_digital", amount_in_cents=100, reason="Torn"
        )

    assert "refundable_in_cents" not in order
    assert "does not say what became of one: tell the merchant" in order["next_step"]
    assert "does not say what became of one" in sizes["next_step"]
    assert (
        "No money was moved: ord_digital carries a refund of which Clawver does not clearly" in text
    )
    assert "Tell a person" in text
    assert shop.refunds() == []


# downloads


async def test_the_only_file_of_an_order_needs_no_item(connect: Connect, era: str) -> None:
    async with connect(era) as client:
        link = await call(client, "generate_download_link", order_id="ord_digital")
    async with httpx2.AsyncClient(trust_env=False) as http:
        fetched = await http.get(link["download_url"])

    assert fetched.status_code == 200
    assert len(fetched.content) == link["file_size_bytes"]
    assert link["expires_at"].endswith("Z, in 60 minutes")
    assert "unexpected_host" not in link
    assert "clawver-orders sandbox runs" not in link["next_step"]


async def test_several_files_are_told_apart_by_their_ids(connect: Connect, shop: Shop) -> None:
    ids = [item["id"] for item in shop.order("ord_digital_pair")["items"]]
    async with connect() as client:
        text = await failure(client, "generate_download_link", order_id="ord_digital_pair")
        link = await call(
            client, "generate_download_link", order_id="ord_digital_pair", item_id=ids[1]
        )
        wrong = await failure(
            client, "generate_download_link", order_id="ord_digital_pair", item_id="item_x"
        )

    assert all(each in text and each in wrong for each in ids)
    assert link["item_id"] == ids[1]


async def test_a_printed_item_points_at_its_tracking(connect: Connect, shop: Shop) -> None:
    item = shop.order("ord_shirt")["items"][0]["id"]
    async with connect() as client:
        named = await failure(client, "generate_download_link", order_id="ord_shirt", item_id=item)
        alone = await failure(client, "generate_download_link", order_id="ord_shirt")

    assert "printed and shipped" in named
    assert "get_order with order_id ord_shirt to see where it stands" in named
    assert "no digital item" in alone
    assert not any("download" in path for _, path in sent(shop))


async def test_an_unpaid_file_is_not_asked_for(connect: Connect, shop: Shop) -> None:
    async with connect() as client:
        text = await failure(client, "generate_download_link", order_id="ord_unpaid")
        refunded = await failure(client, "generate_download_link", order_id="ord_refunded")

    assert "is not paid" in text
    assert "ord_refunded is refunded in full" in refunded
    assert not any("download" in path for _, path in sent(shop))


# sizes


async def test_a_wrong_size_shows_what_is_in_stock_and_changes_nothing(
    connect: Connect, shop: Shop, era: str
) -> None:
    async with connect(era) as client:
        answer = await call(client, "handle_wrong_size", order_id="ord_shirt", wanted_size="l")

    (item,) = answer["items"]
    assert item["ordered"] == "Bella + Canvas 3001 / M"
    assert item["wanted_available"] == "in_stock"
    assert item["wanted"] == ["Bella + Canvas 3001 / L", "$32.00", "same price"]
    assert item["in_stock"] == [
        ["Bella + Canvas 3001 / XL", "$32.00", "same price"],
        ["Bella + Canvas 3001 / 2XL", "$35.00", "$3.00 more"],
    ]
    assert item["out_of_stock"] == ["Bella + Canvas 3001 / S", "Bella + Canvas 3001 / 3XL"]
    assert (item["total"], answer["refundable_in_cents"]) == ("$32.00", 3200)
    assert "total_in_cents" not in item
    assert answer["next_step"] == (
        "Another size is a new order by the customer. Money back: refund_order, once the merchant agrees."
    )
    assert {method for method, _ in sent(shop)} == {"GET"}


async def test_one_item_of_several_is_not_worth_the_whole_order(connect: Connect) -> None:
    async with connect() as client:
        answer = await call(client, "handle_wrong_size", order_id="ord_mixed")

    (shirt,) = answer["items"]
    assert (shirt["total"], shirt["total_in_cents"]) == ("$32.00", 3200)
    assert (answer["refundable"], answer["refundable_in_cents"]) == ("$41.99", 4199)


async def test_a_size_that_cannot_be_had_is_said(connect: Connect) -> None:
    async with connect() as client:
        sizes = (await call(client, "handle_wrong_size", order_id="ord_shirt"))["items"][0]
        sold_out = sizes["out_of_stock"][0].split(" / ")[-1]
        gone = await call(client, "handle_wrong_size", order_id="ord_shirt", wanted_size=sold_out)
        none = await call(client, "handle_wrong_size", order_id="ord_shirt", wanted_size="12XL")

    assert "wanted_available" not in sizes
    assert gone["items"][0]["wanted_available"] == "out_of_stock"
    assert none["items"][0]["wanted_available"] == "not_found"
    assert none["items"][0]["comes_in"] == ["S", "M", "L", "XL", "2XL", "3XL"]
    assert "comes_in" not in gone["items"][0]
    assert "wanted" not in none["items"][0]


async def test_a_product_that_is_gone_leaves_the_rest_of_the_playbook(
    connect: Connect, shop: Shop
) -> None:
    shop.add_fault("status_before", method="GET", path="/products/", status=404)
    async with connect() as client:
        answer = await call(client, "handle_wrong_size", order_id="ord_shirt", wanted_size="L")

    (item,) = answer["items"]
    assert "in_stock" not in item
    assert item["wanted_available"] == "not_known"
    assert item["ordered"] == "Bella + Canvas 3001 / M"
    assert "refund_order" in answer["next_step"]


async def test_an_order_without_printed_items_has_no_sizes(connect: Connect) -> None:
    async with connect() as client:
        assert "no printed item" in await failure(
            client, "handle_wrong_size", order_id="ord_digital"
        )


# figures


async def test_the_daily_check_adds_up_every_order(connect: Connect, shop: Shop, era: str) -> None:
    async with connect(era) as client:
        answer = await call(client, "summarize_orders")

    orders = shop.orders()
    paid = [o for o in orders if o["paymentStatus"] in {"paid", "partially_refunded", "refunded"}]
    assert answer["orders"] == answer["scanned"] == len(orders)
    sales = sum(o["totalInCents"] for o in paid)
    assert answer["sales"] == display(sales)
    assert answer["refunded"] == display(
        sum(refund["amountInCents"] for order in orders for refund in order["refunds"])
    )
    assert answer["average_order"] == display(sales // len(paid))
    cancelled = [o["totalInCents"] for o in orders if o["status"] == "cancelled"]
    assert ["cancelled", f"{len(cancelled)} orders, {display(sum(cancelled))}"] in answer[
        "by_status"
    ]
    assert sum(int(said.split()[0]) for _, said in answer["by_status"]) == len(orders)
    assert answer["complete"] is True
    assert {"ord_waiting", "ord_cancelled_paid", "ord_failed"} <= {
        r["order_id"] for r in rows(answer, "needs_attention")
    }
    assert "more_that_need_attention" not in answer


@pytest.mark.parametrize("fault", ["page_cut", "page_unsorted", "page_refused", "page_huge"])
async def test_a_page_proves_that_it_is_whole_or_counts_as_cut(
    connect: Connect, shop: Shop, fault: str
) -> None:
    shop.add_fault(fault, method="GET", path="/orders$", times=-1, status=400)
    async with connect(history=False) as client:
        answer = await call(client, "summarize_orders")

    everything = len(shop.orders())
    assert answer["complete"] is (answer["scanned"] == everything)
    assert answer["complete"] is (fault == "page_unsorted")
    assert everything / 3 < answer["scanned"]


async def test_a_quiet_period_needs_no_attention(connect: Connect) -> None:
    async with connect() as client:
        answer = await call(client, "summarize_orders", created_before="2000-01-01")

    assert answer["orders"] == 0
    assert "average_order" not in answer
    assert "needs_attention" not in answer
    assert "call summarize_orders without arguments" in answer["next_step"]


# the shape of everything


async def test_the_sandbox_says_so_in_every_answer(connect: Connect) -> None:
    async with connect(sandbox=True) as client:
        answer = await call(client, "list_orders", limit=1)
        text = await failure(client, "get_order", order_id="ord_nobody")

        link = await call(client, "generate_download_link", order_id="ord_digital")

    assert answer["sandbox"] == SANDBOX_NOTICE
    assert "It opens while clawver-orders sandbox runs." in link["next_step"]
    assert text.endswith(f"({SANDBOX_NOTICE})")


async def test_a_real_store_is_not_called_a_sandbox(connect: Connect) -> None:
    async with connect() as client:
        assert "sandbox" not in await call(client, "list_orders", limit=1)


@pytest.mark.usefixtures("logging_as_it_was")
async def test_masked_answers_name_no_customer(
    configure: Configure, connect: Connect, shop: Shop, era: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up("debug")
    wire = shop.order("ord_shirt")
    private = [wire["customerEmail"].partition("@")[0], wire["trackingNumber"], wire["trackingUrl"]]
    for part, text in wire["shippingAddress"].items():
        if part not in {"country", "state"} and text:
            private += text.split() if part == "name" else [text]
    body = b'{"event": "order.shipped", "data": {"orderId": "ord_shirt", "order": %s}}'
    body %= json.dumps(wire).encode()
    inbox_of(configure()).note("r", [Delivery(body, parse(body), datetime.now(UTC))])
    shop.add_webhook("https://hooks.example/", ["order.shipped"], "whsec_example_0123456789")
    token = shop.status_token_of("ord_shirt")
    refund = {"order_id": "ord_shirt", "amount_in_cents": 500}
    reason = f"Too small for {wire['shippingAddress']['name']} ({wire['customerEmail']}), "
    reason += f"{wire['shippingAddress']['line1']}, {wire['trackingNumber']}"
    async with connect(era, pii="masked", refund_approval="agent", log_level="debug") as client:
        order = await one_order(client, order_id="ord_shirt", include=["address", "timeline"])
        preview = await call(client, "refund_order", reason=reason, **refund)
        status = await call(
            client, "get_order_status", order_id="ord_shirt", order_status_token=token
        )
        said = [
            order,
            preview,
            await call(client, "check_refund", order_id="ord_shirt"),
            await call(client, "confirm_refund", **shown(preview)),
            await call(client, "refund_order", reason=reason, **refund),
            await one_order(client, order_id="ord_shirt"),
            await call(client, "check_refund", order_id="ord_shirt"),
            await call(client, "list_orders", limit=100),
            await call(client, "list_orders", customer_email=wire["customerEmail"]),
            await call(client, "summarize_orders"),
            await call(client, "get_receipt", checkout_id="chk_digital"),
            await call(client, "generate_download_link", order_id="ord_digital"),
            await call(client, "handle_wrong_size", order_id="ord_shirt"),
            events := await call(client, "list_order_events"),
            await call(client, "list_webhooks"),
            status,
            await failure(client, "generate_download_link", order_id="ord_shirt"),
            str(await client.read_resource("clawver://orders/ord_shirt")),
            str(await client.read_resource("clawver://refunds/open")),
            str(await client.get_prompt("resend_download", {"order_id": "ord_shirt"})),
        ]

    logging.getLogger("clawver_orders").debug("the log is read here")
    text = json.dumps(said, ensure_ascii=False) + "".join(capsys.readouterr())
    assert "the log is read here" in text
    assert rows(events, "events")[0]["order_id"] == "ord_shirt"
    assert len(private) == 8
    assert text.count("Too small for") > 3
    assert all(each in reason for each in private[:2])
    assert not [each for each in private if each in text]
    assert "@example.com" not in text
    for each in (order, status):
        assert each["tracking"]["number"] == "…"
        assert "ask the merchant to give it to the customer" in each["next_step"]


async def test_a_masked_reason_of_an_order_without_an_address_is_shown(
    connect: Connect, shop: Shop
) -> None:
    shop.refund("ord_digital", 100, "Asked by ada@example.com")
    async with connect(pii="masked") as client:
        order = await one_order(client, order_id="ord_digital")

    assert order["refunds"][0]["reason"] == "Asked by a…@….com"


async def test_an_unknown_tool_is_answered_with_the_known_ones(connect: Connect, era: str) -> None:
    async with connect(era) as client:
        result = await client.call_tool("cancel_order", {"order_id": "ord_shirt"})

    assert result.is_error
    assert "no such tool" in str(result.content[0])
    assert "refund_order" in str(result.content[0])


async def test_without_a_key_the_tools_are_listed_and_say_what_to_set(
    connect: Connect, era: str
) -> None:
    async with connect(era, api_key=None) as client:
        assert (await client.list_tools()).tools
        text = await failure(client, "get_order", order_id="ord_shirt")

    assert "CLAW_API_KEY" in text
    assert "--sandbox" in text


async def test_a_read_only_server_names_no_tool_that_it_does_not_offer(
    connect: Connect, shop: Shop, era: str
) -> None:
    async with connect(era, read_only=True) as client:
        offered = {tool.name for tool in (await client.list_tools()).tools}
        none = await call(client, "list_webhooks")
        shop.add_webhook("https://hooks.example/", ["order.paid"], "whsec_example_0123456789")
        answers = [
            none,
            cancelled := await one_order(client, order_id="ord_cancelled_paid"),
            await one_order(client, order_id="ord_shirt"),
            await call(client, "handle_wrong_size", order_id="ord_shirt"),
            await call(client, "list_webhooks"),
            await call(client, "list_order_events"),
            await call(client, "summarize_orders"),
        ]
        said = [client.instructions or "", *(text for _, text in texts(answers))]

    hidden = {tool.name for tool in SURFACE} - offered
    assert len(hidden) == 4
    assert not [text for text in said if any(name in text for name in hidden)]
    assert "read-only" in said[0]
    assert cancelled["needs_attention"] == "Cancelled, but $54.00 is not refunded."
    assert cancelled["next_step"] == "It cannot be refunded here (CLAWVER_READ_ONLY)."
    assert cancelled["refundable"] == "$54.00"
    assert "refundable_in_cents" not in cancelled
    assert "Money back cannot be given here (CLAWVER_READ_ONLY)" in answers[3]["next_step"]


async def test_the_hostile_order_makes_no_tool_do_more_than_it_was_asked(
    connect: Connect, shop: Shop, era: str
) -> None:
    checkout_id = shop.checkout_of("ord_hostile")
    token = shop.status_token_of("ord_hostile")
    hostile = {"order_id": "ord_hostile"}
    async with connect(era, refund_approval="agent") as client:
        order = await one_order(client, include=["address"], **hostile)
        listed = await call(client, "list_orders", limit=100)
        answers = [
            order,
            listed,
            await call(client, "get_order_status", order_status_token=token, **hostile),
            await call(client, "get_receipt", checkout_id=checkout_id),
            await call(client, "handle_wrong_size", **hostile),
            await call(client, "refund_order", amount_in_cents=100, reason="Torn", **hostile),
            await call(client, "check_refund", **hostile),
        ]
        refused = await failure(client, "generate_download_link", **hostile)

    by_us = {"next_step", "message", "warning", "why_incomplete"}
    by_us |= {"needs_attention", "customer_sees_it"}
    ours = [refused, *(text for key, text in texts(answers) if key in by_us)]
    theirs = ("already agreed", "New task", "Mallory")
    assert len(ours) >= 7
    assert not [said for said in ours if any(text in said for text in theirs)]
    unseen = {"Cc", "Cf", "Zl", "Zp"}
    assert not [text for _, text in texts(answers) if unseen & {category(c) for c in text}]
    assert [found for found in theirs if any(found in text for _, text in texts(answers))] == [
        *theirs
    ]
    path = "/v1/orders/ord_hostile"
    assert sent(shop) == [
        ("GET", path),
        ("GET", "/v1/orders"),
        ("GET", f"{path}/public"),
        ("GET", f"/v1/checkout/{checkout_id}/receipt"),
        *[("GET", path), ("GET", "/v1/products/prod_tee")],  # the sizes
        ("GET", path),  # the preview of a refund; looking after it takes none
        ("GET", path),  # the download
    ]


async def test_rows_that_cannot_be_read_are_counted(connect: Connect, shop: Shop) -> None:
    shop.add_fault("refunds_unreadable", method="GET", path="/orders$")
    async with connect() as client:
        answer = await call(client, "list_orders", limit=100)

    assert answer["complete"] is False


def test_what_an_order_does_not_tell_is_left_open() -> None:
    order = Order.model_construct(id="ord_1", total_in_cents=100, shipping_address=None)

    assert Recipient.of(order, Masking()) is None
    assert ReceiptItem.model_construct(quantity=None).pieces == "?"
    assert TOOLS["list_orders"].check({"created_after": ""})["created_after"] == ""
