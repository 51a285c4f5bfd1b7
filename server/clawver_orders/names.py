"""Which setting a variable with an unknown name was meant for. No I/O.

No check of a value finds a misspelt name: the merchant believes that the server is read-only, and
nothing says otherwise.
"""

import difflib
import re
from collections.abc import Iterable

_PREFIX = re.compile("^CLAW(?:VER)?")
_GUARDS = frozenset({"READ", "REFUND", "APPROVAL", "LIMIT", "PIN"})
"""Words of names that protect: a variable with one of them is never passed over."""


def meant(name: str, settings: Iterable[str]) -> str | None:
    """The setting that a variable of another name was probably meant for.

    Letter case, `-` and `_` make no difference, nor does `CLAW_` in place of `CLAWVER_`.

    Args:
        name: The variable's name.
        settings: The names of all settings.

    Returns:
        The setting whose name differs in at most two letters. Or, if the variable begins with
        `CLAWVER` and has a word of a setting that protects, the most similar setting. Else None.
    """
    if not name.upper().startswith("CL"):  # somebody else's: most variables end here, at once
        return None
    names = list(settings)
    guards = _words(name) & _GUARDS if is_ours(name) else set()
    near = [each for each in names if _is_near(name, each)]
    if not near and not guards:
        return None
    similar = near or [each for each in names if guards & _words(each)] or names
    return difflib.get_close_matches(name.upper(), similar, n=1, cutoff=0)[0]


def is_ours(name: str) -> bool:
    """Whether a variable's name begins as only those of this server do."""
    return _letters(name).startswith("CLAWVER")


def shown(name: str) -> str:
    """A variable's name, as far as it is safe to repeat."""
    return re.sub(r"[^A-Za-z0-9_-].*", "", name, flags=re.DOTALL)[:64]


def _words(name: str) -> set[str]:
    return {word.removesuffix("S") for word in re.split(r"[\W_]+", name.upper())}


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).upper()


def _is_near(name: str, setting: str) -> bool:
    """Whether the names differ in at most two letters, their prefixes apart or not."""
    one, other = _letters(name), _letters(setting)
    bare = _PREFIX.sub("", other)
    most = 2 if len(bare) > 3 else 1  # with two of three letters changed it is another word
    return _differ_by_at_most(most, one, other) or (
        _PREFIX.match(one) is not None and _differ_by_at_most(most, _PREFIX.sub("", one), bare)
    )


def _differ_by_at_most(most: int, one: str, other: str) -> bool:
    """Whether so many letters to add, drop or replace make one of the other (Levenshtein)."""
    if abs(len(one) - len(other)) > most:
        return False
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        if min(row) > most:
            return False
        above, row = row, [place]
        for at, wanted in enumerate(other):
            row.append(min(above[at] + (letter != wanted), above[at + 1] + 1, row[at] + 1))
    return row[-1] <= most
