"""Reading orders: the list, and one of them."""

from datetime import datetime
from typing import Self

from pydantic import Field

from clawver_orders.caller import Caller
from clawver_orders.clawver.models import Item, Order, Refund
from clawver_orders.money import display
from clawver_orders.orders.lifecycle import attention, stage
from clawver_orders.orders.privacy import Masking
from clawver_orders.orders.search import PAGE, Found, is_whole, search
from clawver_orders.refunds.matching import Refundable, refundable
from clawver_orders.services import Services
from clawver_orders.tools.answers import (
    LEDGER_UNREADABLE,
    TRACKING_IS_HIDDEN,
    Answer,
    MoneyInCents,
    Part,
    Past,
    Tracking,
    ago,
    in_one_line,
    in_utc,
    look_first,
    no_refund_here,
    tracking,
    unless_usd,
    unread_lines,
)
from clawver_orders.tools.arguments import (
    CreatedAfter,
    CreatedBefore,
    CustomerEmail,
    Limit,
    OrderId,
    PaymentStatus,
    ProductText,
    StatusFilter,
    moment_or_nothing,
)

NOTHING_TO_DO = "Nothing has to be done."
WHAT_IS_LEFT_IS_NOT_KNOWN = (
    "What can still be refunded is not known, because Clawver does not list the earlier refunds, or "
    "not what became of one: tell the merchant before promising money back."
)
NO_ITEM_ID = "No download from here: Clawver gives the item no id. Tell the merchant."
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


class OrderList(Answer):
    """Orders, newest first."""

    columns: list[str] = Field(description="What stands in each row of orders.")
    orders: list[list[str]] = Field(description="One row an order; empty text where not known.")
    scanned: int = Field(description="Orders that were looked at.")
    complete: bool = Field(description="Whether every order that matches is listed.")
    why_incomplete: str | None = None


async def list_orders(
    services: Services,
    caller: Caller,
    status: StatusFilter = "any",
    payment_status: PaymentStatus = "any",
    customer_email: CustomerEmail = "",
    product: ProductText = "",
    created_after: CreatedAfter = "",
    created_before: CreatedBefore = "",
    limit: Limit = 20,
) -> OrderList:
    """List the store's orders that match all filters given, newest first.

    Use it to find an order_id. With an order id use get_order, with a checkout id get_receipt,
    for sums summarize_orders.

    With no filter, or status alone, it makes one request. Others are applied here, to at most
    100 orders of each status, for up to 29 of the store's 60 requests a minute. When complete
    is false, raise limit or add status; older ones are missed.
    """
    after, before = moment_or_nothing(created_after), moment_or_nothing(created_before)
    filtered = payment_status != "any" or bool(customer_email or product or after or before)
    wanted = None if status == "any" else status
    if filtered:
        found = await search(
            services.clawver,
            status=wanted,
            created_after=after,
            created_before=before,
            needs=_needs(payment_status, customer_email, product),
            matches=lambda order: _matches(order, payment_status, customer_email, product),
            progress=caller.progress,
        )
    else:
        found = await _newest(services, wanted, limit)
    masking = services.masking
    rows = found.orders[:limit]
    why = found.why_incomplete
    if len(found.orders) > limit:
        more = f"{len(found.orders)} orders match; the newest {limit} are listed. Raise limit (at most 100)."
        why = f"{more} {why}" if why else more
    return OrderList(
        columns=list(COLUMNS),
        orders=[_row(order, masking, services.now()) for order in rows],
        scanned=found.scanned,
        complete=why is None,
        why_incomplete=why,
        next_step="Call get_order with an order_id from the list for its details."
        if rows
        else "Nothing matches: widen the filters, or check the spelling.",
    )


async def _newest(services: Services, status: str | None, limit: int) -> Found:
    page = await services.clawver.orders(status=status, limit=limit)
    orders = tuple(sorted(page.orders, key=lambda order: order.age_order, reverse=True))
    reasons = []
    if not is_whole(page, limit):
        more = (
            "raise limit (at most 100), or" if limit < PAGE else "Clawver gives no more per call;"
        )
        reasons.append(
            f"These are the newest orders only; {more} narrow with status or created_before."
        )
    if page.unreadable:
        reasons.append(f"{page.unreadable} orders could not be read and are left out.")
    return Found(orders, len(orders), " ".join(reasons) or None)


def _needs(payment_status: str, customer_email: str, product: str) -> tuple[str, ...]:
    wanted = {
        "payment_status": payment_status != "any",
        "customer_email": bool(customer_email),
        "items": bool(product),
    }
    return tuple(field for field, needed in wanted.items() if needed)


def _matches(order: Order, payment_status: str, customer_email: str, product: str) -> bool:
    if payment_status not in {"any", order.payment_status}:
        return False
    if customer_email and customer_email.casefold() != (order.customer_email or "").casefold():
        return False
    part = product.casefold()
    return not part or any(
        part in item.product_name.casefold() or product == item.product_id
        for item in order.items or ()
    )


def _row(order: Order, masking: Masking, now: datetime) -> list[str]:
    """One order of a list, in the order of `COLUMNS`. No address; empty where nothing is known."""
    return [
        order.id,
        order.status,
        order.payment_status,
        str(order.total_in_cents),
        display(order.total_in_cents, order.currency),
        in_utc(order.created_at) if order.created_at else "",
        ago(order.created_at, now) if order.created_at else "",
        masking.email(order.customer_email) or "",
        in_one_line(order),
        attention(order, now) or "",
    ]


class ItemDetail(Part):
    """A line of an order and what can be done with it."""

    item_id: str | None = None
    product_id: str | None = None
    product_name: str
    product_type: str
    quantity: int | None = None
    total_in_cents: MoneyInCents | None = None
    variant_id: str | None = None
    variant_name: str | None = None
    what_can_be_done: str


class UncountedRefund(Part):
    """A refund that failed, or of which it is not clear whether money went back."""

    clawver_refund_id: str
    status: str
    amount_in_cents: MoneyInCents

    @classmethod
    def of(cls, refund: Refund) -> Self:
        """Its detail."""
        return cls(
            clawver_refund_id=refund.id,
            status=refund.status,
            amount_in_cents=refund.amount_in_cents,
        )


class RefundDetail(Part):
    """Money that Clawver says went back."""

    clawver_refund_id: str
    status: str | None = None
    stripe_refund_id: str | None = None
    amount_in_cents: MoneyInCents
    reason: str
    created_at: Past | None = None

    @classmethod
    def of(cls, refund: Refund, order: Order, masking: Masking) -> Self:
        """The detail of a refund."""
        return cls(
            clawver_refund_id=refund.id,
            status=refund.status or None,
            stripe_refund_id=refund.stripe_refund_id,
            amount_in_cents=refund.amount_in_cents,
            reason=masking.words(refund.reason, order),
            created_at=refund.created_at,
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


class OrderDetail(Answer):
    """One order."""

    order_id: str
    status: str
    payment_status: str | None = None
    standing: str = Field(description="The step it has reached and what comes next.")
    needs_attention: str | None = None
    created_at: Past | None = None
    paid_at: Past | None = None
    currency: str | None = None
    total_in_cents: MoneyInCents
    refunded_in_cents: MoneyInCents
    refundable_in_cents: MoneyInCents | None = Field(
        None,
        description="What is left; the merchant's limits may allow less. Missing when earlier refunds are not known or not settled: see next_step.",
    )
    open_refund_id: str | None = Field(None, description="A refund that is not settled yet.")
    customer: str | None = None
    ship_to: Recipient | None = None
    items: list[ItemDetail]
    tracking: Tracking | None = None
    refunds: list[RefundDetail]
    uncounted_refunds: list[UncountedRefund] | None = Field(
        None, description="Failed, or not clear: not in the amounts above."
    )

    @classmethod
    def of(
        cls,
        order: Order,
        masking: Masking,
        now: datetime,
        *,
        standing: str,
        money: Refundable,
        next_step: str,
    ) -> Self:
        """An order as an agent gets it."""
        return cls(
            order_id=order.id,
            status=order.status or "?",
            payment_status=order.payment_status or None,
            standing=standing,
            needs_attention=attention(order, now),
            created_at=order.created_at,
            paid_at=order.paid_at,
            currency=unless_usd(order.currency),
            total_in_cents=order.total_in_cents,
            refunded_in_cents=order.refunded_in_cents,
            refundable_in_cents=money.in_cents,
            open_refund_id=money.open_refund.refund_id if money.open_refund else None,
            customer=masking.email(order.customer_email),
            ship_to=_recipient(order, masking),
            items=[_item(order, item) for item in order.items or ()],
            tracking=tracking(order, masking),
            refunds=[RefundDetail.of(refund, order, masking) for refund in order.refunds or ()],
            uncounted_refunds=[UncountedRefund.of(each) for each in order.uncounted_refunds]
            or None,
            next_step=next_step,
        )


def _recipient(order: Order, masking: Masking) -> Recipient | None:
    where = order.shipping_address
    if where is None:
        return None
    return Recipient(
        name=masking.name(where.name or None),
        line1=masking.detail(where.line1 or None),
        line2=masking.detail(where.line2 or None),
        city=masking.detail(where.city or None),
        state=masking.detail(where.state or None),
        postal_code=masking.detail(where.postal_code or None),
        country=where.country or None,
    )


def _item(order: Order, item: Item) -> ItemDetail:
    if item.is_digital and item.id is None:
        can = NO_ITEM_ID
    elif item.is_digital and order.is_paid:
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
        product_name=item.name,
        product_type=item.product_type,
        quantity=item.quantity,
        total_in_cents=item.total_in_cents,
        variant_id=item.variant_id,
        variant_name=item.variant_name,
        what_can_be_done=can,
    )


async def get_order(services: Services, order_id: OrderId) -> OrderDetail:
    """Read one order in full as the store sees it now: items with their ids, payment, address, tracking, refunds.

    Use it before refund_order, and to follow fulfilment. To find an order_id use list_orders,
    or get_receipt with a checkout_id. For what the customer may see use get_order_status, for a
    refund whose answer was lost check_refund.

    Pass order_id unchanged: it has no fixed form. An unknown id, or an item's, is an error. It
    takes one of the store's 60 requests a minute. The answer holds personal data.
    """
    order = await services.clawver.order(order_id)
    money = refundable(order, await services.open_refunds(order_id))
    masking, now = services.masking, services.now()
    return OrderDetail.of(
        order,
        masking,
        now,
        standing=stage(order),
        money=money,
        next_step=_next_step(
            order, money, masking, now, read_only_because=services.settings.read_only_because
        ),
    )


def _next_step(
    order: Order,
    money: Refundable,
    masking: Masking,
    now: datetime,
    *,
    read_only_because: str,
) -> str:
    if money.open_refund is not None:
        return look_first(money.open_refund)
    step = _first_step(order, masking, now, read_only_because)
    notes = [unread_lines(order.unread_items)]
    if not money.is_ledger_readable:
        notes.append(LEDGER_UNREADABLE)
    elif money.in_cents is None:
        notes.append(WHAT_IS_LEFT_IS_NOT_KNOWN)
    said = [note for note in notes if note]
    return " ".join(said if said and step == NOTHING_TO_DO else [step, *said])


def _first_step(order: Order, masking: Masking, now: datetime, read_only_because: str) -> str:
    left = order.refundable_in_cents
    why_not = no_refund_here(order, read_only_because)
    if order.status == "cancelled" and left and why_not:
        return (
            "The order is cancelled but not fully refunded: tell the merchant that "
            f"{display(left, order.currency)} is left to refund. It cannot be done here ({why_not})."
        )
    if order.status == "cancelled" and left:
        return (
            "The order is cancelled but not fully refunded: ask the merchant, then call refund_order "
            f"with order_id {order.id} and amount_in_cents {left}."
        )
    if order.payment_status == "failed" and order.status != "cancelled":
        return "The payment failed: tell the merchant; the customer has to pay again."
    why = attention(order, now)
    if why is not None:
        return f"Tell the merchant, who should look into it: {why}"
    if order.status == "shipped" and (order.tracking_number or order.tracking_url):
        if masking.masked:
            return f"Tell the customer that it is on its way. {TRACKING_IS_HIDDEN}"
        return "Give the customer the tracking that stands here."
    files = [item.id for item in order.items or () if item.is_digital and item.id]
    if left and files:
        item_id = f"item_id {files[0]}" if len(files) == 1 else "the item_id of the file"
        return f"For a new download link call generate_download_link with order_id {order.id} and {item_id}."
    return NOTHING_TO_DO
