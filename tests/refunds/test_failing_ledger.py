"""A ledger that fails at any one of its calls: what was not sent is said first, and what was, is told."""

from collections.abc import Awaitable, Callable

import pytest
from tests.refunds.room import AskingHost, Room, intent_of

from clawver_orders.caller import Reply, Script
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.refunds.desk import Outcome

CALLS = (
    "find", "of_order", "history", "claimed", "seen", "add_seen", "spent_in_cents", "preview", "note", "begin_send",
    "confirm", "fail", "lose", "decline", "expire",
)  # fmt: skip
Flow = Callable[[Room, str], Awaitable[Outcome]]


async def approved_by_setting(room: Room, order_id: str) -> Outcome:
    outcome: Outcome = await room.refund(order_id=order_id)
    return outcome


async def approved_by_a_person(room: Room, order_id: str) -> Outcome:
    outcome: Outcome = await room.refund(
        order_id=order_id, caller=AskingHost(Reply.YES), refund_approval="ask"
    )
    return outcome


async def declined_by_a_person(room: Room, order_id: str) -> Outcome:
    outcome: Outcome = await room.refund(
        order_id=order_id, caller=AskingHost(Reply.NO), refund_approval="ask"
    )
    return outcome


async def confirmed_by_an_agent(room: Room, order_id: str) -> Outcome:
    first = await room.refund(order_id=order_id, refund_approval="ask")
    return await room.desk(refund_approval="ask").confirm(intent_of(first).refund_id, Script())


async def while_another_call_is_at_it(room: Room, order_id: str) -> Outcome:
    async with room.locks.held(order_id, 1.0):
        outcome: Outcome = await room.refund(order_id=order_id)
        return outcome


FLOWS: dict[Flow, str] = {
    approved_by_setting: "refunded",
    approved_by_a_person: "refunded",
    declined_by_a_person: "declined",
    confirmed_by_an_agent: "refunded",
    while_another_call_is_at_it: "busy",
}


@pytest.mark.parametrize("flow", FLOWS)
async def test_wherever_the_ledger_fails_it_is_said_whether_anything_was_sent(
    room: Room, monkeypatch: pytest.MonkeyPatch, flow: Flow
) -> None:
    left, failed = 0, ""

    def failing(name: str) -> None:
        works = getattr(room.ledger, name)

        def call(*values: object, **named: object) -> object:
            nonlocal left, failed
            left -= 1
            if left == 0:
                failed = name
                raise SetupError("The disk is gone.", next_step="Bring it back.")
            return works(*values, **named)

        monkeypatch.setattr(room.ledger, name, call)

    for name in CALLS:
        failing(name)
    posts, unsent = 0, 0
    for number in range(1, 60):
        left, order_id = number, room.sell(2499)
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
        posts = room.posts()
        if left > 0:  # it is not called so often
            break
        # What Clawver lists is true even where the claims of others cannot be read.
        assert outcome.unwritten is (failed not in {"claimed", "of_order", "seen", "add_seen"})

    assert left > 0
    assert unsent >= (1 if flow is while_another_call_is_at_it else 6)
