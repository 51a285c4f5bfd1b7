"""Amounts in the smallest unit of their currency, and the one place where they become words.

Money is an `int` of cents everywhere. Clawver documents no currency and prints `$`, so an amount
that comes without one is in US dollars. Amounts in different currencies are never added.
"""

import re

USD = "USD"
UNKNOWN = "XXX"
"""The code of ISO 4217 for no currency: here, for one that cannot be told."""
# Clawver pays through Stripe, so these are Stripe's: https://docs.stripe.com/currencies#zero-decimal
# and #three-decimal. It counts ISK and UGX in hundredths, though they have no coins for them.
_DECIMALS = dict.fromkeys(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "JPY",
        "KMF",
        "KRW",
        "MGA",
        "PYG",
        "RWF",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ],
    0,
) | dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3)
_CODE = re.compile("[A-Za-z]{3}")


def currency_code(value: object) -> str | None:
    """The currency that a value from the network names.

    Args:
        value: Anything at all.

    Returns:
        A code of ISO 4217 in capitals: None where there is no value, and `UNKNOWN` where it is no code.
    """
    if value is None or value == "":
        return None
    code = value.strip() if isinstance(value, str) else ""
    return code.upper() if _CODE.fullmatch(code) else UNKNOWN


def currency_name(currency: str) -> str:
    """A currency in a sentence."""
    return "an unknown currency" if currency == UNKNOWN else currency


def display(cents: int, currency: str = USD) -> str:
    """An amount as a person reads it.

    Args:
        cents: An amount in the smallest unit of its currency; may be negative.
        currency: A code of `currency_code`.

    Returns:
        Dollars and cents, as in `$1,234.05` or `-$0.99`; others with their code and decimals, as in
        `JPY 5,800`, `EUR 24.99` and `KWD 1.234`.
    """
    if currency == UNKNOWN:
        return f"{cents:,} units of {currency_name(currency)}"
    decimals = _DECIMALS.get(currency, 2)
    whole, rest = divmod(abs(cents), 10**decimals)
    code = "$" if currency == USD else f"{currency} "
    return f"{'-' if cents < 0 else ''}{code}{whole:,}{f'.{rest:0{decimals}d}' if decimals else ''}"
