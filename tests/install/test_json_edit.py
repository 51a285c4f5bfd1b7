"""One entry in somebody's JSON, and not a character more."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders.install.json_edit import BrokenTextError, entry_in, with_entry

ENTRY = {"command": "uvx", "args": ["clawver-orders"]}
LAID_OUT = """\
{
    "theme":   "dark",
    "mcpServers": {
        "other": { "command":"x" , "env": {"A": "\\u00e9"} }
    }  ,
    "last": [1.0, 1e3]
}
"""
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
objects = st.dictionaries(st.text(), values, max_size=4)
layouts: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {}, {"indent": 2}, {"indent": "\t"}, {"indent": 4, "ensure_ascii": False},
        {"separators": (",", ":")}, {"indent": 0}, {"separators": (" , ", " : ")},
    ]
)  # fmt: skip


@st.composite
def configurations(draw: st.DrawFn) -> str:
    whole = draw(objects)
    whole.pop("s", None)
    if draw(st.booleans()):
        entries: dict[str, Any] = draw(objects)
        entries.pop("n", None)
        if draw(st.booleans()):
            entries["n"] = draw(objects)
        whole["s"] = entries
        whole |= draw(st.fixed_dictionaries({"after": values}))
    text = json.dumps(whole, **draw(layouts))
    blank = draw(st.sampled_from(["", "\n", " \t\r\n"]))
    return blank + (text.replace("\n", "\r\n") if draw(st.booleans()) else text) + blank


@given(configurations())
def test_the_entry_is_there_and_everything_else_means_what_it_meant(text: str) -> None:
    whole = json.loads(text)
    whole["s"] = whole.get("s", {}) | {"n": ENTRY}

    changed = with_entry(text, "s", "n", ENTRY)

    assert json.loads(changed) == whole
    assert entry_in(changed, "s", "n") == ENTRY
    assert with_entry(changed, "s", "n", ENTRY) == changed


@given(configurations())
def test_a_new_entry_takes_nothing_away(text: str) -> None:
    changed = with_entry(text, "s", "n", ENTRY)
    front = same(text, changed)
    back = min(same(text[::-1], changed[::-1]), len(text) - front)

    assert entry_in(text, "s", "n") is not None or text[front : len(text) - back].strip() == ""


def same(one: str, other: str) -> int:
    """How many characters agree from the start."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


def test_the_layout_of_the_file_is_taken_over() -> None:
    changed = with_entry(LAID_OUT, "mcpServers", "ours", {"command": "uvx", "args": []})

    assert changed == LAID_OUT.replace(
        '"\\u00e9"} }\n',
        '"\\u00e9"} },\n        "ours": {\n            "command": "uvx",\n            "args": []\n        }\n',
    )


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", '{\n  "s": {\n    "n": {}\n  }\n}\n'),
        ("\r\n", '{\n  "s": {\n    "n": {}\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "n": {}\n  }\n}'),
        ('{"a": 1}', '{"a": 1, "s": {"n": {}}}'),
        ('{"s": {"a": 1}}', '{"s": {"a": 1, "n": {}}}'),
        ('{"s": {"n": {"a": 1}, "b": 1}}', '{"s": {"n": {}, "b": 1}}'),
        ('{ "x":1.0,"s":{"n" :{"a":1} ,"b":1e2}}', '{ "x":1.0,"s":{"n" :{} ,"b":1e2}}'),
        ('{\n\t"s": { }\n}\n', '{\n\t"s": {\n\t\t"n": {}\n\t}\n}\n'),
        ('{\r\n "a": 1\r\n}', '{\r\n "a": 1,\r\n "s": {\r\n  "n": {}\r\n }\r\n}'),
        ('{\n  "s": {\n    "n": {"x": [1,2]}\n  }\n}', '{\n  "s": {\n    "n": {}\n  }\n}'),
    ],
)
def test_every_form_of_file(text: str, changed: str) -> None:
    assert with_entry(text, "s", "n", {}) == changed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "line 1 is not plain JSON"), ("{} x", "line 1"), ('{\n  // hello\n  "s": {}\n}', "line 2"),
        ('{"s": {},}', "line 1"), ("[]", "not a JSON object"), ("null", "not a JSON object"),
        ('{"s": {}, "s": {}}', "twice"), ('{"s": {"n": {}, "n": {}}}', "twice"),
        ('{"a": NaN}', "NaN"), ('{"s": []}', "s is not an object"), ('{"s": null}', "s is not an object"),
        ('{"s": {"n": 1}}', "s.n is not an object"), ('{"s": {"n": null}}', "s.n is not an object"),
        ("[" * 100_000, "nested too deeply"), ('{"a": ' + "1" * 5000 + "}", "it is not plain JSON"),
        ("\ufeff{}", "line 1"), ("\u00a0", "line 1"),
    ],
)  # fmt: skip
def test_whatever_is_not_plain_json_is_refused(text: str, why: str) -> None:
    with pytest.raises(BrokenTextError, match=why):
        with_entry(text, "s", "n", ENTRY)
    with pytest.raises(BrokenTextError, match=why):
        entry_in(text, "s", "n")
