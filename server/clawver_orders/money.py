"""Whole cents, and the one place where they become words.

Money is an `int` of cents everywhere. Clawver documents no currency field and prints `$`;
so do we.
"""


def display(cents: int) -> str:
    """Whole cents as a person reads them.

    Args:
        cents: An amount in whole cents; may be negative.

    Returns:
        Dollars and cents, as in `$1,234.05` or `-$0.99`.
    """
    dollars, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${dollars:,}.{rest:02d}"
