"""There is something to break in what guards money, one thing at a time, and tests to try on it."""

import ast
from collections import defaultdict

import pytest
from tests.instruments.mutation import mutants
from tests.instruments.reach import AT_IMPORT, PACKAGE, ROOT, Reach, name_of


@pytest.mark.parametrize("file", ["instants.py", "refunds/ledger_schema.py"])
def test_rules_are_broken_one_at_a_time(file: str) -> None:
    broken = mutants(file)

    assert len(broken) > 20
    assert len({each.key for each in broken}) == len(broken)
    for each in broken:
        compile(each.source, file, "exec")


def test_a_mutant_stands_on_the_lines_of_its_statement_as_it_is_written() -> None:
    whole = ast.unparse(ast.parse((ROOT / PACKAGE / "money.py").read_text("utf-8"))).splitlines()

    for each in mutants("money.py"):
        pairs = enumerate(zip(whole, each.source.splitlines(), strict=False), 1)
        changed = next(number for number, (before, after) in pairs if before != after)
        assert changed in each.lines or (not each.lines and whole[changed - 1][0] != " ")


def test_tests_that_reach_a_statement_are_tried_the_cheapest_first() -> None:
    slow, own, quick, other = (
        f"tests/{name}.py::test" for name in ("test_a", "refunds/test_policy", "test_b", "test_c")
    )
    lines = {
        "refunds/policy.py": {1: {AT_IMPORT, other}, 2: {slow, own, quick}, 3: {quick}},
        "refunds/ledger_schema.py": {1: {AT_IMPORT, own}},
        "refunds/ledger_file.py": {1: {AT_IMPORT}, 2: {slow}},
    }
    measured = Reach(
        {slow: 9.0, own: 5.0, quick: 1.0, other: 1.0},
        {file: defaultdict(set, by_line) for file, by_line in lines.items()},
    )

    tests = measured.tests("refunds/policy.py", range(2, 4))
    assert tests == [own, quick, slow]
    assert [measured.within(tests, seconds) for seconds in (4.9, 5, 14.9, 15)] == [0, 1, 2, 3]
    assert measured.tests("refunds/policy.py", range(3, 4)) == [quick]
    assert measured.tests("refunds/policy.py", range(4, 5)) == []
    assert measured.tests("refunds/policy.py", range(0)) == [own, quick, slow]  # at the import
    assert measured.tests("refunds/ledger_schema.py", range(0)) == [slow]  # of those importing it


@pytest.mark.parametrize("phase", ["", " (setup)", " (call)", " (teardown)"])
def test_a_test_is_known_by_its_name_whatever_stands_in_it(phase: str) -> None:
    for name in ("tests/a.py::test", "tests/a.py::test[VALUES (2, 3)]", AT_IMPORT):
        assert name_of(name + phase) == name
