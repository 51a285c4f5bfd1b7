"""The page in the browser, from the command line."""

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import (
    FAILED,
    say,
    show_progress,
    somebody_is_there,
    stop,
    store_options,
    stores,
)
from clawver_orders.cli.output import Output, output_options

if TYPE_CHECKING:
    from clawver_orders.errors import ClawverError
    from clawver_orders.settings import Settings, Stores
    from clawver_orders.web.starting import AllUp, PageUp


NOT_KNOWN_YET = (
    "Clawver hasn't said yet which store this is. It is asked again when you sign in to it."
)


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
    has one page: where it is up already, its address is shown. Where there are several stores and none
    is named, one page shows what waits in all of them.
    """
    if opens and not somebody_is_there():
        stop(
            "Nothing was opened: --open signs in whoever sits at this terminal, so it needs one. Leave "
            "it out, and sign in on the page with your PIN.",
            FAILED,
        )
    found = stores(sandbox=sandbox, read_only=False)
    import anyio

    from clawver_orders.errors import ClawverError, SetupError

    show_progress("Starting the page")
    only, output = found.get(""), Output(form)
    try:
        if isinstance(only, SetupError):
            raise only
        if only is None:
            anyio.run(_run_all, found, port, opens, output)
        else:
            anyio.run(_run, only, port, opens, output)
    except ClawverError as error:
        stop(str(error), FAILED)


async def _run(settings: "Settings", port: int | None, opens: bool, output: Output) -> None:
    from clawver_orders.services import opened
    from clawver_orders.signals import told_to_stop
    from clawver_orders.web.starting import running

    async with opened(settings) as services, running(services, port) as up:
        title = (await services.store()).title
        if output.is_json:
            output.document({"url": up.address, "store": title, "already_up": not up.is_ours})
        else:
            _say_where(up)
            say(f"Store: {title}")
        if opens:
            _open(up, _code(settings))
        if up.is_ours:
            await told_to_stop()


async def _run_all(stores: "Stores", port: int | None, opens: bool, output: Output) -> None:
    import asyncio

    from clawver_orders.signals import told_to_stop
    from clawver_orders.web.starting import running_all

    async with running_all(stores, port) as up:
        if not up.is_ours:
            await _tell(up, stores, opens, output)
            return
        stopping = asyncio.create_task(told_to_stop())  # it may take a moment until all are known
        telling = asyncio.create_task(_tell(up, stores, opens, output))
        await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
            await stopping
        telling.cancel()


async def _tell(up: "AllUp", stores: "Stores", opens: bool, output: Output) -> None:
    """Say where the pages are, and open that of all stores if that is wanted."""
    if not output.is_json:
        _say_where(up)
    pages = await up.pages()
    if output.is_json:
        found = {each: _page_of(at) for each, at in pages.items()}
        output.document({"url": up.address, "already_up": not up.is_ours, "stores": found})
    else:
        for alias, at in pages.items():
            say(f"{alias}: {at or NOT_KNOWN_YET}")
    if opens:
        _open(up, _codes(stores))


def _say_where(up: "PageUp") -> None:
    how = "(stop it with Ctrl+C)" if up.is_ours else "already, in another process"
    say(f"The page is up at {up.address} {how}.")


def _page_of(at: "str | ClawverError | None") -> dict[str, str]:
    return {"url": at} if isinstance(at, str) else {"problem": str(at or NOT_KNOWN_YET)}


def _code(settings: "Settings") -> str:
    """A code that signs in to the page of a store; nothing where the store was never used on this machine."""
    from clawver_orders.instants import now
    from clawver_orders.storage import scopes
    from clawver_orders.web import codes
    from clawver_orders.web.sessions import tables

    scope = scopes.known(settings)
    return "" if scope is None else codes.make(scope.folder, now(), tables(settings, scope))


def _codes(stores: "Stores") -> str:
    """A code for each store that was used before, after the store's name."""
    from clawver_orders.errors import ClawverError
    from clawver_orders.settings import Settings

    made = {}
    for alias, settings in stores.items():
        with suppress(ClawverError, OSError):
            made[alias] = _code(settings) if isinstance(settings, Settings) else ""
    return " ".join(f"{alias}:{code}" for alias, code in made.items() if code)


def _open(up: "PageUp", code: str) -> None:
    """Open the page, signed in: a file hands the code over, which no list of processes shows."""
    import webbrowser

    from clawver_orders.web.codes import hand_over

    file = hand_over(up.folder, up.address, code)
    if not webbrowser.open(file.as_uri()):
        say(f"Open this file in a browser within 2 minutes: {file}", err=True)
