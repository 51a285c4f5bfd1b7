"""Which store a key opens, and where what is kept of that store lies.

Clawver tells a store by its id. It is noted for each key the first time it is read, so that no
later call has to ask for it, and a key that is replaced forgets nothing. Below the folder of an
address (`Settings.origin_dir`):

    keys/<fingerprint of a key>/store.json   the store that the key opens
    aliases/<alias>.json                     the store that a name in the file of stores means
    live-<store id>/                         refunds, events and locks of a store
    test-<store id>/                         the same of its test keys
    owner.json                               whose is what lies beside it

Earlier versions kept one ledger for all stores of an address, in that folder itself. It stays where
it is, so that a server of such a version that still runs goes on with the same refunds and locks, and
becomes that of the first store that is seen. Who that was is decided once, in one step, before the
first note of a store; a test key decides nothing.

A key that was found to open another store than before is refused by all processes from then on. Where
several machines share a database, the notes of keys and aliases are rows there. What lies in folders is decided on
each machine alone.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clawver_orders.errors import NOTHING_SENT, SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage import folders
from clawver_orders.storage.engine import NOTES, tables_of
from clawver_orders.storage.folders import kept_once, make_private
from clawver_orders.storage.notes import (
    OWNER_FILE,
    FileNotes,
    Notes,
    OpensAnotherError,
    Owner,
    RowNotes,
    StoreNote,
    as_bytes,
    trouble,
)
from clawver_orders.text import quoted


@dataclass(frozen=True)
class Scope:
    """One store, for keys of one kind."""

    folder: Path
    """Where its refunds, events and locks are kept."""
    title: str
    """The store as a person knows it. Its name is in quotes: the store may call itself anything."""
    store_id: str = ""
    """Nothing for the sandbox within this process."""
    name: str = ""
    schema: str = ""
    """How the names of its schemas begin, where a database keeps what is kept of it."""


def known(settings: Settings) -> Scope | None:
    """The store of these settings, without asking it; None where it was never noted.

    Where no key is set it is the only one that was noted at this address.

    Raises:
        SetupError: A note cannot be used; or no key is set, and there is no single store.
    """
    if settings.sandbox:
        return Scope(settings.origin_dir, "the sandbox")
    if settings.api_key is None:
        return _only(settings, _notes(settings).every())
    notes = _notes(settings)
    try:
        found = notes.of_key()
    except OpensAnotherError:
        raise _opens_another(settings, notes) from None
    if found is None:
        return None
    _check_alias(settings, notes, found.store_id)
    return _scope(settings, found)


def check_still(settings: Settings, scope: Scope) -> None:
    """Look once more whether the key opens this store, as far as any process found out. The store isn't asked.

    Raises:
        SetupError: It was found to open another one, or its note was replaced or deleted.
    """
    found = known(settings)
    if found is None or found.store_id != scope.store_id:
        raise SetupError(
            "what is noted of the store that this key opens has changed since this server started.",
            fact=NOTHING_SENT,
            next_step="A person must start it again: then it goes by the new note, or asks the store.",
        )


def note(settings: Settings, store_id: str, name: str) -> Scope:
    """Note which store the key opens; what was noted once stays, but for a new name of the same store.

    Args:
        settings: With the key.
        store_id: As the store gives it; an id that passed its check.
        name: What the store calls itself.

    Raises:
        SetupError: It was noted as another store's key; or the note cannot be made or used.
    """
    new = StoreNote(store_id=store_id, name=name, is_test=settings.is_test_key)
    if not new.is_test:
        _owner(settings, store_id)  # decided before anything can rest on it
    notes = _notes(settings)
    try:
        notes.keep(new)
    except OpensAnotherError:
        raise _opens_another(settings, notes) from None
    _check_alias(settings, notes, store_id)
    return _scope(settings, new)


def _notes(settings: Settings) -> Notes:
    """The notes of this address."""
    schema = schema_of(settings, "address", "")
    database = tables_of(settings, schema, NOTES)
    return (
        FileNotes(settings) if database is None else RowNotes(settings, database, database.schema)
    )


def _opens_another(settings: Settings, notes: Notes) -> SetupError:
    return SetupError(
        "this key opens another store than the one that was noted for it.",
        fact=NOTHING_SENT,
        next_step=f"A person must find out which store {settings.key_name} belongs to. If it is another one "
        f"now, {notes.to_forget_key}.",
    )


def _check_alias(settings: Settings, notes: Notes, store_id: str) -> None:
    """Where several stores have names, hold the key's store against the one that its name meant before.

    Raises:
        SetupError: It is another one, or the store of another name; or the note cannot be used.
    """
    if not settings.store:
        return
    meant, other = notes.of_alias(store_id)
    if meant != store_id:
        raise SetupError(
            f"the key of the store {settings.store} opens another store than before.",
            fact=NOTHING_SENT,
            next_step=f"A person must correct {settings.key_name}. If {settings.store} is to be another store from "
            f"now on, {notes.to_forget_alias}.",
        )
    if other:
        raise SetupError(
            f"{settings.store} and {other} are one store, so its limits would not hold.",
            fact=NOTHING_SENT,
            next_step="A person must correct the key of one of them, or remove one from the file in "
            f"CLAWVER_STORES and {notes.to_forget_other(other)}.",
        )


def may_hold(settings: Settings, beginning: str) -> bool:
    """Whether any store of this address may have a file whose name begins so."""
    return folders.may_hold(settings.origin_dir, beginning)


def _only(settings: Settings, notes: Iterable[StoreNote]) -> Scope:
    scopes = {scope.folder: scope for scope in (_scope(settings, each) for each in notes)}
    if len(scopes) != 1:
        which = "several stores are" if scopes else "no store is"
        raise SetupError(
            f"no API key is set, and {which} noted on this machine, so it is not known which store is "
            f"meant.{settings.key_note}",
            fact=NOTHING_SENT,
            next_step="Set CLAW_API_KEY to the store's key. To try everything without a key, use --sandbox.",
        )
    return next(iter(scopes.values()))


def _scope(settings: Settings, found: StoreNote) -> Scope:
    folder = settings.origin_dir
    if found.is_test or _owner(settings, found.store_id) != found.store_id:
        folder /= _folder_name(found.store_id, is_test=found.is_test)
    name = settings.store_name or found.name
    called = f"{quoted(name)} ({found.store_id})" if name else found.store_id
    at = f" at {settings.place}" if settings.place else ""
    return Scope(
        folder,
        f"{called}{at}{', test key' if found.is_test else ''}",
        found.store_id,
        name,
        schema_of(settings, "test" if found.is_test else "live", found.store_id),
    )


def schema_of(settings: Settings, kind: str, whose: str) -> str:
    """How the names of schemas in the database begin.

    PostgreSQL takes names of up to 63 bytes, and the stores of two addresses may share a database.

    Args:
        settings: With the address of the store.
        kind: What it is of, such as `live`.
        whose: The id of the store, or what else tells it from others.
    """
    all_of_it = "\0".join((settings.origin_dir.name, kind, whose))
    return f"clawver_{kind}_{whose[:20]}_{hashlib.sha256(all_of_it.encode()).hexdigest()[:12]}"


def _folder_name(store_id: str, *, is_test: bool) -> str:
    """A name of its own for each id, also on a file system that ignores case. No id has a plus sign."""
    kind = "test" if is_test else "live"
    if store_id == store_id.lower() and len(store_id) <= 64:
        return f"{kind}-{store_id}"
    digest = hashlib.sha256(store_id.encode()).hexdigest()[:16]
    return f"{kind}-{store_id[:40].lower()}+{digest}"


def _owner(settings: Settings, store_id: str) -> str:
    """Whose is what lies in the folder of the address: decided now, if it is not yet."""
    folder = settings.origin_dir
    path = folder / OWNER_FILE

    with trouble(path):
        make_private(folder)
        there = any(each.name.startswith(("ledger.", "inbox.")) for each in folder.iterdir())
        first = Owner(store_id=store_id if there else "")
        return Owner.model_validate_json(kept_once(path, as_bytes(first))).store_id
