"""What is known of an order follows from all that was learned, and not from when it was."""

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.history.conftest import NOON

from clawver_orders.clawver.models import Order
from clawver_orders.history.knowledge import (
    Knowledge,
    Sighting,
    answered,
    kept,
    learned,
    marked,
    noticed,
)
from clawver_sandbox.catalogue import sales

LATER = 10_000.0
KINDS = ("whole", "row", "gone", "event")
WHOLE = {"items": [], "refunds": [], "paymentStatus": "paid", "customerEmail": "a@example.com"}


def whole(at: float, status: str = "shipped") -> Sighting:
    return Sighting("ord_1", {"id": "ord_1", "status": status, **WHOLE}, "read", at)


def row(at: float, status: str = "delivered") -> Sighting:
    return Sighting("ord_1", {"id": "ord_1", "status": status, "totalInCents": 1}, "list", at)


def gone(at: float) -> Sighting:
    return Sighting("ord_1", None, "read", at)


def _of(kind: str, at: float) -> Sighting | float:
    """What was learned, with a status that says when."""
    if kind == "event":
        return at
    return {"whole": whole(at, f"at {at}"), "row": row(at, f"at {at}"), "gone": gone(at)}[kind]


def all_of(*what: Sighting | float, now: float = LATER) -> Knowledge:
    known = Knowledge("ord_1")
    for each in what:
        known = marked(known, each) if isinstance(each, float) else learned(known, each, now)
    return known


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=7).flatmap(
        lambda kinds: st.tuples(st.just(kinds), st.permutations(range(len(kinds))))
    )
)
def test_whatever_the_order_of_arrival_the_newest_is_known(
    what: tuple[list[str], list[int]],
) -> None:
    kinds, order = what
    arrived = [_of(kind, float(at)) for at, kind in enumerate(kinds)]

    known = all_of(*(arrived[place] for place in order))

    # The model: the last of each kind, by the time at which it was true.
    last = {
        kind: max((at for at, each in enumerate(kinds) if each == kind), default=-1)
        for kind in KINDS
    }
    read = max(last["whole"], last["gone"])
    expected: dict[str, Any] = {}
    if last["whole"] > last["gone"]:
        expected = {"id": "ord_1", "status": f"at {last['whole']}.0", **WHOLE}
    if last["row"] > read:
        expected |= {"id": "ord_1", "status": f"at {last['row']}.0", "totalInCents": 1}
    assert known.body == (expected or None)
    assert known.marked_at == (float(last["event"]) if last["event"] > read else None)


def test_a_row_takes_nothing_away_from_what_was_read() -> None:
    known = all_of(whole(1.0), row(2.0))

    assert known.body == {"id": "ord_1", "status": "delivered", "totalInCents": 1, **WHOLE}
    assert (known.as_of, known.is_thin, known.is_due) == (1.0, False, True)


def test_a_row_that_says_the_same_asks_for_nothing() -> None:
    same = Sighting("ord_1", {"id": "ord_1", "status": "shipped"}, "list", 2.0)

    assert not all_of(whole(1.0), same).is_due


@pytest.mark.parametrize("order", list(permutations([whole(3.0), row(2.0), row(4.0), 3.5])))
def test_what_is_thin_or_marked_is_to_be_read(order: tuple[Any, ...]) -> None:
    assert all_of(row(1.0)).is_thin
    assert all_of(row(1.0)).is_due
    assert all_of(3.0).is_due
    assert all_of(*order).is_due
    assert not all_of(*order, whole(5.0, "delivered")).is_due


def test_of_two_that_are_equally_old_the_one_that_came_later_counts() -> None:
    known = all_of(whole(1.0, "shipped"), whole(1.0, "delivered"))

    assert known.body == {"id": "ord_1", "status": "delivered", **WHOLE}


def test_an_order_that_is_no_longer_there_is_not_known_until_it_is_seen_again() -> None:
    assert all_of(whole(1.0), gone(2.0)).body is None
    assert all_of(gone(2.0), row(1.0)).body is None
    assert not all_of(gone(2.0)).is_due
    assert all_of(gone(2.0), row(3.0)).body is not None


def test_what_a_clock_that_was_ahead_noted_gives_way() -> None:
    known = all_of(whole(500.0, "ahead"), whole(10.0, "now"), now=20.0)

    assert (known.body or {})["status"] == "now"
    assert all_of(row(500.0, "ahead"), row(10.0, "now"), now=20.0).row_at == 10.0


def test_a_mark_of_a_clock_that_was_ahead_ends_with_the_read_that_it_caused() -> None:
    ahead = all_of(500.0, whole(10.0), now=20.0)

    assert ahead.is_due
    assert not answered(ahead, 500.0).is_due


def test_a_newer_event_is_not_answered_by_the_read_that_an_older_one_caused() -> None:
    assert answered(all_of(2.0, 5.0, whole(3.0)), 2.0).marked_at == 5.0


def test_nothing_that_opens_an_order_is_kept() -> None:
    secret: dict[str, object] = {
        "orderStatusToken": "ost_example",
        "downloadToken": "dlt_example",
        "downloadUrl": "https://files.example/?signature=x",
        "receiptUrl": "https://clawver.example/receipt",
    }
    sent = {
        **secret,
        "id": {"$oid": secret},
        "items": [{"id": "item_1", **secret}, "odd"],
        "refunds": [{"id": "ref_1", **secret}],
        "shippingAddress": {"name": "Ada", **secret},
    }

    assert kept(sent) == {
        "items": [{"id": "item_1"}, None],
        "refunds": [{"id": "ref_1"}],
        "shippingAddress": {"name": "Ada"},
    }


@pytest.mark.parametrize(
    "odd", [None, 7, "text", {}, [], [None, 1, {"id": "ref_1", "amountInCents": 5}]]
)
@pytest.mark.parametrize("field", ["items", "shippingAddress"])
def test_what_is_kept_of_an_odd_order_is_read_as_the_order_itself(field: str, odd: object) -> None:
    sent = {"id": "ord_1", "totalInCents": 500, "createdAt": "never", field: odd}

    assert Order.model_validate(kept(sent)) == Order.model_validate(sent)


def test_what_is_kept_of_every_order_of_a_store_is_read_as_the_order_itself() -> None:
    for sale in sales(NOON, 1):
        through_json = json.loads(json.dumps(kept(sale.order)))

        assert Order.model_validate(through_json) == Order.model_validate(sale.order)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["confirmed", "shipped", "delivered", ""]), min_size=2, max_size=7).flatmap(
        lambda past: st.tuples(
            st.just(past),
            st.permutations(range(len(past))),
            st.lists(st.booleans(), min_size=len(past), max_size=len(past)),
        )
    )
)  # fmt: skip
def test_what_was_noticed_to_change_did_whatever_the_order_of_arrival(
    story: tuple[list[str], list[int], list[bool]],
) -> None:
    past, order, thin = story
    known, found = Knowledge("ord_1"), []
    for at in order:
        seen = row(float(at), past[at]) if thin[at] else whole(float(at), past[at])
        now = learned(known, seen, LATER)
        found += noticed(known, now)
        known = now

    for change in found:
        assert change.what == "status"
        assert change.after < change.until
        assert past[int(change.until)] == change.became != past[int(change.after)]
    if order == sorted(order):
        times = [at for at in range(1, len(past)) if past[at] not in {past[at - 1], ""}]
        assert [int(change.until) for change in found] == times


def test_a_payment_that_a_row_does_not_tell_was_last_seen_where_it_was_told() -> None:
    first = all_of(whole(1.0), row(2.0))
    paid_back = Sighting(
        "ord_1", {**WHOLE, "status": "shipped", "paymentStatus": "refunded"}, "read", 3.0
    )

    changes = noticed(first, learned(first, paid_back, LATER))

    assert [(each.what, each.became, each.after, each.until) for each in changes] == [
        ("status", "shipped", 2.0, 3.0), ("paymentStatus", "refunded", 1.0, 3.0),
    ]  # fmt: skip


@pytest.mark.parametrize("odd", [None, 7, ["shipped"]])
def test_what_is_no_text_is_no_change(odd: object) -> None:
    before = all_of(whole(1.0))
    after = learned(before, Sighting("ord_1", {**WHOLE, "status": odd}, "read", 2.0), LATER)

    assert noticed(before, after) == []
    assert noticed(after, all_of(gone(3.0))) == []


@pytest.mark.parametrize("unsaid", ["shippingAddress", "trackingNumber"])
def test_a_row_with_all_but_the_address_or_the_parcel_takes_neither_away(unsaid: str) -> None:
    where = {"shippingAddress": {"name": "Ada Example"}, "trackingNumber": "SBX1"}
    read = Sighting("ord_1", {**WHOLE, **where, "status": "shipped"}, "read", 1.0)
    row = {**WHOLE, **where, "status": "delivered"}
    del row[unsaid]

    known = all_of(read, Sighting("ord_1", row, "list", 2.0))

    assert known.body == {**WHOLE, **where, "status": "delivered"}
