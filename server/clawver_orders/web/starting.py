"""Puts the page on a port of this machine: by a command, or inside a server that needs it.

Nothing of it is imported before that. Where a page of the store is up already, that one is used.
"""

import hashlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import CancelScope, to_thread
from starlette.types import ASGIApp

from clawver_orders.errors import SetupError
from clawver_orders.services import Services
from clawver_orders.settings import Settings, Stores
from clawver_orders.web.address_file import address_of, of_another, only_page

if TYPE_CHECKING:
    import asyncio

    from clawver_orders.http_server import QuietServer
    from clawver_orders.web.rendering import Place
    from clawver_orders.web.store_page import FoundPages

__all__ = [
    "DEFAULT_PORT",
    "address_of",
    "link_to",
    "page_up",
    "running",
    "running_all",
    "start_within",
]
DEFAULT_PORT = 8790
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
    store = await services.store()
    folder = store.scope.folder
    with only_page(folder) as note:
        if note is None:
            yield PageUp(await of_another(folder), folder, is_ours=False)
            return
        from clawver_orders.web.page import Board

        with _bound(port) as listener:
            place = _place(listener)
            async with _served(Board(services, store, place).app, listener):
                note(place.address, os.getpid())
                yield PageUp(place.address, folder, is_ours=True)


@asynccontextmanager
async def running_all(stores: Stores, port: int | None = None) -> "AsyncIterator[AllUp]":
    """Run the page of all stores, and beside it the page of each, for as long as the block lasts.

    Where another process runs it for the same stores of the same file, that one is found.

    Args:
        stores: What a person has decided for each, or why that cannot be used.
        port: As `running`.

    Yields:
        Where it is, and whose it is.

    Raises:
        ClawverError: No store can be used, or the port cannot be had.
    """
    usable = [each for each in stores.values() if isinstance(each, Settings)]
    if not usable:
        raise next(each for each in stores.values() if isinstance(each, SetupError))
    folder = _folder_of_all(usable[0], stores)
    with only_page(folder) as note:
        if note is None:
            address = await of_another(folder)
            yield AllUp(address, folder, is_ours=False, pages=_beside(address, stores))
            return
        from clawver_orders.web.all_stores import AllStores

        with _bound(port) as listener:
            pages = AllStores(stores, _place(listener), folder, is_noted=True)
            try:
                async with _served(pages, listener):
                    note(pages.address, os.getpid())
                    yield AllUp(pages.address, folder, is_ours=True, pages=pages.made)
            finally:
                with CancelScope(shield=True):
                    await pages.close()


def _folder_of_all(settings: Settings, stores: Stores) -> Path:
    """Where it is noted that the page of all stores of a file is up."""
    file = Path(settings.stores or "").resolve()
    named = hashlib.sha256("\0".join([str(file), *sorted(stores)]).encode("utf-8", "replace"))
    return settings.state_dir / "pages" / named.hexdigest()[:16]


def _beside(address: str, stores: Stores) -> Callable[[], Awaitable["FoundPages"]]:
    """Where the page of each store is, beside the page of all in another process."""

    async def found() -> "FoundPages":
        root = address.rpartition("/")[0]
        return {
            alias: each if isinstance(each, SetupError) else f"{root}/{alias}"
            for alias, each in stores.items()
        }

    return found


@dataclass(frozen=True)
class PageUp:
    """A page that is up."""

    address: str
    """Without a slash at its end."""
    folder: Path
    """Where a file that opens it is written."""
    is_ours: bool
    """Whether it runs within this process."""


@dataclass(frozen=True)
class AllUp(PageUp):
    """The page of all stores, which is up."""

    pages: Callable[[], Awaitable["FoundPages"]]
    """Finds the pages of the stores."""


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


def _bound(port: int | None) -> socket.socket:
    from clawver_orders.http_server import bound

    if port is None:
        with suppress(SetupError):
            return bound("127.0.0.1", DEFAULT_PORT)
    return bound("127.0.0.1", port or 0)


def _place(listener: socket.socket) -> "Place":
    from clawver_orders.web.rendering import Place

    port = listener.getsockname()[1]
    hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))
    return Place(f"http://127.0.0.1:{port}", hosts)


@asynccontextmanager
async def _served(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """Answer on a port for as long as the block lasts."""
    import asyncio

    from clawver_orders.http_server import QuietServer, quiet_config

    answers = asyncio.Event()
    config = quiet_config(app, timeout_graceful_shutdown=_FINISH_SECONDS)
    server = QuietServer(config, answers.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await _first_of(answers.wait(), serving)
        yield
    finally:
        await _stopped(server, serving)


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
