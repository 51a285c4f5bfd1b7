"""Two machines work on one store: each has a state folder of its own, and one database keeps the refunds."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from clawver_orders.caller import Script
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.services import Services, Store, opened
from clawver_sandbox.shop import Shop


async def refund(services: Services, cents: int = 500) -> Outcome:
    desk = (await services.store()).desk
    return await desk.refund("ord_shirt", cents, "Torn", [], Script())


def id_of(outcome: Outcome) -> str:
    assert outcome.wish is not None
    return outcome.wish.refund_id


async def test_what_one_machine_refunded_another_one_knows(machine: Any, shop: Shop) -> None:
    async with opened(machine("one")) as one, opened(machine("two")) as two:
        first, second = await refund(one), await refund(two)

    assert (first.status, second.status) == ("refunded", "already_refunded")
    assert id_of(first) == id_of(second)
    assert shop.refunds() == [("ord_shirt", 500)]


async def test_machines_at_the_same_moment_refund_once(machine: Any, shop: Shop) -> None:
    found: list[Outcome] = []

    async def work(services: Services) -> None:
        found.append(await refund(services))

    async with (
        opened(machine("one")) as one,
        opened(machine("two")) as two,
        anyio.create_task_group() as tasks,
    ):
        for each in (one, two, one, two):
            tasks.start_soon(work, each)

    assert shop.refunds() == [("ord_shirt", 500)]
    assert {id_of(each) for each in found} == {id_of(found[0])}


async def test_machines_share_the_daily_limit(machine: Any, shop: Shop) -> None:
    limit = {"refund_daily_limit_in_cents": 900}
    async with opened(machine("one", **limit)) as one, opened(machine("two", **limit)) as two:
        await refund(one)
        with pytest.raises(Exception, match="24 hours"):
            await (await two.store()).desk.refund("ord_digital", 500, "Torn", [], Script())

    assert shop.refunds() == [("ord_shirt", 500)]


async def test_nothing_of_it_is_in_a_file(machine: Any, tmp_path: Path) -> None:
    async with opened(machine("one")) as services:
        await refund(services)
        store: Store = await services.store()

        assert store.ledger.exists
    assert not list((tmp_path / "one").rglob("ledger.sqlite3"))
    assert not list((tmp_path / "one").rglob("requests.sqlite3"))
    assert not list((tmp_path / "one").rglob("locks"))
