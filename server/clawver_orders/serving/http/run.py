"""Serves over Streamable HTTP, without sessions: any process behind a load balancer can answer.

On loopback every user and program of this machine can call it, so without a token it is read-only.
Wherever others could reach it, it does not start without a token and the host names that it answers to.
"""

import gc
import socket
from collections.abc import Callable

import anyio
import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from clawver_orders.addresses import is_loopback
from clawver_orders.errors import SetupError
from clawver_orders.http_server import QuietServer, base_url, bound, in_url
from clawver_orders.serving.http.access import HEALTH, LOOPBACK_NAMES, AccessControl
from clawver_orders.serving.http.in_flight import InFlight
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_orders.signals import told_to_stop

PATH = "/mcp"
LARGEST_BODY = 4 * 1024 * 1024
"""The most bytes that a request may carry."""
_SECONDS_IDLE = 75  # longer than load balancers keep a connection, so that they close it first
_SECONDS_FOR_LAST_BYTES = 1.0


def run(
    settings: Settings, *, host: str, port: int, on_ready: Callable[[str, Settings], None]
) -> int:
    """Serve until a signal asks to stop.

    What is under way then has as long as one request to Clawver may take; after that only what
    must not be cut off, such as a refund, is finished.

    Args:
        settings: What a person has decided.
        host: The name or address to listen on.
        port: The port to listen on; 0 takes a free one.
        on_ready: Called once with the server's address and what holds for it, as soon as it answers.

    Returns:
        The exit code of the process.

    Raises:
        SetupError: It would be open to others without protection, or cannot listen there.
    """
    names = host_names(settings, host)
    with bound(host, port) as listener:
        return anyio.run(_serve, settings.over_http(), listener, names, on_ready)


def host_names(settings: Settings, host: str) -> frozenset[str]:
    """The names that a server on this address answers to.

    Args:
        settings: What a person has decided.
        host: The name or address to listen on.

    Raises:
        SetupError: Others could reach it, and the token or the names are missing.
    """
    named = frozenset(settings.http_hosts)
    local = is_loopback(host)
    if settings.http_token is None and not (local and named <= LOOPBACK_NAMES):
        raise SetupError(
            "Others could reach this server, and it has no token to ask them for.",
            next_step="Set CLAWVER_HTTP_TOKEN, or serve on --host 127.0.0.1 without CLAWVER_HTTP_HOSTS.",
        )
    if not local and not named:
        raise SetupError(
            "Others could reach this server, and nobody has said under which host names.",
            next_step="Set CLAWVER_HTTP_HOSTS to the names that clients use for it.",
        )
    if settings.http_token is not None and settings.http_token == settings.api_key:
        raise SetupError(
            "CLAWVER_HTTP_TOKEN is the store's key, which must not leave this server.",
            next_step="Set CLAWVER_HTTP_TOKEN to a value of its own.",
        )
    return named | LOOPBACK_NAMES | {in_url(host)} if local else named


async def _serve(
    settings: Settings,
    listener: socket.socket,
    names: frozenset[str],
    on_ready: Callable[[str, Settings], None],
) -> int:
    sessions = StreamableHTTPSessionManager(
        build_server(settings),
        stateless=True,
        json_response=True,
        max_request_body_size=LARGEST_BODY,
        security_settings=None,  # access control looks at host and origin, before everything else
    )
    endpoint = StreamableHTTPASGIApp(sessions)
    application = Starlette(
        routes=[
            Route(PATH, endpoint, methods=["POST"]),
            Route(f"{PATH}/", endpoint, methods=["POST"]),
            Route(HEALTH, _is_up),
        ]
    )
    # A redirect would lead to plain http, whatever speaks TLS in front of this server.
    application.router.redirect_slashes = False
    requests = InFlight(application)
    token = settings.http_token
    guarded = AccessControl(requests, names, None if token is None else token.get_secret_value())
    server = _Server(_config(guarded), lambda: on_ready(base_url(listener) + PATH, settings))
    async with sessions.run(), anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_when_told, server, requests, settings.timeout_seconds)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()
    gc.freeze()  # a last look at all that was imported would take longer than everything else
    return 0


async def _is_up(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _stop_when_told(server: "_Server", requests: InFlight, patience: float) -> None:
    await told_to_stop()
    server.should_exit = True
    with anyio.move_on_after(patience):
        await requests.nothing()
    requests.cancel()
    await requests.nothing()
    await anyio.sleep(_SECONDS_FOR_LAST_BYTES)
    server.abort()  # whoever still has not read its answer


class _Server(QuietServer):
    """Can be told to hang up on everybody."""

    def abort(self) -> None:
        """Close every connection, said or not."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _config(guarded: AccessControl) -> uvicorn.Config:
    return uvicorn.Config(
        guarded,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # below that it tells of strangers' requests; access control does that
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_SECONDS_IDLE,
    )
