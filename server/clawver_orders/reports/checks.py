"""Checks of an installation. Each finding says what to do about it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from anyio import to_thread

from clawver_orders.errors import ClawverError, SetupError, SeveralStoresError
from clawver_orders.install.skills import past_the_ledger
from clawver_orders.refunds.policy_file import read_policy
from clawver_orders.services import Services, Store, opened
from clawver_orders.settings import Settings, ignored
from clawver_orders.storage.engine import facts_of
from clawver_orders.storage.folders import check_above, try_writing
from clawver_orders.text import quoted

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""What other programs take from the environment, and this server does not."""
CLOCK_MAY_DIFFER = timedelta(minutes=2)


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    subject: str
    is_fine: bool
    says: str
    next_step: str = ""
    store: str = ""
    """The store that it is about, where there are several and it isn't the same of all."""


async def examine(
    environment: Mapping[str, str], now: Callable[[], datetime], **decided: Any
) -> list[Finding]:
    """Check settings, address, writing, other skills, key, API, clock, state folder, database and refunds, in this order.

    Where there are several stores and none is named, what is the same of all of them comes first, and then
    the rest of each.

    Args:
        environment: Variables by name.
        now: The current time in UTC.
        decided: Fields that a command-line option has already decided.
    """
    try:
        settings = Settings.from_environment(environment, **decided)
    except SeveralStoresError as error:
        return await _of_every_store(error.aliases, environment, now, **decided)
    except SetupError as error:
        return [Finding("settings", False, error.happened, error.next_step)]
    async with opened(settings, now) as services:
        return await examined(services, environment)


async def _of_every_store(
    aliases: Sequence[str],
    environment: Mapping[str, str],
    now: Callable[[], datetime],
    **decided: Any,
) -> list[Finding]:
    found = [
        await examine({**environment, "CLAWVER_STORE": alias}, now, **decided) for alias in aliases
    ]
    common = [each for each in found[0] if all(each in other for other in found)]
    return common + [
        replace(each, store=alias)
        for alias, of_one in zip(aliases, found, strict=True)
        for each in of_one
        if each not in common
    ]


async def examined(
    services: Services, environment: Mapping[str, str], asked: Sequence[Finding] | None = None
) -> list[Finding]:
    """Check the same of what is up already, whose settings could be used.

    Args:
        services: What it works with.
        environment: Variables by name.
        asked: What `of_the_store` found; None where the store is to be asked now.
    """
    settings = services.settings
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
    findings += _of_other_programs(settings, environment)
    findings.append(_writing(settings))
    if settings.refund_policy is not None:
        findings.append(_policy(settings, settings.refund_policy))
    findings += await to_thread.run_sync(_other_skills)
    if settings.sandbox or settings.api_key is not None:
        if not settings.sandbox:
            test = f" {services.notice}" if services.notice else ""
            findings.append(
                Finding("key", True, f"{settings.key_name} is set and well-formed.{test}")
            )
        findings += await of_the_store(services) if asked is None else asked
    else:
        findings.append(
            Finding(
                "key",
                False,
                f"CLAW_API_KEY is not set.{settings.key_note}",
                "Set it to the store's key where the server is configured, or use --sandbox.",
            )
        )
    findings.append(await to_thread.run_sync(_state_folder, settings.state_dir))
    findings += await to_thread.run_sync(_database, settings)
    findings += await _refunds(services)
    return findings


def _where(settings: Settings) -> str:
    if settings.sandbox:
        return "The sandbox store on this machine; no key is sent anywhere."
    return f"Requests and the key go to {settings.api_host}."


def _of_other_programs(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """The variables for proxies and certificates that are set, where the setting of ours is not."""
    given = {name.upper() for name, value in environment.items() if value.strip()}
    ours = (
        ("proxy", _PROXIES, "CLAWVER_PROXY", settings.proxy),
        ("certificates", _CERTIFICATES, "CLAWVER_CA_FILE", settings.ca_certificates),
    )
    return [
        Finding(
            subject,
            True,
            f"Set in the environment, and ignored by this server: {', '.join(found)}.",
            f"If requests to Clawver need it, set {name} where the server is configured.",
        )
        for subject, names, name, value in ours
        if settings.uses_network
        and not value
        and (found := [each for each in names if each in given])
    ]


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


def _policy(settings: Settings, path: Path) -> Finding:
    """Whether the refund policy can be used; while it can't be read, nothing is refunded."""
    try:
        policy = read_policy(path)
    except SetupError as error:
        return Finding("refund policy", False, error.happened, error.next_step)
    says = f"Its rules can be read (policy {policy.digest})."
    if policy.rules.max_refunds_per_customer is None or settings.history:
        return Finding("refund policy", True, says)
    return Finding(
        "refund policy",
        False,
        f"{says} max_refunds_per_customer can't be counted, because CLAWVER_HISTORY is off: every refund "
        "is outside the policy.",
        "Remove CLAWVER_HISTORY where the server is configured, or that rule from the file.",
    )


def _other_skills() -> list[Finding]:
    return [
        Finding(
            "skill",
            False,
            f"Another skill of this name is in {folder}. It refunds by itself, without the ledger.",
            "Delete that folder, so that no agent refunds past the ledger. The skill of this server is "
            "SKILL.md with references/.",
        )
        for folder in past_the_ledger()
    ]


async def of_the_store(services: Services) -> list[Finding]:
    """Whether the store answers, what time it is there, and which store it is: one or two requests."""
    try:
        server_time = await services.clawver.server_time()
    except ClawverError as error:
        return [not_answered(error)]
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


def not_answered(error: ClawverError, subject: str = "store") -> Finding:
    """What is said of a store that gave no answer. Its next step is for a person, who calls no tool."""
    return Finding(
        subject, False, error.happened, error.next_step.replace("Repeat the call", "Try again")
    )


def _state_folder(folder: Path) -> Finding:
    try:
        try_writing(folder)
        check_above(folder / "stores", "the refund ledger")
    except SetupError as error:
        return Finding("state folder", False, error.happened, error.next_step)
    except OSError as error:
        return _not_written("The state folder", error)
    return Finding(
        "state folder", True, "The state folder can be written, and no other user can replace it."
    )


def _database(settings: Settings) -> list[Finding]:
    """What holds for the database that several machines share, where there is one. Of its address only the host is told."""
    try:
        facts = facts_of(settings)
    except ClawverError as error:
        return [not_answered(error, "database")]
    if facts is None:
        return []
    host = "this machine" if facts.host.startswith("/") else facts.host
    findings = [
        Finding(
            "database", True, f"PostgreSQL {facts.version} on {host} answers and takes changes."
        )
    ]
    if facts.forgets:
        findings.append(
            Finding(
                "database",
                False,
                f"Off there: {', '.join(facts.forgets)}. After a crash it can forget refunds that were noted.",
                "A person must switch that on in the database.",
            )
        )
    if facts.lagging:
        findings.append(
            Finding(
                "database",
                False,
                f"Not synchronous: {facts.lagging} of its replicas. After a failover to one, refunds that were "
                "noted can be forgotten.",
                "A person must name the replicas in synchronous_standby_names, and set synchronous_commit to on.",
            )
        )
    if facts.hidden:
        findings.append(
            Finding(
                "database",
                True,
                "It has replicas, and doesn't tell this user whether they are synchronous.",
                "A person can let it tell: GRANT pg_read_all_stats TO its user.",
            )
        )
    if facts.owns:
        findings.append(
            Finding(
                "database",
                True,
                "The user of this server owns the tables, so anybody with its password can switch off the ledger's rules.",
                "A person can give the servers a user of their own: clawver-orders database grant USER",
            )
        )
    return findings


def _not_written(what: str, error: OSError) -> Finding:
    return Finding(
        "state folder",
        False,
        f"{what} cannot be written ({type(error).__name__}: {os.strerror(error.errno or 0)}).",
        "Give this user the folder, or set CLAWVER_STATE_DIR to another one.",
    )


async def _which_store(services: Services) -> Finding:
    """What the store says of itself now: the key may be another's than when it was noted."""
    before = None
    try:
        with suppress(SetupError):  # it may have opened another store, and open its own again
            before = services.known_store()
        store = await services.identify()
    except ClawverError as error:
        return not_answered(error, "which store")
    said = f"{store.title}."
    if before is not None and before.scope.name != store.scope.name:
        said += f" Its name was {quoted(before.scope.name)}."
    return Finding("which store", True, said)


async def _refunds(services: Services) -> list[Finding]:
    try:
        store = services.known_store()
    except ClawverError as error:
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
    locks = await to_thread.run_sync(_locks, store)
    return [locks, *await _ledger(services, store)]


def _locks(store: Store) -> Finding:
    try:
        store.locks.prove()
    except ClawverError as error:
        return Finding("locks", False, error.happened, error.next_step)
    return Finding("locks", True, "Two refunds of one order cannot run at the same time.")


async def _ledger(services: Services, store: Store) -> list[Finding]:
    ledger = store.ledger
    try:
        await to_thread.run_sync(ledger.prove)
        still_open = len(await ledger.all_open())
    except ClawverError as error:
        return [Finding("ledger", False, error.happened, error.next_step)]
    except OSError as error:
        return [_not_written("The store's folder", error)]
    if not ledger.exists:
        return [Finding("ledger", True, "There is none yet. The first refund can make it.")]
    findings = [Finding("ledger", True, "The refund ledger is whole and can be written.")]
    if still_open:
        option = services.settings.option
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
