"""The page in the browser, from the command line."""

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
    from clawver_orders.storage.database import Database
    from clawver_orders.web.starting import PageUp


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 picks a free one.  [default: 8790, or a free one]",
)
@click.option("--open", "opens", is_flag=True, help="Open it in a browser, signed in.")
@output_options
@store_options
def board(port: int | None, opens: bool, form: str | None, sandbox: bool) -> None:
    """Show what waits for you on a page in the browser, until stopped.

    There you approve and decline refunds, after signing in with your PIN or with --open. Each store
    has one page: where it is up already, its address is shown.
    """
    if opens and not somebody_is_there():
        stop(
            "Nothing was opened: --open signs in whoever sits at this terminal, so it needs one. Leave "
            "it out, and sign in on the page with your PIN.",
            FAILED,
        )
    settings = settings_or_stop(sandbox=sandbox)
    import anyio

    show_progress("Starting the page")
    anyio.run(_run, settings, port, opens, Output(form))


async def _run(settings: "Settings", port: int | None, opens: bool, output: Output) -> None:
    from clawver_orders.errors import ClawverError
    from clawver_orders.services import opened
    from clawver_orders.signals import told_to_stop
    from clawver_orders.web.sessions import tables
    from clawver_orders.web.starting import running

    try:
        async with opened(settings) as services, running(services, port) as up:
            store = await services.store()
            title = store.title
            how = "(stop it with Ctrl+C)" if up.is_ours else "already, in another process"
            if output.is_json:
                output.document({"url": up.address, "store": title, "already_up": not up.is_ours})
            else:
                say(f"The page is up at {up.address} {how}.")
                say(f"Store: {title}")
            if opens:
                _open(up, tables(settings, store.scope))
            if up.is_ours:
                await told_to_stop()
    except ClawverError as error:
        stop(str(error), FAILED)


def _open(up: "PageUp", shared: "Database | None") -> None:
    """Open the page, signed in: a file hands the code over, which no list of processes shows."""
    import webbrowser

    from clawver_orders.instants import now
    from clawver_orders.web.codes import hand_over

    file = hand_over(up.folder, up.address, now(), shared)
    if not webbrowser.open(file.as_uri()):
        say(f"Open this file in a browser within 2 minutes: {file}", err=True)
