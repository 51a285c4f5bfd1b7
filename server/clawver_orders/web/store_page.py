"""The page of one store on a server that has others beside it, made when it is first needed."""

import logging
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from anyio import Lock, to_thread
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from clawver_orders.errors import ClawverError
from clawver_orders.services import ASK_AGAIN_SECONDS, Services
from clawver_orders.settings import Settings
from clawver_orders.web.address_file import only_page
from clawver_orders.web.page import Board
from clawver_orders.web.rendering import Place

CANNOT_BE_SHOWN = "This page can't be shown now. The log of its server says why."
FoundPages = Mapping[str, str | ClawverError | None]
"""Where the page of each store is, by its alias; or why it can't be shown; None where it isn't known yet
which store it is."""
log = logging.getLogger(__name__)


class StorePage:
    """The page of one store.

    Args:
        settings: What a person has decided for the store.
        place: Where the page is.
        is_noted: Whether other processes of this machine are to lead to it, where no page of the store
            is up already.
    """

    def __init__(self, settings: Settings, place: Place, *, is_noted: bool = False) -> None:
        self._services, self._place, self._is_noted = Services(settings), place, is_noted
        self._board: Board | None = None
        self._failed: tuple[float, ClawverError] | None = None
        self._noted = ExitStack()
        self._at_work = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the page."""
        try:
            answer = (await self.board()).app
        except ClawverError as error:
            log.warning("a page can't be shown: %s", error)
            said = CANNOT_BE_SHOWN if self._place.is_reachable else error
            answer = PlainTextResponse(f"{said}\n", status_code=503)
        await answer(scope, receive, send)

    async def board(self) -> Board:
        """The page itself. Clawver is asked which store it is where that isn't known, once a minute at most.

        Raises:
            ClawverError: It isn't known which store it is.
        """
        async with self._at_work:
            if self._board is not None:
                return self._board
            uptime = self._services.uptime()
            if self._failed is not None and uptime - self._failed[0] < ASK_AGAIN_SECONDS:
                raise self._failed[1].with_traceback(None)  # the same one is raised for a minute
            try:
                return await self._made()
            except ClawverError as error:
                self._failed = (uptime, error)
                raise

    async def known_board(self) -> Board | None:
        """The page, where it is known without asking Clawver which store it is; None where it isn't.

        Nobody can have signed in to a store that isn't known, so a stranger's cookie asks nothing.
        """
        if self._board is None and await to_thread.run_sync(self._services.known_store) is None:
            return None
        return await self.board()

    async def _made(self) -> Board:
        store = await self._services.store()
        board = Board(self._services, store, self._place)
        if self._is_noted:
            await to_thread.run_sync(self._note, store.scope.folder)
        self._board = board
        return board

    def _note(self, folder: Path) -> None:
        """Let other processes lead to it until it is closed, unless they lead to another one."""
        with ExitStack() as held:
            note = held.enter_context(only_page(folder))
            if note is not None:
                note(self._place.address, os.getpid())
                self._noted = held.pop_all()

    async def close(self) -> None:
        """Close what it opened, and let another process have the links."""
        async with AsyncExitStack() as closing:  # each of them, whatever becomes of another
            closing.push_async_callback(self._services.close)
            if self._board is not None:
                closing.push_async_callback(self._board.close)
            closing.push_async_callback(to_thread.run_sync, self._noted.close)
