"""Finding orders in a store that gives little: sparse rows, no word about more of them."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from pydantic.alias_generators import to_camel
from tests.conftest import client_of, succeeding, telling

from clawver_orders.clawver.models import OrderPage
from clawver_orders.orders.search import DETAILS, _reach, _reaches_back, is_whole, search
from clawver_orders.settings import Settings
from clawver_sandbox.shop import API_KEY


def row(number: int, status: str = "delivered", **more: Any) -> dict[str, Any]:
    day = f"2026-11-{1 + number % 28:02d}T00:00:00Z"
    return {"id": f"ord_{number}", "status": status, "totalInCents": 100, "createdAt": day} | more


class Store:
    """Answers from a list of orders, cut where the real one cuts."""

    def __init__(
        self, orders: list[dict[str, Any]], most: int = 100, *, tells_limit: bool = True
    ) -> None:
        self.tells_limit = tells_limit
        self.orders = orders
        self.most = most
        self.asked: list[str] = []

    def __call__(self, path: str) -> tuple[bytes, bytes]:
        self.asked.append(path)
        parts = urlsplit(path)
        if parts.path != "/v1/orders":
            (order,) = [o for o in self.orders if parts.path.endswith(f"/{o['id']}")]
            return succeeding({"order": order | {"customerEmail": "ada@example.com", "items": []}})
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        listed = [o for o in self.orders if query.get("status", o["status"]) == o["status"]]
        listed.sort(key=lambda o: str(o["createdAt"]), reverse=True)
        limit = min(int(query["limit"]), self.most)
        told = {"pagination": {"limit": limit}} if self.tells_limit else {}
        return succeeding({"orders": listed[:limit]}, **told)

    async def find(self, **wanted: Any) -> Any:
        async with telling(self) as url, httpx2.AsyncClient(trust_env=False) as http:
            return await search(client_of(Settings(api_key=API_KEY, api_url=url), http), **wanted)


def page(count: int, **told: Any) -> OrderPage:
    body = {"data": {"orders": [row(n) for n in range(count)]}, "pagination": told}
    return OrderPage.model_validate(body)


@pytest.mark.parametrize(
    ("count", "told", "whole"),
    [
        (100, {"hasMore": False}, True), (5, {"hasMore": True}, False), (5, {"hasMore": True, "limit": 100}, False),
        (7, {"limit": 8}, True), (8, {"limit": 8}, False), (9, {"limit": 8}, False), (7, {"hasMore": None, "limit": 8}, True),
        (7, {}, False), (64, {}, False), (1, {}, False), (7, {"limit": "8"}, False), (7, {"limit": True}, False),
        (7, {"limit": 10**9}, False), (0, {}, True), (0, {"limit": 0}, True),
    ],
)  # fmt: skip
def test_a_page_is_whole_when_it_says_so_or_is_shorter_than_the_store_says_that_pages_are(
    count: int, told: dict[str, Any], whole: bool
) -> None:
    assert is_whole(page(count, **told)) is whole


def test_a_page_with_rows_that_cannot_be_read_is_as_long_as_with_them() -> None:
    body = {"data": {"orders": [row(1), {}]}, "meta": {"pagination": {"limit": 2}}}

    assert not is_whole(OrderPage.model_validate(body))


async def test_a_store_that_does_not_say_how_long_its_pages_are_proves_nothing() -> None:
    rows = [row(n) for n in range(3)]
    silent, told = Store(rows, tells_limit=False), Store(rows)

    found = await silent.find()
    certain = await told.find()

    assert len(found.orders) == len(certain.orders) == 3
    assert "older orders that are delivered may be missing" in str(found.why_incomplete)
    assert certain.why_incomplete is None
    since = datetime(2026, 11, 2, tzinfo=UTC)
    assert (await silent.find(created_after=since)).why_incomplete is None  # down to an older one


async def test_sparse_rows_are_opened_for_what_a_filter_needs() -> None:
    store = Store([row(n) for n in range(3)])

    found = await store.find(
        needs=("customer_email",), matches=lambda o: o.customer_email == "ada@example.com"
    )

    assert [order.id for order in found.orders] == ["ord_2", "ord_1", "ord_0"]
    assert found.why_incomplete is None
    assert len(store.asked) == 4


async def test_too_many_sparse_rows_are_counted_instead_of_opened() -> None:
    store = Store([row(n) for n in range(DETAILS + 3)])

    found = await store.find(needs=("items",), matches=lambda o: o.items is not None)
    counted = await store.find(needs=("items",))

    assert len(found.orders) == DETAILS
    assert len(counted.orders) == DETAILS + 3
    assert str(found.why_incomplete).startswith("3 orders do not tell their items")
    assert found.why_incomplete == counted.why_incomplete


async def test_an_order_that_matches_by_what_it_tells_is_found_whatever_else_it_does_not_tell() -> (
    None
):
    store = Store([row(n) for n in range(DETAILS + 3)])

    found = await store.find(needs=("items",), matches=lambda o: o.id in {"ord_0", "ord_22"})

    assert [order.id for order in found.orders] == ["ord_22", "ord_0"]
    assert str(found.why_incomplete).startswith("2 orders do not tell their items")


async def test_an_order_that_is_opened_and_names_no_address_or_parcel_has_none() -> None:
    needs = ("items", "shipping_address", "tracking_number")

    found = await Store([row(1)]).find(needs=needs, matches=lambda _: False)

    assert (found.orders, found.why_incomplete) == ((), None)


async def test_a_store_that_cuts_silently_is_asked_once_for_each_status() -> None:
    orders = [row(n, status) for n in range(60) for status in ("delivered",)]
    orders[0]["status"] = "paid"
    orders += [row(100 + n, "shipped") for n in range(3)]
    store = Store(orders, most=50, tells_limit=False)

    found = await store.find()

    assert len(store.asked) == 9
    assert {o.id for o in found.orders} >= {"ord_0", "ord_100", "ord_101", "ord_102"}
    assert "older orders that are shipped, delivered, paid may be missing" in str(
        found.why_incomplete
    )


async def test_a_page_that_reaches_back_far_enough_is_enough() -> None:
    store = Store([row(n) for n in range(60)], most=50)

    found = await store.find(created_after=datetime(2026, 11, 20, tzinfo=UTC))

    assert found.why_incomplete is None
    assert len(store.asked) == 1
    assert all(order.created_at >= datetime(2026, 11, 20, tzinfo=UTC) for order in found.orders)


@pytest.mark.parametrize("first", ["2020-01-01T00:00:00Z", "soon", None])
async def test_an_old_order_among_new_ones_shows_nothing(first: str | None) -> None:
    since = datetime(2026, 11, 2, tzinfo=UTC)
    new = [row(n) | {"createdAt": f"2026-11-03T00:{n:02d}:00Z"} for n in range(50)]
    newest_first = [*reversed(new), row(99) | {"createdAt": "2020-01-01T00:00:00Z"}]
    among = [row(99) | {"createdAt": first}, *reversed(new)]
    pages = {
        name: OrderPage.model_validate({"data": {"orders": rows}})
        for name, rows in (("sorted", newest_first), ("among", among), ("none", []))
    }

    reach = {name: _reach(page) for name, page in pages.items()}

    assert reach["sorted"] == datetime(2020, 1, 1, tzinfo=UTC)
    assert _reaches_back(reach["sorted"], since)
    assert not _reaches_back(reach["among"], since)
    assert _reaches_back(reach["none"], since)
    assert not _reaches_back(reach["sorted"], None)


async def test_a_cut_status_is_named() -> None:
    found = await Store([row(n) for n in range(60)], most=50).find(status="delivered")

    assert "delivered may be missing" in str(found.why_incomplete)


async def test_a_status_invented_tomorrow_keeps_a_cut_list_from_being_complete() -> None:
    orders = [row(n, "delivered" if n % 2 else "shipped") for n in range(60)]
    orders.append(row(27, "teleported") | {"id": "ord_new"})

    found = await Store(orders, most=50).find()

    assert "does not know may be missing" in str(found.why_incomplete)


async def test_an_order_that_cannot_be_read_hides_no_other() -> None:
    found = await Store([row(1), row(2) | {"totalInCents": "12"}, row(3)]).find()

    assert [order.id for order in found.orders] == ["ord_3", "ord_1"]
    assert found.why_incomplete == "1 orders could not be read and are left out."


@pytest.mark.parametrize("status", ["delivered", "teleported"])
async def test_an_order_that_cannot_be_read_is_counted_once_though_two_lists_have_it(
    status: str,
) -> None:
    orders = [row(n) for n in range(60)]
    odd = row(27, status) | {"id": "ord_odd", "totalInCents": "12"}

    found = await Store([odd, *orders], most=50).find()

    assert str(found.why_incomplete).endswith(" 1 orders could not be read and are left out.")


async def test_refunded_orders_that_list_no_refunds_are_opened_and_then_named() -> None:
    store = Store([row(n, paymentStatus="partially_refunded", refunds=[]) for n in range(2)])

    found = await store.find(needs=("payment_status", "refunds"))

    assert len(store.asked) == 3
    assert len(found.orders) == 2
    assert "2 orders do not tell their payment_status or refunds" in str(found.why_incomplete)


@pytest.mark.parametrize(
    ("field", "odd"),
    [("items", 3), ("items", None), ("payment_status", []), ("payment_status", "")],
)
async def test_a_field_that_cannot_be_read_is_not_told(field: str, odd: object) -> None:
    store = Store(
        [row(n, paymentStatus="paid") | {to_camel(field): odd} for n in range(DETAILS + 1)]
    )

    found = await store.find(needs=(field,), matches=lambda _: False)

    assert f"orders do not tell their {field}" in str(found.why_incomplete)


async def test_orders_that_do_not_tell_their_time_come_last() -> None:
    found = await Store([row(1) | {"createdAt": "x"}, row(2), row(3)]).find()

    assert [order.id for order in found.orders] == ["ord_3", "ord_2", "ord_1"]


async def test_an_order_with_a_refund_that_is_not_clear_does_not_tell_its_refunds() -> None:
    unclear = {"id": "ref_1", "amountInCents": 10, "status": "requires_action"}
    failed = unclear | {"status": "failed"}
    store = Store(
        [
            row(1, paymentStatus="paid", refunds=[unclear]),
            row(2, paymentStatus="paid", refunds=[failed]),
        ]
    )

    found = await store.find(needs=("refunds",))

    assert str(found.why_incomplete).startswith("1 orders do not tell their refunds")
