"""The command line. Each command loads what it needs when it needs it."""

import sys
from typing import TYPE_CHECKING, cast

import click

from clawver_orders import __version__
from clawver_orders.cli.call import call
from clawver_orders.cli.doctor import doctor
from clawver_orders.cli.events import events, listen, webhook
from clawver_orders.cli.install import bundle, config
from clawver_orders.cli.refunds import approve, decline, refunds
from clawver_orders.cli.sandbox import demo, sandbox
from clawver_orders.cli.serve import serve

if TYPE_CHECKING:
    import io


def main() -> None:
    """Run the command."""
    for stream in (sys.stdout, sys.stderr):
        cast("io.TextIOWrapper", stream).reconfigure(encoding="utf-8", errors="backslashreplace")
    commands(prog_name="clawver-orders")


@click.group(invoke_without_command=True)
@click.version_option(__version__)
@click.pass_context
def commands(context: click.Context) -> None:
    """The order desk of a Clawver store, for AI agents.

    Without a command it serves over stdio, as MCP hosts expect. All settings are environment
    variables; CLAW_API_KEY is the one a real store needs. `doctor` checks them.
    """
    if context.invoked_subcommand is None:
        context.invoke(serve)


for command in (
    approve, bundle, call, config, decline, demo, doctor, events, listen, refunds, sandbox, serve, webhook,
):  # fmt: skip
    commands.add_command(command)
