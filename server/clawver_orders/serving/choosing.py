"""Which of its stores a call is for. A server of one store is asked for no name."""

from collections.abc import Mapping
from typing import Any

from clawver_orders.errors import InvalidRequestError
from clawver_orders.services import Available
from clawver_orders.settings import Settings, Stores
from clawver_orders.tools.contract import Tool

STORE = "store"
"""The argument that every tool takes where there are several stores."""
ALL = "all"
"""Its value for a call that is for each of them."""
Opened = Mapping[str, Available]
"""What calls work with, by the name of the store."""


def with_store(tool: Tool, stores: Stores) -> dict[str, Any]:
    """The JSON schema of a tool's arguments; where there are several stores, the store is the first of them."""
    schema = tool.input_schema
    if "" in stores:
        return schema
    names = [*stores, *([ALL] if tool.for_all else [])]
    store = {"type": "string", "enum": names, "description": "The store that is meant."}
    return {
        **schema,
        "properties": {STORE: store, **schema["properties"]},
        "required": [STORE, *schema.get("required", ())],
    }


def telling_store(tool: Tool, stores: Stores) -> dict[str, Any]:
    """The JSON schema of a tool's answer, with the store where stores have names."""
    schema = tool.output_schema
    if not any(isinstance(each, Settings) and each.store_label for each in stores.values()):
        return schema
    told = {**schema, "properties": {STORE: {"type": "string"}, **schema["properties"]}}
    if "" in stores or not tool.for_all:
        return told
    each = {"type": "object", "description": "With store all: the answer of each store."}
    return {"type": "object", "properties": {**told["properties"], "stores": each}}


def chosen(
    opened: Opened, arguments: Mapping[str, Any], tool: Tool | None
) -> tuple[str, dict[str, Any]]:
    """The store that a call is for, or `ALL`, and its other arguments.

    Args:
        opened: The stores.
        arguments: What the call was given, unchecked.
        tool: The tool that is called; None for one that isn't offered.

    Raises:
        InvalidRequestError: It names no store of this server.
    """
    if "" in opened:
        return "", {**arguments}
    names = [*opened, *([ALL] if tool is not None and tool.for_all else [])]
    alias = arguments.get(STORE)
    if not isinstance(alias, str) or alias not in names:
        raise InvalidRequestError(
            "This server works for several stores, and the call names none of them, so nothing was done.",
            next_step=f"Call it again with store, which is one of: {', '.join(names)}.",
        )
    return alias, {name: value for name, value in arguments.items() if name != STORE}


def only(opened: Opened) -> Available:
    """The store of a server that has one.

    Raises:
        InvalidRequestError: There are several.
    """
    if "" in opened:
        return opened[""]
    raise InvalidRequestError(
        "This server works for several stores, and this is about one, so nothing was read.",
        next_step=f"Call a tool with store, which is one of: {', '.join(opened)}.",
    )
