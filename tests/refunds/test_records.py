"""How a wish stands by its records, and which of them tells it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from clawver_orders.caller import Verdict
from clawver_orders.instants import Instant
from clawver_orders.refunds.records import (
    MAY_HAVE_MOVED,
    Asked,
    Attempt,
    Decision,
    OrderRecords,
    Sent,
    Status,
    Wish,
    status_of,
)

NOW = Instant(datetime(2026, 11, 24, 12, tzinfo=UTC), 10**6, "this start")


def attempt(status: Sent, revision: int = 1, **fields: Any) -> Attempt:
    return Attempt(
        "rfi_1", revision, "ord_1", 500, "Torn", frozenset(), NOW, None, status, **fields
    )


def decision(verdict: Verdict, revision: int = 1) -> Decision:
    return Decision("rfi_1", revision, verdict, "chat", "form", "a person", "host 1", NOW, revision)


def wish(status: Status = "waiting", *attempts: Attempt, **fields: Any) -> Wish:
    values: dict[str, Any] = {"refund_id": "rfi_1", "revision": 1, "in_addition_to": ()} | fields
    return Wish(
        order_id="ord_1", amount_in_cents=500, reason="Torn", grade_needed="agent", shown="paid",
        created_at=NOW.at, previewed=NOW, status=status, attempts=attempts, **values,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "revision", "verdict", "status"),
    [
        *([(("not_sent", "refused", each), 9, "decline", each) for each in MAY_HAVE_MOVED]),
        (("refunded", "unknown"), 9, None, "unknown"),
        (("not_recorded", "refunded"), 9, None, "refunded"),
        (("refused",), 1, "decline", "declined"),
        (("refused",), 1, "approve", "refused"),
        (("not_sent", "refused"), 2, "approve", "refused"),
        (("not_sent", "refused"), 3, None, "waiting"),
        ((), 1, "decline", "declined"),
        ((), 1, "approve", "waiting"),
    ],
)
def test_what_may_have_moved_money_counts_before_anything_that_was_decided_since(
    sent: tuple[Sent, ...], revision: int, verdict: Verdict | None, status: Status
) -> None:
    attempts = [attempt(each, number) for number, each in enumerate(sent, 1)]
    made = None if verdict is None else decision(verdict, revision)

    assert status_of(attempts, revision, made, NOW, NOW) == status


@pytest.mark.parametrize(
    ("passed", "status"), [(timedelta(hours=72), "expired"), (timedelta(hours=71.9), "waiting")]
)
def test_what_nobody_decides_about_expires(passed: timedelta, status: Status) -> None:
    then = Instant(NOW.at - passed, NOW.uptime - passed.total_seconds(), NOW.boot)

    assert status_of((), 1, None, then, NOW) == status


@pytest.mark.parametrize("status", get_args(Sent))
def test_money_may_be_on_its_way_or_may_still_appear(status: Sent) -> None:
    once = attempt(status)
    read = replace(once, reads_after_window=1)
    others = (attempt("not_sent"), attempt("refused", reads_after_window=1))

    assert once.is_open is (status in {"sending", "unknown"})
    assert once.is_provisional is (status == "refused")
    assert not read.is_provisional
    assert wish("waiting", *others, once).is_open is once.is_open
    assert wish("waiting", once, *others).is_provisional is once.is_provisional


def test_the_attempt_that_decided_tells_how_it_stands_or_else_the_last_one() -> None:
    first, late, last = (
        attempt("refused", 1),
        attempt("refunded", 2, clawver_refund_id="ref_2", stripe_refund_id="re_2"),
        attempt("refused", 3),
    )
    landed = wish("refunded", first, late, last)

    assert landed.latest == late
    assert (landed.clawver_refund_id, landed.stripe_refund_id) == ("ref_2", "re_2")
    assert landed.sent_at == NOW.at
    assert wish("refused", first, late, last).latest == last
    assert wish("waiting", first, last).latest == last
    unsent = wish()
    assert (unsent.latest, unsent.sent_at, unsent.clawver_refund_id) == (None, None, None)
    assert unsent.stripe_refund_id is None


def test_the_decision_of_a_wish_is_the_one_that_made_it_stand_as_it_does() -> None:
    """An attempt of an older ledger has no approval, and a decline beside it let nothing go."""
    yes, no, later = decision("approve"), decision("decline"), decision("approve", 2)
    sent = attempt("refunded")

    assert wish("refunded", sent, decisions=(yes, later), revision=2).decision == yes
    assert wish("refunded", sent, decisions=(no, later), revision=2).decision is None
    assert wish("declined", decisions=(no,)).decision == no
    assert wish(
        "declined", attempt("refused"), decisions=(yes, decision("decline", 2)), revision=2
    ).decision == decision("decline", 2)
    assert wish("waiting", decisions=(yes,)).decision is None
    assert wish("waiting", decisions=(no,), revision=2).decision is None


def test_refunds_that_nobody_meant_are_named_once_and_in_their_order() -> None:
    some, more = ("ref_9", "ref_3"), ("ref_3", "ref_1", "ref_7")
    attempts = [attempt("refunded", unexpected_refunds=ids) for ids in (some, more)]

    assert wish("refunded", *attempts).unexpected_refunds == ("ref_1", "ref_3", "ref_7", "ref_9")


def test_the_last_question_is_the_one_that_counts() -> None:
    asked = tuple(Asked(number, "rfi_1", 1, NOW, "form") for number in (1, 2, 3))

    assert wish(questions=asked).question == asked[2]
    assert wish().question is None
    assert not asked[0].shown_since


def test_the_records_of_an_order_tell_attempts_in_the_order_in_which_things_happened() -> None:
    late, early, between = (attempt("refused", number=number) for number in (5, 1, 3))
    opened = wish("unknown", attempt("unknown", number=9), refund_id="rfi_2")
    records = OrderRecords(
        "ord_1", (wish("refused", late, early), wish("refused", between), opened), 9
    )

    assert records.attempts == (early, between, late, *opened.attempts)
    assert records.open_wish == opened
    assert replace(records, wishes=records.wishes[:2]).open_wish is None


def test_a_wish_is_found_by_what_makes_it_another_one() -> None:
    older, newer = wish(refund_id="rfi_1", sandbox="sbx_a"), wish(refund_id="rfi_2")
    named = wish(refund_id="rfi_3", in_addition_to=("ref_a", "ref_b"))
    records = OrderRecords("ord_1", (older, newer, named), 1)

    assert records.wish(500, ()) == newer
    assert records.wish(500, (), "sbx_a") == older
    assert records.wish(500, (), "sbx_b") is None
    assert records.wish(501, ()) is None
    assert records.wish(500, ("ref_b", "ref_a")) == named
    assert records.wish(500, ("ref_a",)) is None
