"""Conversations as hosts open them, and as nobody should: made up line by line."""

import json
from random import Random
from typing import Any

from clawver_orders.serving.stdio.opening import LISTS, META, MODERN

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN, "1999-01-01", "")
SOMEBODY: dict[str, Any] = {"name": "a host", "version": "1"}
PEOPLE: tuple[Any, ...] = (
    SOMEBODY | {"title": "A host", "websiteUrl": "https://host.example"},
    SOMEBODY | {"title": None},
    SOMEBODY | {"icons": [{"src": "https://host.example/icon.png"}]},
    SOMEBODY | {"icons": 3},
    {"name": "a host"},
    {"name": 1, "version": "1"},
    "a host",
    None,
)
GOOD: dict[str, Any] = {
    "roots": {"listChanged": True},
    "elicitation": {"form": {}, "url": {}},
    "sampling": {},
    "experimental": {"x": {"y": 1}},
    "extensions": {f"{META}ui": {"mimeTypes": ["text/html;profile=mcp-app"]}},
}
CAPABILITIES: tuple[Any, ...] = (
    {},
    {"roots": {}},
    {"extensions": {"x": True}},
    {"experimental": {"x": 1}},
    {"roots": {"listChanged": "sometimes"}},
    {"roots": {"listChanged": None}},
    {"elicitation": {"form": True}},
    {"tasks": {"requests": {"sampling": {"createMessage": {}}}}},
    {"of no specification": {"x": {}}},
    {"of no specification": 1},
    [],
    None,
)
IDS: tuple[Any, ...] = ("one", "", "1", 0, -1, 2**60, 1.0, 1.5, True, None, "é", "\ud800")
TOKENS: tuple[Any, ...] = ("t", 1, True, None, 1.5, {})


class Conversation:
    """Lines for one connection.

    Args:
        seed: The same one gives the same lines.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # nothing secret
        self._number = 0
        self._is_modern = self._random.random() < 0.5
        self.cancelled: set[str] = set()
        """The ids, as JSON, that were given up."""
        self.probes: set[str] = set()
        """The ids, as JSON, of what asks for the version."""
        first = [self._hello() for _ in range(self._random.randrange(3))]
        rest = [self._line() for _ in range(self._random.randrange(1, 10))]
        self.lines = [*first, *rest]

    def _hello(self) -> bytes:
        return self._probe() if self._is_modern or self._seldom() else self._handshake()

    def _line(self) -> bytes:
        make = self._random.choice(
            [self._list] * 6
            + [self._call, self._ping, self._probe, self._handshake, self._notice, self._notice]
            + [self._unknown, self._noise]
        )
        return make()

    def _seldom(self) -> bool:
        return self._random.random() < 0.05

    def _pick(self, usual: Any, others: tuple[Any, ...]) -> Any:
        return self._random.choice(others) if self._seldom() else usual

    def _request(self, method: str, params: Any) -> bytes:
        self._number += 1
        known = self._random.randrange(1, self._number + 1)  # which may be in flight
        message = {
            "jsonrpc": self._pick("2.0", ("2.0", "1.0", None)),
            "id": self._pick(self._pick(self._number, (known,)), IDS),
            "method": method,
            "params": params,
        }
        for name in ("jsonrpc", "params"):
            if message[name] is None and self._random.random() < 0.7:
                del message[name]
        if self._seldom() and self._seldom():
            message["of no specification"] = 1
        if method == "server/discover":
            self.probes.add(json.dumps(message["id"]).replace(r"\ud800", r"\ufffd"))
        return json.dumps(message).encode()

    def _params(self, **more: Any) -> Any:
        """Parameters of the protocol that this host speaks, or nearly."""
        meta: dict[str, Any] = {}
        if self._is_modern != self._seldom():
            meta = {
                f"{META}protocolVersion": self._pick(MODERN, (*VERSIONS, 1, None)),
                f"{META}clientInfo": self._pick(SOMEBODY, PEOPLE),
                f"{META}clientCapabilities": self._pick(self._pick({}, (GOOD,)), CAPABILITIES),
            }
            if self._seldom():
                del meta[self._random.choice(list(meta))]
            if self._seldom():
                meta[f"{META}logLevel"] = self._random.choice(("debug", "loud", None, 1))
        if self._seldom():
            meta["progressToken"] = self._random.choice(TOKENS)
        if self._seldom():
            more["cursor"] = self._random.choice((None, "", "x", 1))
        if meta or self._seldom():
            more["_meta"] = self._pick(meta, ([], None, {}, "x"))
        return more or self._pick(None, ({}, [], "x"))

    def _handshake(self) -> bytes:
        params = {
            "protocolVersion": self._pick(self._random.choice(VERSIONS), (1, None)),
            "capabilities": self._pick(self._pick({}, (GOOD,)), CAPABILITIES),
            "clientInfo": self._pick(SOMEBODY, PEOPLE),
        }
        if self._seldom():
            params["_meta"] = {"progressToken": self._random.choice(TOKENS)}
        return self._request("initialize", params)

    def _probe(self) -> bytes:
        return self._request("server/discover", self._params())

    def _list(self) -> bytes:
        return self._request(self._random.choice(LISTS), self._params())

    def _call(self) -> bytes:
        return self._request("tools/call", self._params(name="no_such_tool", arguments={}))

    def _ping(self) -> bytes:
        return self._request("ping", self._params())

    def _unknown(self) -> bytes:
        return self._request(self._random.choice(("tasks/list", "x", "")), self._params())

    def _notice(self) -> bytes:
        method = self._random.choice(("initialized", "initialized", "cancelled", "progress"))
        params: dict[str, Any] = {}
        if method == "cancelled" and self._number:
            number = self._random.randrange(1, self._number + 1)
            self.cancelled.add(json.dumps(number))
            params = {"requestId": number}
        message = {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}
        return json.dumps(message).encode()

    def _noise(self) -> bytes:
        return self._random.choice(
            (
                b"", b" ", b"x", b"[]", b"1", b"\xff", b"\xef\xbb\xbf{}", b"null",
                b'{"jsonrpc":"2.0","id":1,"result":{}}', b'{"jsonrpc":"2.0","id":1}',
                b'{"jsonrpc":"2.0","id":3,"id":4,"method":"ping","params":{"x":NaN}}',
                b'[{"jsonrpc":"2.0","id":2,"method":"ping"}]', b"[" * 2000,
            )
        )  # fmt: skip
