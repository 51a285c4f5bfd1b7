"""The words a tool understands: the type of every argument, with its rules in its description.

An empty text always means "not given". Some clients drop bounds from a schema, so the
description repeats them.
"""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from clawver_orders.orders.lifecycle import KnownPaymentStatus, KnownStatus
from clawver_orders.text import is_id, is_seen, is_token
from clawver_orders.webhooks.signature import EventName

_EVENT_ID = re.compile(r"evt_(0|[1-9][0-9]{0,17})")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _id(value: str) -> str:
    if not is_id(value):
        raise ValueError(
            "must be an id: 1 to 64 letters, digits, _ or -, copied from another answer"
        )
    return value


def _id_or_nothing(value: str) -> str:
    return _id(value) if value else value


def _token_or_nothing(value: str) -> str:
    return _token(value) if value else value


def _token(value: str) -> str:
    if not is_token(value):
        raise ValueError("must be a token as the customer's link or receipt shows it")
    return value


def _plain(value: str) -> str:
    stripped = value.strip()
    if not all(is_seen(c) and c != "\N{REPLACEMENT CHARACTER}" for c in stripped):
        raise ValueError("must be one line of plain text without control or invisible characters")
    return stripped


def _reason(value: str) -> str:
    plain = _plain(value)
    if not plain:
        raise ValueError("must say why: Clawver requires a reason, and the customer may read it")
    return plain


def _email(value: str) -> str:
    plain = _plain(value)
    if plain and "@" not in plain:
        raise ValueError(
            "must be a whole e-mail address: orders are not found by a name or a part of one"
        )
    return plain


def _moment(value: str) -> str:
    if value:
        moment(value)
    return value


def moment(value: str) -> datetime:
    """A day (its first moment, UTC) or a time with its offset, as an aware UTC time.

    Raises:
        ValueError: It is neither.
    """
    problem = "must be a day like 2026-11-24 or a UTC time like 2026-11-24T09:30:00Z"
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(problem) from None
    if _DAY.fullmatch(value):
        return parsed.replace(tzinfo=UTC)
    if parsed.tzinfo is None or not value.isascii():
        raise ValueError(problem)
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError(problem) from None


def moment_or_nothing(value: str) -> datetime | None:
    """The same; None where nothing was given."""
    return moment(value) if value else None


def _since(value: str) -> str:
    if value and event_number(value) is None:
        try:
            moment(value)
        except ValueError:
            raise ValueError(
                "must be a day like 2026-11-24, a UTC time like 2026-11-24T09:30:00Z, or an event id "
                "like evt_17"
            ) from None
    return value


def _event_id_or_nothing(value: str) -> str:
    if value and event_number(value) is None:
        raise ValueError("must be an event id like evt_17, copied from another answer")
    return value


def event_number(value: str) -> int | None:
    """The number in an event id of ours; None where it is none."""
    found = _EVENT_ID.fullmatch(value)
    return int(found[1]) if found else None


def _list_or_json(value: object) -> object:
    """Some hosts send a list as JSON text."""
    if isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


OrderId = Annotated[
    str,
    Field(description="From list_orders or get_receipt."),
    AfterValidator(_id),
]
ItemId = Annotated[
    str,
    Field(description="From get_order."),
    AfterValidator(_id_or_nothing),
]
CheckoutId = Annotated[
    str,
    Field(description="From the customer's order confirmation; 1 to 64 characters."),
    AfterValidator(_id),
]
OrderStatusToken = Annotated[
    str,
    Field(
        description="The token in the customer's order link, or order_status_token of get_receipt. A secret."
    ),
    AfterValidator(_token),
]
DownloadToken = Annotated[
    str,
    Field(description="Of that item, from get_receipt. A secret."),
    AfterValidator(_token_or_nothing),
]
StatusFilter = Annotated[
    Literal["any", KnownStatus],
    Field(description="Order status."),
]
PaymentStatus = Annotated[
    Literal["any", KnownPaymentStatus],
    Field(description="Refunds show here."),
]
CustomerEmail = Annotated[
    str,
    Field(
        description="Whole e-mail address; at most 200 characters.",
        max_length=200,
    ),
    AfterValidator(_email),
]
ProductText = Annotated[
    str,
    Field(
        description="Part of a product's name, or its id; at most 200 characters.",
        max_length=200,
    ),
    AfterValidator(_plain),
]
CreatedAfter = Annotated[
    str,
    Field(
        description="On or after this day (2026-11-24) or time (2026-11-24T09:30:00Z), UTC.",
        max_length=40,
    ),
    AfterValidator(_moment),
]
CreatedBefore = Annotated[
    str,
    Field(description="Before this day or time.", max_length=40),
    AfterValidator(_moment),
]
Limit = Annotated[int, Field(description="At most this many, 1 to 100.", strict=True, ge=1, le=100)]
WantedSize = Annotated[
    str,
    Field(
        description="Size wanted instead, such as XL; at most 40 characters.",
        max_length=40,
    ),
    AfterValidator(_plain),
]
AmountInCents = Annotated[
    int,
    Field(
        description="Whole cents, 1 or more: $24.99 is 2499. All that is left: refundable_in_cents of get_order.",
        strict=True,
        ge=1,
        le=10**9,
    ),
]
Revision = Annotated[
    int,
    Field(
        description="The revision of the preview that the person saw.",
        strict=True,
        ge=1,
        le=10**6,
    ),
]
Reason = Annotated[
    str,
    Field(
        description="Why, in one line of 1 to 500 characters; the customer may read it.",
        max_length=500,
    ),
    AfterValidator(_reason),
]
EarlierId = Annotated[str, AfterValidator(_id)]
InAdditionTo = Annotated[
    list[EarlierId],
    Field(
        description="Only for a deliberate further refund: exactly as an earlier answer gave it. At most 50.",
        max_length=50,
    ),
    BeforeValidator(_list_or_json),
]
RefundId = Annotated[
    str,
    Field(description="The refund_id (rfi_…) of the preview, not clawver_refund_id."),
    AfterValidator(_id),
]
RefundIdOrNothing = Annotated[
    str,
    Field(description="The refund_id (rfi_…) of refund_order, not clawver_refund_id."),
    AfterValidator(_id_or_nothing),
]
OrderIdOrNothing = Annotated[
    str,
    Field(description="Its order id, where refund_id was lost."),
    AfterValidator(_id_or_nothing),
]
WebhookUrl = Annotated[
    str,
    Field(
        description="https address, port 443, public host name; at most 2048 characters.",
        max_length=2048,
    ),
]
WebhookEvents = Annotated[
    list[EventName],
    Field(description="1 to 20 of these names.", min_length=1, max_length=20),
    BeforeValidator(_list_or_json),
]
WebhookId = Annotated[str, Field(description="From list_webhooks."), AfterValidator(_id)]
Since = Annotated[
    str,
    Field(
        description="From this day (2026-11-24) or UTC time on, or after this event: newest of an earlier answer.",
        max_length=40,
    ),
    AfterValidator(_since),
]
Before = Annotated[
    str,
    Field(
        description="Before this event: older of an earlier answer.",
        max_length=40,
    ),
    AfterValidator(_event_id_or_nothing),
]
EventOrderId = Annotated[
    str, Field(description="From list_orders."), AfterValidator(_id_or_nothing)
]
EventFilter = Annotated[
    str,
    Field(
        description="any, or an event name such as order.paid; at most 100 characters.",
        max_length=100,
    ),
    AfterValidator(_plain),
]
EventLimit = Annotated[
    int, Field(description="At most this many, 1 to 200.", strict=True, ge=1, le=200)
]
