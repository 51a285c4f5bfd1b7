"""The table of guards keeps up with the code."""

import ast

import pytest
from tests.instruments.guards import GUARDS, without


@pytest.mark.parametrize("name", GUARDS)
def test_each_guard_is_where_the_table_says(name: str) -> None:
    assert ast.parse(without(GUARDS[name]))
