"""Who has to approve a refund, how the asking stands, and the words of the question."""

from dataclasses import replace
from typing import Any

import pytest
from tests.refunds.by_hand import INSTANT, LATER, ago, order, wish

from clawver_orders.caller import Grade, Reply
from clawver_orders.refunds.approvals import (
    Asking,
    asking,
    grade_needed,
    item_lines,
    question,
    quoted,
    warning_about,
)
from clawver_orders.refunds.matching import Doubt, DoubtKind
from clawver_orders.refunds.records import Asked


@pytest.mark.parametrize(
    ("answer", "passed", "shown", "stands"),
    [
        (None, 119.9, False, Asking.OPEN),
        (None, 120, False, Asking.UNANSWERED),
        (Reply.DISMISSED, 1, False, Asking.UNANSWERED),
        (Reply.FAILED, 1, False, Asking.COULD_NOT_ASK),
        (Reply.FAILED, 500, False, Asking.COULD_NOT_ASK),
        (None, 1, True, Asking.POSSIBLE),
        (Reply.FAILED, 1, True, Asking.POSSIBLE),
    ],
)
def test_the_last_question_says_how_the_asking_stands(
    answer: Reply | None, passed: float, stands: Asking, *, shown: bool
) -> None:
    before = Asked(1, "rfi_1", 1, ago(hours=1), "form", Reply.FAILED)
    last = Asked(2, "rfi_1", 1, ago(seconds=passed), "form", answer, shown)

    assert asking(replace(wish("rfi_1"), questions=(before, last)), LATER) is stands


def test_nobody_was_asked_yet() -> None:
    assert asking(wish("rfi_1"), INSTANT) is Asking.POSSIBLE


@pytest.mark.parametrize(
    ("floor", "doubtful", "further", "above", "policy", "needed"),
    [
        ("setting", True, True, False, None, "setting"),
        ("agent", False, False, False, None, "agent"),
        ("agent", True, False, False, None, "chat"),
        ("agent", False, True, False, None, "chat"),
        ("chat", True, True, False, None, "chat"),
        ("console", True, False, False, "chat", "console"),
        ("agent", False, False, False, "console", "console"),
        ("setting", False, False, False, "chat", "chat"),
        ("setting", False, False, True, None, "pin"),
        ("agent", True, True, True, "console", "pin"),
    ],
)
def test_the_highest_grade_that_anything_asks_for_is_needed(
    floor: Grade, policy: Grade | None, needed: Grade, *, doubtful: bool, further: bool, above: bool
) -> None:
    doubts = [Doubt("declined")] if doubtful else []

    assert needed == grade_needed(
        floor, doubts, is_further=further, is_above_pin_limit=above, outside_policy=policy
    )


def asked(named: tuple[str, ...] = (), customer: str | None = "a@shop", **fields: Any) -> list[str]:
    wanted = replace(wish("rfi_1"), in_addition_to=named, revision=3, grade_needed="chat")
    doubts = [Doubt("restored"), Doubt("declined", "rfi_2", 500), Doubt("restored")]
    put = question(
        wanted, order(**fields), doubts, 7, verdict=None, store='"Shop" (str_1)',
        customer=customer, reason="x" * 501,
    )  # fmt: skip
    assert (put.about, put.number, put.revision, put.needs) == ("rfi_1", 7, 3, "chat")
    return put.text.splitlines()


def test_a_question_says_the_money_first_and_the_words_of_others_last() -> None:
    item = {"productName": 'A "print"', "variantName": "XL", "quantity": 2}
    refunds = [{"id": f"ref_{n}", "amountInCents": n * 100} for n in (1, 2)]

    assert asked(("ref_1",), items=[item], paymentStatus="partially_refunded", refunds=refunds) == [
        "Refund $5.00 on order ord_1? Money cannot be called back.",
        "The order's total is $24.99; $21.99 can be refunded, and $16.99 would be left.",
        warning_about(Doubt("restored")),
        warning_about(Doubt("declined", "rfi_2", 500)),
        "This would be another after 1 earlier attempt or refund of this amount: ref_1.",
        "Refunded before: $1.00, $2.00.",
        'Store: "Shop" (str_1)',
        'Customer: "a@shop"',
        'Items: 2 x "A \'print\'" ("XL")',
        f'Reason given: "{"x" * 499}…"',
        "Refund id: rfi_1, revision 3",
    ]


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, " and 1 more"), (12, " and 2 more")])
def test_a_question_names_ten_of_what_there_is(count: int, more: str) -> None:
    names = tuple(f"ref_{number}" for number in range(count))
    item = {"productName": "Print", "quantity": 1}

    told = asked(names, None, items=[item] * count)

    assert (
        f"after {count} earlier attempts or refunds of this amount: {', '.join(names[:10])}{more}."
        in told[4]
    )
    assert 'Customer: "not known"' in told
    items = "; ".join(['1 x "Print"'] * 10 + ([more.strip()] if more else []))
    assert f"Items: {items}" in told
    assert "Items: not known" in asked()
    assert not any(line.startswith("Refunded before") for line in told)


def test_items_that_cannot_be_read_are_counted() -> None:
    found = order(items=[{"productName": "Print", "quantity": 1}, 5, "x"])

    assert item_lines(found) == ['1 x "Print"', "and 2 more"]


@pytest.mark.parametrize(("length", "shown"), [(80, "x" * 80), (81, "x" * 79 + "…")])
def test_the_words_of_others_are_short_and_on_one_line(length: int, shown: str) -> None:
    assert quoted("x" * length) == f'"{shown}"'
    assert quoted('a "b"\n c') == "\"a 'b' c\""


@pytest.mark.parametrize(
    ("kind", "sent", "says"),
    [
        ("declined", False, "A person declined $5.00 on this order in the last 24 hours."),
        ("declined", True, "A person declined $5.00 on this order in the last 24 hours, when it had been sent."),
        ("not_recorded", False, "An attempt of $5.00 isn't on the order, and could still show: then both are paid."),
        ("refused", False, "Clawver refused $5.00 on this order a moment ago."),
        ("resolved", False, "A person said what became of an attempt of $5.00, because the order doesn't tell."),
        ("restored", False, "The refund ledger on this machine is an older copy of itself"),
    ],
)  # fmt: skip
def test_each_doubt_has_its_warning(kind: DoubtKind, says: str, *, sent: bool) -> None:
    assert warning_about(Doubt(kind, "rfi_1", 500, was_sent=sent)).startswith(says)
