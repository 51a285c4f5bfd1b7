"""A shop of its own for every test, a clock that stands still, and a real port."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, Shop


class Clock:
    """What time the shop believes it is."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 14, 15, 9, 26, 535000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def pass_by(self, **time: float) -> None:
        self.moment += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shop(tmp_path: Path, clock: Clock) -> Shop:
    return Shop.open(tmp_path / "shop.sqlite3", now=clock)


@pytest.fixture
def base(shop: Shop) -> Iterator[str]:
    with running(shop) as url:
        yield url


@pytest.fixture
def owner(base: str) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx2.Client(base_url=f"{base}/v1", headers=headers) as client:
        yield client


@pytest.fixture
def customer(base: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{base}/v1") as client:
        yield client


@pytest.fixture
def tester(base: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{base}/_sandbox") as client:
        yield client
