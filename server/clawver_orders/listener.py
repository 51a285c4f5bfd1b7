"""Puts a receiver on a port, where anybody may knock.

Whoever connects and says nothing, or says it slowly, is hung up on; so many connections and no
more are held at a time, and whoever comes beyond that is told to come back.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from clawver_orders.receiver import Receiver

HEAD_SECONDS = 5.0
"""How long a sender may take until the head of a request is whole."""
MOST_CONNECTIONS = 256
FINISH_SECONDS = 10
"""How long requests that have begun may take to end when the process is told to stop."""


async def listen(receiver: Receiver, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Take deliveries until the process is told to stop.

    Args:
        receiver: What answers.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        on_ready: Called once with the base URL, as soon as requests are answered.

    Raises:
        OSError: The address or the port cannot be had.
        ClawverError: The inbox cannot be opened or written.
    """
    with _bound(host, port) as sock:
        name = f"[{host}]" if ":" in host else host
        base = f"http://{name}:{sock.getsockname()[1]}"
        config = uvicorn.Config(
            receiver,
            http=_Line,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=FINISH_SECONDS,
        )
        async with receiver.listening():
            await _Server(config, lambda: on_ready(base)).serve(sockets=[sock])


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )[0]
    # Only with the protocol named does asyncio send small answers at once (TCP_NODELAY).
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


class _Server(uvicorn.Server):
    """Says when it is ready, and returns when the process is told to stop."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Uvicorn's own raises the signal again, and whatever is left to do would not be done."""
        before = {
            each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class _Line(H11Protocol):
    """One connection, which is cut when the head of a request does not come."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()  # the first that many are answered, if only with "come back"
        else:
            self._wait_for_a_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_a_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_a_head(self) -> None:
        """The clock runs while no request is being answered, and every byte does not wind it up."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
