"""OpenAI's agents SDK, through the function tools that it would give to a model."""

import asyncio
import json
from typing import Any

from agents import Agent, RunContextWrapper
from agents.mcp import MCPServerStdio, MCPUtil
from agents.tool_context import ToolContext
from conversation import converse, server, text_of


async def main() -> None:
    async with MCPServerStdio(params=server(), client_session_timeout_seconds=60) as orders:
        agent = Agent(name="orders", mcp_servers=[orders])
        tools = {
            tool.name: tool
            for tool in await MCPUtil.get_function_tools(
                orders, convert_schemas_to_strict=True, run_context=RunContextWrapper(None), agent=agent
            )
        }  # fmt: skip

        async def names() -> list[str]:
            return list(tools)

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
            raw = await orders.call_tool(tool, arguments)
            failed = bool(getattr(raw, "is_error", getattr(raw, "isError", False)))
            return failed, text_of(raw.content)

        async def invoke(tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
            if tool not in tools:
                return await call(tool, arguments)
            words = json.dumps(arguments)
            context = ToolContext(None, tool_name=tool, tool_call_id="call_1", tool_arguments=words)
            text = text_of(await tools[tool].on_invoke_tool(context, words))
            return " failed. " in text[:80], text

        await converse(names, invoke)


asyncio.run(main())
