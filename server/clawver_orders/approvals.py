"""Who may say yes, and what they are asked. No protocol: whoever calls does the asking."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from clawver_orders.models import Item, Order
from clawver_orders.money import display
from clawver_orders.state.ledger import LIFETIME, Event, Intent

ANSWER_WITHIN_SECONDS = 120.0
"""How long an open question keeps an agent from going on without an answer."""

ASKED = "asked"
ANSWERED = "answered"
SHOWN = "shown"
"""Its preview went to whoever called, after a question that nobody answered with yes or no."""

A_PERSON_TAKES_SECONDS = 1.0
"""Nobody reads a question and answers it sooner than this: then the program answered by itself."""


class Reply(Enum):
    """What came back when a person was asked."""

    YES = "yes"
    NO = "no"
    HOST_YES = "yes of the program itself"
    """It came too soon for a person: worth an agent's word, and no more."""
    HOST_NO = "no of the program itself"
    """Anything but a yes that came too soon for a person: nobody declined anything."""
    DISMISSED = "dismissed"
    """Put aside without a choice."""
    UNCLEAR = "unclear"
    """Answered with something that is neither a yes nor a no."""
    SILENT = "silent"
    """Nobody answered in time."""
    FAILED = "failed"
    """The program that should have asked said that it could not."""

    def after(self, seconds: float) -> "Reply":
        """What this answer is worth when it took so long.

        Args:
            seconds: From the question to the answer.
        """
        if seconds >= A_PERSON_TAKES_SECONDS or self in {Reply.SILENT, Reply.FAILED}:
            return self
        return Reply.HOST_YES if self is Reply.YES else Reply.HOST_NO


BY_PROGRAM = frozenset({Reply.HOST_YES, Reply.HOST_NO})
"""Answers that the program gave by itself."""
BY_PERSON = frozenset({Reply.YES, Reply.NO, Reply.DISMISSED})
"""Answers for which somebody did something."""


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Args:
        about: What a yes lets go: the intent of a refund, or the tool that waits.
        text: All that they need to decide, in lines.
        yes: What a yes does, as the caption of a button.
        choice: What a yes does, and what a no.
        number: Which one it is, where the same may be asked again.
    """

    about: str
    text: str
    yes: str
    choice: str
    number: int


class Caller(Protocol):
    """The program that called, and whether a person can be asked through it."""

    @property
    def client(self) -> str:
        """Its name and version, cleaned; for the trail only."""

    @property
    def is_person(self) -> bool:
        """Whether a person is at its other end who decides, whatever the settings say."""

    @property
    def can_ask(self) -> bool:
        """Whether it says that it can put a question to a person."""

    @property
    def person(self) -> str:
        """How a person's word through it is written down."""

    @property
    def answered(self) -> str | None:
        """What the question was about to which the call brought an answer along."""

    @property
    def answered_number(self) -> int:
        """The number of that question; 0 where there is none, or it is not known."""

    @property
    def answered_after_seconds(self) -> float:
        """How long the last answer took, from its question on; 0 where nothing was answered."""

    def reply_to(self, about: str) -> Reply | None:
        """The answer to a question of an earlier round, where the call brought one along."""

    async def ask(self, question: Question) -> Reply:
        """Put the question to the person. It may also leave, to come back with a reply in hand."""

    async def progress(self, done: int, total: int) -> None:
        """Say how far a long call has come, where somebody wants to know."""


@dataclass(frozen=True)
class Script:
    """A caller through which nobody can be asked: a shell, a framework."""

    client: str = "command line"
    is_person: bool = False
    can_ask: bool = False
    person: str = ""
    answered: str | None = None
    answered_number: int = 0
    answered_after_seconds: float = 0.0

    def reply_to(self, about: str) -> Reply | None:  # noqa: ARG002  # the protocol's
        """Nothing."""
        return None

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002  # the protocol's
        """Nobody is there."""
        return Reply.FAILED

    async def progress(self, done: int, total: int) -> None:
        """Nobody wants to know."""


class Asking(Enum):
    """How the asking for an intent stands."""

    POSSIBLE = "possible"
    OPEN = "open"
    """A question was put a moment ago, and its answer may still come."""
    IN_VAIN = "in vain"
    """Nobody was asked: the program said that it could, and then that it could not."""
    UNANSWERED = "unanswered"
    """A person was asked, and said neither yes nor no; whoever goes on has not seen the preview."""


def asking(history: tuple[Event, ...], seconds_since_asked: float) -> Asking:
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


def answered_by_program(history: Sequence[Event], number: int | None = None) -> bool:
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
    return f"{item.quantity} x {_quoted(item.product_name)}{variant}"


def _quoted(text: str, longest: int = 80) -> str:
    """A text of somebody else: on one line, short, and marked as theirs."""
    line = " ".join(text.split()).replace('"', "'")
    return f'"{line if len(line) <= longest else line[: longest - 1] + "…"}"'
