"""Order events in a terminal: receiving them, reading the inbox, checking a signature by hand."""

import json
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.options import FAILED, MISUSED, sandbox_option, settings_or_stop, stop
from clawver_orders.cli.tables import row, table, when

if TYPE_CHECKING:
    from clawver_orders.settings import Settings
    from clawver_orders.webhooks.inbox import Inbox, Page, Query, Received

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
@sandbox_option
def listen(host: str, port: int, path: str, sandbox: bool) -> None:
    """Receive order events until stopped: verify each, note it in the inbox, and answer.

    It speaks plain HTTP on this machine; what stands before it (a reverse proxy, a tunnel) ends
    https and passes POST requests on as they are. CLAWVER_WEBHOOK_SECRET must be set.
    """
    if _PATH.fullmatch(path) is None or path == "/healthz":
        stop("--path must begin with / and hold only letters, digits and ._~/-.", MISUSED)
    settings = settings_or_stop(sandbox=sandbox)
    import anyio

    from clawver_orders.errors import ClawverError
    from clawver_orders.webhooks.listener import listen as listen_on
    from clawver_orders.webhooks.receiver import Receiver

    async def run() -> None:
        try:
            title = await _title(settings) if settings.webhook_secret else ""

            def ready(url: str) -> None:
                click.echo(f"Listening for order events at {url}{path} (stop it with Ctrl+C).")
                click.echo(f"Store: {title}  Health: {url}/healthz")

            await listen_on(Receiver.of(settings, path=path), host, port, ready)
        except ClawverError as error:
            stop(str(error), FAILED)
        sys.exit(0)

    anyio.run(run)


@click.command()
@click.option(
    "--since",
    default="",
    help="A day (2026-11-24), a time (2026-11-24T09:30:00Z) or an event id (evt_17).",
)
@click.option("--order", "order_id", default="", help="Only events of this order.")
@click.option("--event", "name", default="", help="Only this event, such as order.paid.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--follow", is_flag=True, help="Oldest first, and go on with what arrives.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One a line with --follow. With the verified bodies, unless CLAWVER_PII is masked.",
)
@sandbox_option
def events(
    since: str, order_id: str, name: str, limit: int, follow: bool, as_json: bool, sandbox: bool
) -> None:
    """The order events that arrived on this machine, newest first."""
    query = _query(since, order_id, name, limit)
    settings = settings_or_stop(sandbox=sandbox)
    import anyio

    from clawver_orders.errors import ClawverError
    from clawver_orders.services import INBOX, Store, opened

    async def found() -> tuple[Store, bool]:
        async with opened(settings) as services:
            store = await (services.store() if follow else services.kept(INBOX))
            return store, services.masking.masked

    def show(each: "Received") -> str:
        return json.dumps(_as_json(each, masked=masked)) if as_json else row(_cells(each))

    try:
        store, masked = anyio.run(found)
        inbox = store.inbox
        if not as_json:
            click.echo(f"Store: {store.title}")
        if follow:
            _follow(inbox, query, show)
        page = inbox.find(query, _now())
    except ClawverError as error:
        stop(str(error), FAILED)
    if as_json:
        click.echo(f"[{', '.join(map(show, page.events))}]")
        return
    for line in _listed(page):
        click.echo(line)
    click.echo(_receiver_status(inbox))


async def _title(settings: "Settings") -> str:
    """The store as a person knows it; it is asked who it is where that was never noted."""
    from clawver_orders.services import opened

    async with opened(settings) as services:
        return (await services.store()).title


def _query(since: str, order_id: str, name: str, limit: int) -> "Query":
    from clawver_orders.tools.arguments import event_number, moment
    from clawver_orders.webhooks.inbox import Query

    number = event_number(since)
    try:
        at = moment(since) if since and number is None else None
    except ValueError:
        stop("--since takes a day, a UTC time, or an event id such as evt_17.", MISUSED)
    return Query(after=number or 0, since=at, order_id=order_id, name=name, limit=limit)


def _follow(inbox: "Inbox", query: "Query", show: "Callable[[Received], str]") -> None:
    """Never returns; ends when it is interrupted."""
    from dataclasses import replace

    page = inbox.find(query, _now())
    while True:
        for each in reversed(page.events):
            click.echo(show(each))
        query = replace(query, after=max([query.after, *(each.number for each in page.events)]))
        time.sleep(LOOK_EVERY_SECONDS)
        page = inbox.find(replace(query, limit=ALL_THAT_IS_NEW), _now())


def _listed(page: "Page") -> list[str]:
    if not page.events:
        return ["No events."]
    lines = table(HEADINGS, [_cells(each) for each in page.events])
    if page.has_more:
        lines.append("There are older ones: raise --limit.")
    return lines


def _receiver_status(inbox: "Inbox") -> str:
    status = inbox.receiver_status(_now())
    if status.started_at is None:
        return "Nothing has ever listened here. Start it with: clawver-orders listen"
    last = "none yet" if status.delivered_at is None else when(status.delivered_at)
    now = "Somebody listens" if status.is_listening else "Nothing listens now"
    refused = f" Refused for their signature: {status.refused}." if status.refused else ""
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


@click.group()
def webhook() -> None:
    """Tools for looking at deliveries by hand."""


@webhook.command()
@click.option("--signature", required=True, help="The value of the X-Claw-Signature header.")
def verify(signature: str) -> None:
    """Check a delivery's body, read from standard input, against CLAWVER_WEBHOOK_SECRET.

    Exit code 0: it is genuine. 1: it is not, or there is no secret. Nothing is stored.
    """
    settings = settings_or_stop()
    from clawver_orders.webhooks.signature import BODY_LIMIT_IN_BYTES, MalformedEventError, parse
    from clawver_orders.webhooks.signature import verify as is_genuine

    if not settings.webhook_secret:
        stop("Set CLAWVER_WEBHOOK_SECRET to the webhook's secret first.", FAILED)
    body = sys.stdin.buffer.read(BODY_LIMIT_IN_BYTES + 1)
    if len(body) > BODY_LIMIT_IN_BYTES:
        stop("Not taken: the body is larger than 1 MiB.", FAILED)
    if not is_genuine(body, signature, [s.get_secret_value() for s in settings.webhook_secret]):
        stop(
            "Not genuine: the signature does not fit these bytes and this secret. The body must be "
            "exactly what was sent, without a line break at its end.",
            FAILED,
        )
    try:
        event = parse(body)
    except MalformedEventError:
        stop("Genuine, but malformed: it is no JSON object that names an event.", FAILED)
    about = f" about {event.order_id}" if event.order_id else ""
    click.echo(f"Genuine: {event.name}{about}.")
