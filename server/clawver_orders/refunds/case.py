"""What goes into the decision about a call, and what comes out of it. No I/O."""

from dataclasses import dataclass
from typing import Literal

from clawver_orders.caller import Grade, Reply
from clawver_orders.errors import ClawverError
from clawver_orders.refunds.approvals import Asking
from clawver_orders.refunds.matching import Earlier
from clawver_orders.refunds.records import Wish


@dataclass(frozen=True)
class Case:
    """What is known of a call and its order."""

    amount_in_cents: int
    named: frozenset[str]
    """The earlier refunds and attempts that the call names as known to it."""
    in_flight: Wish | None
    declined: Wish | None
    """This wish itself, where a person declined it in the last 24 hours, approved nothing of it since, and
    isn't asked by this call themselves."""
    earlier: Earlier
    unreadable: ClawverError | None
    limit_in_cents: int
    impossible: ClawverError | None
    forbidden: ClawverError | None
    """Why the merchant's refund policy forbids it, or cannot be read."""
    spent_in_cents: int
    daily_limit_in_cents: int
    asked_elsewhere: Wish | None
    """A wish of this amount about which a person is being asked through another call."""


@dataclass(frozen=True)
class Permission:
    """What is known of who may let a wish go."""

    wish: Wish
    is_person: bool
    can_ask: bool
    """Whether it says that it can put a question to a person."""
    grade: Grade
    """What a person's approval through this caller is worth."""
    named_other_revision: bool
    """Whether the call confirms another revision than the current one."""
    confirmed: bool
    """Whether it confirms the current one, in time."""
    reply: Reply | None
    """The answer to a question about the current revision, in time."""
    dismissed_another: bool
    """Whether the call brought an answer to another question, and that was no yes."""
    asked_in_vain: bool
    """Whether this call itself asked, and what was answered no longer counts."""
    only_terminal_asks: bool
    """Whether two declines keep forms from being shown about this order."""
    stands: Asking
    asked_about_another: Wish | None
    """A wish of this order, of any amount, about which a person is being asked."""


@dataclass(frozen=True)
class About:
    """It is blocked by another wish, or by this one."""

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
