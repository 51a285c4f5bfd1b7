"""Which store a key opens and an alias means, where several machines share a database."""

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import KEY
from tests.postgres import Schemas
from tests.test_stores import ME, OTHER_KEY, ROTATED_KEY, TEST_KEY, Address, at, refund

from clawver_orders.caller import Script
from clawver_orders.errors import ClawverError, SetupError, UnreachableError
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_sandbox.answers import success

__all__ = ["at"]
ANOTHER = "store_of_another"


@pytest.fixture
def machine(at: Address, schemas: Schemas, tmp_path: Path) -> Any:
    """Settings of a machine by its name."""

    def of(name: str, key: str | None = KEY, **changed: Any) -> Settings:
        made = at.settings(key, state_dir=tmp_path / name, database_url=schemas.url, **changed)
        for shop in (at.first, at.second):
            schemas.are_used_by(made, shop.details()["id"])
        return made

    return of


def is_about_another(at: Address) -> None:
    """From now on the key opens another store."""
    at.about = lambda: success({"store": {"id": ANOTHER, "name": "Other"}})


async def doctor(settings: Settings) -> str:
    """What a machine hears that asks the store who it is."""
    async with opened(settings) as services:
        try:
            return (await services.identify()).scope.store_id
        except ClawverError as error:
            return str(error)


def rows_go(schemas: Schemas, said: str) -> None:
    """Delete what an error says."""
    with schemas.server.connection() as rows:
        assert rows.execute(said.partition("(")[2].partition(")")[0].encode()).rowcount == 1


async def test_a_machine_that_never_saw_the_key_knows_its_store(
    at: Address, machine: Any, tmp_path: Path
) -> None:
    await refund(machine("one"))
    at.asked.clear()

    assert await refund(machine("two")) == "already_refunded"
    assert at.asked == ["/v1/orders/ord_shirt"] * len(at.asked)
    assert scopes.known(machine("three", ROTATED_KEY)) is None
    assert not list(tmp_path.rglob("store.json"))  # noqa: ASYNC240
    one, two = (scopes.known(machine(each)) for each in ("one", "two"))
    assert one is not None
    assert two is not None
    assert (one.schema, one.title) == (two.schema, two.title)
    assert one.folder != two.folder


async def test_a_key_that_opens_another_store_stops_refunds_on_every_machine(
    at: Address, machine: Any, schemas: Schemas
) -> None:
    await refund(machine("one"))
    is_about_another(at)
    said = await doctor(machine("two"))
    at.about = None

    assert said.startswith("Nothing was sent: this key opens another store than the one that was")
    assert "find out which store CLAW_API_KEY belongs to" in said
    assert KEY not in said
    for name in ("one", "two", "never used before"):
        with pytest.raises(SetupError, match="Nothing was sent: this key opens another store"):
            await refund(machine(name), cents=300)
    assert at.first.refunds() == [("ord_shirt", 500)]
    rows_go(schemas, said)
    assert await refund(machine("never used before"), cents=300) == "refunded"


async def test_a_server_that_runs_hears_it_from_another_machine_at_its_next_refund(
    at: Address, machine: Any
) -> None:
    async with opened(machine("one")) as services:
        desk = (await services.store()).desk
        assert (await desk.refund("ord_shirt", 500, "Torn", [], Script())).status == "refunded"
        is_about_another(at)
        await doctor(machine("two"))
        at.asked.clear()

        with pytest.raises(SetupError, match=r"^Nothing was sent: this key opens another store"):
            await desk.refund("ord_mixed", 500, "Torn", [], Script())
        assert at.first.refunds() == [("ord_shirt", 500)]
        assert ME not in at.asked

        at.about = None
        await doctor(machine("two"))
        assert (await desk.refund("ord_mixed", 500, "Torn", [], Script())).status == "refunded"


async def test_a_key_that_opens_its_store_again_refunds_again(at: Address, machine: Any) -> None:
    await refund(machine("one"))
    is_about_another(at)
    await doctor(machine("two"))
    at.about = None

    assert await doctor(machine("three")) == at.first.details()["id"]
    assert await refund(machine("one"), cents=300) == "refunded"


async def test_a_store_has_its_new_name_on_every_machine(at: Address, machine: Any) -> None:
    await doctor(machine("one"))
    about = at.first.details() | {"name": "New"}
    at.about = lambda: success({"store": about})
    await doctor(machine("one"))
    found = scopes.known(machine("two"))

    assert found is not None
    assert found.name == "New"


async def test_an_alias_means_one_store_on_every_machine(
    at: Address, machine: Any, schemas: Schemas
) -> None:
    await refund(machine("one", store="prints"))

    with pytest.raises(SetupError) as raised:
        await refund(machine("two", OTHER_KEY, store="prints"))
    said = str(raised.value)
    assert said.startswith("Nothing was sent: the key of the store prints opens another store than")
    assert at.second.refunds() == []
    rows_go(schemas, said)
    assert await refund(machine("two", OTHER_KEY, store="prints")) == "refunded"


async def test_two_aliases_of_machines_are_not_one_store(
    at: Address, machine: Any, schemas: Schemas
) -> None:
    await refund(machine("one", store="prints"))

    with pytest.raises(SetupError) as raised:
        await refund(machine("two", ROTATED_KEY, store="photos"), cents=300)
    said = str(raised.value)
    assert said.startswith("Nothing was sent: photos and prints are one store, so its limits would")
    assert at.first.refunds() == [("ord_shirt", 500)]
    rows_go(schemas, said)
    assert await refund(machine("two", ROTATED_KEY, store="photos"), cents=300) == "refunded"


async def test_without_a_key_the_only_store_is_meant(at: Address, machine: Any) -> None:
    with pytest.raises(SetupError, match="no store is noted"):
        scopes.known(machine("one", None))
    scopes.note(machine("one"), at.first.details()["id"], "One")
    scopes.note(machine("one", ROTATED_KEY), at.first.details()["id"], "One")
    found = scopes.known(machine("two", None))
    assert found is not None
    assert found.store_id == at.first.details()["id"]
    scopes.note(machine("one", TEST_KEY), at.first.details()["id"], "One")
    with pytest.raises(SetupError, match="several stores are noted"):
        scopes.known(machine("two", None))


async def test_where_the_database_is_away_nothing_is_sent(at: Address, machine: Any) -> None:
    away = machine("one").model_copy(
        update={"database_url": machine("one").database_url.__class__(
            "postgresql://clawver:password_example@127.0.0.1:1/orders"
        )}
    )  # fmt: skip

    with pytest.raises(UnreachableError) as raised:
        await refund(away)

    assert str(raised.value).startswith(
        "Nothing was sent. The database of the list of stores cannot be reached."
    )
    assert "password_example" not in str(raised.value)
    assert at.first.refunds() == []
