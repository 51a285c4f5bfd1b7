"""Who lets a webhook be registered or removed: each grade, each kind of host, in both protocol eras."""

from itertools import product
from typing import Any

import anyio
import pytest
from mcp_types import METHOD_NOT_FOUND, ElicitResult, ErrorData
from tests.conftest import Configure, folder_of, with_slow
from tests.refunds.room import AskingHost, Left, Modern, Terminal
from tests.serving.test_elicitation import CANCEL, DECLINE, NO, YES, Asked, host
from tests.serving.test_page_link import AtTheBrowser
from tests.serving.test_page_link import host as page_host
from tests.tools.test_refunds import Time
from tests.tools.test_tools import call, failure
from tests.tools.test_webhooks import SECRET, URL, WANTED, answered, written
from tests.web.visitor import PIN, Visitor

from clawver_orders.caller import GRADES, Approval, Grade, Reply, Script
from clawver_orders.errors import RefusedError
from clawver_orders.instants import now
from clawver_orders.services import Services, opened
from clawver_orders.settings import Settings
from clawver_orders.storage import pin
from clawver_orders.tools import TOOLS, approving
from clawver_orders.webhooks.changes import Change, Changes, OvertakenError, WantedChange
from clawver_sandbox.shop import Shop

FLOORS = ["off", *GRADES[1:]]
TOOL = pytest.mark.parametrize("tool", ["register_webhook", "delete_webhook"])
CANNOT = ErrorData(code=METHOD_NOT_FOUND, message="no")


@pytest.fixture(autouse=True)
def hashing_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pin._COSTS, "n", 2)


def needing(configure: Configure, floor: str, **changed: Any) -> Settings:
    values = {"webhook_secret": SECRET, "webhook_hosts": "hooks.example", "refund_approval": floor}
    return configure(**values | changed)


def given(tool: str, shop: Shop) -> dict[str, Any]:
    """Good arguments; a webhook that can be removed is there then."""
    if tool == "register_webhook":
        return WANTED
    hooks = shop.webhooks() or [shop.add_webhook(URL, ["order.paid"], SECRET)]
    return {"webhook_id": hooks[0]["id"]}


def changes(settings: Settings) -> list[Change]:
    """All that were ever wanted, oldest first."""
    kept = Changes(folder_of(settings), now)
    with kept._database.read_or_empty() as rows:
        ids = [
            row["change_id"] for row in rows.execute("SELECT change_id FROM change ORDER BY rowid")
        ]
    return [found for each in ids if (found := kept.find(each))]


def decisions(settings: Settings) -> list[tuple[str, Approval]]:
    """All that were made."""
    return [(d.verdict, d.approval) for each in changes(settings) for d in each.decisions]


DONE = {"register_webhook": "registered", "delete_webhook": "deleted"}
NOTHING = {"register_webhook": "Nothing was registered", "delete_webhook": "Nothing was removed"}


@TOOL
@pytest.mark.parametrize("floor", with_slow(["agent", "console"], ["off", "chat", "pin"]))
async def test_a_host_that_cannot_ask(
    configure: Configure, shop: Shop, era: str, floor: str, tool: str
) -> None:
    settings, arguments = needing(configure, floor), given(tool, shop)
    async with host(settings, era) as client:
        answer = await call(client, tool, **arguments)

    if floor in {"off", "agent"}:
        by = ("setting off", "setting") if floor == "off" else ("agent", "agent")
        assert (answer["status"], answer["decided_by"]) == (DONE[tool], f"{by[0]} ({by[1]})")
        channel = "setting" if floor == "off" else tool
        assert decisions(settings) == [("approve", Approval(by[1], channel, by[0]))]  # type: ignore[arg-type]
        return
    assert (answer["status"], answer["needs"]) == ("needs_approval", floor)
    assert answer["message"] == f"{NOTHING[tool]}: it waits for approval."
    assert f"call {tool} again with the same values" in answer["next_step"]
    assert "in a terminal: `clawver-orders webhook " in answer["next_step"]
    assert ("never be typed in a chat" in answer["next_step"]) == (floor == "pin")
    assert "approve_at" not in answer
    assert (decisions(settings), written(shop)) == ([], [])


@TOOL
@pytest.mark.parametrize("floor", with_slow(["agent", "console"], ["off", "chat", "pin"]))
async def test_a_persons_yes_in_the_host(
    configure: Configure, shop: Shop, era: str, floor: str, tool: str
) -> None:
    settings, person, arguments = needing(configure, floor), Asked(YES), given(tool, shop)
    async with host(settings, era, person) as client:
        answer = await call(client, tool, **arguments)

    assert len(person.questions) == (floor in {"agent", "chat"})
    if floor in {"agent", "chat"}:
        assert answer["decided_by"] == "person by elicitation (chat)"
        by = Approval("chat", "form", "person by elicitation")
        assert decisions(settings) == [("approve", by)]
    assert (len(written(shop)) == 1) == (floor in {"off", "agent", "chat"})


@TOOL
@pytest.mark.parametrize("floor", with_slow(["chat"], ["agent"]))
@pytest.mark.parametrize("answer", [NO, DECLINE])
async def test_a_persons_no_in_the_host(
    configure: Configure, shop: Shop, era: str, floor: str, tool: str, answer: ElicitResult
) -> None:
    settings, person, arguments = (
        needing(configure, floor),
        Asked(answer, YES, YES),
        given(tool, shop),
    )
    time = Time()
    async with host(settings, era, person, time) as client:
        said = [await failure(client, tool, **arguments) for _ in range(2)]
        assert written(shop) == []
        time.pass_by(86_400)
        later = await call(client, tool, **arguments)

    assert len(person.questions) == 2
    for each in said:
        assert f"{NOTHING[tool]}: a person said no to " in each
        assert "clawver-orders webhook " in each
    assert later["status"] == DONE[tool]
    assert [verdict for verdict, _ in decisions(settings)] == ["decline", "approve"]


@TOOL
@pytest.mark.parametrize("floor", with_slow(["chat"], ["agent"]))
@pytest.mark.parametrize(
    ("era", "answer"),
    [
        *product(("auto", "legacy"), (YES, NO, CANCEL)),
        ("legacy", CANNOT),
    ],  # the newer has no errors
)
async def test_what_the_host_answers_by_itself_is_worth_an_agents_word(
    configure: Configure, shop: Shop, era: str, floor: str, tool: str, answer: Any
) -> None:
    settings, arguments = needing(configure, floor), given(tool, shop)
    async with host(settings, era, Asked(answer), thinks=0.3) as client:
        told = await call(client, tool, **arguments)

    if floor == "agent" and answer in (YES, CANNOT):
        channel = "form" if answer is YES else tool
        assert decisions(settings) == [("approve", Approval("agent", channel, "agent"))]
        assert told["status"] == DONE[tool]
        return
    assert (told["status"], told["needs"]) == ("needs_approval", floor)
    assert told["message"] == f"{NOTHING[tool]}: it waits for approval."
    assert (decisions(settings), written(shop)) == ([], [])


async def test_what_is_there_already_needs_nobody(
    configure: Configure, shop: Shop, era: str
) -> None:
    shop.add_webhook(URL, ["order.paid"], SECRET)
    settings, person = needing(configure, "pin"), Asked()
    async with host(settings, era, person) as client:
        there = await call(client, "register_webhook", **WANTED)
        gone = await call(client, "delete_webhook", webhook_id="whk_none")

    assert (there["status"], gone["status"]) == ("already_registered", "not_registered")
    assert (person.questions, changes(settings), written(shop)) == ([], [], [])


async def test_the_question_about_a_removal_shows_what_ends(
    configure: Configure, shop: Shop, era: str
) -> None:
    hook = shop.add_webhook('https://old.example/?"Events: none', ["order.paid"], SECRET)["id"]
    person = Asked(YES)
    async with host(needing(configure, "chat"), era, person) as client:
        await call(client, "delete_webhook", webhook_id=hook)

    lines = person.questions[0].splitlines()
    assert lines[0] == 'Stop sending events of this store to "https://old.example/?\'Events: none"?'
    assert lines[1].startswith('Store: "Pixel & Thread"')
    assert lines[2:4] == ["Events: order.paid", f"Webhook: {hook}"]


# The page.


@TOOL
@pytest.mark.parametrize("floor", with_slow(["chat"], ["console", "pin"]))
async def test_the_link_leads_to_where_a_person_decides(
    configure: Configure, shop: Shop, era: str, floor: str, tool: str
) -> None:
    settings, arguments = needing(configure, floor), given(tool, shop)
    async with page_host(settings, era, None) as client:
        answer = await call(client, tool, **arguments)
        link = answer["approve_at"]
        address, _, path = link.partition("/webhook/")
        assert f"open {link}, or run in a terminal: `clawver-orders webhook " in answer["next_step"]
        assert "hooks.example" not in link
        visitor = Visitor(address)
        await visitor.go(f"/webhook/{path}")
        await visitor.sign_in(onward=f"webhook/{path}")
        assert written(shop) == []
        await visitor.press("approve", pin=PIN if floor == "pin" else "")
        await visitor.http.aclose()
        after = await call(client, tool, **arguments)

    grade: Grade = "pin" if floor == "pin" else "console"
    by = Approval(grade, "page", "person on the page")
    assert decisions(settings) == [("approve", by)]
    assert after["status"] in {"already_registered", "not_registered"}
    assert len(written(shop)) == 1


# What an answer is about.


async def wants(services: Services, caller: Any, **arguments: Any) -> dict[str, Any]:
    return await TOOLS["register_webhook"].call(services, WANTED | arguments, caller)


async def test_an_answer_about_another_change_is_none(configure: Configure, shop: Shop) -> None:
    """The seal binds it to its call; the desk looks too."""
    async with opened(needing(configure, "chat")) as services:
        with pytest.raises(Left) as left:
            await wants(services, Modern())
        change_id, number = left.value.args
        other = Modern(change_id, Reply.YES, number)
        with pytest.raises(Left) as asked:
            await wants(services, other, url=f"{URL}/elsewhere")

    assert asked.value.args[0] != change_id
    assert written(shop) == []


async def test_a_no_that_comes_late_still_counts(configure: Configure, shop: Shop) -> None:
    settings = needing(configure, "chat")
    async with host(settings, person=Asked(), time=(time := Time())) as client:
        first = await client.session.call_tool(
            "register_webhook", WANTED, allow_input_required=True
        )
        time.pass_by(3600)
        late = await client.session.call_tool(
            "register_webhook", WANTED, **answered(first, DECLINE)
        )

    assert late.is_error
    assert [verdict for verdict, _ in decisions(settings)] == ["decline"]
    assert written(shop) == []


async def test_what_another_process_is_carrying_out_is_not_done_again(
    configure: Configure, shop: Shop
) -> None:
    settings = needing(configure, "chat")
    kept = Changes(folder_of(settings), now)
    change = kept.want(WantedChange("register", URL, ("order.paid",)), "chat", "x", is_person=False)
    kept.begin(change, Approval("console", "page", "x"), "y", None)
    async with opened(settings) as services:
        for caller in (Terminal(Reply.YES), Script()):
            with pytest.raises(RefusedError, match="Another call is making the same change now"):
                await wants(services, caller)

    assert written(shop) == []


@pytest.mark.parametrize("asks", [True, False])
async def test_what_is_decided_elsewhere_at_this_moment_is_left_to_that(
    configure: Configure, shop: Shop, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = needing(configure, "agent")

    def overtaken(*_: object) -> int:
        raise OvertakenError

    monkeypatch.setattr(Changes, "ask" if asks else "begin", overtaken)
    async with opened(settings) as services:
        caller = AskingHost(Reply.YES, can_ask=asks)
        with pytest.raises(RefusedError, match="Another call is making the same change now"):
            await wants(services, caller)

    assert written(shop) == []


async def test_an_outcome_that_cannot_be_noted_is_still_told(
    configure: Configure, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    settings = needing(configure, "chat")
    file = folder_of(settings) / "webhooks.sqlite3"
    shop.add_fault("slow", method="POST", seconds=1.0)
    answers = []

    async def register(services: Services) -> None:
        answers.append(await wants(services, AskingHost(Reply.YES)))

    async with opened(settings) as services, anyio.create_task_group() as tasks:
        tasks.start_soon(register, services)
        while not written(shop):
            await anyio.sleep(0.02)
        file.rename(file.with_name("elsewhere"))

    assert answers[0]["status"] == "registered"
    assert "was not noted" in caplog.text


async def test_a_file_that_cannot_be_used_changes_nothing(
    configure: Configure, shop: Shop, era: str
) -> None:
    settings = needing(configure, "off")
    file = folder_of(settings) / "webhooks.sqlite3"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database at all")
    file.chmod(0o600)
    async with host(settings, era) as client:
        text = await failure(client, "register_webhook", **WANTED)

    assert "Nothing was sent. The file of the changes of webhooks is damaged" in text
    assert written(shop) == []


@TOOL
@pytest.mark.parametrize("presses", ["approve", "decline", ""])
async def test_a_host_that_can_show_the_page_opens_it(
    configure: Configure, shop: Shop, era: str, tool: str, presses: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """What the host says of it approves nothing: the person decides there, or nobody does."""
    monkeypatch.setattr(approving, "WAIT_FOR_DECISION_SECONDS", 20.0 if presses else 0.1)
    settings, arguments = needing(configure, "console"), given(tool, shop)
    person = AtTheBrowser(presses)
    async with page_host(settings, era, person) as client:
        if presses == "decline":
            assert f"{tool} failed. {NOTHING[tool]}" in await failure(client, tool, **arguments)
        else:
            answer = await call(client, tool, **arguments)

    (asked,) = person.asked
    assert "A change of the webhooks of the store" in asked.message
    assert "hooks.example" not in asked.url
    assert len(written(shop)) == (presses == "approve")
    if presses == "approve":
        assert (answer["status"], answer["decided_by"]) == (
            DONE[tool],
            "person on the page (console)",
        )
    if not presses:
        assert answer["status"] == "needs_approval"
        assert answer["approve_at"] == asked.url


@pytest.mark.parametrize("said", [DECLINE, CANCEL])
async def test_a_host_that_did_not_open_the_page_is_not_waited_for(
    configure: Configure, shop: Shop, era: str, said: ElicitResult
) -> None:
    person = AtTheBrowser(said=said)
    async with page_host(needing(configure, "console"), era, person) as client:
        answer = await call(client, "register_webhook", **WANTED)

    assert answer["status"] == "needs_approval"
    assert "/webhook/wch_" in answer["approve_at"]
    assert (len(person.asked), written(shop)) == (1, [])


async def test_where_no_page_can_be_shown_nobody_is_made_to_open_one(
    configure: Configure, shop: Shop, era: str
) -> None:
    async def none_there(services: Services, path: str) -> None:  # the type's
        return None

    person = AtTheBrowser()
    async with page_host(needing(configure, "console"), era, person, none_there) as client:
        answer = await call(client, "register_webhook", **WANTED)

    assert answer["status"] == "needs_approval"
    assert (person.asked, written(shop)) == ([], [])
