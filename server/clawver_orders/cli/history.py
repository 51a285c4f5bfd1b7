"""The order history in a terminal: filling it, and forgetting a customer."""

import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.options import (
    DONE,
    FAILED,
    MISUSED,
    code_of_error,
    hide_progress,
    is_terminal,
    one_or_several,
    say,
    settings_or_stop,
    show_progress,
    stop,
    store_options,
)
from clawver_orders.cli.output import Output, output_options
from clawver_orders.cli.running import with_services

if TYPE_CHECKING:
    from clawver_orders.days import Calendar
    from clawver_orders.errors import SetupError
    from clawver_orders.history.syncing import Synced
    from clawver_orders.services import Services, Store
    from clawver_orders.settings import Settings, Stores

LOCK_FILE = "sync.lock"
ALL = 10**9
_ANOTHER_RUNS = "Another sync of this store is running. Nothing was done."


@click.command()
@output_options
@store_options
def sync(form: str | None, sandbox: bool) -> None:
    """Keep all orders that Clawver still lists, so that they can be found later.

    It takes at most half of the request allowance, and goes on where an earlier run ended. Where there
    are several stores and none is named, it does so for one after the other.
    """
    found = one_or_several(sandbox=sandbox)
    output = Output(form)
    from clawver_orders.settings import Settings

    if not isinstance(found, Settings):
        import anyio

        sys.exit(anyio.run(_sync_each, found, output))
    if not found.history:
        stop("CLAWVER_HISTORY is off, so nothing is kept. Nothing was asked.", FAILED)

    async def run(services: "Services") -> int:
        return await _sync(services, output)

    with_services(run, found)


async def _sync(services: "Services", output: Output) -> int:
    store = await services.store()
    synced = await _read(store)
    if synced is None:
        say(_ANOTHER_RUNS, err=True)
        return FAILED
    if output.is_json:
        output.document({"store": store.title} | _as_json(synced))
    else:
        lines = _lines(synced, services.settings.calendar)
        say("\n".join([f"Store: {store.title}", *lines]))
    if synced.seconds_to_wait is None:
        return DONE
    say(_when_to_go_on(synced.seconds_to_wait), err=True)
    return FAILED


async def _sync_each(stores: "Stores", output: Output) -> int:
    """Sync one store after the other; what keeps one of them from it holds none of the others up.

    Returns:
        The worst of their exit codes. A store that is to keep no history counts only where none is to.
    """
    codes, ended = [], []
    for alias, settings in stores.items():
        code, told = await _sync_named(alias, settings, output)
        codes += [] if code is None else [code]
        ended.append({"store": alias} | told)
    if output.is_json:
        output.document(ended)
    return max(codes, default=FAILED)


async def _sync_named(
    alias: str, settings: "Settings | SetupError", output: Output
) -> tuple[int | None, dict[str, Any]]:
    """Sync a store of several.

    Returns:
        The exit code for it, or None where it is to keep no history; and what came of it.
    """
    from clawver_orders.errors import ClawverError
    from clawver_orders.services import opened

    def failed(why: str, code: int = FAILED) -> tuple[int, dict[str, Any]]:
        say(f"{alias}: {why}", err=True)
        return code, {"result": "failed", "error": why}

    show_progress(f"{alias}: Asking Clawver")
    try:
        if isinstance(settings, ClawverError):
            raise settings
        if not settings.history:
            say(f"{alias}: {_off(settings)}", err=True)
            return None, {"result": "off"}
        async with opened(settings) as services:
            store = await services.store()
            synced = await _read(store, f"{alias}: ")
    except ClawverError as error:
        return failed(str(error), code_of_error(error))
    if synced is None:
        return failed(_ANOTHER_RUNS)
    if not output.is_json:
        say("\n".join(f"{alias}: {line}" for line in _lines(synced, settings.calendar)))
    told = {"title": store.title} | _as_json(synced)
    if synced.seconds_to_wait is None:
        return DONE, {"result": "done"} | told
    say(f"{alias}: {_when_to_go_on(synced.seconds_to_wait)}", err=True)
    return FAILED, {"result": "unfinished"} | told


async def _read(store: "Store", beginning: str = "") -> "Synced | None":
    """Read what Clawver lists of a store; None where another process does.

    Args:
        store: The store.
        beginning: What the line that shows how far it is begins with.
    """
    from filelock import FileLock, Timeout

    from clawver_orders.storage.folders import make_private

    make_private(store.scope.folder)
    lock = FileLock(store.scope.folder / LOCK_FILE, mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    hide_progress()
    # Without a terminal its reader is a program or a log.
    is_hidden = not is_terminal(sys.stderr)
    label = f"{beginning}Reading orders"
    try:
        with click.progressbar(
            length=1, label=label, file=sys.stderr, hidden=is_hidden, width=0
        ) as bar:

            def progress(done: int, total: int, waiting_seconds: int) -> None:
                bar.length = total
                bar.label = f"{beginning}Waiting {waiting_seconds} s" if waiting_seconds else label
                bar.update(done - bar.pos)

            return await store.syncing(progress).run()
    finally:
        lock.release()


def _off(settings: "Settings") -> str:
    return f"{settings.called('history')} is off, so nothing is kept. Nothing was asked."


def _when_to_go_on(seconds: int) -> str:
    return (
        "Half of the requests that Clawver allows in a day are used up, and the other half is left for you and "
        f"your agents. Run it again in {-(-seconds // 3600)} hours: it goes on where it ended."
    )


def _lines(synced: "Synced", calendar: "Calendar") -> list[str]:
    from clawver_orders.history.told import told

    unreadable = [f"Orders that cannot be read: {synced.unreadable}."] if synced.unreadable else []
    return [told(synced.extent, calendar), *unreadable]


def _as_json(synced: "Synced") -> dict[str, Any]:
    kept = {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in asdict(synced.extent).items()
    }
    return kept | {"unreadable": synced.unreadable, "seconds_to_wait": synced.seconds_to_wait}


@click.command()
@click.argument("email")
@output_options
@store_options
def forget(email: str, form: str | None, sandbox: bool) -> None:
    """Delete what is kept of a customer on this machine, and keep nothing of them again.

    EMAIL is the whole address and nothing else. The refund ledger stays, and so do your backups.
    """
    from clawver_orders.text import clean, is_email

    address = clean(email, 200)  # as the addresses of orders are kept
    if not is_email(address):
        stop(
            "EMAIL must be one whole e-mail address, without a name or brackets. Nothing was deleted.",
            MISUSED,
        )
    output = Output(form)

    async def run(services: "Services") -> int:
        from clawver_orders.history.mirror import Sought

        store = await services.store()
        theirs = store.mirror.find(Sought(customer_email=address), ALL)
        # First the events, which are known by their orders.
        events = store.inbox.forget([each.order.id for each in theirs], address)
        orders = len(store.mirror.forget(address, services.now()))
        if output.is_json:
            output.document({"store": store.title, "orders": orders, "events": events})
            return DONE
        say(f"Store: {store.title}")
        say(f"Deleted: {orders} orders, {events} events.")
        if not orders:
            say("No order of this address is kept here: check the spelling.")
        say("Nothing of this address is kept from now on.")
        say("What stays: the refund ledger, which has the reasons of refunds, and your backups.")
        return DONE

    with_services(run, settings_or_stop(sandbox=sandbox))
