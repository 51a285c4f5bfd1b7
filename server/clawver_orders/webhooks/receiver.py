"""An ASGI app that takes deliveries: verify, note in the inbox, and only then say yes.

    from clawver_orders.webhooks.receiver import Receiver
    from clawver_orders.settings import Settings

    receiver = Receiver.of(Settings.from_environment())
    app = Starlette(
        routes=[Mount("/clawver", app=receiver)],
        lifespan=lambda app: receiver.listening(),
    )

Every path takes deliveries but `/healthz` and `/readyz`, unless one is named. What is answered is always the
same few words: nothing of a request comes back. A delivery that was answered with 200 is on disk;
one that could not be written is answered with 503, so that the sender tries again.
"""

import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

import anyio
from anyio import to_thread

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.storage.readiness import Readiness
from clawver_orders.webhooks.inbox import SIGN_OF_LIFE, Cause, Delivery, Inbox, RefusedDeliveries
from clawver_orders.webhooks.signature import (
    BODY_LIMIT_IN_BYTES,
    SIGNATURE_HEADER,
    Event,
    MalformedEventError,
    parse,
    verify,
)

__all__ = ["Handled", "Receiver"]
log = logging.getLogger(__name__)

READ_SECONDS = 10.0
"""How long a sender may take for the whole body."""
HEALTH_PATH = "/healthz"
"""Answers 200 while the inbox can be read."""
READY_PATH = "/readyz"
"""Answers 200 while deliveries can be written down."""
HEALTH_PATHS = frozenset({HEALTH_PATH, READY_PATH})
MOST_AT_ONCE = 64
"""The most deliveries of one transaction."""

Message = MutableMapping[str, Any]
Receiving = Callable[[], Awaitable[Message]]
Sending = Callable[[Message], Awaitable[None]]
_SIGNATURE = SIGNATURE_HEADER.lower().encode()


@dataclass(frozen=True)
class Handled:
    """What became of a request that brought a delivery, or should have. Nothing unverified is in it."""

    at: datetime
    result: Literal["accepted", "duplicate", "refused"]
    status: int
    """The status of the answer."""
    reason: str = ""
    """Why it was refused."""
    event: str = ""
    """The event, such as `order.paid`; empty where it was refused."""
    order_id: str = ""
    """The order it is about, where it names one."""


class _Refused(Exception):  # noqa: N818  # an answer, not a failure
    """The request is answered with this status, and nothing is stored."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class _GoneError(Exception):
    """Whoever asked has hung up."""


_REASONS = {
    400: "the body is no event",
    401: "the signature does not fit",
    404: "there is nothing here",
    405: "the method is not taken here",
    408: "the body took too long",
    413: "the body is too large",
    503: "it could not be noted: send it again",
}
_CAUSES: dict[int, Cause] = {
    400: "body", 401: "signature", 404: "path", 405: "method", 408: "time", 413: "size", 503: "disk",
}  # fmt: skip
_TAKEN = b'{"ok": true}'
_UNREAD = frozenset({401, 404, 405, 408, 413})
"""Answers that may be given before the body was read."""


class Receiver:
    """An ASGI app that takes deliveries.

    Args:
        inbox: Where they go.
        known_secrets: The webhook's secret; several while one takes the place of another.
        path: The one path that takes deliveries; any when left out.
        now: The current time in UTC.
        read_seconds: How long a sender may take for the whole body.
        beat: How often the inbox hears that this receiver is there.
        tell: Called with what became of each request but those about its health. It must not wait.

    Raises:
        SetupError: There is no secret to verify with, or one is shorter than 16 characters.
    """

    def __init__(
        self,
        inbox: Inbox,
        known_secrets: Sequence[str],
        *,
        path: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        read_seconds: float = READ_SECONDS,
        beat: timedelta = SIGN_OF_LIFE,
        tell: Callable[[Handled], object] = lambda _: None,
    ) -> None:
        if isinstance(known_secrets, str) or not known_secrets or min(map(len, known_secrets)) < 16:
            raise _no_secret()
        self._id = secrets.token_hex(8)
        self._inbox = inbox
        self._secrets = tuple(known_secrets)
        self._path = path
        self._now = now
        self._read_seconds = read_seconds
        self._beat = beat
        self._tell = tell
        self._writer = _BatchWriter(lambda batch: inbox.note(self._id, batch))
        self._readiness = Readiness(lambda: inbox.prove())
        self._refused: dict[Cause, RefusedDeliveries] = {}

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        path: str | None = None,
        tell: Callable[[Handled], object] = lambda _: None,
    ) -> Self:
        """A receiver for the store of these settings, as it was noted the first time its key was used.

        Without a key it is the only store that was noted at this address.

        Raises:
            SetupError: There is no secret to verify with, or it is not known which store it is.
        """
        if not settings.webhook_secret:  # before anything of the store is opened
            raise _no_secret()
        known = [secret.get_secret_value() for secret in settings.webhook_secret]
        scope = scopes.known(settings)
        if scope is None:
            raise SetupError(
                f"it is not known yet which store the key in {settings.key_name} opens.",
                fact="Nothing was started",
                next_step=f"Run clawver-orders doctor{settings.option} once with the same settings: it asks the store and notes it.",
            )
        return cls(Inbox.of(settings, scope), known, path=path, tell=tell)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Tell the inbox that somebody listens, for as long as the block lasts.

        Raises:
            ClawverError: The inbox cannot be opened or written.
        """
        await to_thread.run_sync(self._inbox.start, self._id, self._now())
        async with anyio.create_task_group() as background:
            background.start_soon(self._heartbeat)
            try:
                yield
            finally:
                background.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._try_to(self._beat_once)
                    await self._try_to(lambda: self._inbox.stop(self._id, self._now()))

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Receiving, send: Sending
    ) -> None:
        """Answer one request, or follow the server's start and end."""
        if scope["type"] == "lifespan":
            await self._follow(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # a websocket
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(
        self, scope: MutableMapping[str, Any], receive: Receiving, send: Sending
    ) -> None:
        if path_of(scope) in HEALTH_PATHS:
            await answer_health(scope, send, self.trouble)
            return
        try:
            self._tell(await self._take(scope, receive))
            await answer(scope, send, 200)
        except _Refused as refused:
            self._count(scope, _CAUSES[refused.status])
            self._tell(refusal(self._now(), refused.status))
            await answer(scope, send, refused.status)
        except _GoneError:
            self._count(scope, "cut off")

    async def trouble(self, path: str) -> str:
        """Why deliveries cannot be written down, or the inbox cannot be read; nothing where they can.

        Args:
            path: Which of the two is asked, as one of `HEALTH_PATHS`.
        """
        if path == READY_PATH:
            return await self._readiness.trouble()
        return "" if await self._try_to(self._inbox.open) else _REASONS[503]

    async def _take(self, scope: MutableMapping[str, Any], receive: Receiving) -> Handled:
        """Take a delivery. It is on disk when this returns, of this machine or of the database."""
        if self._path is not None and path_of(scope).rstrip("/") != self._path.rstrip("/"):
            raise _Refused(404)
        if scope["method"] != "POST":
            raise _Refused(405)
        signature = _only(scope, _SIGNATURE)
        if signature is None:
            raise _Refused(401)
        body = await self._body(scope, receive)
        if not verify(body, signature, self._secrets):
            raise _Refused(401)
        try:
            event = parse(body)
        except MalformedEventError as error:
            raise _Refused(400) from error
        is_new = await self._writer.add(Delivery(body, event, self._now()))
        if is_new is None:
            raise _Refused(503)
        return self._taken(event, is_new)

    def _taken(self, event: Event, is_new: bool) -> Handled:
        result: Literal["accepted", "duplicate"] = "accepted" if is_new else "duplicate"
        return Handled(self._now(), result, 200, event=event.name, order_id=event.order_id or "")

    async def _body(self, scope: MutableMapping[str, Any], receive: Receiving) -> bytes:
        length = _only(scope, b"content-length") or b""
        if length.isdigit() and (len(length) > 9 or int(length) > BODY_LIMIT_IN_BYTES):
            raise _Refused(413)
        body = bytearray()
        try:
            with anyio.fail_after(self._read_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    body += message.get("body", b"")
                    if len(body) > BODY_LIMIT_IN_BYTES:
                        raise _Refused(413)
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise _Refused(408) from error
        return bytes(body)

    def _count(self, scope: MutableMapping[str, Any], cause: Cause) -> None:
        """Count a delivery that was refused. What has no signature and is on another path is somebody else's.

        Kept in memory until the next sign of life: who forges must not make the disk work.
        """
        if cause == "signature" or any(key.lower() == _SIGNATURE for key, _ in scope["headers"]):
            before = self._refused.get(cause)
            count = before.count + 1 if before else 1
            self._refused[cause] = RefusedDeliveries(cause, count, self._now())

    async def _follow(self, receive: Receiving, send: Sending) -> None:
        """The lifespan of a server that runs this app by itself."""
        await receive()
        try:
            async with self.listening():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except ClawverError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _heartbeat(self) -> None:
        while True:
            await anyio.sleep(self._beat.total_seconds())
            await self._try_to(self._beat_once)

    def _beat_once(self) -> None:
        refused, self._refused = self._refused, {}
        try:
            self._inbox.heartbeat(self._id, self._now(), tuple(refused.values()))
        except ClawverError:  # they are told of when it can be written again
            self._refused = _added(refused, self._refused)
            raise

    async def _try_to(self, do: Callable[[], object]) -> bool:
        """Whether it worked; where it did not, the log says of what kind the trouble was."""
        try:
            await to_thread.run_sync(do)
        except ClawverError as error:
            log.warning("the inbox cannot be used: %s", type(error).__name__)
            return False
        return True


@dataclass
class _Entry:
    """A delivery on its way to the disk."""

    delivery: Delivery
    is_done: bool = False
    is_new: bool | None = None
    """Whether it had not arrived before; None while it is not noted."""


class _BatchWriter:
    """Writes deliveries down; those that come while one is being written share the next transaction.

    A transaction costs as much for fifty as for one: nearly all of it is waiting for the disk.

    Args:
        write: Takes deliveries down, all or none, and gives for each whether it was new.
    """

    def __init__(self, write: Callable[[Sequence[Delivery]], Sequence[bool]]) -> None:
        self._write = write
        self._waiting: list[_Entry] = []
        self._turn = anyio.Lock()

    async def add(self, delivery: Delivery) -> bool | None:
        """Whether it was new, once it is on disk; None where it could not be noted."""
        entry = _Entry(delivery)
        self._waiting.append(entry)
        while not entry.is_done:
            async with self._turn:
                if not entry.is_done:
                    with anyio.CancelScope(shield=True):
                        await self._write_some()
        return entry.is_new

    async def _write_some(self) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        try:
            new = await to_thread.run_sync(self._write, [entry.delivery for entry in batch])
        except Exception as error:  # noqa: BLE001  # whatever it was: nothing is noted, and all are told
            log.warning("deliveries could not be noted: %s", type(error).__name__)
        else:
            for entry, is_new in zip(batch, new, strict=True):
                entry.is_new = is_new
        finally:
            for entry in batch:
                entry.is_done = True


def _added(
    first: dict[Cause, RefusedDeliveries], then: dict[Cause, RefusedDeliveries]
) -> dict[Cause, RefusedDeliveries]:
    return first | {
        cause: RefusedDeliveries(
            cause, each.count + (first[cause].count if cause in first else 0), each.last_at
        )
        for cause, each in then.items()
    }


def refusal(at: datetime, status: int) -> Handled:
    """What is told of a request that is refused with this status."""
    return Handled(at, "refused", status, _REASONS[status])


async def answer_health(
    scope: MutableMapping[str, Any], send: Sending, trouble: Callable[[str], Awaitable[str]]
) -> None:
    """Answer a request for one of `HEALTH_PATHS`.

    Args:
        scope: The request.
        send: Takes the answer.
        trouble: Told the path, says what is wrong; nothing where all is well.
    """
    if scope["method"] not in {"GET", "HEAD"}:
        await answer(scope, send, 405)
        return
    found = await trouble(path_of(scope))
    await answer(scope, send, 503 if found else 200, found)


async def answer(
    scope: MutableMapping[str, Any], send: Sending, status: int, reason: str = ""
) -> None:
    """Answer a request in a few words of ours.

    Args:
        scope: The request.
        send: Takes the answer.
        status: Its status.
        reason: What is wrong, where that isn't said by the status.
    """
    body = _TAKEN
    if status != 200:
        body = json.dumps({"error": reason or _REASONS[status]}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status in _UNREAD:
        headers.append((b"connection", b"close"))  # the rest of the body is not waited for
    if status == 405:
        allowed = b"GET, HEAD" if path_of(scope) in HEALTH_PATHS else b"POST"
        headers.append((b"allow", allowed))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def path_of(scope: MutableMapping[str, Any]) -> str:
    """The path below the point where this app is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _only(scope: MutableMapping[str, Any], name: bytes) -> bytes | None:
    """The value of a header that comes once; None where it is missing or comes twice."""
    values: list[bytes] = [value for key, value in scope["headers"] if key.lower() == name]
    return values[0] if len(values) == 1 else None


def _no_secret() -> SetupError:
    return SetupError(
        "Without CLAWVER_WEBHOOK_SECRET no delivery can be verified, so nothing listens.",
        next_step="Set it to a secret of 16 characters or more, the same where the webhook is "
        "registered from, and start again.",
    )
