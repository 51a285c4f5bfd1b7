"""A server on its own pipe, asked line by line: as little client as possible around what is measured."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

PATIENT = "2025-06-18"  # a revision that every server here speaks


class Server:
    """A process that speaks the protocol."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._number = 0

    def send(self, method: str, **params: Any) -> int:
        """Ask without waiting; gives the number of the question."""
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._write(message)
        return self._number

    def hear(self) -> tuple[int, bytes]:
        """The next answer, whatever it answers, and its line."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            message = json.loads(line)
            if "id" in message and "method" not in message:
                assert "result" in message, message
                return message["id"], line
        raise EOFError("the server ended")

    def ask(self, method: str, **params: Any) -> bytes:
        """Ask and wait for the answer's line."""
        number = self.send(method, **params)
        answered, line = self.hear()
        assert answered == number
        return line

    def greet(self) -> None:
        """The handshake of hosts."""
        about = {"name": "benchmark", "version": "1"}
        self.ask("initialize", protocolVersion=PATIENT, capabilities={}, clientInfo=about)
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def at_once(self, count: int, tool: str, arguments: Mapping[str, Any]) -> None:
        """So many calls, none of which waits for another."""
        sent = {self.send("tools/call", name=tool, arguments=arguments) for _ in range(count)}
        answers = dict(self.hear() for _ in range(count))
        assert set(answers) == sent
        failed = [line for line in answers.values() if b'"isError":true' in line]
        assert not failed, failed[0]

    def megabytes(self) -> float:
        """The memory that the process holds now."""
        command = ["ps", "-o", "rss=", "-p", str(self._process.pid)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout) / 1024

    def hang_up(self) -> None:
        """Close its input, and wait until it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def terminate(self) -> None:
        """Tell it to end, and wait until it has."""
        self._process.terminate()
        self._process.wait()

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Server]:
    """A server that has just been started."""
    with subprocess.Popen(
        command, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield Server(process)
        finally:
            process.kill()
