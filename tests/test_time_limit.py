"""A call ends before its host gives up, with what was read until then."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.conftest import succeeding, telling

from clawver_orders import time_limit
from clawver_orders.caller import Script
from clawver_orders.errors import ClawverError, UnreachableError
from clawver_orders.orders.search import ALL_STATUSES, OUT_OF_TIME
from clawver_orders.services import Services, opened
from clawver_orders.settings import Settings
from clawver_orders.time_limit import AT_ONCE, by_three, call_limit, limited, while_there_is_time
from clawver_orders.tools import TOOLS, contract
from clawver_orders.tools.reviews import REVIEWS_UNREADABLE
from clawver_orders.webhooks.inbox import Inbox
from clawver_sandbox.shop import API_KEY

IN_TIME = "Clawver did not answer in time. Nothing was changed."


class Time:
    """The time of a call, which is over when the test says so."""

    def __init__(self) -> None:
        self.is_over = False
        self._scopes: list[anyio.CancelScope] = []

    def scope(self) -> anyio.CancelScope:
        self._scopes.append(anyio.CancelScope())
        if self.is_over:
            self.end()
        return self._scopes[-1]

    def end(self) -> None:
        self.is_over = True
        for each in self._scopes:
            each.cancel()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(contract, "call_limit", lambda: limited(time.scope))
    return time


class Store:
    """Full lists of thin rows. The time is over when a path is asked for."""

    def __init__(self, time: Time, last: str, most: int = 100) -> None:
        self.asked: list[str] = []
        self._time = time
        self._last = last
        self._most = most

    def __call__(self, path: str) -> tuple[bytes, bytes]:
        path = path.removeprefix("/v1")
        self.asked.append(path)
        if re.search(self._last, path):
            self._time.end()
        if path.startswith("/orders/"):
            return succeeding({"order": _row(path.removeprefix("/orders/"), "paid")})
        if path == "/stores/me":
            return succeeding({"store": {"id": "store_1"}})
        if not path.startswith("/orders"):
            return succeeding({"reviews": []})
        limit = int(path.partition("limit=")[2].partition("&")[0])
        if limit > self._most:
            return (
                b"X-Status: 400\r\n",
                b'{"success": false, "error": {"code": "VALIDATION_ERROR"}}',
            )
        status = path.partition("status=")[2].partition("&")[0] or "shipped"
        return succeeding({"orders": [_row(f"{status}_{n}", "") for n in range(limit)]})


def _row(order_id: str, payment: str) -> dict[str, Any]:
    paid = {"paymentStatus": payment, "customerEmail": "ada@example.com", "refunds": []}
    row = {"id": order_id, "status": order_id.partition("_")[0], "totalInCents": 1}
    return row | {"createdAt": "2026-11-20T10:00:00Z"} | (paid if payment else {})


@asynccontextmanager
async def at(
    store: Callable[[str], tuple[bytes, bytes]], **changed: Any
) -> AsyncIterator[Services]:
    async with telling(store) as url:
        given = {"api_key": API_KEY, "api_url": url, "history": False, "requests_per_minute": 10**6}
        async with opened(Settings(**given | changed)) as services:
            yield services


async def test_what_was_read_in_time_is_counted_and_the_rest_is_said(time: Time) -> None:
    store = Store(time, "status=cancelled")
    async with at(store) as services:
        answer = await TOOLS["summarize_orders"].call(services, {}, Script())

    assert 100 <= answer["orders"] < 900
    assert answer["complete"] is False
    assert answer["why_incomplete"].startswith(OUT_OF_TIME)
    assert "cancelled" in answer["why_incomplete"]
    assert not [path for path in store.asked if path.startswith("/orders/")]


async def test_rows_that_were_not_opened_in_time_are_counted(time: Time) -> None:
    store = Store(time, "/orders/shipped")
    async with at(store) as services:
        answer = await TOOLS["get_customer"].call(
            services, {"customer_email": "ada@example.com"}, Script()
        )

    assert OUT_OF_TIME in answer["why_incomplete"]
    assert "orders do not tell their customer_email" in answer["why_incomplete"]
    assert REVIEWS_UNREADABLE in str(answer)
    assert len([path for path in store.asked if "status=" in path]) == len(ALL_STATUSES)


async def test_where_nothing_was_read_in_time_that_is_the_error(time: Time) -> None:
    async with at(Store(time, "/orders")) as services:
        for tool, given in (("list_orders", {"search": "ada"}), ("summarize_orders", {})):
            with pytest.raises(UnreachableError, match=re.escape(IN_TIME)):
                await TOOLS[tool].call(services, given, Script())


async def test_of_several_orders_those_that_were_read_in_time_are_given(time: Time) -> None:
    ids = [f"ord_{n}" for n in range(9)]
    async with at(Store(time, "/orders/ord_7")) as services:
        answer = await TOOLS["get_order"].call(services, {"order_id": ",".join(ids)}, Script())

    read = {each["order_id"] for each in answer["orders"] if "error" not in each}
    late = {each["order_id"]: each["error"] for each in answer["orders"] if "error" in each}
    assert {*read, *late} == set(ids)
    assert {"ord_0", "ord_1", "ord_2"} <= read
    assert late["ord_7"].startswith(IN_TIME)


async def test_events_are_listed_where_refunds_cannot_be_looked_up_in_time(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check_reported(*_: object) -> None:
        time.end()
        await anyio.sleep_forever()

    monkeypatch.setattr("clawver_orders.tools.events.check_reported", check_reported)
    async with at(Store(time, "nothing"), webhook_secret="whsec_example_0123456789") as services:
        store = await services.store()
        Inbox.of(services.settings, store.scope).start("r", services.now())
        answer = await TOOLS["list_order_events"].call(services, {}, Script())

    assert answer["receiving"]["state"] == "listening"
    assert "Reported refunds could not be looked up" in answer["why_incomplete"]


async def test_which_store_it_is_is_asked_within_the_time(time: Time) -> None:
    async with at(Store(time, "/stores/me")) as services:
        with limited(time.scope), pytest.raises(UnreachableError, match=re.escape(IN_TIME)):
            await services.store()


async def test_a_list_that_is_too_much_is_asked_for_in_half_and_that_is_remembered(
    time: Time,
) -> None:
    store = Store(time, "nothing", most=50)
    async with at(store) as services:
        first = await TOOLS["list_orders"].call(services, {"limit": 100}, Script())
        await TOOLS["list_orders"].call(services, {"limit": 60}, Script())
        await TOOLS["list_orders"].call(services, {"limit": 10}, Script())

    asked = [path.partition("limit=")[2] for path in store.asked if "limit=" in path]
    assert len(first["orders"]) == 50
    assert first["complete"] is False
    assert asked == ["100", "50", "50", "10"]


async def test_three_are_read_at_once_and_none_after_an_error() -> None:
    now, most, begun = 0, 0, list[int]()

    def reading(number: int, error: ClawverError | None = None) -> Callable[[], Any]:
        async def read() -> None:
            nonlocal now, most
            begun.append(number)
            now += 1
            most = max(most, now)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            now -= 1
            if error:
                raise error

        return read

    await by_three(reading(n) for n in range(7))
    assert (most, sorted(begun)) == (AT_ONCE, list(range(7)))
    begun.clear()
    refused = time_limit.not_in_time()
    with pytest.raises(UnreachableError) as raised:
        await by_three(reading(n, refused if n == 1 else None) for n in range(9))

    assert raised.value is refused
    assert len(begun) <= 2 * AT_ONCE
    await by_three([])


async def test_a_call_without_an_answer_ends_a_little_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with call_limit():
        with while_there_is_time() as scope:
            await anyio.lowlevel.checkpoint()
        assert not scope.cancelled_caught
    monkeypatch.setattr(time_limit, "CALL_SECONDS", 0.0)
    with call_limit():
        with while_there_is_time() as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
    monkeypatch.setattr(time_limit, "ANSWER_SECONDS", 0.0)
    with pytest.raises(UnreachableError, match=re.escape(IN_TIME)), call_limit():
        await anyio.sleep_forever()
    with while_there_is_time() as scope:
        await anyio.lowlevel.checkpoint()
    assert scope.deadline == float("inf")
