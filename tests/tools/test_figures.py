"""Figures of a span: what Clawver lists and what is kept, added up once, against sums made by hand."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mcp import Client
from tests.amending import amend
from tests.conftest import Configure, Connect, folder_of
from tests.tools.test_older_orders import know_all
from tests.tools.test_tools import call, rows

from clawver_orders.days import IN_UTC
from clawver_orders.history.mirror import HISTORY_FILE, Mirror
from clawver_orders.money import display
from clawver_orders.orders.lifecycle import STATUSES
from clawver_orders.serving.server import build_server
from clawver_orders.tools.spans import Span, cut_short
from clawver_orders.tools.summary import ROWS_SHOWN
from clawver_sandbox.shop import Shop

ZONE = ZoneInfo("America/Santiago")


@pytest.fixture
async def year(shop: Shop, configure: Configure) -> Shop:
    """A year of orders, all of which were read when Clawver still listed them."""
    shop.add_past(420)
    await know_all(shop, configure)
    return shop


def created(order: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(order["createdAt"])


def is_paid(order: dict[str, Any]) -> bool:
    return order["paymentStatus"] not in {"pending", "failed"}


def sales(orders: list[dict[str, Any]]) -> int:
    return sum(each["totalInCents"] for each in orders if is_paid(each))


def refunded(orders: list[dict[str, Any]]) -> int:
    return sum(refund["amountInCents"] for each in orders for refund in each["refunds"])


def days_ago(number: int) -> str:
    return f"{datetime.now(UTC).date() - timedelta(days=number)}"


async def test_a_span_that_clawver_no_longer_lists_is_added_up(
    connect: Connect, year: Shop
) -> None:
    span = {"created_after": days_ago(200), "created_before": days_ago(100)}
    async with connect() as client:
        answer = await call(client, "summarize_orders", **span)

    first, last = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in span.values())
    orders = [each for each in year.orders() if first <= created(each) < last]
    assert answer["orders"] == len(orders) > 50
    assert answer["paid_orders"] == sum(map(is_paid, orders))
    assert answer["sales"] == display(sales(orders))
    assert answer["refunds"] == sum(len(each["refunds"]) for each in orders)
    assert answer["refunded"] == display(refunded(orders))
    counts = Counter(each["status"] for each in orders)
    assert {name: int(said.split()[0]) for name, said in answer["by_status"]} == counts
    assert answer["span"] == f"{first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}"
    assert answer["time_zone"] == "UTC"
    assert answer["as_of"].endswith(("0 minutes ago", "1 minute ago"))
    assert answer["complete"] is False
    assert "Orders kept here since " in answer["why_incomplete"]
    assert ": 420." in answer["why_incomplete"]
    earlier = [
        each for each in year.orders() if first - timedelta(days=100) <= created(each) < first
    ]
    assert answer["span_before"].endswith(
        f": orders {len(earlier)}, paid {sum(map(is_paid, earlier))}, sales {display(sales(earlier))}, "
        f"refunded {display(refunded(earlier))}; some may be missing"
    )
    assert not RATES & set(answer)


RATES = {"refund_rate", "average_order", "sales_change"}


async def test_rates_are_told_where_the_span_and_the_one_before_are_complete(
    connect: Connect, shop: Shop
) -> None:
    for days in (2, 3):
        at = datetime.now(UTC) - timedelta(days=days)
        sold = shop.sell(total_in_cents=1000 * days)["id"]
        amend(shop, sold, createdAt=at.isoformat())
    span = {"created_after": days_ago(2), "created_before": days_ago(1)}
    async with connect() as client:
        answer = await call(client, "summarize_orders", **span)
        amend(shop, sold, currency="?")
        odd_before = await call(client, "summarize_orders", **span)

    assert answer["complete"] is odd_before["complete"] is True
    assert set(answer) >= RATES
    assert RATES - set(odd_before) == {"sales_change"}


async def test_a_change_is_not_told_where_the_span_before_may_lack_orders(
    connect: Connect, year: Shop
) -> None:
    cut = [each for each in map(year.newest, STATUSES, [100] * 6) if len(each) == 100]
    first = max(created(orders[-1]) for orders in cut)
    span = {"created_after": f"{first.date() + timedelta(days=1)}"}
    async with connect() as client:
        answer = await call(client, "summarize_orders", **span)

    assert answer["complete"] is True
    assert answer["span_before"].endswith("; some may be missing")
    assert RATES - set(answer) == {"sales_change"}


async def test_a_call_takes_no_more_requests_than_one_search(connect: Connect, year: Shop) -> None:
    async with connect() as client:
        await call(client, "list_orders", limit=1)
        year.forget_requests()
        for by in ("day", "product", "customer"):
            await call(client, "summarize_orders", created_after=days_ago(300), by=by)

    assert len(year.requests()) <= 3 * 9


def local_day(order: dict[str, Any]) -> date:
    return created(order).astimezone(ZONE).date()


def local_week(order: dict[str, Any]) -> date:
    return local_day(order) - timedelta(days=local_day(order).weekday())


@pytest.mark.parametrize(("by", "name_of"), [("day", local_day), ("week", local_week)])
async def test_figures_by_day_and_week_are_those_of_the_merchants_time_zone(
    connect: Connect, year: Shop, by: str, name_of: Callable[[dict[str, Any]], date]
) -> None:
    span = {"created_after": days_ago(60), "created_before": days_ago(30)}
    async with connect(time_zone=ZONE.key) as client:
        answer = await call(client, "summarize_orders", **span, by=by)

    first, last = (datetime.fromisoformat(each).replace(tzinfo=ZONE) for each in span.values())
    orders = [each for each in year.orders() if first <= created(each) < last]
    names = sorted({name_of(each) for each in orders}, reverse=True)
    expected = []
    for name in names:
        those = [each for each in orders if name_of(each) == name]
        expected.append([
            str(name), str(len(those)), str(sum(map(is_paid, those))), display(sales(those)),
            display(refunded(those)),
        ])  # fmt: skip
    assert answer["columns"] == [by, "orders", "paid_orders", "sales", "refunded"]
    for at_an_end, edge in ((expected[0], last), (expected[-1], first)):
        monday = edge.date() - timedelta(days=edge.weekday())
        if by == "week" and monday != edge.date() and at_an_end[0] == str(monday):
            at_an_end[0] += " (part)"
    assert answer["rows"] == expected
    assert answer["time_zone"] == ZONE.key
    assert sum(int(row[1]) for row in expected) == answer["orders"]
    assert not {"by_status", "needs_attention"} & set(answer)


async def test_figures_by_product_count_what_was_paid(connect: Connect, year: Shop) -> None:
    async with connect() as client:
        answer = await call(client, "summarize_orders", by="product")

    pieces, cents, orders = Counter[str](), Counter[str](), Counter[str]()
    names: dict[str, str] = {}
    for each in reversed(year.orders()):
        names |= {item["productId"]: item["productName"] for item in each["items"]}
    for each in filter(is_paid, year.orders()):
        for item in each["items"]:
            pieces[item["productId"]] += item["quantity"]
            cents[item["productId"]] += item["totalInCents"]
        orders.update({item["productId"] for item in each["items"]})
    assert answer["columns"] == ["product", "orders", "pieces", "sales"]
    assert answer["rows"] == [
        [names[product], str(orders[product]), str(pieces[product]), display(amount)]
        for product, amount in sorted(cents.items(), key=lambda row: -row[1])
    ]
    assert answer["orders"] == 420


async def test_figures_by_customer_are_masked_where_the_merchant_wants_that(
    connect: Connect, year: Shop
) -> None:
    async with connect() as client:
        answer = await call(client, "summarize_orders", by="customer")
    async with connect(pii="masked") as client:
        masked = await call(client, "summarize_orders", by="customer")

    theirs = {each["customerEmail"]: [] for each in year.orders()}  # type: ignore[var-annotated]
    for each in year.orders():
        theirs[each["customerEmail"]].append(each)
    best = sorted(theirs.items(), key=lambda row: (-sales(row[1]), row[0]))
    assert len(best) > ROWS_SHOWN
    assert answer["rows"] == [
        [
            email,
            str(len(each)),
            str(sum(map(is_paid, each))),
            display(sales(each)),
            display(refunded(each)),
        ]
        for email, each in best[:ROWS_SHOWN]
    ]
    left_out = sum(sales(each) for _, each in best[ROWS_SHOWN:])
    assert answer["more_rows"] == f"{len(best) - ROWS_SHOWN} more, {display(left_out)} together"
    assert [row[1:] for row in masked["rows"]] == [row[1:] for row in answer["rows"]]
    assert not {row[0] for row in masked["rows"]} & set(theirs)


async def test_an_order_that_changed_counts_as_clawver_lists_it_now(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    sold = shop.sell(payment_status="pending", status="pending")["id"]
    shop.add_past(320)
    await know_all(shop, configure)
    amend(shop, sold, paymentStatus="paid")
    async with connect() as client:
        answer = await call(client, "summarize_orders")

    assert answer["paid_orders"] == sum(map(is_paid, shop.orders()))
    assert answer["orders"] == 320


async def test_orders_of_a_customer_who_is_forgotten_count_while_clawver_lists_them(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    async with connect() as client:
        before = await call(client, "summarize_orders")
        path = folder_of(configure()) / HISTORY_FILE
        Mirror(path, timedelta(days=400)).forget("zoe@example.com", datetime.now(UTC))
        after = await call(client, "summarize_orders")

    assert {**before, "as_of": 0} == {**after, "as_of": 0}


async def test_without_a_history_only_what_clawver_lists_is_added_up(
    connect: Connect, year: Shop
) -> None:
    async with connect(history=False) as client:
        answer = await call(client, "summarize_orders", created_after=days_ago(300))

    assert answer["orders"] < 300
    assert "kept here" not in answer["why_incomplete"]
    assert not {"as_of", "span_before", "sales_change"} & set(answer)


async def test_a_history_that_cannot_be_read_is_said(
    connect: Connect, configure: Configure, year: Shop
) -> None:
    async with connect() as client:
        await call(client, "list_orders", limit=1)
        (folder_of(configure()) / HISTORY_FILE).write_bytes(b"no database" * 100)
        answer = await call(client, "summarize_orders", created_after=days_ago(300))

    assert 0 < answer["orders"] < 300
    assert "The history of older orders cannot be read now" in answer["why_incomplete"]
    assert "span_before" not in answer


async def test_rows_without_details_are_completed_by_what_was_read_before(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    await know_all(shop, configure)
    async with connect() as client:
        whole = await call(client, "summarize_orders", created_after=days_ago(9))
        shop.add_fault("page_thin", times=-1)
        answer = await call(client, "summarize_orders", created_after=days_ago(9))

    names = {"orders", "paid_orders", "sales", "refunds", "refunded"}
    assert {each: answer[each] for each in names} == {each: whole[each] for each in names}
    before = [each["span_before"].partition(": ") for each in (answer, whole)]
    assert before[0][2] == before[1][2]  # the span itself ends at the minute of the call
    assert answer["complete"] is True
    assert re.search(r"\b\d+ minutes? ago$", answer["as_of"])


async def test_rows_without_details_are_counted_where_nothing_else_is_known(
    connect: Connect, shop: Shop
) -> None:
    shop.add_past(320)
    shop.add_fault("page_thin", times=-1)
    async with connect() as client:
        answer = await call(client, "summarize_orders", created_after=days_ago(300), by="product")
        again = await call(client, "summarize_orders", created_after=days_ago(300))

    assert answer["complete"] is False
    assert "orders do not tell their payment_status or refunds or items" in answer["why_incomplete"]
    assert "without details" in again["why_incomplete"]


async def test_older_orders_that_do_not_tell_their_money_are_counted(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    shop.add_past(320)
    async with connect() as client:
        await call(client, "list_orders", limit=1)
    await know_all(shop, configure, thin=shop.orders()[-5:])
    async with connect() as client:
        answer = await call(client, "summarize_orders")

    assert answer["orders"] == 320
    assert "5 older orders do not tell all that is added up." in answer["why_incomplete"]
    assert "5 of them without details" in answer["why_incomplete"]


async def test_what_has_no_time_or_customer_is_a_row_of_its_own(
    connect: Connect, configure: Configure, shop: Shop
) -> None:
    shop.add_past(320)
    oldest = shop.orders()[-1]["id"]
    for each in (oldest, "ord_shirt"):
        amend(shop, each, createdAt=None, customerEmail=None, items=None)
    await know_all(shop, configure)
    async with connect() as client:
        by_day = await call(client, "summarize_orders", by="week")
        by_customer = await call(client, "summarize_orders", by="customer")

    assert by_day["rows"][-1][:2] == ["?", "2"]
    assert [row[1] for row in by_customer["rows"] if row[0] == "?"] == ["2"]


async def test_a_long_name_is_cut_and_one_that_is_missing_is_told_as_that(
    connect: Connect, shop: Shop
) -> None:
    line = {"id": "item_1", "productName": "a" * 100, "quantity": 1, "totalInCents": 10**9}
    amend(shop, "ord_shirt", items=[line, line | {"productName": "", "totalInCents": 10**8}])
    async with connect() as client:
        answer = await call(client, "summarize_orders", by="product")

    assert [row[0] for row in answer["rows"][:2]] == [f"{'a' * 59}…", "?"]


async def test_orders_in_several_currencies_are_never_added(connect: Connect, shop: Shop) -> None:
    amend(shop, "ord_shirt", currency="EUR")
    async with connect() as client:
        answer = await call(client, "summarize_orders", by="customer")

    (noam,) = [row for row in answer["rows"] if row[0] == "noam@example.com"]
    usd, eur = noam[3].split(" + ")
    assert usd.startswith("$")
    assert eur == "EUR 32.00"


async def test_a_day_that_is_not_over_is_compared_with_as_much_of_the_day_before(
    configure: Configure, shop: Shop
) -> None:
    now = datetime(2025, 11, 30, 10, 30, tzinfo=UTC)
    for at in ("2025-11-30T09:00:00Z", "2025-11-29T10:29:00Z", "2025-11-29T10:31:00Z"):
        amend(shop, shop.sell(total_in_cents=1000)["id"], createdAt=at)
    async with Client(build_server(configure(), now=lambda: now)) as client:
        answer = await call(
            client, "summarize_orders", created_after="today", created_before="2025-12-01"
        )

    assert answer["orders"] == 1
    assert answer["span_before"].startswith(
        "2025-11-29T00:00Z to 2025-11-29T10:30Z: orders 1, paid 1, sales $10.00, "
    )
    assert answer["sales_change"] == "+0.0%"


async def test_a_span_from_the_beginning_of_time_is_compared_with_nothing(
    connect: Connect, shop: Shop
) -> None:
    async with connect() as client:
        answer = await call(client, "summarize_orders", created_after="0001-01-01")

    assert answer["orders"] == len(shop.orders())
    assert ": orders 0, paid 0, sales $0.00" in answer["span_before"]
    assert "sales_change" not in answer


async def test_attention_is_for_what_clawver_lists_now(connect: Connect, year: Shop) -> None:
    async with connect() as client:
        answer = await call(client, "summarize_orders")

    listed = {each["id"] for status in ("shipped", "processing", "confirmed", "pending", "cancelled") for each in year.newest(status, 100)}  # fmt: skip
    assert {row["order_id"] for row in rows(answer, "needs_attention")} <= listed


@pytest.mark.parametrize(
    ("by", "begin", "end", "parts"),
    [
        ("week", "2026-11-04T00:00Z", "2026-11-18T00:00Z", {"2026-11-02", "2026-11-16"}),
        ("week", "2026-11-02T00:00Z", "2026-11-16T00:00Z", set()),
        ("day", "2026-11-02T12:00Z", "2026-11-03T00:00Z", {"2026-11-02"}),
        ("week", None, None, set()),
        ("product", "2026-11-04T00:00Z", None, set()),
    ],
)
def test_days_and_weeks_of_which_a_span_has_a_part_are_marked(
    by: Any, begin: str | None, end: str | None, parts: set[str]
) -> None:
    first, last = (each and datetime.fromisoformat(each) for each in (begin, end))

    assert cut_short(Span(first or None, last or None), by, IN_UTC) == parts
