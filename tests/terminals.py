"""A person at a terminal: a command whose input and output are a real pseudo-terminal."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence

PROMPT = "[y/N]: "
WIDE = 1000
"""So many columns that no sentence is broken."""
_ENDS_WITHIN_SECONDS = 60.0


def at_terminal(
    *words: str,
    answers: Sequence[str] = (),
    environment: dict[str, str],
    piped_in: str | None = None,
    is_piped_on: bool = False,
    prompts: Sequence[str] = (PROMPT,),
    columns: int = WIDE,
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does who reads each question and types an answer to it.

    Args:
        words: The command's arguments.
        answers: What is typed, one for each question, without the newline.
        environment: All variables of the process.
        piped_in: What comes through a pipe instead of from the keyboard, as after `echo y |`.
        is_piped_on: Whether the output goes into a pipe instead, as before `| cat`. Then the answers
            are typed before anything is asked.
        prompts: What questions end with.
        columns: The width of the terminal.

    Returns:
        What stood on the screen, where stderr is shown too, and the exit code.
    """
    import pty  # there is none on Windows
    import termios

    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (50, columns))
    passed_on = b""
    process = subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", *words],
        env=_without_size(environment), stdin=terminal if piped_in is None else subprocess.PIPE,
        stdout=subprocess.PIPE if is_piped_on else terminal, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    try:
        if process.stdin is not None:
            process.stdin.write((piped_in or "").encode())
            process.stdin.close()
        if process.stdout is not None:
            os.write(screen, "".join(f"{each}\n" for each in answers).encode())
            passed_on, answers = process.stdout.read(), ()
            process.stdout.close()
        shown = _conversation(screen, list(answers), prompts)
        process.wait(_ENDS_WITHIN_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(screen)
    text = (shown + passed_on).decode().replace("\r\n", "\n")
    return subprocess.CompletedProcess(words, process.returncode, text, "")


def _without_size(environment: dict[str, str]) -> dict[str, str]:
    """Without what says of another terminal how large it is."""
    return {n: value for n, value in environment.items() if n not in {"COLUMNS", "LINES"}}


def _conversation(screen: int, answers: list[str], prompts: Sequence[str]) -> bytes:
    """All that is shown until the command ends."""
    shown, asked, deadline = b"", 0, time.monotonic() + _ENDS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if not select.select([screen], [], [], 1.0)[0]:
            continue
        try:
            more = os.read(screen, 65536)
        except OSError:  # Linux says so that nobody has the terminal open any more
            return shown
        if not more:
            return shown
        shown += more
        if sum(shown.count(each.encode()) for each in prompts) > asked and answers:
            asked += 1
            os.write(screen, f"{answers.pop(0)}\n".encode())
    raise TimeoutError(f"the command did not end; it showed {shown!r}")
