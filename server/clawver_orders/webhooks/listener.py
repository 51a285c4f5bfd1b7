"""Puts a receiver on a port, where anybody may knock.

Whoever connects and says nothing, or says it slowly, is hung up on; so many connections and no
more are held at a time, and whoever comes beyond that is told to come back.
"""

import asyncio
from collections.abc import Callable

import anyio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from clawver_orders.http_server import QuietServer, base_url, bound
from clawver_orders.signals import told_to_stop
from clawver_orders.webhooks.receiver import Receiver

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
        ClawverError: The address or the port cannot be had, or the inbox cannot be opened or written.
    """
    with bound(host, port) as listener:
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
        server = QuietServer(config, lambda: on_ready(base_url(listener)))
        async with receiver.listening(), anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_when_told, server)
            await server.serve(sockets=[listener])
            tasks.cancel_scope.cancel()


async def _stop_when_told(server: QuietServer) -> None:
    await told_to_stop()
    server.should_exit = True


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
