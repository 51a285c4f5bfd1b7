"""All that is kept of a store, read in parts: memory does not grow with the number of orders.

Between two parts others may write. So an order that changes meanwhile is in one of its states.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from clawver_orders.history.mirror import BEFORE_ALL, Kept, Mirror, Sought

PART = 500
"""The most orders that are read at once."""


def orders(mirror: Mirror, asked: Sought, part: int = PART) -> Iterator[Kept]:
    """Orders that fit, newest first.

    Args:
        mirror: Where they are kept.
        asked: Which ones.
        part: The most that are read at once.

    Raises:
        ClawverError: The file cannot be used.
    """
    while found := mirror.find(asked, part):
        yield from found
        asked = replace(asked, before_key=found[-1].key)


def customers(mirror: Mirror, asked: Sought, part: int = PART) -> Iterator[Iterator[Kept]]:
    """The orders of one customer after another, each customer's oldest first.

    Args:
        mirror: Where they are kept.
        asked: A span; anything else of it is left out. Orders that do not tell whose they are are in none.
        part: The most that are read at once.

    Raises:
        ClawverError: The file cannot be used.
    """
    for _, theirs in groupby(_by_customer(mirror, asked, part), key=lambda each: each[0]):
        yield (kept for _, kept in theirs)


def _by_customer(mirror: Mirror, asked: Sought, part: int) -> Iterator[tuple[str, Kept]]:
    behind = BEFORE_ALL
    while found := mirror.find_by_customer(asked, behind, part):
        yield from found
        behind = (found[-1][0], found[-1][1].key)
