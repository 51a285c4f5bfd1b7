"""What an error says first, and that it says it once."""

import pytest

from clawver_orders.errors import NO_MONEY_MOVED, NOTHING_SENT, RateLimitedError, RefusedError


def test_a_fact_comes_first_and_the_reason_after_it() -> None:
    error = RefusedError("it is refunded.", fact=NO_MONEY_MOVED, next_step="Look at it.")

    assert str(error) == "No money was moved: it is refunded. Look at it."
    assert error.happened == "No money was moved: it is refunded."
    assert error.fact == NO_MONEY_MOVED


@pytest.mark.parametrize("times", [1, 2])
def test_a_fact_that_is_known_later_comes_first_and_once(times: int) -> None:
    error = RefusedError("The disk is full.", next_step="Make room.")
    for _ in range(times):
        error.begin_with(NOTHING_SENT)

    assert str(error) == "Nothing was sent. The disk is full. Make room."


def test_a_fact_that_an_error_was_made_with_is_not_repeated() -> None:
    error = RefusedError("it is refunded.", fact=NO_MONEY_MOVED, next_step="Look at it.")
    error.begin_with(NO_MONEY_MOVED)

    assert error.happened == "No money was moved: it is refunded."


def test_another_fact_comes_before_the_first() -> None:
    error = RateLimitedError(7)
    error.begin_with(NOTHING_SENT)
    error.begin_with(NO_MONEY_MOVED)

    assert error.happened == (
        "No money was moved. Nothing was sent. Clawver's request limit is reached. Nothing was changed."
    )
