"""The requests that are under way: waited for at the end, and then ended."""

import anyio
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class InFlight:
    """Keeps count of the requests to an application.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._scopes: set[anyio.CancelScope] = set()
        self._one_ended = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer it with 503 when it was ended without an answer."""
        is_answered = False

        async def answer(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        with anyio.CancelScope() as ending:
            self._scopes.add(ending)
            try:
                await self._app(scope, receive, answer)
            finally:
                self._scopes.discard(ending)
                self._one_ended.set()
        if ending.cancelled_caught and not is_answered:
            stopping = PlainTextResponse(
                "The server stops. What was asked may have been done all the same: look before "
                "you repeat it.\n",
                status_code=503,
            )
            await stopping(scope, receive, send)

    async def nothing(self) -> None:
        """Wait until nothing is under way."""
        while self._scopes:
            self._one_ended = anyio.Event()
            await self._one_ended.wait()

    def cancel(self) -> None:
        """End what is under way, but for the parts of it that are shielded."""
        for scope in self._scopes:
            scope.cancel()
