"""The wrong-size playbook, from an order and its products. No I/O, and nothing is changed.

Clawver has no call that exchanges an item: a replacement is a new checkout by the customer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from clawver_orders.clawver.models import Item, Order, Product, Variant


@dataclass(frozen=True)
class Choice:
    """One size of the product, beside the one that was ordered."""

    variant: Variant
    difference_in_cents: int | None
    """What it costs more (or less, when negative) than the ordered one did; None if unknown."""


@dataclass(frozen=True)
class ItemSizes:
    """What can be said about one printed item of an order."""

    item: Item
    ordered: Variant | None
    """The variant that was ordered; None where the product no longer lists it."""
    in_stock: tuple[Choice, ...]
    out_of_stock: tuple[Choice, ...]
    unknown_stock: tuple[Choice, ...]
    wanted: Choice | None
    """The size that was asked for, if the product has it."""


def sizes_of(order: Order, products: Mapping[str, Product], wanted_size: str) -> list[ItemSizes]:
    """Compare each printed item with the sizes of its product.

    Args:
        order: The order, with its items.
        products: Products by id; an item whose product is missing has no sizes.
        wanted_size: A size as the customer says it, or empty.
    """
    return [
        _sizes(item, products.get(item.product_id or ""), order.currency, wanted_size)
        for item in order.items or ()
        if item.is_printed
    ]


def _sizes(item: Item, product: Product | None, currency: str, wanted_size: str) -> ItemSizes:
    printed = product.print_on_demand if product else None
    variants = printed.variants if printed else ()
    if product and product.currency not in {None, currency}:  # such prices cannot be compared
        variants = tuple(each.model_copy(update={"price_in_cents": None}) for each in variants)
    ordered = _ordered(item, variants)
    paid = item.price_in_cents
    choices = [
        Choice(v, None if paid is None or v.price_in_cents is None else v.price_in_cents - paid)
        for v in variants
    ]
    others = [choice for choice in choices if choice.variant is not ordered]
    return ItemSizes(
        item=item,
        ordered=ordered,
        in_stock=tuple(c for c in others if c.variant.is_available is True),
        out_of_stock=tuple(c for c in others if c.variant.is_available is False),
        unknown_stock=tuple(c for c in others if c.variant.is_available is None),
        wanted=_wanted(choices, wanted_size.casefold().strip(), ordered),
    )


def _wanted(choices: list[Choice], size: str, ordered: Variant | None) -> Choice | None:
    """The choice of that size: of the colour that was ordered, where names tell colours apart.

    Otherwise one in stock comes before others.
    """
    fitting = [each for each in choices if size and each.variant.size.casefold() == size]
    alike = [each for each in fitting if ordered and _make(each.variant) == _make(ordered)]
    return max(alike or fitting, key=lambda each: each.variant.is_available is True, default=None)


def _make(variant: Variant) -> list[str]:
    """What a name such as `Bella + Canvas 3001 / Black / M` says beside the size."""
    parts = [part.strip().casefold() for part in variant.name.split("/")]
    return [part for part in parts if part != variant.size.casefold()]


def _ordered(item: Item, variants: tuple[Variant, ...]) -> Variant | None:
    """By the variant's id; some orders name Printful's id instead."""
    for variant in variants:
        if item.variant_id is not None and item.variant_id == variant.id:
            return variant
    for variant in variants:
        if item.variant_id is not None and item.variant_id == variant.printful_variant_id:
            return variant
    return None
