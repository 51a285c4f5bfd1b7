"""Who has signed in.

Sessions live in memory alone and end with the process; or they are rows, where several machines share
a database, and then any of them knows them. What a cookie holds is kept nowhere.

Browsers send a cookie to every port of a host, so another program's server on this machine would
receive ours. Each session has a path of its own that nobody can guess, and its cookie goes nowhere
else: links in answers to agents don't carry it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from clawver_orders.instants import Instant
from clawver_orders.settings import Settings
from clawver_orders.storage.database import Database, off_thread
from clawver_orders.storage.engine import PAGE, tables_of
from clawver_orders.storage.scopes import Scope

LASTS_SECONDS = 12 * 3600
MOST_SESSIONS = 50
COOKIE = "clawver_board"


@dataclass(frozen=True)
class Session:
    """One browser that has signed in."""

    place: str
    """The part of the path that is its own: `place_of` its secret."""
    form_token: str
    """What every form of it carries."""
    ends_at: float
    """In seconds of this machine's uptime, or of the database's clock."""
    digest: bytes
    """Of what its cookie holds."""


class Sessions(Protocol):
    """The sessions of the page of one store."""

    async def begin(self, secret: str) -> Session:
        """A new session. The oldest makes room for it.

        Args:
            secret: What its cookie will hold; see `new_secret`.

        Raises:
            ClawverError: It cannot be kept.
        """

    async def carry(self, old: Session, secret: str) -> None:
        """Put a session that hasn't ended in the place of an older one, to end when that would have.

        Args:
            old: The older one, which ends now. Where it has ended already, none begins.
            secret: What the cookie of the new one will hold.

        Raises:
            ClawverError: It cannot be kept.
        """

    async def find(self, place: str, cookies: Sequence[str]) -> Session | None:
        """The session at a path, where one of the cookies is its own and it hasn't ended.

        Args:
            place: The part of the path.
            cookies: The values of all cookies of that name: another server can add some.

        Raises:
            ClawverError: It cannot be told.
        """

    async def end(self, session: Session) -> None:
        """Sign out.

        Raises:
            ClawverError: It cannot be ended.
        """


class OwnSessions:
    """Sessions of this process alone.

    Args:
        uptime: Seconds since this machine started.
    """

    def __init__(self, uptime: Callable[[], float]) -> None:
        self._uptime = uptime
        self._open: dict[str, Session] = {}

    async def begin(self, secret: str) -> Session:
        """Keep a new one in memory."""
        session = _made(self._uptime(), secret)
        self._open[session.place] = session
        while len(self._open) > MOST_SESSIONS:
            del self._open[next(iter(self._open))]
        return session

    async def carry(self, old: Session, secret: str) -> None:
        """Keep the new one in memory in place of the old one."""
        if (found := self._open.pop(old.place, None)) is not None:
            session = replace(_made(0, secret), ends_at=found.ends_at)
            self._open[session.place] = session

    async def find(self, place: str, cookies: Sequence[str]) -> Session | None:
        """Look it up in memory."""
        session = self._open.get(place)
        if session is None:
            return None
        if self._uptime() >= session.ends_at:
            del self._open[place]
            return None
        return session if _own(session.digest, cookies) is not None else None

    async def end(self, session: Session) -> None:
        """Forget it."""
        self._open.pop(session.place, None)


class SharedSessions:
    """Sessions that all servers of the store know.

    Args:
        database: Where they are.
        now: The current time, by this machine's clocks.
    """

    def __init__(self, database: Database, now: Callable[[], Instant]) -> None:
        self._database = database
        self._now = now
        self._seen: dict[str, Session] = {}
        """Those that this process was asked for: what is kept for one here is found by it."""

    def _seconds(self) -> float:
        return (self._now().at + self._database.clock_ahead).timestamp()

    async def begin(self, secret: str) -> Session:
        """Keep a new one as a row."""

        def kept() -> Session:
            with self._database.writing() as rows:
                session = _made(now := self._seconds(), secret)
                rows.execute("DELETE FROM session WHERE ends_at <= ?", (now,))
                rows.execute(
                    "INSERT INTO session (place, digest, ends_at) VALUES (?, ?, ?)",
                    (session.place, session.digest, session.ends_at),
                )
                rows.execute(
                    "DELETE FROM session WHERE place NOT IN"
                    " (SELECT place FROM session ORDER BY ends_at DESC LIMIT ?)",
                    (MOST_SESSIONS,),
                )
            return session

        return await off_thread(kept)

    async def carry(self, old: Session, secret: str) -> None:
        """Put a row in the place of the old one's."""

        def carried() -> None:
            with self._database.writing() as rows:
                ended = rows.execute(
                    "DELETE FROM session WHERE place = ? AND ends_at > ? RETURNING ends_at",
                    (old.place, self._seconds()),
                ).fetchone()
                if ended is not None:
                    session = _made(0, secret)
                    rows.execute(
                        "INSERT INTO session (place, digest, ends_at) VALUES (?, ?, ?)",
                        (session.place, session.digest, ended["ends_at"]),
                    )

        await off_thread(carried)
        self._seen.pop(old.place, None)

    async def find(self, place: str, cookies: Sequence[str]) -> Session | None:
        """Look for its row."""
        if not cookies:  # whoever has none costs the database nothing
            return None

        def kept() -> tuple[bytes, float] | None:
            with self._database.reading() as rows:
                row = rows.execute(
                    "SELECT digest, ends_at FROM session WHERE place = ? AND ends_at > ?",
                    (place, self._seconds()),
                ).fetchone()
            return None if row is None else (bytes(row["digest"]), row["ends_at"])

        found = await off_thread(kept)
        secret = None if found is None else _own(found[0], cookies)
        if found is None or secret is None:
            return None
        session = Session(place, form_token(secret), found[1], found[0])
        known = self._seen.setdefault(place, session)
        while len(self._seen) > MOST_SESSIONS:
            del self._seen[next(iter(self._seen))]
        return known

    async def end(self, session: Session) -> None:
        """Delete its row."""

        def ended() -> None:
            with self._database.writing() as rows:
                rows.execute("DELETE FROM session WHERE place = ?", (session.place,))

        await off_thread(ended)
        self._seen.pop(session.place, None)


def tables(settings: Settings, scope: Scope) -> Database | None:
    """Where the servers of a store keep who has signed in; None where each of them remembers its own.

    Raises:
        SetupError: What the database needs isn't installed, or its address cannot be used.
    """
    return tables_of(settings, scope.schema, PAGE)


def new_secret() -> str:
    """What a cookie holds: nobody can guess it."""
    return secrets.token_urlsafe(32)


def place_of(secret: str) -> str:
    """The part of the path that belongs to a secret, and tells nothing of it."""
    return _made_of(secret, "the path of a session")[:22]


def secret_for(secret: str, store: str) -> str:
    """The secret for a store's own page, made of the one that the page of all stores has."""
    return _made_of(secret, f"the page of the store {store}")


def _made_of(secret: str, use: str) -> str:
    made = hmac.digest(secret.encode("utf-8", "replace"), use.encode(), "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _made(now: float, secret: str) -> Session:
    """A session that begins now."""
    return Session(place_of(secret), form_token(secret), now + LASTS_SECONDS, _digest(secret))


def _own(digest: bytes, cookies: Sequence[str]) -> str | None:
    """The one of these cookies that is the session's."""
    return next((each for each in cookies if hmac.compare_digest(_digest(each), digest)), None)


def form_token(secret: str) -> str:
    """What the forms of a session carry: only whoever has its cookie can tell."""
    return _made_of(secret, "what every form carries")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
