"""FastMCP's client, configured by the JSON that hosts take."""

import asyncio
from typing import Any

from conversation import converse, server, text_of
from fastmcp import Client
from fastmcp.exceptions import ToolError


async def main() -> None:
    async with Client({"mcpServers": {"clawver-orders": server()}}) as client:

        async def names() -> list[str]:
            return [tool.name for tool in await client.list_tools()]

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
            try:
                result = await client.call_tool(tool, arguments)
            except ToolError as error:
                return True, str(error)
            return False, text_of(result.content)

        await converse(names, call)


asyncio.run(main())
