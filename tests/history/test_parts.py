"""All that is kept, in parts."""

from datetime import timedelta
from itertools import islice

from tests.history.conftest import NOON, order, seen

from clawver_orders.history.mirror import Mirror, Sought
from clawver_orders.history.parts import customers, orders

LATER = NOON + timedelta(hours=1)


def keep(mirror: Mirror, emails: list[str | None]) -> None:
    mirror.note(
        [
            seen(order(f"ord_{n}", customerEmail=email, createdAt=f"2026-11-20T09:{n:02}:00Z"))
            for n, email in enumerate(emails)
        ],
        LATER,
    )


def test_parts_join_up_to_the_whole_newest_first(mirror: Mirror) -> None:
    keep(mirror, ["ada@example.com"] * 7)

    for part in (1, 2, 7, 100):
        found = [each.order.id for each in orders(mirror, Sought(), part)]

        assert found == [f"ord_{n}" for n in reversed(range(7))]


def test_the_orders_of_a_customer_come_together_whatever_the_parts(mirror: Mirror) -> None:
    keep(mirror, ["b@x.example", "a@x.example", None, "B@X.example", "a@x.example", "c@x.example"])

    for part in (1, 2, 3, 100):
        found = [[each.order.id for each in theirs] for theirs in customers(mirror, Sought(), part)]

        assert found == [["ord_1", "ord_4"], ["ord_0", "ord_3"], ["ord_5"]]


def test_a_span_holds_for_customers_too(mirror: Mirror) -> None:
    keep(mirror, ["a@x.example", "b@x.example", "a@x.example"])
    first = NOON.replace(day=20, hour=9, minute=0)

    for span, ids in (
        (Sought(created_after=first + timedelta(minutes=1)), [["ord_2"], ["ord_1"]]),
        (Sought(created_before=first + timedelta(minutes=2)), [["ord_0"], ["ord_1"]]),
    ):
        found = [[each.order.id for each in theirs] for theirs in customers(mirror, span)]
        assert found == ids


def test_nothing_is_held_between_two_parts(mirror: Mirror) -> None:
    keep(mirror, ["a@x.example"] * 3)
    rest = orders(mirror, Sought(), 1)
    assert next(rest).order.id == "ord_2"

    mirror.note(
        [seen(order("ord_0", status="shipped", createdAt="2026-11-20T09:00:00Z"), LATER)], LATER
    )

    assert [(each.order.id, each.order.status) for each in rest] == [
        ("ord_1", "delivered"),
        ("ord_0", "shipped"),
    ]


def test_a_part_is_read_when_it_is_needed(mirror: Mirror) -> None:
    keep(mirror, ["a@x.example"] * 5)

    found = list(islice(orders(mirror, Sought(), 2), 2))
    mirror.forget("a@x.example", LATER)

    assert len(found) == 2
    assert list(orders(mirror, Sought())) == []
