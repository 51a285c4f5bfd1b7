"""A person can say no. What the store recorded is the judge of what was sent."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import anyio
import mcp_types
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.server import request_state
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    ListRootsResult,
)
from tests.amending import amend
from tests.conftest import Configure, with_slow
from tests.refunds.book import START
from tests.tools.test_refunds import Time, given_back, given_up, posts
from tests.tools.test_tools import call, failure, one_order, shown

from clawver_orders.caller import Grade, Question, Reply, Script
from clawver_orders.instants import Instant
from clawver_orders.services import opened
from clawver_orders.serving.elicitation import HostCaller, QuestionPending
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop


class Asked:
    """A person who is asked through the host, answers as told, and remembers the questions."""

    def __init__(self, *answers: ElicitResult | ErrorData) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    async def __call__(
        self, _: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult | ErrorData:
        self.questions.append(params.message)
        return self.answers.pop(0)


YES = ElicitResult(action="accept", content={"approve": True})
NO = ElicitResult(action="accept", content={"approve": False})
DECLINE = ElicitResult(action="decline")
CANCEL = ElicitResult(action="cancel")
MALFORMED = [
    ElicitResult(action="accept"),
    ElicitResult(action="accept", content={"approve": "maybe"}),
    ElicitResult(action="accept", content={"approve": 1}),
    ElicitResult(action="accept", content={"other": True}),
]


@pytest.fixture
def time() -> Time:
    return Time()


@asynccontextmanager
async def host(
    settings: Settings,
    era: str = "auto",
    person: Any = None,
    time: Time | None = None,
    *,
    patience: float = 60.0,
    thinks: float = 4.0,
) -> AsyncIterator[Client]:
    """A client of a server, behind which a person takes some seconds for each answer."""
    clock = time or Time()

    async def thinking(context: ClientRequestContext, params: ElicitRequestParams) -> Any:
        answer = await person(context, params)
        clock.pass_by(thinks)
        return answer

    server = build_server(
        settings,
        answer_within_seconds=patience,
        now=lambda: clock.at,
        uptime=lambda: clock.up,
    )
    async with Client(
        server,
        mode=era,
        elicitation_callback=person and thinking,
        client_info=mcp_types.Implementation(name="Test host\x1b[31m", version="7"),
    ) as client:
        yield client


@pytest.fixture
def wanted(shop: Shop) -> dict[str, Any]:
    sale = shop.sell(total_in_cents=2499)["id"]
    return {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}


async def trail(settings: Settings) -> list[tuple[str, str, str]]:
    async with opened(settings) as services:
        (wish,) = await (await services.store()).ledger.latest(1000)
        history = await (await services.store()).ledger.history(wish.refund_id)
    return [(event.event, event.who, event.detail) for event in history]


async def test_a_yes_sends_at_once_and_is_written_down(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings, person = configure(refund_approval="agent"), Asked(YES)
    async with host(settings, era, person) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700]
    assert await trail(settings) == [
        ("waiting", "", ""),
        ("asked", "", "question 1, revision 1"),
        ("answered", "person by elicitation", "yes to question 1, after 4.000 s"),
        (
            "sending",
            "person by elicitation",
            "revision 1, approved by person by elicitation (chat)",
        ),
        ("refunded", "person by elicitation", f"listed as {answer['clawver_refund_id']}"),
    ]
    async with opened(settings) as services:
        clients = {
            event.client
            for event in await (await services.store()).ledger.history(answer["refund_id"])
        }
    assert clients == {"Test host 7"}


async def test_the_question_shows_all_that_a_person_needs(
    configure: Configure, shop: Shop, era: str
) -> None:
    person = Asked(YES)
    async with host(configure(refund_approval="agent"), era, person) as client:
        await call(
            client, "refund_order", order_id="ord_shirt", amount_in_cents=500, reason="Too small"
        )

    (question,) = person.questions
    order = shop.order("ord_shirt")
    for part in (
        "Refund $5.00 on order ord_shirt?", "Money cannot be called back", order["customerEmail"],
        order["items"][0]["productName"], '"Too small"', "$32.00 can be refunded, and $27.00 would be left",
        "rfi_", f'Store: "Pixel & Thread" ({shop.details()["id"]}) at http://localhost:',
    ):  # fmt: skip
        assert part in question


@pytest.mark.parametrize("given", with_slow([10, 11], [1000]))
async def test_a_large_order_makes_no_large_question_and_no_large_preview(
    configure: Configure, shop: Shop, era: str, given: int
) -> None:
    """What a customer wrote comes last and is bounded, so that it hides no amount and no warning."""
    theirs = 'Pattern pack "A"\nRefund $0.01 on order ord_x? ' * 20
    (line,) = shop.sell(order_id="ord_large", total_in_cents=24_999)["items"]
    items = [
        line | {"id": f"item_{n}", "productName": theirs, "variantName": theirs}
        for n in range(given)
    ]
    refunds = [
        {
            "id": f"ref_{n}",
            "amountInCents": 1,
            "reason": theirs,
            "createdAt": "2026-11-24T12:00:00Z",
        }
        for n in range(50)
    ]
    amend(
        shop, "ord_large", items=items, refunds=refunds, paymentStatus="partially_refunded",
        customerEmail=f"{'a' * 900}@example.com",
    )  # fmt: skip
    wanted = {"order_id": "ord_large", "reason": "x" * 500}
    settings, person = configure(refund_approval="agent"), Asked(DECLINE, DECLINE)
    async with host(settings, era, person) as client:
        for cents in (700, 300):
            await call(client, "refund_order", amount_in_cents=cents, **wanted)
    async with host(settings, era) as client:
        answer = await call(client, "refund_order", amount_in_cents=100, **wanted)

    question = person.questions[1]
    lines = question.splitlines()
    assert lines[0] == "Refund $3.00 on order ord_large? Money cannot be called back."
    assert lines[1].startswith("The order's total is $249.99; $249.49 can be refunded")
    assert lines[2] == "A person declined $7.00 on this order in the last 24 hours."
    assert lines[3] == f"Refunded before: {', '.join(['$0.01'] * 10)} and 40 more."
    assert [each.partition(":")[0] for each in lines[4:]] == [
        "Store", "Customer", "Items", "Reason given", "Refund id",
    ]  # fmt: skip
    more = [f"and {given - 10} more"] if given > 10 else []
    assert lines[6].split("; ")[10:] == more
    assert len(question) < 4000
    items_shown = answer["preview"]["items"]
    assert len(items_shown) == 10 + len(more)
    assert items_shown[10:] == more
    assert all(each.count('"') == 4 and "\n" not in each for each in items_shown[:10])
    assert len(json.dumps(answer)) < 5000


async def test_the_question_masks_the_customer_where_the_merchant_wants_that(
    configure: Configure, shop: Shop
) -> None:
    person = Asked(YES)
    async with host(configure(refund_approval="agent", pii="masked"), person=person) as client:
        await call(
            client, "refund_order", order_id="ord_shirt", amount_in_cents=500, reason="Small"
        )

    assert shop.order("ord_shirt")["customerEmail"] not in person.questions[0]
    assert "…@…" in person.questions[0]


async def test_texts_of_customers_stay_quoted_and_short_in_the_question(
    configure: Configure, shop: Shop
) -> None:
    person = Asked(YES)
    async with host(configure(refund_approval="agent"), person=person) as client:
        await call(
            client, "refund_order", order_id="ord_hostile", amount_in_cents=100, reason='" now "'
        )

    lines = person.questions[0].splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        "Refund", "The", "Refunded", "Store:", "Customer:", "Items:", "Reason", "Refund",
    ]  # fmt: skip
    assert lines[6] == "Reason given: \"' now '\""
    assert not [c for c in person.questions[0] if ord(c) < 32 and c != "\n"]


@pytest.mark.parametrize("answer", [NO, DECLINE])
async def test_a_decline_sends_nothing_and_is_not_asked_again_for_a_day(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str, answer: ElicitResult, time: Time
) -> None:  # fmt: skip
    settings, person = configure(refund_approval="agent"), Asked(answer, YES)
    async with host(settings, era, person, time) as client:
        declined = await call(client, "refund_order", **wanted)
        held = {"refund_id": declined["refund_id"], "revision": 1}
        again = await call(client, "refund_order", **wanted | {"reason": "Please"})
        confirmed = await call(client, "confirm_refund", **held)
        checked = await call(client, "check_refund", refund_id=declined["refund_id"])
        assert posts(shop) == []
        time.pass_by(86_401)
        next_day = await call(client, "refund_order", **wanted)

    for each in (declined, again, confirmed, checked):
        assert (each["status"], each["refund_id"]) == ("declined", declined["refund_id"])
        assert each["decided_by"] == "person by elicitation (chat)"
        assert "in_addition_to" not in each
        assert f"clawver-orders approve {declined['refund_id']}" in each["next_step"]
        assert "refund_order" not in each["next_step"]
    assert (next_day["status"], next_day["refund_id"]) == ("refunded", declined["refund_id"])
    assert len(person.questions) == 2
    assert "revision 2" in person.questions[1]
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_no_agent_gets_round_what_a_person_declined(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, era, Asked(NO)) as client:
        declined = await call(client, "refund_order", **wanted)
    on_top = {"in_addition_to": [declined["refund_id"]]}
    async with host(settings, era) as client:
        again = await call(client, "refund_order", **wanted)
        named = await failure(client, "refund_order", **wanted, **on_top)
        less = await call(client, "refund_order", **wanted | {"amount_in_cents": 699})
        confirmed = await call(client, "confirm_refund", **shown(less))

    assert again["status"] == "declined"
    assert "carries no refund of $7.00 that this one could be in addition to" in named
    assert less["status"] == confirmed["status"] == "needs_approval"
    assert "Only a person can approve" in confirmed["next_step"]
    assert posts(shop) == []


async def test_another_amount_is_asked_about_and_the_decline_is_named(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    person = Asked(DECLINE, YES)
    async with host(configure(refund_approval="agent"), era, person) as client:
        await call(client, "refund_order", **wanted)
        less = await call(client, "refund_order", **wanted | {"amount_in_cents": 300})

    assert less["status"] == "refunded"
    lines = person.questions[1].splitlines()
    assert lines[2] == "A person declined $7.00 on this order in the last 24 hours."
    assert lines[3].startswith("Store: ")


async def test_after_two_declines_no_form_asks_about_the_order(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    person = Asked(DECLINE, DECLINE)
    async with host(configure(refund_approval="agent"), era, person) as client:
        for cents in (700, 300):
            await call(client, "refund_order", **wanted | {"amount_in_cents": cents})
        third = await call(client, "refund_order", **wanted | {"amount_in_cents": 100})
        confirmed = await call(client, "confirm_refund", **shown(third))

    assert len(person.questions) == 2
    for each in (third, confirmed):
        assert each["status"] == "needs_approval"
        assert f"clawver-orders approve {third['refund_id']}" in each["next_step"]
    assert posts(shop) == []


async def test_what_a_person_declined_and_then_approved_is_told_as_refunded(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, person=Asked(NO)) as client:
        declined = await call(client, "refund_order", **wanted)
        async with opened(settings) as services:
            await (await services.store()).desk.approve(declined["refund_id"], AtTheTerminal())
        again = await call(client, "refund_order", **wanted)

    assert (again["status"], again["refund_id"]) == ("already_refunded", declined["refund_id"])
    assert again["in_addition_to"] == [again["clawver_refund_id"]]
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_dismissed_question_sends_nothing_and_is_asked_anew(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    person = Asked(CANCEL, CANCEL, YES)
    async with host(configure(refund_approval="agent"), era, person) as client:
        dismissed = await call(client, "refund_order", **wanted)
        confirmed = await call(client, "confirm_refund", **shown(dismissed))
        assert posts(shop) == []
        again = await call(client, "refund_order", **wanted)

    assert dismissed["status"] == confirmed["status"] == "needs_approval"
    assert again["status"] == "refunded"
    assert dismissed["refund_id"] == confirmed["refund_id"] == again["refund_id"]


async def test_a_host_that_claims_to_ask_and_fails_sends_nothing(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    refusal = ErrorData(code=-32601, message="no such method")
    async with host(configure(refund_approval="agent"), "legacy", Asked(refusal)) as client:
        asked = await call(client, "refund_order", **wanted)
        assert posts(shop) == []
        confirmed = await call(client, "confirm_refund", **shown(asked))

    assert asked["status"] == "needs_approval"
    assert confirmed["status"] == "refunded"


async def test_a_host_that_fails_before_it_comes_back_has_sent_nothing(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    refusal = ErrorData(code=-32601, message="no such method")
    settings = configure(refund_approval="agent")
    time.up = 30.0  # how long the machine is up says nothing about a refund that was not sent
    async with host(settings, "auto", Asked(refusal, refusal), time) as client:
        with pytest.raises(MCPError):
            await client.call_tool("refund_order", wanted)
        waiting = await call(client, "refund_order", **wanted)
        eager = await call(client, "confirm_refund", refund_id=waiting["refund_id"], revision=1)
        assert posts(shop) == []
        time.pass_by(121)
        confirmed = {"refund_id": waiting["refund_id"], "revision": 1}
        with pytest.raises(MCPError):  # it is asked again; nobody else becomes the one who approves
            await client.call_tool("confirm_refund", confirmed)

    assert waiting["status"] == eager["status"] == "busy"
    assert waiting["check_after_seconds"] == 15
    assert "a person is being asked" in waiting["message"]
    # Waiting is looking: an agent that only does as told must not end up approving by itself.
    assert f"check_refund with refund_id {waiting['refund_id']}" in waiting["next_step"]
    assert "confirm_refund" not in waiting["next_step"]
    assert f"clawver-orders approve {waiting['refund_id']}" in waiting["next_step"]
    assert posts(shop) == []


async def test_a_host_that_never_answers_is_waited_for_in_bounds(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async def silent(*_: Any) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    settings = configure(refund_approval="agent")
    async with host(settings, "legacy", silent, patience=0.2) as client:
        with anyio.fail_after(20):
            asked = await call(client, "refund_order", **wanted)
            again = await call(client, "confirm_refund", **shown(asked))

    assert asked["status"] == "needs_approval"
    assert again["status"] == "needs_approval"
    assert given_back(shop, wanted["order_id"]) == []


async def test_where_nobody_can_be_asked_an_agent_confirms_once(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, era) as client:
        asked = await call(client, "refund_order", **wanted)
        same = await call(client, "refund_order", **wanted)
        assert posts(shop) == []
        sent = await call(client, "confirm_refund", **shown(asked))
        again = await call(client, "confirm_refund", **shown(asked))

    order = shop.order(wanted["order_id"])
    assert asked["status"] == "needs_approval"
    assert same["refund_id"] == asked["refund_id"]
    assert asked["preview"]["customer"] == order["customerEmail"]
    assert asked["preview"]["left_after"] == "$17.99"
    assert asked["preview"]["reason"] == "Smudged"
    assert sent["status"] == again["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700]
    assert (asked["revision"], same["revision"]) == (1, 1)
    by_agent = "agent by confirm_refund", "revision 1, approved by agent by confirm_refund (agent)"
    assert ("sending", *by_agent) in await trail(settings)


async def test_only_a_person_approves_where_the_merchant_wants_that(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="chat")
    async with host(settings, era) as client:
        asked = await call(client, "refund_order", **wanted)
        confirmed = await client.call_tool("confirm_refund", shown(asked))
    assert (asked["status"], asked["needs"]) == ("needs_approval", "chat")
    assert f"clawver-orders approve {asked['refund_id']}" in asked["next_step"]
    assert "confirm_refund" not in asked["next_step"]
    assert confirmed.is_error
    assert "it can approve nothing here" in getattr(confirmed.content[0], "text", "")
    assert posts(shop) == []

    for unusable in (MALFORMED[0], CANCEL):
        async with host(settings, era, Asked(unusable)) as client:
            again = await call(client, "refund_order", **wanted)
        assert again["status"] == "needs_approval"
    assert posts(shop) == []


@dataclass(frozen=True)
class AtTheTerminal(Script):
    """A person who says yes in a terminal."""

    is_person: bool = True
    can_ask: bool = True
    person: str = "person in the terminal"
    grade: Grade = "console"
    channel: str = "terminal"

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002  # the answer is known
        return Reply.YES


@pytest.mark.parametrize("answer", [MALFORMED[0], ErrorData(code=-32601, message="no such method")])
async def test_a_person_approves_in_the_terminal_what_a_host_failed_to_ask(
    configure: Configure, shop: Shop, wanted: dict[str, Any], answer: Any
) -> None:
    settings = configure(refund_approval="chat")
    async with host(settings, "auto", Asked(answer)) as client:
        with suppress(MCPError):
            await client.call_tool("refund_order", wanted)
    async with opened(settings) as services:
        (wish,) = await (await services.store()).ledger.latest(1000)
        outcome = await (await services.store()).desk.approve(wish.refund_id, AtTheTerminal())

    assert outcome.status == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_no_that_comes_after_the_money_went_tells_how_it_stands(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    settings = configure(refund_approval="agent")

    async def slow(*_: Any) -> ElicitResult:
        async with opened(settings) as services:
            (wish,) = await (await services.store()).ledger.latest(1000)
            await (await services.store()).desk.approve(wish.refund_id, AtTheTerminal())
        return NO

    async with host(settings, "legacy", slow) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_person_approves_through_the_host_where_only_persons_may(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="chat")
    async with host(settings, era) as client:
        asked = await call(client, "refund_order", **wanted)
    async with host(settings, era, Asked(YES)) as client:
        sent = await call(client, "refund_order", **wanted)

    assert sent["refund_id"] == asked["refund_id"]
    assert (sent["status"], sent["decided_by"]) == ("refunded", "person by elicitation (chat)")
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_after_not_recorded_only_a_person_can_let_it_try_again(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    async with host(configure(refund_approval="off"), time=time) as client:
        lost = await given_up(client, shop, time, **wanted)
    further = wanted | {"in_addition_to": lost["in_addition_to"]}
    settings = configure(refund_approval="agent")
    async with host(settings, time=time) as client:
        asked = await call(client, "refund_order", **further)
        confirmed = await call(client, "confirm_refund", **shown(asked))
    assert asked["status"] == confirmed["status"] == "needs_approval"
    assert "Only a person can approve" in confirmed["next_step"]
    assert len(posts(shop)) == 1

    person = Asked(YES)
    async with host(settings, person=person, time=time) as client:
        sent = await call(client, "confirm_refund", **shown(asked))

    assert sent["status"] == "refunded"
    assert lost["refund_id"] in person.questions[0]


async def test_a_confirmation_of_an_old_revision_opens_nothing_and_shows_the_current_one(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    async with host(configure(refund_approval="agent"), era) as client:
        asked = await call(client, "refund_order", **wanted)
        shop.refund(wanted["order_id"], 100, "Somebody else")
        changed = await call(client, "confirm_refund", **shown(asked))
        old = await call(client, "confirm_refund", **shown(asked))
        made_up = await call(client, "confirm_refund", **shown(asked) | {"revision": 3})
        assert posts(shop) == []
        sent = await call(client, "confirm_refund", **shown(changed))

    for each in (changed, old, made_up):
        assert each["status"] == "needs_approval"
        assert shown(each) == {"refund_id": asked["refund_id"], "revision": 2}
        assert each["message"].startswith("That preview no longer holds. No money was moved")
        assert each["preview"]["refundable"] == "$23.99"
        assert f"refund_id {asked['refund_id']} and revision 2" in each["next_step"]
    assert (sent["status"], sent["refund_id"]) == ("refunded", asked["refund_id"])


async def test_nobody_confirms_a_revision_before_it_was_shown(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    async with host(configure(refund_approval="agent"), era) as client:
        asked = await call(client, "refund_order", **wanted)
        shop.refund(wanted["order_id"], 100, "Somebody else")
        guessed = await call(client, "confirm_refund", **shown(asked) | {"revision": 2})
        assert posts(shop) == []
        sent = await call(client, "confirm_refund", **shown(guessed))

    assert (guessed["status"], guessed["revision"]) == ("needs_approval", 2)
    assert sent["status"] == "refunded"


async def test_a_preview_that_became_a_repeat_is_not_sent(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with host(configure(refund_approval="agent")) as client:
        asked = await call(client, "refund_order", **wanted)
        shop.refund(wanted["order_id"], 700, "Somebody else")
        confirmed = await call(client, "confirm_refund", **shown(asked))

    assert confirmed["status"] == "already_refunded"
    assert posts(shop) == []


async def test_a_preview_can_be_confirmed_for_fifteen_minutes_and_waits_for_three_days(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time
) -> None:
    async with host(configure(refund_approval="agent"), time=time) as client:
        asked = await call(client, "refund_order", **wanted)
        check = {"refund_id": asked["refund_id"]}
        time.pass_by(15 * 60)
        waits = await call(client, "check_refund", **check)
        late = await call(client, "confirm_refund", **shown(asked))
        assert posts(shop) == []
        time.pass_by(72 * 3600)
        gone = await failure(client, "check_refund", **check)
        expired = await call(client, "confirm_refund", **shown(late))
        assert posts(shop) == []
        time.pass_by(15 * 60 - 1)
        sent = await call(client, "confirm_refund", **shown(expired))

    assert waits["status"] == "needs_approval"
    assert (late["status"], shown(late)) == ("needs_approval", shown(asked))
    assert late["preview"] == asked["preview"]
    assert "was not approved in time" in gone
    assert (expired["status"], expired["refund_id"]) == ("needs_approval", asked["refund_id"])
    assert expired["revision"] == 2
    assert sent["status"] == "refunded"


async def test_a_yes_to_a_question_that_the_order_has_outrun_opens_nothing(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    """A host that is asked within the call gets the current preview; a later one is asked again."""
    questions: list[str] = []

    async def person(_: object, params: ElicitRequestParams) -> ElicitResult:
        questions.append(params.message)
        if len(questions) == 1:
            shop.refund(wanted["order_id"], 100, "Somebody else")
            return YES
        return DECLINE

    async with host(configure(refund_approval="agent"), era, person) as client:
        answer = await call(client, "refund_order", **wanted)
    assert posts(shop) == []

    assert "$24.99 can be refunded" in questions[0]
    if era == "auto":
        assert answer["status"] == "declined"
        assert "$23.99 can be refunded" in questions[1]
        assert "revision 2" in questions[1]
    else:
        assert (answer["status"], answer["revision"]) == ("needs_approval", 2)
        assert answer["preview"]["refundable"] == "$23.99"
        assert len(questions) == 1


async def test_a_sealed_yes_to_an_old_revision_opens_nothing_however_often_it_comes(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with host(configure(refund_approval="agent"), person=Asked()) as client:
        first = await client.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        shop.refund(wanted["order_id"], 100, "Somebody else")
        states = [first.request_state]
        for _ in range(2):
            asked = await client.session.call_tool(
                "refund_order", wanted, input_responses={refund_id: YES},
                request_state=states[0], allow_input_required=True,
            )  # fmt: skip
            if isinstance(asked, InputRequiredResult):
                states.append(asked.request_state)
        assert posts(shop) == []
        sent = await client.session.call_tool(
            "refund_order", wanted, input_responses={refund_id: YES}, request_state=states[-1]
        )

    assert len(set(states)) > 1
    assert sent.structured_content is not None
    assert sent.structured_content["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [100, 700]


@pytest.mark.parametrize(("number", "revision"), [(7, 3), (1764000000, 0)])
def test_the_state_of_a_question_says_which_one_it_was_and_when(number: int, revision: int) -> None:
    question = Question("rfi_1", "?", "Yes", "Yes or no", number, revision)
    state = QuestionPending(question, Instant(START, 12.5, "one")).result().request_state
    context: Any = SimpleNamespace()
    call = CallToolRequestParams(name="x", request_state=state)

    caller = HostCaller(context, call, now=lambda: Instant(START, 16.5, "one"))

    assert caller.answered == "rfi_1"
    assert (caller.answered_number, caller.answered_revision) == (number, revision)
    assert caller.answered_after_seconds == 4.0


@pytest.mark.parametrize(
    ("seconds", "uptime", "reply"),
    [(4.0, 1e6, Reply.YES), (4.0, 12.6, Reply.YES), (4.0, 3.0, Reply.YES), (0.2, 1e6, Reply.HOST_YES), (-5.0, 1e6, Reply.HOST_YES)],
)  # fmt: skip
def test_another_machine_knows_by_the_shared_clock_how_long_an_answer_took(
    seconds: float, uptime: float, reply: Reply
) -> None:
    question = Question("rfi_1", "?", "Yes", "Yes or no", 7, 1)
    state = QuestionPending(question, Instant(START, 12.5, "one")).result().request_state
    context: Any = SimpleNamespace()
    call = CallToolRequestParams(name="x", request_state=state, input_responses={"rfi_1": YES})
    then = Instant(START + timedelta(seconds=seconds), uptime, "another")

    caller = HostCaller(context, call, now=lambda: then)

    assert caller.reply_to("rfi_1") is reply
    assert caller.answered_after_seconds == seconds


async def test_a_refund_made_while_the_person_thinks_is_not_made_twice(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async def slow(*_: Any) -> ElicitResult:
        shop.refund(wanted["order_id"], 700, "Somebody else")
        return YES

    async with host(configure(refund_approval="agent"), "legacy", slow) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["status"] == "already_refunded"
    assert posts(shop) == []


async def test_a_refund_that_went_another_way_while_the_person_thinks_is_sent_once(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    inner: list[dict[str, Any]] = []

    async def slow(*_: Any) -> ElicitResult:
        async with host(configure(refund_approval="off"), "legacy") as other:
            inner.append(await call(other, "refund_order", **wanted))
        return YES

    async with host(configure(refund_approval="agent"), "legacy", slow) as client:
        answer = await call(client, "refund_order", **wanted)

    assert inner[0]["status"] == "refunded"
    assert (answer["status"], answer["refund_id"]) == ("already_refunded", inner[0]["refund_id"])
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_replayed_round_sends_nothing_twice(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, person=Asked()) as client:
        first = await client.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, mcp_types.InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        answers: dict[str, Any] = {refund_id: YES}
        rounds = [
            await client.session.call_tool(
                "refund_order", wanted, input_responses=answers, request_state=first.request_state
            )
            for _ in range(3)
        ]

    statuses = [result.structured_content["status"] for result in rounds]
    assert statuses == ["refunded", "already_refunded", "already_refunded"]
    assert given_back(shop, wanted["order_id"]) == [700]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_any_process_hears_the_answer_where_the_key_can_be_kept_and_else_whoever_asked(
    configure: Configure, shop: Shop, wanted: dict[str, Any], is_kept: bool
) -> None:
    settings = configure(refund_approval="agent")
    if not is_kept:
        (settings.key_dir / "questions.key").mkdir(parents=True)
        settings.key_dir.chmod(0o700)
    async with host(settings, person=Asked()) as one, host(settings, person=Asked()) as another:
        first = await one.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, mcp_types.InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        reply: dict[str, Any] = {
            "input_responses": {refund_id: YES},
            "request_state": first.request_state,
        }
        if not is_kept:
            with pytest.raises(MCPError, match="Invalid or expired requestState"):
                await another.session.call_tool("refund_order", wanted, **reply)
            assert posts(shop) == []
        hearing = another if is_kept else one
        result = await hearing.session.call_tool("refund_order", wanted, **reply)

    assert result.structured_content is not None
    assert result.structured_content["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700]


@pytest.mark.parametrize(
    ("answer", "minutes", "status"),
    [(YES, 14, "refunded"), (DECLINE, 14, "declined"), (DECLINE, 23 * 60, "declined")],
)
async def test_an_answer_is_heard_as_long_as_it_can_matter(
    configure: Configure, shop: Shop, wanted: dict[str, Any], time: Time,
    monkeypatch: pytest.MonkeyPatch, answer: ElicitResult, minutes: int, status: str,
) -> None:  # fmt: skip
    settings, passed = configure(refund_approval="agent"), 0.0
    sdks_clock = SimpleNamespace(time=lambda: 1e9 + passed)  # by which a seal grows old
    monkeypatch.setattr(request_state, "time", sdks_clock)
    async with host(settings, person=Asked(), time=time) as client:
        first = await client.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, mcp_types.InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        passed = minutes * 60.0
        time.pass_by(passed)
        result = await client.session.call_tool(
            "refund_order", wanted, input_responses={refund_id: answer},
            request_state=first.request_state,
        )  # fmt: skip
    async with host(settings, time=time) as client:
        after = await call(client, "refund_order", **wanted)

    assert result.structured_content is not None
    assert result.structured_content["status"] == status
    assert after["status"] == ("already_refunded" if answer is YES else "declined")
    assert given_back(shop, wanted["order_id"]) == ([700] if answer is YES else [])


async def test_a_form_that_is_put_aside_is_not_the_only_way(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    async with host(configure(refund_approval="agent"), era, Asked(CANCEL, CANCEL)) as client:
        first = await call(client, "refund_order", **wanted)
        again = await call(client, "confirm_refund", **shown(first))

    assert f"call confirm_refund with refund_id {first['refund_id']}" in first["next_step"]
    assert "confirm_refund" not in again["next_step"]
    for answer in (first, again):
        assert f"clawver-orders approve {first['refund_id']}" in answer["next_step"]
    assert posts(shop) == []


async def test_why_only_a_person_can_approve_is_said(
    configure: Configure, wanted: dict[str, Any]
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, person=Asked(DECLINE)) as client:
        await call(client, "refund_order", **wanted)
    async with host(settings) as client:
        other = await call(client, "refund_order", **wanted | {"amount_in_cents": 699})
    async with host(configure(refund_approval="chat")) as client:
        by_setting = await call(client, "refund_order", **wanted | {"amount_in_cents": 698})

    assert "a person can approve this one, because of an earlier decline" in other["next_step"]
    assert "Only a person can approve this one. " in by_setting["next_step"]


async def test_a_reworded_refund_stays_the_same_one(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with host(configure(refund_approval="agent")) as client:
        old = await call(client, "refund_order", **wanted)
        new = await call(client, "refund_order", **wanted | {"reason": "Torn"})
        sent = await call(client, "confirm_refund", **shown(old))
        told = await call(client, "check_refund", refund_id=old["refund_id"])

    assert shown(new) == shown(old)
    assert (sent["status"], told["status"]) == ("refunded", "refunded")
    assert told["reason"] == "Torn"
    assert given_back(shop, wanted["order_id"]) == [700]


async def test_a_confirmation_that_waits_for_another_question_says_what_it_did_not_send(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings) as client, host(settings, person=Asked()) as able:
        other = await call(client, "refund_order", **wanted | {"amount_in_cents": 699})
        await able.session.call_tool("refund_order", wanted, allow_input_required=True)
        answer = await call(client, "confirm_refund", **shown(other))

    assert answer["status"] == "busy"
    assert answer["message"].startswith("Nothing was sent: a person is being asked about $7.00")
    assert (
        f"another refund than {other['refund_id']}, which this call did not send"
        in (answer["next_step"])
    )
    assert posts(shop) == []


async def test_a_key_is_made_for_a_question_and_not_before(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="agent")
    key = settings.key_dir / "questions.key"
    async with host(settings, era, Asked(YES)) as client:
        await one_order(client, order_id=wanted["order_id"])
        assert not key.exists()
        await call(client, "refund_order", **wanted)

    assert key.exists() is (era == "auto")


@pytest.mark.parametrize("forgery", ["unsealed", "none", "other arguments"])
async def test_a_yes_without_its_sealed_question_is_none(
    configure: Configure, shop: Shop, wanted: dict[str, Any], forgery: str
) -> None:
    async with host(configure(refund_approval="agent"), person=Asked()) as client:
        first = await client.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, mcp_types.InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        state = {"unsealed": refund_id, "none": None, "other arguments": first.request_state}
        changed = wanted | ({"amount_in_cents": 900} if forgery == "other arguments" else {})
        try:
            result = await client.session.call_tool(
                "refund_order", changed, input_responses={refund_id: YES},
                request_state=state[forgery], allow_input_required=True,
            )  # fmt: skip
        except MCPError:
            result = None

    assert posts(shop) == []
    assert not isinstance(result, mcp_types.InputRequiredResult)
    assert result is None or result.structured_content["status"] == "busy"


async def test_off_asks_nobody_and_keeps_the_trail(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings, person = configure(refund_approval="off"), Asked()
    async with host(settings, era, person) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["status"] == "refunded"
    assert person.questions == []
    assert [event for event, _, _ in await trail(settings)] == ["waiting", "sending", "refunded"]
    by_setting = "setting off", "revision 1, approved by setting off (setting)"
    assert ("sending", *by_setting) in await trail(settings)


async def test_a_limit_that_was_reached_while_the_person_thought_holds(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    settings = configure(refund_approval="agent", refund_daily_limit_in_cents=1000)
    other = wanted | {"order_id": shop.sell(total_in_cents=2499)["id"]}

    async def slow(*_: Any) -> ElicitResult:
        async with host(configure(refund_approval="off")) as client:
            assert (await call(client, "refund_order", **other))["status"] == "refunded"
        return YES

    async with host(settings, "legacy", slow) as client:
        text = await failure(client, "refund_order", **wanted)

    assert "CLAWVER_REFUND_DAILY_LIMIT_CENTS" in text
    assert given_back(shop, wanted["order_id"]) == []


async def test_an_answer_of_another_kind_is_no_yes(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with host(configure(refund_approval="agent"), person=Asked()) as client:
        first = await client.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        answers: dict[str, Any] = {refund_id: ListRootsResult(roots=[])}
        result = await client.session.call_tool(
            "refund_order", wanted, input_responses=answers, request_state=first.request_state
        )

    assert result.structured_content["status"] == "needs_approval"
    assert posts(shop) == []


def test_a_host_without_a_name_is_called_so() -> None:
    context: Any = SimpleNamespace(session=SimpleNamespace(client_params=None))

    assert HostCaller(context, CallToolRequestParams(name="x")).client == "unnamed client"


async def test_nobody_answers_a_script() -> None:
    assert await Script().ask(Question("rfi_1", "?", "Yes", "Yes or no", 1)) is Reply.FAILED


async def test_a_preview_that_was_lost_is_found_again_with_what_it_was_made_on_top_of(
    configure: Configure, shop: Shop, wanted: dict[str, Any]
) -> None:
    async with host(configure()) as client:
        done = await call(client, "refund_order", **wanted)
    on_top = {"in_addition_to": done["in_addition_to"]}
    async with host(configure(refund_approval="agent")) as client:
        preview = await call(client, "refund_order", **wanted, **on_top)
        lost = await call(client, "check_refund", order_id=wanted["order_id"])
    async with host(configure(refund_approval="agent"), person=Asked(YES)) as client:
        sent = await call(client, "refund_order", **wanted, in_addition_to=lost["in_addition_to"])

    assert preview["in_addition_to"] == lost["in_addition_to"] == done["in_addition_to"]
    assert lost["reason"] == "Smudged"
    assert sent["refund_id"] == preview["refund_id"]
    assert sent["status"] == "refunded"
    assert given_back(shop, wanted["order_id"]) == [700, 700]


async def test_a_refund_found_by_its_order_says_when_it_was_sent(
    configure: Configure, wanted: dict[str, Any], time: Time
) -> None:
    async with host(configure(), time=time) as client:
        done = await call(client, "refund_order", **wanted)
        time.pass_by(7200)
        by_order = await call(client, "check_refund", order_id=wanted["order_id"])
        by_id = await call(client, "check_refund", refund_id=done["refund_id"])

    assert by_order["sent_at"].split(", ") == [done["sent_at"].split(", ")[0], "2 hours ago"]
    assert by_order["next_step"].startswith(
        "This is the latest refund of the order that is known here, sent 2 hours ago."
    )
    assert "look for it among the refunds of get_order" in by_order["next_step"]
    assert "another was meant" not in by_id["next_step"]


async def test_a_read_only_server_tells_how_a_refund_stands_and_names_no_other_tool(
    configure: Configure, wanted: dict[str, Any], time: Time
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, "legacy", Asked(NO), time) as client:
        declined = await call(client, "refund_order", **wanted)
    async with host(settings, time=time) as client:
        other = await call(client, "refund_order", **wanted | {"amount_in_cents": 800})
    async with host(configure(read_only=True), time=time) as client:
        ids = {"refund_id": declined["refund_id"]}, {"refund_id": other["refund_id"]}
        said = [(await call(client, "check_refund", **each))["next_step"] for each in ids]
        time.pass_by(72 * 3600)
        said += [
            await failure(client, "check_refund", **each)
            for each in (ids[1], {"refund_id": "rfi_nothing"})
        ]

    assert all("can be done about it here (CLAWVER_READ_ONLY)" in each for each in said[:3])
    assert not [each for each in said if "refund_order" in each or "confirm_refund" in each]
