"""Rows as the lines of a file: CSV for spreadsheets, or JSON for programs. No I/O.

A spreadsheet takes a cell for a formula that begins with `=` and its like, and what customers wrote may
begin so. CSV cannot say that a cell is text, so an apostrophe stands in front of it there.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal

Format = Literal["csv", "jsonl"]
ItemPart = Mapping[str, str | int | None]
Cell = str | int | bool | None | Sequence[ItemPart]
SheetRow = Mapping[str, Cell]
BOM = b"\xef\xbb\xbf"
"""How Excel knows that a file is UTF-8."""
# A cell begins at its beginning; and behind a semicolon, because Excel splits there in many countries,
# whatever quotes say. Spaces and quotes in front do not keep every spreadsheet from calculating.
_FORMULA = re.compile(
    "(^|;)(?=[\\s\"'`\u2018\u2019\u201c\u201d\u200b\ufeff]*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20\u2212])"
)


def heading(columns: Sequence[str], form: Format) -> bytes:
    """What comes before the rows: the names of the columns in CSV, and nothing in JSON."""
    return _csv(columns) if form == "csv" else b""


def line(row: SheetRow, form: Format) -> bytes:
    """One row, with the end of its line.

    Args:
        row: The values by column. What is a list has no cell in CSV.
        form: `csv` or `jsonl`.
    """
    if form == "csv":
        return _csv([_cell(value) for value in row.values()])
    return f"{json.dumps(row, ensure_ascii=False, separators=(',', ':'))}\n".encode()


def without_formula(text: str) -> str:
    """A text that no spreadsheet calculates when it opens a CSV file with it."""
    return _FORMULA.sub(r"\1'", text)


def _cell(value: Cell) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return without_formula(value) if isinstance(value, str) else ""


def _csv(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
