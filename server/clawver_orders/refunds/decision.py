"""What becomes of a call for a refund: every rule, in its order. No I/O.

First what stands in the way, then who lets it go. The order of the checks is a promise.
"""

from dataclasses import dataclass
from typing import Literal

from clawver_orders.caller import Grade, Reply
from clawver_orders.errors import ClawverError
from clawver_orders.refunds.approvals import Asking
from clawver_orders.refunds.case import Case, Permission
from clawver_orders.refunds.matching import Earlier
from clawver_orders.refunds.records import Wish, suffices


@dataclass(frozen=True)
class About:
    """What stands in the way is another wish, or this one."""

    why: Literal["same in flight", "other in flight", "declined", "asked elsewhere"]
    wish: Wish


@dataclass(frozen=True)
class Repeat:
    """The call repeats one that was made before."""

    earlier: Earlier


@dataclass(frozen=True)
class Refused:
    """Nothing is sent, and the error says why."""

    error: ClawverError


Rule = Literal["nothing to add to", "limit", "daily limit"]
Obstacle = About | Repeat | Refused | Rule


def stands_in_the_way(case: Case) -> Obstacle | None:
    """What keeps a refund from being wanted at all; None where nothing does."""
    if case.in_flight is not None:
        same = case.in_flight.amount_in_cents == case.amount_in_cents
        return About("same in flight" if same else "other in flight", case.in_flight)
    if case.earlier.names and case.named != set(case.earlier.names):
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
    if case.spent_in_cents + case.amount_in_cents > case.daily_limit_in_cents:
        return "daily limit"
    if case.asked_elsewhere is not None:
        return About("asked elsewhere", case.asked_elsewhere)
    return None


Let = Literal["ask", "show", "show again", "show too weak", "show dismissed"]


@dataclass(frozen=True)
class Send:
    """The money goes."""

    grade: Grade


@dataclass(frozen=True)
class Wait:
    """A decline reaches every amount, so an answer that may be one is waited for."""

    other: Wish


Step = Let | Send | Wait


def who_lets_it_go(case: Permission) -> Step:
    """Whether the money goes, a person is asked first, or the preview is shown."""
    if case.asked_in_vain or (case.named_other_revision and not case.can_ask):
        return "show"
    if case.reply is not None:
        return _answered(case, case.reply)
    if case.is_person:
        return "ask"
    if case.mode == "off":
        return Send("setting")
    if case.dismissed_another:
        return "show dismissed"
    if case.can_ask and not case.only_terminal_asks and case.stands is not Asking.COULD_NOT_ASK:
        return "ask"
    if not suffices("agent", case.wish.grade_needed):
        return "show"
    if case.stands in {Asking.OPEN, Asking.UNANSWERED}:
        return "show again"
    return _by_agent(case) if case.confirmed else "show"


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
