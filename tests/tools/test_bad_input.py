"""Bad input gets a clear error and changes nothing, for every argument of every tool."""

import json
from typing import Any

import pytest
from tests.amending import amend
from tests.conftest import Connect, telling
from tests.tools.test_odd_orders import OddStore

from clawver_orders.tools import SURFACE, TOOLS
from clawver_orders.tools.contract import Tool
from clawver_sandbox.shop import Shop

WRONG_TYPES: list[Any] = [True, 7, 1.5, [], {}, ["x"], {"a": 1}]
HOSTILE_TEXTS = [
    "x" * 10_240, "../stores/me", "a/b", "%2e%2e%2f", "..", "line\nbreak", "nul\x00", "\u200frtl", "\u202eover",
    "zero\u200bwidth", "\x1b[2J", "tag\U000e0041",
]  # fmt: skip
IN_NO_PATH = {
    "reason",
    "search",
    "customer_email",
    "product",
    "event",
    "wanted_size",
    "order_status_token",
    "download_token",
}
HARMLESS_THERE = {"../stores/me", "a/b", "%2e%2e%2f", ".."}
BAD_NUMBERS: list[Any] = [
    0,
    -5,
    10**30,
    1e30,
    100.5,
    "7",
    "1,000",
    " 1000 ",
    "1_000",
    "0x10",
    True,
    False,
    None,
]
BAD_LISTS: list[Any] = [True, 7, "ref_1", {}, [7], ["a/b"], ["x"] * 51, "[" * 9_000]

CASES: list[tuple[str, str, Any]] = []
for each in SURFACE:
    for name, argument in each.input_schema["properties"].items():
        kind = argument["type"]
        if kind == "string":
            CASES += [
                (each.name, name, value)
                for value in WRONG_TYPES
                if (each.name, value) != ("get_order", ["x"])  # the same as "x"
            ]
            CASES += [
                (each.name, name, text)
                for text in HOSTILE_TEXTS
                if not (name in IN_NO_PATH and text in HARMLESS_THERE)
            ]
        elif kind == "integer":
            CASES += [
                (each.name, name, value)
                for value in BAD_NUMBERS
                if value is not None or name == "amount_in_cents"
            ]
        else:
            CASES += [(each.name, name, value) for value in BAD_LISTS]
    nothing: list[Any] = [None, ""]
    CASES += [
        (each.name, name, value)
        for name in each.input_schema.get("required", [])
        for value in nothing
    ]
    CASES += [
        (each.name, name, True)
        for name in ("dry_run", "Order_Id", "services", "caller", "", "__class__")
    ]


def named(case: tuple[str, str, Any]) -> str:
    return f"{case[0]}-{case[1]}-{str(case[2])[:12]!r}"


async def test_no_bad_argument_reaches_the_store(connect: Connect, shop: Shop) -> None:
    async with connect(refund_approval="agent") as client:
        for tool, name, value in CASES:
            result = await client.call_tool(tool, TOOLS[tool].example | {name: value})
            text = str(getattr(result.content[0], "text", ""))

            assert result.is_error, named((tool, name, value))
            assert text.startswith(f"{tool} failed. "), named((tool, name, value))
            assert tool in text.removeprefix(f"{tool} failed. "), named((tool, name, value))
            assert len(text) < 600, named((tool, name, value))
            assert "pydantic" not in text
            if isinstance(value, str) and len(value) > 6:
                assert value not in text, named((tool, name, value))

    assert len(CASES) > 200
    assert shop.requests() == []


@pytest.mark.parametrize("tool", SURFACE, ids=lambda tool: str(tool.name))
async def test_an_explicit_null_means_not_given(connect: Connect, shop: Shop, tool: Tool) -> None:
    required = tool.input_schema.get("required", [])
    needed = {name: value for name, value in tool.example.items() if name in required}
    async with connect() as client:
        given = await client.call_tool(
            tool.name, dict.fromkeys(tool.input_schema["properties"]) | needed
        )
        left_out = await client.call_tool(tool.name, needed)

    statuses = {given.is_error, left_out.is_error}
    assert len(statuses) == 1
    if tool.name in {"get_order", "list_orders", "get_receipt"}:
        assert given.structured_content == left_out.structured_content


async def test_a_tool_that_is_not_there_says_what_is(connect: Connect, era: str) -> None:
    async with connect(era, refund_approval="agent") as client:
        result = await client.call_tool("no_such_tool", {})

    names = ", ".join(tool.name for tool in SURFACE)
    assert result.is_error
    assert getattr(result.content[0], "text", "") == (
        f"There is no such tool, so nothing was done. Call one of: {names}."
    )


@pytest.mark.parametrize("tool", SURFACE, ids=lambda tool: str(tool.name))
async def test_what_read_only_hides_is_called_hidden_and_not_unknown(
    connect: Connect, shop: Shop, tool: Tool
) -> None:
    async with connect(read_only=True) as client:
        result = await client.call_tool(tool.name, tool.example)
        unknown = await client.call_tool("no_such_tool", {})

    text = str(getattr(result.content[0], "text", ""))
    listed = str(getattr(unknown.content[0], "text", "")).partition("Call one of: ")[2]
    assert (tool.name in listed.rstrip(".").split(", ")) == tool.hints.read_only
    assert ("is not offered" in text) != tool.hints.read_only
    if not tool.hints.read_only:
        assert result.is_error
        assert text == (
            f"{tool.name} is not offered: this server is read-only (CLAWVER_READ_ONLY). Nothing was done. "
            "A person can unset CLAWVER_READ_ONLY where this is configured."
        )
        assert shop.requests() == []


async def test_a_lone_surrogate_is_refused_and_the_server_lives(
    connect: Connect, shop: Shop
) -> None:
    from mcp_types import CallToolResult

    from clawver_orders.caller import Script
    from clawver_orders.services import opened
    from clawver_orders.serving.dispatch import call_tool
    from clawver_orders.settings import Settings

    async with opened(Settings()) as services:
        for tool, name, _ in CASES:
            result = await call_tool(
                TOOLS, services, tool, TOOLS[tool].example | {name: "half\ud800"}, Script()
            )
            assert isinstance(result, CallToolResult)
            assert result.is_error
            result.model_dump_json()
        unknown = await call_tool(TOOLS, services, "half\ud800", {}, Script())
    assert isinstance(unknown, CallToolResult)
    assert unknown.is_error
    assert "\\ud800" not in unknown.model_dump_json()


@pytest.mark.parametrize(
    "when",
    [
        "tomorrow",
        "2026-13-01",
        "2026-11-24T09:30",
        "20261124",
        "2026-11-24T09:30:00",
        "\uff12\uff10\uff12\uff16-11-24",
        "9999999999",
        "0001-01-01T00:00:00+23:59",
    ],
)
async def test_a_time_that_is_none_says_how_one_looks(
    connect: Connect, shop: Shop, when: str
) -> None:
    async with connect() as client:
        result = await client.call_tool("summarize_orders", {"created_after": when})

    assert result.is_error
    assert "a day like 2026-11-24" in str(result.content[0])
    assert shop.requests() == []


@pytest.mark.parametrize(
    "when",
    ["", "2026-11-24", "2026-11-24T09:30:00Z", "2026-11-24T10:30:00.5+01:00", "today", "yesterday"],
)
async def test_days_and_times_with_their_offset_are_understood(connect: Connect, when: str) -> None:
    async with connect() as client:
        assert not (await client.call_tool("list_orders", {"created_after": when})).is_error


async def test_a_defect_of_our_own_is_hidden_from_the_model(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from clawver_orders.clawver.client import Clawver

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(Clawver, "order", broken)
    async with connect() as client:
        read = await client.call_tool("get_order", {"order_id": "ord_shirt"})
        refund = await client.call_tool("refund_order", TOOLS["refund_order"].example)

    assert read.is_error
    assert "defect in this server" in str(read.content[0])
    assert "look before you repeat it" in str(refund.content[0])
    assert "secret detail" not in json.dumps(
        [read.model_dump(mode="json"), refund.model_dump(mode="json")]
    )
    assert "ended in an error of this server's own" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "plain"),
    [
        ({"limit": 5.0}, {"limit": 5}),
        ({"status": "", "payment_status": None, "limit": ""}, {}),
        ({"status": "any", "customer_email": ""}, {}),
        ({"product": "De\u0301coupage"}, {"product": "D\u00e9coupage"}),
    ],
)
async def test_what_hosts_make_of_arguments_is_understood(
    connect: Connect, shop: Shop, arguments: dict[str, Any], plain: dict[str, Any]
) -> None:
    amend(shop, "ord_digital", items=[{"productName": "D\u00e9coupage", "quantity": 1}])
    async with connect() as client:
        given = await client.call_tool("list_orders", arguments)
        meant = await client.call_tool("list_orders", plain)

    assert not given.is_error
    assert given.structured_content == meant.structured_content
    assert meant.structured_content is not None
    assert meant.structured_content["orders"]


@pytest.mark.parametrize(
    "reason",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
        "Broken \u2764\ufe0f",
        "1\ufe0f\u20e3 of 2 torn",
    ],
)
async def test_a_reason_is_written_in_any_script(connect: Connect, shop: Shop, reason: str) -> None:
    wanted = {"order_id": "ord_digital", "amount_in_cents": 100.0, "reason": reason}
    async with connect() as client:
        done = await client.call_tool("refund_order", wanted)
        again = await client.call_tool("refund_order", wanted)

    assert [each.structured_content and each.structured_content["status"] for each in (done, again)] == [
        "refunded", "already_refunded",
    ]  # fmt: skip
    assert shop.refunds() == [("ord_digital", 100)]


@pytest.mark.parametrize("amount", [100.5, "1,000", "1000", True, "$1.00", [100]])
async def test_an_amount_is_read_strictly(connect: Connect, shop: Shop, amount: Any) -> None:
    wanted = {"order_id": "ord_digital", "amount_in_cents": amount, "reason": "Torn"}
    async with connect() as client:
        result = await client.call_tool("refund_order", wanted)

    assert result.is_error
    assert "amount_in_cents must" in str(result.content[0])
    assert shop.requests() == []


async def test_an_order_with_a_long_id_is_read_and_refunded(connect: Connect) -> None:
    order_id = "o" * 255
    store = OddStore(id=order_id)
    async with telling(store) as url, connect(api_url=url) as client:
        read = await client.call_tool("get_order", {"order_id": order_id})
        done = await client.call_tool(
            "refund_order", {"order_id": order_id, "amount_in_cents": 500, "reason": "Torn"}
        )

    assert not read.is_error
    assert done.structured_content is not None
    assert done.structured_content["status"] == "refunded"
    assert store.sent == 1


async def test_letters_that_only_look_alike_are_another_mailbox(
    connect: Connect, shop: Shop
) -> None:
    amend(shop, "ord_digital", customerEmail="Stra\u00dfe@example.com")
    async with connect() as client:
        found = await client.call_tool("list_orders", {"customer_email": "sTRA\u00dfe@EXAMPLE.com"})
        other = await client.call_tool("list_orders", {"customer_email": "strasse@example.com"})

    assert found.structured_content is not None
    assert other.structured_content is not None
    assert len(found.structured_content["orders"]) == 1
    assert other.structured_content["orders"] == []
