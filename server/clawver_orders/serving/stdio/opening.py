"""Which of a host's first requests may be answered from what the SDK said before. No I/O.

It knows the order in which a connection opens as the SDK does: the first request other than
`server/discover` decides which protocol is spoken. It answers only requests whose form and whose
place leave no doubt. What is not clear it leaves to the SDK, and where that request decides the
protocol, everything after it too.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from clawver_orders.serving.card import shows_cards
from clawver_orders.serving.stdio.framing import Line

MODERN = "2026-07-28"
"""The protocol whose requests carry an envelope in place of a handshake."""
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
META = "io.modelcontextprotocol/"
"""What the names in the envelope begin with."""
_LEVELS = frozenset(
    {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}
)
_MEMBERS = frozenset({"jsonrpc", "id", "method", "params"})
_LARGEST_ID = 2**53


class Surface(NamedTuple):
    """What the SDK says to a host before its first call: each result as JSON."""

    initialize: dict[str, str]
    """By the version that a host asks for; the one at "" is for versions that nobody knows."""
    legacy: dict[str, str]
    """By method, after the handshake."""
    modern: dict[str, str]
    """By method, where each request carries its envelope."""
    legacy_cards: dict[str, str]
    """As `legacy`, to clients that show cards."""
    modern_cards: dict[str, str]
    """As `modern`, to clients that show cards."""


class Opening:
    """How far a connection has got, and what was answered.

    Args:
        surface: What may be said.
    """

    def __init__(self, surface: Surface) -> None:
        self.answers: dict[str, str] = {}
        """The results that were given, by the ids under which the SDK gets the requests."""
        self._surface = surface
        self._mark = f"opener-{os.urandom(6).hex()}-"  # no host can guess it
        self._says: dict[str, str] | None = None  # by method, once a handshake decided
        self._is_decided = False
        self._is_modern = False

    def take(self, line: Line, later: Sequence[Line]) -> tuple[Line, bytes]:
        """Answer a line where that is safe.

        Args:
            line: What the host says.
            later: What arrived together with it, after it.

        Returns:
            The line that goes on to the SDK, and the answer; without one that is empty.
        """
        request = _request(line)
        if request is None:
            return line, b""
        if not _is_plain(request):
            self.give_up()  # to the SDK it may be no request at all, and decide nothing
            return line, b""
        method, params = request["method"], request.get("params")
        if method == "server/discover" and any(map(_initializes, later)):
            return line, b""  # given up already: nobody waits for its answer
        result = self._result(method, {} if params is None else params)
        if result is None:
            return line, b""
        key = f"{self._mark}{len(self.answers)}"
        self.answers[key] = result
        return json.dumps(request | {"id": key}).encode(), response(request["id"], result)

    def give_up(self) -> None:
        """Answer nothing any more."""
        self._is_decided, self._is_modern, self._says = True, False, None

    def _result(self, method: str, params: object) -> str | None:
        """What the SDK would answer; None where it is to answer itself."""
        is_modern = _is_modern(params)
        if method == "server/discover":
            return self._probed(is_modern=is_modern)
        if method == "initialize":
            return self._initialized(params)
        if not self._is_decided:
            self._is_decided, self._is_modern = True, is_modern
        if self._is_modern:
            return self._modern(params).get(method) if is_modern else None
        return self._says.get(method) if self._says is not None and _is_bare(params) else None

    def _modern(self, params: Any) -> dict[str, str]:
        """What is said to a request whose envelope is beyond doubt."""
        able = params["_meta"][f"{META}clientCapabilities"]
        cards = shows_cards(able.get("extensions"))
        return self._surface.modern_cards if cards else self._surface.modern

    def _probed(self, *, is_modern: bool) -> str | None:
        """A probe decides nothing. One in doubt ends this: it is not known what it opens."""
        is_open = not self._is_decided
        if is_modern and (is_open or self._is_modern):
            return self._surface.modern["server/discover"]
        if is_open:
            self.give_up()
        return None

    def _initialized(self, params: Any) -> str | None:
        """A handshake counts once, and first."""
        wanted = None if self._is_decided else _wanted_version(params)
        if wanted is None:
            self.give_up()
            return None
        cards = shows_cards(params["capabilities"].get("extensions"))
        self._is_decided = True
        self._says = self._surface.legacy_cards if cards else self._surface.legacy
        known = self._surface.initialize
        return known.get(wanted, known[""])


def response(request_id: int | str, result: str) -> bytes:
    """The line that answers a request."""
    return f'{{"jsonrpc":"2.0","id":{json.dumps(request_id)},"result":{result}}}\n'.encode()


def wants_no_answer(line: Line) -> bool:
    """Whether a line is beyond doubt empty or a notification."""
    if not isinstance(line, bytes) or b'"id"' in line:
        return False
    return not line.strip() or b'"method"' in line


def _request(line: Line) -> dict[str, Any] | None:
    if not isinstance(line, bytes):
        return None
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    is_request = isinstance(value, dict) and "method" in value and "id" in value
    return value if is_request else None


def _initializes(line: Line) -> bool:
    return isinstance(line, bytes) and b'"initialize"' in line


def _is_plain(request: dict[str, Any]) -> bool:
    """Nothing in what all requests have that a validator could stumble over."""
    key = request["id"]
    return (
        request.keys() <= _MEMBERS
        and request.get("jsonrpc") == "2.0"
        and type(request["method"]) is str
        and ((type(key) is int and abs(key) < _LARGEST_ID) or (type(key) is str and key.isascii()))
        and _are_plain(request.get("params"))
    )


def _are_plain(params: object) -> bool:
    if params is None:
        return True
    if not isinstance(params, dict) or params.get("cursor") is not None:
        return False
    meta = params.get("_meta")
    return meta is None or (
        isinstance(meta, dict) and type(meta.get("progressToken", "")) in {int, str}
    )


def _is_modern(params: object) -> bool:
    """Whether the envelope of the newer protocol is there, and beyond doubt."""
    meta = params.get("_meta") if isinstance(params, dict) else None
    return (
        isinstance(meta, dict)
        and meta.get(f"{META}protocolVersion") == MODERN
        and _are_capabilities(meta.get(f"{META}clientCapabilities"))
        and _is_somebody(meta.get(f"{META}clientInfo"))
        and meta.get(f"{META}logLevel", "debug") in _LEVELS
    )


def _is_bare(params: object) -> bool:
    """Whether nothing of that envelope is there."""
    meta = params.get("_meta") if isinstance(params, dict) else ""
    return meta is None or (isinstance(meta, dict) and f"{META}protocolVersion" not in meta)


def _wanted_version(params: object) -> str | None:
    """The version that a handshake asks for; None where the handshake is in doubt."""
    if not (
        isinstance(params, dict)
        and _are_capabilities(params.get("capabilities"))
        and _is_somebody(params.get("clientInfo"))
    ):
        return None
    wanted = params.get("protocolVersion")
    return wanted if isinstance(wanted, str) else None


def _is_somebody(about: object) -> bool:
    return (
        isinstance(about, dict)
        and all(type(about.get(each)) is str for each in ("name", "version"))
        and all(type(about.get(each, "")) is str for each in ("title", "description", "websiteUrl"))
        and about.get("icons") is None
    )


def _are_capabilities(value: object) -> bool:
    """Capabilities are objects of objects, but for what roots and extensions may hold."""
    return isinstance(value, dict) and all(map(_is_capability, value, value.values()))


def _is_capability(name: str, about: object) -> bool:
    if not isinstance(about, dict):
        return False
    if name in {"extensions", "experimental"}:  # each is an object with anything in it
        return all(isinstance(each, dict) for each in about.values())
    if name == "roots" and about.keys() == {"listChanged"}:
        return type(about["listChanged"]) is bool
    return _is_object_of_objects(about)


def _is_object_of_objects(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_object_of_objects, value.values()))
