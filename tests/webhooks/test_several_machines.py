"""One machine receives events, and others list and follow them: they share a database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import KEY, Configure
from tests.webhooks.test_receiver import SECRET, body_of, send, served

from clawver_orders.caller import Approval
from clawver_orders.errors import UnreachableError
from clawver_orders.services import may_have_events, opened
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.storage.folders import may_hold
from clawver_orders.storage.postgres import PostgresDatabase
from clawver_orders.tools import offered
from clawver_orders.tools.events import EventList, list_order_events
from clawver_orders.webhooks.changes import WantedChange
from clawver_orders.webhooks.inbox import Inbox
from clawver_orders.webhooks.receiver import Receiver

NOWHERE = "postgresql://clawver:password_example@127.0.0.1:1/orders"


async def deliver(settings: Settings, *numbers: int) -> list[int]:
    """What a receiver of this machine answers to deliveries, one after another."""
    receiver = Receiver.of(settings)
    async with receiver.listening(), served(receiver) as http:
        return [(await send(http, body_of(number))).status_code for number in numbers]


async def listed(settings: Settings, **asked: Any) -> EventList:
    async with opened(settings) as services:
        return await list_order_events(services, **asked)


def orders(found: EventList) -> Sequence[str]:
    place = found.columns.index("order_id") if "order_id" in found.columns else None
    return [row[place] if place is not None else "the same" for row in found.events]


def inbox(settings: Settings) -> Inbox:
    scope = scopes.known(settings)
    assert scope is not None
    return Inbox.of(settings, scope)


async def test_what_one_machine_receives_others_list_and_follow(machine: Any) -> None:
    one, two = machine("one", webhook_secret=SECRET), machine("two")
    async with opened(one) as services:
        await services.store()

    assert await deliver(one, 1, 2) == [200, 200]
    first = await listed(two)
    assert await deliver(one, 3) == [200]
    later = await listed(two, since=first.newest)

    assert orders(first) == ["ord_2", "ord_1"]
    assert (first.newest, later.newest) == ("evt_2", "evt_3")
    assert len(later.events) == 1
    assert first.receiving.state == "not_listening"
    assert not may_hold(one.origin_dir, "inbox.")


async def test_a_listener_of_another_machine_listens(machine: Any) -> None:
    one, two = machine("one", webhook_secret=SECRET), machine("two")
    async with opened(one) as services:
        await services.store()

    async with Receiver.of(one).listening():
        found = await listed(two)

    assert found.receiving.state == "listening"
    assert found.complete


async def test_what_is_sent_again_to_another_machine_is_kept_once(machine: Any) -> None:
    machines = [machine(name, webhook_secret=SECRET) for name in ("one", "two")]
    for each in machines:
        async with opened(each) as services:
            await services.store()
        assert await deliver(each, 1) == [200]

    assert [len((await listed(each)).events) for each in machines] == [1, 1]


async def test_what_is_too_old_goes_for_all_machines(machine: Any) -> None:
    one, two = machine("one", webhook_secret=SECRET), machine("two")
    for each in (one, two):
        async with opened(each) as services:
            await services.store()
    await deliver(one, 1)

    later = datetime.now(UTC) + timedelta(days=31)
    inbox(two).heartbeat("r", later)

    with inbox(one)._database.reading() as connection:
        assert [*connection.execute("SELECT COUNT(*) FROM event").fetchone()] == [0]
    assert (await listed(one)).newest == "evt_1"


async def test_a_machine_whose_clock_is_wrong_forgets_nothing_too_soon(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine("one", webhook_secret=SECRET)
    async with opened(one) as services:
        await services.store()
    await deliver(one, 1)
    wrong = timedelta(days=365)
    monkeypatch.setattr(
        PostgresDatabase, "_compare_clocks", lambda of, _: setattr(of, "clock_ahead", -wrong)
    )

    store = inbox(one)
    store.heartbeat("r", datetime.now(UTC) + wrong)

    status = store.receiver_status(datetime.now(UTC) + wrong)
    assert (status.is_listening, status.forgotten) == (True, 0)


async def test_while_the_database_is_down_deliveries_are_asked_for_again(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine("one", webhook_secret=SECRET)
    async with opened(one) as services:
        await services.store()
    receiver = Receiver.of(one)
    async with receiver.listening(), served(receiver) as http:
        with monkeypatch.context() as outage:

            def gone(*_: Any) -> Any:
                raise UnreachableError("The database cannot be reached.", next_step="Wait.")

            outage.setattr(PostgresDatabase, "_make", gone)
            down = await send(http, body_of())
            health: list[httpx2.Response] = [await http.get(at) for at in ("/healthz", "/readyz")]
        up = await send(http, body_of())

    assert [down.status_code, *(each.status_code for each in health)] == [503, 503, 503]
    assert health[1].json() == {"error": "the database cannot be reached, or is busy"}
    assert up.status_code == 200
    assert len((await listed(one)).events) == 1


async def test_a_change_that_one_machine_wants_is_declined_on_another_one(machine: Any) -> None:
    wanted = WantedChange("register", f"https://{'x' * 2030}.example/", ("order.paid",))
    async with opened(machine("one")) as one, opened(machine("two")) as two:
        here, there = (await one.store()).changes, (await two.store()).changes
        change = here.want(wanted, "console", "host 1", is_person=False)
        waiting = there.waiting()
        there.decline(change.change_id, Approval("console", "terminal", "person"), "a terminal")
        again = here.want(wanted, "console", "host 1", is_person=False)

    assert [each.change_id for each in waiting] == [change.change_id]
    assert (again.change_id, again.status) == (change.change_id, "declined")
    assert not may_hold(machine("one").origin_dir, "webhooks.")


async def test_a_receiver_that_can_write_says_so(machine: Any) -> None:
    one = machine("one", webhook_secret=SECRET)
    async with opened(one) as services:
        await services.store()
    async with served(Receiver.of(one)) as http:
        assert (await http.get("/readyz")).status_code == 200


def test_where_there_is_a_database_events_may_have_arrived_on_another_machine() -> None:
    settings = Settings(api_key=KEY, database_url=NOWHERE)

    assert may_have_events(settings)
    assert "list_order_events" in [tool.name for tool in offered(settings)]
    assert not may_have_events(settings.model_copy(update={"database_url": None}))


async def test_an_order_is_told_of_without_its_events_while_the_database_is_down(
    configure: Configure, tmp_path: Path
) -> None:
    from clawver_orders.tools.orders import get_order

    async with opened(configure(database_url=NOWHERE, state_dir=tmp_path / "one")) as services:
        found = await get_order(services, "ord_shirt", include=["timeline"])

    assert found.orders[0].order_id == "ord_shirt"
    assert "Not readable now: order events." in (found.timeline_lacks or "")
