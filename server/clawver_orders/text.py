"""Text from outside, made safe to show, and the forms of what must be exact. The one place for both.

Customers, products and the network may send anything: terminal sequences, characters that
reorder or hide what is read, halves of characters that no JSON can carry. What leaves here
can be printed, sent and shown, and is no longer than it was allowed to be.
"""

import re
import unicodedata
from collections.abc import Iterable

# CSI and OSC sequences go as a whole: without its ESC, "[31m" would stay behind as litter.
_TERMINAL_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b."
)
# Cc control, Cf format (bidi, zero width, tags), Cs surrogates, Zl and Zp separators,
# Co private use and Cn unassigned: nothing of these is meant to be read.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})
_HIDDEN_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_EMAIL = re.compile(r"[^\s@<>\"',;:()\[\]]+@[^\s@<>\"',;:()\[\]]+")
_BLANKS = re.compile(r"[^\S\n]+")
# Ids can stand in a path. Clawver promises no prefix, so none is asked for.
_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")


def clean(text: str, limit: int, *, lines: bool = False) -> str:
    """Make a text from outside safe to show.

    Args:
        text: Anything at all, lone surrogates included.
        limit: The most characters to keep; what is longer ends in an ellipsis.
        lines: Keep line breaks; otherwise the text becomes one line.

    Returns:
        The text in NFC without terminal sequences, control, format, private or unassigned
        characters, with runs of blanks folded into one. Cleaning twice changes nothing.
    """
    # Four times the limit is all that can matter; the rest is not worth the work.
    visible = _TERMINAL_SEQUENCE.sub("", text[: limit * 4 + 1024])
    visible = visible.replace("\r\n", "\n").replace("\r", "\n")
    visible = visible.replace("\t", " ") if lines else visible.replace("\t", " ").replace("\n", " ")
    kept = "".join(c for c in visible if c == "\n" or is_seen(c))
    folded = _BLANKS.sub(" ", unicodedata.normalize("NFC", kept)).strip()
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


def is_id(text: str) -> bool:
    """Whether a text has the form of an id: up to 64 letters and digits, `_` and `-` between them."""
    return _ID.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether a text has the form of a token that opens an order or a download."""
    return _TOKEN.fullmatch(text) is not None


def is_seen(character: str) -> bool:
    """Whether a single character is one that a reader can see (or a plain blank)."""
    return (
        unicodedata.category(character) not in _UNSEEN
        and character not in _HIDDEN_LETTERS
        and _VARIATION_SELECTORS.match(character) is None
    )


def quoted(text: str, longest: int = 80) -> str:
    """A text of somebody else: on one line, short, and marked as theirs."""
    line = " ".join(text.split()).replace('"', "'")
    return f'"{line if len(line) <= longest else line[: longest - 1] + "…"}"'


def masked_email(email: str) -> str:
    """An e-mail address of which only the first letter and the domain's ending are left."""
    name, at, domain = email.partition("@")
    if not at:
        return "…"
    return f"{name[:1]}…@…{domain[domain.rfind('.') :] if '.' in domain else ''}"


def masked_words(text: str, details: Iterable[str]) -> str:
    """A text in which e-mail addresses are shortened and the given details are hidden.

    Details of one or two characters stay: they say nothing, and would be found everywhere.
    """
    folded = _BLANKS.sub(" ", unicodedata.normalize("NFC", text))
    text = _EMAIL.sub(lambda found: masked_email(found[0]), folded)
    for detail in sorted(details, key=len, reverse=True):
        if len(detail) > 2:
            text = re.sub(rf"(?<!\w){re.escape(detail)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return text


def masked_name(name: str) -> str:
    """A name as initials: `Ada Lovelace` becomes `A… L…`."""
    return " ".join(f"{word[0]}…" for word in name.split())
