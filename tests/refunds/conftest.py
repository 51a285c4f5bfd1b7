"""A room for each test, or a ledger alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.refunds.book import Book
from tests.refunds.room import Room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path / "state")
    yield made
    await made.parts.close()
    made.shop.close()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "shop" / "ledger.sqlite3")
