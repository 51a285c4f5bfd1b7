"""A store's orders in numbers, and which of them need somebody."""

from typing import ClassVar, Self

from pydantic import Field

from clawver_orders.caller import Caller
from clawver_orders.clawver.models import Order
from clawver_orders.money import USD
from clawver_orders.orders.figures import Sums, Tally, figures
from clawver_orders.orders.privacy import Masking
from clawver_orders.orders.search import search
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services
from clawver_orders.tools.answers import (
    LEDGER_UNREADABLE,
    Answer,
    MoneyInCents,
    Part,
    Past,
    in_one_line,
    unless_usd,
)
from clawver_orders.tools.arguments import CreatedAfter, CreatedBefore, moment_or_nothing

ATTENTION_SHOWN = 25


class TallyRow(Part):
    """How many orders share a word, and what they come to."""

    name: str
    orders: int
    currency: str | None = None
    total_in_cents: MoneyInCents | None = None


class AttentionRow(Part):
    """An order that somebody should look at."""

    order_id: str
    why: str
    status: str
    customer: str | None = None
    items: str
    currency: str | None = None
    total_in_cents: MoneyInCents

    @classmethod
    def of(cls, order: Order, why: str, masking: Masking) -> Self:
        """The order as an agent gets it."""
        return cls(
            order_id=order.id,
            why=why,
            status=order.status or "?",
            customer=masking.email(order.customer_email),
            items=in_one_line(order),
            currency=unless_usd(order.currency),
            total_in_cents=order.total_in_cents,
        )


class OpenRefund(Part):
    """A refund whose money may be on its way."""

    currency: ClassVar[str] = USD
    refund_id: str
    order_id: str
    amount_in_cents: MoneyInCents
    sent_at: Past

    @classmethod
    def of(cls, wish: Wish) -> Self:
        """A refund of the ledger, as an agent gets it."""
        return cls(
            refund_id=wish.refund_id,
            order_id=wish.order_id,
            amount_in_cents=wish.amount_in_cents,
            sent_at=wish.sent_at or wish.created_at,
        )


class CurrencySums(Part):
    """What the orders in one further currency come to."""

    currency: str
    paid_orders: int
    sales_in_cents: MoneyInCents
    refunded_in_cents: MoneyInCents
    average_order_in_cents: MoneyInCents | None = None

    @classmethod
    def of(cls, sums: Sums) -> Self:
        """The sums as an agent gets them."""
        return cls(
            currency=sums.currency,
            paid_orders=sums.paid_orders,
            sales_in_cents=sums.sales_in_cents,
            refunded_in_cents=sums.refunded_in_cents,
            average_order_in_cents=sums.average_order_in_cents,
        )


class OrderSummary(Answer):
    """A store's orders in numbers."""

    orders: int
    paid_orders: int
    currency: str | None = None
    sales_in_cents: MoneyInCents
    refunds: int
    refunded_in_cents: MoneyInCents
    average_order_in_cents: MoneyInCents | None = None
    other_currencies: list[CurrencySums] | None = Field(
        None, description="Not in the amounts above, but in all counts."
    )
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
        created_after=moment_or_nothing(created_after),
        created_before=moment_or_nothing(created_before),
        needs=("payment_status", "refunds"),
        progress=caller.progress,
    )
    opened = await services.open_refunds()
    sums = figures(found.orders, services.now())
    main, *others = sums.sums
    why = found.why_incomplete
    if sums.unsummed:
        unsummed = (
            f"{sums.unsummed} orders are in an unknown currency, so their money is in no sum."
        )
        why = f"{why} {unsummed}" if why else unsummed
    return OrderSummary(
        orders=sums.orders,
        paid_orders=sums.paid_orders,
        currency=unless_usd(main.currency),
        sales_in_cents=main.sales_in_cents,
        refunds=sums.refunds,
        refunded_in_cents=main.refunded_in_cents,
        average_order_in_cents=main.average_order_in_cents,
        other_currencies=[CurrencySums.of(each) for each in others] or None,
        by_status=[_tally(each) for each in sums.by_status],
        by_payment_status=[_tally(each) for each in sums.by_payment_status],
        needs_attention=[
            AttentionRow.of(order, why, services.masking)
            for order, why in sums.attention[:ATTENTION_SHOWN]
        ],
        needs_attention_count=len(sums.attention),
        scanned=found.scanned,
        complete=why is None,
        why_incomplete=why,
        open_refunds=None if opened is None else [OpenRefund.of(wish) for wish in opened],
        next_step=_after_summary(
            [order for order, _ in sums.attention],
            opened,
            is_span=bool(created_after or created_before),
        ),
    )


def _after_summary(
    attention: list[Order], opened: tuple[Wish, ...] | None, *, is_span: bool
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
        currency=unless_usd(tally.currency),
        total_in_cents=tally.total_in_cents,
    )
