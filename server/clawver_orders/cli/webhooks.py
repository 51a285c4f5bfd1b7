"""Webhooks in a terminal: a person approves registering and removing one, or checks a delivery."""

import sys
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.options import (
    DONE,
    FAILED,
    MISUSED,
    code_of,
    code_of_error,
    say,
    settings_or_stop,
    stop,
    store_options,
    telling,
)
from clawver_orders.cli.output import Output, output_options
from clawver_orders.cli.person import Terminal, client_of
from clawver_orders.cli.running import webhooks_may_differ, with_services

if TYPE_CHECKING:
    from clawver_orders.services import Services

yes_option = click.option(
    "--yes",
    is_flag=True,
    help="Do not ask. It counts as the agent's approval then, not as yours.",
)


@click.group()
def webhook() -> None:
    """Where Clawver sends events: register and remove webhooks, and check a delivery by hand."""


@webhook.command()
@click.option("--signature", required=True, help="The value of the X-Claw-Signature header.")
@output_options
def verify(signature: str, form: str | None) -> None:
    """Check a delivery's body, read from standard input, against CLAWVER_WEBHOOK_SECRET.

    Exit code 0: it is genuine. 1: it is not, or there is no secret. Nothing is stored.
    """
    output = Output(form)
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
    if output.is_json:
        output.document({"genuine": True, "event": event.name, "order_id": event.order_id})
        return
    about = f" about {event.order_id}" if event.order_id else ""
    say(f"Genuine: {event.name}{about}.")


@webhook.command()
@click.argument("url")
@click.option(
    "--events",
    "names",
    required=True,
    help="Their names with commas between them, such as order.paid,order.refunded.",
)
@yes_option
@output_options
@store_options
def register(url: str, names: str, yes: bool, form: str | None, sandbox: bool) -> None:
    """Have Clawver send events to URL: shows what it is, asks, and registers it once.

    One that was declined is asked about again.
    """
    events = [name.strip() for name in names.split(",") if name.strip()]
    _change("register_webhook", {"url": url, "events": events}, yes, Output(form), sandbox)


@webhook.command()
@click.argument("webhook_id")
@yes_option
@output_options
@store_options
def delete(webhook_id: str, yes: bool, form: str | None, sandbox: bool) -> None:
    """Remove a webhook for good: shows what it is, asks, and removes it."""
    _change("delete_webhook", {"webhook_id": webhook_id}, yes, Output(form), sandbox)


def _change(name: str, given: dict[str, Any], yes: bool, output: Output, sandbox: bool) -> None:
    """Call a tool with the person in the terminal behind it."""
    from clawver_orders.errors import InvalidRequestError, RefusedError
    from clawver_orders.tools import TOOLS

    tool = TOOLS[name]
    try:
        tool.check(given)
    except InvalidRequestError as error:
        stop(error.happened, MISUSED)

    async def run(services: "Services") -> int:
        client = client_of(f"webhook {name.split('_')[0]}")
        caller = Terminal(client, yes, (await services.store()).pin, output.is_json)
        try:
            told = await tool.call(services, given, caller)
        except RefusedError as error:  # what comes next is said to agents
            stop(error.happened, code_of_error(error))
        code = code_of(told["status"], is_open=False)
        with telling(code):
            _tell(told, output)
        if code == DONE:
            return code
        say(
            "This counts as the agent's approval, and the change needs yours: the input or output is no "
            "terminal, or --yes was given. Run the command in a terminal without --yes.",
            err=True,
        )
        return code

    with_services(run, settings_or_stop(sandbox=sandbox), webhooks_may_differ)


def _tell(told: dict[str, Any], output: Output) -> None:
    if output.is_json:
        output.document(told)
        return
    say(f"{told['status']}: {told['message']}")
    if "webhook" in told and "webhook_id" in told["webhook"]:
        say(f"webhook: {told['webhook']['webhook_id']}")
