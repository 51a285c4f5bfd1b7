"""What an agent gets: what all answers have in common.

Money stands in cents and in words, times in UTC. Texts that customers or products brought
along stand in fields of their own and never in our sentences. What is not known is left out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from clawver_orders.clawver.models import Order
from clawver_orders.money import USD, display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.records import Wish

TRACKING_IS_HIDDEN = (
    "The tracking is hidden here (CLAWVER_PII=masked): ask the merchant to give it to the customer."
)
LEDGER_UNREADABLE = (
    "Whether a refund is under way is not known, because the refund ledger cannot be read now: ask a person to "
    "run clawver-orders doctor before anything about money."
)


@dataclass(frozen=True)
class InWords:
    """Has a value said a second time, in words: in a field of its own, right behind the value's.

    Args:
        ending: What the name of the value's field may end in.
        instead: What the name of the other field has in its place.
        say: Takes the value, the time of the answer and the currency of its amounts, and gives the words.
    """

    ending: str
    instead: str
    say: Callable[[Any, datetime, str], str]


class Part(BaseModel):
    """A piece of an answer. What is None is left out of what is sent."""

    model_config = ConfigDict(frozen=True)

    def said(self, now: datetime, currency: str = USD) -> dict[str, Any]:
        """What is sent of it, as plain JSON values, at a certain time.

        Args:
            now: The time of the answer.
            currency: That of its amounts, where it has no `currency` of its own.
        """
        words = _words_of(type(self))
        currency = getattr(self, "currency", None) or currency
        result: dict[str, Any] = {}
        for name, value in self:
            if value is not None:
                result[name] = _plain(value, now, currency)
                if name in words:
                    other, about = words[name]
                    result[other] = about.say(value, now, currency)
        return result

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """With the words right behind each value that has some, and needed where the value is."""
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        words = {name: (name, other) for name, (other, _) in _words_of(cls).items()}

        def with_words(names: Iterable[str]) -> list[str]:
            return [each for name in names for each in words.get(name, (name,))]

        fields = schema["properties"]
        schema["properties"] = {n: fields.get(n, {"type": "string"}) for n in with_words(fields)}
        if "required" in schema:
            schema["required"] = with_words(schema["required"])
        return reference


class Answer(Part):
    """A whole answer."""

    next_step: str
    sandbox: str | None = Field(None, description="Present when no real money moves.")


def _plain(value: object, now: datetime, currency: str) -> object:
    if isinstance(value, Part):
        return value.said(now, currency)
    if isinstance(value, list):
        return [_plain(each, now, currency) for each in value]
    return in_utc(value) if isinstance(value, datetime) else value


@cache
def _words_of(kind: type[Part]) -> dict[str, tuple[str, InWords]]:
    """The fields whose values are said in words too: the name of the other field, and how."""
    found = {}
    for name, field in kind.model_fields.items():
        inside = (getattr(each, "__metadata__", ()) for each in get_args(field.annotation))
        for about in chain(field.metadata, *inside):
            if isinstance(about, InWords):
                found[name] = (name.removesuffix(about.ending) + about.instead, about)
    return found


def in_utc(moment: datetime) -> str:
    """A time as Clawver writes it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    passed = now - moment
    for unit, size in (("days", timedelta(days=1)), ("hours", timedelta(hours=1))):
        if passed >= 2 * size:
            return f"{passed // size} {unit} ago"
    minutes = max(0, passed // timedelta(minutes=1))
    return f"{minutes} minute{'' if minutes == 1 else 's'} ago"


MoneyInCents = Annotated[
    int, InWords("_in_cents", "", lambda cents, _, currency: display(cents, currency))
]
"""An amount of money: `x_in_cents`, and `x` behind it, in the `currency` of the part or of what it is in."""
Past = Annotated[
    datetime,
    WithJsonSchema({"type": "string"}),
    InWords("_at", "_ago", lambda moment, now, _: ago(moment, now)),
]
"""A time that has passed, in UTC: `x_at`, and `x_ago` behind it."""


class Tracking(Part):
    """Where a parcel is."""

    carrier: str | None = None
    number: str | None = None
    url: str | None = None


def tracking(order: Order, masking: Masking) -> Tracking | None:
    """Where the parcel of an order is; None before it is shipped."""
    if not (order.carrier or order.tracking_number or order.tracking_url):
        return None
    return Tracking(
        carrier=order.carrier,
        number=masking.detail(order.tracking_number),
        url=masking.detail(order.tracking_url),
    )


def in_one_line(order: Order) -> str:
    """At most two items of an order, each in a few words, and how many more there are."""
    items = order.items or ()
    words = []
    for item in items[:2]:
        name = item.name if len(item.name) <= 40 else item.name[:39] + "…"
        words.append(f"{item.pieces}× {name}" if item.quantity != 1 else name)
    more = len(items) - len(words) + order.unread_items
    return "; ".join([*words, f"{more} more"] if more else words)


def unless_usd(currency: str | None) -> str | None:
    """A currency as answers give it: it goes without saying that an amount is in US dollars."""
    return None if currency == USD else currency


def no_refund_here(order: Order, read_only_because: str) -> str:
    """Why an order cannot be refunded through this server, whatever is left; nothing where it can."""
    if read_only_because:
        return read_only_because
    return "" if order.currency == USD else "the limits for refunds are in US dollars"


def unread_lines(lines: int) -> str:
    """What has to be said where not all lines of an order or a receipt can be read; mostly nothing."""
    return f"Lines that cannot be read and are left out of items: {lines}." if lines else ""


def among_readable(order: Order) -> str:
    """What "the order has no such item" has to add where not all of its lines can be read."""
    return " among the lines that can be read" if order.unread_items else ""


def look_first(opened: Wish) -> str:
    """What comes before anything about money on an order with a refund that is not settled."""
    return (
        f"A refund of {display(opened.amount_in_cents)} on this order is not settled yet: call check_refund with "
        f"refund_id {opened.refund_id} before anything about its money."
    )
