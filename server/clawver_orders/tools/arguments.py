"""The words a tool understands: the type of every argument, with its rules in its description.

An empty text always means "not given". Some clients drop bounds from a schema, so the
description repeats them.
"""

import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from clawver_orders.days import IN_UTC, Calendar, next_day
from clawver_orders.errors import InvalidRequestError
from clawver_orders.history.summing import By
from clawver_orders.orders.lifecycle import KnownPaymentStatus, KnownStatus
from clawver_orders.text import is_email, is_id, is_token, is_written, written
from clawver_orders.webhooks.signature import EventName

_EVENT_ID = re.compile(r"evt_(0|[1-9][0-9]{0,17})")
MOST_IDS = 10
"""How many orders one call reads."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAYS_AGO = {"today": 0, "yesterday": 1}
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""For telling whether a text means a time at all."""


def _at_most(longest: int) -> AfterValidator:
    """A bound that the schema leaves out, because nobody comes near it in earnest."""

    def check(value: str) -> str:
        if len(value) > longest:
            raise ValueError(f"must have at most {longest} characters")
        return value

    return AfterValidator(check)


def _up_to(most: int) -> AfterValidator:
    """The same for a number."""

    def check(value: int) -> int:
        if value > most:
            raise ValueError(f"must be at most {most}")
        return value

    return AfterValidator(check)


def _whole(value: object) -> object:
    """5.0 is a whole number to JSON, and some hosts write every number so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _cursor(value: str) -> str:
    if value and not (re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII) and abs(int(value)) < 2**63):
        raise ValueError("must be the cursor of another answer")
    return value


def _unless_any(value: object) -> object:
    """`any` is not given: what a model says where it wants no filter."""
    return None if value == "any" else value


def _id(value: str) -> str:
    if not is_id(value):
        raise ValueError(
            "must be an id: 1 to 255 letters, digits, _ or -, copied from another answer"
        )
    return value


def ids_in(value: str) -> list[str]:
    """The ids of a text that has commas between them, each once."""
    return list(dict.fromkeys(part for each in value.split(",") if (part := each.strip())))


def _as_one_text(value: object) -> object:
    """Some hosts send a list where a text with commas is meant."""
    value = _list_or_json(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    return value


def _ids(value: str) -> str:
    ids = ids_in(value)
    if not 0 < len(ids) <= MOST_IDS or not all(is_id(each) for each in ids):
        raise ValueError(
            f"must be an id, or up to {MOST_IDS} with commas in between: each 1 to 255 letters, digits, _ or -, "
            "copied from another answer"
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
    """One line in NFC, as Clawver's texts are compared. Joiners and selectors without use are left out."""
    stripped = unicodedata.normalize("NFC", value.strip())
    if not all(is_written(c) and c != "\N{REPLACEMENT CHARACTER}" for c in stripped):
        raise ValueError("must be one line of plain text without control or invisible characters")
    return written(stripped)


def _reason(value: str) -> str:
    plain = _plain(value)
    if not plain:
        raise ValueError("must say why: Clawver requires a reason, and the customer may read it")
    return plain


def _email(value: str) -> str:
    plain = _plain(value)
    if plain and not is_email(plain):
        raise ValueError(
            "must be a whole e-mail address: a name or a part of one is for search in list_orders"
        )
    return plain


def _whole_email(value: str) -> str:
    if not (plain := _email(value)):
        raise ValueError("must be a whole e-mail address")
    return plain


def _moment(value: str) -> str:
    moment(value, IN_UTC, _SOME_TIME)
    return value


def _is_day(value: str) -> bool:
    """Whether a text means a day, and no single moment."""
    return value in _DAYS_AGO or _DAY.fullmatch(value) is not None


def zone_of(calendar: Calendar, *given: str) -> str | None:
    """The name of the time zone, where any of the texts means a day in it."""
    return calendar.name if any(map(_is_day, given)) else None


def moment(value: str, calendar: Calendar, now: datetime) -> datetime:
    """A day (its first moment) or a time with its offset, as an aware UTC time.

    Args:
        value: Such as 2026-11-24, today, yesterday or 2026-11-24T09:30:00Z.
        calendar: Whose days are meant.
        now: The current time.

    Raises:
        ValueError: It is neither.
    """
    problem = (
        "must be a day like 2026-11-24, today, yesterday, or a UTC time like 2026-11-24T09:30:00Z"
    )
    if value in _DAYS_AGO:
        return calendar.begin_of(next_day(calendar.day_of(now), -_DAYS_AGO[value]))
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(problem) from None
    if _is_day(value):
        return calendar.begin_of(parsed.date())
    if parsed.tzinfo is None or not value.isascii():
        raise ValueError(problem)
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError(problem) from None


def span_of(
    created_after: str, created_before: str, calendar: Calendar, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """The two ends of a span, each None where it was not given.

    Args:
        created_after: Its beginning, as an argument.
        created_before: Its end, as an argument.
        calendar: Whose days are meant.
        now: The current time.

    Raises:
        InvalidRequestError: No order can be in it.
    """
    after, before = (
        moment(each, calendar, now) if each else None for each in (created_after, created_before)
    )
    if after is not None and before is not None and after >= before:
        raise InvalidRequestError(
            "created_after is not before created_before, so no order can match. Nothing was sent.",
            next_step="Give the first day as created_after, and the day after the last one as created_before.",
        )
    if after is not None and after > now:
        raise InvalidRequestError(
            f"created_after is in the future: it is {now:%Y-%m-%d %H:%M} in UTC. Nothing was sent.",
            next_step="Give created_after as a day or time that has begun.",
        )
    return after, before


def _since(value: str) -> str:
    if value and event_number(value) is None:
        try:
            _moment(value)
        except ValueError:
            raise ValueError(
                "must be a day like 2026-11-24, today, yesterday, a UTC time like 2026-11-24T09:30:00Z, or an "
                "event id like evt_17"
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


def _list_of_at_most(most: int) -> BeforeValidator:
    """The same, and before anything in it is looked at, how long it is."""

    def check(value: object) -> object:
        value = _list_or_json(value)
        if isinstance(value, list) and len(value) > most:
            raise ValueError(f"must have at most {most}")
        return value

    return BeforeValidator(check)


def _list_or_words(value: object) -> object:
    """The same, or as words with commas in between."""
    value = _list_or_json(value)
    return [each.strip() for each in value.split(",")] if isinstance(value, str) else value


OrderId = Annotated[str, AfterValidator(_id)]
OrderIds = Annotated[
    str,
    Field(description="One, or up to 10 with commas."),
    BeforeValidator(_as_one_text),
    AfterValidator(_ids),
]
Include = Annotated[
    list[Literal["address", "timeline", "all_items"]],
    Field(description="timeline: what happened. all_items: beyond 20."),
    BeforeValidator(_list_or_words),
]
ItemId = Annotated[
    str,
    Field(description="From get_order, if it has several downloads."),
    AfterValidator(_id_or_nothing),
]
CheckoutId = Annotated[str, Field(description="From the order confirmation."), AfterValidator(_id)]
OrderStatusToken = Annotated[
    str,
    Field(description="From their link, or get_receipt."),
    AfterValidator(_token),
]
DownloadToken = Annotated[
    str,
    Field(description="To test a customer's own link, with item_id."),
    AfterValidator(_token_or_nothing),
]
StatusFilter = Annotated[KnownStatus | None, BeforeValidator(_unless_any)]
PaymentStatus = Annotated[KnownPaymentStatus | None, BeforeValidator(_unless_any)]
CustomerEmail = Annotated[
    str, Field(description="All of it."), _at_most(200), AfterValidator(_email)
]
WholeEmail = Annotated[str, _at_most(200), AfterValidator(_whole_email)]
ProductText = Annotated[
    str, Field(description="Part of its name."), _at_most(200), AfterValidator(_plain)
]
SearchText = Annotated[
    str,
    Field(description="Part of a name, e-mail, tracking number, id."),
    _at_most(200),
    AfterValidator(_plain),
]
Cursor = Annotated[
    str, Field(description="An answer's, for the next page."), AfterValidator(_cursor)
]
CreatedAfter = Annotated[
    str,
    Field(description="2026-11-24, today, or a UTC time."),
    _at_most(40),
    AfterValidator(_moment),
]
CreatedBefore = Annotated[
    str, Field(description="Before then."), _at_most(40), AfterValidator(_moment)
]
SplitBy = Annotated[By | None, BeforeValidator(_unless_any)]
Limit = Annotated[int, Field(strict=True, ge=1, le=100), BeforeValidator(_whole)]
WantedSize = Annotated[str, Field(description="Such as XL."), _at_most(40), AfterValidator(_plain)]
AmountInCents = Annotated[
    int,
    Field(
        description="$24.99 is 2499; at most refundable_in_cents.",
        strict=True,
        ge=1,
    ),
    BeforeValidator(_whole),
    _up_to(10**9),
]
Revision = Annotated[
    int,
    Field(description="Of that preview.", strict=True, ge=1),
    BeforeValidator(_whole),
    _up_to(10**6),
]
Reason = Annotated[
    str,
    Field(description="The customer may read it."),
    _at_most(500),
    AfterValidator(_reason),
]
EarlierId = Annotated[str, AfterValidator(_id)]
InAdditionTo = Annotated[
    list[EarlierId],
    Field(description="For one more of this amount: the list in that answer."),
    _list_of_at_most(50),
]
RefundId = Annotated[str, Field(description="rfi_… of that preview."), AfterValidator(_id)]
RefundIdOrNothing = Annotated[
    str,
    Field(description="rfi_… of an earlier answer."),
    AfterValidator(_id_or_nothing),
]
OrderIdOrNothing = Annotated[
    str, Field(description="Instead, if that was lost."), AfterValidator(_id_or_nothing)
]
WebhookUrl = Annotated[
    str, Field(description="https, port 443, a public host name."), _at_most(2048)
]
WebhookEvents = Annotated[
    list[EventName],
    Field(description="Those that are needed.", min_length=1),
    _list_of_at_most(20),
]
WebhookId = Annotated[str, Field(description="From list_webhooks."), AfterValidator(_id)]
Since = Annotated[
    str,
    Field(description="From a day or UTC time on, or after an answer's `newest`."),
    _at_most(40),
    AfterValidator(_since),
]
Before = Annotated[
    str,
    Field(description="An answer's `older`, for the rest."),
    _at_most(40),
    AfterValidator(_event_id_or_nothing),
]
EventOrderId = Annotated[
    str, Field(description="Only of this order."), AfterValidator(_id_or_nothing)
]
EventFilter = Annotated[
    str,
    Field(description="One name, such as order.paid or review.received; any for all."),
    _at_most(100),
    AfterValidator(_plain),
]
EventLimit = Annotated[int, Field(strict=True, ge=1, le=200), BeforeValidator(_whole)]
