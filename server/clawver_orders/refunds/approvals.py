"""Who has to approve a refund, what they are asked, and how the asking stands. No I/O."""

import json
from collections.abc import Sequence
from enum import Enum
from typing import Literal

from clawver_orders.caller import ANSWER_WITHIN_SECONDS, Grade, Question, Reply
from clawver_orders.clawver.models import Item, Order
from clawver_orders.instants import Instant, seconds_at_most
from clawver_orders.money import display
from clawver_orders.refunds.matching import Doubt, payment_of
from clawver_orders.refunds.records import Preview, Wish

Mode = Literal["ask", "human", "off"]
"""`CLAWVER_REFUND_APPROVAL`."""
MOST_ITEMS = 10
"""How many of an order's items a person is shown."""
BY_SETTING = "setting off"
BY_AGENT = "agent by confirm_refund"
"""Who approved, where no person did."""


class Asking(Enum):
    """How the asking about a wish stands."""

    POSSIBLE = "possible"
    OPEN = "open"
    """A question was put a moment ago, and its answer may still come."""
    COULD_NOT_ASK = "could not ask"
    """Nobody was asked: the program said that it could, and then that it could not."""
    UNANSWERED = "unanswered"
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


def grade_needed(mode: Mode, doubts: Sequence[Doubt]) -> Grade:
    """The lowest grade of approval that suffices.

    Args:
        mode: What the merchant set.
        doubts: What nobody but a person may decide about.
    """
    if mode == "off":
        return "setting"
    return "chat" if mode == "human" or doubts else "agent"


def preview_of(order: Order, doubts: Sequence[Doubt], needed: Grade) -> Preview:
    """What a refund of this order shows a person now."""
    shown = json.dumps([payment_of(order), [doubt.shown for doubt in doubts]])
    return Preview(shown, needed, order.sandbox)


def question(
    wish: Wish,
    order: Order,
    doubts: Sequence[Doubt],
    number: int,
    *,
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
        store: Which store this is.
        customer: Who gets the money, shown as the merchant wants it.
        reason: Why, shown so too.
    """
    left = order.refundable_in_cents or 0
    lines = [
        f"Refund {display(wish.amount_in_cents)} on order {order.id}? Money cannot be called back.",
        f"The order's total is {display(order.total_in_cents)}; {display(left)} can be refunded, and "
        f"{display(left - wish.amount_in_cents)} would be left.",
        *dict.fromkeys(_warning(doubt) for doubt in doubts),
    ]
    if wish.in_addition_to:
        count = len(wish.in_addition_to)
        earlier = (
            "1 earlier attempt or refund" if count == 1 else f"{count} earlier attempts or refunds"
        )
        lines.append(
            f"This one comes on top of {earlier} of this very amount: {_some(wish.in_addition_to)}."
        )
    if order.refunds:
        amounts = [display(refund.amount_in_cents) for refund in order.refunds]
        lines.append(f"Refunded before: {_some(amounts)}.")
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
    )


def _warning(doubt: Doubt) -> str:
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
