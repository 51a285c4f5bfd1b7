"""Whatever is read of a store is kept, behind the back of the call that read it."""

import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from tests.conftest import Configure, folder_of
from tests.history.conftest import NOON, order, seen

from clawver_orders.caller import Script
from clawver_orders.errors import NotFoundError
from clawver_orders.history.mirror import HISTORY_FILE, Mirror, Sought
from clawver_orders.history.recording import Recorder
from clawver_orders.sandbox_store import reset_sandbox
from clawver_orders.services import Services, opened
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.tools import TOOLS
from clawver_sandbox.shop import Shop


def kept_ids(settings: Settings) -> set[str]:
    mirror = Mirror(folder_of(settings) / HISTORY_FILE, timedelta(days=400))
    return {each.order.id for each in mirror.find(Sought(), 1000)}


async def call(services: Services, name: str, **arguments: object) -> None:
    await TOOLS[name].call(services, arguments, Script())


async def test_what_is_read_and_listed_is_kept_when_the_services_end(
    configure: Configure, shop: Shop
) -> None:
    settings = configure()

    async with opened(settings) as services:
        await call(services, "get_order", order_id="ord_shirt")
        await call(services, "list_orders", limit=5)

    newest = {each["id"] for each in shop.orders()[:5]}
    assert kept_ids(settings) == newest | {"ord_shirt"}


async def test_a_refund_is_kept_with_its_order(configure: Configure) -> None:
    settings = configure()

    async with opened(settings) as services:
        await call(
            services, "refund_order", order_id="ord_shirt", amount_in_cents=500, reason="Torn"
        )

    mirror = Mirror(folder_of(settings) / HISTORY_FILE, timedelta(days=400))
    (found,) = mirror.find(Sought(), 10)
    assert found.order.refunded_in_cents == 500


async def test_nothing_is_kept_where_the_merchant_wants_none(configure: Configure) -> None:
    settings = configure(history=False)

    async with opened(settings) as services:
        await call(services, "get_order", order_id="ord_shirt")

    assert not (folder_of(settings) / HISTORY_FILE).exists()


async def test_a_store_that_was_never_met_is_asked_once_who_it_is(
    configure: Configure, shop: Shop, tmp_path: Path
) -> None:
    settings = configure(state_dir=tmp_path / "new")
    async with opened(settings) as services:
        for _ in range(2):
            await call(services, "get_order", order_id="ord_shirt")

    paths = [each["path"] for each in shop.requests()]
    assert paths == ["/v1/orders/ord_shirt", "/v1/stores/me", "/v1/orders/ord_shirt"]
    assert kept_ids(settings) == {"ord_shirt"}


async def test_a_store_that_does_not_say_who_it_is_is_read_all_the_same(
    configure: Configure, shop: Shop, tmp_path: Path
) -> None:
    shop.add_fault("status_before", path="/stores/me", status=403, times=-1)
    settings = configure(state_dir=tmp_path / "new")

    async with opened(settings) as services:
        for _ in range(2):
            await call(services, "get_order", order_id="ord_shirt")

    assert [each["path"] for each in shop.requests()].count("/v1/stores/me") == 1
    assert scopes.known(settings) is None


async def test_a_read_waits_for_no_file_and_fails_for_none(
    configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    settings = configure()
    folder_of(settings).mkdir(parents=True, mode=0o700)
    (folder_of(settings) / HISTORY_FILE).write_bytes(b"no database" * 100)

    async with opened(settings) as services:
        await call(services, "get_order", order_id="ord_shirt")

    assert "1 orders are not in the history: SetupError" in caplog.text


async def test_a_refund_is_answered_even_where_no_thread_can_be_started(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Recorder, "saw", lambda *_: 1 / 0)

    async with opened(configure()) as services:
        wish = await (await services.store()).desk.refund("ord_shirt", 500, "Torn", [], Script())

    assert wish.status == "refunded"
    assert "an order is not in the history" in caplog.text


async def test_an_order_that_is_gone_is_forgotten(configure: Configure, shop: Shop) -> None:
    settings = configure()
    shop.sell(order_id="ord_new")
    async with opened(settings) as services:
        await call(services, "get_order", order_id="ord_new")
        shop.reset()
        with pytest.raises(NotFoundError):
            await call(services, "get_order", order_id="ord_new")

    assert kept_ids(settings) == set()


async def test_a_program_whose_only_call_finds_an_order_gone_forgets_it_too(
    configure: Configure, shop: Shop
) -> None:
    settings = configure()
    shop.sell(order_id="ord_new")
    async with opened(settings) as services:
        await call(services, "get_order", order_id="ord_new")
    assert kept_ids(settings) == {"ord_new"}
    shop.reset()
    async with opened(settings) as services:
        with pytest.raises(NotFoundError):
            await call(services, "get_order", order_id="ord_new")

    assert kept_ids(settings) == set()


async def test_a_sandbox_that_starts_again_leaves_no_orders_and_a_real_store_keeps_its_own(
    configure: Configure, shop: Shop
) -> None:
    settings = configure()
    within = settings.model_copy(update={"sandbox": True})
    async with opened(settings) as services, opened(within) as in_process:
        await call(services, "get_order", order_id="ord_shirt")
        await call(in_process, "get_order", order_id="ord_shirt")
    real = Mirror(folder_of(settings) / HISTORY_FILE, timedelta(days=400))
    real.note([seen(order("ord_real"))], NOON)

    reset_sandbox(settings)
    assert kept_ids(settings) == {"ord_real", "ord_shirt"}  # it comes from another sandbox store
    real.forget_sandbox(shop.id)

    assert kept_ids(settings) == {"ord_real"}
    assert kept_ids(within) == set()


async def test_a_read_does_not_wait_while_another_program_holds_the_file(filed: Mirror) -> None:
    filed.note([seen(order("ord_1"))], NOON)
    recorder = Recorder(filed, lambda: NOON)

    with closing(sqlite3.connect(filed.folder / HISTORY_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder.saw(seen(order("ord_2")))
        other.execute("ROLLBACK")
    await recorder.close()

    assert len(filed.find(Sought(), 10)) == 2


async def test_what_cannot_be_kept_keeps_nothing_else_from_it(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(mirror, lambda: NOON)
    with monkeypatch.context() as broken:
        broken.setattr(mirror, "note", lambda *_: 1 / 0)
        recorder.saw(seen(order("ord_1")))
        await recorder.all_kept()
    recorder.saw(seen(order("ord_2")))
    await recorder.close()

    assert [each.order.id for each in mirror.find(Sought(), 10)] == ["ord_2"]
    assert "ZeroDivisionError" in caplog.text


async def test_its_thread_ends_with_it(mirror: Mirror) -> None:
    recorder, before = Recorder(mirror, lambda: NOON), threading.enumerate()
    recorder.saw(seen(order("ord_1")))
    ours = [each for each in threading.enumerate() if each not in before and each.name == "history"]

    with anyio.CancelScope() as scope:
        scope.cancel()
        await recorder.close()

    for thread in ours:
        thread.join(10)
    assert len(ours) == 1
    assert not ours[0].is_alive()
