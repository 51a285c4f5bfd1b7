"""Webhook deliveries: sign, verify and parse. No I/O.

Clawver signs the raw body of a delivery with the secret of its webhook and sends
`X-Claw-Signature: sha256=<hex>`, an HMAC-SHA256 (https://docs.clawver.store/agent-api). Usable as
a library; in a web framework it takes the body as it came, before anything has parsed it:

    from clawver_orders.webhooks import parse, verify

    @app.post("/webhook")
    async def webhook(request: Request) -> Response:
        body = await request.body()
        if not verify(body, request.headers.get("x-claw-signature"), [SECRET]):
            return Response(status_code=401)
        event = parse(body)
        ...

Events and fields that this version does not know are kept: names are open text.
"""

from clawver_orders.webhooks.signature import (
    BODY_LIMIT_IN_BYTES,
    EVENTS,
    LONGEST_NAME,
    SHORTEST_SECRET,
    SIGNATURE_HEADER,
    Event,
    EventName,
    MalformedEventError,
    parse,
    sign,
    verify,
)

__all__ = [
    "BODY_LIMIT_IN_BYTES",
    "EVENTS",
    "LONGEST_NAME",
    "SHORTEST_SECRET",
    "SIGNATURE_HEADER",
    "Event",
    "EventName",
    "MalformedEventError",
    "parse",
    "sign",
    "verify",
]
