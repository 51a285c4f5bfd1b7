"""The page of one store on a server that has others beside it, made when it is first needed."""

import os
from contextlib import ExitStack
from pathlib import Path

from anyio import Lock, to_thread
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_orders.web.address_file import of_another, only_page
from clawver_orders.web.page import Board
from clawver_orders.web.rendering import Place


class StorePage:
    """The page of one store.

    Args:
        settings: What a person has decided for the store.
        place: Where the page is.
        is_noted: Whether it is to be the one page of the store on this machine, to which every other
            process leads.
    """

    def __init__(self, settings: Settings, place: Place, *, is_noted: bool = False) -> None:
        self._services, self._place, self._is_noted = Services(settings), place, is_noted
        self._board: Board | None = None
        self._noted = ExitStack()
        self._at_work = Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for the page."""
        try:
            answer = (await self.board()).app
        except ClawverError as error:
            answer = PlainTextResponse(f"{error}\n", status_code=503)
        await answer(scope, receive, send)

    async def board(self) -> Board:
        """The page itself.

        Raises:
            ClawverError: It isn't known which store it is, or its page is up in another process.
        """
        async with self._at_work:
            if self._board is None:
                store = await self._services.store()
                folder = store.scope.folder
                if self._is_noted and not await to_thread.run_sync(self._is_only, folder):
                    raise SetupError(
                        f"Another process shows the page of this store, at {await of_another(folder)}.",
                        next_step="Decide there; or stop that process, then start this one again.",
                    )
                self._board = Board(self._services, store, self._place)
            return self._board

    def _is_only(self, folder: Path) -> bool:
        """Whether this is now the store's page for all processes, until it is closed."""
        with ExitStack() as held:
            note = held.enter_context(only_page(folder))
            if note is None:
                return False
            note(self._place.address, os.getpid())
            self._noted = held.pop_all()
        return True

    async def close(self) -> None:
        """Close what it opened, and let the next process have the page."""
        await to_thread.run_sync(self._noted.close)
        await self._services.close()
