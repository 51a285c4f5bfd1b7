"""Nothing reads a whole table to show a part of it: what is asked often takes as many steps with many rows."""

import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.instruments.benchmarks.growth import fill

from clawver_orders.instants import Instant
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.webhooks.inbox import Inbox, Query

NOW = Instant(datetime(2026, 11, 24, 12, tzinfo=UTC), time.monotonic(), "this start")
FEW, MANY = 300, 6000
READS: dict[str, Callable[[Ledger], Awaitable[object]]] = {
    "the latest refunds": lambda ledger: ledger.latest(50),
    "what waits": lambda ledger: ledger.waiting(),
    "what was decided": lambda ledger: ledger.decided(10),
    "what went back in a day": lambda ledger: ledger.refunded_between(
        NOW.at - timedelta(days=2), NOW.at
    ),
    "what is open": lambda ledger: ledger.all_open(),
    "what is uncertain": lambda ledger: ledger.uncertain(),
    "an order": lambda ledger: ledger.of_order("ord_0000100"),
    "a refund": lambda ledger: ledger.find(f"rfi_{100:026}"),
    "the daily limit": lambda ledger: ledger.spent_in_cents(),
    "the limit of the PIN": lambda ledger: ledger.sent_without_pin_in_cents("ord_0000100"),
}
QUERIES = {
    "the latest events": Query(),
    "what is new": Query(after=10**9),
    "events of an order": Query(order_id="ord_0000010"),
    "one kind of events": Query(name="order.paid"),
    "one kind of an order": Query(order_id="ord_0000010", name="order.paid"),
    "events of a time": Query(since=datetime(2026, 11, 24, 11, 30, tzinfo=UTC)),
}


class Steps:
    """Counts what SQLite does, in units of ten instructions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = sqlite3.connect

        def connect(*given: Any, **named: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = real(*given, **named)
            connection.set_progress_handler(self._step, 10)
            return connection

        monkeypatch.setattr(sqlite3, "connect", connect)

    def _step(self) -> int:
        self.count += 1
        return 0

    def taken(self) -> int:
        count, self.count = self.count, 0
        return count


def stores(tmp_path: Path) -> list[scopes.Scope]:
    """A store with few rows, and one with many."""
    found = []
    for count in (FEW, MANY):
        settings = Settings(sandbox=True, state_dir=tmp_path / str(count))
        settings.origin_dir.mkdir(parents=True, mode=0o700)
        fill(settings, count, count, NOW)
        scope = scopes.known(settings)
        assert scope is not None
        found.append(scope)
    return found


async def test_a_refund_is_found_in_as_many_steps_among_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, taken = Steps(monkeypatch), []
    for scope in stores(tmp_path):
        ledger = Ledger(scope.folder / LEDGER_FILE, lambda: NOW)
        await ledger.latest(1)
        steps.taken()
        each = {}
        for name, read in READS.items():
            await read(ledger)
            each[name] = steps.taken()
        taken.append(each)

    few, many = taken
    assert {
        name: (few[name], many[name]) for name in READS if many[name] > 1.5 * few[name] + 50
    } == {}


def test_an_event_is_found_in_as_many_steps_among_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, taken = Steps(monkeypatch), []
    for scope in stores(tmp_path):
        inbox = Inbox.of(Settings(), scope)
        inbox.open()
        steps.taken()
        each = {}
        for name, query in QUERIES.items():
            inbox.find(query, NOW.at)
            each[name] = steps.taken()
        inbox.receiver_status(NOW.at)
        taken.append(each | {"the receiver": steps.taken()})

    few, many = taken
    assert {
        name: (few[name], many[name]) for name in few if many[name] > 1.5 * few[name] + 50
    } == {}
