"""A code that signs in once: handed over by a file that only this user can read.

What is kept of it is a file beside that one; or a row, where several machines share a database, so that
the page of any of them takes it.

An address with a code in it would show in the list of processes and in the browser's history. So
`board --open` opens a file instead, and the form in it posts the code.
"""

import hashlib
import hmac
import json
import secrets
from contextlib import suppress
from html import escape
from pathlib import Path

from clawver_orders.instants import Instant, seconds_at_most
from clawver_orders.storage.database import Database
from clawver_orders.storage.folders import make_private, read_private, replace_private

GOOD_FOR_SECONDS = 120.0
NOTE_FILE, FORM_FILE = "board-code.json", "board-open.html"
_FORM = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Sign in · Clawver orders</title>
<form method="post" action="{address}/signin">
<input type="hidden" name="code" value="{code}">
<button>Sign in to Clawver orders</button>
</form>
<script>document.forms[0].submit()</script>
</html>
"""


def make(folder: Path, now: Instant, database: Database | None = None) -> str:
    """A code that is good for two minutes, in place of an earlier one.

    Args:
        folder: Where what belongs to the store is kept.
        now: The current time, by this machine's clocks.
        database: What the servers of several machines share.

    Raises:
        OSError: What is kept of it cannot be written.
        ClawverError: The database cannot be written.
    """
    make_private(folder)
    code = secrets.token_urlsafe(32)
    if database is None:
        made = {"at": now.at.isoformat(), "uptime": now.uptime, "boot": now.boot}
        replace_private(folder / NOTE_FILE, json.dumps({"digest": _digest(code)} | made).encode())
    else:
        with database.writing() as rows:
            made_at = (now.at + database.clock_ahead).timestamp()
            rows.execute("DELETE FROM code")
            rows.execute("INSERT INTO code VALUES (?, ?)", (_digest(code), made_at))
    return code


def hand_over(folder: Path, address: str, code: str) -> Path:
    """Write the file that signs in with a code.

    Args:
        folder: Where it is written.
        address: Where the page is, without a slash at its end.
        code: What it posts.

    Returns:
        The file to open in a browser.

    Raises:
        OSError: It cannot be written.
    """
    make_private(folder)
    form = _FORM.format(address=escape(address), code=escape(code))
    replace_private(folder / FORM_FILE, form.encode())
    return folder / FORM_FILE


def forget(folder: Path) -> None:
    """Delete the file that signs in, whose code was used."""
    with suppress(OSError):
        (folder / FORM_FILE).unlink()


def redeem(folder: Path, code: str, now: Instant, database: Database | None = None) -> bool:
    """Whether a code is the one that was handed over last, two minutes ago at most. It counts once.

    Args:
        folder: Where what belongs to the store is kept.
        code: What was posted.
        now: The current time, by this machine's clocks.
        database: What the servers of several machines share.

    Raises:
        ClawverError: The database cannot be written.
    """
    if database is not None:
        return _redeem_row(database, code, now)
    try:
        kept = json.loads(read_private(folder / NOTE_FILE))
        digest = str(kept["digest"])
        made = Instant(now.at.fromisoformat(kept["at"]), kept["uptime"], kept["boot"])
    except (OSError, ValueError, KeyError, TypeError):  # none, or none of ours
        return False
    if not hmac.compare_digest(_digest(code), digest):
        return False
    try:
        (folder / NOTE_FILE).unlink()
    except OSError:  # somebody else was faster
        return False
    forget(folder)
    return seconds_at_most(made, now) < GOOD_FOR_SECONDS


def _redeem_row(database: Database, code: str, now: Instant) -> bool:
    with database.writing() as rows:
        deleted = "DELETE FROM code WHERE digest = ? RETURNING made_at"
        row = rows.execute(deleted, (_digest(code),)).fetchone()
        at = (now.at + database.clock_ahead).timestamp()
    # A machine that was sooner told what time it is at the database may be a little behind it.
    return row is not None and abs(at - row["made_at"]) < GOOD_FOR_SECONDS


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()
