"""The person at the terminal, who is shown what waits and decides; or a program in their place."""

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import say, show_progress, somebody_is_there

if TYPE_CHECKING:
    from clawver_orders.caller import Grade, PageOpener, Question, Reply
    from clawver_orders.storage.pin import Pin

PERSON = "person in the terminal"
PROGRAM = "program in the terminal"
"""Who decided, where nobody sits at the terminal, or `--yes` answered."""


def cleaned(_: click.Context, __: click.Parameter, value: str) -> str:
    """What was typed, without what a terminal would obey when it is said back."""
    from clawver_orders.text import clean

    return clean(value, 80)


@dataclass
class Terminal:
    """The caller who is the person; or a program, where nobody sits at the terminal."""

    client: str
    yes: bool
    pin: "Pin"
    on_stderr: bool = False
    """Whether questions go there, because stdout is for JSON."""
    knows_pin: bool = False
    """Whether they have typed it for this question."""
    is_person: bool = True
    can_ask: bool = True
    opener: "PageOpener | None" = None
    card: dict[str, object] | None = None
    channel: str = "terminal"
    answered: str | None = None
    answered_number: int = 0
    answered_revision: int = 0
    answered_after_seconds: float = 0.0

    @property
    def somebody_is_there(self) -> bool:
        """Whether a person decides here."""
        return not self.yes and somebody_is_there()

    @property
    def person(self) -> str:
        """Who decides here."""
        return PERSON if self.somebody_is_there else PROGRAM

    @property
    def grade(self) -> "Grade":
        """What an approval here is worth."""
        if not self.somebody_is_there:
            return "agent"
        return "pin" if self.knows_pin else "console"

    def reply_to(self, about: str) -> "Reply | None":  # noqa: ARG002  # the protocol's
        """Nothing: the person is asked each time."""
        return None

    async def progress(self, done: int, total: int) -> None:
        """Nothing here takes long."""

    async def ask(self, question: "Question") -> "Reply":
        """Show the question and read the answer, and the PIN where it takes one.

        Raises:
            ClawverError: There is no PIN, or too many were wrong. Nothing was sent.
        """
        from clawver_orders.caller import Reply

        say(question.text, err=self.on_stderr)
        needs_pin = question.needs == "pin" and self.somebody_is_there
        if needs_pin:
            self.pin.check_is_set()
        if not (self.yes or click.confirm(f"{question.yes}?", err=self.on_stderr)):
            return Reply.NO
        if needs_pin:
            self._type_pin()
            self.knows_pin = True
        # From here on Ctrl+C would stop nothing, and only hide what became of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        show_progress("Asking Clawver")
        return Reply.YES

    def _type_pin(self) -> None:
        """Ask for the PIN until it is right or locked."""
        from clawver_orders.storage.pin import NEVER_IN_A_CHAT, WrongPinError

        say(NEVER_IN_A_CHAT, err=self.on_stderr)
        while True:
            try:
                typed = click.prompt("PIN", hide_input=True, err=self.on_stderr)
                self.pin.check(typed, has_session=True)
            except WrongPinError as error:
                say(str(error), err=True)
            else:
                return


def client_of(command: str) -> str:
    """How a command is written down that somebody decides through."""
    from clawver_orders import __version__

    return f"clawver-orders {command} {__version__}"
