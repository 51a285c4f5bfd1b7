"""Cuts what arrives into lines. No I/O, standard library only: it works before anything else is loaded.

A line that is too long is skipped while it arrives and never held.
"""

from typing import NamedTuple

LONGEST_LINE = 4 * 1024 * 1024
"""The most bytes that a line may have."""
_EDGE = 1024


class TooLong(NamedTuple):
    """A line that was skipped: only its first and its last bytes are left."""

    head: bytes
    tail: bytes


Line = bytes | TooLong
"""What came before the end of a line."""


class Framing:
    """Cuts what arrives into lines, and holds no more of one than `LONGEST_LINE`."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._head: bytes | None = None  # of the line that is being skipped

    def feed(self, chunk: bytes) -> list[Line]:
        """The lines that this chunk completes."""
        first, *others = chunk.split(b"\n")
        self._add(first)
        completed = []
        for part in others:
            completed.append(self.rest())
            self._add(part)
        return completed

    def rest(self) -> Line:
        """The line that has begun, as if it ended here."""
        line, head = bytes(self._line), self._head
        self._line, self._head = bytearray(), None
        return line if head is None else TooLong(head, line)

    def _add(self, part: bytes) -> None:
        self._line += part
        if self._head is None and len(self._line) > LONGEST_LINE:
            self._head = bytes(self._line[:_EDGE])
        if self._head is not None:
            del self._line[:-_EDGE]
