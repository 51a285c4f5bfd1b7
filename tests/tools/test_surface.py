"""What hosts see of the tools: a committed snapshot, and the rules that every tool keeps."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Connect

from clawver_orders.tools import SURFACE, TOOLS
from clawver_orders.tools.events import EVENT_COLUMNS
from clawver_orders.tools.orders import COLUMNS

SNAPSHOTS = Path(__file__).parents[2] / "tests" / "tools" / "surface"


async def listed(connect: Connect, **settings: Any) -> list[dict[str, Any]]:
    async with connect("legacy", **settings) as client:
        answer = await client.list_tools()
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in answer.tools]


def size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def parts(schema: Any) -> list[dict[str, Any]]:
    """Every object of a schema, at any depth."""
    if isinstance(schema, list):
        return [part for each in schema for part in parts(each)]
    if not isinstance(schema, dict):
        return []
    return [schema] + [part for each in schema.values() for part in parts(each)]


async def test_the_surface_is_the_reviewed_one(connect: Connect) -> None:
    texts = {
        tool["name"]: json.dumps(tool, indent=2, ensure_ascii=False) + "\n"
        for tool in await listed(connect)
    }
    if os.environ.get("UPDATE_SURFACE"):
        for path in SNAPSHOTS.glob("*.json"):
            path.unlink()
        for name, text in texts.items():
            (SNAPSHOTS / f"{name}.json").write_text(text, "utf-8")

    assert list(texts) == list(TOOLS)
    assert {path.stem: path.read_text("utf-8") for path in SNAPSHOTS.iterdir()} == texts


async def test_both_eras_see_the_same_tools(connect: Connect) -> None:
    async with connect("auto") as client:
        modern = [
            t.model_dump(mode="json", by_alias=True, exclude_none=True)
            for t in (await client.list_tools()).tools
        ]

    assert modern == await listed(connect)


async def test_what_a_model_reads_fits_its_budget(connect: Connect) -> None:
    tools = await listed(connect)
    read = [
        size({key: tool[key] for key in ("name", "description", "inputSchema")}) for tool in tools
    ]

    assert max(read) <= 1_500
    assert sum(read) <= 1_000 * len(tools)
    assert sum(size(tool["outputSchema"]) for tool in tools) <= 1_700 * len(tools)


async def test_every_tool_keeps_the_rules_of_the_hosts(connect: Connect) -> None:
    for tool in await listed(connect):
        arguments = tool["inputSchema"]
        assert len(tool["name"]) <= 24
        assert tool["name"].replace("_", "").isalnum()
        assert tool["title"]
        assert tool["description"]
        assert {key for key, value in tool["annotations"].items() if isinstance(value, bool)} == {
            "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint",
        }  # fmt: skip
        assert arguments["additionalProperties"] is False
        assert tool["outputSchema"]["type"] == "object"
        for schema in (arguments, tool["outputSchema"]):
            for part in parts(schema):
                assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf"} & set(part)
                assert part.get("default", "") is not None
        for name, argument in arguments["properties"].items():
            assert argument["description"], f"{tool['name']}.{name}"
            assert name not in {
                "services",
                "caller",
                "config",
                "runtime",
                "run_manager",
                "session",
                "arguments",
            }


def test_money_is_said_in_cents_and_in_words() -> None:
    objects = [part.get("properties", {}) for tool in SURFACE for part in parts(tool.output_schema)]
    cents = [(name, fields) for fields in objects for name in fields if name.endswith("_in_cents")]

    assert len(cents) > 20
    assert not [name for name, fields in cents if name.removesuffix("_in_cents") not in fields]


def test_times_are_said_in_utc_and_as_how_long_ago() -> None:
    objects = [part.get("properties", {}) for tool in SURFACE for part in parts(tool.output_schema)]
    past = [
        (name.removesuffix("_at"), fields)
        for fields in objects
        for name in fields
        if name.endswith(("_at", "last_start", "last_seen", "last_delivery", "last_refused"))
        and name != "expires_at"  # that comes: expires_in_minutes stands beside it
    ]

    assert len(past) > 10
    assert not [name for name, fields in past if f"{name}_ago" not in fields]
    for columns in (COLUMNS, EVENT_COLUMNS):
        times = [name.removesuffix("_at") for name in columns if name.endswith("_at")]
        assert times
        assert {f"{name}_ago" for name in times} <= set(columns)


def test_only_reading_tools_are_called_read_only() -> None:
    writing = [tool.name for tool in SURFACE if not tool.hints.read_only]

    assert writing == ["refund_order", "confirm_refund", "register_webhook", "delete_webhook"]


async def test_read_only_offers_nothing_that_writes(connect: Connect) -> None:
    names = [tool["name"] for tool in await listed(connect, read_only=True)]

    assert names == [tool.name for tool in SURFACE if tool.hints.read_only]


@pytest.mark.parametrize("tool", SURFACE, ids=lambda tool: str(tool.name))
def test_every_tool_named_in_a_description_exists(tool: Any) -> None:
    text = json.dumps([tool.description, tool.input_schema])
    verbs = tuple({f"{name.partition('_')[0]}_" for name in TOOLS})
    fields = {"refund_id", "check_after_seconds"}

    said = {word for word in re.findall(r"\w+", text) if word.startswith(verbs)}
    assert said - fields <= set(TOOLS)
