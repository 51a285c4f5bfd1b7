"""The database that several machines share, in a terminal: who may do what there."""

from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import DONE, settings_or_stop, store_options
from clawver_orders.cli.output import Output, output_options
from clawver_orders.cli.running import with_services

if TYPE_CHECKING:
    from clawver_orders.services import Services


@click.group()
def database() -> None:
    """Say who may work with the database that several machines share."""


@database.command("grant")
@click.argument("user")
@output_options
@store_options
def grant_tables(user: str, form: str | None, sandbox: bool) -> None:
    """Make the store's tables, and let USER read and write them, but not change their rules.

    CLAWVER_DATABASE_URL names the user who owns the tables here. For the servers it names USER.
    To repeat it does no harm: run it again after an update, and for a new store or key.
    """
    output = Output(form)

    async def run(services: "Services") -> int:
        return await _grant(services, user, output)

    with_services(run, settings_or_stop(sandbox=sandbox))


async def _grant(services: "Services", user: str, output: Output) -> int:
    from anyio import to_thread

    from clawver_orders.storage.granting import grant

    store = await services.store()
    await to_thread.run_sync(grant, services.settings, store.scope, user)
    if output.is_json:
        output.document({"store": store.title, "user": user})
    else:
        output.say(
            f"Store: {store.title}\nThis user may read and write its tables in the database, and not change their "
            f"rules: {user}"
        )
    return DONE
