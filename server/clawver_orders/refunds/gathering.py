"""Gathers what decides about a call: the order, the ledger, the settings, and whoever called."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clawver_orders.caller import LIFETIME, WAITS, Caller, Grade, Reply, suffices
from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError, RefusedError
from clawver_orders.instants import Instant, seconds_at_most
from clawver_orders.refunds.approvals import Asking, asking, grade_needed
from clawver_orders.refunds.case import Case, Permission
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.matching import (
    Doubt,
    check_possible,
    doubts_of,
    earlier_of,
    is_declined_often,
    recent_declines,
)
from clawver_orders.refunds.policy_file import verdict_of
from clawver_orders.refunds.reading import OrderReader
from clawver_orders.refunds.records import OrderRecords, Wish
from clawver_orders.refunds.settlement import Settlement
from clawver_orders.settings import Settings

if TYPE_CHECKING:
    from clawver_orders.refunds.policy import PolicyVerdict


@dataclass(frozen=True)
class Wanted:
    """What a call wants."""

    order_id: str
    amount_in_cents: int
    reason: str
    in_addition_to: tuple[str, ...]
    confirmed_revision: int | None = None
    """The revision that the call says was shown and approved."""
    instead_of: str | None = None
    """A wish for more, which a person declines with this one."""


@dataclass(frozen=True)
class Gathered:
    """What is known when a call is decided."""

    case: Case
    records: OrderRecords
    order: Order | None
    doubts: tuple[Doubt, ...]
    grade_needed: Grade
    """The lowest grade of approval that suffices."""
    verdict: "PolicyVerdict | None"
    """What the merchant's refund policy says of it; None where there is none, or it isn't asked."""


@dataclass(frozen=True)
class Heard:
    """An answer to a question."""

    reply: Reply
    number: int
    revision: int
    """What was shown."""
    inline: bool
    """Whether this call itself asked and waited."""


class Gatherer:
    """Gathers what decides about a call. Whoever calls holds the order's lock.

    Args:
        ledger: Where every refund is noted.
        reader: Reads orders.
        settlement: Matches what an order lists with what is open.
        settings: Limits and approval.
    """

    def __init__(
        self, ledger: Ledger, reader: OrderReader, settlement: Settlement, settings: Settings
    ) -> None:
        self._ledger = ledger
        self._reader = reader
        self._settlement = settlement
        self._settings = settings

    async def gather(self, wanted: Wanted, caller: Caller) -> Gathered:
        """Read the order, match what is open, and see whether the call repeats something.

        A repeat is told as one even where the order cannot be read: "no money was moved" would be
        taken as the answer to the earlier call. Where the ledger cannot be read, nobody knows
        whether it is a repeat, and all that is said is that nothing was sent.

        Raises:
            ClawverError: The ledger cannot be used. Nothing was sent.
        """
        read = await self._reader.read_or_error(wanted.order_id)
        order = read if isinstance(read, Order) else None
        records = (
            await self._ledger.of_order(wanted.order_id)
            if order is None
            else await self._settlement.match_order(order)
        )
        amount = wanted.amount_in_cents
        wish = records.wish(amount, wanted.in_addition_to)
        verdict = await verdict_of(self._settings, self._ledger, order, amount)
        forbidden = verdict if isinstance(verdict, ClawverError) else None
        judged = None if isinstance(verdict, ClawverError) else verdict
        if forbidden is None and order is not None:
            digest = "" if judged is None else judged.digest
            forbidden = self._shown_under_another(wish, digest, wanted, caller)
        same = tuple(each for each in records.wishes if each.amount_in_cents == amount)
        case = Case(
            amount_in_cents=amount,
            named=frozenset(wanted.in_addition_to),
            in_flight=records.open_wish,
            declined=None if _decides(caller) else self._declined(wish, records),
            earlier=earlier_of(order, records, amount),
            unreadable=read if isinstance(read, ClawverError) else None,
            limit_in_cents=self._settings.refund_limit_in_cents,
            impossible=None if order is None else _impossible(order, amount),
            forbidden=forbidden,
            spent_in_cents=await self._ledger.spent_in_cents(),
            daily_limit_in_cents=self._settings.refund_daily_limit_in_cents,
            asked_elsewhere=self._being_asked(same, caller),
        )
        doubts = doubts_of(records, self._ledger.now(), self._settlement.window_seconds)
        needed = grade_needed(
            self._settings.refund_grade,
            doubts,
            is_further=bool(wanted.in_addition_to),
            is_above_pin_limit=await self._is_above_pin_limit(wanted),
            outside_policy=None if judged is None else judged.needs,
        )
        return Gathered(case, records, order, doubts, needed, judged)

    def _shown_under_another(
        self, wish: Wish | None, digest: str, wanted: Wanted, caller: Caller
    ) -> ClawverError | None:
        """Why this server can't go on with what was shown: another one has another refund policy.

        Args:
            wish: What was shown; None where nothing was.
            digest: Of the policy of this server; nothing where it has none.
            wanted: What the call wants.
            caller: Who called.
        """
        if wish is None or wish.status != "waiting" or not self._settings.has_database:
            return None
        goes_on = wanted.confirmed_revision is not None or caller.answered == wish.refund_id
        if not goes_on or wish.policy == digest:
            return None
        return RefusedError(
            f"The refund {wish.refund_id} was shown under {_named(wish.policy)}, and this server has {_named(digest)}.",
            next_step="A person must give all servers of this store the same file in CLAWVER_REFUND_POLICY. Then "
            "call refund_order: it shows the refund again.",
        )

    async def _is_above_pin_limit(self, wanted: Wanted) -> bool:
        """Whether it is too much without the PIN, with all that was sent without it."""
        limit = self._settings.refund_pin_above_in_cents
        if limit is None:
            return False
        sent = await self._ledger.sent_without_pin_in_cents(wanted.order_id)
        return sent + wanted.amount_in_cents > limit

    def permission(
        self,
        wish: Wish,
        records: OrderRecords,
        before: OrderRecords,
        wanted: Wanted,
        caller: Caller,
        heard: Heard | None,
    ) -> Permission:
        """What is known of who may let a wish go.

        Args:
            wish: The wish, in its current revision.
            records: What the ledger knows of its order.
            before: What it knew before this call noted what it wants.
            wanted: What the call wants.
            caller: Who called.
            heard: The answer that came with the call, or to its own question.
        """
        now = self._ledger.now()
        counts = heard is not None and _is_about(heard, wish, now, caller)
        stale = heard if heard is not None and not counts else None
        return Permission(
            wish=wish,
            is_person=caller.is_person,
            can_ask=caller.can_ask,
            grade=caller.grade,
            named_other_revision=wanted.confirmed_revision not in {None, wish.revision},
            confirmed=self._is_confirmed(before, wish, wanted),
            reply=heard.reply if heard is not None and counts else None,
            dismissed_another=stale is not None and stale.reply not in {Reply.YES, Reply.HOST_YES},
            asked_in_vain=stale is not None and stale.inline,
            only_terminal_asks=is_declined_often(records, now),
            stands=asking(wish, now),
            asked_about_another=self._being_asked(records.wishes, caller),
        )

    def _declined(self, wish: Wish | None, records: OrderRecords) -> Wish | None:
        """The wish, where a decline of the last 24 hours is the last word about it."""
        if wish is None:
            return None
        recent = recent_declines(wish, records, self._ledger.now())
        return wish if recent and recent[-1] == wish.decisions[-1] else None

    def _is_confirmed(self, before: OrderRecords, wish: Wish, wanted: Wanted) -> bool:
        """Whether the call confirms what is current, and that was shown a short time ago."""
        shown = next((w for w in before.wishes if w.refund_id == wish.refund_id), None)
        if shown is None or not wanted.confirmed_revision == shown.revision == wish.revision:
            return False
        age = seconds_at_most(shown.previewed, self._ledger.now())
        return age < LIFETIME.total_seconds()

    def _being_asked(self, wishes: Sequence[Wish], caller: Caller) -> Wish | None:
        """One of these about which a person is being asked through another call."""
        if _decides(caller) or self._settings.refund_grade == "setting":
            return None
        now = self._ledger.now()
        opened = (w for w in wishes if w.status == "waiting" and asking(w, now) is Asking.OPEN)
        return next(opened, None)


def _named(digest: str) -> str:
    """A refund policy, as a sentence names it."""
    return f"the refund policy {digest}" if digest else "no refund policy"


def _decides(caller: Caller) -> bool:
    """Whether a person is at the other end, and not a program in their place."""
    return caller.is_person and suffices(caller.grade, "chat")


def _is_about(heard: Heard, wish: Wish, now: Instant, caller: Caller) -> bool:
    """Whether an answer is to a question about the current revision, and came in time."""
    lifetime = WAITS if caller.is_person else LIFETIME
    return heard.revision == wish.revision and any(
        question.number == heard.number
        and seconds_at_most(question.asked, now) < lifetime.total_seconds()
        for question in wish.questions
    )


def _impossible(order: Order, amount_in_cents: int) -> ClawverError | None:
    """Why the order does not allow it; None where it does."""
    try:
        check_possible(order, amount_in_cents)
    except ClawverError as error:
        return error
    return None
