"""What ClawHub's static scan would flag in a published file, as far as its rules are known."""

import re

_HARMLESS = re.compile(r"example|sample|dummy|placeholder|redacted", re.IGNORECASE)
_KEYS = (
    re.compile(r"(?:\b|_)sk_[A-Za-z0-9_]{8,}"),
    re.compile(
        r"(?:key|token|secret|password)[\"'`]?\s*[:=]\s*[\"'`]?([A-Za-z0-9_+/=-]{16,})", re.IGNORECASE
    ),
)  # fmt: skip
_ALWAYS = (
    re.compile(r"--token[ =]\S"),
    re.compile(r"ignore\s+(?:all\s+)?previous\s+instructions", re.IGNORECASE),
    re.compile(r"verify\s*=\s*False"),
    re.compile(r"\beval\("),
    re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"),
)
_RAW_ADDRESS = re.compile(r"https?://\d{1,3}(?:\.\d{1,3}){3}")


def flagged(text: str, *, is_data: bool = False) -> list[str]:
    """The pieces of a text that would be flagged.

    Args:
        text: A file as it would be published.
        is_data: Whether it is JSON, YAML or TOML, where raw addresses count too.
    """
    found = [match[0] for rule in _ALWAYS for match in rule.finditer(text)]
    for rule in _KEYS:
        found += [match[0] for match in rule.finditer(text) if not _HARMLESS.search(match[0])]
    if is_data:
        found += [match[0] for match in _RAW_ADDRESS.finditer(text)]
    return found
