"""The store's HTTP face: exactly the documented shapes, and what a test arranges it with.

``/v1`` is Clawver, ``/files`` is where its download links lead, and ``/_sandbox`` is not Clawver at
all: it shows and arranges what a real store would keep to itself. Every answer of the first two
says in a header which sandbox it comes from: no real store does.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clawver_sandbox.answers import STATUSES, failure, success
from clawver_sandbox.faults import Exchange, play
from clawver_sandbox.shop import API_KEY, Shop, ShopError

_Handler = Callable[[Request], Awaitable[Response]]
_T = TypeVar("_T")
_MOST_LISTED = 100
_WHO = b"x-clawver-sandbox"


def build_app(
    shop: Shop, *, rate_limited: bool = False, keys: Collection[str] = (API_KEY,)
) -> Starlette:
    """Put a shop behind HTTP.

    Args:
        shop: The store that answers.
        rate_limited: Whether 60 requests a minute and 1,000 a day are all it takes.
        keys: Those that open it.
    """
    desk = _Desk(shop)
    app = Starlette(
        routes=[*_owner_routes(desk, keys), *_customer_routes(desk), *_sandbox_routes(shop)],
        middleware=[Middleware(_Counter, shop=shop, rate_limited=rate_limited)],
        exception_handlers={HTTPException: _unrouted, ShopError: _refused},
    )
    app.router.redirect_slashes = False
    return app


class _Counter:
    """Where every request passes: it is logged, counted, and may meet a fault."""

    def __init__(self, app: ASGIApp, shop: Shop, *, rate_limited: bool) -> None:
        self._app = app
        self._shop = shop
        self._id = shop.id.encode()
        self._rate_limited = rate_limited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")  # a lifespan has none
        if not path.startswith(("/v1", "/files")):
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        scope.setdefault("state", {})["request_id"] = request_id
        body = await Request(scope, receive).body()
        number = self._shop.note_request(_logged(Request(scope), body))

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._shop.note_status(number, message["status"])
                ours = [(b"x-request-id", request_id.encode()), (_WHO, self._id)]
                message = {**message, "headers": [*message["headers"], *ours]}
            await send(message)

        async def effect() -> Response:
            return await self._run(scope, body)

        exchange = Exchange(scope, receive, answering, effect)
        wait = self._shop.seconds_to_wait() if self._rate_limited and path.startswith("/v1") else 0
        if wait:
            response = exchange.failure(429, "Too many requests.")
            response.headers["retry-after"] = str(wait)
            await exchange.reply(response)
        elif fault := self._shop.take_fault(scope["method"], path):
            await play(fault, exchange)
        else:
            await exchange.reply(await effect())

    async def _run(self, scope: Scope, body: bytes) -> Response:
        """Let the shop do what was asked, and keep its answer in hand."""
        started: Message = {}
        pieces: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            started.update(message)
            pieces.append(message.get("body", b""))

        await self._app(dict(scope), receive, send)
        response = Response(b"".join(pieces), started["status"])
        response.raw_headers = list(started["headers"])
        return response


class _Desk:
    """One method for each documented endpoint."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def get_store(self, _: Request) -> Response:
        return success({"store": self._shop.details()})

    async def analytics(self, request: Request) -> Response:
        period = request.query_params.get("period", "30d")
        return success({"analytics": self._shop.figures(period, **request.path_params)})

    async def list_reviews(self, request: Request) -> Response:
        limit = _limit(request)
        found, cursor = self._shop.reviews(request.query_params.get("cursor"), limit)
        pagination = {"cursor": cursor, "hasMore": cursor is not None, "limit": limit}
        return success({"reviews": found}, pagination=pagination)

    async def list_products(self, request: Request) -> Response:
        goods = self._shop.all_products(request.query_params.get("status"))
        return success({"products": goods})

    async def list_orders(self, request: Request) -> Response:
        limit = _limit(request)
        found = self._shop.newest(request.query_params.get("status"), limit + 1)
        pagination = {"cursor": None, "hasMore": len(found) > limit, "limit": limit}
        return success({"orders": found[:limit]}, meta={"pagination": pagination})

    async def get_order(self, request: Request) -> Response:
        return success({"order": self._shop.order(request.path_params["order_id"])})

    async def refund(self, request: Request) -> Response:
        # A header such as Idempotency-Key changes nothing: none is documented.
        body = await _json(request)
        order_id = request.path_params["order_id"]
        order = self._shop.refund(order_id, body.get("amountInCents"), body.get("reason"))
        return success({"order": order})

    async def download(self, request: Request) -> Response:
        return success(self._shop.download(**request.path_params))

    async def get_product(self, request: Request) -> Response:
        return success({"product": self._shop.product(request.path_params["product_id"])})

    async def add_webhook(self, request: Request) -> Response:
        body = await _json(request)
        webhook = self._shop.add_webhook(body.get("url"), body.get("events"), body.get("secret"))
        return success({"webhook": webhook})

    async def list_webhooks(self, _: Request) -> Response:
        return success({"webhooks": self._shop.webhooks()})

    async def remove_webhook(self, request: Request) -> Response:
        self._shop.remove_webhook(request.path_params["webhook_id"])
        return success({"id": request.path_params["webhook_id"], "deleted": True})

    async def give_feedback(self, request: Request) -> Response:
        return success({"feedback": self._shop.give_feedback(await _json(request))})

    async def public_order(self, request: Request) -> Response:
        order = self._shop.public_order(**request.path_params, token=_needed(request, "token"))
        return success({"order": order})

    async def public_download(self, request: Request) -> Response:
        token = _needed(request, "token")
        return success(self._shop.public_download(**request.path_params, token=token))

    async def receipt(self, request: Request) -> Response:
        return success({"receipt": self._shop.receipt(**request.path_params)})

    async def file(self, request: Request) -> Response:
        content = self._shop.file(
            **request.path_params,
            expires=_needed(request, "expires"),
            signature=_needed(request, "signature"),
        )
        headers = {"content-disposition": "attachment"}
        return Response(content, media_type="application/zip", headers=headers)


def _owner_routes(desk: _Desk, keys: Collection[str]) -> list[Route]:
    table: tuple[tuple[str, str, _Handler], ...] = (
        ("GET", "/v1/stores/me", desk.get_store),
        ("GET", "/v1/stores/me/analytics", desk.analytics),
        ("GET", "/v1/stores/me/products/{product_id}/analytics", desk.analytics),
        ("GET", "/v1/stores/me/reviews", desk.list_reviews),
        ("GET", "/v1/orders", desk.list_orders),
        ("GET", "/v1/orders/{order_id}", desk.get_order),
        ("POST", "/v1/orders/{order_id}/refund", desk.refund),
        ("GET", "/v1/orders/{order_id}/download/{item_id}", desk.download),
        ("GET", "/v1/products", desk.list_products),
        ("GET", "/v1/products/{product_id}", desk.get_product),
        ("POST", "/v1/webhooks", desk.add_webhook),
        ("GET", "/v1/webhooks", desk.list_webhooks),
        ("DELETE", "/v1/webhooks/{webhook_id}", desk.remove_webhook),
        ("POST", "/v1/agents/me/feedback", desk.give_feedback),
    )
    return [
        Route(path, _with_key(handler, keys), methods=[method]) for method, path, handler in table
    ]


def _customer_routes(desk: _Desk) -> list[Route]:
    return [
        Route("/v1/orders/{order_id}/public", desk.public_order),
        Route("/v1/orders/{order_id}/download/{item_id}/public", desk.public_download),
        Route("/v1/checkout/{checkout_id}/receipt", desk.receipt),
        Route("/files/{order_id}/{item_id}", desk.file),
    ]


def _sandbox_routes(shop: Shop) -> list[Route]:
    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            shop.forget_requests()
        return success({"requests": shop.requests()})

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            shop.clear_faults()
        elif request.method == "POST":
            await _arranged(request, lambda fields: shop.add_fault(**fields))
        return success({"faults": [fault.wire() for fault in shop.faults()]})

    async def sell(request: Request) -> Response:
        return success({"order": await _arranged(request, lambda fields: shop.sell(**fields))})

    async def advance(request: Request) -> Response:
        return success({"order": shop.advance(request.path_params["order_id"])})

    async def refunds(_: Request) -> Response:
        rows = [{"orderId": order_id, "amountInCents": cents} for order_id, cents in shop.refunds()]
        return success({"refunds": rows})

    async def cancel(request: Request) -> Response:
        return success({"order": shop.cancel(request.path_params["order_id"])})

    async def events(request: Request) -> Response:
        await _arranged(request, lambda fields: shop.report(**fields))
        return success({})

    async def deliveries(_: Request) -> Response:
        return success({"deliveries": shop.outbox.deliveries()})

    async def resend(_: Request) -> Response:
        shop.outbox.resend()
        return success({"deliveries": shop.outbox.deliveries()})

    async def delivery_faults(request: Request) -> Response:
        if request.method == "DELETE":
            shop.outbox.clear_faults()
        elif request.method == "POST":
            await _arranged(request, lambda fields: shop.outbox.add_fault(**fields))
        return success({"faults": shop.outbox.faults()})

    async def reset(_: Request) -> Response:
        shop.reset()
        return success({})

    return [
        Route("/_sandbox/requests", requests, methods=["GET", "DELETE"]),
        Route("/_sandbox/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route("/_sandbox/orders", sell, methods=["POST"]),
        Route("/_sandbox/orders/{order_id}/advance", advance, methods=["POST"]),
        Route("/_sandbox/orders/{order_id}/cancel", cancel, methods=["POST"]),
        Route("/_sandbox/events", events, methods=["POST"]),
        Route("/_sandbox/deliveries", deliveries),
        Route("/_sandbox/deliveries/resend", resend, methods=["POST"]),
        Route("/_sandbox/delivery-faults", delivery_faults, methods=["GET", "POST", "DELETE"]),
        Route("/_sandbox/refunds", refunds),
        Route("/_sandbox/reset", reset, methods=["POST"]),
    ]


def _with_key(handler: _Handler, keys: Collection[str]) -> _Handler:
    taken = {f"Bearer {key}" for key in keys}

    async def guarded(request: Request) -> Response:
        if request.headers.get("authorization") not in taken:
            raise ShopError("UNAUTHORIZED", "A valid API key is required.")
        return await handler(request)

    return guarded


async def _json(request: Request) -> dict[str, Any]:
    """The body as an object, of text that can be sent back."""
    try:
        body = json.loads(await request.body() or b"{}")
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ShopError("VALIDATION_ERROR", "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise ShopError("VALIDATION_ERROR", "The body must be a JSON object.")
    return body


async def _arranged(request: Request, arrange: Callable[[dict[str, Any]], _T]) -> _T:
    """What comes of arranging something with the body's fields."""
    try:
        return arrange(await _json(request))
    except (TypeError, ValueError) as error:
        raise ShopError("VALIDATION_ERROR", str(error)) from error


def _limit(request: Request) -> int:
    """How many rows of a list are asked for."""
    text = request.query_params.get("limit", "20")
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= limit <= _MOST_LISTED:
        raise ShopError("VALIDATION_ERROR", f"limit must be between 1 and {_MOST_LISTED}.")
    return limit


def _needed(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if not value:
        raise ShopError("VALIDATION_ERROR", f"{name} is required.")
    return value


def _logged(request: Request, body: bytes) -> dict[str, Any]:
    return {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "has_key": "authorization" in request.headers,
        "idempotency_key": request.headers.get("idempotency-key"),
        "body": body.decode(errors="replace"),
        "status": None,
    }


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ShopError)  # noqa: S101  registered for nothing else
    return failure(STATUSES[error.code], error.message, _request_id(request))


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for nothing else
    response = failure(error.status_code, error.detail, _request_id(request))
    response.headers.update(error.headers or {})
    return response


def _request_id(request: Request) -> str | None:
    request_id: str | None = request.scope.get("state", {}).get("request_id")
    return request_id
