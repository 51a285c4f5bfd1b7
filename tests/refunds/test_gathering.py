"""What of a call counts: an answer, a confirmation, a question that somebody else has open."""

from dataclasses import replace
from typing import cast

import pytest
from tests.refunds.book import Book
from tests.refunds.by_hand import LATER, ago, made, order, records_of, wish
from tests.refunds.room import AskingHost, Room, Terminal

from clawver_orders.caller import Reply
from clawver_orders.refunds.gathering import (
    Gatherer,
    Heard,
    Wanted,
    _decides,
    _impossible,
    _is_about,
)
from clawver_orders.refunds.reading import OrderReader
from clawver_orders.refunds.records import Asked, Status
from clawver_orders.refunds.settlement import Settlement
from clawver_orders.settings import Settings

MINUTES = 60.0
WANTED = Wanted("ord_1", 500, "Torn", ())


@pytest.fixture
def gatherer(book: Book) -> Gatherer:
    return gatherer_with(book, Settings(api_key="claw_sk_live_example_of_tests"))


def gatherer_with(book: Book, settings: Settings) -> Gatherer:
    reader, settlement = cast("OrderReader", None), cast("Settlement", None)  # nothing is read
    book.now.at, book.now.up = LATER.at, LATER.uptime
    return Gatherer(book.ledger, reader, settlement, settings)


@pytest.mark.parametrize(
    ("number", "revision", "passed", "in_terminal", "counts"),
    [
        (2, 1, 14.9 * MINUTES, False, True),
        (2, 1, 15 * MINUTES, False, False),
        (2, 1, 15 * MINUTES, True, True),
        (2, 1, 72 * 60 * MINUTES, True, False),
        (3, 1, 0, False, False),
        (2, 2, 0, False, False),
    ],
)
def test_an_answer_counts_for_its_own_question_about_what_is_current_and_in_time(
    number: int, revision: int, passed: float, *, in_terminal: bool, counts: bool
) -> None:
    older = Asked(1, "rfi_1", 1, ago(days=9), "form")
    asked = replace(
        wish("rfi_1"), questions=(older, Asked(2, "rfi_1", 1, ago(seconds=passed), "form"))
    )
    caller = Terminal() if in_terminal else AskingHost()

    heard = Heard(Reply.YES, number, revision, inline=False)

    assert _is_about(heard, asked, LATER, caller) is counts


@pytest.mark.parametrize(
    ("confirmed", "shown", "current", "passed", "is_confirmed"),
    [
        (1, 1, 1, 14.9 * MINUTES, True),
        (1, 1, 1, 15 * MINUTES, False),
        (1, 1, 2, 0, False),
        (2, 1, 2, 0, False),
        (1, 2, 1, 0, False),
        (None, 1, 1, 0, False),
    ],
)
def test_a_call_confirms_what_was_shown_a_short_time_ago_and_is_current(
    gatherer: Gatherer,
    confirmed: int | None,
    shown: int,
    current: int,
    passed: float,
    *,
    is_confirmed: bool,
) -> None:
    before = replace(wish("rfi_1"), revision=shown, previewed=ago(seconds=passed))
    other = replace(wish("rfi_0"), revision=confirmed or 1, previewed=LATER)
    now = replace(before, revision=current, previewed=LATER)
    wanted = replace(WANTED, confirmed_revision=confirmed)

    assert gatherer._is_confirmed(records_of(other, before), now, wanted) is is_confirmed
    assert not gatherer._is_confirmed(records_of(other), now, wanted)


@pytest.mark.parametrize(
    ("verdicts", "is_declined"),
    [
        ([], False),
        ([("decline", 1)], True),
        ([("decline", 25)], False),
        ([("decline", 2), ("approve", 1)], False),
        ([("approve", 2), ("decline", 1)], True),
        ([("decline", 3), ("decline", 1)], True),
    ],
)
def test_a_decline_of_the_last_day_counts_while_it_is_the_last_word(
    gatherer: Gatherer, verdicts: list[tuple[str, float]], *, is_declined: bool
) -> None:
    decisions = tuple(
        made(what, number, ago(hours=hours)) for number, (what, hours) in enumerate(verdicts, 1)
    )
    wanted = replace(wish("rfi_1"), decisions=decisions)

    assert gatherer._declined(wanted, records_of(wanted)) == (wanted if is_declined else None)
    assert gatherer._declined(None, records_of(wanted)) is None


@pytest.mark.parametrize(
    ("status", "passed", "is_open"),
    [
        ("waiting", 1.0, True),
        ("waiting", 120.0, False),
        ("unknown", 1.0, False),
        ("declined", 1.0, False),
    ],
)
def test_a_question_that_somebody_has_open_is_waited_for(
    book: Book, status: Status, passed: float, *, is_open: bool
) -> None:
    asked = Asked(1, "rfi_1", 1, ago(seconds=passed), "form")
    opened = replace(wish("rfi_1"), status=status, questions=(asked,))
    wishes = [replace(wish("rfi_0"), status="waiting"), opened]
    settings = Settings(api_key="claw_sk_live_example_of_tests")
    unasked = settings.model_copy(update={"refund_approval": "off"})

    def found(by: Settings, caller: AskingHost) -> object:
        return gatherer_with(book, by)._being_asked(wishes, caller)

    assert found(settings, AskingHost()) == (opened if is_open else None)
    assert found(settings, Terminal()) is None
    assert found(unasked, AskingHost()) is None


def test_a_person_at_the_other_end_decides_and_a_program_in_their_place_does_not() -> None:
    in_their_place = Terminal()
    in_their_place.grade = "agent"

    assert _decides(Terminal())
    assert not _decides(AskingHost())
    assert not _decides(in_their_place)


@pytest.mark.parametrize(("cents", "fits"), [(2499, True), (2500, False)])
def test_an_order_allows_what_is_left_on_it(cents: int, *, fits: bool) -> None:
    assert (_impossible(order(), cents) is None) is fits


@pytest.mark.parametrize(("limit", "above"), [(None, False), (500, False), (499, True)])
async def test_what_may_go_back_without_the_pin_counts_all_that_went(
    book: Book, limit: int | None, *, above: bool
) -> None:
    settings = Settings(api_key="claw_sk_live_example_of_tests").model_copy(
        update={"refund_pin_above_in_cents": limit}
    )

    assert await gatherer_with(book, settings)._is_above_pin_limit(WANTED) is above


async def test_a_question_about_another_amount_keeps_nobody_from_being_asked(room: Room) -> None:
    await room.asked(700)
    host = AskingHost(Reply.YES)

    other = await room.refund(300, host, refund_approval="agent")
    same = await room.refund(700, AskingHost(), refund_approval="agent")

    assert (other.status, len(host.questions)) == ("refunded", 1)
    assert same.status == "busy"
    assert room.given_back() == [300]
