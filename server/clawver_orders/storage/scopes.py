"""Which store a key opens, and where what is kept of that store lies.

Clawver tells a store by its id. It is noted for each key the first time it is read, so that no
later call has to ask for it, and a key that is replaced forgets nothing. Below the folder of an
address (`Settings.origin_dir`):

    keys/<fingerprint of a key>/store.json   the store that the key opens
    live-<store id>/                         refunds, events and locks of a store
    test-<store id>/                         the same of its test keys
    owner.json                               whose is what lies beside it

Earlier versions kept one ledger for all stores of an address, in that folder itself. It stays where
it is, so that a server of such a version that still runs goes on with the same refunds and locks, and
becomes that of the first store that is seen. Who that was is decided once, in one step, before the
first note of a store; a test key decides nothing.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from clawver_orders.errors import NOTHING_SENT, SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage.folders import (
    kept_once,
    make_private,
    read_private,
    replace_private,
)
from clawver_orders.text import clean, is_id, quoted

NOTE_FILE = "store.json"
OWNER_FILE = "owner.json"


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


def _store_id(text: str) -> str:
    if text and not is_id(text):
        raise ValueError("not an id")
    return text


class _Note(BaseModel):
    """The store that a key opens."""

    model_config = ConfigDict(frozen=True)

    store_id: Annotated[str, AfterValidator(_store_id)]
    name: Annotated[str, AfterValidator(lambda name: clean(name, 200))]
    is_test: bool


class _Owner(BaseModel):
    """Whose is what lies in the folder of the address: a store's; nobody's where there was nothing."""

    store_id: Annotated[str, AfterValidator(_store_id)]


def known(settings: Settings) -> Scope | None:
    """The store of these settings, without asking it; None where it was never noted.

    Where no key is set it is the only one that was noted at this address.

    Raises:
        SetupError: A note cannot be used; or no key is set, and there is no single store.
    """
    if settings.sandbox:
        return Scope(settings.origin_dir, "the sandbox")
    if settings.api_key is None:
        return _only(settings)
    path = settings.key_dir / NOTE_FILE
    with _trouble(path):
        try:
            found = _read(path)
        except FileNotFoundError:
            return None
    return _scope(settings, found)


def note(settings: Settings, store_id: str, name: str) -> Scope:
    """Note which store the key opens; what was noted once stays, but for a new name of the same store.

    Args:
        settings: With the key.
        store_id: As the store gives it; an id that passed its check.
        name: What the store calls itself.

    Raises:
        SetupError: It was noted as another store's key; or the note cannot be made or used.
    """
    path = settings.key_dir / NOTE_FILE
    new = _Note(store_id=store_id, name=name, is_test=settings.is_test_key)
    if not new.is_test:
        _owner(settings, store_id)  # decided before anything can rest on it

    with _trouble(path):
        found = _Note.model_validate_json(kept_once(path, _as_bytes(new)))
        if found.store_id == store_id and found.name != new.name:
            replace_private(path, _as_bytes(new))
            found = new
    if found.store_id != store_id:
        raise SetupError(
            "this key opens another store than the one that was noted for it.",
            fact=NOTHING_SENT,
            next_step="A person must find out which store CLAW_API_KEY belongs to. If it is another one now, "
            f"delete {path}.",
        )
    return _scope(settings, found)


def may_hold(settings: Settings, beginning: str) -> bool:
    """Whether any store of this address may have a file whose name begins so."""
    folder = settings.origin_dir
    try:
        inside = [each for each in folder.iterdir() if each.is_dir()]
        names = [file.name for each in (folder, *inside) for file in each.iterdir()]
    except FileNotFoundError:
        return False
    except OSError:
        return True  # whoever opens it will hear why it cannot be seen
    return any(name.startswith(beginning) for name in names)


def _only(settings: Settings) -> Scope:
    scopes = {}
    for path in settings.origin_dir.glob(f"keys/*/{NOTE_FILE}"):
        with _trouble(path):
            scope = _scope(settings, _read(path))
        scopes[scope.folder] = scope
    if len(scopes) != 1:
        which = "several stores are" if scopes else "no store is"
        raise SetupError(
            f"no API key is set, and {which} noted on this machine, so it is not known which store is "
            f"meant.{settings.key_note}",
            fact=NOTHING_SENT,
            next_step="Set CLAW_API_KEY to the store's key. To try everything without a key, use --sandbox.",
        )
    return next(iter(scopes.values()))


def _scope(settings: Settings, found: _Note) -> Scope:
    folder = settings.origin_dir
    if found.is_test or _owner(settings, found.store_id) != found.store_id:
        folder /= _folder_name(found.store_id, is_test=found.is_test)
    called = f"{quoted(found.name)} ({found.store_id})" if found.name else found.store_id
    at = f" at {settings.place}" if settings.place else ""
    return Scope(
        folder, f"{called}{at}{', test key' if found.is_test else ''}", found.store_id, found.name
    )


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

    with _trouble(path):
        make_private(folder)
        there = any(each.name.startswith(("ledger.", "inbox.")) for each in folder.iterdir())
        first = _Owner(store_id=store_id if there else "")
        return _Owner.model_validate_json(kept_once(path, _as_bytes(first))).store_id


def _as_bytes(value: BaseModel) -> bytes:
    return json.dumps(value.model_dump()).encode()


def _read(path: Path) -> _Note:
    return _Note.model_validate_json(read_private(path))


@contextmanager
def _trouble(path: Path) -> Iterator[None]:
    """Say what is wrong with a note, and what helps."""
    try:
        yield
    except (OSError, ValidationError) as error:
        again = (
            "delete it: the store is asked again"
            if path.name == NOTE_FILE
            else "put it back from a backup"
        )
        raise SetupError(
            f"the note of which store this is cannot be used ({type(error).__name__}): {path}.",
            fact=NOTHING_SENT,
            next_step=f"A person must make {path.parent} readable and writable for this user alone. If the "
            f"note is damaged, {again}.",
        ) from None  # the cause repeats what is in there
