"""Tables and times in a terminal."""

from collections.abc import Sequence
from datetime import datetime


def when(moment: datetime) -> str:
    """A time to the second, as it is; headings say that it is UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def row(cells: Sequence[str]) -> str:
    """One line of cells that are not lined up."""
    return "  ".join(cells)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with the cells below their headings.

    Args:
        headings: One for each column.
        rows: As many cells in each as there are headings.
    """
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        row([cell.ljust(width) for cell, width in zip(line, widths, strict=True)]).rstrip()
        for line in lines
    ]
