"""The wrong-size playbook, from an order and its products. No I/O, and nothing is changed.

Clawver has no call that exchanges an item: a replacement is a new checkout by the customer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from clawver_orders.clawver.models import Item, Order, Product, Variant
from clawver_orders.orders.size_names import named_alike


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
    is_known: bool
    """Whether the product tells of any size at all."""
    in_stock: tuple[Choice, ...]
    """Those of the make that was ordered: only the size differs. Where that isn't known, all; so the next two."""
    out_of_stock: tuple[Choice, ...]
    unknown_stock: tuple[Choice, ...]
    other_makes: tuple[Choice, ...]
    """Those of other colours or materials in stock; of the wanted size alone, where one was asked for."""
    wanted: Choice | None
    """The size that was asked for, if one is found under that name. It is in no other list."""
    comes_in: tuple[str, ...]
    """The sizes of the product."""


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
    wanted = _wanted(choices, wanted_size, ordered)
    others = [each for each in choices if each.variant is not ordered and each is not wanted]
    alike = [each for each in others if not ordered or _make(each.variant) == _make(ordered)]
    return ItemSizes(
        item=item,
        ordered=ordered,
        is_known=bool(choices),
        in_stock=tuple(each for each in alike if each.variant.is_available is True),
        out_of_stock=tuple(each for each in alike if each.variant.is_available is False),
        unknown_stock=tuple(each for each in alike if each.variant.is_available is None),
        other_makes=tuple(
            each
            for each in others
            if each not in alike
            and each.variant.is_available is True
            and (not wanted_size or _is_size(each.variant, wanted_size))
        ),
        wanted=wanted,
        comes_in=tuple(dict.fromkeys(v.size or v.name for v in variants if v.size or v.name)),
    )


def _wanted(choices: list[Choice], size: str, ordered: Variant | None) -> Choice | None:
    """The choice of that size: of the colour that was ordered, where names tell colours apart.

    Otherwise one in stock comes before others.
    """
    fitting = [each for each in choices if size and _is_size(each.variant, size)]
    exact = [each for each in fitting if each.variant.size.casefold() == size.casefold().strip()]
    fitting = exact or fitting
    alike = [each for each in fitting if ordered and _make(each.variant) == _make(ordered)]
    return max(alike or fitting, key=lambda each: each.variant.is_available is True, default=None)


def _is_size(variant: Variant, size: str) -> bool:
    """Whether a variant is of a size, as its size or else its name tells."""
    told = [variant.size] if variant.size else variant.name.split("/")
    return any(named_alike(each, size) for each in told)


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
