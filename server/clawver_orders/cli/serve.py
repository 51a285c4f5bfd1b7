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
    sandbox_option,
    settings_or_error,
    settings_or_stop,
    stop,
)

if TYPE_CHECKING:
    from clawver_orders.errors import SetupError
    from clawver_orders.settings import Settings


@click.command()
@sandbox_option
@click.option("--read-only", is_flag=True, help="Offer and send nothing that writes.")
@click.option("--http", is_flag=True, help="Serve Streamable HTTP instead, at /mcp.")
@click.option("--host", help="With --http: the address to listen on.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="With --http: the port to listen on; 0 picks a free one.  [default: 8788]",
)
def serve(
    sandbox: bool = False,
    read_only: bool = False,
    http: bool = False,
    host: str | None = None,
    port: int | None = None,
) -> None:
    """Serve MCP over standard input and output, or over HTTP.

    Over standard input and output it starts even if a setting cannot be used: it lists its tools,
    and each call answers with what is wrong, since a host shows nothing else.
    Over HTTP it is read-only without CLAWVER_HTTP_TOKEN. Off loopback, it needs that and CLAWVER_HTTP_HOSTS.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server listens for it
    if not http and (host is not None or port is not None):
        stop("--host and --port belong to --http. Nothing was started.", MISUSED)
    from clawver_orders.errors import SetupError

    try:
        if http:
            _serve_http(
                settings_or_stop(sandbox=sandbox, read_only=read_only),
                "127.0.0.1" if host is None else host,
                8788 if port is None else port,
            )
        _serve_stdio(settings_or_error(sandbox=sandbox, read_only=read_only))
    except SetupError as error:
        stop(str(error), FAILED)


def _serve_stdio(settings: "Settings | SetupError") -> NoReturn:
    with _absent("uvicorn"):  # the SDK's own dependencies take it along where they find it
        from clawver_orders.serving.stdio.run import run

    sys.exit(run(settings))


def _serve_http(settings: "Settings", host: str, port: int) -> NoReturn:
    from clawver_orders.serving.http.run import run

    def ready(address: str, served: "Settings") -> None:
        if served.read_only:
            because = f"This server is read-only ({served.read_only_because})."
            click.echo(f"{because} {served.read_only_remedy}", err=True)
        click.echo(f"Serving MCP at {address} (stop it with Ctrl+C).")

    sys.exit(run(settings, host=host, port=port, on_ready=ready))


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Import as if a package were not installed."""
    modules = cast("dict[str, Any]", sys.modules)
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]
