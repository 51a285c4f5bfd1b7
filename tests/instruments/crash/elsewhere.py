"""Runs the command as on another machine: another start, and one that is up for days longer."""

import os

from clawver_orders.__main__ import main
from clawver_orders.instants import Instant
from clawver_orders.services import Services

DAYS_LONGER = 10
NUMBER = int(os.environ.get("CRASH_MACHINE", "0"))


def instant(services: Services) -> Instant:
    """The time there."""
    uptime = services.uptime() + NUMBER * DAYS_LONGER * 86400
    return Instant(services.now(), uptime, f"machine {NUMBER}")


if __name__ == "__main__":
    Services.instant = instant  # type: ignore[assignment,method-assign]  # all that tells machines apart
    main()
