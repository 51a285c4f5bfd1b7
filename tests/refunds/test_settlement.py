"""What became of a refund: the one request, its answer or its loss, and what the order shows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from tests.refunds.book import IN_A_FILE
from tests.refunds.room import (
    QUICK,
    REASON,
    Room,
    attempt_of,
    hide_ledger,
    store_of,
    wish_of,
)

from clawver_orders.caller import Approval, Script
from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError, SetupError, UnreachableError
from clawver_orders.instants import seconds_since_boot
from clawver_orders.refunds import order_locks
from clawver_orders.refunds.checking import _unexplained
from clawver_orders.refunds.outcome import NOT_LISTED_SO_FAR, Outcome, next_step, warning
from clawver_orders.refunds.reading import BOUNDS, Bounds
from clawver_orders.refunds.records import Limits, SeenRefund, Wish


def once_noted(room: Room, monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> None:
    """Do something after the order was read and the attempt noted: just before the request."""
    begin = room.ledger.begin_send

    async def noted(*given: Any) -> Wish:
        wish = await begin(*given)
        what()
        return wish

    monkeypatch.setattr(room.ledger, "begin_send", noted)


async def left_in_flight(room: Room, reason: str = REASON) -> Wish:
    """A refund whose process ended before it could note what became of the request."""
    wish = wish_of(await room.refund(reason=reason, refund_approval="agent"))
    records = await room.ledger.of_order(room.order_id)
    by = Approval("agent", "confirm_refund", "an agent")
    return await room.ledger.begin_send(
        records.number, wish, by, None, [], None, Limits(10**6), "another process"
    )


async def only_wish(room: Room) -> Wish:
    (wish,) = await room.ledger.latest(1000)
    return wish


async def test_another_refund_of_an_order_waits_for_the_one_that_is_in_flight(room: Room) -> None:
    await left_in_flight(room)
    room.shop.add_fault("stale_read", method="GET", times=-1)

    outcome = await room.refund(699)

    assert (outcome.status, room.posts()) == ("busy", 0)
    assert next_step(outcome, room.parts.settings).startswith("Do not repeat the call: wait ")


async def test_a_start_looks_up_what_is_open_and_not_what_was_refused_before(room: Room) -> None:
    await room.refused()
    room.passes(room.verify_seconds + 1)
    await left_in_flight(room)
    before = room.gets()

    await room.desk().recover()

    assert room.gets() - before == 1


# What became of a request


@pytest.mark.parametrize(
    "fault", ["drop_after", "garbage", "bare_success", "wrong_types", "status_after"]
)
async def test_a_lost_answer_is_found_by_reading_the_order(room: Room, fault: str) -> None:
    room.shop.add_fault(fault, method="POST", status=503)

    outcome = await room.refund()

    assert outcome.status == "refunded"
    assert outcome.earlier == room.listed()
    assert (room.gets(), room.posts()) == (2, 1)
    assert room.given_back() == [700]


async def test_a_refund_that_shows_a_moment_later_is_found_in_the_same_call(room: Room) -> None:
    room.shop.add_fault("drop_after", method="POST")
    room.shop.add_fault("stale_read", method="GET", times=3)  # before it, and twice after it

    outcome = await room.refund()

    assert outcome.status == "refunded"
    assert (room.gets(), room.posts()) == (4, 1)


async def test_a_refund_that_does_not_show_is_unknown(room: Room) -> None:
    room.shop.add_fault("drop_before", method="POST")

    outcome = await room.refund()

    wish = wish_of(outcome)
    assert outcome == Outcome(
        "unknown",
        room.order_id,
        700,
        wish=(await room.found(wish)),
        order=outcome.order,
        check_after_seconds=9,
    )
    assert outcome.order is not None
    assert outcome.order.refunds == ()
    assert wish.status == "unknown"
    assert (await room.trail(wish))[-1] == ("unknown", "setting off", "no clear answer")
    assert (room.gets(), room.posts()) == (4, 1)


def test_a_whole_call_ends_within_forty_five_seconds() -> None:
    assert BOUNDS.call < 45
    assert Bounds(lock=1, read=10, send=100, look=1000).call == 1122


async def test_a_read_that_fails_in_between_decides_nothing(room: Room) -> None:
    room.shop.add_fault("drop_before", method="POST")
    room.shop.add_fault("slow", method="GET", times=2)
    room.shop.add_fault("garbage", method="GET")

    assert (await room.refund()).status == "unknown"
    assert (room.gets(), room.posts()) == (4, 1)


async def test_reading_after_a_request_is_bounded(room: Room) -> None:
    room.shop.add_fault("drop_after", method="POST")
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("hang_before", method="GET", seconds=30)

    with anyio.fail_after(10):
        outcome = await room.desk(replace(QUICK, look=0.1)).refund(
            room.order_id, 700, REASON, (), Script()
        )

    assert (outcome.status, outcome.order) == ("unknown", None)
    assert room.given_back() == [700]


async def test_sending_is_bounded(room: Room) -> None:
    room.shop.add_fault("hang_after", method="POST", seconds=30)

    with anyio.move_on_after(10) as patience:  # nothing cancels what is sent
        desk = room.desk(replace(QUICK, send=0.1))
        outcome = await desk.refund(room.order_id, 700, REASON, (), Script())

    assert not patience.cancel_called
    assert outcome.status == "refunded"
    assert room.posts() == 1


@pytest.mark.parametrize(("verify_seconds", "pause"), [(9, 0.01), (900, 1.0), (9000, 1.0)])
async def test_there_is_a_pause_between_two_reads_and_none_before_the_first(
    room: Room, monkeypatch: pytest.MonkeyPatch, verify_seconds: float, pause: float
) -> None:
    room.verify_seconds, slept = verify_seconds, []

    async def sleep(seconds: float) -> None:
        slept.append((seconds, room.gets()))

    monkeypatch.setattr(anyio, "sleep", sleep)
    await room.lost()

    before_and_first_read = 2
    assert slept == [(pause, before_and_first_read), (pause, before_and_first_read + 1)]


async def test_a_call_that_is_cancelled_finishes_what_it_sent(room: Room) -> None:
    room.shop.add_fault("slow", method="POST", seconds=0.2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(room.refund)
        while not room.posts():
            await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()

    assert (await only_wish(room)).status == "refunded"
    assert room.given_back() == [700]


# A refusal


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429])
async def test_a_refusal_that_the_order_agrees_with_is_told_as_one(room: Room, status: int) -> None:
    room.shop.add_fault("status_before", method="POST", status=status)

    with pytest.raises(ClawverError) as refusal:
        await room.refund()

    wish = await only_wish(room)
    # 401, 403 and 404 say more about the key or the address than about the order.
    assert refusal.value.happened.startswith(
        f"{NOT_LISTED_SO_FAR}: $7.00 on order {room.order_id} (refund {wish.refund_id}). "
    )
    for promise in ("No money was moved", "Nothing was"):
        assert promise not in refusal.value.happened
    assert wish.status == "refused"
    assert (await room.trail(wish))[-1] == ("refused", "setting off", "Clawver refused")
    assert (room.gets(), room.posts()) == (3, 1)


async def test_a_refusal_after_the_money_moved_is_not_believed(room: Room) -> None:
    room.shop.add_fault("status_after", method="POST", status=400)

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("refunded", room.listed())


async def test_a_refusal_that_cannot_be_checked_is_unknown(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("garbage", method="GET", times=3)

    outcome = await room.refund()

    assert (outcome.status, outcome.order) == ("unknown", None)
    assert (room.gets(), room.posts()) == (4, 1)


async def test_a_refusal_after_which_the_order_is_read_stale_is_not_believed(room: Room) -> None:
    room.shop.add_fault("status_after", method="POST", status=400)
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("stale_read", method="GET")

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("refunded", room.listed())


async def test_a_refusal_is_checked_again_until_the_order_can_be_read(room: Room) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("garbage", method="GET", times=1)

    with pytest.raises(ClawverError, match=f"^{NOT_LISTED_SO_FAR}"):
        await room.refund()

    assert (room.gets(), room.posts()) == (4, 1)


async def test_a_refusal_to_an_order_that_changed_meanwhile_is_unknown(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)
    once_noted(room, monkeypatch, lambda: room.shop.refund(room.order_id, 5, "By hand"))

    outcome = await room.refund()

    assert outcome.status == "unknown"
    assert [each.id for each in outcome.unexplained] == list(room.listed())
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


async def test_a_request_that_never_left_moved_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.shop.add_fault("slow", method="GET", seconds=0)

    async def refuse(*_: object) -> Order:
        raise UnreachableError("It never left.", next_step="Repeat it.")

    with monkeypatch.context() as offline:
        offline.setattr(room.parts.clawver, "send_refund", refuse)
        with pytest.raises(UnreachableError) as refusal:
            await room.refund()

    wish = await only_wish(room)
    assert refusal.value.happened == "No money was moved. It never left."
    assert (await room.trail(wish))[-1] == ("not_sent", "setting off", "it never left")
    assert (wish.status, room.gets()) == ("not_sent", 1)
    assert await room.ledger.spent_in_cents() == 0
    # The same wish goes again at once, and what lands is not taken for what never left.
    again = wish_of(await room.refund())
    assert (again.refund_id, again.revision) == (wish.refund_id, 2)
    assert [each.status for each in again.attempts] == ["not_sent", "refunded"]


# A request that was delivered twice


async def test_a_request_that_was_delivered_twice_is_said(room: Room) -> None:
    room.shop.add_fault("duplicate", method="POST")

    outcome = await room.refund()

    first, second = room.listed()
    assert (outcome.status, outcome.unexpected_refunds) == ("refunded", (second,))
    assert wish_of(outcome).clawver_refund_id == first
    assert outcome.earlier == (first, second)
    checked = await room.desk().check(wish_of(outcome).refund_id)
    assert checked.unexpected_refunds == (second,)


async def test_a_repeat_is_told_of_a_second_delivery_too(room: Room) -> None:
    room.shop.add_fault("duplicate", method="POST")
    first = await room.refund()

    again = await room.refund()

    assert (again.status, again.earlier) == ("already_refunded", room.listed())
    assert (again.refund, again.unexpected_refunds) == (first.refund, room.listed()[1:])
    assert "2 refunds of this amount are new" in str(warning(again))


async def test_what_clawvers_own_answer_lists_is_not_hidden_by_an_older_read(room: Room) -> None:
    room.shop.add_fault("duplicate_listed", method="POST")
    room.shop.add_fault("stale_read", method="GET", times=-1)

    outcome = await room.refund()

    first, second = room.listed()
    assert (outcome.status, outcome.unexpected_refunds) == ("refunded", (second,))
    assert outcome.earlier == (first, second)
    assert outcome.order is not None
    assert outcome.order.refundable_in_cents == 2499 - 1400
    for desk in (room.desk(), store_of(room.services()).desk):  # the same process, and another
        told = await desk.check(wish_of(outcome).refund_id)
        assert (told.status, told.unexpected_refunds) == ("refunded", (second,))
        assert told.earlier == (first, second)


async def test_a_duplicate_that_was_listed_is_said_by_the_process_that_finds_it(room: Room) -> None:
    """The answer came, and the process ended before it could note what became of the refund."""
    wish = await left_in_flight(room)
    for _ in range(2):
        room.lands()
    await room.desk()._reader.read(room.order_id)
    room.shop.add_fault("stale_read", method="GET", times=-1)

    told = await store_of(room.services()).desk.check(wish.refund_id)

    assert (told.status, told.unexpected_refunds) == ("refunded", room.listed()[1:])


async def test_a_duplicate_of_another_amount_is_said_by_whoever_sees_it(room: Room) -> None:
    """The first duplicate was not to be seen; Clawver's answer to the next refund lists all."""
    room.shop.add_fault("duplicate", method="POST")
    room.shop.add_fault("stale_read", method="GET", times=-1)
    first = await room.refund(700)
    assert (first.status, first.unexpected_refunds) == ("refunded", ())

    other = await room.refund(300)

    extra = room.listed()[1:2]
    assert (other.status, other.unexpected_refunds) == ("refunded", ())
    assert other.unexpected_beside == extra
    assert f"another amount that nobody asked for: {extra[0]}." in str(warning(other))
    told = await room.desk().check(wish_of(other).refund_id)
    assert told.unexpected_beside == extra
    checked = await room.desk().check(wish_of(first).refund_id)
    assert checked.unexpected_refunds == extra


async def test_a_further_request_that_was_delivered_twice_is_said(room: Room) -> None:
    first = await room.refund()
    room.shop.add_fault("duplicate", method="POST")

    outcome = await room.refund(named=first.earlier)

    assert (outcome.status, outcome.unexpected_refunds) == ("refunded", (room.listed()[2],))


async def test_a_second_delivery_is_told_with_the_refund_that_it_came_of(room: Room) -> None:
    """The latest refund of the amount has another reason."""
    first = wish_of(await room.refund())
    second = wish_of(await room.refund(reason="The second one, too", named=room.listed()))
    extra = room.lands()

    for_first = await room.desk().check(first.refund_id)
    for_second = await room.desk().check(second.refund_id)

    assert (for_first.unexpected_refunds, for_second.unexpected_refunds) == ((extra,), ())
    assert for_second.unexpected_beside == (extra,)
    assert warning(for_second) is not None


async def test_what_lands_late_while_another_is_sent_is_not_taken_for_a_second_delivery(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await room.not_recorded()
    for other_amount in (300, 301):
        await room.not_recorded(other_amount)
    room.shop.add_fault("duplicate", method="POST")
    once_noted(room, monkeypatch, room.lands)

    outcome = await room.refund(named=[first.refund_id])

    refs = room.listed()
    assert len(refs) == 3
    assert wish_of(outcome).clawver_refund_id == refs[0]
    assert (await room.found(first)).clawver_refund_id == refs[1]
    # Both were paid: that is what the person was told could happen, and hears now.
    assert set(outcome.unexpected_refunds) == set(refs[1:])


async def test_what_shows_late_is_said_whatever_was_refunded_since(room: Room) -> None:
    first = await room.refund(700)
    await room.refund(701)
    extra = room.lands()

    checked = await room.desk().check(wish_of(first).refund_id)

    assert checked.unexpected_refunds == (extra,)


async def test_a_refund_of_another_amount_is_none_of_what_came_twice(room: Room) -> None:
    first = await room.refund(700)
    room.shop.add_fault("duplicate", method="POST")
    second = await room.refund(701)

    _, _, again = room.listed()
    assert second.unexpected_refunds == (again,)
    for_first = await room.desk().check(wish_of(first).refund_id)
    for_second = await room.desk().check(wish_of(second).refund_id)
    assert (for_first.unexpected_refunds, for_second.unexpected_refunds) == ((), (again,))


async def test_what_shows_only_after_a_refund_was_noted_is_still_said(room: Room) -> None:
    wish = wish_of(await room.refund())
    extra = room.lands()

    outcome = await room.desk().check(wish.refund_id)
    again = await room.desk().check(wish.refund_id)

    assert outcome.unexpected_refunds == again.unexpected_refunds == (extra,)
    assert [event for event, _, _ in await room.trail(wish)].count("unexpected") == 1
    assert (await room.refund()).earlier == room.listed()
    # A further one that is meant knows of both, and is not unexpected itself.
    further = wish_of(await room.refund(named=room.listed()))
    await room.desk().check(wish.refund_id)
    assert (await room.found(wish)).unexpected_refunds == (extra,)
    assert (await room.found(further)).unexpected_refunds == ()


async def test_what_cannot_be_matched_after_a_refund_does_not_hide_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = room.desk()

    async def fails(*_: object) -> None:
        raise SetupError("The disk is gone.", next_step="Bring it back.")

    once_noted(
        room, monkeypatch, lambda: monkeypatch.setattr(desk._settlement, "match_order", fails)
    )
    outcome = await desk.refund(room.order_id, 700, REASON, (), Script())

    assert (outcome.status, outcome.unexpected_beside) == ("refunded", ())
    assert not outcome.unwritten


# Refunds that were seen once


async def test_a_refund_made_elsewhere_is_not_forgotten_by_an_older_read(room: Room) -> None:
    room.shop.refund(room.order_id, 700, "In the dashboard")
    seen = await room.refund()
    room.shop.add_fault("stale_read", method="GET", times=-1)

    again = await room.refund()
    other = await store_of(room.services()).desk.refund(room.order_id, 700, REASON, (), Script())

    assert [each.status for each in (seen, again, other)] == ["already_refunded"] * 3
    assert seen.earlier == again.earlier == other.earlier == room.listed()
    assert room.posts() == 0


async def test_no_header_hides_a_refund_that_was_seen(room: Room) -> None:
    """Whether a store says that it is a sandbox decides what may be forgotten, and nothing else."""
    await room.ledger.add_seen(room.order_id, [SeenRefund("ref_elsewhere", 700)])

    outcome = await room.refund()

    assert (outcome.status, outcome.earlier) == ("already_refunded", ("ref_elsewhere",))
    assert room.posts() == 0


async def test_an_older_read_leaves_no_more_to_refund_than_there_is(room: Room) -> None:
    room.shop.refund(room.order_id, 2000, "In the dashboard")
    await room.refund(400, refund_approval="agent")
    room.shop.add_fault("stale_read", method="GET", times=-1)

    with pytest.raises(ClawverError, match=r"\$4\.99 \(499 cents\) left"):
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

    assert (outcome.status, outcome.unexpected_refunds) == ("refunded", room.listed()[1:])


async def test_only_finding_out_may_use_the_reserve_of_the_allowance(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, urgencies = room.parts.clawver.order, list[bool]()

    async def noted(order_id: str, *, urgent: bool = False) -> Order:
        urgencies.append(urgent)
        return await order(order_id, urgent=urgent)

    monkeypatch.setattr(room.parts.clawver, "order", noted)
    wish = await room.lost()
    assert urgencies == [False, True, True, True]

    await room.desk().check(wish.refund_id)
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
    assert attempt_of(wish_of(outcome)).refunds_before == frozenset()
    assert attempt_of(await room.lost(500)).refunds_before == set(room.listed())


# A ledger that cannot be written any more


async def test_a_server_that_stood_still_between_noting_and_sending_sends_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended for an hour: others have given up that refund by then, and may have sent another."""
    begin_send, asleep = room.ledger.begin_send, 0.0

    async def begin_and_sleep(*given: Any) -> Wish:
        nonlocal asleep
        sending = await begin_send(*given)
        asleep = 3600.0
        return sending

    monkeypatch.setattr(order_locks, "seconds_since_boot", lambda: seconds_since_boot() + asleep)
    monkeypatch.setattr(room.ledger, "begin_send", begin_and_sleep)

    with pytest.raises(UnreachableError, match=r"^No money was moved\. This server stood still"):
        await room.refund()

    assert room.posts() == 0
    (wish,) = (await room.ledger.of_order(room.order_id)).wishes
    assert wish.status == "not_sent"
    asleep = 0.0
    monkeypatch.undo()
    assert (await room.refund()).status == "refunded"
    assert room.given_back() == [700]


async def in_flight(room: Room, meanwhile: Callable[[], object]) -> Outcome:
    """A refund during whose request something happens."""
    outcomes: list[Outcome] = []
    posts = room.posts()

    async def refund() -> None:
        outcomes.append(await room.refund())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refund)
        while room.posts() == posts:
            await anyio.sleep(0.005)
        meanwhile()
    return outcomes[0]


@IN_A_FILE
async def test_what_cannot_be_noted_any_more_is_told_all_the_same(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.shop.add_fault("slow", method="POST", seconds=0.2)

    outcome = await in_flight(room, lambda: hide_ledger(room))

    (ref,) = room.listed()
    assert (outcome.status, outcome.unwritten, outcome.earlier) == ("refunded", True, (ref,))
    assert wish_of(outcome).clawver_refund_id == ref
    # The records could not be read, and the claim could not be noted.
    assert caplog.text.count(f"could not note {wish_of(outcome).refund_id}: SetupError") == 2
    gone = r"^Nothing was sent\. The file of the refund ledger is gone"
    with pytest.raises(SetupError, match=gone):
        await room.desk().check(wish_of(outcome).refund_id)
    with pytest.raises(SetupError, match=gone):
        await room.refund(5)


@IN_A_FILE
async def test_what_an_older_copy_of_the_ledger_does_not_know_is_told_all_the_same(
    room: Room,
) -> None:
    await room.refund(5)
    ledger = store_of(room.parts).scope.folder / "ledger.sqlite3"
    copy = ledger.read_bytes()
    room.shop.add_fault("slow", method="POST", seconds=0.2)

    outcome = await in_flight(room, lambda: ledger.write_bytes(copy))

    assert (outcome.status, outcome.unwritten) == ("refunded", True)
    assert wish_of(outcome).clawver_refund_id == room.listed()[1]


@IN_A_FILE
async def test_what_cannot_be_noted_keeps_the_attempts_before_it(room: Room) -> None:
    await room.refused()
    room.shop.add_fault("slow", method="POST", seconds=0.2)

    outcome = await in_flight(room, lambda: hide_ledger(room))

    assert outcome.unwritten
    assert [each.status for each in wish_of(outcome).attempts] == ["refused", "refunded"]


@IN_A_FILE
async def test_a_lost_answer_that_cannot_be_noted_is_unknown_all_the_same(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.shop.add_fault("slow", method="GET", seconds=0)
    room.shop.add_fault("garbage", method="GET", times=-1)
    room.shop.add_fault("hang_before", method="POST", seconds=0.2)

    outcome = await in_flight(room, lambda: hide_ledger(room))

    assert (outcome.status, outcome.unwritten) == ("unknown", True)
    assert wish_of(outcome).status == "unknown"
    assert caplog.text.count(f"could not note {wish_of(outcome).refund_id}: SetupError") == 2


async def test_a_refusal_that_cannot_be_noted_is_told_and_verified_later(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.shop.add_fault("status_before", method="POST", status=400)

    def fails(*_: object) -> None:
        raise SetupError("The disk is gone.", next_step="Bring it back.")

    with monkeypatch.context() as broken:
        broken.setattr(room.ledger, "move", fails)
        with pytest.raises(ClawverError, match=f"^{NOT_LISTED_SO_FAR}"):
            await room.refund()

    again = await room.refund()
    assert (again.status, room.posts()) == ("unknown", 1)


# Finding out later


async def test_a_lost_refund_is_found_by_a_later_read(room: Room) -> None:
    wish = await room.lost()
    room.lands()

    outcome = await room.desk().check(wish.refund_id)

    assert outcome.status == "refunded"
    assert outcome.earlier == room.listed()
    assert outcome.refund is not None
    assert wish_of(outcome).stripe_refund_id == outcome.refund.stripe_refund_id
    assert (await room.trail(wish))[-1] == ("refunded", "", f"listed as {room.listed()[0]}")
    assert (await room.ledger.history(wish.refund_id))[-1].client == "clawver-orders"


async def test_a_refund_that_was_there_before_is_not_ours(room: Room) -> None:
    room.lands()
    wish = await room.lost(700, named=room.listed())

    assert (await room.desk().check(wish.refund_id)).status == "unknown"
    room.lands()
    assert (await room.desk().check(wish.refund_id)).earlier == room.listed()
    assert (await room.found(wish)).clawver_refund_id == room.listed()[1]


async def test_not_listed_counts_only_after_the_window_and_twice(room: Room) -> None:
    room.verify_seconds = 90
    wish = await room.lost()
    seen = []
    for seconds in (0, 89.9, 0.1, 1.4, 0.1):
        room.passes(seconds)
        outcome = await room.desk().check(wish.refund_id)
        reads = attempt_of(wish_of(outcome)).reads_after_window
        seen.append((outcome.status, reads, outcome.check_after_seconds))

    assert seen == [
        ("unknown", 0, 15),
        ("unknown", 0, 1),
        ("unknown", 1, 2),
        ("unknown", 1, 2),
        ("not_recorded", 2, None),
    ]
    assert outcome.earlier == (wish.refund_id,)
    assert (await room.ledger.history(wish.refund_id))[-1].client == "clawver-orders"


async def test_it_is_worth_asking_less_and_less_often(room: Room) -> None:
    room.verify_seconds = 90
    wish, sent = await room.lost(), room.up
    room.shop.add_fault("garbage", method="GET", times=-1)
    seen = {}
    for passed in (0, 14, 15.4, 20, 40, 45, 46, 80, 89.8, 90, 500):
        room.passes(sent + passed - room.up)
        seen[passed] = (await room.desk().check(wish.refund_id)).check_after_seconds

    assert seen == {
        0: 15, 14: 15, 15.4: 15, 20: 20, 40: 40, 45: 45, 46: 44, 80: 10, 89.8: 1, 90: 2, 500: 2,
    }  # fmt: skip


async def test_a_check_is_never_asked_for_at_once(room: Room) -> None:
    wish = await room.lost()
    room.passes(500)
    room.shop.add_fault("garbage", method="GET", times=-1)

    told = await room.desk(refund_verify_seconds=0.1).check(wish.refund_id)

    assert told.check_after_seconds == 1


async def test_neither_a_clock_nor_a_restart_shortens_the_window(room: Room) -> None:
    room.verify_seconds = 90
    wish = await room.lost()

    async def reads() -> int:
        checked = wish_of(await room.desk().check(wish.refund_id))
        return attempt_of(checked).reads_after_window

    room.at += timedelta(days=3)  # the clock is set
    assert await reads() == 0
    room.boot, room.up = "the next start", 100_000.0  # of a machine that is up for longer
    room.ledger = store_of(room.services()).ledger
    seen = [await reads()]
    for passed in (89, 1, 1, 1):
        room.passes(passed)
        seen.append(await reads())

    assert seen == [0, 0, 1, 1, 2]


async def test_a_list_that_contradicts_the_payment_does_not_say_that_a_refund_is_missing(
    room: Room,
) -> None:
    wish = await room.lost()
    room.passes(200)
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_set(body, '$.paymentStatus', 'partially_refunded') WHERE id = ?",
            (room.order_id,),
        )

    checked = wish_of(await room.desk().check(wish.refund_id))

    assert attempt_of(checked).reads_after_window == 0


async def test_what_cannot_be_noted_while_finding_out_sends_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.lost()
    room.passes(10)

    def fail(*_: object, **__: object) -> None:
        raise SetupError("The disk is full.", fact="Nothing was sent", next_step="Make room.")

    monkeypatch.setattr(room.ledger, "count_read", fail)
    with pytest.raises(SetupError) as refusal:
        await room.refund()

    assert refusal.value.happened == "Nothing was sent: The disk is full."
    assert room.posts() == 1


async def test_a_refund_that_lands_late_is_still_found(room: Room) -> None:
    wish = await room.not_recorded()
    first, second = room.lands(), room.lands()

    outcome = await room.desk().check(wish.refund_id)

    assert (outcome.status, outcome.unexpected_refunds) == ("refunded", (second,))
    assert wish_of(outcome).clawver_refund_id == first
    assert (await room.trail(wish))[-1] == ("unexpected", "", f'also listed: ["{second}"]')


async def test_an_open_refund_has_the_first_claim_on_what_is_new(room: Room) -> None:
    first = await room.not_recorded()
    second = await room.lost(named=[first.refund_id])
    one = room.lands()

    assert (await room.desk().check(first.refund_id)).status == "not_recorded"
    assert (await room.found(second)).clawver_refund_id == one
    other = room.lands()
    late = await room.desk().check(first.refund_id)
    assert (late.status, late.unexpected_refunds) == ("refunded", (one,))
    for _ in range(2):
        told = await room.desk().check(second.refund_id)
        assert told.unexpected_refunds == (other,)
    assert [event for event, _, _ in await room.trail(second)].count("unexpected") == 1


async def test_an_attempt_that_was_given_up_takes_what_is_its_own(room: Room) -> None:
    first = await room.not_recorded()
    for other_amount in (300, 301):
        await room.not_recorded(other_amount)
    second = await room.lost(named=[first.refund_id])
    refs = [room.lands() for _ in range(3)]

    outcome = await room.desk().check(second.refund_id)

    assert (outcome.status, set(outcome.unexpected_refunds)) == ("refunded", set(refs[1:]))
    assert (await room.found(first)).clawver_refund_id == refs[1]
    assert (await room.found(second)).clawver_refund_id == refs[0]


async def test_what_lands_late_beside_a_refund_of_another_amount_is_said(room: Room) -> None:
    late = await room.not_recorded(700)
    other = wish_of(await room.refund(300))
    ref = room.lands(700)

    told = await room.desk().check(other.refund_id)

    assert (told.status, told.unexpected_beside) == ("refunded", (ref,))
    assert "took effect late" in str(warning(told))
    checked = await room.desk().check(late.refund_id)
    assert (checked.status, checked.unexpected_refunds) == ("refunded", ())


@pytest.mark.parametrize("can_be_read", [True, False])
async def test_what_a_dead_process_left_is_unknown_until_it_is_found(
    room: Room, can_be_read: bool
) -> None:
    wish = await left_in_flight(room)
    room.lands()
    if not can_be_read:
        room.shop.add_fault("garbage", method="GET")
        assert (await room.desk().check(wish.refund_id)).status == "unknown"

    outcome = await room.desk().check(wish.refund_id)

    assert outcome.status == "refunded"
    assert (await room.trail(wish))[2:] == [
        ("unknown", "", "the process that sent it is gone"),
        ("refunded", "", f"listed as {room.listed()[0]}"),
    ]


@pytest.mark.parametrize(("cents", "status"), [(700, "unknown"), (701, "busy")])
async def test_an_open_refund_keeps_the_order_from_another(
    room: Room, cents: int, status: Any
) -> None:
    wish, posts = await room.lost(700), room.posts()

    outcome = await room.refund(cents)

    assert outcome == Outcome(
        status, room.order_id, 700, wish=wish, order=outcome.order, check_after_seconds=9
    )
    assert room.posts() == posts


async def test_trying_again_after_not_recorded_names_the_attempt(room: Room) -> None:
    first = await room.not_recorded()

    again = await room.refund()
    assert again == Outcome(
        "not_recorded",
        room.order_id,
        700,
        wish=first,
        order=again.order,
        earlier=(first.refund_id,),
    )

    # Only a person lets it go, unless approval is off.
    shown = await room.refund(named=again.earlier, refund_approval="agent")
    assert (shown.status, shown.needs) == ("needs_approval", "chat")
    second = await room.refund(named=again.earlier)
    assert second.status == "refunded"
    assert wish_of(second).in_addition_to == (first.refund_id,)
    third = await room.refund()
    assert (third.status, third.earlier) == (
        "already_refunded",
        (room.listed()[0], first.refund_id),
    )


async def test_an_attempt_of_another_amount_is_no_repeat_but_needs_a_person(room: Room) -> None:
    await room.not_recorded(300)

    shown = await room.refund(700, refund_approval="agent")
    outcome = await room.refund(700)

    assert (shown.status, shown.needs) == ("needs_approval", "chat")
    assert outcome.status == "refunded"
    assert wish_of(outcome).in_addition_to == ()


async def test_nothing_is_unexplained_where_nothing_is_known_of_the_order(room: Room) -> None:
    wish = wish_of(await room.refund(refund_approval="agent"))

    assert _unexplained(wish, None, None) == ()
