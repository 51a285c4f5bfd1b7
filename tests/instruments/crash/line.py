"""A port that leads to PostgreSQL, and on which lines are cut, slow, or swallow what goes over them."""

import asyncio
from typing import Literal

from tests.instruments.crash.gate import Gate

AtCommit = Literal["lost", "unheard", "late", "swallowed"]
"""What becomes of a COMMIT: it is lost with the line; it arrives, and the line ends before its answer;
the same, and it arrives a moment later; it is swallowed, and the line stays silent.
"""
LATE_SECONDS = 0.4
HEARD_SECONDS = 0.2
"""How long a server takes at most to have read what was sent to it."""


class DatabaseLine(Gate):
    """Passes bytes on between one machine and the database, as far as it is told to.

    Args:
        port: Where the database listens on this machine.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._is_mute = False
        self._slow_seconds = 0.0
        self._at_commit: AtCommit | None = None
        self._of = b""
        self.ended = 0
        """How often that was done with a COMMIT."""
        self._mended = asyncio.Event()

    def cut(self) -> None:
        """Hang up on everybody; new lines are let in."""
        self._run(self._hang_up())

    def slow(self, seconds: float) -> None:
        """Let everything that is asked take so much longer."""
        self._slow_seconds = seconds

    def swallow(self) -> None:
        """Pass nothing on, and tell nobody."""
        self._is_mute = True

    def at_commit(self, what: AtCommit, of: bytes = b"") -> None:
        """Do that with the next COMMIT of a transaction in which these words were said."""
        self._of, self._at_commit = of, what

    def mend(self) -> None:
        """Pass everything on again. What was swallowed is gone, with its line."""
        self._run(self._mend())

    async def _mend(self) -> None:
        self._is_mute, self._slow_seconds, self._at_commit = False, 0.0, None
        self._mended.set()
        self._mended = asyncio.Event()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        said = b""
        while piece := await reader.read(65536):
            said += piece
            what = None
            if b"COMMIT\0" in piece:
                if self._of in said:
                    what, self._at_commit = self._at_commit, None
                    self.ended += what is not None
                said = b""
            if self._is_mute or what == "swallowed":
                await self._mended.wait()  # who hangs up meanwhile is not heard either
                return
            if what is not None:
                back.transport.abort()
                if what == "lost":
                    return
                await asyncio.sleep(LATE_SECONDS if what == "late" else 0)
                writer.write(piece)
                await asyncio.sleep(HEARD_SECONDS)
                return
            await asyncio.sleep(self._slow_seconds)
            writer.write(piece)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            if self._is_mute:
                await self._mended.wait()
                return
            writer.write(piece)
            await writer.drain()
