"""A misspelt name is told from a stranger's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.setting_names import VARIABLES, is_ours, meant, shown

SETTINGS = tuple(VARIABLES.values())
LETTERS = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
REFUNDS = [name for name in SETTINGS if "REFUND" in name]
LIMITS = ["CLAWVER_REFUND_LIMIT_CENTS", "CLAWVER_REFUND_DAILY_LIMIT_CENTS"]


@st.composite
def slipped(draw: st.DrawFn, word: str, slips: int) -> str:
    """A word after some slips of the hand."""
    for _ in range(slips):
        at = draw(st.integers(0, len(word) - 1))
        put, over = draw(st.sampled_from([("", 1), (draw(LETTERS), 1), (draw(LETTERS), 0)]))
        word = word[:at] + put + word[at + over :]
    return word


@st.composite
def misspelt(draw: st.DrawFn, slips: int) -> tuple[str, str]:
    """A name after some slips behind its prefix, and the setting that it was."""
    setting = draw(st.sampled_from(SETTINGS))
    prefix, line, bare = setting.partition("_")
    return prefix + line + draw(slipped(bare, slips)), setting


@given(misspelt(slips=1))
def test_a_name_with_one_wrong_letter_is_traced_to_its_setting(slip: tuple[str, str]) -> None:
    assert slip[1] in meant(slip[0], SETTINGS)


@given(misspelt(slips=2))
def test_a_name_with_two_wrong_letters_is_never_passed_over(slip: tuple[str, str]) -> None:
    name, setting = slip

    assert setting == "CLAWVER_PII" or setting in meant(name, SETTINGS)


@given(
    slipped("CLAWVER", 2) | st.just("CLAW"),
    st.sampled_from(["", "_", "__", "-", "."]),
    st.sampled_from(["READONLYMODE", "REFUNDCAP", "MAXREFUNDS", "APPROVALBY", "MODE_APPROVED", "PII-MODE", "MASKPII"]),
    st.booleans(),
)  # fmt: skip
def test_a_prefix_with_two_wrong_letters_does_not_hide_a_word_of_protection(
    prefix: str, line: str, word: str, lower: bool
) -> None:
    name = prefix + ("_" if word[0] == "M" else line) + word

    stranger = prefix == "CRAWLER" or "THREAD" in name
    assert stranger or meant(name.lower() if lower else name, SETTINGS)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("CLAWVER_READONLY", "CLAWVER_READ_ONLY"), ("clawver_read_only", "CLAWVER_READ_ONLY"),
        ("CLAWVER-READ-ONLY", "CLAWVER_READ_ONLY"), ("CLAWVER_RAED_ONLY", "CLAWVER_READ_ONLY"),
        ("CLAVWER_READ_ONLY", "CLAWVER_READ_ONLY"), ("CLAW_READ_ONLY", "CLAWVER_READ_ONLY"),
        ("CALWVER_READ_ONLY", "CLAWVER_READ_ONLY"), ("KLAWVER_READ_ONLY", "CLAWVER_READ_ONLY"),
        ("LAWVER_READ_ONLY", "CLAWVER_READ_ONLY"), ("Clawver.ReadOnly", "CLAWVER_READ_ONLY"),
        ("CLAWVER_REFUND_APROVAL", "CLAWVER_REFUND_APPROVAL"), ("CLAW_SANDBOX", "CLAWVER_SANDBOX"),
        ("CLAWVER_API_KEY", "CLAW_API_KEY"), ("CLAW_APIKEY", "CLAW_API_KEY"), ("CLA_API_KEY", "CLAW_API_KEY"),
        ("CLAW_PI", "CLAWVER_PII"),
    ],
)  # fmt: skip
def test_a_name_that_is_nearly_a_settings_is_traced_to_it(name: str, setting: str) -> None:
    assert meant(name, SETTINGS) == [setting]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CLAWVER_READ", ["CLAWVER_READ_ONLY"]), ("CLAWVER_READONLY_MODE", ["CLAWVER_READ_ONLY"]),
        ("CLAWVER_READONLYMODE", ["CLAWVER_READ_ONLY"]), ("CLAWVERREADONLYMODE", ["CLAWVER_READ_ONLY"]),
        ("CLAW_READ_ONLY_MODE", ["CLAWVER_READ_ONLY"]), ("CLAW_ORDERS_READ_ONLY", ["CLAWVER_READ_ONLY"]),
        ("CLAVER_READONLY_MODE", ["CLAWVER_READ_ONLY"]), ("CLOVER_READONLY_MODE", ["CLAWVER_READ_ONLY"]),
        ("CLAWVER_READY", ["CLAWVER_READ_ONLY"]), ("CLAWVER_THREADS_READ", ["CLAWVER_READ_ONLY"]),
        ("CLAWVER_MAX_REFUND", REFUNDS), ("CLAWVER_REFUNDCAP", REFUNDS), ("CLAWVER_MAXREFUND", REFUNDS),
        ("CLAWVER_REFUNDLIMIT", LIMITS), ("CLAWVER_LIMITCENTS", LIMITS), ("CLAWVER_DAILY_LIMITS", LIMITS),
        ("CLAWVER_DAILYLIMIT", LIMITS), ("CLAW_UNLIMITED", LIMITS), ("CLAWVER_REFUNDSLIMIT", LIMITS),
        ("CLAWVER-APPROVAL-BY", ["CLAWVER_REFUND_APPROVAL"]), ("CLAWVER_APPROVE", ["CLAWVER_REFUND_APPROVAL"]),
        ("CLAWVER_REFUNDAPPROVAL_MODE", ["CLAWVER_REFUND_APPROVAL"]), ("CLAWVER_MASK_PII", ["CLAWVER_PII"]),
        ("CLAWVER_PII_MODE", ["CLAWVER_PII"]), ("CLAWVER_PAGE_PIN", ["CLAWVER_REFUND_PIN_ABOVE_CENTS"]),
        ("CLAWVER_PINS_FILE", ["CLAWVER_REFUND_PIN_ABOVE_CENTS"]),
        ("CLAW_PIN", ["CLAWVER_REFUND_PIN_ABOVE_CENTS", "CLAWVER_PII"]),
    ],
)  # fmt: skip
def test_a_name_that_speaks_of_protection_is_traced_to_all_that_protect_so(
    name: str, settings: list[str]
) -> None:
    assert meant(name, SETTINGS) == settings


@pytest.mark.parametrize(
    "name",
    [
        "CLAWVER_VENV", "CLAWVER_SHIPPING", "CLAWVER_THREADS", "CLAWVER_THREAD_POOL", "CLAWVER_SPINNER",
        "CLAWVER_PINTEREST", "CLAWVER_DIR", "CLAWVER_ORDERS_SERVICE_HOST", "CLAWVER", "CLAWVER_", "CLAW_API",
        "CLAW_ID", "CLASSPATH", "CLAW", "CL", "", "_", "IS_SANDBOX", "API_KEY", "READ_ONLY", "PII", "CLAP_PII",
        "CRAWLER_RATE_LIMIT", "CRAWLER_LOG_LEVEL", "CLAUDE_READ_ONLY", "CLAUDE_PIN", "CLAWDBOT_RATE_LIMIT",
        "CLAWHUB_READ_TOKEN", "STRIPE_REFUND_LIMIT", "DRAW_API_KEY",
    ],
)  # fmt: skip
def test_a_strangers_name_is_left_alone(name: str) -> None:
    assert meant(name, SETTINGS) == []


@pytest.mark.parametrize(
    "name", ["clawver-x", "CLAWVERX", "CLAW_X", "CLAVER_X", "_CLAWVER_X", "calwver.x"]
)
def test_our_prefix_is_known_in_any_spelling(name: str) -> None:
    assert is_ours(name)


@pytest.mark.parametrize("name", ["CLAWX_Y", "CLAWHUB_X", "CLAUDE_X", "CRAWLER_X", "X_CLAWVER", ""])
def test_anothers_prefix_is_not_ours(name: str) -> None:
    assert not is_ours(name)


def test_a_name_is_repeated_only_as_far_as_it_is_one() -> None:
    assert shown("CLAWVER_X-1: claw\x1b[2J\nsecret") == "CLAWVER_X-1…"
    assert shown("Clawver.ReadOnly") == "Clawver.ReadOnly"
    assert shown("A" * 100) == "A" * 64 + "…"
