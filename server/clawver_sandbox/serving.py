"""Puts a shop on a port of this machine, with lines that can really be cut."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from clawver_sandbox.api import build_app
from clawver_sandbox.deliveries import Deliverer
from clawver_sandbox.shop import Shop

FIRST_WAIT_SECONDS = 1.0
"""Before a failed delivery is tried again; Clawver's own is not documented."""


def listen(port: int) -> socket.socket:
    """Take a port of this machine. Whoever connects waits until a shop is served there.

    Args:
        port: The port to listen on; 0 takes a free one.

    Raises:
        OSError: It cannot be had.
    """
    return socket.create_server(("127.0.0.1", port))


def serve(
    shop: Shop,
    listener: socket.socket,
    *,
    rate_limited: bool = True,
    first_wait_seconds: float = FIRST_WAIT_SECONDS,
    on_ready: Callable[[str], None],
) -> None:
    """Serve a shop until the process is told to stop.

    Args:
        shop: The shop.
        listener: Where, as `listen` gave it; it is closed at the end.
        rate_limited: Whether the documented request limits hold.
        first_wait_seconds: How long to wait before a failed delivery is tried again; it doubles
            with each further failure.
        on_ready: Called once with the base URL, as soon as the shop answers.
    """
    with listener, contextlib.suppress(KeyboardInterrupt):
        base = _reachable(shop, listener)
        deliverer = Deliverer(shop.outbox, first_wait_seconds)
        config = _config(build_app(shop, rate_limited=rate_limited))
        server = _Server(config, deliverer, lambda: on_ready(base))
        asyncio.run(server.serve(sockets=[listener]))


@contextlib.contextmanager
def running(
    shop: Shop,
    *,
    rate_limited: bool = False,
    first_wait_seconds: float = FIRST_WAIT_SECONDS,
    app: ASGIApp | None = None,
) -> Iterator[str]:
    """Serve a shop in the background, on a free port; yields the base URL, without ``/v1``.

    Args:
        shop: The shop.
        rate_limited: See `serve`.
        first_wait_seconds: See `serve`.
        app: What answers, where it is not this shop alone with its usual key.
    """
    listener = listen(0)
    base = _reachable(shop, listener)
    ready = threading.Event()
    deliverer = Deliverer(shop.outbox, first_wait_seconds)
    config = _config(app or build_app(shop, rate_limited=rate_limited))
    server = _Server(config, deliverer, ready.set)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), name="sandbox", daemon=True
    )
    with listener:
        thread.start()
        ready.wait(timeout=10)
        try:
            yield base
        finally:
            server.stop()
            thread.join()


class _Server(uvicorn.Server):
    """Says when it is ready, delivers for as long as it serves, and ends at once: a line is cut anyway."""

    def __init__(
        self, config: uvicorn.Config, deliverer: Deliverer, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._deliverer = deliverer
        self._on_ready = on_ready
        self._stopped: Future[None] = Future()

    def stop(self) -> None:
        """End it, from whatever thread."""
        self._stopped.set_result(None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._delivering = asyncio.create_task(self._deliverer.run())
        self._on_ready()

    async def main_loop(self) -> None:
        until_signal = asyncio.create_task(super().main_loop())
        stopped = asyncio.wrap_future(self._stopped)
        await asyncio.wait([until_signal, stopped], return_when=asyncio.FIRST_COMPLETED)
        until_signal.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets  # they are closed by whoever opened them
        for server in self.servers:
            server.close()
        for line in list(self.server_state.connections):
            line.shutdown()
        ending = [self._delivering, *self.server_state.tasks]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)


class _Line(H11Protocol):
    """One connection, whose requests carry the means to cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this only for sockets that say they are TCP; accepted ones here do not,
        # and without it every answer waits 40 ms for the other side's acknowledgement.
        line: socket.socket = transport.get_extra_info("socket")
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Uvicorn copies this into the state of every request of the connection.
        self.app_state = {**self.app_state, "abort": transport.abort}

    def shutdown(self) -> None:
        super().shutdown()
        self.transport.abort()  # whoever still waits for an answer hears that there is none


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Line,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=0,
    )


def _reachable(shop: Shop, listener: socket.socket) -> str:
    """Let the shop know where it is served."""
    shop.public_url = base = "http://{}:{}".format(*listener.getsockname())
    return base
