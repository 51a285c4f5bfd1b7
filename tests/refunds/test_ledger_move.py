"""A machine's refunds move into the database that several machines share, once and whole."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.conftest import Configure, folder_of
from tests.postgres import Schemas
from tests.refunds.room import AskingHost

from clawver_orders.caller import Reply, Script
from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.refunds import ledger_move
from clawver_orders.refunds.ledger_file import LEDGER_FILE, ledger_tables
from clawver_orders.refunds.ledger_move import move
from clawver_orders.refunds.matching import doubts_of
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Actor, Wish
from clawver_orders.services import Services, opened
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.storage.sqlite import MOVED, MOVING, kind_of
from clawver_sandbox.shop import Shop


class Machine:
    """One with refunds in a file, which may name a database."""

    def __init__(self, file: Settings, url: str, store_id: str) -> None:
        self.file = file
        self.shared = file.model_copy(update={"database_url": SecretStr(url)})
        scopes.note(file, store_id, "Pixel & Thread")
        scopes.note(self.shared, store_id, "Pixel & Thread")

    @property
    def path(self) -> Path:
        return folder_of(self.file) / LEDGER_FILE

    def move(self) -> ledger_move.Moved | None:
        scope = scopes.known(self.shared)
        assert scope is not None
        return move(self.shared, scope)


@pytest.fixture
def machine(configure: Configure, shop: Shop, tmp_path: Path, schemas: Schemas) -> Any:
    """A machine by its name."""

    def of(name: str, **changed: Any) -> Machine:
        settings = configure(state_dir=tmp_path / name, **changed)
        schemas.are_used_by(settings, shop.details()["id"])
        return Machine(settings, schemas.url, shop.details()["id"])

    return of


@pytest.fixture
def one(machine: Callable[[str], Machine]) -> Machine:
    return machine("one")


async def refund(settings: Settings, order_id: str = "ord_shirt", cents: int = 500) -> Outcome:
    async with opened(settings) as services:
        desk = (await services.store()).desk
        return await desk.refund(order_id, cents, "Torn", [], Script())


async def declined(settings: Settings) -> Outcome:
    async with opened(settings) as services:
        desk = (await services.store()).desk
        return await desk.refund("ord_digital", 100, "Torn", [], AskingHost(Reply.NO))


async def known_to(settings: Settings) -> list[tuple[Wish, list[str]]]:
    async with opened(settings) as services:
        ledger = (await services.store()).ledger
        return [
            (wish, [each.event for each in await ledger.history(wish.refund_id)])
            for wish in await ledger.latest(1000)
        ]


async def spent(services: Services) -> int:
    return await (await services.store()).ledger.spent_in_cents()


async def check_sent_numbers(settings: Settings) -> None:
    """The line with which an attempt was sent has moved with it, so that no earlier look covers it."""
    async with opened(settings) as services:
        ledger = (await services.store()).ledger
        for wish in await ledger.latest(1000):
            lines = {each.number: each.event for each in await ledger.history(wish.refund_id)}
            assert [lines.get(each.sent_number) for each in wish.attempts] == ["sending"]


async def test_refunds_move_as_they_are(machine: Any, shop: Shop) -> None:
    at = machine("one", refund_approval="chat")
    async with opened(at.file) as services:
        desk = (await services.store()).desk
        await desk.refund("ord_shirt", 500, "Torn", [], AskingHost(Reply.YES))
    await declined(at.file)
    before = await known_to(at.file)

    moved = at.move()

    assert moved is not None
    assert moved.refunds == 2
    after = await known_to(at.shared)
    assert [events for _, events in after] == [events for _, events in before]
    assert [wish for wish, _ in after] == [wish for wish, _ in before]
    again = await refund(at.shared)
    assert again.status == "already_refunded"
    assert shop.refunds() == [("ord_shirt", 500)]
    async with opened(at.shared) as services:
        assert await spent(services) == 500


async def test_new_refunds_go_on_behind_those_that_moved(one: Machine, shop: Shop) -> None:
    await refund(one.file)
    one.move()

    assert (await refund(one.shared, "ord_digital", 100)).status == "refunded"

    assert shop.refunds() == [("ord_shirt", 500), ("ord_digital", 100)]
    assert [wish.order_id for wish, _ in await known_to(one.shared)] == ["ord_digital", "ord_shirt"]


async def test_the_rules_of_the_tables_hold_again(one: Machine) -> None:
    await refund(one.file)
    one.move()

    scope = scopes.known(one.shared)
    assert scope is not None
    tables = ledger_tables(one.shared, scope)
    assert tables is not None
    for statement in (
        "UPDATE history SET who = 'nobody'",
        "UPDATE wish SET amount_in_cents = 1",
        "TRUNCATE attempt CASCADE",
    ):
        with pytest.raises(Exception, match=r"stays|only added|emptied"), tables.writing() as rows:
            rows.execute(statement)


async def test_the_file_is_kept_and_never_used_again(one: Machine) -> None:
    await refund(one.file)
    one.move()

    assert kind_of(one.path) == MOVED
    with pytest.raises(SetupError) as raised:
        await refund(one.file, "ord_digital", 100)
    assert raised.value.happened == (
        "Nothing was sent. The file of the refund ledger was moved into a database, and is no longer used."
    )
    with closing(sqlite3.connect(one.path)) as file:
        assert file.execute("SELECT COUNT(*) FROM wish").fetchone() == (1,)


async def test_to_repeat_it_does_no_harm(one: Machine) -> None:
    await refund(one.file)
    one.move()
    before = await known_to(one.shared)

    moved = one.move()

    assert moved is not None
    assert moved.refunds is None
    assert await known_to(one.shared) == before


async def test_where_there_is_no_ledger_nothing_is_moved(one: Machine) -> None:
    assert one.move() is None


async def test_without_a_database_nothing_is_moved(one: Machine) -> None:
    await refund(one.file)
    scope = scopes.known(one.file)
    assert scope is not None

    with pytest.raises(SetupError, match="CLAWVER_DATABASE_URL is not set"):
        move(one.file, scope)

    assert (await refund(one.file)).status == "already_refunded"


async def test_until_it_was_moved_the_database_is_not_used(one: Machine, shop: Shop) -> None:
    await refund(one.file)

    with pytest.raises(SetupError) as raised:
        await refund(one.shared)

    assert str(raised.value).endswith(
        "CLAWVER_DATABASE_URL is set, and the refunds of this store are in a file of this machine still. A person "
        "must stop the servers of this store and run: clawver-orders ledger move."
    )
    assert shop.refunds() == [("ord_shirt", 500)]


async def test_open_refunds_are_resolved_first(one: Machine, shop: Shop) -> None:
    shop.add_fault("drop_before", method="POST")
    assert (await refund(one.file)).status == "unknown"

    with pytest.raises(SetupError, match="1 refund is not known yet"):
        one.move()

    assert (await refund(one.file)).status == "unknown"


@pytest.mark.parametrize("kept", [False, True])
async def test_a_move_that_was_interrupted_goes_on(
    one: Machine, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    await refund(one.file)
    if kept:  # the database has them, and the file does not know
        monkeypatch.setattr(ledger_move, "_become", lambda *_: None)
        one.move()
    else:

        def lost(*_: object) -> None:
            raise UnreachableError("The database is gone.", next_step="Repeat the call.")

        monkeypatch.setattr(ledger_move, "_copy", lost)
        with pytest.raises(UnreachableError):
            one.move()
    monkeypatch.undo()

    assert kind_of(one.path) == MOVING
    for settings in (one.file, one.shared):
        with pytest.raises(SetupError):
            await refund(settings, "ord_digital", 100)
    moved = one.move()

    assert moved is not None
    assert moved.refunds == (None if kept else 1)
    assert kind_of(one.path) == MOVED
    assert len(await known_to(one.shared)) == 1


async def test_two_machines_move_theirs_together(machine: Any, shop: Shop) -> None:
    one, two = machine("one"), machine("two")
    await refund(one.file)
    await refund(two.file, "ord_digital", 100)

    one.move()
    two.move()

    assert {wish.order_id for wish, _ in await known_to(one.shared)} == {"ord_shirt", "ord_digital"}
    assert await known_to(one.shared) == await known_to(two.shared)
    await check_sent_numbers(one.shared)
    for order_id, cents in (("ord_shirt", 500), ("ord_digital", 100)):
        assert (await refund(two.shared, order_id, cents)).status == "already_refunded"


@pytest.mark.parametrize("first", [0, 1])
async def test_what_both_wished_for_is_there_once(machine: Any, shop: Shop, first: int) -> None:
    machines = [machine(name, refund_approval="chat") for name in ("one", "two")]
    for each, reply in zip(machines, (Reply.DISMISSED, Reply.YES), strict=True):
        async with opened(each.file) as services:
            desk = (await services.store()).desk
            await desk.refund("ord_shirt", 500, "Torn", [], AskingHost(reply))

    for each in (machines[first], machines[1 - first]):
        each.move()

    [(wish, events)] = await known_to(machines[0].shared)
    assert wish.status == "refunded"
    assert events[-1] == "refunded"
    assert shop.refunds() == [("ord_shirt", 500)]


async def test_what_both_sent_is_left_to_a_person(machine: Any, shop: Shop) -> None:
    one, two = machine("one"), machine("two")
    await refund(one.file)
    shutil.copytree(one.file.state_dir, two.file.state_dir, dirs_exist_ok=True)
    await refund(two.file, "ord_digital", 100)
    one.move()
    before = await known_to(one.shared)

    with pytest.raises(SetupError, match="cannot stand beside those of this machine"):
        two.move()

    assert await known_to(one.shared) == before
    assert kind_of(two.path) not in (MOVED, MOVING)
    assert shop.refunds() == [("ord_shirt", 500), ("ord_digital", 100)]


@pytest.mark.parametrize("first", [0, 1])
async def test_a_decline_of_what_both_wished_for_is_not_lost(
    machine: Any, shop: Shop, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the one that is left out, whichever that is: nothing is moved until it counts no more."""
    machines = [machine(name, refund_approval="chat") for name in ("one", "two")]
    for each, reply in zip(machines, (Reply.NO, Reply.YES), strict=True):
        async with opened(each.file) as services:
            desk = (await services.store()).desk
            await desk.refund("ord_shirt", 500, "Torn", [], AskingHost(reply))
    machines[first].move()
    before = await known_to(machines[first].shared)
    late = machines[1 - first]

    with pytest.raises(SetupError, match="A person declined a refund that is in the database too"):
        late.move()

    assert await known_to(machines[first].shared) == before
    assert kind_of(late.path) not in (MOVED, MOVING)
    monkeypatch.setattr(ledger_move, "DECLINES_COUNT", timedelta(0))  # a day later
    late.move()
    [(wish, _)] = await known_to(late.shared)
    assert wish.status == "refunded"


async def test_a_yes_that_was_moved_settles_nothing_that_another_machine_noted(
    machine: Any, shop: Shop
) -> None:
    """Its lines come behind those of the database, and still it may be older."""
    one, two = (machine(name, refund_approval="chat") for name in ("one", "two"))
    async with opened(two.file) as services:
        desk = (await services.store()).desk
        await desk.refund("ord_shirt", 300, "Torn", [], AskingHost(Reply.YES))
    shop.add_fault("drop_before", method="POST")
    async with opened(one.file) as services:
        store = await services.store()
        lost = await store.desk.refund("ord_shirt", 500, "Torn", [], AskingHost(Reply.YES))
        assert lost.wish is not None
        await store.desk.resolve(
            lost.wish.refund_id,
            was_refunded=False,
            because="The dashboard",
            actor=Actor("refunds resolve", "person in the terminal"),
        )
    one.move()
    two.move()

    async with opened(one.shared) as services:
        store = await services.store()
        records = await store.ledger.of_order("ord_shirt")
        doubts = doubts_of(records, services.instant(), 900.0)
    assert [each.kind for each in doubts] == ["resolved"]
    assert shop.refunds() == [("ord_shirt", 300)]


async def test_an_older_copy_stays_one_when_it_is_moved(one: Machine, shop: Shop) -> None:
    await refund(one.file)
    mark = one.path.with_suffix(".number")
    mark.write_text(str(int(mark.read_text("ascii").split()[0]) + 5))
    await refund(one.file, "ord_digital", 100)
    one.move()

    async with opened(one.shared) as services:
        store = await services.store()
        records = await store.ledger.of_order("ord_digital")
        doubts = doubts_of(records, services.instant(), 900.0)
    assert "restored" in [each.kind for each in doubts]


async def test_a_machine_that_moved_second_takes_no_line_of_the_first_for_its_own(
    machine: Any, shop: Shop
) -> None:
    one, two = machine("one"), machine("two")
    await refund(one.file)
    await refund(two.file, "ord_digital", 100)
    one.move()
    two.move()

    for each in (one, two):
        async with opened(each.shared) as services:
            store = await services.store()
            assert (await store.ledger.of_order("ord_shirt")).restored is None
            await store.desk.refund("ord_shirt", 200, "Torn", [], Script())
            assert (await store.ledger.of_order("ord_shirt")).restored is None
