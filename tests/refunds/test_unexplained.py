"""Refunds on the order that may be what was sent or not, and a person who says what became of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from tests.amending import amend
from tests.conftest import Configure, succeeding, telling
from tests.refunds.book import IN_A_FILE
from tests.refunds.room import (
    IN_TERMINAL,
    REASON,
    AskingHost,
    Room,
    Terminal,
    attempt_of,
    store_of,
    wish_of,
)

from clawver_orders.caller import Reply, Script
from clawver_orders.clawver.models import Order
from clawver_orders.errors import NotFoundError, RefusedError, UnexpectedAnswerError
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.outcome import Outcome, message, next_step, warning
from clawver_orders.refunds.records import Actor, Wish
from clawver_orders.refunds.settlement import Settlement
from clawver_orders.services import opened
from clawver_sandbox.shop import Shop

MERCHANT = Actor("a terminal", "person in the terminal")


def refund_of(ref: str, cents: int = 700, **fields: Any) -> dict[str, Any]:
    """A refund as the store lists it."""
    return {"id": ref, "amountInCents": cents} | fields


def lists(room: Room, *refunds: dict[str, Any], order_id: str = "") -> None:
    """From now on the order lists these."""
    status = "partially_refunded" if refunds else "paid"
    amend(room.shop, order_id or room.order_id, refunds=list(refunds), paymentStatus=status)


async def check(room: Room, wish: Wish) -> Outcome:
    outcome: Outcome = await room.desk().check(wish.refund_id)
    return outcome


async def check_long_after(room: Room, wish: Wish) -> Outcome:
    """What is known when the verification window is over and the order was read several times."""
    for _ in range(4):
        room.passes(room.verify_seconds + 1)
        outcome = await check(room, wish)
    return outcome


async def resolve(room: Room, wish: Wish, as_what: str, because: str = "Stripe says so") -> Outcome:
    outcome: Outcome = await room.desk().resolve(
        wish.refund_id, was_refunded=as_what == "refunded", because=because, actor=MERCHANT
    )
    return outcome


# Another amount than the one that was sent


async def test_another_amount_than_the_one_sent_never_becomes_not_recorded(room: Room) -> None:
    wish = await room.lost(1000)
    ref = room.lands(980)

    told = await check_long_after(room, wish)

    assert told.status == "unknown"
    assert [(each.id, each.amount_in_cents) for each in told.unexplained] == [(ref, 980)]
    assert f"new refunds that may be this one or not: {ref} of $9.80." in str(warning(told))
    says = next_step(told, room.parts.settings)
    assert says.startswith("Do not repeat refund_order. Tell the merchant.")
    assert (
        f"`clawver-orders refunds resolve {wish.refund_id} --as refunded --because TEXT --sandbox`, or with "
        in says
    )
    assert attempt_of(wish_of(told)).reads_after_window == 0
    # Neither the same nor another one goes out beside it.
    assert (await room.refund(1000)).status == "unknown"
    assert (await room.refund(5)).status == "busy"
    assert room.posts() == 1


async def test_another_amount_is_said_by_the_call_that_sent_the_request(room: Room) -> None:
    room.shop.add_fault("hang_before", method="POST", seconds=0.3)
    outcomes: list[Outcome] = []

    async def refund() -> None:
        outcomes.append(await room.refund(1000))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refund)
        while not room.posts():
            await anyio.sleep(0.005)
        room.lands(980)

    (told,) = outcomes
    assert told.status == "unknown"
    assert [each.id for each in told.unexplained] == list(room.listed())


async def test_another_amount_that_shows_after_an_attempt_was_given_up_is_said(room: Room) -> None:
    wish = await room.not_recorded(1000)
    ref = room.lands(980)

    told = await check(room, wish)

    assert told.status == "not_recorded"
    assert f"{ref} of $9.80" in str(warning(told))
    assert warning(await room.desk().check(wish_of(await room.refund(300)).refund_id)) is None


@pytest.mark.parametrize("then", ["waiting", "declined", "expired"])
async def test_an_attempt_that_was_given_up_and_lands_is_told_of_the_one_in_its_place(
    room: Room, then: str
) -> None:
    first = await room.not_recorded()
    further = await room.waiting(named=(first.refund_id,))
    desk = room.desk(refund_approval="agent")
    ref = room.lands()
    if then == "declined":
        await room.ledger.decline(further.refund_id, IN_TERMINAL, "a terminal")
    elif then == "expired":
        room.passes(72 * 3600)
    assert (await room.found(further)).status == then

    by_id, by_order = await desk.check(further.refund_id), await desk.check("", room.order_id)
    confirmed = await desk.confirm(further.refund_id, further.revision, Script())

    for told in (by_id, confirmed):
        assert (told.status, told.earlier) == ("already_refunded", (ref,))
        assert message(told).startswith("Nothing was sent: ")
        assert wish_of(told).refund_id == first.refund_id
    assert by_order.status == ("refunded" if then == "expired" else "already_refunded")
    assert room.given_back() == [700]
    # Who declines it then is told the same, and it is declined all the same.
    assert (await desk.decline(further.refund_id, IN_TERMINAL, "a terminal")).status == (
        "already_refunded"
    )
    assert (await room.found(further)).status == "declined"


async def test_one_in_its_place_that_does_not_show_either_is_told_after_one_that_landed(
    room: Room,
) -> None:
    first = await room.not_recorded()
    second = await room.not_recorded(named=(first.refund_id,))
    assert (await check(room, second)).status == "not_recorded"
    ref = room.lands()

    told = await check(room, second)

    assert (told.status, told.earlier) == ("already_refunded", (ref, second.refund_id))
    assert wish_of(told).refund_id == first.refund_id


async def test_one_in_its_place_is_told_as_it_stands_while_nothing_lands(room: Room) -> None:
    first = await room.not_recorded()
    further = await room.waiting(named=(first.refund_id,))
    desk = room.desk(refund_approval="agent")

    assert (await desk.check(further.refund_id)).status == "needs_approval"
    async with room.locks.held(room.order_id, 0):
        assert await desk.check(further.refund_id) == Outcome(
            "busy", room.order_id, None, check_after_seconds=5
        )
    await desk.decline(further.refund_id, IN_TERMINAL, "a terminal")
    assert (await desk.check(further.refund_id)).status == "declined"


async def test_a_refused_one_that_may_still_land_is_told_before_another_that_did(
    room: Room,
) -> None:
    first = await room.not_recorded()
    second = await room.refused(named=(first.refund_id,))
    room.lands()

    with pytest.raises(RefusedError, match="could still take effect") as refusal:
        await check(room, second)
    assert refusal.value.happened.startswith("Clawver refused this refund, and the order does not")


async def test_what_belongs_to_another_refund_of_ours_explains_itself(room: Room) -> None:
    first = await room.not_recorded(300)
    wish = await room.lost(700)
    room.lands(300)

    told = await check_long_after(room, wish)

    assert (told.status, told.unexplained) == ("not_recorded", ())
    assert (await room.found(first)).status == "refunded"


# Refunds that somebody else made


@pytest.mark.parametrize("given_up", [False, True])
async def test_a_refund_for_another_reason_is_not_taken_for_ours(
    room: Room, given_up: bool
) -> None:
    wish = await (room.not_recorded() if given_up else room.lost())
    ref = room.lands(reason="Goodwill, made in the dashboard")

    told = await check_long_after(room, wish)

    assert told.status == ("not_recorded" if given_up else "unknown")
    assert [each.id for each in told.unexplained] == [ref]
    assert wish_of(told).clawver_refund_id is None
    # A call for the amount is told of it, whoever made it.
    again = await room.refund()
    assert again.status == ("already_refunded" if given_up else "unknown")
    assert room.posts() == 1


@pytest.mark.parametrize("given_up", [False, True])
async def test_a_refund_of_90_days_later_is_not_taken_for_ours(room: Room, given_up: bool) -> None:
    wish = await (room.not_recorded() if given_up else room.lost())
    room.passes(90 * 86_400)
    ref = room.lands()  # of the same amount and for the same reason

    told = await check(room, wish)

    assert told.status == ("not_recorded" if given_up else "unknown")
    assert [each.id for each in told.unexplained] == [ref]
    assert wish_of(told).clawver_refund_id is None


async def test_a_refund_for_another_reason_beside_ours_is_nobodys_mistake(room: Room) -> None:
    wish = wish_of(await room.refund())
    room.lands(reason="Goodwill, made in the dashboard")

    told = await check(room, wish)

    assert (told.status, warning(told)) == ("refunded", None)
    assert told.earlier == room.listed()


async def test_ids_that_are_unique_only_within_an_order_belong_to_each_order(room: Room) -> None:
    other = room.sell(2499)
    wishes = [await room.lost(), await room.lost(order_id=other)]
    for order_id in (room.order_id, other):
        lists(room, refund_of("1", reason=REASON), order_id=order_id)

    told = [await check(room, wish) for wish in wishes]

    assert [each.status for each in told] == ["refunded", "refunded"]
    assert [wish_of(each).clawver_refund_id for each in told] == ["1", "1"]


LONG = "The print came out smudged on the left sleeve, as the customer's photo shows."


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        (REASON, {}),
        (REASON, {"reason": "  torn "}),
        (REASON, {"reason": REASON, "createdAt": "yesterday, or so"}),
        (LONG, {"reason": LONG[:40]}),
        (LONG, {"reason": LONG[:20], "createdAt": None}),
    ],
)
async def test_what_clawver_does_not_tell_counts_as_agreeing(
    room: Room, sent: str, fields: dict[str, Any]
) -> None:
    room.shop.add_fault("drop_before", method="POST")
    wish = wish_of(await room.refund(reason=sent))
    lists(room, refund_of("ref_1", **fields))

    told = await check(room, wish)

    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", "ref_1")


@pytest.mark.parametrize("told_as", [LONG[:19], LONG[:30] + "!", LONG + " And more.", "x"])
async def test_a_reason_that_says_something_else_does_not_agree(room: Room, told_as: str) -> None:
    room.shop.add_fault("drop_before", method="POST")
    wish = wish_of(await room.refund(reason=LONG))
    lists(room, refund_of("ref_1", reason=told_as))

    assert (await check_long_after(room, wish)).status == "unknown"


# A store that tells reasons in words of its own


def words_of_its_own(
    listed_by_answer: list[dict[str, Any]], listed_by_reads: list[dict[str, Any]]
) -> Callable[[str], tuple[bytes, bytes]]:
    """A store whose order carries these once a refund was asked for."""
    asked = False

    def answer(path: str) -> tuple[bytes, bytes]:
        nonlocal asked
        if path == "/v1/stores/me":
            return succeeding({"store": {"id": "store_1", "name": "Tees"}})
        is_refund = path.endswith("/refund")
        asked = asked or is_refund
        refunds = listed_by_answer if is_refund else listed_by_reads if asked else []
        order = {"id": "ord_1", "status": "shipped", "totalInCents": 2499}
        status = "partially_refunded" if refunds else "paid"
        return succeeding({"order": order | {"paymentStatus": status, "refunds": refunds}})

    return answer


def in_its_words(ref: str) -> dict[str, Any]:
    return refund_of(ref, reason="requested_by_customer")


async def refund_there(
    configure: Configure, answered: list[str], read: list[str], **more: Any
) -> Outcome:
    store = words_of_its_own([in_its_words(r) for r in answered], [in_its_words(r) for r in read])
    async with telling(store) as url:
        settings = configure(api_url=url, refund_approval="off", refund_verify_seconds=9, **more)
        async with opened(settings) as services:
            return await (await services.store()).desk.refund("ord_1", 700, REASON, (), Script())


@pytest.mark.parametrize("read", [["ref_1"], []])
async def test_clawvers_own_answer_counts_whatever_its_reason(
    configure: Configure, read: list[str]
) -> None:
    told = await refund_there(configure, ["ref_1"], read)

    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", "ref_1")
    assert warning(told) is None


async def test_a_second_delivery_is_known_by_the_same_words(configure: Configure) -> None:
    told = await refund_there(configure, ["ref_1"], ["ref_1", "ref_2"])

    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", "ref_1")
    assert told.unexpected_refunds == ("ref_2",)


async def test_two_in_clawvers_own_answer_are_left_to_a_person(configure: Configure) -> None:
    told = await refund_there(configure, ["ref_1", "ref_2"], ["ref_1", "ref_2"])

    assert told.status == "unknown"
    assert [each.id for each in told.unexplained] == ["ref_1", "ref_2"]


# The time of the server, and a clock that is wrong


@pytest.mark.parametrize("days", [-90, 90])
async def test_a_wrong_clock_does_not_hide_what_landed(
    configure: Configure, shop: Shop, days: int
) -> None:
    """The store tells its time with every answer."""
    order_id = shop.sell(total_in_cents=2499)["id"]
    shop.add_fault("drop_after", method="POST")
    settings = configure(refund_approval="off", refund_verify_seconds=9)

    async with opened(settings, lambda: datetime.now(UTC) + timedelta(days=days)) as services:
        told = await (await services.store()).desk.refund(order_id, 700, REASON, (), Script())

    assert told.status == "refunded"
    assert shop.refunds() == [(order_id, 700)]


async def test_a_wrong_clock_and_a_store_without_one_leave_it_to_a_person(
    room: Room,
) -> None:
    wish = await room.lost()
    day_later = (room.at + timedelta(hours=25)).isoformat()
    lists(room, refund_of("ref_1", reason=REASON, createdAt=day_later))

    told = await check_long_after(room, wish)

    assert (told.status, [each.id for each in told.unexplained]) == ("unknown", ["ref_1"])


# Refunds that are not counted as money


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_refund_that_failed_at_once_is_no_refund(room: Room, status: str) -> None:
    wish = await room.lost()
    amend(room.shop, room.order_id, refunds=[refund_of("ref_1", reason=REASON, status=status)])

    told = await check_long_after(room, wish)

    assert told.status == "not_recorded"
    assert (told.unexplained, warning(told)) == ((), None)


@pytest.mark.parametrize("status", ["requires_action", "on hold", 7])
async def test_a_refund_in_a_status_that_is_not_clear_leaves_it_to_a_person(
    room: Room, status: Any
) -> None:
    wish = await room.lost()
    lists(room, refund_of("ref_1", reason=REASON, status=status))

    told = await check_long_after(room, wish)

    assert (told.status, [each.id for each in told.unexplained]) == ("unknown", ["ref_1"])
    assert "refunds resolve" in next_step(told, room.parts.settings)


@pytest.mark.parametrize("status", ["pending", "succeeded", ""])
async def test_a_refund_that_counts_is_found(room: Room, status: str) -> None:
    wish = await room.lost()
    lists(room, refund_of("ref_1", reason=REASON, status=status))

    assert (await check(room, wish)).status == "refunded"


async def test_a_refund_that_was_there_before_as_failed_is_not_new_later(room: Room) -> None:
    failed = refund_of("ref_1", reason=REASON, status="failed")
    amend(room.shop, room.order_id, refunds=[failed])
    wish = await room.lost()
    assert attempt_of(wish).refunds_before == {"ref_1"}
    lists(room, failed | {"status": "succeeded"})

    told = await check_long_after(room, wish)

    assert (told.status, told.unexplained) == ("not_recorded", ())


@pytest.mark.parametrize("status", ["failed", "requires_action"])
async def test_a_refund_that_fails_after_it_was_listed_is_said(room: Room, status: str) -> None:
    outcome = await room.refund()
    ref = str(wish_of(outcome).clawver_refund_id)
    assert warning(outcome) is None
    amend(room.shop, room.order_id, refunds=[refund_of(ref, reason=REASON, status=status)])

    told = await check(room, wish_of(outcome))
    again = await room.refund()

    assert str(warning(told)).startswith(f"Clawver lists {ref} with a status other than success")
    assert next_step(told, room.parts.settings) == (
        "Call get_order and tell the merchant. Promise the customer nothing yet."
    )
    assert again.status == "already_refunded"  # nobody pays again by repeating a call
    assert warning(again) == warning(told)
    assert room.posts() == 1


# A person says what became of it


@pytest.mark.parametrize(("as_what", "status"), [("refunded", "refunded"), ("not", "not_recorded")])
async def test_a_person_resolves_what_the_order_does_not_tell(
    room: Room, as_what: str, status: str
) -> None:
    wish = await room.lost()

    told = await resolve(room, wish, as_what, "Stripe's dashboard, 3 pm")

    assert told.status == status
    attempt = attempt_of(await room.found(wish))
    assert (attempt.status, attempt.resolved, attempt.clawver_refund_id) == (status, True, None)
    assert (await room.trail(wish))[-1] == (
        status, "person in the terminal", "Stripe's dashboard, 3 pm",
    )  # fmt: skip
    assert told.earlier == (wish.refund_id,)
    repeated = await room.refund()
    assert repeated.status == {"refunded": "already_refunded"}.get(status, status)
    assert repeated.earlier == (wish.refund_id,)
    assert room.posts() == 1


@pytest.mark.parametrize("as_what", ["refunded", "not refunded"])
async def test_after_that_a_person_decides_about_the_order_once(room: Room, as_what: str) -> None:
    await resolve(room, await room.lost(), as_what)

    shown = await room.refund(300, refund_approval="agent")
    host = AskingHost(Reply.YES)
    outcome = await room.refund(300, host, refund_approval="agent")
    further = await room.refund(400, refund_approval="agent")

    assert (shown.status, shown.needs) == ("needs_approval", "chat")
    assert shown.retry_after_seconds is None
    assert "A person said what became of an attempt of $7.00" in host.questions[0].text
    assert outcome.status == "refunded"
    assert (further.status, further.needs) == ("needs_approval", "agent")


async def test_what_another_process_settles_at_that_moment_is_not_resolved(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock's file was deleted, so two work on the order."""
    wish = await room.lost()
    room.lands()

    async def too_late(*_: object) -> None:
        raise MovedOnError

    monkeypatch.setattr(room.ledger, "claim", too_late)

    told = await resolve(room, wish, "not refunded")

    assert (told.status, wish_of(told).refund_id) == ("busy", wish.refund_id)
    assert (await room.found(wish)).status == "unknown"


async def test_resolved_as_refunded_it_takes_the_one_refund_that_nothing_explains(
    room: Room,
) -> None:
    wish = await room.lost(1000)
    ref = room.lands(980)

    told = await resolve(room, wish, "refunded")

    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", ref)
    assert warning(told) is None
    assert (await room.refund(1000)).status == "already_refunded"


async def test_resolved_as_not_refunded_it_takes_nothing(room: Room) -> None:
    wish = await room.lost(1000)
    ref = room.lands(980)

    told = await resolve(room, wish, "not refunded")

    assert (told.status, wish_of(told).clawver_refund_id) == ("not_recorded", None)
    assert ref in str(warning(told))


async def test_of_several_refunds_that_nothing_explains_none_is_taken(room: Room) -> None:
    wish = await room.lost(1000)
    room.lands(980)
    room.lands(990)

    told = await resolve(room, wish, "refunded")

    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", None)


async def test_an_order_that_is_gone_can_be_resolved(room: Room) -> None:
    wish = await room.lost()
    _delete(room)

    told = await resolve(room, wish, "not refunded")

    assert (told.status, told.order) == ("not_recorded", None)


async def test_what_the_order_tells_by_itself_is_not_resolved(room: Room) -> None:
    wish = await room.lost()
    room.lands()

    with pytest.raises(RefusedError) as refusal:
        await resolve(room, wish, "not refunded")

    assert refusal.value.happened == (
        f"Nothing was sent: nothing was changed, because the outcome of refund {wish.refund_id} is "
        "known: refunded."
    )
    assert (await room.found(wish)).status == "refunded"


@pytest.mark.parametrize("what", ["refunded", "not_recorded", "waiting", "refused"])
async def test_only_what_is_unknown_can_be_resolved(room: Room, what: str) -> None:
    wish = {
        "refunded": lambda: room.refund(),
        "not_recorded": room.not_recorded,
        "waiting": room.waiting,
        "refused": room.refused,
    }[what]()
    made = await wish
    known = made if isinstance(made, Wish) else wish_of(made)

    with pytest.raises(RefusedError, match=f"is known: {what}"):
        await resolve(room, known, "refunded")

    assert (await room.found(known)).status == what


async def test_a_refund_that_nobody_knows_cannot_be_resolved(room: Room) -> None:
    with pytest.raises(NotFoundError, match="holds no refund rfi_1"):
        await room.desk().resolve("rfi_1", was_refunded=True, because="x", actor=MERCHANT)


async def test_an_order_that_somebody_works_on_is_resolved_later(room: Room) -> None:
    wish = await room.lost()

    async with room.locks.held(room.order_id, 0):
        told = await resolve(room, wish, "refunded")

    assert told.status == "busy"
    assert (await room.found(wish)).status == "unknown"


@pytest.mark.parametrize("as_what", ["refunded", "not refunded"])
async def test_what_shows_after_it_was_resolved_still_finds_its_own(
    room: Room, as_what: str
) -> None:
    wish = await room.lost()
    await resolve(room, wish, as_what)
    ref = room.lands()

    told = await check(room, wish)

    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", ref)
    assert attempt_of(wish_of(told)).resolved


async def test_a_refund_made_elsewhere_is_not_taken_for_one_that_was_resolved(room: Room) -> None:
    wish = await room.lost()
    await resolve(room, wish, "refunded")
    ref = room.lands(reason="Goodwill, made in the dashboard")

    told = await check(room, wish)

    assert (told.status, wish_of(told).clawver_refund_id) == ("refunded", None)
    assert (told.unexpected_refunds, warning(told)) == ((), None)
    assert (await room.refund()).earlier == (ref, wish.refund_id)


async def test_a_person_who_knows_may_send_it_again_after_resolving_it(room: Room) -> None:
    wish = await room.lost()
    told = await resolve(room, wish, "not refunded")

    outcome = await room.refund(
        700, Terminal(Reply.YES), named=told.earlier, refund_approval="agent"
    )

    assert outcome.status == "refunded"
    assert room.given_back() == [700]


# What is looked up at a start


def _delete(room: Room) -> None:
    with room.shop._transaction() as db:
        db.execute("DELETE FROM sale WHERE id = ?", (room.order_id,))


async def test_what_was_left_open_is_looked_up_at_the_start(room: Room) -> None:
    other = room.sell(2499)
    one, two = await room.lost(), await room.lost(order_id=other)
    room.lands()
    room.shop.refund(other, 700, REASON)
    room.shop.add_fault("garbage", method="GET")

    await room.desk().recover()
    assert {(await room.found(each)).status for each in (one, two)} == {"unknown", "refunded"}

    room.passes(60)
    await room.desk().recover()
    assert {(await room.found(each)).status for each in (one, two)} == {"refunded"}
    requests = len(room.shop.requests())
    room.passes(86_400)
    await room.desk().recover()
    assert len(room.shop.requests()) == requests


async def test_an_attempt_that_stays_open_is_looked_up_less_and_less_often(room: Room) -> None:
    """Its order is gone: nothing will ever tell what became of it."""
    wish = await room.lost()
    _delete(room)
    assert await _is_looked_up(room)
    for pause in (60, 120, 240, 480, 960, 1920, 3840, 7680, 15_360, 30_720, 61_440, 86_400, 86_400):
        room.passes(pause - 1)
        assert not await _is_looked_up(room), pause
        room.passes(1)
        assert await _is_looked_up(room), pause

    assert (await room.found(wish)).status == "unknown"


async def _is_looked_up(room: Room) -> bool:
    gets = room.gets()
    await room.desk().recover()
    return room.gets() > gets


async def test_after_years_it_is_still_looked_up_once_a_day(room: Room) -> None:
    await room.lost()
    with room.ledger.transaction() as rows:
        rows.connection.execute("UPDATE attempt SET checks = 5000, last_check = '[0.0, 0.0, \"\"]'")
    assert await _is_looked_up(room)
    room.passes(86_399)
    assert not await _is_looked_up(room)
    room.passes(1)
    assert await _is_looked_up(room)


async def test_a_person_who_asks_is_not_kept_waiting_by_that(room: Room) -> None:
    wish = await room.lost()
    await room.desk().recover()
    room.lands()

    await room.desk().recover()  # too soon
    assert (await room.found(wish)).status == "unknown"
    assert (await check(room, wish)).status == "refunded"


@pytest.mark.parametrize("why", ["gone", "contradicts its payment"])
async def test_an_order_that_will_never_tell_names_the_way_out(room: Room, why: str) -> None:
    wish = await room.lost()
    early = next_step(await check(room, wish), room.parts.settings)
    if why == "gone":
        _delete(room)
    else:
        amend(room.shop, room.order_id, paymentStatus="disputed", refunds=[])

    soon = await check(room, wish)
    told = await check_long_after(room, wish)

    says = next_step(told, room.parts.settings)
    assert (soon.status, soon.is_overdue) == ("unknown", False)
    assert (told.status, told.is_overdue) == ("unknown", True)
    assert f"refunds resolve {wish.refund_id}" in says
    assert "check_refund" in says
    assert "resolve" not in early


@pytest.mark.parametrize(
    ("refunds", "says"),
    [
        ([{"id": "ref_1", "amountInCents": 10, "status": "odd"}],
         "carries a refund of which Clawver does not clearly say whether money went back."),
        ([], "is partially refunded, but Clawver does not list its refunds."),
    ],
)  # fmt: skip
async def test_where_it_is_not_known_what_is_left_nothing_is_sent(
    room: Room, refunds: list[dict[str, Any]], says: str
) -> None:
    amend(room.shop, room.order_id, paymentStatus="partially_refunded", refunds=refunds)

    with pytest.raises(UnexpectedAnswerError, match=re.escape(says)):
        await room.refund()

    assert room.posts() == 0


async def test_a_check_that_another_process_overtakes_says_busy(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where somebody deleted the locks."""
    wish = await room.lost()

    async def overtaken(self: Settlement, order: Order) -> None:  # the method's
        raise MovedOnError

    monkeypatch.setattr(Settlement, "match_order", overtaken)
    told = await check(room, wish)

    assert told.status == "busy"
    assert told.wish is not None
    assert told.wish.refund_id == wish.refund_id


@IN_A_FILE
async def test_a_start_without_a_ledger_or_with_a_broken_one_goes_on(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    await room.desk().recover()
    assert caplog.text == ""
    await room.lost()
    (store_of(room.parts).scope.folder / "ledger.sqlite3").rename(room.state / "elsewhere")

    await room.desk().recover()

    assert "open refunds could not be looked up: SetupError" in caplog.text
