"""A port of this machine, and a web server on it that leaves signals to us."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from clawver_orders.errors import SetupError


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
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        raise SetupError(
            f"The server cannot listen on that host and port ({type(error).__name__}).",
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
