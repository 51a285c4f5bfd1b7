"""Who calls, and how a person is asked through it. No protocol: whoever calls does the asking."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Literal, Protocol, get_args

Grade = Literal["setting", "agent", "chat", "console", "pin"]
"""What an approval proves, from the least to the most: a setting of the merchant's; a program said
so; a person, as their host reports it; somebody at this machine; a person who knows the PIN.
"""

GRADES: tuple[Grade, ...] = get_args(Grade)
"""From what proves least to what proves most."""
Verdict = Literal["approve", "decline"]
LIFETIME = timedelta(minutes=15)
"""How long a preview or a form can be approved by whoever was shown it."""
WAITS = timedelta(hours=72)
"""How long something waits for a person who decides in a terminal or on the page."""
DECLINES_COUNT = timedelta(hours=24)
"""How long a person's decline keeps the same from being asked about again."""
ANSWER_WITHIN_SECONDS = 120.0
"""How long an open question keeps an agent from going on without an answer."""


def suffices(grade: Grade, needed: Grade) -> bool:
    """Whether an approval of a grade is one where another grade is needed."""
    return GRADES.index(grade) >= GRADES.index(needed)


@dataclass(frozen=True)
class Approval:
    """An approval: what it is worth, and whose it is.

    Args:
        grade: What it proves.
        channel: Through what it came.
        who: Who gave it.
        policy: The digest of the refund policy that held then; nothing where there was none.
    """

    grade: Grade
    channel: str
    who: str
    policy: str = ""


A_PERSON_TAKES_SECONDS = 1.0
"""Nobody reads a question and answers it sooner than this: then the program answered by itself."""


class Reply(Enum):
    """What came back when a person was asked."""

    YES = "yes"
    NO = "no"
    HOST_YES = "yes of the program itself"
    """It came too soon for a person: worth an agent's word, and no more."""
    HOST_NO = "no of the program itself"
    """Anything but an approval, too soon for a person: nobody declined anything."""
    DISMISSED = "dismissed"
    """Dismissed without a choice."""
    UNCLEAR = "unclear"
    """Answered with something that neither approves nor declines."""
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


BY_PERSON = frozenset({Reply.YES, Reply.NO, Reply.DISMISSED})
"""Answers for which somebody did something."""
BY_PROGRAM = frozenset({Reply.HOST_YES, Reply.HOST_NO})
"""Answers that the program gave by itself."""


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Args:
        about: What an approval lets go: the intent of a refund, or the tool that waits.
        text: All that they need to decide, in lines.
        yes: What approving does, as the caption of a button.
        choice: What approving does, and what declining.
        number: Which one it is, where the same may be asked again.
        revision: Which revision of it was shown; 0 where it has none.
        needs: The lowest grade of approval that suffices.
    """

    about: str
    text: str
    yes: str
    choice: str
    number: int
    revision: int = 0
    needs: Grade = "agent"


class PageOpener(Protocol):
    """A program that can show a person an address to open. What they do there, it never tells."""

    @property
    def opened(self) -> str | None:
        """What the page was about that it was asked to open in an earlier round of this call."""

    @property
    def did_open(self) -> bool:
        """Whether it says that it did."""

    async def open(self, about: str, text: str, url: str) -> bool:
        """Have the person open a page. It may also leave, to come back in another round.

        Args:
            about: What is decided there.
            text: Why, in a sentence.
            url: The page. It carries no secret and nothing about a customer.

        Returns:
            Whether the program says that it was opened: no more than that, and no approval.
        """

    async def close(self) -> None:
        """Say that the page that was opened isn't waited for any more."""


class Caller(Protocol):
    """The program that called, and whether a person can be asked through it."""

    @property
    def opener(self) -> PageOpener | None:
        """The program, where it can show an address; None where it can't."""

    @property
    def card(self) -> dict[str, object] | None:
        """What goes to a card in the chat beside the answer, and never to a model: a tool adds to it.

        None where the program shows no cards.
        """

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
    def grade(self) -> Grade:
        """What a person's approval through it is worth."""

    @property
    def channel(self) -> str:
        """How a person is asked through it, as the ledger keeps it."""

    @property
    def answered(self) -> str | None:
        """What the question was about to which the call brought an answer along."""

    @property
    def answered_number(self) -> int:
        """The number of that question; 0 where there is none, or it is not known."""

    @property
    def answered_revision(self) -> int:
        """The revision that it was about; 0 where there is none."""

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
    opener: PageOpener | None = None
    card: dict[str, object] | None = None
    person: str = ""
    grade: Grade = "agent"
    channel: str = "confirm_refund"
    answered: str | None = None
    answered_number: int = 0
    answered_revision: int = 0
    answered_after_seconds: float = 0.0

    def reply_to(self, about: str) -> Reply | None:  # noqa: ARG002  # the protocol's
        """Nothing."""
        return None

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002  # the protocol's
        """Nobody is there."""
        return Reply.FAILED

    async def progress(self, done: int, total: int) -> None:
        """Nobody wants to know."""
