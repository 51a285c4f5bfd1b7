"""What HTTP lets a client leave out of its headers, or write in another way."""

from starlette.types import ASGIApp, Receive, Scope, Send


class UsualHeaders:
    """Gives an application the headers in the one form that the MCP SDK takes.

    By RFC 9110 a request without `Accept` takes any answer, and a media type may be in capitals.

    Args:
        app: What lies behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        headers = [
            (name, _in_small_letters(value) if name == b"content-type" else value)
            for name, value in scope["headers"]
        ]
        if all(name != b"accept" for name, _ in headers):
            headers.append((b"accept", b"*/*"))
        await self._app({**scope, "headers": headers}, receive, send)


def _in_small_letters(content_type: bytes) -> bytes:
    """A media type; its parameters stay as they are."""
    kind, found, parameters = content_type.partition(b";")
    return kind.lower() + found + parameters
