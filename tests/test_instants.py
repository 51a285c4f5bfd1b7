"""How much time has passed, when clocks are set and state moves between machines."""

import math
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from clawver_orders import instants
from clawver_orders.instants import (
    Instant,
    seconds_at_least,
    seconds_at_most,
    seconds_by_clock,
    uptime_passed,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def instant(clock: float, uptime: float, boot: str = "this start") -> Instant:
    return Instant(NOON + timedelta(seconds=clock), uptime, boot)


@pytest.fixture
def unread() -> Iterator[None]:
    """As if no process had asked which start this is."""
    instants.this_boot.cache_clear()
    yield
    instants.this_boot.cache_clear()


def test_now_is_what_this_machine_says() -> None:
    before = datetime.now(UTC), time.monotonic()
    now = instants.now()
    after = datetime.now(UTC), time.monotonic()

    assert before[0] <= now.at <= after[0]
    assert now.at.tzinfo is UTC
    assert before[1] <= now.uptime <= after[1]
    assert now.boot == instants.this_boot()


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has that clock")
def test_the_time_since_the_start_counts_a_suspension() -> None:
    """https://man7.org/linux/man-pages/man2/clock_gettime.2.html: `CLOCK_MONOTONIC` leaves it out."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)

    assert before <= instants.seconds_since_boot() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("clock", [time.CLOCK_MONOTONIC, None])
def test_the_time_since_the_start_never_goes_back(
    monkeypatch: pytest.MonkeyPatch, clock: int | None
) -> None:
    monkeypatch.setattr(instants, "_SINCE_BOOT", clock)
    before = time.monotonic()

    assert before <= instants.seconds_since_boot() <= time.monotonic()


def test_linux_names_each_start(
    unread: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "boot_id"
    named.write_text("0b2f4b1e-6d0e-4d2c-9f1b-5f0c7f1f7a11\n")
    monkeypatch.setattr(instants, "_BOOT_ID_FILE", named)

    assert instants.this_boot() == "0b2f4b1e-6d0e-4d2c-9f1b-5f0c7f1f7a11"


def test_where_starts_have_no_name_the_machine_does(
    unread: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instants, "_BOOT_ID_FILE", tmp_path / "missing")
    monkeypatch.setattr(platform, "node", lambda: "ada-laptop")

    assert instants.this_boot() == "ada-laptop"


@pytest.mark.parametrize(
    ("then", "now", "passed"), [(100.0, 130.5, 30.5), (100.0, 100.0, 0.0), (5000.0, 40.0, 40.0)]
)
def test_after_a_restart_all_of_the_uptime_lies_in_between(
    then: float, now: float, passed: float
) -> None:
    assert uptime_passed(then, now) == passed


# The same start of the same machine: its uptime says how long it was, whatever the clock says.


@pytest.mark.parametrize("clock", [60.0, 86_400.0, -86_400.0, 5 * 365 * 86_400.0])
def test_a_clock_that_is_set_makes_nothing_pass(clock: float) -> None:
    then, now = instant(0, 1000.0), instant(clock, 1060.0)

    assert seconds_at_least(then, now, first_look=then) == 60.0
    assert seconds_by_clock(then, now, first_look=then) == 60.0
    assert seconds_at_most(then, now) == max(60.0, clock)


@pytest.mark.parametrize("clock", [0.0, 59.0])
def test_no_more_passed_than_the_clock_says_even_where_the_uptime_does(clock: float) -> None:
    """Two containers of one machine can have uptimes that differ."""
    then, now = instant(0, 1000.0), instant(clock, 9e6)

    assert seconds_at_least(then, now, first_look=then) == clock


# Another machine, or another start of this one: its uptime says nothing.


def test_a_machine_that_is_up_for_longer_has_not_waited_for_longer() -> None:
    then, first_look = instant(0, 1000.0, "another"), instant(10, 9e6)

    assert seconds_at_least(then, instant(10, 9e6), first_look) == 0.0
    assert seconds_at_least(then, instant(25, 9e6 + 15), first_look) == 15.0
    assert seconds_at_most(then, instant(25, 9e6 + 15)) == 25.0
    assert seconds_by_clock(then, instant(25, 9e6 + 15), first_look) == 25.0


def test_no_more_passed_than_the_clock_allows() -> None:
    then, first_look = instant(0, 1000.0, "another"), instant(1, 50.0)

    assert seconds_at_least(then, instant(20, 5000.0), first_look) == 20.0


def test_what_lies_in_the_future_counts_from_the_first_look() -> None:
    years = 5 * 365 * 86_400.0
    then, first_look = instant(years, 1000.0, "another"), instant(0, 50.0)
    now = instant(30, 80.0)

    assert seconds_at_least(then, now, first_look) == 30.0
    assert seconds_by_clock(then, now, first_look) == 30.0
    assert seconds_at_most(then, now) == math.inf


@pytest.mark.parametrize("boot", ["ada-laptop", ""])
def test_a_restart_that_has_no_name_shows_in_a_smaller_uptime(boot: str) -> None:
    then, first_look = instant(0, 5000.0, boot), instant(0, 4000.0, boot)
    now = instant(600, 40.0, boot)

    assert seconds_at_least(then, now, first_look) == 40.0
    assert seconds_at_most(then, now) == 600.0
    assert seconds_by_clock(then, now, first_look) == 600.0


def test_a_start_that_is_not_known_is_like_no_other() -> None:
    then, first_look = instant(0, 1000.0, ""), instant(10, 9e6, "")
    now = instant(12, 9e6 + 2, "")

    assert seconds_at_least(then, now, first_look) == 2.0
    assert seconds_at_most(then, now) == 12.0
    assert seconds_by_clock(then, now, first_look) == 12.0
    assert seconds_at_most(instant(99, 1000.0, ""), now) == math.inf


# Whatever happens between two looks, the bounds hold.

seconds = some.floats(0, 10**8)
jump = some.floats(-(10**9), 10**9)


@given(
    before=seconds, on_the_way=seconds, after=seconds, clock=jump, up=seconds, moved=some.booleans()
)
def test_the_bounds_hold_whatever_is_done_to_the_clock(
    before: float, on_the_way: float, after: float, clock: float, up: float, moved: bool
) -> None:
    """Something is noted, and read by the same start later, or first looked at by another one."""
    then = instant(0, before)
    passed = on_the_way + after
    if moved:
        first_look = instant(on_the_way + clock, up, "another")
        now = instant(passed + clock, up + after, "another")
    else:
        first_look = instant(-before, 0.0)
        now = instant(passed + clock, before + passed)
    close = 1e-3  # of so large numbers, floats keep no more

    assert -close <= seconds_at_least(then, now, first_look) <= passed + close
    if not moved or clock >= 0 or passed + clock < 0:  # else nothing says how long the way was
        assert seconds_at_most(then, now) >= passed - close
    if moved:
        by_clock = seconds_by_clock(then, now, first_look)
        assert by_clock == pytest.approx(max(after, passed + clock), abs=close)
    else:
        assert seconds_by_clock(then, now, first_look) == pytest.approx(passed, abs=close)
