"""The wrong-size playbook, from an order and its products."""

from typing import Any

from clawver_orders.clawver.models import Order, Product
from clawver_orders.orders.sizes import sizes_of

PRODUCT = Product.model_validate(
    {
        "id": "prod_tee",
        "printOnDemand": {
            "variants": [
                {
                    "id": "v_s",
                    "size": "S",
                    "priceInCents": 2400,
                    "inStock": True,
                    "printfulVariantId": 11,
                },
                {
                    "id": "v_m",
                    "size": "M",
                    "priceInCents": 2400,
                    "inStock": True,
                    "printfulVariantId": 12,
                },
                {"id": "v_l", "size": "L", "priceInCents": 2600, "inStock": False},
                {"id": "v_xl", "size": "XL", "inStock": None},
            ]
        },
    }
)


def ordered(**item: Any) -> Order:
    tee = {
        "id": "item_1",
        "productId": "prod_tee",
        "productType": "print_on_demand",
        "priceInCents": 2400,
    }
    file = {"id": "item_2", "productType": "digital"}
    return Order.model_validate(
        {
            "id": "ord_1",
            "status": "delivered",
            "totalInCents": 1,
            "createdAt": "2026-11-24T00:00:00Z",
        }
        | {"items": [tee | item, file]}
    )


def test_other_sizes_are_sorted_by_stock_with_what_they_cost_more() -> None:
    (sizes,) = sizes_of(ordered(variantId="v_m"), {"prod_tee": PRODUCT}, "l ")

    assert sizes.ordered is not None
    assert sizes.ordered.size == "M"
    assert [(c.variant.size, c.difference_in_cents) for c in sizes.in_stock] == [("S", 0)]
    assert [(c.variant.size, c.difference_in_cents) for c in sizes.out_of_stock] == [("L", 200)]
    assert [(c.variant.size, c.difference_in_cents) for c in sizes.unknown_stock] == [("XL", None)]
    assert sizes.wanted is not None
    assert sizes.wanted.variant.id == "v_l"


def test_an_item_may_name_printfuls_variant() -> None:
    (sizes,) = sizes_of(ordered(variantId="11"), {"prod_tee": PRODUCT}, "")

    assert sizes.ordered is not None
    assert sizes.ordered.size == "S"
    assert sizes.wanted is None


def test_a_variant_or_product_that_is_gone_leaves_the_rest_readable() -> None:
    (gone,) = sizes_of(ordered(variantId="v_old"), {"prod_tee": PRODUCT}, "XXL")
    (unknown,) = sizes_of(ordered(), {"prod_tee": PRODUCT}, "")
    (no_product,) = sizes_of(ordered(variantId="v_m"), {}, "M")

    assert gone.ordered is None
    assert gone.wanted is None
    assert len(gone.in_stock) == 2
    assert unknown.ordered is None
    assert no_product.in_stock == ()
    assert no_product.wanted is None


def test_the_wanted_size_is_of_the_colour_that_was_ordered() -> None:
    variants = [
        {"id": f"v_{colour}_{size}", "name": f"Tee / {colour} / {size}", "size": size, "inStock": stock}
        for colour, size, stock in (
            ("Black", "M", True), ("White", "XL", True), ("Black", "XL", False), ("Red", "2XL", True),
        )
    ]  # fmt: skip
    tee = Product.model_validate({"id": "prod_tee", "printOnDemand": {"variants": variants}})
    found = [
        sizes_of(ordered(variantId="v_Black_M"), {"prod_tee": tee}, size)[0].wanted
        for size in ("xl", "2XL")
    ]

    assert [each.variant.id for each in found if each] == ["v_Black_XL", "v_Red_2XL"]


def test_prices_in_another_currency_are_left_out() -> None:
    for named, difference in (({}, 0), ({"currency": "usd"}, 0), ({"currency": "EUR"}, None)):
        tee = Product.model_validate(
            {"id": "prod_tee", "printOnDemand": {"variants": [{"id": "v_s", "priceInCents": 2400}]}}
            | named
        )
        (sizes,) = sizes_of(ordered(variantId="v_m"), {"prod_tee": tee}, "")
        (choice,) = sizes.unknown_stock

        assert choice.difference_in_cents == difference
        assert choice.variant.price_in_cents == (None if difference is None else 2400)
