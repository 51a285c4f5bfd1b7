"""What the views ask of the store together: once in five minutes, however many tabs and sessions look.

A view that needs orders takes them from the one `StoreAnswers` that the page hands to each of its views, and
never from `services.clawver` itself:

    lists = await self._answers.lists.get()
    lists.value   # what Clawver listed last (`orders.search.Found`); None where it never answered
    lists.at      # when that was, to be shown as "as of"
    lists.error   # why the last try gave nothing; then `value` is what an earlier one gave

While a request is under way, everybody else who looks waits for it. A failed try counts like any
other: a store that doesn't answer isn't asked more often. Whatever is made of an answer at some cost
is made again only when `lists.value` is another object than before.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import anyio

from clawver_orders.errors import ClawverError
from clawver_orders.instants import Instant, seconds_at_most
from clawver_orders.orders.search import Found, search
from clawver_orders.reports.checks import Finding, of_the_store
from clawver_orders.reports.digest import NEEDED
from clawver_orders.services import Services
from clawver_orders.time_limit import ANSWER_SECONDS, limited, not_in_time
from clawver_orders.tools.reviews import Reviews, reviews_of
from clawver_orders.web.reading import FRESH_SECONDS

T = TypeVar("T")
PATIENCE_SECONDS = 10.0
"""How long a view waits for all that it asks of the store."""


@dataclass(frozen=True)
class Answered(Generic[T]):
    """What the store said, and when."""

    value: T | None
    """As it was given last; None where it never was."""
    at: datetime | None
    """When that was asked for."""
    tried_at: datetime
    """When it was last asked for, whatever came of it."""
    error: ClawverError | None = None
    """Why the last try gave none."""

    @property
    def again_at(self) -> datetime:
        """From then on it is asked for again."""
        return self.tried_at + timedelta(seconds=FRESH_SECONDS)


class Once(Generic[T]):
    """Asks for one thing, once in five minutes.

    Args:
        ask: Asks for it.
        now: The current time.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], now: Callable[[], Instant]) -> None:
        self._ask, self._now = ask, now
        self._kept: tuple[Instant, Answered[T]] | None = None
        self._at_work = anyio.Lock()

    async def get(self) -> Answered[T]:
        """What was answered last, if that is new enough; otherwise it is asked for first."""
        async with self._at_work:  # one asks, the others wait for it
            now, before = self._now(), None
            if self._kept is not None:
                tried, before = self._kept
                if seconds_at_most(tried, now) < FRESH_SECONDS:
                    return before
            try:
                answer = Answered(await self._ask(), now.at, now.at)
            except ClawverError as error:
                value, at = (None, None) if before is None else (before.value, before.at)
                answer = Answered(value, at, now.at, error)
            self._kept = (now, answer)
            return answer


class StoreAnswers:
    """All that the views ask of the store.

    Args:
        services: What they work with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self.lists = Once(self._list, services.instant)
        """The orders that Clawver lists."""
        self.checks = Once(self._check, services.instant)
        """Whether it answers, and which store it says it is."""
        self.reviews = Once(self._review, services.instant)
        """What customers wrote, as far as a few requests go."""

    async def _check(self) -> list[Finding]:
        return await within_patience(lambda: of_the_store(self._services))

    async def _list(self) -> Found:
        return await within_patience(lambda: search(self._services.clawver, needs=NEEDED))

    async def _review(self) -> Reviews:
        return await within_patience(lambda: reviews_of(self._services, lambda _: True))


async def within_patience(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the store for something that ends, with what there is by then, before a person gives up.

    Args:
        ask: Asks for it.

    Raises:
        ClawverError: There was nothing in time, or it cannot be had.
    """
    deadline = anyio.current_time() + PATIENCE_SECONDS
    with (
        limited(lambda: anyio.CancelScope(deadline=deadline)),
        anyio.CancelScope(deadline=deadline + ANSWER_SECONDS),
    ):
        return await ask()
    raise not_in_time()
