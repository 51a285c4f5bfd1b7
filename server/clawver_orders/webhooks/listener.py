"""Puts a receiver of one store or of several on a port, where anybody may knock."""

from collections.abc import Callable

import anyio

from clawver_orders.http_server import QuietServer, base_url, bound, quiet_config
from clawver_orders.signals import told_to_stop
from clawver_orders.webhooks.receiver import Receiver
from clawver_orders.webhooks.several import Receivers

FINISH_SECONDS = 10
"""How long requests that have begun may take to end when the process is told to stop."""


async def listen(
    receiver: Receiver | Receivers, host: str, port: int, on_ready: Callable[[str], None]
) -> None:
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
        config = quiet_config(receiver, timeout_graceful_shutdown=FINISH_SECONDS)
        server = QuietServer(config, lambda: on_ready(base_url(listener)))
        async with receiver.listening(), anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_when_told, server)
            await server.serve(sockets=[listener])
            tasks.cancel_scope.cancel()


async def _stop_when_told(server: QuietServer) -> None:
    await told_to_stop()
    server.should_exit = True
