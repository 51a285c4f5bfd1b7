"""The refund desk: who may have how much back, who is asked, and what is answered.

Each refund is an intent in the ledger before anything moves. One process at a time works on an
order, and it holds the order's lock from reading its refunds until it has noted what became of
the request. A request whose answer is lost is never sent again: the order is read until it
lists the refund, or until it has had time enough to do so and does not.

A call for an amount that the order already carries, or that was tried before and is not
accounted for, is taken for a repeat of that: agents and hosts repeat themselves, and they
rephrase their reasons. Who means a further one names all the earlier ones.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal

from clawver_orders.caller import BY_PROGRAM, Caller, Question, Reply
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import (
    NO_MONEY_MOVED,
    NOTHING_SENT,
    ClawverError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SetupError,
)
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.approvals import (
    ANSWERED,
    ASKED,
    BY_PERSON,
    SHOWN,
    Asking,
    answer_detail,
    answered_by_program,
    asking,
    question,
)
from clawver_orders.refunds.ledger import (
    BY_AGENT,
    BY_SETTING,
    DailyLimitError,
    Intent,
    Ledger,
    LedgerEvent,
    Moment,
    MovedOnError,
    Trace,
)
from clawver_orders.refunds.matching import (
    Earlier,
    check_possible,
    earlier_of,
    listed,
    payment_of,
    surplus_beside,
)
from clawver_orders.refunds.order_locks import OrderBusyError, OrderLocks
from clawver_orders.refunds.settlement import (
    BOUNDS,
    Bounds,
    Settling,
    off_thread,
    said_first,
)
from clawver_orders.settings import Settings

log = logging.getLogger(__name__)

ASK_THE_MERCHANT = "Tell the merchant: whatever is to follow cannot be done here ({because})."

RefundStatus = Literal[
    "refunded",
    "already_refunded",
    "needs_confirmation",
    "declined",
    "unknown",
    "not_recorded",
    "busy",
]
Approver = Literal["agent", "person"]


@dataclass(frozen=True)
class Outcome:
    """What became of a call."""

    status: RefundStatus
    order_id: str
    amount_in_cents: int | None
    """None where an order is busy with something that is not noted yet."""
    intent: Intent | None = None
    order: Order | None = None
    """The order as last read, where it was read."""
    refund: Refund | None = None
    """The refund of Clawver that the outcome is about, where it was seen."""
    earlier: tuple[str, ...] = ()
    """All that a further refund of this amount has to name; of a preview, what it named itself."""
    surplus: tuple[str, ...] = ()
    """Further new refunds of the same amount: the request was delivered more than once."""
    surplus_beside: tuple[str, ...] = ()
    """Such refunds of another amount on the same order, which nobody asked about now."""
    check_after_seconds: int | None = None
    approver: Approver = "agent"
    """Who has to approve it, where it needs confirmation."""
    unwritten: bool = False
    """Whether the ledger could not take down what happened."""
    is_put_aside: bool = False
    """Whether a person was asked about it and has said neither yes nor no."""
    only_in_terminal: bool = False
    """Whether the same call again would change nothing, so that the person needs another way."""


class RefundDesk:
    """Gives money back, once for each intent.

    Args:
        clawver: The store.
        ledger: Where every intent is noted.
        locks: One for each order.
        settings: Limits, approval, and how long to wait for a refund to show.
        store: What a person calls this store.
        masking: How customers are shown to whoever is asked.
        moment: The current time.
        bounds: How long each part of a call may take.
    """

    def __init__(
        self,
        clawver: Clawver,
        ledger: Ledger,
        locks: OrderLocks,
        settings: Settings,
        *,
        store: str,
        masking: Masking,
        moment: Callable[[], Moment],
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._settling = Settling(clawver, ledger, settings, moment, bounds)
        self._ledger = ledger
        self._locks = locks
        self._settings = settings
        self._store = store
        self._masking = masking
        self._moment = moment
        self._bounds = bounds

    # What can be asked of the desk.

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
            ClawverError: Nothing was sent, or Clawver refused. No money was moved.
        """
        if (declined := await self._declined_through(caller)) is not None:
            return declined
        return await self._refund(order_id, amount_in_cents, reason, in_addition_to, caller)

    async def confirm(self, refund_id: str, caller: Caller) -> Outcome:
        """Go on with a preview: ask the person, or take the agent's word where that is enough.

        Args:
            refund_id: The intent.
            caller: Who called.

        Raises:
            ClawverError: There is no such intent, it cannot be approved any more, or Clawver refused.
        """
        if (declined := await self._declined_through(caller)) is not None:
            return declined
        intent = await self._known(refund_id)
        if caller.answered not in {None, refund_id}:  # the person saw what took its place
            intent = await self._known(caller.answered)
        if intent.state != "previewed":
            return await self._look_at(intent)
        return await self._refund(
            intent.order_id,
            intent.amount_in_cents,
            intent.reason,
            intent.in_addition_to,
            caller,
            confirmed=intent,
        )

    async def approve(self, refund_id: str, caller: Caller) -> Outcome:
        """Let a person decide about an intent, whatever became of it before.

        One that was declined, has expired, failed or is not accounted for is previewed anew, on top
        of what it was on top of, of itself where it may still count, and of other wordings that
        were declined. Whatever else there is of
        its amount came meanwhile: then this is a repeat, as from anybody else.

        Args:
            refund_id: The intent.
            caller: Through whom the person is asked.

        Raises:
            ClawverError: There is no such intent, or the refund is not possible.
        """
        intent = await self._known(refund_id)
        if intent.is_open or intent.state == "confirmed":
            return await self._look_at(intent)
        with said_first(NOTHING_SENT):
            intents = await off_thread(self._ledger.of_order, intent.order_id)
        stand = [
            each.refund_id
            for each in intents
            if each.amount_in_cents == intent.amount_in_cents
            and each.in_addition_to == intent.in_addition_to
            and (each.state == "declined" or _was_declined(each))
        ]
        if intent.state == "absent":
            stand.append(intent.refund_id)
        return await self._refund(
            intent.order_id,
            intent.amount_in_cents,
            intent.reason,
            (*intent.in_addition_to, *stand),
            caller,
        )

    async def decline(self, refund_id: str, trace: Trace) -> Outcome:
        """A person says no, out of band.

        Raises:
            ClawverError: There is no such intent, or it is too late.
        """
        intent = await self._known(refund_id)
        went = await self._sent_since(intent)
        if went is not None:  # it is too late, and a no to an id that is long settled says nothing
            return self._settled(went, None)
        intent = await self._settling.write(lambda now: self._ledger.decline(refund_id, now, trace))
        if intent.state in {"declined", "failed"}:
            return await self._look_after_a_no(intent)
        raise RefusedError(
            f"Refund {refund_id} can no longer be declined: it is {intent.state}.",
            next_step=f"See what happened with: clawver-orders refunds show {refund_id}.",
        )

    async def check(self, refund_id: str = "", order_id: str = "") -> Outcome:
        """Find out what became of a refund. Nothing is sent.

        Args:
            refund_id: The intent; or
            order_id: the order, for the one that is open or else the latest that has not
                expired, by when it was sent, or previewed where it never was.

        Raises:
            ClawverError: There is none, or it was refused, or expired: no money was moved.
        """
        if refund_id:
            return await self._look_at(await self._known(refund_id))
        with said_first(NOTHING_SENT):
            intents = await off_thread(self._ledger.of_order, order_id)
            if not intents:
                raise NotFoundError(
                    f"This machine's ledger holds no refund of order {order_id}.",
                    next_step=f"Call get_order with order_id {order_id} to see what Clawver lists.",
                )
        now = self._moment().at
        opened = [intent for intent in intents if intent.is_open]
        # One that was refused is told as that, and not passed over for an earlier one that was not.
        stand = [
            intent
            for intent in intents
            if intent.state != "expired"
            and (intent.state != "previewed" or now < intent.expires_at)
        ]
        return await self._look_at(
            max(
                reversed(opened or stand or intents),
                key=lambda intent: intent.sent_at or intent.created_at,
            )
        )

    async def open_refunds(self, order_id: str = "") -> tuple[Intent, ...] | None:
        """The refunds whose money may be on its way: of one order, or of all of them.

        Nothing is asked of the store.

        Returns:
            They, newest first; None where the ledger cannot be read: orders are read beside a
            damaged one, and who then wants a refund is told of it.
        """
        if not self._ledger.exists:
            return ()
        try:
            return await off_thread(self._ledger.all_open, order_id)
        except ClawverError as error:
            log.warning("open refunds could not be read: %s", type(error).__name__)
            return None

    async def recover(self) -> None:
        """Look once for every refund that another process left open. Never raises."""
        try:
            opened = await off_thread(self._ledger.all_open)
        except ClawverError as error:
            log.warning("open refunds could not be looked up: %s", type(error).__name__)
            return
        for intent in opened:
            await self._recover(intent)

    async def _recover(self, intent: Intent) -> None:
        try:
            async with self._locks.held(intent.order_id, 0):
                await self._settling.settle(await self._settling.read(intent.order_id, urgent=True))
        except OrderBusyError:
            pass  # its owner is alive and at it
        except Exception as error:  # noqa: BLE001  # in the background, nothing may end the server
            log.warning(
                "refund %s could not be looked up: %s", intent.refund_id, type(error).__name__
            )

    # From a wish to a preview, and from an approval to a request.

    async def _refund(
        self,
        order_id: str,
        amount_in_cents: int,
        reason: str,
        in_addition_to: Sequence[str],
        caller: Caller,
        *,
        confirmed: Intent | None = None,
    ) -> Outcome:
        """Preview, and send where that is approved already; otherwise ask, and then send."""
        if self._settings.read_only:
            raise SetupError(
                "CLAWVER_READ_ONLY is set.",
                fact=NO_MONEY_MOVED,
                next_step="A person can unset CLAWVER_READ_ONLY where this is configured.",
            )
        trace = Trace(caller.client)
        async with self._alone_with(order_id) as busy:
            if busy is not None:
                return busy
            examined = await self._examine(order_id, amount_in_cents, in_addition_to)
            if isinstance(examined, Outcome):
                return examined
            order, earlier = examined
            other = await self._being_asked(order_id, amount_in_cents, caller)
            if other is not None:
                return self._outcome("busy", other, order=order)
            is_confirmed = confirmed is not None and await self._holds(
                confirmed, earlier, order, trace
            )
            if confirmed is not None and is_confirmed:
                intent = confirmed
            else:
                intent = await self._settling.write(
                    lambda now: self._ledger.preview(
                        order_id, amount_in_cents, reason, in_addition_to, payment_of(order),
                        earlier.needs_person, now, trace, order.sandbox,
                    )
                )  # fmt: skip
            if confirmed is not None and not is_confirmed and not caller.can_ask:
                return self._unconfirmed(intent, order)  # it was not this that was confirmed
            outcome, approved_by = await self._approval(
                intent, order, caller, confirmed=is_confirmed
            )
            if approved_by:
                return await self._send(intent, order, Trace(caller.client, approved_by))
            if outcome is not None:
                return outcome
            number = await self._settling.write(
                lambda now: self._ledger.note(intent.refund_id, ASKED, now, trace)
            )
        asked = self._question(intent, order, earlier, number)
        return await self._ask(intent, asked, order, caller, confirmed=is_confirmed)

    async def _approval(
        self, intent: Intent, order: Order, caller: Caller, *, confirmed: bool
    ) -> tuple[Outcome | None, str]:
        """What is decided without asking: an outcome, or who approved; neither where a person is asked."""
        reply = await self._reply(caller, intent.refund_id)
        if reply is not None:
            number = caller.answered_number
            return await self._heard(intent, order, caller, reply, number, confirmed=confirmed)
        if caller.is_person:
            return None, ""
        mode = self._settings.refund_approval
        if mode == "off":
            return None, BY_SETTING
        stands = await self._asking(intent)
        if (aside := await self._another_aside(caller)) is not None:
            return self._put_aside(self._unconfirmed(intent, order), aside, confirmed=False), ""
        if stands is not Asking.IN_VAIN and caller.can_ask:
            return None, ""
        if self._only_a_person(intent):
            return self._unconfirmed(intent, order), ""
        # Whoever goes on without the person has to show it first.
        if stands in {Asking.OPEN, Asking.UNANSWERED}:
            trace = Trace(caller.client)
            await self._settling.write(
                lambda now: self._ledger.note(intent.refund_id, SHOWN, now, trace)
            )
        elif confirmed:
            return await self._by_agent(intent, caller)
        return self._unconfirmed(intent, order), ""

    def _only_a_person(self, intent: Intent) -> bool:
        """Whether an agent's word is not enough for it."""
        return self._settings.refund_approval == "human" or intent.needs_person

    async def _by_agent(self, intent: Intent, caller: Caller) -> tuple[Outcome | None, str]:
        """An agent's word, where that is enough.

        A no reaches every amount, so an answer that may be one is waited for.
        """
        other = await self._being_asked(intent.order_id, None, caller)
        return (None, BY_AGENT) if other is None else (self._outcome("busy", other), "")

    async def _reply(self, caller: Caller, about: str) -> Reply | None:
        """The answer that a call brought along.

        A program that answered a question by itself gives no person's answer to it any more, however
        late it brings the same along again.
        """
        reply = caller.reply_to(about)
        if reply is None or not answered_by_program(
            await self._history(about), caller.answered_number
        ):
            return reply
        return reply.after(0.0)

    async def _history(self, refund_id: str) -> tuple[LedgerEvent, ...]:
        with said_first(NOTHING_SENT):
            return await off_thread(self._ledger.history, refund_id)

    async def _another_aside(self, caller: Caller) -> Reply | None:
        """How the call put aside what it asked before, where it did: then it gets no other question."""
        asked = caller.answered
        reply = None if asked is None else await self._reply(caller, asked)
        return None if reply in {Reply.YES, Reply.HOST_YES} else reply

    @staticmethod
    def _put_aside(outcome: Outcome, reply: Reply, *, confirmed: bool) -> Outcome:
        """An outcome after an answer that is neither a person's yes nor their no.

        Args:
            outcome: How the refund stands.
            reply: The answer.
            confirmed: Whether the call already was the confirmation that is asked for otherwise.
        """
        is_put_aside = reply not in {Reply.NO, Reply.FAILED}
        only_in_terminal = reply in BY_PROGRAM or (confirmed and is_put_aside)
        return replace(outcome, is_put_aside=is_put_aside, only_in_terminal=only_in_terminal)

    async def _being_asked(
        self, order_id: str, amount_in_cents: int | None, caller: Caller
    ) -> Intent | None:
        """The preview of this amount, or of any, about which a person is asked through another call.

        Another wording, or a payment that changed, must not take its place before they answered.
        """
        if caller.is_person or self._settings.refund_approval == "off":
            return None
        with said_first(NOTHING_SENT):
            intents = await off_thread(self._ledger.of_order, order_id)
        for intent in intents:
            alike = amount_in_cents in {None, intent.amount_in_cents}
            same = intent.state == "previewed" and alike
            if caller.reply_to(intent.refund_id) is not None:
                continue  # they answered, with this call
            if same and await self._asking(intent) is Asking.OPEN:
                return intent
        return None

    async def _asking(self, intent: Intent) -> Asking:
        """How the asking for a preview stands, through whichever program it was."""
        history = await self._history(intent.refund_id)
        asked = [event.at for event in history if event.event == ASKED]
        since = (self._moment().at - asked[-1]).total_seconds() if asked else 0.0
        return asking(history, since)

    async def _ask(
        self,
        intent: Intent,
        question: Question,
        order: Order,
        caller: Caller,
        *,
        confirmed: bool,
    ) -> Outcome:
        """Put the question to the person, without the lock: they may take their time."""
        reply = await caller.ask(question)
        outcome, approved_by = await self._heard(
            intent, order, caller, reply, question.number, confirmed=confirmed
        )
        if outcome is not None:
            return outcome
        async with self._alone_with(intent.order_id) as busy:
            if busy is not None:
                return busy
            intent = await self._known(intent.refund_id)
            trace = Trace(caller.client, approved_by)
            examined = await self._examine(
                intent.order_id, intent.amount_in_cents, intent.in_addition_to
            )
            if isinstance(examined, Outcome):
                return examined
            order, earlier = examined
            if approved_by == BY_AGENT:  # somebody may be asked by now about another amount
                other, _ = await self._by_agent(intent, caller)
                if other is not None:
                    return other
            if approved_by == BY_AGENT and earlier.needs_person:  # they said no meanwhile
                return self._put_aside(
                    replace(self._unconfirmed(intent, order), approver="person"), reply,
                    confirmed=confirmed,
                )  # fmt: skip
            if intent.state != "previewed" or not await self._is_fresh(intent, order, trace):
                raise RefusedError(
                    f"order {intent.order_id} changed, or the preview expired, while the person was asked.",
                    fact=NO_MONEY_MOVED,
                    next_step="Call refund_order again with the same values, so that the person sees "
                    "how it stands now.",
                )
            return await self._send(intent, order, trace)

    async def _declined_through(self, caller: Caller) -> Outcome | None:
        """The no that a call brought along, whatever became of its question meanwhile."""
        asked = caller.answered
        if asked is None or await self._reply(caller, asked) is not Reply.NO:
            return None
        intent, number = await self._known(asked), caller.answered_number
        outcome, _ = await self._heard(intent, None, caller, Reply.NO, number, confirmed=False)
        return outcome

    async def _heard(
        self,
        intent: Intent,
        order: Order | None,
        caller: Caller,
        reply: Reply,
        number: int,
        *,
        confirmed: bool,
    ) -> tuple[Outcome | None, str]:
        """Note an answer to a question: who approved, or the outcome of not approving."""
        trace = Trace(caller.client, caller.person if reply in BY_PERSON else "")
        detail = answer_detail(reply, number, caller.answered_after_seconds)
        await self._settling.write(
            lambda now: self._ledger.note(intent.refund_id, ANSWERED, now, trace, detail)
        )
        if reply is Reply.YES:
            return None, caller.person
        if reply is Reply.HOST_YES and not self._only_a_person(intent):
            return await self._by_agent(intent, caller)
        if reply is Reply.NO:
            went = await self._sent_since(intent)
            if went is None or not went.approved:  # nothing a person approved is undone by this
                asked = intent.refund_id
                intent = await self._settling.write(
                    lambda now: self._ledger.decline(asked, now, trace)
                )
            if went is not None:
                return self._settled(went, order), ""
            if intent.state == "failed":
                return await self._look_after_a_no(intent), ""
        outcome = self._settled(await self._known(intent.refund_id), order)
        return self._put_aside(outcome, reply, confirmed=confirmed), ""

    async def _look_after_a_no(self, intent: Intent) -> Outcome:
        """How it stands: what was refused may have landed all the same, and the no is noted anyway."""
        outcome = await self._look_at(intent)
        return self._settled(intent, None) if outcome.status == "busy" else outcome

    async def _sent_since(self, intent: Intent) -> Intent | None:
        """What was sent of the same amount under another id since: reworded, approved anew, or more."""
        with said_first(NOTHING_SENT):
            intents = await off_thread(self._ledger.of_order, intent.order_id)
        # By their place in the ledger: a preview ends those of its amount before it, and clocks are set.
        later = intents[[each.refund_id for each in intents].index(intent.refund_id) + 1 :]
        went = [
            other
            for other in later
            if other.amount_in_cents == intent.amount_in_cents
            and (other.is_open or other.state in {"confirmed", "absent"})
        ]
        return went[-1] if went else None

    def _question(self, intent: Intent, order: Order, earlier: Earlier, number: int) -> Question:
        return question(
            intent,
            order,
            earlier.doubts,
            number,
            store=self._store,
            customer=self._masking.email(order.customer_email),
            reason=self._masking.words(intent.reason, order),
        )

    async def _examine(
        self,
        order_id: str,
        amount_in_cents: int,
        in_addition_to: Sequence[str],
    ) -> tuple[Order, Earlier] | Outcome:
        """Read the order, settle what is open, and see whether the call repeats something.

        A repeat is told as one even where the order cannot be read: "no money was moved" would be
        taken as the answer to the earlier call. Where the ledger cannot be read, nobody knows
        whether it is a repeat, and all that is said is that nothing was sent.

        Raises:
            ClawverError: The refund is not possible; no money was moved.
        """
        read = await self._settling.read_or_error(order_id)
        order = read if isinstance(read, Order) else None
        with said_first(NOTHING_SENT):
            intents = (
                await off_thread(self._ledger.of_order, order_id)
                if order is None
                else await self._settling.settle(order)
            )
        opened = next((intent for intent in intents if intent.is_open), None)
        earlier = earlier_of(order, intents, amount_in_cents)
        if opened is not None:
            status: RefundStatus = (
                "unknown" if opened.amount_in_cents == amount_in_cents else "busy"
            )
            return self._outcome(status, opened, order=order)
        named = set(in_addition_to)
        if earlier.names and named != set(earlier.names):
            return self._repeat(order_id, order, intents, amount_in_cents, earlier, named)
        if not isinstance(read, Order):
            read.begin_with(NO_MONEY_MOVED)
            raise read
        if named and not earlier.names:
            raise InvalidRequestError(
                f"{order_id} carries no refund of {display(amount_in_cents)} that this one could be in "
                "addition to.",
                fact=NO_MONEY_MOVED,
                next_step="Leave in_addition_to out, or read the refunds with get_order.",
            )
        self._check_amount(amount_in_cents)
        check_possible(read, amount_in_cents)
        with said_first(NOTHING_SENT):
            spent = await off_thread(self._ledger.spent_in_cents, self._moment())
        self._check_day(spent, amount_in_cents)
        return read, earlier

    def _repeat(
        self,
        order_id: str,
        order: Order | None,
        intents: Sequence[Intent],
        amount_in_cents: int,
        earlier: Earlier,
        named: set[str],
    ) -> Outcome:
        """The answer to a call that was presumably made before.

        A call that names every refund and not every attempt repeats the attempt: taking it for a
        repeat of a refund would tell a further one as done that never was.
        """
        if earlier.refunds and not (earlier.attempts and named.issuperset(earlier.refunds)):
            last = earlier.refunds[-1]
            return Outcome(
                "already_refunded",
                order_id,
                amount_in_cents,
                intent=next((i for i in intents if i.clawver_refund_id == last), None),
                order=order,
                refund=listed(order, last),
                earlier=earlier.names,
            )
        attempt = earlier.attempts[-1]
        status: RefundStatus = "not_recorded" if attempt.state == "absent" else "declined"
        return self._outcome(status, attempt, order=order, earlier=earlier.names)

    async def _holds(self, confirmed: Intent, earlier: Earlier, order: Order, trace: Trace) -> bool:
        """Whether what was confirmed is still to be decided, and by whom it was when it was shown."""
        now = await self._known(confirmed.refund_id)
        is_off = self._settings.refund_approval == "off"
        decided_alike = is_off or now.needs_person or not earlier.needs_person
        return (
            now.state == "previewed" and decided_alike and await self._is_fresh(now, order, trace)
        )

    async def _is_fresh(self, intent: Intent, order: Order, trace: Trace) -> bool:
        """Whether a preview still shows how things are; one that does not can never be approved."""
        now = self._moment()
        if intent.seen == payment_of(order) and now.at < intent.expires_at:
            return True
        with suppress(MovedOnError):  # it was settled otherwise
            why = "the order changed, or nobody said yes in time"
            await self._settling.write(
                lambda now: self._ledger.expire(intent.refund_id, why, now, trace)
            )
        return False

    async def _send(self, intent: Intent, order: Order, trace: Trace) -> Outcome:
        try:
            sent = await self._settling.send(intent, order, trace)
        except DailyLimitError as error:
            raise self._over_the_day(error.spent_in_cents, intent.amount_in_cents) from error
        except MovedOnError:
            return self._settled(await self._known(intent.refund_id), order)
        outcome = self._settled(sent.intent, sent.order, unwritten=not sent.is_written)
        return replace(outcome, surplus_beside=sent.surplus_beside)

    async def _look_at(self, intent: Intent) -> Outcome:
        """Read the order of an intent, or of what was sent in its place, and settle what can be."""
        if intent.state in {"expired", "declined"}:
            intent = await self._sent_since(intent) or intent
        refused = intent.state == "failed" and not self._settling.was_refused_just_now(intent)
        if refused or intent.state in {"expired", "declined", "previewed"}:
            settled = self._settled(intent, None)
            if intent.state != "previewed":
                return settled
            stands = await self._asking(intent)
            if stands is Asking.OPEN:
                return self._outcome("busy", intent)
            own = answered_by_program(await self._history(intent.refund_id))
            return replace(settled, is_put_aside=stands is Asking.UNANSWERED, only_in_terminal=own)
        async with self._alone_with(intent.order_id) as busy:
            if busy is not None:
                return self._outcome("busy", intent)
            order = await self._settling.look(intent.order_id)
            intents = () if order is None else await self._settling.settle(order)
            outcome = self._settled(await self._known(intent.refund_id), order)
            return replace(outcome, surplus_beside=surplus_beside(intent, intents))

    # Turning what is known into an outcome.

    def _settled(self, intent: Intent, order: Order | None, *, unwritten: bool = False) -> Outcome:
        """How an intent stands.

        Raises:
            RefusedError: It failed or expired: no money was moved.
        """
        if intent.state == "previewed" and self._moment().at < intent.expires_at:
            return self._unconfirmed(intent, order)
        if _was_declined(intent):
            return self._outcome("declined", intent, order=order)
        if intent.state in {"failed", "expired", "previewed"}:
            why = (
                "Clawver refused it, or the request never left"
                if intent.state == "failed"
                else "it was not approved in time, or the order changed, or another preview took its place"
            )
            earlier = ", ".join(f'"{name}"' for name in intent.in_addition_to)
            again = (
                f"If it is still wanted, call refund_order again with order_id {intent.order_id} and "
                f"amount_in_cents {intent.amount_in_cents}"
                f"{f' and in_addition_to [{earlier}]' if earlier else ''}."
            )
            because = self._settings.read_only_because
            raise RefusedError(
                f"{why}.",
                fact=f"{NO_MONEY_MOVED} by refund {intent.refund_id} of {display(intent.amount_in_cents)}",
                next_step=ASK_THE_MERCHANT.format(because=because) if because else again,
            )
        status: RefundStatus = {
            "confirmed": "refunded",
            "absent": "not_recorded",
            "declined": "declined",
        }.get(intent.state, "unknown")  # type: ignore[assignment]  # of a mapping to statuses
        return self._outcome(status, intent, order=order, unwritten=unwritten)

    def _unconfirmed(self, intent: Intent, order: Order | None) -> Outcome:
        return self._outcome(
            "needs_confirmation",
            intent,
            order=order,
            approver="person" if self._only_a_person(intent) else "agent",
        )

    def _outcome(
        self,
        status: RefundStatus,
        intent: Intent,
        *,
        order: Order | None = None,
        earlier: tuple[str, ...] = (),
        approver: Approver = "agent",
        unwritten: bool = False,
    ) -> Outcome:
        if not earlier:
            if status == "refunded" and intent.clawver_refund_id:
                refunds = order.refunds or () if order is not None else ()
                same = [r.id for r in refunds if r.amount_in_cents == intent.amount_in_cents]
                earlier = tuple(dict.fromkeys([*same, intent.clawver_refund_id]))
            elif status in {"declined", "not_recorded"}:
                earlier = (*intent.in_addition_to, intent.refund_id)
            elif status == "needs_confirmation":
                earlier = intent.in_addition_to
        return Outcome(
            status,
            intent.order_id,
            intent.amount_in_cents,
            intent=intent,
            order=order,
            refund=listed(order, intent.clawver_refund_id),
            earlier=earlier,
            surplus=intent.surplus,
            check_after_seconds=self._settling.check_after(intent)
            if status in {"unknown", "busy"}
            else None,
            approver=approver,
            unwritten=unwritten,
        )

    # Small things that everything above needs.

    @asynccontextmanager
    async def _alone_with(self, order_id: str) -> AsyncIterator[Outcome | None]:
        """The order's lock; or, where somebody else keeps it, what to answer instead."""
        held: AbstractAsyncContextManager[None] = self._locks.held(order_id, self._bounds.lock)
        try:
            with said_first(NOTHING_SENT):
                await held.__aenter__()
        except OrderBusyError:
            yield await self._busy(order_id)
            return
        try:
            yield None
        finally:
            await held.__aexit__(None, None, None)

    async def _busy(self, order_id: str) -> Outcome:
        with said_first(NOTHING_SENT):
            intents = await off_thread(self._ledger.of_order, order_id)
        opened = next((intent for intent in intents if intent.is_open), None)
        if opened is not None:
            return self._outcome("busy", opened)
        return Outcome("busy", order_id, None, check_after_seconds=5)

    async def _known(self, refund_id: str) -> Intent:
        with said_first(NOTHING_SENT):
            intent = await off_thread(self._ledger.find, refund_id)
            if intent is None:
                raise NotFoundError(
                    f"This machine's ledger for this store holds no refund {refund_id}.",
                    next_step="Copy the refund_id from the answer that gave it, or call check_refund with "
                    "the order_id instead.",
                )
        return intent

    def _check_amount(self, amount_in_cents: int) -> None:
        limit = self._settings.refund_limit_in_cents
        if amount_in_cents > limit:
            raise RefusedError(
                f"{display(amount_in_cents)} ({amount_in_cents} cents) is above "
                f"the limit of {display(limit)} ({limit} cents) for a single refund.",
                fact=NO_MONEY_MOVED,
                next_step="Ask a person: only they can raise CLAWVER_REFUND_LIMIT_CENTS.",
            )

    def _check_day(self, spent_in_cents: int, amount_in_cents: int) -> None:
        if spent_in_cents + amount_in_cents > self._settings.refund_daily_limit_in_cents:
            raise self._over_the_day(spent_in_cents, amount_in_cents)

    def _over_the_day(self, spent_in_cents: int, amount_in_cents: int) -> RefusedError:
        limit = self._settings.refund_daily_limit_in_cents
        return RefusedError(
            f"{display(spent_in_cents)} ({spent_in_cents} cents) went back in the "
            f"last 24 hours, and with {display(amount_in_cents)} it would be more than the limit of "
            f"{display(limit)} ({limit} cents).",
            fact=NO_MONEY_MOVED,
            next_step="Wait, or ask a person: only they can raise CLAWVER_REFUND_DAILY_LIMIT_CENTS.",
        )


def _was_declined(intent: Intent) -> bool:
    """Whether a person said no to what Clawver had refused, so that it is not tried again unasked."""
    return intent.state == "failed" and intent.doubted > 0
