"""Runs a command. Where one ends in a defect of ours, a person is told what is known about the money.

Nobody who has just approved a refund is left with a traceback: the ledger notes a refund before its
request is sent, so it knows. Where in the code it happened is logged to stderr, as for the tools.
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import (
    FAILED,
    UNKNOWN,
    code_of,
    code_of_error,
    is_unwritable,
    set_up_logging,
    show_progress,
    stop,
)

if TYPE_CHECKING:
    from clawver_orders.services import Services
    from clawver_orders.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What is known about the money and the webhooks, and the exit code that goes with it."""

    says: str
    code: int = FAILED


NOTHING_CHANGED = Known("It sent nothing, so no money was moved.")
IN_THE_LEDGER = Known(
    "Every refund that was sent is in the ledger: clawver-orders refunds lists it.", UNKNOWN
)
WEBHOOKS_MAY_DIFFER = Known(
    "It is not known whether a webhook was changed: clawver-orders call list_webhooks shows them.",
    UNKNOWN,
)
MAY_SEND = frozenset({"approve", "board", "call", "serve"})
"""Commands after which money may have moved, where nothing says more."""


class DefectError(Exception):
    """A defect of ours, which is the cause.

    Args:
        known: What is known.
    """

    def __init__(self, known: Known) -> None:
        self.known = known
        super().__init__(known.says)


def with_services(
    run: "Callable[[Services], Awaitable[int]]",
    settings: "Settings",
    look: "Callable[[Services, float], Awaitable[Known]] | None" = None,
    elsewhere: "Callable[[Settings], Awaitable[str]] | None" = None,
) -> None:
    """Run with a store's services, and end with the code that it gives; errors go to stderr.

    Args:
        run: The command's work.
        settings: What a person has decided.
        look: Finds out what is known after a defect; it is given the uptime at which the work began.
            Nothing can have been sent where it is left out.
        elsewhere: Says where else what it is about may be; asked where it isn't found here, or no store is known.
    """
    import anyio

    from clawver_orders.errors import ClawverError, NotFoundError, SetupError
    from clawver_orders.services import opened

    async def inside() -> None:
        show_progress("Asking Clawver")
        try:
            async with opened(settings) as services:
                began = services.uptime()
                try:
                    code = await run(services)
                except Exception as error:
                    if look is None or isinstance(error, ClawverError) or not _is_defect(error):
                        raise
                    raise DefectError(await look(services, began)) from error
        except ClawverError as error:
            also = ""
            if elsewhere is not None and isinstance(error, NotFoundError | SetupError):
                also = await elsewhere(settings)
            stop(f"{error} {also}".rstrip(), code_of_error(error))
        sys.exit(code)

    anyio.run(inside)


def money(
    *, refund_id: str = "", order_id: str = ""
) -> "Callable[[Services, float], Awaitable[Known]]":
    """Finds out what is known of a refund, for `with_services`.

    Args:
        refund_id: The refund that was to be sent; or
        order_id: The order that it is on.
    """

    async def look(services: "Services", began: float) -> Known:
        try:
            return await _known(services, began, refund_id, order_id)
        except Exception:  # the ledger itself may be what is broken
            log.exception("the ledger could not be read")
            return IN_THE_LEDGER

    return look


async def _known(services: "Services", began: float, refund_id: str, order_id: str) -> Known:
    """What the ledger says of the request that was sent since then; there is never more than one."""
    from clawver_orders.money import display

    ledger = (await services.store()).ledger
    if not order_id:
        wish = await ledger.find(refund_id)
        if wish is None:
            return NOTHING_CHANGED
        order_id = wish.order_id
    records = await ledger.of_order(order_id)
    for sent in reversed(records.attempts):
        if sent.sent.boot == services.boot() and sent.sent.uptime >= began:
            says = (
                f"{display(sent.amount_in_cents)} on {order_id} was sent, and is "
                f"{sent.status} in the ledger."
            )
            look_up = f"Repeat nothing; look with: clawver-orders refunds show {sent.refund_id}"
            is_open = sent.is_open
            return Known(
                f"{says} {look_up}", UNKNOWN if is_open else code_of(sent.status, is_open=False)
            )
    return NOTHING_CHANGED


async def nothing_changed(_: "Services", began: float) -> Known:  # noqa: ARG001  # nothing can be found
    """What is known of what only reads, for `with_services`."""
    return NOTHING_CHANGED


async def webhooks_may_differ(_: "Services", began: float) -> Known:  # noqa: ARG001  # nothing notes it
    """What is known of a webhook that was to be changed, for `with_services`."""
    return WEBHOOKS_MAY_DIFFER


@contextmanager
def without_traceback(context: click.Context) -> Iterator[None]:
    """Say in a sentence that a command ended in a defect, log where, and end the process.

    Args:
        context: That of the group, which knows by then which command was called.
    """
    try:
        yield
    except Exception as error:
        if not _is_defect(error):
            raise
        command = context.invoked_subcommand or "serve"
        known = IN_THE_LEDGER if command in MAY_SEND else NOTHING_CHANGED
        cause: BaseException = error
        if isinstance(error, DefectError):
            known, cause = error.known, error.__cause__ or error
        if not logging.getLogger().handlers:
            set_up_logging("error")
        log.error("%s ended in an error of its own", command, exc_info=cause)  # noqa: TRY400
        stop(
            f"clawver-orders {command} failed because of a defect in this program. {known.says} "
            "The lines above say where it happened: report them.",
            known.code,
        )


def _is_defect(error: Exception) -> bool:
    """Whether it is none of the ways in which a command is meant to end."""
    meant = (click.ClickException, click.exceptions.Exit, click.Abort)
    return not isinstance(error, meant) and not is_unwritable(error)
