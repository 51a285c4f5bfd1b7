"""Pydantic AI's toolset, which turns an error into a retry of the model."""

import asyncio
import json
from typing import Any

from conversation import converse, server, text_of
from pydantic_ai import ModelRetry
from pydantic_ai.mcp import MCPToolset, StdioTransport


async def main() -> None:
    async with MCPToolset(StdioTransport(**server()), init_timeout=60) as toolset:

        async def names() -> list[str]:
            return [tool.name for tool in await toolset.list_tools()]

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[bool, str]:
            try:
                result = await toolset.direct_call_tool(tool, arguments)
            except ModelRetry as error:
                return True, str(error)
            return False, json.dumps(result) if isinstance(result, dict) else text_of(result)

        await converse(names, call)


asyncio.run(main())
