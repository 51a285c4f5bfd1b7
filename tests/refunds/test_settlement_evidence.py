"""Which refund on an order is the one that was sent, and when it is worth looking again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.refunds.book import ACTOR, START, Book
from tests.refunds.by_hand import attempt, order, records_of, refund, wish

from clawver_orders.clawver.client import Clawver
from clawver_orders.instants import Instant
from clawver_orders.refunds.order_locks import OrderLocks
from clawver_orders.refunds.reading import BOUNDS, OrderReader
from clawver_orders.refunds.records import Attempt, Sent
from clawver_orders.refunds.settlement import (
    Settlement,
    _Evidence,
    _first_claim,
    _is_late_beside_another,
    _ours,
)
from clawver_orders.settings import Settings

SENT = attempt(refunds_before=frozenset({"ref_0"}))
OTHER = attempt(revision=2, status="refunded", clawver_refund_id="ref_9")


@pytest.mark.parametrize(
    ("refunds", "told_at_once", "ours", "beside"),
    [
        ([refund("ref_0"), refund("ref_1"), refund("ref_9")], (), "ref_1", ()),
        ([refund("ref_1"), refund("ref_2"), refund("ref_3", 400)], (), "ref_1", ("ref_2",)),
        ([refund("ref_1", reason="else")], (), None, ()),
        ([refund("ref_1", reason="else")], ("ref_1",), "ref_1", ()),
        ([refund("ref_1", reason="else"), refund("ref_2")], ("ref_1",), "ref_2", ()),
        ([refund("ref_1", reason="else"), refund("ref_2", reason="else")], ("ref_2",), "ref_2", ()),
        ([refund(ref, reason="else") for ref in ("ref_1", "ref_2")], ("ref_1", "ref_2"), None, ()),
        ([refund("ref_1", 400)], ("ref_1",), None, ()),
        ([refund("ref_0"), refund("ref_9")], ("ref_0", "ref_9"), None, ()),
    ],
)  # fmt: skip
def test_ours_is_new_of_the_amount_and_nobody_elses_and_agrees_or_was_told_at_once(
    refunds: list[Any], told_at_once: Sequence[str], ours: str | None, beside: tuple[str, ...]
) -> None:
    records = records_of(replace(wish("rfi_1"), attempts=(SENT, OTHER)))

    found, others = _ours(SENT, records, refunds, frozenset(told_at_once))

    assert (None if found is None else found.id, others) == (ours, beside)


def test_what_an_attempt_claimed_itself_is_still_its_own() -> None:
    kept = attempt(clawver_refund_id="ref_1", status="refunded")
    records = records_of(replace(wish("rfi_1"), attempts=(kept,)))

    assert _ours(kept, records, [refund("ref_1")], frozenset())[0] == refund("ref_1")


def test_an_open_attempt_has_the_first_claim_and_a_refused_one_the_last() -> None:
    order_of: list[Sent] = ["sending", "unknown", "not_recorded", "refunded", "refused"]

    assert sorted(map(_attempt_in, reversed(order_of)), key=_first_claim) == list(
        map(_attempt_in, order_of)
    )


def _attempt_in(status: Sent) -> Attempt:
    return attempt(status=status)


@pytest.mark.parametrize(
    ("own", "other", "late"),
    [
        ("refused", "refunded", True),
        ("not_recorded", "refunded", True),
        ("unknown", "refunded", False),
        ("refused", "unknown", False),
        ("refused", None, False),
    ],
)
def test_what_was_told_as_refused_or_not_recorded_is_late_beside_one_that_was_refunded(
    own: Sent, other: Sent | None, *, late: bool
) -> None:
    mine = attempt(status=own)
    others = () if other is None else (attempt(status=other, refund_id="rfi_2"),)
    records = records_of(replace(wish("rfi_1"), attempts=(mine, *others)))

    assert _is_late_beside_another(mine, records) is late


def test_all_reads_count_together_and_only_those_in_a_row_say_that_nothing_changed() -> None:
    before = order()
    changed = order(
        paymentStatus="partially_refunded", refunds=[{"id": "ref_1", "amountInCents": 5}]
    )
    seen = _Evidence()

    counted = []
    for read in (before, before, changed, before):
        seen = seen.with_read(read, before)
        counted.append(seen.unchanged_reads)

    assert counted == [1, 2, 0, 1]
    assert seen.refunds == changed.refunds
    assert seen.order is not None
    assert seen.order.refunds == changed.refunds


# When it is worth looking again


@pytest.fixture
def settlement(book: Book) -> Settlement:
    settings = Settings(api_key="claw_sk_live_example_of_tests", refund_verify_seconds=3660.0)
    clawver: Clawver = None  # type: ignore[assignment]  # nothing is asked of the store
    reader = OrderReader(clawver, book.ledger, BOUNDS)
    locks = OrderLocks(book.path.parent / "locks")
    return Settlement(clawver, book.ledger, locks, reader, settings, BOUNDS)


def since(book: Book, **time: float) -> Instant:
    then = book.now()
    book.now.passes(**time)
    return then


@pytest.mark.parametrize(
    ("checks", "pause"), [(1, 60), (2, 120), (3, 240), (11, 61_440), (12, 86_400), (10**6, 86_400)]
)
def test_a_start_looks_an_attempt_up_less_and_less_often(
    settlement: Settlement, book: Book, checks: int, pause: int
) -> None:
    last = since(book, seconds=pause - 0.5)

    assert not settlement.is_due(attempt(checks=checks, last_check=last))
    book.now.passes(seconds=0.5)
    assert settlement.is_due(attempt(checks=checks, last_check=last))
    assert settlement.is_due(attempt())


@pytest.mark.parametrize(
    ("passed", "after"),
    [
        (0, 15),
        (14.4, 15),
        (100, 100),
        (1830, 1830),
        (3000, 660),
        (3659.2, 1),
        (3660, 61),
        (9000, 61),
    ],
)
def test_it_is_worth_asking_again_as_soon_as_it_may_have_shown(
    settlement: Settlement, book: Book, passed: float, after: int
) -> None:
    sent = since(book, seconds=passed)
    done, opened = attempt(status="refused", sent=book.now()), attempt(sent=sent)

    assert settlement.check_after_seconds(replace(wish("rfi_1"), attempts=(done, opened))) == after
    assert settlement.check_after_seconds(replace(wish("rfi_1"), attempts=(done,))) == 15


@pytest.mark.parametrize(
    ("passed", "status", "over"),
    [(3660, "unknown", True), (3659.9, "unknown", False), (9000, "refused", False)],
)
def test_a_refund_that_is_open_is_overdue_once_all_the_time_it_may_take_has_passed(
    settlement: Settlement, book: Book, passed: float, status: Sent, *, over: bool
) -> None:
    tried = replace(
        wish("rfi_1"), attempts=(attempt(status=status, sent=since(book, seconds=passed)),)
    )

    assert settlement.is_overdue(tried, records_of(tried)) is over


@pytest.mark.parametrize(
    ("sent", "read", "counts"),
    [
        (3660, None, True), (3659.9, None, False), (9000, 61, True), (9000, 60.9, False), (3659.9, 61, False),
    ],
)  # fmt: skip
def test_a_read_counts_after_the_window_and_some_time_after_the_one_before(
    settlement: Settlement, book: Book, sent: float, read: float | None, *, counts: bool
) -> None:
    began = since(book, seconds=sent - (read or 0))
    last = None if read is None else since(book, seconds=read)
    tried = attempt(sent=began, last_read=last)

    assert settlement._may_count(tried, records_of()) is counts


async def test_an_order_is_matched_with_what_the_ledger_holds_and_told_what_nobody_meant(
    settlement: Settlement, book: Book
) -> None:
    """Each read of an order finds what landed, in the order of the claims, and notes the rest once."""
    tried = await book.at("unknown")
    listing = [
        {"id": ref, "amountInCents": 500, "reason": "Torn", "createdAt": START.isoformat()}
        for ref in ("ref_a", "ref_1", "ref_2")
    ]
    paid = order(paymentStatus="partially_refunded", refunds=listing)

    records = await settlement.match_order(paid)
    trail = await book.trail(tried)
    again = await settlement.match_order(paid)

    (found,) = records.wishes
    assert (found.status, found.clawver_refund_id, found.unexpected_refunds) == (
        "refunded",
        "ref_1",
        ("ref_2",),
    )
    assert again == records
    assert await book.trail(tried) == trail


async def test_a_refund_that_was_resolved_takes_a_later_one_that_is_its_own(
    settlement: Settlement, book: Book
) -> None:
    tried = await book.at("unknown")
    await book.ledger.resolve(tried.attempts[0], "refunded", None, "seen in Stripe", ACTOR)

    records = await settlement.match_order(order(paymentStatus="partially_refunded", refunds=[
        {"id": "ref_1", "amountInCents": 500, "reason": "Torn", "createdAt": START.isoformat()}]))  # fmt: skip

    assert records.wishes[0].clawver_refund_id == "ref_1"


@pytest.mark.parametrize(("tells", "ends"), [(True, "not_recorded"), (False, "unknown")])
async def test_two_reads_of_an_order_that_tells_that_it_has_none_end_what_is_open(
    settlement: Settlement, book: Book, ends: str, *, tells: bool
) -> None:
    await book.at("unknown")
    read = order() if tells else order(paymentStatus="partially_refunded")

    statuses = []
    for passed in (3659, 1, 60, 1):
        book.now.passes(seconds=passed)
        statuses.append((await settlement.match_order(read)).wishes[0].status)

    assert statuses == ["unknown", "unknown", "unknown", ends]
