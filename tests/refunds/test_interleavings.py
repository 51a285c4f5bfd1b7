"""Two machines at the worst moments, one after the other as they are written here: no refund goes twice, and none is lost."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.instruments.crash.line import DatabaseLine
from tests.postgres import Cluster, Schemas, cluster, listening
from tests.refunds.test_several_machines import id_of, refund

from clawver_orders.caller import Script
from clawver_orders.errors import UnreachableError
from clawver_orders.instants import seconds_since_boot
from clawver_orders.refunds import order_locks
from clawver_orders.refunds.order_locks_postgres import PostgresOrderLocks
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services, opened
from clawver_orders.storage import engine
from clawver_sandbox.shop import Shop

ORDER = "ord_shirt"
Work = Callable[[], Awaitable[object]]


class Clock:
    """What time it is on a machine, and for how long it has been up."""

    def __init__(self, up_for: timedelta = timedelta(), *, is_wrong: bool = False) -> None:
        self.passed = timedelta()
        self._up_for = up_for
        self._is_wrong = is_wrong

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed

    def uptime(self) -> float:
        passed = self.passed / 20 if self._is_wrong else self.passed
        return seconds_since_boot() + (passed + self._up_for).total_seconds()


@asynccontextmanager
async def on_another(settings: Any, clock: Clock) -> AsyncIterator[Services]:
    made = Services(settings, clock.now, clock.uptime, lambda: "another machine")
    yield made
    await made.close()


async def meanwhile(services: Services, monkeypatch: pytest.MonkeyPatch, work: Work, *, noted: bool) -> None:  # fmt: skip
    """Has something happen once on another machine, before or after this one notes a refund that it then sends."""
    ledger = (await services.store()).ledger
    begin_send = ledger.begin_send

    async def begin(*given: Any) -> Wish:
        monkeypatch.setattr(ledger, "begin_send", begin_send)
        if noted:
            wish = await begin_send(*given)
            await work()
            return wish
        await work()
        return await begin_send(*given)

    monkeypatch.setattr(ledger, "begin_send", begin)


async def lose_lock(services: Services, url: str) -> None:
    """End the connection that holds the order's lock, as a failover, an operator or a timeout of the database does."""
    locks = (await services.store()).locks
    assert isinstance(locks, PostgresOrderLocks)
    with psycopg.connect(url, autocommit=True) as killer:
        pid = locks._held[ORDER].info.backend_pid
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def check(services: Services, refund_id: str) -> Outcome:
    return await (await services.store()).desk.check(refund_id)


# Between noting and sending


async def test_a_server_that_stood_still_does_not_send_what_another_one_took_over(
    machine: Any, shop: Shop, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, told = Clock(), []
    async with opened(machine("one")) as one, on_another(machine("two"), clock) as two:

        async def take_over() -> None:
            await lose_lock(one, schemas.url)
            (wish,) = await (await two.store()).ledger.all_open()
            for _ in range(3):
                told.append((await check(two, wish.refund_id)).status)
                clock.passed += timedelta(minutes=20)
            desk = (await two.store()).desk
            named = [wish.refund_id]
            told.append((await desk.refund(ORDER, 500, "Torn", named, Script())).status)

        await meanwhile(one, monkeypatch, take_over, noted=True)
        with pytest.raises(UnreachableError, match=r"This server stood still, or lost the lock"):
            await refund(one)
        assert (await refund(one)).status == "already_refunded"

    assert told == ["unknown", "unknown", "not_recorded", "refunded"]
    assert shop.refunds() == [(ORDER, 500)]


async def test_a_server_that_stood_still_sends_nothing_though_its_lock_is_there(
    machine: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(machine("one")) as one, opened(machine("two")) as two:

        async def stand_still() -> None:
            later = seconds_since_boot() + order_locks.LONGEST_STANDSTILL_SECONDS + 1
            monkeypatch.setattr(order_locks, "seconds_since_boot", lambda: later)

        await meanwhile(one, monkeypatch, stand_still, noted=True)
        with pytest.raises(
            UnreachableError, match=r"^No money was moved\. This server stood still"
        ):
            await refund(one)
        assert shop.refunds() == []
        monkeypatch.setattr(order_locks, "seconds_since_boot", seconds_since_boot)
        assert (await refund(two)).status == "refunded"

    assert shop.refunds() == [(ORDER, 500)]


async def test_a_server_that_lost_its_lock_sends_nothing(
    machine: Any, shop: Shop, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(machine("one")) as one, opened(machine("two")) as two:
        await meanwhile(one, monkeypatch, lambda: lose_lock(one, schemas.url), noted=True)
        with pytest.raises(
            UnreachableError, match=r"^No money was moved\. This server stood still"
        ):
            await refund(one)
        assert shop.refunds() == []
        assert (await refund(two)).status == "refunded"

    assert shop.refunds() == [(ORDER, 500)]


async def test_a_machine_that_is_up_for_longer_gives_no_refund_up_too_soon(
    machine: Any, shop: Shop, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its uptime ten days have passed since another machine sent it, and its clock runs ahead."""
    clock, told = Clock(timedelta(days=10), is_wrong=True), []
    async with opened(machine("one")) as one, on_another(machine("two"), clock) as two:

        async def look() -> None:
            await lose_lock(one, schemas.url)
            (wish,) = await (await two.store()).ledger.all_open()
            for _ in range(4):
                told.append((await check(two, wish.refund_id)).status)
                clock.passed += timedelta(minutes=20)
            told.append((await refund(two)).status)

        await meanwhile(one, monkeypatch, look, noted=True)
        with pytest.raises(UnreachableError):
            await refund(one)

    assert told == ["unknown"] * 5
    assert shop.refunds() == []


# Between reading and noting


async def test_a_server_does_not_note_what_another_one_refunded_since_it_read(
    machine: Any, shop: Shop, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(machine("one")) as one, opened(machine("two")) as two:

        async def refund_first() -> None:
            await lose_lock(one, schemas.url)
            assert (await refund(two, 600)).status == "refunded"

        await meanwhile(one, monkeypatch, refund_first, noted=False)
        outcome = await refund(one)

    assert outcome.status == "busy"
    assert shop.refunds() == [(ORDER, 600)]


# A COMMIT whose end is not heard


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with cluster(**listening()) as made:
        yield made


@pytest.fixture
def line(own: Cluster) -> Iterator[DatabaseLine]:
    with DatabaseLine(own.port) as made:
        yield made
    engine._server.cache_clear()


def through(line: DatabaseLine) -> str:
    return f"postgresql://clawver@127.0.0.1:{line.port}/postgres?sslmode=disable"


def directly(own: Cluster) -> str:
    return f"postgresql://clawver@127.0.0.1:{own.port}/postgres?sslmode=disable"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["unheard", "late"])
async def test_a_refund_that_was_noted_though_nothing_was_heard_is_sent_once(
    machine: Any, shop: Shop, own: Cluster, line: DatabaseLine, how: Any
) -> None:
    """A look that waits for nobody would find nothing, and the row lands after it."""
    async with (
        opened(machine("one", database_url=through(line))) as one,
        opened(machine("two", database_url=directly(own))) as two,
    ):
        line.at_commit(how, b"INSERT INTO attempt")
        first = await refund(one)
        second = await refund(two)

    assert line.ended == 1
    assert (first.status, first.unwritten, second.status) == ("refunded", False, "already_refunded")
    assert id_of(first) == id_of(second)
    assert shop.refunds() == [(ORDER, 500)]


@pytest.mark.slow
async def test_a_refund_that_was_not_noted_is_not_sent(
    machine: Any, shop: Shop, own: Cluster, line: DatabaseLine
) -> None:
    async with (
        opened(machine("one", database_url=through(line))) as one,
        opened(machine("two", database_url=directly(own))) as two,
    ):
        line.at_commit("lost", b"INSERT INTO attempt")
        with pytest.raises(
            UnreachableError, match=r"^Nothing was sent\. The database of the refund"
        ):
            await refund(one)
        assert shop.refunds() == []
        second = await refund(two)

    assert line.ended == 1
    assert second.status == "refunded"
    assert shop.refunds() == [(ORDER, 500)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["lost", "unheard", "late"])
async def test_a_refund_whose_outcome_could_not_be_noted_is_found_by_another_machine(
    machine: Any, shop: Shop, own: Cluster, line: DatabaseLine, how: Any
) -> None:
    async with (
        opened(machine("one", database_url=through(line))) as one,
        opened(machine("two", database_url=directly(own))) as two,
    ):
        line.at_commit(how, b"UPDATE attempt")
        first = await refund(one)
        second = await refund(two)

    assert line.ended == 1
    assert (first.status, first.unwritten) == ("refunded", how == "lost")
    assert second.status == "already_refunded"
    assert shop.refunds() == [(ORDER, 500)]
