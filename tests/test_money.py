"""Cents become words without losing one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.money import UNKNOWN, currency_code, display


@pytest.mark.parametrize(
    ("cents", "words"),
    [(0, "$0.00"), (5, "$0.05"), (2499, "$24.99"), (-99, "-$0.99"), (123456789, "$1,234,567.89")],
)
def test_cents_read_as_dollars(cents: int, words: str) -> None:
    assert display(cents) == words


@pytest.mark.parametrize(
    ("cents", "currency", "words"),
    [
        (5800, "JPY", "JPY 5,800"), (0, "KRW", "KRW 0"), (2499, "EUR", "EUR 24.99"), (-99, "GBP", "-GBP 0.99"),
        (1234, "KWD", "KWD 1.234"), (-5, "BHD", "-BHD 0.005"), (500, "ISK", "ISK 5.00"),
        (500, "UGX", "UGX 5.00"), (5800, UNKNOWN, "5,800 units of an unknown currency"),
    ],
)  # fmt: skip
def test_other_currencies_read_with_their_code_and_decimals(
    cents: int, currency: str, words: str
) -> None:
    assert display(cents, currency) == words


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, None), ("", None), ("USD", "USD"), (" usd\n", "USD"), ("jpy", "JPY"), ("$", UNKNOWN),
        ("US", UNKNOWN), ("EURO", UNKNOWN), ("U\u200bSD", UNKNOWN), ("u\u017fd", UNKNOWN),
        ("\uff35\uff33\uff24", UNKNOWN), (" ", UNKNOWN), (840, UNKNOWN), (0, UNKNOWN), (False, UNKNOWN),
        ([], UNKNOWN), ({"code": "USD"}, UNKNOWN), ("\ud800", UNKNOWN), ("xxx", UNKNOWN),
    ],
)  # fmt: skip
def test_only_the_letters_of_a_code_name_a_currency(value: object, code: str | None) -> None:
    assert currency_code(value) == code


@given(st.integers(-(10**14), 10**14))
def test_the_words_hold_every_cent(cents: int) -> None:
    words = display(cents).replace("$", "").replace(",", "").replace(".", "")

    assert int(words) == cents
