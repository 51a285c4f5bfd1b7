"""Serves over standard input and output. Nothing but the protocol goes to stdout."""

import gc
import logging
import os
import sys

import anyio

from clawver_orders.errors import SetupError
from clawver_orders.serving.page import page_of
from clawver_orders.serving.server import build_server
from clawver_orders.serving.stdio.connection import serve_client
from clawver_orders.serving.stdio.early import Early
from clawver_orders.serving.stdio.freezing import Comparison, keep_surface
from clawver_orders.serving.stdio.opener import Opener, claim_standard_streams
from clawver_orders.serving.stdio.pipes import Pipes, open_pipes
from clawver_orders.serving.stdio.surfaces import Surfaces
from clawver_orders.settings import Settings, Stores
from clawver_orders.signals import told_to_stop

_SWITCH_INTERVAL_SECONDS = 0.005
"""Python's own."""
_WRONG = 70
"""The exit code where an early answer was wrong and the opener is strict."""

log = logging.getLogger(__name__)


def run(stores: Stores, early: Early | None = None) -> int:
    """Serve until the host closes its end or a signal asks to stop.

    What has begun and must not be cut off, such as a refund, is finished first.

    Args:
        stores: What a person has decided for each store; or why that cannot be used, which every
            call then answers with.
        early: Who listens to the host already.

    Returns:
        The exit code of the process.

    Raises:
        SetupError: There is no standard input or output.
    """
    for settings in stores.values():
        if isinstance(settings, SetupError):
            log.error("Every call fails until this is corrected: %s", settings)
    opener = Opener(*claim_standard_streams()).start() if early is None else early.opener
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    gc.freeze()  # what is loaded stays: there is no need to look at it again
    gc.enable()
    return anyio.run(_serve, stores, opener, None if early is None else early.surfaces)


async def _serve(stores: Stores, opener: Opener, surfaces: Surfaces | None) -> int:
    server = build_server(stores, page=page_of)
    settings = stores.get("")
    is_wrong = anyio.Event()

    def differs() -> None:
        log.error("An early answer to the host was not what this server says.")
        if isinstance(settings, Settings) and settings.opener == "strict":
            os._exit(_WRONG)
        is_wrong.set()

    async with open_pipes(opener) as pipes, anyio.create_task_group() as tasks:
        tasks.start_soon(_end_when_told, tasks.cancel_scope)
        tasks.start_soon(_end_when_nobody_listens, pipes, tasks.cancel_scope)
        if surfaces is not None and isinstance(settings, Settings):
            tasks.start_soon(keep_surface, server, settings, surfaces, is_wrong)
        client = Comparison(pipes, opener.answers, differs)
        await serve_client(server, pipes.batches(), client)
        tasks.cancel_scope.cancel()
    return 0


async def _end_when_told(scope: anyio.CancelScope) -> None:
    await told_to_stop()
    scope.cancel()


async def _end_when_nobody_listens(pipes: Pipes, scope: anyio.CancelScope) -> None:
    await pipes.is_gone.wait()
    scope.cancel()
