"""Reading orders: the list, one of them, the customer's view, receipts, and figures."""

from datetime import datetime

from clawver_orders.approvals import Caller
from clawver_orders.lifecycle import attention, standing
from clawver_orders.models import Order
from clawver_orders.money import display
from clawver_orders.report import Tally, figures
from clawver_orders.search import PAGE, Found, is_whole, search
from clawver_orders.services import Services
from clawver_orders.shown import Shown
from clawver_orders.state.ledger import Intent
from clawver_orders.tools.answers import (
    COLUMNS,
    LEDGER_UNREADABLE,
    AttentionRow,
    OpenRefund,
    OrderDetail,
    OrderList,
    OrderStatus,
    OrderSummary,
    ReceiptDetail,
    ReceiptLine,
    TallyRow,
    ago,
    in_utc,
    look_first,
    row_of,
    tracking,
)
from clawver_orders.tools.arguments import (
    CheckoutId,
    CreatedAfter,
    CreatedBefore,
    CustomerEmail,
    Limit,
    OrderId,
    OrderStatusToken,
    PaymentStatus,
    ProductText,
    Status,
    moment,
)

ATTENTION_SHOWN = 25
NOTHING_TO_DO = "Nothing has to be done."
TRACKING_IS_HIDDEN = (
    "The tracking is hidden here (CLAWVER_PII=masked): ask the merchant to give it to the customer."
)
WHAT_IS_LEFT_IS_NOT_KNOWN = (
    "What can still be refunded is not known, because Clawver does not list the earlier refunds: "
    "tell the merchant before promising money back."
)


async def list_orders(
    services: Services,
    caller: Caller,
    status: Status = "any",
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
    after, before = _time(created_after), _time(created_before)
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
    shown = Shown.by(services.settings)
    rows = found.orders[:limit]
    why = found.why_incomplete
    if len(found.orders) > limit:
        more = f"{len(found.orders)} orders match; the newest {limit} are listed. Raise limit (at most 100)."
        why = f"{more} {why}" if why else more
    return OrderList(
        columns=list(COLUMNS),
        orders=[row_of(order, shown, services.now()) for order in rows],
        scanned=found.scanned,
        complete=why is None,
        why_incomplete=why,
        next_step="Call get_order with an order_id from the list for its details."
        if rows
        else "Nothing matches: widen the filters, or check the spelling.",
    )


async def _newest(services: Services, status: str | None, limit: int) -> Found:
    page = await services.clawver.orders(status=status, limit=limit)
    orders = tuple(sorted(page.orders, key=lambda o: (o.created_at, o.id), reverse=True))
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


def _time(value: str) -> datetime | None:
    return moment(value) if value else None


async def get_order(services: Services, order_id: OrderId) -> OrderDetail:
    """Read one order in full as the store sees it now: items with their ids, payment, address, tracking, refunds.

    Use it before refund_order, and to follow fulfilment. To find an order_id use list_orders,
    or get_receipt with a checkout_id. For what the customer may see use get_order_status, for a
    refund whose answer was lost check_refund.

    Pass order_id unchanged: it has no fixed form. An unknown id, or an item's, is an error. It
    takes one of the store's 60 requests a minute. The answer holds personal data.
    """
    order = await services.clawver.order(order_id)
    opened = await services.desk.open_refunds(order_id)
    shown, now = Shown.by(services.settings), services.now()
    return OrderDetail.of(
        order,
        shown,
        now,
        standing=standing(order),
        opened=opened,
        next_step=_next_step(order, opened, shown, now, read_only=services.settings.read_only),
    )


def _next_step(
    order: Order,
    opened: tuple[Intent, ...] | None,
    shown: Shown,
    now: datetime,
    *,
    read_only: bool,
) -> str:
    if opened:
        return look_first(opened[0])
    step = _first_step(order, shown, now, read_only=read_only)
    if opened is None:
        return f"{step} {LEDGER_UNREADABLE}"
    if order.refundable_in_cents is not None:
        return step
    return f"{'' if step == NOTHING_TO_DO else f'{step} '}{WHAT_IS_LEFT_IS_NOT_KNOWN}"


def _first_step(order: Order, shown: Shown, now: datetime, *, read_only: bool) -> str:
    left = order.refundable_in_cents
    if order.status == "cancelled" and left and read_only:
        return (
            f"The order is cancelled but not fully refunded: tell the merchant that {display(left)} is left to "
            "refund. It cannot be done here (CLAWVER_READ_ONLY)."
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
        if shown.masked:
            return f"Tell the customer that it is on its way. {TRACKING_IS_HIDDEN}"
        return "Give the customer the tracking that stands here."
    files = [item.id for item in order.items or () if item.is_digital]
    if left and files:
        item_id = f"item_id {files[0]}" if len(files) == 1 else "the item_id of the file"
        return f"For a new download link call generate_download_link with order_id {order.id} and {item_id}."
    return NOTHING_TO_DO


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
    shown = Shown.by(services.settings)
    parcel = tracking(order, shown)
    step = f"For items and refunds call get_order with order_id {order.id}."
    return OrderStatus(
        order_id=order.id,
        status=order.status,
        payment_status=order.payment_status or None,
        standing=standing(order),
        created_at=in_utc(order.created_at),
        created_ago=ago(order.created_at, services.now()),
        total_in_cents=order.total_in_cents,
        total=display(order.total_in_cents),
        tracking=parcel,
        next_step=f"{TRACKING_IS_HIDDEN} {step}" if shown.masked and parcel else step,
    )


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
    return ReceiptDetail(
        checkout_id=checkout_id,
        order_id=order,
        order_status_token=receipt.order_status_token,
        customer=Shown.by(services.settings).email(receipt.customer_email),
        total_in_cents=receipt.total_in_cents,
        total=None if receipt.total_in_cents is None else display(receipt.total_in_cents),
        items=[
            ReceiptLine(
                item_id=item.id,
                product_name=item.product_name,
                quantity=item.quantity,
                total_in_cents=item.total_in_cents,
                total=None if item.total_in_cents is None else display(item.total_in_cents),
                download_token=item.download_token,
            )
            for item in receipt.items
        ],
        next_step=f"Call get_order with order_id {order} for the order behind it."
        if order
        else "Find the order with list_orders and the customer's e-mail address.",
    )


async def summarize_orders(
    services: Services,
    caller: Caller,
    created_after: CreatedAfter = "",
    created_before: CreatedBefore = "",
) -> OrderSummary:
    """Count orders and add up their money and refunds: of the whole store, or of orders created in a span.

    Call it without arguments for the daily check: it names up to 25 orders that need attention
    (stuck for days, payment failed, cancelled but not refunded) and all open refunds. Use
    list_orders for the orders themselves, get_order for one.

    For one day give it as created_after and the next day as created_before. It takes up to 29
    of the store's 60 requests a minute, fewer for a recent span: do not poll it. When complete
    is false, the sums are too low: take a later created_after.
    """
    found = await search(
        services.clawver,
        created_after=_time(created_after),
        created_before=_time(created_before),
        needs=("payment_status", "refunds"),
        progress=caller.progress,
    )
    opened = await services.desk.open_refunds()
    sums = figures(found.orders, services.now())
    average = sums.average_order_in_cents
    return OrderSummary(
        orders=sums.orders,
        paid_orders=sums.paid_orders,
        sales_in_cents=sums.sales_in_cents,
        sales=display(sums.sales_in_cents),
        refunds=sums.refunds,
        refunded_in_cents=sums.refunded_in_cents,
        refunded=display(sums.refunded_in_cents),
        average_order_in_cents=average,
        average_order=None if average is None else display(average),
        by_status=[_tally(each) for each in sums.by_status],
        by_payment_status=[_tally(each) for each in sums.by_payment_status],
        needs_attention=[
            AttentionRow.of(order, why, Shown.by(services.settings))
            for order, why in sums.attention[:ATTENTION_SHOWN]
        ],
        needs_attention_count=len(sums.attention),
        scanned=found.scanned,
        complete=found.why_incomplete is None,
        why_incomplete=found.why_incomplete,
        open_refunds=None
        if opened is None
        else [OpenRefund.of(intent, services.now()) for intent in opened],
        next_step=_after_summary(
            [order for order, _ in sums.attention],
            opened,
            is_span=bool(created_after or created_before),
        ),
    )


def _after_summary(
    attention: list[Order], opened: tuple[Intent, ...] | None, *, is_span: bool
) -> str:
    if opened is None:
        return LEDGER_UNREADABLE
    if opened:
        return f"Find out what became of the open refunds: call check_refund with refund_id {opened[-1].refund_id}."
    if attention:
        return f"Start with get_order for order_id {attention[0].id}."
    if is_span:
        return (
            "No order created in that span needs attention; for older ones that wait call "
            "summarize_orders without arguments."
        )
    return "Nothing needs attention."


def _tally(tally: Tally) -> TallyRow:
    return TallyRow(
        name=tally.name,
        orders=tally.orders,
        total_in_cents=tally.total_in_cents,
        total=display(tally.total_in_cents),
    )
