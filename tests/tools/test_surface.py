"""What hosts see of the tools: a committed snapshot, and the rules that every tool keeps."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mcp.client import advertise
from tests.conftest import Configure, Connect, inbox_of, offered_by_default

from clawver_orders.serving.card import EXTENSION, MIME_TYPE
from clawver_orders.tools import FOR_CARDS, SURFACE, TOOLS

LARGEST_TOOL = 900
LARGER = {"list_orders": 1_220}  # its eight filters take 700 alone
EVERYDAY_TOOLS = 7_000
"""Bytes of the tools that every session offers."""
SELF_EXPLAINING = {
    "by",
    "order_id",
    "status",
    "payment_status",
    "customer_email",
    "created_before",
    "limit",
}
"""Arguments that say all by their name and their values."""
SNAPSHOTS = Path(__file__).parents[2] / "tests" / "tools" / "surface"


async def listed(connect: Connect, *, cards: bool = False, **settings: Any) -> list[dict[str, Any]]:
    shown = [advertise(EXTENSION, {"mimeTypes": [MIME_TYPE]})] if cards else []
    given = {"refund_approval": "agent"} | settings
    async with connect("legacy", extensions=shown, **given) as client:
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
        for tool in await listed(connect, cards=True)
    }
    if os.environ.get("UPDATE_SURFACE"):
        for path in SNAPSHOTS.glob("*.json"):
            path.unlink()
        for name, text in texts.items():
            (SNAPSHOTS / f"{name}.json").write_text(text, "utf-8")

    assert list(texts) == [*TOOLS, FOR_CARDS.name]
    assert {path.stem: path.read_text("utf-8") for path in SNAPSHOTS.iterdir()} == texts


async def test_both_eras_see_the_same_tools(connect: Connect) -> None:
    async with connect("auto", refund_approval="agent") as client:
        modern = [
            t.model_dump(mode="json", by_alias=True, exclude_none=True)
            for t in (await client.list_tools()).tools
        ]

    assert modern == await listed(connect)


async def test_what_a_model_reads_fits_its_budget(connect: Connect) -> None:
    tools = await listed(connect)
    read = {
        tool["name"]: size({key: tool[key] for key in ("name", "description", "inputSchema")})
        for tool in tools
    }

    assert {
        name: count for name, count in read.items() if count > LARGER.get(name, LARGEST_TOOL)
    } == {}
    assert sum(read[name] for name in offered_by_default()) <= EVERYDAY_TOOLS
    assert sum(size(tool["outputSchema"]) for tool in tools) <= 1_400 * len(tools)


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
            assert argument.get("description") or name in SELF_EXPLAINING, f"{tool['name']}.{name}"
            assert (argument.get("nullable") is True) == (name not in arguments.get("required", ()))
            assert name not in {
                "services",
                "caller",
                "config",
                "runtime",
                "run_manager",
                "session",
                "arguments",
            }


def test_money_is_a_text_and_in_cents_only_beside_it() -> None:
    objects = [part.get("properties", {}) for tool in SURFACE for part in parts(tool.output_schema)]
    cents = [(name, fields) for fields in objects for name in fields if name.endswith("_in_cents")]

    assert len(cents) >= 5
    for name, fields in cents:
        assert fields[name]["type"] == "integer"
        assert fields[name.removesuffix("_in_cents")]["type"] == "string"


def test_a_time_is_one_text() -> None:
    objects = [part.get("properties", {}) for tool in SURFACE for part in parts(tool.output_schema)]
    times = [
        (name, about)
        for fields in objects
        for name, about in fields.items()
        if name.endswith(
            ("_at", "_ago", "last_start", "last_seen", "last_delivery", "last_refused")
        )
    ]

    assert len(times) > 10
    assert {about["type"] for _, about in times} == {"string"}
    assert not [name for name, _ in times if name.endswith("_ago")]


def test_only_reading_tools_are_called_read_only() -> None:
    writing = [tool.name for tool in SURFACE if not tool.hints.read_only]

    assert writing == ["refund_order", "confirm_refund", "register_webhook", "delete_webhook"]


async def test_read_only_offers_nothing_that_writes(connect: Connect) -> None:
    names = [tool["name"] for tool in await listed(connect, read_only=True)]

    assert names == [tool.name for tool in SURFACE if tool.hints.read_only]


async def test_the_tools_for_webhooks_wait_until_events_can_arrive(
    connect: Connect, configure: Configure
) -> None:
    async def names(**settings: Any) -> list[str]:
        return [tool["name"] for tool in await listed(connect, **{"toolsets": ()} | settings)]

    before = await names()
    with_secret = await names(webhook_secret="an-example-secret-of-a-test")
    inbox_of(configure()).start("r", datetime.now(UTC))
    with_inbox = await names()

    assert before == [tool.name for tool in SURFACE if tool.toolset != "webhooks"]
    assert with_secret == with_inbox == list(TOOLS)


CARD = {
    "list_orders", "get_order", "refund_order", "generate_download_link", "get_receipt",
    "handle_wrong_size",
}  # fmt: skip
"""The tools of the project's card."""


@pytest.mark.parametrize(
    ("chosen", "left_out"),
    [
        ("all", set()),
        ("orders, refunds,webhooks", set()),
        ("refunds", {"orders", "webhooks"}),
        ("orders", {"webhooks"}),
        ("webhooks", {"orders"}),
    ],
)
async def test_a_person_chooses_toolsets_and_the_tools_of_the_card_stay(
    connect: Connect, chosen: str, left_out: set[str]
) -> None:
    async with connect(toolsets=chosen, refund_approval="agent") as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        instructions = client.instructions or ""
        refused = [await client.call_tool(name, {}) for name in TOOLS if name not in names]

    hidden = {tool.name: tool.toolset for tool in SURFACE if tool.name not in names}
    assert names >= CARD | {"confirm_refund", "check_refund"}
    assert set(hidden.values()) == left_out
    assert ("CLAWVER_TOOLSETS=all" in instructions) == bool(left_out)
    assert ("webhooks and order events" in instructions) == ("webhooks" in left_out)
    assert not [name for name in hidden if name in instructions]
    assert all(answer.is_error for answer in refused)
    for answer in refused:
        said = str(getattr(answer.content[0], "text", ""))
        assert "is not offered: its toolset is left out here. Nothing was done." in said


async def test_a_prompt_is_offered_with_the_tools_that_it_needs(connect: Connect) -> None:
    async with connect(toolsets="refunds", read_only=True) as client:
        names = {prompt.name for prompt in (await client.list_prompts()).prompts}

    assert names == {"wrong_size", "resend_download"}


@pytest.mark.parametrize("tool", SURFACE, ids=lambda tool: str(tool.name))
def test_every_tool_named_in_a_description_exists(tool: Any) -> None:
    text = json.dumps([tool.description, tool.input_schema])
    verbs = tuple({f"{name.partition('_')[0]}_" for name in TOOLS})
    fields = {"refund_id", "check_after_seconds"}

    said = {word for word in re.findall(r"\w+", text) if word.startswith(verbs)}
    assert said - fields <= set(TOOLS)
