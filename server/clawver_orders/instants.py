"""The time, and how much of it has passed, when clocks are set and state moves between machines."""

import math
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""The clock that goes on while the machine is suspended; Linux has one, and the other one does elsewhere."""
_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Instant:
    """A point in time, told in two ways.

    Args:
        at: The time of day in UTC, which people and time servers may change.
        uptime: Seconds since this machine started, which nobody changes.
        boot: Which start of which machine that is; `""` where it isn't known.
    """

    at: datetime
    uptime: float
    boot: str


@cache
def this_boot() -> str:
    """What tells this start of this machine from any other one.

    Linux gives each start an id (https://docs.kernel.org/admin-guide/sysctl/kernel.html, `random`).
    Elsewhere it's the name of the machine, and a restart shows in an uptime that begins again.
    """
    try:
        return _BOOT_ID_FILE.read_text("ascii").strip()
    except OSError:
        return platform.node()


def now() -> Instant:
    """The current time, by this machine's clocks."""
    return Instant(datetime.now(UTC), time.monotonic(), this_boot())


def seconds_since_boot() -> float:
    """Seconds since this machine started, those in which it was suspended too."""
    return time.monotonic() if _SINCE_BOOT is None else time.clock_gettime(_SINCE_BOOT)


def uptime_passed(then: float, now: float) -> float:
    """At least how many seconds lie between two uptimes of one machine.

    After a restart the uptime is smaller than before, and all of it lies in between.
    """
    return now - then if now >= then else now


def _is_one_start(then: Instant, now: Instant) -> bool:
    """Whether both uptimes are of one start of one machine, so that they can be compared."""
    return then.boot == now.boot != "" and now.uptime >= then.uptime


def seconds_at_least(then: Instant, now: Instant, first_look: Instant) -> float:
    """At least how many seconds have passed, whatever was done to the clock.

    Uptimes of another machine, or of an earlier start, say nothing here. Then only the time counts
    since this start first looked. It's never more than the clock allows, unless that was put back
    behind `then`.

    Args:
        then: The earlier instant.
        now: The current one.
        first_look: When this start of this machine first saw the record that holds `then`, or later.
    """
    known = then if _is_one_start(then, now) else first_look
    passed = uptime_passed(known.uptime, now.uptime)
    by_clock = (now.at - then.at).total_seconds()
    return passed if by_clock < 0 else min(passed, by_clock)


def seconds_between(then: Instant, now: Instant) -> float:
    """How many seconds lie between two instants, whichever machines they are of.

    The uptime counts where it can, since nobody changes it; else the time of day.

    Args:
        then: The earlier instant.
        now: The later one. Where it's of another machine, both tell the time of day by the clock of
            the database that they share.

    Returns:
        The seconds; fewer than 0 where the clock was put back.
    """
    if _is_one_start(then, now):
        return now.uptime - then.uptime
    return (now.at - then.at).total_seconds()


def seconds_at_most(then: Instant, now: Instant) -> float:
    """At most how many seconds have passed: whichever of clock and uptime says more.

    Args:
        then: The earlier instant.
        now: The current one.

    Returns:
        The seconds; infinity where an instant of another start lies in the future of the clock.
    """
    by_clock = (now.at - then.at).total_seconds()
    if _is_one_start(then, now):
        return max(by_clock, now.uptime - then.uptime)
    return by_clock if by_clock >= 0 else math.inf


def seconds_by_clock(then: Instant, now: Instant, first_look: Instant) -> float:
    """How many seconds have passed, for what may be forgotten after a day.

    The uptime counts where it can. For another start the clock does, and no less than the time since
    the first look: what lies in the clock's future counts from then.

    Args:
        then: The earlier instant.
        now: The current one.
        first_look: When this start of this machine first saw the record that holds `then`, or later.
    """
    if _is_one_start(then, now):
        return now.uptime - then.uptime
    by_clock = (now.at - then.at).total_seconds()
    return max(by_clock, uptime_passed(first_look.uptime, now.uptime))
