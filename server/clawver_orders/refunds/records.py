"""What the ledger keeps of a refund: the wish, its attempts, its questions and the decisions about it.

A wish is a refund that somebody wants: one for each order, amount and `in_addition_to`. It has one id
(`rfi_…`) for good, and a revision that goes up when what a person would see changes. A decision is
about one revision, and an attempt is one request that was sent for one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from clawver_orders.caller import WAITS, Grade, Reply, Verdict
from clawver_orders.instants import Instant, seconds_at_most

Sent = Literal["sending", "unknown", "refunded", "not_recorded", "refused", "not_sent"]
"""What became of an attempt."""
Status = Literal[Sent, "waiting", "declined", "expired"]
"""How a wish stands."""
CARD = "card"
"""The channel of a card in the chat."""
OPEN: tuple[Sent, ...] = ("sending", "unknown")
"""Money may be on its way."""
MAY_HAVE_MOVED: tuple[Sent, ...] = (*OPEN, "refunded", "not_recorded")
"""Money was on its way, and nobody can say that it didn't arrive: the same wish isn't sent again."""
UNCERTAIN: tuple[Sent, ...] = (*OPEN, "not_recorded", "refused")
"""A later look at the order may tell something else."""
MAY_FOLLOW: dict[Sent, tuple[Sent, ...]] = {
    "sending": ("unknown", "refunded", "refused", "not_sent"),
    "unknown": ("refunded", "not_recorded"),
    "not_recorded": ("refunded",),
    "refused": ("refunded",),
}
"""Each status of an attempt, and those that may come after it."""


@dataclass(frozen=True)
class Actor:
    """Who is at work: kept with everything that happens.

    Args:
        client: The name and version of the program that called.
        who: Who decided, where somebody did.
    """

    client: str
    who: str = ""


@dataclass(frozen=True)
class Decision:
    """What was decided about one revision of a wish."""

    refund_id: str
    revision: int
    verdict: Verdict
    grade: Grade
    channel: str
    """Through what: `form`, `card`, `page`, `terminal`, `confirm_refund` or `setting`."""
    who: str
    client: str
    made: Instant
    number: int
    """Its place in the history of the ledger: later is larger."""
    policy: str = ""
    """The digest of the refund policy that held then; nothing where there was none."""


@dataclass(frozen=True)
class Asked:
    """A question that was put about one revision of a wish."""

    number: int
    refund_id: str
    revision: int
    asked: Instant
    channel: str
    """Through what: `form`, `page`, `terminal`, `url` or `card`."""
    answer: Reply | None = None
    """The latest answer to it; None while there is none."""
    shown_since: bool = False
    """Whether the preview went to whoever called since, so that the question is behind them."""


@dataclass(frozen=True)
class Attempt:
    """One request that was sent for a wish."""

    refund_id: str
    revision: int
    order_id: str
    amount_in_cents: int
    reason: str
    """As it was sent."""
    refunds_before: frozenset[str]
    """The ids of the refunds that the order carried before."""
    sent: Instant
    sent_by_server: datetime | None
    """The store's time shortly before; None where it told none."""
    status: Sent
    reads_after_window: int = 0
    """How many reads after the verification window did not list it."""
    last_read: Instant | None = None
    """When the last of those was."""
    checks: int = 0
    """How often it was looked up at a start since it was sent."""
    last_check: Instant | None = None
    reported_event: int = 0
    """The latest event that was a reason to look; 0 for none."""
    clawver_refund_id: str | None = None
    stripe_refund_id: str | None = None
    unexpected_refunds: tuple[str, ...] = ()
    """Further new refunds of the same amount: the request was delivered more than once."""
    resolved: bool = False
    """Whether a person said what became of it, because the order didn't tell."""
    number: int = 0
    """The place of its latest status in the history of the ledger: later is larger."""
    sent_number: int = 0
    """The place of the line with which it was sent."""

    @property
    def is_open(self) -> bool:
        """Whether money may be on its way."""
        return self.status in OPEN

    @property
    def is_provisional(self) -> bool:
        """Whether Clawver refused it, and the order wasn't read yet when all was certain to show."""
        return self.status == "refused" and self.reads_after_window == 0


@dataclass(frozen=True)
class Wish:
    """A refund that somebody wants, and how far it has come."""

    refund_id: str
    order_id: str
    amount_in_cents: int
    reason: str
    in_addition_to: tuple[str, ...]
    """The earlier attempts and refunds of this amount that it's a further one to."""
    revision: int
    grade_needed: Grade
    shown: str
    """What a person was shown of the order's payment and of what is doubtful about it."""
    created_at: datetime
    previewed: Instant
    """When it was last shown."""
    status: Status
    """When it was read from the ledger."""
    attempts: tuple[Attempt, ...] = ()
    """Oldest first."""
    questions: tuple[Asked, ...] = ()
    """Those about the current revision, oldest first."""
    decisions: tuple[Decision, ...] = ()
    """Oldest first."""
    sandbox: str = ""
    """The id of the sandbox store that it is for; nothing where it is for a real one."""

    @property
    def policy(self) -> str:
        """The digest of the refund policy under which it was decided, or else shown; nothing where there was none."""
        decided = None if self.status in {"waiting", "expired"} else self.decision
        if decided is not None:
            return decided.policy
        parts = json.loads(self.shown) if self.shown.startswith("[") else []
        return str(parts[2][0]) if len(parts) > 2 else ""

    @property
    def is_open(self) -> bool:
        """Whether money may be on its way."""
        return any(attempt.is_open for attempt in self.attempts)

    @property
    def is_provisional(self) -> bool:
        """Whether an attempt that Clawver refused may still take effect."""
        return any(attempt.is_provisional for attempt in self.attempts)

    @property
    def latest(self) -> Attempt | None:
        """The attempt that tells how it stands: the one that decided, or else the last one."""
        telling = [a for a in self.attempts if a.status == self.status]
        return (telling or self.attempts or (None,))[-1]

    @property
    def sent_at(self) -> datetime | None:
        """When that was sent."""
        return self.latest.sent.at if self.latest else None

    @property
    def clawver_refund_id(self) -> str | None:
        """The refund of Clawver's that belongs to it."""
        return self.latest.clawver_refund_id if self.latest else None

    @property
    def decision(self) -> Decision | None:
        """What let the money go, or declined it; None while it waits."""
        if self.status == "declined":
            revision, verdict = self.revision, "decline"
        else:
            revision, verdict = self.latest.revision if self.latest else 0, "approve"
        made = (each for each in self.decisions if each.revision == revision)
        return next((each for each in made if each.verdict == verdict), None)

    @property
    def stripe_refund_id(self) -> str | None:
        """The refund of Stripe's behind that."""
        return self.latest.stripe_refund_id if self.latest else None

    @property
    def unexpected_refunds(self) -> tuple[str, ...]:
        """Refunds that came of it or beside it, and that nobody meant."""
        named = {each for attempt in self.attempts for each in attempt.unexpected_refunds}
        return tuple(sorted(named))

    @property
    def question(self) -> Asked | None:
        """The last question about the current revision for whose answer a call waits. For a card's, none does."""
        waited_for = [each for each in self.questions if each.channel != CARD]
        return waited_for[-1] if waited_for else None

    @property
    def cards(self) -> tuple[Asked, ...]:
        """What cards asked about the current revision, oldest first."""
        return tuple(each for each in self.questions if each.channel == CARD)


@dataclass(frozen=True)
class Looks:
    """When this start of this machine first saw what other starts wrote.

    Args:
        seen: The number of a line of history, and when this start had seen every line up to that
            one which it didn't write itself. Lowest first.
    """

    seen: tuple[tuple[int, Instant], ...] = ()

    def first(self, number: int, now: Instant) -> Instant:
        """When this start first saw a line of history, or later.

        Args:
            number: The place of the line.
            now: The current time, which is taken where no look covers that line.
        """
        return next((at for covered, at in self.seen if covered >= number), now)


@dataclass(frozen=True)
class OrderRecords:
    """All that the ledger knows of the refunds of one order."""

    order_id: str
    wishes: tuple[Wish, ...]
    """Oldest first."""
    number: int
    """The place of its latest line in the history: another one means that something happened."""
    looks: Looks = Looks()
    """When this start of this machine first saw its lines."""
    restored: Instant | None = None
    """When it was last noticed that the ledger is an older copy of itself."""
    restored_number: int = 0
    """The highest number that a line of history had by then."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts, oldest first."""
        found = [attempt for wish in self.wishes for attempt in wish.attempts]
        return tuple(sorted(found, key=lambda attempt: attempt.number))

    @property
    def open_wish(self) -> Wish | None:
        """The wish whose money may be on its way: there is never more than one."""
        return next((wish for wish in self.wishes if wish.is_open), None)

    def wish(
        self, amount_in_cents: int, in_addition_to: Sequence[str], sandbox: str | None = None
    ) -> Wish | None:
        """The wish for this amount, on top of these.

        Args:
            amount_in_cents: The amount.
            in_addition_to: The earlier refunds and attempts.
            sandbox: The id of the sandbox store it has to be for; of any store when left out.
        """
        key = (amount_in_cents, tuple(sorted(in_addition_to)))
        found = (
            wish
            for wish in reversed(self.wishes)
            if (wish.amount_in_cents, wish.in_addition_to) == key
            and sandbox in {None, wish.sandbox}
        )
        return next(found, None)


@dataclass(frozen=True)
class SeenRefund:
    """A refund that Clawver listed at some time."""

    clawver_refund_id: str
    amount_in_cents: int
    stripe_refund_id: str | None = None
    reason: str = ""
    created_at: datetime | None = None
    sandbox: str = ""
    """The id of the sandbox store that listed it; nothing for a real one."""


@dataclass(frozen=True)
class LedgerEvent:
    """A line of the history: for people to read, and never for the program."""

    number: int
    """Later is larger."""
    at: datetime
    process: int
    host: str
    """The name of the machine; nothing in what was noted before names were."""
    event: str
    who: str
    client: str
    detail: str


@dataclass(frozen=True)
class Limits:
    """The most that may be sent.

    Args:
        daily_in_cents: In 24 hours, by the store.
        pin_above_in_cents: Without the PIN, on the order and by the store in 24 hours; None for
            no such limit.
    """

    daily_in_cents: int
    pin_above_in_cents: int | None = None


@dataclass(frozen=True)
class Preview:
    """What a wish would show a person now.

    Args:
        shown: The order's payment, and what is doubtful, as one text that changes when they do.
        grade_needed: The lowest grade of approval that suffices.
        sandbox: The id of the sandbox store that gave the order; nothing where a real one did.
    """

    shown: str
    grade_needed: Grade
    sandbox: str = field(default="")


def status_of(
    attempts: Sequence[Attempt],
    revision: int,
    decision: Decision | None,
    previewed: Instant,
    now: Instant,
) -> Status:
    """How a wish stands: what may have moved money counts before anything that was decided since.

    Args:
        attempts: Its attempts.
        revision: Its current revision.
        decision: What was decided about that revision.
        previewed: When it was last shown.
        now: The current time.
    """
    found = {attempt.status for attempt in attempts}
    for status in MAY_HAVE_MOVED:
        if status in found:
            return status
    if decision is not None and decision.verdict == "decline":
        return "declined"
    for attempt in attempts:
        if attempt.revision == revision:
            return attempt.status
    if seconds_at_most(previewed, now) >= WAITS.total_seconds():
        return "expired"
    return "waiting"
