"""What can be made to go wrong between a shop and whoever calls it.

A fault is arranged beforehand and met by the next request that fits. Every name says whether the
request had its effect: ``*_before`` has none, ``*_after`` has it, ``*late`` has it some time after
the caller was let down, and an answer that cannot be understood is always given after the effect.
"""

import functools
import json
import re
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import anyio
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from clawver_sandbox.answers import answer, failure

_MEBIBYTE = 1 << 20
_HUGE_MEBIBYTES = 50
LARGEST_PAGE = 50
"""The most orders that a page has where it is refused or too large otherwise."""
_BOMB_MEBIBYTES = 320


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, for which requests, and how often."""

    name: str
    method: str = "*"
    path: str = ""
    times: int = 1
    seconds: float = 0.0
    status: int = 500
    retry_after: int | str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"There is no fault called {self.name!r}. There are: {NAMES}")
        numbers = (type(self.times), type(self.status), type(self.seconds))
        if numbers[:2] != (int, int) or numbers[2] not in (int, float):
            raise ValueError("times and status are whole numbers, seconds is a number.")
        if not all(isinstance(text, str) for text in (self.method, self.path)):
            raise ValueError("method and path are texts.")
        if not 200 <= self.status <= 599:
            raise ValueError("The status must be between 200 and 599.")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError("The path is not a regular expression.") from error

    def fits(self, method: str, path: str) -> bool:
        """Whether this request is the one to go wrong."""
        return self.method.upper() in {"*", method} and re.search(self.path, path) is not None

    def wire(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)


class Exchange:
    """One request, what it would do, and the line its answer travels on."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        effect: Callable[[], Awaitable[Response]],
    ) -> None:
        self.scope = scope
        self.effect = effect
        self._receive = receive
        self._send = send

    @property
    def authorization(self) -> str:
        """The Authorization header as it came."""
        headers: dict[bytes, bytes] = dict(self.scope["headers"])
        return headers.get(b"authorization", b"").decode("latin-1")

    async def reply(self, response: Response) -> None:
        """Answer as a shop in good health would."""
        await response(self.scope, self._receive, self._send)

    async def send(self, message: Message) -> None:
        """Put one piece of an answer on the line."""
        await self._send(message)

    async def drop(self) -> None:
        """Cut the connection without a word more. Without a connection, answer a bare 502."""
        abort: Callable[[], None] | None = self.scope["state"].get("abort")
        if abort is None:
            await self.reply(Response(status_code=502))
            return
        abort()
        await self._receive()  # the body has been read: all that can come is the disconnect

    def failure(self, status: int, message: str) -> Response:
        """An error in the documented envelope."""
        return failure(status, message, self.scope["state"]["request_id"])


async def play(fault: Fault, exchange: Exchange) -> None:
    """Let this exchange go wrong in this way."""
    if (cut := _CUTS.get(fault.name)) is not None:
        await cut(fault, exchange)
    elif (before := _INSTEAD.get(fault.name)) is not None:
        await exchange.reply(_with_headers(before(fault, exchange), fault))
    else:
        response = await exchange.effect()
        await exchange.reply(_with_headers(_AFTER[fault.name](fault, exchange, response), fault))


def _with_headers(response: Response, fault: Fault) -> Response:
    response.headers.update(fault.headers)
    return response


# Faults of the line


async def _drop_before(_: Fault, exchange: Exchange) -> None:
    await exchange.drop()


async def _drop_after(_: Fault, exchange: Exchange) -> None:
    await exchange.effect()
    await exchange.drop()


async def _hang_before(fault: Fault, exchange: Exchange) -> None:
    await anyio.sleep(fault.seconds)
    await exchange.drop()


async def _hang_after(fault: Fault, exchange: Exchange) -> None:
    await exchange.effect()
    await anyio.sleep(fault.seconds)
    await exchange.drop()


async def _late(fault: Fault, exchange: Exchange) -> None:
    await exchange.drop()
    await anyio.sleep(fault.seconds)
    await exchange.effect()


async def _status_late(fault: Fault, exchange: Exchange) -> None:
    """The answer is a clear no, and the same request is delivered once more afterwards."""
    await exchange.reply(_with_headers(_refused(fault, exchange), fault))
    await anyio.sleep(fault.seconds)
    await exchange.effect()


async def _truncated(_: Fault, exchange: Exchange) -> None:
    response = await exchange.effect()
    body = bytes(response.body)
    await exchange.send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    half = body[: len(body) // 2]
    if "abort" in exchange.scope["state"]:
        await exchange.send({"type": "http.response.body", "body": half, "more_body": True})
        await exchange.drop()
    else:
        await exchange.send({"type": "http.response.body", "body": half, "more_body": False})


async def _slow(fault: Fault, exchange: Exchange) -> None:
    response = await exchange.effect()
    body = bytes(response.body)
    step = max(1, len(body) // 20)
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    await exchange.send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    for piece in pieces:
        await anyio.sleep(fault.seconds / len(pieces))
        await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
    await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})


async def _duplicate(_: Fault, exchange: Exchange) -> None:
    response = await exchange.effect()
    await exchange.effect()
    await exchange.reply(response)


async def _duplicate_listed(_: Fault, exchange: Exchange) -> None:
    """The request arrives twice, and its answer comes from the second time: it lists both."""
    await exchange.effect()
    await exchange.reply(await exchange.effect())


_CUTS: dict[str, Callable[[Fault, Exchange], Awaitable[None]]] = {
    "drop_before": _drop_before,
    "drop_after": _drop_after,
    "hang_before": _hang_before,
    "hang_after": _hang_after,
    "late": _late,
    "status_late": _status_late,
    "truncated": _truncated,
    "slow": _slow,
    "duplicate": _duplicate,
    "duplicate_listed": _duplicate_listed,
}


# Answers given instead of doing anything


def _refused(fault: Fault, exchange: Exchange) -> Response:
    return exchange.failure(fault.status, "Something went wrong.")


def _rate_limited(fault: Fault, exchange: Exchange) -> Response:
    response = exchange.failure(429, "Too many requests.")
    if fault.retry_after is not None:
        response.headers["retry-after"] = str(fault.retry_after)
    return response


_INSTEAD: dict[str, Callable[[Fault, Exchange], Response]] = {
    "status_before": _refused,
    "status_bare": lambda fault, _: HTMLResponse("<h1>Bad gateway</h1>", fault.status),
    "rate_limited": _rate_limited,
    "redirect": lambda _, __: Response(status_code=307, headers={"location": "/v1/moved"}),
    "echo_key": lambda _, x: x.failure(401, f"This key is not known: {x.authorization}"),
}


# Answers given after the request had its effect

_Afterwards = Callable[[Fault, Exchange, Response], Response]


def _payload(response: Response) -> dict[str, Any]:
    """What an answer says; nothing where it is a file."""
    is_json = response.headers["content-type"] == "application/json"
    payload: dict[str, Any] = json.loads(bytes(response.body)) if is_json else {}
    return payload


def _reshaped(change: Callable[[dict[str, Any]], None]) -> _Afterwards:
    """Change every order in the answer."""

    def reshape(_: Fault, __: Exchange, response: Response) -> Response:
        payload = _payload(response)
        data = payload.get("data", {})
        for order in [*data.get("orders", []), *([data["order"]] if "order" in data else [])]:
            change(order)
        return answer(payload, response.status_code)

    return reshape


def _forget_latest_refund(order: dict[str, Any]) -> None:
    if order.get("refunds"):
        order["refunds"].pop()
        order["paymentStatus"] = "partially_refunded" if order["refunds"] else "paid"


def _mistyped(value: object) -> object:
    """The same value as another type, at every depth of an object."""
    if isinstance(value, dict):
        return {key: _mistyped(inner) for key, inner in value.items()}
    others = {str: 7, bool: "yes", int: "12.50", list: "none", type(None): []}
    return others.get(type(value), "")


def _wrong_types(_: Fault, __: Exchange, response: Response) -> Response:
    payload = _payload(response)
    return answer({**payload, "data": _mistyped(payload.get("data"))}, response.status_code)


def _repaged(change: Callable[[list[Any]], list[Any]], *, says_so: bool = True) -> _Afterwards:
    """Change the rows of a page of orders; it may keep to itself that there are more."""

    def repage(_: Fault, __: Exchange, response: Response) -> Response:
        payload = _payload(response)
        if "orders" in payload.get("data", {}):
            payload["data"]["orders"] = change(payload["data"]["orders"])
            if not says_so:
                del payload["meta"]
        return answer(payload, response.status_code)

    return repage


def _thin(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "status", "totalInCents", "createdAt")}


def _is_large(exchange: Exchange) -> bool:
    """Whether more orders are asked for than a strict store allows."""
    asked = QueryParams(exchange.scope["query_string"]).get("limit", "")
    return asked.isdigit() and int(asked) > LARGEST_PAGE


def _page_refused(fault: Fault, exchange: Exchange, response: Response) -> Response:
    return _refused(fault, exchange) if _is_large(exchange) else response


def _page_huge(_: Fault, exchange: Exchange, response: Response) -> Response:
    if not _is_large(exchange):
        return response
    return answer(_payload(response) | {"notes": "x" * (5 * _MEBIBYTE)}, response.status_code)


def _huge(*_: object) -> Response:
    def body() -> Iterator[bytes]:
        yield b'{"success": true, "data": {"order": {"id": "'
        for _ in range(_HUGE_MEBIBYTES):
            yield b"x" * _MEBIBYTE
        yield b'"}}}'

    return StreamingResponse(body(), media_type="application/json")


@functools.cache
def _bomb() -> bytes:
    """A gzip file of a few hundred kB that unpacks to hundreds of MiB of spaces."""
    spaces = b" " * _MEBIBYTE
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    # A full flush forgets what came before, so the same bytes may simply be said again.
    block = squeeze.compress(spaces) + squeeze.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(_BOMB_MEBIBYTES):
        checksum = zlib.crc32(spaces, checksum)
    head = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    tail = checksum.to_bytes(4, "little") + (_BOMB_MEBIBYTES * _MEBIBYTE).to_bytes(4, "little")
    return head + block * _BOMB_MEBIBYTES + b"\x03\x00" + tail


def _json(body: bytes, **headers: str) -> Response:
    return Response(body, media_type="application/json", headers=headers)


_AFTER: dict[str, _Afterwards] = {
    "garbage": lambda *_: _json(b'{"success": tr'),
    "not_an_object": lambda *_: answer(["success", True]),
    "no_success": lambda *_: answer({}),
    "bare_success": lambda *_: answer({"success": True}),
    "wrong_types": _wrong_types,
    "huge": _huge,
    "gzip_bomb": lambda *_: _json(_bomb(), **{"content-encoding": "gzip"}),
    "deep": lambda *_: _json(b"[" * 100_000 + b"]" * 100_000),
    "status_after": lambda fault, x, _: _refused(fault, x),
    "stale_read": _reshaped(_forget_latest_refund),
    "no_refunds_listed": _reshaped(_forget_latest_refund),
    "foreign_order": _reshaped(lambda order: order.update(id="ord_foreign")),
    "page_cut": _repaged(lambda rows: rows[: len(rows) // 2], says_so=False),
    "page_thin": _repaged(lambda rows: [_thin(row) for row in rows]),
    "page_unsorted": _repaged(lambda rows: [*rows[-1:], *rows[:-1]]),
    "page_refused": _page_refused,
    "page_huge": _page_huge,
    "refunds_unreadable": _reshaped(lambda order: order.update(refunds="unreadable")),
}

NAMES = (*_CUTS, *_INSTEAD, *_AFTER)
"""Every fault there is."""
