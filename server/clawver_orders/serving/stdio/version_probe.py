"""How a connection opens: a client may probe for the newer protocol and then choose the older.

The first request decides which protocol a connection of the SDK speaks, and `server/discover`
would decide for the newer one. But clients ask it to find out, wait a second, and fall back to
`initialize` when the process starts slowly. So a connection of its own answers the probes, and
the first other request decides.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Protocol

import anyio
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest


class Speaker(Protocol):
    """Whoever carries messages to the client."""

    async def send(self, message: SessionMessage) -> None:
        """Carry one."""


async def serve_client(
    server: Server[Any], batches: AsyncIterator[list[SessionMessage]], client: Speaker
) -> None:
    """Serve one client until it has nothing more to say.

    Args:
        server: The server, whose lifespan lasts as long as the call.
        batches: What the client says: each time all that has arrived by then.
        client: Takes what the server says.
    """
    async with server.lifespan(server) as state, anyio.create_task_group() as tasks:
        serve = partial(
            serve_dual_era_loop,
            server,
            lifespan_state=state,
            init_options=server.create_initialization_options(),
        )
        probes, probed = anyio.create_memory_object_stream[SessionMessage | Exception]()
        rest, received = anyio.create_memory_object_stream[SessionMessage | Exception]()
        for stream in (probed, received):
            tasks.start_soon(serve, stream, _Outlet(client))
        is_decided = False
        async with probes, rest:
            async for batch in batches:
                for place, message in enumerate(batch):
                    if is_decided or not isinstance(message.message, JSONRPCRequest):
                        await rest.send(message)
                    elif message.message.method != "server/discover":
                        is_decided = True
                        await rest.send(message)
                    # A client that has already fallen back waits for no answer to its probe.
                    elif not any(_initializes(later) for later in batch[place:]):
                        await probes.send(message)


def _initializes(message: SessionMessage) -> bool:
    return isinstance(message.message, JSONRPCRequest) and message.message.method == "initialize"


class _Outlet:
    """What one connection of the SDK writes to; closing it leaves the client's own pipes open."""

    def __init__(self, client: Speaker) -> None:
        self._client = client

    async def send(self, item: SessionMessage, /) -> None:
        await self._client.send(item)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "_Outlet":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""
