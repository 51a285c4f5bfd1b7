"""Who calls, and how a person is asked through it. No protocol: whoever calls does the asking."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

Grade = Literal["setting", "agent", "chat", "console", "pin"]
"""What an approval proves, from the least to the most: a setting of the merchant's; a program said
so; a person, as their host reports it; somebody at this machine; a person who knows the PIN.
"""

ANSWER_WITHIN_SECONDS = 120.0
"""How long an open question keeps an agent from going on without an answer."""


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


BY_PERSON = frozenset({Reply.YES, Reply.NO, Reply.DISMISSED})
"""Answers for which somebody did something."""
BY_PROGRAM = frozenset({Reply.HOST_YES, Reply.HOST_NO})
"""Answers that the program gave by itself."""


@dataclass(frozen=True)
class Question:
    """What a person is asked.

    Args:
        about: What a yes lets go: the intent of a refund, or the tool that waits.
        text: All that they need to decide, in lines.
        yes: What a yes does, as the caption of a button.
        choice: What a yes does, and what a no.
        number: Which one it is, where the same may be asked again.
        revision: Which revision of it was shown; 0 where it has none.
    """

    about: str
    text: str
    yes: str
    choice: str
    number: int
    revision: int = 0


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
    def grade(self) -> Grade:
        """What a person's yes through it is worth."""

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
