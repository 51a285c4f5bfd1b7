"""What hosts do: start the server as a process of their own, and exchange lines with it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

INITIALIZE: dict[str, Any] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "a host", "version": "1"},
}
MODERN: dict[str, Any] = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "a host", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
"""What every request of the newer protocol carries."""
COMMAND = (sys.executable, "-m", "clawver_orders")


class HostProcess:
    """Writes and reads lines, as a host does."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def say(self, message: dict[str, Any]) -> None:
        self.say_raw(json.dumps({"jsonrpc": "2.0"} | message).encode())

    def say_raw(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = json.loads(self.process.stdout.readline())
        return heard

    def ask(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        self.say({"id": number, "method": method, "params": params})
        answer = self.hear()
        assert answer["id"] == number
        return answer

    def greet(self) -> None:
        self.ask(1, "initialize", **INITIALIZE)
        self.say({"method": "notifications/initialized"})

    def request_refund(self, number: int, order_id: str, amount_in_cents: int) -> None:
        wanted = {"order_id": order_id, "amount_in_cents": amount_in_cents, "reason": "Smudged"}
        params = {"name": "refund_order", "arguments": wanted}
        self.say({"id": number, "method": "tools/call", "params": params})

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """What it still said, and its complaints, once it has ended by itself."""
        said, complaints = self.process.communicate(timeout=30)
        return [json.loads(line) for line in said.splitlines()], complaints.decode()


@contextmanager
def hosting(*command: str, **environment: str) -> Iterator[HostProcess]:
    """A server process, started with this command; its own where none is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}
    with subprocess.Popen(
        command or COMMAND,
        env=clean | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield HostProcess(process)
        finally:
            stop(process)


def stop(process: subprocess.Popen[Any]) -> None:
    """End what is still running: asked first, so that what it ran is counted, then by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def patched(patch: str, *arguments: str) -> tuple[str, ...]:
    """The command with some lines run before it, to break on purpose what tests need broken."""
    code = f"{patch}\nimport sys; sys.argv[1:] = {list(arguments)!r}\nfrom clawver_orders.cli.main import main; main()"
    return (sys.executable, "-c", code)


def wait_for(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something has happened in another process."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("it never happened")
        time.sleep(0.01)
