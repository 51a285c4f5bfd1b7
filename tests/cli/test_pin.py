"""A person who sets the PIN at a real pseudo-terminal."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.cli.test_main import keyless, run_process
from tests.conftest import KEY, Configure, folder_of, with_slow
from tests.terminals import at_terminal

from clawver_orders.instants import now
from clawver_orders.storage.pin import Pin, WrongPinError
from clawver_sandbox.shop import Shop

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
FIRST, SECOND = "example-472", "example-473"


@pytest.fixture
def kept(configure: Configure) -> Pin:
    """The store's PIN, as it is kept."""
    return Pin(folder_of(configure()), now)


def person(live: dict[str, str], *answers: str) -> subprocess.CompletedProcess[str]:
    prompts = ("PIN: ", "once more: ")
    return at_terminal("pin", answers=answers, environment=keyless() | live, prompts=prompts)


def test_a_person_sets_it_and_changes_it_and_nothing_shows_it(
    live: dict[str, str], kept: Pin
) -> None:
    done = person(live, FIRST, FIRST)
    assert done.returncode == 0, done.stdout
    kept.check(FIRST, has_session=True)
    changed = person(live, FIRST, SECOND, SECOND)

    assert changed.returncode == 0, changed.stdout
    kept.check(SECOND, has_session=True)
    for said, end in (
        (done.stdout, "The PIN is set.\n"),
        (changed.stdout, "The PIN is changed.\n"),
    ):
        assert (
            "Never type the PIN in a chat: no agent needs it. It has 6 to 64 characters.\n" in said
        )
        assert said.endswith(end)
        assert "example-47" not in said


@pytest.mark.slow
def test_as_json_it_says_what_became_of_it_and_asks_on_stderr(live: dict[str, str]) -> None:
    prompts = ("PIN: ", "once more: ")
    done = at_terminal(
        "pin", "--json", answers=(FIRST, FIRST), environment=keyless() | live, prompts=prompts
    )

    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "set"
    assert FIRST not in done.stdout


def test_two_that_differ_are_asked_for_again(live: dict[str, str], kept: Pin) -> None:
    done = person(live, FIRST, SECOND, SECOND, SECOND)

    assert "do not match" in done.stdout
    kept.check(SECOND, has_session=True)


def test_a_short_one_is_not_set(live: dict[str, str], kept: Pin) -> None:
    done = person(live, "12345", "12345")

    assert done.returncode == 1
    assert "A PIN has 6 to 64 characters. Nothing was changed." in done.stdout
    assert not kept.is_set


@pytest.mark.slow
def test_without_the_old_one_nothing_is_changed_and_a_way_out_is_named(
    live: dict[str, str], kept: Pin
) -> None:
    kept.set(FIRST, None)
    done = person(live, SECOND)

    assert done.returncode == 1
    assert f"delete all files of {kept.path.with_suffix('')}.* and run this again" in done.stdout
    assert (
        "Nothing was sent: the PIN is wrong. 4 tries are left before it is locked." in done.stdout
    )
    with pytest.raises(WrongPinError):
        kept.check(SECOND, has_session=True)
    for each in kept.path.parent.glob("pin.*"):
        each.unlink()
    assert person(live, SECOND, SECOND).returncode == 0


@pytest.mark.parametrize("kind", ["echo |", "| cat", "no terminal"])
def test_a_program_sets_none(live: dict[str, str], kept: Pin, kind: str) -> None:
    typed = f"{FIRST}\n{FIRST}\n"
    environment = keyless() | live
    if kind == "echo |":
        done = at_terminal("pin", piped_in=typed, environment=environment)
    elif kind == "| cat":
        done = at_terminal("pin", answers=[FIRST], is_piped_on=True, environment=environment)
    else:
        done = run_process("pin", stdin=typed, **live)

    assert done.returncode == 1
    assert "a PIN is set by a person in a terminal" in done.stdout + done.stderr
    assert not kept.is_set


def test_each_store_has_its_own(live: dict[str, str], kept: Pin, tmp_path: Path) -> None:
    sandbox = {"CLAWVER_STATE_DIR": live["CLAWVER_STATE_DIR"], "CLAWVER_SANDBOX": "on"}
    done = person(sandbox, FIRST, FIRST)

    assert done.returncode == 0, done.stdout
    assert KEY not in done.stdout
    assert not kept.is_set
    assert (tmp_path / "state" / "stores" / "sandbox" / "pin.sqlite3").is_file()


# Approving with it

QUESTIONS = ("[y/N]: ", "PIN: ")


@pytest.fixture
def waiting(live: dict[str, str], shop: Shop) -> str:
    """A refund that waits for the PIN."""
    live["CLAWVER_REFUND_APPROVAL"] = "pin"
    sale = shop.sell(total_in_cents=2499)["id"]
    wanted = (f"order_id={sale}", "amount_in_cents=700", "reason=Smudged")
    answer = json.loads(run_process("call", "refund_order", *wanted, **live).stdout)
    assert (answer["status"], answer["needs"]) == ("needs_approval", "pin")
    return str(answer["refund_id"])


def approves(
    live: dict[str, str], refund_id: str, *answers: str
) -> subprocess.CompletedProcess[str]:
    """A person at a terminal answers, and types the PIN."""
    return at_terminal(
        "approve", refund_id, answers=answers, environment=keyless() | live, prompts=QUESTIONS
    )


def test_a_person_approves_with_the_pin(
    live: dict[str, str], kept: Pin, shop: Shop, waiting: str
) -> None:
    kept.set(FIRST, None)
    done = approves(live, waiting, "y", SECOND, FIRST)
    shown = run_process("refunds", "show", waiting, **live).stdout

    assert done.returncode == 0, done.stdout
    assert (
        "Nothing was sent: the PIN is wrong. 4 tries are left before it is locked." in done.stdout
    )
    assert "Never type the PIN in a chat: no agent needs it." in done.stdout
    assert "example-47" not in done.stdout + shown
    assert "decided_by: person in the terminal (pin)" in shown
    assert [cents for _, cents in shop.refunds()] == [700]


@pytest.mark.slow
def test_wrong_pins_send_nothing_and_lock(
    live: dict[str, str], kept: Pin, shop: Shop, waiting: str
) -> None:
    kept.set(FIRST, None)
    done = approves(live, waiting, "y", *[SECOND] * 5)
    again = approves(live, waiting, "y", FIRST)
    declined = at_terminal("decline", waiting, answers=["y"], environment=keyless() | live)

    assert (done.returncode, again.returncode) == (1, 1)
    for each in (done, again):
        assert "the PIN was wrong too often, and is locked until" in each.stdout
    assert declined.returncode == 0  # whoever wants no refund needs no PIN
    assert shop.refunds() == []


def test_without_a_pin_it_says_how_to_set_one(
    live: dict[str, str], shop: Shop, waiting: str
) -> None:
    done = approves(live, waiting, "y")

    assert done.returncode == 1
    assert done.stdout.endswith(
        "Nothing was sent: this store has no PIN yet. A person sets one in a terminal: "
        "clawver-orders pin\n"
    )
    assert shop.refunds() == []


@pytest.mark.slow
@pytest.mark.parametrize("words", with_slow([()], [("--yes",)]))
def test_no_program_types_it(
    live: dict[str, str], kept: Pin, shop: Shop, waiting: str, words: tuple[str, ...]
) -> None:
    kept.set(FIRST, None)
    done = run_process("approve", waiting, *words, stdin=f"y\n{FIRST}\n", **live)

    assert done.returncode == 1
    assert "waits for approval" in done.stdout
    assert shop.refunds() == []
