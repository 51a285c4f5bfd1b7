"""One entry in a JSON text: put in or replaced, with every other character left as it is.

The text is somebody's configuration. Whatever is not plain, unambiguous JSON is refused.
"""

import json
from dataclasses import dataclass
from typing import Any

_BLANK = " \t\n\r"
_decode = json.JSONDecoder().raw_decode


class BrokenTextError(Exception):
    """The text cannot be edited safely; the message says why and repeats nothing of it."""


@dataclass(frozen=True)
class _Member:
    key: str
    key_start: int
    start: int
    end: int


def entry_in(text: str, section: str, name: str) -> dict[str, Any] | None:
    """An entry as it stands.

    Args:
        text: A JSON object; nothing but white space counts as an empty one.
        section: The key at the top whose object holds the entries.
        name: The entry's own key.

    Returns:
        The entry, or nothing when there is none.

    Raises:
        BrokenTextError: The text is not JSON, or not of this form.
    """
    entries = _read(text).get(section, {})
    if not isinstance(entries, dict):
        raise BrokenTextError(f"{section} is not an object")
    entry = entries.get(name)
    if name in entries and not isinstance(entry, dict):
        raise BrokenTextError(f"{section}.{name} is not an object")
    return entry


def with_entry(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """The text with an entry put in or replaced.

    Args:
        text: A JSON object; nothing but white space counts as an empty one.
        section: The key at the top whose object holds the entries.
        name: The entry's own key.
        entry: What it shall be.

    Raises:
        BrokenTextError: The text is not JSON, or not of this form.
    """
    entry_in(text, section, name)
    if not text.strip(_BLANK):
        return json.dumps({section: {name: entry}}, indent=2, ensure_ascii=False) + "\n"
    top = _after_blank(text, 0)
    members = _members(text, top)
    style = _Style.of(text, top, members)
    for member in members:
        if member.key == section:
            inner = _members(text, member.start)
            for each in inner:
                if each.key == name:
                    value = style.value(entry, 2 if _own_line(text, each.key_start) else None)
                    return text[: each.start] + value + text[each.end :]
            return style.added(text, member.start, inner, name, entry, 1)
    return style.added(text, top, members, section, {name: entry}, 0)


@dataclass(frozen=True)
class _Style:
    """How the text is laid out."""

    unit: str
    newline: str

    @classmethod
    def of(cls, text: str, top: int, members: list[_Member]) -> "_Style":
        unit = "  "
        if members:
            lead = text[top + 1 : members[0].key_start].rpartition("\n")[2]
            unit = lead or unit
        return cls(unit, "\r\n" if "\r\n" in text else "\n")

    def value(self, value: Any, depth: int | None) -> str:
        if depth is None:
            return json.dumps(value, ensure_ascii=False)
        lines = json.dumps(value, indent=self.unit, ensure_ascii=False).split("\n")
        return (self.newline + self.unit * depth).join(lines)

    def added(
        self, text: str, start: int, members: list[_Member], key: str, value: Any, depth: int
    ) -> str:
        """A member put in as the last one of the object that begins at `start`."""
        if members and not _own_line(text, members[-1].key_start):
            at = members[-1].end
            return f"{text[:at]}, {json.dumps(key)}: {self.value(value, None)}{text[at:]}"
        line = self.newline + self.unit * (depth + 1)
        member = f"{line}{json.dumps(key)}: {self.value(value, depth + 1)}"
        if members:
            at = members[-1].end
            return f"{text[:at]},{member}{text[at:]}"
        at = _after_blank(text, start + 1)
        return f"{text[: start + 1]}{member}{self.newline}{self.unit * depth}{text[at:]}"


def _own_line(text: str, key_start: int) -> bool:
    return text[:key_start].rstrip(" \t").endswith("\n")


def _members(text: str, start: int) -> list[_Member]:
    """Where the members of an object stand, in a text that is known to be JSON."""
    members = []
    at = _after_blank(text, start + 1)
    while text[at] != "}":
        key, end = _decode(text, at)
        value_at = _after_blank(text, _after_blank(text, end) + 1)
        _, value_end = _decode(text, value_at)
        members.append(_Member(key, at, value_at, value_end))
        at = _after_blank(text, value_end)
        if text[at] == ",":
            at = _after_blank(text, at + 1)
    return members


def _after_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _read(text: str) -> dict[str, Any]:
    if not text.strip(_BLANK):
        return {}
    try:
        whole = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise BrokenTextError("it is nested too deeply") from None
    except ValueError as error:
        line = getattr(error, "lineno", None)
        where = "it" if line is None else f"line {line}"
        raise BrokenTextError(
            f"{where} is not plain JSON (comments and trailing commas are not)"
        ) from None
    if not isinstance(whole, dict):
        raise BrokenTextError("it is not a JSON object")
    return whole


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BrokenTextError("a key stands twice in one object")
    return found


def _no_constant(_: str) -> Any:
    raise BrokenTextError("it holds NaN or Infinity, which JSON does not know")
