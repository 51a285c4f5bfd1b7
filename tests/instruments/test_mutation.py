"""The table of files and tests keeps up with the code, and there is something to break in each."""

import pytest
from tests.instruments.mutation import PACKAGE, ROOT, TESTS, mutants

WITHOUT_RULES = {"__init__.py", "case.py"}
"""What only names things."""


def test_every_file_that_guards_money_has_its_tests() -> None:
    folders = [ROOT / PACKAGE / name for name in ("refunds", "storage")]
    files = {file for folder in folders for file in folder.glob("*.py")}
    known = {file.relative_to(ROOT / PACKAGE).as_posix() for file in files}

    assert {file for file in known if file.split("/")[1] not in WITHOUT_RULES} <= TESTS.keys()
    for file, tests in TESTS.items():
        assert (ROOT / PACKAGE / file).is_file()
        assert [test for test in tests if not (ROOT / test).is_file()] == []


@pytest.mark.parametrize("file", ["instants.py", "refunds/ledger_schema.py"])
def test_rules_are_broken_one_at_a_time(file: str) -> None:
    broken = mutants(file)

    assert len(broken) > 20
    assert len({each.key for each in broken}) == len(broken)
    for each in broken:
        compile(each.source, file, "exec")
