"""Backing up, restoring, moving and removing, with the lines that the page prints, in a home of their own."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_main import keyless
from tests.documents.test_references import TEXTS, blocks, section, table

from clawver_orders.cli.history import LOCK_FILE
from clawver_orders.history.forgetting import KEY_FILE
from clawver_orders.history.mirror import HISTORY_FILE
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.storage.pin import PIN_FILE
from clawver_orders.webhooks.changes import CHANGES_FILE
from clawver_sandbox.shop import Shop

pytestmark = [
    pytest.mark.slow,  # each starts several processes
    pytest.mark.skipif(os.name != "posix", reason="the lines are those of a POSIX shell"),
]

PAGE = TEXTS["docs/running.md"]


def block(heading: str, number: int = 0) -> str:
    return blocks(section(PAGE, heading), "sh")[number]


@dataclass
class Machine:
    """A home of its own, on which the command is installed."""

    home: Path
    variables: dict[str, str]

    def typed(
        self, lines: str, shell: str = "sh -e", **changed: str
    ) -> subprocess.CompletedProcess[str]:
        """Type these lines in one terminal."""
        scripts = Path(sys.executable).parent
        path = {"HOME": str(self.home), "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(
            [*shell.split(), "-c", lines], env=keyless() | self.variables | path | changed, cwd=self.home,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def wants(self, cents: int, approval: str = "off") -> Any:
        """What `refund_order` answers; what it says where it fails."""
        words = f"clawver-orders call refund_order order_id=ord_shirt amount_in_cents={cents} reason=Smudged"
        done = self.typed(words, CLAWVER_REFUND_APPROVAL=approval)
        return json.loads(done.stdout) if done.stdout else done.stderr

    @property
    def ledger(self) -> Path:
        (found,) = self.home.rglob(LEDGER_FILE)
        return found

    def restore(self, shell: str = "sh -e") -> str:
        """Type the lines of the page for the store of this machine."""
        store = self.ledger_folder
        lines = block("Restore a ledger").replace("live-ID", store.name)
        done = self.typed(lines.replace("ADDRESS", store.parent.name), shell)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def ledger_folder(self) -> Path:
        (found,) = self.home.glob(".local/state/clawver-orders/stores/*/live-*")
        return found


@pytest.fixture
def machine(tmp_path: Path, live: dict[str, str]) -> Machine:
    del live["CLAWVER_STATE_DIR"]
    (tmp_path / "home").mkdir()
    return Machine(tmp_path / "home", live)


def back_up(machine: Machine) -> Path:
    done = machine.typed(block("Back up"))
    assert (done.returncode, done.stderr) == (0, "")
    (made,) = machine.home.glob("*.tgz")
    return made


def test_a_damaged_ledger_is_put_back_and_only_a_person_approves_for_a_while(
    machine: Machine, shop: Shop
) -> None:
    assert machine.wants(500)["status"] == "refunded"
    assert machine.wants(300, "agent")["needs"] == "agent"
    assert back_up(machine).stat().st_mode & 0o077 == 0
    assert machine.wants(700)["status"] == "refunded"
    machine.ledger.write_bytes(b"damaged")
    assert "is damaged" in machine.wants(400)
    assert machine.typed("clawver-orders call get_order order_id=ord_shirt").returncode == 0

    journal = machine.ledger.with_name(f"{LEDGER_FILE}-journal")
    journal.write_bytes(b"of the damaged file")

    said = machine.restore()

    assert re.search("^ok +ledger: The refund ledger is whole", said, re.MULTILINE)
    assert not journal.exists()
    assert {path.name for path in (machine.home / "clawver-orders-damaged").iterdir()} == {
        LEDGER_FILE, journal.name,
    }  # fmt: skip
    assert machine.wants(700)["status"] == "already_refunded"
    assert machine.wants(300, "agent")["needs"] != "agent"
    assert [cents for _, cents in shop.refunds()] == [500, 700]


def test_a_ledger_that_is_gone_is_put_back_with_the_same_lines(machine: Machine) -> None:
    machine.wants(500)
    back_up(machine)
    machine.ledger.unlink()
    assert "is gone" in machine.wants(400)

    machine.restore("sh")

    assert machine.wants(500)["status"] == "already_refunded"


def test_an_older_copy_with_its_number_is_not_noticed(machine: Machine) -> None:
    machine.wants(500)
    back_up(machine)
    machine.wants(700)
    folder = "clawver-orders/stores"

    machine.typed(f"tar -xpzf ~/clawver-orders.tgz -C ~/.local/state {folder}")

    assert machine.wants(300, "agent")["needs"] == "agent"


def test_without_a_backup_an_empty_ledger_takes_its_place_and_all_else_stays(
    machine: Machine, shop: Shop
) -> None:
    machine.wants(500)
    machine.ledger.write_bytes(b"damaged")
    machine.ledger.with_name("inbox.sqlite3").write_bytes(b"events")
    store, before = machine.ledger_folder, {path.name for path in machine.ledger_folder.iterdir()}
    assert "is damaged" in machine.wants(400)

    lines = block("Restore a ledger", 1).replace("ADDRESS", store.parent.name)
    done = machine.typed(lines.replace("live-ID", store.name))

    assert (done.returncode, done.stderr) == (0, "")
    assert "BAD" not in done.stdout
    moved = {path.name for path in (machine.home / "clawver-orders-damaged").iterdir()}
    assert moved == {name for name in before if name.startswith("ledger.")}
    assert before - moved <= {path.name for path in store.iterdir()}
    assert machine.wants(500)["status"] == "already_refunded"
    assert machine.wants(400)["status"] == "refunded"
    assert [cents for _, cents in shop.refunds()] == [500, 400]


def test_without_the_mark_a_ledger_that_is_gone_looks_like_one_that_never_was(
    machine: Machine,
) -> None:
    machine.wants(500)
    machine.ledger.with_suffix(".made").unlink()
    machine.ledger.unlink()

    assert machine.wants(300)["status"] == "refunded"


def test_another_machine_goes_on_with_the_refunds_and_the_daily_limit(
    machine: Machine, tmp_path: Path
) -> None:
    machine.wants(500)
    made = back_up(machine)
    (tmp_path / "new").mkdir()
    other = Machine(tmp_path / "new", machine.variables)
    made.rename(other.home / made.name)

    moved = other.typed(block("Move to another machine"))

    assert (moved.returncode, moved.stderr) == (0, "")
    assert "BAD" not in moved.stdout
    assert "$5.00" in moved.stdout
    assert other.wants(500)["status"] == "already_refunded"
    other.variables |= {"CLAWVER_REFUND_DAILY_LIMIT_CENTS": "900"}
    assert "24 hours" in other.wants(450)


def test_the_last_lines_leave_nothing_behind(machine: Machine) -> None:
    machine.wants(500)
    machine.typed("clawver-orders call list_orders --sandbox")
    look, remove = block("Uninstall").splitlines()
    assert remove == "uv tool uninstall clawver-orders"  # tests/clients/test_running.py runs it

    assert machine.typed(look).returncode == 0
    assert machine.typed(block("Uninstall", 1)).returncode == 0
    assert list(machine.home.rglob("*.*")) == [machine.home / ".local"]


def test_the_files_of_a_store_are_those_that_are_made(machine: Machine) -> None:
    machine.wants(500)
    said = {row[0].strip("`") for row in table(section(PAGE, "What is kept"))}
    of_refunds = {path.name for path in machine.ledger.parent.iterdir() if path.is_file()}

    assert HISTORY_FILE in of_refunds
    assert said == of_refunds | {"inbox.sqlite3", CHANGES_FILE, PIN_FILE, LOCK_FILE, KEY_FILE}
    key = machine.variables["CLAW_API_KEY"].encode()
    state = machine.home / ".local" / "state"
    files = [path for path in state.rglob("*") if path.is_file()]
    assert not any(key in path.read_bytes() for path in files)
    naming = {path.name for path in files if b"noam@example.com" in path.read_bytes()}
    assert naming == {HISTORY_FILE}
    assert not any(path.stat().st_mode & 0o077 for path in files)
