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
from clawver_orders.serving.elicitation import QuestionPending
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
    except QuestionPending as pending:
        return pending.result()
    except ClawverError as error:
        return _failure(services, f"{tool.name} failed. {error}")
    except Exception:  # the last fence: nothing unforeseen may reach the model
        log.exception("%s ended in an error of this server's own", tool.name)
        return _failure(services, tool.defect)
    return CallToolResult(
        content=[TextContent(type="text", text=as_text(result))], structured_content=result
    )


def _failure(services: Available, text: str) -> CallToolResult:
    if isinstance(services, Services) and services.notice:
        text = f"{text} ({services.notice})"
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
