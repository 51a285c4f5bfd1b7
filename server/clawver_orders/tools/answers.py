"""What an agent gets: the words our tools use, and the next useful step.

Money stands in cents and in words, times in UTC. Texts that customers or products brought
along stand in fields of their own and never in our sentences. What is not known is left out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from clawver_orders.lifecycle import attention
from clawver_orders.models import Download, Item, Order, Refund
from clawver_orders.money import display
from clawver_orders.refunds import Status
from clawver_orders.shown import Shown
from clawver_orders.state.ledger import Intent

SANDBOX_NOTICE = "Sandbox store on this machine: no real customer, no real money."


class Part(BaseModel):
    """A piece of an answer. What is None is left out of what is sent."""

    model_config = ConfigDict(frozen=True)


class Answer(Part):
    """A whole answer."""

    next_step: str
    sandbox: str | None = Field(None, description="Present when this is the sandbox store.")


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


def in_bytes(size: int) -> str:
    """A size as a person reads it."""
    if size < 1000:
        return f"{size} bytes"
    amount, unit = float(size), "bytes"
    for unit in ("kB", "MB", "GB", "TB"):  # noqa: B007  # the unit is read after the loop
        amount /= 1000
        if amount < 999.95:
            break
    return f"{amount:.1f} {unit}"


COLUMNS = (
    "order_id",
    "status",
    "payment_status",
    "total_in_cents",
    "total",
    "created_at",
    "created_ago",
    "customer",
    "items",
    "needs_attention",
)
"""What stands in a row of a list. Names once, not in every row: a list is mostly names otherwise."""


def row_of(order: Order, shown: Shown, now: datetime) -> list[str]:
    """One order of a list, in the order of `COLUMNS`. No address; empty where nothing is known."""
    return [
        order.id,
        order.status,
        order.payment_status,
        str(order.total_in_cents),
        display(order.total_in_cents),
        in_utc(order.created_at),
        ago(order.created_at, now),
        shown.email(order.customer_email) or "",
        _in_one_line(order.items or ()),
        attention(order, now) or "",
    ]


def _in_one_line(items: tuple[Item, ...]) -> str:
    """At most two items, each in a few words, and how many more there are."""
    words = []
    for item in items[:2]:
        name = item.product_name if len(item.product_name) <= 40 else item.product_name[:39] + "…"
        words.append(f"{item.quantity}× {name}" if item.quantity != 1 else name)
    more = len(items) - 2
    return "; ".join(words) + (f"; {more} more" if more > 0 else "")


class OrderList(Answer):
    """Orders, newest first."""

    columns: list[str] = Field(description="What stands in each row of orders.")
    orders: list[list[str]] = Field(description="One row an order; empty text where not known.")
    scanned: int = Field(description="Orders that were looked at.")
    complete: bool = Field(description="Whether every order that matches is listed.")
    why_incomplete: str | None = None


class ItemDetail(Part):
    """A line of an order and what can be done with it."""

    item_id: str
    product_id: str | None = None
    product_name: str
    product_type: str
    quantity: int
    total_in_cents: int | None = None
    total: str | None = None
    variant_id: str | None = None
    variant_name: str | None = None
    what_can_be_done: str


class RefundDetail(Part):
    """Money that Clawver says went back."""

    clawver_refund_id: str
    stripe_refund_id: str | None = None
    amount_in_cents: int
    amount: str
    reason: str
    created_at: str | None = None
    created_ago: str | None = None

    @classmethod
    def of(cls, refund: Refund, order: Order, shown: Shown, now: datetime) -> Self:
        """The detail of a refund."""
        return cls(
            clawver_refund_id=refund.id,
            stripe_refund_id=refund.stripe_refund_id,
            amount_in_cents=refund.amount_in_cents,
            amount=display(refund.amount_in_cents),
            reason=shown.words(refund.reason, order),
            created_at=in_utc(refund.created_at) if refund.created_at else None,
            created_ago=ago(refund.created_at, now) if refund.created_at else None,
        )


class Recipient(Part):
    """Where a printed item goes."""

    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Tracking(Part):
    """Where a parcel is."""

    carrier: str | None = None
    number: str | None = None
    url: str | None = None


class OrderDetail(Answer):
    """One order."""

    order_id: str
    status: str
    payment_status: str | None = None
    standing: str = Field(description="The step it has reached and what comes next.")
    needs_attention: str | None = None
    created_at: str
    created_ago: str
    paid_at: str | None = None
    paid_ago: str | None = None
    total_in_cents: int
    total: str
    refunded_in_cents: int
    refunded: str
    refundable_in_cents: int | None = Field(
        None,
        description="What is left; the merchant's limits may allow less. Missing when earlier refunds are not known or not settled: see next_step.",
    )
    refundable: str | None = None
    open_refund_id: str | None = Field(None, description="A refund that is not settled yet.")
    customer: str | None = None
    ship_to: Recipient | None = None
    items: list[ItemDetail]
    tracking: Tracking | None = None
    refunds: list[RefundDetail]

    @classmethod
    def of(
        cls,
        order: Order,
        shown: Shown,
        now: datetime,
        *,
        standing: str,
        opened: Sequence[Intent] | None,
        next_step: str,
    ) -> Self:
        """An order as an agent gets it.

        What is left to refund is told only where it is known that no refund is `opened`.
        """
        left = order.refundable_in_cents if opened == () else None
        return cls(
            order_id=order.id,
            status=order.status,
            payment_status=order.payment_status or None,
            standing=standing,
            needs_attention=attention(order, now),
            created_at=in_utc(order.created_at),
            created_ago=ago(order.created_at, now),
            paid_at=in_utc(order.paid_at) if order.paid_at else None,
            paid_ago=ago(order.paid_at, now) if order.paid_at else None,
            total_in_cents=order.total_in_cents,
            total=display(order.total_in_cents),
            refunded_in_cents=order.refunded_in_cents,
            refunded=display(order.refunded_in_cents),
            refundable_in_cents=left,
            refundable=None if left is None else display(left),
            open_refund_id=opened[0].refund_id if opened else None,
            customer=shown.email(order.customer_email),
            ship_to=_recipient(order, shown),
            items=[_item(order, item) for item in order.items or ()],
            tracking=tracking(order, shown),
            refunds=[RefundDetail.of(refund, order, shown, now) for refund in order.refunds or ()],
            next_step=next_step,
        )


def _recipient(order: Order, shown: Shown) -> Recipient | None:
    where = order.shipping_address
    if where is None:
        return None
    return Recipient(
        name=shown.name(where.name or None),
        line1=shown.detail(where.line1 or None),
        line2=shown.detail(where.line2 or None),
        city=shown.detail(where.city or None),
        state=shown.detail(where.state or None),
        postal_code=shown.detail(where.postal_code or None),
        country=where.country or None,
    )


def tracking(order: Order, shown: Shown) -> Tracking | None:
    """Where the parcel of an order is; None before it is shipped."""
    if not (order.carrier or order.tracking_number or order.tracking_url):
        return None
    return Tracking(
        carrier=order.carrier,
        number=shown.detail(order.tracking_number),
        url=shown.detail(order.tracking_url),
    )


def _item(order: Order, item: Item) -> ItemDetail:
    if item.is_digital and order.is_paid:
        can = f"Download: generate_download_link with order_id {order.id}, item_id {item.id}."
    elif item.is_digital and order.is_refunded:
        can = "No download: the order is refunded in full."
    elif item.is_digital:
        can = "No download: the order is not paid."
    elif item.is_printed:
        can = f"Sizes: handle_wrong_size with order_id {order.id}."
    else:
        can = "Nothing: this version does not know its type."
    return ItemDetail(
        item_id=item.id,
        product_id=item.product_id,
        product_name=item.product_name,
        product_type=item.product_type,
        quantity=item.quantity,
        total_in_cents=item.total_in_cents,
        total=None if item.total_in_cents is None else display(item.total_in_cents),
        variant_id=item.variant_id,
        variant_name=item.variant_name,
        what_can_be_done=can,
    )


class OrderStatus(Answer):
    """An order as its customer may see it."""

    order_id: str
    status: str
    payment_status: str | None = None
    standing: str
    created_at: str
    created_ago: str
    total_in_cents: int
    total: str
    tracking: Tracking | None = None


class ReceiptLine(Part):
    """A line of a receipt."""

    item_id: str | None = None
    product_name: str
    quantity: int
    total_in_cents: int | None = None
    total: str | None = None
    download_token: str | None = Field(None, description="Opens the download. A secret.")


class ReceiptDetail(Answer):
    """The receipt of a checkout."""

    checkout_id: str
    order_id: str | None = None
    order_status_token: str | None = Field(None, description="Opens the order. A secret.")
    customer: str | None = None
    total_in_cents: int | None = None
    total: str | None = None
    items: list[ReceiptLine]


class DownloadLink(Answer):
    """A signed link that works for whoever holds it, until it expires."""

    order_id: str
    item_id: str
    product_name: str | None = None
    download_url: str
    unexpected_host: bool = Field(description="True when the link leaves Clawver's own domain.")
    file_name: str | None = None
    file_size_bytes: int | None = None
    file_size: str | None = None
    expires_in_minutes: int | None = None
    expires_at: str | None = None

    @classmethod
    def of(
        cls,
        link: Download,
        order_id: str,
        item_id: str,
        product_name: str | None,
        now: datetime,
        *,
        unexpected_host: bool,
        sandbox: bool,
    ) -> Self:
        """The link as an agent gets it."""
        minutes = link.expires_in_minutes
        size = link.file_size_bytes
        return cls(
            order_id=order_id,
            item_id=item_id,
            product_name=product_name,
            download_url=link.download_url,
            unexpected_host=unexpected_host,
            file_name=link.file_name,
            file_size_bytes=size,
            file_size=None if size is None else in_bytes(size),
            expires_in_minutes=minutes,
            expires_at=None if minutes is None else in_utc(now + timedelta(minutes=minutes)),
            next_step="Give the link to the customer of this order and to nobody else; "
            "call generate_download_link again when it has expired."
            + (" It opens while clawver-orders sandbox runs." if sandbox else ""),
        )


class SizeChoice(Part):
    """One size of a product."""

    variant_id: str
    variant_name: str
    size: str
    price_in_cents: int | None = None
    price: str | None = None
    difference_in_cents: int | None = Field(None, description="Against the ordered one.")
    difference: str | None = None


class ItemSizesDetail(Part):
    """A printed item, the size that was ordered, and the others."""

    item_id: str
    product_name: str
    quantity: int
    ordered_variant_id: str | None = None
    ordered_variant_name: str | None = None
    ordered_size: str | None = None
    in_stock: list[SizeChoice]
    out_of_stock: list[SizeChoice]
    stock_unknown: list[SizeChoice]
    wanted: SizeChoice | None = None
    wanted_available: Literal["in_stock", "out_of_stock", "not_known", "no_such_size", "not_asked"]
    total_in_cents: int | None = None
    total: str | None = None


class WrongSize(Answer):
    """The wrong-size playbook for an order."""

    order_id: str
    items: list[ItemSizesDetail]
    refundable_in_cents: int | None = None
    refundable: str | None = None
    exchange: str
    steps: list[str]


class TallyRow(Part):
    """How many orders share a word, and what they come to."""

    name: str
    orders: int
    total_in_cents: int
    total: str


class AttentionRow(Part):
    """An order that somebody should look at."""

    order_id: str
    why: str
    status: str
    customer: str | None = None
    items: str
    total_in_cents: int
    total: str

    @classmethod
    def of(cls, order: Order, why: str, shown: Shown) -> Self:
        """The order as an agent gets it."""
        return cls(
            order_id=order.id,
            why=why,
            status=order.status,
            customer=shown.email(order.customer_email),
            items=_in_one_line(order.items or ()),
            total_in_cents=order.total_in_cents,
            total=display(order.total_in_cents),
        )


class OpenRefund(Part):
    """A refund whose money may be on its way."""

    refund_id: str
    order_id: str
    amount_in_cents: int
    amount: str
    sent_at: str
    sent_ago: str

    @classmethod
    def of(cls, intent: Intent, now: datetime) -> Self:
        """A refund of the ledger, as an agent gets it."""
        sent = intent.sent_at or intent.created_at
        return cls(
            refund_id=intent.refund_id,
            order_id=intent.order_id,
            amount_in_cents=intent.amount_in_cents,
            amount=display(intent.amount_in_cents),
            sent_at=in_utc(sent),
            sent_ago=ago(sent, now),
        )


LEDGER_UNREADABLE = (
    "Whether a refund is under way is not known, because the refund ledger cannot be read now: ask a person to "
    "run clawver-orders doctor before anything about money."
)


def look_first(opened: Intent) -> str:
    """What comes before anything about money on an order with a refund that is not settled."""
    return (
        f"A refund of {display(opened.amount_in_cents)} on this order is not settled yet: call check_refund with "
        f"refund_id {opened.refund_id} before anything about its money."
    )


class OrderSummary(Answer):
    """A store's orders in numbers."""

    orders: int
    paid_orders: int
    sales_in_cents: int
    sales: str
    refunds: int
    refunded_in_cents: int
    refunded: str
    average_order_in_cents: int | None = None
    average_order: str | None = None
    by_status: list[TallyRow]
    by_payment_status: list[TallyRow]
    needs_attention: list[AttentionRow]
    needs_attention_count: int
    open_refunds: list[OpenRefund] | None = Field(
        None,
        description="Refunds of any order that are not settled yet. Missing when the ledger cannot be read.",
    )
    scanned: int
    complete: bool
    why_incomplete: str | None = None


class RefundPreview(Part):
    """What a person needs to know before they say yes."""

    customer: str | None = None
    items: list[str]
    reason: str
    total: str
    refundable: str
    left_after: str


class RefundAnswer(Answer):
    """What became of a refund."""

    status: Annotated[
        Status, Field(description="unknown: it may have happened; look, do not repeat.")
    ]
    message: str
    warning: str | None = None
    refund_id: str | None = Field(None, description="For confirm_refund and check_refund.")
    order_id: str
    amount_in_cents: int | None = None
    amount: str | None = None
    reason: str | None = None
    sent_at: str | None = None
    sent_ago: str | None = None
    clawver_refund_id: str | None = None
    stripe_refund_id: str | None = None
    refundable_in_cents: int | None = Field(None, description="What is left on the order.")
    refundable: str | None = None
    preview: RefundPreview | None = None
    in_addition_to: list[str] = Field(
        description="What to pass as in_addition_to for a deliberate further refund of this amount; "
        "empty until it is settled. Of a preview, what it was made with."
    )
    check_after_seconds: int | None = None
    customer_sees_it: str | None = None


class WebhookDetail(Part):
    """Where Clawver sends events."""

    webhook_id: str
    url: str
    events: list[str]
    created_at: str | None = None
    created_ago: str | None = None
    unexpected_host: bool = Field(description="True unless CLAWVER_WEBHOOK_HOSTS names it.")


class ReceivingDetail(Part):
    """Whether events arrive on this machine."""

    state: Literal["listening", "not_listening", "never_started"]
    last_start: str | None = None
    last_start_ago: str | None = None
    last_seen: str | None = None
    last_seen_ago: str | None = None
    last_delivery: str | None = None
    last_delivery_ago: str | None = None
    refused: int = Field(description="Requests whose signature did not fit: nothing was stored.")
    last_refused: str | None = None
    last_refused_ago: str | None = None


class WebhookRegistered(Answer):
    """What became of a registration."""

    status: Literal["registered", "already_registered"]
    message: str
    webhook: WebhookDetail
    same_url: list[str] = Field(description="Other webhooks with this url.")
    receiving: ReceivingDetail


class WebhookList(Answer):
    """All webhooks of the store."""

    webhooks: list[WebhookDetail]
    receiving: ReceivingDetail


class WebhookDeleted(Answer):
    """What became of a removal."""

    status: Literal["deleted", "not_registered"]
    webhook_id: str
    message: str


class LookedDetail(Part):
    """A refund that was looked at because of an event."""

    refund_id: str
    order_id: str
    amount_in_cents: int
    amount: str
    status: str

    @classmethod
    def of(cls, intent: Intent, status: str) -> Self:
        """A refund of the ledger, and how it stands now."""
        return cls(
            refund_id=intent.refund_id,
            order_id=intent.order_id,
            amount_in_cents=intent.amount_in_cents,
            amount=display(intent.amount_in_cents),
            status=status,
        )


EVENT_COLUMNS = (
    "event_id",
    "event",
    "order_id",
    "happened_at",
    "happened_ago",
    "received_at",
    "received_ago",
)
"""What stands in a row of events."""


class EventList(Answer):
    """Events that were received, newest arrival first."""

    columns: list[str] = Field(description="What stands in each row of events.")
    events: list[list[str]] = Field(description="One row an event; empty text where not known.")
    complete: bool = Field(description="False when something is known to be missing.")
    why_incomplete: str | None = None
    newest: str | None = Field(
        None, description="Pass as since to get only what arrives later; not on a continued list."
    )
    older: str | None = Field(None, description="Pass as before for the next part of this list.")
    receiving: ReceivingDetail
    refunds_checked: list[LookedDetail] = Field(
        description="Refunds that were unknown here, looked up because an event reports them."
    )
