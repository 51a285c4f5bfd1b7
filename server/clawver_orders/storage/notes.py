"""The notes of which store a key opens and which one an alias means: files, or rows of a database.

See `scopes`, which decides with them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from clawver_orders.errors import NOTHING_SENT, SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Database
from clawver_orders.storage.folders import kept_once, read_private, replace_private
from clawver_orders.text import clean, is_id

NOTE_FILE = "store.json"
OWNER_FILE = "owner.json"


def _store_id(text: str) -> str:
    if text and not is_id(text):
        raise ValueError("not an id")
    return text


StoreId = Annotated[str, AfterValidator(_store_id)]


class StoreNote(BaseModel):
    """The store that a key opens."""

    model_config = ConfigDict(frozen=True)

    store_id: StoreId
    name: Annotated[str, AfterValidator(lambda name: clean(name, 200))]
    is_test: bool
    another: StoreId = ""
    """Another store that the key was found to open since."""


class Owner(BaseModel):
    """Whose something is: a store's; nobody's where there was nothing."""

    store_id: StoreId


class Notes(Protocol):
    """What was noted at one address."""

    @property
    def to_forget_key(self) -> str:
        """What a person does so that the key may open another store from now on."""

    @property
    def to_forget_alias(self) -> str:
        """What a person does so that the alias may mean another store from now on."""

    def to_forget_other(self, alias: str) -> str:
        """What a person does about another alias of the store, once it is out of the file of stores."""

    def of_key(self) -> StoreNote | None:
        """The store that the key opens; None where that was never noted.

        Raises:
            ClawverError: It cannot be read.
            OpensAnotherError: The key was found to open another store than the noted one.
        """

    def every(self) -> Sequence[StoreNote]:
        """All stores that were noted."""

    def keep(self, new: StoreNote) -> None:
        """Note which store the key opens. What was noted first stays, but for a new name of that store.

        Raises:
            ClawverError: It cannot be written.
            OpensAnotherError: The key was noted as another store's.
        """

    def of_alias(self, store_id: str) -> tuple[str, str]:
        """Which store the alias means, this one where it was never noted; and another alias of that store, if any."""


class OpensAnotherError(Exception):
    """A key opens another store than the one that was noted for it."""


class FileNotes:
    """Notes in files of this machine. That a key was found to open another store is kept in its note.

    Args:
        settings: With the key, the address and the alias.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.key_dir / NOTE_FILE
        self._folder = settings.origin_dir
        self._alias = settings.origin_dir / "aliases" / f"{settings.store}.json"

    @property
    def to_forget_key(self) -> str:
        """Which file to delete."""
        return f"delete {self._path}"

    @property
    def to_forget_alias(self) -> str:
        """Which file to delete."""
        return f"delete {self._alias}"

    def to_forget_other(self, alias: str) -> str:  # noqa: ARG002  # either of the two may go
        """Which file to delete."""
        return f"delete its note, {self._alias.parent}/NAME.json"

    def of_key(self) -> StoreNote | None:
        """The note of the key."""
        with trouble(self._path):
            try:
                found = _read(self._path)
            except FileNotFoundError:
                return None
        if found.another:
            raise OpensAnotherError
        return found

    def every(self) -> Sequence[StoreNote]:
        """The notes of all keys."""
        found = []
        for path in self._folder.glob(f"keys/*/{NOTE_FILE}"):
            with trouble(path):
                found.append(_read(path))
        return found

    def keep(self, new: StoreNote) -> None:
        """Write the note of the key."""
        with trouble(self._path):
            found = StoreNote.model_validate_json(kept_once(self._path, as_bytes(new)))
            opens_another = found.store_id != new.store_id
            kept = found.model_copy(update={"another": new.store_id}) if opens_another else new
            if kept != found:
                replace_private(self._path, as_bytes(kept))
        if opens_another:
            raise OpensAnotherError

    def of_alias(self, store_id: str) -> tuple[str, str]:
        """Read the note of the alias, or write it, and look through the others."""
        with trouble(self._alias):
            mine = as_bytes(Owner(store_id=store_id))
            meant = Owner.model_validate_json(kept_once(self._alias, mine))
        for other in self._alias.parent.glob("*.json"):
            with trouble(other):
                if other != self._alias and Owner.model_validate_json(read_private(other)) == meant:
                    return meant.store_id, other.stem
        return meant.store_id, ""


class RowNotes:
    """Notes in the database that several machines share.

    That a key was found to open another store is kept too: no machine goes on with it then.

    Args:
        settings: With the key and the alias.
        database: Where they are.
        schema: The name of their schema there.
    """

    def __init__(self, settings: Settings, database: Database, schema: str) -> None:
        self._database = database
        self._schema = schema
        self._key = settings.key_dir.name
        self._alias = settings.store

    @property
    def to_forget_key(self) -> str:
        """Which row to delete."""
        return self._deleting(f"opened WHERE fingerprint = '{self._key}'")

    @property
    def to_forget_alias(self) -> str:
        """Which row to delete."""
        return self.to_forget_other(self._alias)

    def to_forget_other(self, alias: str) -> str:
        """Which row to delete."""
        return self._deleting(f"alias WHERE alias = '{alias}'")

    def of_key(self) -> StoreNote | None:
        """The row of the key."""
        with self._database.reading() as rows:
            row = rows.execute(
                "SELECT * FROM opened WHERE fingerprint = ?", (self._key,)
            ).fetchone()
        if row is None:
            return None
        if row["another"]:
            raise OpensAnotherError
        return StoreNote(store_id=row["store_id"], name=row["name"], is_test=bool(row["is_test"]))

    def every(self) -> Sequence[StoreNote]:
        """The rows of all keys."""
        with self._database.reading() as rows:
            found = rows.execute("SELECT store_id, name, is_test FROM opened").fetchall()
        return [
            StoreNote(store_id=i, name=name, is_test=bool(is_test)) for i, name, is_test in found
        ]

    def keep(self, new: StoreNote) -> None:
        """Write the row of the key."""
        with self._database.writing() as rows:
            rows.execute(
                "INSERT INTO opened (fingerprint, store_id, name, is_test) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (self._key, new.store_id, new.name, int(new.is_test)),
            )
            rows.execute(
                "UPDATE opened SET name = ?, another = '' WHERE fingerprint = ? AND store_id = ?",
                (new.name, self._key, new.store_id),
            )
            rows.execute(
                "UPDATE opened SET another = ? WHERE fingerprint = ? AND store_id <> ?",
                (new.store_id, self._key, new.store_id),
            )
        self.of_key()

    def of_alias(self, store_id: str) -> tuple[str, str]:
        """Read the row of the alias, or write it, and look for another one of that store."""
        found = self._aliases(store_id)
        if not found:
            with self._database.writing() as rows:
                rows.execute(
                    "INSERT INTO alias (alias, store_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (self._alias, store_id),
                )
            found = self._aliases(store_id)
        others = (alias for alias, means in found.items() if means == store_id)
        other = next((each for each in others if each != self._alias), "")
        return found.get(self._alias, store_id), other

    def _aliases(self, store_id: str) -> dict[str, str]:
        """This alias, and any of the store, with what they mean."""
        with self._database.reading() as rows:
            found = rows.execute(
                "SELECT alias, store_id FROM alias WHERE alias = ? OR store_id = ?",
                (self._alias, store_id),
            ).fetchall()
        return {row["alias"]: row["store_id"] for row in found}

    def _deleting(self, row: str) -> str:
        table, _, which = row.partition(" ")
        words = f'DELETE FROM "{self._schema}".{table} {which}'  # noqa: S608  # for a person
        return f"delete it from the database ({words})"


def as_bytes(value: BaseModel) -> bytes:
    """A note as its file holds it."""
    return json.dumps(value.model_dump()).encode()


def _read(path: Path) -> StoreNote:
    return StoreNote.model_validate_json(read_private(path))


@contextmanager
def trouble(path: Path) -> Iterator[None]:
    """Say what is wrong with the file of a note, and what helps.

    Raises:
        SetupError: It cannot be used.
    """
    try:
        yield
    except (OSError, ValidationError) as error:
        again = (
            "delete it: the store is asked again"
            if path.name != OWNER_FILE
            else "put it back from a backup"
        )
        raise SetupError(
            f"the note of which store this is cannot be used ({type(error).__name__}): {path}.",
            fact=NOTHING_SENT,
            next_step=f"A person must make {path.parent} readable and writable for this user alone. If the "
            f"note is damaged, {again}.",
        ) from None  # the cause repeats what is in there
