"""A history of its own for every test."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.postgres import Schemas

from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE, Mirror

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


YEAR = timedelta(days=400)
QUICK = {"test_mirror.py", "test_several_machines.py"}
"""What is tried in PostgreSQL by the quick run too."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        if given.get("engine") == "postgres" and item.path.name not in QUICK:
            item.add_marker(pytest.mark.slow)


Fresh = Callable[..., Mirror]


@pytest.fixture
def filed(tmp_path: Path) -> Mirror:
    """A history in a file, for what is true of files alone."""
    return Mirror(tmp_path / "state" / HISTORY_FILE, YEAR)


@pytest.fixture
def fresh(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> Fresh:
    """Makes a history in which nothing is kept yet, however often a test needs one."""

    def make(keep: timedelta = YEAR) -> Mirror:
        path = tmp_path / os.urandom(8).hex() / HISTORY_FILE
        if engine == "sqlite":
            return Mirror(path, keep)
        schemas: Schemas = request.getfixturevalue("schemas")
        schemas.empty()
        return Mirror(path, keep, schemas.database(path, "history"))

    return make


@pytest.fixture
def mirror(fresh: Fresh) -> Mirror:
    return fresh()


def order(order_id: str = "ord_1", **changed: Any) -> dict[str, Any]:
    """An order as Clawver would send it."""
    return {
        "id": order_id,
        "status": "delivered",
        "paymentStatus": "paid",
        "totalInCents": 2499,
        "createdAt": "2026-11-20T09:00:00Z",
        "customerEmail": "ada@example.com",
        "items": [{"id": "item_1", "productName": "Star map tee", "quantity": 1}],
        "shippingAddress": None,
        "refunds": [],
    } | changed


def seen(sent: dict[str, Any], at: datetime = NOON) -> Sighting:
    """The same, as it was read."""
    return Sighting(sent["id"], kept(sent), "read", at.timestamp())


def named(order_id: str, name: str) -> dict[str, Any]:
    """An order of somebody."""
    return order(order_id, shippingAddress={"name": name})
