"""Finds other skills of this name: the published one refunds with a bare `curl`, past the ledger."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from clawver_orders.install.installation import NAME

_AT_HOME = (
    ".openclaw/skills", ".openclaw/workspace/skills", ".claude/skills", ".codex/skills",
    ".agents/skills", ".gemini/skills", ".config/opencode/skills", ".cursor/skills",
)  # fmt: skip
_AT_WORK = (".claude/skills", ".agents/skills", "skills")
"""Where hosts look for skills, below a person's home folder and below the working directory."""
_NAMED = re.compile(rf"^name:\s*[\"']?{NAME}[\"']?\s*$", re.MULTILINE)
_MOST_BYTES = 65_536


def past_the_ledger() -> list[Path]:
    """The folders of skills of this name that don't refund through the tools of this server."""
    return [skill.parent for skill in _skills() if _refunds_by_itself(skill)]


def _skills() -> Iterator[Path]:
    places = [Path.cwd() / each for each in _AT_WORK]
    with suppress(RuntimeError):  # a user without a home folder
        places += [Path.home() / each for each in _AT_HOME]
    for place in places:
        yield from sorted(place.glob("*/SKILL.md"))


def _refunds_by_itself(skill: Path) -> bool:
    """Whether it has this name, and calls Clawver itself or doesn't know the tool for refunds."""
    try:
        with skill.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return False
    return bool(_NAMED.search(text)) and ("curl" in text or "refund_order" not in text)
