"""Orders and refunds as files from the page."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.amending import amend
from tests.web.conftest import Opens
from tests.web.test_orders import newest_first, search
from tests.web.visitor import Room, Visitor

from clawver_orders.errors import SetupError
from clawver_orders.history.mirror import HISTORY_FILE, Mirror
from clawver_orders.history.parts import orders
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.reports.rows import ORDERS, REFUNDS
from clawver_orders.reports.sheet import BOM
from clawver_orders.web import downloads


def rows(visitor: Visitor) -> list[dict[str, str]]:
    assert visitor.last.content.startswith(BOM)
    text = visitor.last.content.removeprefix(BOM).decode()
    return list(csv.DictReader(io.StringIO(text)))


async def test_all_orders_are_one_file(room: Room, merchant: Visitor) -> None:
    await merchant.go("/orders")
    await merchant.go("/orders.csv")
    found = rows(merchant)

    assert list(found[0]) == list(ORDERS)
    assert [each["order_id"] for each in found] == [each["id"] for each in newest_first(room)]
    assert merchant.last.headers["content-disposition"] == 'attachment; filename="orders.csv"'
    assert merchant.last.headers["content-type"] == "text/csv; charset=utf-8"
    assert merchant.last.headers["cache-control"] == "no-store"
    assert merchant.last.headers["x-content-type-options"] == "nosniff"


async def searched(visitor: Visitor, **typed: str) -> list[str]:
    """Search, download what was found, and read the ids of its orders."""
    said = await search(visitor, **typed)
    assert "Download these orders (CSV)" in said
    (path,) = re.findall(r'href="([^"]*/orders\.csv)"', visitor.last.text)
    visitor.last = await visitor.http.get(str(visitor.last.url.join(path)))
    return [each["order_id"] for each in rows(visitor)]


async def test_what_was_searched_for_is_a_file_of_its_own(room: Room, merchant: Visitor) -> None:
    found = await searched(merchant, search="zoe", product="kraken")
    address = str(merchant.last.url)
    none = await searched(merchant, product="zoe")  # a word of these orders, and of no product
    await merchant.go("/orders/gone/orders.csv")

    assert found
    assert found == [
        each["id"]
        for each in newest_first(room)
        if "zoe" in each["customerEmail"]
        and any("Kraken" in item["productName"] for item in each["items"])
    ]
    assert none == []
    assert "zoe" not in address
    assert merchant.last.url.path.endswith("/orders")


async def test_refunds_are_a_file_too(room: Room, merchant: Visitor) -> None:
    await merchant.go("/refunds.csv")
    none = rows(merchant)
    wishes = [await room.wanted(cents) for cents in (500, 600, 700)]
    await room.store.desk.decline(wishes[0].refund_id, *_declining())
    said = await merchant.go("/")
    await merchant.go("/refunds.csv")
    found = rows(merchant)

    assert none == []
    assert "Download all refunds (CSV)" in said
    assert list(found[0]) == list(REFUNDS)
    assert [each["refund_id"] for each in found] == [each.refund_id for each in reversed(wishes)]
    assert found[-1]["status"] == "declined"
    assert merchant.last.headers["content-disposition"] == 'attachment; filename="refunds.csv"'


def _declining() -> tuple[Any, str]:
    from clawver_orders.caller import Approval

    return Approval("console", "page", "somebody"), "a test"


async def test_no_cell_is_a_formula(room: Room, merchant: Visitor) -> None:
    evil = '=HYPERLINK("http://evil.example")'
    amend(room.shop, "ord_shirt", trackingNumber=evil, shippingAddress={"name": "@SUM(1)"})
    await merchant.go("/order/ord_shirt")
    await merchant.go("/orders.csv")
    (found,) = rows(merchant)

    assert found["tracking_number"] == f"'{evil}"
    assert found["name"] == "'@SUM(1)"


async def test_masked_mode_masks_files(opens: Opens) -> None:
    async with opens(pii="masked") as room:
        visitor = await room.signed_in()
        await room.wanted(500, "ord_shirt")
        await visitor.go("/orders")
        await visitor.go("/orders.csv")
        shown = {each["order_id"]: each for each in rows(visitor)}["ord_shirt"]
        whole = visitor.last.text
        await visitor.go("/refunds.csv")

        assert shown["customer_email"] == "n…@….com"
        assert shown["line1"] == shown["tracking_number"] == "…"
        assert all(each["customerEmail"] not in whole for each in room.shop.orders())
        assert [each["reason"] for each in rows(visitor)] == ["…"]
        await visitor.http.aclose()


@pytest.mark.parametrize("path", ["/orders.csv", "/refunds.csv"])
async def test_a_file_that_cannot_be_read_is_none(room: Room, merchant: Visitor, path: str) -> None:
    await merchant.go("/orders")
    await room.wanted(500)
    for name in (HISTORY_FILE, LEDGER_FILE):
        room.spoil(name)
    said = await merchant.go(path)

    assert merchant.last.status_code == 503
    assert merchant.last.headers["content-type"].startswith("text/html")
    assert "There is no file" in said


async def test_a_file_is_sent_as_it_is_read_and_one_that_breaks_off_is_not_taken_for_whole(
    room: Room, merchant: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await merchant.go("/orders")
    monkeypatch.setattr(downloads, "BATCH", 10)
    await merchant.go("/orders.csv")
    assert len(rows(merchant)) == 120

    whole = orders

    def some(mirror: Mirror, *asked: Any) -> Iterator[Any]:
        for number, each in enumerate(whole(mirror, *asked)):
            if number == 50:
                raise SetupError("The disk is gone.", next_step="Look.")
            yield each

    monkeypatch.setattr(downloads, "orders", some)
    with pytest.raises(httpx2.RemoteProtocolError):
        await merchant.go("/orders.csv")
