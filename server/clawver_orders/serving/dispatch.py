"""The boundary: our errors are spoken, everything else is hidden.

A tool's answer is complete twice, as structured content and as text, because hosts show a
model only one of the two. The text of an error says by itself that the call failed: several
clients lose the flag.
"""

import logging
from collections.abc import Mapping
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult, TextContent

from clawver_orders.caller import Caller
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.services import Available, Services
from clawver_orders.serving.card import FOR_CARD
from clawver_orders.serving.elicitation import PagePending, QuestionPending
from clawver_orders.tools import not_offered
from clawver_orders.tools.contract import Tool, as_text

log = logging.getLogger(__name__)


async def call_tool(
    tools: Mapping[str, Tool],
    services: Available,
    name: str,
    arguments: Mapping[str, Any],
    caller: Caller,
) -> CallToolResult | InputRequiredResult:
    """Call a tool for a host, whatever the host sent.

    Args:
        tools: The tools on offer, by name.
        services: What they work with; or the error that answers every call.
        name: The tool that was asked for.
        arguments: What it was given, unchecked.
        caller: The host, and whether a person can be asked through it.

    Returns:
        The answer; or a question to the person, after which the host calls again.
    """
    tool = tools.get(name)
    if tool is None:
        settings = services.settings if isinstance(services, Services) else None
        return _failure(services, not_offered(name, tools, settings))
    if isinstance(services, SetupError):
        return _failure(services, f"{tool.name} failed. Nothing was done. {services}")
    try:
        result = await tool.call(services, arguments, caller)
    except (QuestionPending, PagePending) as pending:
        return pending.result()
    except ClawverError as error:
        on_card = None if caller.card is None else {"told": error.happened}
        return _failure(services, f"{tool.name} failed. {error}", on_card)
    except Exception:  # the last fence: nothing unforeseen may reach the model
        log.exception("%s ended in an error of this server's own", tool.name)
        return _failure(services, tool.defect)
    return CallToolResult(
        content=[TextContent(type="text", text=as_text(result))],
        structured_content=result,
        _meta={FOR_CARD: caller.card} if caller.card else None,
    )


def _failure(
    services: Available, text: str, on_card: dict[str, str] | None = None
) -> CallToolResult:
    if isinstance(services, Services) and services.notice:
        text = f"{text} ({services.notice})"
    return failed(text, on_card)


def failed(text: str, on_card: dict[str, str] | None = None) -> CallToolResult:
    """The result of a call that failed, in words that say so by themselves.

    Args:
        text: The words.
        on_card: What a refund's card shows of it.
    """
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        is_error=True,
        _meta={FOR_CARD: on_card} if on_card else None,
    )


def together(results: Mapping[str, CallToolResult | InputRequiredResult]) -> CallToolResult:
    """One result of the calls for several stores: each store's answer, or the text of its error.

    Args:
        results: Of a tool that asks nobody, by the name of the store.
    """
    answers = {
        alias: result.structured_content or {"error": _text_of(result)}
        for alias, result in results.items()
        if isinstance(result, CallToolResult)
    }
    answer = {"stores": answers}
    return CallToolResult(
        content=[TextContent(type="text", text=as_text(answer))], structured_content=answer
    )


def _text_of(result: CallToolResult) -> str:
    return "".join(each.text for each in result.content if isinstance(each, TextContent))
