"""What an agent gets: what all answers have in common.

An amount of money is one text such as `$24.99`, a time one text that says how long ago it was.
Whole cents stand beside an amount only where a tool takes them. Texts that customers or products
brought along stand in fields of their own and never in our sentences. What is not known, or
empty, is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from clawver_orders.clawver.models import Order
from clawver_orders.money import USD, display
from clawver_orders.orders.privacy import Masking

if TYPE_CHECKING:
    from clawver_orders.refunds.records import Wish

TRACKING_IS_HIDDEN = (
    "The tracking is hidden here (CLAWVER_PII=masked): ask the merchant to give it to the customer."
)
LINES_SHOWN = 20
"""The most lines of an order or a receipt that an answer has."""
LEDGER_UNREADABLE = (
    "Whether a refund is under way is not known, because the refund ledger cannot be read now: ask a person to "
    "run clawver-orders doctor before anything about money."
)


@dataclass(frozen=True)
class InWords:
    """Has a value sent as a text.

    Args:
        say: Takes the value, the time of the answer and the currency of its amounts, and gives the text.
    """

    say: Callable[[Any, datetime, str], str]


class Part(BaseModel):
    """A piece of an answer. What is None is left out of what is sent, and so is what may be empty and is."""

    model_config = ConfigDict(frozen=True, defer_build=True)

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
            if value is None or (value in ("", []) and not _is_always_sent(type(self), name)):
                continue
            about = words.get(name)
            result[name] = (
                about.say(value, now, currency) if about else _plain(value, now, currency)
            )
        return result


class Answer(Part):
    """A whole answer."""

    next_step: str = ""
    sandbox: str | None = Field(None, description="Present when no real money moves.")


def _is_always_sent(kind: type[Part], name: str) -> bool:
    return kind.model_fields[name].is_required()


def _plain(value: object, now: datetime, currency: str) -> object:
    if isinstance(value, Part):
        return value.said(now, currency)
    if isinstance(value, list):
        return [_plain(each, now, currency) for each in value]
    return value


@cache
def _words_of(kind: type[Part]) -> dict[str, InWords]:
    """The fields whose values are sent in words, and how."""
    found = {}
    for name, field in kind.model_fields.items():
        inside = (getattr(each, "__metadata__", ()) for each in get_args(field.annotation))
        for about in chain(field.metadata, *inside):
            if isinstance(about, InWords):
                found[name] = about
    return found


def in_utc(moment: datetime) -> str:
    """A time in UTC, to the minute."""
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    passed = now - moment
    for unit, size in (("days", timedelta(days=1)), ("hours", timedelta(hours=1))):
        if passed >= 2 * size:
            return f"{passed // size} {unit} ago"
    minutes = max(0, passed // timedelta(minutes=1))
    return f"{minutes} minute{'' if minutes == 1 else 's'} ago"


def past(moment: datetime, now: datetime) -> str:
    """A time that has passed, as answers give it: when it was, and how long ago."""
    return f"{in_utc(moment)}, {ago(moment, now)}"


_TEXT = WithJsonSchema({"type": "string"})
Money = Annotated[int, _TEXT, InWords(lambda cents, _, currency: display(cents, currency))]
"""An amount of money in cents, sent as `$24.99`, in the `currency` of the part or of what it is in."""
Past = Annotated[datetime, _TEXT, InWords(lambda moment, now, _: past(moment, now))]
"""A time that has passed, sent as `2026-11-24T09:30Z, 3 hours ago`."""


Row = TypeVar("Row", bound=Part)


class Table(NamedTuple, Generic[Row]):
    """Rows as answers have them: the names of the columns once, since a list is mostly names otherwise."""

    columns: list[str]
    cells: list[list[str]]
    in_all_rows: Row | None
    """What is the same in all rows; None where nothing is."""


def table(rows: Sequence[Row]) -> Table[Row]:
    """Rows without the columns that are empty in all of them, and with what is the same in all said once.

    Args:
        rows: Parts of one kind, all of whose fields are texts with an empty default; the first one is
            never empty, and always a column.
    """
    if not rows:
        return Table([], [], None)
    named = {name: [str(getattr(row, name)) for row in rows] for name in type(rows[0]).model_fields}
    filled = {name: cells for name, cells in named.items() if any(cells)}
    first, *others = filled
    alike = [name for name in others if len(rows) > 1 and len(set(filled[name])) == 1]
    same = {name: filled[name][0] for name in alike}
    columns = [first, *(name for name in others if name not in same)]
    cells = [list(row) for row in zip(*(filled[name] for name in columns), strict=True)]
    return Table(columns, cells, type(rows[0])(**same) if same else None)


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


def parcel(order: Order, masking: Masking) -> str:
    """Where the parcel of an order is, in a row: carrier and number, or the address where there is no number."""
    found = order.tracking_number or order.tracking_url
    return " ".join(filter(None, (order.carrier, masking.detail(found))))


def in_one_line(order: Order, most: int = 2) -> str:
    """The items of an order, each in a few words, and how many more there are.

    Args:
        order: The order.
        most: How many items are named.
    """
    items = order.items or ()
    words = []
    for item in items[:most]:
        name = item.name if len(item.name) <= 40 else item.name[:39] + "…"
        words.append(f"{item.pieces}× {name}" if item.quantity != 1 else name)
    more = len(items) - len(words) + order.unread_items
    return "; ".join([*words, f"{more} more"] if more else words)


def and_more(left_out: Sequence[int | None], currency: str = USD) -> str | None:
    """How many lines an answer leaves out, and what they come to; None where it has all of them.

    Args:
        left_out: The amount of each, in the smallest unit of the currency; None where it isn't known.
        currency: That of the amounts.
    """
    if not left_out:
        return None
    known = [amount for amount in left_out if amount is not None]
    together = f", {display(sum(known), currency)} together" if len(known) == len(left_out) else ""
    return f"{len(left_out)} more{together}"


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


def look_first(opened: "Wish") -> str:
    """What comes before anything about money on an order with a refund whose outcome isn't known."""
    return (
        f"The outcome of a refund of {display(opened.amount_in_cents)} on this order is not known yet: call "
        f"check_refund with refund_id {opened.refund_id} before you do or promise anything about its money."
    )
