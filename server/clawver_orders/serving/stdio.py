"""Serves over standard input and output. Nothing but the protocol goes to stdout."""

import io
import os
import re

import anyio
from mcp.server.stdio import stdio_server

from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings

_ESCAPES = re.compile(
    r"\\\\"  # a backslash that is itself escaped: what follows is no escape
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # both halves of a character
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # one half alone
)


def run(settings: Settings) -> None:
    """Serve until the host closes standard input.

    Args:
        settings: What a person has decided.
    """
    anyio.run(_serve, settings)


async def _serve(settings: Settings) -> None:
    server = build_server(settings)
    with _Lines(os.fdopen(os.dup(0), "rb"), encoding="utf-8", errors="replace") as lines:
        async with stdio_server(stdin=anyio.wrap_file(lines)) as (received, sent):
            await server.run(received, sent, server.create_initialization_options())


class _Lines(io.TextIOWrapper):
    """Standard input, whose lone surrogates are replaced.

    The SDK drops a line that holds half a character without an answer, and its host waits for
    ever. With a replacement character in its place the line is read, and the tool refuses it.
    """

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # typeshed says bytes
        return whole(super().readline(size))


def whole(line: str) -> str:
    """A line of JSON in which every escaped half of a character is the replacement character."""
    return _ESCAPES.sub(lambda found: r"\ufffd" if found[1] else found[0], line)
