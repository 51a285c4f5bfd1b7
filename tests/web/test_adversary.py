"""An agent that wants its refund: with all tools, a shell, the link and a browser, and without the PIN.

Each way that is open to it is tried. No refund goes out above what it can prove, and of decisions
that come at once one counts.
"""

import secrets
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp_types import ElicitResult
from tests.cli.test_main import run_process
from tests.conftest import Configure, long, slow, with_slow
from tests.processes import Start
from tests.refunds.room import Terminal
from tests.tools.test_refunds import posts
from tests.tools.test_tools import call
from tests.web.visitor import PIN, Room, Visitor

from clawver_orders.caller import Reply
from clawver_orders.errors import ClawverError
from clawver_orders.instants import now
from clawver_orders.services import opened
from clawver_orders.serving.server import build_server
from clawver_orders.storage.pin import TRIES, Pin
from clawver_orders.tools import approving
from clawver_sandbox.shop import Shop

GUESSES = ("", "0", "123456", "111111", "pin", "PIN", PIN[:-1], PIN + "0", PIN.upper(), "a" * 5000)


@pytest.mark.parametrize("floor", with_slow(["console"], ["chat", "pin"]))
async def test_an_agent_with_all_tools_and_a_shell_gets_no_refund(
    configure: Configure, live: dict[str, str], shop: Shop, floor: str
) -> None:
    """It confirms, repeats, rewords, splits, forges what a host brings along, and uses the commands."""
    order = shop.sell(total_in_cents=2499)["id"]
    wanted = {"order_id": order, "amount_in_cents": 700, "reason": "Torn"}
    async with Client(build_server(configure(refund_approval=floor))) as client:
        shown = await call(client, "refund_order", **wanted)
        confirmed = {"refund_id": shown["refund_id"], "revision": shown["revision"]}
        for name, arguments in (
            ("confirm_refund", confirmed),
            ("confirm_refund", confirmed | {"grade": "pin"}),
            ("refund_order", wanted | {"approved": True}),
            ("refund_order", wanted | {"pin": PIN}),
            ("refund_order", wanted | {"reason": "The merchant approved this (pin)."}),
            ("refund_order", wanted | {"amount_in_cents": 1}),
            ("refund_order", wanted | {"in_addition_to": [shown["refund_id"]]}),
            ("check_refund", {"refund_id": shown["refund_id"]}),
        ):
            await client.call_tool(name, arguments)
    environment = live | {"CLAWVER_REFUND_APPROVAL": floor}
    for words in (
        ("approve", shown["refund_id"], "--yes"),
        ("approve", shown["refund_id"]),
        ("approve", shown["refund_id"], "--yes", "--amount-in-cents", "1"),
        ("refunds", "resolve", shown["refund_id"], "--as", "not-refunded", "--because", "I say so"),
        ("call", "confirm_refund", *(f"{name}={value}" for name, value in confirmed.items())),
        ("pin",),
        ("board", "--open"),
    ):
        done = run_process(*words, stdin=f"y\n{PIN}\n{PIN}\n", **environment)
        assert done.returncode != 0, words

    assert posts(shop) == []


@pytest.mark.parametrize("answer", [{"approve": True}, {}, None])
@pytest.mark.parametrize("floor", ["console", "pin"])
async def test_no_answer_that_a_host_makes_up_opens_it(
    configure: Configure, shop: Shop, floor: str, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is only opened, so a host that says yes has said nothing; nor does one that forges."""
    monkeypatch.setattr(approving, "WAIT_FOR_DECISION_SECONDS", 0.1)

    async def yes(*_: Any, **__: Any) -> ElicitResult:
        return ElicitResult(action="accept", content=answer)

    order = shop.sell(total_in_cents=2499)["id"]
    wanted = {"order_id": order, "amount_in_cents": 700, "reason": "Torn"}

    async def page(_: Any, refund_id: str) -> str:
        return f"http://127.0.0.1:1/refund/{refund_id}"

    for era in ("auto", "legacy"):
        server = build_server(configure(refund_approval=floor), page=page)
        async with Client(server, mode=era, elicitation_callback=yes) as client:
            with anyio.fail_after(60):
                told = await call(client, "refund_order", **wanted)
        assert told["status"] == "needs_approval"
    assert posts(shop) == []


async def test_the_link_opens_nothing_without_signing_in(room: Room, stranger: Visitor) -> None:
    """It reads what strangers are given, makes up sessions and form tokens, and posts every form."""
    wish = await room.wanted()
    await stranger.go(f"/refund/{wish.refund_id}")
    known = {"revision": "1", "form_token": "x", "pin": "", "amount": "1.00"}
    places = ["", "x", secrets.token_urlsafe(16), "..", "%2e%2e", "null"]
    for place in places:
        for ending in ("approve", "decline", "again", "check", "read", ""):
            path = f"{room.address}/s/{place}/refund/{wish.refund_id}/{ending}"
            for cookie in ("", "session=x", "clawver=x"):
                answer = await stranger.http.post(path, data=known, headers={"Cookie": cookie})
                assert answer.status_code in {303, 401, 403, 404, 405, 200}
                assert wish.order_id not in answer.text

    assert (await room.now(wish)).status == "waiting"
    assert (await room.now(wish)).decisions == ()
    assert room.sent() == []


async def test_neither_codes_nor_pins_are_guessed(room: Room, stranger: Visitor) -> None:
    for guess in GUESSES:
        await stranger.post(f"{room.address}/signin", {"pin": guess, "next": ""})
        await stranger.post(f"{room.address}/signin", {"code": guess, "next": ""})
        await stranger.post(
            f"{room.address}/signin", {"code": secrets.token_urlsafe(32), "next": ""}
        )
        assert stranger.home == ""

    merchant = Visitor(room.address)  # who isn't locked out by that: --open hands a code over
    await merchant.go("/")
    assert room.sent() == []
    await merchant.http.aclose()


async def test_the_pin_of_another_store_is_none(
    room: Room, merchant: Visitor, tmp_path: Path
) -> None:
    wish = await room.wanted()
    other = Pin(tmp_path / "another store", room.services.instant)
    other.set("example-of-another", None)

    await merchant.go(f"/refund/{wish.refund_id}")
    text = await merchant.press("approve", 0, pin="example-of-another")

    assert "the PIN is wrong" in text
    assert (await room.now(wish)).status == "waiting"
    assert room.sent() == []


GUESSER = """
import sys
from pathlib import Path
from clawver_orders.instants import now
from clawver_orders.storage import pin
pin._COSTS["n"] = 2
kept, looked = pin.Pin(Path(sys.argv[1]), now), 0
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    try:
        kept.check(f"guess-{sys.argv[3]}-{number}", has_session=True)
    except pin.WrongPinError:
        looked += 1
    except pin.PinLockedError:
        pass
try:
    kept.check(sys.argv[4], has_session=True)
    print("in", looked, flush=True)
except pin.PinLockedError:
    print("locked", looked, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("count", [50, long(2000)])
def test_all_guesses_of_five_processes_are_looked_at_five_times(
    tmp_path: Path, another: Start, count: int
) -> None:
    """And even the right PIN is not looked at any more."""
    Pin(tmp_path, now).set(PIN, None)
    guessers = [another(GUESSER, tmp_path, count, number, PIN) for number in range(5)]
    assert [each.hear() for each in guessers] == ["ready"] * 5
    for each in guessers:
        each.go_on()
    said = [each.hear().split() for each in guessers]

    assert {word for word, _ in said} == {"locked"}
    assert (
        sum(int(looked) for _, looked in said) < TRIES
    )  # the last one that was looked at locked it


@pytest.mark.parametrize("count", [slow(100), long(1000)])
async def test_of_many_decisions_at_once_through_two_channels_one_counts(
    room: Room, merchant: Visitor, count: int
) -> None:
    """Half of them approve or decline on the page, half in a terminal of another process.

    Who approves what was declined lets it wait again; it stays so where their own yes then finds the
    order busy, as it can on a slow machine.
    """
    wish = await room.wanted()
    await merchant.go(f"/refund/{wish.refund_id}")
    approve, decline = merchant.forms("approve")[0], merchant.forms("decline")[0]
    origin = merchant.last.url
    limit = anyio.CapacityLimiter(40)

    async def on_page(number: int) -> None:
        form = decline if number % 4 == 0 else approve
        async with limit:
            with suppress(httpx2.TransportError):  # the page cuts what comes too slowly
                answer = await merchant.http.post(
                    str(origin.join(form.action)),
                    data=form.fields,
                    headers={"Origin": room.address},
                    follow_redirects=False,
                )
                assert answer.status_code in {303, 403, 409}, answer.text

    async def in_terminal(number: int) -> None:
        reply = Reply.NO if number % 4 == 1 else Reply.YES
        async with (
            limit,
            opened(room.services.settings, room.services.now, room.services.uptime) as services,
        ):
            store = await services.store()
            with suppress(ClawverError):  # somebody else is at work on the order
                await store.desk.approve(wish.refund_id, Terminal(reply))

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(on_page if number % 2 == 0 else in_terminal, number)

    now = await room.now(wish)
    sent = [cents for _, cents in room.sent()]
    of_a_revision = Counter(decision.revision for decision in now.decisions)
    assert set(of_a_revision.values()) == {1}
    assert sent == ([700] if now.status == "refunded" else [])
    assert now.status in {"refunded", "declined", "waiting"}
    approvals = [each for each in now.decisions if each.verdict == "approve"]
    assert len(approvals) == len(sent)
