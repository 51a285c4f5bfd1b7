"""A server that works for several stores: each call names one, and none gets what is another's."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client import advertise
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import InputRequiredResult, TextContent
from tests.cli.test_main import keyless, run
from tests.serving.http.test_run import TOKEN, official, site
from tests.serving.test_card import CARDS
from tests.serving.test_elicitation import YES, Asked
from tests.test_store_file import TWO, both, write
from tests.test_stores import OTHER_KEY, Address, at
from tests.tools.test_refunds import Time
from tests.tools.test_tools import call, failure

from clawver_orders.errors import SetupError
from clawver_orders.serving.card import FOR_CARD
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings, Stores

__all__ = ["at", "write"]
Write = Callable[..., dict[str, str]]
SALE = {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Torn"}


def stores_of(variables: dict[str, str]) -> Stores:
    return {each: Settings.from_environment(variables, store=each) for each in ("prints", "photos")}


@pytest.fixture
async def client(at: Address, write: Write) -> AsyncIterator[Client]:
    async with Client(build_server(stores_of(both(at, write)))) as connected:
        yield connected


async def test_every_tool_takes_the_store_and_needs_it(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    assert {"list_orders", "refund_order", "confirm_refund"} <= {*tools}
    for tool in tools.values():
        assert tool.input_schema["required"][0] == "store"
        more = ["all"] if tool.name == "summarize_orders" else []
        assert tool.input_schema["properties"]["store"]["enum"] == ["prints", "photos", *more]
        assert tool.output_schema is not None
        assert tool.output_schema["properties"]["store"] == {"type": "string"}
        assert len(tool.input_schema["required"]) == len({*tool.input_schema["required"]})
        assert not tool.meta


async def test_the_instructions_name_the_stores(client: Client) -> None:
    assert client.instructions is not None
    assert 'one of: prints "Ada\'s Prints", photos.' in client.instructions


async def test_a_call_reads_and_refunds_in_the_store_that_it_names(
    client: Client, at: Address
) -> None:
    asked = await call(client, "refund_order", store="prints", **SALE)
    shown = {"refund_id": asked["refund_id"], "revision": asked["revision"]}
    elsewhere = await failure(client, "check_refund", store="photos", refund_id=asked["refund_id"])
    done = await call(client, "confirm_refund", store="prints", **shown)
    other = await call(client, "get_order", store="photos", order_id="ord_shirt")

    assert asked["store"] == 'prints "Ada\'s Prints"'
    assert other["store"] == "photos"
    assert "ledger for this store holds no refund" in elsewhere
    assert done["status"] == "refunded"
    assert len(at.first.refunds()) == 1
    assert at.second.refunds() == []
    assert other["orders"][0]["refundable_in_cents"] == 3200


@pytest.mark.parametrize("answered_in", ["photos", "prints"])
async def test_a_yes_to_the_question_of_one_store_is_none_in_another(
    at: Address, write: Write, answered_in: str
) -> None:
    """All stores of a server seal with one key, and both have an order of this id."""
    text = TWO.replace('refund_approval = "agent"', 'refund_approval = "chat"')
    variables = both(at, lambda **more: write(text, **more))
    clock = Time()
    stores = {
        each: Settings.from_environment(variables, store=each) for each in ("prints", "photos")
    }
    server = build_server(stores, now=lambda: clock.at, uptime=lambda: clock.up)
    person: Any = Asked()
    async with Client(server, elicitation_callback=person) as client:
        first = await client.session.call_tool(
            "refund_order", {"store": "prints", **SALE}, allow_input_required=True
        )
        assert isinstance(first, InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        clock.pass_by(4)
        with suppress(MCPError):
            await client.session.call_tool(
                "refund_order", {"store": answered_in, **SALE}, input_responses={refund_id: YES},
                request_state=first.request_state, allow_input_required=True,
            )  # fmt: skip

    assert len(at.first.refunds()) == (answered_in == "prints")
    assert at.second.refunds() == []


async def test_figures_of_all_stores_come_in_one_answer_and_one_that_fails_fails_alone(
    at: Address, write: Write
) -> None:
    variables = both(at, write)
    async with Client(build_server(stores_of(variables))) as client:
        whole = await call(client, "summarize_orders", store="all")
        one = await call(client, "summarize_orders", store="prints")
        refused = await failure(client, "list_orders", store="all")
    broken = SetupError("PRINTS_KEY is missing.", next_step="A person must set it.")
    photos = Settings.from_environment(variables, store="photos")
    async with Client(build_server({"prints": broken, "photos": photos})) as client:
        half = await call(client, "summarize_orders", store="all")

    assert {*whole["stores"]} == {"prints", "photos"}
    assert whole["stores"]["prints"]["orders"] == one["orders"]
    assert whole["stores"]["photos"]["complete"] is not None
    assert "one of: prints, photos." in refused
    assert "PRINTS_KEY is missing." in half["stores"]["prints"]["error"]
    assert half["stores"]["photos"]["store"] == "photos"


async def test_a_tool_that_there_is_not_is_none_for_any_store(client: Client) -> None:
    result = await client.call_tool("cancel_order\u202e", {})
    (said,) = result.content

    assert result.is_error
    assert isinstance(said, TextContent)
    assert said.text.startswith("The call failed. This server works for several stores")


@pytest.mark.parametrize("store", [None, "", "all", "posters", 3, ["prints"], "Prints"])
async def test_a_call_without_a_store_of_this_server_does_nothing(
    client: Client, at: Address, store: object
) -> None:
    at.asked.clear()
    named = {} if store is None else {"store": store}
    said = await failure(client, "refund_order", **named, **SALE)

    assert said == (
        "refund_order failed. This server works for several stores, and the call names none of them, so nothing was "
        "done. Call it again with store, which is one of: prints, photos."
    )
    assert at.asked == []


async def test_a_tool_that_one_store_does_not_offer_fails_there_alone(client: Client) -> None:
    result = await client.call_tool("confirm_refund", {"store": "photos", "refund_id": "rfi_1", "revision": 1})  # fmt: skip
    (said,) = result.content

    assert result.is_error
    assert isinstance(said, TextContent)
    assert said.text.startswith(
        "confirm_refund is not offered, because it can approve nothing here (CLAWVER_REFUND_APPROVAL is chat)."
    )


async def test_a_host_that_shows_cards_gets_none_and_no_nonce(at: Address, write: Write) -> None:
    cards = [advertise(name, about) for name, about in CARDS.items()]
    server = build_server(stores_of(both(at, write)))
    async with Client(server, extensions=cards) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        asked = await call(client, "refund_order", store="photos", **SALE)
        shown = {"refund_id": asked["refund_id"]}
        checked = await client.call_tool("check_refund", {"store": "photos"} | shown)
        clicked = {"store": "photos", "revision": 1, "approve": True, "nonce": "x"} | shown
        refused = await client.call_tool("decide_refund", clicked)

    assert "decide_refund" not in tools
    assert FOR_CARD not in (checked.meta or {})
    assert "Nothing was done." in str(refused.content)
    assert refused.is_error
    assert at.second.refunds() == []


async def test_a_store_that_cannot_be_used_leaves_the_others_alone(
    at: Address, write: Write
) -> None:
    variables = both(at, write)
    broken = SetupError("PRINTS_KEY is missing.", next_step="A person must set it.")
    stores: Stores = {
        "prints": broken,
        "photos": Settings.from_environment(variables, store="photos"),
    }
    async with Client(build_server(stores)) as client:
        said = await failure(client, "get_order", store="prints", order_id="ord_shirt")
        shown = await call(client, "get_order", store="photos", order_id="ord_shirt")
        with pytest.raises(MCPError, match="PRINTS_KEY is missing"):
            await client.get_prompt("daily_order_check")
        instructions = client.instructions or ""

    assert "PRINTS_KEY is missing." in said
    assert shown["orders"][0]["order_id"] == "ord_shirt"
    assert "prints (its settings cannot be used), photos" in instructions


async def test_what_is_of_one_store_has_no_address_where_there_are_several(client: Client) -> None:
    listed = [str(each.uri) for each in (await client.list_resources()).resources]
    templates = [
        each.uri_template for each in (await client.list_resource_templates()).resource_templates
    ]

    assert not [each for each in [*listed, *templates] if each.startswith("clawver:")]
    for address in ("clawver://refunds/open", "clawver://orders/ord_shirt"):
        with pytest.raises(
            MCPError, match="Call a tool with store, which is one of: prints, photos"
        ):
            await client.read_resource(address)


async def test_a_prompt_masks_where_any_store_does(at: Address, write: Write) -> None:
    masked = TWO.replace("read_only = false", 'pii = "masked"')
    variables = both(at, lambda **more: write(masked, **more))
    async with Client(build_server(stores_of(variables))) as client:
        prompt = await client.get_prompt("daily_order_check")

    assert prompt.messages


@pytest.mark.slow
async def test_a_server_without_a_name_works_for_all_stores_of_the_file(
    at: Address, write: Write
) -> None:
    there = keyless() | both(at, write)
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "clawver_orders", "serve"], env=there
    )
    for _ in range(2):  # the second start could be answered from what was kept
        async with Client(stdio_client(parameters)) as client:
            prints = await call(client, "get_order", store="prints", order_id="ord_shirt")
            said = await failure(client, "get_order", order_id="ord_shirt")
            assert prints["orders"][0]["order_id"] == "ord_shirt"
            assert "one of: prints, photos" in said


@pytest.mark.slow
async def test_all_stores_are_served_over_http_each_with_its_own_page(
    at: Address, write: Write
) -> None:
    told = {"CLAWVER_BOARD_URL": "http://127.0.0.1:1/board", "CLAWVER_HTTP_TOKEN": TOKEN}
    text = f'{TWO}[stores.lost]\nkey_env = "NOWHERE"\n'
    with site(both(at, lambda **more: write(text, **more), **told)) as server:
        async with official(server, "legacy") as client:
            asked = await call(client, "refund_order", store="photos", **SALE)
            lost = await failure(client, "list_orders", store="lost")
        pages = [
            httpx2.get(f"{server.base}/board/{each}/", trust_env=False, follow_redirects=True).text
            for each in ("prints", "photos")
        ]
        ready = httpx2.get(f"{server.base}/readyz", trust_env=False)

    assert asked["approve_at"].startswith("http://127.0.0.1:1/board/photos/refund/")
    assert [
        f"--store {each}</pre>" in page
        for each, page in zip(("prints", "photos"), pages, strict=True)
    ] == [True, True]
    assert "NOWHERE does not hold the key of the store lost" in lost
    assert ready.json() == {"status": "ready"}


def test_a_server_over_http_needs_one_store_that_can_be_used(at: Address, write: Write) -> None:
    variables = both(at, write) | {"PRINTS_KEY": ""}
    lost = write(TWO.replace('key_file = "/run/secrets/photos.key"', 'key_env = "NOWHERE"'))
    done = run("serve", "--http", "--port", "0", **variables | lost | {"PRINTS_KEY": ""})

    assert done.returncode == 1
    assert "PRINTS_KEY does not hold the key of the store prints" in done.stderr
    assert OTHER_KEY not in done.stderr
