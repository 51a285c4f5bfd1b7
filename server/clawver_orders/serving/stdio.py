"""Serves over standard input and output. Nothing but the protocol goes to stdout."""

import anyio
from mcp.server.stdio import stdio_server

from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings


def run(settings: Settings) -> None:
    """Serve until the host closes standard input.

    Args:
        settings: What a person has decided.
    """
    anyio.run(_serve, settings)


async def _serve(settings: Settings) -> None:
    server = build_server(settings)
    async with stdio_server() as (received, sent):
        await server.run(received, sent, server.create_initialization_options())
