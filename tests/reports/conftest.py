"""A ledger for every test that wants one."""

from pathlib import Path

import pytest
from tests.refunds.book import Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "shop" / "ledger.sqlite3")
