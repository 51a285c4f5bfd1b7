"""One server at a time works on an order, whatever becomes of the lock that says so."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psycopg
import pytest
from tests.postgres import Schemas
from tests.refunds.book import IN_POSTGRES
from tests.refunds.room import Room

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.refunds import order_locks_postgres
from clawver_orders.refunds.order_locks import OrderBusyError
from clawver_orders.refunds.order_locks_postgres import PostgresOrderLocks
from clawver_orders.refunds.records import Wish
from clawver_orders.storage.postgres_server import PostgresServer

Meanwhile = Callable[[Callable[[], Awaitable[object]]], None]


@pytest.fixture
def locks(schemas: Schemas) -> PostgresOrderLocks:
    return PostgresOrderLocks(schemas.server, schemas.another())


def of_another(locks: PostgresOrderLocks, schemas: Schemas) -> PostgresOrderLocks:
    """Those of another server, for the same store. Their connections are of one kind."""
    return PostgresOrderLocks(schemas.server, locks._schema)


async def is_free(locks: PostgresOrderLocks, order_id: str = "ord_1", seconds: float = 0) -> bool:
    with suppress(OrderBusyError):
        async with locks.held(order_id, seconds):
            return True
    return False


def end(locks: PostgresOrderLocks, schemas: Schemas, order_id: str) -> None:
    """End the connection that holds a lock, as a failover or a person would."""
    with psycopg.connect(schemas.url, autocommit=True) as killer:
        pid = locks._held[order_id].info.backend_pid
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def test_another_server_keeps_an_order_and_gives_it_back(
    locks: PostgresOrderLocks, schemas: Schemas
) -> None:
    other = of_another(locks, schemas)
    async with locks.held("ord_1", 0):
        assert await locks.still_held("ord_1")
        for each in (locks, other):
            assert not await is_free(each)
            assert await is_free(each, "ord_2")
        assert await is_free(PostgresOrderLocks(schemas.server, schemas.another()))

    assert await is_free(locks)
    assert await is_free(other)


async def test_whoever_waits_gets_the_order_when_it_is_free(
    locks: PostgresOrderLocks, schemas: Schemas
) -> None:
    answers: list[bool] = []

    async def wait(other: PostgresOrderLocks) -> None:
        answers.append(await is_free(other, seconds=20))

    async with anyio.create_task_group() as tasks, locks.held("ord_1", 0):
        for each in (locks, of_another(locks, schemas)):
            tasks.start_soon(wait, each)
        assert not await is_free(of_another(locks, schemas), seconds=0.05)
        assert answers == []

    assert answers == [True, True]


async def test_calls_of_one_server_about_an_order_need_one_connection(
    locks: PostgresOrderLocks,
) -> None:
    """In a trial 40 waiting calls took 100 connections."""
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with locks.held("ord_1", 20):
            inside += 1
            most = max(most, inside, len(locks._held))
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(work)

    assert (most, locks._held) == (1, {})


async def test_no_more_orders_are_worked_on_at_once_than_there_are_connections(
    locks: PostgresOrderLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_locks_postgres, "MOST_LOCKS", 2)
    async with locks.held("ord_1", 0), locks.held("ord_2", 0):
        assert not await is_free(locks, "ord_3")

    assert await is_free(locks, "ord_3")


async def test_a_lock_goes_when_its_work_fails_or_its_connection_ends(
    locks: PostgresOrderLocks, schemas: Schemas
) -> None:
    with pytest.raises(KeyError):
        async with locks.held("ord_1", 0):
            raise KeyError
    assert await is_free(of_another(locks, schemas))

    async with locks.held("ord_1", 0):
        end(locks, schemas, "ord_1")
        assert not await locks.still_held("ord_1")
        assert await is_free(of_another(locks, schemas))
    assert await is_free(locks)


async def test_a_lock_of_which_nothing_was_heard_is_taken_back(
    locks: PostgresOrderLocks, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = order_locks_postgres._BEGIN.replace("60s", "50ms")
    assert begin != order_locks_postgres._BEGIN
    other = of_another(locks, schemas)
    for each in (locks, other):
        each.prove()
    async with locks.held("ord_2", 0):
        monkeypatch.setattr(order_locks_postgres, "_BEGIN", begin)
        async with locks.held("ord_1", 0):
            monkeypatch.undo()
            assert await is_free(other, seconds=20)
            assert not await locks.still_held("ord_1")


async def test_locks_that_do_not_lock_are_noticed(
    locks: PostgresOrderLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_locks_postgres, "_TRY", "SELECT %s IS NOT NULL AS is_held")

    with pytest.raises(SetupError, match="Locks do not work in the database"):
        locks.prove()
    with pytest.raises(SetupError):
        await is_free(locks)


async def test_a_database_that_is_not_reached_keeps_no_order(tmp_path: Path) -> None:
    locks = PostgresOrderLocks(PostgresServer(f"postgresql:///none?host={tmp_path}"), "shop")

    for _ in range(2):
        with pytest.raises(UnreachableError, match="The database of the locks of orders cannot be"):
            await is_free(locks)
    assert not locks._taken


# Between the claim and the request


@pytest.fixture
def between(room: Room, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meanwhile]:
    """Has something happen once, after a refund was noted and before it is sent."""
    begin_send = room.ledger.begin_send
    left: list[Callable[[], Awaitable[object]]] = []

    async def begin(*given: Any) -> Wish:
        sending = await begin_send(*given)
        if left:
            await left.pop()()
        return sending

    monkeypatch.setattr(room.ledger, "begin_send", begin)
    yield left.append
    assert not left


@IN_POSTGRES
async def test_a_refund_whose_lock_was_lost_is_not_sent(
    room: Room, schemas: Schemas, between: Meanwhile
) -> None:
    locks = room.locks
    assert isinstance(locks, PostgresOrderLocks)

    async def lose() -> None:
        end(locks, schemas, room.order_id)

    between(lose)

    with pytest.raises(UnreachableError, match=r"^No money was moved\. This server stood still"):
        await room.refund()

    assert room.posts() == 0
    (wish,) = (await room.ledger.of_order(room.order_id)).wishes
    assert wish.status == "not_sent"
    assert (await room.refund()).status == "refunded"
    assert room.given_back() == [700]


@IN_POSTGRES
async def test_a_refund_that_another_server_gave_up_is_not_sent(
    room: Room, schemas: Schemas, between: Meanwhile
) -> None:
    """It lost the lock, another one gave its refund up and sent a further one, and then it goes on."""
    first = room.locks
    assert isinstance(first, PostgresOrderLocks)
    later: list[str] = []

    async def give_up_and_send() -> None:
        end(first, schemas, room.order_id)
        room.locks = of_another(first, schemas)
        (opened,) = await room.ledger.all_open()
        for _ in range(3):
            room.passes(room.verify_seconds + 1)
            later.append((await room.desk().check(opened.refund_id)).status)
        again = await room.refund(named=[opened.refund_id])
        later.append(again.status)

    between(give_up_and_send)

    with pytest.raises(UnreachableError, match="This server stood still"):
        await room.refund()

    assert later[-2:] == ["not_recorded", "refunded"]
    assert room.given_back() == [700]
    assert room.posts() == 1


@IN_POSTGRES
async def test_a_refund_is_not_noted_on_records_that_another_server_has_changed(
    room: Room, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lost the lock after it had read the order: what it decided on is no longer so."""
    first = room.locks
    assert isinstance(first, PostgresOrderLocks)
    begin_send = room.ledger.begin_send

    async def send_first(*given: Any) -> Wish:
        monkeypatch.setattr(room.ledger, "begin_send", begin_send)
        end(first, schemas, room.order_id)
        room.locks = of_another(first, schemas)
        assert (await room.refund(500)).status == "refunded"
        return await begin_send(*given)

    monkeypatch.setattr(room.ledger, "begin_send", send_first)

    outcome = await room.refund()

    assert outcome.status == "busy"
    assert room.given_back() == [500]
    assert room.posts() == 1
