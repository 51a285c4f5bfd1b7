"""How a refund is told by its records and its order, and which of several an order id means."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.refunds.book import Book
from tests.refunds.by_hand import LATER, ago, attempt, order, records_of, refund, wish

from clawver_orders.caller import Reply
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order
from clawver_orders.errors import RefusedError
from clawver_orders.refunds.checking import RefundChecks, _unexplained
from clawver_orders.refunds.order_locks import OrderLocks
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.reading import BOUNDS
from clawver_orders.refunds.records import Asked, Attempt, Sent, Status, Wish
from clawver_orders.settings import Settings


@pytest.fixture
def checks(book: Book, tmp_path: Path) -> RefundChecks:
    settings = Settings(api_key="claw_sk_live_example_of_tests", refund_verify_seconds=90.0)
    book.now.at, book.now.up = LATER.at, LATER.uptime
    nothing_is_asked = cast("Clawver", None)
    return RefundChecks(
        nothing_is_asked, book.ledger, OrderLocks(tmp_path / "locks"), settings, BOUNDS
    )


def with_attempts(status: Status, *attempts: Attempt, **fields: Any) -> Wish:
    return replace(wish("rfi_1"), status=status, attempts=attempts, **fields)


STRANGE = order(paymentStatus="partially_refunded", refunds=[{"id": "ref_9", "amountInCents": 70}])
HIDES = order(paymentStatus="partially_refunded")


# What it is told as


@pytest.mark.parametrize(
    ("status", "told"),
    [("refunded", "refunded"), ("not_recorded", "not_recorded"), ("sending", "unknown"), ("unknown", "unknown")],
)  # fmt: skip
def test_what_was_sent_is_told_as_what_became_of_it(
    checks: RefundChecks, status: Sent, told: str
) -> None:
    sent = with_attempts(status, attempt(status=status, sent=LATER))

    found = checks._described(sent, STRANGE, records_of(sent))

    assert (found.status, found.wish, found.order) == (told, sent, STRANGE)
    assert [each.id for each in found.unexplained] == ([] if status == "refunded" else ["ref_9"])
    assert (found.check_after_seconds is not None) is (told == "unknown")


@pytest.mark.parametrize(
    ("seen", "passed", "knows", "overdue"),
    [
        (None, 90, True, True), (HIDES, 90, True, True), (STRANGE, 90, True, False),
        (None, 89, True, False), (None, 90, False, False),
    ],
)  # fmt: skip
def test_only_an_order_that_does_not_tell_leaves_a_refund_overdue(
    checks: RefundChecks, seen: Order | None, passed: float, *, knows: bool, overdue: bool
) -> None:
    sent = with_attempts("unknown", attempt(sent=ago(seconds=passed)))

    assert checks._described(sent, seen, records_of(sent) if knows else None).is_overdue is overdue


@pytest.mark.parametrize(
    ("status", "reads", "passed", "says"),
    [
        ("refused", 0, 80, "It could still take effect for 10 seconds."),
        ("refused", 0, 80.5, "It could still take effect for 10 seconds."),
        ("refused", 0, 90, "It could still take effect for 1 seconds."),
        ("refused", 1, 5, "Clawver refused $5.00 on order ord_1"),
        ("expired", 0, 80, "It could still take effect for 10 seconds."),
        ("expired", 1, 80, "it was not approved in time"),
        ("not_sent", 0, 80, "It could still take effect for 10 seconds."),
        ("not_sent", 1, 80, "the connection to Clawver was never made"),
    ],
)  # fmt: skip
def test_what_did_not_go_is_told_with_what_may_still_take_effect(
    checks: RefundChecks, status: Status, reads: int, passed: float, says: str
) -> None:
    older = attempt(status="refused", sent=ago(seconds=89))
    last = attempt(status="refused", reads_after_window=reads, sent=ago(seconds=passed))
    over = attempt(status="not_sent", revision=2)
    gone = with_attempts(status, *([] if reads else [older]), last, over)

    with pytest.raises(RefusedError) as error:
        checks._described(gone, None, records_of(gone))

    assert says in str(error.value)


@pytest.mark.parametrize(
    ("answer", "passed", "shown", "told"),
    [
        (None, 5, False, ("busy", False, False)),
        (None, 500, False, ("needs_approval", True, False)),
        (Reply.DISMISSED, 5, False, ("needs_approval", True, False)),
        (Reply.FAILED, 5, False, ("needs_approval", False, False)),
        (Reply.HOST_NO, 5, False, ("needs_approval", True, True)),
        (Reply.HOST_YES, 5, True, ("needs_approval", False, True)),
    ],
)
def test_what_waits_is_told_with_how_the_asking_stands(
    checks: RefundChecks, answer: Reply | None, passed: float, told: object, *, shown: bool
) -> None:
    asked = Asked(1, "rfi_1", 1, ago(seconds=passed), "form", answer, shown)
    waits = with_attempts("waiting", questions=(asked,))

    def words(outcome: Outcome) -> object:
        return outcome.status, outcome.was_dismissed, outcome.asking_is_no_use

    assert words(checks._described(waits, order(), None)) == told
    unasked = checks._described(with_attempts("waiting"), order(), None)
    assert words(unasked) == ("needs_approval", False, False)


@pytest.mark.parametrize(
    ("status", "found"),
    [("sending", True), ("unknown", True), ("not_recorded", True), ("refunded", False), ("refused", False), ("not_sent", False)],
)  # fmt: skip
def test_new_refunds_may_be_what_is_missing_from_the_order(status: Sent, *, found: bool) -> None:
    sent = with_attempts(status, attempt(status=status))

    assert _unexplained(sent, STRANGE, records_of(sent)) == (
        (refund("ref_9", 70),) if found else ()
    )
    assert _unexplained(sent, STRANGE, None) == ()


# Which of several


@pytest.fixture
def checked(checks: RefundChecks, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The refunds that were looked at."""
    found: list[str] = []

    async def noted(each: Wish) -> Outcome:
        found.append(each.refund_id)
        return Outcome("busy", each.order_id, None)

    monkeypatch.setattr(checks, "_check_one", noted)
    return found


@pytest.mark.parametrize(
    ("statuses", "meant"),
    [
        (["refunded", "unknown", "declined"], 1),
        (["refunded", "declined"], 1),
        (["declined", "refunded", "expired"], 1),
        (["expired", "expired"], 1),
        (["waiting", "refused"], 1),
    ],
)
async def test_an_order_id_means_the_open_refund_or_the_latest_that_has_not_expired(
    book: Book,
    checks: RefundChecks,
    checked: list[str],
    statuses: list[Status],
    meant: int,
) -> None:
    made = []
    for number, status in enumerate(statuses):
        made.append(await book.at(status, cents=100 + number))
        book.now.passes(seconds=1)
    await checks.check(order_id="ord_1")

    assert checked == [made[meant].refund_id]


async def test_what_was_sent_last_is_the_latest_however_long_ago_it_was_wanted(
    book: Book, checks: RefundChecks, checked: list[str]
) -> None:
    """And of those of one moment the one that was wanted last."""
    early = await book.wants(cents=100)
    book.now.passes(hours=1)
    await book.wants(cents=200)
    book.now.passes(hours=1)
    sent = await book.becomes(await book.sends(early), "refused")
    await checks.check(order_id="ord_1")
    later = [await book.wants(cents=cents) for cents in (300, 400)][-1]
    book.now.passes(hours=1)
    await checks.check(order_id="ord_1")

    assert checked == [sent.refund_id, later.refund_id]
