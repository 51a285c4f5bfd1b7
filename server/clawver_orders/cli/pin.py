"""The PIN that approves refunds: a person sets it in a terminal, and nothing else does."""

from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import (
    FAILED,
    say,
    settings_or_stop,
    show_progress,
    somebody_is_there,
    stop,
    store_options,
)
from clawver_orders.cli.output import Output, output_options

if TYPE_CHECKING:
    from clawver_orders.settings import Settings
    from clawver_orders.storage.pin import Pin


@click.command()
@output_options
@store_options
def pin(form: str | None, sandbox: bool) -> None:
    """Set or change the PIN with which you approve refunds.

    It is asked for in this terminal and nowhere else, so a program that was never told it can't
    approve what needs one. Never type it in a chat.
    """
    if not somebody_is_there():
        stop("Nothing was changed: a PIN is set by a person in a terminal, without a pipe.", FAILED)
    settings = settings_or_stop(sandbox=sandbox)
    import anyio

    from clawver_orders.errors import ClawverError

    show_progress("Asking Clawver")
    try:
        anyio.run(_set, settings, Output(form))
    except ClawverError as error:
        stop(str(error), FAILED)


async def _set(settings: "Settings", output: Output) -> None:
    from clawver_orders.services import opened
    from clawver_orders.storage.pin import PinLockedError, WrongPinError

    async with opened(settings) as services:
        store = await services.store()
    output.say(f"Store: {store.title}")
    try:
        status = _ask(store.pin, output, is_reachable=settings.board_is_reachable)
    except (PinLockedError, WrongPinError):
        say(
            f"If nobody knows it any more, {store.pin.when_forgotten} and run this again.",
            err=True,
        )
        raise
    if output.is_json:
        output.document({"store": store.title, "status": status})
    else:
        say(f"The PIN is {status}.")


def _ask(kept: "Pin", output: Output, *, is_reachable: bool) -> str:
    """Ask for the old one where there is one, then for the new one twice, and keep that.

    Returns:
        Whether it was `set` or `changed`.
    """
    from clawver_orders.storage.pin import LEAST, LEAST_OFF_LOOPBACK, MOST, NEVER_IN_A_CHAT

    least = LEAST_OFF_LOOPBACK if is_reachable else LEAST
    output.say(f"{NEVER_IN_A_CHAT} It has {least} to {MOST} characters.")
    old = None
    if kept.is_set:
        old = click.prompt("Old PIN", hide_input=True, err=output.is_json)
        kept.check(old, has_session=True)
    new = click.prompt(
        "New PIN",
        hide_input=True,
        confirmation_prompt="New PIN once more",
        err=output.is_json,
    )
    kept.set(new, old, is_reachable=is_reachable)
    return "changed" if old else "set"
