"""Who has to approve a refund, what they are asked, and how the asking stands. No I/O."""

import json
from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING

from clawver_orders.caller import (
    ANSWER_WITHIN_SECONDS,
    BY_PROGRAM,
    GRADES,
    Grade,
    Question,
    Reply,
    suffices,
)
from clawver_orders.clawver.models import Item, Order
from clawver_orders.instants import Instant, seconds_at_most
from clawver_orders.money import display
from clawver_orders.refunds.matching import Doubt, payment_fingerprint
from clawver_orders.refunds.records import Preview, Wish

if TYPE_CHECKING:
    from clawver_orders.refunds.policy import PolicyVerdict

MOST_ITEMS = 10
"""How many of an order's items a person is shown."""
BY_SETTING = "setting off"
BY_AGENT = "agent by confirm_refund"
"""Who approved, where no person did."""


class Asking(Enum):
    """How the asking about a wish stands."""

    POSSIBLE = auto()
    OPEN = auto()
    """A question was put a moment ago, and its answer may still come."""
    COULD_NOT_ASK = auto()
    """Nobody was asked: the program said that it could, and then that it could not."""
    UNANSWERED = auto()
    """A person was asked and didn't decide; whoever goes on has not seen the preview."""


def asking(wish: Wish, now: Instant) -> Asking:
    """How the asking about the current revision stands.

    Args:
        wish: The wish.
        now: The current time.
    """
    question = wish.question
    if question is None or question.shown_since:
        return Asking.POSSIBLE
    is_young = seconds_at_most(question.asked, now) < ANSWER_WITHIN_SECONDS
    if question.answer is None and is_young:
        return Asking.OPEN
    return Asking.COULD_NOT_ASK if question.answer is Reply.FAILED else Asking.UNANSWERED


def grade_needed(
    floor: Grade,
    doubts: Sequence[Doubt],
    *,
    is_further: bool,
    is_above_pin_limit: bool,
    outside_policy: Grade | None,
) -> Grade:
    """The lowest grade of approval that suffices.

    Args:
        floor: What the merchant set for every refund; `setting` where nobody is asked.
        doubts: What nobody but a person may decide about.
        is_further: Whether there is a refund or attempt of the same amount already.
        is_above_pin_limit: Whether it is too much without the PIN.
        outside_policy: What the merchant's refund policy asks for a refund outside of it; None for one
            within it.
    """
    needed: list[Grade] = [floor]
    if is_above_pin_limit:
        needed.append("pin")
    if floor == "agent" and (doubts or is_further):
        needed.append("chat")
    if outside_policy is not None:
        needed.append(outside_policy)
    return max(needed, key=GRADES.index)


def takes_click(wish: Wish) -> bool:
    """Whether a click on a card would let it go: not where a program clicked by itself before."""
    by_itself = any(each.answer in BY_PROGRAM for each in wish.cards)
    return suffices("chat", wish.grade_needed) and not by_itself


def preview_of(
    order: Order, doubts: Sequence[Doubt], needed: Grade, verdict: "PolicyVerdict | None"
) -> Preview:
    """What a refund of this order shows a person now."""
    shown = json.dumps(
        [
            payment_fingerprint(order),
            [doubt.shown for doubt in doubts],
            *([] if verdict is None else [[verdict.digest, *verdict.rules, *verdict.numbers]]),
        ]
    )
    return Preview(shown, needed, order.sandbox)


def question(
    wish: Wish,
    order: Order,
    doubts: Sequence[Doubt],
    number: int,
    *,
    verdict: "PolicyVerdict | None",
    store: str,
    customer: str | None,
    reason: str,
) -> Question:
    """What to ask a person about a refund: the money and the warnings first, the words of others last.

    Args:
        wish: The refund.
        order: The order as it was read for it.
        doubts: What nobody but a person may decide about.
        number: Of the question.
        verdict: What the merchant's refund policy says of it; None where there is none.
        store: Which store this is.
        customer: Who gets the money, shown as the merchant wants it.
        reason: Why, shown so too.
    """
    left = order.refundable_in_cents or 0
    lines = [
        f"Refund {display(wish.amount_in_cents)} on order {order.id}? Money cannot be called back.",
        f"The order's total is {display(order.total_in_cents)}; {display(left)} can be refunded, and "
        f"{display(left - wish.amount_in_cents)} would be left.",
        *warnings(wish, order, doubts, verdict),
    ]
    lines += [
        f"Store: {store}",
        f"Customer: {quoted(customer or 'not known')}",
        f"Items: {'; '.join(item_lines(order)) or 'not known'}",
        f"Reason given: {quoted(reason, 500)}",
        f"Refund id: {wish.refund_id}, revision {wish.revision}",
    ]
    return Question(
        wish.refund_id,
        "\n".join(lines),
        yes="Send this refund",
        choice="Yes sends the money now. No sends nothing.",
        number=number,
        revision=wish.revision,
        needs=wish.grade_needed,
    )


def warnings(
    wish: Wish, order: Order, doubts: Sequence[Doubt], verdict: "PolicyVerdict | None"
) -> list[str]:
    """What whoever decides has to hear of beside the amounts, a sentence each.

    Args:
        wish: The refund.
        order: The order as it was read for it.
        doubts: What nobody but a person may decide about.
        verdict: What the merchant's refund policy says of it; None where there is none.
    """
    lines = [
        *(verdict.shown if verdict is not None else ()),
        *dict.fromkeys(warning_about(doubt) for doubt in doubts),
    ]
    if wish.in_addition_to:
        count = len(wish.in_addition_to)
        earlier = (
            "1 earlier attempt or refund" if count == 1 else f"{count} earlier attempts or refunds"
        )
        lines.append(
            f"This would be another after {earlier} of this amount: {_some(wish.in_addition_to)}."
        )
    if order.refunds:
        amounts = [display(refund.amount_in_cents) for refund in order.refunds]
        lines.append(f"Refunded before: {_some(amounts)}.")
    return lines


def warning_about(doubt: Doubt) -> str:
    """What whoever decides has to hear of something doubtful on the order."""
    amount = display(doubt.amount_in_cents)
    if doubt.kind == "declined":
        although = ", when it had been sent" if doubt.was_sent else ""
        return f"A person declined {amount} on this order in the last 24 hours{although}."
    if doubt.kind == "not_recorded":
        return (
            f"An attempt of {amount} isn't on the order, and could still show: then both are paid."
        )
    if doubt.kind == "refused":
        return (
            f"Clawver refused {amount} on this order a moment ago. That request could still take effect: "
            "then both are paid."
        )
    if doubt.kind == "resolved":
        return (
            f"A person said what became of an attempt of {amount}, because the order doesn't tell."
        )
    return (
        "The refund ledger on this machine is an older copy of itself: a refund that it doesn't know of "
        "may be on its way."
    )


def item_lines(order: Order) -> list[str]:
    """The items in a few words, with the words of others in quotes; the first ten, and how many more there are."""
    items = order.items or ()
    lines = [_item_line(item) for item in items[:MOST_ITEMS]]
    more = max(0, len(items) - MOST_ITEMS) + order.unread_items
    return [*lines, f"and {more} more"] if more else lines


def _item_line(item: Item) -> str:
    variant = f" ({quoted(item.variant_name)})" if item.variant_name else ""
    return f"{item.pieces} x {quoted(item.name)}{variant}"


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_ITEMS} more" if len(words) > MOST_ITEMS else ""
    return f"{', '.join(words[:MOST_ITEMS])}{more}"


def quoted(text: str, longest: int = 80) -> str:
    """A text of somebody else: on one line, short, and marked as theirs."""
    line = " ".join(text.split()).replace('"', "'")
    return f'"{line if len(line) <= longest else line[: longest - 1] + "…"}"'
