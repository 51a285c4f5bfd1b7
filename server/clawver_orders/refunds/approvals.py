"""Whether a person can be asked about a refund, and what they are asked."""

from collections.abc import Sequence
from enum import Enum

from clawver_orders.caller import ANSWER_WITHIN_SECONDS, BY_PROGRAM, Question, Reply
from clawver_orders.clawver.models import Item, Order
from clawver_orders.money import display
from clawver_orders.refunds.ledger import LIFETIME, Intent, LedgerEvent

ASKED = "asked"
ANSWERED = "answered"
SHOWN = "shown"
"""Its preview went to whoever called, after a question that nobody answered with yes or no."""


BY_PERSON = frozenset({Reply.YES, Reply.NO, Reply.DISMISSED})
"""Answers for which somebody did something."""


class Asking(Enum):
    """How the asking for an intent stands."""

    POSSIBLE = "possible"
    OPEN = "open"
    """A question was put a moment ago, and its answer may still come."""
    IN_VAIN = "in vain"
    """Nobody was asked: the program said that it could, and then that it could not."""
    UNANSWERED = "unanswered"
    """A person was asked, and said neither yes nor no; whoever goes on has not seen the preview."""


def asking(history: tuple[LedgerEvent, ...], seconds_since_asked: float) -> Asking:
    """How the asking stands, from the history of an intent.

    Args:
        history: Oldest first.
        seconds_since_asked: The age of the last question; less than nothing where a clock was set back.
    """
    said = [event for event in history if event.event in {ASKED, ANSWERED, SHOWN}]
    asked = [event for event in said if event.event == ASKED]
    if not asked or said[-1].event == SHOWN:
        return Asking.POSSIBLE
    answers = [event.detail for event in said if event.number > asked[-1].number]
    replies = [reply for reply, number in map(_answer, answers) if number in {0, asked[-1].number}]
    is_young = -LIFETIME.total_seconds() < seconds_since_asked < ANSWER_WITHIN_SECONDS
    if not replies and is_young:
        return Asking.OPEN
    return Asking.IN_VAIN if replies[-1:] == [Reply.FAILED.value] else Asking.UNANSWERED


def answer_detail(reply: Reply, number: int, seconds: float = 0.0) -> str:
    """How the history keeps an answer.

    Args:
        reply: What it was.
        number: To which question; 0 where that is not known.
        seconds: How long it took; kept where it shows that no person answered.
    """
    to = f"{reply.value} to question {number}" if number else reply.value
    return f"{to}, after {seconds:.3f} s" if reply in BY_PROGRAM else to


def answered_by_program(history: Sequence[LedgerEvent], number: int | None = None) -> bool:
    """Whether a program answered a question by itself. What it says to it later is no person's either.

    Args:
        history: Of the intent.
        number: Of the question; the last answer to any where it is left out.
    """
    answers = [_answer(event.detail) for event in history if event.event == ANSWERED]
    own = {reply.value for reply in BY_PROGRAM}
    if number is None:
        return bool(answers) and answers[-1][0] in own
    return any(reply in own for reply, to in answers if to == number)


def _answer(detail: str) -> tuple[str, int]:
    reply, _, number = detail.partition(", after ")[0].partition(" to question ")
    return reply, int(number or 0)


def question(
    intent: Intent,
    order: Order,
    doubts: Sequence[Intent],
    number: int,
    *,
    store: str,
    customer: str | None,
    reason: str,
) -> Question:
    """What to ask a person about a refund.

    Args:
        intent: The refund.
        order: The order as it was read for it.
        doubts: What nobody but a person may decide about: noes, and attempts that may still show.
        number: Where the history keeps that it is asked.
        store: Which store this is.
        customer: Who gets the money, shown as the merchant wants it.
        reason: Why, shown so too.
    """
    left = order.refundable_in_cents or 0
    lines = [
        f"Refund {display(intent.amount_in_cents)} on order {order.id}? Money cannot be called back.",
        f"Store: {store}",
        f"Customer: {_quoted(customer or 'not known')}",
        f"Items: {'; '.join(item_line(item) for item in order.items or ()) or 'not known'}",
        f"Reason given: {_quoted(reason, 500)}",
        f"The order's total is {display(order.total_in_cents)}; {display(left)} can be refunded, and "
        f"{display(left - intent.amount_in_cents)} would be left.",
    ]
    if order.refunds:
        earlier = ", ".join(display(refund.amount_in_cents) for refund in order.refunds)
        lines.append(f"Refunded before: {earlier}.")
    if intent.in_addition_to:
        lines.append(
            f"There were {len(intent.in_addition_to)} earlier attempts or refunds of this very amount: "
            f"{', '.join(intent.in_addition_to)}. This one comes on top."
        )
    lines += dict.fromkeys(
        f"An attempt of {display(doubt.amount_in_cents)} is not accounted for, and may still show."
        if doubt.state == "absent"
        else f"A person said no to {display(doubt.amount_in_cents)} on this order before{_although(doubt)}."
        for doubt in doubts
    )
    lines.append(f"Refund id: {intent.refund_id}")
    return Question(
        intent.refund_id,
        "\n".join(lines),
        yes="Send this refund",
        choice="Yes sends the money now. No sends nothing.",
        number=number,
    )


def _although(doubt: Intent) -> str:
    return (
        ", when it had been sent" if doubt.sent_at is not None and doubt.state != "failed" else ""
    )


def item_line(item: Item) -> str:
    """An item in a few words, with the words of others in quotes."""
    variant = f" ({_quoted(item.variant_name)})" if item.variant_name else ""
    return f"{item.pieces} x {_quoted(item.name)}{variant}"


def _quoted(text: str, longest: int = 80) -> str:
    """A text of somebody else: on one line, short, and marked as theirs."""
    line = " ".join(text.split()).replace('"', "'")
    return f'"{line if len(line) <= longest else line[: longest - 1] + "…"}"'
