"""Runs the command as on another machine: another start, and one that is up for days longer.

Where a database is named, waiting for it ends sooner than usual, all in the same proportions.
"""

import os
from types import ModuleType

from clawver_orders import instants
from clawver_orders.__main__ import main
from clawver_orders.instants import Instant
from clawver_orders.services import Services

DAYS_LONGER = 10
STANDSTILL_SECONDS = 1.0
"""How long it may take here from noting a refund to sending it."""
LOCK_SECONDS = 2
"""After so long in which nothing is heard the database takes the lock of an order back here."""


def instant_on(machine: int) -> Instant:
    """The time on a machine; 0 for this one."""
    here = instants.now()
    if not machine:
        return here
    uptime = here.uptime + machine * DAYS_LONGER * 86400
    return Instant(here.at, uptime, f"machine {machine}")


def hurry() -> None:
    """Wait less for the database."""
    from clawver_orders import settings
    from clawver_orders.refunds import order_locks, order_locks_postgres
    from clawver_orders.storage import postgres, postgres_server

    changed: dict[ModuleType, dict[str, object]] = {
        settings: {"LEAST_SHARED_VERIFY_SECONDS": 0.0},
        order_locks: {"LONGEST_STANDSTILL_SECONDS": STANDSTILL_SECONDS},
        order_locks_postgres: {"_BEGIN": order_locks_postgres._BEGIN.replace("60s", f"{LOCK_SECONDS}s")},
        postgres: {"LOCK_SECONDS": 1.0, "STATEMENT_SECONDS": 1.0, "IN_DOUBT_SECONDS": 5.0},
        postgres_server: {"CONNECT_SECONDS": 2, "OUTAGE_SECONDS": 0.5},
    }  # fmt: skip
    for module, values in changed.items():
        for name, value in values.items():
            assert getattr(module, name) != value
            setattr(module, name, value)
    postgres_server.PostgresServer.__init__.__defaults__ = (2.0,)


if __name__ == "__main__":
    number = int(os.environ["CRASH_MACHINE"])
    # All that tells machines apart.
    Services.instant = lambda _: instant_on(number)  # type: ignore[assignment,method-assign]
    if "CLAWVER_DATABASE_URL" in os.environ:
        hurry()
    main()
