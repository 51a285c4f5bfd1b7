"""The bounds of every server of ours, over real sockets."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from clawver_orders import http_server
from clawver_orders.errors import SetupError
from clawver_orders.http_server import QuietServer, bound, quiet_config


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message["body"]), message.get("more_body", False)
    said = b"%d" % length
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


async def slow(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep(0.5)
    await echo(scope, receive, send)


async def unread(scope: Any, receive: Any, send: Any) -> None:
    """Answers before the body was read."""
    await send(
        {"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    ready = anyio.Event()
    with bound("127.0.0.1", 0) as listener:
        server = QuietServer(quiet_config(app), ready.set)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            await ready.wait()
            yield listener.getsockname()[1]
            server.should_exit = True


async def heard(line: SocketStream) -> bytes:
    """All that comes until the other side hangs up."""
    found = b""
    with anyio.fail_after(5):
        try:
            async for each in line:
                found += each
        except anyio.BrokenResourceError:
            pass
    return found


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(http_server, "BODY_SECONDS", 0.3)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("app", [echo, unread])
@pytest.mark.parametrize(
    "said",
    [b"", b"POST / HT", HEAD, HEAD + b"ab", HEAD + b"abcd" + b"POST", HEAD + b"abcd" + HEAD + b"a"],
)
async def test_whoever_does_not_come_to_an_end_is_hung_up_on(said: bytes, app: Any) -> None:
    async with serving(app) as port, await anyio.connect_tcp("127.0.0.1", port) as line:
        await line.send(said)
        found = await heard(line)

    assert found.count(b"HTTP/1.1 ") == said.count(HEAD + (b"abcd" if app is echo else b""))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "said", [b"POST / HTTP/1.1\r\n" + b"X-Slow: y\r\n" * 50, HEAD[:-7] + b"50\r\n\r\n" + b"x" * 50]
)
async def test_a_byte_now_and_then_wins_no_time(said: bytes) -> None:
    async def say(line: SocketStream) -> None:
        for each in said:
            await line.send(bytes([each]))
            await anyio.sleep(0.05)

    async with serving(echo) as port, await anyio.connect_tcp("127.0.0.1", port) as line:
        with anyio.fail_after(5), pytest.raises(anyio.BrokenResourceError):
            await say(line)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("app", [echo, slow])
async def test_neither_a_slow_answer_nor_a_pause_between_requests_is_cut(app: Any) -> None:
    async with serving(app) as port, await anyio.connect_tcp("127.0.0.1", port) as line:
        for _ in range(2):
            await line.send(HEAD + b"abcd")
            assert (await line.receive()).endswith(b"\r\n\r\n4")
            await anyio.sleep(0.5)


async def test_of_a_body_that_nobody_reads_little_is_held() -> None:
    """What it is too much for stays with the sender."""
    async with serving(slow) as port:
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.setblocking(False)
            line.send(HEAD.replace(b"4", b"99999999"))
            await anyio.sleep(0.2)
            sent = 0
            with suppress(BlockingIOError):
                while sent < 99_000_000:
                    sent += line.send(b"x" * 65_536)

    assert sent < 20_000_000


def test_a_port_that_one_server_has_taken_is_no_others_even_before_it_answers() -> None:
    with bound("127.0.0.1", 0) as first, pytest.raises(SetupError, match="is in use"):
        bound("127.0.0.1", first.getsockname()[1])
