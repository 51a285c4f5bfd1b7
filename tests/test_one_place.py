"""Each of these rules stands in one module, so that no two of them can disagree."""

from pathlib import Path

import pytest

PRODUCT = Path(__file__).parent.parent / "server" / "clawver_orders"


@pytest.mark.parametrize(
    ("words", "module"),
    [
        ('{"paid", "partially_refunded"}', "models"),
        ('"shipped", "delivered"', "lifecycle"),
        ('"failed", "partially_refunded"', "lifecycle"),
        ('"No money was moved', "errors"),
        ('"Nothing was sent', "errors"),
        ('"Clawver refused this refund, and', "outcome"),
        ("INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "ledger_wishes"),
        (".isatty(", "options"),
        ('"%Y-%m-%d %H:%M:%S"', "tables"),
        (".ljust(", "tables"),
        ("geteuid", "folders"),
        (".draft", "folders"),
        ("[A-Za-z0-9_-]{0,253}", "text"),
        ("._~+/=-]{1,512}", "text"),
    ],
)
def test_a_rule_stands_in_one_module(words: str, module: str) -> None:
    holding = [path.stem for path in PRODUCT.rglob("*.py") if words in path.read_text("utf-8")]

    assert holding == [module]
