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
    assert sizes.out_of_stock == ()
    assert [(c.variant.size, c.difference_in_cents) for c in sizes.unknown_stock] == [("XL", None)]
    assert sizes.wanted is not None
    assert (sizes.wanted.variant.id, sizes.wanted.difference_in_cents) == ("v_l", 200)
    (unasked,) = sizes_of(ordered(variantId="v_m"), {"prod_tee": PRODUCT}, "")
    assert [(c.variant.size, c.difference_in_cents) for c in unasked.out_of_stock] == [("L", 200)]


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


def test_other_colours_are_kept_apart_and_with_a_size_only_those_of_that_size() -> None:
    variants = [
        {"id": f"v_{colour}_{size}", "name": f"Tee / {colour} / {size}", "size": size, "inStock": stock}
        for colour, size, stock in (
            ("Black", "M", True), ("Black", "L", True), ("White", "XL", True), ("White", "L", False),
            ("Black", "XL", False), ("Red", "XL", True), ("Red", "2XL", True),
        )
    ]  # fmt: skip
    tee = Product.model_validate({"id": "prod_tee", "printOnDemand": {"variants": variants}})
    (asked,) = sizes_of(ordered(variantId="v_Black_M"), {"prod_tee": tee}, "XL")
    (unasked,) = sizes_of(ordered(variantId="v_Black_M"), {"prod_tee": tee}, "")

    assert [each.variant.id for each in asked.in_stock] == ["v_Black_L"]
    assert [each.variant.id for each in asked.other_makes] == ["v_White_XL", "v_Red_XL"]
    assert asked.out_of_stock == ()
    assert [each.variant.id for each in unasked.other_makes] == [
        "v_White_XL", "v_Red_XL", "v_Red_2XL",
    ]  # fmt: skip


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


def test_a_size_is_found_by_its_other_name_and_by_its_own_before_that() -> None:
    def variants(*sizes: str) -> dict[str, Product]:
        rows = [{"id": f"v{n}", "size": size, "inStock": True} for n, size in enumerate(sizes)]
        sold = {"id": "prod_tee", "printOnDemand": {"variants": rows}}
        return {"prod_tee": Product.model_validate(sold)}

    for sizes, wanted, found in (
        (("XL", "2XL"), "XXL", "2XL"),
        (("2XL", "XXL"), " xxl", "XXL"),
        (("S", "L"), "Large", "L"),
        (("12x18", "18\u2033\u00d724\u2033"), "18x24", "18\u2033\u00d724\u2033"),
    ):
        (told,) = sizes_of(ordered(), variants(*sizes), wanted)
        assert told.wanted is not None
        assert told.wanted.variant.size == found
    (told,) = sizes_of(ordered(), variants("S", "L", "S", ""), "Huge")
    assert (told.wanted, told.comes_in) == (None, ("S", "L"))


def test_a_size_that_only_the_name_tells_is_found() -> None:
    rows = [{"id": f"v{n}", "name": f"Mug / {n} oz", "inStock": True} for n in (11, 15)]
    mug = Product.model_validate({"id": "prod_tee", "printOnDemand": {"variants": rows}})

    (told,) = sizes_of(ordered(), {"prod_tee": mug}, "11oz")

    assert told.wanted is not None
    assert told.wanted.variant.id == "v11"
    assert told.comes_in == ("Mug / 11 oz", "Mug / 15 oz")


def test_a_wanted_size_of_another_make_is_shown_under_its_other_name() -> None:
    rows = [
        {"id": "v1", "size": "M", "name": "Tee / Black / M", "inStock": True},
        {"id": "v2", "size": "2XL", "name": "Tee / White / 2XL", "inStock": True},
        {"id": "v3", "size": "2XL", "name": "Tee / Red / 2XL", "inStock": True},
    ]
    tee = Product.model_validate({"id": "prod_tee", "printOnDemand": {"variants": rows}})

    (told,) = sizes_of(ordered(variantId="v1"), {"prod_tee": tee}, "XXL")

    assert [each.variant.id for each in told.other_makes] == ["v3"]
