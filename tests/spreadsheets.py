"""A real spreadsheet, which reads a CSV file as spreadsheets do: what looks like a formula is one.

It is Gnumeric, whose `ssconvert` needs no screen and takes a second. Debian has it in 19 MB, and
LibreOffice in 90; Python's libraries read what stands in a cell and never take it for a formula.
"""

import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.cli.test_main import keyless

SSCONVERT = shutil.which("ssconvert")
needs_spreadsheet = pytest.mark.skipif(
    SSCONVERT is None, reason="there is no Gnumeric on this machine"
)


def cells(path: Path, folder: Path) -> list[list[tuple[str, bool]]]:
    """What a spreadsheet makes of a file, by row: each cell, and whether it is a formula to it."""
    assert SSCONVERT is not None
    read = folder / f"{path.stem}.xml"
    words = [SSCONVERT, "--export-type=Gnumeric_XmlIO:sax:0", str(path), str(read)]
    subprocess.run(
        words, check=True, capture_output=True, timeout=60, env=keyless() | {"HOME": str(folder)}
    )
    found: dict[int, list[tuple[str, bool]]] = {}
    for each in ET.parse(read).iter("{http://www.gnumeric.org/v10.dtd}Cell"):  # noqa: S314  # of a program of this machine
        found.setdefault(int(each.attrib["Row"]), []).append(
            (each.text or "", "ValueType" not in each.attrib)
        )
    return [found[row] for row in sorted(found)]
