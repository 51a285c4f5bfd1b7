"""Signs and sends what happens in a shop to whoever registered for it.

What is to be sent is written down in the transaction in which it happened, so nothing is lost
between the two, and what was not delivered when the process ended is sent by the next one. A
delivery is tried up to five times, with a wait that doubles, until it is answered with a 2xx. Only
this machine is ever sent anything: a sandbox has no business anywhere else.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from clawver_sandbox.catalogue import Wire, stamp

TRIES = 5
TABLES = {
    "delivery": "n INTEGER PRIMARY KEY, webhook_id TEXT NOT NULL, url TEXT NOT NULL, "
    "secret TEXT NOT NULL, event TEXT NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL, "
    "tries INTEGER NOT NULL, next_at REAL NOT NULL",
    "attempt": "n INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, at TEXT NOT NULL, status INTEGER, "
    "problem TEXT, fault TEXT",
    "delivery_fault": "n INTEGER PRIMARY KEY, body TEXT NOT NULL",
}
FAULTS = (
    "drop",  # never arrives
    "lose_answer",  # arrives, but the sender does not hear so
    "delay",  # arrives some seconds late
    "duplicate",  # arrives twice
    "reorder",  # arrives after the next one for the same webhook
    "wrong_signature",
    "garbage",  # a signed body that is no event
)
_POLL_SECONDS = 0.05
_AT_ONCE = 8
_TIMEOUT_SECONDS = 5.0

Transaction = Callable[[], AbstractContextManager[sqlite3.Connection]]


@dataclass(frozen=True)
class DeliveryFault:
    """One thing that goes wrong with the next deliveries of an event."""

    name: str
    event: str = ""
    times: int = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"There is no fault called {self.name!r}. There are: {FAULTS}")
        if type(self.times) is not int or type(self.seconds) not in (int, float):
            raise ValueError("times is a whole number, seconds is a number.")
        if not isinstance(self.event, str):
            raise ValueError("event is a text; an empty one means any.")  # noqa: TRY004


@dataclass(frozen=True)
class Due:
    """A delivery whose time has come."""

    number: int
    webhook_id: str
    url: str
    secret: str
    body: bytes
    tries: int
    fault: DeliveryFault | None


class Outbox:
    """What is to be delivered, and what became of it.

    Args:
        transaction: Opens the shop's file.
        now: What time the shop believes it is.
    """

    def __init__(self, transaction: Transaction, now: Callable[[], datetime]) -> None:
        self._transaction = transaction
        self._now = now

    def put(self, db: sqlite3.Connection, event: str, data: Wire) -> None:
        """Write an event down for every webhook that wants it, in the transaction it happened in."""
        at = self._a_time_of_its_own(db)
        body = json.dumps(
            {"event": event, "timestamp": at, "data": data}, ensure_ascii=False
        ).encode()
        for webhook_id, webhook, secret in db.execute(
            "SELECT id, body, secret FROM webhook"
        ).fetchall():
            wanted = json.loads(webhook)
            if event in wanted["events"]:
                db.execute(
                    "INSERT INTO delivery (webhook_id, url, secret, event, body, state, tries, next_at)"
                    " VALUES (?, ?, ?, ?, ?, 'waiting', 0, ?)",
                    (webhook_id, wanted["url"], secret, event, body, self._now().timestamp()),
                )

    def _a_time_of_its_own(self, db: sqlite3.Connection) -> str:
        """No two events of a shop carry the same time, so no two bodies are alike."""
        row = db.execute("SELECT value FROM setting WHERE name = 'last_event'").fetchone()
        milliseconds = max(int(self._now().timestamp() * 1000), int(row[0]) + 1 if row else 0)
        db.execute("INSERT OR REPLACE INTO setting VALUES ('last_event', ?)", (str(milliseconds),))
        return stamp(datetime.fromtimestamp(milliseconds / 1000, UTC))

    def take(self, most: int, lease_seconds: float) -> list[Due]:
        """Claim what is due: nobody else gets it before the lease is over."""
        now = self._now().timestamp()
        taken: list[Due] = []
        with self._transaction() as db:
            rows = db.execute(
                "SELECT n, webhook_id, url, secret, body, tries, event FROM delivery"
                " WHERE state = 'waiting' AND next_at <= ? ORDER BY n LIMIT ?",
                (now, most),
            ).fetchall()
            for number, webhook_id, url, secret, body, tries, event in rows:
                fault = _take_fault(db, event)
                if fault is not None and fault.name == "reorder":
                    db.execute("UPDATE delivery SET state = 'held' WHERE n = ?", (number,))
                    self._note(db, number, None, None, "reorder")
                    continue
                db.execute(
                    "UPDATE delivery SET tries = tries + 1, next_at = ? WHERE n = ?",
                    (now + lease_seconds, number),
                )
                taken.append(Due(number, webhook_id, url, secret, body, tries + 1, fault))
        return taken

    def settle(
        self, due: Due, status: int | None, problem: str | None, first_wait_seconds: float
    ) -> None:
        """Note what became of a try, and when the next one is."""
        state, wait = "waiting", first_wait_seconds * 2 ** (due.tries - 1)
        if status is not None and 200 <= status < 300 and problem is None:
            state = "delivered"
        elif due.tries >= TRIES:
            state = "given_up"
        with self._transaction() as db:
            db.execute(
                "UPDATE delivery SET state = ?, next_at = ? WHERE n = ?",
                (state, self._now().timestamp() + wait, due.number),
            )
            self._note(db, due.number, status, problem, due.fault.name if due.fault else None)
            db.execute(
                "UPDATE delivery SET state = 'waiting' WHERE state = 'held' AND webhook_id = ? AND n < ?",
                (due.webhook_id, due.number),
            )

    def resend(self) -> None:
        """Begin again with whatever was abandoned."""
        with self._transaction() as db:
            db.execute(
                "UPDATE delivery SET state = 'waiting', tries = 0, next_at = ? WHERE state = 'given_up'",
                (self._now().timestamp(),),
            )

    def forget(self, db: sqlite3.Connection, webhook_id: str) -> None:
        """Send nothing more to a webhook that was removed."""
        db.execute(
            "DELETE FROM delivery WHERE webhook_id = ? AND state != 'delivered'", (webhook_id,)
        )

    def deliveries(self) -> list[Wire]:
        """Every delivery with all its tries, in order. Secrets stay behind."""
        with self._transaction() as db:
            attempts = db.execute(
                "SELECT delivery, at, status, problem, fault FROM attempt ORDER BY n"
            ).fetchall()
            rows = db.execute(
                "SELECT n, webhook_id, url, event, body, state, tries FROM delivery ORDER BY n"
            ).fetchall()
        return [
            {
                "number": number,
                "webhookId": webhook_id,
                "url": url,
                "event": event,
                "body": body.decode(),
                "state": state,
                "tries": tries,
                "attempts": [
                    {"at": at, "status": status, "problem": problem, "fault": fault}
                    for delivery, at, status, problem, fault in attempts
                    if delivery == number
                ],
            }
            for number, webhook_id, url, event, body, state, tries in rows
        ]

    def unsettled(self) -> int:
        """How many deliveries are neither delivered nor given up."""
        with self._transaction() as db:
            row = db.execute(
                "SELECT COUNT(*) FROM delivery WHERE state IN ('waiting', 'held')"
            ).fetchone()
        return int(row[0])

    def add_fault(
        self, name: str, *, event: str = "", times: int = 1, seconds: float = 0.0
    ) -> None:
        """Arrange that the next deliveries go wrong.

        Args:
            name: One of ``FAULTS``.
            event: The event it applies to; any when left out.
            times: How many tries it spoils; -1 spoils all until the faults are cleared.
            seconds: How late a delayed one is.
        """
        fault = DeliveryFault(name, event, times, seconds)
        with self._transaction() as db:
            db.execute("INSERT INTO delivery_fault (body) VALUES (?)", (json.dumps(asdict(fault)),))

    def faults(self) -> list[Wire]:
        """What is arranged to go wrong."""
        with self._transaction() as db:
            return [asdict(fault) for _, fault in _faults(db)]

    def clear_faults(self) -> None:
        """Let everything go right again."""
        with self._transaction() as db:
            db.execute("DELETE FROM delivery_fault")

    def _note(
        self,
        db: sqlite3.Connection,
        number: int,
        status: int | None,
        problem: str | None,
        fault: str | None,
    ) -> None:
        db.execute(
            "INSERT INTO attempt (delivery, at, status, problem, fault) VALUES (?, ?, ?, ?, ?)",
            (number, stamp(self._now()), status, problem, fault),
        )


class Deliverer:
    """Sends what is due, several at a time.

    Args:
        outbox: What is to be sent.
        first_wait_seconds: How long to wait after the first failure; it doubles with each further one.
    """

    def __init__(self, outbox: Outbox, first_wait_seconds: float) -> None:
        self._outbox = outbox
        self._first_wait = first_wait_seconds
        self._busy = 0
        self._freed = anyio.Event()

    async def run(self) -> None:
        """Send until cancelled."""
        async with (
            httpx2.AsyncClient(trust_env=False, timeout=_TIMEOUT_SECONDS) as http,
            anyio.create_task_group() as tasks,
        ):
            while True:
                for due in self._due():
                    self._busy += 1
                    tasks.start_soon(self._deliver, http, due)
                with anyio.move_on_after(_POLL_SECONDS):
                    await self._freed.wait()
                self._freed = anyio.Event()

    def _due(self) -> list[Due]:
        """What is due, as far as there is room for it; a file that is in use is looked at later."""
        try:
            return self._outbox.take(_AT_ONCE - self._busy, 2 * _TIMEOUT_SECONDS)
        except sqlite3.Error:
            return []

    async def _deliver(self, http: httpx2.AsyncClient, due: Due) -> None:
        status: int | None = None
        problem: str | None = "interrupted"
        try:
            status, problem = await self._try(http, due)
        finally:
            self._busy -= 1
            with contextlib.suppress(sqlite3.Error):  # it is sent again when its lease is over
                self._outbox.settle(due, status, problem, self._first_wait)
            self._freed.set()

    async def _try(self, http: httpx2.AsyncClient, due: Due) -> tuple[int | None, str | None]:
        fault = due.fault.name if due.fault else ""
        if not _is_this_machine(due.url):
            return None, "not on this machine"
        if fault == "drop":
            return None, "dropped"
        if fault == "delay" and due.fault:
            await anyio.sleep(due.fault.seconds)
        body = b"\xff\x00 no event" if fault == "garbage" else due.body
        secret = f"not {due.secret}" if fault == "wrong_signature" else due.secret
        headers = {
            "content-type": "application/json",
            "user-agent": "Clawver-Sandbox",
            "x-claw-signature": signature(body, secret),
        }
        try:
            if fault == "duplicate":
                await http.post(due.url, content=body, headers=headers)
            response = await http.post(due.url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            return None, type(error).__name__
        return response.status_code, "answer lost" if fault == "lose_answer" else None


def signature(body: bytes, secret: str) -> str:
    """What Clawver sends along with a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _faults(db: sqlite3.Connection) -> list[tuple[int, DeliveryFault]]:
    rows = db.execute("SELECT n, body FROM delivery_fault ORDER BY n").fetchall()
    return [(number, DeliveryFault(**json.loads(body))) for number, body in rows]


def _take_fault(db: sqlite3.Connection, event: str) -> DeliveryFault | None:
    """The first fault that fits, used up by one."""
    for number, fault in _faults(db):
        if fault.event in {"", event}:
            if fault.times == 1:
                db.execute("DELETE FROM delivery_fault WHERE n = ?", (number,))
            elif fault.times > 1:
                left: dict[str, Any] = asdict(fault) | {"times": fault.times - 1}
                db.execute(
                    "UPDATE delivery_fault SET body = ? WHERE n = ?", (json.dumps(left), number)
                )
            return fault
    return None
