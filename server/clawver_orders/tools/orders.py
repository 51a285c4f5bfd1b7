"""Reading orders: up to ten of them, as they stand now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Self

from pydantic import Field

from clawver_orders.clawver.models import Item, Order, Refund, Review
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.money import USD
from clawver_orders.orders.lifecycle import attention
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.matching import Refundable, refundable
from clawver_orders.services import Services
from clawver_orders.time_limit import by_three, not_in_time, while_there_is_time
from clawver_orders.tools.answers import (
    LEDGER_UNREADABLE,
    LINES_SHOWN,
    TRACKING_IS_HIDDEN,
    Answer,
    Money,
    Part,
    Past,
    Tracking,
    and_more,
    look_first,
    no_refund_here,
    tracking,
    unless_usd,
    unread_lines,
)
from clawver_orders.tools.arguments import Include, OrderIds, ids_in

WHAT_IS_LEFT_IS_NOT_KNOWN = (
    "What can still be refunded is not known, because Clawver does not list the earlier refunds, or "
    "does not say what became of one: tell the merchant before promising money back."
)
REFUNDS_SHOWN = 10
"""The most refunds of an order that an answer has."""
LINES_OF_SEVERAL = 60
"""The most lines of all orders together, where several are read."""
ALL_LINES = 200
"""The same, where all of them are asked for."""


class ItemDetail(Part):
    """A line of an order."""

    item_id: str | None = None
    name: str
    variant: str | None = None
    type: str | None = None
    quantity: str | None = Field(None, description="Missing for one piece.")
    each: Money | None = None
    each_in_cents: int | None = None
    total: Money | None = None
    total_in_cents: int | None = None

    @classmethod
    def of(cls, item: Item, *, with_id: bool, with_total: bool, in_cents: bool) -> Self:
        """A line as an agent gets it.

        Args:
            item: The line.
            with_id: Whether it takes its id to tell it from other downloads.
            with_total: Whether it came to something else than its order.
            in_cents: Whether a part of the order can be refunded here, such as this line.
        """
        several = item.quantity != 1
        each = item.price_in_cents if several else None
        return cls(
            item_id=item.id if with_id else None,
            name=item.name,
            variant=item.variant_name,
            type=None if with_id else "printed" if item.is_printed else item.product_type or None,
            quantity=item.pieces if several else None,
            each=each,
            each_in_cents=each if in_cents else None,
            total=item.total_in_cents if with_total else None,
            total_in_cents=item.total_in_cents if with_total and in_cents else None,
        )


class UncountedRefund(Part):
    """A refund that failed, or of which it is not clear whether money went back."""

    clawver_refund_id: str
    status: str
    amount: Money

    @classmethod
    def of(cls, refund: Refund) -> Self:
        """Its detail."""
        return cls(clawver_refund_id=refund.id, status=refund.status, amount=refund.amount_in_cents)


class RefundDetail(Part):
    """Money that Clawver says went back."""

    amount: Money
    reason: str = ""
    created_at: Past | None = None
    clawver_refund_id: str | None = None
    stripe_refund_id: str | None = None
    status: str | None = None

    @classmethod
    def of(cls, refund: Refund, order: Order, masking: Masking, *, with_ids: bool) -> Self:
        """The detail of a refund, and how others know it, if that is wanted."""
        return cls(
            amount=refund.amount_in_cents,
            reason=masking.words(refund.reason, order),
            created_at=refund.created_at,
            clawver_refund_id=refund.id if with_ids else None,
            stripe_refund_id=refund.stripe_refund_id if with_ids else None,
            status=(refund.status or None) if with_ids else None,
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

    @classmethod
    def of(cls, order: Order, masking: Masking) -> Self | None:
        """The address of an order; None where it has none."""
        where = order.shipping_address
        if where is None:
            return None
        return cls(
            name=masking.name(where.name or None),
            line1=masking.detail(where.line1 or None),
            line2=masking.detail(where.line2 or None),
            city=masking.detail(where.city or None),
            state=masking.detail(where.state or None),
            postal_code=masking.detail(where.postal_code or None),
            country=where.country or None,
        )


class OrderDetail(Part):
    """One order, or why it could not be read."""

    order_id: str
    error: str | None = Field(None, description="Why this one could not be read.")
    next_step: str = ""
    status: str | None = None
    payment_status: str | None = None
    needs_attention: str | None = None
    created_at: Past | None = None
    paid_at: Past | None = None
    currency: str | None = None
    customer: str | None = None
    total: Money | None = None
    refunded: Money | None = Field(None, description="In all, where there are several refunds.")
    refundable: Money | None = Field(
        None,
        description="What is left, where that is less than the total or cannot be refunded here.",
    )
    refundable_in_cents: int | None = Field(
        None,
        description="The same for refund_order; the merchant's limits may allow less. Where both are missing, next_step says why.",
    )
    items: list[ItemDetail] = Field([])
    more_items: str | None = None
    tracking: Tracking | None = None
    ship_to: Recipient | None = None
    refunds: list[RefundDetail] = Field([])
    more_refunds: str | None = None
    uncounted_refunds: list[UncountedRefund] = Field(
        [], description="Failed, or not clear: not in the amounts above."
    )
    more_uncounted_refunds: str | None = None
    timeline: list[list[str]] = Field([], description="When, what, detail; oldest first.")

    @classmethod
    def of(
        cls,
        order: Order,
        masking: Masking,
        now: datetime,
        *,
        money: Refundable,
        why_not: str,
        include: Sequence[str],
        lines: int,
    ) -> Self:
        """An order as an agent gets it.

        Args:
            order: The order.
            masking: How its customer is shown.
            now: The time of the answer.
            money: What can be given back.
            why_not: Why it cannot be given back here, whatever is left; nothing where it can.
            include: What is shown beside the usual.
            lines: The most of its lines that are shown.
        """
        items = order.items or ()
        refunds, older = _newest(order.refunds or ())
        uncounted, older_uncounted = _newest(order.uncounted_refunds)
        is_timeline = "timeline" in include
        in_cents = bool(money.in_cents) and not why_not
        is_all_left = money.in_cents == order.total_in_cents
        files = sum(item.is_digital for item in items)
        return cls(
            order_id=order.id,
            next_step=_next_step(order, money, masking, why_not),
            status=order.status or "?",
            payment_status=order.payment_status or "?",
            needs_attention=attention(order, now),
            created_at=order.created_at,
            paid_at=order.paid_at if is_timeline else None,
            currency=unless_usd(order.currency),
            customer=masking.email(order.customer_email),
            total=order.total_in_cents,
            refunded=order.refunded_in_cents if len(order.refunds or ()) > 1 else None,
            refundable=None if in_cents and is_all_left else money.in_cents,
            refundable_in_cents=money.in_cents if in_cents else None,
            items=[
                ItemDetail.of(
                    item,
                    with_id=files > 1 and item.is_digital,
                    with_total=len(items) > 1 or item.total_in_cents != order.total_in_cents,
                    in_cents=in_cents,
                )
                for item in items[:lines]
            ],
            more_items=and_more([i.total_in_cents for i in items[lines:]], order.currency),
            tracking=tracking(order, masking),
            ship_to=Recipient.of(order, masking) if "address" in include else None,
            refunds=[RefundDetail.of(r, order, masking, with_ids=is_timeline) for r in refunds],
            more_refunds=and_more([each.amount_in_cents for each in older], order.currency),
            uncounted_refunds=[UncountedRefund.of(each) for each in uncounted],
            more_uncounted_refunds=and_more(
                [each.amount_in_cents for each in older_uncounted], order.currency
            ),
        )


class OrderDetails(Answer):
    """The orders that were asked for, in that order."""

    orders: list[OrderDetail]
    timeline_lacks: str | None = None


def _newest(refunds: tuple[Refund, ...]) -> tuple[tuple[Refund, ...], tuple[Refund, ...]]:
    """The refunds to show, and the older ones that are left out."""
    if len(refunds) <= REFUNDS_SHOWN:
        return refunds, ()
    newest_first = tuple(sorted(refunds, key=lambda refund: refund.age_order, reverse=True))
    return newest_first[:REFUNDS_SHOWN], newest_first[REFUNDS_SHOWN:]


async def get_order(
    services: Services,
    order_id: OrderIds,
    include: Include = [],  # noqa: B006  # a default that hosts can read; never changed
) -> OrderDetails:
    """Read up to 10 orders as they stand now: status, items, money, refunds, tracking.

    Always read an order before refund_order. Find ids with list_orders or get_receipt; for the
    customer's view use get_order_status. An unknown id is an error.
    """
    wanted = ids_in(order_id)
    read = await _read(services, wanted)
    most = ALL_LINES if "all_items" in include else LINES_OF_SEVERAL
    lines = LINES_SHOWN if most != ALL_LINES and len(wanted) == 1 else most // len(wanted)
    details = []
    lacks: list[str] = []
    is_ledger_readable = True
    reviews = await _reviews(services, read, lacks) if "timeline" in include else ()
    for each in wanted:
        found = read[each]
        if isinstance(found, ClawverError):
            details.append(OrderDetail(order_id=each, error=str(found)))
            continue
        money = refundable(found, await services.open_refunds(each))
        is_ledger_readable = is_ledger_readable and money.is_ledger_readable
        detail = OrderDetail.of(
            found,
            services.masking,
            services.now(),
            money=money,
            why_not=no_refund_here(found, services.settings.read_only_because),
            include=include,
            lines=lines,
        )
        if "timeline" in include:
            from clawver_orders.tools.timeline import sources_of, timeline, undated

            known = await sources_of(services, found, reviews)
            moments, left_out = timeline(found, known, services.masking)
            detail = detail.model_copy(update={"timeline": moments})
            lacks += [f"Not readable now: {each}." for each in known.unreadable]
            lacks += filter(None, [undated(found)])
            lacks += [f"{left_out} earlier moments of {each}."] if left_out else []
        details.append(detail)
    return OrderDetails(
        orders=details,
        timeline_lacks=" ".join(dict.fromkeys(lacks)) or None,
        next_step="" if is_ledger_readable else LEDGER_UNREADABLE,
    )


async def _reviews(
    services: Services, read: Mapping[str, Order | ClawverError], lacks: list[str]
) -> tuple[Review, ...]:
    """The reviews of these orders; what may be missing is added to `lacks`."""
    from clawver_orders.tools.reviews import reviews_of

    found = await reviews_of(services, lambda review: review.order_id in read)
    if found.lacks:
        lacks.append(found.lacks)
    return found.found


async def _read(services: Services, ids: Sequence[str]) -> dict[str, Order | ClawverError]:
    """Orders by their ids, or why one could not be read.

    Raises:
        ClawverError: The only one could not be read, or the settings keep all from being read.
    """
    if len(ids) == 1:
        return {each: await services.clawver.order(each) for each in ids}
    read: dict[str, Order | ClawverError] = dict.fromkeys(ids, not_in_time())

    async def read_one(each: str) -> None:
        try:
            read[each] = await services.clawver.order(each)
        except ClawverError as error:
            read[each] = error

    with while_there_is_time():
        await by_three(partial(read_one, each) for each in ids)
    for found in read.values():
        if isinstance(found, SetupError):
            raise found
    return read


def _next_step(order: Order, money: Refundable, masking: Masking, why_not: str) -> str:
    if money.open_refund is not None:
        return look_first(money.open_refund)
    notes = [unread_lines(order.unread_items)]
    if money.is_ledger_readable and money.in_cents is None:
        notes.append(WHAT_IS_LEFT_IS_NOT_KNOWN)
    if money.in_cents and why_not and (order.currency != USD or order.status == "cancelled"):
        notes.append(f"It cannot be refunded here ({why_not}).")
    if masking.masked and tracking(order, masking):
        notes.append(TRACKING_IS_HIDDEN)
    return " ".join(note for note in notes if note)
