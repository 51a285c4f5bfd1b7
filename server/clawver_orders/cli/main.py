"""The command line. Each command loads what it needs when it needs it."""

import sys
from itertools import chain
from typing import TYPE_CHECKING, cast

import click

from clawver_orders import __version__
from clawver_orders.cli.board import board
from clawver_orders.cli.call import call
from clawver_orders.cli.database import database
from clawver_orders.cli.digest import digest
from clawver_orders.cli.doctor import doctor
from clawver_orders.cli.events import events, listen
from clawver_orders.cli.export import export
from clawver_orders.cli.history import forget, sync
from clawver_orders.cli.install import bundle, config
from clawver_orders.cli.ledger import ledger
from clawver_orders.cli.options import (
    FAILED,
    MISUSED,
    hide_progress,
    is_terminal,
    stop,
    telling,
)
from clawver_orders.cli.pin import pin
from clawver_orders.cli.refunds import approve, decline, refunds
from clawver_orders.cli.running import without_traceback
from clawver_orders.cli.sandbox import demo, sandbox
from clawver_orders.cli.serve import serve
from clawver_orders.cli.webhooks import webhook

if TYPE_CHECKING:
    import io

    from clawver_orders.serving.stdio.early import Early


def main(early: "Early | None" = None) -> None:
    """Run the command.

    Args:
        early: Who listens to a host already, for `serve`.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed
            cast("io.TextIOWrapper", stream).reconfigure(
                encoding="utf-8", errors="backslashreplace"
            )
    try:
        with telling(FAILED):
            commands(prog_name="clawver-orders", obj=early)
    finally:
        hide_progress()


SECTIONS = {
    "Try it without a key": (demo, sandbox),
    "Set it up": (config, bundle, doctor, pin, database, ledger),
    "Use it from a shell": (call,),
    "Refunds": (refunds, approve, decline, board),
    "Order history": (sync, digest, export, forget),
    "Events": (webhook, listen, events),
    "Serve agents": (serve,),
}
WIDEST_NAME = 8
IN_A_TERMINAL = """\
clawver-orders gives AI agents the orders and refunds of a Clawver store.
MCP hosts start it without a command and talk to it through a pipe. This is a
terminal, so nothing was started. Run one of these instead:

  clawver-orders demo         see it work on a sandbox store
  clawver-orders config HOST  connect it to your agent's host
  clawver-orders doctor       check what you have set up
"""


class _InSections(click.Group):
    """All commands: its help lists them by what they are for, and none ends in a traceback."""

    def invoke(self, context: click.Context) -> object:
        with without_traceback(context):
            return super().invoke(context)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        for title, members in SECTIONS.items():
            rows = [
                (f"{each.name or '':{WIDEST_NAME}}", each.get_short_help_str(limit=200))
                for each in members
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=_InSections,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__)
@click.pass_context
def commands(context: click.Context) -> None:
    """Orders and refunds of a Clawver store, for AI agents.

    An MCP host starts it without a command: then it serves over stdio. All settings are environment
    variables; CLAW_API_KEY is the one a real store needs. `doctor` checks them.
    """
    if context.invoked_subcommand is not None:
        return
    if is_terminal(sys.stdin):
        stop(f"{IN_A_TERMINAL}\n{context.get_help()}", MISUSED)
    context.invoke(serve)


for command in chain(*SECTIONS.values()):
    commands.add_command(command)
