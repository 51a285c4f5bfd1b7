"""What a host can call now: that grows when the first event of the store arrives while a server runs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import anyio
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ToolsListChanged,
)

from clawver_orders.errors import SetupError
from clawver_orders.serving import prompts
from clawver_orders.settings import Settings, Stores
from clawver_orders.tools import SURFACE, for_cards, offered
from clawver_orders.tools.contract import Tool

LOOK_EVERY_SECONDS = 5
_MOST_STREAMS = 16


@dataclass(frozen=True)
class Offered:
    """What is listed, by name."""

    tools: dict[str, Tool]
    with_cards: dict[str, Tool]
    """The same for clients that show cards."""
    of_store: dict[str, dict[str, Tool]]
    """What can be called for each store. Where there are several, no client shows cards."""
    prompts: tuple[prompts.Job, ...]


class Offer:
    """The tools and prompts of a server, and who is told when they change.

    Args:
        stores: What a person has decided for each store; or why that cannot be used. Then everything
            is listed, since it is not known what was to be left out.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._bus = InMemorySubscriptionBus()
        self._session: ServerSession | None = None
        self.now = self._look()
        self.streams = ListenHandler(self._bus, max_subscriptions=_MOST_STREAMS)
        """Answers `subscriptions/listen`, by which a client of the 2026-07-28 protocol is told."""

    def is_listed_to(self, session: ServerSession) -> None:
        """Remember who was told the list last: a client of an older protocol is told of changes there."""
        self._session = session

    async def changes(
        self, wait: Callable[[float], Awaitable[None]] = anyio.sleep
    ) -> AsyncIterator[Offered]:
        """Look again and again; gives what is offered from now on, each time that has changed.

        Clients are told after the caller has done with it.

        Args:
            wait: Waits for so many seconds.
        """
        while True:
            await wait(LOOK_EVERY_SECONDS)
            found = self._look()
            if found != self.now:
                self.now = found
                yield found
                await self._tell()

    def _look(self) -> Offered:
        of_store = {alias: _tools(settings) for alias, settings in self._stores.items()}
        names = {name for theirs in of_store.values() for name in theirs}
        tools = {tool.name: tool for tool in SURFACE if tool.name in names}
        only = self._stores.get("")
        cards = () if only is None else for_cards(only)
        with_cards = tools | {tool.name: tool for tool in cards}
        return Offered(tools, with_cards, of_store, prompts.offered(tools))

    async def _tell(self) -> None:
        await self._bus.publish(ToolsListChanged())
        await self._bus.publish(PromptsListChanged())
        if self._session is not None:
            await self._session.send_tool_list_changed()
            await self._session.send_prompt_list_changed()


def _tools(settings: Settings | SetupError) -> dict[str, Tool]:
    surface = SURFACE if isinstance(settings, SetupError) else offered(settings)
    return {tool.name: tool for tool in surface}
