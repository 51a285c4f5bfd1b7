"""Callers through which nobody brings an answer along."""

from clawver_orders.caller import Caller, Question, Reply, Script
from clawver_orders.cli.refunds import _Terminal

QUESTION = Question("rfi_1", "Refund?", yes="Send", choice="Yes sends.", number=1)


async def test_a_shell_brings_no_answer_and_asks_nobody() -> None:
    shell: Caller = Script()

    assert shell.reply_to("rfi_1") is None
    assert await shell.ask(QUESTION) is Reply.FAILED
    assert (shell.grade, shell.is_person, shell.can_ask) == ("agent", False, False)


def test_a_terminal_asks_each_time() -> None:
    terminal: Caller = _Terminal("approve", yes=True)

    assert terminal.reply_to("rfi_1") is None
    assert (terminal.grade, terminal.person) == ("agent", "program in the terminal")
