"""A page that is up, for a store whose orders can change."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from tests.conftest import Configure
from tests.tools.test_refunds import Time
from tests.web.visitor import HOOKS, PIN, Room, Visitor

from clawver_orders.services import opened
from clawver_orders.storage import pin
from clawver_orders.web import store_answers, today
from clawver_orders.web.starting import running
from clawver_sandbox.shop import Shop

Opens = Callable[..., AbstractAsyncContextManager[Room]]


@pytest.fixture(autouse=True)
def hashing_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pin._COSTS, "n", 2)


@pytest.fixture(autouse=True)
def the_store_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, nothing is cut short but by the tests that are about that."""
    monkeypatch.setattr(store_answers, "PATIENCE_SECONDS", 300.0)
    monkeypatch.setattr(today, "SOON_SECONDS", 300.0)


@pytest.fixture
def opens(configure: Configure, shop: Shop) -> Opens:
    """Puts up a page with settings of the test's choice."""

    @asynccontextmanager
    async def up(*, has_pin: bool = True, **changed: Any) -> AsyncIterator[Room]:
        time = Time()
        settings = configure(**{"refund_approval": "chat"} | HOOKS | changed)
        async with opened(settings, lambda: time.at, lambda: time.up) as services:
            store = await services.store()
            if has_pin:
                store.pin.set(PIN, None)
            async with running(services, 0) as page:
                yield Room(page.address, services, store, shop, time)

    return up


@pytest.fixture
async def room(opens: Opens) -> AsyncIterator[Room]:
    """A page whose store has a PIN."""
    async with opens() as room:
        yield room


@pytest.fixture
async def stranger(room: Room) -> AsyncIterator[Visitor]:
    """Somebody who has not signed in."""
    visitor = Visitor(room.address)
    yield visitor
    await visitor.http.aclose()


@pytest.fixture
async def merchant(room: Room) -> AsyncIterator[Visitor]:
    """Somebody who has signed in."""
    visitor = Visitor(room.address)
    await visitor.sign_in()
    yield visitor
    await visitor.http.aclose()
