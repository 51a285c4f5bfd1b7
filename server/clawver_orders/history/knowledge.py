"""What is known of one order, whatever the order in which it was learned. No I/O.

Clawver shows an order in full, or as a row of a list with little more than its total. The newest of
each is kept: an older one never replaces a newer one, and a row never takes away what was read.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

Body = dict[str, Any]
"""An order as Clawver sent it, in the fields that are kept."""
Source = Literal["list", "read", "event"]
_WHOLE = frozenset(
    {"items", "refunds", "paymentStatus", "customerEmail", "shippingAddress", "trackingNumber"}
)
"""What a row of a list has where it is a whole order."""

_ADDRESS = ("name", "line1", "line2", "city", "state", "postalCode", "country")
_ITEM = (
    "id", "productId", "productName", "productType", "priceInCents", "quantity", "totalInCents",
    "variantId", "variantName", "currency", "currencyCode",
)  # fmt: skip
_REFUND = (
    "id", "amountInCents", "status", "reason", "stripeRefundId", "createdAt", "currency", "currencyCode",
)  # fmt: skip
_ORDER = (
    "id", "status", "paymentStatus", "subtotalInCents", "platformFeeInCents", "totalInCents", "createdAt",
    "paidAt", "customerEmail", "trackingUrl", "trackingNumber", "carrier", "currency", "currencyCode",
)  # fmt: skip


@dataclass(frozen=True)
class Sighting:
    """An order as it was seen."""

    order_id: str
    body: Body | None
    """None where Clawver said that there is no such order."""
    source: Source
    asked_at: float
    """When it was asked for, in seconds since the epoch: what was seen is no older."""
    sandbox: str = ""
    """The id of the sandbox store that sent it; nothing where a real one did."""


@dataclass(frozen=True)
class Knowledge:
    """What is known of an order. Times are in seconds since the epoch."""

    order_id: str
    whole: Body | None = None
    whole_at: float | None = None
    """When it was last seen in full; with `whole` None, when Clawver did not know it."""
    row: Body | None = None
    row_at: float | None = None
    """When a row of a list was last seen that did not have everything."""
    marked_at: float | None = None
    """When an event said that it changed, if it was not read since."""
    source: Source = "event"
    """Where the newest of it comes from."""
    sandbox: str = ""
    """The sandbox store that it comes from; nothing where it is a real one."""

    @property
    def body(self) -> Body | None:
        """The order as far as it is known; None where it is not, or no longer there."""
        if self.row is None or not self._is_row_newer:
            return self.whole
        return {**(self.whole or {}), **self.row}

    @property
    def as_of(self) -> float | None:
        """It was like that at this time, or some of it later; None where nothing was seen."""
        return self.row_at if self.whole is None and self._is_row_newer else self.whole_at

    @property
    def is_thin(self) -> bool:
        """Whether it was only seen as a row of a list."""
        return self.whole is None and self.body is not None

    @property
    def is_due(self) -> bool:
        """Whether it has to be read: it is thin, an event was about it, or a newer row contradicts it."""
        return self.marked_at is not None or self.body != self.whole

    @property
    def _is_row_newer(self) -> bool:
        return self.row_at is not None and (self.whole_at is None or self.row_at > self.whole_at)


def kept(sent: Body) -> Body:
    """What is kept of an order that was sent.

    Tokens, links to files and whatever else is not documented are left out.
    """
    body = _only(sent, _ORDER)
    for name, fields in (("items", _ITEM), ("refunds", _REFUND)):
        if name in sent:
            body[name] = _lines(sent[name], fields)
    if "shippingAddress" in sent:
        where = sent["shippingAddress"]
        body["shippingAddress"] = _only(where, _ADDRESS) if isinstance(where, dict) else None
    return body


def learned(known: Knowledge, seen: Sighting, now: float) -> Knowledge:
    """What is known once an order was seen.

    Args:
        known: What was known.
        seen: What was seen.
        now: The current time. What is known from later was noted by a clock that was ahead, and
            gives way.
    """
    if seen.source == "list" and not set(seen.body or ()) >= _WHOLE:
        if _gives_way(known.row_at, seen.asked_at, now):
            known = replace(
                known, row=seen.body, row_at=seen.asked_at, source=seen.source, sandbox=seen.sandbox
            )
        return known
    if _gives_way(known.whole_at, seen.asked_at, now):
        known = replace(
            known, whole=seen.body, whole_at=seen.asked_at, source=seen.source, sandbox=seen.sandbox
        )
    if known.marked_at is not None and seen.asked_at >= known.marked_at:
        known = replace(known, marked_at=None)
    return known


def marked(known: Knowledge, at: float) -> Knowledge:
    """What is known once an event said that an order changed.

    Args:
        known: What was known.
        at: When the event arrived.
    """
    if known.whole_at is not None and known.whole_at >= at:
        return known
    return replace(known, marked_at=max(at, known.marked_at or at))


def answered(known: Knowledge, mark: float) -> Knowledge:
    """What is known once an order was read because it was marked: nothing newer has marked it.

    Args:
        known: What is known.
        mark: The mark that it was read for. A clock that was ahead may have left it.
    """
    return replace(known, marked_at=None) if known.marked_at == mark else known


@dataclass(frozen=True)
class Noticed:
    """A change of an order that was noticed. Times are in seconds since the epoch."""

    what: str
    """Which field, as Clawver names it."""
    became: str
    after: float
    """It was seen otherwise then."""
    until: float
    """It was seen like this then."""


def noticed(before: Knowledge, now: Knowledge) -> list[Noticed]:
    """What is known to have changed between two sightings, the older of which came first."""
    found = []
    for what in ("status", "paymentStatus"):
        (was, then), (became, until) = _last_seen(before, what), _last_seen(now, what)
        if then is not None and until is not None and then < until and became not in {was, ""}:
            found.append(Noticed(what, became, then, until))
    return found


def _last_seen(known: Knowledge, what: str) -> tuple[str, float | None]:
    """What a field was when it was last seen, and when that was."""
    newest_first = [(known.row, known.row_at), (known.whole, known.whole_at)]
    for body, at in newest_first if known._is_row_newer else newest_first[1:]:  # noqa: SLF001
        value = (body or {}).get(what)
        if isinstance(value, str):
            return value, at
    return "", None


def _gives_way(before: float | None, at: float, now: float) -> bool:
    return before is None or at >= before or before > now


def _only(sent: Body, names: tuple[str, ...]) -> Body:
    return {name: sent[name] for name in names if name in sent and _is_plain(sent[name])}


def _is_plain(value: object) -> bool:
    return not isinstance(value, dict | list)


def _lines(sent: object, names: tuple[str, ...]) -> object:
    """The lines of a list; what is none stays, so that it is counted as unread again."""
    if not isinstance(sent, list):
        return None if sent is None else "?"
    return [_only(line, names) if isinstance(line, dict) else None for line in sent]
