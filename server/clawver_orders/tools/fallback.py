"""Answering from the history where Clawver cannot be asked now. For finding and counting, never for money."""

from collections.abc import Awaitable, Callable

from anyio import to_thread

from clawver_orders.errors import ClawverError, RateLimitedError, UnreachableError
from clawver_orders.orders.search import Found
from clawver_orders.services import Services

ONLY_KEPT = "This is what is kept here; what is newer is missing."
NO_ATTENTION = "Which orders need attention is not known."


async def live_or_kept(
    services: Services, read: Callable[[], Awaitable[Found]], lacks: str = ""
) -> Found:
    """What Clawver lists; nothing, and why, where it cannot be asked now and the history has orders.

    Args:
        services: What tools work with.
        read: Asks Clawver.
        lacks: What the history cannot tell, as a sentence.

    Raises:
        RateLimitedError: The request allowance is used up, and nothing is kept.
        UnreachableError: Clawver did not answer, and nothing is kept.
        ClawverError: Anything else, whatever is kept.
    """
    try:
        return await read()
    except (RateLimitedError, UnreachableError) as error:
        if not await _has_orders(services):
            raise
        return Found((), 0, " ".join(filter(None, (_cause(error), lacks, error.next_step))))


async def _has_orders(services: Services) -> bool:
    """Whether the history can answer."""
    try:
        await to_thread.run_sync(services.known_store)
        mirror = await services.history()
        return mirror is not None and (await to_thread.run_sync(mirror.extent)).orders > 0
    except ClawverError:
        return False


def _cause(error: ClawverError) -> str:
    """Why Clawver was not asked, without its request id, and what is answered instead."""
    return f"{error.happened.partition(' Nothing was changed.')[0]} {ONLY_KEPT}"
