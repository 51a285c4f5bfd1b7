"""Orders, refunds and customers as rows. No I/O.

Amounts are whole cents, or whatever is the smallest unit of the row's currency: a decimal point would be
a day or a text to the spreadsheets of many countries. What is not known is empty, and never nothing.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from clawver_orders.clawver.models import SOME, Item, Order
from clawver_orders.history.mirror import Kept
from clawver_orders.money import UNKNOWN, USD
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.records import Decision, Wish
from clawver_orders.reports.sheet import Cell, Format, ItemPart, SheetRow
from clawver_orders.tools.answers import in_one_line

ORDERS = (
    "order_id", "created_at", "paid_at", "status", "payment_status", "currency", "total_in_cents",
    "refunded_in_cents", "customer_email", "name", "line1", "line2", "city", "state", "postal_code",
    "country", "items", "carrier", "tracking_number", "tracking_url", "as_of", "is_thin",
)  # fmt: skip
REFUNDS = (
    "refund_id", "order_id", "status", "currency", "amount_in_cents", "reason", "asked_at", "sent_at",
    "decision", "decided_at", "decided_by", "grade", "channel", "clawver_refund_id", "stripe_refund_id",
)  # fmt: skip
CUSTOMERS = (
    "customer_email", "currency", "orders", "paid_orders", "paid_in_cents", "refunds",
    "refunded_in_cents", "first_order_at", "last_order_at", "as_of",
)  # fmt: skip


def order_row(kept: Kept, masking: Masking, form: Format) -> SheetRow:
    """An order as it was last seen.

    Args:
        kept: The order.
        masking: How its customer is shown.
        form: In CSV its items are one text, in JSON a list.
    """
    order, where = kept.order, kept.order.shipping_address
    address = {
        name: masking.detail(getattr(where, name, None))
        for name in ("line1", "line2", "city", "state", "postal_code", "country")
    }
    items: Cell = in_one_line(order, SOME)
    if order.items is None:
        items = None
    elif form == "jsonl":
        items = [_item(each) for each in order.items]
    return _only(
        ORDERS,
        order_id=order.id,
        created_at=_time(order.created_at),
        paid_at=_time(order.paid_at),
        status=order.status,
        payment_status=order.payment_status,
        currency=_currency(order),
        total_in_cents=order.total_in_cents,
        refunded_in_cents=order.certainly_refunded_in_cents,
        customer_email=masking.email(order.customer_email),
        name=masking.name(where.name) if where else None,
        **address,
        items=items,
        carrier=order.carrier,
        tracking_number=masking.detail(order.tracking_number),
        tracking_url=masking.detail(order.tracking_url),
        as_of=_time(kept.as_of),
        is_thin=kept.is_thin,
    )


def refund_row(wish: Wish, masking: Masking) -> SheetRow:
    """A refund of the ledger, and who decided about it by what."""
    return _only(
        REFUNDS,
        refund_id=wish.refund_id,
        order_id=wish.order_id,
        status=wish.status,
        currency=USD,  # no refund in any other is sent
        amount_in_cents=wish.amount_in_cents,
        # It may name the customer, and the order is not at hand to tell.
        reason=masking.detail(wish.reason),
        asked_at=_time(wish.created_at),
        sent_at=_time(wish.sent_at),
        **_decided(wish.decision),
        clawver_refund_id=wish.clawver_refund_id,
        stripe_refund_id=wish.stripe_refund_id,
    )


def _decided(made: Decision | None) -> dict[str, str | None]:
    if made is None:
        return dict.fromkeys(("decision", "decided_at", "decided_by", "grade", "channel"))
    return {
        "decision": made.verdict,
        "decided_at": _time(made.made.at),
        "decided_by": made.who,
        "grade": made.grade,
        "channel": made.channel,
    }


def customer_rows(theirs: Iterable[Kept], masking: Masking) -> Iterator[SheetRow]:
    """What a customer's orders come to, a row for each currency.

    Args:
        theirs: All orders of one customer, oldest first; they are read once.
        masking: How the customer is shown.
    """
    sums: dict[str, _Sum] = {}
    for kept in theirs:
        sums.setdefault(kept.order.currency, _Sum(kept)).add(kept)
    for each in sums.values():
        yield each.row(masking)


class _Sum:
    """What orders of one customer in one currency come to."""

    def __init__(self, first: Kept) -> None:
        self._last = first
        self._first_at: datetime | None = None
        self._last_at: datetime | None = None
        self._orders = self._paid_orders = self._paid = self._refunds = 0
        self._refunded: int | None = 0
        self._as_of = first.as_of

    def add(self, kept: Kept) -> None:
        order, self._last = kept.order, kept
        self._orders += 1
        if order.created_at is not None:
            self._first_at = self._first_at or order.created_at
            self._last_at = order.created_at
        self._as_of = min(self._as_of, kept.as_of)
        if order.was_paid:
            self._paid_orders += 1
            self._paid += order.total_in_cents
        self._refunds += len(order.refunds or ())
        refunded = order.certainly_refunded_in_cents
        if self._refunded is None or refunded is None:
            self._refunded = None
        else:
            self._refunded += refunded

    def row(self, masking: Masking) -> SheetRow:
        order = self._last.order
        is_summed = order.currency != UNKNOWN
        return _only(
            CUSTOMERS,
            customer_email=masking.email(order.customer_email),
            currency=_currency(order),
            orders=self._orders,
            paid_orders=self._paid_orders,
            paid_in_cents=self._paid if is_summed else None,
            refunds=self._refunds,
            refunded_in_cents=self._refunded if is_summed else None,
            first_order_at=_time(self._first_at),
            last_order_at=_time(self._last_at),
            as_of=_time(self._as_of),
        )


def _item(item: Item) -> ItemPart:
    return {
        "product_id": item.product_id,
        "name": item.product_name,
        "variant": item.variant_name,
        "quantity": item.quantity,
        "total_in_cents": item.total_in_cents,
    }


def _currency(order: Order) -> str | None:
    return None if order.currency == UNKNOWN else order.currency


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _only(columns: tuple[str, ...], **values: Cell) -> SheetRow:
    """The values in the order of their columns."""
    return {column: values[column] for column in columns}
