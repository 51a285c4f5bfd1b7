"""Several stores on one machine: the file that `CLAWVER_STORES` names.

    [stores.prints]
    name = "Ada's Prints"            # shown to people in place of what the store calls itself
    key_env = "PRINTS_CLAW_API_KEY"  # or key_file; never the key itself
    refund_limit_cents = 20000       # any setting of a store, by its variable's name

The environment says what holds for all of them, and a store's own table what differs.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clawver_orders.errors import NOTHING_SENT, SetupError, SeveralStoresError
from clawver_orders.placeholders import is_no_secret
from clawver_orders.setting_names import VARIABLES
from clawver_orders.text import clean

ALIAS = r"(?!all\Z)[a-z0-9][a-z0-9-]{0,31}"
"""What a store may be called in commands; `all` means all of them."""
LARGEST_FILE_IN_BYTES = 256 * 1024
_LARGEST_SECRET_IN_BYTES = 4096
OF_A_STORE = (
    "api_url", "read_only", "refund_limit_in_cents", "refund_daily_limit_in_cents", "refund_approval",
    "refund_pin_above_in_cents", "refund_policy", "refund_verify_seconds", "requests_per_minute", "requests_per_day",
    "webhook_hosts", "inbox_days", "history", "history_days", "time_zone", "pii",
)  # fmt: skip
"""The settings that each store may have of its own."""
SECRETS = {"key": "api_key", "webhook_secret": "webhook_secret"}
"""What comes from a variable (`…_env`) or a file (`…_file`), and the setting that it is."""
_NAMES = {VARIABLES[each].removeprefix("CLAWVER_").lower(): each for each in OF_A_STORE}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


@dataclass(frozen=True)
class StoreEntry:
    """A store of the file."""

    alias: str
    name: str
    """What the merchant calls it; nothing where the file does not say."""
    key_from: str
    """What holds its key, as a person knows it."""
    given: Mapping[str, str] = field(repr=False)
    """Its settings by field, as an environment carries them, its secrets among them."""

    def named(self, setting: str) -> str:
        """What a setting of it is called."""
        names = {each: name for name, each in (_NAMES | SECRETS).items()}
        return f"{names[setting]} of the store {self.alias}"

    def without_values(self) -> "StoreEntry":
        """The same, as far as it is needed once the settings are checked."""
        return replace(self, given=dict.fromkeys(self.given, ""))


def store_of(path: Path, alias: str, variables: Mapping[str, str]) -> StoreEntry:
    """The store that is meant.

    Args:
        path: The file.
        alias: What it is called there; where this is empty, the only one is meant.
        variables: The environment, where secrets may be.

    Raises:
        SeveralStoresError: It has several, and none was named.
        SetupError: The file cannot be used; it has no such store; or a secret is not where the file
            says. No value is repeated.
    """
    tables = _tables(path)
    for each, table in tables.items():
        _check(each, table)
    if not alias and len(tables) > 1:
        raise SeveralStoresError(
            "several stores are in the file that CLAWVER_STORES names, and none was named.",
            fact=NOTHING_SENT,
            next_step=f"Name one with --store, or with CLAWVER_STORE where this is configured: {', '.join(tables)}.",
            aliases=[*tables],
        )
    if alias and alias not in tables:
        raise SetupError(
            "there is no store of that name in the file that CLAWVER_STORES names.",
            fact=NOTHING_SENT,
            next_step=f"Name one with --store, or with CLAWVER_STORE where this is configured: {', '.join(tables)}.",
        )
    alias = alias or next(iter(tables))
    table = tables[alias]
    given = {_NAMES[name]: _as_text(value) for name, value in table.items() if name in _NAMES}
    for name, setting in SECRETS.items():
        secret = _secret(alias, name, table, variables)
        given |= {setting: secret} if secret else {}
    key_from = table.get("key_env") or f"key_file of the store {alias}"
    return StoreEntry(alias, table.get("name", ""), key_from, given)


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    """The table of each store, by its alias."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE_IN_BYTES + 1)
    except OSError as error:
        raise _unusable(f"it cannot be read ({type(error).__name__})") from None
    if len(raw) > LARGEST_FILE_IN_BYTES:
        raise _unusable("it is larger than 256 KiB")
    try:
        read = tomllib.loads(raw.decode())
    except (ValueError, RecursionError):  # of UTF-8 and of TOML
        raise _unusable("it is no TOML") from None
    tables = read.pop("stores", None)
    if read or not isinstance(tables, dict) or not tables:
        raise _unusable("it must have tables [stores.…] and nothing beside them")
    if any(re.fullmatch(ALIAS, each) is None for each in tables):
        raise _unusable(
            "a store is called by small letters, digits and hyphens, 32 at most, and not all"
        )
    if not all(isinstance(each, dict) for each in tables.values()):
        raise _unusable("a store is no table")
    return tables


def _check(alias: str, table: Mapping[str, Any]) -> None:
    """Every store is checked, so that a mistake in one is not found on the day that it is used first."""
    known = {"name", *_NAMES, *(f"{name}_{way}" for name in SECRETS for way in ("env", "file"))}
    if not known.issuperset(table):
        raise _unusable(f"{alias} has a setting that is none of: {', '.join(sorted(known))}")
    name = table.get("name", "")
    if not isinstance(name, str) or name != clean(name, 80):
        raise _unusable(f"the name of {alias} must be a text of at most 80 characters on one line")
    for secret in SECRETS:
        env, file = (table.get(f"{secret}_{way}") for way in ("env", "file"))
        if env is not None and file is not None:
            raise _unusable(f"{alias} has both {secret}_env and {secret}_file")
        if env is not None and not (isinstance(env, str) and _VARIABLE.fullmatch(env)):
            raise _unusable(f"{secret}_env of {alias} must be the name of a variable")
        if file is not None and not (isinstance(file, str) and Path(file).is_absolute()):
            raise _unusable(f"{secret}_file of {alias} must be a whole path")
    if not {"key_env", "key_file"} & {*table}:
        raise _unusable(f"{alias} has no key_env and no key_file")
    if any(isinstance(each, dict | list) for each in table.values()):
        raise _unusable(f"{alias} has a table or a list in it")


def _as_text(value: object) -> str:
    """A value as an environment carries it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _secret(alias: str, name: str, table: Mapping[str, Any], variables: Mapping[str, str]) -> str:
    """What is kept where the table says; nothing where it says nothing.

    Raises:
        SetupError: It is not there.
    """
    variable, file = table.get(f"{name}_env"), table.get(f"{name}_file")
    if variable is not None:
        found, where = variables.get(variable, "").strip(), variable
    elif file is not None:
        try:
            with Path(file).open("rb") as opened:
                found = opened.read(_LARGEST_SECRET_IN_BYTES).decode("ascii", "replace").strip()
        except OSError:
            found = ""
        where = f"the file in {name}_file"
    else:
        return ""
    if not found or is_no_secret(found):
        raise SetupError(
            f"{where} does not hold the {name.replace('_', ' ')} of the store {alias}.",
            fact=NOTHING_SENT,
            next_step="A person must put it there, then start this again.",
        )
    return found


def _unusable(why: str) -> SetupError:
    """The error of a file that says of no store what it is."""
    return SetupError(
        f"The file in CLAWVER_STORES cannot be used: {why}.",
        fact=NOTHING_SENT,
        next_step="A person must correct it, then start this again.",
    )
