"""What every driver does: one JSON line in, one JSON line out, until the lines end.

The first line says how to start the server. Then `{"list": true}` asks for the names of the
tools, and `{"tool": …, "arguments": …}` for a call. What is asked is decided by the tests, in
one place; a driver only knows its own framework. Nothing here is imported from outside the
standard library: a driver runs in an environment of its own.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Names = Callable[[], Awaitable[list[str]]]
Call = Callable[[str, dict[str, Any]], Awaitable[tuple[bool, str]]]


def server() -> dict[str, Any]:
    """The command, its arguments and variables, as a host's configuration has them."""
    entry: dict[str, Any] = json.loads(sys.stdin.readline())
    return entry


async def converse(names: Names, call: Call) -> None:
    """Answer line by line."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        if "list" in asked:
            say(await names())
        else:
            failed, text = await call(asked["tool"], asked["arguments"])
            say({"failed": failed, "text": text})


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def text_of(content: Any) -> str:
    """The text that a framework hands to its model, whatever it wraps it in."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return str(content["text"]) if content.get("type") == "text" else json.dumps(content)
    if isinstance(content, list):
        return "\n".join(text_of(part) for part in content)
    return str(getattr(content, "text", content))
