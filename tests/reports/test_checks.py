"""The doctor looks at what refunds rest on, and says what to do about it."""

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import KEY, folder_of

from clawver_orders.caller import Approval
from clawver_orders.instants import Instant
from clawver_orders.refunds import order_locks
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.records import Actor, Limits, Preview, Wish
from clawver_orders.reports.checks import Finding, examine
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ACTOR = Actor("test 1.0", "a person")
LOCKED = Finding("locks", True, "Two refunds of one order cannot run at the same time.")
WHOLE = Finding("ledger", True, "The refund ledger is whole and can be written.")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Of a machine that has met one store."""
    scopes.note(Settings(state_dir=tmp_path / "state", api_key=KEY), "store_1", "Ada's")
    return tmp_path / "state"


def file_of(state: Path, **which: Any) -> Path:
    return folder_of(Settings(state_dir=state, **which)) / "ledger.sqlite3"


def ledger_of(state: Path, **which: Any) -> Ledger:
    return Ledger(file_of(state, **which), lambda: Instant(NOW, 1000.0, "this start"))


async def findings(state: Path, **decided: object) -> list[Finding]:
    """What is found out about refunds, without a key."""
    found = await examine({"CLAWVER_STATE_DIR": str(state)}, lambda: NOW, **decided)
    return [each for each in found if each.subject in {"locks", "ledger", "refunds"}]


async def send(ledger: Ledger, order_id: str) -> Wish:
    records, wish = await ledger.want(0, order_id, 500, [], "Torn", Preview("paid", "agent"), ACTOR)
    approval = Approval("agent", "confirm_refund", "agent by confirm_refund")
    return await ledger.begin_send(
        records.number, wish, approval, None, [], None, Limits(10_000), "test 1.0"
    )


async def test_a_store_without_refunds_is_fine(state: Path) -> None:
    assert await findings(state) == [
        LOCKED,
        Finding("ledger", True, "There is none yet. The first refund can make it."),
    ]
    assert not ledger_of(state).exists
    assert [path.name for path in file_of(state).parent.iterdir() if path.is_dir()] == ["locks"]


async def test_a_ledger_that_could_not_be_made_is_found_before_the_first_refund(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "link", refuse)
        broken.setattr(Path, "replace", refuse)
        (_, found) = await findings(state)
    assert (found.subject, found.is_fine) == ("ledger", False)
    assert "The file of the refund ledger cannot be used (OSError)." in found.says
    assert "a folder on a local disk" in found.next_step

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    found = (await examine({"CLAWVER_STATE_DIR": str(state)}, lambda: NOW))[-1]
    assert (found.subject, found.is_fine) == ("state folder", False)
    assert found.says.endswith("cannot be written (OSError: Input/output error).")


async def test_the_folders_it_makes_are_closed_to_others(tmp_path: Path) -> None:
    before = os.umask(0)
    await findings(tmp_path / "above" / "state")
    os.umask(before)

    made = [folder for folder in (tmp_path / "above").rglob("*") if folder.is_dir()]
    assert {stat.S_IMODE(each.stat().st_mode) for each in [tmp_path / "above", *made]} == {0o700}


@pytest.mark.parametrize(
    ("decided", "says"),
    [
        ({}, "On, but serve --http is read-only (no CLAWVER_HTTP_TOKEN)."),
        ({"http_token": "an-example-token-of-32-characters"}, "On, over HTTP too."),
        ({"read_only": True}, "Off: a server is read-only (CLAWVER_READ_ONLY)."),
    ],
)  # fmt: skip
async def test_it_says_whether_a_server_would_write(
    decided: dict[str, object], says: str, state: Path
) -> None:
    found = await examine({"CLAWVER_STATE_DIR": str(state)}, lambda: NOW, **decided)

    assert [each for each in found if each.subject == "writing"] == [Finding("writing", True, says)]


@pytest.mark.parametrize(
    ("text", "is_fine", "says"),
    [
        ("[refund]\nwindow_days = 30", True, "Its rules can be read (policy "),
        (
            "[refund]\nmax_refunds_per_customer = {count = 3, days = 90}",
            True,
            "Its rules can be read",
        ),
        (
            "[refund]\nwindow = 30",
            False,
            "No money was moved: The file in CLAWVER_REFUND_POLICY cannot be used, line 2: window is no rule.",
        ),
    ],
)
async def test_it_says_whether_the_refund_policy_can_be_used(
    state: Path, tmp_path: Path, text: str, is_fine: bool, says: str
) -> None:
    policy = tmp_path / "refund-policy.toml"
    policy.write_text(text, "utf-8")
    given = {"CLAWVER_STATE_DIR": str(state), "CLAWVER_REFUND_POLICY": str(policy)}

    (found,) = [f for f in await examine(given, lambda: NOW) if f.subject == "refund policy"]

    assert found.is_fine is is_fine
    assert found.says.startswith(says)


async def test_it_says_that_a_rule_per_customer_needs_the_order_history(
    state: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "refund-policy.toml"
    policy.write_text("[refund]\nmax_refunds_per_customer = {count = 3, days = 90}", "utf-8")
    given = {
        "CLAWVER_STATE_DIR": str(state),
        "CLAWVER_REFUND_POLICY": str(policy),
        "CLAWVER_HISTORY": "off",
    }

    (found,) = [f for f in await examine(given, lambda: NOW) if f.subject == "refund policy"]

    assert not found.is_fine
    assert "CLAWVER_HISTORY is off: every refund is outside the policy." in found.says
    assert found.next_step.startswith("Remove CLAWVER_HISTORY")


async def test_settled_refunds_are_fine(state: Path) -> None:
    ledger = ledger_of(state)
    sent = await send(ledger, "ord_1")
    await ledger.claim(sent.attempts[0], "ref_1", None, [], ACTOR)

    assert await findings(state) == [LOCKED, WHOLE, Finding("refunds", True, "None is open.")]


@pytest.mark.parametrize(
    ("orders", "says"),
    [(["ord_1"], "1 of them is open"), (["ord_1", "ord_2"], "2 of them are open")],
)
async def test_open_refunds_are_counted_and_can_be_looked_up(
    state: Path, orders: list[str], says: str
) -> None:
    ledger = ledger_of(state)
    for order_id in orders:
        await send(ledger, order_id)

    assert await findings(state) == [
        LOCKED,
        WHOLE,
        Finding(
            "refunds",
            False,
            f"{says}: what became of the money is not known yet.",
            "Look them up with: clawver-orders refunds check.",
        ),
    ]


async def test_the_sandbox_has_a_ledger_of_its_own(state: Path) -> None:
    await send(ledger_of(state, sandbox=True), "ord_1")

    (*_, last) = await findings(state, sandbox=True)

    assert last.next_step == "Look them up with: clawver-orders refunds check --sandbox."
    assert Finding("refunds", True, "None is open.") not in await findings(state)


def cut_off(ledger: Path) -> None:
    ledger.write_bytes(ledger.read_bytes()[:6000])


def take_away(ledger: Path) -> None:
    ledger.unlink()


def open_to_all(ledger: Path) -> None:
    ledger.chmod(0o666)


@pytest.mark.parametrize(
    ("damage", "says", "do"),
    [
        (cut_off, "is damaged", "put it back from a backup"),
        (take_away, "is gone", "put it back from a backup"),
        (open_to_all, "must belong to this user alone", "chmod 600"),
    ],
)
async def test_a_ledger_that_cannot_be_used_is_found(
    state: Path, damage: Callable[[Path], None], says: str, do: str
) -> None:
    await send(ledger_of(state), "ord_1")
    damage(file_of(state))

    (locked, found) = await findings(state)

    assert locked == LOCKED
    assert (found.subject, found.is_fine) == ("ledger", False)
    assert says in found.says
    assert do in found.next_step


@pytest.fixture
def for_all(state: Path) -> None:
    state.mkdir(exist_ok=True)
    state.chmod(0o777)


@pytest.mark.usefixtures("for_all")
async def test_a_folder_above_that_others_may_write_is_found(state: Path) -> None:
    found = await examine({"CLAWVER_STATE_DIR": str(state)}, lambda: NOW)

    (folder,) = [each for each in found if each.subject == "state folder"]
    assert (folder.is_fine, folder.says) == (
        False,
        f"Other users may write {state}, and could replace the refund ledger.",
    )
    assert f"chmod go-w '{state}'" in folder.next_step


async def test_locks_that_do_not_lock_are_found(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_locks, "_excludes", lambda *_: False)

    (found, _) = await findings(state)

    assert (found.subject, found.is_fine) == ("locks", False)
    assert "do not work" in found.says
    assert "CLAWVER_STATE_DIR" in found.next_step
