"""The picture of the README is what a real run shows."""

import os
import re
import xml.etree.ElementTree as ET

import pytest
from tests.instruments import picture


@pytest.mark.slow  # starts several processes
@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
async def test_the_picture_is_what_a_real_run_shows() -> None:
    assert await picture.picture() == picture.FILE.read_text("utf-8")


def test_the_readme_shows_it_before_its_first_chapter() -> None:
    first = (picture.FILE.parents[1] / "README.md").read_text("utf-8").split("\n## ")[0]

    assert re.search(r"^!\[[^\]]{40,}\]\(docs/refund\.svg\)$", first, re.MULTILINE)


def test_it_has_both_colour_schemes_and_nothing_from_elsewhere() -> None:
    text = picture.FILE.read_text("utf-8")
    shown = [each.text or "" for each in ET.fromstring(text).iter() if each.tag.endswith("}text")]  # noqa: S314  # our own file

    assert "@media (prefers-color-scheme: dark)" in text
    assert re.findall('https?://[^"]+', text) == ["http://www.w3.org/2000/svg"]
    assert "<script" not in text
    assert {"You", "Agent", "Server", "Terminal"} <= set(shown)
    assert max(map(len, shown)) <= picture.COLUMNS - picture.NAME
