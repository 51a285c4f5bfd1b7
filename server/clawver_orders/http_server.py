"""A port of this machine, and a web server on it that leaves signals to us.

Any client can connect. One that sends nothing, or sends too slowly, loses its connection. Beyond
MOST_CONNECTIONS a client is answered with 503. All of this holds before a token or a signature is
looked at, and no more than 64 KiB of a body, which is uvicorn's limit, wait to be read.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from clawver_orders.errors import SetupError

HEAD_SECONDS = 5.0
"""How long a client may take until the head of a request is whole."""
BODY_SECONDS = 12.0
"""How long it may take for the body after that: a little longer than a server of ours waits to read it."""
MOST_CONNECTIONS = 256


def bound(host: str, port: int) -> socket.socket:
    """A socket for connections.

    asyncio sends short answers without a delay only on sockets that say they are TCP.

    Args:
        host: The name or address to listen on.
        port: The port to listen on; 0 takes a free one.

    Raises:
        SetupError: It cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # On Windows this would let two servers share a port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(os.name == "posix"))
            listener.bind(address)
            listener.listen()  # until one listens, Linux lets others take the port too
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise SetupError(
                f"Port {port} is in use, so nothing was started.",
                next_step="Choose another one with --port, or stop the program that uses it.",
            ) from error
        why = getattr(error, "strerror", None) or "this is no host name"
        raise SetupError(
            f"The server cannot listen on that host and port ({why}).",
            next_step="Take another --port, or another --host of this machine.",
        ) from error
    return listener


def base_url(listener: socket.socket) -> str:
    """The address of what listens there, without a path."""
    host, port, *_ = listener.getsockname()
    return f"http://{in_url(host)}:{port}"


def in_url(host: str) -> str:
    """A host name or address as it stands in a web address."""
    return f"[{host}]" if ":" in host else host.lower()


def quiet_config(app: ASGIApp, **more: Any) -> uvicorn.Config:
    """How every server of ours is run: within bounds, silent about itself, and telling only errors.

    Args:
        app: What answers.
        more: What holds for this one alone, as uvicorn calls it.
    """
    usual: dict[str, Any] = {
        "http": _Line,
        "limit_concurrency": MOST_CONNECTIONS,
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "log_level": "error",  # below that it tells of strangers' requests
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }
    return uvicorn.Config(app, **usual | more)


class QuietServer(uvicorn.Server):
    """Says when it is ready, and leaves signals to us: its own way ends the process by one."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets=sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them as they are."""
        yield


class _Line(H11Protocol):
    """One connection, which is cut when a request does not come whole in time."""

    _waiting: asyncio.TimerHandle | None = None
    _seconds = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()  # the first that many are answered, if only with "come back"
        else:
            self._wait(HEAD_SECONDS)

    def handle_events(self) -> None:
        """Take what has come, and let the clock run for as long as more of a request has to come."""
        super().handle_events()
        if self.conn.their_state is h11.SEND_BODY:
            self._wait(BODY_SECONDS)
        elif self.conn.their_state is h11.IDLE and self._has_begun:
            self._wait(HEAD_SECONDS)
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def _has_begun(self) -> bool:
        """Whether a head is on its way. Between two requests a connection may be silent for longer."""
        return self.cycle is None or bool(self.conn.trailing_data[0])

    def _wait(self, seconds: float) -> None:
        """The time is for a whole head or body: a single byte does not start it again."""
        if self._seconds != seconds:
            self._stop_waiting()
            self._seconds = seconds
            self._waiting = self.loop.call_later(seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        self._seconds = 0.0
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
