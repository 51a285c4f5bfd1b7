"""What a host's answer to a question proves, on the wire of both protocol eras.

Only a clear yes lets a refund go, and only an error says that nobody was asked. What comes
sooner than a person could answer is the host's own: neither a person's yes nor a person's no.
"""

import time
from datetime import timedelta
from typing import Any

import mcp_types
import pytest
from mcp import Client
from mcp_types import ElicitResult, ErrorData
from tests.conftest import Configure, with_slow
from tests.hosts import INITIALIZE, HostProcess, hosting
from tests.serving.test_elicitation import Asked, host, trail
from tests.tools.test_refunds import Time, given_back, posts
from tests.tools.test_tools import call, shown

from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop


def accept(value: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"approve": value})


YES = accept(True)
DECLINE = ElicitResult(action="decline")
CANCEL = ElicitResult(action="cancel")
MEANS_YES = [True, "true", "True", "yes", " YES "]
MEANS_NO = [False, "false", "No", " no ", "off", "n", "0", 0, 0.0]
UNCLEAR = {
    "nothing": ElicitResult(action="accept"),
    "an empty form": ElicitResult(action="accept", content={}),
    "another field": ElicitResult(action="accept", content={"other": True}),
    "null": accept(None),
    "blank": accept(" "),
    "a question": accept("why?"),
    "yes, but": accept("yes, but only 500"),
    "not no": accept("not now"),
    "one": accept(1),
    "one as text": accept("1"),
    "a number": accept(0.5),
    "a list": accept(["true"]),
    "put aside": CANCEL,
}


@pytest.fixture
def wanted(shop: Shop) -> dict[str, Any]:
    sale = shop.sell(total_in_cents=2499)["id"]
    return {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}


async def other_amount(settings: Settings, wanted: dict[str, Any]) -> str:
    """What an agent hears that asks for another amount where nobody can be asked."""
    async with host(settings) as client:
        answer = await call(client, "refund_order", **wanted | {"amount_in_cents": 300})
    return str(answer["next_step"])


@pytest.mark.parametrize("value", MEANS_YES)
async def test_a_yes_is_read_in_every_form(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str, value: Any
) -> None:
    settings = configure(refund_approval="chat")
    async with host(settings, era, Asked(accept(value))) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["status"] == "refunded"
    assert ("answered", "person by elicitation", "yes to question 1, after 4.000 s") in await trail(
        settings
    )


@pytest.mark.parametrize("value", MEANS_NO)
async def test_a_no_is_read_in_every_form_and_holds(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str, value: Any
) -> None:
    """A host that draws a box for text must not turn a no into an agent's yes."""
    settings = configure(refund_approval="agent")
    async with host(settings, era, Asked(accept(value))) as client:
        answer = await call(client, "refund_order", **wanted)
        held = {"refund_id": answer["refund_id"], "revision": 1}
        again = await call(client, "confirm_refund", **held)

    assert [answer["status"], again["status"]] == ["declined", "declined"]
    assert "because of an earlier decline" in await other_amount(settings, wanted)
    assert posts(shop) == []


async def repeated(
    client: Client, floor: str, answer: dict[str, Any], wanted: dict[str, Any]
) -> dict[str, Any]:
    """The call with which an agent goes on after a preview."""
    if floor == "agent":
        return await call(client, "confirm_refund", **shown(answer))
    return await call(client, "refund_order", **wanted)


@pytest.mark.parametrize("floor", with_slow(["agent"], ["chat"]))
@pytest.mark.parametrize("given", UNCLEAR)
async def test_what_is_neither_yes_nor_no_opens_nothing(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str, given: str, floor: str
) -> None:
    settings = configure(refund_approval=floor)
    person = Asked(UNCLEAR[given], UNCLEAR[given], YES)
    async with host(settings, era, person) as client:
        first = await call(client, "refund_order", **wanted)
        again = await repeated(client, floor, first, wanted)
        assert posts(shop) == []
        sent = await call(client, "refund_order", **wanted)

    assert [first["status"], again["status"], sent["status"]] == [
        "needs_approval", "needs_approval", "refunded",
    ]  # fmt: skip
    assert len(person.questions) == 3
    assert first["preview"] == again["preview"] != None  # noqa: E711  # the preview is shown again
    # What was done as told and changed nothing is not told again.
    assert "call confirm_refund" not in again["next_step"]
    assert f"clawver-orders approve {first['refund_id']}" in again["next_step"]
    assert given_back(shop, wanted["order_id"]) == [700]


@pytest.mark.parametrize("given", ["no", "decline", *UNCLEAR])
async def test_a_refusal_sooner_than_anybody_reads_is_the_hosts_own(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str, given: str
) -> None:
    settings = configure(refund_approval="agent")
    answer = (UNCLEAR | {"no": accept(False), "decline": DECLINE})[given]
    async with host(settings, era, Asked(answer, answer), thinks=0.09) as client:
        first = await call(client, "refund_order", **wanted)
        again = await call(client, "confirm_refund", **shown(first))

    for each in (first, again):
        assert each["status"] == "needs_approval"
        assert each["next_step"].startswith("No person answered the question")
        assert f"clawver-orders approve {first['refund_id']}" in each["next_step"]
        assert "confirm_refund" not in each["next_step"]
    assert posts(shop) == []
    said = ("answered", "", "no of the program itself to question 1, after 0.090 s")
    assert said in await trail(settings)
    # It is nobody's no: an agent may still show another amount and confirm it.
    assert "Only once they agree, call confirm_refund" in await other_amount(settings, wanted)


async def test_a_yes_sooner_than_anybody_reads_is_worth_an_agents_word(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, era, Asked(YES), thinks=0.999) as client:
        answer = await call(client, "refund_order", **wanted)

    assert answer["status"] == "refunded"
    lines = await trail(settings)
    assert ("answered", "", "yes of the program itself to question 1, after 0.999 s") in lines
    by_agent = "agent by confirm_refund", "revision 1, approved by agent by confirm_refund (agent)"
    assert ("sending", *by_agent) in lines


async def test_a_yes_sooner_than_anybody_reads_is_no_persons(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="chat")
    async with host(settings, era, Asked(YES, YES), thinks=0.999) as client:
        first = await call(client, "refund_order", **wanted)
        again = await call(client, "refund_order", **wanted)
    assert posts(shop) == []
    async with host(settings, era, Asked(YES), thinks=1.0) as client:
        sent = await call(client, "refund_order", **wanted)

    for each in (first, again):
        assert each["status"] == "needs_approval"
        assert f"clawver-orders approve {first['refund_id']}" in each["next_step"]
    assert sent["status"] == "refunded"


async def test_after_a_no_the_host_itself_cannot_say_yes(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, era, Asked(DECLINE)) as client:
        await call(client, "refund_order", **wanted)
    async with host(settings, era, Asked(YES), thinks=0.2) as client:
        other = await call(client, "refund_order", **wanted | {"amount_in_cents": 300})

    assert other["status"] == "needs_approval"
    assert "clawver-orders approve" in other["next_step"]
    assert posts(shop) == []


@pytest.mark.parametrize(
    ("up", "passed", "status"),
    [(0.4, 0.5, "needs_approval"), (2.0, 3.0, "refunded"), (1000.5, 3.0, "needs_approval")],
)
async def test_an_answer_after_a_restart_of_the_machine_is_timed_by_the_clock(
    configure: Configure, shop: Shop, wanted: dict[str, Any], up: float, passed: float, status: str
) -> None:
    settings, clock = configure(refund_approval="chat"), Time()
    async with host(settings, person=Asked(), time=clock) as client:
        first = await client.session.call_tool("refund_order", wanted, allow_input_required=True)
        assert isinstance(first, mcp_types.InputRequiredResult)
        (refund_id,) = first.input_requests or {}
        clock.up, clock.at = up, clock.at + timedelta(seconds=passed)
        result = await client.session.call_tool(
            "refund_order", wanted, input_responses={refund_id: YES}, request_state=first.request_state
        )  # fmt: skip

    assert result.structured_content is not None
    assert result.structured_content["status"] == status


async def confirmed_after(client: Client, wanted: dict[str, Any]) -> tuple[str, str]:
    first = await call(client, "refund_order", **wanted)
    again = await call(client, "confirm_refund", **shown(first))
    return str(first["status"]), str(again["status"])


@pytest.mark.parametrize(
    ("code", "thinks"),
    [(-32601, 0.1), (-32601, 4.0), (-32602, 0.1), (-32600, 0.999), (-32099, 0.1)],
)
async def test_only_an_error_says_that_nobody_was_asked(
    configure: Configure, shop: Shop, wanted: dict[str, Any], code: int, thinks: float
) -> None:
    error = ErrorData(code=code, message="no such method")
    person = Asked(error)
    async with host(configure(refund_approval="agent"), "legacy", person, thinks=thinks) as client:
        statuses = await confirmed_after(client, wanted)

    assert statuses == ("needs_approval", "refunded")


@pytest.mark.parametrize("code", [-32602, -32600, -32700, -32042, -32002])
async def test_an_error_after_a_person_had_time_to_answer_opens_nothing(
    configure: Configure, shop: Shop, wanted: dict[str, Any], code: int
) -> None:
    """SDKs answer with an error when they refuse what a person said, such as `action: reject`."""
    error = ErrorData(code=code, message="Invalid elicitation result")
    person = Asked(error, error)
    async with host(configure(refund_approval="agent"), "legacy", person, thinks=1.0) as client:
        statuses = await confirmed_after(client, wanted)

    assert statuses == ("needs_approval", "needs_approval")
    assert posts(shop) == []


async def brought_again(
    client: Client, clock: Time, tool: str, arguments: dict[str, Any], answers: list[ElicitResult]
) -> list[mcp_types.CallToolResult]:
    """Bring answers to one and the same question: the first at once, the others later."""
    first = await client.session.call_tool(tool, arguments, allow_input_required=True)
    assert isinstance(first, mcp_types.InputRequiredResult)
    (about,) = first.input_requests or {}
    results = []
    for answer in answers:
        results.append(
            await client.session.call_tool(
                tool, arguments, input_responses={about: answer}, request_state=first.request_state
            )
        )
        clock.pass_by(5)
    return results


@pytest.mark.parametrize("answer", [YES, DECLINE, accept(False)])
async def test_the_hosts_own_answer_is_no_persons_when_it_comes_again(
    configure: Configure, shop: Shop, wanted: dict[str, Any], answer: ElicitResult
) -> None:
    settings, clock = configure(refund_approval="chat"), Time()
    async with host(settings, person=Asked(), time=clock) as client:
        results = await brought_again(client, clock, "refund_order", wanted, [answer] * 3)

    statuses = [(result.structured_content or {})["status"] for result in results]
    assert statuses == ["needs_approval"] * 3
    assert posts(shop) == []
    assert not [who for event, who, _ in await trail(settings) if event == "answered" and who]


async def test_the_hosts_own_yes_to_an_address_is_no_persons_when_it_comes_again(
    configure: Configure, shop: Shop
) -> None:
    settings = configure(
        webhook_secret=("secret-of-an-example-0123456789",),
        webhook_hosts=("hooks.example",),
        refund_approval="chat",
    )
    clock = Time()
    hook = {"url": "https://hooks.example/webhook", "events": ["order.paid"]}
    async with host(settings, person=Asked(), time=clock) as client:
        own = await brought_again(client, clock, "register_webhook", hook, [YES, YES])
        clock.pass_by(60)
        late = await brought_again(client, clock, "register_webhook", hook, [CANCEL, YES])

    statuses = [(result.structured_content or {})["status"] for result in (*own, *late)]
    assert statuses == ["needs_approval"] * 4
    assert not [r for r in shop.requests() if r["method"] == "POST"]


async def test_what_the_host_answered_by_itself_is_looked_up_without_a_loop(
    configure: Configure, shop: Shop, wanted: dict[str, Any], era: str
) -> None:
    settings = configure(refund_approval="agent")
    async with host(settings, era, Asked(DECLINE), thinks=0.1) as client:
        first = await call(client, "refund_order", **wanted)
        checked = await call(client, "check_refund", refund_id=first["refund_id"])

    assert "clawver-orders approve" in checked["next_step"]
    assert "call refund_order" not in checked["next_step"]


@pytest.mark.parametrize("thinks", [0.1, 4.0])
@pytest.mark.parametrize("code", [-1, 4001, -32800, -32000, -32001, -32603])
async def test_an_error_that_may_tell_of_a_person_opens_nothing(
    configure: Configure, shop: Shop, wanted: dict[str, Any], code: int, thinks: float
) -> None:
    error = ErrorData(code=code, message="rejected by the user")
    person = Asked(error, error)
    async with host(configure(refund_approval="agent"), "legacy", person, thinks=thinks) as client:
        statuses = await confirmed_after(client, wanted)

    assert statuses == ("needs_approval", "needs_approval")
    assert posts(shop) == []


def call_and_answer(
    process: HostProcess, tool: str, arguments: dict[str, Any], result: Any, seconds: float = 0.0
) -> Any:
    """Call a tool as a host of the older era does, and answer its question with a result."""
    process.say({"id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
    asked = process.hear()
    assert asked["method"] == "elicitation/create"
    time.sleep(seconds)  # the server's own clock says how long a person took
    process.say({"id": asked["id"], "result": result})
    return process.hear()["result"]["structuredContent"]


@pytest.mark.parametrize(
    ("result", "seconds", "status"),
    [
        ({"action": "accept", "content": {"approve": True}}, 1.05, "refunded"),
        ({"action": "accept", "content": {"approve": True}}, 0.0, "needs_approval"),
        pytest.param({"action": "decline"}, 1.05, "declined", marks=pytest.mark.slow),
        pytest.param({"action": "decline"}, 0.0, "needs_approval", marks=pytest.mark.slow),
        pytest.param({"action": "reject"}, 1.05, "needs_approval", marks=pytest.mark.slow),
        pytest.param(
            {"content": {"approve": False}}, 1.05, "needs_approval", marks=pytest.mark.slow
        ),
        pytest.param(
            {"action": "accept", "content": {"approve": {"not": "flat"}}},
            1.05,
            "needs_approval",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_real_server_goes_by_the_clock_and_reads_any_result(
    live: dict[str, str], shop: Shop, wanted: dict[str, Any], result: Any, seconds: float, status: str
) -> None:  # fmt: skip
    with hosting(**live | {"CLAWVER_REFUND_APPROVAL": "chat"}) as process:
        process.ask(1, "initialize", **INITIALIZE | {"capabilities": {"elicitation": {}}})
        process.say({"method": "notifications/initialized"})
        answer = call_and_answer(process, "refund_order", wanted, result, seconds)

    assert answer["status"] == status
    assert given_back(shop, wanted["order_id"]) == ([700] if status == "refunded" else [])


def test_an_answer_of_no_known_form_lets_no_agent_confirm(
    live: dict[str, str], shop: Shop, wanted: dict[str, Any]
) -> None:
    odd = {"action": "reject"}
    with hosting(**live | {"CLAWVER_REFUND_APPROVAL": "agent"}) as process:
        process.ask(1, "initialize", **INITIALIZE | {"capabilities": {"elicitation": {}}})
        process.say({"method": "notifications/initialized"})
        first = call_and_answer(process, "refund_order", wanted, odd)
        again = call_and_answer(process, "confirm_refund", shown(first), odd)

    assert again["status"] == "needs_approval"
    assert posts(shop) == []
