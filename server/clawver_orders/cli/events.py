"""Order events in a terminal: receiving them, and reading the inbox."""

import json
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.completion import order_ids
from clawver_orders.cli.options import (
    DONE,
    FAILED,
    MISUSED,
    one_or_several,
    say,
    settings_or_stop,
    show_progress,
    stop,
    store_options,
)
from clawver_orders.cli.output import Output, output_options
from clawver_orders.cli.tables import row, when

if TYPE_CHECKING:
    from clawver_orders.days import Calendar
    from clawver_orders.webhooks.inbox import Inbox, Query, Received

HEADINGS = ("event id", "event", "order", "happened (UTC)", "received (UTC)")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
LOOK_EVERY_SECONDS = 0.5
ALL_THAT_IS_NEW = 10**9


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=8789,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 picks a free one.",
)
@click.option("--path", default="/webhook", show_default=True, help="Where deliveries come in.")
@output_options
@store_options
def listen(host: str, port: int, path: str, form: str | None, sandbox: bool) -> None:
    """Receive order events until stopped: verify each, note it in the inbox, answer, and print a line.

    It speaks plain HTTP on this machine. A reverse proxy or a tunnel in front of it terminates TLS,
    and passes POST requests on as they are. CLAWVER_WEBHOOK_SECRET must be set.

    Where there are several stores and none is named, it receives the events of each one whose table
    names a webhook secret. Each store has a path of its own: --path followed by its name.
    """
    output = Output(form)
    if _PATH.fullmatch(path) is None or path in {"/healthz", "/readyz"}:
        stop("--path must begin with / and hold only letters, digits and ._~/-.", MISUSED)
    found = one_or_several(sandbox=sandbox)
    import anyio

    from clawver_orders.cli.listening import listen_to_one, listen_to_several
    from clawver_orders.errors import ClawverError
    from clawver_orders.settings import Settings

    async def run() -> None:
        try:
            if isinstance(found, Settings):
                await listen_to_one(found, host, port, path, output)
            else:
                await listen_to_several(found, host, port, path, output)
        except ClawverError as error:
            stop(str(error), FAILED)
        sys.exit(DONE)

    show_progress("Starting to listen")
    anyio.run(run)


def _as_it_is(_: click.Context, option: click.Parameter, value: str) -> str:
    """What was typed, where it is text: a shell passes any bytes on."""
    if not value.isprintable():
        stop(f"{option.opts[0]} holds characters that no id and no name has.", MISUSED)
    return value


@click.command()
@click.option(
    "--since",
    default="",
    help="A day (2026-11-24), a time (2026-11-24T09:30:00Z) or an event id (evt_17).",
)
@click.option(
    "--order",
    "order_id",
    default="",
    callback=_as_it_is,
    shell_complete=order_ids,
    help="Only events of this order.",
)
@click.option(
    "--event", "name", default="", callback=_as_it_is, help="Only this event, such as order.paid."
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--follow", is_flag=True, help="Oldest first, and go on with what arrives.")
@output_options
@store_options
def events(
    since: str,
    order_id: str,
    name: str,
    limit: int,
    follow: bool,
    form: str | None,
    sandbox: bool,
) -> None:
    """The order events that arrived on this machine, newest first.

    As JSON they come with the verified bodies, unless CLAWVER_PII is masked; with --follow each is a
    document of its own.
    """
    output = Output(form)
    settings = settings_or_stop(sandbox=sandbox)
    query = _query(settings.calendar, since, order_id, name, limit)
    import anyio

    from clawver_orders.errors import ClawverError
    from clawver_orders.services import INBOX, Store, opened

    async def found() -> tuple[Store, bool]:
        async with opened(settings) as services:
            store = await (services.store() if follow else services.kept(INBOX))
            return store, services.masking.masked

    def show(each: "Received") -> None:
        if output.is_json:
            output.document(_as_json(each, masked=masked))
        else:
            say(row(_cells(each)))

    show_progress("Opening the inbox")
    try:
        store, masked = anyio.run(found)
        inbox = store.inbox
        if not output.is_json:
            say(f"Store: {store.title}")
        if follow:
            _follow(inbox, query, show)
        page = inbox.find(query, _now())
    except ClawverError as error:
        stop(str(error), FAILED)
    if output.is_json:
        output.document([_as_json(each, masked=masked) for each in page.events])
        return
    if page.events:
        output.table(HEADINGS, [_cells(each) for each in page.events])
    else:
        say("No events.")
    if page.has_more:
        say("There are older ones: raise --limit.")
    say(_receiver_status(inbox))


def _query(calendar: "Calendar", since: str, order_id: str, name: str, limit: int) -> "Query":
    from clawver_orders.tools.arguments import event_number, moment
    from clawver_orders.webhooks.inbox import Query

    number = event_number(since)
    try:
        at = moment(since, calendar, _now()) if since and number is None else None
    except ValueError:
        stop("--since takes a day, a UTC time, or an event id such as evt_17.", MISUSED)
    return Query(after=number or 0, since=at, order_id=order_id, name=name, limit=limit)


def _follow(inbox: "Inbox", query: "Query", show: "Callable[[Received], None]") -> None:
    """Never returns; ends when it is interrupted."""
    from dataclasses import replace

    page = inbox.find(query, _now())
    while True:
        for each in reversed(page.events):
            show(each)
        query = replace(query, after=max([query.after, *(each.number for each in page.events)]))
        time.sleep(LOOK_EVERY_SECONDS)
        page = inbox.find(replace(query, limit=ALL_THAT_IS_NEW), _now())


def _receiver_status(inbox: "Inbox") -> str:
    status = inbox.receiver_status(_now())
    if status.started_at is None:
        return "Nothing has ever listened here. Start it with: clawver-orders listen"
    last = "none yet" if status.delivered_at is None else when(status.delivered_at)
    now = "Somebody listens" if status.is_listening else "Nothing listens now"
    causes = ", ".join(f"{each.cause} {each.count}" for each in status.refusals)
    refused = f" Refused, by the cause: {causes}." if causes else ""
    return f"{now}; last start {when(status.started_at)}, last delivery {last}.{refused}"


def _cells(each: "Received") -> tuple[str, ...]:
    happened = "" if each.at is None else when(each.at)
    return f"evt_{each.number}", each.name, each.order_id or "", happened, when(each.received_at)


def _as_json(each: "Received", *, masked: bool) -> dict[str, Any]:
    known = {
        "event_id": f"evt_{each.number}",
        "event": each.name,
        "order_id": each.order_id,
        "happened_at": None if each.at is None else each.at.isoformat(),
        "received_at": each.received_at.isoformat(),
    }
    return known if masked else known | {"body": json.loads(each.body)}


def _now() -> datetime:
    return datetime.now(UTC)
