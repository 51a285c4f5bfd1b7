"""What a terminal shows: tables that fit its width, and colour where it is wanted. All of rich is here.

rich decides about colour: it goes by NO_COLOR, FORCE_COLOR, TERM and whether stdout is a terminal.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clawver_orders.text import clean

GAP = 2
"""Between two columns."""
INDENT = 2
LONGEST_TEXT = 100_000
"""What is longer is cut, with a mark."""
_STYLES = {
    "ok": "green",
    "refunded": "green",
    "accepted": "green",
    "BAD": "bold red",
    "refused": "red",
    "unknown": "bold yellow",
    "sending": "bold yellow",
    "not_recorded": "yellow",
    "waiting": "cyan",
    "needs_approval": "cyan",
}
"""How a cell is drawn that holds nothing but one of these words."""


class Drawing:
    """Draws for stdout.

    Args:
        width: How many columns it may take; those of the terminal when left out.
    """

    def __init__(self, width: int | None = None) -> None:
        self._console = Console(width=width, highlight=False, markup=False, emoji=False)

    @property
    def is_wanted(self) -> bool:
        """Whether stdout is a terminal, or FORCE_COLOR says to take it for one."""
        return self._console.is_terminal

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """Rows below their headings; where the width is too small for that, one row below the other.

        Args:
            headings: One for each column.
            rows: As many cells in each as there are headings.
        """
        return self._drawn(_table(headings, rows, self._console.width))

    def pairs(self, pairs: Iterable[tuple[str, str]]) -> str:
        """Names and their values, each pair on a line of its own."""
        return self._drawn(_pairs(pairs))

    def heading(self, line: str) -> str:
        """A line above what it is about."""
        return self._drawn(_text(line, "bold"))

    def answer(self, answer: Mapping[str, Any]) -> str:
        """A tool's answer, whatever is in it."""
        return self._drawn(_mapping(answer, (), self._console.width))

    def _drawn(self, what: RenderableType) -> str:
        with self._console.capture() as captured:
            self._console.print(what)
        lines = captured.get().splitlines()
        return "\n".join(line.rstrip() for line in lines)


def _text(value: str, style: str = "") -> Text:
    """A text as it is: whatever brackets or control characters it brings along do nothing."""
    return Text(clean(value, LONGEST_TEXT, lines=True), _STYLES.get(value, style), overflow="fold")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    columns = [each for each in zip(headings, *rows, strict=True) if any(each[1:])]
    headings, *rows = zip(*columns, strict=True)
    widths = _widths(columns, width)
    if widths is None:
        return Group(*_apart([_pairs(zip(headings, row, strict=True)) for row in rows]))
    drawn = Table(
        box=None,
        pad_edge=False,
        padding=(0, GAP // 2),
        header_style="bold",
        show_header=any(headings),
    )
    for heading, each in zip(headings, widths, strict=True):
        drawn.add_column(heading, width=each, overflow="fold")
    for row in rows:
        drawn.add_row(*map(_text, row))
    return drawn


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """How wide each column is, so that no word is broken; None where there is no room for that."""
    least = [max(map(_longest_word, column)) for column in columns]
    most = [max(map(cell_len, column)) for column in columns]
    spare = width - GAP * (len(columns) - 1) - sum(least)
    if spare < 0:
        return None
    widths = [*least]
    by_need = sorted(range(len(columns)), key=lambda place: most[place] - least[place])
    for taken, place in enumerate(by_need):
        more = min(most[place] - least[place], spare // (len(columns) - taken))
        widths[place] += more
        spare -= more
    return widths


def _longest_word(cell: str) -> int:
    return max(map(cell_len, cell.split()), default=0)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, GAP))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            grid.add_row(name, _text(value))
    return grid


def _mapping(given: Mapping[str, Any], columns: Sequence[str], width: int) -> RenderableType:
    """The simple values first, then each list and each part that has some of its own."""
    columns = given.get("columns", columns)
    simple: list[tuple[str, str]] = []
    parts: list[RenderableType] = []
    for name, value in given.items():
        if name == "columns":
            continue
        inner = _inner(value, columns, width - INDENT)
        if inner is None:
            simple.append((name, _plain(value)))
        else:
            parts.append(Group(_text(name, "bold"), Padding(inner, (0, 0, 0, INDENT))))
    return Group(*_apart([_pairs(simple), *parts] if simple else parts))


def _inner(value: Any, columns: Sequence[str], width: int) -> RenderableType | None:
    """What is drawn below a name; None for what is drawn beside it."""
    if isinstance(value, Mapping):
        return _mapping(value, columns, width)
    if not isinstance(value, list) or not value or isinstance(value[0], str):
        return None
    if isinstance(value[0], Mapping):
        return Group(*_apart([_mapping(each, columns, width) for each in value]))
    headings = columns if len(columns) == len(value[0]) else [""] * len(value[0])
    return _table(headings, value, width)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(_plain, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _apart(parts: Sequence[RenderableType]) -> list[RenderableType]:
    """The same with an empty line between them."""
    return [each for part in parts for each in ("", part)][1:]
