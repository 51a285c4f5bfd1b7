"""Giving money back: asking for it, confirming it, finding out what became of it."""

from typing import Annotated

from pydantic import Field

from clawver_orders.caller import Caller
from clawver_orders.clawver.models import Order
from clawver_orders.errors import NO_MONEY_MOVED, NOTHING_SENT, InvalidRequestError
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.approvals import item_line
from clawver_orders.refunds.desk import ASK_THE_MERCHANT, Outcome, RefundStatus
from clawver_orders.refunds.ledger import Intent
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_orders.tools.answers import Answer, MoneyInCents, Part, Past, ago
from clawver_orders.tools.arguments import (
    AmountInCents,
    InAdditionTo,
    OrderId,
    OrderIdOrNothing,
    Reason,
    RefundId,
    RefundIdOrNothing,
)

CUSTOMER_SEES_IT = "in 1 to 5 business days, through Stripe"


class RefundPreview(Part):
    """What a person needs to know before they say yes."""

    customer: str | None = None
    items: list[str]
    reason: str
    total: str
    refundable: str
    left_after: str


class RefundAnswer(Answer):
    """What became of a refund."""

    status: Annotated[
        RefundStatus, Field(description="unknown: it may have happened; look, do not repeat.")
    ]
    message: str
    warning: str | None = None
    refund_id: str | None = Field(None, description="For confirm_refund and check_refund.")
    order_id: str
    amount_in_cents: MoneyInCents | None = None
    reason: str | None = None
    sent_at: Past | None = None
    clawver_refund_id: str | None = None
    stripe_refund_id: str | None = None
    refundable_in_cents: MoneyInCents | None = Field(None, description="What is left on the order.")
    preview: RefundPreview | None = None
    in_addition_to: list[str] = Field(
        description="What to pass as in_addition_to for a deliberate further refund of this amount; "
        "empty until it is settled. Of a preview, what it was made with."
    )
    check_after_seconds: int | None = None
    customer_sees_it: str | None = None


async def refund_order(
    services: Services,
    caller: Caller,
    order_id: OrderId,
    amount_in_cents: AmountInCents,
    reason: Reason,
    in_addition_to: InAdditionTo = [],  # noqa: B006  # a default that hosts can read; never changed
) -> RefundAnswer:
    """Give a paid order's customer money back, in full or in part. It cannot be undone and does not cancel the order.

    Use it after get_order, once the merchant has decided. For a wrong size see
    handle_wrong_size first.

    By the merchant's settings the money is sent at once, a person is asked first, or nothing
    moves and status is `needs_confirmation`: show the preview, and after their yes call
    confirm_refund or follow next_step. On `unknown` or no answer call check_refund, not this
    again; on `busy` follow next_step.

    An order that has a refund of the same amount gets no second one: status is
    `already_refunded`. For one more, pass the in_addition_to of that answer. An amount above
    what is left, or above the merchant's limits, is an error and moves nothing.
    """
    outcome = await (await services.store()).desk.refund(
        order_id, amount_in_cents, reason, in_addition_to, caller
    )
    answer = _answer(services, outcome)
    if outcome.status == "busy" and outcome.amount_in_cents not in {None, amount_in_cents}:
        wanted = f"this one of {display(amount_in_cents)}, which this call did not begin"
        again = f"refund_order again with amount_in_cents {amount_in_cents}"
        return _after_another(answer, wanted, again)
    return answer


async def confirm_refund(services: Services, caller: Caller, refund_id: RefundId) -> RefundAnswer:
    """Send a refund that refund_order previewed with status `needs_confirmation`. It cannot be undone.

    Call it only after the person saw the preview and said yes, with the refund_id of that very
    preview. To change amount or reason call refund_order again; only to look, check_refund.

    A host that can ask the person asks once more. If the preview is over 15 minutes old or the
    payment has changed, the answer is a new preview with another refund_id to show, or an
    error. Where only a person may approve, next_step says how. A refund that was sent is not
    sent again: the answer is its outcome. On `unknown` or no answer call check_refund, on
    `busy` follow next_step.
    """
    outcome = await (await services.store()).desk.confirm(refund_id, caller)
    answer = _answer(services, outcome, confirmed=refund_id)
    if outcome.status == "busy" and answer.refund_id not in {None, refund_id}:
        wanted = f"{refund_id}, which this call did not send"
        again = f"confirm_refund again with refund_id {refund_id}"
        return _after_another(answer, wanted, again)
    return answer


async def check_refund(
    services: Services, refund_id: RefundIdOrNothing = "", order_id: OrderIdOrNothing = ""
) -> RefundAnswer:
    """Find out what became of a refund by reading its order. It never sends one.

    Use it after `unknown`, `busy` or a call that never answered. For refunds made elsewhere use
    get_order.

    Give either refund_id or, if that was lost, order_id: then the open refund is taken, else
    the latest, so compare amount and sent_ago. `refunded` means that Clawver lists it. On
    `unknown` ask again after check_after_seconds. `not_recorded` means that it is not listed
    after the time allowed (15 minutes by default): tell the person before any new refund_order.
    A refund that was refused or has expired is an error: it moved no money.
    """
    if bool(refund_id) == bool(order_id):
        raise InvalidRequestError(
            "Nothing was done: give either refund_id or order_id.",
            next_step="Call check_refund again with one of them.",
        )
    answer = _answer(services, await (await services.store()).desk.check(refund_id, order_id))
    if refund_id and answer.refund_id != refund_id:
        other = f"{refund_id} itself was not sent. A refund of the same amount was sent since, as {answer.refund_id}."
        compare = "Compare its reason and sent_ago with what was meant."
        said = {
            "message": f"{other} {answer.message}",
            "next_step": f"{compare} {answer.next_step}",
        }
        answer = answer.model_copy(update=said)
    if order_id and answer.status == "refunded" and answer.sent_at:
        sent_ago = ago(answer.sent_at, services.now())
        latest = (
            f"This is the latest refund of the order that is known here, sent {sent_ago}. If "
            "another was meant, look for it among the refunds of get_order."
        )
        answer = answer.model_copy(update={"next_step": f"{latest} {answer.next_step}"})
    return answer


def _after_another(answer: RefundAnswer, wanted: str, again: str) -> RefundAnswer:
    """The answer about a refund that is in the way, and what becomes of the one that was wanted."""
    later = (
        f"That is another refund than {wanted}. When it is settled, read get_order; call {again} if it is "
        "still wanted."
    )
    return answer.model_copy(update={"next_step": f"{answer.next_step} {later}"})


def _answer(services: Services, outcome: Outcome, confirmed: str = "") -> RefundAnswer:
    intent, order, refund = outcome.intent, outcome.order, outcome.refund
    settled = outcome.status not in {"unknown", "busy"}
    left = order.refundable_in_cents if order is not None and settled else None
    cents = outcome.amount_in_cents
    sent = intent.sent_at if intent else None
    masking = services.masking
    preview = _preview(outcome, masking)
    moved = outcome.status in {"refunded", "already_refunded"}
    replaced = (
        bool(confirmed)
        and outcome.status != "busy"
        and intent is not None
        and intent.refund_id != confirmed
    )
    return RefundAnswer(
        status=outcome.status,
        message=("That preview no longer holds. " if replaced else "") + message(outcome),
        warning=warning(outcome),
        refund_id=intent.refund_id if intent else None,
        order_id=outcome.order_id,
        amount_in_cents=cents,
        reason=_reason(intent, order, masking) if preview is None else None,
        sent_at=sent,
        clawver_refund_id=refund.id if refund else (intent.clawver_refund_id if intent else None),
        stripe_refund_id=(refund.stripe_refund_id if refund else None)
        or (intent.stripe_refund_id if intent else None),
        refundable_in_cents=left,
        preview=preview,
        in_addition_to=list(outcome.earlier),
        check_after_seconds=outcome.check_after_seconds,
        customer_sees_it=CUSTOMER_SEES_IT if moved else None,
        next_step=_next_step(outcome, services.settings),
    )


def _reason(intent: Intent | None, order: Order | None, masking: Masking) -> str | None:
    """Why; nothing where it cannot be told whether it names the customer, and must not."""
    if intent is None or (masking.masked and order is None):
        return None
    return intent.reason if order is None else masking.words(intent.reason, order)


def _preview(outcome: Outcome, masking: Masking) -> RefundPreview | None:
    intent, order = outcome.intent, outcome.order
    if outcome.status != "needs_confirmation" or intent is None or order is None:
        return None
    left = order.refundable_in_cents or 0
    return RefundPreview(
        customer=masking.email(order.customer_email),
        items=[item_line(item) for item in order.items or ()],
        reason=masking.words(intent.reason, order),
        total=display(order.total_in_cents),
        refundable=display(left),
        left_after=display(left - intent.amount_in_cents),
    )


def message(outcome: Outcome) -> str:
    """What happened, in a sentence that begins with the money."""
    order_id = outcome.order_id
    amount = "A refund" if outcome.amount_in_cents is None else display(outcome.amount_in_cents)
    if outcome.status == "refunded":
        return f"{amount} was refunded on {order_id}."
    if outcome.status == "already_refunded":
        return f"{NOTHING_SENT}: {order_id} already has a refund of {amount}."
    if outcome.status == "needs_confirmation":
        return f"{NO_MONEY_MOVED}: {amount} on {order_id} waits for a person's yes."
    if outcome.status == "declined":
        return f"{NO_MONEY_MOVED}: a person declined the refund of {amount} on {order_id}."
    if outcome.status == "not_recorded":
        return (
            f"Clawver lists no refund of {amount} on {order_id} from the attempt that was made, though "
            "there was time enough for it to show."
        )
    if outcome.status == "unknown":
        return f"It is not known yet whether {amount} was refunded on {order_id}."
    if outcome.intent is not None and outcome.intent.state == "previewed":
        return f"{NOTHING_SENT}: a person is being asked about {amount} on {order_id}."
    if outcome.intent is not None:
        return f"{NOTHING_SENT} by this call: a refund of {amount} on {order_id} is being settled."
    return f"{NOTHING_SENT}: another refund call is at work on {order_id}."


def warning(outcome: Outcome) -> str | None:
    """What the merchant must hear of beside it, where there is something."""
    if outcome.surplus and outcome.intent is not None:
        ids = ", ".join((str(outcome.intent.clawver_refund_id), *outcome.surplus))
        return (
            f"{1 + len(outcome.surplus)} refunds of this amount are new on the order: {ids}. The request "
            "was delivered more than once on the way, an attempt that was given up arrived late, or "
            "somebody refunded elsewhere; tell the merchant at once."
        )
    if outcome.surplus_beside:
        ids = ", ".join(outcome.surplus_beside)
        return (
            f"The order has refunds of another amount that nobody asked for: {ids}. An earlier request was "
            "delivered more than once on the way, or somebody refunded elsewhere; tell the merchant at once."
        )
    if outcome.unwritten:
        return (
            "The refund ledger could not be written after the request was sent; tell the merchant, and "
            "run clawver-orders doctor."
        )
    return None


def _next_step(outcome: Outcome, settings: Settings) -> str:
    order_id, cents, intent = outcome.order_id, outcome.amount_in_cents, outcome.intent
    check = f"check_refund with refund_id {intent.refund_id}" if intent else (
        f"check_refund with order_id {order_id}"
    )  # fmt: skip
    wait = f"wait {outcome.check_after_seconds} seconds, then call"
    further = (
        f"call refund_order with order_id {order_id}, amount_in_cents {cents} and the in_addition_to "
        "given here"
    )
    if outcome.status == "refunded":
        return "Tell the customer the amount and when it arrives. Do not call refund_order again for this."
    if outcome.status == "already_refunded":
        return (
            "Take this as done. Only if the merchant wants a further refund of the same amount, "
            f"{further}."
        )
    if settings.read_only and outcome.status in {"needs_confirmation", "declined", "not_recorded"}:
        return ASK_THE_MERCHANT.format(because=settings.read_only_because)
    if outcome.status == "needs_confirmation" and outcome.only_in_terminal and intent is not None:
        return (
            "No person answered the question, and asking again here would not change that. Ask the "
            f"person to run in a terminal: {_approval(intent, settings)}. Then call {check}."
        )
    if outcome.status == "needs_confirmation" and intent is not None:
        terminal = f" Or they run in a terminal: {_approval(intent, settings)}."
        instead = terminal if outcome.is_put_aside else ""
        if outcome.approver == "agent" and outcome.order is None:
            return (
                f"For the preview call refund_order with order_id {order_id}, amount_in_cents {cents}, "
                f"{'the in_addition_to given here, ' if outcome.earlier else ''}and the same reason."
                f"{instead}"
            )
        if outcome.approver == "agent":
            return (
                "Show the person the preview. Only after their yes call confirm_refund with refund_id "
                f"{intent.refund_id}.{instead}"
            )
        why = ", because of an earlier no or an attempt that is not accounted for"
        return (
            f"Only a person can approve this one{why if intent.needs_person else ''}. Ask them to run in a terminal: {_approval(intent, settings)}. "
            f"Then call {check}."
        )
    if outcome.status == "declined":
        return (
            "Tell the person that nothing was sent. Do not ask again by yourself; if they want it after "
            f"all, {further}, and a person is asked once more."
        )
    if outcome.status == "not_recorded":
        return (
            "Tell the person that the refund does not show on the order. Only if they want to try again, "
            f"knowing that the first attempt could still show late, {further}"
            f"{'' if settings.refund_approval == 'off' else '; a person has to approve it'}."
        )
    if outcome.status == "unknown":
        return (
            "Do not repeat refund_order. Tell the person that it is being verified, "
            f"{wait} {check}."
        )
    if intent is not None and intent.state == "previewed":
        return (
            f"Wait for their answer: {wait} {check}. If they were "
            f"shown nothing, they can run in a terminal: {_approval(intent, settings)}."
        )
    return f"Do not repeat the call: {wait} {check}."


def _approval(intent: Intent, settings: Settings) -> str:
    """The command of a person who says yes, which has to find this very ledger."""
    sandbox = " --sandbox" if settings.sandbox else ""
    return (
        f"clawver-orders approve {intent.refund_id}{sandbox} (with this server's settings there, such "
        "as CLAWVER_STATE_DIR)"
    )
