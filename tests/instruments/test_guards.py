"""The table of guards keeps up with the code."""

import ast

import pytest
from tests.instruments.guards import FIRST, GUARDS, ROOT, TESTS, without


@pytest.mark.parametrize("name", GUARDS)
def test_each_guard_is_where_the_table_says(name: str) -> None:
    assert ast.parse(without(GUARDS[name]))


def test_the_tests_that_have_to_notice_are_there() -> None:
    assert [test for test in (*TESTS, *FIRST.values()) if not (ROOT / test).is_file()] == []
    assert FIRST.keys() <= {guard.file for guard in GUARDS.values()}
