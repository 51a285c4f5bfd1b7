"""Takes the deliveries of several stores on one port: each store has a path of its own.

The path alone says whose a delivery is. It goes to that store's receiver, which knows no other secret
than that store's, and no other inbox.
"""

from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.settings import Settings
from clawver_orders.webhooks.receiver import (
    HEALTH_PATHS,
    Handled,
    Receiver,
    Receiving,
    Sending,
    answer,
    answer_health,
    path_of,
    refusal,
)


class Receivers:
    """An ASGI app that takes the deliveries of several stores, for a server that has no lifespan.

    Args:
        tell: Called with the store, and with what became of a request that came on its path; with no
            store where the path is none's. It must not wait.
    """

    def __init__(self, tell: Callable[[str, Handled], object]) -> None:
        self._tell = tell
        self._stores: dict[str, str] = {}
        self._by_path: dict[str, Receiver] = {}
        self.failed: dict[str, ClawverError] = {}
        """Why the inbox of a store could not be opened, once deliveries are taken."""

    def add(self, store: str, path: str, settings: Settings) -> None:
        """Take the deliveries of one more store.

        Args:
            store: What it is called.
            path: Where they come in: no other store's, and none of `HEALTH_PATHS`.
            settings: With the secrets of that store.

        Raises:
            ClawverError: As `Receiver.of`.
        """
        self._by_path[path] = Receiver.of(settings, path=path, tell=partial(self._tell, store))
        self._stores[path] = store

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Tell the inbox of each store that somebody listens, for as long as the block lasts.

        A store whose inbox cannot be opened or written is left out, and is in `failed` then.

        Raises:
            SetupError: There is none that can be listened for.
        """
        async with AsyncExitStack() as stack:
            for path, receiver in [*self._by_path.items()]:
                try:
                    await stack.enter_async_context(receiver.listening())
                except ClawverError as error:
                    self.failed[self._stores[path]] = error
                    del self._by_path[path]
            if not self._by_path:
                raise SetupError(
                    "The events of none of the stores can be received, so nothing listens.",
                    next_step="A person must correct what is said above of one of them, then start this again.",
                )
            yield

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Receiving, send: Sending
    ) -> None:
        """Answer one request."""
        path = path_of(scope)
        receiver = self._by_path.get(path.rstrip("/"))
        if receiver is not None:
            await receiver(scope, receive, send)
        elif path in HEALTH_PATHS:
            await answer_health(scope, send, self._trouble)
        else:
            self._tell("", refusal(datetime.now(UTC), 404))
            await answer(scope, send, 404)

    async def _trouble(self, path: str) -> str:
        """What is wrong with the first store with which something is."""
        for receiver in self._by_path.values():
            if found := await receiver.trouble(path):
                return found
        return ""
