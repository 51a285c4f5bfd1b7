"""The command line. Each command loads what it needs when it needs it."""

import sys
from itertools import chain
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

import click

from clawver_orders import __version__
from clawver_orders.cli.options import (
    FAILED,
    MISUSED,
    hide_progress,
    is_terminal,
    stop,
    telling,
)
from clawver_orders.cli.running import without_traceback

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
    "Try it without a key": ("sandbox:demo", "sandbox:sandbox"),
    "Set it up": (
        "install:config", "install:bundle", "doctor:doctor", "pin:pin", "database:database", "ledger:ledger",
    ),
    "Use it from a shell": ("call:call",),
    "Refunds": ("refunds:refunds", "refunds:approve", "refunds:decline", "board:board"),
    "Order history": ("history:sync", "digest:digest", "export:export", "history:forget"),
    "Events": ("webhooks:webhook", "events:listen", "events:events"),
    "Serve agents": ("serve:serve",),
}  # fmt: skip
"""The commands, each as `module:name`: a command loads no other."""
_PLACES = {place.partition(":")[2]: place for place in chain(*SECTIONS.values())}
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

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(_PLACES)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        return _loaded(_PLACES[name]) if name in _PLACES else None

    def invoke(self, context: click.Context) -> object:
        with without_traceback(context):
            return super().invoke(context)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        for title, members in SECTIONS.items():
            rows = [
                (f"{each.name or '':{WIDEST_NAME}}", each.get_short_help_str(limit=200))
                for each in map(_loaded, members)
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


def _loaded(place: str) -> click.Command:
    command: click.Command = resolve_name(f"{__package__}.{place}")
    return command


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
    context.invoke(_loaded(_PLACES["serve"]))
