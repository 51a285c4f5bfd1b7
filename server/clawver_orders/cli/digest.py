"""The digest of a day in a terminal, a mail or a chat."""

from typing import TYPE_CHECKING

import click

from clawver_orders.cli.options import (
    DONE,
    FAILED,
    MISUSED,
    say,
    settings_or_stop,
    stop,
    store_options,
)
from clawver_orders.cli.output import Output, echo
from clawver_orders.cli.running import with_services

if TYPE_CHECKING:
    from datetime import datetime

    from clawver_orders.services import Services


@click.command()
@click.option(
    "--since",
    default="yesterday",
    show_default=True,
    help="A day (2026-11-24, today, yesterday) or a time (2026-11-24T09:30:00Z).",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="json names everything, for programs.",
)
@store_options
def digest(since: str, form: str, sandbox: bool) -> None:
    """Say what waits for you, what is stuck, what came in and what was refunded.

    It names no customer. The exit code is 1 where Clawver could not be asked.
    """
    settings = settings_or_stop(sandbox=sandbox)

    async def run(services: "Services") -> int:
        from clawver_orders.reports import telling
        from clawver_orders.reports.digest import digest as look

        found = await look(services, _moment(since, services))
        if form == "json":
            Output("json").document(telling.as_json(found))
        elif form == "markdown":
            echo(telling.as_markdown(found))
        else:
            say(telling.as_text(found))
        return DONE if found.is_live else FAILED

    with_services(run, settings)


def _moment(since: str, services: "Services") -> "datetime":
    from clawver_orders.errors import InvalidRequestError
    from clawver_orders.tools.arguments import span_of

    try:
        after, _ = span_of(since, "", services.settings.calendar, services.now())
    except (ValueError, InvalidRequestError):
        after = None
    if after is None:
        stop(
            "--since takes a day such as 2026-11-24 or yesterday, or a time such as 2026-11-24T09:30:00Z, "
            "that has begun. Nothing was asked.",
            MISUSED,
        )
    return after
