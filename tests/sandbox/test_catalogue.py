"""The catalogue: the same every time, and something of everything."""

from datetime import UTC, datetime, timedelta

import pytest

from clawver_sandbox.catalogue import CUSTOMERS, Wire, products, sales, stamp

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


def orders(now: datetime = NOW, seed: int = 1) -> dict[str, Wire]:
    return {sale.order["id"]: sale.order for sale in sales(now, seed)}


def test_the_same_seed_and_moment_give_the_same_store() -> None:
    assert sales(NOW, 7) == sales(NOW, 7)
    assert sales(NOW, 7) != sales(NOW, 8)


def test_there_are_120_orders_of_the_last_sixty_days() -> None:
    store = orders()

    assert len(store) == 120
    oldest = min(order["createdAt"] for order in store.values())
    assert stamp(NOW - timedelta(days=60)) <= oldest < stamp(NOW - timedelta(days=50))


def test_every_status_and_payment_status_that_makes_sense_occurs() -> None:
    seen = {(order["status"], order["paymentStatus"]) for order in orders().values()}

    assert seen >= {
        ("pending", "pending"),
        ("pending", "failed"),
        ("confirmed", "paid"),
        ("processing", "paid"),
        ("shipped", "paid"),
        ("delivered", "paid"),
        ("delivered", "partially_refunded"),
        ("delivered", "refunded"),
        ("cancelled", "paid"),
        ("cancelled", "refunded"),
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_sums_of_every_order_are_right(seed: int) -> None:
    for order in orders(seed=seed).values():
        total = sum(item["totalInCents"] for item in order["items"])
        given_back = sum(refund["amountInCents"] for refund in order["refunds"])
        by_refunds = {0: {"paid", "pending", "failed"}, total: {"refunded"}}

        assert order["subtotalInCents"] == order["totalInCents"] == total
        assert order["platformFeeInCents"] == total * 2 // 100
        assert order["paymentStatus"] in by_refunds.get(given_back, {"partially_refunded"})
        assert all(i["totalInCents"] == i["priceInCents"] * i["quantity"] for i in order["items"])


def test_only_what_is_printed_has_a_size_an_address_and_a_parcel() -> None:
    for order in orders().values():
        printed = [i for i in order["items"] if i["productType"] == "print_on_demand"]
        travelling = bool(printed) and order["status"] in {"shipped", "delivered"}

        assert [i for i in order["items"] if "variantId" in i] == printed
        assert (order["shippingAddress"] is not None) == bool(printed)
        assert (order["trackingNumber"] is not None) == travelling


def test_every_size_ordered_is_a_variant_of_its_product() -> None:
    goods = products()

    for order in orders().values():
        for item in order["items"]:
            if "variantId" in item:
                variants = goods[item["productId"]]["printOnDemand"]["variants"]
                assert (item["variantId"], item["variantName"], item["priceInCents"]) in {
                    (variant["id"], variant["name"], variant["priceInCents"])
                    for variant in variants
                }


@pytest.mark.parametrize(
    ("order_id", "status", "payment_status", "total", "given_back"),
    [
        ("ord_digital", "delivered", "paid", 2499, 0),
        ("ord_digital_pair", "delivered", "paid", 2498, 0),
        ("ord_shirt", "shipped", "paid", 3200, 0),
        ("ord_mixed", "processing", "paid", 4199, 0),
        ("ord_partly_refunded", "delivered", "partially_refunded", 2499, 1000),
        ("ord_refunded", "delivered", "refunded", 1499, 1499),
        ("ord_unpaid", "pending", "pending", 2499, 0),
        ("ord_failed", "pending", "failed", 999, 0),
        ("ord_cancelled_paid", "cancelled", "paid", 5400, 0),
        ("ord_cancelled_refunded", "cancelled", "refunded", 1900, 1900),
        ("ord_hostile", "delivered", "partially_refunded", 3200, 500),
        ("ord_waiting", "confirmed", "paid", 3200, 0),
        ("ord_waiting_processing", "processing", "paid", 2900, 0),
        ("ord_waiting_shipped", "shipped", "paid", 10800, 0),
        ("ord_waiting_pending", "pending", "pending", 4999, 0),
    ],
)
def test_the_well_known_orders_are_what_the_documents_say(
    order_id: str, status: str, payment_status: str, total: int, given_back: int
) -> None:
    order = orders()[order_id]

    assert (
        order["status"],
        order["paymentStatus"],
        order["totalInCents"],
        sum(refund["amountInCents"] for refund in order["refunds"]),
    ) == (status, payment_status, total, given_back)


@pytest.mark.parametrize(
    ("order_id", "days"),
    [
        ("ord_waiting", 6),
        ("ord_waiting_processing", 12),
        ("ord_waiting_shipped", 30),
        ("ord_waiting_pending", 3),
    ],
)
def test_some_orders_have_waited_too_long(order_id: str, days: int) -> None:
    assert orders()[order_id]["createdAt"] == stamp(NOW - timedelta(days=days))


@pytest.mark.parametrize("hour", [0, 1, 12])
def test_some_orders_are_from_today_whatever_the_hour(hour: int) -> None:
    now = NOW.replace(hour=hour, minute=1)

    today = [o for o in orders(now).values() if o["createdAt"].startswith("2026-03-14")]

    assert len(today) >= 7
    assert all(order["createdAt"] <= stamp(now) for order in today)


def test_tokens_are_plainly_examples() -> None:
    for sale in sales(NOW, 1):
        assert all("example" in t for t in (sale.status_token, *sale.download_tokens.values()))


def test_one_order_carries_every_kind_of_hostile_text() -> None:
    hostile = orders()["ord_hostile"]
    shown = "".join(hostile["shippingAddress"][name] or "" for name in ("name", "line1", "line2"))
    shown += hostile["items"][0]["productName"] + hostile["refunds"][0]["reason"]

    assert {"\x1b", "\u202e", "\u200b", "\u2066", "\u2028", "\U000e0072"} <= set(shown)


def test_customers_write_their_names_in_many_scripts() -> None:
    names = "".join(customer.name for customer in CUSTOMERS)

    assert all(letter in names for letter in "لנ王佐ाОë🦀")


def test_sizes_run_from_s_to_3xl_and_some_cannot_be_had() -> None:
    variants = products()["prod_tee"]["printOnDemand"]["variants"]

    assert {variant["size"]: variant["inStock"] for variant in variants} == {
        "S": False,
        "M": True,
        "L": True,
        "XL": True,
        "2XL": True,
        "3XL": False,
    }
    assert variants[0]["availabilityStatus"] == "out_of_stock"


@pytest.mark.parametrize(
    ("micros", "written"),
    [(0, "2026-03-14T15:09:26Z"), (535000, "2026-03-14T15:09:26.535Z")],
)
def test_moments_are_written_with_a_z(micros: int, written: str) -> None:
    assert stamp(NOW.replace(microsecond=micros)) == written
