"""The shop: what it keeps, over restarts and between processes."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from clawver_sandbox.shop import Shop, ShopError

from .conftest import Clock

OPEN_AND_REFUND = """
import pathlib, sys
from clawver_sandbox.shop import Shop
shop = Shop.open(pathlib.Path(sys.argv[1]))
print(len(shop.orders()))
for _ in range(10):
    shop.refund("ord_digital", 10, "one of many")
"""


def test_the_shop_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "shop.sqlite3"

    Shop.open(path)

    assert path.stat().st_mode & 0o777 == 0o600


def test_two_processes_open_one_shop_and_lose_no_refund(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite3"
    command = [sys.executable, "-c", OPEN_AND_REFUND, str(path)]

    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]

    assert said == ["120\n", "120\n"]
    assert Shop.open(path).refunds() == [("ord_digital", 10)] * 20
    assert len(Shop.open(path).order("ord_digital")["refunds"]) == 20


def test_a_restart_changes_nothing(shop: Shop, tmp_path: Path, clock: Clock) -> None:
    shop.refund("ord_digital", 100, "a reason")
    shop.public_url = "http://127.0.0.1:1234"
    before = shop.orders()
    shop.close()

    again = Shop.open(tmp_path / "shop.sqlite3", now=clock, seed=99)

    assert again.orders() == before
    assert again.refunds() == [("ord_digital", 100)]
    assert again.public_url == "http://127.0.0.1:1234"


def test_a_reset_brings_back_the_opening_catalogue(shop: Shop) -> None:
    opening = shop.orders()
    shop.refund("ord_digital", 100, "a reason")
    shop.sell()
    shop.add_fault("garbage")

    shop.reset()

    assert (shop.orders(), shop.refunds(), shop.faults()) == (opening, [], [])


def test_a_shop_is_told_from_every_other_and_stays_itself(shop: Shop, tmp_path: Path) -> None:
    own = shop.id

    shop.reset()

    assert Shop.open(tmp_path / "shop.sqlite3").id == shop.id == own
    assert Shop.open(tmp_path / "other.sqlite3").id != own


@pytest.mark.parametrize("change", ["application_id = 0", "user_version = 3", "user_version = 5"])
def test_a_file_of_another_program_or_version_is_left_as_it_is(tmp_path: Path, change: str) -> None:
    path = tmp_path / "shop.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE request (body TEXT)")
        db.execute("INSERT INTO request VALUES ('mine')")
        db.execute("PRAGMA application_id = 1668051810")
        db.execute("PRAGMA user_version = 4")
        db.execute(f"PRAGMA {change}")
        db.commit()
    before = path.read_bytes()

    with pytest.raises(sqlite3.DatabaseError, match="no sandbox store of this version"):
        Shop.open(path)

    assert path.read_bytes() == before


def test_after_a_reset_the_dates_count_from_now(shop: Shop, clock: Clock) -> None:
    clock.pass_by(days=100)

    shop.reset()

    assert shop.order("ord_digital")["createdAt"].startswith("2026-06-22")


def test_a_sale_is_the_newest_order(shop: Shop, clock: Clock) -> None:
    clock.pass_by(seconds=1)

    sold = shop.sell(total_in_cents=700)

    assert shop.orders()[0] == shop.order(sold["id"]) == sold
    assert (sold["totalInCents"], sold["status"], sold["paymentStatus"]) == (
        700,
        "confirmed",
        "paid",
    )
    assert sold["shippingAddress"] is None


def test_a_sale_can_be_named_and_printed(shop: Shop) -> None:
    sold = shop.sell(order_id="my_order", digital=False, total_in_cents=3000)

    assert sold["id"] == "my_order"
    assert sold["items"][0]["variantId"] == "var_tee_m"
    assert sold["shippingAddress"]["country"] == "US"
    assert shop.checkout_of("my_order") == "chk_my_order"


@pytest.mark.parametrize(
    ("payment_status", "given_back"), [("refunded", [500]), ("partially_refunded", [250])]
)
def test_a_sale_that_was_refunded_lists_it_but_nobody_asked_for_it(
    shop: Shop, payment_status: str, given_back: list[int]
) -> None:
    sold = shop.sell(total_in_cents=500, payment_status=payment_status)

    assert [refund["amountInCents"] for refund in sold["refunds"]] == given_back
    assert shop.refunds() == []


def test_two_orders_cannot_share_an_id(shop: Shop) -> None:
    with pytest.raises(ShopError, match="already"):
        shop.sell(order_id="ord_digital")


def test_tokens_are_known_to_the_shop(shop: Shop) -> None:
    assert shop.checkout_of("ord_mixed") == "chk_mixed"
    assert shop.status_token_of("ord_mixed") == "ost_example_mixed"
    assert shop.download_tokens_of("ord_mixed") == {"item_mixed_1": "dlt_example_mixed_1"}


@pytest.mark.parametrize(
    ("digital", "status", "way"),
    [
        (True, "confirmed", ["delivered"]),
        (False, "confirmed", ["processing", "shipped", "delivered"]),
        (True, "pending", ["confirmed", "delivered"]),
    ],
)
def test_an_order_goes_its_way_and_stops(
    shop: Shop, digital: bool, status: str, way: list[str]
) -> None:
    order_id = shop.sell(digital=digital, status=status)["id"]

    assert [shop.advance(order_id)["status"] for _ in way] == way
    with pytest.raises(ShopError, match="end of its way"):
        shop.advance(order_id)
    assert (shop.order(order_id)["trackingNumber"] is None) == digital


def test_advancing_an_unpaid_order_pays_it(shop: Shop) -> None:
    order = shop.advance("ord_unpaid")

    assert (order["status"], order["paymentStatus"]) == ("confirmed", "paid")
    assert order["paidAt"] == "2026-03-14T15:09:26.535Z"


@pytest.mark.parametrize(
    ("name", "how"), [("explode", {}), ("garbage", {"path": "("}), ("garbage", {"status": 99})]
)
def test_a_fault_nobody_knows_is_refused(shop: Shop, name: str, how: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"fault|path|status"):
        shop.add_fault(name, **how)  # type: ignore[arg-type]  # wrong on purpose


def test_a_fault_is_used_as_often_as_arranged(shop: Shop) -> None:
    shop.add_fault("garbage", times=2, method="post", path="/refund$")
    shop.add_fault("late", times=-1)

    path = "/v1/orders/ord_digital/refund"
    taken = [shop.take_fault("POST", path) for _ in range(4)]

    assert [fault and fault.name for fault in taken] == ["garbage", "garbage", "late", "late"]
    shop.clear_faults()
    assert shop.take_fault("POST", path) is None


def test_a_fault_waits_for_the_request_it_is_meant_for(shop: Shop) -> None:
    shop.add_fault("garbage", method="POST", path="/refund")

    assert shop.take_fault("GET", "/v1/orders/ord_digital/refund") is None
    assert shop.take_fault("POST", "/v1/webhooks") is None
    assert len(shop.faults()) == 1
