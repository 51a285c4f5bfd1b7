"""The pictures of the README show what the card and the page say."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser
from tests.instruments import pictures, small_png
from tests.web.chromium import browser, needs_chromium

__all__ = ["browser"]

README = (pictures.DOCS.parent / "README.md").read_text("utf-8")
FILES = [pictures.CARD, pictures.PAGE]
Take = Callable[[Browser, Path], Awaitable[tuple[bytes, str]]]


def words_of(file: Path) -> str:
    return small_png.words_of(file.read_bytes())


@pytest.mark.slow  # starts several processes and a browser
@needs_chromium
@pytest.mark.parametrize(
    ("take", "file"),
    [(pictures.card, pictures.CARD), (pictures.page, pictures.PAGE)],
    ids=["card", "page"],
)
async def test_a_picture_has_the_words_of_a_real_run(
    browser: Browser, take: Take, file: Path, tmp_path: Path
) -> None:
    """Where it fails, `uv run python -m tests.instruments.pictures` takes both again."""
    _, words = await take(browser, tmp_path / "state")

    assert words_of(file) == words


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_it_is_small_and_the_readme_shows_it_with_words_for_those_who_cannot_see_it(
    file: Path,
) -> None:
    words = words_of(file)

    assert re.search(rf'^<img src="docs/{file.name}" width="\d+" alt="[^"]{{80,}}">$', README, re.MULTILINE)  # fmt: skip
    assert {"ord_shirt", "Smudged print", "Decline"} <= set(words.splitlines())
    assert file.stat().st_size <= pictures.LARGEST
