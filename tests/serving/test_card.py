"""The refund's card in the chat as a host gets it, in both protocol eras: what it is told, and what a click does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.client import advertise
from mcp_types import CallToolResult, ElicitResult, TextResourceContents
from tests.conftest import Configure, folder_of, with_slow
from tests.hosts import INITIALIZE, MODERN, hosting
from tests.tools.test_refunds import Time, given_back, posts
from tests.tools.test_tools import call, failure, shown

from clawver_orders.errors import SetupError
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.services import PageOf, Services, opened
from clawver_orders.serving import skills
from clawver_orders.serving.card import ADDRESS, EXTENSION, FOR_CARD, MIME_TYPE, shows_cards
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_orders.tools import FOR_CARDS
from clawver_sandbox.shop import Shop

CARDS = {EXTENSION: {"mimeTypes": [MIME_TYPE]}}
PAGE = "http://127.0.0.1:8790/refund"
LARGEST = 400
"""Bytes of the definition of the buttons' tool."""


async def a_page(services: Services, path: str) -> str | None:
    return f"{PAGE}/{path}"


@asynccontextmanager
async def chat(
    settings: Settings | SetupError,
    era: str = "auto",
    time: Time | None = None,
    *,
    shows: bool = True,
    page: PageOf | None = None,
    **more: Any,
) -> AsyncIterator[Client]:
    """A host that shows cards, or one that doesn't."""
    at = time or Time()
    server = build_server(settings, now=lambda: at.at, uptime=lambda: at.up, page=page)
    kinds = [advertise(name, about) for name, about in CARDS.items()] if shows else None
    async with Client(server, mode=era, extensions=kinds, **more) as client:
        yield client


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def wanted(shop: Shop) -> dict[str, Any]:
    sale = shop.sell(total_in_cents=2499)["id"]
    return {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}


async def trail(settings: Settings, refund_id: str) -> list[tuple[str, str, str]]:
    """What happened to a refund: the event, who did it, and the details."""
    async with opened(settings) as services:
        history = await (await services.store()).ledger.history(refund_id)
    return [(each.event, each.who, each.detail) for each in history]


async def on_card(client: Client, refund_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a card gets that asks how its refund is now: the answer, and what is for the card alone."""
    return told(await client.call_tool("check_refund", {"refund_id": refund_id}))


def told(result: CallToolResult) -> tuple[dict[str, Any], dict[str, Any]]:
    assert not result.is_error, result.content
    own = (result.meta or {}).get(FOR_CARD, {})
    answer = result.structured_content or {}
    if own.get("nonce"):
        assert own["nonce"] not in json.dumps([str(result.content), answer])
    return answer, own


def click(answer: dict[str, Any], nonce: str, *, approve: bool = True) -> dict[str, Any]:
    return shown(answer) | {"approve": approve, "nonce": nonce}


async def test_a_click_approves_once_and_the_trail_says_through_what(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time, era: str
) -> None:
    settings = configure(refund_approval="chat")
    async with chat(settings, era, time) as client:
        asked, none = told(await client.call_tool("refund_order", wanted))
        answer, own = await on_card(client, asked["refund_id"])
        time.pass_by(2)
        done, nothing = told(await client.call_tool("decide_refund", click(answer, own["nonce"])))

    assert (asked["status"], asked["needs"], none) == ("needs_approval", "chat", {})
    assert "decide on the card here, or run in a terminal: `clawver-orders approve" in asked["next_step"]  # fmt: skip
    assert answer["preview"]["left_after"] == "$17.99"
    assert (own["fact"], own["warnings"]) == ("No money was moved", [])
    assert (done["status"], done["decided_by"]) == ("refunded", "person by card (chat)")
    assert nothing == {}
    assert given_back(shop, wanted["order_id"]) == [700]
    assert (await trail(settings, asked["refund_id"]))[:4] == [
        ("waiting", "", ""),
        ("asked", "", "on the card, revision 1"),
        ("answered", "person by card", "yes to question 1, after 2.000 s"),
        ("sending", "person by card", "revision 1, approved by person by card (chat)"),
    ]
    async with opened(settings) as services:
        (wish,) = await (await services.store()).ledger.latest(1)
    assert [(each.channel, each.grade) for each in wish.decisions] == [("card", "chat")]


async def test_a_click_declines(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time, era: str
) -> None:
    settings = configure(refund_approval="chat")
    async with chat(settings, era, time) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        time.pass_by(2)
        done = await call(client, "decide_refund", **click(answer, own["nonce"], approve=False))
        again = await call(client, "refund_order", **wanted)
        _, none = await on_card(client, asked["refund_id"])

    assert (done["status"], done["decided_by"]) == ("declined", "person by card (chat)")
    assert again["status"] == "declined"
    assert none == {}
    assert posts(shop) == []


async def test_what_is_clicked_within_a_second_is_the_programs(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    settings = configure(refund_approval="chat")
    async with chat(settings, time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        time.pass_by(0.9)
        done, none = told(await client.call_tool("decide_refund", click(answer, own["nonce"])))
        later, nothing = await on_card(client, asked["refund_id"])
        again = await call(client, "refund_order", **wanted)

    assert done["status"] == later["status"] == again["status"] == "needs_approval"
    assert "nonce" not in {**none, **nothing}
    for each in (done, later, again):
        assert "card" not in each["next_step"]
        assert "clawver-orders approve" in each["next_step"]
    assert posts(shop) == []


async def test_a_decline_within_a_second_declines_nothing(
    configure: Configure, wanted: dict[str, Any], time: Time
) -> None:
    async with chat(configure(refund_approval="chat"), time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        done = await call(client, "decide_refund", **click(answer, own["nonce"], approve=False))

    assert done["status"] == "needs_approval"


async def test_a_programs_click_is_worth_an_agents_word(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    settings = configure(refund_approval="agent")
    async with chat(settings, time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        done = await call(client, "decide_refund", **click(answer, own["nonce"]))

    assert "Or they decide on the card here, or run in a terminal" in asked["next_step"]
    assert done["decided_by"] == "agent by confirm_refund (agent)"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_card_keeps_no_agent_from_confirming_where_its_word_is_enough(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    async with chat(configure(refund_approval="agent"), time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        done = await call(client, "confirm_refund", **shown(asked))
        time.pass_by(2)
        late, _ = told(await client.call_tool("decide_refund", click(answer, own["nonce"])))

    assert done["decided_by"] == "agent by confirm_refund (agent)"
    assert late["decided_by"] == "agent by confirm_refund (agent)"
    assert given_back(shop, wanted["order_id"]) == [700]


@pytest.mark.parametrize(
    "how", ["replayed", "made up", "empty", "older", "revision", "another refund"]
)
async def test_a_click_that_does_not_belong_is_refused_and_changes_nothing(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time, era: str, how: str
) -> None:
    settings = configure(refund_approval="chat")
    async with chat(settings, era, time) as client:
        asked = await call(client, "refund_order", **wanted)
        other = await call(client, "refund_order", **wanted | {"amount_in_cents": 300})
        before, old = await on_card(client, asked["refund_id"])
        clicked = click(before, old["nonce"])
        time.pass_by(2)
        if how == "replayed":
            await client.call_tool("decide_refund", clicked)
        elif how in {"made up", "empty"}:
            clicked["nonce"] = "x" * 32 if how == "made up" else ""
        elif how == "older":
            await on_card(client, asked["refund_id"])
        elif how == "revision":
            reworded = await call(client, "refund_order", **wanted | {"reason": "Torn"})
            assert reworded["revision"] == 2
        else:
            clicked["refund_id"] = other["refund_id"]
        time.pass_by(2)
        trails = [await trail(settings, each["refund_id"]) for each in (asked, other)]
        said = await failure(client, "decide_refund", **clicked)
        assert [await trail(settings, each["refund_id"]) for each in (asked, other)] == trails

    assert "Nothing was sent by this click: this click was counted before, or its card is out of date." in said  # fmt: skip
    assert f"Call check_refund with refund_id {clicked['refund_id']}" in said
    assert given_back(shop, wanted["order_id"]) == ([700] if how == "replayed" else [])


async def test_an_unknown_refund_is_refused(configure: Configure) -> None:
    async with chat(configure(refund_approval="chat")) as client:
        said = await failure(
            client, "decide_refund", refund_id="rfi_1", revision=1, approve=True, nonce="x"
        )

    assert "its card is out of date" in said


async def test_a_payment_that_changed_since_is_shown_first(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    async with chat(configure(refund_approval="chat"), time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        shop.refund(wanted["order_id"], 500, "Elsewhere")
        time.pass_by(2)
        again, new = told(await client.call_tool("decide_refund", click(answer, own["nonce"])))
        time.pass_by(2)
        done = await call(client, "decide_refund", **click(again, new["nonce"]))

    assert (again["status"], again["revision"]) == ("needs_approval", 2)
    assert again["preview"]["left_after"] == "$12.99"
    assert new["warnings"] == ["Refunded before: $5.00."]
    assert done["status"] == "refunded"


async def test_a_click_counts_for_15_minutes(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    async with chat(configure(refund_approval="chat"), time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        time.pass_by(15 * 60)
        late, new = told(await client.call_tool("decide_refund", click(answer, own["nonce"])))
        time.pass_by(14 * 60)
        assert posts(shop) == []
        done = await call(client, "decide_refund", **click(late, new["nonce"]))

    assert (late["status"], done["status"]) == ("needs_approval", "refunded")


async def test_looking_again_is_one_question_and_a_new_nonce(
    configure: Configure, wanted: dict[str, Any], time: Time
) -> None:
    settings = configure(refund_approval="chat")
    async with chat(settings, time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        nonces = {(await on_card(client, asked["refund_id"]))[1]["nonce"] for _ in range(3)}

    assert len(nonces) == 3
    events = [event for event, *_ in await trail(settings, asked["refund_id"])]
    assert events == ["waiting", "asked"]
    raw = (folder_of(settings) / LEDGER_FILE).read_bytes()
    assert not [nonce for nonce in nonces if nonce.encode() in raw]


@pytest.mark.parametrize("needed", ["console", "pin"])
async def test_above_chat_it_gets_the_link_to_the_page_and_no_nonce(
    configure: Configure, wanted: dict[str, Any], needed: str, era: str
) -> None:
    async with chat(configure(refund_approval=needed), era, page=a_page) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])

    assert answer["approve_at"] == f"{PAGE}/refund/{asked['refund_id']}"
    assert answer["preview"]["total"] == "$24.99"
    assert (answer["needs"], "nonce" in own) == (needed, False)
    for each in (asked, answer):
        assert "card" not in each["next_step"]
        assert f"open {PAGE}" in each["next_step"]


async def test_after_two_declines_it_gets_no_nonce(
    configure: Configure, wanted: dict[str, Any], time: Time
) -> None:
    async with chat(configure(refund_approval="chat"), time=time) as client:
        for cents in (700, 600):
            asked = await call(client, "refund_order", **wanted | {"amount_in_cents": cents})
            answer, own = await on_card(client, asked["refund_id"])
            time.pass_by(2)
            await call(client, "decide_refund", **click(answer, own["nonce"], approve=False))
        asked = await call(client, "refund_order", **wanted | {"amount_in_cents": 500})
        answer, own = await on_card(client, asked["refund_id"])

    assert own["warnings"][0].startswith("A person declined $")
    assert "nonce" not in own
    for each in (asked, answer):
        assert each["status"] == "needs_approval"
        assert "card" not in each["next_step"]


async def test_what_blocks_a_refund_leaves_the_card_without_buttons(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with chat(configure(refund_approval="chat")) as client:
        asked = await call(client, "refund_order", **wanted)
    async with chat(configure(refund_approval="chat", refund_limit_in_cents=100)) as client:
        limited, own = await on_card(client, asked["refund_id"])
    shop.add_fault("status_before", times=100, status=503)
    async with chat(configure(refund_approval="chat")) as client:
        unread, nothing = await on_card(client, asked["refund_id"])

    assert limited["status"] == unread["status"] == "needs_approval"
    assert "nonce" not in {**own, **nothing}


@pytest.mark.parametrize("shows", [True, False])
async def test_an_error_tells_the_card_what_happened_without_the_agents_next_step(
    configure: Configure, wanted: dict[str, Any], time: Time, *, shows: bool
) -> None:
    async with chat(configure(refund_approval="chat"), time=time, shows=shows) as client:
        asked = await call(client, "refund_order", **wanted)
        time.pass_by(73 * 60 * 60)
        result = await client.call_tool("check_refund", {"refund_id": asked["refund_id"]})

    happened = (
        f"No money was moved by refund {asked['refund_id']} of $7.00: it was not approved in time."
    )
    assert result.is_error
    assert f"check_refund failed. {happened} If it is still wanted, call refund_order" in str(result.content)  # fmt: skip
    assert (result.meta or {}).get(FOR_CARD) == ({"told": happened} if shows else None)


async def test_the_form_comes_first_where_the_host_has_one(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time, era: str
) -> None:
    async def puts_it_aside(*_: Any) -> ElicitResult:
        time.pass_by(3)
        return ElicitResult(action="cancel")

    settings = configure(refund_approval="chat")
    async with chat(settings, era, time, elicitation_callback=puts_it_aside) as client:
        asked = await call(client, "refund_order", **wanted)
        answer, own = await on_card(client, asked["refund_id"])
        time.pass_by(2)
        done = await call(client, "decide_refund", **click(answer, own["nonce"]))

    assert "decide on the card here" in asked["next_step"]
    assert done["decided_by"] == "person by card (chat)"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_host_without_cards_has_no_tool_for_them_and_no_nonce(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    async with chat(configure(refund_approval="chat"), era, shows=False) as client:
        tools = (await client.list_tools()).tools
        addresses = [str(each.uri) for each in (await client.list_resources()).resources]
        asked = await call(client, "refund_order", **wanted)
        _, own = await on_card(client, asked["refund_id"])
        clicked = shown(asked) | {"approve": True, "nonce": "x"}
        said = str((await client.call_tool("decide_refund", clicked)).content)

    assert FOR_CARDS.name not in {tool.name for tool in tools}
    assert ADDRESS not in addresses
    assert own == {}
    assert "card" not in asked["next_step"]
    assert "decide_refund works only from a refund's card, in a host that shows one. Nothing was done." in said  # fmt: skip
    assert posts(shop) == []


async def test_a_host_with_cards_is_told_of_the_card(configure: Configure, era: str) -> None:
    async with chat(configure(refund_approval="chat"), era) as client:
        tools = {each.name: each for each in (await client.list_tools()).tools}
        (listed,) = [
            each for each in (await client.list_resources()).resources if each.uri == ADDRESS
        ]
        (card,) = (await client.read_resource(ADDRESS)).contents
        extensions = (client.server_capabilities or {}).extensions  # type: ignore[union-attr]

    assert extensions == {EXTENSION: {}, skills.EXTENSION: {}}
    assert {name for name, tool in tools.items() if tool.meta} == {
        "refund_order", "check_refund", "decide_refund",
    }  # fmt: skip
    for name in ("refund_order", "check_refund"):
        assert tools[name].meta == {"ui": {"resourceUri": ADDRESS}, "ui/resourceUri": ADDRESS}
    buttons = tools["decide_refund"]
    assert buttons.meta == {"ui": {"resourceUri": ADDRESS, "visibility": ["app"]}}
    assert listed.mime_type == card.mime_type == MIME_TYPE
    assert listed.meta == card.meta == {"ui": {"prefersBorder": True}}
    assert isinstance(card, TextResourceContents)
    assert "innerHTML" not in card.text
    assert "http://" not in card.text.replace("http://www.w3.org", "")
    dumped = buttons.model_dump(mode="json", by_alias=True, exclude_none=True)
    read = {key: dumped[key] for key in ("name", "description", "inputSchema")}
    assert len(json.dumps(read, ensure_ascii=False, separators=(",", ":")).encode()) <= LARGEST


async def test_a_read_only_server_shows_the_card_and_decides_nothing(
    configure: Configure, wanted: dict[str, Any]
) -> None:
    async with chat(configure(refund_approval="chat")) as client:
        asked = await call(client, "refund_order", **wanted)
    async with chat(configure(refund_approval="chat", read_only=True)) as client:
        tools = {each.name for each in (await client.list_tools()).tools}
        answer, own = await on_card(client, asked["refund_id"])
        said = str((await client.call_tool("decide_refund", {})).content)

    assert FOR_CARDS.name not in tools
    assert (answer["status"], "nonce" in own) == ("needs_approval", False)
    assert "decide_refund is not offered: this server is read-only" in said


async def test_where_the_settings_cannot_be_used_a_click_says_so() -> None:
    async with chat(SetupError("The key is missing.", next_step="Set it.")) as client:
        said = await failure(client, "decide_refund", refund_id="rfi_1", revision=1)

    assert "Nothing was done. The key is missing. Set it." in said


@pytest.mark.parametrize(
    "extensions",
    [
        None, [], {}, {EXTENSION: None}, {EXTENSION: {}}, {EXTENSION: {"mimeTypes": MIME_TYPE}},
        {EXTENSION: {"mimeTypes": ["text/html"]}}, {"other": {"mimeTypes": [MIME_TYPE]}},
    ],
)  # fmt: skip
def test_nothing_but_the_exact_kind_counts(extensions: object) -> None:
    assert not shows_cards(extensions)
    assert shows_cards(CARDS)


@pytest.mark.slow
@pytest.mark.parametrize("era", with_slow(["modern", "2025-11-25"], ["2024-11-05"]))
@pytest.mark.parametrize("shows", [True, False])
async def test_a_process_of_its_own_does_the_same(
    live: dict[str, str], shop: Shop, wanted: dict[str, Any], era: str, shows: bool
) -> None:
    """A whole process, whose early answers have to be the SDK's: otherwise it ends itself."""
    able = {"extensions": CARDS} if shows else {}
    envelope: dict[str, Any] = {}
    with hosting(**live | {"CLAWVER_REFUND_APPROVAL": "chat"}) as process:
        if era == "modern":
            about = "io.modelcontextprotocol/clientCapabilities"
            envelope = {"_meta": MODERN["_meta"] | {about: able}}
            hello = process.ask(1, "server/discover", **envelope)["result"]
        else:
            greeting = INITIALIZE | {"protocolVersion": era, "capabilities": able}
            hello = process.ask(1, "initialize", **greeting)["result"]
            process.say({"method": "notifications/initialized"})
        early = process.ask(2, "tools/list", **envelope)["result"]["tools"]
        process.wait_until_loaded() if era != "modern" else None
        given = {"name": "refund_order", "arguments": wanted}
        asked = process.ask(3, "tools/call", **given, **envelope)["result"]["structuredContent"]
        given = {"name": "check_refund", "arguments": {"refund_id": asked["refund_id"]}}
        checked = process.ask(4, "tools/call", **given, **envelope)["result"]
        late = process.ask(5, "tools/list", **envelope)["result"]["tools"]

    assert hello["capabilities"]["extensions"] == {EXTENSION: {}, skills.EXTENSION: {}}
    assert early == late
    assert ("decide_refund" in {each["name"] for each in early}) == shows
    assert ("nonce" in checked.get("_meta", {}).get(FOR_CARD, {})) == shows
    assert posts(shop) == []
