"""What a command prints: a drawing on a terminal, plain lines in a pipe, JSON where that is asked for.

JSON and plain lines are the same everywhere, so that programs can read them: they have no colour and
are not fitted to any width.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clawver_orders.cli.options import hide_progress, say
from clawver_orders.cli.tables import table

if TYPE_CHECKING:
    from clawver_orders.cli.drawing import Drawing

Function = TypeVar("Function", bound=Callable[..., Any])
_DOUBTFUL = re.compile(r"[^\n\x20-\x7e]")


def output_options(command: Function) -> Function:
    """`--json` and `--pretty`, which the command gets as `form`: the argument of `Output`."""
    for name, about in (
        ("pretty", "Print JSON, indented."),
        ("json", "Print JSON on one line, for programs."),
    ):
        command = click.option(f"--{name}", "form", flag_value=name, help=about)(command)
    return command


class Output:
    """The output of one command.

    Args:
        form: `json`, `pretty`, or None for what people read.
    """

    def __init__(self, form: str | None) -> None:
        self._form = form

    @property
    def is_json(self) -> bool:
        """Whether JSON is asked for: then nothing else is on stdout."""
        return self._form is not None

    @property
    def draws(self) -> bool:
        """Whether people look at it: on a terminal."""
        return not self.is_json and self._drawing.is_wanted

    def document(self, value: object) -> None:
        """Print a value as JSON."""
        echo(encoded(value, indented=self._form == "pretty"))

    def say(self, text: str) -> None:
        """Print a text for people; it goes to stderr where stdout has JSON."""
        say(text, err=self.is_json)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table.

        Args:
            headings: One for each column.
            rows: As many cells in each as there are headings.
        """
        if self.draws:
            echo(self._drawing.table(headings, rows))
        else:
            echo("\n".join(table(headings, rows)))

    def pairs(self, pairs: Mapping[str, str]) -> None:
        """Print values with their names; those that are empty are left out."""
        if self.draws:
            echo(self._drawing.pairs(pairs.items()))
        else:
            echo("\n".join(f"{name}: {value}" for name, value in pairs.items() if value))

    def heading(self, line: str) -> None:
        """Print a line above what it is about."""
        echo(self._drawing.heading(line) if self.draws else line)

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Print a tool's answer: drawn, where it is not to be JSON."""
        if self.is_json:
            self.document(answer)
        else:
            echo(self._drawing.answer(answer))

    @cached_property
    def _drawing(self) -> "Drawing":
        from clawver_orders.cli.drawing import Drawing

        return Drawing()


def echo(text: str) -> None:
    """Print lines on stdout as they are."""
    hide_progress()
    click.echo(text, color=True)  # what is drawn has colour only where it is wanted


def encoded(value: object, *, indented: bool = False) -> str:
    """A value as JSON, in which a terminal obeys nothing: what cannot be seen is escaped.

    Args:
        value: Anything that JSON can hold.
        indented: Whether it takes several lines.
    """
    from clawver_orders.text import is_written

    text = (
        json.dumps(value, ensure_ascii=False, indent=2)
        if indented
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    )
    return _DOUBTFUL.sub(
        lambda found: found[0] if is_written(found[0]) else json.dumps(found[0])[1:-1], text
    )
