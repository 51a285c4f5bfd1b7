"""Text from outside, made safe to show, and the forms of what must be exact. The one place for both.

Customers, products and the network may send anything: terminal sequences, characters that
reorder or hide what is read, halves of characters that no JSON can carry. What leaves here
can be printed, sent and shown, and is no longer than it was allowed to be.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

# CSI and OSC sequences go as a whole: without its ESC, "[31m" would stay behind as litter. One that
# does not end is a stray code: it goes alone, and takes nothing of the text along.
_TERMINAL_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]+[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b."
)
# Cc control, Cf format (bidi, zero width, tags), Cs surrogates, Zl and Zp separators,
# Co private use and Cn unassigned: nothing of these is meant to be read.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})
_ASCII_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")  # all but the line break
_HIDDEN_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u034f\u17b4\u17b5\u2800")
_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_JOINERS = "\u200c\u200d"
_SELECTORS = "\ufe0e\ufe0f"
# Scripts that cannot be written without joiners: Arabic, Syriac and their like, those of India, and
# Burmese, Khmer and Mongolian. https://www.unicode.org/reports/tr31/#Layout_and_Format_Control_Characters
_JOINED = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc]"
)
_PICTURES = frozenset({"So", "Sm", "Sk"})  # Sk: the tones of skin
_EMAIL = re.compile(r"[^\s@<>\"',;:()\[\]]+@[^\s@<>\"',;:()\[\]]+")
# One address and nothing around it: a name, brackets or the full stop of a sentence make it another one.
_WHOLE_EMAIL = re.compile(
    r"[^\s@<>\"(),:;\[\]]+@[^\s@<>\"'(),:;\[\].]+(?:\.[^\s@<>\"'(),:;\[\].]+)*"
)
_BLANKS = re.compile(r"[^\S\n]+")
_ALONE = str.maketrans(
    {
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "\u0131": "i",
        "ħ": "h",
    }
)
"""Letters that Unicode does not take apart (casefold has made "ss" of "ß")."""
# Accents of Latin, Greek and Cyrillic letters, and the vowel signs of Hebrew and Arabic, which are
# mostly left out. In other scripts such signs are letters of their own.
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]")
# These two are large, and compiled when a text is first met that is not ASCII.
_UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+"
"""Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean."""
_IDEOGRAPHS = "[\u3005\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+"
"""Chinese, Japanese and Korean, in which a name may be one letter."""
_GLUED = re.compile("[\u0400-\u052f\u0590-\u06ff\u0750-\u077f\u08a0-\u08ff]")
"""Cyrillic, Hebrew and Arabic, which write endings, prepositions and articles as one with a name."""
_SHORTEST_GLUED = 3
"""So many letters of a name are found within a word of these."""
_CYRILLIC_ENDING = re.compile("(?<=[\u0400-\u052f]{3})[аеиоуыьэюяєі]$")
"""What a folded name in Cyrillic changes, as Олена does in Олену."""
# Ids can stand in a path. Clawver promises no prefix, so none is asked for.
_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,253}[A-Za-z0-9])?")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")


def clean(text: str, limit: int, *, lines: bool = False) -> str:
    """Make a text from outside safe to show.

    Args:
        text: Anything at all, lone surrogates included.
        limit: The most characters to keep; what is longer ends in an ellipsis.
        lines: Keep line breaks; otherwise the text becomes one line.

    Returns:
        The text in NFC without terminal sequences, control, format, private or unassigned
        characters, with runs of spaces folded into one. Joiners stay where a script or an emoji needs
        them. Cleaning twice changes nothing.
    """
    if text.isascii() and text.isprintable() and len(text) <= limit and "  " not in text:
        return text.strip()  # as most are: nothing of it can be unseen
    # Four times the limit is all that can matter; the rest is not worth the work.
    visible = _TERMINAL_SEQUENCE.sub("", text[: limit * 4 + 1024])
    visible = visible.replace("\r\n", "\n").replace("\r", "\n")
    visible = visible.replace("\t", " ") if lines else visible.replace("\t", " ").replace("\n", " ")
    kept = written(visible)
    while (again := written(kept)) != kept:  # what was left out may let its neighbours compose
        kept = again
    folded = _BLANKS.sub(" ", kept).strip()
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip(f"{_JOINERS} \n") + "…"


def written(text: str) -> str:
    """A text in NFC, without what is no part of writing: what nobody sees, and joiners without use."""
    if text.isascii():  # most are, and none of it composes or joins
        return _ASCII_CONTROLS.sub("", text)
    characters = [c for c in unicodedata.normalize("NFC", text) if c == "\n" or is_written(c)]
    kept: list[str] = []
    for place, c in enumerate(characters, 1):
        before = kept[-1] if kept else ""
        following = characters[place] if place < len(characters) else ""
        if c in _JOINERS:
            is_kept = _joins(before, c, following)
        elif c in _SELECTORS:
            is_kept = _is_picture(before)
        else:
            is_kept = True
        if is_kept:
            kept.append(c)
    return unicodedata.normalize("NFC", "".join(kept))


def _joins(before: str, joiner: str, following: str) -> bool:
    """Whether a joiner is where a script or an emoji of several parts needs one."""
    if _JOINED.match(before) and _JOINED.match(following):
        return True
    is_behind_picture = _is_picture(before) or (before != "" and before in _SELECTORS)
    return joiner == "\u200d" and is_behind_picture and _is_picture(following)


def _is_picture(character: str) -> bool:
    return character != "" and unicodedata.category(character) in _PICTURES


def is_id(text: str) -> bool:
    """Whether a text has the form of an id: up to 255 letters and digits, `_` and `-` between them."""
    return _ID.fullmatch(text) is not None


def is_email(text: str) -> bool:
    """Whether a text is one whole e-mail address, and nothing else."""
    return _WHOLE_EMAIL.fullmatch(text) is not None


def is_token(text: str) -> bool:
    """Whether a text has the form of a token that opens an order or a download."""
    return _TOKEN.fullmatch(text) is not None


@lru_cache(
    maxsize=4096
)  # the letters of most alphabets, each of which is asked about in every name
def is_written(character: str) -> bool:
    """Whether a single character can be a part of writing: one that is seen, a joiner or a selector."""
    return is_seen(character) or character in _JOINERS or character in _SELECTORS


def is_seen(character: str) -> bool:
    """Whether a single character is one that a reader can see (or a plain space)."""
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

    Details are found in any case, with and without accents, and also within other words: in scripts
    without spaces, and from three letters on in Cyrillic, Hebrew and Arabic. Single letters stay, but for those of Chinese, Japanese and Korean.
    """
    plain = _BLANKS.sub(" ", unicodedata.normalize("NFC", text))
    shown = _EMAIL.sub(lambda found: masked_email(found[0]), plain)
    letters = [(letter, place) for place, c in enumerate(shown) for letter in folded_letters(c)]
    folded = "".join(letter for letter, _ in letters)
    hidden = set[int]()
    for detail in details:
        for start, end in _found_in_any_form(folded, folded_letters(detail)):
            hidden.update(range(letters[start][1], letters[end - 1][1] + 1))
    return "".join(
        c if place not in hidden else "" if place - 1 in hidden else "…"
        for place, c in enumerate(shown)
    )


def _found_in_any_form(text: str, detail: str) -> Iterator[tuple[int, int]]:
    yield from _found(text, detail)
    stem = _CYRILLIC_ENDING.sub("", detail)
    if stem != detail:
        yield from _found(text, stem)


def _found(text: str, detail: str) -> Iterator[tuple[int, int]]:
    """Where a detail stands in a text, both folded, and is no part of another word.

    In scripts that write more as one word than a name, it may be a part of one.
    """
    if len(detail) < 2 and not is_ideographs(detail):
        return
    is_glued = len(detail) >= _SHORTEST_GLUED and _GLUED.search(detail) is not None
    start = text.find(detail)
    while start >= 0:
        end = start + len(detail)
        is_part = _is_one_word(text[:start][-1:], detail[0]) or _is_one_word(
            detail[-1], text[end : end + 1]
        )
        if is_glued or not is_part:
            yield start, end
        start = text.find(detail, start + 1)


def _is_one_word(before: str, after: str) -> bool:
    """Whether two neighbours belong to one word, as far as that can be seen: not in scripts without spaces."""
    return all(each.isalnum() and not unspaced(each) for each in (before, after))


def unspaced(text: str) -> list[str]:
    """The parts of a text in scripts that put no spaces between words."""
    return [] if text.isascii() else re.findall(_UNSPACED, text)


def ideographs(text: str) -> list[str]:
    """The parts of a text in Chinese, Japanese and Korean."""
    return [] if text.isascii() else re.findall(_IDEOGRAPHS, text)


def is_ideographs(word: str) -> bool:
    """Whether all of a word is in these."""
    return ideographs(word) == [word]


def folded_letters(text: str) -> str:
    """A text letter by letter as it is compared: without upper case, accents and width."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart)).translate(_ALONE)


def masked_name(name: str) -> str:
    """A name as initials: `Ada Lovelace` becomes `A… L…`. A word of one letter, which may be all of it, becomes `…`."""
    return " ".join(f"{word[0]}…" if len(word) > 1 else "…" for word in name.split())
