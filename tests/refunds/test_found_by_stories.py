"""What the made-up stories found, each told once more as short as it can be."""

from datetime import UTC, datetime

import pytest
from tests.refunds.room import IN_TERMINAL, Room, Terminal, wish_of

from clawver_orders.caller import WAITS, Reply
from clawver_orders.errors import ClawverError
from clawver_orders.refunds.outcome import NOT_LISTED_SO_FAR, message


class Program(Terminal):
    """Types for a person who isn't there: the input is piped, or `--yes` was given."""

    grade = "agent"


async def test_a_preview_does_not_say_that_no_money_was_moved_while_a_refusal_may_take_effect(
    room: Room,
) -> None:
    refused = await room.refused(refund_approval="off")
    again = await room.refund(refund_approval="agent")

    assert wish_of(again).refund_id == refused.refund_id
    assert message(again).startswith(f"{NOT_LISTED_SO_FAR}: $7.00 on {room.order_id} waits for")

    room.passes(room.verify_seconds)
    assert message(await room.refund(refund_approval="agent")).startswith(
        "No money was moved: $7.00"
    )


async def test_a_decline_does_not_say_so_either(room: Room) -> None:
    refused = await room.refused()
    declined = await room.desk().decline(refused.refund_id, IN_TERMINAL, "shell")

    assert declined.status == "declined"
    assert message(declined).startswith(f"{NOT_LISTED_SO_FAR}: a person declined")


async def test_nor_does_one_that_expired_while_the_order_could_not_be_read(room: Room) -> None:
    refused = await room.refused()
    await room.waiting()
    room.passes(WAITS.total_seconds())
    room.shop.add_fault("garbage", method="GET", times=9)

    with pytest.raises(ClawverError) as expired:
        await room.desk().check(refused.refund_id)
    assert expired.value.happened == (
        f"{NOT_LISTED_SO_FAR}: $7.00 on order {room.order_id} (refund {refused.refund_id})."
    )


async def test_a_second_delivery_is_told_with_the_refund_that_it_is_one_of(room: Room) -> None:
    room.at = datetime.now(UTC)  # the store's time, which tells a refund from one of another day
    first = wish_of(await room.refund(reason="Torn"))
    (own,) = room.listed()
    room.passes(60)
    await room.refund(reason="Late", named=(own,))
    again = room.lands(reason="Torn")

    told = await room.desk().check(first.refund_id)
    assert told.unexpected_refunds == (again,)


@pytest.mark.parametrize("approval", ["agent", "off"])
async def test_a_program_in_the_terminal_does_not_reopen_what_a_person_declined(
    room: Room, approval: str
) -> None:
    wish = await room.waiting()
    await room.desk().decline(wish.refund_id, IN_TERMINAL, "shell")
    smaller = await room.waiting(500)  # whoever approves this is told of the decline
    desk = room.desk(refund_approval=approval)
    assert (await desk.approve(smaller.refund_id, Terminal(Reply.YES))).status == "refunded"

    assert (await desk.approve(wish.refund_id, Program(Reply.YES))).status == "declined"
    assert room.given_back() == [500]
    assert (await desk.approve(wish.refund_id, Terminal(Reply.YES))).status == "refunded"
    assert room.given_back() == [500, 700]
