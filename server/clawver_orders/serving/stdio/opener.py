"""Listens to a host from the first moment on, and answers what it asks first while the SDK is loaded.

Standard library only. One thread owns standard input from its start to the end of the process; until
the SDK takes over it also writes the answers. Whatever goes wrong in here, everything the host said
still reaches the SDK.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from clawver_orders.errors import SetupError
from clawver_orders.serving.stdio.framing import LONGEST_LINE, Framing, Line
from clawver_orders.serving.stdio.opening import Opening, Surface, wants_no_answer

_CHUNK = 64 * 1024
_MOST_BYTES_THAT_WAIT = 2 * LONGEST_LINE


class Opener:
    """The host's end of the connection.

    Args:
        source: The descriptor to read from.
        sink: The descriptor to write to.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.sink = sink
        """Where answers go: from here alone until `hand_over`, and then from the SDK's side."""
        self._source = source
        self._opening: Opening | None = None
        self._waiting: list[Line] = []
        self._waiting_bytes = 0
        self._owes_answers = False
        self._lock = threading.Lock()
        self._is_taken_over = threading.Event()
        self._take: Callable[[list[Line]], None]
        self._end: Callable[[], None]

    @property
    def answers(self) -> dict[str, str]:
        """The results that were given, by the ids under which the SDK gets the requests."""
        return {} if self._opening is None else self._opening.answers

    @property
    def has_surface(self) -> bool:
        """Whether it answers, or has answered."""
        return self._opening is not None

    def start(self) -> "Opener":
        """Begin to listen."""
        threading.Thread(target=self._listen, name="opener", daemon=True).start()
        return self

    def answer_from(self, surface: Surface) -> None:
        """Answer what is beyond doubt, from what has been said until now on."""
        with self._lock:
            self._opening = Opening(surface)
            heard, self._waiting = self._waiting, []
            self._waiting_bytes, self._owes_answers = 0, False
            self._keep(heard)

    def hand_over(self, take: Callable[[list[Line]], None], end: Callable[[], None]) -> list[Line]:
        """From now on somebody else answers.

        Args:
            take: Takes what arrives from now on, called by the thread that listens.
            end: Is called when the host has nothing more to say.

        Returns:
            All that waited. It is one batch, so that the SDK sees which requests the host has withdrawn.
        """
        with self._lock:
            self._take, self._end = take, end
            self._is_taken_over.set()
            return self._waiting

    def _listen(self) -> None:
        framing = Framing()
        with suppress(OSError):  # a pipe that breaks has ended, too
            while chunk := os.read(self._source, _CHUNK):
                if lines := framing.feed(chunk):
                    self._hear(lines)
        self._hear([framing.rest()])
        if not self._is_taken_over.is_set() and not self._owes_answers:
            os._exit(0)  # nothing has begun, and nobody waits for anything
        self._is_taken_over.wait()
        self._end()

    def _hear(self, lines: list[Line]) -> None:
        with self._lock:
            is_early = not self._is_taken_over.is_set()
            if is_early:
                self._keep(lines)
        if not is_early:
            self._take(lines)
        elif self._waiting_bytes > _MOST_BYTES_THAT_WAIT:
            self._is_taken_over.wait()

    def _keep(self, lines: list[Line]) -> None:
        """Answer what can be answered, and have everything wait for the SDK."""
        for place, line in enumerate(lines):
            passed_on, answer = self._answered(line, lines[place + 1 :])
            self._waiting.append(passed_on)
            self._waiting_bytes += len(passed_on)
            self._owes_answers |= not answer and not wants_no_answer(line)
            self._say(answer)

    def _answered(self, line: Line, later: list[Line]) -> tuple[Line, bytes]:
        if self._opening is None:
            return line, b""
        try:
            return self._opening.take(line, later)
        except Exception:  # noqa: BLE001  # whatever it is, the SDK can do it
            self._opening.give_up()
            return line, b""

    def _say(self, answer: bytes) -> None:
        rest = memoryview(answer)
        try:
            while rest:
                rest = rest[os.write(self.sink, rest) :]
        except OSError:  # nobody listens any more
            os._exit(0)


def claim_standard_streams() -> tuple[int, int]:
    """Both standard streams for the protocol alone.

    Whatever else in this process reads standard input finds it empty, and whatever is printed
    goes to stderr.

    Raises:
        SetupError: One of them is closed.
    """
    try:
        for each in (0, 1, 2):  # a duplicate would take the place of one that is closed
            os.fstat(each)
        source, sink = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
    except OSError as error:
        raise SetupError(
            f"Standard input, output or error is closed ({type(error).__name__}).",
            next_step="Let an MCP host start this command, or serve over HTTP with --http.",
        ) from error
    os.close(nothing)
    return source, sink
