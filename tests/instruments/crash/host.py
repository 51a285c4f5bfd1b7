"""A host: starts a server process, writes and reads its lines, and ends it in all the ways there are."""

import json
import os
import pty
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clawver_sandbox.shop import API_KEY

ELSEWHERE = Path(__file__).with_name("elsewhere.py")
WAIT_FOR = ("could still take effect", "an older copy of itself")
"""What a sensible person waits for, or declines, who is told of it."""
THINKS_SECONDS = 1.05
"""How long a person takes: a sooner answer is the host's own."""
INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "clientInfo": {"name": "a host", "version": "1"},
}


@dataclass(frozen=True)
class Answer:
    """What a call came back with."""

    says: dict[str, Any] = field(default_factory=dict)
    """The structured content."""
    error: str = ""
    """The text, where it was an error."""

    @property
    def status(self) -> str:
        """The refund's status; `error` where there is none."""
        return str(self.says.get("status", "error"))

    @property
    def next_step(self) -> str:
        """What it says to do."""
        return str(self.says.get("next_step", ""))


class Call:
    """A call on its way."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._heard: queue.Queue[Answer | None] = queue.Queue()

    def put(self, answer: Answer | None) -> None:
        """Nothing means that the server is gone."""
        self._heard.put(answer)

    def wait(self, seconds: float = 60.0) -> Answer | None:
        """The answer; None where the server ended without one."""
        return self._heard.get(timeout=seconds)


class KillableHost:
    """One server process over its whole life.

    Args:
        environment: The settings of the server.
        complaints: The file that takes what it says on stderr.
        person: Whether somebody sits there who says yes to every question; but not yet where they are
            told that the same may still be on its way.
        before: What to put before the command, such as another user.
        machine: On which machine it runs; 0 for this one.
    """

    def __init__(
        self,
        environment: dict[str, str],
        complaints: Path,
        *,
        person: bool = False,
        before: tuple[str, ...] = (),
        machine: int = 0,
    ) -> None:
        self._person = person
        self._warned = 0
        self._calls: dict[int, Call] = {}
        self._number = 0
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._over = False
        with complaints.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*before, *_command(machine), "serve"],
                env=_clean(environment, machine) | {"PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self._reader = threading.Thread(target=self._read, name="host", daemon=True)
        self._reader.start()
        able: dict[str, Any] = {"elicitation": {}} if person else {}
        opening = self._request("initialize", **INITIALIZE, capabilities=able)
        try:
            opening.wait(180.0)  # many start at once on a machine that is busy
        except queue.Empty:
            self.process.send_signal(signal.SIGABRT)  # it writes down where it hangs
            raise
        self._say({"method": "notifications/initialized"})

    @property
    def is_alive(self) -> bool:
        """Whether it may still answer."""
        return not self._over and self.process.poll() is None

    def start(self, tool: str, **arguments: Any) -> Call:
        """Call a tool without waiting for it."""
        return self._request("tools/call", name=tool, arguments=arguments)

    def call(self, tool: str, **arguments: Any) -> Answer | None:
        """Call a tool; None where the server ended without an answer."""
        return self.start(tool, **arguments).wait()

    def cancel(self, call: Call) -> None:
        """Tell the server that nobody waits any more."""
        self._say({"method": "notifications/cancelled", "params": {"requestId": call.number}})

    def kill(self) -> None:
        """End it at once, as a crash does, and see it gone."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask it to go, as a session manager does."""
        self.process.send_signal(signal.SIGTERM)

    def hang_up(self) -> None:
        """Close its standard input, as a host does that ends."""
        assert self.process.stdin is not None
        # What cannot be said because the server is gone, is not.
        with self._writing, suppress(BrokenPipeError, ValueError):
            self.process.stdin.close()

    def close(self, seconds: float = 30.0) -> int:
        """Hang up, wait for the end, and say with which code it ended."""
        self.hang_up()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.returncode

    def _request(self, method: str, **params: Any) -> Call:
        with self._guard:
            self._number += 1
            call = Call(self._number)
            if self._over:
                call.put(None)
                return call
            self._calls[call.number] = call
        self._say({"id": call.number, "method": method, "params": params})
        return call

    def _say(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0"} | message).encode() + b"\n"
        with self._writing, suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # a killed server may leave half a line
                self._hear(json.loads(line))
        with self._guard:
            self._over = True
            left = list(self._calls.values())
            self._calls.clear()
        for call in left:
            call.put(None)

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("method") == "elicitation/create":
            seconds, result = self._decide(message["params"]["message"])
            answer = {"id": message["id"], "result": result}
            threading.Timer(seconds, self._say, [answer]).start()
        elif "method" not in message:
            with self._guard:
                call = self._calls.pop(message["id"], None)
            if call is not None:  # an answer to a cancelled call is nobody's
                call.put(_answer(message))

    def _decide(self, question: str) -> tuple[float, dict[str, Any]]:
        """How long somebody takes for a question, and what they say.

        At once it is the host's own yes, worth an agent's word. Where that is not enough, a person
        takes a while; a server that ends meanwhile leaves its question open.
        """
        yes = {"action": "accept", "content": {"approve": True}}
        if any(words in question for words in WAIT_FOR):
            self._warned += 1
            return THINKS_SECONDS, {"action": "decline" if self._warned % 4 == 0 else "cancel"}
        needs_person = any(words in question for words in ("still show", "A person said"))
        return THINKS_SECONDS if needs_person else 0.0, yes


def in_terminal(environment: dict[str, str], machine: int, *command: str) -> str:
    """What a command says to somebody at a terminal who says yes to its question."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*_command(machine), *command],
        env=_clean(environment, machine),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        os.write(ours, b"y\n")
        said = b""
        with suppress(OSError):  # so a terminal ends whose other side is gone
            while piece := os.read(ours, 65536):
                said += piece
    os.close(ours)
    return said.decode()


def _command(machine: int) -> list[str]:
    """The command on this machine, or as on another one."""
    if machine:
        return [sys.executable, "-P", str(ELSEWHERE)]
    return [sys.executable, "-m", "clawver_orders"]


def _clean(environment: dict[str, str], machine: int) -> dict[str, str]:
    """The environment of a process that will be killed: it measures nothing."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CLAW", "COVERAGE_"))
    }
    return kept | environment | {"CRASH_MACHINE": str(machine)}


def _answer(message: dict[str, Any]) -> Answer | None:
    result = message.get("result", {})
    if "error" in message:
        # What the SDK says for a call that was in flight at the end of input; no model sees it.
        assert message["error"]["message"] == "Connection closed", message
        return None
    text = "".join(part.get("text", "") for part in result.get("content", ()))
    if result.get("isError"):
        return Answer(error=text)
    return Answer(says=result.get("structuredContent", {}))


def environment_of(api_url: str, state: Path, **changed: object) -> dict[str, str]:
    """The settings of a server under test: a store on this machine, and time that passes fast.

    Args:
        api_url: Where the store answers.
        state: The state folder.
        changed: Further variables, without their CLAWVER_ prefix.
    """
    values = {
        "CLAW_API_KEY": API_KEY,
        "CLAWVER_API_URL": api_url,
        "CLAWVER_STATE_DIR": str(state),
        "CLAWVER_REFUND_APPROVAL": "off",
        "CLAWVER_REFUND_DAILY_LIMIT_CENTS": "1000000000",
        "CLAWVER_REQUESTS_PER_MINUTE": "1000000",
        "CLAWVER_REQUESTS_PER_DAY": "1000000000",
        "CLAWVER_TIMEOUT_SECONDS": "60",
    }
    return values | {f"CLAWVER_{name}": str(value) for name, value in changed.items()}
