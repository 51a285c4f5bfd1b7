"""A person's decision on the page: about what they saw, and nothing else."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from clawver_orders import __version__
from clawver_orders.caller import Grade, PageOpener, Question, Reply, suffices
from clawver_orders.errors import ClawverError
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.settings import Settings
from clawver_orders.storage.pin import NEVER_IN_A_CHAT, Pin
from clawver_orders.web.sessions import Session

CLIENT = f"clawver-orders page {__version__}"
PERSON = "person on the page"
CHANNEL = "page"
Handler = Callable[[Request, Session, dict[str, str]], Awaitable[Response]]
"""Answers a request within a session; it is given the form too."""


class NotDoneError(Exception):
    """A request that gets a page which says why nothing was done.

    Args:
        status: The HTTP status.
        title: What happened, beginning with the money.
        text: Why, and what to do.
    """

    def __init__(self, status: int, title: str, text: str) -> None:
        self.status, self.title, self.text = status, title, text
        super().__init__(title)


def check_may_decide(settings: Settings) -> None:
    """Make sure that something may be decided here.

    Raises:
        NotDoneError: The page is read-only.
    """
    if settings.read_only:
        raise NotDoneError(
            403,
            "Nothing was done: this page is read-only",
            f"{settings.read_only_because}. {settings.read_only_remedy}",
        )


async def wrong_pin(pin: Pin, typed: str, needed: Grade) -> str:
    """What is wrong with the PIN that was typed, or with leaving it out; nothing where it is right.

    Args:
        pin: The store's.
        typed: What was typed; nothing, where it was left out.
        needed: The lowest grade of approval that suffices.
    """
    if not typed:
        return (
            ""
            if suffices("console", needed)
            else f"Type your PIN to approve this. {NEVER_IN_A_CHAT}"
        )
    try:
        await to_thread.run_sync(lambda: pin.check(typed, has_session=True))
    except ClawverError as error:
        return str(error)
    return ""


def number_in(text: str) -> int | None:
    """The whole number that a form or an address holds; None where it is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


@dataclass
class OnPage:
    """The person who decides, with the answer they gave to what the page showed.

    `refunds.desk` reads the order and asks; then this answer counts only if the question is about the very
    revision that the page showed. It leaves everything else unanswered.

    Args:
        ledger: To see what a question is about.
        refund_id: The refund that was shown.
        revision: Its revision then.
        says_yes: Whether they approved; otherwise they want to see what is current.
        is_less: Whether they approved less than what is wanted: that is another refund, of the same
            order, and what they saw has to hold for it too.
        grade: What their approval is worth.
    """

    ledger: Ledger
    refund_id: str
    revision: int
    says_yes: bool
    is_less: bool = False
    grade: Grade = "console"
    asked: list[Question] = field(default_factory=list)
    """What was asked."""
    agreed: bool = False
    """Whether the yes was given."""

    client: str = CLIENT
    person: str = PERSON
    channel: str = CHANNEL
    is_person: bool = True
    can_ask: bool = True
    opener: PageOpener | None = None
    card: dict[str, object] | None = None
    answered: str | None = None
    answered_number: int = 0
    answered_revision: int = 0
    answered_after_seconds: float = 0.0

    def reply_to(self, about: str) -> Reply | None:  # noqa: ARG002  # the protocol's
        """Nothing: the answer belongs to the question that is asked."""
        return None

    async def ask(self, question: Question) -> Reply:
        """Answer what the person has answered already; dismiss what they haven't seen."""
        self.asked.append(question)
        self.agreed = self.says_yes and await self._saw(question)
        return Reply.YES if self.agreed else Reply.DISMISSED

    async def progress(self, done: int, total: int) -> None:
        """The browser waits."""

    async def _saw(self, question: Question) -> bool:
        if not self.is_less:
            return (question.about, question.revision) == (self.refund_id, self.revision)
        whole, less = [await self.ledger.find(each) for each in (self.refund_id, question.about)]
        return (
            whole is not None
            and less is not None
            and (whole.status, whole.revision) == ("waiting", self.revision)
            and whole.shown == less.shown
        )
