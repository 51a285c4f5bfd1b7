"""Webhooks in the terminal: who approves there, and what reaches the store."""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from tests.cli.test_main import keyless, run, run_process
from tests.conftest import with_slow
from tests.terminals import at_terminal

from clawver_orders.instants import now
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.storage.pin import Pin
from clawver_orders.storage.scopes import known
from clawver_orders.webhooks.changes import Change, Changes
from clawver_sandbox.shop import Shop

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
SECRET = "whsec_example_0123456789"
URL = "https://hooks.example/clawver?shop=1&x='"
REGISTER = ("webhook", "register", URL, "--events", "order.refunded,order.paid")
PIN = "example-472"


@pytest.fixture
def store(live: dict[str, str]) -> dict[str, str]:
    return live | {
        "CLAWVER_WEBHOOK_SECRET": SECRET,
        "CLAWVER_WEBHOOK_HOSTS": "hooks.example",
        "CLAWVER_REFUND_APPROVAL": "console",
    }


def person(
    store: dict[str, str],
    *words: str,
    answers: Sequence[str] = ("y",),
    prompts: Sequence[str] = ("[y/N]: ",),
) -> subprocess.CompletedProcess[str]:
    return at_terminal(*words, answers=answers, environment=keyless() | store, prompts=prompts)


def program(store: dict[str, str], kind: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The same without a person."""
    if kind == "echo y |":
        return at_terminal(*words, piped_in="y\n", environment=keyless() | store)
    if kind == "--yes at a terminal":
        return at_terminal(*words, "--yes", environment=keyless() | store)
    return run_process(*words, *(["--yes"] if kind == "--yes" else []), stdin="y\n", **store)


def written(shop: Shop) -> list[str]:
    return [f"{r['method']} {r['path']}" for r in shop.requests() if r["method"] != "GET"]


def kept(store: dict[str, str]) -> tuple[Changes, Pin]:
    """What the command keeps of the store."""
    settings = Settings.from_environment(store)

    async def meet() -> None:
        async with opened(settings) as services:
            await services.store()

    asyncio.run(meet())
    scope = known(settings)
    assert scope is not None
    return Changes(scope.folder, now), Pin(scope.folder, now)


def the_change(store: dict[str, str], shown: str) -> Change:
    """The change that an answer of the tool links to, or the only one that waits."""
    (change,) = kept(store)[0].waiting()
    assert change.wanted.action in shown
    return change


@posix
def test_a_person_registers_a_webhook(store: dict[str, str], shop: Shop) -> None:
    done = person(store, *REGISTER)
    again = person(store, *REGISTER, answers=())

    assert done.returncode == 0, done.stdout
    assert f"Send events of this store to {URL} from now on?" in done.stdout
    assert "Events: order.paid, order.refunded" in done.stdout
    assert "Send the events there? [y/N]: y" in done.stdout
    assert "registered: Clawver sends these events from now on." in done.stdout
    assert f"webhook: {shop.webhooks()[0]['id']}" in done.stdout
    assert (again.returncode, "already_registered: Nothing was sent" in again.stdout) == (0, True)
    assert written(shop) == ["POST /v1/webhooks"]
    assert SECRET not in done.stdout


@posix
def test_a_person_removes_a_webhook(store: dict[str, str], shop: Shop) -> None:
    hook = shop.add_webhook("https://old.example/", ["order.paid"], SECRET)["id"]
    done = person(store, "webhook", "delete", hook)
    again = run("webhook", "delete", hook, **store)

    assert done.returncode == 0, done.stdout
    assert 'Stop sending events of this store to "https://old.example/"?' in done.stdout
    assert "Remove this webhook? [y/N]: y" in done.stdout
    assert f"deleted: Clawver sends nothing to webhook {hook} any more." in done.stdout
    assert (
        again.stdout
        == f"not_registered: Nothing was changed: there is no webhook {hook} in this store.\n"
    )
    assert written(shop) == [f"DELETE /v1/webhooks/{hook}"]


@posix
def test_a_no_changes_nothing_and_keeps_agents_from_asking(
    store: dict[str, str], shop: Shop
) -> None:
    hook = shop.add_webhook("https://old.example/", ["order.paid"], SECRET)["id"]
    declined = [
        person(store, *words, answers=["n"]) for words in (REGISTER, ("webhook", "delete", hook))
    ]
    agents = [
        run("call", "register_webhook", f"url={URL}", "events=order.paid,order.refunded", **store),
        run("call", "delete_webhook", f"webhook_id={hook}", **store),
    ]
    yes = run(*REGISTER, "--yes", **store | {"CLAWVER_REFUND_APPROVAL": "agent"})

    assert [each.returncode for each in (*declined, *agents, yes)] == [4] * 5
    assert "Nothing was registered: a person said no to this address.\n" in declined[0].stdout
    assert "Nothing was removed: a person said no to removing this webhook.\n" in declined[1].stdout
    assert "a person said no to this address. Do not ask again by yourself." in agents[0].stderr
    assert f"clawver-orders webhook delete {hook}" in agents[1].stderr
    assert written(shop) == []
    assert person(store, *REGISTER).returncode == 0
    assert written(shop) == ["POST /v1/webhooks"]


@posix
@pytest.mark.parametrize(
    "kind", with_slow(["echo y |"], ["no terminal", "--yes", "--yes at a terminal"])
)
def test_a_programs_yes_is_worth_an_agents(store: dict[str, str], shop: Shop, kind: str) -> None:
    weak = program(store, kind, *REGISTER)
    assert weak.returncode == 1
    assert "needs_approval: Nothing was registered: it waits for approval." in weak.stdout
    assert "Run the command in a terminal without --yes." in weak.stdout + weak.stderr
    assert written(shop) == []

    enough = program(store | {"CLAWVER_REFUND_APPROVAL": "agent"}, kind, *REGISTER)
    assert enough.returncode == 0, enough.stdout + enough.stderr
    assert written(shop) == ["POST /v1/webhooks"]


@posix
def test_the_pin_is_asked_for_where_it_is_needed(store: dict[str, str], shop: Shop) -> None:
    store |= {"CLAWVER_REFUND_APPROVAL": "pin"}
    prompts = ("[y/N]: ", "PIN: ")
    without = person(store, *REGISTER, answers=["y"], prompts=prompts)
    changes, pin = kept(store)
    pin.set(PIN, None)
    done = person(store, *REGISTER, answers=["y", "example-473", PIN], prompts=prompts)

    assert (without.returncode, done.returncode) == (1, 0), done.stdout
    assert "this store has no PIN yet" in without.stdout
    assert "Never type the PIN in a chat" in done.stdout
    assert "the PIN is wrong. 4 tries are left" in done.stdout
    assert PIN not in done.stdout
    assert written(shop) == ["POST /v1/webhooks"]
    assert changes.waiting() == ()


@posix
def test_what_an_agent_wants_is_approved_by_the_command_that_it_names(
    store: dict[str, str], shop: Shop
) -> None:
    import json
    import shlex

    hook = shop.add_webhook("https://old.example/", ["order.paid"], SECRET)["id"]
    for call in (
        ("register_webhook", f"url={URL}", "events=order.paid"),
        ("delete_webhook", f"webhook_id={hook}"),
    ):
        wanted: dict[str, Any] = json.loads(run("call", *call, **store).stdout)
        assert (wanted["status"], wanted["needs"]) == ("needs_approval", "console")
        change = the_change(store, wanted["next_step"])
        words = shlex.split(
            wanted["next_step"].partition("run in a terminal: `")[2].partition("`")[0]
        )
        assert words.pop(0) == "clawver-orders"
        assert person(store, *words).returncode == 0
        found = kept(store)[0].find(change.change_id)
        assert found is not None
        assert found.status == "done"
        assert [each.approval.grade for each in found.decisions] == ["console"]

    assert written(shop) == ["POST /v1/webhooks", f"DELETE /v1/webhooks/{hook}"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("register", URL, "--events", "order.teleported"), "Nothing was done: events "),
        (("register", URL, "--events", ","), "Nothing was done: events "),
        (("delete", "../x"), "Nothing was done: webhook_id "),
    ],
)
def test_what_does_not_fit_is_said_before_anything(
    store: dict[str, str], shop: Shop, words: tuple[str, ...], said: str
) -> None:
    done = run("webhook", *words, **store)

    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert shop.requests() == []


@pytest.mark.parametrize("words", [REGISTER, ("webhook", "delete", "whk_1")])
def test_the_rules_of_the_tools_hold_here_too(
    store: dict[str, str], shop: Shop, words: tuple[str, ...]
) -> None:
    read_only = run(*words, "--yes", **store | {"CLAWVER_READ_ONLY": "on"})
    assert "Nothing was sent: this server is read-only (CLAWVER_READ_ONLY)." in read_only.stderr
    if "register" in words:
        other = run(*words, "--yes", **store | {"CLAWVER_WEBHOOK_HOSTS": "other.example"})
        assert "hooks.example is not a host that the merchant allows" in other.stderr
        no_secret = run(*words, "--yes", **store | {"CLAWVER_WEBHOOK_SECRET": ""})
        assert "CLAWVER_WEBHOOK_SECRET is not set" in no_secret.stderr

    assert written(shop) == []
