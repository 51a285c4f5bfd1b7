"""What became of a call, and how it is told: the money first, then what to do."""

from dataclasses import dataclass
from typing import Literal

from clawver_orders.caller import Grade, suffices
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import (
    NO_MONEY_MOVED,
    NOTHING_SENT,
    ClawverError,
    InvalidRequestError,
    RefusedError,
)
from clawver_orders.money import display
from clawver_orders.refunds.matching import Earlier, listed
from clawver_orders.refunds.records import Wish
from clawver_orders.settings import Settings

NOT_LISTED_SO_FAR = "Clawver refused this refund, and the order does not list it so far"
"""A refusal is no proof: the request may be delivered again on the way, and take effect."""
EARLIER_MAY_LAND = f"{NOTHING_SENT} by this call, and an earlier request that Clawver refused could still take effect"

_WITH_SETTINGS = ", with this server's settings, such as CLAWVER_STATE_DIR"
"""A person's command has to find the same ledger."""

RefundStatus = Literal[
    "refunded",
    "already_refunded",
    "needs_approval",
    "declined",
    "unknown",
    "not_recorded",
    "busy",
]


@dataclass(frozen=True)
class Outcome:
    """What became of a call."""

    status: RefundStatus
    order_id: str
    amount_in_cents: int | None
    """None where an order is busy with something that is not noted yet."""
    wish: Wish | None = None
    order: Order | None = None
    """The order as last read, where it was read."""
    refund: Refund | None = None
    """The refund of Clawver that the outcome is about, where it was seen."""
    earlier: tuple[str, ...] = ()
    """All that a further refund of this amount has to name; of a preview, what it named itself."""
    unexpected_refunds: tuple[str, ...] = ()
    """Further new refunds of the same amount: the request was delivered more than once."""
    unexpected_beside: tuple[str, ...] = ()
    """Such refunds of another amount on the same order, which nobody asked about now."""
    unexplained: tuple[Refund, ...] = ()
    """New refunds on the order that may or may not be this one, where it is unknown."""
    is_overdue: bool = False
    """Whether it had all the time that it may take to show, and the order doesn't tell."""
    check_after_seconds: int | None = None
    retry_after_seconds: int | None = None
    """When the same call needs no person any more, because what was refused can't show any more."""
    unwritten: bool = False
    """Whether the ledger could not take down what happened."""
    was_dismissed: bool = False
    """Whether a person was asked about it and didn't decide."""
    asking_is_no_use: bool = False
    """Whether the same call again would change nothing, so that the person needs another way."""
    is_declined_often: bool = False
    """Whether nothing may ask about the order by itself any more: a person has to begin."""
    policy: tuple[str, ...] = ()
    """Why it is outside the merchant's refund policy, and what else that tells, a sentence each, where
    it waits for approval."""
    approve_at: str | None = None
    """The page on which it can be approved, where one is up."""
    by_card: bool = False
    """Whether a card in the chat offers to decide about it."""
    nonce: str = ""
    """What a click on that card has to bring: for the card alone, and never for a model."""
    warnings: tuple[str, ...] = ()
    """What whoever decides on that card has to hear of, a sentence each."""

    @property
    def is_in_doubt(self) -> bool:
        """Whether Clawver lists the refund by now, but not as money that went back."""
        own = self.wish.clawver_refund_id if self.wish is not None else None
        refunds = self.order.uncounted_refunds if self.order is not None else ()
        return own is not None and any(refund.id == own for refund in refunds)

    @property
    def needs(self) -> Grade | None:
        """The lowest grade of approval that suffices, where it waits for one."""
        return self.wish.grade_needed if self.wish and self.status == "needs_approval" else None


def about(
    status: RefundStatus, wish: Wish, order: Order | None = None, earlier: tuple[str, ...] = ()
) -> Outcome:
    """An outcome about a wish.

    Args:
        status: What to say of it.
        wish: The wish.
        order: Its order, where it was read.
        earlier: What a further refund of the amount has to name, where that isn't known from these.
    """
    if not earlier and status == "refunded":
        refunds = order.refunds or () if order is not None else ()
        same = [r.id for r in refunds if r.amount_in_cents == wish.amount_in_cents]
        own = wish.clawver_refund_id or wish.refund_id
        earlier = tuple(dict.fromkeys([*same, own]))
    elif not earlier and status == "not_recorded":
        earlier = (*wish.in_addition_to, wish.refund_id)
    elif not earlier and status == "needs_approval":
        earlier = wish.in_addition_to
    return Outcome(
        status,
        wish.order_id,
        wish.amount_in_cents,
        wish=wish,
        order=order,
        refund=listed(order, wish.clawver_refund_id),
        earlier=earlier,
        unexpected_refunds=_beside_the_first(wish),
    )


def repeated(earlier: Earlier, named: frozenset[str], wishes: tuple[Wish, ...], order_id: str,
             amount_in_cents: int, order: Order | None) -> Outcome:  # fmt: skip
    """The answer to a call that was presumably made before.

    A call that names every refund and not every attempt repeats the attempt: taking it for a
    repeat of a refund would tell a further one as done that never was.
    """
    if earlier.refunds and not (earlier.attempts and named.issuperset(earlier.refunds)):
        owned = {w.clawver_refund_id or w.refund_id: w for w in wishes}
        last = next((each for each in reversed(earlier.refunds) if each in owned), None)
        owner = owned[last] if last else None
        return Outcome(
            "already_refunded",
            order_id,
            amount_in_cents,
            wish=owner,
            order=order,
            refund=listed(order, last or earlier.refunds[-1]),
            earlier=earlier.names,
            unexpected_refunds=_beside_the_first(owner) if owner else (),
        )
    return about("not_recorded", earlier.attempts[-1], order, earlier.names)


def _beside_the_first(wish: Wish) -> tuple[str, ...]:
    """Refunds of the same wish that came beside the one that is told as its own."""
    return tuple(each for each in wish.unexpected_refunds if each != wish.clawver_refund_id)


# Where nothing was sent, and the call has to change.


def nothing_to_add_to(order_id: str, amount_in_cents: int) -> ClawverError:
    """The call names earlier refunds, and there are none of this amount."""
    return InvalidRequestError(
        f"{order_id} carries no refund of {display(amount_in_cents)} that this one could be in "
        "addition to.",
        fact=NO_MONEY_MOVED,
        next_step="Leave in_addition_to out, or read the refunds with get_order.",
    )


def above_limit(amount_in_cents: int, limit_in_cents: int) -> ClawverError:
    """The amount is above what a single refund may be."""
    return RefusedError(
        f"{display(amount_in_cents)} ({amount_in_cents} cents) is above "
        f"the limit of {display(limit_in_cents)} ({limit_in_cents} cents) for a single refund.",
        fact=NO_MONEY_MOVED,
        next_step="Do not split the amount. Ask a person: only they can raise CLAWVER_REFUND_LIMIT_CENTS.",
    )


def above_daily_limit(
    spent_in_cents: int, amount_in_cents: int, limit_in_cents: int
) -> ClawverError:
    """It would be too much for 24 hours."""
    return RefusedError(
        f"{display(spent_in_cents)} ({spent_in_cents} cents) was refunded, or may still be, in the "
        f"last 24 hours, and with {display(amount_in_cents)} it would be more than the limit of "
        f"{display(limit_in_cents)} ({limit_in_cents} cents).",
        fact=NO_MONEY_MOVED,
        next_step="Wait, or ask a person: only they can raise CLAWVER_REFUND_DAILY_LIMIT_CENTS.",
    )


def refused(
    wish: Wish, retry_after_seconds: int, settings: Settings, why: str = ""
) -> ClawverError:
    """Clawver refused it.

    Args:
        wish: The wish.
        retry_after_seconds: How long it may still take effect all the same; 0 where it can't any more.
        settings: Say what may follow.
        why: What Clawver said, in our words.
    """
    amount = f"{display(wish.amount_in_cents)} on order {wish.order_id} (refund {wish.refund_id})"
    if not retry_after_seconds:
        return RefusedError(
            f"Clawver refused {amount}, and the order does not list it.",
            fact=NO_MONEY_MOVED,
            next_step=_ask_the_merchant(settings)
            if settings.read_only
            else f"If it is still wanted, {_again(wish)}.",
        )
    now = (
        f"Earlier than that only if the merchant accepts that both may be paid: {_again(wish)}."
        if settings.refund_approval == "off"
        else f"Or a person approves it now, knowing that, in a terminal: {approve_command(wish, settings)}."
    )
    wait = (
        f"It could still take effect for {retry_after_seconds} seconds. Wait that long, then "
        f"{_again(wish)}: the order is read first. {now}"
    )
    said = why.replace(" Nothing was changed.", "")  # that is what nobody knows yet
    return RefusedError(
        f"{amount}. {said}".strip(),
        fact=NOT_LISTED_SO_FAR,
        next_step=_ask_the_merchant(settings) if settings.read_only else wait,
    )


def never_went(wish: Wish, settings: Settings) -> ClawverError:
    """It was not approved in time, or the connection was never made."""
    why = (
        "it was not approved in time"
        if wish.status == "expired"
        else "the connection to Clawver was never made, so the request never left"
    )
    return RefusedError(
        f"{why}.",
        fact=f"{NO_MONEY_MOVED} by refund {wish.refund_id} of {display(wish.amount_in_cents)}",
        next_step=_ask_the_merchant(settings)
        if settings.read_only
        else f"If it is still wanted, {_again(wish)}.",
    )


def _ask_the_merchant(settings: Settings) -> str:
    because = settings.read_only_because
    return f"Tell the merchant: nothing more can be done about it here ({because})."


def _again(wish: Wish) -> str:
    earlier = ", ".join(f'"{name}"' for name in wish.in_addition_to)
    named = f", in_addition_to [{earlier}]" if earlier else ""
    return (
        f"call refund_order again with order_id {wish.order_id}, amount_in_cents "
        f"{wish.amount_in_cents}{named} and a reason"
    )


# What happened, what the merchant must hear of, and what to do next.


def message(outcome: Outcome) -> str:
    """What happened, in a sentence that begins with the money."""
    order_id, wish = outcome.order_id, outcome.wish
    amount = "A refund" if outcome.amount_in_cents is None else display(outcome.amount_in_cents)
    if outcome.status == "busy":
        if wish is None:
            return f"{NOTHING_SENT}: another refund call is at work on {order_id}."
        if wish.is_open:
            return f"{NOTHING_SENT} by this call: a refund of {amount} on {order_id} is being verified."
        return f"{NOTHING_SENT}: a person is being asked about {amount} on {order_id}."
    fact = fact_about(wish)
    return {
        "refunded": f"{amount} was refunded on {order_id}.",
        "already_refunded": f"{NOTHING_SENT}: {order_id} already has a refund of {amount}.",
        "needs_approval": " ".join(
            (f"{fact}: {amount} on {order_id} waits for approval.", *outcome.policy)
        ),
        "declined": f"{fact}: a person declined the refund of {amount} on {order_id}.",
        "not_recorded": f"Clawver lists no refund of {amount} on {order_id} from the attempt that was "
        "made, though there was time enough for it to show.",
        "unknown": f"It is not known yet whether {amount} was refunded on {order_id}.",
    }[outcome.status]


def fact_about(wish: Wish | None) -> str:
    """What comes first about the money of a refund that waits or was declined."""
    # An earlier attempt that was refused a moment ago could still take effect.
    return NO_MONEY_MOVED if wish is None or not wish.is_provisional else NOT_LISTED_SO_FAR


def warning(outcome: Outcome) -> str | None:
    """What the merchant must hear of beside it, where there is something."""
    if outcome.is_in_doubt and outcome.wish is not None:
        return (
            f"Clawver lists {outcome.wish.clawver_refund_id} with a status other than success now: the "
            "money may not have gone back. Call get_order to see it, and tell the merchant at once."
        )
    if outcome.unexpected_refunds and outcome.wish is not None:
        own = outcome.wish.clawver_refund_id or outcome.wish.refund_id
        ids = ", ".join((own, *outcome.unexpected_refunds))
        return (
            f"{1 + len(outcome.unexpected_refunds)} refunds of this amount are new on the order: {ids}. "
            "The request was delivered more than once on the way, an attempt that was `not_recorded` or refused "
            "took effect late, or somebody refunded elsewhere; tell the merchant at once."
        )
    if outcome.unexpected_beside:
        ids = ", ".join(outcome.unexpected_beside)
        return (
            f"The order has refunds of another amount that nobody asked for: {ids}. An earlier request was "
            "delivered more than once on the way, an attempt that was `not_recorded` or refused took effect late, "
            "or somebody refunded elsewhere; tell the merchant at once."
        )
    if outcome.unexplained:
        ids = ", ".join(f"{r.id} of {display(r.amount_in_cents)}" for r in outcome.unexplained)
        return (
            f"The order has new refunds that may be this one or not: {ids}. The amount, the reason or the "
            "time differs from what was sent; a person must compare."
        )
    if outcome.unwritten:
        return (
            "The refund ledger could not be written after the request was sent; tell the merchant, and "
            "run clawver-orders doctor."
        )
    return None


def next_step(outcome: Outcome, settings: Settings) -> str:
    """What to do about it."""
    order_id, cents = outcome.order_id, outcome.amount_in_cents
    further = (
        f"call refund_order with order_id {order_id}, amount_in_cents {cents}, a reason and the "
        "in_addition_to given here"
    )
    if outcome.is_in_doubt:
        return "Call get_order and tell the merchant. Promise the customer nothing yet."
    if outcome.status == "refunded":
        return "Tell the customer the amount and when it arrives. Do not call refund_order again for this."
    if outcome.status == "already_refunded":
        return (
            "If it was for the same thing, this is done. If it was for another, ask the merchant, and only if "
            f"they want a further refund of the same amount, {further}."
        )
    if outcome.status in {"unknown", "busy"}:
        return _look_later(outcome, settings)
    if settings.read_only:
        return _ask_the_merchant(settings)
    if outcome.status == "needs_approval" and outcome.wish is not None:
        return _approve(outcome, outcome.wish, settings)
    if outcome.status == "declined" and outcome.wish is not None:
        told = "it is declined" if outcome.wish.is_provisional else "nothing was sent"
        return (
            f"Tell the merchant that {told}. Do not ask again by yourself; if they want it after "
            f"all, they run in a terminal: {approve_command(outcome.wish, settings)}."
        )
    approval = "" if settings.refund_approval == "off" else "; a person has to approve it"
    return (
        "Tell the merchant that the refund does not show on the order. Only if they want to try again, "
        f"knowing that the first attempt could still show late, {further}{approval}."
    )


def _look_later(outcome: Outcome, settings: Settings) -> str:
    wish = outcome.wish
    check = f"wait {outcome.check_after_seconds} seconds, then call {_check(outcome)}"
    if outcome.unexplained and wish is not None:
        return (
            "Do not repeat refund_order. Tell the merchant. A person compares the order in Clawver's "
            f"dashboard with this refund, and then runs in a terminal: {resolve_command(wish, settings)}."
        )
    if outcome.status == "unknown":
        stuck = (
            " If the order still doesn't tell, a person looks in Clawver's dashboard, and then runs in a "
            f"terminal: {resolve_command(wish, settings)}."
            if outcome.is_overdue and wish is not None
            else ""
        )
        return f"Do not repeat refund_order. Tell the person that it is being verified, {check}.{stuck}"
    if wish is not None and not wish.is_open:
        return (
            f"Wait for their answer: {check}. If they were shown nothing, they can run in a terminal: "
            f"{approve_command(wish, settings)}."
        )
    if wish is None:
        return (
            f"Do not repeat the call yet: {check}. If that is not the refund you meant, read get_order, then "
            "call refund_order again."
        )
    return f"Do not repeat the call: {check}."


def _approve(outcome: Outcome, wish: Wish, settings: Settings) -> str:
    where = _where(outcome, wish, settings)
    if outcome.asking_is_no_use:
        return (
            "No person answered the question, and asking again here would not change that. Ask the "
            f"person to {where}. Once they have decided, call {_check(outcome)}."
        )
    if not suffices("agent", wish.grade_needed):
        wait = (
            f" Or wait {outcome.retry_after_seconds} seconds, then {_again(wish)}: what was refused can "
            "no longer take effect then."
            if outcome.retry_after_seconds
            else ""
        )
        return (
            f"{_who_approves(wish, settings)} Ask them to {where}. Once they have decided, call "
            f"{_check(outcome)}.{wait}"
        )
    instead = f" Or they {where}." if outcome.was_dismissed or outcome.by_card else ""
    if outcome.order is None:
        named = "the in_addition_to given here, " if outcome.earlier else ""
        return (
            f"For the preview call refund_order with order_id {outcome.order_id}, amount_in_cents "
            f"{outcome.amount_in_cents}, {named}and the same reason.{instead}"
        )
    return (
        "Show the merchant the preview. Only once they agree, call confirm_refund with refund_id "
        f"{wish.refund_id} and revision {wish.revision}.{instead}"
    )


def _who_approves(wish: Wish, settings: Settings) -> str:
    """Whose approval it needs, and what that has to prove."""
    if wish.grade_needed == "pin":
        return "Only the merchant can approve this one, with their PIN. It must never be typed in a chat."
    if wish.grade_needed == "console":
        return "Only a person at the merchant's machine can approve this one."
    policy = ", or the store's refund policy" if settings.refund_policy is not None else ""
    because = (
        ", because of an earlier decline, an attempt whose outcome is not certain, or a refund of the "
        f"same amount{policy}"
        if settings.refund_grade == "agent"
        else ""
    )
    return f"Only a person can approve this one{because}."


def _where(outcome: Outcome, wish: Wish, settings: Settings) -> str:
    """Where a person approves it, whatever the host can show."""
    card = "decide on the card here, or " if outcome.by_card else ""
    page = f"open {outcome.approve_at}, or " if outcome.approve_at else ""
    return f"{card}{page}run in a terminal: {approve_command(wish, settings)}"


def _check(outcome: Outcome) -> str:
    if outcome.wish is None:
        return f"check_refund with order_id {outcome.order_id}"
    return f"check_refund with refund_id {outcome.wish.refund_id}"


def approve_command(wish: Wish, settings: Settings) -> str:
    """The command of a person who approves, which has to find this ledger."""
    return f"`clawver-orders approve {wish.refund_id}{settings.option}`{_WITH_SETTINGS}"


def resolve_command(wish: Wish, settings: Settings) -> str:
    """The command of a person who says what became of it."""
    return (
        f"`clawver-orders refunds resolve {wish.refund_id} --as refunded --because TEXT{settings.option}`, or "
        f"with `--as not-refunded`{_WITH_SETTINGS}"
    )
