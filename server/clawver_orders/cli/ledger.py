"""The refund ledger in a terminal: moving it from this machine's file into a database."""

from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import DONE, settings_or_stop, store_options
from clawver_orders.cli.output import Output, output_options
from clawver_orders.cli.running import with_services

if TYPE_CHECKING:
    from clawver_orders.services import Services


@click.group()
def ledger() -> None:
    """Move the refund ledger into a database that several machines share."""


@ledger.command("move")
@output_options
@store_options
def move_ledger(form: str | None, sandbox: bool) -> None:
    """Move this machine's refunds into the database in CLAWVER_DATABASE_URL.

    Stop all servers of the store first. The file is kept, and never used again. To repeat it does no harm.
    """
    output = Output(form)

    async def run(services: "Services") -> int:
        return await _move(services, output)

    with_services(run, settings_or_stop(sandbox=sandbox))


async def _move(services: "Services", output: Output) -> int:
    from anyio import to_thread

    from clawver_orders.refunds.ledger_move import move

    store = await services.store()
    moved = await to_thread.run_sync(move, services.settings, store.scope)
    if output.is_json:
        output.document(
            {
                "store": store.title,
                "refunds_moved": moved.refunds or 0 if moved else 0,
                "file": str(moved.path) if moved else None,
            }
        )
    elif moved is None:
        output.say(
            f"Store: {store.title}\nThis machine has no refund ledger of it. There was nothing to move."
        )
    elif moved.refunds is None:
        output.say(
            f"Store: {store.title}\nIts refunds were moved before. {moved.path} is kept, and no longer used."
        )
    else:
        output.say(
            f"Store: {store.title}\nRefunds moved into the database: {moved.refunds}. {moved.path} is kept, and no "
            "longer used."
        )
    return DONE
