"""Cents become words without losing one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.money import display


@pytest.mark.parametrize(
    ("cents", "words"),
    [(0, "$0.00"), (5, "$0.05"), (2499, "$24.99"), (-99, "-$0.99"), (123456789, "$1,234,567.89")],
)
def test_cents_read_as_dollars(cents: int, words: str) -> None:
    assert display(cents) == words


@given(st.integers(-(10**14), 10**14))
def test_the_words_hold_every_cent(cents: int) -> None:
    words = display(cents).replace("$", "").replace(",", "").replace(".", "")

    assert int(words) == cents
