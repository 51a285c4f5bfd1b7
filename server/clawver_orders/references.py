"""The pages for agents, as they stand in `references/`: shipped with the package, read on demand."""

from pathlib import Path

_HERE = Path(__file__).parent
_INSTALLED = _HERE / "references"
_IN_A_CHECKOUT = _HERE.parent.parent / "references"


def names() -> tuple[str, ...]:
    """The names of all pages, without their ending."""
    return tuple(sorted(page.stem for page in _folder().glob("*.md")))


def read(name: str) -> str:
    """A page as Markdown.

    Raises:
        KeyError: There is no such page.
    """
    if name not in names():
        raise KeyError(name)
    return (_folder() / f"{name}.md").read_text("utf-8")


def title(name: str) -> str:
    """The heading of a page."""
    return read(name).partition("\n")[0].removeprefix("# ")


def _folder() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _IN_A_CHECKOUT
