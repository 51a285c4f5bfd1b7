"""How orders are found in the history without reading those that do not fit.

Each thing that is looked for has an index: a list of the orders that may fit, in order. The thinnest
of the lists is read, newest first, and each order in it is compared with what else is looked for.

That is for SQLite, which cannot tell how thin a list is. A database that several machines share can;
it has no index of pieces of words, which would be an extension of it, and compares the words of the
orders that are left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from clawver_orders.history.words import SHORT
from clawver_orders.storage.database import Connection, TableRow, Value

_FEW = 100
"""The newest so many entries of a list tell how thin it is."""
_PIECE = 5
"""How many letters of a word are looked up together: fewer are in many orders, more take time."""
_PIECES = 8
"""The most pieces of a word that are looked up: each takes time, and the whole word is compared afterwards."""


@dataclass(frozen=True)
class KeyList:
    """The keys of orders that may fit, in order."""

    source: str
    key: str
    """The column of the keys."""
    condition: str
    value: str
    """What selects the list."""
    check: str
    checked: tuple[str, ...]
    """Whether an order fits; `{key}` stands for its key."""
    is_exact: bool = True
    """Whether all orders of the list fit."""

    @classmethod
    def by_column(cls, column: str, index: str, value: str) -> Self:
        """Orders with this value in a column."""
        check = f"known.{column} = ?"
        source = f"known INDEXED BY {index}"
        return cls(source, "known.key", f"known.{column} = ?", value, check, (value,))

    @classmethod
    def by_short_word(cls, word: str) -> Self:
        """Orders that are found by two letters or one."""
        check = "EXISTS (SELECT 1 FROM short_word AS s WHERE s.word = ? AND s.key = {key})"
        condition = "short_word.word = ?"
        return cls("short_word", "short_word.key", condition, word, check, (word,))

    @classmethod
    def by_words(cls, words: Sequence[str]) -> Self:
        """Orders with all of these words, of three letters or more, somewhere."""
        pieces = dict.fromkeys(piece for word in words for piece in _pieces(word))
        return cls(
            "word",
            "word.rowid",
            "word MATCH ?",
            " AND ".join('"' + piece.replace('"', '""') + '"' for piece in pieces),
            " AND ".join("INSTR(known.words, ?) > 0" for _ in words),
            tuple(words),
            is_exact=False,
        )


_EVERY = KeyList("known", "known.key", "known.words <> ?", "", "", ())


def find(
    db: Connection,
    lists: Sequence[KeyList],
    span: Sequence[tuple[str, int]],
    limit: int,
    *,
    is_shared: bool,
) -> list[TableRow]:
    """Orders that are in all lists, newest first.

    Args:
        db: The history.
        lists: What is looked for; every order fits where there is none.
        span: What holds for a key, such as `>=` and a number.
        limit: The most to find.
        is_shared: Whether the history is in a database that chooses the list by itself.

    Returns:
        Their rows.
    """
    if any("\0" in text for each in lists for text in (each.value, *each.checked)):
        return []  # no text that is kept holds one, and PostgreSQL takes none
    if is_shared:
        lists = [_EVERY, *lists]
    elif len(lists) > 1:
        lists = sorted(lists, key=lambda each: _thickness(db, each, span))
    thinnest, *others = lists or (_EVERY,)
    conditions, values = _selected(thinnest, span)
    for each in others if thinnest.is_exact else (*others, thinnest):
        conditions += f" AND {each.check.format(key=thinnest.key)}"
        values += each.checked
    table = thinnest.source
    if not table.startswith("known"):
        table += f" CROSS JOIN known ON known.key = {thinnest.key}"
    return db.execute(
        f"SELECT known.* FROM {table} WHERE {conditions} AND known.words IS NOT NULL"  # noqa: S608  # words of ours
        f" ORDER BY {thinnest.key} DESC LIMIT ?",
        (*values, limit),
    ).fetchall()


def _selected(keys: KeyList, span: Sequence[tuple[str, int]]) -> tuple[str, list[Value]]:
    """The part of a list that is in a span, as conditions and their values."""
    conditions = [keys.condition, *(f"{keys.key} {sign} ?" for sign, _ in span)]
    return " AND ".join(conditions), [keys.value, *(key for _, key in span)]


def _thickness(db: Connection, keys: KeyList, span: Sequence[tuple[str, int]]) -> tuple[int, int]:
    """How many orders a list has; where these are many, those come first whose newest reach back furthest."""
    conditions, values = _selected(keys, span)
    count, oldest = db.execute(
        f"SELECT COUNT(*), MIN(key) FROM (SELECT {keys.key} AS key FROM {keys.source} WHERE {conditions}"  # noqa: S608  # words of ours
        f" ORDER BY {keys.key} DESC LIMIT ?)",
        (*values, _FEW),
    ).fetchone()
    return count, oldest or 0


def _pieces(word: str) -> list[str]:
    """Pieces that are wherever the word is. Of an address only those before its domain, which many share."""
    before, _, _ = word.partition("@")
    part = before if len(before) > SHORT else word
    last = max(0, len(part) - _PIECE)
    starts = [*range(0, last, _PIECE)][: _PIECES - 1]
    return [part[start : start + _PIECE] for start in (*starts, last)]
