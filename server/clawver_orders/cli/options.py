"""How every command begins, speaks and ends: its settings, its logging, its progress, its exit code."""

import errno
import logging
import os
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clawver_orders.errors import ClawverError, SetupError
    from clawver_orders.settings import Settings, Stores

DONE = 0
FAILED = 1
"""It was refused, or it failed, or it needs more than this command: a person's approval."""
MISUSED = 2
UNKNOWN = 3
"""It may have happened: look before anything is repeated."""
DECLINED = 4
"""A person said no."""
_USUAL_WIDTH = 80
"""Of a terminal that does not say how wide it is."""
_UNWRITABLE = {errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG}
_UNWRITABLE |= {errno.EINVAL} if os.name == "nt" else set()  # for EPIPE
"""What is wrong with an output that takes nothing: its reader went away, or its disk is full."""

C = TypeVar("C", bound="Callable[..., Any]")
_STORE = "clawver_orders.store"


def _remember(context: click.Context, _: click.Parameter, alias: str | None) -> None:
    """Keep which store was named, for the settings: no command does anything else with it."""
    if alias:
        context.meta[_STORE] = alias


_store_option = click.option(
    "--store",
    metavar="ALIAS",
    expose_value=False,
    callback=_remember,
    help="Work on this store of the file in CLAWVER_STORES.",
)
_sandbox_option = click.option(
    "--sandbox",
    is_flag=True,
    help="Work on the sandbox store of this machine: no key, no real money.",
)


def store_options(command: C) -> C:
    """The options of a command that say which store it works on."""
    return _sandbox_option(_store_option(command))


def named_store() -> str:
    """The store that an option names; nothing where none does."""
    context = click.get_current_context(silent=True)
    return "" if context is None else context.meta.get(_STORE, "")


def stores(*, sandbox: bool, read_only: bool) -> "Stores":
    """The settings of every store that is meant, or why there are none; logging is set up."""
    from clawver_orders.errors import SeveralStoresError

    one = settings_or_error(sandbox=sandbox, read_only=read_only)
    if not isinstance(one, SeveralStoresError):
        return {"": one}
    each_of_them = {
        each: settings_or_error(read_only=read_only, store=each) for each in one.aliases
    }
    _warn_of_names()
    return each_of_them


def one_or_several(*, sandbox: bool) -> "Settings | Stores":
    """The settings of the store that is meant; of all, where there are several and none is named.

    Where there is one store and its settings cannot be used, the command ends.
    """
    from clawver_orders.errors import SetupError

    found = stores(sandbox=sandbox, read_only=False)
    one = found.get("")
    if isinstance(one, SetupError):
        stop(str(one), FAILED)
    return one or found


def settings_or_error(
    *, sandbox: bool = False, read_only: bool = False, store: str = ""
) -> "Settings | SetupError":
    """The settings with what the options decided, or why there are none; logging is set up.

    Args:
        sandbox: Whether the sandbox store is meant.
        read_only: Whether nothing may change.
        store: The store of the file of stores; nothing for the one that the options or variables name.
    """
    from clawver_orders.errors import SetupError
    from clawver_orders.settings import Settings

    decided: dict[str, Any] = {
        name: True for name, on in (("sandbox", sandbox), ("read_only", read_only)) if on
    }
    if meant := store or named_store():
        decided["store"] = meant
    set_up_logging("warning")
    try:
        settings = Settings.from_environment(**decided)
    except SetupError as error:
        return error
    set_up_logging(settings.log_level)
    if not store:
        _warn_of_names()
    return settings


def _warn_of_names() -> None:
    """Warn of variables that are named like ours and are no settings."""
    from clawver_orders.settings import ignored

    for name in ignored():
        logging.getLogger(__name__).warning(
            "%s is no setting of this server, so it is ignored.", name
        )


def set_up_logging(level: str) -> None:
    """Send log lines to stderr, each on a line of its own.

    Args:
        level: `debug`, `info`, `warning` or `error`.
    """
    from clawver_orders.logs import set_up

    def makes_room(_: logging.LogRecord) -> bool:
        hide_progress()
        return True

    set_up(level)
    for handler in logging.getLogger().handlers:
        handler.addFilter(makes_room)


def settings_or_stop(*, sandbox: bool = False, read_only: bool = False) -> "Settings":
    """The settings with what the options decided; where there are none, the command ends."""
    from clawver_orders.errors import SetupError

    settings = settings_or_error(sandbox=sandbox, read_only=read_only)
    if isinstance(settings, SetupError):
        stop(str(settings), FAILED)
    return settings


def somebody_is_there() -> bool:
    """Whether a person can read and type here: an input or output that is piped is a program's."""
    return is_terminal(sys.stdin) and is_terminal(sys.stdout)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; one that the process was started without is none."""
    return stream is not None and stream.isatty()


def say(text: str, *, err: bool = False) -> None:
    """Print a text for people. In a terminal its lines break between words; a long word stays whole.

    Args:
        text: One or more lines.
        err: Whether it goes to stderr.
    """
    hide_progress()
    stream = sys.stderr if err else sys.stdout
    click.echo(_fitted(text, stream) if is_terminal(stream) else text, err=err)


def _fitted(text: str, terminal: TextIO) -> str:
    width = os.get_terminal_size(terminal.fileno()).columns or _USUAL_WIDTH
    return "\n".join(
        textwrap.fill(
            line, width, subsequent_indent=line[: len(line) - len(line.lstrip())],
            break_long_words=False, break_on_hyphens=False, replace_whitespace=False,
        )
        for line in text.split("\n")
    )  # fmt: skip


_progress: list[str] = []
"""What is said of a command that is at work, while it is on the screen."""


def show_progress(text: str) -> None:
    """Say what a command is doing, until it prints something: only where stderr is a terminal.

    Args:
        text: A few words that fit any line.
    """
    hide_progress()
    if is_terminal(sys.stderr):
        _progress.append(text)
        click.echo(f"{text} …", nl=False, err=True)


def hide_progress() -> None:
    """Take back what was said of it."""
    if _progress:
        blank = " " * (len(_progress.pop()) + 2)
        click.echo(f"\r{blank}\r", nl=False, err=True)


def stop(text: str, code: int) -> NoReturn:
    """Say what is wrong on stderr, and end with an exit code."""
    say(text, err=True)
    sys.exit(code)


@contextmanager
def telling(code: int) -> "Iterator[None]":
    """Say what became of a command, and end with its code even where stdout is closed or full.

    Args:
        code: The exit code, which is all that a reader gets then.
    """
    try:
        yield
    except OSError as error:
        if not is_unwritable(error):
            raise
        # Python would try once more at its end, and end with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        stop(f"The output could not be written: {error.strerror}. The exit code is {code}.", code)


def is_unwritable(error: Exception) -> bool:
    """Whether an error says that an output takes nothing, and not that something else went wrong."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE


def code_of(status: str, *, is_open: bool) -> int:
    """The exit code for what became of a refund or a webhook.

    Args:
        status: What the answer says of it.
        is_open: Whether money may be on its way.
    """
    if status == "unknown" or (status == "busy" and is_open):
        return UNKNOWN
    if status == "declined":
        return DECLINED
    return FAILED if status in {"busy", "needs_approval", "not_recorded"} else DONE


def code_of_error(error: "ClawverError") -> int:
    """The exit code for an error."""
    from clawver_orders.errors import DeclinedError, OutcomeUnknownError

    if isinstance(error, OutcomeUnknownError):
        return UNKNOWN
    return DECLINED if isinstance(error, DeclinedError) else FAILED
