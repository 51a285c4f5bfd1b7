"""One call of a tool from the command line, and the help of each tool."""

import json
import logging
import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.options import FAILED, MISUSED, sandbox_option, settings_or_stop, stop

if TYPE_CHECKING:
    from clawver_orders.tools.contract import Tool


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


@click.command(cls=_CallCommand)
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
        stop(not_offered(tool, tools, settings), MISUSED)
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
