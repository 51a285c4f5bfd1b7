"""What a digest finds, in a store and in what is kept of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.conftest import Configure
from tests.history.conftest import order
from tests.history.test_syncing import reachable, synced

from clawver_orders.caller import Script
from clawver_orders.history.knowledge import Sighting, kept
from clawver_orders.history.mirror import HISTORY_FILE
from clawver_orders.money import USD
from clawver_orders.reports.digest import READ_AGAIN, Digest, WentBack, digest
from clawver_orders.services import Services, opened
from clawver_orders.tools import TOOLS
from clawver_orders.webhooks.changes import WantedChange
from clawver_sandbox.shop import Shop

REFUND = {"id": "ref_old", "amountInCents": 300}


async def refund(services: Services, order_id: str, cents: int) -> dict[str, Any]:
    arguments = {"order_id": order_id, "amount_in_cents": cents, "reason": "Torn"}
    answer: dict[str, Any] = await TOOLS["refund_order"].call(services, arguments, Script())
    return answer


async def of_the_last_hour(services: Services) -> Digest:
    return await digest(services, services.now() - timedelta(hours=1))


async def know(services: Services, sent: dict[str, Any], at: datetime | None = None) -> datetime:
    """Keep an order that Clawver no longer lists, as it was seen an hour ago."""
    seen_at = at or services.now() - timedelta(hours=1)
    sighting = Sighting(sent["id"], kept(sent), "read", seen_at.timestamp())
    (await services.store()).mirror.note([sighting], services.now())
    return seen_at


def days_ago(services: Services, days: int) -> str:
    return (services.now() - timedelta(days=days)).isoformat()


async def test_it_tells_what_came_in_since_then(services: Services, shop: Shop) -> None:
    before = (await of_the_last_hour(services)).came_in
    shop.sell(total_in_cents=1000)
    shop.sell(total_in_cents=500, payment_status="pending")

    found = await of_the_last_hour(services)

    came_in = found.came_in
    assert came_in.orders == before.orders + 2
    assert came_in.paid_orders == before.paid_orders + 1
    assert came_in.sales_in_cents[USD] == before.sales_in_cents.get(USD, 0) + 1000
    assert sum(came_in.by_day.values()) == came_in.orders
    assert (found.why_incomplete, found.is_live) == (None, True)
    store = await services.store()
    await store.recorder.all_kept()
    assert store.mirror.extent().orders == len(shop.orders())


async def test_what_holds_a_customers_money_comes_first_and_then_what_is_older(
    services: Services,
) -> None:
    stuck = (await of_the_last_hour(services)).stuck

    holding = [each.holds_money for each in stuck]
    assert holding == sorted(holding, reverse=True)
    assert set(holding) == {True, False}
    ids = [each.order_id for each in stuck]
    assert ids.index("ord_waiting_shipped") < ids.index("ord_waiting") < ids.index("ord_failed")
    (cancelled,) = (each for each in stuck if each.order_id == "ord_cancelled_paid")
    assert (cancelled.why, cancelled.holds_money, cancelled.as_of) == (
        "Cancelled, but $54.00 is not refunded.",
        True,
        None,
    )


async def test_a_refund_is_told_once_with_who_approved_it_if_it_was_sent_from_here(
    services: Services, shop: Shop
) -> None:
    before = len((await of_the_last_hour(services)).went_back)
    ours, elsewhere = shop.sell(), shop.sell()
    sent = await refund(services, ours["id"], 700)
    shop.refund(elsewhere["id"], 900, "In the dashboard")

    found = (await of_the_last_hour(services)).went_back

    assert len(found) == before + 2
    by_order = {each.order_id: each for each in found}
    assert by_order[ours["id"]] == WentBack(
        ours["id"], 700, USD, by_order[ours["id"]].at, sent["refund_id"], "setting off", "setting", "setting",
    )  # fmt: skip
    assert by_order[elsewhere["id"]] == WentBack(elsewhere["id"], 900, USD, by_order[elsewhere["id"]].at)  # fmt: skip
    assert [each.at for each in found] == sorted((each.at for each in found), reverse=True)


@pytest.mark.slow
async def test_it_tells_what_waits_for_a_person_and_what_is_not_known(
    configure: Configure, shop: Shop
) -> None:
    first, second = shop.sell(), shop.sell()
    async with opened(configure()) as services:
        shop.add_fault("drop_before", method="POST")
        unknown = await refund(services, first["id"], 500)
    async with opened(configure(refund_approval="chat")) as services:
        waiting = await refund(services, second["id"], 600)
        wanted = WantedChange("register", "https://hooks.example/", ("order.paid",))
        change = (await services.store()).changes.want(wanted, "chat", "test 1.0", is_person=False)

        found = await of_the_last_hour(services)

    assert [(each.refund_id, each.amount_in_cents) for each in found.waiting] == [
        (waiting["refund_id"], 600)
    ]
    assert [each.refund_id for each in found.unknown] == [unknown["refund_id"]]
    assert [(each.change_id, each.command) for each in found.waiting_changes] == [
        (
            change.change_id,
            "clawver-orders webhook register https://hooks.example/ --events order.paid",
        )
    ]


async def test_orders_that_clawver_no_longer_lists_are_told_as_of_when_they_were_seen(
    services: Services, shop: Shop
) -> None:
    shop.add_past(600)
    await synced(services)
    placed = days_ago(services, 200)
    late = order("ord_late", status="shipped", createdAt=placed)
    back = REFUND | {"createdAt": (services.now() - timedelta(minutes=5)).isoformat()}
    refunded = order(
        "ord_back", paymentStatus="partially_refunded", createdAt=placed,
        refunds=[back, REFUND, REFUND | {"id": "ref_before", "createdAt": placed}],
    )  # fmt: skip
    seen_at = await know(services, late)
    shop.add_fault("garbage", path="/ord_late$", times=-1)
    await know(services, refunded)
    await know(services, order("ord_fine", createdAt=placed))

    found = await of_the_last_hour(services)

    old = {each.order_id: each for each in found.stuck}
    assert old["ord_late"].why == "200 days old and still shipped."
    assert old["ord_late"].as_of == seen_at
    assert [each.amount_in_cents for each in found.went_back if each.order_id == "ord_back"] == [
        300
    ]
    assert "ord_fine" not in old
    assert old["ord_waiting_shipped"].as_of is None
    assert "Orders kept here since" in str(found.why_incomplete)


@pytest.mark.slow
async def test_what_seems_stuck_and_is_not_listed_is_read_again_a_few_at_a_time(
    services: Services, shop: Shop
) -> None:
    shop.add_past(600)
    await synced(services)
    hidden = [each for each in shop.orders() if each["id"] not in reachable(shop)]
    paid = [each for each in hidden if each["paymentStatus"] == "paid"]
    moved_on = [each for each in paid if each["status"] == "delivered"][: READ_AGAIN + 2]
    gone = order("ord_gone", status="shipped", createdAt=days_ago(services, 90))
    for n, each in enumerate([gone, *moved_on]):
        at = services.now() - timedelta(days=30 - n)  # the first ones were not read for longest
        await know(services, each | {"status": "processing"}, at)
    shop.forget_requests()

    first = {each.order_id for each in (await of_the_last_hour(services)).stuck}
    second = {each.order_id for each in (await of_the_last_hour(services)).stuck}

    left = {each["id"] for each in moved_on[READ_AGAIN - 1 :]}
    assert {"ord_gone", *(each["id"] for each in moved_on)} & first == left
    assert not left & second
    reads = [each["path"] for each in shop.requests() if each["path"].startswith("/v1/orders/")]
    assert len(reads) == 1 + len(moved_on)


@pytest.mark.slow
async def test_a_row_without_details_takes_them_from_what_is_kept(
    configure: Configure, shop: Shop
) -> None:
    async with opened(configure()) as services:
        whole = await of_the_last_hour(services)
        await synced(services)
        shop.add_fault("page_thin", path="/orders$", times=-1)

        found = await of_the_last_hour(services)

    ids = {each.order_id for each in found.stuck}
    assert ids == {each.order_id for each in whole.stuck}
    assert found.went_back == whole.went_back


@pytest.mark.slow
async def test_what_is_kept_may_show_that_a_row_is_not_stuck(
    services: Services, shop: Shop
) -> None:
    shop.refund("ord_waiting_shipped", 10800, "Lost on the way")
    await synced(services)
    shop.add_fault("page_thin", path="/orders$", times=-1)

    stuck = {each.order_id for each in (await digest(services, services.now())).stuck}

    assert "ord_waiting" in stuck
    assert "ord_waiting_shipped" not in stuck


@pytest.mark.slow
async def test_an_order_that_moved_on_is_stuck_no_longer(services: Services, shop: Shop) -> None:
    await synced(services)
    shop.add_fault("page_thin", path="/orders$", times=-1)
    before = {each.order_id for each in (await of_the_last_hour(services)).stuck}
    shop.advance("ord_waiting_shipped")

    after = {each.order_id for each in (await of_the_last_hour(services)).stuck}

    assert before - after == {"ord_waiting_shipped"}


async def test_where_clawver_cannot_be_asked_it_says_so_and_tells_what_is_kept(
    configure: Configure, shop: Shop
) -> None:
    async with opened(configure()) as services:
        await synced(services)
        live = await of_the_last_hour(services)
    async with opened(configure(requests_per_minute=6)) as services:
        found = await of_the_last_hour(services)

    assert not found.is_live
    assert str(found.why_incomplete).startswith("Clawver could not be asked. ")
    assert [each.order_id for each in found.stuck] == [each.order_id for each in live.stuck]
    assert all(each.as_of for each in found.stuck)


async def test_where_clawver_takes_no_lists_it_is_not_asked_for_orders_either(
    services: Services, shop: Shop
) -> None:
    await synced(services)
    shop.add_fault("status_before", path="/orders$", status=429, times=-1)
    shop.forget_requests()

    found = await of_the_last_hour(services)

    assert not found.is_live
    assert any(each.holds_money for each in found.stuck)
    assert {each["path"] for each in shop.requests()} == {"/v1/orders"}


async def test_without_a_history_it_tells_what_clawver_lists(
    configure: Configure, shop: Shop
) -> None:
    shop.add_past(600)
    async with opened(configure(history=False)) as services:
        found = await of_the_last_hour(services)

    assert found.stuck
    assert "may be missing" in str(found.why_incomplete)
    assert "kept here" not in str(found.why_incomplete)


async def test_a_history_that_cannot_be_read_is_named(services: Services, shop: Shop) -> None:
    shop.add_past(600)
    folder = (await services.store()).scope.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HISTORY_FILE).write_bytes(b"damaged")
    (folder / HISTORY_FILE).chmod(0o600)

    found = await of_the_last_hour(services)

    assert found.stuck
    assert "The history of older orders cannot be read now" in str(found.why_incomplete)


async def test_a_small_store_is_told_whole(services: Services, shop: Shop) -> None:
    with shop._transaction() as db:
        db.execute("DELETE FROM sale WHERE id NOT IN ('ord_waiting', 'ord_shirt')")

    found = await of_the_last_hour(services)

    assert [each.order_id for each in found.stuck] == ["ord_waiting"]
    assert found.why_incomplete is None


@pytest.mark.slow
async def test_what_is_paid_in_a_currency_that_cannot_be_told_is_in_no_sum(
    services: Services, shop: Shop
) -> None:
    shop.add_past(600)
    await know(services, order("ord_odd", createdAt=services.now().isoformat(), currency="?"), services.now())  # fmt: skip

    found = (await of_the_last_hour(services)).came_in

    assert "XXX" not in found.sales_in_cents
    assert found.orders > 0


@pytest.mark.slow
@pytest.mark.parametrize("pii", ["full", "masked"])
async def test_it_names_no_customer_and_nothing_that_one_wrote(
    configure: Configure, shop: Shop, pii: str
) -> None:
    shop.add_past(600)
    async with opened(configure(pii=pii)) as services:
        await synced(services)
        found = str(await digest(services, services.now() - timedelta(days=300)))

    told = [each for sale in shop.orders() for each in _texts_of(sale)]
    assert not [each for each in told if each in found]


def _texts_of(sale: dict[str, Any]) -> list[str]:
    where = sale["shippingAddress"] or {}
    return [sale["customerEmail"], *(each["productName"] for each in sale["items"]), *filter(None, [where.get("name")])]  # fmt: skip
