"""Webhooks that wait for a decision, as a browser without script meets them on the page."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from tests.conftest import Configure
from tests.processes import Start
from tests.web.conftest import Opens
from tests.web.test_page import EVIL, signed_in_by_code
from tests.web.visitor import HOOKS, PIN, Room, Visitor

from clawver_orders.addresses import address
from clawver_orders.caller import Approval, Script
from clawver_orders.errors import RefusedError
from clawver_orders.services import Store, opened
from clawver_orders.webhooks.changes import CHANGES_FILE, Change, Changes

SECRET = "whsec_example_0123456789"
URL = "https://hooks.example/<b>clawver"


@pytest.fixture(params=["console"])
async def room(opens: Opens, request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    """A page whose store has a PIN, and may have webhooks."""
    async with opens(refund_approval=request.param) as room:
        yield room


async def wanted(room: Room) -> Change:
    """A webhook that an agent wants, and that waits for a person."""
    return await wanted_from(room.store)


async def wanted_from(store: Store) -> Change:
    to = address(URL, is_local_store=False)
    told = await store.webhooks.register(to, ["order.paid"], Script("agent 1"))
    assert told.status == "needs_approval"
    assert told.change is not None
    return told.change


async def wanted_before(configure: Configure) -> Change:
    """One that was wanted before the page was up, with other settings than the page's."""
    async with opened(configure(refund_approval="console", **HOOKS)) as services:
        return await wanted_from(await services.store())


def kept(room: Room, change: Change) -> Change:
    found = Changes(room.store.scope.folder, room.services.instant).find(change.change_id)
    assert found is not None
    return found


def written(room: Room) -> list[str]:
    return [f"{r['method']} {r['path']}" for r in room.shop.requests() if r["method"] != "GET"]


async def test_a_person_who_signed_in_registers_what_they_saw(
    room: Room, merchant: Visitor
) -> None:
    change = await wanted(room)
    listed = await merchant.go()
    shown = await merchant.go(f"/webhook/{change.change_id}")
    assert written(room) == []
    said = await merchant.press("approve")

    assert "1 webhook waits for you" in listed
    assert f"Send events {URL}" in listed
    assert "Send events to this address? Waiting for your decision. Nothing has changed. " in shown
    assert f"Address {URL} Events order.paid Asked through agent 1" in shown
    assert "Done" in said
    assert "Approved by person on the page this machine through page" in said
    assert written(room) == ["POST /v1/webhooks"]
    assert room.shop.webhooks()[0]["url"] == URL
    (decision,) = kept(room, change).decisions
    assert decision.approval == Approval("console", "page", "person on the page")
    assert "Nothing waits for you" in await merchant.go()
    assert SECRET not in merchant.last.text


async def test_a_person_removes_a_webhook(room: Room, merchant: Visitor) -> None:
    hook = room.shop.add_webhook(URL, ["order.paid"], SECRET)["id"]
    told = await room.store.webhooks.delete(hook, Script("agent 1"))
    assert told.change is not None
    await room.wanted()
    assert "1 refund and 1 webhook wait for you" in await merchant.go()
    shown = await merchant.go(f"/webhook/{told.change.change_id}")
    said = await merchant.press("approve", pin=PIN)

    assert "Stop sending events there? Waiting" in shown
    assert f"Webhook {hook}" in shown
    assert "Done" in said
    assert written(room) == [f"DELETE /v1/webhooks/{hook}"]
    assert [each.approval.grade for each in kept(room, told.change).decisions] == ["pin"]


async def test_what_is_there_already_is_not_made_twice(room: Room, merchant: Visitor) -> None:
    change = await wanted(room)
    hook = room.shop.add_webhook("https://other.example/", ["order.paid"], SECRET)["id"]
    gone = (await room.store.webhooks.delete(hook, Script())).change
    assert gone is not None
    room.shop.add_webhook(URL, ["order.paid"], SECRET)
    room.shop.remove_webhook(hook)
    for each in (change, gone):
        await merchant.go(f"/webhook/{each.change_id}")
        assert "Done" in await merchant.press("approve")

    assert written(room) == []


async def test_one_that_goes_at_this_moment_is_gone(room: Room, merchant: Visitor) -> None:
    hook = room.shop.add_webhook(URL, ["order.paid"], SECRET)["id"]
    change = (await room.store.webhooks.delete(hook, Script())).change
    assert change is not None
    room.shop.add_fault("status_before", method="DELETE", status=404)
    await merchant.go(f"/webhook/{change.change_id}")

    assert "Done" in await merchant.press("approve")
    assert kept(room, change).status == "done"


async def test_declining_keeps_agents_from_asking_and_a_person_may_ask_again(
    room: Room, merchant: Visitor
) -> None:
    change = await wanted(room)
    await merchant.go(f"/webhook/{change.change_id}")
    open_before = merchant.last
    said = await merchant.press("decline")
    with pytest.raises(RefusedError, match="a person said no to this address"):
        await wanted(room)
    merchant.last = open_before
    late = await merchant.press("approve")
    await merchant.press("again")
    done = await merchant.press("approve")
    merchant.last = open_before
    too_late = await merchant.press("decline")

    assert "Declined by person on the page" in said
    assert "What you saw is no longer current, so nothing was done." in late
    assert "Done" in done
    assert "What you saw is no longer current" in too_late
    assert written(room) == ["POST /v1/webhooks"]


@pytest.mark.parametrize("room", ["pin"], indirect=True)
async def test_the_pin_is_needed_where_it_is(room: Room, merchant: Visitor) -> None:
    change = await wanted(room)
    shown = await merchant.go(f"/webhook/{change.change_id}")
    without = await merchant.press("approve", pin="")
    wrong = await merchant.press("approve", pin="example-473")
    assert written(room) == []
    right = await merchant.press("approve", pin=PIN)

    assert "Needs PIN Only your PIN approves it." in shown
    assert "Type your PIN to approve this. Never type the PIN in a chat" in without
    assert "4 tries are left before it is locked" in wrong
    assert "Done" in right
    assert [each.approval.grade for each in kept(room, change).decisions] == ["pin"]


async def test_what_needs_the_pin_has_no_button_while_there_is_none(opens: Opens) -> None:
    async with opens(refund_approval="pin", has_pin=False) as room:
        change = await wanted(room)
        visitor = await signed_in_by_code(room)
        shown = await visitor.go(f"/webhook/{change.change_id}")

        assert "this store has none yet. Set one in a terminal, then reload this page" in shown
        assert visitor.forms("approve") == []
        await visitor.http.aclose()


async def test_where_the_page_needs_more_than_who_asked_it_decides(room: Room) -> None:
    """Another process, with a lower setting, wanted it."""
    change = await wanted(room)
    low = Changes(room.store.scope.folder, room.services.instant).want(
        change.wanted, "agent", "agent 1", is_person=False
    )
    with pytest.raises(RefusedError, match="that approval is not enough"):
        await room.store.webhooks.approve(low, Approval("chat", "form", "somebody"), "host 1")

    assert room.store.webhooks.grade_needed(low) == "console"
    assert written(room) == []


async def test_a_stranger_signs_in_first_and_is_led_on(room: Room, stranger: Visitor) -> None:
    change = await wanted(room)
    asked = await stranger.go(f"/webhook/{change.change_id}")
    shown = await stranger.sign_in(onward=f"webhook/{change.change_id}")

    assert "Then you'll see what you were asked about." in asked
    assert "hooks.example" not in asked
    assert "Send events to this address?" in shown
    home = stranger.home
    stranger.http.cookies.clear()
    lost = await stranger.go(f"/webhook/{change.change_id}")
    assert (stranger.last.status_code, "hooks.example" in lost) == (401, False)
    assert stranger.last.url.path.startswith(home.removeprefix(room.address))
    assert f'value="webhook/{change.change_id}"' in stranger.last.text


async def test_a_form_of_another_page_does_nothing(room: Room, merchant: Visitor) -> None:
    change = await wanted(room)
    await merchant.go(f"/webhook/{change.change_id}")
    (form,) = merchant.forms("approve")
    address_ = f"{merchant.home}/webhook/{change.change_id}/approve"
    for fields, origin in ((form.fields, EVIL), (form.fields | {"form_token": "x"}, None)):
        assert "Nothing was done" in await merchant.post(address_, fields, origin)
    await merchant.post(address_, form.fields | {"revision": "2"})

    assert written(room) == []
    assert kept(room, change).status == "waiting"


async def test_another_change_is_not_found(room: Room, merchant: Visitor) -> None:
    await wanted(room)
    shown = await merchant.go("/webhook/wch_none")

    assert merchant.last.status_code == 404
    assert "There is no such change" in shown


async def test_read_only_shows_all_and_decides_nothing(opens: Opens, configure: Configure) -> None:
    change = await wanted_before(configure)
    async with opens(read_only=True, has_pin=False) as room:
        visitor = await signed_in_by_code(room)
        shown = await visitor.go(f"/webhook/{change.change_id}")
        token = visitor.forms("signout")[0].fields
        assert "This page is read-only: nothing can be decided here." in shown
        assert URL in shown
        assert visitor.forms("approve") == visitor.forms("decline") == []
        for press in ("approve", "decline", "again"):
            said = await visitor.post(
                f"{visitor.home}/webhook/{change.change_id}/{press}", token | {"revision": "1"}
            )
            assert "Nothing was done: this page is read-only" in said
        await visitor.http.aclose()
        assert written(room) == []
        assert kept(room, change).status == "waiting"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"webhook_secret": ()}, "CLAWVER_WEBHOOK_SECRET is not set"),
        (
            {"webhook_hosts": "other.example"},
            "hooks.example is not a host that the merchant allows",
        ),
        ({"webhook_hosts": ()}, "hooks.example is not a host that the merchant allows"),
    ],
)
async def test_the_limits_of_the_page_hold_too(
    opens: Opens, configure: Configure, settings: dict[str, Any], said: str
) -> None:
    change = await wanted_before(configure)
    async with opens(**settings) as room:
        visitor = await signed_in_by_code(room)
        await visitor.go(f"/webhook/{change.change_id}")
        assert said in await visitor.press("approve", pin=PIN)
        await visitor.http.aclose()
        assert written(room) == []
        assert kept(room, change).status == "waiting"


async def test_a_refusal_by_the_store_is_said_and_can_be_tried_again(
    room: Room, merchant: Visitor
) -> None:
    change = await wanted(room)
    room.shop.add_fault("status_before", method="POST", status=400)
    await merchant.go(f"/webhook/{change.change_id}")
    failed = await merchant.press("approve")
    shown = await merchant.go(f"/webhook/{change.change_id}")
    await merchant.press("again")

    assert "This didn't come to an end" in failed
    assert "Approved, but it didn't come to an end" in shown
    assert "Done" in await merchant.press("approve")
    assert len(room.shop.webhooks()) == 1


async def test_a_file_that_cannot_be_used_hides_no_refund(room: Room, merchant: Visitor) -> None:
    await wanted(room)
    wish = await room.wanted()
    (room.store.scope.folder / CHANGES_FILE).write_bytes(b"no database at all")
    shown = await merchant.go()
    change = await merchant.go("/webhook/wch_1")

    assert f"Review refund of $7.00 on {wish.order_id}" in shown
    assert (
        "It isn't known which webhooks wait The file of the changes of webhooks is damaged" in shown
    )
    assert "The file of the changes of webhooks is damaged" in change


async def test_fifty_approvals_at_once_register_once(room: Room, merchant: Visitor) -> None:
    change = await wanted(room)
    await merchant.go(f"/webhook/{change.change_id}")
    (form,) = merchant.forms("approve")
    address_ = f"{merchant.home}/webhook/{change.change_id}/approve"
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(merchant.post, address_, form.fields)

    assert written(room) == ["POST /v1/webhooks"]


APPROVES = """
import sys, anyio, json
from clawver_orders.caller import Approval
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.webhooks.changes import Changes, OvertakenError

async def run():
    async with opened(Settings(**json.loads(sys.argv[1]))) as services:
        store = await services.store()
        change = Changes(store.scope.folder, services.instant).find(sys.argv[2])
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        try:
            await store.webhooks.approve(change, Approval("console", "page", "x"), "y")
        except OvertakenError:
            print("overtaken", flush=True)
        else:
            print("done", flush=True)
anyio.run(run)
"""


async def test_processes_that_approve_at_the_same_time_register_once(
    room: Room, another: Start
) -> None:
    change = await wanted(room)
    settings = room.services.settings
    given = {
        "api_key": settings.api_key.get_secret_value() if settings.api_key else "",
        "api_url": settings.api_url,
        "state_dir": str(settings.state_dir),
        "refund_approval": "console",
    } | HOOKS
    import json

    processes = [another(APPROVES, json.dumps(given), change.change_id) for _ in range(4)]
    for each in processes:
        assert each.hear() == "ready"
    for each in processes:
        each.go_on()
    said = sorted([each.hear() for each in processes])

    assert said == ["done", *["overtaken"] * 3]
    assert written(room) == ["POST /v1/webhooks"]
