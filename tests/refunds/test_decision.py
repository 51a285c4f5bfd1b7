"""What becomes of a call: every rule, and that each comes before all that follow it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, get_args

import pytest

from clawver_orders.caller import GRADES, Grade, Reply
from clawver_orders.errors import RefusedError
from clawver_orders.instants import Instant
from clawver_orders.refunds.approvals import Asking
from clawver_orders.refunds.case import (
    About,
    Case,
    Obstacle,
    Permission,
    Refused,
    Repeat,
    Send,
    Step,
    Wait,
)
from clawver_orders.refunds.decision import stands_in_the_way, who_lets_it_go
from clawver_orders.refunds.matching import Earlier
from clawver_orders.refunds.records import Wish

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
WISH = Wish(
    refund_id="rfi_this", order_id="ord_1", amount_in_cents=700, reason="Torn", in_addition_to=(),
    revision=1, grade_needed="agent", shown="[]", created_at=AT, previewed=Instant(AT, 5.0, "boot"),
    status="waiting",
)  # fmt: skip
OTHER = replace(WISH, refund_id="rfi_other", amount_in_cents=699)
FOR_A_PERSON = replace(WISH, grade_needed="chat")
BY_SETTING = replace(WISH, grade_needed="setting")
REFUNDED = Earlier(("re_1",), ())
UNREADABLE = RefusedError("the store is away", next_step="Wait.")
IMPOSSIBLE = RefusedError("nothing is left", next_step="Ask for less.")
FORBIDDEN = RefusedError("the policy forbids it", next_step="Tell the merchant.")

Change = Mapping[str, Any]

# What stands in the way

FREE = Case(
    amount_in_cents=700, named=frozenset(), in_flight=None, declined=None, earlier=Earlier((), ()),
    unreadable=None, limit_in_cents=700, impossible=None, forbidden=None, spent_in_cents=300,
    daily_limit_in_cents=1000, asked_elsewhere=None,
)  # fmt: skip
"""As much as may just be, and nothing in the way."""
OBSTACLES: tuple[tuple[Change, Obstacle], ...] = (
    ({"in_flight": WISH}, About("same in flight", WISH)),
    ({"earlier": REFUNDED}, Repeat(REFUNDED)),
    ({"declined": WISH}, About("declined", WISH)),
    ({"unreadable": UNREADABLE}, Refused(UNREADABLE)),
    ({"named": frozenset({"re_1"})}, "nothing to add to"),
    ({"limit_in_cents": 699}, "limit"),
    ({"impossible": IMPOSSIBLE}, Refused(IMPOSSIBLE)),
    ({"forbidden": FORBIDDEN}, Refused(FORBIDDEN)),
    ({"spent_in_cents": 301}, "daily limit"),
    ({"asked_elsewhere": OTHER}, About("asked elsewhere", OTHER)),
)
"""Every rule in its order: what brings it about, and what it says."""


def test_nothing_stands_in_the_way_of_what_may_just_be() -> None:
    assert stands_in_the_way(FREE) is None


@pytest.mark.parametrize(("change", "says"), OBSTACLES)
def test_each_obstacle_is_one_by_itself(change: Change, says: Obstacle) -> None:
    assert stands_in_the_way(replace(FREE, **change)) == says


@pytest.mark.parametrize(("first", "later"), list(combinations(OBSTACLES, 2)))
def test_an_obstacle_comes_before_all_that_follow_it(
    first: tuple[Change, Obstacle], later: tuple[Change, Obstacle]
) -> None:
    if "earlier" in first[0] and "named" in later[0]:
        later = ({"named": frozenset({"re_2"})}, later[1])  # it would name just what is there
    assert stands_in_the_way(replace(FREE, **later[0], **first[0])) == first[1]


def test_all_at_once_is_told_as_the_first() -> None:
    everything = {name: value for change, _ in OBSTACLES for name, value in change.items()}
    assert stands_in_the_way(replace(FREE, **everything)) == OBSTACLES[0][1]


def test_what_is_in_flight_says_whether_it_is_of_this_amount() -> None:
    assert stands_in_the_way(replace(FREE, in_flight=OTHER)) == About("other in flight", OTHER)


@pytest.mark.parametrize(
    ("named", "is_repeat"),
    [
        (set(), True),
        ({"re_1"}, True),
        ({"rfi_this"}, True),
        ({"re_1", "rfi_this"}, False),
        ({"re_1", "rfi_this", "re_2"}, True),
    ],
)
def test_a_further_refund_names_all_the_earlier_ones_and_no_others(
    named: set[str], is_repeat: bool
) -> None:
    earlier = Earlier(("re_1",), (WISH,))
    case = replace(FREE, earlier=earlier, named=frozenset(named))

    assert stands_in_the_way(case) == (Repeat(earlier) if is_repeat else None)


# Who lets it go

UNASKED = Permission(
    wish=WISH, is_person=False, can_ask=False, grade="chat",
    named_other_revision=False, confirmed=False, reply=None, dismissed_another=False,
    asked_in_vain=False, only_terminal_asks=False, stands=Asking.POSSIBLE, asked_about_another=None,
)  # fmt: skip
"""A first call through which nobody can be asked."""
RULES: tuple[tuple[Change, Step], ...] = (
    ({"asked_in_vain": True}, "show"),
    ({"named_other_revision": True}, "show"),
    ({"reply": Reply.YES}, Send("chat")),
    ({"is_person": True}, "ask"),
    ({"wish": BY_SETTING}, Send("setting")),
    ({"dismissed_another": True}, "show dismissed"),
    ({"can_ask": True}, "ask"),
    ({"wish": FOR_A_PERSON}, "show"),
    ({"stands": Asking.UNANSWERED}, "show again"),
    ({"confirmed": True, "asked_about_another": OTHER}, Wait(OTHER)),
    ({"confirmed": True}, Send("agent")),
)
"""Every rule in its order: what brings it about, and what it says."""


def test_who_confirms_nothing_is_shown_the_preview() -> None:
    assert who_lets_it_go(UNASKED) == "show"


@pytest.mark.parametrize(("change", "says"), RULES)
def test_each_rule_decides_by_itself(change: Change, says: Step) -> None:
    assert who_lets_it_go(replace(UNASKED, **change)) == says


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (first, later)
        for first, later in combinations(RULES, 2)
        # Who can ask is asked about the current revision instead: see below.
        if ("named_other_revision" in first[0], "can_ask" in later[0]) != (True, True)
    ],
)
def test_a_rule_comes_before_all_that_follow_it(
    first: tuple[Change, Step], later: tuple[Change, Step]
) -> None:
    assert who_lets_it_go(replace(UNASKED, **{**later[0], **first[0]})) == first[1]


def test_who_can_ask_is_asked_about_the_current_revision_instead_of_another() -> None:
    case = replace(UNASKED, named_other_revision=True, can_ask=True)

    assert who_lets_it_go(case) == "ask"
    assert who_lets_it_go(replace(case, asked_in_vain=True)) == "show"


@pytest.mark.parametrize("needed", GRADES)
def test_only_where_nobody_is_asked_the_setting_sends(needed: Grade) -> None:
    case = replace(UNASKED, wish=replace(WISH, grade_needed=needed))
    assert who_lets_it_go(case) == (Send("setting") if needed == "setting" else "show")


@pytest.mark.parametrize("needed", GRADES)
@pytest.mark.parametrize("grade", GRADES[1:])
def test_only_who_is_worth_enough_is_asked(grade: Grade, needed: Grade) -> None:
    case = replace(
        UNASKED, wish=replace(WISH, grade_needed=needed), grade=grade, can_ask=True, confirmed=True
    )
    ranks = get_args(Grade).index
    asked = needed != "setting" and ranks(grade) >= ranks(needed)
    otherwise: Step = Send("setting") if needed == "setting" else "show"
    assert who_lets_it_go(case) == ("ask" if asked else otherwise)


@pytest.mark.parametrize(
    ("stands", "confirmed", "asking", "silent"),
    [
        (Asking.POSSIBLE, False, "ask", "show"),
        (Asking.POSSIBLE, True, "ask", Send("agent")),
        (Asking.OPEN, True, "ask", "show again"),
        (Asking.UNANSWERED, True, "ask", "show again"),
        (Asking.COULD_NOT_ASK, True, Send("agent"), Send("agent")),
        (Asking.COULD_NOT_ASK, False, "show", "show"),
    ],
)
def test_how_the_asking_stands_says_whether_an_agents_word_is_taken(
    stands: Asking, confirmed: bool, asking: Step, silent: Step
) -> None:
    case = replace(UNASKED, stands=stands, confirmed=confirmed)

    assert who_lets_it_go(replace(case, can_ask=True)) == asking
    assert who_lets_it_go(case) == silent


def test_after_two_declines_no_form_is_shown() -> None:
    case = replace(UNASKED, can_ask=True, only_terminal_asks=True, wish=FOR_A_PERSON)

    assert who_lets_it_go(case) == "show"
    assert who_lets_it_go(replace(case, is_person=True)) == "ask"


# What an answer is worth

NO_YES = [reply for reply in Reply if reply not in {Reply.YES, Reply.HOST_YES}]


@pytest.mark.parametrize("needed", GRADES)
@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("reply", [Reply.YES, Reply.HOST_YES])
def test_a_yes_sends_where_its_grade_suffices(reply: Reply, grade: Grade, needed: Grade) -> None:
    worth = grade if reply is Reply.YES else "agent"
    case = replace(UNASKED, wish=replace(WISH, grade_needed=needed), grade=grade, reply=reply)

    suffices = get_args(Grade).index(worth) >= get_args(Grade).index(needed)
    assert who_lets_it_go(case) == (Send(worth) if suffices else "show too weak")


@pytest.mark.parametrize("needed", GRADES)
@pytest.mark.parametrize("reply", NO_YES)
def test_no_other_answer_sends_anything(reply: Reply, needed: Grade) -> None:
    wish = replace(WISH, grade_needed=needed)
    case = replace(UNASKED, wish=wish, reply=reply, grade="pin", confirmed=True, can_ask=True)

    assert who_lets_it_go(case) == "show dismissed"


@pytest.mark.parametrize(
    ("reply", "grade", "verdict"),
    [
        (Reply.YES, "chat", Send("chat")),
        (Reply.YES, "console", Send("console")),
        (Reply.YES, "agent", Wait(OTHER)),
        (Reply.HOST_YES, "chat", Wait(OTHER)),
    ],
)
def test_only_a_persons_yes_does_not_wait_for_what_another_is_asked(
    reply: Reply, grade: Grade, verdict: Step
) -> None:
    case = replace(UNASKED, reply=reply, grade=grade, asked_about_another=OTHER)

    assert who_lets_it_go(case) == verdict


def test_a_grade_that_is_too_weak_is_said_before_anybody_is_waited_for() -> None:
    case = replace(UNASKED, wish=FOR_A_PERSON, reply=Reply.HOST_YES, asked_about_another=OTHER)

    assert who_lets_it_go(case) == "show too weak"
