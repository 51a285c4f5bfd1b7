"""All orders, refunds or customers as a file, for spreadsheets and for programs."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import click

from clawver_orders.cli.options import (
    DONE,
    FAILED,
    MISUSED,
    hide_progress,
    is_terminal,
    say,
    settings_or_stop,
    show_progress,
    stop,
    store_options,
    telling,
)
from clawver_orders.cli.running import with_services

if TYPE_CHECKING:
    from clawver_orders.history.mirror import Sought
    from clawver_orders.reports.sheet import Format, SheetRow
    from clawver_orders.services import Services

    Rows = AsyncIterator[SheetRow]

STDOUT = Path("-")
SAID_EVERY = 500
"""After how many rows a terminal is told how many there are."""


@click.command()
@click.argument("what", type=click.Choice(["orders", "refunds", "customers"]))
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="jsonl is a JSON document on each line.",
)
@click.option("--since", default="", help="Leave out what is older than this day or time.")
@click.option("--until", default="", help="Leave out what is from this day or time, or later.")
@click.option(
    "--output",
    "path",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write this file instead of stdout, which is also called -. It must not exist.",
)
@click.option("--bom", is_flag=True, help="Begin CSV so that Excel reads it as UTF-8.")
@store_options
def export(
    what: str, form: str, since: str, until: str, path: Path | None, bom: bool, sandbox: bool
) -> None:
    """Write all orders, refunds or customers that are kept on this machine, as CSV or JSON.

    Run sync first: Clawver is not asked. Amounts are in whole cents, and times in UTC.
    """
    path = None if path == STDOUT else path
    if bom and form != "csv":
        stop("--bom is for CSV only. Nothing was written.", MISUSED)
    settings = settings_or_stop(sandbox=sandbox)
    if what != "refunds" and not settings.history:
        stop("CLAWVER_HISTORY is off, so no orders are kept. Nothing was written.", FAILED)

    async def run(services: "Services") -> int:
        from clawver_orders.reports.sheet import BOM, heading, line

        span = _span(since, until, services)
        columns, rows = _rows(what, cast("Format", form), services, span)
        written = 0
        is_watched = path is not None or not is_terminal(sys.stdout)
        with _opened(path) as file:
            file.write(BOM if bom else b"")
            file.write(heading(columns, cast("Format", form)))
            async for row in rows:
                file.write(line(row, cast("Format", form)))
                written += 1
                if is_watched and written % SAID_EVERY == 0:
                    show_progress(f"Exported: {written:,} {what}")
            file.flush()
        say(await _told(what, written, path, services), err=True)
        return DONE

    with_services(run, settings)


def _span(since: str, until: str, services: "Services") -> "Sought":
    from clawver_orders.errors import InvalidRequestError
    from clawver_orders.history.mirror import Sought
    from clawver_orders.tools.arguments import span_of

    try:
        after, before = span_of(since, until, services.settings.calendar, services.now())
    except (ValueError, InvalidRequestError):
        stop(
            "--since and --until take a day such as 2026-11-24 or yesterday, or a time such as "
            "2026-11-24T09:30:00Z, and --since must have begun and come first. Nothing was written.",
            MISUSED,
        )
    return Sought(created_after=after, created_before=before)


def _rows(
    what: str, form: "Format", services: "Services", span: "Sought"
) -> tuple[tuple[str, ...], "Rows"]:
    """The columns and the rows; nothing is read before the first row is asked for."""
    from clawver_orders.reports import rows

    if what == "orders":
        return rows.ORDERS, _orders(services, span, form)
    if what == "customers":
        return rows.CUSTOMERS, _customers(services, span)
    return rows.REFUNDS, _refunds(services, span)


async def _orders(services: "Services", span: "Sought", form: "Format") -> "Rows":
    from clawver_orders.history.parts import orders
    from clawver_orders.reports.rows import order_row
    from clawver_orders.services import HISTORY

    for kept in orders((await services.kept(HISTORY)).mirror, span):
        yield order_row(kept, services.masking, form)


async def _customers(services: "Services", span: "Sought") -> "Rows":
    from clawver_orders.history.parts import customers
    from clawver_orders.reports.rows import customer_rows
    from clawver_orders.services import HISTORY

    for theirs in customers((await services.kept(HISTORY)).mirror, span):
        for row in customer_rows(theirs, services.masking):
            yield row


async def _refunds(services: "Services", span: "Sought") -> "Rows":
    from clawver_orders.reports.exporting import refund_rows
    from clawver_orders.services import LEDGER

    ledger = (await services.kept(LEDGER)).ledger
    async for row in refund_rows(ledger, services.masking, span.created_after, span.created_before):
        yield row


async def _told(what: str, written: int, path: Path | None, services: "Services") -> str:
    """What was written, and how much of the store that can be."""
    from clawver_orders.history.told import told
    from clawver_orders.services import HISTORY

    said = f"Exported: {written:,} {what}{f' to {_shown(path)}' if path else ''}."
    if what == "refunds":
        return said
    store = await services.kept(HISTORY)
    return f"{said} {told(store.mirror.extent(), services.settings.calendar)}"


@contextmanager
def _opened(path: Path | None) -> Iterator[IO[bytes]]:
    """What the rows go to. A file has its name only once it is whole, and is for this user alone."""
    if path is None:
        hide_progress()
        if sys.stdout is None:
            stop("stdout is closed, so nothing was written. Name a file with --output.", FAILED)
        with telling(FAILED):
            yield sys.stdout.buffer
        return
    try:
        with _new(path) as file:
            yield file
    except OSError as error:
        stop(
            f"{_shown(path)} could not be written: {error.strerror}. It was not made.",
            FAILED,
        )


@contextmanager
def _new(path: Path) -> Iterator[IO[bytes]]:
    from clawver_orders.storage.folders import made_whole

    if os.path.lexists(path):
        _exists(path)
    with made_whole(path) as draft, draft.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
        ours = os.fstat(file.fileno())
    if not os.path.samestat(ours, path.lstat()):
        _exists(path)


def _exists(path: Path) -> None:
    stop(
        f"{_shown(path)} exists already, so nothing was written. Give another name, or delete it.",
        FAILED,
    )


def _shown(path: Path) -> str:
    """A path without what a terminal would obey."""
    from clawver_orders.text import clean

    return clean(str(path), 500)
