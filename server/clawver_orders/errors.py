"""What can go wrong, named after what to do next.

ClawverError
├── SetupError             a person must change the configuration
│   └── SeveralStoresError name the store
├── InvalidRequestError    change the arguments
├── NotFoundError          look the id up
├── RefusedError           Clawver said no, and will say no again
│   └── DeclinedError      a person said no: only they can begin again
├── RateLimitedError       wait, then repeat the same call
├── UnreachableError       nothing changed: repeating is safe
├── OutcomeUnknownError    it may have happened: look, do not repeat
└── UnexpectedAnswerError  Clawver sent what cannot be read

Every sentence is ours: no text from the network or from a customer stands in one, because an
agent may obey what an error says. Ids and numbers do, after they passed their checks.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_MONEY_MOVED = "No money was moved"
NOTHING_SENT = "Nothing was sent"
"""Facts that a reader has to know before anything else."""


class ClawverError(Exception):
    """Something that an agent or a person can act on.

    Args:
        happened: What happened and what did not, as one or more sentences; after a fact, why.
        next_step: What to do about it: a tool with its values, a setting, or a wait.
        fact: What comes before anything else, such as `NO_MONEY_MOVED`.
    """

    def __init__(self, happened: str, *, next_step: str, fact: str = "") -> None:
        self.fact = fact
        self.happened = f"{fact}: {happened}" if fact else happened
        self.next_step = next_step
        super().__init__(self.happened)

    def begin_with(self, fact: str) -> None:
        """Let a fact come before what is said already, where it does not yet."""
        if self.fact != fact:
            self.fact = fact
            self.happened = f"{fact}. {self.happened}"

    def __str__(self) -> str:
        return f"{self.happened} {self.next_step}"


class SetupError(ClawverError):
    """A person must change the configuration before this call can work."""


class SeveralStoresError(SetupError):
    """There are several stores, and which one is meant was not said.

    Args:
        happened: See `ClawverError`, as for the others.
        aliases: What the stores are called.
    """

    def __init__(
        self, happened: str, *, next_step: str, fact: str, aliases: "Sequence[str]"
    ) -> None:
        self.aliases = aliases
        super().__init__(happened, next_step=next_step, fact=fact)


class InvalidRequestError(ClawverError):
    """The arguments are wrong. Nothing was sent."""


class NotFoundError(ClawverError):
    """Clawver knows no such order, item, checkout, product or webhook."""


class RefusedError(ClawverError):
    """Clawver understood and said no. Nothing changed."""


class DeclinedError(RefusedError):
    """A person said no. Nothing changed."""


class RateLimitedError(ClawverError):
    """The request allowance is used up for now. Nothing changed.

    Args:
        seconds: How long to wait before the same call can work.
        happened: See `ClawverError`.
    """

    def __init__(
        self, seconds: int, *, happened: str = "Clawver's request limit is reached."
    ) -> None:
        self.seconds = seconds
        super().__init__(
            f"{happened} Nothing was changed.",
            next_step=f"Wait {seconds} seconds, then repeat the same call.",
        )


class UnreachableError(ClawverError):
    """Clawver did not answer, and nothing changed: repeating is safe."""


class OutcomeUnknownError(ClawverError):
    """A writing request left this machine and its result is not known: look, do not repeat."""


class UnexpectedAnswerError(ClawverError):
    """Clawver answered with something that cannot be read or does not belong to the question."""
