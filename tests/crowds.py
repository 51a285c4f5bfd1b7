"""More connections than a server of ours holds, and how it recovers from them."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import httpx2

from clawver_orders.http_server import MOST_CONNECTIONS


def crowd_out(port: int) -> bytes:
    """Open more connections than a server holds, and close them again.

    Returns:
        The beginning of what the first of them is answered meanwhile.
    """
    crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * MOST_CONNECTIONS + 5)]
    with suppress(ConnectionError):
        assert crowd[-1].recv(10) == b""
    crowd[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    answered = crowd[0].recv(12)
    for line in crowd:
        line.close()
    return answered


def is_served_again(ask: Callable[[], httpx2.Response]) -> bool:
    """Whether a server answers soon, once the crowd is gone."""
    for _ in range(200):
        with suppress(httpx2.TransportError):
            if ask().status_code == 200:
                return True
        threading.Event().wait(0.02)
    return False
