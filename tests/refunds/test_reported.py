"""An event is a reason to look once at the refund that is open, and at few of them at a time."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.refunds.book import Book
from tests.refunds.by_hand import order

from clawver_orders.errors import UnreachableError
from clawver_orders.refunds.outcome import Outcome, about
from clawver_orders.refunds.reported import CheckedRefund, check_reported
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery, Inbox

TIME = "%Y-%m-%dT%H:%M:%SZ"


class Looks:
    """What finding out says, and which refunds it was asked about."""

    def __init__(self, book: Book, *, reads: bool = True) -> None:
        self.book, self.reads = book, reads
        self.asked: list[str] = []

    async def __call__(self, refund_id: str) -> Outcome:
        self.asked.append(refund_id)
        wish = await self.book.ledger.find(refund_id)
        assert wish is not None
        return about("unknown", wish, order() if self.reads else None)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "shop" / "inbox.sqlite3", timedelta(days=30))


def arrives(inbox: Inbox, book: Book, order_id: str, name: str = "order.refunded") -> None:
    at = book.now.at
    body = f'{{"event":"{name}","timestamp":"{at.strftime(TIME)}","data":{{"orderId":"{order_id}","n":{at.timestamp()}}}}}'.encode()
    assert inbox.note("r", [Delivery(body, parse(body), at)]) == [True]


async def test_only_what_arrived_since_the_open_attempt_was_sent_is_a_reason(
    book: Book, inbox: Inbox
) -> None:
    await book.at("refused")
    book.now.passes(minutes=30)
    arrives(inbox, book, "ord_1")
    book.now.passes(minutes=30)
    wish = await book.at("unknown")
    looks = Looks(book)

    assert await check_reported(book.ledger, inbox, looks) == ()
    book.now.passes(minutes=1)
    arrives(inbox, book, "ord_2")
    arrives(inbox, book, "ord_1", "order.paid")
    assert await check_reported(book.ledger, inbox, looks) == ()
    arrives(inbox, book, "ord_1")

    assert await check_reported(book.ledger, inbox, looks) == (CheckedRefund(wish, "unknown"),)
    noted = [each.reported_event for each in (await book.found(wish)).attempts]
    assert noted == [0, 4]
    assert (await book.ledger.history(wish.refund_id))[-1].client == "inbox"
    assert await check_reported(book.ledger, inbox, looks) == ()
    book.now.passes(minutes=1)
    arrives(inbox, book, "ord_1")
    assert len(await check_reported(book.ledger, inbox, looks)) == 1
    assert looks.asked == [wish.refund_id] * 2


async def test_one_call_looks_at_five_refunds(book: Book, inbox: Inbox) -> None:
    wishes = [await book.at("unknown", f"ord_{number}") for number in range(7)]
    book.now.passes(minutes=1)
    for wish in wishes:
        arrives(inbox, book, wish.order_id)

    counts = [len(await check_reported(book.ledger, inbox, Looks(book))) for _ in range(3)]

    assert counts == [5, 2, 0]


async def test_an_order_that_could_not_be_read_is_looked_at_again(book: Book, inbox: Inbox) -> None:
    wish = await book.at("unknown")
    book.now.passes(minutes=1)
    arrives(inbox, book, "ord_1")

    async def fails(_: str) -> Outcome:
        raise UnreachableError("The store did not answer.", next_step="Wait.")

    for unread in (fails, Looks(book, reads=False), Looks(book)):
        assert await check_reported(book.ledger, inbox, unread) == (CheckedRefund(wish, "unknown"),)
    assert await check_reported(book.ledger, inbox, Looks(book)) == ()


async def test_without_a_ledger_nothing_is_looked_at_and_nothing_is_made(
    book: Book, inbox: Inbox
) -> None:
    assert await check_reported(book.ledger, inbox, Looks(book)) == ()
    assert not book.path.exists()
