"""LangChain's adapters: each call of a tool starts a server of its own."""

import asyncio
from typing import Any

from conversation import converse, server, text_of
from langchain_mcp_adapters.client import MultiServerMCPClient


async def main() -> None:
    client = MultiServerMCPClient({"clawver": {"transport": "stdio", **server()}})
    tools = {tool.name: tool for tool in await client.get_tools()}

    async def names() -> list[str]:
        return list(tools)

    async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
        if tool not in tools:  # an agent answers this by itself; ask the server all the same
            async with client.session("clawver") as session:
                result = await session.call_tool(tool, arguments)
                return bool(result.isError), text_of(result.content)
        asked = {"type": "tool_call", "id": "call_1", "name": tool, "args": arguments}
        message = await tools[tool].ainvoke(asked)  # as an agent's node calls it
        return message.status == "error", text_of(message.content)

    await converse(names, call)


asyncio.run(main())
