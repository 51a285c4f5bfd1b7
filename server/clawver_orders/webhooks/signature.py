"""Webhook deliveries: sign, verify and parse. No I/O. Others import it as `clawver_orders.webhooks`."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NoReturn, get_args

from clawver_orders.text import clean, is_id

SIGNATURE_HEADER = "X-Claw-Signature"
EventName = Literal[
    "order.created",
    "order.paid",
    "order.fulfilled",
    "order.shipped",
    "order.cancelled",
    "order.refunded",
    "order.fulfillment_failed",
    "review.received",
    "review.responded",
]
EVENTS: tuple[EventName, ...] = get_args(EventName)
"""The documented events. Others may come."""
SHORTEST_SECRET = 16
"""Clawver takes no shorter one."""
LONGEST_NAME = 100
BODY_LIMIT_IN_BYTES = 64 * 1024
"""No event comes near it."""

_SIGNATURE = re.compile(r"[ \t]*sha256[ \t]*=[ \t]*([0-9a-f]{64})[ \t]*", re.IGNORECASE | re.ASCII)


class MalformedEventError(ValueError):
    """The body is no JSON object that names an event."""


@dataclass(frozen=True)
class Event:
    """What a delivery says, as far as it can be read."""

    name: str
    """The event, such as `order.paid`: one line of visible text, known or not."""
    order_id: str | None
    """The order it is about; None where it names none that could be one."""
    at: datetime | None
    """When it happened, in UTC; None where that cannot be read."""
    payload: dict[str, Any]
    """The whole body, with every field as it came: text from outside, not cleaned."""


def sign(body: bytes, secret: str) -> str:
    """The value of the signature header for a body.

    Args:
        body: The raw bytes.
        secret: The webhook's secret, 16 characters or more.

    Raises:
        ValueError: The secret is too short to be one: an empty one would let anybody sign.
    """
    return f"sha256={_digest(body, secret)}"


def verify(body: bytes, signature: str | bytes | None, secrets: Iterable[str]) -> bool:
    """Whether a body was signed with one of these secrets.

    Args:
        body: The raw bytes, exactly as they came.
        signature: The signature header's value; None where there is none. Upper and lower case
            and spaces around its parts make no difference; any other form is refused.
        secrets: The webhook's secret; several while one takes the place of another.

    Raises:
        ValueError: There is no secret, or one is shorter than 16 characters.
    """
    genuine = [
        _digest(body, secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)
    ]
    if not genuine:
        raise ValueError("no secret was given")
    text = signature.decode("latin-1") if isinstance(signature, bytes) else signature or ""
    found = _SIGNATURE.fullmatch(text)
    claimed = found[1].lower() if found else ""
    # All are compared, so that the time taken does not tell which secret came close.
    return any([hmac.compare_digest(claimed, each) for each in genuine])  # noqa: C419


def parse(body: bytes) -> Event:
    """Read a verified body. Unknown events and fields are kept.

    Args:
        body: The raw bytes.

    Raises:
        MalformedEventError: It is no JSON object, or names no event. Nothing of it is repeated.
    """
    try:
        payload = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        payload = None
    name = payload.get("event") if isinstance(payload, dict) else None
    shown = clean(name, LONGEST_NAME) if isinstance(name, str) else ""
    if not isinstance(payload, dict) or not shown:
        raise MalformedEventError("not a JSON object that names an event")
    data = payload.get("data")
    order_id = data.get("orderId") if isinstance(data, dict) else None
    return Event(
        name=shown,
        order_id=order_id if isinstance(order_id, str) and is_id(order_id) else None,
        at=_moment(payload.get("timestamp")),
        payload=payload,
    )


def _refuse(constant: str) -> NoReturn:
    """NaN and infinities are no JSON: what is kept must be readable by others."""
    raise ValueError(constant)


def _digest(body: bytes, secret: str) -> str:
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"a webhook's secret has {SHORTEST_SECRET} characters or more")
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _moment(value: object) -> datetime | None:
    """A time as Clawver writes it (ISO 8601, UTC where it does not say)."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
