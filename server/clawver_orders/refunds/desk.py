"""Gives money back, once for each wish: gathers what is known, decides, and acts.

Each refund is a wish in the ledger before anything moves. One process at a time works on an
order, and it holds the order's lock from reading its refunds until it has noted what became of
the request. What becomes of a call is decided in `decision`, and worded in `outcome`.

A call for an amount that the order already carries, or of which an attempt can still appear, is taken
for a repeat of that: agents and hosts repeat themselves, and they rephrase their reasons. Who means
a further one names all the earlier ones.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from clawver_orders.caller import BY_PROGRAM, Approval, Caller, Grade, Question, Reply
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order
from clawver_orders.errors import NO_MONEY_MOVED, NOTHING_SENT, InvalidRequestError, SetupError
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds import outcome as words
from clawver_orders.refunds.approvals import (
    BY_AGENT,
    BY_SETTING,
    preview_of,
    question,
)
from clawver_orders.refunds.cards import RefundCards, again
from clawver_orders.refunds.case import About, Obstacle, Refused, Repeat, Send, Wait
from clawver_orders.refunds.decision import stands_in_the_way, who_lets_it_go
from clawver_orders.refunds.gathering import Gathered, Heard, Wanted
from clawver_orders.refunds.ledger import DailyLimitError, Ledger
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.order_locks import Locks
from clawver_orders.refunds.outcome import Outcome, about
from clawver_orders.refunds.reading import BOUNDS, Bounds
from clawver_orders.refunds.records import Actor, OrderRecords, Wish
from clawver_orders.settings import Settings


@dataclass(frozen=True)
class ToAsk:
    """A person is asked first."""

    question: Question
    order: Order


class RefundDesk(RefundCards):
    """Gives money back, once for each wish.

    Args:
        clawver: The store.
        ledger: Where every refund is noted.
        locks: One for each order.
        settings: Limits, approval, and how long to wait for a refund to show.
        store: What a person calls this store.
        still_opens: Looks whether the key still opens this store; it raises where it does not.
        masking: How customers are shown to whoever is asked.
        bounds: How long each part of a call may take.
    """

    def __init__(
        self,
        clawver: Clawver,
        ledger: Ledger,
        locks: Locks,
        settings: Settings,
        *,
        store: str,
        still_opens: Callable[[], Awaitable[None]],
        masking: Masking,
        bounds: Bounds = BOUNDS,
    ) -> None:
        super().__init__(clawver, ledger, locks, settings, bounds)
        self._store = store
        self._still_opens = still_opens
        self._masking = masking

    async def refund(
        self,
        order_id: str,
        amount_in_cents: int,
        reason: str,
        in_addition_to: Sequence[str],
        caller: Caller,
    ) -> Outcome:
        """Refund an order, as far as the settings let a call do that.

        Args:
            order_id: The order.
            amount_in_cents: Whole cents, 1 or more.
            reason: Why, for the customer and for Clawver.
            in_addition_to: All earlier refunds and attempts of this amount, when one more is meant.
            caller: Who called, and through whom a person can be asked.

        Returns:
            What happened; everything but a refusal is an outcome.

        Raises:
            ClawverError: Nothing was sent, or Clawver refused.
        """
        heard = await self._brought(caller)
        if isinstance(heard, Outcome):
            return heard
        named = tuple(sorted(set(in_addition_to)))
        return await self._go_on(Wanted(order_id, amount_in_cents, reason, named), caller, heard)

    async def confirm(self, refund_id: str, revision: int, caller: Caller) -> Outcome:
        """Go on with a preview: ask the person, or take the agent's word where that is enough.

        Args:
            refund_id: The refund.
            revision: The revision of it that the person was shown.
            caller: Who called.

        Raises:
            ClawverError: There is no such refund, it can't be approved any more, or Clawver refused.
        """
        heard = await self._brought(caller)
        if isinstance(heard, Outcome):
            return heard
        wish = await self._known(refund_id)
        if wish.status not in {"waiting", "expired"}:
            return await self._check_one(wish)
        return await self._go_on(replace(again(wish), confirmed_revision=revision), caller, heard)

    async def approve(
        self, refund_id: str, caller: Caller, amount_in_cents: int | None = None
    ) -> Outcome:
        """Let a person decide about a refund, whatever became of it before.

        One that was declined, has expired, was refused or never left waits again. One that isn't on
        the order though it was sent is a new wish on top of it.

        Args:
            refund_id: The refund.
            caller: Through whom the person is asked.
            amount_in_cents: What they approve, where that is less than what is wanted. The refund
                itself is declined then, in the same step.

        Raises:
            ClawverError: There is no such refund, the amount is more, or the refund is not possible.
        """
        wish = await self._known(refund_id)
        if wish.status in {"sending", "unknown", "refunded"}:
            return await self._check_one(wish)
        wanted = again(wish)
        if amount_in_cents is not None and amount_in_cents > wish.amount_in_cents:
            raise InvalidRequestError(
                f"{display(amount_in_cents)} is more than the {display(wish.amount_in_cents)} that are wanted.",
                fact=NO_MONEY_MOVED,
                next_step="Approve that amount or less.",
            )
        if amount_in_cents is not None and amount_in_cents < wish.amount_in_cents:
            wanted = replace(
                wanted,
                amount_in_cents=amount_in_cents,
                in_addition_to=(),
                instead_of=wish.refund_id,
            )
        elif wish.status == "not_recorded":
            wanted = replace(wanted, in_addition_to=(*wish.in_addition_to, wish.refund_id))
        return await self._go_on(wanted, caller, None)

    async def decline(self, refund_id: str, approval: Approval, client: str) -> Outcome:
        """A person declines. What was sent already is told as what it is.

        Args:
            refund_id: The refund.
            approval: Who declines, and through what.
            client: The name and version of the program.

        Raises:
            ClawverError: There is no such refund, or the ledger can't be written.
        """
        await self._known(refund_id)
        return await self._declined(await self._ledger.decline(refund_id, approval, client))

    async def _declined(self, wish: Wish) -> Outcome:
        """How a wish stands that a person has declined."""
        outcome = await self._check_one(wish)
        held = outcome.status == "busy" and wish.status == "declined"
        return about("declined", wish) if held else outcome

    # From what is wanted to a question, and from an approval to a request.

    async def _go_on(self, wanted: Wanted, caller: Caller, heard: Heard | None) -> Outcome:
        """Gather, decide and act; where a person is asked, once more with their answer."""
        if self._settings.read_only:
            raise SetupError(
                "CLAWVER_READ_ONLY is set.",
                fact=NO_MONEY_MOVED,
                next_step="A person can unset CLAWVER_READ_ONLY where this is configured.",
            )
        async with self._locked(wanted.order_id) as busy:
            if busy is not None:
                return busy
            try:
                told = await self._decide(wanted, caller, heard)
            except MovedOnError:
                return await self._busy(wanted.order_id)
        if isinstance(told, Outcome):
            return told
        asked = told.question
        reply = await caller.ask(asked)  # without the lock: they may take their time
        reply = await self._note_answer(asked.about, asked.number, reply, caller)
        if reply is Reply.NO:
            return await self._declined(await self._known(asked.about))
        if reply not in {Reply.YES, Reply.HOST_YES}:
            wish = await self._known(asked.about)
            return _dismissed(self._described(wish, told.order, None), reply, wanted)
        return await self._go_on(
            wanted, caller, Heard(reply, asked.number, asked.revision, inline=True)
        )

    async def _decide(self, wanted: Wanted, caller: Caller, heard: Heard | None) -> Outcome | ToAsk:
        gathered = await self._gatherer.gather(wanted, caller)
        obstacle = stands_in_the_way(gathered.case)
        if obstacle is not None or gathered.order is None:
            return self._obstructed(obstacle, wanted, gathered)
        order, doubts = gathered.order, gathered.doubts
        records, wish = await self._ledger.want(
            gathered.records.number,
            wanted.order_id,
            wanted.amount_in_cents,
            wanted.in_addition_to,
            wanted.reason,
            preview_of(order, doubts, gathered.grade_needed, gathered.verdict),
            Actor(caller.client),
        )
        permission = self._gatherer.permission(
            wish, records, gathered.records, wanted, caller, heard
        )
        match who_lets_it_go(permission):
            case Send(grade):
                approval = _approval(grade, caller, permission.reply, gathered)
                number = heard.number if heard and permission.reply else None
                return await self._send(
                    records, wish, order, approval, number, wanted, caller.client
                )
            case Wait(other):
                return self._waits("busy", other, order)
            case "ask":
                number = await self._ledger.ask(wish, caller.channel, Actor(caller.client))
                asked = _question(wish, order, gathered, number, self._store, self._masking)
                return ToAsk(asked, order)
            case "show again":
                await self._ledger.note_shown(wish, Actor(caller.client))
            case "show too weak":
                approval = _approval("agent", caller, permission.reply, gathered)
                await self._ledger.note_too_weak(wish, approval, caller.client)
        shown = about("needs_approval", wish, order)
        shown = replace(
            shown,
            retry_after_seconds=_retry_after_seconds(self._settings, gathered, wanted),
            is_declined_often=permission.only_terminal_asks,
            policy=() if gathered.verdict is None else gathered.verdict.told,
        )
        return shown if heard is None or (heard.inline and permission.reply is None) else (
            _dismissed(shown, heard.reply, wanted)
        )  # fmt: skip

    def _obstructed(self, obstacle: Obstacle | None, wanted: Wanted, gathered: Gathered) -> Outcome:
        """The answer to a call that something stands in the way of."""
        case, order, records = gathered.case, gathered.order, gathered.records
        match obstacle:
            case About("same in flight", wish):
                return self._described(wish, order, records)
            case About("declined", wish):
                return about("declined", wish, order)
            case About(_, wish):
                return self._waits("busy", wish, order)
            case Repeat(earlier):
                return words.repeated(
                    earlier,
                    case.named,
                    records.wishes,
                    wanted.order_id,
                    case.amount_in_cents,
                    order,
                )
            case Refused(error):
                is_sure = not any(attempt.is_provisional for attempt in records.attempts)
                error.begin_with(NO_MONEY_MOVED if is_sure else NOTHING_SENT)
                raise error
            case "nothing to add to":
                raise words.nothing_to_add_to(wanted.order_id, case.amount_in_cents)
            case "limit":
                raise words.above_limit(case.amount_in_cents, case.limit_in_cents)
        raise words.above_daily_limit(
            case.spent_in_cents, case.amount_in_cents, case.daily_limit_in_cents
        )

    async def _send(
        self,
        records: OrderRecords,
        wish: Wish,
        order: Order,
        approval: Approval,
        number: int | None,
        wanted: Wanted,
        client: str,
    ) -> Outcome:
        await self._still_opens()
        try:
            settled = await self._settlement.send(
                records, wish, order, approval, number, client, wanted.instead_of
            )
        except DailyLimitError as error:
            limit = self._settings.refund_daily_limit_in_cents
            raise words.above_daily_limit(
                error.spent_in_cents, wish.amount_in_cents, limit
            ) from error
        if settled.refusal is not None:
            seconds = self._may_take_effect_for_seconds(settled.wish, None)
            raise words.refused(
                settled.wish, seconds, self._settings, settled.refusal.happened
            ) from settled.refusal
        alone = replace(records, wishes=(settled.wish,))  # the lock keeps all others out
        outcome = self._described(settled.wish, settled.order, alone)
        return replace(
            outcome,
            unwritten=not settled.is_written,
            unexpected_beside=settled.unexpected_beside,
            unexplained=settled.unexplained,
        )

    async def _brought(self, caller: Caller) -> Heard | Outcome | None:
        """The answer that a call brought along. A decline counts whatever became of its question."""
        refund_id = caller.answered
        if refund_id is None:
            return None
        reply = caller.reply_to(refund_id)
        if reply is None:
            return None
        await self._known(refund_id)
        reply = await self._note_answer(refund_id, caller.answered_number, reply, caller)
        if reply is Reply.NO:
            return await self._declined(await self._known(refund_id))
        return Heard(reply, caller.answered_number, caller.answered_revision, inline=False)

    async def _note_answer(
        self, refund_id: str, number: int, reply: Reply, caller: Caller
    ) -> Reply:
        after, approval = caller.answered_after_seconds, _approval_of(caller)
        return await self._ledger.answer(refund_id, number, reply, after, approval, caller.client)


def _approval_of(caller: Caller) -> Approval:
    """A person's word through this caller."""
    return Approval(caller.grade, caller.channel, caller.person)


def _approval(grade: Grade, caller: Caller, reply: Reply | None, gathered: Gathered) -> Approval:
    """Whose yes lets the money go, under which policy."""
    policy = "" if gathered.verdict is None else gathered.verdict.digest
    if reply is Reply.YES:
        return replace(_approval_of(caller), policy=policy)
    if grade == "setting":
        return Approval(grade, "setting", BY_SETTING, policy)
    return Approval(grade, caller.channel if reply else "confirm_refund", BY_AGENT, policy)


def _retry_after_seconds(settings: Settings, gathered: Gathered, wanted: Wanted) -> int | None:
    """When an agent may approve again, where only what was refused keeps it from that."""
    doubts, verdict = gathered.doubts, gathered.verdict
    only_refusals = bool(doubts) and all(doubt.kind == "refused" for doubt in doubts)
    lasts = wanted.in_addition_to or (verdict is not None and verdict.rules)
    is_for_a_while = only_refusals and not lasts and gathered.grade_needed == "chat"
    if settings.refund_grade != "agent" or not is_for_a_while:
        return None
    return max(1, ceil(max(doubt.seconds_left for doubt in doubts)))


def _dismissed(outcome: Outcome, reply: Reply, wanted: Wanted) -> Outcome:
    """An outcome after an answer that is neither a person's approval nor their decline."""
    was_dismissed = reply is not Reply.FAILED
    again = wanted.confirmed_revision is not None and was_dismissed
    return replace(
        outcome, was_dismissed=was_dismissed, asking_is_no_use=reply in BY_PROGRAM or again
    )


def _question(
    wish: Wish, order: Order, gathered: Gathered, number: int, store: str, masking: Masking
) -> Question:
    """The question about a wish, with its customer shown as the merchant wants it."""
    return question(
        wish,
        order,
        gathered.doubts,
        number,
        verdict=gathered.verdict,
        store=store,
        customer=masking.email(order.customer_email),
        reason=masking.words(wish.reason, order),
    )
