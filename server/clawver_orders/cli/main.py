"""The command line. Loads what a command needs when it needs it."""

import json
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from clawver_orders import __version__
from clawver_orders.cli import install
from clawver_orders.cli.events import events, listen, webhook
from clawver_orders.cli.options import (
    FAILED,
    MISUSED,
    sandbox_option,
    settings_or_error,
    settings_or_stop,
    stop,
)
from clawver_orders.cli.refunds import approve, decline, refunds

if TYPE_CHECKING:
    import io

    from clawver_orders.errors import SetupError
    from clawver_orders.settings import Settings
    from clawver_orders.tools.contract import Tool


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


commands.add_command(install.config)
commands.add_command(install.bundle)


@commands.command()
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
    Off loopback, HTTP needs CLAWVER_HTTP_TOKEN and CLAWVER_HTTP_HOSTS.
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

    def ready(address: str) -> None:
        click.echo(f"Serving MCP at {address} (stop it with Ctrl+C).")

    sys.exit(run(settings, host=host, port=port, on_ready=ready))


class _CallCommand(click.Command):
    """The command that calls a tool. Its help is about the tool that was named, where one was."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(context).parse_args([*args])
        context.obj = given.get("tool")  # --help ends the command before anything else is read
        return super().parse_args(context, args)

    def format_help(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        if isinstance(context.obj, str):
            self._format_tool(context.obj, context, formatter)
            return
        super().format_help(context, formatter)
        from clawver_orders.tools import SURFACE

        with formatter.section("Tools"):
            formatter.write_dl([(tool.name, tool.summary) for tool in SURFACE])
        formatter.write("\nWhat a tool takes: clawver-orders call TOOL --help\n")

    def _format_tool(
        self, name: str, context: click.Context, formatter: click.HelpFormatter
    ) -> None:
        from clawver_orders.tools import TOOLS, not_offered

        if name not in TOOLS:
            stop(not_offered(name, TOOLS), MISUSED)
        tool = TOOLS[name]
        formatter.write_usage(context.command_path, f"{name} [OPTIONS] [KEY=VALUE]...")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(tool.description.replace("\n", "\n\n"))
        taken = [(each, _taken(tool, each)) for each in tool.input_schema["properties"]]
        with formatter.section("Arguments"):
            if taken:
                formatter.write_dl(taken)
            else:
                formatter.write_text("It takes none.")
        self.format_options(context, formatter)
        with formatter.section("Example"):
            formatter.write(f"  {_typed_call(tool)} --sandbox\n")


def _taken(tool: "Tool", name: str) -> str:
    """What an argument of a tool is, in words."""
    about = tool.input_schema["properties"][name]
    values = about.get("enum") or about.get("items", {}).get("enum")
    kinds = {"integer": "A whole number.", "array": "A list, with commas in between."}
    said = [
        "Required." if name in tool.input_schema.get("required", ()) else "",
        about["description"],
        kinds.get(about["type"], ""),
        f"One of: {', '.join(values)}." if values else "",
        f"When left out: {about['default']}." if about.get("default") else "",
    ]
    return " ".join(each for each in said if each)


def _typed_call(tool: "Tool") -> str:
    """The tool's example, as it is typed in a shell."""
    words = [
        f"{name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in tool.example.items()
    ]
    return shlex.join(["clawver-orders", "call", tool.name, *words])


@commands.command(cls=_CallCommand)
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "as_json", help="All arguments as one JSON object instead.")
@sandbox_option
def call(tool: str, arguments: tuple[str, ...], as_json: str | None, sandbox: bool) -> None:
    """Call one TOOL and print its answer as JSON: the same rules as over MCP.

    Errors go to stderr. Exit code 1: the call failed. 2: it was misused, nothing was done.
    """
    settings = settings_or_stop(sandbox=sandbox)
    import anyio

    from clawver_orders.caller import Script
    from clawver_orders.errors import ClawverError, InvalidRequestError
    from clawver_orders.services import opened
    from clawver_orders.tools import not_offered, offered
    from clawver_orders.tools.contract import as_text

    tools = {each.name: each for each in offered(read_only=settings.read_only)}
    if tool not in tools:
        stop(not_offered(tool, tools), MISUSED)
    given = _given(tools[tool], arguments, as_json)
    try:
        tools[tool].check(given)
    except InvalidRequestError as error:
        stop(f"{tool} failed. {error}", MISUSED)

    async def run() -> int:
        try:
            async with opened(settings) as services:
                answer = await tools[tool].call(services, given, Script())
        except ClawverError as error:
            click.echo(f"{tool} failed. {error}", err=True)
            return FAILED
        except Exception:  # the last fence, as for hosts
            logging.getLogger(__name__).exception("%s ended in an error of its own", tool)
            click.echo(tools[tool].defect, err=True)
            return FAILED
        click.echo(as_text(answer))
        return 0

    sys.exit(anyio.run(run))


def _given(tool: "Tool", arguments: tuple[str, ...], as_json: str | None) -> dict[str, Any]:
    """What the tool was given, with numbers and lists where it wants them."""
    if as_json is not None:
        if arguments:
            stop("Give the arguments as KEY=VALUE or with --json, not both.", MISUSED)
        try:
            whole = json.loads(as_json)
        except (ValueError, RecursionError):
            whole = None
        if not isinstance(whole, dict):
            stop("--json takes one JSON object.", MISUSED)
        return whole
    given: dict[str, Any] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if not separator:
            stop("Arguments look like KEY=VALUE.", MISUSED)
        if name in given:
            stop("An argument was given twice.", MISUSED)
        kind = tool.input_schema["properties"].get(name, {}).get("type")
        given[name] = _typed(value, kind)
    return given


def _typed(value: str, kind: str | None) -> Any:
    if (
        kind == "integer"
        and len(value) <= 20
        and value.removeprefix("-").isdecimal()
        and value.isascii()
    ):
        return int(value)
    if kind == "array" and not value.startswith("["):
        return [part for part in value.split(",") if part]
    return value


@commands.command()
@sandbox_option
def doctor(sandbox: bool) -> None:
    """Check settings, key, store, clock, state folder and refunds; exit code 1 when something is wrong."""
    import anyio

    from clawver_orders.cli.checks import examine
    from clawver_orders.logs import set_up

    set_up("error")

    async def run() -> int:
        decided = {"sandbox": True} if sandbox else {}
        findings = await examine(os.environ, lambda: datetime.now(UTC), **decided)
        for finding in findings:
            click.echo(f"{'ok ' if finding.is_fine else 'BAD'} {finding.subject}: {finding.says}")
            if finding.next_step:
                click.echo(f"    {finding.next_step}")
        return 0 if all(finding.is_fine for finding in findings) else FAILED

    sys.exit(anyio.run(run))


@commands.command()
@click.option(
    "--port",
    default=8787,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 picks a free one.",
)
@click.option(
    "--reset",
    is_flag=True,
    help="Start again from the opening catalogue, and forget the refunds made on this sandbox store.",
)
def sandbox(port: int, reset: bool) -> None:
    """Serve the sandbox store on this machine, for people, browsers and tests."""
    settings = settings_or_stop(sandbox=True)
    import errno

    from clawver_orders.errors import SetupError
    from clawver_orders.services import open_sandbox, reset_sandbox
    from clawver_sandbox.serving import listen as listen_on
    from clawver_sandbox.serving import serve as serve_store
    from clawver_sandbox.shop import API_KEY

    def ready(url: str) -> None:
        click.echo(f"A Clawver store is open at {url}/v1 (stop it with Ctrl+C). To use it:")
        variables = {"CLAWVER_API_URL": f"{url}/v1", "CLAW_API_KEY": API_KEY}
        click.echo(f"  {_for_a_shell(variables, sys.platform)}")
        click.echo(f"Faults: {url}/_sandbox/faults  Requests: {url}/_sandbox/requests")

    try:
        listener = listen_on(port)  # before anything is changed
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        stop(
            f"Port {port} {'is in use' if taken else f'cannot be opened ({error.strerror})'}, so the "
            "sandbox was not started. Nothing was changed or deleted. Choose another port with --port"
            f"{', or stop the program that uses this one' if taken else ''}.",
            FAILED,
        )
    with listener:
        try:
            for said in reset_sandbox(settings) if reset else ():
                click.echo(said, err=True)
            shop = open_sandbox(settings)
        except SetupError as error:
            stop(str(error), FAILED)
        serve_store(shop, listener, on_ready=ready)


def _for_a_shell(variables: dict[str, str], platform: str) -> str:
    """The line that sets variables in the shell of a platform: PowerShell on Windows."""
    if platform == "win32":
        return "; ".join(f'$env:{name} = "{value}"' for name, value in variables.items())
    return "export " + " ".join(f"{name}={value}" for name, value in variables.items())


@commands.command()
def demo() -> None:
    """Walk through the main job on a sandbox store, with a real MCP client."""
    import tempfile

    import anyio

    from clawver_orders.cli.walkthrough import walk
    from clawver_orders.services import SANDBOX_FILE
    from clawver_sandbox.serving import running
    from clawver_sandbox.shop import Shop

    def heading(line: str) -> None:
        click.echo()
        click.secho(line, bold=True)

    with (
        tempfile.TemporaryDirectory(prefix="clawver-orders-demo-") as folder,
        closing(Shop.open(Path(folder) / SANDBOX_FILE)) as shop,
        running(shop),
    ):
        anyio.run(walk, Path(folder), click.echo, heading)


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Import as if a package were not installed."""
    modules = cast("dict[str, Any]", sys.modules)
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]


commands.add_command(refunds)
commands.add_command(approve)
commands.add_command(decline)
commands.add_command(listen)
commands.add_command(events)
commands.add_command(webhook)
