"""An ASGI app that takes deliveries: verify, note in the inbox, and only then say yes.

    from clawver_orders.webhooks.receiver import Receiver
    from clawver_orders.settings import Settings

    receiver = Receiver.of(Settings.from_environment())
    app = Starlette(
        routes=[Mount("/clawver", app=receiver)],
        lifespan=lambda app: receiver.listening(),
    )

Every path takes deliveries but `/healthz`, unless one is named. What is answered is always the
same few words: nothing of a request comes back. A delivery that was answered with 200 is on disk;
one that could not be written is answered with 503, so that the sender tries again.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import anyio
from anyio import to_thread

from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.webhooks.inbox import SIGN_OF_LIFE, Delivery, Inbox
from clawver_orders.webhooks.signature import (
    BODY_LIMIT_IN_BYTES,
    SIGNATURE_HEADER,
    MalformedEventError,
    parse,
    verify,
)

__all__ = ["Receiver"]
log = logging.getLogger(__name__)

READ_SECONDS = 10.0
"""How long a sender may take for the whole body."""
HEALTH_PATH = "/healthz"
MOST_AT_ONCE = 64
"""The most deliveries of one transaction."""

Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Message]]
_Send = Callable[[Message], Awaitable[None]]
_SIGNATURE = SIGNATURE_HEADER.lower().encode()


class _Refused(Exception):  # noqa: N818  # an answer, not a failure
    """The request is answered with this status, and nothing is stored."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class _GoneError(Exception):
    """Whoever asked has hung up."""


_SAYS = {
    200: b'{"ok": true}',
    400: b'{"error": "the body is no event"}',
    401: b'{"error": "the signature does not fit"}',
    404: b'{"error": "there is nothing here"}',
    405: b'{"error": "the method is not taken here"}',
    408: b'{"error": "the body took too long"}',
    413: b'{"error": "the body is too large"}',
    503: b'{"error": "it could not be noted: send it again"}',
}
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
        self._writer = _BatchWriter(lambda batch: inbox.note(self._id, batch))
        self._refused = 0
        self._refused_at: datetime | None = None

    @classmethod
    def of(cls, settings: Settings, *, path: str | None = None) -> Self:
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
                "it is not known yet which store the key in CLAW_API_KEY opens.",
                fact="Nothing was started",
                next_step="Run clawver-orders doctor once with the same settings: it asks the store and notes it.",
            )
        return cls(Inbox.of(settings, scope), known, path=path)

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
        self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send
    ) -> None:
        """Answer one request, or follow the server's start and end."""
        if scope["type"] == "lifespan":
            await self._follow(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # a websocket
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(
        self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send
    ) -> None:
        try:
            status = await self._take(scope, receive)
        except _Refused as refused:
            status = refused.status
        except _GoneError:
            return
        body = _SAYS[status]
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if status in _UNREAD:
            headers.append((b"connection", b"close"))  # the rest of the body is not waited for
        if status == 405:
            allowed = b"GET, HEAD" if self._is_health(scope) else b"POST"
            headers.append((b"allow", allowed))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    async def _take(self, scope: MutableMapping[str, Any], receive: _Receive) -> int:
        """The status of the answer; whatever is to be stored is on disk by then."""
        if self._is_health(scope):
            if scope["method"] not in {"GET", "HEAD"}:
                raise _Refused(405)
            return 200 if await self._try_to(self._inbox.open) else 503
        if self._path is not None and _path(scope) != self._path:
            raise _Refused(404)
        if scope["method"] != "POST":
            raise _Refused(405)
        signature = _only(scope, _SIGNATURE)
        if signature is None:
            self._count_refusal()
            raise _Refused(401)
        body = await self._body(scope, receive)
        if not verify(body, signature, self._secrets):
            self._count_refusal()
            raise _Refused(401)
        try:
            event = parse(body)
        except MalformedEventError as error:
            raise _Refused(400) from error
        if not await self._writer.add(Delivery(body, event, self._now())):
            raise _Refused(503)
        return 200

    async def _body(self, scope: MutableMapping[str, Any], receive: _Receive) -> bytes:
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

    def _is_health(self, scope: MutableMapping[str, Any]) -> bool:
        return _path(scope) == HEALTH_PATH

    def _count_refusal(self) -> None:
        """Kept in memory until the next sign of life: who forges must not make the disk work."""
        self._refused += 1
        self._refused_at = self._now()

    async def _follow(self, receive: _Receive, send: _Send) -> None:
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
        refused, self._refused = self._refused, 0
        refused_at, self._refused_at = self._refused_at, None
        self._inbox.heartbeat(self._id, self._now(), refused, refused_at)

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
    is_noted: bool = False


class _BatchWriter:
    """Writes deliveries down; those that come while one is being written share the next transaction.

    A transaction costs as much for fifty as for one: nearly all of it is waiting for the disk.

    Args:
        write: Takes deliveries down, all or none.
    """

    def __init__(self, write: Callable[[Sequence[Delivery]], object]) -> None:
        self._write = write
        self._waiting: list[_Entry] = []
        self._turn = anyio.Lock()

    async def add(self, delivery: Delivery) -> bool:
        """Whether it is on disk now."""
        entry = _Entry(delivery)
        self._waiting.append(entry)
        while not entry.is_done:
            async with self._turn:
                if not entry.is_done:
                    with anyio.CancelScope(shield=True):
                        await self._write_some()
        return entry.is_noted

    async def _write_some(self) -> None:
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        try:
            await to_thread.run_sync(self._write, [entry.delivery for entry in batch])
        except Exception as error:  # noqa: BLE001  # whatever it was: nothing is noted, and all are told
            log.warning("deliveries could not be noted: %s", type(error).__name__)
        else:
            for entry in batch:
                entry.is_noted = True
        finally:
            for entry in batch:
                entry.is_done = True


def _path(scope: MutableMapping[str, Any]) -> str:
    """The path below the point where this app is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _only(scope: MutableMapping[str, Any], name: bytes) -> bytes | None:
    """The value of a header that stands there once; None where it is missing or stands there twice."""
    values: list[bytes] = [value for key, value in scope["headers"] if key.lower() == name]
    return values[0] if len(values) == 1 else None


def _no_secret() -> SetupError:
    return SetupError(
        "Without CLAWVER_WEBHOOK_SECRET no delivery can be verified, so nothing listens.",
        next_step="Set it to a secret of 16 characters or more, the same where the webhook is "
        "registered from, and start again.",
    )
