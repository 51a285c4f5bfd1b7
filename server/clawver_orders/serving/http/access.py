"""Who may speak to the server over HTTP: the right host name, no foreign page, the right token.

A web page can make a browser send requests to any address, this machine included, under a host
name of the page's choice. So a request must name a host that was expected, and when it comes
from a page, the page must too. Nothing of a refused request is read but its headers.
"""

import hmac
import logging
import re

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

HEALTH, READY = "/healthz", "/readyz"
"""Where it is asked whether the server is up, and whether it can keep what it must. Anybody may, under
any name: nothing else is said."""
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::[0-9]{1,5})?")
_ORIGIN = re.compile(rf"https?://{_HOST.pattern}")
_BEARER = re.compile(rb"bearer +(\S+)", re.IGNORECASE)

log = logging.getLogger(__name__)


class AccessControl:
    """Lets the right requests through to an application.

    Args:
        app: What lies behind it.
        names: The host names that it answers to, in small letters, on any port.
        token: The bearer token that it asks for, if it asks for one.
        page: Where a page for browsers is, which looks at origins and sessions itself; none if empty.
    """

    def __init__(
        self, app: ASGIApp, names: frozenset[str], token: str | None, page: str = ""
    ) -> None:
        self._app = app
        self._names = names
        self._token = None if token is None else token.encode()
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with what is wrong."""
        refusal = None if scope["path"] in {HEALTH, READY} else self._refusal(scope)
        if refusal is not None:
            refusal.headers["Connection"] = "close"  # the body is not waited for
            log.info("refused a request with status %d", refusal.status_code)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if not self._knows(_HOST, _headers(scope, b"host")):
            return PlainTextResponse(
                "This server does not answer to that host name. CLAWVER_HTTP_HOSTS names those "
                "that it answers to.\n",
                status_code=421,
            )
        path = scope["path"]
        if self._page and (path == self._page or path.startswith(f"{self._page}/")):
            return None
        origins = _headers(scope, b"origin")
        if origins and not self._knows(_ORIGIN, origins):
            return PlainTextResponse(
                "This server takes no requests from pages of that origin.\n", status_code=403
            )
        if self._token is not None and not self._is_token(_headers(scope, b"authorization")):
            return PlainTextResponse(
                "Send the bearer token that CLAWVER_HTTP_TOKEN holds.\n",
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        return None

    def _knows(self, form: re.Pattern[str], values: list[bytes]) -> bool:
        found = form.fullmatch(values[0].decode("latin-1").lower()) if len(values) == 1 else None
        return found is not None and found[1] in self._names

    def _is_token(self, values: list[bytes]) -> bool:
        found = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
        return hmac.compare_digest(found[1] if found else b"", self._token or b"")


def _headers(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
