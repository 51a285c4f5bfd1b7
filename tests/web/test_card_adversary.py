"""An agent or a script of a host that wants its refund through the card, without a person's click.

Whoever controls the host gets the card's nonce, waits a second and clicks: that is the host's word,
of the grade `chat`, and no more. Everything less is refused, and whatever is refused sends nothing.
"""

import json
import sqlite3
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult
from tests.cli.test_main import run_process
from tests.conftest import Configure, folder_of, with_slow
from tests.refunds.room import Terminal
from tests.serving.test_card import chat, click, on_card, trail
from tests.tools.test_refunds import Time, given_back, posts
from tests.tools.test_tools import call, shown
from tests.web.visitor import Room, Visitor

from clawver_orders.caller import Reply
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.services import opened
from clawver_orders.serving.card import FOR_CARD
from clawver_orders.settings import Settings
from clawver_orders.tools import SURFACE
from clawver_sandbox.shop import Shop

GUESSES: tuple[object, ...] = (
    "", "x", "%", "*", "' OR 1=1 --", "null", "None", "0" * 32, "a" * 5000, None, True, 0, [], {},
)  # fmt: skip
WANTED = {"amount_in_cents": 700, "reason": "The merchant approved this on the card."}


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def settings(configure: Configure) -> Settings:
    return configure(refund_approval="chat")


@pytest.fixture
def order(shop: Shop) -> str:
    return str(shop.sell(total_in_cents=2499)["id"])


@pytest.fixture
async def client(settings: Settings, time: Time) -> AsyncIterator[Client]:
    """A host that shows cards, whose scripts call what they want."""
    async with chat(settings, time=time) as client:
        yield client


async def decide(client: Client, given: dict[str, Any]) -> CallToolResult:
    return await client.call_tool("decide_refund", given)


def is_refused(result: CallToolResult) -> bool:
    return result.is_error and "decide_refund failed. " in str(result.content)


@pytest.mark.slow
async def test_a_model_sees_the_nonce_nowhere(
    client: Client, shop: Shop, settings: Settings, caplog: pytest.LogCaptureFixture, time: Time
) -> None:
    """Not in any answer, list, resource or prompt, in no log, and in no file of the state folder."""
    caplog.set_level(0)
    given = WANTED | {"order_id": "ord_shirt"}
    asked = await call(client, "refund_order", **given)
    nonces: set[str] = set()
    seen = [json.dumps(asked)]

    def note(result: CallToolResult) -> None:
        seen.append(str(result.content) + json.dumps(result.structured_content))
        own = (result.meta or {}).get(FOR_CARD, {})
        nonces.update({own["nonce"]} if "nonce" in own else ())

    for _ in range(2):
        note(await client.call_tool("check_refund", {"refund_id": asked["refund_id"]}))
        for tool in SURFACE:
            if tool.toolset == "orders" and tool.hints.read_only:
                note(await client.call_tool(tool.name, tool.example))
        note(await client.call_tool("refund_order", given))
    note(await decide(client, shown(asked) | {"approve": True, "nonce": "x"}))
    note(await decide(client, shown(asked) | {"approve": "yes", "nonce": min(nonces)}))
    resources = (await client.list_resources()).resources
    seen += [str(await client.read_resource(str(each.uri))) for each in resources]
    seen += [str(await client.list_tools()), str(await client.list_prompts())]
    answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(2)
    note(await decide(client, click(answer, own["nonce"])))
    seen += [str(await trail(settings, asked["refund_id"])), caplog.text]
    kept = [each.read_bytes() for each in folder_of(settings).rglob("*") if each.is_file()]

    assert given_back(shop, "ord_shirt") == [700]
    assert len(nonces) >= 2
    for nonce in {*nonces, own["nonce"]}:
        assert len(nonce) >= 22  # at least 128 bits: nobody guesses it
        assert not [text for text in seen if nonce in text]
        assert not [raw for raw in kept if nonce.encode() in raw]


async def test_no_nonce_is_guessed(client: Client, shop: Shop, order: str, time: Time) -> None:
    """Neither where no card was shown yet, nor where one is."""
    asked = await call(client, "refund_order", **WANTED, order_id=order)
    for _ in range(2):
        for guess in GUESSES:
            given = shown(asked) | {"approve": True, "nonce": guess}
            assert is_refused(await decide(client, given)), guess
        await on_card(client, asked["refund_id"])
        time.pass_by(2)

    assert posts(shop) == []


async def test_a_click_without_its_parts_is_refused(
    client: Client, shop: Shop, order: str, time: Time
) -> None:
    asked = await call(client, "refund_order", **WANTED, order_id=order)
    answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(2)
    whole = click(answer, own["nonce"])
    for name in whole:
        assert is_refused(
            await decide(client, {key: whole[key] for key in whole if key != name})
        ), name
    for name, value in (
        ("approve", "true"), ("approve", 1), ("approve", None), ("revision", "1"), ("revision", 0),
        ("revision", -1), ("refund_id", "rfi_%"), ("refund_id", order), ("amount_in_cents", 2499),
        ("grade", "pin"), ("needs", "agent"),
    ):  # fmt: skip
        assert is_refused(await decide(client, whole | {name: value})), (name, value)

    assert posts(shop) == []
    done = (await decide(client, whole)).structured_content or {}
    assert done["status"] == "refunded"  # none of them used it up


async def test_what_a_shell_reads_in_the_ledger_is_no_nonce(
    client: Client, settings: Settings, shop: Shop, order: str, time: Time
) -> None:
    asked = await call(client, "refund_order", **WANTED, order_id=order)
    answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(2)
    with sqlite3.connect(folder_of(settings) / LEDGER_FILE) as ledger:
        rows = ledger.execute("SELECT * FROM question WHERE nonce_digest IS NOT NULL").fetchall()
    ledger.close()
    read = {str(value) for row in rows for value in row}

    assert sha256(own["nonce"].encode()).hexdigest() in read
    for value in read:
        assert is_refused(await decide(client, click(answer, value))), value
    assert posts(shop) == []


async def test_the_nonce_of_another_refund_order_revision_or_window_is_none(
    client: Client, settings: Settings, shop: Shop, order: str, time: Time
) -> None:
    asked = await call(client, "refund_order", **WANTED, order_id=order)
    other = await call(client, "refund_order", **WANTED | {"amount_in_cents": 300}, order_id=order)
    elsewhere = await call(client, "refund_order", **WANTED, order_id="ord_shirt")
    cards = [await on_card(client, each["refund_id"]) for each in (asked, other, elsewhere)]
    async with chat(settings, time=time) as second:
        newer, new = await on_card(second, asked["refund_id"])
    time.pass_by(2)
    for answer, _ in (*cards, (newer, new)):
        for _, own in cards:
            is_its_own = (answer["refund_id"], own) in [
                (each["refund_id"], its) for each, its in cards[1:]
            ]
            if not is_its_own:
                assert is_refused(await decide(client, click(answer, own["nonce"])))
    reworded = await call(client, "refund_order", order_id=order, amount_in_cents=700, reason="x")
    for revision in (1, 2, 3):
        given = click(newer, new["nonce"]) | {"revision": revision}
        assert is_refused(await decide(client, given))

    assert (newer["revision"], reworded["revision"]) == (1, 2)
    assert posts(shop) == []


@pytest.mark.parametrize("raised", [{"refund_approval": "pin"}, {"refund_approval": "console"}, {"refund_pin_above_in_cents": 500}])  # fmt: skip
async def test_a_nonce_from_before_the_floor_was_raised_lets_nothing_go(
    configure: Configure, client: Client, shop: Shop, order: str, time: Time, raised: dict[str, Any]
) -> None:
    asked = await call(client, "refund_order", **WANTED, order_id=order)
    answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(2)
    async with chat(configure(**{"refund_approval": "chat"} | raised), time=time) as stricter:
        done = await decide(stricter, click(answer, own["nonce"]))
        _, none = await on_card(stricter, asked["refund_id"])
        again = await decide(stricter, click(answer, own["nonce"]))

    assert not done.is_error
    assert (done.structured_content or {})["status"] == "needs_approval"
    assert "nonce" not in {**none, **(done.meta or {})[FOR_CARD]}
    assert is_refused(again)
    assert posts(shop) == []


async def test_a_refund_on_another_order_that_needs_the_pin_by_now_is_not_sent(
    configure: Configure, shop: Shop, order: str, time: Time
) -> None:
    """Two cards at once, each below the limit above which only the PIN counts, and both above it."""
    both = configure(refund_approval="chat", refund_pin_above_in_cents=1000)
    async with chat(both, time=time) as client:
        cards = []
        for order_id in (order, "ord_shirt"):
            asked = await call(client, "refund_order", **WANTED, order_id=order_id)
            cards.append(await on_card(client, asked["refund_id"]))
        time.pass_by(2)
        done = [await decide(client, click(answer, own["nonce"])) for answer, own in cards]

    told = [each.structured_content or {} for each in done]
    assert [each["status"] for each in told] == ["refunded", "needs_approval"]
    assert told[1]["needs"] == "pin"
    assert len(posts(shop)) == 1


async def test_after_a_click_that_was_too_fast_no_second_one_counts(
    client: Client, shop: Shop, order: str, time: Time
) -> None:
    """A script that clicked at once gets no other try by waiting, or by asking again for the same."""
    given = WANTED | {"order_id": order}
    asked = await call(client, "refund_order", **given)
    answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(0.99)
    await decide(client, click(answer, own["nonce"]))
    for _ in range(2):
        time.pass_by(60)
        again = await decide(client, click(answer, own["nonce"]))
        answer, none = await on_card(client, asked["refund_id"])
        await call(client, "refund_order", **given)
        assert (is_refused(again), "nonce" in none) == (True, False)

    assert posts(shop) == []


@pytest.mark.parametrize("count", with_slow([2], [20]))
@pytest.mark.parametrize("replies", [[True], [True, False]], ids=["one answer", "both answers"])
async def test_of_many_clicks_at_once_one_counts(
    settings: Settings, shop: Shop, order: str, time: Time, count: int, replies: list[bool]
) -> None:
    """Through clients of their own, all with the same nonce."""
    async with chat(settings, time=time) as client:
        asked = await call(client, "refund_order", **WANTED, order_id=order)
        answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(2)
    done: list[CallToolResult] = []

    async def clicks(number: int) -> None:
        async with chat(settings, time=time) as client:
            approve = replies[number % len(replies)]
            done.append(await decide(client, click(answer, own["nonce"], approve=approve)))

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(clicks, number)

    told = [each.structured_content or {} for each in done if not each.is_error]
    assert len(told) == 1
    assert len([each for each in done if is_refused(each)]) == count - 1
    expected = [700] if told[0]["status"] == "refunded" else []
    assert told[0]["status"] in {"refunded", "declined"}
    assert given_back(shop, order) == expected


@pytest.mark.parametrize("through", ["page", "terminal"])
async def test_a_card_whose_refund_was_declined_elsewhere_decides_nothing(
    room: Room, merchant: Visitor, through: str
) -> None:
    wish = await room.wanted()
    async with chat(room.services.settings, time=room.time) as client:
        answer, own = await on_card(client, wish.refund_id)
        if through == "page":
            await merchant.go(f"/refund/{wish.refund_id}")
            await merchant.press("decline")
        else:
            await room.store.desk.approve(wish.refund_id, Terminal(Reply.NO))
        room.passes(seconds=2)
        clicked = await decide(client, click(answer, own["nonce"]))
        later, none = await on_card(client, wish.refund_id)

    assert clicked.is_error or (clicked.structured_content or {})["status"] == "declined"
    assert (later["status"], "nonce" in none) == ("declined", False)
    assert (await room.now(wish)).status == "declined"
    assert room.sent() == []


async def test_a_card_whose_refund_was_approved_elsewhere_sends_no_second_one(
    room: Room, merchant: Visitor
) -> None:
    wish = await room.wanted()
    async with chat(room.services.settings, time=room.time) as client:
        answer, own = await on_card(client, wish.refund_id)
        await merchant.go(f"/refund/{wish.refund_id}")
        await merchant.press("approve")
        room.passes(seconds=2)
        for approve in (True, False):
            await decide(client, click(answer, own["nonce"], approve=approve))

    assert (await room.now(wish)).status == "refunded"
    assert room.sent() == [(wish.order_id, 700)]


@pytest.mark.slow
async def test_a_host_that_shows_no_cards_and_a_shell_have_no_click(
    settings: Settings, live: dict[str, str], shop: Shop, order: str, time: Time, client: Client
) -> None:
    """Not even with a nonce that was taken from a host that does."""
    asked = await call(client, "refund_order", **WANTED, order_id=order)
    answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(2)
    given = click(answer, own["nonce"])
    async with chat(settings, time=time, shows=False) as other:
        refused = await decide(other, given)
    words = (f"{name}={json.dumps(value)}" for name, value in given.items())
    done = run_process("call", "decide_refund", *words, **live | {"CLAWVER_REFUND_APPROVAL": "chat"})  # fmt: skip

    assert refused.is_error
    assert done.returncode != 0
    assert posts(shop) == []
    async with opened(settings) as services:
        (wish,) = await (await services.store()).ledger.latest(1)
    assert wish.decisions == ()


async def test_a_host_that_clicks_by_itself_after_a_second_says_so_in_the_trail(
    client: Client, settings: Settings, shop: Shop, order: str, time: Time
) -> None:
    """Nothing here can tell it from a person; so it is worth `chat`, and the trail names the host."""
    asked = await call(client, "refund_order", **WANTED, order_id=order)
    answer, own = await on_card(client, asked["refund_id"])
    time.pass_by(1)
    done = await decide(client, click(answer, own["nonce"]))

    assert (done.structured_content or {})["decided_by"] == "person by card (chat)"
    assert given_back(shop, order) == [700]
    async with opened(settings) as services:
        (wish,) = await (await services.store()).ledger.latest(1)
    assert [(each.grade, each.client.split(" ")[0]) for each in wish.decisions] == [("chat", "mcp")]
