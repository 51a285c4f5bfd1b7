"""Serves over Streamable HTTP, without sessions: any process behind a load balancer can answer.

On loopback every user and program of this machine can call it, so without a token it is read-only.
Wherever others could reach it, it does not start without a token and the host names that it answers to.
"""

import gc
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from clawver_orders.addresses import is_loopback
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.http_server import QuietServer, base_url, bound, in_url, quiet_config
from clawver_orders.services import Services
from clawver_orders.serving.http.access import HEALTH, LOOPBACK_NAMES, READY, AccessControl
from clawver_orders.serving.http.headers import UsualHeaders
from clawver_orders.serving.http.in_flight import InFlight
from clawver_orders.serving.page import MOUNTED_AT, page_of
from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings, Stores
from clawver_orders.signals import told_to_stop
from clawver_orders.storage.engine import facts_of
from clawver_orders.storage.folders import try_writing
from clawver_orders.storage.readiness import Readiness

if TYPE_CHECKING:
    from clawver_orders.web.all_stores import AllStores
    from clawver_orders.web.store_page import StorePage

PATH = "/mcp"
LARGEST_BODY = 4 * 1024 * 1024
"""The most bytes that a request may carry."""
_SECONDS_IDLE = 75  # longer than load balancers keep a connection, so that they close it first
_SECONDS_FOR_LAST_BYTES = 1.0


def run(stores: Stores, *, host: str, port: int, on_ready: Callable[[str, Settings], None]) -> int:
    """Serve until a signal asks to stop.

    What is under way then has as long as one request to Clawver may take; after that only what
    must not be cut off, such as a refund, is finished.

    Args:
        stores: What a person has decided for each store, or why that cannot be used. What is said
            about serving is the same for all of them.
        host: The name or address to listen on.
        port: The port to listen on; 0 takes a free one.
        on_ready: Called once with the server's address and what holds for it, as soon as it answers.

    Returns:
        The exit code of the process.

    Raises:
        SetupError: It would be open to others without protection, or cannot listen there; or no
            store can be used.
    """
    usable = [each for each in stores.values() if isinstance(each, Settings)]
    if not usable:
        raise next(each for each in stores.values() if isinstance(each, SetupError))
    for settings in usable:
        names = host_names(settings, host)
    served = {alias: _over_http(each, alias) for alias, each in stores.items()}
    with bound(host, port) as listener:
        return anyio.run(_serve, served, usable[0].over_http(), listener, names, on_ready)


def _over_http(settings: Settings | SetupError, alias: str) -> Settings | SetupError:
    """What holds for a store over HTTP. Each of several has a page of its own below the page's address."""
    if isinstance(settings, SetupError):
        return settings
    served = settings.over_http()
    if not alias or served.board_url is None:
        return served
    return served.model_copy(update={"board_url": f"{served.board_url}/{alias}"})


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
    stores: Stores,
    settings: Settings,
    listener: socket.socket,
    names: frozenset[str],
    on_ready: Callable[[str, Settings], None],
) -> int:
    sessions = StreamableHTTPSessionManager(
        build_server(stores, page=page_of, tells_of_changes=False),  # each request is by itself
        stateless=True,
        json_response=True,
        max_request_body_size=LARGEST_BODY,
        security_settings=None,  # access control looks at host and origin, before everything else
    )
    endpoint = StreamableHTTPASGIApp(sessions)
    pages = _pages(stores, settings)
    application = Starlette(
        routes=[
            Route(PATH, endpoint, methods=["POST"]),
            Route(f"{PATH}/", endpoint, methods=["POST"]),
            Route(HEALTH, _is_up),
            Route(READY, _is_ready(stores)),
            *(
                [Route(MOUNTED_AT, pages, methods=["GET"]), Mount(MOUNTED_AT, pages)]
                if pages
                else []
            ),
        ]
    )
    # A redirect would lead to plain http, whatever speaks TLS in front of this server.
    application.router.redirect_slashes = False
    requests = InFlight(application)
    token = settings.http_token
    secret = None if token is None else token.get_secret_value()
    guarded = AccessControl(UsualHeaders(requests), names, secret, MOUNTED_AT if pages else "")
    config = quiet_config(guarded, timeout_keep_alive=_SECONDS_IDLE)
    server = _Server(config, lambda: on_ready(base_url(listener) + PATH, settings))
    async with sessions.run(), anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_when_told, server, requests, settings.timeout_seconds)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()
    if pages is not None:
        await pages.close()
    gc.freeze()  # a last look at all that was imported would take longer than everything else
    return 0


def _pages(stores: Stores, settings: Settings) -> "StorePage | AllStores | None":
    """What is shown to browsers, where the settings say how they reach it: of one store, or of all."""
    if not settings.board_url:
        return None
    from clawver_orders.web.all_stores import AllStores
    from clawver_orders.web.rendering import Place
    from clawver_orders.web.store_page import StorePage

    root = Place(settings.board_url, None, settings.board_is_reachable)
    is_one = [*stores] == [""]
    return StorePage(settings, root) if is_one else AllStores(stores, root)


async def _is_up(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _is_ready(stores: Stores) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Answers whether a refund of every store could be noted now, where its ledger lies."""
    every = [Readiness(_proof(each)) for each in stores.values() if isinstance(each, Settings)]

    async def answer(_: Request) -> JSONResponse:
        troubles = [await each.trouble() for each in every]
        if trouble := next(filter(None, troubles), ""):
            return JSONResponse({"status": "not ready", "reason": trouble}, status_code=503)
        return JSONResponse({"status": "ready"})

    return answer


def _proof(settings: Settings) -> Callable[[], None]:
    """Tries whether a refund could be noted: in the database where one is named, else in the store's folder."""
    services = Services(settings)

    def prove() -> None:
        try:
            store = services.known_store()
        except ClawverError:  # every call says so
            store = None
        if not settings.has_database:
            try_writing(settings.state_dir if store is None else store.scope.folder)
        elif store is None:
            facts_of(settings)
        else:
            store.ledger.prove()

    return prove


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
