"""What the pages print to be typed, by page and section, and a shell in which it is typed."""

import os
import re
import select
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.terminals import PROMPT

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("references/*.md"))
}
_ENDS_WITHIN_SECONDS = 120.0


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str


@dataclass(frozen=True)
class Section:
    """What stands below one heading of a page, up to the next."""

    page: str
    heading: str
    blocks: tuple[Block, ...]

    @property
    def name(self) -> tuple[str, str]:
        return self.page, self.heading


@dataclass(frozen=True)
class Step:
    """A line that is typed, and what the page says of its outcome in the lines below it."""

    line: str
    exit_code: int
    texts: tuple[str, ...]


def sections() -> list[Section]:
    """Every section that has a block."""
    found = []
    for page, text in PAGES.items():
        heading, blocks, opened = "", list[Block](), ""
        inside: list[str] | None = None
        for line in [*text.splitlines(), "# "]:
            if inside is not None:
                if line == "```":
                    blocks.append(Block(opened, "".join(f"{each}\n" for each in inside)))
                    inside = None
                else:
                    inside.append(line)
            elif line.startswith("```"):
                opened, inside = line.removeprefix("```"), []
            elif title := re.fullmatch(r"#{1,4} (.*)", line):
                if blocks:
                    found.append(Section(page, heading, tuple(blocks)))
                heading, blocks = title[1], []
        assert inside is None, f"a block of {page} has no end"
    return found


def block(page: str, heading: str) -> str:
    """The only block of a section."""
    (found,) = (each for each in sections() if each.name == (page, heading))
    (only,) = found.blocks
    return only.text


def steps(block: str) -> list[Step]:
    """The lines of a block of shell; the lines that begin with a hash say what came of the one before."""
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("# "):
            said, last = line.removeprefix("# "), found.pop()
            code = re.fullmatch(r"exit code (\d+)", said)
            found.append(
                Step(last.line, int(code[1]), last.texts)
                if code
                else Step(last.line, last.exit_code, (*last.texts, said))
            )
        elif line:
            assert not line.endswith("\\"), "a line that goes on in the next"
            found.append(Step(line, 0, ()))
    return found


class Shell:
    """One POSIX shell, in which lines are typed one after another."""

    def __init__(self, home: Path, environment: dict[str, str], *, is_terminal: bool) -> None:
        """Open it.

        Args:
            home: The folder it starts in.
            environment: All its variables.
            is_terminal: Whether a person sits there, who answers each question with a yes.
        """
        import pty  # there is none on Windows

        self._screen, shown = pty.openpty() if is_terminal else os.pipe()
        script, self._keyboard = os.pipe()
        self._is_terminal = is_terminal
        self._process = subprocess.Popen(
            ["sh", f"/dev/fd/{script}"], pass_fds=[script], cwd=home, env=environment,
            stdin=shown if is_terminal else subprocess.DEVNULL, stdout=shown, stderr=shown,
        )  # fmt: skip
        os.close(script)
        os.close(shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._keyboard)
        self._process.wait(_ENDS_WITHIN_SECONDS)
        os.close(self._screen)

    def typed(self, line: str) -> tuple[int, str]:
        """Type a line that ends by itself; gives its exit code and what was shown."""
        self._type(line)
        return self._ended()

    def started(self, line: str) -> str:
        """Type a line that goes on until it is stopped; gives what it shows once it can be reached."""
        # What runs in the background would read from /dev/null.
        self._type(f"exec 9<&0; {re.sub(' +#.*', '', line)} <&9 &")
        return self._shown_until(r"http://[\w.:/-]+\S*\s")

    def stopped(self) -> tuple[int, str]:
        """Stop what was started, as a service manager does; gives its exit code and what it said."""
        self._type('kill -TERM "$!"; wait "$!"')
        return self._ended()

    def _type(self, line: str) -> None:
        os.write(self._keyboard, f"{line}\n".encode())

    def _ended(self) -> tuple[int, str]:
        mark = f"ended-{uuid.uuid4().hex}"
        self._type(f"printf '\\n%s\\n' {mark}-$?-")
        shown = self._shown_until(rf"\n{mark}-\d+-\r?\n")
        before, _, code = shown.rpartition(f"\n{mark}-")
        return int(code.partition("-")[0]), before.replace("\r\n", "\n")

    def _shown_until(self, pattern: str) -> str:
        shown, answered, deadline = b"", 0, time.monotonic() + _ENDS_WITHIN_SECONDS
        while not re.search(pattern, text := shown.decode(errors="replace")):
            assert time.monotonic() < deadline, f"it does not end; it showed {text}"
            if select.select([self._screen], [], [], 1.0)[0]:
                shown += os.read(self._screen, 65536)
            if self._is_terminal and shown.count(PROMPT.encode()) > answered:
                answered += 1
                os.write(self._screen, b"y\n")
        return text
