"""A client of the API for each test, and how to make one with other settings."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from tests.conftest import Configure, client_of

from clawver_orders.clawver.client import Clawver

Talk = Callable[..., Clawver]


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as connections:
        yield connections


@pytest.fixture
def talk(http: httpx2.AsyncClient, configure: Configure) -> Talk:
    def to(**changed: Any) -> Clawver:
        return client_of(configure(**changed), http)

    return to


@pytest.fixture
def clawver(talk: Talk) -> Clawver:
    return talk()
