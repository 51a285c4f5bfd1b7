"""The page in the browser, where a person decides what a form is not enough for, in both protocol eras."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import (
    CallToolRequestParams,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    ErrorData,
)
from tests.conftest import Configure
from tests.hosts import INITIALIZE, hosting
from tests.refunds.room import Terminal
from tests.tools.test_refunds import given_back, posts
from tests.tools.test_tools import call
from tests.web.visitor import PIN, decide

from clawver_orders.caller import Reply
from clawver_orders.errors import SetupError
from clawver_orders.services import PageOf, Services, opened
from clawver_orders.serving.elicitation import HostCaller
from clawver_orders.serving.page import page_of
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_orders.storage import pin
from clawver_orders.tools import approving
from clawver_sandbox.shop import Shop

ACCEPT, DECLINE, CANCEL = (ElicitResult(action=each) for each in ("accept", "decline", "cancel"))


class AtTheBrowser:
    """A person whose host opens the page; they sign in there and decide, or don't."""

    def __init__(
        self, presses: str = "", said: ElicitResult | ErrorData = ACCEPT, **fields: str
    ) -> None:
        self.presses = presses
        self.said = said
        self.fields = fields
        self.asked: list[Any] = []

    async def answer(
        self,
        context: ClientRequestContext,  # noqa: ARG002  # the protocol's
        params: ElicitRequestParams,
    ) -> ElicitResult | ErrorData:
        self.asked.append(params)
        if self.presses:
            assert isinstance(params, ElicitRequestURLParams)
            await decide(params.url, self.presses, **self.fields)
        return self.said


@pytest.fixture(autouse=True)
def hashing_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pin._COSTS, "n", 2)


@pytest.fixture
def wanted(shop: Shop) -> dict[str, Any]:
    sale = shop.sell(total_in_cents=2499)["id"]
    return {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}


@asynccontextmanager
async def host(
    settings: Settings, era: str, person: AtTheBrowser | None, page: PageOf = page_of
) -> AsyncIterator[Client]:
    """A client of a server that can start the page, for a store with a PIN."""
    async with opened(settings) as services:
        kept = (await services.store()).pin
        if not kept.is_set:
            kept.set(PIN, None)
    server = build_server(settings, page=page)
    async with Client(
        server, mode=era, elicitation_callback=person.answer if person else None
    ) as client:
        yield client


async def test_a_person_decides_on_the_page_that_the_host_opened(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    person = AtTheBrowser("approve")
    async with host(configure(refund_approval="console"), era, person) as client:
        answer = await call(client, "refund_order", **wanted)

    (asked,) = person.asked
    assert isinstance(asked, ElicitRequestURLParams)
    assert "$7.00 on order" in asked.message
    assert "example" not in asked.url
    assert wanted["order_id"] not in asked.url
    assert (answer["status"], answer["decided_by"]) == ("refunded", "person on the page (console)")
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_only_the_pin_that_is_typed_for_it_is_enough_where_it_is_needed(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    person = AtTheBrowser("approve", pin=PIN)
    async with host(configure(refund_approval="pin"), era, person) as client:
        answer = await call(client, "refund_order", **wanted)

    assert (answer["status"], answer["decided_by"]) == ("refunded", "person on the page (pin)")
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_decline_on_the_page_ends_it(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    async with host(configure(refund_approval="console"), era, AtTheBrowser("decline")) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["status"] == "declined"
    assert posts(shop) == []


@pytest.mark.parametrize("said", [ACCEPT, DECLINE, CANCEL], ids=lambda said: str(said.action))
async def test_what_a_host_says_about_the_page_approves_nothing(
    configure: Configure,
    shop: Shop,
    wanted: dict[str, Any],
    era: str,
    said: ElicitResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(approving, "WAIT_FOR_DECISION_SECONDS", 0.3)
    person = AtTheBrowser(said=said)
    async with host(configure(refund_approval="console"), era, person) as client:
        answer = await call(client, "refund_order", **wanted)
        later = await call(client, "check_refund", refund_id=answer["refund_id"])

    assert len(person.asked) == 1
    assert (answer["status"], answer["needs"]) == ("needs_approval", "console")
    assert answer["approve_at"].endswith(f"/refund/{answer['refund_id']}")
    assert f"open {answer['approve_at']}, or run in a terminal: " in answer["next_step"]
    assert later["status"] == "needs_approval"
    assert posts(shop) == []


async def test_a_host_that_shows_nothing_gives_the_agent_the_link(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    async with host(configure(refund_approval="chat"), era, None) as client:
        answer = await call(client, "refund_order", **wanted)
        await decide(answer["approve_at"], "approve")
        later = await call(client, "check_refund", refund_id=answer["refund_id"])

    assert answer["status"] == "needs_approval"
    assert (later["status"], later["decided_by"]) == ("refunded", "person on the page (console)")
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_the_page_does_not_follow_a_form_that_was_put_aside(
    configure: Configure, wanted: dict[str, Any], era: str
) -> None:
    person = AtTheBrowser(said=CANCEL)
    async with host(configure(refund_approval="chat"), era, person) as client:
        answer = await call(client, "refund_order", **wanted)

    assert [each.mode for each in person.asked] == ["form"]
    assert answer["approve_at"] in answer["next_step"]


async def test_after_two_declines_no_host_is_asked_to_open_it(
    configure: Configure, wanted: dict[str, Any], era: str
) -> None:
    settings, person = configure(refund_approval="console"), AtTheBrowser("decline")
    async with host(settings, era, person) as client:
        for cents in (700, 600):
            await call(client, "refund_order", **wanted | {"amount_in_cents": cents})
        answer = await call(client, "refund_order", **wanted | {"amount_in_cents": 500})

    assert len(person.asked) == 2
    assert answer["approve_at"] in answer["next_step"]


async def test_no_page_is_started_where_an_agents_word_is_enough(
    configure: Configure, wanted: dict[str, Any], era: str
) -> None:
    async def never(services: Services, refund_id: str) -> str | None:
        raise AssertionError(services, refund_id)

    async with host(configure(refund_approval="agent"), era, None, never) as client:
        answer = await call(client, "refund_order", **wanted)

    assert "approve_at" not in answer


@pytest.mark.parametrize("fails", [True, False])
async def test_where_there_is_no_page_the_terminal_is_named(
    configure: Configure, wanted: dict[str, Any], era: str, fails: bool
) -> None:
    async def no_page(_: Services, __: str) -> str | None:
        if fails:
            raise SetupError("No port can be had.", next_step="Free one.")
        return None

    person = AtTheBrowser()
    async with host(configure(refund_approval="console"), era, person, no_page) as client:
        answer = await call(client, "refund_order", **wanted)

    assert person.asked == []
    assert "approve_at" not in answer
    assert (
        f"run in a terminal: `clawver-orders approve {answer['refund_id']}" in answer["next_step"]
    )


async def test_a_decision_that_comes_first_is_told(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    """Somebody approves in a terminal just before the host is asked."""

    async def approved_meanwhile(services: Services, path: str) -> str | None:
        await (await services.store()).desk.approve(
            path.removeprefix("refund/"), Terminal(Reply.YES)
        )
        return "http://127.0.0.1:1/refund"

    person = AtTheBrowser()
    async with host(
        configure(refund_approval="console"), era, person, approved_meanwhile
    ) as client:
        answer = await call(client, "refund_order", **wanted)

    assert person.asked == []
    assert answer["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_page_that_browsers_elsewhere_cannot_reach_is_not_offered(
    configure: Configure,
) -> None:
    away = configure(http_hosts=("orders.example",), http_token="example-token-of-a-test")
    async with opened(away) as services:
        assert await page_of(services, "refund/rfi_1") is None


ONLY_URL = INITIALIZE | {"capabilities": {"elicitation": {"url": {}}}}


async def test_a_host_that_only_opens_addresses_is_given_one(
    live: dict[str, str], shop: Shop, wanted: dict[str, Any]
) -> None:
    """A whole process, which starts the page inside itself."""
    chat = live | {"CLAWVER_REFUND_APPROVAL": "chat"}
    settings = Settings.from_environment(chat)
    async with opened(settings) as services:
        (await services.store()).pin.set(PIN, None)
    with hosting(**chat) as process:
        process.ask(1, "initialize", **ONLY_URL | {"protocolVersion": "2025-11-25"})
        process.say({"method": "notifications/initialized"})
        process.say(
            {
                "id": 2,
                "method": "tools/call",
                "params": {"name": "refund_order", "arguments": wanted},
            }
        )
        request = process.hear()
        assert request["method"] == "elicitation/create"
        assert request["params"]["mode"] == "url"
        await decide(request["params"]["url"], "approve")
        process.say({"id": request["id"], "result": {"action": "accept"}})
        heard = [process.hear(), process.hear()]

    (complete,) = [each for each in heard if each.get("method")]
    (answer,) = [each for each in heard if each.get("id") == 2]
    assert complete["method"] == "notifications/elicitation/complete"
    assert complete["params"]["elicitationId"] == request["params"]["elicitationId"]
    assert answer["result"]["structuredContent"]["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_host_that_cannot_open_it_gives_the_agent_the_link(
    configure: Configure, wanted: dict[str, Any]
) -> None:
    person = AtTheBrowser(said=ErrorData(code=-32603, message="no browser"))
    async with host(configure(refund_approval="console"), "legacy", person) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["approve_at"] in answer["next_step"]


def test_a_call_that_brings_no_answer_along_has_none() -> None:
    state = 'rfi_1#1#7@[0, 5.0, "one"]'
    params = CallToolRequestParams(name="refund_order", request_state=state)
    context: Any = None
    caller = HostCaller(context, params)

    assert (caller.answered, caller.answered_number) == ("rfi_1", 7)
    assert caller.reply_to("rfi_1") is None
    assert caller.reply_to("rfi_2") is None
