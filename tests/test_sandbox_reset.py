"""A sandbox that starts again forgets the refunds that were made on it, and no others."""

import json
import re
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.cli.test_main import run, run_process, serving_sandbox

from clawver_orders.caller import Approval, Script
from clawver_orders.cli.main import commands
from clawver_orders.errors import SetupError
from clawver_orders.instants import now
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.refunds.records import Actor, Limits, Preview, Wish
from clawver_orders.sandbox_store import SANDBOX_FILE, _put_aside, reset_sandbox
from clawver_orders.services import opened
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery, Inbox
from clawver_sandbox import serving
from clawver_sandbox.api import build_app
from clawver_sandbox.shop import API_KEY, Shop


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def settings_for(state: Path, **changed: Any) -> Settings:
    values: dict[str, Any] = {"state_dir": state, "refund_approval": "off", "api_key": API_KEY}
    return Settings(**values | changed)


def folder_of(settings: Settings) -> Path:
    """Where its refunds are; as of an earlier version where nobody asked which store it is."""
    scope = scopes.known(settings)
    return settings.origin_dir if scope is None else scope.folder


async def refund(settings: Settings, order_id: str = "ord_shirt") -> str:
    async with opened(settings) as services:
        return (
            await (await services.store()).desk.refund(order_id, 500, "Torn", [], Script())
        ).status


def ledger_of(settings: Settings) -> Ledger:
    return Ledger(folder_of(settings) / LEDGER_FILE, now)


async def noted(settings: Settings) -> tuple[Wish, ...]:
    return await ledger_of(settings).latest(1000)


async def note(settings: Settings, sandbox: str = "") -> Wish:
    """What a refund of another day left behind in a ledger."""
    ledger = ledger_of(settings)
    records, wish = await ledger.want(
        0, "ord_1", 500, [], "Torn", Preview("", "agent", sandbox), Actor("test")
    )
    approval = Approval("agent", "confirm_refund", "agent by confirm_refund")
    return await ledger.begin_send(
        records.number, wish, approval, None, [], None, Limits(10_000), "test"
    )


class Place:
    """A port of this machine, at which a sandbox store and a real one can be reached by turns."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.is_real = False

    def app(self, shop: Shop, **how: Any) -> ASGIApp:
        inner = build_app(shop, **how)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def sent(message: Message) -> None:
                if self.is_real:  # a real store says nothing of sandboxes
                    kept = [
                        each for each in message.get("headers", []) if b"sandbox" not in each[0]
                    ]
                    message = {**message, "headers": kept}
                await send(message)

            await inner(scope, receive, sent)

        return answer

    @contextmanager
    def open(self) -> Iterator[str]:
        with serving.running(self.shop) as url:
            yield f"{url}/v1"


@pytest.fixture
def place(state: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A port with the state folder's own sandbox store behind it, at first."""
    state.mkdir()
    found = Place(Shop.open(state / SANDBOX_FILE))
    monkeypatch.setattr(serving, "build_app", found.app)
    return found


def port_of(url: str) -> str:
    return url.removesuffix("/v1").rpartition(":")[2]


async def test_the_same_refund_is_possible_again_on_a_sandbox_that_starts_again(
    state: Path,
) -> None:
    sandbox = settings_for(state, sandbox=True)
    assert await refund(sandbox) == "refunded"
    assert await refund(sandbox) == "already_refunded"

    assert reset_sandbox(sandbox) == []

    assert await noted(sandbox) == ()
    assert await refund(sandbox) == "refunded"


async def test_a_server_that_runs_meanwhile_finds_an_empty_ledger(
    state: Path, place: Place
) -> None:
    with place.open() as url:
        async with opened(settings_for(state, api_url=url)) as services:
            first = await (await services.store()).desk.refund(
                "ord_shirt", 500, "Torn", [], Script()
            )
            reset_sandbox(services.settings)
            assert await (await services.store()).ledger.latest(1000) == ()
            second = await (await services.store()).desk.refund(
                "ord_shirt", 500, "Torn", [], Script()
            )

    assert (first.status, second.status) == ("refunded", "refunded")


async def test_a_refund_is_forgotten_at_whatever_port_the_sandbox_was_served(
    state: Path, place: Place
) -> None:
    served = []
    for _ in range(2):
        with place.open() as url:
            served.append(settings_for(state, api_url=url))
            assert (
                await refund(served[-1], f"ord_{('shirt', 'digital')[len(served) - 1]}")
                == "refunded"
            )

    assert reset_sandbox(served[0]) == []

    assert [await noted(each) for each in served] == [(), ()]


async def test_the_ledger_of_a_real_store_behind_the_port_is_kept(
    state: Path, place: Place
) -> None:
    place.is_real = True
    with place.open() as url:
        tunnel = settings_for(state, api_url=url)
        assert await refund(tunnel) == "refunded"
    before = await noted(tunnel)

    with serving_sandbox({"CLAWVER_STATE_DIR": str(state)}, "--reset", port=port_of(url)) as told:
        assert told["CLAWVER_API_URL"] == url
        told["CLAWVER_STATE_DIR"] = str(state)
        shown = json.loads(run_process("call", "get_order", "order_id=ord_shirt", **told).stdout)

    assert shown["orders"][0]["refundable_in_cents"] == 3200
    assert await noted(tunnel) == before
    assert before[0].status == "refunded"


async def test_a_ledger_with_refunds_of_both_keeps_those_of_the_real_store(
    state: Path, place: Place
) -> None:
    with place.open() as url:
        both = settings_for(state, api_url=url)
        assert await refund(both) == "refunded"
        place.is_real = True
        assert await refund(both, "ord_digital") == "refunded"

    said = reset_sandbox(both)

    assert [each.order_id for each in await noted(both)] == ["ord_digital"]
    assert said == [
        "Refunds that are not known to be of this sandbox were kept: 1. If no real store was ever used "
        f"at this address, stop all servers and delete {folder_of(both)} to start empty."
    ]


async def test_what_was_shown_on_the_sandbox_is_not_sent_to_a_real_store(
    state: Path, place: Place
) -> None:
    with place.open() as url:
        async with opened(settings_for(state, api_url=url, refund_approval="agent")) as services:
            shown = await (await services.store()).desk.refund(
                "ord_shirt", 500, "Torn", [], Script()
            )
            on_sandbox = shown.wish
            assert on_sandbox is not None
            place.is_real = True
            confirmed = await (await services.store()).desk.confirm(
                on_sandbox.refund_id, 1, Script()
            )
            on_store = confirmed.wish
            assert on_store is not None
            sent = place.shop.refunds()
            done = await (await services.store()).desk.confirm(on_store.refund_id, 1, Script())

    assert [shown.status, confirmed.status, done.status] == ["needs_approval"] * 2 + ["refunded"]
    assert sent == []
    assert [each.sandbox for each in (on_sandbox, on_store)] == [place.shop.id, ""]
    assert on_sandbox.refund_id != on_store.refund_id


async def test_the_refunds_of_another_sandbox_behind_a_port_are_kept(state: Path) -> None:
    served = settings_for(state, api_url="http://localhost:8787/v1")
    other = await note(served, "sbx_other")

    (said,) = reset_sandbox(served)

    assert await noted(served) == (other,)
    (folder,) = re.findall(r"stop all servers and delete (\S+) to start empty", said)
    shutil.rmtree(folder)
    assert reset_sandbox(served) == []
    assert await noted(served) == ()


async def test_no_host_shares_its_ledger_with_the_sandbox(state: Path) -> None:
    real = settings_for(state, api_url="https://sandbox/v1")
    kept = await note(real)
    with serving_sandbox({"CLAWVER_STATE_DIR": str(state)}, "--reset"):
        pass

    assert await noted(real) == (kept,)


async def test_a_port_in_use_is_named_and_nothing_is_changed(state: Path, place: Place) -> None:
    sandbox = settings_for(state, sandbox=True)
    await refund(sandbox)
    with place.open() as url:
        await refund(settings_for(state, api_url=url), "ord_digital")
        before = contents(state)
        done = run("sandbox", "--reset", "--port", port_of(url), CLAWVER_STATE_DIR=str(state))
        after = contents(state)

    assert done.returncode == 1
    assert done.stderr == (
        f"Port {port_of(url)} is in use, so the sandbox was not started. Nothing was changed or deleted. "
        "Choose another port with --port, or stop the program that uses this one.\n"
    )
    assert after == before


def test_a_port_that_may_not_be_opened_says_why(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(port: int) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(serving, "listen", refused)
    done = CliRunner().invoke(
        commands, ["sandbox", "--reset", "--port", "80"], env={"CLAWVER_STATE_DIR": str(state)}
    )

    assert done.exit_code == 1
    assert done.stderr == (
        "Port 80 cannot be opened (Permission denied), so the sandbox was not started. Nothing was "
        "changed or deleted. Choose another port with --port.\n"
    )
    assert not state.exists()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file()
    }


LACKING = {"without a table": "TO gone", "without a column": "COLUMN body TO gone"}


def damage(path: Path, how: str) -> bytes:
    """Make the sandbox store's file one that cannot be used; gives what is in it then."""
    if how == "half of it":
        whole = path.read_bytes()
        path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    elif how == "another program":
        path.unlink()
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE request (body TEXT)")
    elif how.startswith("without"):
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"ALTER TABLE request RENAME {LACKING[how]}")
    else:
        path.write_bytes(b"no database" * 500)
    return path.read_bytes()


def test_received_events_stay(state: Path) -> None:
    sandbox = settings_for(state, sandbox=True)
    inbox = Inbox(sandbox.origin_dir / "inbox.sqlite3", timedelta(days=30))
    body = b'{"event": "order.paid"}'
    inbox.note("r", [Delivery(body, parse(body), datetime.now(UTC))])
    before = contents(state)

    reset_sandbox(sandbox)

    assert contents(state).items() >= before.items()


@pytest.mark.parametrize("how", ["no database", "another program", "half of it", *LACKING])
async def test_a_sandbox_file_that_cannot_be_used_is_put_aside_and_not_deleted(
    state: Path, how: str
) -> None:
    sandbox = settings_for(state, sandbox=True)
    await refund(sandbox)
    before = damage(state / SANDBOX_FILE, how)

    (said,) = reset_sandbox(sandbox)

    (aside,) = set(contents(state)) - {SANDBOX_FILE} - {n for n in contents(state) if "stores" in n}
    assert said.endswith(f"It is kept as {state / aside}.")
    assert contents(state)[aside] == before
    assert await refund(sandbox) == "refunded"


@pytest.mark.parametrize("how", ["no database", "another program", *LACKING])
async def test_a_sandbox_file_that_cannot_be_used_says_what_puts_it_aside(
    state: Path, how: str
) -> None:
    sandbox = settings_for(state, sandbox=True)
    await refund(sandbox)
    before = damage(state / SANDBOX_FILE, how)

    with pytest.raises(SetupError, match=r"is damaged, or not of this version: .*--reset"):
        await refund(sandbox)

    assert contents(state)[SANDBOX_FILE] == before


def test_what_sqlite_would_mend_a_file_with_is_put_aside_along_with_it(tmp_path: Path) -> None:
    files = {f"sandbox.sqlite3{suffix}" for suffix in ("", "-journal", "-wal", "-shm")}
    for name in files:
        (tmp_path / name).write_text(name)

    aside = _put_aside(tmp_path / "sandbox.sqlite3").name

    assert contents(tmp_path) == {
        name.replace("sandbox.sqlite3", aside): name.encode() for name in files
    }


def test_a_sandbox_file_that_is_in_use_is_neither_put_aside_nor_emptied(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = settings_for(state, sandbox=True)
    reset_sandbox(sandbox)
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, **how: connect(path, **how | {"timeout": 0})
    )
    with closing(connect(state / SANDBOX_FILE, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SetupError, match=r"cannot be opened \(OperationalError\)") as refused:
            reset_sandbox(sandbox)

    assert "--reset" not in str(refused.value)
    assert [each.name for each in state.iterdir()] == [SANDBOX_FILE]


async def test_a_ledger_that_cannot_be_emptied_is_named_and_the_sandbox_starts_all_the_same(
    state: Path,
) -> None:
    sandbox = settings_for(state, sandbox=True)
    await refund(sandbox)
    (sandbox.origin_dir / LEDGER_FILE).write_bytes(b"no database" * 500)

    (said,) = reset_sandbox(sandbox)

    assert said.startswith(
        f"The refunds noted in {sandbox.origin_dir} were not forgotten. The file of"
    )
    assert (sandbox.origin_dir / LEDGER_FILE).read_bytes() == b"no database" * 500


async def test_no_link_leads_a_reset_to_a_ledger_elsewhere(state: Path, tmp_path: Path) -> None:
    elsewhere = settings_for(tmp_path / "elsewhere", api_url="http://localhost:8787/v1")
    there = settings_for(state, api_url="http://localhost:8787/v1")
    reset_sandbox(there)
    with closing(Shop.open(state / SANDBOX_FILE)) as shop:
        wish = await note(elsewhere, shop.id)
    there.origin_dir.parent.mkdir(exist_ok=True)
    there.origin_dir.symlink_to(elsewhere.origin_dir)

    (said,) = reset_sandbox(there)

    assert "were not forgotten" in said
    assert "be no link" in said
    assert await noted(elsewhere) == (wish,)
