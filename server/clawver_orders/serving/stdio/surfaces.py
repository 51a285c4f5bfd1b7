"""What is kept between two starts: which settings were found good, and what the SDK says with them.

Standard library only. Each file is this user's alone: who could write one could tell a model anything
in the name of this server. A file that is missing, damaged, stale or somebody else's counts as none.

    opener/settings.json    the settings that were found good, by a digest, with their surface
    opener/NAME.json        a surface: one for each combination of what changes it
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clawver_orders
from clawver_orders import skill
from clawver_orders.serving.stdio.opening import Surface
from clawver_orders.setting_names import VARIABLES, may_be_meant
from clawver_orders.storage.folders import (
    INBOX,
    make_private,
    may_hold,
    read_private,
    replace_private,
)

if TYPE_CHECKING:
    from clawver_orders.settings import Settings

FOLDER = "opener"
_GOOD = "settings.json"
_MOST_GOOD = 32
_MOST_BYTES = 4 * 1024 * 1024
_PACKAGES = ("mcp-", "mcp_types-", "pydantic-", "pydantic_core-")
_HOMES = frozenset({"HOME", "USERPROFILE"})
_UNUSABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading a file may end in that others could have written, or that is damaged."""


class Surfaces:
    """The surfaces of one state folder, for one start.

    Args:
        state_dir: The state folder.
        variables: The environment of this process.
        words: The words after the command.

    Raises:
        OSError: It cannot be told what this was made with.
    """

    def __init__(self, state_dir: Path, variables: Mapping[str, str], words: Sequence[str]) -> None:
        self._folder = state_dir / FOLDER
        self._made_with = _digest([sys.version, clawver_orders.__version__, _packages(), _files()])
        self._these = _digest([self._made_with, list(words), _that_matter(variables)])

    def of_these_settings(self) -> Surface | None:
        """The surface, where exactly these settings were found good before."""
        try:
            facts, inbox_in = self._good()[self._these]
        except _UNUSABLE:
            return None
        return self._read(_file_name(facts, inbox_in))

    def of(self, settings: "Settings") -> Surface | None:
        """The surface for settings that were found good now."""
        return self._read(_file_name(*_facts(settings)))

    def keep(self, settings: "Settings", surface: Surface) -> None:
        """Keep a surface, and that these settings are good.

        Raises:
            OSError: It cannot be written.
        """
        facts, inbox_in = _facts(settings)
        make_private(self._folder)
        self._write(
            _file_name(facts, inbox_in),
            {"made_with": self._made_with, "surface": surface._asdict()},
        )
        if not (settings.ca_certificates or settings.stores):  # what a file held may change
            try:
                good = self._good()
            except _UNUSABLE:
                good = {}
            good.pop(self._these, None)
            good[self._these] = (facts, inbox_in)
            self._write(_GOOD, dict(list(good.items())[-_MOST_GOOD:]))

    def _good(self) -> dict[str, tuple[str, str]]:
        """What is noted of settings by their digest; what is in there may be damaged."""
        return dict(self._load(_GOOD))

    def _read(self, name: str) -> Surface | None:
        try:
            kept = self._load(name)
            surface = Surface(**kept["surface"])
            texts = [each for part in surface for each in part.values()]
            is_good = kept["made_with"] == self._made_with and all(type(t) is str for t in texts)
        except _UNUSABLE:
            return None
        return surface if is_good else None

    def _load(self, name: str) -> Any:
        return json.loads(read_private(self._folder / name, _MOST_BYTES))

    def _write(self, name: str, value: object) -> None:
        replace_private(self._folder / name, json.dumps(value).encode())


def _facts(settings: "Settings") -> tuple[str, str]:
    """What a surface depends on.

    Returns:
        What the settings alone say, in words; and the folder where an inbox would change it, if
        any could.
    """
    kind = "sandbox" if settings.sandbox else "test" if settings.is_test_key else "live"
    words = [kind, "reading" if settings.read_only else "writing"]
    if settings.refund_grade == "agent":
        words.append("agent")
    if settings.toolsets:
        return "-".join([*words, *sorted(set(settings.toolsets))]), ""
    if settings.webhook_secret or settings.has_database:
        return "-".join([*words, "events"]), ""
    return "-".join(words), str(settings.origin_dir)


def _file_name(facts: str, inbox_in: str) -> str:
    has_events = bool(inbox_in) and may_hold(Path(inbox_in), INBOX)
    return f"{facts}{'-events' if has_events else ''}.json"


def _packages() -> list[str]:
    """What is installed of that which a surface is made with, with versions."""
    found = set()
    for folder in sys.path:
        try:
            found |= {name for name in os.listdir(folder or ".") if name.startswith(_PACKAGES)}  # noqa: PTH208  # fast
        except OSError:  # what is no folder holds none
            continue
    return sorted(name for name in found if name.endswith(".dist-info"))


def _files() -> list[tuple[str, int, int]]:
    """Our own files, and when they were changed: in a checkout they change without a version."""
    pages = skill.folder()
    found = [str(pages / skill.MAIN)]
    for top in (Path(clawver_orders.__file__).parent, pages / "references"):
        for folder, _, names in os.walk(top):
            found += [f"{folder}/{name}" for name in names if name.endswith((".py", ".md"))]
    about = ((path, os.stat(path)) for path in sorted(found))  # noqa: PTH116  # fast
    return [(path, its.st_mtime_ns, its.st_size) for path, its in about]


def _that_matter(variables: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables that settings depend on. Of one that may be misspelt only its name counts."""
    return sorted(
        (name, value if name in VARIABLES.values() or name in _HOMES else "")
        for name, value in variables.items()
        if name in _HOMES or (value.strip() and may_be_meant(name))
    )


def _digest(value: object) -> str:
    return blake2b(repr(value).encode(), digest_size=16).hexdigest()
