"""The names that one size has in the trade: XXL and 2XL, Large and L, 18x24 and 18″×24″. No I/O."""

import re
import unicodedata

_INCHES = re.compile(r"(?<=\d)\s*(?:[\"“”″]|''|\u2019\u2019|\u2032\u2032)")
"""Marks of inches, behind their number."""
_TOKEN = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d_]+|[×*+]")
_WORDS = {
    "small": "s", "sm": "s", "medium": "m", "med": "m", "large": "l", "lg": "l",
    "extra": "x", "double": "2", "triple": "3", "inch": "in", "inches": "in", "ounce": "oz", "ounces": "oz",
    "centimeters": "cm", "centimetres": "cm", "millimeters": "mm", "millimetres": "mm",
    "by": "x", "×": "x", "*": "x", "size": "",
}  # fmt: skip
_ONE_SIZE = frozenset({"os", "osfa", "osfm", "one", "onefitsall", "onefitsmost"})
_LETTERS = re.compile(r"([2-9]?)(x*)([sl])")
_MEASURES = re.compile(r"(\d+(?:\.\d+)?)([a-z]{2})?(?:x(\d+(?:\.\d+)?)([a-z]{2})?)?")


def named_alike(one: str, other: str) -> bool:
    """Whether two texts name the same size. A measure whose unit is left out is the same in any unit."""
    (name, unit), (other_name, other_unit) = _size(one), _size(other)
    return name == other_name and (unit == other_unit or "" in {unit, other_unit})


def _size(text: str) -> tuple[str, str]:
    """A size however it is written, and the unit of a measure."""
    folded = _INCHES.sub("in", unicodedata.normalize("NFKC", text).casefold().strip())
    tokens = [_WORDS.get(each, each).replace(",", ".") for each in _TOKEN.findall(folded)]
    apart = re.sub(r"(?<=\d) (?=\d)", "-", " ".join(tokens))  # 1-2 is not 12
    plain = apart.replace(" ", "").replace("floz", "oz")
    if plain in _ONE_SIZE:
        return "one size", ""
    if re.fullmatch("[2-9]x|xxx*", plain):  # 2X is 2XL
        plain += "l"
    if found := _LETTERS.fullmatch(plain):
        count, xs, letter = found.groups()
        if xs == "x" or not count:
            return f"{count or len(xs)}x{letter}", ""
    if found := _MEASURES.fullmatch(plain):
        first, unit, second, second_unit = found.groups(default="")
        return "x".join(f"{float(each):g}" for each in (first, second) if each), second_unit or unit
    return plain or folded, ""
