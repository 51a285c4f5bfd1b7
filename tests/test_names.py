"""A misspelt name is told from a stranger's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.names import is_ours, meant, shown
from clawver_orders.settings import VARIABLES

SETTINGS = tuple(VARIABLES.values())
LETTERS = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@st.composite
def misspelt(draw: st.DrawFn, slips: int) -> tuple[str, str]:
    """A name after some slips of the hand, and the setting that it was."""
    setting = draw(st.sampled_from(SETTINGS))
    bare = setting.partition("_")[2]
    prefix = setting.removesuffix(bare)
    for _ in range(slips):
        at = draw(st.integers(0, len(bare) - 1))
        put, over = draw(st.sampled_from([("", 1), (draw(LETTERS), 1), (draw(LETTERS), 0)]))
        bare = bare[:at] + put + bare[at + over :]
    return prefix + bare, setting


@given(misspelt(slips=1))
def test_a_name_with_one_wrong_letter_is_traced_to_its_setting(slip: tuple[str, str]) -> None:
    assert meant(slip[0], SETTINGS) == slip[1]


@given(misspelt(slips=2))
def test_a_name_with_two_wrong_letters_is_never_passed_over(slip: tuple[str, str]) -> None:
    name, setting = slip

    assert setting == "CLAWVER_PII" or meant(name, SETTINGS) in SETTINGS


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("CLAWVER_READONLY", "CLAWVER_READ_ONLY"), ("clawver_read_only", "CLAWVER_READ_ONLY"),
        ("CLAWVER-READ-ONLY", "CLAWVER_READ_ONLY"), ("CLAWVER_RAED_ONLY", "CLAWVER_READ_ONLY"),
        ("CLAVWER_READ_ONLY", "CLAWVER_READ_ONLY"), ("CLAW_READ_ONLY", "CLAWVER_READ_ONLY"),
        ("CLAWVER_REFUND_APROVAL", "CLAWVER_REFUND_APPROVAL"), ("CLAW_SANDBOX", "CLAWVER_SANDBOX"),
        ("CLAWVER_API_KEY", "CLAW_API_KEY"), ("CLAW_APIKEY", "CLAW_API_KEY"), ("CLAW_PI", "CLAWVER_PII"),
    ],
)  # fmt: skip
def test_a_name_that_is_nearly_a_settings_is_traced_to_it(name: str, setting: str) -> None:
    assert meant(name, SETTINGS) == setting


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("CLAWVER_READ", "CLAWVER_READ_ONLY"), ("CLAWVER_DAILY_LIMITS", "CLAWVER_REFUND_DAILY_LIMIT_CENTS"),
        ("CLAWVER_MAX_REFUND_CENTS", "CLAWVER_REFUND_LIMIT_CENTS"), ("CLAWVER-APPROVAL-BY", "CLAWVER_REFUND_APPROVAL"),
    ],
)  # fmt: skip
def test_a_name_that_speaks_of_protection_is_traced_to_the_most_similar(
    name: str, setting: str
) -> None:
    assert meant(name, SETTINGS) == setting


def test_a_pin_is_never_passed_over() -> None:
    assert meant("CLAWVER_PAGE_PIN", SETTINGS) in SETTINGS


@pytest.mark.parametrize(
    "name",
    [
        "CLAWVER_VENV", "CLAWVER_SHIPPING", "CLAWVER_READY", "CLAWVER_DIR", "CLAWVER_ORDERS_SERVICE_HOST",
        "CLAW_API", "CLAW_ID", "CLAW_RATE_LIMIT", "CLASSPATH", "CLAW", "CL", "", "IS_SANDBOX", "API_KEY",
        "READ_ONLY", "PII",
    ],
)  # fmt: skip
def test_a_strangers_name_is_left_alone(name: str) -> None:
    assert meant(name, SETTINGS) is None


def test_our_prefix_is_known_in_any_spelling() -> None:
    assert is_ours("clawver-x")
    assert not is_ours("CLAW_X")


def test_a_name_is_repeated_only_as_far_as_it_is_one() -> None:
    assert shown("CLAWVER_X-1: claw\x1b[2J\nsecret") == "CLAWVER_X-1"
    assert shown("A" * 100) == "A" * 64
