"""What customers hold: the token of an order, and the receipt of a checkout."""

from pydantic import Field

from clawver_orders.services import Services
from clawver_orders.tools.answers import (
    LINES_SHOWN,
    TRACKING_IS_HIDDEN,
    Answer,
    Money,
    Part,
    Past,
    Tracking,
    and_more,
    tracking,
    unless_usd,
    unread_lines,
)
from clawver_orders.tools.arguments import CheckoutId, OrderId, OrderStatusToken


class OrderStatus(Answer):
    """An order as its customer may see it."""

    order_id: str
    status: str
    payment_status: str
    created_at: Past | None = None
    currency: str | None = None
    total: Money
    tracking: Tracking | None = None


async def get_order_status(
    services: Services, order_id: OrderId, order_status_token: OrderStatusToken
) -> OrderStatus:
    """See one order as its customer does with their token: status, payment, total, tracking.

    Use it to check the link that a customer holds; for all else get_order. A token of another
    order, or a wrong one, is an error.
    """
    order = await services.clawver.customer_order(order_id, order_status_token)
    masking = services.masking
    parcel = tracking(order, masking)
    return OrderStatus(
        order_id=order.id,
        status=order.status or "?",
        payment_status=order.payment_status or "?",
        created_at=order.created_at,
        currency=unless_usd(order.currency),
        total=order.total_in_cents,
        tracking=parcel,
        next_step=TRACKING_IS_HIDDEN if masking.masked and parcel else "",
    )


class ReceiptLine(Part):
    """A line of a receipt."""

    item_id: str | None = None
    name: str
    quantity: str | None = Field(None, description="Missing for one piece.")
    total: Money | None = None
    download_token: str | None = Field(None, description="Opens the download. A secret.")


class ReceiptDetail(Answer):
    """The receipt of a checkout."""

    checkout_id: str
    order_id: str | None = None
    order_status_token: str | None = Field(None, description="Opens the order. A secret.")
    customer: str | None = None
    currency: str | None = None
    total: Money | None = None
    items: list[ReceiptLine]
    more_items: str | None = Field(None, description="How many are left out, and their sum.")


async def get_receipt(services: Services, checkout_id: CheckoutId) -> ReceiptDetail:
    """Read the receipt of a checkout: lines, total, the order_id it became, and the customer's tokens.

    Use it when a checkout id is all there is, or for those tokens, which are this customer's
    secrets; with an order_id use get_order. Checkouts cannot be listed, and an unknown id is an error.
    """
    receipt = await services.clawver.receipt(checkout_id)
    order = receipt.order_id
    step = "" if order else "Find the order with list_orders and the customer's e-mail address."
    return ReceiptDetail(
        checkout_id=checkout_id,
        order_id=order,
        order_status_token=receipt.order_status_token,
        customer=services.masking.email(receipt.customer_email),
        currency=unless_usd(receipt.currency),
        total=receipt.total_in_cents,
        items=[
            ReceiptLine(
                item_id=item.id,
                name=item.product_name or "?",
                quantity=item.pieces if item.quantity != 1 else None,
                total=item.total_in_cents,
                download_token=item.download_token,
            )
            for item in receipt.items[:LINES_SHOWN]
        ],
        more_items=and_more(
            [item.total_in_cents for item in receipt.items[LINES_SHOWN:]], receipt.currency
        ),
        next_step=" ".join(filter(None, (unread_lines(receipt.unread_items), step))),
    )
