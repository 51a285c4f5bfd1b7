"""The Agent Skill of this server, as it stands in `SKILL.md` and `references/`: shipped with the package, read on demand."""

from pathlib import Path

_HERE = Path(__file__).parent
_INSTALLED = _HERE / "skill"
_IN_A_CHECKOUT = _HERE.parent.parent

MAIN = "SKILL.md"
"""The file that an agent reads first."""


def files() -> tuple[str, ...]:
    """The paths of all files inside the skill, with `/` between their parts: `SKILL.md`, then the references."""
    return (MAIN, *map(reference, references()))


def references() -> tuple[str, ...]:
    """The names of all references, without their ending."""
    return tuple(sorted(page.stem for page in (folder() / "references").glob("*.md")))


def reference(name: str) -> str:
    """The path of a reference inside the skill."""
    return f"references/{name}.md"


def read(path: str) -> str:
    """A file as Markdown; encoded as UTF-8 it is the same bytes as on disk.

    Args:
        path: One of `files`.

    Raises:
        KeyError: There is no such file.
    """
    if path not in files():
        raise KeyError(path)
    return (folder() / path).read_bytes().decode()


def title(path: str) -> str:
    """The heading of a file."""
    headings = (line for line in read(path).splitlines() if line.startswith("# "))
    return next(headings).removeprefix("# ")


def folder() -> Path:
    """Where they are. In a checkout there is more in that folder."""
    return _INSTALLED if _INSTALLED.is_dir() else _IN_A_CHECKOUT
