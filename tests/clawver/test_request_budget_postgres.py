"""Servers of several machines share one allowance, whatever their clocks say."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.clawver.test_request_budget import Clock, taken
from tests.postgres import Schemas

from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.request_budget_postgres import STEPS
from clawver_orders.storage.postgres import PostgresDatabase
from clawver_orders.storage.postgres_server import PostgresServer

NONE = Path("/none")
"""No file is needed, or made."""


def opened(server: PostgresServer, schema: str) -> PostgresDatabase:
    return PostgresDatabase(server, schema, STEPS, "the request allowance")


@pytest.fixture(params=[0.0, 45.0, -3600.0])
def other_clock(request: pytest.FixtureRequest) -> float:
    """How far the clock of the other machine is ahead of this one's, in seconds."""
    return float(request.param)


async def test_servers_share_what_is_allowed(
    schemas: Schemas, monkeypatch: pytest.MonkeyPatch, other_clock: float
) -> None:
    """The clock of the database counts: else one would take the other's requests for future ones."""
    here, schema = Clock(), schemas.another()
    there = Clock()
    there.at += other_clock
    monkeypatch.setattr(PostgresDatabase, "_compare_clocks", lambda *_: None)
    one, other = opened(schemas.server, schema), opened(schemas.server, schema)
    other.clock_ahead = timedelta(seconds=-other_clock)

    assert await taken(Budget(NONE, 12, 1000, here, database=one), urgent=False, at_most=4) == 4
    assert await taken(Budget(NONE, 12, 1000, there, database=other), urgent=False) == 6
    assert await taken(Budget(NONE, 12, 1000, here, database=one), urgent=True) == 2
    here.at += 60
    there.at += 60
    assert await taken(Budget(NONE, 12, 1000, there, database=other), urgent=False) == 10


async def test_a_server_that_hears_of_the_time_late_counts_what_others_noted(
    schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Clock()
    monkeypatch.setattr(PostgresDatabase, "_compare_clocks", lambda *_: None)
    database = opened(schemas.server, schemas.another())

    assert await taken(Budget(NONE, 12, 1000, here, database=database), urgent=False) == 10
    here.at -= 5
    assert await taken(Budget(NONE, 12, 1000, here, database=database), urgent=False) == 0


async def test_a_request_counts_for_its_server_alone_while_the_database_is_away(
    tmp_path: Path, schemas: Schemas, caplog: pytest.LogCaptureFixture
) -> None:
    here, away = Clock(), PostgresServer(f"postgresql:///none?host={tmp_path}")
    budget = Budget(NONE, 12, 1000, here, database=opened(away, "none"))

    assert await taken(budget, urgent=False) == 10
    assert "the request allowance cannot be shared now (UnreachableError)" in caplog.text
    back = Budget(NONE, 12, 1000, here, database=opened(schemas.server, schemas.another()))
    assert await taken(back, urgent=False) == 10
