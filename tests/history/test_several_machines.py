"""What one machine read of a store's orders the others find: they share a database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Configure
from tests.history.conftest import order, seen
from tests.refunds.test_several_machines import refund

from clawver_orders.caller import Script
from clawver_orders.errors import UnreachableError
from clawver_orders.history.forgetting import KEY_FILE
from clawver_orders.history.mirror import Mirror, Sought
from clawver_orders.refunds.customers import refunds_of_customer
from clawver_orders.services import Services, opened
from clawver_orders.storage.folders import may_hold
from clawver_orders.storage.postgres import PostgresDatabase
from clawver_orders.tools.listing import list_orders
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery

EMAIL = "noam@example.com"
NOWHERE = "postgresql://clawver:password_example@127.0.0.1:1/orders"


async def history(services: Services) -> Mirror:
    store = await services.store()
    await services.keep_what_was_read()
    await store.recorder.all_kept()
    return store.mirror


def ids(mirror: Mirror, **asked: Any) -> set[str]:
    return {each.order.id for each in mirror.find(Sought(**asked), 100)}


async def test_what_one_machine_read_the_others_find(machine: Any) -> None:
    async with opened(machine("one")) as one, opened(machine("two")) as two:
        await one.clawver.order("ord_shirt")
        await history(one)

        assert ids(await history(two), search=EMAIL) == {"ord_shirt"}
        assert (await history(two)).extent().orders == 1
    assert not may_hold(machine("one").origin_dir, "history.")


async def test_a_customer_who_is_forgotten_on_one_machine_is_kept_on_none(machine: Any) -> None:
    now = datetime.now(UTC)
    async with opened(machine("one")) as one, opened(machine("two")) as two:
        await one.clawver.order("ord_shirt")
        await history(one)
        assert (await history(two)).forget(EMAIL, now) == ["ord_shirt"]

        await one.clawver.order("ord_shirt")
        here = await history(one)

        assert ids(here) == set()
        assert here.forgets("NOAM@example.com")
        assert not here.forgets("zoe@example.com")
        assert here.forget(EMAIL, now) == []
    assert not may_hold(machine("one").origin_dir, KEY_FILE)


async def test_what_is_too_old_goes_for_all_machines(machine: Any) -> None:
    now = datetime.now(UTC)
    old = order("ord_old", createdAt=(now - timedelta(days=100)).isoformat())
    async with opened(machine("one")) as one, opened(machine("two", history_days=50)) as two:
        first, second = await history(one), await history(two)
        first.note([seen(old, now)], now)
        assert ids(second) == {"ord_old"}

        second.note([seen(order("ord_new", createdAt=now.isoformat()), now)], now)

        assert ids(first) == {"ord_new"}


async def test_an_event_that_one_machine_received_has_another_one_read_the_order_again(
    machine: Any,
) -> None:
    async with opened(machine("one")) as one, opened(machine("two")) as two:
        await one.clawver.order("ord_shirt")
        await history(one)
        body = b'{"event":"order.shipped","data":{"orderId":"ord_shirt"}}'
        arrived = Delivery(body, parse(body), datetime.now(UTC) + timedelta(seconds=1))
        (await one.store()).inbox.note("r", [arrived])
        before = datetime.now(UTC)

        await (await two.store()).syncing(lambda *_: None).catch_up()

        (found,) = (await history(one)).find(Sought(search="ord_shirt"), 10)
        assert (found.as_of > before, found.is_due) == (True, False)


async def test_times_are_those_of_the_database(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = timedelta(days=365)
    now = datetime.now(UTC)
    async with opened(machine("one")) as one:
        mirror = await history(one)
        monkeypatch.setattr(
            PostgresDatabase, "_compare_clocks", lambda of, _: setattr(of, "clock_ahead", -wrong)
        )
        mirror.note([seen(order(createdAt=now.isoformat()), now + wrong)], now + wrong)
        mirror.note_sync(now + wrong, None)

        (found,) = mirror.find(Sought(), 10)
        assert found.as_of == now
        assert mirror.extent().synced_at == now


async def test_the_rule_for_one_customer_knows_what_another_machine_read(
    machine: Any,
) -> None:
    one, two = machine("one"), machine("two")
    async with opened(one) as services:
        await refund(services)
        await services.clawver.order("ord_shirt")
        await history(services)
    async with opened(two) as services:
        store, sent = await services.store(), await services.clawver.order("ord_digital")
        theirs = sent.model_copy(update={"customer_email": EMAIL})
        counted = refunds_of_customer(two, store.ledger, theirs, 90)

    assert counted.count == 1
    assert counted.since is not None


async def test_orders_are_listed_while_the_database_is_down(
    configure: Configure, tmp_path: Path
) -> None:
    settings = configure(database_url=NOWHERE, state_dir=tmp_path / "one")
    async with opened(settings) as services:
        found = await list_orders(services, Script())

        assert found.orders
        assert await services.history() is None
    assert not may_hold(settings.origin_dir, "history.")


async def test_what_is_kept_is_missing_while_the_database_is_down(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(machine("one")) as one:
        await one.clawver.order("ord_shirt")
        await history(one)

        def gone(*_: Any) -> Any:
            raise UnreachableError("The database cannot be reached.", next_step="Wait.")

        monkeypatch.setattr(PostgresDatabase, "_make", gone)
        found = await list_orders(one, Script(), search="shirt")
        theirs = await one.clawver.order("ord_shirt")
        counted = refunds_of_customer(one.settings, (await one.store()).ledger, theirs, 90)

    assert found.orders
    assert "the order history cannot be read" in counted.unknown
