"""A store's orders in numbers, and which of them need somebody."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field

from clawver_orders.caller import Caller
from clawver_orders.clawver.models import Order
from clawver_orders.history.summing import By
from clawver_orders.money import USD, display
from clawver_orders.orders.figures import (
    Batch,
    Figures,
    Sums,
    Tally,
    figures,
    needing_attention,
)
from clawver_orders.orders.lifecycle import holds_money, summed_up
from clawver_orders.orders.privacy import Masking
from clawver_orders.orders.search import mailbox
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services
from clawver_orders.tools.answers import (
    LEDGER_UNREADABLE,
    Answer,
    Money,
    Part,
    Past,
    and_more,
    in_one_line,
    in_utc,
    table,
    unless_usd,
)
from clawver_orders.tools.arguments import (
    CreatedAfter,
    CreatedBefore,
    SplitBy,
    WholeEmail,
    span_of,
)
from clawver_orders.tools.listing import NOT_TOLD, NOTHING_KNOWN, Listed, orders_of_customer
from clawver_orders.tools.reviews import in_a_cell, reviews_of
from clawver_orders.tools.spans import KnownSums, Span, SpanSums, cut_short, sums_of

ATTENTION_SHOWN = 25
"""The most orders that are named because they need attention."""
OF_A_CUSTOMER_SHOWN = 10
"""The same for the orders of one customer."""
UNPAID_SHOWN = 5
"""The most of them that nobody has paid for."""
OPEN_SHOWN = 25
"""The most open refunds that are named."""
ROWS_SHOWN = 60
"""The most days, weeks, products or customers that are named: a year by week fits."""
LONGEST_NAME = 60
"""The most characters of a product's name."""


class AttentionRow(Part):
    """An order that somebody should look at."""

    order_id: str = ""
    why: str = ""
    status: str = ""
    customer: str = ""
    items: str = ""
    total: str = ""

    @classmethod
    def of(cls, order: Order, why: str, masking: Masking) -> "AttentionRow":
        """The order as a row."""
        return cls(
            order_id=order.id,
            why=why,
            status=order.status or "?",
            customer=masking.email(order.customer_email) or "",
            items=in_one_line(order),
            total=display(order.total_in_cents, order.currency),
        )


class OpenRefund(Part):
    """A refund whose money may be on its way."""

    currency: ClassVar[str] = USD
    refund_id: str
    order_id: str
    amount: Money
    sent_at: Past

    @classmethod
    def of(cls, wish: Wish) -> Self:
        """A refund of the ledger, as an agent gets it."""
        return cls(
            refund_id=wish.refund_id,
            order_id=wish.order_id,
            amount=wish.amount_in_cents,
            sent_at=wish.sent_at or wish.created_at,
        )


class OrderSummary(Answer):
    """A store's orders in numbers."""

    span: str | None = None
    time_zone: str | None = None
    orders: int
    paid_orders: int
    currency: str | None = None
    sales: Money = Field(description="Of all orders that were ever paid, before refunds.")
    refunds: int
    refunded: Money
    refund_rate: str = Field("", description="Of the sales.")
    average_order: Money | None = None
    other_currencies: list[str] = Field(
        [], description="Not in the amounts above, but in all counts."
    )
    span_before: str = ""
    sales_change: str = ""
    by_status: list[list[str]] = Field([])
    by_payment_status: list[list[str]] = Field([])
    open_refunds: list[OpenRefund] = Field(
        [], description="Refunds of any order whose outcome is not known yet, the oldest ones."
    )
    more_open_refunds: int | None = None
    columns: list[str] = Field([], description="Of rows or needs_attention.")
    rows: list[list[str]] = Field(
        [], description="By day, week, customer, or product (of paid orders)."
    )
    more_rows: str | None = None
    needs_attention: list[list[str]] = Field([], description="Of orders that Clawver lists now.")
    in_all_rows: AttentionRow | None = Field(None, description="The same in all rows.")
    more_that_need_attention: str | None = None
    scanned: int
    as_of: Past | None = None
    complete: bool
    why_incomplete: str | None = None


class CustomerSummary(Answer):
    """A customer's orders in numbers."""

    customer: str | None = None
    orders: int
    paid_orders: int
    paid: str = Field("", description="Before refunds.")
    refunds: int
    refunded: str = ""
    first_order_at: Past | None = None
    last_order_at: Past | None = None
    columns: list[str] = Field([])
    needs_attention: list[list[str]] = Field([])
    in_all_rows: AttentionRow | None = None
    more_that_need_attention: str | None = None
    reviews: list[list[str]] = Field([], description="When, order, text; the newest.")
    more_reviews: str | None = None
    as_of: Past | None = None
    complete: bool
    why_incomplete: str | None = None


async def get_customer(
    services: Services, caller: Caller, customer_email: WholeEmail
) -> CustomerSummary:
    """Count a customer's orders, payments and refunds; name orders that need attention, and reviews.

    For the orders themselves use list_orders. If not `complete`, sums may be too low.
    """
    listed = await orders_of_customer(services, caller, customer_email)
    sums = figures(Batch.of(order) for order in listed.orders)
    attention = needing_attention(listed.orders, services.now())
    orders = {order.id: order for order in listed.orders}
    reviews, more = await _reviews(services, customer_email, orders)
    opened = await services.open_refunds()
    theirs = opened and tuple(wish for wish in opened if wish.order_id in orders)
    urgent, left_out = most_urgent(attention, OF_A_CUSTOMER_SHOWN)
    late = table([AttentionRow.of(each, why, services.masking) for each, why in urgent])
    times = [order.created_at for order in listed.orders if order.created_at is not None]
    return CustomerSummary(
        customer=services.masking.email(customer_email),
        orders=sums.orders,
        paid_orders=sums.paid_orders,
        paid=_together((each.sales_in_cents, each.currency) for each in sums.sums),
        refunds=sums.refunds,
        refunded=_together((each.refunded_in_cents, each.currency) for each in sums.sums),
        first_order_at=min(times, default=None),
        last_order_at=max(times, default=None),
        columns=late.columns,
        needs_attention=late.cells,
        in_all_rows=late.in_all_rows,
        more_that_need_attention=summed_up(left_out) or None,
        reviews=reviews,
        more_reviews=more,
        as_of=min((each.as_of for each in listed.kept), default=None),
        complete=not listed.extent,
        why_incomplete=listed.extent or None,
        next_step=_after_customer(theirs, listed),
    )


def most_urgent(
    attention: Sequence[tuple[Order, str]], most: int
) -> tuple[Sequence[tuple[Order, str]], list[Order]]:
    """What is named of the orders that need attention, the most urgent first; and what is left out."""
    paid = sum(holds_money(order) for order, _ in attention)
    named = min(most, paid + UNPAID_SHOWN)
    return attention[:named], [order for order, _ in attention[named:]]


async def _reviews(
    services: Services, customer_email: str, orders: Mapping[str, Order]
) -> tuple[list[list[str]], str | None]:
    """A customer's newest reviews as rows, and what is said of others."""
    theirs = mailbox(customer_email)
    found = await reviews_of(
        services,
        lambda review: review.order_id in orders or mailbox(review.reviewer_email or "") == theirs,
    )
    newest = sorted(
        ((each.created_at, each) for each in found.found if each.created_at),
        key=lambda row: row[0],
        reverse=True,
    )
    rows = [
        [
            in_utc(at),
            each.order_id or NOT_TOLD,
            in_a_cell(each, orders.get(each.order_id or ""), services.masking),
        ]
        for at, each in newest[:OF_A_CUSTOMER_SHOWN]
    ]
    more = and_more([None] * len(newest[OF_A_CUSTOMER_SHOWN:]))
    return rows, " ".join(filter(None, (more and f"{more}.", found.lacks))) or None


def _after_customer(opened: tuple[Wish, ...] | None, listed: Listed) -> str:
    if listed.orders:
        return _after_summary(opened, is_span=False)
    if listed.extent:
        return NOTHING_KNOWN
    return "No order has this address: check its spelling, or find the order with list_orders and search."


def _together(amounts: Iterable[tuple[int, str]]) -> str:
    """Amounts in different currencies, which are never added."""
    return " + ".join(display(cents, currency) for cents, currency in amounts)


async def summarize_orders(
    services: Services,
    caller: Caller,
    created_after: CreatedAfter = "",
    created_before: CreatedBefore = "",
    by: SplitBy = None,
) -> OrderSummary:
    """Count orders and add up sales and refunds, of the store or a span, compared with the span before; name open refunds and orders that need attention.

    For the daily check give no arguments: a late order may be old. For one day give it and, as
    created_before, the next. For the orders themselves use list_orders. It takes up to 29
    requests. If not `complete`, sums may be too low.
    """
    calendar = services.settings.calendar
    span = Span(*span_of(created_after, created_before, calendar, services.now()))
    found = await sums_of(services, caller, span, by)
    opened = await services.open_refunds()
    sums = figures(found.sums.batches)
    main, *others = sums.sums
    why = found.why_incomplete
    if sums.unsummed:
        unsummed = (
            f"{sums.unsummed} orders are in an unknown currency, so their money is in no sum."
        )
        why = f"{why} {unsummed}" if why else unsummed
    answer = OrderSummary(
        span=_in_words(span) if span.begin or span.end else None,
        time_zone=calendar.name if span.begin or span.end or by in {"day", "week"} else None,
        orders=sums.orders,
        paid_orders=sums.paid_orders,
        currency=unless_usd(main.currency),
        sales=main.sales_in_cents,
        refunds=sums.refunds,
        refunded=main.refunded_in_cents,
        other_currencies=[_money_in_words(each) for each in others],
        span_before=_before_in_words(found.before, main.currency) if found.before else "",
        scanned=found.found.scanned,
        as_of=found.as_of,
        complete=why is None,
        why_incomplete=why,
        open_refunds=[OpenRefund.of(wish) for wish in (opened or ())[-OPEN_SHOWN:]],
        more_open_refunds=max(0, len(opened or ()) - OPEN_SHOWN) or None,
        next_step=_after_summary(opened, is_span=bool(created_after or created_before)),
    )
    more = (
        _split(found, by, services.masking, main.currency, cut_short(span, by, calendar))
        if by
        else _in_detail(found, sums, services)
    )
    rates = _rates(main, found.before) if answer.complete else {}
    return answer.model_copy(update=more | rates)


def _rates(main: Sums, before: KnownSums | None) -> dict[str, Any]:
    """What is made by dividing. A part of the orders may be the odd part, so all have to be known."""
    earlier = figures(before.sums.batches) if before and before.is_complete else None
    return {
        "refund_rate": main.refund_rate,
        "average_order": main.average_order_in_cents,
        "sales_change": _change(
            main.sales_in_cents, earlier.in_currency(main.currency).sales_in_cents
        )
        if earlier and not earlier.unsummed
        else "",
    }


def _in_detail(found: SpanSums, sums: Figures, services: Services) -> dict[str, Any]:
    """What is told where nothing is split: the statuses, and what needs attention."""
    attention = needing_attention(found.found.orders, services.now())
    urgent, left_out = most_urgent(attention, ATTENTION_SHOWN)
    late = table([AttentionRow.of(each, why, services.masking) for each, why in urgent])
    return {
        "by_status": [_tally(each) for each in sums.by_status],
        "by_payment_status": [_tally(each) for each in sums.by_payment_status],
        "columns": late.columns,
        "needs_attention": late.cells,
        "in_all_rows": late.in_all_rows,
        "more_that_need_attention": summed_up(left_out) or None,
    }


def _split(
    found: SpanSums, by: By, masking: Masking, currency: str, parts: set[str]
) -> dict[str, Any]:
    """What is told where it is split: the newest days and weeks first, the most sold products and customers."""
    rows = [
        (name, figures(each for each in batches if each.was_paid or by != "product"))
        for name, batches in found.sums.rows.items()
    ]
    rows = [(name, sums) for name, sums in rows if sums.orders]
    if by in {"day", "week"}:
        rows.sort(reverse=True)
    else:
        rows.sort(key=lambda row: (-row[1].in_currency(currency).sales_in_cents, row[0]))
    left_out = rows[ROWS_SHOWN:]
    columns = _OF_PRODUCTS if by == "product" else _OF_OTHERS
    return {
        "columns": [by, *columns],
        "rows": [
            [
                _name(name, by, found.sums.names, masking) + (" (part)" if name in parts else ""),
                *(_COLUMNS[each](sums) for each in columns),
            ]
            for name, sums in rows[:ROWS_SHOWN]
        ],
        "more_rows": and_more(
            [sums.in_currency(currency).sales_in_cents for _, sums in left_out], currency
        ),
    }


_COLUMNS: dict[str, Callable[[Figures], str]] = {
    "orders": lambda sums: str(sums.orders),
    "paid_orders": lambda sums: str(sums.paid_orders),
    "sales": lambda sums: _together((each.sales_in_cents, each.currency) for each in sums.sums),
    "refunded": lambda sums: _together(
        (each.refunded_in_cents, each.currency) for each in sums.sums
    ),
    "pieces": lambda sums: str(sums.pieces),
}
_OF_PRODUCTS = ("orders", "pieces", "sales")
_OF_OTHERS = ("orders", "paid_orders", "sales", "refunded")


def _name(name: str, by: By, products: Mapping[str, str], masking: Masking) -> str:
    """A day, week, product or customer, as a row has it."""
    if by == "product":
        name = products[name]
        return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return (masking.email(name) if by == "customer" else name) or NOT_TOLD


def _in_words(span: Span) -> str:
    """A span as an answer has it."""
    begin = in_utc(span.begin) if span.begin else "the first order"
    return f"{begin} to {in_utc(span.end) if span.end else 'now'}"


def _before_in_words(before: KnownSums, currency: str) -> str:
    """What the span before came to."""
    sums = figures(before.sums.batches)
    known = "" if before.is_complete else "; some may be missing"
    money = _money_in_words(sums.in_currency(currency))
    return f"{_in_words(before.span)}: orders {sums.orders}, {money}{known}"


def _money_in_words(sums: Sums) -> str:
    """What the orders in one currency come to."""
    sales, refunded = (
        display(each, sums.currency) for each in (sums.sales_in_cents, sums.refunded_in_cents)
    )
    return f"paid {sums.paid_orders}, sales {sales}, refunded {refunded}"


def _change(now: int, before: int) -> str:
    """How much more or less an amount is than it was, such as +12.5%."""
    return f"{100 * (now - before) / before:+.1f}%" if before else ""


def _after_summary(opened: tuple[Wish, ...] | None, *, is_span: bool) -> str:
    if opened is None:
        return LEDGER_UNREADABLE
    if opened:
        return f"Find out what became of the open refunds: call check_refund with refund_id {opened[-1].refund_id}."
    if is_span:
        return "For older orders that need attention call summarize_orders without arguments."
    return ""


def _tally(tally: Tally) -> list[str]:
    count = f"{tally.orders} order{'' if tally.orders == 1 else 's'}"
    if tally.total_in_cents is None:
        return [tally.name, f"{count} in an unknown currency"]
    return [tally.name, f"{count}, {display(tally.total_in_cents, tally.currency)}"]
