"""The wrong-size playbook as a tool."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from clawver_orders.clawver.models import Order, Product, Variant
from clawver_orders.errors import NotFoundError, RefusedError
from clawver_orders.money import display
from clawver_orders.orders.sizes import Choice, ItemSizes, sizes_of
from clawver_orders.refunds.matching import Refundable, refundable
from clawver_orders.services import Services
from clawver_orders.tools.answers import (
    LEDGER_UNREADABLE,
    Answer,
    Money,
    Part,
    among_readable,
    and_more,
    look_first,
    no_refund_here,
    unless_usd,
)
from clawver_orders.tools.arguments import OrderId, WantedSize

PRODUCTS_READ = 10
"""The most products that are looked up for one order."""
ITEMS_SHOWN = 10
"""The most items of one order that are compared with their products."""
CHOICES_SHOWN = 20
"""The most sizes of one product in each list of an answer."""
COLUMNS = ("variant", "price", "difference_each")
"""What a row says about a size."""
NO_EXCHANGE = "Another size is a new order by the customer."


class ItemSizesDetail(Part):
    """A printed item, the size that was ordered, and the others."""

    name: str
    quantity: str | None = Field(None, description="Missing for one piece.")
    ordered: str = ""
    total: Money | None = None
    total_in_cents: int | None = None
    wanted_available: Literal["in_stock", "out_of_stock", "not_known", "not_found"] | None = None
    wanted: list[str] = Field([])
    comes_in: list[str] = Field([])
    in_stock: list[list[str]] = Field([], description="Of the same make: only the size differs.")
    out_of_stock: list[str] = Field([])
    stock_unknown: list[list[str]] = Field([])
    other_makes_in_stock: list[list[str]] = Field(
        [], description="Other colours or materials; of wanted_size alone, where that was given."
    )
    choices_left_out: int | None = Field(None, description="Others that are in no list here.")


class WrongSize(Answer):
    """The wrong-size playbook for an order."""

    order_id: str
    currency: str | None = None
    columns: list[str] = Field(description="The columns of a row; the difference is for one piece.")
    items: list[ItemSizesDetail]
    more_items: str | None = Field(None, description="How many are left out, and their sum.")
    refundable: Money | None = None
    refundable_in_cents: int | None = None


async def handle_wrong_size(
    services: Services, order_id: OrderId, wanted_size: WantedSize = ""
) -> WrongSize:
    """Show which sizes of an order's printed items can be had now, with price differences, and what can be refunded.

    Use it before promising anything: get_order has no stock. With wanted_size it
    says for each printed item whether that one is in stock. An order without printed items is an
    error. Clawver cannot exchange: another size is a new order by the customer, and the
    merchant decides on money.
    """
    order = await services.clawver.order(order_id)
    printed = [item for item in order.items or () if item.is_printed]
    if not printed:
        raise RefusedError(
            f"{order_id} has no printed item{among_readable(order)}, so it has no sizes.",
            next_step=f"Call get_order with order_id {order_id} to see its items.",
        )
    products: dict[str, Product] = {}
    for product_id in list(dict.fromkeys(i.product_id for i in printed if i.product_id))[
        :PRODUCTS_READ
    ]:
        try:
            products[product_id] = await services.clawver.product(product_id)
        except NotFoundError:
            continue  # a product may be gone while its orders stay
    money = refundable(order, await services.open_refunds(order_id))
    why_not = no_refund_here(order, services.settings.read_only_because)
    left = None if why_not else money.in_cents or None
    sizes = sizes_of(order, products, wanted_size)
    return WrongSize(
        order_id=order_id,
        currency=unless_usd(order.currency),
        columns=list(COLUMNS),
        items=[_detail(each, order, wanted_size, left) for each in sizes[:ITEMS_SHOWN]],
        more_items=and_more(
            [each.item.total_in_cents for each in sizes[ITEMS_SHOWN:]], order.currency
        ),
        refundable=money.in_cents,
        refundable_in_cents=left,
        next_step=_next_step(money, why_not),
    )


def _detail(
    sizes: ItemSizes, order: Order, wanted_size: str, left_in_cents: int | None
) -> ItemSizesDetail:
    def rows(choices: Sequence[Choice]) -> list[list[str]]:
        return [_row(each, order.currency) for each in choices[:CHOICES_SHOWN]]

    item, ordered = sizes.item, sizes.ordered
    total = item.total_in_cents
    lists = (sizes.in_stock, sizes.out_of_stock, sizes.unknown_stock, sizes.other_makes)
    is_part = left_in_cents is not None and total != left_in_cents
    return ItemSizesDetail(
        name=item.name,
        quantity=item.pieces if item.quantity != 1 else None,
        ordered=item.variant_name or (_name(ordered) if ordered else ""),
        total=total,
        total_in_cents=total if is_part else None,
        wanted_available=_availability(sizes) if wanted_size else None,
        wanted=_row(sizes.wanted, order.currency) if sizes.wanted else [],
        comes_in=list(sizes.comes_in[:CHOICES_SHOWN]) if wanted_size and not sizes.wanted else [],
        in_stock=rows(sizes.in_stock),
        out_of_stock=[_name(each.variant) for each in sizes.out_of_stock[:CHOICES_SHOWN]],
        stock_unknown=rows(sizes.unknown_stock),
        other_makes_in_stock=rows(sizes.other_makes),
        choices_left_out=sum(max(0, len(each) - CHOICES_SHOWN) for each in lists) or None,
    )


def _row(choice: Choice, currency: str) -> list[str]:
    price, difference = choice.variant.price_in_cents, choice.difference_in_cents
    return [
        _name(choice.variant),
        "not known" if price is None else display(price, currency),
        "not known" if difference is None else _more_or_less(difference, currency),
    ]


def _more_or_less(difference_in_cents: int, currency: str) -> str:
    if difference_in_cents == 0:
        return "same price"
    more = "more" if difference_in_cents > 0 else "less"
    return f"{display(abs(difference_in_cents), currency)} {more}"


def _name(variant: Variant) -> str:
    """The name of a variant, with its size where the name does not say it."""
    parts = [part.strip().casefold() for part in variant.name.split("/")]
    missing = variant.size and variant.size.casefold() not in parts
    return " / ".join(filter(None, (variant.name, variant.size if missing else "")))


def _availability(sizes: ItemSizes) -> str:
    if sizes.wanted is None:
        return "not_found" if sizes.is_known else "not_known"
    words = {True: "in_stock", False: "out_of_stock", None: "not_known"}
    return words[sizes.wanted.variant.is_available]


def _next_step(money: Refundable, why_not: str) -> str:
    if not money.is_ledger_readable:
        return f"{NO_EXCHANGE} {LEDGER_UNREADABLE}"
    if money.open_refund is not None:
        return f"{NO_EXCHANGE} {look_first(money.open_refund)}"
    if money.in_cents is None:
        return (
            f"{NO_EXCHANGE} What can be refunded is not known: Clawver does not list the earlier refunds, or "
            "does not say what became of one."
        )
    if not money.in_cents:
        return f"{NO_EXCHANGE} Nothing can be refunded on this order."
    if why_not:
        return f"{NO_EXCHANGE} Money back cannot be given here ({why_not}): ask the merchant."
    return f"{NO_EXCHANGE} Money back: refund_order, once the merchant agrees."
