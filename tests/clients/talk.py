"""A conversation with a server through somebody else's client."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 120  # seconds, for a whole conversation on a busy machine


@dataclass(frozen=True)
class Answer:
    """What a framework would hand to its model."""

    failed: bool
    text: str

    @property
    def data(self) -> dict[str, Any]:
        assert not self.failed, self.text
        data: dict[str, Any] = json.loads(self.text)
        return data


class Talk:
    """Asks a driver, line by line."""

    def __init__(self, process: subprocess.Popen[str], complaints: Path) -> None:
        self._process = process
        self._complaints = complaints

    def tools(self) -> list[str]:
        names: list[str] = self._ask({"list": True})
        return names

    def call(self, tool: str, **arguments: Any) -> Answer:
        return Answer(**self._ask({"tool": tool, "arguments": arguments}))

    def _ask(self, question: dict[str, Any]) -> Any:
        self.say(question)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the client ended: {self._complaints.read_text('utf-8')[-3000:]}"
        return json.loads(line)

    def say(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


@contextmanager
def talking(command: list[str], entry: dict[str, Any], folder: Path) -> Iterator[Talk]:
    """Start a driver and say how its server is started.

    Args:
        command: The driver.
        entry: The server, as a host's configuration has it.
        folder: Where the driver runs.
    """
    complaints = folder / "complaints.txt"
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}
    with (
        complaints.open("w") as stderr,
        subprocess.Popen(
            command, cwd=folder, env=quiet, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
        ) as process,
    ):  # fmt: skip
        limit = threading.Timer(PATIENCE, process.kill)
        limit.start()
        try:
            talk = Talk(process, complaints)
            talk.say(entry)
            yield talk
            process.communicate(timeout=120)
        finally:
            limit.cancel()
            process.kill()
    assert process.returncode == 0, complaints.read_text("utf-8")[-3000:]
