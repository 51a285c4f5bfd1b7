"""Checks of an installation. Each finding says what to do about it."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.services import Services, Store, opened
from clawver_orders.settings import Settings, ignored
from clawver_orders.storage.folders import check_above, make_private
from clawver_orders.text import quoted

CLOCK_MAY_DIFFER = timedelta(minutes=2)


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    subject: str
    is_fine: bool
    says: str
    next_step: str = ""


async def examine(
    environment: Mapping[str, str], now: Callable[[], datetime], **decided: Any
) -> list[Finding]:
    """Check settings, address, writing, key, API, clock, state folder and refunds, in this order.

    Args:
        environment: Variables by name.
        now: The current time in UTC.
        decided: Fields that a command-line option has already decided.
    """
    try:
        settings = Settings.from_environment(environment, **decided)
    except SetupError as error:
        return [Finding("settings", False, error.happened, error.next_step)]
    findings = [Finding("settings", True, "All settings can be used.")]
    if strangers := ignored(environment):
        findings.append(
            Finding(
                "names",
                True,
                f"No settings of this server, so they are ignored: {', '.join(strangers)}.",
                "If one was meant for a setting, correct its name.",
            )
        )
    findings.append(Finding("address", True, _where(settings)))
    findings.append(_writing(settings))
    async with opened(settings, now) as services:
        if settings.sandbox or settings.api_key is not None:
            if not settings.sandbox:
                test = f" {services.notice}" if services.notice else ""
                findings.append(Finding("key", True, f"CLAW_API_KEY is set and well-formed.{test}"))
            findings += await _store(services)
        else:
            findings.append(
                Finding(
                    "key",
                    False,
                    f"CLAW_API_KEY is not set.{settings.key_note}",
                    "Set it to the store's key where the server is configured, or use --sandbox.",
                )
            )
        findings.append(_state_folder(settings.state_dir))
        findings += await _refunds(services)
    return findings


def _where(settings: Settings) -> str:
    if settings.sandbox:
        return "The sandbox store on this machine; no key is sent anywhere."
    return f"Requests and the key go to {settings.api_host}."


def _writing(settings: Settings) -> Finding:
    """Whether a server with these settings offers the tools that write."""
    served = settings.over_http()
    if settings.read_only:
        says = f"Off: a server is read-only ({settings.read_only_because})."
    elif served.read_only:
        says = f"On, but serve --http is read-only ({served.read_only_because})."
    else:
        says = "On, over HTTP too."
    return Finding("writing", True, says)


async def _store(services: Services) -> list[Finding]:
    try:
        server_time = await services.clawver.server_time()
    except ClawverError as error:
        return [Finding("store", False, error.happened, error.next_step)]
    findings = [Finding("store", True, "The store answers and accepts the key.")]
    if server_time is not None:
        apart = abs(services.now() - server_time)
        findings.append(
            Finding("clock", True, "This machine's clock agrees with Clawver's.")
            if apart <= CLOCK_MAY_DIFFER
            else Finding(
                "clock",
                False,
                f"This machine's clock is {int(apart.total_seconds())} seconds off Clawver's.",
                "Switch time synchronization on.",
            )
        )
    if not services.settings.sandbox:
        findings.append(await _which_store(services))
    return findings


def _state_folder(folder: Path) -> Finding:
    try:
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"writable")
            probe.flush()
            os.fsync(probe.fileno())
        check_above(folder / "stores", "the refund ledger")
    except SetupError as error:
        return Finding("state folder", False, error.happened, error.next_step)
    except OSError as error:
        return Finding(
            "state folder",
            False,
            f"The state folder cannot be written ({type(error).__name__}).",
            "Give this user the folder, or set CLAWVER_STATE_DIR to another one.",
        )
    return Finding(
        "state folder", True, "The state folder can be written, and no other user can replace it."
    )


async def _which_store(services: Services) -> Finding:
    """What the store says of itself now: the key may be another's than when it was noted."""
    try:
        before = services.known_store()
        store = await services.identify()
    except ClawverError as error:
        return Finding("which store", False, error.happened, error.next_step)
    said = f"{store.title}."
    if before is not None and before.scope.name != store.scope.name:
        said += f" Its name was {quoted(before.scope.name)}."
    return Finding("which store", True, said)


async def _refunds(services: Services) -> list[Finding]:
    try:
        store = services.known_store()
    except SetupError as error:
        if services.settings.api_key is None:
            return []  # that is said already
        return [Finding("refunds", False, error.happened, error.next_step)]
    if store is None:
        return [
            Finding(
                "refunds",
                False,
                "They were not looked at, because it is not known which store the key opens.",
                "Correct what is wrong above, then run this again.",
            )
        ]
    return [_locks(store), *await _ledger(services, store)]


def _locks(store: Store) -> Finding:
    try:
        store.locks.prove()
    except SetupError as error:
        return Finding("locks", False, error.happened, error.next_step)
    return Finding("locks", True, "Two refunds of one order cannot run at the same time.")


async def _ledger(services: Services, store: Store) -> list[Finding]:
    ledger = store.ledger
    if not ledger.exists:
        return [Finding("ledger", True, "There is none yet: the first refund makes it.")]
    try:
        ledger.prove()
        still_open = len(await ledger.all_open())
    except ClawverError as error:
        return [Finding("ledger", False, error.happened, error.next_step)]
    findings = [Finding("ledger", True, "The refund ledger is whole and can be written.")]
    if still_open:
        option = " --sandbox" if services.settings.sandbox else ""
        findings.append(
            Finding(
                "refunds",
                False,
                f"{still_open} of them {'is' if still_open == 1 else 'are'} open: what became of the "
                "money is not known yet.",
                f"Look them up with: clawver-orders refunds check{option}.",
            )
        )
    else:
        findings.append(Finding("refunds", True, "None is open."))
    return findings
