"""What customers hold: the token of an order, and the receipt of a checkout."""

from pydantic import Field

from clawver_orders.orders.lifecycle import stage
from clawver_orders.services import Services
from clawver_orders.tools.answers import (
    TRACKING_IS_HIDDEN,
    Answer,
    MoneyInCents,
    Part,
    Past,
    Tracking,
    tracking,
    unless_usd,
    unread_lines,
)
from clawver_orders.tools.arguments import CheckoutId, OrderId, OrderStatusToken


class OrderStatus(Answer):
    """An order as its customer may see it."""

    order_id: str
    status: str
    payment_status: str | None = None
    standing: str
    created_at: Past | None = None
    currency: str | None = None
    total_in_cents: MoneyInCents
    tracking: Tracking | None = None


async def get_order_status(
    services: Services, order_id: OrderId, order_status_token: OrderStatusToken
) -> OrderStatus:
    """Read where one order stands as its customer may see it: status, total and tracking; no items, address, refunds.

    Use it to check what the customer sees, or when their token is all you may use; for all else
    use get_order.

    It takes one of the store's 60 requests a minute, without the store's key. A token opens
    only its own order_id, for a time that Clawver does not state. If it is refused, the call is
    an error: get_receipt shows the right token.
    """
    order = await services.clawver.customer_order(order_id, order_status_token)
    masking = services.masking
    parcel = tracking(order, masking)
    step = f"For items and refunds call get_order with order_id {order.id}."
    return OrderStatus(
        order_id=order.id,
        status=order.status or "?",
        payment_status=order.payment_status or None,
        standing=stage(order),
        created_at=order.created_at,
        currency=unless_usd(order.currency),
        total_in_cents=order.total_in_cents,
        tracking=parcel,
        next_step=f"{TRACKING_IS_HIDDEN} {step}" if masking.masked and parcel else step,
    )


class ReceiptLine(Part):
    """A line of a receipt."""

    item_id: str | None = None
    product_name: str
    quantity: int | None = None
    total_in_cents: MoneyInCents | None = None
    download_token: str | None = Field(None, description="Opens the download. A secret.")


class ReceiptDetail(Answer):
    """The receipt of a checkout."""

    checkout_id: str
    order_id: str | None = None
    order_status_token: str | None = Field(None, description="Opens the order. A secret.")
    customer: str | None = None
    currency: str | None = None
    total_in_cents: MoneyInCents | None = None
    items: list[ReceiptLine]


async def get_receipt(services: Services, checkout_id: CheckoutId) -> ReceiptDetail:
    """Read the receipt of one checkout: lines, total, the order_id it became, and the customer's tokens.

    Use it when a checkout_id is all there is, or to get the tokens for get_order_status and
    generate_download_link; for all else use get_order. Ask the customer for the checkout_id: no
    call lists checkouts.

    The tokens open the order and its files for whoever holds them: give them to this customer
    only. An unknown id, or an order's, is an error. It makes one request, without the store's
    key.
    """
    receipt = await services.clawver.receipt(checkout_id)
    order = receipt.order_id
    step = (
        f"Call get_order with order_id {order} for the order behind it."
        if order
        else "Find the order with list_orders and the customer's e-mail address."
    )
    return ReceiptDetail(
        checkout_id=checkout_id,
        order_id=order,
        order_status_token=receipt.order_status_token,
        customer=services.masking.email(receipt.customer_email),
        currency=unless_usd(receipt.currency),
        total_in_cents=receipt.total_in_cents,
        items=[
            ReceiptLine(
                item_id=item.id,
                product_name=item.product_name or "?",
                quantity=item.quantity,
                total_in_cents=item.total_in_cents,
                download_token=item.download_token,
            )
            for item in receipt.items
        ],
        next_step=" ".join(filter(None, (unread_lines(receipt.unread_items), step))),
    )
