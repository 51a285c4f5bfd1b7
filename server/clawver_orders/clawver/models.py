"""What Clawver sends: strict about what money rests on, tolerant of everything else.

An order's id, its total and its refunds are read strictly: a list of refunds that cannot be read
is an error, never an empty list. What is only shown is left out where it cannot be read, value by
value and line by line, so that nothing odd hides an order or stands in the way of its refund.

Every text passes `text.clean` on its way in, so nothing behind this module has to think about
it. Statuses stay text: a status invented tomorrow must not break reading an order.
"""

import re
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from clawver_orders.money import UNKNOWN, USD, currency_code
from clawver_orders.text import clean, is_id, is_token

_NETLOC = re.compile(r"(?:[A-Za-z0-9-][A-Za-z0-9.-]*|\[::1\])(?::\d{1,5})?")
_IN_ADDRESSES = "%:/?#[]@!$&'()*+,;="


def _to_note(value: object) -> object:
    return clean(value, 500, lines=True) if isinstance(value, str) else ""


def _words(value: object) -> str:
    """A text on one line. A number in the place of a text is a text of digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return clean(value, 200) if isinstance(value, str) else ""


def _words_or_none(value: object) -> str | None:
    return _words(value) or None


def _url_or_nothing(value: object) -> str:
    return clean(value, 2048) if isinstance(value, str) else ""


def _id_or_none(value: object) -> object:
    return value if isinstance(value, str) and is_id(value) else None


def _token_or_none(value: object) -> object:
    return value if isinstance(value, str) and is_token(value) else None


def _whole(value: object) -> object:
    """5.0 is a whole number to JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rounded_down(value: object) -> object:
    return int(value) if isinstance(value, float) and isfinite(value) else value


def _left_out(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


def _lines(value: object) -> list[object]:
    """The lines of a list that are objects: as many as a record may hold."""
    rows = value if isinstance(value, list | tuple) else ()
    return [row for row in rows[:SOME] if isinstance(row, dict | Record)]


def _objects(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[object]:
    rows = value if isinstance(value, list | tuple) else ()
    return [row for row in rows[:SOME] if isinstance(row, str)]


def _lines_or_none(value: object) -> list[object] | None:
    return _lines(value) if isinstance(value, list | tuple) else None


def _lines_left_out(value: object) -> int:
    """How many `_lines` does not take. What is no list counts as one."""
    rows = value if isinstance(value, list | tuple) else () if value is None else (value,)
    return len(rows) - len(_lines(value))


def _refund_status(value: object) -> str:
    """In small letters; nothing where there is none, and "?" where it cannot be read."""
    if value is None or value == "":
        return ""
    return (clean(value, 50) if isinstance(value, str) else "").lower() or "?"


def _counting(refunds: "tuple[Refund, ...] | None") -> "tuple[Refund, ...] | None":
    return None if refunds is None else tuple(each for each in refunds if each.counts)


def _not_counting(refunds: "tuple[Refund, ...]") -> "tuple[Refund, ...]":
    return tuple(each for each in refunds if not each.counts)


def _or_empty(value: object) -> object:
    return () if value is None else value


def _nothing(_: object) -> str:
    return ""


def _none(_: object) -> None:
    return None


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict | Record) else None


def _checked_id(value: object) -> object:
    if isinstance(value, str) and not is_id(value):
        raise ValueError("not an id")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("not a time") from None


def _web_address(value: object) -> object:
    """Only what a person can safely open: https, or http on this machine.

    Spaces and letters of other scripts in the path are encoded, as a browser would do it.
    """
    if not isinstance(value, str):
        return value
    if not value.isprintable() or "\\" in value or value != value.strip():
        raise ValueError("not a web address")
    parts = urlsplit(value)
    local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not (local or parts.scheme == "https") or not _NETLOC.fullmatch(parts.netloc):
        raise ValueError("not an https address")
    address = quote(value, safe=_IN_ADDRESSES)
    if len(address) > 4096:
        raise ValueError("too long for a web address")
    return address


SOME = 1000  # the most of anything a single answer may list
# Strict: without it there is no record.
Id = Annotated[str, BeforeValidator(_checked_id)]
WebAddress = Annotated[str, BeforeValidator(_web_address)]
Cents = Annotated[int, Field(strict=True, ge=0, le=10**12)]
# Only shown: left out where it cannot be read.
SHOWN = WrapValidator(_left_out)
Note = Annotated[str, BeforeValidator(_to_note)]
Words = Annotated[str, BeforeValidator(_words)]
OptionalWords = Annotated[str | None, BeforeValidator(_words_or_none)]
OptionalId = Annotated[str | None, BeforeValidator(_id_or_none)]
OptionalToken = Annotated[str | None, BeforeValidator(_token_or_none)]
OptionalUrl = Annotated[WebAddress | None, SHOWN]
Url = Annotated[str, BeforeValidator(_url_or_nothing)]
UtcTime = Annotated[Annotated[datetime, AfterValidator(_in_utc)] | None, SHOWN]
ShownCents = Annotated[
    Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)] | None,
    BeforeValidator(_whole),
    SHOWN,
]
"""Below nothing too: a line of an order can be a discount."""
Pieces = Annotated[
    Annotated[int, Field(strict=True, ge=0, le=10**6)] | None, BeforeValidator(_whole), SHOWN
]


UnreadItems = Annotated[int, BeforeValidator(_lines_left_out), Field(validation_alias="items")]


class Record(BaseModel):
    """Immutable, tolerant of new fields, strict about the ones we use."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        defer_build=True,  # a call needs few of them
    )


def _one_currency(*rows: dict[str, Any]) -> str | None:
    """The currency that objects name; None where none does, and `UNKNOWN` where they disagree."""
    named = {currency_code(row.get(key)) for row in rows for key in ("currency", "currencyCode")}
    codes = named - {None}
    return UNKNOWN if len(codes) > 1 else next(iter(codes), None)


class InOneCurrency(Record):
    """What has amounts that belong together, on itself and on its lines."""

    currency: Words = USD
    """A code of ISO 4217, in capitals. `UNKNOWN` where it cannot be read, and where parts disagree."""

    @model_validator(mode="before")
    @classmethod
    def _find_currency(cls, body: Any) -> Any:
        """It names one, or its lines do; without any it is in US dollars."""
        if not isinstance(body, dict):
            return body
        lines = [*_objects(body.get("items")), *_objects(body.get("refunds"))]
        return body | {"currency": _one_currency(body, *lines) or USD}


class Item(Record):
    """A line of an order."""

    id: OptionalId = None
    product_id: OptionalId = None
    product_name: Words = ""
    product_type: Words = ""
    price_in_cents: ShownCents = None
    quantity: Pieces = 1
    """None where it cannot be read, as with a piece and a half."""
    total_in_cents: ShownCents = None
    variant_id: OptionalWords = None
    variant_name: OptionalWords = None

    @property
    def name(self) -> str:
        """What it is, for a reader."""
        return self.product_name or "?"

    @property
    def pieces(self) -> str:
        """How many, for a reader."""
        return "?" if self.quantity is None else str(self.quantity)

    @property
    def is_digital(self) -> bool:
        """Whether the item is a file to download."""
        return self.product_type == "digital"

    @property
    def is_printed(self) -> bool:
        """Whether the item is made and shipped."""
        return self.product_type == "print_on_demand"


class PostalAddress(Record):
    """Where a printed item goes. Its shape is not documented; what is there is read."""

    name: OptionalWords = None
    line1: OptionalWords = None
    line2: OptionalWords = None
    city: OptionalWords = None
    state: OptionalWords = None
    postal_code: OptionalWords = None
    country: OptionalWords = None


class Refund(Record):
    """A refund as Clawver lists it. Its status is not documented; the words are those of Stripe."""

    id: Id
    amount_in_cents: Annotated[int, Field(strict=True, ge=0, le=10**12)]
    status: Annotated[str, BeforeValidator(_refund_status)] = ""
    reason: Note = ""
    stripe_refund_id: OptionalId = None
    created_at: UtcTime = None

    @property
    def age_order(self) -> tuple[datetime, str]:
        """Sorts refunds by their age. One that does not tell its time counts as older than any other."""
        return self.created_at or datetime.min.replace(tzinfo=UTC), self.id

    @property
    def counts(self) -> bool:
        """Whether it is money that went back, or is on its way."""
        return self.amount_in_cents > 0 and self.status in {"", "succeeded", "pending"}

    @property
    def moved_nothing(self) -> bool:
        """Whether it is certain that no money went back by it, nor will."""
        return self.amount_in_cents == 0 or self.status in {"failed", "canceled", "cancelled"}


Refunds = Annotated[tuple[Refund, ...], Field(max_length=SOME)]


class Order(InOneCurrency):
    """An order. A row of a list may carry only the first four fields."""

    id: Id
    total_in_cents: Cents
    status: Words = ""
    created_at: UtcTime = None
    payment_status: Words = ""
    paid_at: UtcTime = None
    customer_email: OptionalWords = None
    items: Annotated[tuple[Item, ...] | None, BeforeValidator(_lines_or_none)] = None
    unread_items: UnreadItems = 0
    """How many lines of it are not among its items, because they cannot be read."""
    shipping_address: Annotated[PostalAddress | None, BeforeValidator(_object_or_none)] = None
    tracking_url: OptionalUrl = None
    tracking_number: OptionalWords = None
    carrier: OptionalWords = None
    refunds: Annotated[Refunds | None, AfterValidator(_counting)] = None
    """Those that count as money; None where the order lists none at all."""
    uncounted_refunds: Annotated[
        Refunds,
        BeforeValidator(_or_empty),
        AfterValidator(_not_counting),
        Field(validation_alias="refunds"),
    ] = ()
    """The others that it lists: failed, canceled, of nothing, or in a status that is not clear.
    They are never taken for money."""
    sandbox: Annotated[str, BeforeValidator(_nothing)] = ""
    """The id of the sandbox store that sent it, and nothing where a real one did. It comes from a
    header, and never from the order itself."""
    answered_at: Annotated[datetime | None, BeforeValidator(_none)] = None
    """The server's time when it sent the order; None where it did not say. It comes from the header
    `Date`, and never from the order itself."""

    @property
    def age_order(self) -> tuple[datetime, str]:
        """Sorts orders by their age. One that does not tell its time counts as older than any other."""
        return self.created_at or datetime.min.replace(tzinfo=UTC), self.id

    @property
    def is_paid(self) -> bool:
        """Whether it holds a payment that is not refunded in full."""
        return self.payment_status in {"paid", "partially_refunded"}

    @property
    def is_refunded(self) -> bool:
        """Whether it is refunded in full."""
        return self.payment_status == "refunded"

    @property
    def was_paid(self) -> bool:
        """Whether it was ever paid, whatever went back."""
        return self.is_paid or self.is_refunded

    @property
    def refunded_in_cents(self) -> int:
        """What the listed refunds that count add up to, in cents."""
        return sum(refund.amount_in_cents for refund in self.refunds or ())

    @property
    def certainly_refunded_in_cents(self) -> int | None:
        """The same; None where the order does not tell it for certain."""
        if self.has_unclear_refunds:
            return None
        never = self.payment_status in {"paid", "pending", "failed"}
        return self.refunded_in_cents if self.refunds or never else None

    @property
    def has_unclear_refunds(self) -> bool:
        """Whether it lists a refund of which it is not clear whether money went back, or will."""
        return not all(refund.moved_nothing for refund in self.uncounted_refunds)

    @property
    def refundable_in_cents(self) -> int | None:
        """What can still be given back, in cents; None where the order does not tell.

        Nothing unless the order is paid. `paid` says that nothing went back yet, so a
        missing list is none; `partially_refunded` without a list leaves the rest unknown, and
        so does a refund that is not clear.
        """
        if not self.is_paid:
            return 0
        if not self.lists_its_refunds:
            return None
        return max(0, self.total_in_cents - self.refunded_in_cents)

    @property
    def lists_its_refunds(self) -> bool:
        """Whether what is not listed was not refunded: a list that contradicts the payment is none."""
        if self.has_unclear_refunds:
            return False
        return bool(self.refunds) or self.payment_status == "paid"


Order.model_rebuild()  # here and now: threads that keep orders would build it at the same time


class ReviewAnswer(Record):
    """What the merchant wrote under a review."""

    body: Note = ""
    created_at: UtcTime = None


class Review(Record):
    """What a customer wrote about an order."""

    order_id: OptionalId = None
    rating: Pieces = None
    """Of five stars."""
    title: Words = ""
    body: Note = ""
    reviewer_name: Words = ""
    reviewer_email: OptionalWords = None
    created_at: UtcTime = None
    response: Annotated[ReviewAnswer | None, BeforeValidator(_object_or_none)] = None


class OrderPage(Record):
    """Orders as `GET /orders` gives them, with whatever the page says about more of them."""

    orders: Annotated[tuple[Order, ...], Field(max_length=SOME)]
    has_more: bool | None = None
    limit: int | None = None
    """The most orders that the store says a page has; None where it does not say."""
    unreadable: int = 0
    """Rows that are no orders as far as this version can tell."""

    @model_validator(mode="before")
    @classmethod
    def _find_parts(cls, body: Any) -> Any:
        """Pagination stands under `meta` or at the top level, or nowhere."""
        if not isinstance(body, dict):
            return body
        meta = body.get("meta")
        pages = meta.get("pagination") if isinstance(meta, dict) else body.get("pagination")
        more, limit = (
            (pages.get("hasMore"), pages.get("limit")) if isinstance(pages, dict) else (None, None)
        )
        data = body.get("data")
        rows = data.get("orders") if isinstance(data, dict) else None
        if not isinstance(rows, list):
            return {"orders": None}
        orders = [_order_or_none(row) for row in rows[: SOME + 1]]
        return {
            "orders": [order for order in orders if order is not None],
            "hasMore": more if isinstance(more, bool) else None,
            "limit": limit if type(limit) is int and 0 < limit <= SOME else None,
            "unreadable": orders.count(None),
        }


def _order_or_none(row: object) -> Order | None:
    """One order that cannot be read must not hide all the others."""
    try:
        return Order.model_validate(row)
    except ValidationError:
        return None


class Download(Record):
    """A signed link to a file; it works for a while and for whoever holds it."""

    download_url: WebAddress
    expires_in_minutes: Annotated[
        Annotated[int, Field(ge=0, le=10**6)] | None, BeforeValidator(_rounded_down), SHOWN
    ] = None
    file_name: OptionalWords = None
    file_size_bytes: Annotated[
        Annotated[int, Field(ge=0, le=10**15)] | None, BeforeValidator(_whole), SHOWN
    ] = None


class ReceiptItem(Record):
    """A line of a receipt; a digital one carries the token that opens its download."""

    id: OptionalId = None
    product_name: Words = ""
    product_type: Words = ""
    quantity: Pieces = 1
    total_in_cents: ShownCents = None
    download_token: OptionalToken = None

    @property
    def pieces(self) -> str:
        """How many, for a reader."""
        return "?" if self.quantity is None else str(self.quantity)


class Receipt(InOneCurrency):
    """The receipt of a checkout. Its shape is not documented; what is there is read."""

    checkout_id: OptionalId = None
    order_id: OptionalId = None
    order_status_token: OptionalToken = None
    customer_email: OptionalWords = None
    total_in_cents: ShownCents = None
    items: Annotated[tuple[ReceiptItem, ...], BeforeValidator(_lines)] = ()
    unread_items: UnreadItems = 0


class Variant(Record):
    """One size of a printed product."""

    id: OptionalWords = None
    name: Words = ""
    price_in_cents: ShownCents = None
    printful_variant_id: OptionalWords = None
    size: Words = ""
    in_stock: Annotated[bool | None, SHOWN] = None
    availability_status: Words = ""

    @property
    def is_available(self) -> bool | None:
        """Whether it can be ordered now; None where the product does not say."""
        return False if self.availability_status == "out_of_stock" else self.in_stock


class PrintOnDemand(Record):
    """How a product is printed."""

    variants: Annotated[tuple[Variant, ...], BeforeValidator(_lines)] = ()


class Product(Record):
    """A product of the store."""

    id: OptionalId = None
    name: Words = ""
    currency: Annotated[str | None, BeforeValidator(currency_code)] = None
    """None where it does not say."""
    print_on_demand: Annotated[PrintOnDemand | None, BeforeValidator(_object_or_none)] = None


class StoreDetails(Record):
    """The store that a key opens. Its shape is not documented; what is there is read."""

    id: Annotated[Id, Field(validation_alias=AliasChoices("id", "storeId"))]
    name: Annotated[Words, Field(validation_alias=AliasChoices("name", "storeName"))] = ""


class Webhook(Record):
    """A registered receiver of order events. Its secret is never read back."""

    id: OptionalId = None
    url: Url = ""
    events: Annotated[tuple[Words, ...], BeforeValidator(_texts)] = ()
    created_at: UtcTime = None
