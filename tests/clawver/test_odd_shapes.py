"""Answers in shapes that nobody documented: what is only shown hides nothing and stops nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from clawver_orders.clawver.models import (
    SOME,
    Download,
    Item,
    Order,
    Product,
    Receipt,
    ReceiptItem,
    Record,
    Refund,
    Variant,
    Webhook,
)

ORDER = {"id": "ord_1", "totalInCents": 2499, "paymentStatus": "partially_refunded"}
REFUND = {"id": "ref_1", "amountInCents": 499}
LINE = {"id": "item_1", "productName": "Fonts", "productType": "digital", "priceInCents": 2499}

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("a1é \x1b\u200b\u202e\ud800\U000e0041", max_size=20)
    | st.sampled_from(["2026-11-24T09:30:00Z", "0001-01-01T00:00:00+23:59", "https://[", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "value"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def odd(kind: type[Record], *strict: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any JSON in place of the fields of a record, apart from those that are read strictly."""
    names = [to_camel(name) for name in kind.model_fields]
    shown = [name for name in names if name not in strict]
    return st.dictionaries(st.sampled_from(shown), ANYTHING)


@given(odd(Order, *ORDER, "refunds", "currency"), odd(Item), odd(Refund, *REFUND, "status"))
def test_nothing_that_is_only_shown_hides_an_order_or_its_money(
    fields: dict[str, Any], item: dict[str, Any], refund: dict[str, Any]
) -> None:
    order = Order.model_validate(
        {"items": [item, LINE]} | fields | ORDER | {"refunds": [refund | REFUND]}
    )

    assert (order.id, order.total_in_cents, order.refundable_in_cents) == ("ord_1", 2499, 2000)
    assert [each.id for each in order.refunds or ()] == ["ref_1"]


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        (Download, {"downloadUrl": "https://files.example/x"}), (Item, {}), (Product, {}), (Receipt, {}),
        (ReceiptItem, {}), (Variant, {}), (Webhook, {}),
    ],
)  # fmt: skip
@given(data=st.data())
def test_every_other_record_is_read_whatever_stands_beside_what_it_needs(
    kind: type[Record], needed: dict[str, Any], data: st.DataObject
) -> None:
    fields = data.draw(odd(kind, *needed))

    assert kind.model_validate(fields | needed)


@pytest.mark.parametrize(
    ("wire", "price", "quantity"),
    [
        ({"priceInCents": -250}, -250, 1), ({"priceInCents": 2499.0}, 2499, 1),
        ({"priceInCents": 24.99}, None, 1), ({"priceInCents": "2499"}, None, 1),
        ({"priceInCents": True}, None, 1), ({"priceInCents": 10**13}, None, 1),
        ({"priceInCents": float("nan")}, None, 1), ({"quantity": 1.5}, None, None),
        ({"quantity": 2.0}, None, 2), ({"quantity": None}, None, None), ({"quantity": -1}, None, None),
        ({"quantity": "2"}, None, None),
    ],
)  # fmt: skip
def test_an_odd_number_of_a_line_is_left_out_and_a_whole_one_is_kept(
    wire: dict[str, Any], price: int | None, quantity: int | None
) -> None:
    item = Item.model_validate(wire)

    assert (item.price_in_cents, item.quantity) == (price, quantity)
    assert item.pieces == ("?" if quantity is None else str(quantity))


@pytest.mark.parametrize(
    ("items", "read", "unread"),
    [
        ([LINE, None, 7, "x", []], 1, 4), ([LINE] * (SOME + 2), SOME, 2), ([], 0, 0), ([{}], 1, 0),
        (None, None, 0), (3, None, 1), ({"item_1": LINE}, None, 1),
    ],
)  # fmt: skip
def test_lines_that_cannot_be_read_are_counted(items: Any, read: int | None, unread: int) -> None:
    order = Order.model_validate(ORDER | {"items": items, "unreadItems": 9, "unread_items": 9})

    assert (None if order.items is None else len(order.items)) == read
    assert order.unread_items == unread


def test_numbers_in_the_place_of_texts_are_digits() -> None:
    where = {"postalCode": 10115, "city": 1.5, "name": True}
    order = Order.model_validate(ORDER | {"trackingNumber": 4012, "shippingAddress": where})

    assert order.tracking_number == "4012"
    assert order.shipping_address is not None
    assert order.shipping_address.model_dump(exclude_none=True) == {"postal_code": "10115"}


def test_the_life_of_a_link_is_rounded_down_and_its_size_is_left_out() -> None:
    link = {"downloadUrl": "https://files.example/x"}
    read = Download.model_validate(link | {"expiresInMinutes": 59.5, "fileSizeBytes": "1.2 MB"})

    assert (read.expires_in_minutes, read.file_size_bytes) == (59, None)
    assert Download.model_validate(link | {"expiresInMinutes": -1}).expires_in_minutes is None
