"""A pass over everything that Clawver gives: within the allowance, and from where it ended."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.conftest import Configure, inbox_of

from clawver_orders.caller import Script
from clawver_orders.days import IN_UTC
from clawver_orders.errors import SetupError
from clawver_orders.history.mirror import Mirror, Sought
from clawver_orders.history.syncing import Sync, Synced
from clawver_orders.history.told import told
from clawver_orders.services import Services, opened
from clawver_orders.tools import TOOLS
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery, Inbox
from clawver_sandbox.shop import Shop


class Clock:
    """A time that passes when somebody waits."""

    def __init__(self) -> None:
        self.at = datetime.fromisoformat("2026-11-24T12:00:00Z")
        self.waited: list[float] = []

    def __call__(self) -> datetime:
        return self.at

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def synced(
    services: Services, clock: Clock | None = None
) -> tuple[Synced, list[tuple[int, ...]]]:
    """A pass; and what was told of it."""
    store = await services.store()
    said: list[tuple[int, ...]] = []
    found = store.syncing(lambda *figures: said.append(figures))
    if clock is not None:
        found = Sync(
            services.clawver_in_spare_time,
            store.recorder,
            store.inbox,
            clock,
            lambda *f: said.append(f),
            clock.wait,
        )
    return await found.run(), said


async def ids(services: Services) -> set[str]:
    return {each.order.id for each in (await services.store()).mirror.find(Sought(), 10_000)}


def reachable(shop: Shop) -> set[str]:
    statuses = {each["status"] for each in shop.orders()}
    return {each["id"] for status in statuses for each in shop.newest(status, 100)}


def leave(shop: Shop, count: int) -> None:
    """Have only the oldest of the orders that documents call by name, and so many in all."""
    named = [
        each["id"]
        for each in shop.orders()
        if "_" in each["id"].removeprefix("ord_") or len(each["id"]) < 12
    ]
    others = [each["id"] for each in shop.orders() if each["id"] not in named]
    with shop._transaction() as db:
        gone = [(each,) for each in (others + named)[: 120 - count]]
        db.executemany("DELETE FROM sale WHERE id = ?", gone)


def paths(shop: Shop) -> list[str]:
    return [request["path"] for request in shop.requests()]


async def test_everything_that_clawver_lists_is_kept_in_few_requests(
    services: Services, shop: Shop
) -> None:
    shop.add_past(600)

    done, said = await synced(services)

    assert await ids(services) == reachable(shop)
    assert 150 < len(reachable(shop)) < 600
    assert len(paths(shop)) <= 13
    assert (done.unreadable, done.seconds_to_wait, done.extent.thin) == (0, None, 0)
    assert said[-1] == (len(paths(shop)), len(paths(shop)), 0)


async def test_a_small_store_takes_two_requests(configure: Configure, shop: Shop) -> None:
    leave(shop, 90)
    async with opened(configure()) as services:
        done, _ = await synced(services)

    assert paths(shop) == ["/v1/orders", "/v1/stores/me/analytics"]
    assert "match Clawver's own count" in told(done.extent, IN_UTC)


async def test_clawvers_own_count_says_that_some_are_missing(
    services: Services, shop: Shop
) -> None:
    shop.add_past(600)

    done, _ = await synced(services)

    counted = shop.figures("all")["summary"]["totalOrders"]
    assert done.extent.paid_then is not None
    assert done.extent.paid_then < counted
    assert re.search(
        rf"Orders missing here by Clawver's own count of [0-9-]+: {counted - done.extent.paid_then}\. "
        r"Clawver no longer lists them, so each is found by its id alone\.$",
        told(done.extent, IN_UTC),
    )


async def test_a_count_that_is_lower_than_what_is_kept_is_told_as_that(
    services: Services, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shop, "figures", lambda *_: {"summary": {"totalOrders": 1}})

    done, _ = await synced(services)

    assert re.search(
        r"Clawver counted fewer orders on [0-9-]+ than are kept here as paid\.$",
        told(done.extent, IN_UTC),
    )


@pytest.mark.parametrize(
    "summary", [{}, {"totalOrders": "many"}, {"totalOrders": True}, {"totalOrders": -1}]
)
async def test_a_count_that_cannot_be_read_says_nothing(
    services: Services, monkeypatch: pytest.MonkeyPatch, summary: dict[str, Any]
) -> None:
    monkeypatch.setattr(Shop, "figures", lambda *_: {"summary": summary})

    done, _ = await synced(services)

    assert done.extent.counted is None
    assert "Clawver" not in told(done.extent, IN_UTC)


async def test_thin_rows_are_completed_one_by_one_and_once(services: Services, shop: Shop) -> None:
    leave(shop, 30)
    shop.add_fault("page_thin", path="/orders$", times=-1)

    done, said = await synced(services)
    once = len(paths(shop))
    await synced(services)

    assert done.extent.thin == 0
    assert done.extent.orders == len(reachable(shop))
    assert done.extent.counted == done.extent.paid_then
    assert len(said) == once == 2 + len(reachable(shop))
    assert len(paths(shop)) == once + 2
    assert {total for _, total, _ in said[2:]} == {once}


async def test_what_is_left_is_read_by_the_next_pass(services: Services, shop: Shop) -> None:
    leave(shop, 30)
    shop.add_fault("page_thin", path="/orders$", times=-1)
    store = await services.store()

    def stop_at_12(done: int, *_: int) -> None:
        if done == 12:
            raise SetupError("Stopped.", next_step="")

    with pytest.raises(SetupError):
        await store.syncing(stop_at_12).run()
    await synced(services)

    read = [path for path in paths(shop) if path.startswith("/v1/orders/")]
    assert len(read) == len(set(read)) == len(reachable(shop))
    assert store.mirror.extent().thin == 0


async def test_it_waits_for_its_half_of_the_allowance_and_leaves_the_other_half(
    configure: Configure, shop: Shop, clock: Clock
) -> None:
    leave(shop, 30)
    shop.add_fault("page_thin", path="/orders$", times=-1)
    async with opened(configure(requests_per_minute=24), clock) as services:
        done, said = await synced(services, clock)
        shop.forget_requests()
        for _ in range(8):
            await TOOLS["get_order"].call(services, {"order_id": "ord_shirt"}, Script())

    assert done.extent.thin == 0
    assert clock.waited
    assert {seconds for *_, seconds in said} >= {0, 60}
    assert paths(shop) == ["/v1/orders/ord_shirt"] * 8


async def test_it_ends_when_half_of_the_day_is_used_up_and_says_when_to_go_on(
    configure: Configure, shop: Shop, clock: Clock
) -> None:
    leave(shop, 30)
    shop.add_fault("page_thin", path="/orders$", times=-1)
    async with opened(configure(requests_per_day=24), clock) as services:
        done, _ = await synced(services, clock)

    assert len(paths(shop)) == 12
    assert done.seconds_to_wait is not None
    assert 80_000 < done.seconds_to_wait <= 86_400
    assert done.extent.thin == done.extent.due == done.extent.orders - 10


async def test_an_order_that_cannot_be_read_is_counted_and_holds_nothing_up(
    services: Services, shop: Shop
) -> None:
    leave(shop, 30)
    shop.add_fault("page_thin", path="/orders$", times=-1)
    shop.add_fault("garbage", path="/ord_shirt$", times=-1)
    shop.add_fault("status_before", path="/ord_mixed$", status=404)

    done, _ = await synced(services)

    assert done.unreadable == 1
    assert await ids(services) == reachable(shop) - {"ord_mixed"}
    assert "1 of them without details" in told(done.extent, IN_UTC)


async def test_an_order_that_an_event_was_about_is_read_again_once(
    services: Services, shop: Shop, configure: Configure
) -> None:
    await synced(services)
    inbox, later = inbox_of(configure()), services.now() + timedelta(days=3)
    for order_id in ("ord_shirt", "ord_nobody"):
        body = f'{{"event":"order.shipped","data":{{"orderId":"{order_id}"}}}}'.encode()
        inbox.note("r", [Delivery(body, parse(body), later)])  # by a clock that is ahead
    shop.forget_requests()

    store = await services.store()
    store.mirror.take_events(store.inbox, later)
    assert (
        "1 to be read again" in told(store.mirror.extent(), IN_UTC)
        or store.mirror.extent().due == 2
    )
    for _ in range(2):
        await store.syncing(lambda *_: None).catch_up()

    assert sorted(paths(shop)) == ["/v1/orders/ord_nobody", "/v1/orders/ord_shirt"]


@pytest.mark.parametrize("rows", ["whole", "thin"])
async def test_what_a_lost_webhook_was_about_is_known_after_the_next_pass(
    services: Services, shop: Shop, rows: str
) -> None:
    await synced(services)
    shop.advance("ord_waiting_shipped")  # and no event arrives
    if rows == "thin":
        shop.add_fault("page_thin", path="/orders$", times=-1)
    shop.forget_requests()

    await synced(services)

    mirror = (await services.store()).mirror
    (known,) = mirror.find(Sought(search="ord_waiting_shipped"), 10)
    assert (known.order.status, known.is_thin, known.is_due) == ("delivered", False, False)
    reads = [each for each in paths(shop) if each.startswith("/v1/orders/")]
    assert reads == (["/v1/orders/ord_waiting_shipped"] if rows == "thin" else [])


def report_ahead(inbox: Inbox, later: datetime, order_ids: Sequence[str]) -> None:
    """Events that a clock that is ahead has dated."""
    for order_id in order_ids:
        body = f'{{"event":"order.shipped","data":{{"orderId":"{order_id}"}}}}'.encode()
        inbox.note("r", [Delivery(body, parse(body), later)])


async def test_orders_that_events_were_about_are_noted_together_and_not_read_again_if_it_ends_there(
    services: Services, shop: Shop, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    await synced(services)
    later = services.now() + timedelta(days=3)
    report_ahead(inbox_of(configure()), later, ["ord_shirt", "ord_mixed", "ord_digital"])
    noted, note = list[int](), Mirror.note_answered

    def counting(mirror: Mirror, read: Sequence[tuple[str, float]]) -> None:
        noted.append(len(read))
        note(mirror, read)

    monkeypatch.setattr(Mirror, "note_answered", counting)
    store = await services.store()
    store.mirror.take_events(store.inbox, later)
    third = store.mirror.due()[-1][0]
    shop.add_fault("status_before", path=f"/{third}$", times=1, status=403)

    with pytest.raises(SetupError):
        await store.syncing(lambda *_: None).catch_up()
    left = [order_id for order_id, _ in store.mirror.due()]
    await store.syncing(lambda *_: None).catch_up()

    assert (noted, left) == ([2, 1], [third])
    assert store.mirror.due() == []


@pytest.mark.parametrize(("fault", "times"), [("page_refused", -1), ("page_huge", -1)])
async def test_a_store_that_gives_shorter_pages_is_asked_for_those(
    services: Services, shop: Shop, fault: str, times: int
) -> None:
    shop.add_fault(fault, path="/orders$", times=times, status=400)

    await synced(services)

    asked = [request["query"] for request in shop.requests() if request["path"] == "/v1/orders"]
    assert asked[:2] == ["limit=100", "limit=50"]
    assert all("limit=50" in query for query in asked[1:])


async def test_a_store_that_gives_no_page_at_all_is_an_error(
    services: Services, shop: Shop
) -> None:
    shop.add_fault("status_before", path="/orders$", status=400, times=-1)

    with pytest.raises(Exception, match="Clawver refused the request for orders"):
        await synced(services)

    assert len(paths(shop)) == 4


def test_a_store_of_which_nothing_is_kept_says_so() -> None:
    from clawver_orders.history.mirror import Extent

    assert told(Extent(), IN_UTC) == "No orders are kept here yet."


class OverError(Exception):
    """The test has seen enough."""


async def rounds(services: Services, count: int) -> list[float]:
    """Follow events for so many rounds; gives how long was waited before each."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        if len(waited) == count:
            raise OverError
        waited.append(seconds)

    with pytest.raises(OverError):
        await services.follow_events(wait)
    return waited


def told_of(configure: Configure, order_id: str, at: datetime) -> None:
    body = f'{{"event":"order.shipped","data":{{"orderId":"{order_id}"}}}}'.encode()
    inbox_of(configure()).note("r", [Delivery(body, parse(body), at)])


async def test_a_server_reads_orders_again_that_events_were_about(
    services: Services, shop: Shop, configure: Configure
) -> None:
    sold = shop.sell(digital=False, status="processing")["id"]
    await TOOLS["get_order"].call(services, {"order_id": sold}, Script())
    shop.advance(sold)
    told_of(configure, sold, services.now())
    shop.forget_requests()

    waited = await rounds(services, 2)

    (found,) = (await services.store()).mirror.find(Sought(search=sold), 1)
    assert found.order.status == "shipped"
    assert paths(shop) == [f"/v1/orders/{sold}"]
    assert waited == [60.0, 60.0]


@pytest.mark.parametrize("history", [True, False])
async def test_nothing_is_read_again_where_nothing_is_kept(
    configure: Configure, shop: Shop, history: bool
) -> None:
    async with opened(configure(history=history)) as services:
        told_of(configure, "ord_shirt", services.now())
        await rounds(services, 1)  # before the store is known
        await services.store()
        await rounds(services, 1)

    assert paths(shop) == []


async def test_what_cannot_be_read_again_now_is_read_later(
    services: Services, shop: Shop, configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    await TOOLS["get_order"].call(services, {"order_id": "ord_shirt"}, Script())
    told_of(configure, "ord_shirt", services.now())
    shop.add_fault("status_before", path="/ord_shirt$", status=403)
    shop.forget_requests()

    await rounds(services, 2)

    assert paths(shop) == ["/v1/orders/ord_shirt"] * 2
    assert "orders that changed are read later: SetupError" in caplog.text


async def test_reading_again_takes_no_more_than_its_half_of_the_day(
    configure: Configure, shop: Shop, clock: Clock
) -> None:
    async with opened(configure(requests_per_day=12), clock) as services:
        await TOOLS["get_order"].call(services, {"order_id": "ord_shirt"}, Script())
        for number in range(10):
            told_of(configure, f"ord_{number}", clock() + timedelta(seconds=1))
        clock.at += timedelta(seconds=2)
        await rounds(services, 1)

        assert len(paths(shop)) == 6
        await TOOLS["get_order"].call(services, {"order_id": "ord_shirt"}, Script())
