"""What an order and the ledger together say about money."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.refunds.by_hand import (
    INSTANT,
    LATER,
    NOW,
    ago,
    attempt,
    made,
    order,
    records_of,
    refund,
    wish,
)

from clawver_orders.caller import Grade
from clawver_orders.instants import Instant
from clawver_orders.refunds.approvals import preview_of
from clawver_orders.refunds.matching import (
    Doubt,
    Earlier,
    Refundable,
    agrees,
    doubts_of,
    earlier_of,
    is_declined_often,
    is_like,
    needs_read,
    payment_fingerprint,
    recent_declines,
    refundable,
    unexpected_beside,
    unexpected_of,
    unexplained,
    united,
)
from clawver_orders.refunds.records import Attempt, Decision, OrderRecords, Wish


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({}, 2499),
        ({"paymentStatus": "partially_refunded", "refunds": [{"id": "ref_1", "amountInCents": 499}]}, 2000),
        ({"paymentStatus": "refunded"}, 0),
        ({"paymentStatus": "partially_refunded"}, None),
    ],
)  # fmt: skip
def test_what_is_left_is_what_the_order_says_while_no_refund_is_open(
    fields: dict[str, Any], left: int | None
) -> None:
    assert refundable(order(**fields), ()) == Refundable(left, None, is_ledger_readable=True)


def test_nothing_is_known_while_a_refund_is_open() -> None:
    newest, older = wish("rfi_2"), wish("rfi_1")

    assert refundable(order(), (newest, older)) == Refundable(None, newest, is_ledger_readable=True)


def test_nothing_is_known_while_the_ledger_cannot_be_read() -> None:
    assert refundable(order(), None) == Refundable(None, None, is_ledger_readable=False)


# Every refund that was ever seen


def test_an_order_that_does_not_tell_its_refunds_stays_so() -> None:
    seen = refund()
    hides, paid = order(paymentStatus="partially_refunded"), order()

    assert united(hides, [seen]) is hides
    assert united(paid, ()) is paid
    assert united(paid, [seen]).refunds == (seen,)
    assert united(united(paid, [seen]), [seen]).refunds == (seen,)


def test_what_is_listed_as_failed_by_now_is_no_refund_any_more() -> None:
    failed = order(refunds=[{"id": "ref_1", "amountInCents": 500, "status": "failed"}])

    assert united(failed, [refund(), refund("ref_2")]).refunds == (refund("ref_2"),)


# What only a person may decide about


@pytest.mark.parametrize(("passed", "left"), [(0, 90), (89, 1), (90, None)])
def test_an_older_copy_of_the_ledger_is_in_doubt_for_a_verification_window(
    passed: float, left: float | None
) -> None:
    noticed = Instant(NOW - timedelta(seconds=passed), 5000.0 - passed, "this start")
    records = OrderRecords("ord_1", (), 0, restored=noticed)

    doubts = doubts_of(records, INSTANT, 90)

    assert doubts == (() if left is None else (Doubt("restored", seconds_left=left),))


@pytest.mark.parametrize(("passed", "left"), [(0, 90), (89, 1), (90, None)])
def test_what_was_refused_is_in_doubt_for_a_verification_window(
    passed: float, left: float | None
) -> None:
    sent = Instant(NOW - timedelta(seconds=passed), 5000.0 - passed, "this start")
    refused = replace(wish("rfi_1"), attempts=(attempt(sent=sent, status="refused"),))

    doubts = doubts_of(OrderRecords("ord_1", (refused,), 0), INSTANT, 90)

    assert doubts == (() if left is None else (Doubt("refused", "rfi_1", 500, seconds_left=left),))


@pytest.mark.parametrize(("grade", "kinds"), [("agent", ["declined"]), ("chat", [])])
def test_only_a_persons_approval_settles_a_decline(grade: Grade, kinds: list[str]) -> None:
    no = Decision("rfi_1", 1, "decline", "chat", "form", "a person", "host 1", INSTANT, 1)
    yes = Decision("rfi_1", 2, "approve", grade, "form", "somebody", "host 1", INSTANT, 2)
    declined = replace(wish("rfi_1"), decisions=(no, yes))

    doubts = doubts_of(OrderRecords("ord_1", (declined,), 0), INSTANT, 90)

    assert [doubt.kind for doubt in doubts] == kinds


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [
        ("not_recorded", [attempt(status="not_recorded", number=1)]),
        ("resolved", [attempt(status="refunded", resolved=True, number=1)]),
        ("resolved", [attempt(status="not_recorded", resolved=True, number=1)]),
        (None, [attempt(status=s, number=1) for s in ("sending", "unknown", "refunded", "not_sent")]),
        (None, [attempt(status="refused", reads_after_window=1, number=1)]),
    ],
)  # fmt: skip
def test_what_can_still_appear_or_only_a_person_knows_is_in_doubt(
    kind: Any, attempts: list[Attempt]
) -> None:
    tried = replace(wish("rfi_1"), attempts=tuple(attempts))

    doubts = doubts_of(records_of(tried), INSTANT, 90)

    assert doubts == (
        () if kind is None else (Doubt(kind, "rfi_1", 500, was_sent=False, seconds_left=0.0),)
    )


def test_a_persons_approval_clears_the_attempts_of_all_amounts_and_the_declines_of_its_own() -> (
    None
):
    """They were told of them; and what was refused can still appear, whoever approved what."""
    fields: list[dict[str, Any]] = [
        {"status": "not_recorded", "number": 2}, {"status": "not_recorded", "number": 4},
        {"status": "refused", "number": 2},
    ]  # fmt: skip
    tried = [attempt(refund_id="rfi_2", **each) for each in fields]
    approved = replace(wish("rfi_1"), decisions=(made("decline", 1), made("approve", 3)))
    other = replace(wish("rfi_2"), attempts=tuple(tried), decisions=(made("decline", 2),))

    doubts = doubts_of(records_of(approved, other), INSTANT, 90)
    often = doubts_of(records_of(approved, replace(other, attempts=())), LATER, 90)

    assert [(each.kind, each.refund_id) for each in often] == [
        ("declined", "rfi_1"), ("declined", "rfi_2"),
    ]  # fmt: skip
    assert [(each.kind, each.refund_id, each.was_sent) for each in doubts] == [
        ("declined", "rfi_1", False), ("declined", "rfi_2", True), ("not_recorded", "rfi_2", False),
        ("refused", "rfi_2", False),
    ]  # fmt: skip


def test_an_approval_clears_no_decline_of_another_amount() -> None:
    approved = replace(wish("rfi_1"), decisions=(made("approve", 3),))
    declined = replace(wish("rfi_2"), decisions=(made("decline", 2),))
    cleared = replace(approved, decisions=(made("decline", 2), made("approve", 3)))

    assert [each.refund_id for each in doubts_of(records_of(approved, declined), LATER, 90)] == [
        "rfi_2"
    ]
    assert doubts_of(records_of(cleared), LATER, 90) == ()


def test_declines_count_for_a_day_and_two_of_them_are_many() -> None:
    now, soon, over = (
        made("decline", 1, ago(hours=24, seconds=-1)),
        made("decline", 2),
        ago(hours=24),
    )
    old, yes = made("decline", 3, over), made("approve", 4)
    twice = replace(wish("rfi_1"), decisions=(old, now, soon, yes))

    assert recent_declines(twice, records_of(twice), LATER) == [now, soon]
    assert is_declined_often(records_of(twice), LATER)
    assert not is_declined_often(records_of(replace(twice, decisions=(old, now, yes))), LATER)
    other = replace(wish("rfi_2"), decisions=(soon,))
    assert is_declined_often(records_of(replace(twice, decisions=(now,)), other), LATER)
    assert len(doubts_of(records_of(twice), LATER, 90)) == 1


# What blocks a refund of the same amount


def test_refunds_and_attempts_of_the_amount_are_what_a_further_one_names() -> None:
    named = [
        attempt(status="refunded", clawver_refund_id="ref_1"), attempt(status="refunded", clawver_refund_id="ref_3"),
        attempt(status="refunded"), attempt(status="refused"), attempt(status="not_recorded"),
    ]  # fmt: skip
    tried = replace(wish("rfi_1"), attempts=tuple(named))
    others = (wish("rfi_2"), replace(wish("rfi_3"), amount_in_cents=501, attempts=tuple(named)))
    listing = [
        {"id": f"ref_{n}", "amountInCents": cents} for n, cents in ((1, 500), (2, 500), (9, 501))
    ]
    records = records_of(tried, *others)
    paid = order(paymentStatus="partially_refunded", refunds=listing)

    earlier = earlier_of(paid, records, 500)

    assert earlier == Earlier(("ref_1", "ref_2", "ref_3", "rfi_1"), (tried,))
    assert earlier.names == ("ref_1", "ref_2", "ref_3", "rfi_1", "rfi_1")
    assert earlier_of(None, records, 500).refunds == ("ref_1", "ref_3", "rfi_1")
    assert earlier_of(order(), records, 500).refunds == ("ref_1", "ref_3", "rfi_1")
    in_euros = order(currency="EUR", paymentStatus="partially_refunded", refunds=listing)
    assert earlier_of(in_euros, records, 500).refunds == ("ref_1", "ref_3", "rfi_1")
    assert earlier_of(paid, records, 501).refunds == ("ref_9", "ref_1", "ref_3", "rfi_3")
    assert earlier_of(order(), records_of(), 500) == Earlier((), ())


@pytest.mark.parametrize(
    ("refunds", "named", "repeats"),
    [((), {"ref_1"}, False), (("ref_1",), {"ref_1"}, False), (("ref_1",), set(), True)],
)
def test_a_call_that_does_not_name_what_there_is_is_a_repeat(
    refunds: tuple[str, ...], named: set[str], *, repeats: bool
) -> None:
    assert Earlier(refunds, ()).is_repeated_by(frozenset(named)) is repeats


def test_another_doubt_is_another_preview_and_less_time_is_not() -> None:
    refused = Doubt("refused", "rfi_1", 500, seconds_left=90)
    others = [
        replace(refused, kind="declined"),
        replace(refused, refund_id="rfi_2"),
        replace(refused, amount_in_cents=501),
    ]

    first, *changed = (
        preview_of(order(), [each], "chat", None).shown for each in (refused, *others)
    )

    assert preview_of(order(), [replace(refused, seconds_left=1)], "chat", None).shown == first
    assert len({first, *changed}) == 4


# Whether a refund can be that of an attempt

LONG = "The print came out smudged on the left sleeve."


@pytest.mark.parametrize(
    ("sent", "told", "counts"),
    [
        ("Torn", "", True),
        ("Torn", "Torn", True),
        ("Torn", " TORN\n", True),
        ("Torn  at the  seam", "Torn at the seam", True),
        ("Torn", "Torn and wet", False),
        ("Torn and wet", "Torn", False),  # it could be anybody's
        (LONG, LONG[:20], True),
        (LONG, LONG[:19], False),
        (LONG, "Another reason of at least twenty letters", False),
        (LONG, LONG[:24] + "…", True),
        (LONG, LONG[:24] + " ...", True),
        (LONG, LONG[:19] + "…", False),
    ],
)
def test_the_reason_has_to_agree_or_to_be_missing_or_cut_short(
    sent: str, told: str, *, counts: bool
) -> None:
    assert agrees(attempt(sent), refund(reason=told)) is counts


@pytest.mark.parametrize(
    ("hours", "counts"), [(-24, True), (-24.01, False), (0, True), (24, True), (24.01, False)]
)
@pytest.mark.parametrize("by_server", [True, False])
def test_the_time_has_to_be_near_that_of_sending(
    hours: float, *, counts: bool, by_server: bool
) -> None:
    """The server's time counts; this machine's only where the server tells none."""
    at = NOW + timedelta(days=400) if by_server else NOW
    sent = attempt(sent_by_server=at if by_server else None)

    assert agrees(sent, refund(createdAt=at + timedelta(hours=hours))) is counts
    assert agrees(sent, refund())


def test_the_amount_has_to_be_that_very_one() -> None:
    assert not agrees(attempt(), refund(cents=499))


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        ({}, True),
        ({"createdAt": None}, True),
        ({"reason": "something else"}, False),
        ({"cents": 501}, False),
        ({"createdAt": NOW + timedelta(hours=25)}, False),
    ],
)
def test_two_refunds_are_alike_when_amount_reason_and_time_are(
    other: dict[str, Any], *, alike: bool
) -> None:
    told: dict[str, Any] = {"reason": "requested_by_customer", "createdAt": NOW}

    assert is_like(refund(**told), refund("ref_2", **told | other)) is alike


def test_what_nothing_explains_is_new_and_belongs_to_no_attempt() -> None:
    mine = attempt()
    ours = attempt(status="refunded", clawver_refund_id="ref_2")
    known = wish("rfi_1")
    records = OrderRecords("ord_1", (Wish(**vars(known) | {"attempts": (mine, ours)}),), 1)
    listing = [
        {"id": "ref_0", "amountInCents": 500},
        {"id": "ref_1", "amountInCents": 3},
        {"id": "ref_2", "amountInCents": 500},
        {"id": "ref_3", "amountInCents": 500, "status": "failed"},
        {"id": "ref_4", "amountInCents": 500, "status": "requires_action"},
    ]

    found = unexplained(mine, records, order(refunds=listing))

    assert [each.id for each in found] == ["ref_1", "ref_4"]
    assert unexplained(mine, records, None) == ()


# What nobody meant


def test_what_no_attempt_accounts_for_came_of_the_latest_that_can_have_made_it() -> None:
    """One that was there before cannot have come of it, nor one of another reason, unless its own has that too."""
    first = attempt(status="refunded", clawver_refund_id="ref_1", sent=ago(hours=2))
    second = replace(first, revision=2, clawver_refund_id="ref_2", sent=ago(hours=1))
    third = replace(
        second,
        revision=3,
        clawver_refund_id="ref_3",
        refunds_before=frozenset({"ref_9"}),
        sent=LATER,
    )
    reworded = replace(third, revision=4, clawver_refund_id="ref_4", reason="Wet", sent=LATER)
    lost = replace(third, revision=5, clawver_refund_id=None, status="not_recorded")
    cheaper = replace(third, revision=6, clawver_refund_id="ref_6", amount_in_cents=400)
    made_all = (first, second, third, reworded, lost, cheaper)
    tried = replace(wish("rfi_1"), attempts=made_all)
    listing = [
        *({"id": f"ref_{n}", "amountInCents": 500, "reason": "Torn"} for n in (1, 2, 3, 9)),
        {"id": "ref_4", "amountInCents": 500, "reason": "Wet"},
        {"id": "ref_6", "amountInCents": 400}, {"id": "ref_7", "amountInCents": 300},
    ]  # fmt: skip
    listed_all = order(paymentStatus="partially_refunded", refunds=listing)

    beside = [
        unexpected_of(each, records_of(tried), listed_all) - {f"ref_{n}" for n in range(1, 5)}
        for each in made_all
    ]

    assert beside == [set(), {"ref_9"}, set(), set(), set(), set()]


def test_a_refund_told_with_another_reason_came_of_the_one_whose_own_is_told_alike() -> None:
    """A store need not tell the reason as it was sent, but then tells it for both in the same way."""
    sent = attempt(status="refunded", clawver_refund_id="ref_1")
    tried = replace(wish("rfi_1"), attempts=(sent,))
    told = [
        {"id": f"ref_{n}", "amountInCents": 500, "reason": "requested_by_customer"} for n in (1, 2)
    ]
    paid = order(paymentStatus="partially_refunded", refunds=told)
    strange = order(
        paymentStatus="partially_refunded", refunds=[{**told[0], "reason": "else"}, told[1]]
    )

    assert unexpected_of(sent, records_of(tried), paid) == {"ref_2"}
    assert unexpected_of(sent, records_of(tried), strange) == set()
    unlisted = order(paymentStatus="partially_refunded", refunds=told[1:])
    assert unexpected_of(sent, records_of(tried), unlisted) == set()


def test_an_attempt_that_landed_late_is_told_with_the_one_made_in_its_place() -> None:
    late = attempt(status="refunded", clawver_refund_id="ref_1")
    instead = replace(late, refund_id="rfi_2", clawver_refund_id="ref_2")
    by_a_person = replace(late, revision=2, clawver_refund_id=None, resolved=True)
    meant = replace(late, refund_id="rfi_3", clawver_refund_id="ref_3")
    wishes = (
        replace(wish("rfi_1"), attempts=(late, by_a_person)),
        replace(wish("rfi_2"), attempts=(instead,), in_addition_to=("rfi_1",)),
        replace(wish("rfi_3"), attempts=(meant,), in_addition_to=("ref_1",)),
    )

    found = [
        unexpected_of(each, records_of(*wishes), order())
        for each in (late, instead, by_a_person, meant)
    ]

    assert found == [{"ref_2"}, {"ref_1"}, {"ref_1", "ref_2"}, set()]


# Whether the order may tell more


@pytest.mark.parametrize(
    ("own", "others", "restored", "needed"),
    [
        ([], [], None, False),
        (["refunded"], [], None, True),  # it may be listed as failed by now
        (["not_sent"], [], None, False),
        (["refused"], [], None, True),
        (["not_recorded"], [], None, True),
        (["unknown"], [], None, True),
        ([], ["unknown"], None, True),
        ([], ["refunded"], None, False),
        ([], [], INSTANT, True),
    ],
)
def test_an_order_is_read_where_it_may_tell_more(
    own: list[Any], others: list[Any], restored: Instant | None, *, needed: bool
) -> None:
    mine = replace(wish("rfi_1"), status="waiting", attempts=tuple(attempt(status=s) for s in own))
    same, cheaper = (
        replace(wish(name), attempts=tuple(attempt(status=s, amount_in_cents=cents) for s in found))
        for name, cents, found in (("rfi_2", 500, others), ("rfi_3", 400, ["unknown", "refused"]))
    )

    assert needs_read(mine, records_of(mine, same, cheaper, restored=restored)) is needed


def test_the_order_in_which_refunds_are_listed_is_no_other_payment() -> None:
    listing = [{"id": f"ref_{n}", "amountInCents": n} for n in (1, 2)]
    listing += [{"id": f"ref_{n}", "amountInCents": n, "status": "failed"} for n in (3, 4)]
    paid = {"paymentStatus": "partially_refunded"}

    one, other, less, changed = (
        payment_fingerprint(order(refunds=refunds, **paid))
        for refunds in (
            listing, listing[::-1], listing[:-1], [*listing[:-1], {**listing[-1], "status": "pending"}],
        )
    )  # fmt: skip

    assert one == other
    assert len({one, less, changed, payment_fingerprint(order(**paid))}) == 4


def test_what_nobody_meant_beside_a_refund_is_told_in_one_order() -> None:
    mine = replace(wish("rfi_1"), attempts=(attempt(unexpected_refunds=("ref_5",)),))
    ids = tuple(f"ref_{number}" for number in range(9, 0, -1))
    other = replace(wish("rfi_2"), attempts=(attempt(unexpected_refunds=ids),))
    records = OrderRecords("ord_1", (mine, other), 1)

    assert unexpected_beside(mine, records) == tuple(
        each for each in sorted(ids) if each != "ref_5"
    )
