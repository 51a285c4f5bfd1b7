"""The order history in a terminal: filling it, and forgetting a customer."""

import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import (
    DONE,
    FAILED,
    MISUSED,
    hide_progress,
    is_terminal,
    say,
    settings_or_stop,
    stop,
    store_options,
)
from clawver_orders.cli.output import Output, output_options
from clawver_orders.cli.running import with_services

if TYPE_CHECKING:
    from clawver_orders.days import Calendar
    from clawver_orders.history.syncing import Synced
    from clawver_orders.services import Services

LOCK_FILE = "sync.lock"
ALL = 10**9


@click.command()
@output_options
@store_options
def sync(form: str | None, sandbox: bool) -> None:
    """Keep all orders that Clawver still lists, so that they can be found later.

    It takes at most half of the request allowance, and goes on where an earlier run ended.
    """
    settings = settings_or_stop(sandbox=sandbox)
    if not settings.history:
        stop("CLAWVER_HISTORY is off, so nothing is kept. Nothing was asked.", FAILED)
    output = Output(form)

    async def run(services: "Services") -> int:
        return await _sync(services, output)

    with_services(run, settings)


async def _sync(services: "Services", output: Output) -> int:
    from filelock import FileLock, Timeout

    from clawver_orders.storage.folders import make_private

    store = await services.store()
    make_private(store.scope.folder)
    lock = FileLock(store.scope.folder / LOCK_FILE, mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say("Another sync of this store is running. Nothing was done.", err=True)
        return FAILED
    hide_progress()
    # Without a terminal its reader is a program or a log.
    is_hidden = not is_terminal(sys.stderr)
    label = "Reading orders"
    try:
        with click.progressbar(
            length=1, label=label, file=sys.stderr, hidden=is_hidden, width=0
        ) as bar:

            def progress(done: int, total: int, waiting_seconds: int) -> None:
                bar.length = total
                bar.label = f"Waiting {waiting_seconds} s" if waiting_seconds else label
                bar.update(done - bar.pos)

            synced = await store.syncing(progress).run()
    finally:
        lock.release()
    _tell(synced, store.title, services.settings.calendar, output)
    if synced.seconds_to_wait is None:
        return DONE
    say(
        "Half of the requests that Clawver allows in a day are used up, and the other half is left for you and "
        f"your agents. Run it again in {-(-synced.seconds_to_wait // 3600)} hours: it goes on where it ended.",
        err=True,
    )
    return FAILED


def _tell(synced: "Synced", store: str, calendar: "Calendar", output: Output) -> None:
    from clawver_orders.history.told import told

    if output.is_json:
        kept = {
            name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
            for name, value in asdict(synced.extent).items()
        }
        left = {"unreadable": synced.unreadable, "seconds_to_wait": synced.seconds_to_wait}
        output.document({"store": store} | kept | left)
        return
    say(f"Store: {store}\n{told(synced.extent, calendar)}")
    if synced.unreadable:
        say(f"Orders that cannot be read: {synced.unreadable}.")


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
