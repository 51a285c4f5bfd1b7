"""The wrong-size playbook as a tool."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from clawver_orders.clawver.models import Order, Product
from clawver_orders.errors import NotFoundError, RefusedError
from clawver_orders.money import display
from clawver_orders.orders.sizes import Choice, ItemSizes, sizes_of
from clawver_orders.refunds.matching import Refundable, refundable
from clawver_orders.services import Services
from clawver_orders.tools.answers import (
    LEDGER_UNREADABLE,
    Answer,
    InWords,
    MoneyInCents,
    Part,
    among_readable,
    look_first,
    no_refund_here,
    unless_usd,
)
from clawver_orders.tools.arguments import OrderId, WantedSize

NO_EXCHANGE = (
    "Clawver has no call that exchanges an item or creates an order for a customer: a replacement "
    "is a new checkout by the customer."
)
PRODUCTS_READ = 10
"""The most products that are looked up for one order."""


def _more_or_less(difference: int, _: datetime, currency: str) -> str:
    if difference == 0:
        return "same price"
    return f"{display(abs(difference), currency)} {'more' if difference > 0 else 'less'}"


Difference = Annotated[int, InWords("_in_cents", "", _more_or_less)]


class SizeChoice(Part):
    """One size of a product."""

    variant_id: str | None = None
    variant_name: str
    size: str
    price_in_cents: MoneyInCents | None = None
    difference_in_cents: Difference | None = Field(None, description="Against the ordered one.")


class ItemSizesDetail(Part):
    """A printed item, the size that was ordered, and the others."""

    item_id: str | None = None
    product_name: str
    quantity: int | None = None
    ordered_variant_id: str | None = None
    ordered_variant_name: str | None = None
    ordered_size: str | None = None
    in_stock: list[SizeChoice]
    out_of_stock: list[SizeChoice]
    stock_unknown: list[SizeChoice]
    wanted: SizeChoice | None = None
    wanted_available: Literal["in_stock", "out_of_stock", "not_known", "no_such_size", "not_asked"]
    total_in_cents: MoneyInCents | None = None


class WrongSize(Answer):
    """The wrong-size playbook for an order."""

    order_id: str
    currency: str | None = None
    items: list[ItemSizesDetail]
    refundable_in_cents: MoneyInCents | None = None
    exchange: str
    steps: list[str]


async def handle_wrong_size(
    services: Services, order_id: OrderId, wanted_size: WantedSize = ""
) -> WrongSize:
    """Show what can be done when a printed item came in the wrong size: the sizes in stock with price differences, what can be refunded, and the steps open to the merchant.

    Use it before promising a customer anything; get_order has no stock. It changes and reserves
    nothing. Clawver cannot exchange an item: a replacement is a new checkout by the customer,
    and money back is refund_order, after the merchant's decision.

    With wanted_size (xl is XL) each printed item also says whether that size can be had. Stock
    is read now: one request a product, for at most 10. An order without printed items is an
    error.
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
    items = [_detail(each, wanted_size) for each in sizes_of(order, products, wanted_size)]
    return WrongSize(
        order_id=order_id,
        currency=unless_usd(order.currency),
        items=items,
        refundable_in_cents=money.in_cents,
        exchange=NO_EXCHANGE,
        steps=_steps(
            order,
            items,
            money,
            read_only_because=services.settings.read_only_because,
        ),
        next_step="Take the steps in order; the merchant decides about money before any of it moves.",
    )


def _detail(sizes: ItemSizes, wanted_size: str) -> ItemSizesDetail:
    ordered = sizes.ordered
    return ItemSizesDetail(
        item_id=sizes.item.id,
        product_name=sizes.item.name,
        quantity=sizes.item.quantity,
        ordered_variant_id=sizes.item.variant_id,
        ordered_variant_name=sizes.item.variant_name or (ordered.name if ordered else None),
        ordered_size=ordered.size if ordered else None,
        in_stock=[_choice(each) for each in sizes.in_stock],
        out_of_stock=[_choice(each) for each in sizes.out_of_stock],
        stock_unknown=[_choice(each) for each in sizes.unknown_stock],
        wanted=_choice(sizes.wanted) if sizes.wanted else None,
        wanted_available=_availability(sizes, wanted_size),
        total_in_cents=sizes.item.total_in_cents,
    )


def _prices(items: list[ItemSizesDetail], left: int, currency: str) -> str:
    """What was paid for each item, where the order came to more."""
    return "".join(
        f"{display(item.total_in_cents, currency)} was paid for {item.item_id or 'one item'}, "
        for item in items
        if item.total_in_cents is not None and 0 < item.total_in_cents < left
    )


def _availability(sizes: ItemSizes, wanted_size: str) -> str:
    if not wanted_size:
        return "not_asked"
    wanted = sizes.wanted
    if wanted is None:
        is_known = sizes.ordered or sizes.in_stock or sizes.out_of_stock or sizes.unknown_stock
        return "no_such_size" if is_known else "not_known"
    words = {True: "in_stock", False: "out_of_stock", None: "not_known"}
    return words[wanted.variant.is_available]


def _choice(choice: Choice) -> SizeChoice:
    return SizeChoice(
        variant_id=choice.variant.id,
        variant_name=choice.variant.name,
        size=choice.variant.size,
        price_in_cents=choice.variant.price_in_cents,
        difference_in_cents=choice.difference_in_cents,
    )


def _steps(
    order: Order,
    items: list[ItemSizesDetail],
    money: Refundable,
    *,
    read_only_because: str,
) -> list[str]:
    steps = [
        "Confirm with the customer which item it is and that ordered_variant_name is what they ordered.",
    ]
    if any(item.wanted_available == "not_known" for item in items):
        steps.append("Whether the wanted size can be had is not known: ask the merchant.")
    if any(item.wanted_available in {"out_of_stock", "no_such_size"} for item in items):
        steps.append(
            "The wanted size cannot be had for every item: offer one from in_stock, or a refund."
        )
    steps.append("If the customer wants another size, they place a new order for it in the store.")
    left = money.in_cents
    most = display(left or 0, order.currency)
    why_not = no_refund_here(order, read_only_because)
    if not money.is_ledger_readable:
        steps.append(LEDGER_UNREADABLE)
    elif money.open_refund is not None:
        steps.append(look_first(money.open_refund))
    elif left and why_not:
        steps.append(
            f"At most {most} of this order can be refunded: ask the merchant, since it cannot be done "
            f"here ({why_not})."
        )
    elif left:
        steps.append(
            f"Offer a full or partial refund: {_prices(items, left, order.currency)}at most {most} on this order, "
            f"with refund_order for order_id {order.id} and amount_in_cents up to {left}, after the merchant's yes."
        )
    elif left == 0:
        steps.append("Nothing can be refunded on this order.")
    else:
        steps.append(
            "What can be refunded is not known: Clawver does not list the earlier refunds, or not what became of one."
        )
    return steps
