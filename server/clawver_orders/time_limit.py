"""How long a call may take: hosts give up after a minute, and then get nothing of what was read.

Where a tool reads several things, what was read within the time is answered, and the answer says
what is missing. Writing and refunds have limits of their own.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

from clawver_orders.errors import ClawverError, UnreachableError

CALL_SECONDS = 45.0
"""After this time nothing more is read for a call."""
ANSWER_SECONDS = 5.0
"""How long what was read may take to become an answer."""
AT_ONCE = 3
"""How many requests of a call are under way at the same time."""
_scope: ContextVar[Callable[[], anyio.CancelScope]] = ContextVar("scope", default=anyio.CancelScope)


@contextmanager
def limited(scope: Callable[[], anyio.CancelScope]) -> Iterator[None]:
    """Have everything that is read in this block end with what this makes."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


@contextmanager
def call_limit() -> Iterator[None]:
    """The time of a call, which begins here.

    Raises:
        UnreachableError: It is over, and there is no answer.
    """
    began = anyio.current_time()
    with (
        limited(lambda: anyio.CancelScope(deadline=began + CALL_SECONDS)),
        anyio.CancelScope(deadline=began + CALL_SECONDS + ANSWER_SECONDS) as whole,
    ):
        yield
    if whole.cancelled_caught:
        raise not_in_time()


def while_there_is_time() -> anyio.CancelScope:
    """A block that ends with the time of the call; `cancelled_caught` says afterwards whether it did."""
    return _scope.get()()


def not_in_time() -> UnreachableError:
    """The error of what was not read within the time."""
    return UnreachableError(
        "Clawver did not answer in time. Nothing was changed.",
        next_step="Repeat the call in a minute. If it lasts, look at https://status.clawver.store.",
    )


async def by_three(reads: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Read several things, three at a time. After an error nothing further is begun.

    Raises:
        ClawverError: The first that was raised.
    """
    left, errors = iter(list(reads)), list[ClawverError]()

    async def work() -> None:
        for read in left:
            try:
                await read()
            except ClawverError as error:
                errors.append(error)
            if errors:
                return

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(work)
    if errors:
        raise errors[0]
