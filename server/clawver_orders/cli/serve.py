"""Serving from the command line: over standard input and output, or over HTTP."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from clawver_orders.cli.options import (
    FAILED,
    MISUSED,
    say,
    show_progress,
    stop,
    store_options,
    stores,
)
from clawver_orders.cli.output import Output, output_options

if TYPE_CHECKING:
    from clawver_orders.serving.stdio.early import Early
    from clawver_orders.settings import Settings, Stores


@click.command()
@store_options
@click.option("--read-only", is_flag=True, help="Hide and refuse every tool that changes anything.")
@click.option("--http", is_flag=True, help="Serve Streamable HTTP instead, at /mcp.")
@click.option("--host", help="With --http: the address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="With --http: the port to listen on; 0 picks a free one.  [default: 8788]",
)
@output_options
@click.pass_obj
def serve(
    early: "Early | None",
    sandbox: bool = False,
    read_only: bool = False,
    http: bool = False,
    host: str | None = None,
    port: int | None = None,
    form: str | None = None,
) -> None:
    """Serve MCP over standard input and output, or over HTTP.

    Over standard input and output it starts even if a setting cannot be used: it lists its tools,
    and each call answers with what is wrong, since a host shows nothing else.
    Over HTTP it is read-only without CLAWVER_HTTP_TOKEN. Beyond this machine it needs that token and
    CLAWVER_HTTP_HOSTS.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server listens for it
    if not http and (host is not None or port is not None or form is not None):
        stop("--host, --port, --json and --pretty belong to --http. Nothing was started.", MISUSED)
    from clawver_orders.errors import SetupError

    try:
        if http:
            _serve_http(
                stores(sandbox=sandbox, read_only=read_only),
                "127.0.0.1" if host is None else host,
                8788 if port is None else port,
                Output(form),
            )
        _serve_stdio(stores(sandbox=sandbox, read_only=read_only), early)
    except SetupError as error:
        stop(str(error), FAILED)


def _serve_stdio(served: "Stores", early: "Early | None") -> NoReturn:
    from clawver_orders.settings import Settings

    only = served.get("")
    if early is not None and isinstance(only, Settings):
        early.greet(only)
    with _absent("uvicorn"):  # the SDK's own dependencies take it along where they find it
        from clawver_orders.serving.stdio.run import run

    sys.exit(run(served, early))


def _serve_http(served: "Stores", host: str, port: int, output: Output) -> NoReturn:
    from clawver_orders.serving.http.run import run

    def ready(address: str, settings: "Settings") -> None:
        if settings.read_only:
            because = f"This server is read-only ({settings.read_only_because})."
            say(f"{because} {settings.read_only_remedy}", err=True)
        if output.is_json:
            output.document({"url": address, "read_only": settings.read_only})
        else:
            say(f"Serving MCP at {address} (stop it with Ctrl+C).")

    show_progress("Starting")
    sys.exit(run(served, host=host, port=port, on_ready=ready))


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Import as if a package were not installed."""
    modules = cast("dict[str, Any]", sys.modules)
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]
