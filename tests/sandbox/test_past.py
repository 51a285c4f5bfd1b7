"""The year before the opening catalogue."""

from datetime import timedelta
from pathlib import Path

from clawver_sandbox.catalogue import stamp
from clawver_sandbox.past import customers, past_sales, review_of
from clawver_sandbox.shop import Shop

from .conftest import Clock


def test_a_store_gets_older_orders_and_keeps_those_that_it_has(shop: Shop, clock: Clock) -> None:
    before = shop.orders()
    refunded = shop.refund("ord_digital", 100, "a reason")

    assert shop.add_past(1000) == 1000

    orders = shop.orders()
    assert [each for each in orders[:120] if each["id"] != "ord_digital"] == [
        each for each in before if each["id"] != "ord_digital"
    ]
    assert shop.order("ord_digital") == refunded
    assert all(each["createdAt"] < stamp(clock() - timedelta(days=60)) for each in orders[120:])
    assert all(each["createdAt"] > stamp(clock() - timedelta(days=365)) for each in orders)


def test_the_same_number_of_orders_is_the_same_store_however_it_came_to_it(
    shop: Shop, tmp_path: Path, clock: Clock
) -> None:
    shop.add_past(200)
    shop.add_past(300)
    at_once = Shop.open(tmp_path / "another.sqlite3", now=clock)
    at_once.add_past(300)

    assert at_once.orders() == shop.orders()
    assert at_once.reviews(None, 1000) == shop.reviews(None, 1000)


def test_fewer_orders_than_there_are_change_nothing_and_a_reset_takes_all_of_them_back(
    shop: Shop,
) -> None:
    opening = shop.orders()

    assert shop.add_past(130) == 130
    assert shop.add_past(125) == 130
    shop.reset()
    assert shop.orders() == opening
    assert shop.add_past(130) == 130


def test_most_of_a_year_is_beyond_what_the_list_gives(shop: Shop) -> None:
    shop.add_past(1000)
    statuses = {each["status"] for each in shop.orders()}

    reached = sum(len(shop.newest(status, 100)) for status in statuses)

    assert reached < 400


def test_the_customers_of_a_year_write_in_six_scripts_and_some_have_names_of_two_letters() -> None:
    names = [each.name for each in customers()]

    assert len(set(names)) == len({each.email for each in customers()}) == len(names) == 600
    assert {"Jürgen Müller", "王伟", "佐藤 遥", "김민준", "Олена Коваль", "สมชาย ใจดี"} <= set(names)


def test_who_writes_about_an_order_has_received_it_and_some_are_answered(clock: Clock) -> None:
    orders = {sale.order["id"]: sale.order for sale in past_sales(clock(), 1, range(500))}

    found = [review for order in orders.values() if (review := review_of(order, clock()))]

    assert {orders[review["orderId"]]["status"] for review in found} == {"delivered"}
    assert {"response" in review for review in found} == {True, False}
    assert {"title" in review for review in found} == {True, False}
