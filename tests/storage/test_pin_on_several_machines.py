"""The PIN of a store whose machines share a database: set on one of them, and tried on any."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from tests.conftest import Configure
from tests.postgres import Schemas
from tests.refunds.book import Clock
from tests.storage.test_pin import RIGHT, WRONG, hashing_costs_little, looked_at

from clawver_orders.cli import pin as command
from clawver_orders.cli.output import Output
from clawver_orders.errors import ClawverError, UnreachableError
from clawver_orders.services import opened
from clawver_orders.storage import pin as module
from clawver_orders.storage.pin import TRIES, Pin, PinLockedError, PinNotSetError, WrongPinError
from clawver_orders.storage.pin_postgres import STEPS
from clawver_orders.storage.postgres import PostgresDatabase
from clawver_orders.storage.postgres_server import PostgresServer
from clawver_sandbox.shop import Shop

__all__ = ["hashing_costs_little", "looked_at"]


class Machine:
    """A machine of its own: its clock, its folder, its connections."""

    def __init__(self, schemas: Schemas, schema: str, folder: Path, uptime: float) -> None:
        self.clock = Clock()
        self.clock.boot, self.clock.up = f"a start with {uptime}", uptime
        self.server = PostgresServer(schemas.url)
        database = PostgresDatabase(self.server, schema, STEPS, "the PIN")
        self.pin = Pin(folder, self.clock, database, schema)


@pytest.fixture
def machines(schemas: Schemas, tmp_path: Path) -> Any:
    """Two machines: the one that was started last, and one that has been up for a year."""
    schema = schemas.another()
    both = [Machine(schemas, schema, tmp_path / str(up), up) for up in (5.0, 3e7)]
    yield both
    for each in both:
        each.server.close()


async def test_set_on_one_machine_it_holds_on_all(
    configure: Configure, shop: Shop, tmp_path: Path, schemas: Schemas
) -> None:
    machine = schemas.machine(configure, tmp_path, shop.details()["id"])
    async with opened(machine("one")) as one, opened(machine("two")) as two:
        first, second = (await one.store()).pin, (await two.store()).pin
        assert not second.is_set
        first.set(RIGHT, None)
        second.check(RIGHT, has_session=True)
        assert second.is_long
        second.set("another-example", RIGHT)
        with pytest.raises(WrongPinError):
            first.check(RIGHT, has_session=True)
        first.check("another-example", has_session=True)

    assert not [each for each in tmp_path.rglob("pin.*")]  # noqa: ASYNC240, C416


@pytest.mark.parametrize("has_session", [True, False])
def test_wrong_tries_on_several_machines_lock_it_on_all(
    machines: list[Machine], looked_at: list[str], has_session: bool
) -> None:
    one, two = machines
    one.pin.set(RIGHT, None)
    left = []
    for each in (one, two, one, two):
        with pytest.raises(WrongPinError) as wrong:
            each.pin.check(WRONG, has_session=has_session)
        left.append(wrong.value.tries_left)
    for each in (one, two, two, one, two, one):
        with pytest.raises(PinLockedError):
            each.pin.check(RIGHT if each is two else WRONG, has_session=has_session)

    assert left == [4, 3, 2, 1]
    assert looked_at == [RIGHT, *[WRONG] * TRIES]
    until = [each.pin.locked_until(has_session=has_session) for each in machines]
    assert None not in until
    for each in machines:
        each.clock.passes(minutes=14, seconds=50)
        with pytest.raises(PinLockedError):
            each.pin.check(RIGHT, has_session=has_session)
    for each in machines:
        each.clock.passes(minutes=1)
    two.pin.check(RIGHT, has_session=has_session)
    one.pin.check(RIGHT, has_session=has_session)


def test_tries_at_the_same_moment_are_no_more_than_tries_in_a_row(
    machines: list[Machine], looked_at: list[str]
) -> None:
    machines[0].pin.set(RIGHT, None)
    looked_at.clear()

    def guess(machine: Machine) -> None:
        for _ in range(10):
            with pytest.raises(ClawverError):
                machine.pin.check(WRONG, has_session=False)

    threads = [threading.Thread(target=guess, args=(each,)) for each in machines * 2]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert looked_at == [WRONG] * TRIES


def test_the_first_of_two_that_are_set_at_once_stays(
    machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    digest = module._digest

    def late(*words: Any) -> bytes:
        monkeypatch.setattr(module, "_digest", digest)
        two.pin.set(RIGHT, None)
        return digest(*words)

    monkeypatch.setattr(module, "_digest", late)
    with pytest.raises(WrongPinError):
        one.pin.set(WRONG, None)

    one.pin.check(RIGHT, has_session=True)


def test_the_lock_ends_by_the_clock_of_the_database(
    machines: list[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.pin.set(RIGHT, None)
    for _ in range(TRIES):
        with pytest.raises(ClawverError):
            one.pin.check(WRONG, has_session=True)
    two.clock.at += timedelta(hours=5)
    monkeypatch.setattr(two.pin._database, "_compare_clocks", lambda *_: None)
    monkeypatch.setattr(two.pin._database, "clock_ahead", timedelta(hours=-5))

    with pytest.raises(PinLockedError):
        two.pin.check(RIGHT, has_session=True)


def test_where_the_database_is_away_nothing_is_approved(machines: list[Machine]) -> None:
    one, _ = machines
    with pytest.raises(PinNotSetError):
        one.pin.check(RIGHT, has_session=True)
    one.pin.set(RIGHT, None)
    one.server.close()
    one.server._url = "postgresql://clawver:password_example@127.0.0.1:1/orders"

    with pytest.raises(UnreachableError, match="The database of the PIN cannot be reached") as said:
        one.pin.check(RIGHT, has_session=True)
    assert RIGHT not in str(said.value)
    assert "password_example" not in str(said.value)


async def test_whoever_forgot_it_hears_what_to_delete(
    configure: Configure, shop: Shop, tmp_path: Path, schemas: Schemas,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    settings = schemas.machine(configure, tmp_path, shop.details()["id"])("one")
    async with opened(settings) as services:
        store = await services.store()
        store.pin.set(RIGHT, None)
    monkeypatch.setattr(click, "prompt", lambda *_, **__: WRONG)

    with pytest.raises(WrongPinError):
        await command._set(settings, Output(None))

    forget = f'DELETE FROM "{store.scope.schema}_pin".pin'  # noqa: S608  # words of ours
    assert f"delete it from the database ({forget}) and run this" in capsys.readouterr().err
    with schemas.server.connection() as rows:
        rows.execute(forget.encode())
    assert not store.pin.is_set
