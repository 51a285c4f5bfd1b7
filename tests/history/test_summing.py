"""Sums over what is kept: the same as those over the orders themselves, whatever was learned in which order."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.history.conftest import NOON, Fresh, order, seen

from clawver_orders.history.knowledge import Sighting
from clawver_orders.history.mirror import HISTORY_FILE, Mirror, Sought
from clawver_orders.history.summing import By
from clawver_orders.orders.figures import Batch, figures, products_of

YEAR = timedelta(days=400)
ITEM = {"id": "item_1", "productId": "prod_1", "productName": "Star map tee", "quantity": 1}
bodies = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["pending", "shipped", "delivered"]),
        "paymentStatus": st.sampled_from(["pending", "paid", "partially_refunded", "refunded", ""]),
        "totalInCents": st.integers(0, 10**12),
        "createdAt": st.sampled_from(
            [None, "2026-11-19T23:59:59.999Z", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"]
        ),
        "customerEmail": st.sampled_from([None, "ada@example.com", "BO@example.com"]),
        "currency": st.sampled_from([None, "USD", "EUR", "???"]),
        "items": st.lists(
            st.sampled_from(
                [
                    ITEM | {"totalInCents": 500},
                    ITEM | {"productName": "Renamed tee", "totalInCents": 700, "quantity": 2},
                    {"productName": "Fonts", "totalInCents": None, "quantity": 1.5},
                ]
            ),
            max_size=3,
        ),
        "refunds": st.lists(
            st.builds(
                lambda n, status: {"id": f"ref_{n}", "amountInCents": n, "status": status},
                st.integers(0, 900),
                st.sampled_from(["", "succeeded", "failed", "odd"]),
            ),
            max_size=2,
        ),
    }
)
sightings = st.lists(
    st.tuples(
        st.integers(0, 4), st.one_of(st.none(), bodies), st.sampled_from(["list", "read"]), st.integers(0, 9)
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("by", [None, "day", "product", "customer"])
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(known=sightings, is_span=st.booleans(), without=st.sets(st.integers(0, 4), max_size=2))
def test_sums_are_those_of_the_orders_that_are_kept(
    fresh: Fresh, by: By | None, known: list[Any], is_span: bool, without: set[int]
) -> None:
    mirror = fresh()
    for number, body, source, minute in known:
        thin = source == "list" and minute % 2
        sent = (
            None
            if body is None
            else {
                **(
                    body
                    if not thin
                    else {"totalInCents": 5, "status": "shipped", "createdAt": body["createdAt"]}
                ),
                "id": f"ord_{number}",
            }
        )
        at = (NOON + timedelta(minutes=minute)).timestamp()
        mirror.note(
            [Sighting(f"ord_{number}", sent, source if sent else "read", at)],
            NOON + timedelta(hours=1),
        )
    span = (NOON.replace(day=20, hour=0), NOON.replace(day=21, hour=0)) if is_span else (None, None)
    left_out = {f"ord_{number}" for number in without}

    sums = mirror.summed(
        span[0], span[1], list(left_out), by, lambda moment: moment.date().isoformat()
    )

    found = mirror.find(Sought(created_after=span[0], created_before=span[1]), 100)
    there = [each for each in found if each.order.id not in left_out]
    assert figures(sums.batches) == figures(Batch.of(each.order) for each in there)
    rows: dict[str, list[Batch]] = {}
    for each in reversed(there):
        created = each.order.created_at
        if by == "day":
            names = [(created.date().isoformat() if created else "", Batch.of(each.order))]
        elif by == "customer":
            names = [((each.order.customer_email or "").lower(), Batch.of(each.order))]
        else:
            names = (
                [(product, batch) for product, _, batch in products_of(each.order)] if by else []
            )
        for name, batch in names:
            rows.setdefault(name, []).append(batch)
    assert {name: figures(batches) for name, batches in sums.rows.items()} == {
        name: figures(batches) for name, batches in rows.items()
    }
    assert sums.as_of == min((each.as_of.timestamp() for each in there), default=None)


def test_the_name_of_a_product_is_that_of_its_newest_order(mirror: Mirror) -> None:
    for day, name in ((2, "Second"), (3, "Third"), (1, "First")):
        item = ITEM | {"productName": name}
        mirror.note(
            [seen(order(f"ord_{day}", createdAt=f"2026-11-0{day}T00:00:00Z", items=[item]))], NOON
        )

    assert mirror.summed(None, None, [], "product").names == {"prod_1": "Third"}
    assert mirror.summed(None, None, ["ord_3"], "product").names == {"prod_1": "Second"}


def test_what_is_deleted_is_in_no_sum(mirror: Mirror) -> None:
    mirror.note([seen(order()), seen(order("ord_2", customerEmail="bo@example.com"))], NOON)
    mirror.forget("ada@example.com", NOON)

    assert set(mirror.summed(None, None, [], "customer").rows) == {"bo@example.com"}
    mirror.note([seen(order("ord_3", customerEmail="cy@example.com"))], NOON + timedelta(days=390))
    mirror.note([seen(order("ord_4"))], NOON + timedelta(days=400))
    assert mirror.summed(None, None, [], "product").rows == {}


def test_what_was_kept_before_there_were_sums_is_added_up(
    filed: Mirror,
) -> None:
    filed.note([seen(order()), seen(order("ord_2")), Sighting("gone", None, "read", 1.0)], NOON)
    path = filed.folder / HISTORY_FILE
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "DROP TRIGGER words_of_one_more; DROP TRIGGER words_of_one_less;"
            "DROP TABLE figure; DROP TABLE product_line; DROP TABLE noticed; PRAGMA user_version = 2;"
        )

    sums = Mirror(path, YEAR).summed(None, None, [], "product")

    assert figures(sums.batches).orders == 2
    assert sums.rows["Star map tee"][0].pieces == 2
