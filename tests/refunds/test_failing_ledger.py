"""A ledger that fails at any one of its calls: what was not sent is said first, and what was, is told."""

from collections.abc import Awaitable, Callable

import pytest
from tests.refunds.room import AskingHost, Room, wish_of

from clawver_orders.caller import Reply, Script
from clawver_orders.errors import ClawverError, RefusedError, SetupError
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.storage.database import off_thread

CALLS = (
    "find", "of_order", "all_open", "seen", "add_seen", "spent_in_cents", "want", "ask", "answer", "note_shown",
    "begin_send", "claim", "move", "count_read", "add_unexpected", "decline",
)  # fmt: skip
AFTER_THE_REQUEST = {"find", "claim", "move"}
"""The calls without which what became of a request is not noted."""
Flow = Callable[[Room, str], Awaitable[Outcome]]


async def approved_by_setting(room: Room, order_id: str) -> Outcome:
    outcome: Outcome = await room.refund(order_id=order_id)
    return outcome


async def approved_by_a_person(room: Room, order_id: str) -> Outcome:
    outcome: Outcome = await room.refund(
        order_id=order_id, caller=AskingHost(Reply.YES), refund_approval="agent"
    )
    return outcome


async def declined_by_a_person(room: Room, order_id: str) -> Outcome:
    outcome: Outcome = await room.refund(
        order_id=order_id, caller=AskingHost(Reply.NO), refund_approval="agent"
    )
    return outcome


async def confirmed_by_an_agent(room: Room, order_id: str) -> Outcome:
    first = await room.refund(order_id=order_id, refund_approval="agent")
    return await room.desk(refund_approval="agent").confirm(wish_of(first).refund_id, 1, Script())


async def refused_by_clawver(room: Room, order_id: str) -> Outcome:
    room.shop.add_fault("status_before", method="POST", path=order_id, status=400)
    try:
        outcome: Outcome = await room.refund(order_id=order_id)
    except RefusedError:
        return Outcome("unknown", order_id, 700)
    finally:
        room.shop.clear_faults()
    return outcome


async def lost_on_the_way(room: Room, order_id: str) -> Outcome:
    room.shop.add_fault("drop_before", method="POST", path=order_id)
    try:
        outcome: Outcome = await room.refund(order_id=order_id)
    finally:
        room.shop.clear_faults()
    return outcome


async def while_another_call_is_at_it(room: Room, order_id: str) -> Outcome:
    async with room.locks.held(order_id, 1.0):
        outcome: Outcome = await room.refund(order_id=order_id)
        return outcome


FLOWS: dict[Flow, str] = {
    approved_by_setting: "refunded",
    approved_by_a_person: "refunded",
    declined_by_a_person: "declined",
    confirmed_by_an_agent: "refunded",
    refused_by_clawver: "unknown",
    lost_on_the_way: "unknown",
    while_another_call_is_at_it: "busy",
}


@pytest.mark.parametrize("flow", FLOWS)
async def test_wherever_the_ledger_fails_it_is_said_whether_anything_was_sent(
    room: Room, monkeypatch: pytest.MonkeyPatch, flow: Flow
) -> None:
    left, failed = 0, ""

    def gone() -> None:
        raise SetupError("The disk is gone.", next_step="Bring it back.")

    def failing(name: str) -> None:
        works = getattr(room.ledger, name)

        async def call(*values: object, **named: object) -> object:
            nonlocal left, failed
            left -= 1
            if left == 0:
                failed = name
                await off_thread(gone)
            return await works(*values, **named)

        monkeypatch.setattr(room.ledger, name, call)

    for name in CALLS:
        failing(name)
    unsent = 0
    for number in range(1, 60):
        left, order_id, posts = number, room.sell(2499), room.posts()
        outcome, said = None, ""
        try:
            outcome = await flow(room, order_id)
        except ClawverError as error:
            said = error.happened
        if outcome is None:
            unsent += 1
            assert said == "Nothing was sent. The disk is gone.", failed
            assert room.posts() == posts
            continue
        sent = [cents for order, cents in room.shop.refunds() if order == order_id]
        assert outcome.status == FLOWS[flow]
        assert sent == ([700] if outcome.status == "refunded" else [])
        if left > 0:  # it is not called so often
            break
        # What Clawver lists is true even where the claims of others cannot be read.
        if flow is not refused_by_clawver:  # told by an error, which says nothing of the ledger
            assert outcome.unwritten is (failed in AFTER_THE_REQUEST), failed

    assert left > 0
    assert unsent >= (1 if flow is while_another_call_is_at_it else 6)
