"""Two pipes: what a host writes arrives as messages, and what we say arrives at the host."""

import json
import os
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

from clawver_orders.serving.stdio.opener import Opener
from clawver_orders.serving.stdio.pipes import open_pipes

REQUEST = b'{"jsonrpc":"2.0","id":7,"method":"tools/list"}\n'


class HostEnd:
    """The host's ends of both pipes, and ours."""

    def __init__(self) -> None:
        self.source, self._to_us = os.pipe()
        self._from_us, self.sink = os.pipe()

    def write(self, line: bytes) -> None:
        os.write(self._to_us, line)

    def hang_up(self) -> None:
        os.close(self._to_us)

    def heard(self, count: int) -> list[Any]:
        said = b""
        while said.count(b"\n") < count:
            said += os.read(self._from_us, 65536)
        return [json.loads(line) for line in said.splitlines()]

    def opener(self) -> Opener:
        return Opener(self.source, self.sink).start()

    def close(self) -> None:
        for descriptor in (self.source, self._from_us, self.sink):
            os.close(descriptor)


@pytest.fixture
def host() -> Iterator[HostEnd]:
    host = HostEnd()
    yield host
    host.close()


def said(number: int) -> SessionMessage:
    return SessionMessage(
        JSONRPCNotification(jsonrpc="2.0", method="said", params={"number": number})
    )


async def test_what_is_no_message_is_refused_at_once_and_the_rest_arrives(host: HostEnd) -> None:
    host.write(b"not json\n\n" + REQUEST)
    host.hang_up()
    async with open_pipes(host.opener()) as pipes:
        batches = [batch async for batch in pipes.batches()]

    messages = [each.message for batch in batches for each in batch]
    assert [type(each) for each in messages] == [JSONRPCRequest]
    (refusal,) = host.heard(1)
    assert refusal["id"] is None
    assert "Nothing was done." in refusal["error"]["message"]


async def test_more_than_may_wait_is_said_in_its_order(host: HostEnd) -> None:
    async with open_pipes(host.opener()) as pipes:
        for number in range(200):  # nothing is awaited while there is room, so that all wait
            await pipes.send(said(number))
        host.hang_up()

    assert [each["params"]["number"] for each in host.heard(200)] == list(range(200))


async def test_what_was_said_last_goes_out_before_the_end(host: HostEnd) -> None:
    with anyio.CancelScope() as scope:
        async with open_pipes(host.opener()) as pipes:
            await pipes.send(said(1))
            host.hang_up()
            scope.cancel()

    assert host.heard(1)[0]["params"] == {"number": 1}
