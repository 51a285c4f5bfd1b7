"""Lines on stdout that hold nothing up: a slow reader, or none, delays no work."""

import os
import sys
from queue import Full, Queue
from threading import Thread
from typing import Self

MOST_WAITING = 1000
"""How many lines wait for a slow reader; further ones are left out, and counted."""
LAST_LINES_SECONDS = 1.0
"""How long the last lines may take when the command ends."""


class LineWriter:
    """Writes lines from a thread of its own, for as long as the block lasts."""

    def __init__(self) -> None:
        self._lines: Queue[str | None] = Queue(MOST_WAITING)
        self._left_out = 0
        self._thread = Thread(target=self._write_all, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._lines.put_nowait(None)
        except Full:
            return  # nobody reads
        self._thread.join(LAST_LINES_SECONDS)

    def add(self, line: str) -> None:
        """Have a line written as soon as there is room for it; never waits."""
        if self._left_out:
            line = f"Lines that nobody read in time, left out here: {self._left_out}.\n{line}"
        try:
            self._lines.put_nowait(line)
        except Full:
            self._left_out += 1
        else:
            self._left_out = 0

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None and _write(f"{line}\n".encode()):
            pass


def _write(data: bytes) -> bool:
    """Write past Python's buffer, whose lock a reader that stalls would hold at the end of the process.

    Returns:
        Whether it could be written.
    """
    try:
        stream = sys.stdout.fileno()
        while data:
            data = data[os.write(stream, data) :]
    except (OSError, AttributeError):  # nobody reads it, or stdout was closed from the start
        return False
    return True
