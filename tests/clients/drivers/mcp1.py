"""The official SDK, 1.x."""

import asyncio
from typing import Any

from conversation import converse, server, text_of
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    async with (
        stdio_client(StdioServerParameters(**server())) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()

        async def names() -> list[str]:
            return [tool.name for tool in (await session.list_tools()).tools]

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
            result = await session.call_tool(tool, arguments)
            return bool(result.isError), text_of(result.content)

        await converse(names, call)


asyncio.run(main())
