"""Orders that Clawver no longer lists: found by a part of a name, and read page by page."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from tests.conftest import Configure, Connect, folder_of, slow, succeeding, telling, with_slow
from tests.tools.test_tools import call, rows

from clawver_orders.clawver.models import Order
from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE
from clawver_orders.history.words import is_found
from clawver_orders.services import opened
from clawver_orders.tools.listing import LAST_PAGE, NOT_ALL_LOOKED_AT
from clawver_sandbox.shop import Shop


@pytest.fixture
def year(shop: Shop) -> Shop:
    """A year of orders, all of which were read when Clawver still listed them."""
    shop.add_past(320)
    return shop


async def know_all(shop: Shop, configure: Configure, thin: Sequence[dict[str, Any]] = ()) -> None:
    """Have all orders in the history, some of them as rows of a list without details."""
    without = {each["id"] for each in thin}
    async with opened(configure()) as services:
        recorder, at = (await services.store()).recorder, services.now().timestamp()
        for each in shop.orders():
            row = {name: each[name] for name in ("id", "status", "totalInCents", "createdAt")}
            recorder.saw(
                Sighting(each["id"], row, "list", at)
                if each["id"] in without
                else Sighting(each["id"], kept(each), "read", at)
            )


def buyer_of(shop: Shop, text: str) -> dict[str, Any]:
    """The oldest order of somebody whose name has this in it."""
    listed = {each["id"] for each in shop.orders()[:120]}
    named = [
        each
        for each in shop.orders()
        if re.search(text, (each["shippingAddress"] or {}).get("name") or "")
        and each["id"] not in listed
    ]
    return named[-1]


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("Müller", "muller"),
        ("[王李张刘陈杨赵黄周吴]", ""),
        ("[김이박최정강조윤장임]", ""),
        ("Ng", "NG"),
    ],
)
async def test_an_order_that_clawver_does_not_list_is_found_by_its_name(
    connect: Connect, configure: Configure, year: Shop, text: str, typed: str
) -> None:
    await know_all(year, configure)
    order = buyer_of(year, text)
    name = order["shippingAddress"]["name"]
    async with connect() as client:
        answer = await call(client, "list_orders", search=typed or name, limit=100)

    found = [row for row in rows(answer) if row["order_id"] == order["id"]]
    assert [row.get("source") for row in found] == ["history"]
    assert answer["as_of"].endswith(("0 minutes ago", "1 minute ago"))
    assert answer["complete"] is False
    assert "Orders kept here since " in answer["why_incomplete"]
    assert ": 320." in answer["why_incomplete"]


@pytest.mark.parametrize(
    ("search", "error"),
    [
        ("%", ""),
        *(slow(text, "") for text in ("_", '"', "' OR 1=1 --", "\U0001f99e")),
        ("x" * 10_000, "search must have at most 200 characters"),
    ],
)
async def test_a_search_that_finds_nothing_is_no_other_search(
    connect: Connect, configure: Configure, year: Shop, search: str, error: str
) -> None:
    await know_all(year, configure)
    async with connect() as client:
        answer = await client.call_tool("list_orders", {"search": search, "limit": 100})

    text = str(answer.content[0])
    assert answer.is_error is bool(error)
    assert error in text
    if not error:
        assert answer.structured_content is not None
        assert answer.structured_content["orders"] == []


async def test_a_search_finds_what_clawver_lists_without_any_history(
    connect: Connect, shop: Shop
) -> None:
    async with connect(history=False) as client:
        answer = await call(
            client, "list_orders", search="levi star 9z" if False else "noam tee", limit=100
        )

    matching = [Order.model_validate(each) for each in shop.orders()]
    expected = {each.id for each in matching if is_found(each, "noam tee")}
    assert {row["order_id"] for row in rows(answer)} == expected
    assert "ord_shirt" in expected
    assert answer["complete"] is True
    assert "as_of" not in answer


WITHOUT = ("shippingAddress", "trackingNumber")


@pytest.mark.parametrize("unsaid", WITHOUT)
async def test_rows_that_do_not_tell_what_is_searched_are_opened_or_counted(
    connect: Connect, shop: Shop, unsaid: str
) -> None:
    orders = [each for each in shop.newest(None, 100) if each["trackingNumber"]]
    sought = orders[-1]
    search = {
        "shippingAddress": sought["shippingAddress"]["name"],
        "trackingNumber": sought["trackingNumber"],
    }[unsaid]

    def told(path: str) -> tuple[bytes, bytes]:
        if path.startswith("/v1/orders/"):
            return succeeding({"order": shop.order(path.rsplit("/", 1)[-1])})
        rows = [{k: v for k, v in each.items() if k != unsaid} for each in listed]
        return succeeding({"orders": rows}, pagination={"hasMore": False})

    async with telling(told) as url, connect(api_url=url, history=False) as client:
        listed = [sought]
        few = await call(client, "list_orders", search=search)
        listed = [*shop.newest(None, 100), sought]
        many = await call(client, "list_orders", search=search)

    assert [row["order_id"] for row in rows(few)] == [sought["id"]]
    assert few["complete"] is True
    assert many["complete"] is False
    assert "orders do not tell their customer_email or items or" in many["why_incomplete"]


async def test_all_orders_are_read_page_by_page_newest_first_and_once(
    connect: Connect, configure: Configure, year: Shop
) -> None:
    await know_all(year, configure)
    year.forget_requests()
    found: list[dict[str, str]] = []
    cursor = ""
    async with connect() as client:
        while not found or cursor:
            answer = await call(client, "list_orders", limit=100, cursor=cursor)
            found += rows(answer)
            cursor = answer.get("cursor", "")
            why = answer["why_incomplete"]
            assert ("There are more: pass cursor." in why) is bool(cursor)
            assert ("This is the last page of what is known here." in why) is (not cursor)

    ids = [row["order_id"] for row in found]
    assert len(ids) == len(set(ids))
    assert sorted(ids) == sorted(each["id"] for each in year.orders())
    times = [year.order(each)["createdAt"] for each in ids]
    assert times == sorted(times, reverse=True)
    assert [request["path"] for request in year.requests()] == ["/v1/orders"]
    assert {row.get("source", "") for row in found} == {"", "history"}


@pytest.mark.parametrize(
    "filters",
    with_slow(
        [{"product": "star MAP"}, {"search": "buyer1 hoodie"}],
        [
            {"status": "cancelled"},
            {"payment_status": "refunded"},
            {"customer_email": "BUYER101@example.com"},
            {"product": "prod_tee"},
            {"created_before": "2026-09-01", "created_after": "2026-02-01"},
        ],
    ),
)
async def test_filters_hold_over_live_and_kept_orders_and_over_all_pages(
    connect: Connect, configure: Configure, year: Shop, filters: dict[str, Any]
) -> None:
    await know_all(year, configure)
    found: list[dict[str, str]] = []
    cursor, is_first = "", True
    async with connect() as client:
        while is_first or cursor:
            answer = await call(client, "list_orders", limit=30, cursor=cursor, **filters)
            found += rows(answer)
            cursor, is_first = answer.get("cursor", ""), False

    def matches(sent: dict[str, Any]) -> bool:
        order = Order.model_validate(sent)
        product = filters.get("product", "").lower()
        return all(
            (
                filters.get("status", order.status) == order.status,
                filters.get("payment_status", order.payment_status) == order.payment_status,
                filters.get("customer_email", sent["customerEmail"]).lower()
                == order.customer_email,
                any(
                    product in i.product_name.lower() or product == i.product_id
                    for i in order.items or ()
                ),
                is_found(order, filters.get("search", "")),
                filters.get("created_after", "")
                <= sent["createdAt"]
                < filters.get("created_before", "9"),
            )
        )

    expected = [each["id"] for each in year.orders() if matches(each)]
    ids = [row["order_id"] for row in found]
    assert sorted(ids) == sorted(expected)
    times = [year.order(each)["createdAt"] for each in ids]  # some may be the same
    assert times == sorted(times, reverse=True)


async def test_what_clawver_lists_now_counts_and_not_what_was_kept_of_it(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    sold = shop.sell(status="processing", digital=False)["id"]
    shop.add_past(300)
    await know_all(shop, configure)
    shop.advance(sold)
    async with connect() as client:
        answer = await call(client, "list_orders", search=sold)

    (row,) = rows(answer)
    assert row["status"] == "shipped"
    assert "source" not in row
    assert "as_of" not in answer


async def test_a_history_that_cannot_be_read_is_said_and_what_clawver_lists_is_given(
    connect: Connect, configure: Configure, year: Shop
) -> None:
    settings = configure()
    async with connect() as client:
        await call(client, "list_orders", limit=1)
        path = folder_of(settings) / HISTORY_FILE
        path.write_bytes(b"no database" * 100)
        answer = await call(client, "list_orders", customer_email="zoe@example.com")

    assert rows(answer)
    assert "The history of older orders cannot be read now" in answer["why_incomplete"]


async def test_without_a_history_there_is_no_next_page(connect: Connect, year: Shop) -> None:
    async with connect(history=False) as client:
        first = await call(client, "list_orders")
        filtered = await call(client, "list_orders", created_after="2020-01-01")
        next_one = await client.call_tool("list_orders", {"cursor": "123"})

    assert "cursor" not in first | filtered
    assert next_one.is_error
    assert "CLAWVER_HISTORY is off" in next_one.content[0].text  # type: ignore[union-attr]


async def test_a_page_behind_all_orders_is_empty_and_says_what_is_known(connect: Connect) -> None:
    async with connect() as client:
        await call(client, "list_orders", limit=1)
        answer = await call(client, "list_orders", cursor=str(-(2**62)))

    assert rows(answer) == []
    assert answer["complete"] is False
    assert ": 1." in answer["why_incomplete"]


@pytest.mark.parametrize("cursor", ["x", "1.5", "9" * 19, "٣", "-", "1" * 30])
async def test_a_cursor_that_no_answer_gave_is_refused(connect: Connect, cursor: str) -> None:
    async with connect() as client:
        answer = await client.call_tool("list_orders", {"cursor": cursor})

    assert answer.is_error
    assert "must be the cursor of another answer" in answer.content[0].text  # type: ignore[union-attr]


async def test_a_search_that_is_far_too_long_is_refused(connect: Connect) -> None:
    async with connect() as client:
        answer = await client.call_tool("list_orders", {"search": "x" * 10_000})

    assert answer.is_error


async def test_where_few_of_many_match_the_search_ends_and_says_that_some_may_be_missing(
    connect: Connect, configure: Configure, year: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await know_all(year, configure)
    monkeypatch.setattr("clawver_orders.tools.listing.LOOKS", 1)
    monkeypatch.setattr("clawver_orders.tools.listing.PAGE", 2)
    async with connect() as client:
        answer = await call(client, "list_orders", product="map star")
        behind = await call(client, "list_orders", product="map star", cursor=str(2**62))

    for each in (answer, behind):
        assert rows(each) == []
        assert each["complete"] is False
        assert NOT_ALL_LOOKED_AT in each["why_incomplete"]
        assert LAST_PAGE not in each["why_incomplete"]


@pytest.mark.parametrize("tool", ["list_orders", "summarize_orders"])
@pytest.mark.parametrize(
    ("span", "said"),
    [
        ({"created_after": "2026-02-02", "created_before": "2026-02-01"}, "is not before"),
        ({"created_after": "2026-02-01", "created_before": "2026-02-01"}, "is not before"),
        ({"created_after": "2999-01-01"}, "is in the future: it is 20"),
    ],
)
async def test_a_span_in_which_no_order_can_be_is_refused(
    connect: Connect, shop: Shop, tool: str, span: dict[str, str], said: str
) -> None:
    async with connect() as client:
        answer = await client.call_tool(tool, span)

    assert answer.is_error
    assert said in answer.content[0].text  # type: ignore[union-attr]
    assert shop.requests() == []
