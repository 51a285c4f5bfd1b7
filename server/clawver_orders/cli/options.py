"""How every command begins: its settings, its logging, and a clear end where they do not do."""

import logging
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from clawver_orders.errors import SetupError
    from clawver_orders.settings import Settings

FAILED = 1
MISUSED = 2

sandbox_option = click.option(
    "--sandbox",
    is_flag=True,
    help="Work on the sandbox store of this machine: no key, no real money.",
)


def settings_or_error(*, sandbox: bool = False, read_only: bool = False) -> "Settings | SetupError":
    """The settings with what the options decided, or why there are none; logging is set up."""
    from clawver_orders.errors import SetupError
    from clawver_orders.logs import set_up
    from clawver_orders.settings import Settings, ignored

    decided: dict[str, Any] = {
        name: True for name, on in (("sandbox", sandbox), ("read_only", read_only)) if on
    }
    set_up("warning")
    try:
        settings = Settings.from_environment(**decided)
    except SetupError as error:
        return error
    set_up(settings.log_level)
    for name in ignored():
        logging.getLogger(__name__).warning(
            "%s is no setting of this server, so it is ignored.", name
        )
    return settings


def settings_or_stop(*, sandbox: bool = False, read_only: bool = False) -> "Settings":
    """The settings with what the options decided; where there are none, the command ends."""
    from clawver_orders.errors import SetupError

    settings = settings_or_error(sandbox=sandbox, read_only=read_only)
    if isinstance(settings, SetupError):
        stop(str(settings), FAILED)
    return settings


def stop(text: str, code: int) -> NoReturn:
    """Say what is wrong on stderr, and end with an exit code."""
    click.echo(text, err=True)
    sys.exit(code)
