"""Serves over standard input and output. Nothing but the protocol goes to stdout."""

import gc
import logging
import os

import anyio

from clawver_orders.errors import SetupError
from clawver_orders.serving.server import build_server
from clawver_orders.serving.stdio.pipes import Pipes, open_pipes
from clawver_orders.serving.stdio.version_probe import serve_client
from clawver_orders.settings import Settings
from clawver_orders.signals import told_to_stop

log = logging.getLogger(__name__)


def run(settings: Settings | SetupError) -> int:
    """Serve until the host closes its end or a signal asks to stop.

    What has begun and must not be cut off, such as a refund, is finished first.

    Args:
        settings: What a person has decided; or why that cannot be used, which every call then
            answers with.

    Returns:
        The exit code of the process.

    Raises:
        SetupError: There is no standard input or output.
    """
    if isinstance(settings, SetupError):
        log.error("Every call fails until this is corrected: %s", settings)
    return anyio.run(_serve, settings, *_claimed())


async def _serve(settings: Settings | SetupError, source: int, sink: int) -> int:
    async with open_pipes(source, sink) as pipes, anyio.create_task_group() as tasks:
        tasks.start_soon(_end_when_told, tasks.cancel_scope)
        tasks.start_soon(_end_when_nobody_listens, pipes, tasks.cancel_scope)
        await serve_client(build_server(settings), pipes.batches(), pipes)
        tasks.cancel_scope.cancel()
    gc.freeze()  # a last look at all that was imported would take longer than everything else
    return 0


async def _end_when_told(scope: anyio.CancelScope) -> None:
    await told_to_stop()
    scope.cancel()


async def _end_when_nobody_listens(pipes: Pipes, scope: anyio.CancelScope) -> None:
    await pipes.is_gone.wait()
    scope.cancel()


def _claimed() -> tuple[int, int]:
    """Both standard streams for the protocol alone.

    Whatever else in this process reads standard input finds it empty, and whatever is printed
    goes to stderr.
    """
    try:
        for each in (0, 1, 2):  # a duplicate would take the place of one that is closed
            os.fstat(each)
        source, sink = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
    except OSError as error:
        raise SetupError(
            f"Standard input, output or error is closed ({type(error).__name__}).",
            next_step="Let an MCP host start this command, or serve over HTTP with --http.",
        ) from error
    os.close(nothing)
    return source, sink
