"""A room for each test, or a ledger alone: in a file, and in PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.postgres import Schemas
from tests.refunds.book import Book
from tests.refunds.room import Room

from clawver_orders.refunds import ledger_file
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.refunds.order_locks_postgres import PostgresOrderLocks
from clawver_orders.storage.postgres import PostgresDatabase

QUICK = {"test_ledger.py", "test_ledger_postgres.py", "test_order_locks_postgres.py"}
"""What is tried in PostgreSQL by the quick run too, but for what starts processes."""
SLOW = {
    *QUICK, "test_clocks.py", "test_failing_ledger.py", "test_found_by_stories.py", "test_refunding.py",
    "test_reported.py", "test_settlement.py", "test_settlement_evidence.py", "test_taking_turns.py",
}  # fmt: skip
"""What is tried there by the slow run: what sends, and what finds out what became of it. The rest waits for the long one."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        is_quick = item.path.name in QUICK and "another" not in getattr(item, "fixturenames", ())
        if given.get("engine") == "postgres" and not is_quick:
            item.add_marker(pytest.mark.slow if item.path.name in SLOW else pytest.mark.long)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the ledgers of a test are. The time is the test's own."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    schemas: Schemas = request.getfixturevalue("schemas")
    monkeypatch.setattr(ledger_file, "SqliteDatabase", lambda path, *_: schemas.database(path))
    monkeypatch.setattr(PostgresDatabase, "_compare_clocks", lambda *_: None)
    yield "postgres"
    schemas.empty()


@pytest.fixture
async def room(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    made = Room(tmp_path / "state")
    if engine == "postgres":
        schemas: Schemas = request.getfixturevalue("schemas")
        database = schemas.database(made.parts.settings.origin_dir / LEDGER_FILE)
        made.locks = PostgresOrderLocks(schemas.server, database.schema)
    yield made
    await made.parts.close()
    made.shop.close()


@pytest.fixture
def book(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> Book:
    made = Book(tmp_path / "shop" / "ledger.sqlite3")
    if engine == "postgres":
        made.elsewhere = request.getfixturevalue("schemas").elsewhere(made.path)
    return made
