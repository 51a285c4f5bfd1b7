"""One call of a tool from the command line, and the help of each tool."""

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any, get_origin

import click

from clawver_orders.cli.completion import tools
from clawver_orders.cli.options import (
    DONE,
    MISUSED,
    code_of,
    code_of_error,
    is_terminal,
    say,
    settings_or_stop,
    stop,
    store_options,
    telling,
)
from clawver_orders.cli.output import Output, output_options
from clawver_orders.cli.running import (
    Known,
    money,
    nothing_changed,
    webhooks_may_differ,
    with_services,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from clawver_orders.services import Services
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
            formatter.write(f"  {_typed_call(tool, formatter.width)}\n")


def _taken(tool: "Tool", name: str) -> str:
    """What an argument of a tool is, in words."""
    about = tool.input_schema["properties"][name]
    values = about.get("enum") or about.get("items", {}).get("enum")
    kinds = {
        "integer": f"A whole number{_bounds(about)}.",
        "array": "A list, with commas in between.",
        "string": "" if values or "description" in about else "A text.",
    }
    said = [
        "Required." if name in tool.input_schema.get("required", ()) else "",
        about.get("description", ""),
        kinds[about["type"]],
        f"One of: {', '.join(values)}." if values else "",
        f"When left out: {about['default']}." if "default" in about else "",
    ]
    return " ".join(each for each in said if each)


def _bounds(about: dict[str, Any]) -> str:
    least, most = about.get("minimum"), about.get("maximum")
    return f", {least} or more" if most is None else f", {least} to {most}"


def _typed_call(tool: "Tool", width: int) -> str:
    """The tool's example, as it is typed in a shell; on several lines where one would be too long."""
    given = [
        f"{name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in tool.example.items()
    ]
    lines = ["clawver-orders call"]
    for word in map(shlex.quote, [tool.name, *given, "--sandbox"]):
        if len(lines[-1]) + len(word) > width - 5:  # both indents, a space, and what ends the line
            lines.append("   ")
        lines[-1] += f" {word}"
    return " \\\n  ".join(lines)


@click.command(cls=_CallCommand)
@click.argument("tool", shell_complete=tools)
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--arguments", "whole", metavar="JSON", help="All arguments as one JSON object instead."
)
@output_options
@store_options
def call(
    tool: str, arguments: tuple[str, ...], whole: str | None, form: str | None, sandbox: bool
) -> None:
    """Call one TOOL and print its answer: the same rules as over MCP.

    The answer is JSON unless stdout is a terminal; --json makes it JSON there too.
    Errors go to stderr. Exit codes: 0 done, 1 refused or failed, or it needs approval, 2 misused, 3 the outcome
    is unknown, 4 a person declined.
    """
    output = Output(form if form or is_terminal(sys.stdout) else "json")
    settings = settings_or_stop(sandbox=sandbox)
    from clawver_orders.caller import Script
    from clawver_orders.errors import ClawverError, InvalidRequestError
    from clawver_orders.tools import not_offered, permitted

    offered = {each.name: each for each in permitted(settings)}
    if tool not in offered:
        stop(not_offered(tool, offered, settings), MISUSED)
    called = offered[tool]
    given = _given(called, arguments, whole)
    try:
        called.check(given)
    except InvalidRequestError as error:
        stop(f"{tool} failed. {error}", MISUSED)

    async def run(services: "Services") -> int:
        try:
            answer = await called.call(services, given, Script())
        except ClawverError as error:
            say(f"{tool} failed. {error}", err=True)
            return code_of_error(error)
        code = _code(called, answer)
        with telling(code):
            output.answer(answer)
        return code

    with_services(run, settings, _look(called, given))


def _look(tool: "Tool", given: dict[str, Any]) -> "Callable[[Services, float], Awaitable[Known]]":
    """How to find out what a tool changed."""
    if tool.hints.read_only:
        return nothing_changed
    if tool.toolset == "refunds":
        refund_id, order_id = (str(given.get(name, "")) for name in ("refund_id", "order_id"))
        return money(refund_id=refund_id, order_id=order_id)
    return webhooks_may_differ


def _code(tool: "Tool", answer: dict[str, Any]) -> int:
    """The exit code for an answer. The status of an order is Clawver's word, and no outcome."""
    if not tool.tells_outcome:
        return DONE
    return code_of(answer["status"], is_open="sent_at" in answer)


def _given(tool: "Tool", arguments: tuple[str, ...], whole: str | None) -> dict[str, Any]:
    """What the tool was given, with numbers and lists where it wants them."""
    if whole is not None:
        if arguments:
            stop("Give the arguments as KEY=VALUE or with --arguments, not both.", MISUSED)
        try:
            read = json.loads(whole)
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            stop("--arguments takes one JSON object.", MISUSED)
        return read
    given: dict[str, Any] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if not separator:
            stop("Arguments look like KEY=VALUE.", MISUSED)
        if name in given:
            stop("An argument was given twice.", MISUSED)
        field = tool.arguments.model_fields.get(name)  # the schema takes longer, and says the same
        given[name] = _typed(value, field and (get_origin(field.annotation) or field.annotation))
    return given


def _typed(value: str, kind: object) -> Any:
    if kind is int and len(value) <= 20 and value.removeprefix("-").isdecimal() and value.isascii():
        return int(value)
    if kind is list and not value.startswith("["):
        return [part for part in value.split(",") if part]
    return value
