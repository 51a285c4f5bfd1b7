"""What is gathered of a call before anything is decided. No I/O."""

from dataclasses import dataclass

from clawver_orders.caller import Grade, Reply
from clawver_orders.errors import ClawverError
from clawver_orders.refunds.approvals import Asking, Mode
from clawver_orders.refunds.matching import Earlier
from clawver_orders.refunds.records import Wish


@dataclass(frozen=True)
class Case:
    """What is known of a call and its order."""

    amount_in_cents: int
    named: frozenset[str]
    """The earlier refunds and attempts that the call says it comes on top of."""
    in_flight: Wish | None
    declined: Wish | None
    """This very wish, where a person declined it in the last 24 hours, approved nothing of it since, and
    isn't asked by this call themselves."""
    earlier: Earlier
    unreadable: ClawverError | None
    limit_in_cents: int
    impossible: ClawverError | None
    spent_in_cents: int
    daily_limit_in_cents: int
    asked_elsewhere: Wish | None
    """A wish of this amount about which a person is being asked through another call."""


@dataclass(frozen=True)
class Permission:
    """What is known of who may let a wish go."""

    wish: Wish
    mode: Mode
    is_person: bool
    can_ask: bool
    grade: Grade
    """What a person's yes through this caller is worth."""
    named_other_revision: bool
    """Whether the call confirms another revision than the current one."""
    confirmed: bool
    """Whether it confirms the current one, in time."""
    reply: Reply | None
    """The answer to a question about the current revision, in time."""
    dismissed_another: bool
    """Whether the call brought an answer to another question, and that was no yes."""
    asked_in_vain: bool
    """Whether this very call asked, and what was answered no longer counts."""
    only_terminal_asks: bool
    """Whether two declines keep forms from being shown about this order."""
    stands: Asking
    asked_about_another: Wish | None
    """A wish of this order, of any amount, about which a person is being asked."""
