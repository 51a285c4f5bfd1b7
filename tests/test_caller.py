"""Callers through which nobody brings an answer along."""

from pathlib import Path

from clawver_orders.caller import Caller, Question, Reply, Script
from clawver_orders.cli.person import Terminal
from clawver_orders.instants import now
from clawver_orders.storage.pin import Pin

QUESTION = Question("rfi_1", "Refund?", yes="Send", choice="Yes sends.", number=1)


async def test_a_shell_brings_no_answer_and_asks_nobody() -> None:
    shell: Caller = Script()

    assert shell.reply_to("rfi_1") is None
    assert await shell.ask(QUESTION) is Reply.FAILED
    assert (shell.grade, shell.is_person, shell.can_ask) == ("agent", False, False)


def test_a_terminal_asks_each_time(tmp_path: Path) -> None:
    terminal: Caller = Terminal("approve", yes=True, pin=Pin(tmp_path, now))

    assert terminal.reply_to("rfi_1") is None
    assert (terminal.grade, terminal.person) == ("agent", "program in the terminal")
