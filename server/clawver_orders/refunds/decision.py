"""What becomes of a call for a refund: every rule, in its order. No I/O.

First what blocks it, then who lets it go. The order of the checks is a promise.
"""

from clawver_orders.caller import Reply, suffices
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


def stands_in_the_way(case: Case) -> Obstacle | None:
    """What keeps a refund from being wanted at all; None where nothing does."""
    if case.in_flight is not None:
        same = case.in_flight.amount_in_cents == case.amount_in_cents
        return About("same in flight" if same else "other in flight", case.in_flight)
    if case.earlier.is_repeated_by(case.named):
        return Repeat(case.earlier)
    if case.declined is not None:
        return About("declined", case.declined)
    if case.unreadable is not None:
        return Refused(case.unreadable)
    if case.named and not case.earlier.names:
        return "nothing to add to"
    if case.amount_in_cents > case.limit_in_cents:
        return "limit"
    if case.impossible is not None:
        return Refused(case.impossible)
    if case.forbidden is not None:
        return Refused(case.forbidden)
    if case.spent_in_cents + case.amount_in_cents > case.daily_limit_in_cents:
        return "daily limit"
    if case.asked_elsewhere is not None:
        return About("asked elsewhere", case.asked_elsewhere)
    return None


def who_lets_it_go(case: Permission) -> Step:
    """Whether the money goes, a person is asked first, or the preview is shown."""
    if case.asked_in_vain or (case.named_other_revision and not case.can_ask):
        return "show"
    if case.reply is not None:
        return _answered(case, case.reply)
    if case.is_person:
        return "ask"
    if case.wish.grade_needed == "setting":
        return Send("setting")
    if case.dismissed_another:
        return "show dismissed"
    if _asks(case):
        return "ask"
    if not suffices("agent", case.wish.grade_needed):
        return "show"
    if case.stands in {Asking.OPEN, Asking.UNANSWERED}:
        return "show again"
    return _by_agent(case) if case.confirmed else "show"


def _asks(case: Permission) -> bool:
    """Whether a person is asked through the program that called, and their approval would be enough."""
    return (
        case.can_ask
        and suffices(case.grade, case.wish.grade_needed)
        and not case.only_terminal_asks
        and case.stands is not Asking.COULD_NOT_ASK
    )


def _answered(case: Permission, reply: Reply) -> Step:
    if reply not in {Reply.YES, Reply.HOST_YES}:
        return "show dismissed"
    grade = case.grade if reply is Reply.YES else "agent"
    if not suffices(grade, case.wish.grade_needed):
        return "show too weak"
    return _by_agent(case) if grade == "agent" else Send(grade)


def _by_agent(case: Permission) -> Step:
    """A program's word, where that is enough."""
    other = case.asked_about_another
    return Send("agent") if other is None else Wait(other)
