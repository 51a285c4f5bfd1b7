"""What hosts do: start the server as a process of their own, and exchange lines with it."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio

from clawver_orders.errors import SetupError
from clawver_orders.serving.server import build_server
from clawver_orders.serving.stdio.freezing import frozen
from clawver_orders.serving.stdio.opening import Surface
from clawver_orders.serving.stdio.surfaces import Surfaces
from clawver_orders.settings import Settings
from clawver_orders.tools import offered

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
OPENER = {"CLAWVER_OPENER": "strict"}
"""How a server is started, unless a test says how."""
_SURFACES: dict[str, Surface] = {}


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

    def wait_until_loaded(self) -> None:
        """Ask what no opener answers."""
        self.ask(0, "tools/call", name="no_such_tool", arguments={})

    def request_refund(self, number: int, order_id: str, amount_in_cents: int) -> None:
        wanted = {"order_id": order_id, "amount_in_cents": amount_in_cents, "reason": "Smudged"}
        params = {"name": "refund_order", "arguments": wanted}
        self.say({"id": number, "method": "tools/call", "params": params})

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """What it still said, and its complaints, once it has ended by itself."""
        said, complaints = self.process.communicate(timeout=120)
        return [json.loads(line) for line in said.splitlines()], complaints.decode()


def known_from_before(*command: str, **environment: str) -> None:
    """Keep what a start keeps, without starting anything.

    Args:
        command: What is started; the server's own command where none is given.
        environment: As for `hosting`.
    """
    words, variables = _words(command or COMMAND), _variables(environment)
    options = {each[2:].replace("-", "_"): True for each in words[1:]}
    try:
        settings = Settings.from_environment(variables, **options)
        surfaces = Surfaces(settings.state_dir, variables, words)
        if settings.opener != "off" and surfaces.of_these_settings() is None:
            surfaces.keep(settings, surface_of(settings))
    except (SetupError, OSError):  # such a start keeps nothing either
        return


def _variables(environment: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}
    return clean | OPENER | environment


def _words(command: tuple[str, ...]) -> list[str]:
    """What stands after the command, also where lines are run before it."""
    if found := re.search(r"sys\.argv\[1:\] = (\[.*\])$", command[-1], re.MULTILINE):
        words: list[str] = ast.literal_eval(found[1])
        return words
    return list(command[command.index(COMMAND[-1]) + 1 :]) if COMMAND[-1] in command else []


def surface_of(settings: Settings) -> Surface:
    """What the SDK says with these settings, asked once for each kind of server."""
    server = build_server(settings)
    kind = " ".join([f"{server.title} {server.instructions}", *(t.name for t in offered(settings))])
    if kind not in _SURFACES:
        with ThreadPoolExecutor(1) as apart:  # the test may have an event loop of its own
            asked = partial(anyio.run, frozen, server)
            _SURFACES[kind] = apart.submit(asked).result()
    return _SURFACES[kind]


@contextmanager
def hosting(*command: str, **environment: str) -> Iterator[HostProcess]:
    """A server process that was started with these variables before, so that it answers early.

    Args:
        command: The command; its own where none is given.
        environment: Variables for it, beside those of this process that are no settings.
    """
    known_from_before(*command, **environment)
    with starting(*command, **environment) as host:
        yield host


@contextmanager
def starting(*command: str, **environment: str) -> Iterator[HostProcess]:
    """A server process, as `hosting`, which knows what it has kept by itself.

    An early answer that the SDK would not give ends it.
    """
    with subprocess.Popen(
        command or COMMAND, env=_variables(environment),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
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
    code = f"{patch}\nimport sys; sys.argv[1:] = {list(arguments)!r}\nfrom clawver_orders.__main__ import main; main()"
    return (sys.executable, "-c", code)


def wait_for(happened: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something has happened in another process."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("it never happened")
        time.sleep(0.01)
