"""The answers of the evaluation, each proved from the sandbox's own data and not with our tools."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from clawver_sandbox.shop import Shop

FILE = Path(__file__).parent / "evaluation" / "questions.xml"
PAIRS = {
    pair.findtext("question", ""): pair.findtext("answer", "")
    for pair in ElementTree.parse(FILE).getroot().iter("qa_pair")  # noqa: S314  # our own file
}
Proof = Callable[[Shop], str]
PROOFS: dict[str, Proof] = {}
"""By a few words that only its question has."""


def proves(words: str) -> Callable[[Proof], Proof]:
    def keep(proof: Proof) -> Proof:
        PROOFS[words] = proof
        return proof

    return keep


def refunds(shop: Shop) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every refund, with its order."""
    return [(order, refund) for order in shop.orders() for refund in order["refunds"]]


def refunded_because(shop: Shop, words: str) -> dict[str, Any]:
    """The only order with a refund for this reason."""
    (order,) = [order for order, refund in refunds(shop) if words in refund["reason"]]
    return order


def variants(shop: Shop, item: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.product(item["productId"])["printOnDemand"]["variants"]
    return found


def kinds(order: dict[str, Any]) -> set[str]:
    return {item["productType"] for item in order["items"]}


@proves("the most money in total")
def who_was_refunded_most(shop: Shop) -> str:
    given_back: Counter[str] = Counter()
    for order, refund in refunds(shop):
        given_back[order["customerEmail"]] += refund["amountInCents"]
    (first, most), (_, second) = given_back.most_common(2)
    assert most > second
    return first


@proves("both in 2XL")
def what_two_larger_hoodies_cost_more(shop: Shop) -> str:
    (item,) = [
        item
        for order in shop.orders()
        if order["status"] == "shipped"
        for item in order["items"]
        if "hoodie" in item["productName"] and item["quantity"] == 2
    ]
    (wanted,) = [each for each in variants(shop, item) if each["size"] == "2XL"]
    assert wanted["inStock"]
    return str(2 * wanted["priceInCents"] - item["totalInCents"])


@proves("the checkout id chk_mixed")
def how_large_the_file_is(shop: Shop) -> str:
    receipt = shop.receipt("chk_mixed")
    (item,) = [each for each in receipt["items"] if each["productType"] == "digital"]
    return str(shop.download(receipt["orderId"], item["id"])["fileSizeBytes"])


@proves("a font file was damaged")
def what_is_left_of_the_damaged_font(shop: Shop) -> str:
    order = refunded_because(shop, "font file was damaged")
    assert order["paymentStatus"] == "partially_refunded"
    return str(order["totalInCents"] - sum(each["amountInCents"] for each in order["refunds"]))


@proves("never got the money back")
def where_the_cancelled_order_was_going(shop: Shop) -> str:
    (order,) = [
        order
        for order in shop.orders()
        if order["status"] == "cancelled" and order["paymentStatus"] != "refunded"
    ]
    assert order["paymentStatus"] == "paid"
    return str(order["shippingAddress"]["country"])


@proves("orders to an assistant")
def which_refund_gives_orders(shop: Shop) -> str:
    return str(refunded_because(shop, "task for the assistant")["id"])


@proves("one mug is on its way")
def which_parcel_holds_the_mug(shop: Shop) -> str:
    (order,) = [
        order
        for order in shop.orders()
        if order["status"] == "shipped"
        and any("mug" in item["productName"] for item in order["items"])
    ]
    assert [item["quantity"] for item in order["items"]] == [1]
    return str(order["trackingNumber"])


@proves("both a download and a printed item")
def how_many_in_print_are_mixed(shop: Shop) -> str:
    printing = [order for order in shop.orders() if order["status"] == "processing"]
    return str(sum(kinds(order) == {"digital", "print_on_demand"} for order in printing))


@proves("that the customer cancelled")
def what_cancelling_customers_got_back(shop: Shop) -> str:
    return str(
        sum(
            refund["amountInCents"]
            for _, refund in refunds(shop)
            if refund["reason"] == "Cancelled by the customer"
        )
    )


@proves("was out of stock")
def which_size_is_in_stock(shop: Shop) -> str:
    (item,) = refunded_because(shop, "Out of stock")["items"]
    (size,) = [each["size"] for each in variants(shop, item) if each["inStock"]]
    assert size not in item["variantName"]
    return str(size)


@proves("two customers failed")
def which_failed_customer_awaits_a_tee(shop: Shop) -> str:
    orders = shop.orders()
    failed = [order["customerEmail"] for order in orders if order["paymentStatus"] == "failed"]
    assert len(set(failed)) == len(failed) == 2
    (email,) = {
        order["customerEmail"]
        for order in orders
        if order["status"] == "shipped"
        and order["customerEmail"] in failed
        and any(item["productName"] == "Star map tee" for item in order["items"])
    }
    return str(email)


@proves("counted in pieces")
def how_many_hoodies_are_awaited(shop: Shop) -> str:
    awaited = [o for o in shop.orders() if o["status"] in {"confirmed", "processing", "shipped"}]
    assert all(o["paymentStatus"] in {"paid", "partially_refunded"} for o in awaited)
    hoodies = [
        item["quantity"]
        for order in awaited
        for item in order["items"]
        if "hoodie" in item["productName"]
    ]
    return str(sum(hoodies))


@proves("the store's largest order")
def what_the_largest_order_is(shop: Shop) -> str:
    second, first = sorted(shop.orders(), key=lambda order: int(order["totalInCents"]))[-2:]
    assert first["totalInCents"] > second["totalInCents"]
    return f"{first['totalInCents']}, {sum(item['quantity'] for item in first['items'])}"


@proves("bought twice by mistake")
def what_else_the_double_buyer_has(shop: Shop) -> str:
    email = refunded_because(shop, "Bought twice by mistake")["customerEmail"]
    return str(
        sum(
            (order["customerEmail"], order["status"], order["paymentStatus"])
            == (email, "delivered", "paid")
            for order in shop.orders()
        )
    )


def test_there_are_questions_enough_and_each_stands_alone() -> None:
    root = ElementTree.parse(FILE).getroot()  # noqa: S314  # our own file

    assert root.tag == "evaluation"
    assert [child.tag for child in root] == ["qa_pair"] * len(PAIRS)
    assert len(PAIRS) >= 12
    for question, answer in PAIRS.items():
        assert 0 < len(answer) <= 30
        assert "\n" not in question + answer
        assert answer not in question
        assert not any(word in question for word in ("today", "yesterday", "days ago", "previous"))


def test_every_question_has_one_proof_and_every_proof_one_question() -> None:
    for words in PROOFS:
        assert sum(words in question for question in PAIRS) == 1, words
    for question in PAIRS:
        assert sum(words in question for words in PROOFS) == 1, question


@pytest.mark.parametrize("words", sorted(PROOFS))
@pytest.mark.parametrize(
    "opened",
    [
        datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
        datetime(2027, 1, 1, 0, 0, 1, tzinfo=UTC),  # nearly everything of today is a second old
        datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC),
    ],
    ids=str,
)
def test_an_answer_follows_from_the_store_whenever_it_opens(
    words: str, opened: datetime, tmp_path: Path
) -> None:
    clock = [opened]
    shop = Shop.open(tmp_path / "shop.sqlite3", now=lambda: clock[0])
    (answer,) = [answer for question, answer in PAIRS.items() if words in question]

    at_first = PROOFS[words](shop)
    clock[0] += timedelta(days=40)
    later = PROOFS[words](shop)

    assert (at_first, later) == (answer, answer)


def test_answering_changes_nothing(tmp_path: Path) -> None:
    shop = Shop.open(tmp_path / "shop.sqlite3")
    before = shop.orders()

    for proof in PROOFS.values():
        proof(shop)

    assert shop.orders() == before
    assert shop.refunds() == []
