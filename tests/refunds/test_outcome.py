"""What a call is told: which refund it is about, and what to do next."""

from dataclasses import replace
from typing import Any

import pytest
from tests.refunds.by_hand import attempt, order, refund
from tests.refunds.by_hand import wish as plain

from clawver_orders.refunds.matching import Earlier
from clawver_orders.refunds.outcome import (
    Outcome,
    RefundStatus,
    about,
    message,
    next_step,
    refused,
    repeated,
    warning,
)
from clawver_orders.refunds.records import Status, Wish
from clawver_orders.settings import Settings

ON = Settings(api_key="claw_sk_live_example_of_tests")
OFF = ON.model_copy(update={"refund_approval": "off"})
READ_ONLY = ON.model_copy(update={"read_only": True})


def wish(status: Status, refund_id: str = "rfi_1", ref: str | None = None, **fields: Any) -> Wish:
    sent = attempt(status=status, clawver_refund_id=ref, refund_id=refund_id, **fields)
    return replace(plain(refund_id), status=status, attempts=(sent,))


def listing(*refunds: tuple[str, int], **fields: Any) -> Any:
    rows = [{"id": ref, "amountInCents": cents} | fields for ref, cents in refunds]
    return order(paymentStatus="partially_refunded", refunds=rows)


# Which refund it is about, and what a further one has to name


@pytest.mark.parametrize(
    ("status", "ref", "named", "earlier"),
    [
        ("refunded", "ref_2", (), ("ref_1", "ref_2")),
        ("refunded", None, (), ("ref_1", "ref_2", "rfi_1")),
        ("not_recorded", None, ("ref_0",), ("ref_0", "rfi_1")),
        ("needs_approval", None, ("ref_0",), ("ref_0",)),
        ("declined", None, ("ref_0",), ()),
        ("unknown", None, ("ref_0",), ()),
    ],
)
def test_a_further_refund_names_all_that_there_is_of_the_amount(
    status: RefundStatus, ref: str | None, named: tuple[str, ...], earlier: tuple[str, ...]
) -> None:
    told = replace(wish("refunded", ref=ref), in_addition_to=named)
    paid = listing(("ref_1", 500), ("ref_9", 400), ("ref_2", 500))

    found = about(status, told, paid)

    assert found.earlier == earlier
    assert found.refund == (None if ref is None else refund("ref_2"))
    assert about(status, told, paid, ("ref_7",)).earlier == ("ref_7",)


def test_where_the_order_was_not_read_or_lists_nothing_its_own_is_named() -> None:
    told = wish("refunded", ref="ref_2")

    assert about("refunded", told).earlier == about("refunded", told, order()).earlier == ("ref_2",)
    assert about("refunded", told).refund is None


def test_a_repeat_is_told_of_the_latest_refund_that_is_ours() -> None:
    first, second, said = (
        wish("refunded", "rfi_1", "ref_1"), wish("refunded", "rfi_2", "ref_2"), wish("refunded", "rfi_3"),
    )  # fmt: skip
    paid = listing(("ref_1", 500), ("ref_2", 500), ("ref_9", 500))

    def tell(refunds: tuple[str, ...], *wishes: Wish) -> Outcome:
        return repeated(Earlier(refunds, ()), frozenset(), wishes, "ord_1", 500, paid)

    both = tell(("ref_1", "ref_2", "ref_9"), first, second)
    assert (both.wish, both.refund, both.status) == (second, refund("ref_2"), "already_refunded")
    assert both.earlier == ("ref_1", "ref_2", "ref_9")
    nobodys = tell(("ref_9",), first)
    assert (nobodys.wish, nobodys.refund) == (None, refund("ref_9"))
    by_a_person = tell(("ref_9", "rfi_3"), first, said)
    assert (by_a_person.wish, by_a_person.refund) == (said, None)


@pytest.mark.parametrize(
    ("refunds", "attempts", "named", "status"),
    [
        (("ref_1",), False, (), "already_refunded"),
        (("ref_1",), False, ("ref_1",), "already_refunded"),
        (("ref_1",), True, (), "already_refunded"),
        (("ref_1",), True, ("ref_1",), "not_recorded"),
        ((), True, (), "not_recorded"),
    ],
)
def test_who_names_every_refund_repeats_the_last_attempt(
    refunds: tuple[str, ...], named: tuple[str, ...], status: str, *, attempts: bool
) -> None:
    older, lost = wish("not_recorded", "rfi_1"), wish("not_recorded", "rfi_2")
    earlier = Earlier(refunds, (older, lost) if attempts else ())

    told = repeated(earlier, frozenset(named), (older, lost), "ord_1", 500, order())

    assert told.status == status
    if status == "not_recorded":
        assert (told.wish, told.earlier) == (lost, (*refunds, "rfi_1", "rfi_2"))


def test_what_came_beside_a_refund_leaves_its_own_out() -> None:
    told = wish("refunded", ref="ref_1", unexpected_refunds=("ref_1", "ref_2"))

    assert about("refunded", told).unexpected_refunds == ("ref_2",)


@pytest.mark.parametrize(
    ("ref", "listed", "doubt"),
    [("ref_1", "ref_1", True), ("ref_1", "ref_2", False), (None, "ref_1", False)],
)
def test_a_refund_that_is_listed_as_failed_by_now_is_in_doubt(
    ref: str | None, listed: str, *, doubt: bool
) -> None:
    told = wish("refunded", ref=ref)
    failed = listing((listed, 500), status="failed")

    assert about("refunded", told, failed).is_in_doubt is doubt
    assert not about("refunded", told).is_in_doubt
    assert not Outcome("busy", "ord_1", None, order=failed).is_in_doubt


@pytest.mark.parametrize("status", ["needs_approval", "refunded", "busy"])
def test_only_what_waits_needs_a_grade(status: RefundStatus) -> None:
    waits = status == "needs_approval"

    assert about(status, plain("rfi_1")).needs == ("agent" if waits else None)
    assert Outcome(status, "ord_1", 500).needs is None


# What happened


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome("busy", "ord_1", None), "Nothing was sent: another refund call is at work on ord_1."),
        (about("busy", wish("unknown")), "Nothing was sent by this call: a refund of $5.00 on ord_1 is being verified."),
        (about("busy", plain("rfi_1")), "Nothing was sent: a person is being asked about $5.00 on ord_1."),
        (about("refunded", wish("refunded")), "$5.00 was refunded on ord_1."),
        (about("declined", plain("rfi_1")), "No money was moved: a person declined the refund of $5.00 on ord_1."),
        (about("needs_approval", plain("rfi_1")), "No money was moved: $5.00 on ord_1 waits for approval."),
        (Outcome("already_refunded", "ord_1", 500), "Nothing was sent: ord_1 already has a refund of $5.00."),
        (
            about("declined", wish("refused")),
            "Clawver refused this refund, and the order does not list it so far: a person declined the refund of "
            "$5.00 on ord_1.",
        ),
    ],
)  # fmt: skip
def test_a_message_begins_with_the_money(outcome: Outcome, says: str) -> None:
    assert message(outcome) == says


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (about("refunded", wish("refunded", ref="ref_1")), None),
        (about("refunded", wish("refunded", ref="ref_1"), listing(("ref_1", 500), status="failed")), "Clawver lists ref_1 with"),
        (
            about("refunded", wish("refunded", ref="ref_1", unexpected_refunds=("ref_2",))),
            "2 refunds of this amount are new on the order: ref_1, ref_2. The request",
        ),
        (about("refunded", wish("refunded", unexpected_refunds=("ref_2",))), "2 refunds of this amount are new on the order: rfi_1, ref_2."),
        (Outcome("refunded", "ord_1", 500, unexpected_refunds=("ref_2",)), None),
        (Outcome("refunded", "ord_1", 500, unexpected_beside=("ref_2", "ref_3")), "The order has refunds of another amount that nobody asked for: ref_2, ref_3."),
        (Outcome("unknown", "ord_1", 500, unexplained=(refund("ref_2"), refund("ref_3", 40))), "The order has new refunds that may be this one or not: ref_2 of $5.00, ref_3 of $0.40."),
        (Outcome("refunded", "ord_1", 500, unwritten=True), "The refund ledger could not be written"),
    ],
)  # fmt: skip
def test_a_warning_says_what_the_merchant_must_hear_of(outcome: Outcome, says: str | None) -> None:
    told = warning(outcome)

    assert told is None if says is None else (told or "").startswith(says)


# What to do next

AGAIN = "call refund_order again with order_id ord_1, amount_in_cents 500 and a reason"
NAMED = 'amount_in_cents 500, in_addition_to ["ref_a", "ref_b"] and a reason'
APPROVE = "run in a terminal: `clawver-orders approve rfi_1`"
RESOLVE = "`clawver-orders refunds resolve rfi_1 --as refunded"


def waiting(**fields: Any) -> Outcome:
    needed = {"grade_needed": fields.pop("needed", "agent")}
    told = about("needs_approval", replace(plain("rfi_1"), **needed), order())
    return replace(told, **fields)


@pytest.mark.parametrize(
    ("outcome", "settings", "says", "leaves_out"),
    [
        (waiting(), ON, ["Show the merchant the preview. Only once they agree, call confirm_refund with refund_id rfi_1 and revision 1."], ["Or they"]),
        (waiting(was_dismissed=True), ON, ["and revision 1. Or they run in a terminal"], []),
        (waiting(order=None), ON, ["For the preview call refund_order with order_id ord_1, amount_in_cents 500, and the same reason."], ["in_addition_to", "Or they"]),
        (waiting(order=None, earlier=("ref_1",)), ON, ["500, the in_addition_to given here, and the same"], []),
        (waiting(order=None, was_dismissed=True), ON, [f"reason. Or they {APPROVE}"], []),
        (waiting(asking_is_no_use=True), ON, [f"Ask the person to {APPROVE}", "call check_refund with refund_id rfi_1"], ["preview"]),
        (waiting(needed="chat"), ON, ["Only a person can approve this one", f"Ask them to {APPROVE}"], ["Or wait", "confirm_refund"]),
        (waiting(needed="chat", retry_after_seconds=7), ON, [f"Or wait 7 seconds, then {AGAIN}"], []),
        (waiting(needed="chat", approve_at="http://127.0.0.1:1/"), ON, [f"open http://127.0.0.1:1/, or {APPROVE}"], []),
        (waiting(needed="console"), ON, ["Only a person at the merchant's machine can"], []),
        (waiting(needed="pin"), ON, ["with their PIN. It must never be typed in a chat"], []),
        (waiting(), READ_ONLY, ["Tell the merchant: nothing more can be done about it here"], ["confirm_refund"]),
        (about("refunded", wish("refunded")), ON, ["Do not call refund_order again for this."], []),
        (about("refunded", wish("refunded")), READ_ONLY, ["Do not call refund_order again for this."], []),
        (about("refunded", wish("refunded", ref="ref_1"), listing(("ref_1", 500), status="failed")), ON, ["Promise the customer nothing yet."], []),
        (Outcome("already_refunded", "ord_1", 500), ON, ["If it was for the same thing, this is done.", "call refund_order with order_id ord_1, amount_in_cents 500, a reason and the in_addition_to"], []),
        (about("declined", plain("rfi_1")), ON, ["Tell the merchant that nothing was sent.", APPROVE], []),
        (about("declined", wish("refused")), ON, ["Tell the merchant that it is declined."], []),
        (about("not_recorded", wish("not_recorded")), ON, ["given here; a person has to approve it."], []),
        (about("not_recorded", wish("not_recorded")), OFF, ["the in_addition_to given here."], ["has to approve"]),
        (about("not_recorded", wish("not_recorded")), READ_ONLY, ["nothing more can be done"], []),
        (replace(about("unknown", wish("unknown")), check_after_seconds=9), ON, ["wait 9 seconds, then call check_refund with refund_id rfi_1."], ["resolve"]),
        (replace(about("unknown", wish("unknown")), is_overdue=True), ON, [RESOLVE, "If the order still doesn't tell"], []),
        (Outcome("unknown", "ord_1", 500, is_overdue=True), ON, ["call check_refund with order_id ord_1."], ["resolve"]),
        (replace(about("unknown", wish("unknown")), unexplained=(refund(),)), ON, ["A person compares the order", RESOLVE], ["wait"]),
        (Outcome("unknown", "ord_1", 500, unexplained=(refund(),)), ON, ["that it is being verified"], ["compares"]),
        (Outcome("busy", "ord_1", None, check_after_seconds=5), ON, ["Do not repeat the call yet: wait 5 seconds, then call check_refund with order_id ord_1."], []),
        (about("busy", plain("rfi_1")), ON, ["Wait for their answer: wait", f"If they were shown nothing, they can {APPROVE}"], []),
        (about("busy", wish("unknown")), ON, ["Do not repeat the call: wait"], ["terminal"]),
        (about("busy", wish("unknown")), READ_ONLY, ["Do not repeat the call: wait"], []),
    ],
)  # fmt: skip
def test_the_next_step_is_the_one_that_helps(
    outcome: Outcome, settings: Settings, says: list[str], leaves_out: list[str]
) -> None:
    told = next_step(outcome, settings)

    assert [words for words in says if words not in told] == []
    assert [words for words in leaves_out if words in told] == []


@pytest.mark.parametrize(
    ("seconds", "settings", "says"),
    [
        (0, ON, f"No money was moved: Clawver refused $5.00 on order ord_1 (refund rfi_1), and the order does not list it. If it is still wanted, {AGAIN}."),
        (0, READ_ONLY, "list it. Tell the merchant: nothing more"),
        (7, ON, f"for 7 seconds. Wait that long, then {AGAIN}: the order is read first. Or a person approves it now"),
        (7, OFF, f"read first. Earlier than that only if the merchant accepts that both may be paid: {AGAIN}"),
        (7, READ_ONLY, "Tell the merchant: nothing more can be done"),
    ],
)  # fmt: skip
def test_a_refusal_says_whether_it_may_still_take_effect(
    seconds: int, settings: Settings, says: str
) -> None:
    error = str(
        refused(wish("refused"), seconds, settings, "The order is disputed. Nothing was changed.")
    )
    named = replace(wish("refused"), in_addition_to=("ref_a", "ref_b"))

    assert says in error
    assert "Nothing was changed" not in error
    assert ("The order is disputed." in error) is bool(seconds)
    assert (NAMED in str(refused(named, seconds, settings))) is not settings.read_only
