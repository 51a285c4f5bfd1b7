"""Days in a time zone, also those on which the clock changes."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawver_orders import environment
from clawver_orders.days import IN_UTC, Calendar, monday_of, next_day
from clawver_orders.settings import Settings

ZONES = {
    name: Calendar(name, ZoneInfo(name))
    for name in ("Europe/Berlin", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe", "UTC")
}


def begin(zone: str, day: str) -> str:
    return f"{ZONES[zone].begin_of(date.fromisoformat(day)):%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("zone", "day", "first", "next_first", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00", 25),
        ("Europe/Berlin", "2026-11-24", "2026-11-23T23:00", "2026-11-24T23:00", 24),
        # Here the clock is changed at midnight: the day begins at one o'clock, or is longer at its end.
        ("America/Santiago", "2026-09-06", "2026-09-06T04:00", "2026-09-07T03:00", 23),
        ("America/Santiago", "2026-04-04", "2026-04-04T03:00", "2026-04-05T04:00", 25),
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00", "2026-04-24T21:00", 23),
        ("Africa/Cairo", "2026-10-29", "2026-10-28T21:00", "2026-10-29T22:00", 25),
        ("Australia/Lord_Howe", "2026-10-04", "2026-10-03T13:30", "2026-10-04T13:00", 23.5),
    ],
)
def test_a_day_on_which_the_clock_changes_has_its_own_length(
    zone: str, day: str, first: str, next_first: str, hours: float
) -> None:
    calendar, this_day = ZONES[zone], date.fromisoformat(day)

    assert begin(zone, day) == first
    assert f"{calendar.end_of(this_day):%Y-%m-%dT%H:%M}" == next_first
    assert calendar.end_of(this_day) - calendar.begin_of(this_day) == timedelta(hours=hours)


@pytest.mark.parametrize("zone", sorted(ZONES))
@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
)
def test_every_moment_is_on_one_day_alone(zone: str, moment: datetime) -> None:
    calendar = ZONES[zone]

    day = calendar.day_of(moment)

    assert calendar.begin_of(day) <= moment < calendar.end_of(day)
    assert calendar.end_of(day) == calendar.begin_of(next_day(day))


@pytest.mark.parametrize(
    ("zone", "begin", "end", "before"),
    [
        ("UTC", "2026-11-24T00:00", "2026-11-25T00:00", ("2026-11-23T00:00", "2026-11-24T00:00")),
        # A day that is not over is compared with the day before up to the same time.
        ("UTC", "2026-11-24T00:00", "2026-11-24T10:30", ("2026-11-23T00:00", "2026-11-23T10:30")),
        ("UTC", "2026-11-17T00:00", "2026-11-24T00:00", ("2026-11-10T00:00", "2026-11-17T00:00")),
        ("UTC", "2026-11-24T09:00", "2026-11-24T10:30", ("2026-11-24T07:30", "2026-11-24T09:00")),
        # The day of 25 hours, and the week with it.
        ("Europe/Berlin", "2026-10-25T23:00", "2026-10-26T23:00", ("2026-10-24T22:00", "2026-10-25T23:00")),
        ("Europe/Berlin", "2026-10-25T23:00", "2026-11-01T23:00", ("2026-10-18T22:00", "2026-10-25T23:00")),
        ("Africa/Cairo", "2026-04-24T21:00", "2026-04-25T21:00", ("2026-04-23T22:00", "2026-04-24T21:00")),
        # At midnight of that day there is no such time: it begins an hour later.
        ("America/Santiago", "2026-09-07T03:00", "2026-09-08T03:00", ("2026-09-06T04:00", "2026-09-07T03:00")),
    ],
)  # fmt: skip
def test_a_span_is_compared_with_the_one_before(
    zone: str, begin: str, end: str, before: tuple[str, str]
) -> None:
    span = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (begin, end))

    assert tuple(f"{each:%Y-%m-%dT%H:%M}" for each in ZONES[zone].span_before(*span)) == before


@pytest.mark.parametrize("begin", ["0001-01-01T00:00", "0001-01-02T10:00"])
@pytest.mark.parametrize("zone", sorted(ZONES))
def test_before_the_beginning_of_time_is_nothing(zone: str, begin: str) -> None:
    span = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (begin, "2026-11-24"))

    first, last = ZONES[zone].span_before(*span)

    assert first <= last <= datetime(1, 1, 3, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue"])
@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_ends_of_time_are_days_too(zone: str, day: date) -> None:
    calendar = Calendar(zone, ZoneInfo(zone))
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    assert abs(calendar.begin_of(day) - moment) < timedelta(days=2)
    assert calendar.end_of(day) > calendar.begin_of(day)
    assert abs(calendar.day_of(moment + timedelta(hours=11.9)) - day) <= timedelta(days=1)
    assert abs(calendar.day_of(moment - timedelta(hours=12)) - day) <= timedelta(days=1)


@pytest.mark.parametrize("day", ["2026-11-23", "2026-11-24", "2026-11-29"])
def test_a_week_begins_on_monday(day: str) -> None:
    assert monday_of(date.fromisoformat(day)) == date(2026, 11, 23)


def test_the_days_are_those_of_the_zone_that_was_set() -> None:
    assert Settings(time_zone="Africa/Cairo").calendar == ZONES["Africa/Cairo"]
    assert Settings(time_zone="UTC").calendar == IN_UTC


@pytest.mark.skipif(os.name != "posix", reason="TZ is a variable of POSIX")
@pytest.mark.parametrize(
    ("tz", "name"), [("Asia/Kathmandu", "Asia/Kathmandu"), (":America/Lima", "America/Lima")]
)
def test_without_a_setting_they_are_those_of_the_machine(tz: str, name: str) -> None:
    code = "from clawver_orders.settings import Settings; print(Settings().calendar.name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TZ": tz},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == name


@pytest.mark.parametrize("told", [None, "", "Europe/Gotham"])
def test_a_machine_that_tells_no_zone_has_the_days_of_utc(
    told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clawver_orders import settings

    settings._calendar.cache_clear()
    monkeypatch.setattr("tzlocal.get_localzone_name", lambda: told)

    assert Settings().calendar == IN_UTC
    settings._calendar.cache_clear()


def test_a_machine_whose_files_contradict_each_other_has_the_days_of_utc(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def contradicting() -> str:
        raise LookupError("Multiple conflicting time zone configurations found")

    monkeypatch.setattr("tzlocal.get_localzone_name", contradicting)

    assert environment.time_zone_name() == "UTC"
