"""The tools through a real client, against a real store: what an agent gets and what was sent."""

import json
import logging
from datetime import UTC, datetime
from typing import Any
from unicodedata import category

import httpx2
import pytest
from mcp import Client
from tests.amending import amend
from tests.conftest import Configure, Connect, inbox_of

from clawver_orders.logs import set_up
from clawver_orders.services import SANDBOX_NOTICE
from clawver_orders.tools import SURFACE
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


def rows(answer: dict[str, Any]) -> list[dict[str, str]]:
    return [dict(zip(answer["columns"], cells, strict=True)) for cells in answer["orders"]]


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
    assert [row["total_in_cents"] for row in rows(answer)] == [
        str(o["totalInCents"]) for o in listed
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

    assert "Clawver gives no more per call" in everything["why_incomplete"]
    assert "orders that are confirmed may be missing" in filtered["why_incomplete"]
    assert "the newest 1 are listed" in filtered["why_incomplete"]
    assert no_match["orders"] == []
    assert no_match["complete"] is False
    assert no_match["next_step"].startswith("Nothing matches")


async def test_a_name_is_not_looked_for_as_an_address(connect: Connect, shop: Shop) -> None:
    async with connect() as client:
        text = await failure(client, "list_orders", customer_email="noam")

    assert "must be a whole e-mail address" in text
    assert sent(shop) == []


async def test_a_list_costs_a_quarter_of_what_the_api_answers(
    connect: Connect, store_url: str
) -> None:
    async with connect() as client:
        result = await client.call_tool("list_orders", {"limit": 20})
    async with httpx2.AsyncClient(trust_env=False) as http:
        from clawver_sandbox.shop import API_KEY

        raw = await http.get(
            f"{store_url}/v1/orders?limit=20", headers={"Authorization": f"Bearer {API_KEY}"}
        )

    text = str(getattr(result.content[0], "text", ""))
    assert len(text.encode()) <= 0.25 * len(raw.content)


# get_order


async def test_a_shipped_order_shows_its_items_tracking_and_what_is_left(
    connect: Connect, shop: Shop, era: str
) -> None:
    async with connect(era) as client:
        answer = await call(client, "get_order", order_id="ord_shirt")

    wire = shop.order("ord_shirt")
    assert answer["tracking"] == {
        "carrier": wire["carrier"], "number": wire["trackingNumber"], "url": wire["trackingUrl"],
    }  # fmt: skip
    assert answer["refundable_in_cents"] == wire["totalInCents"]
    assert answer["items"][0]["variant_id"] == wire["items"][0]["variantId"]
    assert answer["standing"] == "On its way to the customer. Next: delivered."
    assert (
        answer["items"][0]["what_can_be_done"]
        == "Sizes: handle_wrong_size with order_id ord_shirt."
    )
    assert answer["next_step"] == "Give the customer the tracking that stands here."


async def test_a_partly_refunded_order_says_what_is_left(connect: Connect, shop: Shop) -> None:
    async with connect() as client:
        answer = await call(client, "get_order", order_id="ord_partly_refunded")

    wire = shop.order("ord_partly_refunded")
    given_back = sum(refund["amountInCents"] for refund in wire["refunds"])
    assert answer["refunded_in_cents"] == given_back
    assert answer["refundable_in_cents"] == wire["totalInCents"] - given_back
    assert [r["clawver_refund_id"] for r in answer["refunds"]] == [r["id"] for r in wire["refunds"]]


@pytest.mark.parametrize(
    ("order_id", "says"),
    [
        (
            "ord_digital",
            "generate_download_link with order_id ord_digital and item_id item_digital_1",
        ),
        ("ord_digital_pair", "order_id ord_digital_pair and the item_id of the file"),
        ("ord_cancelled_paid", "refund_order with order_id ord_cancelled_paid and amount_in_cents"),
        ("ord_failed", "The payment failed"),
        ("ord_waiting_processing", "Tell the merchant, who should look into it: 12 days old"),
        ("ord_refunded", "Nothing has to be done."),
    ],
)
async def test_an_order_names_the_next_step(connect: Connect, order_id: str, says: str) -> None:
    async with connect() as client:
        answer = await call(client, "get_order", order_id=order_id)

    assert says in answer["next_step"]
    assert "not known" not in answer["next_step"]


async def test_an_order_that_nobody_knows_is_looked_up(connect: Connect) -> None:
    async with connect() as client:
        text = await failure(client, "get_order", order_id="ord_nobody")

    assert "Clawver knows no order ord_nobody" in text
    assert "list_orders" in text


async def test_the_files_of_an_unpaid_order_are_said_to_be_closed(connect: Connect) -> None:
    async with connect() as client:
        unpaid = await call(client, "get_order", order_id="ord_unpaid")
        refunded = await call(client, "get_order", order_id="ord_refunded")
    assert "not paid" in json.dumps(unpaid["items"])
    assert refunded["items"][0]["what_can_be_done"] == "No download: the order is refunded in full."


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
        order = await call(client, "get_order", order_id="ord_digital")
        summary = await call(client, "summarize_orders")
        again = await call(
            client, "refund_order", order_id="ord_digital", amount_in_cents=700, reason="Torn"
        )

    assert (order["refunds"], order["refunded"]) == ([], "$0.00")
    assert order["refundable_in_cents"] == order["total_in_cents"]
    assert order["uncounted_refunds"] == [
        {"clawver_refund_id": "ref_f", "status": "failed", "amount_in_cents": 700, "amount": "$7.00"}
    ]  # fmt: skip
    assert summary["refunded_in_cents"] == before["refunded_in_cents"] > 0
    assert again["status"] == "refunded"
    assert shop.refunds() == [("ord_digital", 700)]


async def test_a_refund_that_is_not_clear_leaves_the_rest_to_a_person(
    connect: Connect, shop: Shop
) -> None:
    unclear = {"id": "ref_u", "amountInCents": 700, "status": "requires_action"}
    for order_id in ("ord_digital", "ord_shirt"):
        amend(shop, order_id, refunds=[unclear])
    async with connect() as client:
        order = await call(client, "get_order", order_id="ord_digital")
        sizes = await call(client, "handle_wrong_size", order_id="ord_shirt")
        text = await failure(
            client, "refund_order", order_id="ord_digital", amount_in_cents=100, reason="Torn"
        )

    assert "refundable_in_cents" not in order
    assert "not what became of one: tell the merchant" in order["next_step"]
    assert "not what became of one" in sizes["steps"][-1]
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
    assert link["file_size"].endswith("kB")
    assert link["expires_at"].endswith("Z")
    assert link["unexpected_host"] is False
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
    assert item["ordered_size"] == "M"
    assert item["wanted_available"] == "in_stock"
    assert item["wanted"]["size"] == "L"
    assert {choice["size"] for choice in item["out_of_stock"]}
    assert "no call that exchanges" in answer["exchange"]
    assert "amount_in_cents up to 3200" in answer["steps"][-1]
    assert "was paid for" not in answer["steps"][-1]
    assert {method for method, _ in sent(shop)} == {"GET"}


async def test_one_item_of_several_is_not_worth_the_whole_order(
    connect: Connect, shop: Shop
) -> None:
    shirt = shop.order("ord_mixed")["items"][1]
    async with connect() as client:
        answer = await call(client, "handle_wrong_size", order_id="ord_mixed")

    assert f"$32.00 was paid for {shirt['id']}, at most $41.99" in answer["steps"][-1]


async def test_a_size_that_cannot_be_had_is_said(connect: Connect) -> None:
    async with connect() as client:
        sizes = (await call(client, "handle_wrong_size", order_id="ord_shirt"))["items"][0]
        sold_out = sizes["out_of_stock"][0]["size"]
        gone = await call(client, "handle_wrong_size", order_id="ord_shirt", wanted_size=sold_out)
        none = await call(client, "handle_wrong_size", order_id="ord_shirt", wanted_size="12XL")

    assert sizes["wanted_available"] == "not_asked"
    assert gone["items"][0]["wanted_available"] == "out_of_stock"
    assert none["items"][0]["wanted_available"] == "no_such_size"
    assert "offer one from in_stock" in none["steps"][1]


async def test_a_product_that_is_gone_leaves_the_rest_of_the_playbook(
    connect: Connect, shop: Shop
) -> None:
    shop.add_fault("status_before", method="GET", path="/products/", status=404)
    async with connect() as client:
        answer = await call(client, "handle_wrong_size", order_id="ord_shirt", wanted_size="L")

    assert answer["items"][0]["in_stock"] == []
    assert answer["items"][0]["wanted_available"] == "not_known"
    assert "not known: ask the merchant" in answer["steps"][1]
    assert answer["items"][0]["ordered_variant_name"] == "Bella + Canvas 3001 / M"
    assert "refund_order" in answer["steps"][-1]


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
    assert answer["sales_in_cents"] == sum(o["totalInCents"] for o in paid)
    assert answer["refunded_in_cents"] == sum(
        refund["amountInCents"] for order in orders for refund in order["refunds"]
    )
    assert answer["average_order_in_cents"] == answer["sales_in_cents"] // len(paid)
    assert sum(row["orders"] for row in answer["by_status"]) == len(orders)
    assert answer["complete"] is True
    assert {"ord_waiting", "ord_cancelled_paid", "ord_failed"} <= {
        r["order_id"] for r in answer["needs_attention"]
    }
    assert answer["next_step"].startswith("Start with get_order for order_id")


async def test_a_quiet_period_needs_no_attention(connect: Connect) -> None:
    async with connect() as client:
        answer = await call(client, "summarize_orders", created_before="2000-01-01")

    assert answer["orders"] == 0
    assert "average_order" not in answer
    assert "for older ones that wait call summarize_orders without arguments" in answer["next_step"]


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
    async with connect(era, pii="masked", refund_approval="ask", log_level="debug") as client:
        order = await call(client, "get_order", order_id="ord_shirt")
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
            await call(client, "get_order", order_id="ord_shirt"),
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
    assert events["events"][0][1:3] == ["order.shipped", "ord_shirt"]
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
    shop.refund("ord_digital", 100, "Asked by sam@example.com")
    async with connect(pii="masked") as client:
        order = await call(client, "get_order", order_id="ord_digital")

    assert order["refunds"][0]["reason"] == "Asked by s…@….com"


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
            await call(client, "get_order", order_id="ord_cancelled_paid"),
            await call(client, "get_order", order_id="ord_shirt"),
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
    assert "tell the merchant that $54.00 is left to refund" in answers[1]["next_step"]
    assert "At most $32.00 of this order can be refunded" in answers[3]["steps"][-1]


async def test_the_hostile_order_makes_no_tool_do_more_than_it_was_asked(
    connect: Connect, shop: Shop, era: str
) -> None:
    checkout_id = shop.checkout_of("ord_hostile")
    token = shop.status_token_of("ord_hostile")
    hostile = {"order_id": "ord_hostile"}
    async with connect(era, refund_approval="ask") as client:
        order = await call(client, "get_order", **hostile)
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

    by_us = {"next_step", "message", "warning", "standing", "steps", "exchange", "why_incomplete"}
    by_us |= {"what_can_be_done", "needs_attention", "customer_sees_it"}
    ours = [refused, *(text for key, text in texts(answers) if key in by_us)]
    theirs = ("already agreed", "New task", "Mallory")
    assert len(ours) > 15
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
