"""What became of a refund: the one request, its answer or its loss, and the looking."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from tests.refunds.room import QUICK, TRACE, AskingHost, Room, hide_ledger, intent_of, store_of

from clawver_orders.caller import Reply, Script
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import (
    ClawverError,
    RefusedError,
    SetupError,
    UnreachableError,
)
from clawver_orders.refunds.desk import Outcome
from clawver_orders.refunds.ledger import SeenRefund
from clawver_orders.refunds.matching import passed_at_least, united
from clawver_orders.refunds.settlement import BOUNDS, Bounds
from clawver_orders.tools.refunds import warning

# What became of a request


@pytest.mark.parametrize(
    "fault", ["drop_after", "garbage", "bare_success", "wrong_types", "status_after"]
)
async def test_a_lost_answer_is_found_by_looking(room: Room, fault: str) -> None:
    room.shop.add_fault(fault, method="POST", status=503)

    outcome = await room.refund()

    assert outcome.status == "refunded"
    assert outcome.earlier == room.listed()
    assert (room.gets(), room.posts()) == (2, 1)
    assert room.given_back() == [700]


async def test_a_refund_that_shows_a_moment_later_is_found_in_the_same_call(room: Room) -> None:
    room.shop.add_fault("drop_after", method="POST")
    room.shop.add_fault("stale_read", method="GET", times=3)  # before it, and two looks

    outcome = await room.refund()

    assert outcome.status == "refunded"
    assert (room.gets(), room.posts()) == (4, 1)


async def test_a_refund_that_does_not_show_is_unknown(room: Room) -> None:
    room.shop.add_fault("drop_before", method="POST")

    outcome = await room.refund()

    intent = intent_of(outcome)
    assert outcome == Outcome(
        "unknown",
        room.order_id,
        700,
        intent=room.found(intent),
        order=outcome.order,
        check_after_seconds=9,
    )
    assert outcome.order is not None
    assert outcome.order.refunds == ()
    assert intent.state == "unknown"
    assert room.trail(intent)[-1] == ("unknown", "setting off", "no clear answer")
    assert (room.gets(), room.posts()) == (4, 1)


def test_a_whole_call_ends_within_forty_five_seconds() -> None:
    assert BOUNDS.call < 45
    assert Bounds(lock=1, read=10, send=100, look=1000).call == 1122


async def test_a_look_that_fails_in_between_settles_nothing(room: Room) -> None:
    room.shop.add_fault("drop_before", method="POST")
    room.shop.add_fault("slow", method="GET", times=2)
    room.shop.add_fault("garbage", method="GET")

    assert (await room.refund()).status == "unknown"
    assert (room.gets(), room.posts()) == (4, 1)


async def test_looking_is_bounded(room: Room) -> None:
    room.shop.add_fault("drop_after", method="POST")
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("hang_before", method="GET", seconds=30)

    with anyio.fail_after(10):
        outcome = await room.desk(replace(QUICK, look=0.1)).refund(
            room.order_id, 700, "Torn", (), Script()
        )

    assert (outcome.status, outcome.order) == ("unknown", None)
    assert room.given_back() == [700]


async def test_sending_is_bounded(room: Room) -> None:
    room.shop.add_fault("hang_after", method="POST", seconds=30)
    began = anyio.current_time()

    desk = room.desk(replace(QUICK, send=0.1))
    outcome = await desk.refund(room.order_id, 700, "Torn", (), Script())

    assert outcome.status == "refunded"
    assert room.posts() == 1
    assert anyio.current_time() - began < 10


@pytest.mark.parametrize(("settle_seconds", "pause"), [(9, 0.01), (900, 1.0), (9000, 1.0)])
async def test_there_is_a_pause_between_two_looks_and_none_before_the_first(
    room: Room, monkeypatch: pytest.MonkeyPatch, settle_seconds: float, pause: float
) -> None:
    room.settle_seconds, slept = settle_seconds, []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, room.gets()))

    monkeypatch.setattr(anyio, "sleep", sleep)
    await room.lost()

    before_and_first_look = 2
    assert slept == [(pause, before_and_first_look), (pause, before_and_first_look + 1)]


async def test_a_call_that_is_cancelled_finishes_what_it_sent(room: Room) -> None:
    room.shop.add_fault("slow", method="POST", seconds=0.2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.refund)
        while not room.posts():
            await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()

    (intent,) = room.ledger.all()
    assert intent.state == "confirmed"
    assert room.given_back() == [700]


@pytest.mark.parametrize("status", [400, 403, 404, 422, 429])
async def test_a_no_that_the_order_agrees_with_is_believed(room: Room, status: int) -> None:
    room.shop.add_fault("status_before", method="POST", status=status)

    with pytest.raises(ClawverError) as refusal:
        await room.refund()

    (intent,) = room.ledger.all()
    assert refusal.value.happened.startswith("No money was moved. ")
    assert refusal.value.happened.count("No money was moved") == 1
    assert intent.state == "failed"
    assert room.trail(intent)[-1] == ("failed", "setting off", "Clawver refused")
    assert (room.gets(), room.posts()) == (3, 1)
    assert room.ledger.spent_in_cents(room.now()) == 0
    assert (await room.refund()).status == "refunded"


async def test_a_no_after_the_money_moved_is_not_believed(room: Room) -> None:
    room.shop.add_fault("status_after", method="POST", status=400)

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("refunded", room.listed())


async def test_a_no_that_cannot_be_checked_is_unknown(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("garbage", method="GET", times=3)

    outcome = await room.refund()

    assert (outcome.status, outcome.order) == ("unknown", None)
    assert (room.gets(), room.posts()) == (4, 1)


async def test_a_no_after_which_the_order_is_read_stale_is_not_believed(room: Room) -> None:
    room.shop.add_fault("status_after", method="POST", status=400)
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("stale_read", method="GET")

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("refunded", room.listed())


async def test_a_no_that_was_none_is_found_out_for_as_long_as_it_may_show(room: Room) -> None:
    room.shop.add_fault("status_after", method="POST", status=400)
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("stale_read", method="GET", times=2)
    with pytest.raises(RefusedError):
        await room.refund()
    (intent,) = room.ledger.all()
    assert intent.state == "failed"

    outcome = await room.desk().check(intent.refund_id)

    assert (outcome.status, room.found(intent).clawver_refund_id) == ("refunded", *room.listed())


async def test_a_no_of_long_ago_is_not_looked_up(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    with pytest.raises(RefusedError):
        await room.refund()
    (intent,) = room.ledger.all()
    room.passes(room.settle_seconds)
    room.shop.refund(room.order_id, 700, "By hand")
    gets = room.gets()

    with pytest.raises(RefusedError, match="No money was moved by refund"):
        await room.desk().check(intent.refund_id)

    assert room.gets() == gets
    assert (await room.refund()).status == "already_refunded"
    assert room.found(intent).state == "failed"


async def test_a_no_is_checked_again_until_the_order_can_be_read(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("garbage", method="GET", times=1)

    with pytest.raises(RefusedError, match=r"^No money was moved\. "):
        await room.refund()

    assert (room.gets(), room.posts()) == (4, 1)


async def test_a_no_to_an_order_that_changed_meanwhile_is_unknown(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)

    def somebody_else_refunds(_: str) -> None:
        room.shop.refund(room.order_id, 5, "By hand")

    caller = AskingHost(brought=Reply.YES, meanwhile=somebody_else_refunds)
    outcome = await room.refund(700, caller, refund_approval="ask")

    assert outcome.status == "unknown"
    assert (room.gets(), room.posts()) == (4, 1)


async def test_a_clear_yes_stands_where_the_order_cannot_be_read(room: Room) -> None:
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("garbage", method="GET", times=-1)

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("refunded", room.listed())
    assert (room.gets(), room.posts()) == (2, 1)


async def test_a_clear_yes_stands_where_the_order_is_read_stale(room: Room) -> None:
    room.shop.add_fault("stale_read", method="GET", times=-1)

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("refunded", room.listed())
    assert outcome.refund is not None
    assert (room.gets(), room.posts()) == (2, 1)


async def test_a_request_that_was_delivered_twice_is_said(room: Room) -> None:
    room.shop.add_fault("duplicate", method="POST")

    outcome = await room.refund()

    first, second = room.listed()
    assert (outcome.status, outcome.surplus) == ("refunded", (second,))
    assert intent_of(outcome).clawver_refund_id == first
    assert outcome.earlier == (first, second)
    assert (await room.desk().check(intent_of(outcome).refund_id)).surplus == (second,)


async def test_what_clawvers_own_answer_lists_is_not_hidden_by_an_older_read(room: Room) -> None:
    room.shop.add_fault("duplicate_listed", method="POST")
    room.shop.add_fault("stale_read", method="GET", times=-1)

    outcome = await room.refund()

    first, second = room.listed()
    assert (outcome.status, outcome.surplus) == ("refunded", (second,))
    assert outcome.earlier == (first, second)
    assert outcome.order is not None
    assert outcome.order.refundable_in_cents == 2499 - 1400
    for desk in (room.desk(), store_of(room.services()).desk):  # the same process, and another
        told = await desk.check(intent_of(outcome).refund_id)
        assert (told.status, told.surplus, told.earlier) == ("refunded", (second,), (first, second))


async def test_a_duplicate_that_was_listed_is_said_by_the_process_that_finds_it(room: Room) -> None:
    """The answer came, and the process ended before it could note what became of the refund."""
    intent = await room.waiting()
    order = await room.parts.clawver.order(room.order_id)
    room.ledger.begin_send(intent.refund_id, (), 10**6, room.now(), TRACE)
    for _ in range(2):
        room.shop.refund(room.order_id, 700, "Torn")
    await room.desk()._settling._remembered(await room.parts.clawver.order(room.order_id))
    assert order.refunds == ()
    room.shop.add_fault("stale_read", method="GET", times=-1)

    told = await store_of(room.services()).desk.check(intent.refund_id)

    assert (told.status, told.surplus) == ("refunded", room.listed()[1:])


async def test_a_duplicate_of_another_amount_is_said_by_whoever_sees_it(room: Room) -> None:
    """The first duplicate was not to be seen; Clawver's answer to the next refund lists all."""
    room.shop.add_fault("duplicate", method="POST")
    room.shop.add_fault("stale_read", method="GET", times=-1)
    first = await room.refund(700)
    assert (first.status, first.surplus) == ("refunded", ())

    other = await room.refund(300)

    extra = room.listed()[1:2]
    assert (other.status, other.surplus, other.surplus_beside) == ("refunded", (), extra)
    assert f"another amount that nobody asked for: {extra[0]}." in str(warning(other))
    told = await room.desk().check(intent_of(other).refund_id)
    assert told.surplus_beside == extra
    assert (await room.desk().check(intent_of(first).refund_id)).surplus == extra


async def test_what_cannot_be_matched_after_a_refund_does_not_hide_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = room.desk()
    request = desk._settling._request

    async def fails(*_: object) -> None:
        raise SetupError("The disk is gone.", next_step="Bring it back.")

    async def requests(*given: Any) -> Any:
        sent = await request(*given)
        monkeypatch.setattr(desk._settling, "settle", fails)
        return sent

    monkeypatch.setattr(desk._settling, "_request", requests)
    outcome = await desk.refund(room.order_id, 700, "Torn", (), Script())

    assert (outcome.status, outcome.surplus_beside) == ("refunded", ())


async def test_a_refund_made_elsewhere_is_not_forgotten_by_an_older_read(room: Room) -> None:
    room.shop.refund(room.order_id, 700, "In the dashboard")
    seen = await room.refund()
    room.shop.add_fault("stale_read", method="GET", times=-1)

    again = await room.refund()
    other = await store_of(room.services()).desk.refund(room.order_id, 700, "Torn", (), Script())

    assert [each.status for each in (seen, again, other)] == ["already_refunded"] * 3
    assert seen.earlier == again.earlier == other.earlier == room.listed()
    assert room.posts() == 0


async def test_no_header_hides_a_refund_that_was_seen(room: Room) -> None:
    """Whether a store says that it is a sandbox decides what may be forgotten, and nothing else."""
    room.ledger.add_seen(room.order_id, [SeenRefund("ref_elsewhere", 700)])

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("already_refunded", ("ref_elsewhere",))
    assert room.posts() == 0


async def test_an_older_read_leaves_no_more_to_refund_than_there_is(room: Room) -> None:
    room.shop.refund(room.order_id, 2000, "In the dashboard")
    await room.refund(400, refund_approval="ask")
    room.shop.add_fault("stale_read", method="GET", times=-1)

    with pytest.raises(RefusedError, match=r"\$4\.99 \(499 cents\) left"):
        await room.refund(500)

    assert room.posts() == 0


async def test_what_the_ledger_cannot_note_counts_for_the_call_that_saw_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.shop.add_fault("duplicate_listed", method="POST")
    room.shop.add_fault("stale_read", method="GET", times=-1)

    def fails(*_: object) -> None:
        raise SetupError("The disk is gone.", next_step="Bring it back.")

    monkeypatch.setattr(room.ledger, "add_seen", fails)
    outcome = await room.refund()

    assert (outcome.status, outcome.surplus) == ("refunded", room.listed()[1:])


def test_an_order_that_does_not_tell_its_refunds_stays_so() -> None:
    refund = Refund(id="ref_1", amount_in_cents=700)
    order = Order.model_validate(
        {"id": "ord_1", "status": "delivered", "paymentStatus": "partially_refunded", "totalInCents": 2499,
         "createdAt": "2026-11-24T12:00:00Z"}
    )  # fmt: skip
    paid = order.model_copy(update={"payment_status": "paid"})

    assert united(order, [refund]) is order
    assert united(paid, ()) is paid
    assert united(paid, [refund]).refunds == (refund,)
    assert united(united(paid, [refund]), [refund]).refunds == (refund,)


async def test_only_looking_may_use_the_reserve_of_the_allowance(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, urgencies = room.parts.clawver.order, list[bool]()

    async def noted(order_id: str, *, urgent: bool = False) -> Order:
        urgencies.append(urgent)
        return await order(order_id, urgent=urgent)

    monkeypatch.setattr(room.parts.clawver, "order", noted)
    intent = await room.lost()
    assert urgencies == [False, True, True, True]

    await room.desk().check(intent.refund_id)
    await room.desk().recover()
    assert urgencies[4:] == [True, True]


async def test_an_order_that_does_not_mention_refunds_has_none(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = room.parts.clawver.order

    async def silent(order_id: str, *, urgent: bool = False) -> Order:
        found = await order(order_id, urgent=urgent)
        return found if found.refunds else found.model_copy(update={"refunds": None})

    monkeypatch.setattr(room.parts.clawver, "order", silent)
    outcome = await room.refund()

    assert outcome.status == "refunded"
    assert intent_of(outcome).baseline == frozenset()
    assert (await room.lost(500)).baseline == set(room.listed())


async def test_a_further_request_that_was_delivered_twice_is_said(room: Room) -> None:
    first = await room.refund()
    room.shop.add_fault("duplicate", method="POST")

    outcome = await room.refund(named=first.earlier)

    assert (outcome.status, outcome.surplus) == ("refunded", (room.listed()[2],))


async def test_what_lands_late_while_another_is_sent_is_not_taken_for_a_second_delivery(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await room.given_up()
    for other_amount in (300, 301):
        await room.given_up(other_amount)
    room.shop.add_fault("duplicate", method="POST")
    caller = AskingHost(
        brought=Reply.YES, meanwhile=lambda _: room.shop.refund(room.order_id, 700, "late")
    )

    outcome = await room.refund(caller=caller, named=[first.refund_id])

    refs = room.listed()
    assert len(refs) == 3
    assert (intent_of(outcome).clawver_refund_id, outcome.surplus) == (refs[0], (refs[2],))


async def test_what_shows_late_is_said_whatever_was_refunded_since(room: Room) -> None:
    first = await room.refund(700)
    await room.refund(701)
    room.shop.refund(room.order_id, 700, "the same, once more")

    checked = await room.desk().check(intent_of(first).refund_id)

    assert checked.surplus == (room.listed()[2],)


async def test_a_refund_of_another_amount_is_none_of_what_came_twice(room: Room) -> None:
    first = await room.refund(700)
    room.shop.add_fault("duplicate", method="POST")
    second = await room.refund(701)

    _, _, again = room.listed()
    assert second.surplus == (again,)
    assert (await room.desk().check(intent_of(first).refund_id)).surplus == ()
    assert (await room.desk().check(intent_of(second).refund_id)).surplus == (again,)


async def test_a_request_that_never_left_moved_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Order:
        raise UnreachableError("It never left.", next_step="Repeat it.")

    monkeypatch.setattr(room.parts.clawver, "send_refund", refuse)
    with pytest.raises(UnreachableError) as refusal:
        await room.refund()

    (intent,) = room.ledger.all()
    assert refusal.value.happened == "No money was moved. It never left."
    assert room.trail(intent)[-1] == ("failed", "setting off", "it never left")
    assert room.gets() == 1


async def test_what_cannot_be_noted_any_more_is_told_all_the_same(room: Room) -> None:
    room.shop.add_fault("slow", method="POST", seconds=0.2)
    outcomes: list[Outcome] = []

    async def refund() -> None:
        outcomes.append(await room.refund())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refund)
        while not room.posts():
            await anyio.sleep(0.005)
        (intent,) = room.ledger.all()
        hide_ledger(room)

    (outcome,) = outcomes
    ref = room.listed()[0]
    assert (outcome.status, outcome.unwritten, outcome.earlier) == ("refunded", True, (ref,))
    assert intent_of(outcome) == replace(intent, state="confirmed", clawver_refund_id=ref)
    with pytest.raises(
        SetupError, match=r"^Nothing was sent\. The file of the refund ledger is gone"
    ):
        await room.desk().check(intent.refund_id)
    with pytest.raises(
        SetupError, match=r"^Nothing was sent\. The file of the refund ledger is gone"
    ):
        await room.refund(5)


async def test_a_lost_answer_that_cannot_be_noted_is_unknown_all_the_same(room: Room) -> None:
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("garbage", method="GET", times=-1)
    room.shop.add_fault("hang_before", method="POST", seconds=0.2)
    outcomes: list[Outcome] = []

    async def refund() -> None:
        outcomes.append(await room.refund())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refund)
        while not room.posts():
            await anyio.sleep(0.005)
        hide_ledger(room)

    (outcome,) = outcomes
    assert (outcome.status, outcome.unwritten) == ("unknown", True)
    assert intent_of(outcome).state == "unknown"


# Looking


async def test_a_lost_refund_is_found_by_a_later_look(room: Room) -> None:
    intent = await room.lost()
    room.shop.refund(room.order_id, 700, "Torn")

    outcome = await room.desk().check(intent.refund_id)

    assert outcome.status == "refunded"
    assert outcome.earlier == room.listed()
    assert outcome.refund is not None
    assert intent_of(outcome).stripe_refund_id == outcome.refund.stripe_refund_id
    assert room.trail(intent)[-1] == ("confirmed", "", f"listed as {room.listed()[0]}")
    assert room.ledger.history(intent.refund_id)[-1].client == "clawver-orders"


async def test_a_refund_that_was_there_before_is_not_ours(room: Room) -> None:
    room.shop.refund(room.order_id, 700, "By hand")
    intent = await room.lost(700, named=room.listed())
    room.shop.refund(room.order_id, 701, "Another amount")

    assert (await room.desk().check(intent.refund_id)).status == "unknown"
    room.shop.refund(room.order_id, 700, "Torn")
    assert (await room.desk().check(intent.refund_id)).earlier == (
        room.listed()[0],
        room.listed()[2],
    )


async def test_not_listed_counts_only_after_the_window_and_twice(room: Room) -> None:
    room.settle_seconds = 90
    intent = await room.lost()
    seen = []
    for seconds in (0, 89.9, 0.1, 1.4, 0.1):
        room.passes(seconds)
        outcome = await room.desk().check(intent.refund_id)
        seen.append((outcome.status, intent_of(outcome).absent_reads, outcome.check_after_seconds))

    assert seen == [
        ("unknown", 0, 15),
        ("unknown", 0, 1),
        ("unknown", 1, 2),
        ("unknown", 1, 2),
        ("not_recorded", 2, None),
    ]
    assert outcome.earlier == (intent.refund_id,)
    assert [event.client for event in room.ledger.history(intent.refund_id)][-1] == "clawver-orders"


async def test_it_is_worth_looking_less_and_less_often(room: Room) -> None:
    room.settle_seconds = 90
    intent, sent = await room.lost(), room.up
    room.shop.add_fault("garbage", method="GET", times=-1)
    seen = {}
    for passed in (0, 14, 15.4, 20, 40, 45, 46, 80, 89.8, 90, 500):
        room.up = sent + passed
        seen[passed] = (await room.desk().check(intent.refund_id)).check_after_seconds

    assert seen == {
        0: 15, 14: 15, 15.4: 15, 20: 20, 40: 40, 45: 45, 46: 44, 80: 10, 89.8: 1, 90: 2, 500: 2,
    }  # fmt: skip


async def test_a_look_is_never_asked_for_at_once(room: Room) -> None:
    intent = await room.lost()
    room.passes(500)
    room.shop.add_fault("garbage", method="GET", times=-1)

    assert (
        await room.desk(refund_settle_seconds=0.1).check(intent.refund_id)
    ).check_after_seconds == 1


async def test_neither_a_clock_nor_a_restart_shortens_the_window(room: Room) -> None:
    room.settle_seconds = 90
    intent = await room.lost()
    room.at += timedelta(days=3)
    assert intent_of(await room.desk().check(intent.refund_id)).absent_reads == 0
    reads = []
    for uptime in (10, 89, 90, 91, 92):
        room.up = uptime
        reads.append(intent_of(await room.desk().check(intent.refund_id)).absent_reads)

    assert reads == [0, 0, 1, 1, 2]


def test_what_has_passed_at_least() -> None:
    assert passed_at_least(10, 10) == 0
    assert passed_at_least(10, 25) == 15
    assert passed_at_least(10, 9) == 9


async def test_a_list_that_contradicts_the_payment_says_nothing_about_absence(room: Room) -> None:
    intent = await room.lost()
    room.passes(200)
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_set(body, '$.paymentStatus', 'partially_refunded') WHERE id = ?",
            (room.order_id,),
        )

    assert intent_of(await room.desk().check(intent.refund_id)).absent_reads == 0


async def test_what_cannot_be_noted_while_looking_sends_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.lost()
    room.passes(10)

    def fail(*_: object, **__: object) -> None:
        raise SetupError("The disk is full.", next_step="Make room.")

    monkeypatch.setattr(room.ledger, "count_absence", fail)
    with pytest.raises(SetupError) as refusal:
        await room.refund()

    assert refusal.value.happened == "Nothing was sent. The disk is full."
    assert room.posts() == 1


async def test_a_refund_that_lands_late_is_still_found(room: Room) -> None:
    intent = await room.given_up()
    assert intent.state == "absent"
    room.shop.refund(room.order_id, 700, "Torn")
    room.shop.refund(room.order_id, 700, "By hand")

    outcome = await room.desk().check(intent.refund_id)

    assert (outcome.status, outcome.surplus) == ("refunded", room.listed()[1:])
    assert intent_of(outcome).clawver_refund_id == room.listed()[0]
    assert room.trail(intent)[-1] == ("surplus", "", f"also listed: {room.listed()[1]}")


async def test_an_open_refund_has_the_first_claim_on_what_is_new(room: Room) -> None:
    first = await room.given_up()
    second = await room.lost(named=[first.refund_id])
    room.shop.refund(room.order_id, 700, "One of them")

    assert (await room.desk().check(first.refund_id)).status == "not_recorded"
    assert room.found(second).state == "confirmed"
    room.shop.refund(room.order_id, 700, "The other")
    late = await room.desk().check(first.refund_id)
    assert (late.status, late.surplus) == ("refunded", room.listed()[:1])
    assert room.found(second).surplus == room.listed()[1:]
    later = await room.desk().check(second.refund_id)
    assert later.surplus == room.listed()[1:]
    assert len(room.trail(second)) == len(room.trail(room.found(second)))


async def test_what_shows_only_after_a_refund_was_confirmed_is_still_said(room: Room) -> None:
    intent = intent_of(await room.refund())
    room.shop.refund(room.order_id, 700, "The same request, delivered once more")

    outcome = await room.desk().check(intent.refund_id)
    again = await room.desk().check(intent.refund_id)

    assert outcome.surplus == again.surplus == room.listed()[1:]
    assert [event for event, _, _ in room.trail(intent)].count("surplus") == 1
    assert (await room.refund()).earlier == room.listed()
    # A further one that is meant knows of both, and is no surplus itself.
    further = intent_of(await room.refund(named=room.listed()))
    await room.desk().check(intent.refund_id)
    assert (room.found(intent).surplus, room.found(further).surplus) == (room.listed()[1:2], ())


async def test_an_attempt_that_was_given_up_takes_what_is_its_own(room: Room) -> None:
    first = await room.given_up()
    for other_amount in (300, 301):
        await room.given_up(other_amount)
    second = await room.lost(named=[first.refund_id])
    for reason in ("the late one", "the second", "nobody's"):
        room.shop.refund(room.order_id, 700, reason)

    outcome = await room.desk().check(second.refund_id)

    refs = room.listed()
    assert (outcome.status, set(outcome.surplus)) == ("refunded", {refs[1], refs[2]})
    assert room.found(first).clawver_refund_id == refs[1]
    assert room.found(second).clawver_refund_id == refs[0]


async def test_what_a_dead_process_left_is_lost_and_then_found(room: Room) -> None:
    intent = room.ledger.preview(room.order_id, 700, "x", (), "", False, room.now(), TRACE)
    room.ledger.begin_send(intent.refund_id, (), 10**6, room.now(), TRACE)
    room.shop.refund(room.order_id, 700, "x")

    outcome = await room.desk().check(intent.refund_id)

    assert outcome.status == "refunded"
    assert room.trail(intent)[2:] == [
        ("unknown", "", "the process that sent it is gone"),
        ("confirmed", "", f"listed as {room.listed()[0]}"),
    ]


@pytest.mark.parametrize("cents", [700, 701])
async def test_an_open_refund_keeps_the_order_from_another(room: Room, cents: int) -> None:
    intent = await room.lost(700)
    posts = room.posts()

    outcome = await room.refund(cents)

    status = "unknown" if cents == 700 else "busy"
    assert outcome == Outcome(
        status,  # type: ignore[arg-type]  # one of the two
        room.order_id,
        700,
        intent=intent,
        order=outcome.order,
        check_after_seconds=9,
    )
    assert room.posts() == posts


async def test_trying_again_after_not_recorded_names_the_attempt(room: Room) -> None:
    first = await room.given_up()

    again = await room.refund()
    assert again == Outcome(
        "not_recorded",
        room.order_id,
        700,
        intent=first,
        order=again.order,
        earlier=(first.refund_id,),
    )

    second = await room.refund(named=again.earlier)
    assert second.status == "refunded"
    assert intent_of(second).needs_person
    assert intent_of(second).in_addition_to == (first.refund_id,)
    third = await room.refund()
    assert (third.status, third.earlier) == (
        "already_refunded",
        (room.listed()[0], first.refund_id),
    )


async def test_an_attempt_of_another_amount_is_no_repeat_but_wants_a_person(room: Room) -> None:
    await room.given_up(300)

    outcome = await room.refund(700)

    assert outcome.status == "refunded"
    assert intent_of(outcome).needs_person
    assert intent_of(outcome).in_addition_to == ()


# After a start


async def test_what_was_left_open_is_looked_up_at_the_start(room: Room) -> None:
    other = room.sell(2499)
    one, two = await room.lost(), await room.lost(order_id=other)
    room.shop.refund(room.order_id, 700, "Torn")
    room.shop.refund(other, 700, "Torn")
    room.shop.add_fault("garbage", method="GET")

    await room.desk().recover()
    states = {room.found(one).state, room.found(two).state}
    assert states == {"unknown", "confirmed"}

    await room.desk().recover()
    assert {room.found(one).state, room.found(two).state} == {"confirmed"}
    requests = len(room.shop.requests())
    await room.desk().recover()
    assert len(room.shop.requests()) == requests


async def test_a_start_without_a_ledger_or_with_a_broken_one_goes_on(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    await room.desk().recover()
    assert caplog.text == ""
    await room.lost()
    hide_ledger(room)

    await room.desk().recover()

    assert "open refunds could not be looked up: SetupError" in caplog.text
