"""The official SDK, 2.x; the era is the first argument."""

import asyncio
import sys
from typing import Any

from conversation import converse, server, text_of
from mcp import Client, StdioServerParameters


async def main() -> None:
    async with Client(StdioServerParameters(**server()), mode=sys.argv[1]) as client:

        async def names() -> list[str]:
            return [tool.name for tool in (await client.list_tools()).tools]

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
            result = await client.call_tool(tool, arguments)
            return bool(result.is_error), text_of(result.content)

        await converse(names, call)


asyncio.run(main())
