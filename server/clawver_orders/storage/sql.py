"""What the schemas and rows of several files share. The words that it puts into SQL are ours."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from clawver_orders.caller import GRADES
from clawver_orders.instants import Instant


def listed(words: Iterable[str]) -> str:
    """Words of ours as SQL lists them."""
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"


def marks(values: Sequence[object]) -> str:
    """A `?` for each value."""
    return ", ".join("?" * len(values))


def among(values: Sequence[object]) -> str:
    """A list of as many `?`, for IN: one in which nothing is where there is no value."""
    return f"({marks(values) or 'NULL'})"


def same(columns: Iterable[str], row: str, other: str = "") -> str:
    """Whether all these columns of two rows are alike, those that say nothing too."""
    return "(" + " AND ".join(f"{row}.{each} IS {other}{each}" for each in columns) + ")"


def rank(column: str) -> str:
    """The place of a grade among all of them."""
    cases = " ".join(f"WHEN '{grade}' THEN {rank}" for rank, grade in enumerate(GRADES))
    return f"CASE {column} {cases} END"


def as_text(instant: Instant) -> str:
    """An instant as a file keeps it."""
    return json.dumps([instant.at.timestamp(), instant.uptime, instant.boot])


def instant_of(text: str) -> Instant:
    """An instant that a file kept."""
    at, uptime, boot = json.loads(text)
    return Instant(datetime.fromtimestamp(at, UTC), uptime, boot)
