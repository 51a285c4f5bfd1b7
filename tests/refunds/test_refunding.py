"""Whether a refund goes out, and what is answered: every outcome, whole."""

from dataclasses import replace
from typing import Any

import anyio
import pytest
from tests.refunds.book import IN_A_FILE
from tests.refunds.room import (
    IN_TERMINAL,
    QUICK,
    REASON,
    AskingHost,
    Room,
    attempt_of,
    hide_ledger,
    store_of,
    wish_of,
)

from clawver_orders.caller import Approval, Reply, Script
from clawver_orders.errors import (
    ClawverError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SetupError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clawver_orders.refunds.ledger import DailyLimitError
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Actor, Limits, Wish

BY_ANOTHER = Approval("chat", "form", "a person elsewhere")


async def sent_elsewhere(room: Room, wish: Wish) -> Wish:
    """Another process lets a wish go, and has not noted yet what became of it."""
    number = (await room.ledger.of_order(wish.order_id)).number
    return await room.ledger.begin_send(
        number, wish, BY_ANOTHER, None, [], None, Limits(10**6), "another process"
    )


async def found(room: Room, refund_id: str) -> Wish:
    wish = await room.ledger.find(refund_id)
    assert wish is not None
    return wish


# A refund that is approved already


async def test_a_refund_is_told_whole(room: Room) -> None:
    outcome = await room.refund()

    (ref,) = room.listed()
    wish, order = wish_of(outcome), outcome.order
    assert order is not None
    assert order.refunds
    assert outcome == Outcome(
        "refunded",
        room.order_id,
        700,
        wish=(await room.found(wish)),
        order=order,
        refund=order.refunds[0],
        earlier=(ref,),
    )
    assert order.refundable_in_cents == 1799
    assert (wish.status, wish.clawver_refund_id) == ("refunded", ref)
    assert wish.stripe_refund_id == order.refunds[0].stripe_refund_id
    assert (wish.reason, wish.in_addition_to, wish.grade_needed) == (REASON, (), "setting")
    (attempt,) = wish.attempts
    assert (attempt.revision, attempt.reason, attempt.sent) == (1, REASON, room.now())
    assert attempt.refunds_before == frozenset()
    assert await room.trail(wish) == [
        ("waiting", "", ""),
        ("sending", "setting off", "revision 1, approved by setting off (setting)"),
        ("refunded", "setting off", f"listed as {ref}"),
    ]
    history = await room.ledger.history(wish.refund_id)
    assert {event.client for event in history} == {"command line"}
    assert (room.gets(), room.posts()) == (2, 1)


async def test_the_same_again_is_told_as_the_earlier_one(room: Room) -> None:
    first = await room.refund(reason=REASON)
    again = await room.refund(reason="It was torn")

    assert again == Outcome(
        "already_refunded",
        room.order_id,
        700,
        wish=first.wish,
        order=again.order,
        refund=first.refund,
        earlier=room.listed(),
    )
    assert room.given_back() == [700]
    assert len(await room.ledger.latest(1000)) == 1


async def test_a_refund_by_somebody_else_is_a_repeat_without_a_wish(room: Room) -> None:
    room.shop.refund(room.order_id, 700, "By hand")

    outcome = await room.refund()

    assert (outcome.status, outcome.wish) == ("already_refunded", None)
    assert outcome.refund is not None
    assert (outcome.refund.id,) == outcome.earlier == room.listed()
    assert room.posts() == 0


async def test_another_amount_is_no_repeat(room: Room) -> None:
    await room.refund(700)
    outcome = await room.refund(701)

    assert outcome.status == "refunded"
    assert outcome.earlier == room.listed()[1:]
    assert attempt_of(wish_of(outcome)).refunds_before == {room.listed()[0]}
    assert room.given_back() == [700, 701]


async def test_a_further_one_names_all_the_earlier_ones_and_only_them(room: Room) -> None:
    first = (await room.refund()).earlier
    second = await room.refund(named=first)
    assert second.status == "refunded"
    assert wish_of(second).in_addition_to == first
    assert second.earlier == room.listed()

    for wrong in (first, second.earlier[1:], (*second.earlier, "ref_guess"), ("ref_guess",), ()):
        repeat = await room.refund(named=wrong)
        assert (repeat.status, repeat.earlier) == ("already_refunded", room.listed())
        assert wish_of(repeat).refund_id == wish_of(second).refund_id
    assert room.given_back() == [700, 700]

    third = await room.refund(named=[*reversed(second.earlier)])
    assert third.status == "refunded"
    assert room.given_back() == [700, 700, 700]


async def test_a_call_that_names_all_refunds_repeats_the_attempt(room: Room) -> None:
    first = (await room.refund()).earlier
    attempt = await room.not_recorded(named=first)

    again = await room.refund(named=first)
    unnamed = await room.refund()

    assert (again.status, again.wish) == ("not_recorded", attempt)
    assert (unnamed.status, unnamed.earlier) == ("already_refunded", again.earlier)
    assert again.earlier == (*first, attempt.refund_id)


async def test_of_two_refunds_each_is_told_as_itself(room: Room) -> None:
    for cents in (500, 600):
        outcome = await room.refund(cents)
        assert outcome.refund is not None
        assert outcome.refund.id == wish_of(outcome).clawver_refund_id == room.listed()[-1]


async def test_what_is_named_must_be_there(room: Room) -> None:
    with pytest.raises(InvalidRequestError, match="carries no refund") as refusal:
        await room.refund(named=["ref_guess"])

    assert refusal.value.happened == (
        f"No money was moved: {room.order_id} carries no refund of $7.00 that this one could be in "
        "addition to."
    )
    assert "Leave in_addition_to out" in refusal.value.next_step
    assert await room.ledger.latest(1000) == ()


# Limits


async def test_the_limit_of_one_refund_can_be_reached_and_not_passed(room: Room) -> None:
    assert (await room.refund(700, refund_limit_in_cents=700)).status == "refunded"
    posts = room.posts()

    with pytest.raises(RefusedError) as refusal:
        await room.refund(701, refund_limit_in_cents=700)

    assert refusal.value.happened == (
        "No money was moved: $7.01 (701 cents) is above the limit of $7.00 (700 cents) for a single "
        "refund."
    )
    assert "CLAWVER_REFUND_LIMIT_CENTS" in refusal.value.next_step
    assert room.posts() == posts
    # A limit that was lowered does not hide that the money went.
    repeat = await room.refund(700, refund_limit_in_cents=699)
    assert repeat.status == "already_refunded"


async def test_the_limit_of_a_day_can_be_reached_and_not_passed(room: Room) -> None:
    await room.refund(700)
    assert (await room.refund(300, refund_daily_limit_in_cents=1000)).status == "refunded"

    with pytest.raises(RefusedError) as refusal:
        await room.refund(1, refund_daily_limit_in_cents=1000)

    assert refusal.value.happened == (
        "No money was moved: $10.00 (1000 cents) was refunded, or may still be, in the last 24 hours, and with $0.01 it "
        "would be more than the limit of $10.00 (1000 cents)."
    )
    assert "CLAWVER_REFUND_DAILY_LIMIT_CENTS" in refusal.value.next_step
    assert len(await room.ledger.latest(1000)) == 2
    room.passes(86_400)
    assert (await room.refund(1, refund_daily_limit_in_cents=1000)).status == "refunded"


async def test_the_limit_of_a_day_holds_at_the_very_last_moment(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another order's refund goes out between the last look and the sending."""
    other = wish_of(await room.refund(900, order_id=room.sell(2499), refund_approval="agent"))
    begin = room.ledger.begin_send

    async def after_another(*given: Any) -> Wish:
        monkeypatch.setattr(room.ledger, "begin_send", begin)
        await sent_elsewhere(room, other)
        return await begin(*given)

    monkeypatch.setattr(room.ledger, "begin_send", after_another)
    with pytest.raises(
        RefusedError, match=r"\$9.00 \(900 cents\) was refunded, or may still be"
    ) as refusal:
        await room.refund(700, refund_daily_limit_in_cents=1000)

    assert isinstance(refusal.value.__cause__, DailyLimitError)
    assert room.posts() == 0
    wishes = (await room.ledger.of_order(room.order_id)).wishes
    assert [each.status for each in wishes] == ["waiting"]


async def test_what_another_process_sent_while_a_person_was_asked_is_not_sent_again(
    room: Room,
) -> None:
    class Slow(AskingHost):
        async def ask(self, question: Any) -> Reply:
            await sent_elsewhere(room, await found(room, question.about))
            return await super().ask(question)

    outcome = await room.refund(700, Slow(Reply.YES), refund_approval="agent")

    assert (outcome.status, outcome.check_after_seconds) == ("unknown", 9)
    assert room.posts() == 0


async def test_what_another_process_sent_at_the_very_last_moment_is_not_sent_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = room.ledger.begin_send

    async def after_another(number: int, wish: Wish, *given: Any) -> Wish:
        monkeypatch.setattr(room.ledger, "begin_send", begin)
        await sent_elsewhere(room, wish)
        return await begin(number, wish, *given)

    monkeypatch.setattr(room.ledger, "begin_send", after_another)
    outcome = await room.refund(700)

    assert (outcome.status, outcome.check_after_seconds) == ("busy", 9)
    assert room.posts() == 0


# What an order allows


@pytest.mark.parametrize(
    ("sold", "amount", "says"),
    [
        ({}, 2500, "has $24.99 (2499 cents) left to refund, less than $25.00."),
        ({"payment_status": "pending"}, 1, "has no payment that could be given back"),
        ({"payment_status": "failed"}, 1, "has no payment that could be given back"),
        ({"payment_status": "refunded"}, 1, "is already refunded in full."),
        ({"payment_status": "disputed"}, 1, "has no payment that could be given back"),
        ({"payment_status": "partially_refunded"}, 1251, "has $12.50 (1250 cents) left to refund"),
    ],
)
async def test_what_the_order_does_not_allow_is_refused(
    room: Room, sold: dict[str, str], amount: int, says: str
) -> None:
    order_id = room.sell(2499, **sold)

    with pytest.raises(RefusedError) as refusal:
        await room.refund(amount, order_id=order_id)

    assert refusal.value.happened.startswith(f"No money was moved: {order_id} {says}")
    assert (
        order_id in refusal.value.next_step or "Ask the merchant whether" in refusal.value.next_step
    )
    assert room.posts() == 0
    assert await room.ledger.latest(1000) == ()


async def test_all_that_is_left_can_go_back_and_then_nothing(room: Room) -> None:
    assert (await room.refund(2499)).status == "refunded"
    with pytest.raises(RefusedError, match="already refunded in full"):
        await room.refund(1)


async def test_an_order_that_says_refunded_is_whatever_it_lists(room: Room) -> None:
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_set(body, '$.paymentStatus', 'refunded') WHERE id = ?",
            (room.order_id,),
        )

    with pytest.raises(RefusedError, match="already refunded in full"):
        await room.refund(1)


async def test_an_order_whose_refunds_add_up_to_all_is_refunded_whatever_it_says(
    room: Room,
) -> None:
    await room.refund(2499)
    with room.shop._transaction() as db:
        db.execute(
            "UPDATE sale SET body = json_set(body, '$.paymentStatus', 'partially_refunded') "
            "WHERE id = ?",
            (room.order_id,),
        )

    with pytest.raises(RefusedError, match="already refunded in full"):
        await room.refund(1)


@pytest.mark.parametrize("what", ["its lock", "the ledger"])
async def test_what_cannot_be_used_before_anything_is_sent_is_said_to_be_so(
    room: Room, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SetupError("It cannot be used.", next_step="A person must look.")

    if what == "its lock":
        monkeypatch.setattr(room.locks, "prove", fail)
    else:
        monkeypatch.setattr(room.ledger, "transaction", fail)

    with pytest.raises(SetupError) as refusal:
        await room.refund()

    assert refusal.value.happened == "Nothing was sent. It cannot be used."


async def test_an_order_of_nothing_is_not_refunded_in_full(room: Room) -> None:
    with pytest.raises(RefusedError, match=r"has \$0.00 \(0 cents\) left to refund"):
        await room.refund(1, order_id=room.sell(0))


async def test_an_order_that_hides_its_refunds_is_not_refunded(room: Room) -> None:
    order_id = room.sell(2499, payment_status="partially_refunded")
    hide = "UPDATE sale SET body = json_set(body, '$.refunds', json('[]')) WHERE id = ?"
    with room.shop._transaction() as db:
        db.execute(hide, (order_id,))

    with pytest.raises(
        UnexpectedAnswerError, match=r"No money was moved: .* does not list"
    ) as refusal:
        await room.refund(1, order_id=order_id)

    assert "Tell a person" in refusal.value.next_step


async def test_an_order_that_cannot_be_read_is_not_refunded(room: Room) -> None:
    room.shop.add_fault("garbage", method="GET")

    with pytest.raises(ClawverError) as refusal:
        await room.refund()

    assert refusal.value.happened.startswith("No money was moved. ")
    assert await room.ledger.latest(1000) == ()


async def test_a_repeat_is_told_as_one_even_where_the_order_cannot_be_read(room: Room) -> None:
    first = await room.refund()
    room.shop.add_fault("garbage", method="GET")

    again = await room.refund()

    assert again == Outcome(
        "already_refunded", room.order_id, 700, wish=first.wish, earlier=first.earlier
    )


@pytest.mark.parametrize(("cents", "status"), [(700, "unknown"), (701, "busy")])
async def test_an_open_refund_is_told_even_where_the_order_cannot_be_read(
    room: Room, cents: int, status: Any
) -> None:
    wish, posts = await room.lost(700), room.posts()
    room.shop.add_fault("garbage", method="GET")

    outcome = await room.refund(cents)

    assert outcome == Outcome(status, room.order_id, 700, wish=wish, check_after_seconds=9)
    assert room.posts() == posts


async def test_an_order_that_does_not_answer_in_time_is_not_refunded(room: Room) -> None:
    room.shop.add_fault("hang_before", method="GET", seconds=30)
    desk = room.desk(replace(QUICK, read=0.1))

    with anyio.fail_after(10), pytest.raises(UnreachableError) as refusal:
        await desk.refund(room.order_id, 700, REASON, (), Script())

    assert refusal.value.happened == (
        "No money was moved. Clawver did not answer in time. Nothing was changed."
    )
    assert refusal.value.next_step == "Repeat the call in a minute."


# Checking


async def test_checking_what_is_not_there_says_so(room: Room) -> None:
    with pytest.raises(NotFoundError) as by_id:
        await room.desk().check("rfi_1")
    with pytest.raises(NotFoundError) as by_order:
        await room.desk().check(order_id="ord_1")

    assert by_id.value.happened == (
        "Nothing was sent: This machine's ledger for this store holds no refund rfi_1."
    )
    assert by_order.value.happened == (
        "Nothing was sent: This machine's ledger holds no refund of order ord_1."
    )
    assert "call check_refund with the order_id" in by_id.value.next_step
    assert "get_order with order_id ord_1" in by_order.value.next_step


async def test_an_order_is_checked_for_what_matters_most(room: Room) -> None:
    checked = []

    async def check() -> None:
        checked.append(wish_of(await room.desk().check(order_id=room.order_id)).amount_in_cents)

    await room.refund(100)
    await check()
    await room.refund(200)
    await check()
    waiting = await room.waiting(250)
    await check()
    await room.waiting(300)
    await check()
    room.passes(1)
    await room.desk(refund_approval="agent").confirm(waiting.refund_id, 1, Script())
    await check()  # sent after the other preview was made
    await room.lost(400)
    await room.waiting(500)
    await check()  # open, whatever came later

    assert checked == [100, 200, 250, 300, 250, 400]


async def test_a_preview_that_expired_does_not_hide_an_attempt_without_an_outcome(
    room: Room,
) -> None:
    lost = await room.not_recorded()
    expired = await room.waiting(900)
    room.passes(72 * 3600)

    told = await room.desk().check(order_id=room.order_id)

    assert (told.status, wish_of(told).refund_id) == ("not_recorded", lost.refund_id)
    assert (await room.found(expired)).status == "expired"


async def test_a_refund_that_was_refused_is_not_passed_over_for_an_earlier_one(room: Room) -> None:
    first = await room.refund()
    room.passes(3600)
    room.shop.add_fault("status_before", method="POST", status=400)
    with pytest.raises(RefusedError):
        await room.refund(named=first.earlier)

    with pytest.raises(RefusedError, match=r"\$7.00 on order") as told:
        await room.desk().check(order_id=room.order_id)

    assert f'in_addition_to ["{first.refund.id}"]' in told.value.next_step


async def test_an_order_whose_only_refund_was_never_sent_says_that(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def offline(*_: object) -> None:
        raise UnreachableError("It never left.", next_step="Repeat it.")

    monkeypatch.setattr(room.parts.clawver, "send_refund", offline)
    with pytest.raises(UnreachableError):
        await room.refund()
    (wish,) = await room.ledger.latest(1000)
    gets = room.gets()

    with pytest.raises(RefusedError) as refusal:
        await room.desk().check(order_id=room.order_id)

    assert refusal.value.happened == (
        f"No money was moved by refund {wish.refund_id} of $7.00: the connection to Clawver was never "
        "made, so the request never left."
    )
    assert f"order_id {room.order_id}, amount_in_cents 700 and a reason" in refusal.value.next_step
    assert room.gets() == gets


async def test_a_preview_is_checked_without_a_request(room: Room) -> None:
    wish = await room.waiting()
    requests = len(room.shop.requests())
    desk = room.desk(refund_approval="agent")

    outcome = await desk.check(wish.refund_id)

    assert outcome == Outcome("needs_approval", room.order_id, 700, wish=wish)
    await room.ledger.ask(wish, "form", Actor("another process"))
    asked = await desk.check(wish.refund_id)
    assert (asked.status, wish_of(asked).refund_id) == ("busy", wish.refund_id)
    room.passes(72 * 3600 - 1)
    unanswered = await desk.check(wish.refund_id)
    assert (unanswered.status, unanswered.was_dismissed) == ("needs_approval", True)
    room.passes(1)
    with pytest.raises(RefusedError, match="it was not approved in time") as refusal:
        await desk.check(wish.refund_id)
    assert refusal.value.happened.startswith(f"No money was moved by refund {wish.refund_id}")
    assert len(room.shop.requests()) == requests


async def test_what_a_person_declined_is_checked_without_a_request(room: Room) -> None:
    declined = await room.waiting()
    await room.desk().decline(declined.refund_id, IN_TERMINAL, "a terminal")
    requests = len(room.shop.requests())

    assert (await room.desk().check(declined.refund_id)).status == "declined"
    assert len(room.shop.requests()) == requests


async def test_an_order_that_somebody_works_on_is_busy(room: Room) -> None:
    async with room.locks.held(room.order_id, 0):
        outcome = await room.refund()
        assert outcome == Outcome("busy", room.order_id, None, check_after_seconds=5)

    wish = await room.lost()
    async with room.locks.held(room.order_id, 0):
        for busy in (await room.refund(), await room.desk().check(wish.refund_id)):
            assert busy == Outcome("busy", room.order_id, 700, wish=wish, check_after_seconds=9)
        requests = len(room.shop.requests())
        await room.desk().recover()
        assert len(room.shop.requests()) == requests


@IN_A_FILE
async def test_an_order_whose_lock_cannot_be_used_says_that_nothing_was_sent(room: Room) -> None:
    wish = await room.lost()
    lock = store_of(room.parts).scope.folder / "locks" / f"order-{room.order_id}.lock"
    lock.unlink()
    lock.mkdir()
    posts = room.posts()

    for call in (room.refund(300), room.desk().check(wish.refund_id)):
        with pytest.raises(
            SetupError, match=r"^Nothing was sent\. The lock of order .* cannot be used"
        ):
            await call

    assert room.posts() == posts


async def test_what_is_read_wrong_leaves_a_check_with_what_is_known(room: Room) -> None:
    wish = await room.lost()
    room.shop.add_fault("garbage", method="GET")

    outcome = await room.desk().check(wish.refund_id)

    assert outcome == Outcome("unknown", room.order_id, 700, wish=wish, check_after_seconds=9)


async def test_open_refunds_are_told_newest_first_and_without_a_request(room: Room) -> None:
    other = room.sell(2499)
    first, second = await room.lost(), await room.lost(order_id=other)
    requests = len(room.shop.requests())

    assert await room.parts.open_refunds() == (second, first)
    assert await room.parts.open_refunds(other) == (second,)
    assert await room.parts.open_refunds("ord_elsewhere") == ()
    assert len(room.shop.requests()) == requests


@IN_A_FILE
async def test_without_a_ledger_no_refund_is_open_and_with_a_broken_one_nobody_knows(
    room: Room,
) -> None:
    assert await room.parts.open_refunds() == ()
    await room.lost()
    hide_ledger(room)

    assert await room.parts.open_refunds() is None
