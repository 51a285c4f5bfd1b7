"""Finding orders in a store that gives little: sparse rows, no word about more of them."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from pydantic.alias_generators import to_camel
from tests.conftest import client_of, succeeding, telling

from clawver_orders.clawver.models import OrderPage
from clawver_orders.orders.search import DETAILS, is_whole, search
from clawver_orders.settings import Settings
from clawver_orders.tools.arguments import moment
from clawver_sandbox.shop import API_KEY


def row(number: int, status: str = "delivered", **more: Any) -> dict[str, Any]:
    day = f"2026-11-{1 + number % 28:02d}T00:00:00Z"
    return {"id": f"ord_{number}", "status": status, "totalInCents": 100, "createdAt": day} | more


class Store:
    """Answers from a list of orders, cut where the real one cuts."""

    def __init__(self, orders: list[dict[str, Any]], most: int = 100) -> None:
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
        return succeeding({"orders": listed[: min(int(query["limit"]), self.most)]})

    async def find(self, **wanted: Any) -> Any:
        async with telling(self) as url, httpx2.AsyncClient(trust_env=False) as http:
            return await search(client_of(Settings(api_key=API_KEY, api_url=url), http), **wanted)


def page(count: int, more: bool | None) -> OrderPage:
    body = {"data": {"orders": [row(n) for n in range(count)]}, "pagination": {"hasMore": more}}
    return OrderPage.model_validate(body)


@pytest.mark.parametrize(
    ("count", "more", "whole"),
    [
        (100, False, True), (5, True, False), (7, None, True), (100, None, False), (50, None, False),
        (20, None, False), (0, None, True),
    ],
)  # fmt: skip
def test_a_page_is_whole_when_it_says_so_or_cannot_have_been_cut(
    count: int, more: bool | None, whole: bool
) -> None:
    assert is_whole(page(count, more), 100) is whole


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

    found = await store.find(needs=("items",), matches=lambda _: True)
    counted = await store.find(needs=("items",))

    assert len(found.orders) == DETAILS
    assert len(counted.orders) == DETAILS + 3
    assert str(found.why_incomplete).startswith("3 orders do not tell their items")
    assert found.why_incomplete == counted.why_incomplete


async def test_a_store_that_cuts_silently_is_asked_once_for_each_status() -> None:
    orders = [row(n, status) for n in range(60) for status in ("delivered",)]
    orders[0]["status"] = "paid"
    orders += [row(100 + n, "shipped") for n in range(3)]
    store = Store(orders, most=50)

    found = await store.find()

    assert len(store.asked) == 9
    assert {o.id for o in found.orders} >= {"ord_0", "ord_100", "ord_101", "ord_102"}
    assert "older orders that are delivered may be missing" in str(found.why_incomplete)


async def test_a_page_that_reaches_back_far_enough_is_enough() -> None:
    store = Store([row(n) for n in range(60)], most=50)

    found = await store.find(created_after=moment("2026-11-20"))

    assert found.why_incomplete is None
    assert len(store.asked) == 1
    assert all(order.created_at >= moment("2026-11-20") for order in found.orders)


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

    found = await store.find(needs=(field,), matches=lambda _: True)

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
