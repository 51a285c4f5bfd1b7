"""Two pipes with a host at their other end: its messages come in, ours go out.

Each pipe is served by a thread that does not keep the process alive, because a blocked read or
write can only be left behind. The one that reads is the opener's, which listened before.
"""

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token
from mcp.shared.message import SessionMessage

from clawver_orders.serving.stdio.framing import Line
from clawver_orders.serving.stdio.messages import Refusal, encode_message, parse_message
from clawver_orders.serving.stdio.opener import Opener

_ANSWERS_THAT_MAY_WAIT = 64
_SECONDS_FOR_LAST_WORDS = 1.0


class Pipes:
    """The pipes. Use `open_pipes`.

    Args:
        opener: Who has listened until now, and goes on doing so.
    """

    def __init__(self, opener: Opener) -> None:
        self.is_gone = anyio.Event()
        """Nothing can be said any more."""
        self._opener = opener
        self._loop = current_token()
        self._arrived, self._batches = anyio.create_memory_object_stream[list[Line]](1)
        self._taken = threading.Semaphore()  # what was heard last has been taken: there is room
        self._closed = False
        self._outgoing, self._unsaid = anyio.create_memory_object_stream[SessionMessage](
            _ANSWERS_THAT_MAY_WAIT
        )

    async def batches(self) -> AsyncIterator[list[SessionMessage]]:
        """What the host says, until it closes its end: each time all that has arrived by then."""
        async for lines in self._batches:
            self._taken.release()
            messages = []
            for line in lines:
                heard = parse_message(line)
                if isinstance(heard, Refusal):
                    await self.send(SessionMessage(heard.error))
                elif heard is not None:
                    messages.append(SessionMessage(heard))
            yield messages

    async def send(self, message: SessionMessage) -> None:
        """Say a message.

        While there is room nothing is awaited, so the answer of work that was shielded from the
        end of the process still goes out.
        """
        try:
            self._outgoing.send_nowait(message)
        except anyio.WouldBlock:
            await self._outgoing.send(message)

    def open(self) -> None:
        """Begin to listen and to speak."""
        self._taken.acquire()  # what has waited comes first
        waiting = self._opener.hand_over(
            lambda lines: _quietly(partial(self._hand_over, lines)),
            partial(_quietly, self._hang_up),
        )
        self._arrived.send_nowait(waiting)
        threading.Thread(target=_quietly, args=(self._speak,), name="pipe", daemon=True).start()

    async def close(self) -> None:
        """Say what has not been said yet, unless the host has stopped to read."""
        self._closed = True
        self._batches.close()
        self._outgoing.close()
        with anyio.move_on_after(_SECONDS_FOR_LAST_WORDS, shield=True):
            await self.is_gone.wait()
        self._unsaid.close()
        self._arrived.close()

    def _hand_over(self, lines: list[Line]) -> None:
        """Give the event loop what arrived, one batch at a time.

        By a plain function: a coroutine that a closing loop does not come to run would be
        complained about.
        """
        self._taken.acquire()
        from_thread.run_sync(self._arrived.send_nowait, lines, token=self._loop)

    def _hang_up(self) -> None:
        from_thread.run_sync(self._arrived.close, token=self._loop)

    def _speak(self) -> None:
        with suppress(OSError, anyio.EndOfStream):
            while not self._closed or self._unsaid.statistics().current_buffer_used:
                messages = from_thread.run(self._all_unsaid, token=self._loop)
                said = memoryview(b"".join(encode_message(each.message) for each in messages))
                while said:
                    said = said[os.write(self._opener.sink, said) :]
        from_thread.run_sync(self.is_gone.set, token=self._loop)

    async def _all_unsaid(self) -> list[SessionMessage]:
        """What waits to be said, once there is something."""
        messages = [await self._unsaid.receive()]
        with suppress(anyio.WouldBlock, anyio.EndOfStream):
            while True:
                messages.append(self._unsaid.receive_nowait())
        return messages


@asynccontextmanager
async def open_pipes(opener: Opener) -> AsyncIterator[Pipes]:
    """Pipes to the host that an opener listens to, for as long as the block lasts."""
    pipes = Pipes(opener)
    pipes.open()
    try:
        yield pipes
    finally:
        await pipes.close()


def _quietly(work: Callable[[], None]) -> None:
    """A thread that finds its event loop at an end has nothing to complain about."""
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, RuntimeError):
        work()
