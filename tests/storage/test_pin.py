"""The PIN of a store: who may try it, how often, and what is kept of it."""

import logging
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from tests.conftest import with_slow
from tests.processes import Start, mode
from tests.refunds.book import START, Clock

from clawver_orders.errors import SetupError
from clawver_orders.instants import now
from clawver_orders.storage import pin as module
from clawver_orders.storage.database import ConstraintError
from clawver_orders.storage.pin import (
    TRIES,
    Pin,
    PinLengthError,
    PinLockedError,
    PinNotSetError,
    WrongPinError,
)

RIGHT, WRONG = "example-pin-472", "example-pin-473"
GUESSES = """
import sys, pathlib
from clawver_orders.errors import ClawverError
from clawver_orders.instants import now
from clawver_orders.storage.pin import Pin, WrongPinError, PinLockedError
import clawver_orders.storage.pin as module

looked_at = 0
digest = module._digest
def counted(*words):
    global looked_at
    looked_at += 1
    return digest(*words)
module._digest = counted
pin = Pin(pathlib.Path(sys.argv[1]), now)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    try:
        pin.check(f"{number:06}", has_session=sys.argv[3] == "True")
    except ClawverError as error:
        pass
print(looked_at, flush=True)
"""


@pytest.fixture(autouse=True)
def hashing_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._COSTS, "n", 2)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pin(tmp_path: Path, clock: Clock) -> Pin:
    """A PIN that is set."""
    pin = Pin(tmp_path / "store", clock)
    pin.set(RIGHT, None)
    return pin


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tries that were hashed."""
    tries = []
    digest = module._digest

    def noted(typed: str, salt: bytes, costs: dict[str, int]) -> bytes:
        tries.append(typed)
        return digest(typed, salt, costs)

    monkeypatch.setattr(module, "_digest", noted)
    return tries


def lock(pin: Pin, *, has_session: bool) -> PinLockedError:
    """Try a wrong one until it is locked."""
    for left in range(TRIES - 1, 0, -1):
        with pytest.raises(WrongPinError) as wrong:
            pin.check(WRONG, has_session=has_session)
        assert wrong.value.tries_left == left
    with pytest.raises(PinLockedError) as locked:
        pin.check(WRONG, has_session=has_session)
    return locked.value


def test_whoever_knows_it_passes(pin: Pin) -> None:
    pin.check(RIGHT, has_session=True)
    pin.check(RIGHT, has_session=False)

    assert pin.is_set


def test_the_same_letters_typed_on_another_keyboard_are_the_same_pin(tmp_path: Path) -> None:
    pin = Pin(tmp_path / "store", Clock())
    pin.set("caf\u00e9-caf\u00e9", None)

    pin.check("cafe\u0301-cafe\u0301", has_session=True)


def test_what_was_never_set_is_said_and_makes_no_file(tmp_path: Path) -> None:
    pin = Pin(tmp_path / "store", Clock())

    assert (pin.is_set, pin.is_long, pin.locked_until(has_session=False)) == (False, False, None)
    with pytest.raises(
        PinNotSetError, match=r"Nothing was sent: this store has no PIN yet\. A person sets"
    ):
        pin.check(RIGHT, has_session=True)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("typed", "is_reachable", "least"),
    [("12345", False, 6), ("1" * 65, False, 6), ("123456789", True, 10), ("", False, 6)],
)
def test_too_short_and_too_long_ones_are_not_set(
    tmp_path: Path, typed: str, is_reachable: bool, least: int
) -> None:
    pin = Pin(tmp_path / "store", Clock())

    with pytest.raises(PinLengthError, match=f"A PIN has {least} to 64 characters") as refused:
        pin.set(typed, None, is_reachable=is_reachable)
    assert not typed or typed not in f"{refused.value!r}{refused.value}"
    assert not pin.is_set


@pytest.mark.parametrize(
    ("typed", "is_long"), [("123456", False), ("1234567890", True), ("1" * 64, True)]
)
def test_it_knows_whether_it_is_long_enough_for_a_page_that_others_reach(
    tmp_path: Path, typed: str, is_long: bool
) -> None:
    pin = Pin(tmp_path / "store", Clock())
    pin.set(typed, None, is_reachable=is_long)

    assert pin.is_long == is_long
    pin.check(typed, has_session=False)


def test_only_whoever_knows_the_old_one_changes_it(pin: Pin) -> None:
    for old in (None, "", WRONG):
        with pytest.raises(WrongPinError):
            pin.set("another-example", old)
    pin.check(RIGHT, has_session=True)
    pin.set("another-example", RIGHT)

    with pytest.raises(WrongPinError):
        pin.check(RIGHT, has_session=True)
    pin.check("another-example", has_session=True)


def test_the_first_of_two_that_are_set_at_once_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin, faster = (Pin(tmp_path / "store", Clock()) for _ in range(2))
    digest = module._digest

    def late(typed: str, salt: bytes, costs: dict[str, int]) -> bytes:
        monkeypatch.setattr(module, "_digest", digest)
        faster.set(RIGHT, None)
        return digest(typed, salt, costs)

    monkeypatch.setattr(module, "_digest", late)
    with pytest.raises(WrongPinError):
        pin.set(WRONG, None)

    pin.check(RIGHT, has_session=True)


def test_five_wrong_tries_lock_it_even_for_whoever_knows_it(
    pin: Pin, clock: Clock, looked_at: list[str]
) -> None:
    locked = lock(pin, has_session=True)

    assert locked.until == START + timedelta(minutes=15)
    assert str(locked).startswith(
        "Nothing was sent: the PIN was wrong too often, and is locked until 2026-11-24 12:15 UTC. Wait until then."
    )
    assert pin.locked_until(has_session=True) == locked.until
    clock.passes(minutes=14, seconds=59)
    with pytest.raises(PinLockedError):
        pin.check(RIGHT, has_session=True)
    assert looked_at == [WRONG] * TRIES  # and nothing that was refused
    clock.passes(seconds=2)
    assert pin.locked_until(has_session=True) is None
    pin.check(RIGHT, has_session=True)


def test_each_lock_lasts_twice_as_long_up_to_a_day(pin: Pin, clock: Clock) -> None:
    hours = []
    for _ in range(9):
        until = lock(pin, has_session=True).until
        hours.append((until - clock.at) / timedelta(hours=1))
        clock.passes(seconds=(until - clock.at).total_seconds())

    assert hours == [0.25, 0.5, 1, 2, 4, 8, 16, 24, 24]


def test_a_right_one_begins_the_count_anew(pin: Pin, clock: Clock) -> None:
    clock.passes(seconds=(lock(pin, has_session=True).until - clock.at).total_seconds())
    pin.check(RIGHT, has_session=True)

    assert lock(pin, has_session=True).until == clock.at + timedelta(minutes=15)


def test_a_stranger_locks_out_strangers_and_not_the_merchant(pin: Pin) -> None:
    lock(pin, has_session=False)
    pin.check(RIGHT, has_session=True)  # and that unlocks nothing for strangers

    with pytest.raises(PinLockedError):
        pin.check(RIGHT, has_session=False)
    lock(pin, has_session=True)


def test_a_merchant_who_changes_it_is_none_of_the_strangers(pin: Pin) -> None:
    lock(pin, has_session=False)
    with pytest.raises(WrongPinError) as wrong:
        pin.set("another-example", WRONG)
    assert wrong.value.tries_left == TRIES - 1

    pin.set("another-example", RIGHT)
    assert pin.locked_until(has_session=False) is None  # tries of the old one
    lock(pin, has_session=True)
    with pytest.raises(PinLockedError):
        pin.set(RIGHT, "another-example")


@pytest.mark.parametrize(
    "row",
    [
        "pin VALUES (2, x'00', x'00', '', 0, 0.0)", "pin VALUES (1, x'00', x'00', '', 2, 0.0)",
        "tries VALUES (2, 1, 0.0, 0.0, '')",
    ],
)  # fmt: skip
def test_its_file_holds_one_pin_and_the_tries_of_two_kinds(pin: Pin, row: str) -> None:
    with pin._database.writing() as rows, pytest.raises(ConstraintError, match="CHECK"):
        rows.execute(f"REPLACE INTO {row}")


def test_another_start_of_the_program_does_not_unlock_it(
    pin: Pin, clock: Clock, tmp_path: Path
) -> None:
    lock(pin, has_session=True)

    with pytest.raises(PinLockedError):
        Pin(tmp_path / "store", clock).check(RIGHT, has_session=True)


def test_a_clock_that_is_put_forward_does_not_unlock_it(pin: Pin, clock: Clock) -> None:
    lock(pin, has_session=True)
    clock.at += timedelta(days=2)

    with pytest.raises(PinLockedError):
        pin.check(RIGHT, has_session=True)


@pytest.mark.parametrize("hours", [-48, 0])
def test_a_restart_unlocks_it_no_sooner(pin: Pin, clock: Clock, hours: int) -> None:
    lock(pin, has_session=True)
    clock.boot, clock.up = "another start", 5.0
    clock.at += timedelta(hours=hours)
    with pytest.raises(PinLockedError) as locked:
        pin.check(RIGHT, has_session=True)

    assert locked.value.until == clock.at + timedelta(minutes=15, seconds=-5)
    clock.up += 15 * 60  # whatever the clock says
    pin.check(RIGHT, has_session=True)


def test_a_lock_of_an_earlier_start_ends_by_the_clock(pin: Pin, clock: Clock) -> None:
    lock(pin, has_session=True)
    clock.boot, clock.up = "another start", 5.0
    clock.passes(minutes=15)

    pin.check(RIGHT, has_session=True)


def test_one_that_was_kept_at_other_costs_stays_good(
    pin: Pin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module._COSTS, "n", 4)

    pin.check(RIGHT, has_session=True)


def test_whoever_crashes_has_used_up_a_try(pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = module._digest
    monkeypatch.setattr(module, "_digest", lambda *_: 1 / 0)
    for _ in range(TRIES):
        with pytest.raises(ZeroDivisionError):
            pin.check(RIGHT, has_session=True)
    monkeypatch.setattr(module, "_digest", digest)

    with pytest.raises(PinLockedError):
        pin.check(RIGHT, has_session=True)


@pytest.mark.parametrize("has_session", with_slow([True], [False]))
def test_processes_that_guess_together_get_no_more_tries_than_one(
    tmp_path: Path, another: Start, monkeypatch: pytest.MonkeyPatch, has_session: bool
) -> None:
    monkeypatch.undo()  # they hash as it is done in earnest
    pin = Pin(tmp_path / "store", now)
    pin.set(RIGHT, None)
    guessing = [another(GUESSES, tmp_path / "store", 100, has_session) for _ in range(5)]
    assert [each.hear() for each in guessing] == ["ready"] * 5
    for each in guessing:
        each.go_on()

    assert sum(int(each.hear()) for each in guessing) == TRIES
    pin.check(RIGHT, has_session=not has_session)


def test_it_is_kept_for_this_user_alone_and_not_as_it_was_typed(pin: Pin, tmp_path: Path) -> None:
    file = tmp_path / "store" / "pin.sqlite3"

    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    assert not [each for each in file.parent.iterdir() if RIGHT.encode() in each.read_bytes()]


def test_two_stores_with_one_pin_keep_different_digests(pin: Pin, tmp_path: Path) -> None:
    Pin(tmp_path / "other", Clock()).set(RIGHT, None)

    kept = set()
    for store in ("store", "other"):
        with sqlite3.connect(tmp_path / store / "pin.sqlite3") as rows:
            kept |= set(
                rows.execute("SELECT salt FROM pin UNION SELECT digest FROM pin").fetchall()
            )
        rows.close()
    assert len(kept) == 4


def test_it_stands_in_no_log_no_error_and_no_repr(
    pin: Pin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pin.check(RIGHT, has_session=True)
    said = [repr(pin), repr(vars(pin))]
    for _ in range(TRIES + 1):
        with pytest.raises((WrongPinError, PinLockedError)) as error:
            pin.check(WRONG, has_session=True)
        said += [str(error.value), repr(error.value), repr(error.value.__cause__)]

    assert not [each for each in (*said, caplog.text) if "example-pin" in each]


def test_a_file_that_others_put_there_is_not_used(pin: Pin, tmp_path: Path) -> None:
    file = tmp_path / "store" / "pin.sqlite3"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SetupError, match="is not safe to keep the PIN in"):
        pin.check(RIGHT, has_session=True)


@pytest.mark.parametrize("typed", ["\ud800" * 7, "x" * 10**6, ""])
def test_whatever_is_typed_is_a_wrong_pin(pin: Pin, typed: str) -> None:
    with pytest.raises(WrongPinError):
        pin.check(typed, has_session=True)
