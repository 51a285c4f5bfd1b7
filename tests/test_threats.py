"""Every check that the page of threats names is a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "tests" / "threats.md").read_text("utf-8")


def missing(checks: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the tests, each by its file and its name, that do not exist."""
    return checks - {
        (file, node.name)
        for file in {file for file, _ in checks}
        for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_each_threat_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| [A-Z]\d+ \|.*$", PAGE, re.MULTILINE)
    checks = [re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row) for row in rows]

    assert len(rows) > 20
    assert all(checks)
    assert missing({check for each in checks for check in each}) == set()
