"""Requests to Clawver over HTTP: what leaves this machine, and what is made of the answer.

- A read is repeated while that can help, within a bounded time. Anything that writes is sent
  once, on a connection of its own; where its answer is lost the error is an
  `OutcomeUnknownError`.
- The key goes to the configured address and nowhere else, and never along with a customer's
  token. No redirect is followed; `reaching` says which proxy and which certificates are used.
- Each request, a repeated one too, is first taken from the store's request allowance.
- A request and its whole answer have one deadline, and no body grows beyond 4 MiB.
"""

import json
import math
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

import anyio
import httpx2

from clawver_orders import __version__
from clawver_orders.clawver.reaching import fault_of
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.errors import (
    ClawverError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    SetupError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clawver_orders.settings import Settings

if TYPE_CHECKING:
    from stamina import Attempt

BODY_LIMIT_IN_BYTES = 4 * 1024 * 1024
TRIES = 4
LONGEST_WAIT_IN_SECONDS = 10
FIRST_WAIT_IN_SECONDS = 0.25
SUPPORT = "If it lasts, look at https://status.clawver.store."

_REQUEST_ID = re.compile(r"req_[A-Za-z0-9]{1,40}")
_SANDBOX_ID = re.compile(r"sbx_[a-z0-9]{1,40}")
_REFUSALS = frozenset({"VALIDATION_ERROR", "CONFLICT", "RESOURCE_NOT_FOUND", "FORBIDDEN"})
_CLEAR_NO = {
    400: {"VALIDATION_ERROR"},
    422: {"VALIDATION_ERROR"},
    401: {"UNAUTHORIZED"},
    403: {"FORBIDDEN"},
    404: {"RESOURCE_NOT_FOUND"},
    429: {"RATE_LIMITED", "RATE_LIMIT_EXCEEDED"},
}
"""The only answers that count as a refusal of something that writes. A conflict is none: it may be
the second delivery of a request whose first one worked."""

_NEVER_LEFT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
"""What is raised only before a request itself is sent. A proxy's error is its refusal to connect."""


@dataclass(frozen=True)
class Response:
    """A whole answer: its status, its headers, and the JSON value that it carried."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """None where the body was no JSON object."""
    sandbox: str = ""
    """The id of the sandbox store that answered; nothing where a real store did."""

    @property
    def code(self) -> str:
        """The error code of Clawver's envelope, or nothing where there is no envelope."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        refused = isinstance(self.body, dict) and self.body.get("success") is False
        return code if refused and isinstance(code, str) else ""

    @property
    def request_id(self) -> str:
        """What Clawver's support asks for, as a sentence; nothing where there is none."""
        named = self.body.get("requestId") if isinstance(self.body, dict) else None
        for candidate in (named, self.headers.get("x-request-id")):
            if isinstance(candidate, str) and _REQUEST_ID.fullmatch(candidate):
                return f" Clawver's request id: {candidate}."
        return ""

    @property
    def date(self) -> datetime | None:
        """The time of the `Date` header, in UTC; None where there is none to read."""
        return _http_date(self.headers.get("date", ""))


@dataclass(frozen=True)
class Subject:
    """What a request is about, in words for its errors."""

    name: str
    """Such as `order ord_1`."""
    find: str
    """How to find its id where Clawver does not know it; nothing for a list, which is always there."""
    look: str
    """What to read where a request was refused, or its result is not known."""


class _BusyError(UnreachableError):
    """A read that failed in a way that may pass: worth repeating."""


class _UnreadableError(Exception):
    """The body was too deep, cut off or wrongly packed."""


class _TooMuchError(_UnreadableError):
    """The body was larger than a whole answer may be."""


class LargeAnswerError(UnexpectedAnswerError):
    """An answer that is larger than one may be: less has to be asked for."""


class Transport:
    """Sends requests to one store.

    Args:
        settings: Where it answers, with which key, for how long to wait, whether writing is allowed.
        http: Opens connections for reads; made by `services`, which also closes it.
        fresh: The same for what writes, but opens a new connection for each request: a request that
            moves money must not go out on one that the other side has already given up.
        budget: The request allowance of this store.
        api_key: The key to send instead of the one in the settings (the sandbox has its own).
        now: The current time, for waits that the server gives as a date.
    """

    def __init__(
        self,
        settings: Settings,
        http: httpx2.AsyncClient,
        *,
        fresh: httpx2.AsyncClient,
        budget: Budget,
        api_key: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._http = http
        self._fresh = fresh
        self._budget = budget
        self._own_key = api_key
        self._now = now

    def now(self) -> datetime:
        """The current time in UTC."""
        return self._now()

    async def read(
        self,
        path: str,
        subject: Subject,
        *,
        params: Mapping[str, str] | None = None,
        with_key: bool = True,
        urgent: bool = False,
    ) -> Response:
        """GET, repeated while that can help and within a bounded time.

        Args:
            path: Below the address of the API; ids in it are quoted.
            subject: What it is about.
            params: The query; without the key it carries a customer's token.
            with_key: Whether the store's key goes along; never with a customer's token.
            urgent: Use the part of the request allowance that is kept back for refunds.

        Returns:
            An answer with a status of 2xx.

        Raises:
            UnreachableError: No answer came, however often it was asked.
            ClawverError: The answer was no yes; see `_refusal`.
        """

        async def ask() -> Response:
            await self._budget.take(urgent=urgent)
            return await self._read_once(path, subject, params=params, with_key=with_key)

        with anyio.move_on_after(2 * self._settings.timeout_seconds):
            try:
                return await ask()
            except ClawverError as error:
                if _pause(error) is False:
                    raise
                failed = error
            async for attempt in _repeated(2 * self._settings.timeout_seconds):
                with attempt:
                    if (
                        attempt.num == 1
                    ):  # made above: few reads need more, or what it takes to load it
                        raise failed
                    return await ask()
        raise UnreachableError(
            "Clawver did not answer in time. Nothing was changed.",
            next_step=f"Repeat the call in a minute. {SUPPORT}",
        )

    async def _read_once(
        self,
        path: str,
        subject: Subject,
        *,
        params: Mapping[str, str] | None,
        with_key: bool,
    ) -> Response:
        try:
            reply = await self._send("GET", path, params=params, with_key=with_key)
        except (httpx2.TransportError, TimeoutError) as error:
            raise self._not_reached(error) from error
        except _UnreadableError as error:
            unread = unexpected("Clawver's answer cannot be read.")
            if isinstance(error, _TooMuchError):
                unread = LargeAnswerError(unread.happened, next_step=unread.next_step)
            raise unread from error
        if reply.status >= 500 or reply.status == 408:
            raise _BusyError(
                f"Clawver has a problem of its own (HTTP {reply.status}). Nothing was changed."
                + reply.request_id,
                next_step=f"Repeat the call in a minute. {SUPPORT}",
            )
        if 200 <= reply.status < 300:
            return reply
        raise self._refusal(reply, subject, with_token=not with_key and params is not None)

    async def write(
        self,
        method: Literal["POST", "DELETE"],
        path: str,
        subject: Subject,
        body: dict[str, Any] | None = None,
        *,
        idempotency_key: str = "",
    ) -> Response:
        """POST or DELETE, once, on a connection of its own. Only a clear refusal counts as one.

        Args:
            method: How it writes.
            path: Below the address of the API; ids in it are quoted.
            subject: What it is about.
            body: Sent as JSON.
            idempotency_key: Travels as `Idempotency-Key`.

        Returns:
            An answer with a status of 2xx.

        Raises:
            SetupError: This server is read-only, or has no key; nothing was sent.
            UnreachableError: The request never left.
            OutcomeUnknownError: Anything but a clear no: it may have happened.
            ClawverError: A clear no; see `_refusal`.
        """
        if self._settings.read_only:
            raise SetupError(
                f"This server is read-only ({self._settings.read_only_because}). Nothing was sent.",
                next_step=self._settings.read_only_remedy,
            )
        try:
            await self._budget.take(urgent=True)
        except RateLimitedError as error:
            raise UnreachableError(error.happened, next_step=error.next_step) from error
        try:
            reply = await self._send(
                method, path, body=body, with_key=True, idempotency_key=idempotency_key
            )
        except _NEVER_LEFT as error:
            raise self._not_reached(error, " The request never left.") from error
        except ClawverError:
            raise  # no key, for example: nothing was sent
        except Exception as error:  # see below
            # Whatever else goes wrong may have gone wrong after the request left.
            raise unknown(subject) from error
        if reply.code in _CLEAR_NO.get(reply.status, ()):
            raise self._refusal(reply, subject)
        if not 200 <= reply.status < 300:
            raise unknown(subject, reply)
        return reply

    async def _send(
        self,
        method: Literal["GET", "POST", "DELETE"],
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: dict[str, Any] | None = None,
        with_key: bool,
        idempotency_key: str = "",
    ) -> Response:
        """One request and its whole answer, within one deadline."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Cache-Control": "no-cache",  # an answer kept by somebody on the way may hide a refund
            "User-Agent": f"clawver-orders/{__version__}",
        }
        if with_key:
            headers["Authorization"] = f"Bearer {self._key()}"
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        seconds = self._settings.timeout_seconds
        http = self._http if method == "GET" else self._fresh  # a refund, for one
        request = http.build_request(
            method,
            self._settings.api_url + path,
            params=params,
            headers=headers,
            content=content,
            timeout=httpx2.Timeout(seconds, connect=seconds / 2),
        )
        with anyio.fail_after(seconds):
            response = await http.send(request, stream=True, follow_redirects=False)
            try:
                raw = await _bounded_body(response)
            finally:
                with anyio.CancelScope(shield=True):
                    await response.aclose()
        sandbox = self._sandbox(response.headers)
        return Response(response.status_code, response.headers, _json_object(raw), sandbox)

    def _sandbox(self, headers: Mapping[str, str]) -> str:
        """The sandbox store that answered, as it names itself."""
        named = headers.get("x-clawver-sandbox", "")
        # Only this machine can hold a sandbox store: elsewhere the header says nothing.
        is_local = self._settings.api_url.startswith("http://")
        return named if is_local and _SANDBOX_ID.fullmatch(named) else ""

    def _key(self) -> str:
        """The store's key, as it goes into the header and nowhere else."""
        if self._own_key is not None:
            return self._own_key
        if self._settings.api_key is None:
            raise SetupError(
                f"No API key is set, so nothing was sent.{self._settings.key_note}",
                next_step="A person must set CLAW_API_KEY to the store's key where this server is "
                "configured (the env block of the host's MCP settings, or the shell), then start it "
                "again. To try everything without a key, start it with --sandbox.",
            )
        return self._settings.api_key.get_secret_value()

    def _not_reached(self, cause: Exception, so: str = "") -> UnreachableError:
        """The error of a request that failed on the way, when it changed nothing.

        Args:
            cause: What was raised.
            so: What follows from it, as a sentence with a space before it.
        """
        fault = fault_of(cause, self._settings)
        error = UnreachableError(
            f"Clawver could not be reached: {fault.why}.{so} Nothing was changed.",
            next_step=fault.next_step,
        )
        return _BusyError(error.happened, next_step=error.next_step) if fault.passes else error

    def _refusal(
        self, reply: Response, subject: Subject, *, with_token: bool = False
    ) -> ClawverError:
        """Turn an answer that is no success into the error that says what to do next."""
        if 300 <= reply.status < 400:
            return unexpected("Clawver answered with a redirect, which is never followed.")
        if reply.status in (401, 403) and with_token:
            return RefusedError(
                f"Clawver does not accept this token for {subject.name}. Nothing was changed.",
                next_step="Use the token from the customer's own link or from get_receipt. To act as "
                "the store no token is needed: call get_order or generate_download_link without it.",
            )
        if reply.status in (401, 403):
            return SetupError(
                f"Clawver does not accept the store's key for this (HTTP {reply.status}). Nothing was changed."
                + reply.request_id,
                next_step=f"A person must check {self._settings.key_name} and its permissions; "
                f"`clawver-orders doctor{self._settings.option}` says more.",
            )
        if reply.status == 404 and reply.code == "RESOURCE_NOT_FOUND" and subject.find:
            return NotFoundError(
                f"Clawver knows no {subject.name} in this store. Nothing was changed.",
                next_step=subject.find,
            )
        if reply.status == 404:
            return SetupError(
                "What answers at the configured address is not Clawver's API (HTTP 404). Nothing was "
                "changed.",
                next_step="A person must check CLAWVER_API_URL; Clawver's own ends in /v1.",
            )
        if reply.status == 429:
            return RateLimitedError(self._seconds_to_wait(reply))
        if reply.code in _REFUSALS:
            return RefusedError(
                f"Clawver refused the request for {subject.name} ({reply.code}). Nothing was changed."
                + reply.request_id,
                next_step=subject.look,
            )
        return unexpected(f"Clawver answered in a way that cannot be read (HTTP {reply.status}).")

    def _seconds_to_wait(self, reply: Response) -> int:
        """`Retry-After`, in seconds or as a date; a minute where it says nothing usable."""
        value = reply.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit() and len(value) < 7:
            return min(int(value), 86_400)
        moment = _http_date(value)
        if moment is None:
            return 60
        return max(0, min(86_400, math.ceil((moment - self._now()).total_seconds())))


def _repeated(seconds: float) -> AsyncIterator["Attempt"]:
    """The attempts of a read within so many seconds, with a pause after each."""
    import stamina
    from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

    set_on_retry_hooks([LoggingOnRetryHook])  # structlog's would write to a host's stream
    return aiter(
        stamina.retry_context(
            on=_pause,
            attempts=TRIES,
            timeout=seconds,
            wait_initial=FIRST_WAIT_IN_SECONDS,
            wait_max=LONGEST_WAIT_IN_SECONDS,
            wait_jitter=FIRST_WAIT_IN_SECONDS,
        )
    )


def _pause(error: Exception) -> bool | float:
    """Whether a failed read is worth repeating, and after how many seconds if that was said."""
    if isinstance(error, RateLimitedError):
        return float(error.seconds) if error.seconds <= LONGEST_WAIT_IN_SECONDS else False
    return isinstance(error, _BusyError)


def _http_date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


_PLAIN = {"", "identity"}
_GZIP = {"gzip", "x-gzip"}  # by RFC 9110 the two are the same


def _inflate() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=31)


async def _bounded_body(response: httpx2.Response) -> bytes:
    """The decoded body, never more than the limit in memory."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _PLAIN | _GZIP:
        raise _UnreadableError
    inflate = _inflate() if encoding in _GZIP else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        left = chunk
        while left:
            if inflate is None:
                body += left
                left = b""
            else:
                inflate = _inflate() if inflate.eof else inflate  # a file may have several members
                left = _inflated(inflate, left, body)
            if len(body) > BODY_LIMIT_IN_BYTES:
                raise _TooMuchError
    return bytes(body)


def _inflated(inflate: "zlib._Decompress", data: bytes, body: bytearray) -> bytes:
    """Add what the data unpacks to, up to one byte more than the limit; gives what belongs to the next member."""
    try:
        body += inflate.decompress(data, BODY_LIMIT_IN_BYTES - len(body) + 1)
    except zlib.error as error:
        raise _UnreadableError from error
    return inflate.unused_data


def _json_object(raw: bytes) -> Any:
    """The JSON object that a body holds; None where it holds none."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def unexpected(happened: str) -> UnexpectedAnswerError:
    """The error of an answer to a read that cannot be used."""
    return UnexpectedAnswerError(
        f"{happened} Nothing was changed.",
        next_step=f"Repeat the call once; if it stays, tell a person. {SUPPORT}",
    )


def unknown(subject: Subject, reply: Response | None = None) -> OutcomeUnknownError:
    """The error of something that was sent and whose result cannot be told from its answer."""
    return OutcomeUnknownError(
        "The request was sent, but its result is not known: it may have happened."
        + (reply.request_id if reply else ""),
        next_step=f"Do not repeat it. Look first. {subject.look}",
    )
