"""Rows as lines: what a spreadsheet reads of them, and what it must not calculate."""

import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.reports.sheet import Format, SheetRow, heading, line, without_formula

STARTS = [*"=+-@\t\r\uff1d\uff0b\uff0d\uff20\u2212"]
LEADS = ["", " ", '"', "'", ' "', "\u00a0", "\u201c ", "a;", 'a; "']


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("lead", LEADS)
def test_what_a_spreadsheet_would_calculate_has_an_apostrophe_in_front(
    start: str, lead: str
) -> None:
    kept, semicolon, rest = lead.rpartition(";")

    cell = without_formula(f"{lead}{start}HYPERLINK(1)")

    assert cell == f"{kept}{semicolon}'{rest}{start}HYPERLINK(1)"


@pytest.mark.parametrize("text", ["Ada-Lovelace", "a=b", "ada@example.com", "2× Mug; Tee", "", " "])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_formula(text) == text


@given(cells=st.lists(st.text() | st.text("=+-@;\"' \t\r\na1"), min_size=1, max_size=4))
def test_no_cell_begins_a_formula_however_its_line_is_split(cells: list[str]) -> None:
    text = line({str(n): cell for n, cell in enumerate(cells)}, "csv").decode(
        "utf-8", "surrogatepass"
    )

    (read,) = csv.reader(io.StringIO(text, newline=""))
    assert [without_formula(each) for each in cells] == read
    for part in (part for cell in read for part in cell.split(";")):
        assert not re.match(r"""[\s"'`]*[=+\-@\t\r]""", part) or part.startswith("'")


def test_values_are_told_apart() -> None:
    row: SheetRow = {
        "text": "-1",
        "number": -1,
        "yes": True,
        "no": False,
        "none": None,
        "list": [{}],
    }

    assert line(row, "csv") == b"'-1,-1,true,false,,\r\n"
    assert json.loads(line(row, "jsonl")) == row


@pytest.mark.parametrize(("form", "begins"), [("csv", b"a,b\r\n"), ("jsonl", b"")])
def test_csv_begins_with_its_columns(form: Format, begins: bytes) -> None:
    assert heading(("a", "b"), form) == begins


def test_a_document_is_on_one_line_in_the_letters_it_has() -> None:
    assert line({"name": "王\n伟"}, "jsonl") == '{"name":"王\\n伟"}\n'.encode()
