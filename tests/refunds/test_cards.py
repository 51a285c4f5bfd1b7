"""What a card in the chat is told while others are at work on its refund."""

from datetime import timedelta

import pytest
from tests.refunds.book import Book
from tests.refunds.room import IN_TERMINAL, Room

from clawver_orders.caller import Question, Reply, Script
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Actor, Wish
from clawver_orders.tools.approving import for_card
from clawver_orders.tools.cards import Click


async def test_while_somebody_works_on_the_order_it_gets_no_nonce(room: Room) -> None:
    wish = await room.waiting()
    desk = room.desk(refund_approval="chat")
    before = await desk.on_card(Script(), wish.refund_id)
    async with room.locks.held(room.order_id, 0):
        told = await desk.on_card(Script(), wish.refund_id)

    assert (before.status, bool(before.nonce)) == ("needs_approval", True)
    assert told == Outcome("busy", room.order_id, None, check_after_seconds=5)


async def test_where_it_was_decided_at_this_moment_it_gets_no_nonce(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = await room.waiting()
    shows, desk = room.ledger.show_card, room.desk(refund_approval="chat")

    async def after_a_change(wish: Wish, actor: Actor) -> str:
        await room.ledger.decline(wish.refund_id, IN_TERMINAL, "a terminal")
        return await shows(wish, actor)

    monkeypatch.setattr(room.ledger, "show_card", after_a_change)

    told = await desk.on_card(Script(), wish.refund_id)

    assert (told.status, told.nonce) == ("busy", "")


async def test_a_card_of_another_revision_gets_no_nonce(book: Book) -> None:
    first = await book.wants()
    await book.wants(shown="refunded")

    with pytest.raises(MovedOnError):
        await book.ledger.show_card(first, Actor("a chat"))


async def test_what_shows_no_cards_is_told_nothing_for_one(room: Room) -> None:
    wish = await room.waiting()
    outcome = await room.desk(refund_approval="agent").check(wish.refund_id)
    script = Script()

    assert await for_card(room.parts, script, outcome) == outcome
    assert script.card is None


async def test_a_click_answers_for_no_other_question() -> None:
    click = Click("a chat", "rfi_1", 1, 1, timedelta(seconds=2).total_seconds(), Reply.YES)

    question = Question("rfi_1", "Really?", "Refund $7.00", "Refund or not", 1)

    assert await click.ask(question) is Reply.FAILED
