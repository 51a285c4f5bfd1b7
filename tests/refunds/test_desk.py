"""What a desk makes of an answer, and when it says that waiting helps."""

from dataclasses import replace
from typing import Any, cast

import pytest
from tests.refunds.by_hand import order, records_of, wish
from tests.refunds.room import AskingHost

from clawver_orders.caller import Approval, Grade, Reply
from clawver_orders.refunds.case import Case
from clawver_orders.refunds.desk import _approval, _dismissed, _retry_after_seconds
from clawver_orders.refunds.gathering import Gathered, Wanted
from clawver_orders.refunds.matching import Doubt
from clawver_orders.refunds.outcome import about
from clawver_orders.refunds.policy import PolicyVerdict
from clawver_orders.settings import Settings

ON = Settings(api_key="claw_sk_live_example_of_tests")
BY_AGENT = ON.model_copy(update={"refund_approval": "agent"})
WANTED = Wanted("ord_1", 500, "Torn", ())
OUTSIDE = PolicyVerdict(("final_sale",), ("It is not taken back.",), "chat", "digest")
WITHIN = PolicyVerdict((), (), None, "digest")
REFUSED = (Doubt("refused", seconds_left=9.2), Doubt("refused", seconds_left=30.1))


def gathered(
    doubts: tuple[Doubt, ...] = (), needed: Grade = "chat", verdict: Any = None
) -> Gathered:
    return Gathered(cast("Case", None), records_of(), order(), doubts, needed, verdict)


@pytest.mark.parametrize(
    ("doubts", "needed", "verdict", "named", "seconds"),
    [
        (REFUSED, "chat", None, (), 31),
        (REFUSED, "chat", WITHIN, (), 31),
        ((Doubt("refused", seconds_left=0.0),), "chat", None, (), 1),
        ((), "chat", None, (), None),
        ((*REFUSED, Doubt("declined")), "chat", None, (), None),
        (REFUSED, "console", None, (), None),
        (REFUSED, "pin", None, (), None),
        (REFUSED, "chat", OUTSIDE, (), None),
        (REFUSED, "chat", None, ("ref_1",), None),
    ],
)  # fmt: skip
def test_waiting_helps_where_nothing_but_a_refusal_keeps_an_agent_from_it(
    doubts: tuple[Doubt, ...],
    needed: Grade,
    verdict: Any,
    named: tuple[str, ...],
    seconds: int | None,
) -> None:
    wanted = replace(WANTED, in_addition_to=named)

    assert BY_AGENT.refund_grade == "agent"
    assert _retry_after_seconds(BY_AGENT, gathered(doubts, needed, verdict), wanted) == seconds
    assert _retry_after_seconds(ON, gathered(doubts, needed, verdict), wanted) is None


@pytest.mark.parametrize(
    ("reply", "confirmed", "dismissed", "no_use"),
    [
        (Reply.FAILED, None, False, False), (Reply.FAILED, 1, False, False),
        (Reply.DISMISSED, None, True, False), (Reply.DISMISSED, 1, True, True),
        (Reply.HOST_NO, None, True, True),
    ],
)  # fmt: skip
def test_asking_again_is_no_use_where_a_program_answered_or_it_was_confirmed_already(
    reply: Reply, confirmed: int | None, *, dismissed: bool, no_use: bool
) -> None:
    told = _dismissed(
        about("needs_approval", wish("rfi_1")), reply, replace(WANTED, confirmed_revision=confirmed)
    )

    assert (told.was_dismissed, told.asking_is_no_use) == (dismissed, no_use)


@pytest.mark.parametrize(
    ("grade", "reply", "approval"),
    [
        ("chat", Reply.YES, Approval("chat", "form", AskingHost.person, "digest")),
        ("setting", None, Approval("setting", "setting", "setting off", "digest")),
        ("agent", None, Approval("agent", "confirm_refund", "agent by confirm_refund", "digest")),
        ("agent", Reply.HOST_YES, Approval("agent", "form", "agent by confirm_refund", "digest")),
    ],
)  # fmt: skip
def test_a_decision_says_who_made_it_and_through_what(
    grade: Grade, reply: Reply | None, approval: Approval
) -> None:
    assert _approval(grade, AskingHost(), reply, gathered(verdict=WITHIN)) == approval
    unruled = _approval(grade, AskingHost(), reply, gathered())
    assert unruled == replace(approval, policy="")
