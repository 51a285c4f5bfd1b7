"""One host's connection on the side of the SDK.

The first request decides which protocol a connection of the SDK speaks, and `server/discover` would
decide for the newer one. But clients ask it to find out, and may fall back to `initialize`: so it is
answered apart, by a connection of its own, and the first other request decides.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol

import anyio
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

_CHANGES = NotificationOptions(tools_changed=True, prompts_changed=True)


class Speaker(Protocol):
    """What carries messages to the client."""

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
        main, received = anyio.create_memory_object_stream[SessionMessage | Exception]()
        tasks.start_soon(_serve, server, received, _Outlet(client), state)
        is_decided = False
        async with main:
            async for batch in batches:
                for place, message in enumerate(batch):
                    if is_decided or not isinstance(message.message, JSONRPCRequest):
                        await main.send(message)
                    elif message.message.method != "server/discover":
                        is_decided = True
                        await main.send(message)
                    # A client that has already fallen back waits for no answer to its probe.
                    elif not any(_initializes(later) for later in batch[place:]):
                        tasks.start_soon(answer_apart, server, [message], client, state)


async def answer_apart(
    server: Server[Any], requests: Iterable[SessionMessage], client: Speaker, state: Any = None
) -> None:
    """Answer requests by a connection of their own, which ends with the last answer.

    Args:
        server: The server.
        requests: What is asked.
        client: Takes the answers.
        state: What the server's lifespan gave, as far as the answers need it.
    """
    asked = list(requests)
    give, taken = anyio.create_memory_object_stream[SessionMessage | Exception](len(asked))
    outlet = _Outlet(client, expects=len(asked))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_serve, server, taken, outlet, state)
        async with give:
            for each in asked:
                await give.send(each)
            await outlet.is_done.wait()


async def _serve(server: Server[Any], stream: Any, outlet: "_Outlet", state: Any) -> None:
    await serve_dual_era_loop(
        server,
        stream,
        outlet,
        lifespan_state=state,
        init_options=server.create_initialization_options(_CHANGES),
    )


def _initializes(message: SessionMessage) -> bool:
    return isinstance(message.message, JSONRPCRequest) and message.message.method == "initialize"


class _Outlet:
    """What one connection of the SDK writes to; closing it leaves the client's own pipes open.

    Args:
        client: Takes what is written.
        expects: How many answers there will be.
    """

    def __init__(self, client: Speaker, expects: int = 0) -> None:
        self._client, self._expects = client, expects
        self.is_done = anyio.Event()
        """All answers were written."""

    async def send(self, item: SessionMessage, /) -> None:
        await self._client.send(item)
        self._expects -= isinstance(item.message, JSONRPCResponse | JSONRPCError)
        if self._expects == 0:
            self.is_done.set()

    async def aclose(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> "_Outlet":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""
