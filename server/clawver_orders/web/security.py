"""What holds for every request to the page and for every answer, before anything else is looked at."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 16 * 1024
MOST_FIELDS = 20
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class FormTooLargeError(Exception):
    """A form has more bytes or fields than any of ours."""


class Guarded:
    """Lets requests through that came under a name of the page, and adds the headers of every answer.

    A web page can make a browser send requests to this machine under a host name of that page's
    choice, so a request must name one that was expected.

    Args:
        app: What lies behind it.
        hosts: The values of the header `Host` that are the page's own, in small letters; None where
            somebody else looked at them.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        named = [value for key, value in scope["headers"] if key == b"host"]
        is_ours = self._hosts is None or (
            len(named) == 1 and named[0].decode("latin-1").lower() in self._hosts
        )
        refusal = PlainTextResponse("This page does not answer to that name.\n", status_code=421)
        await (self._app if is_ours else refusal)(scope, receive, with_headers)


def is_same_origin(request: Request, origins: frozenset[str]) -> bool:
    """Whether a form came from a page of ours: every browser says so with a POST.

    Args:
        request: The request.
        origins: Scheme, host and port of the page, for each of its names.
    """
    said = request.headers.getlist("origin")
    return len(said) == 1 and said[0].lower() in origins


def is_from_a_file(request: Request) -> bool:
    """Whether a form came from a file of this machine, or from a page that hides where it is."""
    return request.headers.getlist("origin") == ["null"]


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, the first of each name.

    Raises:
        FormTooLargeError: It is larger than any of ours.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise FormTooLargeError
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise FormTooLargeError from error
    return {name: values[0] for name, values in fields.items()}


def origin_of(address: str) -> str:
    """Scheme, host and port of an address, as the header `Origin` says them: no port where it is the usual one."""
    parts = urlsplit(address.lower())
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return f"{parts.scheme}://{parts.netloc.removesuffix(usual)}"
