"""The thread that listens, whatever arrives and whatever goes wrong in it."""

import json
import os
from collections.abc import Iterator

import pytest
from tests.hosts import INITIALIZE, surface_of, wait_for
from tests.serving.stdio.test_opening import SETTINGS, hello

from clawver_orders.serving.stdio.framing import LONGEST_LINE, Line
from clawver_orders.serving.stdio.opener import Opener
from clawver_orders.serving.stdio.opening import Surface


class Connected:
    """An opener, the ends of its pipes that a host has, and what it handed over."""

    def __init__(self) -> None:
        source, self.to_us = os.pipe()
        self.from_us, sink = os.pipe()
        self._ours = (source, sink)
        self.opener = Opener(source, sink)
        self.lines: list[Line] = []
        self.has_ended = False

    def say(self, *lines: bytes) -> None:
        text = b"".join(line + b"\n" for line in lines)
        while text:
            text = text[os.write(self.to_us, text[: 64 * 1024]) :]

    def take_over(self) -> None:
        self.lines += self.opener.hand_over(self.lines.extend, self._end)

    def _end(self) -> None:
        self.has_ended = True

    def end(self) -> None:
        os.close(self.to_us)
        wait_for(lambda: self.has_ended)
        for each in (*self._ours, self.from_us):
            os.close(each)


@pytest.fixture
def connected() -> Iterator[Connected]:
    connected = Connected()
    yield connected
    connected.end()


def test_what_was_said_before_there_was_an_answer_is_answered_then(connected: Connected) -> None:
    connected.opener.start()
    connected.say(hello())
    wait_for(lambda: bool(connected.opener._waiting))
    connected.opener.answer_from(surface_of(SETTINGS))
    answer = json.loads(os.read(connected.from_us, 65536))
    connected.take_over()

    assert answer["result"]["protocolVersion"] == INITIALIZE["protocolVersion"]
    (passed_on,) = (json.loads(line) for line in connected.lines if isinstance(line, bytes))
    assert passed_on["method"] == "initialize"
    assert list(connected.opener.answers) == [passed_on["id"]]


def test_after_an_exception_in_it_everything_reaches_the_sdk(connected: Connected) -> None:
    broken = Surface({}, {}, {}, {}, {})  # knows no answer to anybody
    connected.opener.answer_from(broken)
    connected.opener.start()
    said = [hello(), b'{"jsonrpc":"2.0","id":2,"method":"tools/list"}', b"x"]
    connected.say(*said)
    wait_for(lambda: len(connected.opener._waiting) == len(said))
    connected.take_over()

    assert connected.lines == said


def test_a_host_that_says_a_lot_is_listened_to_again_once_the_sdk_is_there(
    connected: Connected,
) -> None:
    connected.opener.start()
    line = b"x" * (LONGEST_LINE - 1)
    connected.say(line, line, line)  # more than may wait, so that this returns before it is read
    wait_for(lambda: len(connected.opener._waiting) == 3)
    connected.take_over()
    connected.say(b"and more")
    wait_for(lambda: b"and more" in connected.lines)

    assert connected.lines[:3] == [line] * 3
