"""Other processes, and a user without privileges."""

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

UNPRIVILEGED = 65_534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


class Other:
    """Another process. It says a line when it is ready, and goes on when it hears one."""

    def __init__(self, code: str, *arguments: object, before: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{code}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout

    def hear(self) -> str:
        return self._from.readline().strip()

    def go_on(self) -> None:
        self._to.write("go\n")

    def end(self) -> None:
        self._to.close()
        assert self._process.wait(20) == 0
        self._from.close()

    def kill(self) -> None:
        """End it as a power cut would: nothing of it runs any more."""
        self._process.kill()
        self._process.wait(20)
        for pipe in (self._to, self._from):
            pipe.close()


Start = Callable[..., Other]
