"""Runs the command as on another machine: another start, and one that is up for days longer."""

import os

from clawver_orders import instants
from clawver_orders.__main__ import main
from clawver_orders.instants import Instant
from clawver_orders.services import Services

DAYS_LONGER = 10


def instant_on(machine: int) -> Instant:
    """The time on a machine; 0 for this one."""
    here = instants.now()
    if not machine:
        return here
    uptime = here.uptime + machine * DAYS_LONGER * 86400
    return Instant(here.at, uptime, f"machine {machine}")


if __name__ == "__main__":
    number = int(os.environ["CRASH_MACHINE"])
    # All that tells machines apart.
    Services.instant = lambda _: instant_on(number)  # type: ignore[assignment,method-assign]
    main()
