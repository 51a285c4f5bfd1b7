"""Puts the page on a port of this machine: by a command, or inside a server that needs it.

Nothing of it is imported before that. Where a page of the store is up already, that one is used.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import CancelScope, Lock, sleep, to_thread
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.services import Services, Store
from clawver_orders.settings import Settings
from clawver_orders.web.address_file import address_of, only_page

if TYPE_CHECKING:
    import asyncio

    from clawver_orders.http_server import QuietServer

__all__ = ["DEFAULT_PORT", "address_of", "link_to", "page_up", "running", "start_within"]
DEFAULT_PORT = 8790
_LOOKS, _BETWEEN_LOOKS_SECONDS = 100, 0.05
_FINISH_SECONDS = 60
"""How long a decision that has begun may take to end: longer than any does."""


@asynccontextmanager
async def running(services: Services, port: int | None = None) -> "AsyncIterator[PageUp]":
    """Run the page of the store for as long as the block lasts; or find the one that is up.

    Args:
        services: What it works with.
        port: The port to listen on, 0 for a free one; None for the usual one, or a free one where
            that is taken.

    Yields:
        Where it is, and whose it is.

    Raises:
        ClawverError: The store isn't known, or the port cannot be had.
    """
    import asyncio

    store = await services.store()
    folder = store.scope.folder
    async with AsyncExitStack() as open_:
        note = open_.enter_context(only_page(folder))
        if note is None:
            yield PageUp(await _of_another(folder), folder, None)
            return
        listener = open_.enter_context(_bound(port))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        answers = asyncio.Event()
        server = _server(services, store, listener, answers.set)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        open_.push_async_callback(_stopped, server, serving)
        await _first_of(answers.wait(), serving)
        note(address, os.getpid())
        yield PageUp(address, folder, serving)


class PageUp:
    """A page that is up.

    Args:
        address: Where it is, without a slash at its end.
        folder: What belongs to its store.
        serving: The task that serves it; None where another process does.
    """

    def __init__(self, address: str, folder: Path, serving: "asyncio.Task[None] | None") -> None:
        self.address, self.folder, self.serving = address, folder, serving

    @property
    def is_ours(self) -> bool:
        """Whether it runs within this process."""
        return self.serving is not None


async def start_within(services: Services) -> str:
    """Have the page of the store up, and say where; it ends with these services.

    A server calls it when the first approval needs the page.

    Args:
        services: What it works with.

    Returns:
        The address, without a slash at its end.

    Raises:
        ClawverError: The store isn't known, or no port can be had.
    """
    found = await page_up(services)
    if found is not None:
        return found
    open_ = AsyncExitStack()
    up = await open_.enter_async_context(running(services))
    services.on_close(open_.aclose)
    return up.address


async def page_up(services: Services) -> str | None:
    """Where the page of the store is up; None where none is.

    Args:
        services: Say where links lead, and which store it is.

    Raises:
        ClawverError: The store isn't known, or its file of the page cannot be used.
    """
    if services.settings.board_url:
        return services.settings.board_url
    store = await services.store()
    return await to_thread.run_sync(address_of, store.scope.folder)


def link_to(address: str, path: str) -> str:
    """Where a person decides about something. It opens nothing without signing in.

    Args:
        address: Where the page is.
        path: What it is about, such as `refund/` and its id.
    """
    return f"{address}/{path}"


class Mounted:
    """The page on the server of `serve --http`, made when the first request for it comes.

    Args:
        settings: What a person has decided; they say where browsers reach it.
    """

    def __init__(self, settings: Settings) -> None:
        self._services = Services(settings)
        self._page: ASGIApp | None = None
        self._at_work = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the page."""
        try:
            page = await self._made()
        except ClawverError as error:
            page = PlainTextResponse(f"{error}\n", status_code=503)
        await page(scope, receive, send)

    async def close(self) -> None:
        """Close what it opened."""
        await self._services.close()

    async def _made(self) -> ASGIApp:
        from clawver_orders.web.page import build_page
        from clawver_orders.web.rendering import Place

        async with self._at_work:
            if self._page is None:
                settings = self._services.settings
                place = Place(settings.board_url or "", None, settings.board_is_reachable)
                self._page = build_page(self._services, await self._services.store(), place)
            return self._page


async def _of_another(folder: Path) -> str:
    """Where the page of another process is, which may be starting just now."""
    for _ in range(_LOOKS):
        address = await to_thread.run_sync(address_of, folder)
        if address is not None:
            return address
        await sleep(_BETWEEN_LOOKS_SECONDS)
    raise SetupError(
        "Another process is starting or ending the page of this store, and it doesn't answer.",
        next_step="Run the command again in a moment.",
    )


def _bound(port: int | None) -> socket.socket:
    from clawver_orders.http_server import bound

    if port is None:
        with suppress(SetupError):
            return bound("127.0.0.1", DEFAULT_PORT)
    return bound("127.0.0.1", port or 0)


def _server(
    services: Services, store: Store, listener: socket.socket, on_ready: Callable[[], None]
) -> "QuietServer":
    from clawver_orders.http_server import QuietServer, quiet_config
    from clawver_orders.web.page import build_page
    from clawver_orders.web.rendering import Place

    port = listener.getsockname()[1]
    hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))
    place = Place(f"http://127.0.0.1:{port}", hosts)
    config = quiet_config(
        build_page(services, store, place), timeout_graceful_shutdown=_FINISH_SECONDS
    )
    return QuietServer(config, on_ready)


async def _first_of(answers: Coroutine[None, None, object], serving: "asyncio.Task[None]") -> None:
    """Wait until the page answers; an error where it ends before."""
    import asyncio

    answered = asyncio.create_task(answers)
    try:
        await asyncio.wait({answered, serving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        answered.cancel()
    if serving.done():
        raise SetupError(
            "The page ended before it answered, so there is none.",
            next_step="Run clawver-orders board in a terminal: it says what is wrong.",
        ) from serving.exception()


async def _stopped(server: "QuietServer", serving: "asyncio.Task[None]") -> None:
    """End it, whatever else ends just now: a decision that has begun is finished first."""
    import asyncio

    server.should_exit = True
    with CancelScope(shield=True):
        await asyncio.wait({serving})
