"""Clawver's HTTP API, one method per endpoint, no policy.

Reads are repeated when the network fails. Nothing that writes is: where its answer is lost
the error is an `OutcomeUnknownError`, and whoever called decides what happens next. The key
goes to the configured address and nowhere else, and never along with a customer's token. No
redirect is followed, no proxy of the environment is used, no body grows beyond 4 MiB.

The facts about the API are those of https://docs.clawver.store/agent-api.
"""

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
import httpx2
from pydantic import ValidationError

from clawver_orders import __version__
from clawver_orders.clawver.models import (
    Download,
    Order,
    OrderPage,
    Product,
    Receipt,
    Record,
    Webhook,
)
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.errors import (
    ClawverError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    SetupError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clawver_orders.settings import Settings
from clawver_orders.text import is_id

BODY_LIMIT_IN_BYTES = 4 * 1024 * 1024
TRIES = 4
LONGEST_WAIT_IN_SECONDS = 10
FIRST_WAIT_IN_SECONDS = 0.25
SUPPORT = "If it lasts, look at https://status.clawver.store."

FIND_ORDER = "Find the order with list_orders, or with get_receipt and its checkout id."
NOWHERE = ""  # a list is always there: where it is not, something else answers
COMPARE_ORDER = "Read the order with get_order and compare it with what was asked."
LIST_WEBHOOKS = "Call list_webhooks to see what is registered."
FIND_CHECKOUT = (
    "Check the checkout id in the customer's confirmation, since no call lists them, or find the "
    "order with list_orders."
)

_REQUEST_ID = re.compile(r"req_[A-Za-z0-9]{1,40}")
_SANDBOX_ID = re.compile(r"sbx_[a-z0-9]{1,40}")
R = TypeVar("R", bound=Record)


class _BusyError(UnreachableError):
    """A read that failed in a way that may pass: worth repeating."""


@dataclass(frozen=True)
class Response:
    """A whole answer: its status, its headers, and the JSON value that it carried."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """None where the body was no JSON object."""

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
    def sandbox(self) -> str:
        """The id of the sandbox store that answered; nothing where a real store did."""
        named = self.headers.get("x-clawver-sandbox", "")
        return named if _SANDBOX_ID.fullmatch(named) else ""


class _UnreadableError(Exception):
    """The body was too large, too deep, cut off or wrongly packed."""


class Clawver:
    """The API of one store.

    Args:
        settings: Where it answers, with which key, for how long to wait, whether writing is allowed.
        http: Opens connections; made by `services`, which also closes it.
        fresh: The same, but opens a new connection for each request: a request that moves money
            must not go out on one that the other side has already given up.
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

    async def server_time(self) -> datetime | None:
        """Ask for a single order: shows that the store answers, takes the key, and what time it has.

        Returns:
            The time of the server's `Date` header in UTC; None where there is none to read.
        """
        reply = await self._read("/orders", params={"limit": "1"}, what="orders", find=NOWHERE)
        _data(reply, "orders")
        return _http_date(reply.headers.get("date", ""))

    async def orders(self, *, status: str | None = None, limit: int) -> OrderPage:
        """The newest orders, at most `limit`, only those in `status` where one is given."""
        params = {"limit": str(limit)} | ({"status": status} if status else {})
        reply = await self._read("/orders", params=params, what="orders", find=NOWHERE)
        _data(reply, "orders")
        return _read_record(OrderPage, reply.body, "orders")

    async def order(self, order_id: str, *, urgent: bool = False) -> Order:
        """One order with everything that Clawver knows of it.

        Args:
            order_id: The order.
            urgent: Use the part of the request allowance that is kept back for refunds.

        Raises:
            NotFoundError: There is no such order in this store.
        """
        path = f"/orders/{_in_path(order_id)}"
        reply = await self._read(path, what=f"order {order_id}", urgent=urgent)
        return self._same_order(reply, order_id)

    async def customer_order(self, order_id: str, token: str) -> Order:
        """The order as its customer may see it. The key stays here.

        Raises:
            RefusedError: The token does not open this order.
        """
        path = f"/orders/{_in_path(order_id)}/public"
        what = f"order {order_id}"
        reply = await self._read(path, params={"token": token}, what=what, as_customer=True)
        return self._same_order(reply, order_id)

    async def download(self, order_id: str, item_id: str) -> Download:
        """A time-limited link to a digital item, asked for as the store's owner."""
        path = f"/orders/{_in_path(order_id)}/download/{_in_path(item_id)}"
        what = f"item {item_id} of order {order_id}"
        reply = await self._read(path, what=what)
        return _read_record(Download, _data(reply, what), what)

    async def customer_download(self, order_id: str, item_id: str, token: str) -> Download:
        """A time-limited link to a digital item, asked for as its customer. The key stays here."""
        path = f"/orders/{_in_path(order_id)}/download/{_in_path(item_id)}/public"
        what = f"item {item_id} of order {order_id}"
        reply = await self._read(path, params={"token": token}, what=what, as_customer=True)
        return _read_record(Download, _data(reply, what), what)

    async def receipt(self, checkout_id: str) -> Receipt:
        """The receipt of a checkout. The key stays here."""
        what = f"checkout {checkout_id}"
        path = f"/checkout/{_in_path(checkout_id)}/receipt"
        reply = await self._read(path, what=what, as_customer=True, find=FIND_CHECKOUT)
        data = _data(reply, what)
        inner = data.get("receipt")
        receipt = _read_record(Receipt, inner if isinstance(inner, dict) else data, what)
        if receipt.checkout_id not in {None, checkout_id}:
            raise _unexpected(f"Clawver answered with another receipt than that of {what}.")
        return receipt

    async def product(self, product_id: str) -> Product:
        """One product with its variants."""
        reply = await self._read(f"/products/{_in_path(product_id)}", what=f"product {product_id}")
        return _record(Product, reply, "product", f"product {product_id}")

    async def webhooks(self) -> tuple[Webhook, ...]:
        """All registered receivers of events."""
        data = _data(await self._read("/webhooks", what="webhooks", find=NOWHERE), "webhooks")
        listed = data.get("webhooks")
        if not isinstance(listed, list):
            raise _unexpected("Clawver's list of webhooks cannot be read.")
        return tuple(_read_record(Webhook, each, "webhooks") for each in listed)

    async def register_webhook(self, url: str, events: list[str], secret: str) -> Webhook:
        """Register a receiver of events. Sent once, whatever happens."""
        body = {"url": url, "events": events, "secret": secret}
        reply = await self._write("POST", "/webhooks", body, what="webhooks", find=LIST_WEBHOOKS)
        try:
            return _record(Webhook, reply, "webhook", "webhooks")
        except UnexpectedAnswerError as error:
            raise _unknown(reply.request_id, LIST_WEBHOOKS) from error  # it was sent

    async def delete_webhook(self, webhook_id: str) -> None:
        """Remove a receiver of events. Sent once, whatever happens.

        Raises:
            NotFoundError: There is no such webhook in this store.
        """
        path = f"/webhooks/{_in_path(webhook_id)}"
        what = f"webhook {webhook_id}"
        await self._write("DELETE", path, None, what=what, find=LIST_WEBHOOKS)

    async def send_refund(
        self, order_id: str, amount_in_cents: int, reason: str, refund_id: str
    ) -> Order:
        """Give money back. Sends exactly one request, whatever happens.

        Args:
            order_id: The order.
            amount_in_cents: Whole cents, 1 or more.
            reason: Why; Clawver requires one.
            refund_id: The intent; it travels as `Idempotency-Key`. Clawver documents no such header:
                it is harmless today, and of use on the day it is honoured.

        Returns:
            The order as it stands afterwards, with its refunds.

        Raises:
            UnreachableError: The request never left; no money was moved.
            RefusedError: Clawver said no; no money was moved.
            OutcomeUnknownError: Anything else: it may have happened.
        """
        body = {"amountInCents": amount_in_cents, "reason": reason}
        path = f"/orders/{_in_path(order_id)}/refund"
        reply = await self._write(
            "POST", path, body, what=f"order {order_id}", idempotency_key=refund_id
        )
        try:
            return self._same_order(reply, order_id)
        except Exception as error:  # a clear yes is a record that can be read
            raise _unknown(reply.request_id) from error  # it was sent, whatever came back

    # How a request travels.

    async def _read(
        self,
        path: str,
        *,
        what: str,
        params: Mapping[str, str] | None = None,
        as_customer: bool = False,
        find: str = FIND_ORDER,
        urgent: bool = False,
    ) -> Response:
        """GET, repeated while that can help and within a bounded time."""
        import stamina
        from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

        set_on_retry_hooks([LoggingOnRetryHook])  # structlog's would write to a host's stream
        with anyio.move_on_after(2 * self._settings.timeout_seconds):
            async for attempt in stamina.retry_context(
                on=_pause,
                attempts=TRIES,
                timeout=2 * self._settings.timeout_seconds,
                wait_initial=FIRST_WAIT_IN_SECONDS,
                wait_max=LONGEST_WAIT_IN_SECONDS,
                wait_jitter=FIRST_WAIT_IN_SECONDS,
            ):
                with attempt:
                    await self._budget.take(urgent=urgent)
                    return await self._read_once(
                        path, what, params, as_customer=as_customer, find=find
                    )
        raise UnreachableError(
            "Clawver did not answer in time. Nothing was changed.",
            next_step=f"Repeat the call in a minute. {SUPPORT}",
        )

    async def _read_once(
        self,
        path: str,
        what: str,
        params: Mapping[str, str] | None,
        *,
        as_customer: bool,
        find: str,
    ) -> Response:
        try:
            reply = await self._send("GET", path, params=params, with_key=not as_customer)
        except (httpx2.TransportError, TimeoutError) as error:
            raise _BusyError(
                "Clawver could not be reached. Nothing was changed.",
                next_step=f"Repeat the call in a minute. {SUPPORT}",
            ) from error
        except _UnreadableError as error:
            raise _unexpected("Clawver's answer cannot be read.") from error
        if reply.status >= 500 or reply.status == 408:
            raise _BusyError(
                f"Clawver has a problem of its own (HTTP {reply.status}). Nothing was changed."
                + reply.request_id,
                next_step=f"Repeat the call in a minute. {SUPPORT}",
            )
        if 200 <= reply.status < 300:
            return reply
        raise self._refusal(reply, what, with_token=as_customer and params is not None, find=find)

    async def _write(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        what: str,
        idempotency_key: str = "",
        find: str = FIND_ORDER,
    ) -> Response:
        """POST or DELETE, once. Only a clear no counts as a no."""
        if self._settings.read_only:
            raise SetupError(
                "This server is read-only (CLAWVER_READ_ONLY). Nothing was sent.",
                next_step="Only a person can switch that off, where the server is configured.",
            )
        try:
            await self._budget.take(urgent=True)
        except RateLimitedError as error:
            raise UnreachableError(error.happened, next_step=error.next_step) from error
        try:
            reply = await self._send(
                method, path, body=body, with_key=True, idempotency_key=idempotency_key
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise UnreachableError(
                "Clawver could not be reached: the request never left. Nothing was changed.",
                next_step="Repeat the call in a minute.",
            ) from error
        except ClawverError:
            raise  # no key, for example: nothing was sent
        except Exception as error:  # see below
            # Whatever else goes wrong may have gone wrong after the request left.
            raise _unknown(find=find) from error
        if reply.code in _CLEAR_NO.get(reply.status, ()):
            raise self._refusal(reply, what, find=find)
        if not 200 <= reply.status < 300:
            raise _unknown(reply.request_id, find)
        return reply

    async def _send(
        self,
        method: str,
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
        http = self._http if method == "GET" else self._fresh
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
        return Response(response.status_code, response.headers, _json_object(raw))

    def _key(self) -> str:
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

    def _refusal(
        self, reply: Response, what: str, *, with_token: bool = False, find: str = FIND_ORDER
    ) -> ClawverError:
        """Turn an answer that is not a yes into the error that says what to do next."""
        if 300 <= reply.status < 400:
            return _unexpected("Clawver answered with a redirect, which is never followed.")
        if reply.status in (401, 403) and with_token:
            return RefusedError(
                f"Clawver does not accept this token for {what}. Nothing was changed.",
                next_step="Use the token from the customer's own link or from get_receipt. To act as "
                "the store no token is needed: call get_order or generate_download_link without it.",
            )
        if reply.status in (401, 403):
            return SetupError(
                f"Clawver does not accept the store's key for this (HTTP {reply.status}). Nothing was changed."
                + reply.request_id,
                next_step="A person must check CLAW_API_KEY and its permissions; "
                "`clawver-orders doctor` says more.",
            )
        if reply.status == 404 and reply.code == "RESOURCE_NOT_FOUND" and find:
            return NotFoundError(
                f"Clawver knows no {what} in this store. Nothing was changed.", next_step=find
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
                f"Clawver refused the request for {what} ({reply.code}). Nothing was changed."
                + reply.request_id,
                next_step=find if find == LIST_WEBHOOKS else COMPARE_ORDER,
            )
        return _unexpected(f"Clawver answered in a way that cannot be read (HTTP {reply.status}).")

    def _seconds_to_wait(self, reply: Response) -> int:
        """`Retry-After`, in seconds or as a date; a minute where it says nothing usable."""
        value = reply.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit() and len(value) < 7:
            return min(int(value), 86_400)
        moment = _http_date(value)
        if moment is None:
            return 60
        return max(0, min(86_400, math.ceil((moment - self._now()).total_seconds())))

    def _same_order(self, reply: Response, order_id: str) -> Order:
        order = _record(Order, reply, "order", f"order {order_id}")
        if order.id != order_id:
            raise _unexpected(f"Clawver answered with another order than {order_id}.")
        # Only this machine can hold a sandbox store: elsewhere the header says nothing.
        is_local = self._settings.api_url.startswith("http://")
        return order.model_copy(update={"sandbox": reply.sandbox}) if is_local else order


_REFUSALS = frozenset({"VALIDATION_ERROR", "CONFLICT", "RESOURCE_NOT_FOUND", "FORBIDDEN"})
_CLEAR_NO = {
    400: {"VALIDATION_ERROR"},
    422: {"VALIDATION_ERROR"},
    401: {"UNAUTHORIZED"},
    403: {"FORBIDDEN"},
    404: {"RESOURCE_NOT_FOUND"},
    429: {"RATE_LIMITED", "RATE_LIMIT_EXCEEDED"},
}
"""The only answers that count as a no to something that writes. A conflict is none: it may be
the second delivery of a request whose first one worked."""


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


def _in_path(value: str) -> str:
    """An id as a path segment. What is no id never becomes part of a path."""
    if not is_id(value):
        raise InvalidRequestError(
            "An id has characters that no id has. Nothing was sent.",
            next_step="Copy the id from list_orders or get_order.",
        )
    return quote(value, safe="")


async def _bounded_body(response: httpx2.Response) -> bytes:
    """The decoded body, never more than the limit in memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise _UnreadableError
    inflate = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        room = BODY_LIMIT_IN_BYTES - len(body) + 1
        try:
            body += inflate.decompress(chunk, room) if inflate else chunk
        except zlib.error as error:
            raise _UnreadableError from error
        if len(body) > BODY_LIMIT_IN_BYTES:
            raise _UnreadableError
    return bytes(body)


def _json_object(raw: bytes) -> Any:
    """The JSON object that a body holds; None where it holds none."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _data(reply: Response, what: str) -> dict[str, Any]:
    """What stands under `data` of a successful answer."""
    if isinstance(reply.body, dict) and reply.body.get("success") is True:
        data = reply.body.get("data")
        if isinstance(data, dict):
            return data
    raise _unexpected(f"Clawver's answer about {what} cannot be read.{reply.request_id}")


def _record(kind: type[R], reply: Response, name: str, what: str) -> R:
    """One record from `data.<name>`."""
    return _read_record(kind, _data(reply, what).get(name), what)


def _read_record(kind: type[R], value: object, what: str) -> R:
    try:
        return kind.model_validate(value)
    except (ValidationError, RecursionError):
        # The cause repeats what the network sent, so it stays out of the chain.
        raise _unexpected(f"Clawver's answer about {what} cannot be read.") from None


def _unexpected(happened: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(
        f"{happened} Nothing was changed.",
        next_step=f"Repeat the call once; if it stays, tell a person. {SUPPORT}",
    )


def _unknown(request_id: str = "", find: str = "") -> ClawverError:
    return OutcomeUnknownError(
        "The request was sent, but its result is not known: it may have happened." + request_id,
        next_step=f"Do not repeat it. Look first. {find if find == LIST_WEBHOOKS else COMPARE_ORDER}",
    )
