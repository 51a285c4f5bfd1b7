"""The sandbox store of a state folder: made where it is new, and taken back to its beginning."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.history.mirror import HISTORY_FILE, Mirror
from clawver_orders.instants import now
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.settings import Settings
from clawver_orders.storage.folders import make_private

if TYPE_CHECKING:
    from clawver_sandbox.shop import Shop

SANDBOX_FILE = "sandbox.sqlite3"
"""The sandbox store's file in the state folder."""


@contextmanager
def _sandbox_trouble(path: Path) -> Iterator[None]:
    """Say what is wrong with the sandbox store's file, and what helps."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise SetupError(
            f"The sandbox store cannot be opened ({type(error).__name__}). Nothing was done.",
            next_step=f"Make {path} writable for this user and end other programs that have it open, or "
            "set CLAWVER_STATE_DIR to a folder that can be written.",
        ) from error
    except sqlite3.DatabaseError as error:
        raise SetupError(
            f"The file of the sandbox store is damaged, or not of this version: {path}. Nothing was done.",
            next_step="Run `clawver-orders sandbox --reset`: it puts the file aside and starts again.",
        ) from error


def open_sandbox(settings: Settings, now: Callable[[], datetime] | None = None) -> "Shop":
    """The sandbox store of the state folder, with its opening catalogue where it is new.

    Args:
        settings: Say where its file is.
        now: What time it is for the store; the clock of this machine unless given.

    Raises:
        SetupError: Its file cannot be used. Nothing was done.
    """
    from clawver_sandbox.shop import Shop

    path = settings.state_dir / SANDBOX_FILE
    with _sandbox_trouble(path):
        make_private(path.parent)
        return Shop.open(path, now=now)


def reset_sandbox(settings: Settings) -> list[str]:
    """Take the sandbox store back to its opening catalogue, and forget its orders and the refunds noted for it.

    A refund or an order is forgotten only where the ledger says that this sandbox store answered for its
    order. No file is deleted.

    Args:
        settings: Say where its file and the ledgers are.

    Returns:
        What was kept, and why: sentences for a person.

    Raises:
        SetupError: The file of the store cannot be used. Nothing was done.
    """
    from clawver_sandbox.shop import Shop

    said = []
    path = settings.state_dir / SANDBOX_FILE
    with _sandbox_trouble(path):
        make_private(path.parent)
        try:
            shop = Shop.open(path)
            shop.reset()
        except sqlite3.OperationalError:
            raise  # in use, or not to be written: nothing is wrong with the file
        except sqlite3.DatabaseError:
            aside = _put_aside(path)
            said.append(
                f"The file of the sandbox store was damaged, or not of this version. It is kept as {aside}."
            )
            shop = Shop.open(path)
        sandbox = shop.id
    within, *served = settings.sandbox_dirs
    for folder in (within, *served):
        try:
            # Within a process it is this folder's own store, even where its file was put aside.
            whose = None if folder == within else sandbox
            Mirror(folder / HISTORY_FILE, timedelta(0)).forget_sandbox(whose)
            kept = Ledger(folder / LEDGER_FILE, now).forget(whose)
        except ClawverError as error:
            said.append(f"The refunds noted in {folder} were not forgotten. {error}")
        else:
            if kept:
                said.append(
                    f"Refunds that are not known to be of this sandbox were kept: {kept}. If no real store "
                    f"was ever used at this address, stop all servers and delete {folder} to start empty."
                )
    return said


def _put_aside(path: Path) -> Path:
    """Give a SQLite file another name, and first what SQLite would mend a new one with."""
    aside = path.with_stem(f"{path.stem}-{secrets.token_hex(4)}")
    for suffix in ("-journal", "-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    return aside
