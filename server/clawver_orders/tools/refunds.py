"""Giving money back: asking for it, confirming it, finding out what became of it."""

from typing import Annotated

from pydantic import Field

from clawver_orders.caller import Caller
from clawver_orders.clawver.models import Order
from clawver_orders.errors import InvalidRequestError
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.approvals import item_lines
from clawver_orders.refunds.outcome import Outcome, RefundStatus, message, next_step, warning
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services
from clawver_orders.tools.answers import Answer, MoneyInCents, Part, Past, ago
from clawver_orders.tools.arguments import (
    AmountInCents,
    InAdditionTo,
    OrderId,
    OrderIdOrNothing,
    Reason,
    RefundId,
    RefundIdOrNothing,
    Revision,
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
    revision: int | None = Field(None, description="For confirm_refund.")
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
    retry_after_seconds: int | None = Field(
        None, description="When refund_order needs no person any more."
    )
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


async def confirm_refund(
    services: Services, caller: Caller, refund_id: RefundId, revision: Revision
) -> RefundAnswer:
    """Send a refund that refund_order previewed with status `needs_confirmation`. It cannot be undone.

    Call it only after the person saw the preview and said yes. To change the amount call
    refund_order again; only to look, check_refund.

    A host that can ask the person asks once more. If the preview is over 15 minutes old or no
    longer current, the answer is the current one to show, or an error. Where only a person may
    approve, next_step says how. A refund that was sent is not sent again: the answer is its
    outcome. On `unknown` or no answer call check_refund, on `busy` follow next_step.
    """
    outcome = await (await services.store()).desk.confirm(refund_id, revision, caller)
    answer = _answer(services, outcome, confirmed=revision)
    if outcome.status == "busy" and answer.refund_id not in {None, refund_id}:
        wanted = f"{refund_id}, which this call did not send"
        again = f"confirm_refund again with refund_id {refund_id} and revision {revision}"
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
    A refund that was refused, never left or has expired is an error that says what to do.
    """
    if bool(refund_id) == bool(order_id):
        raise InvalidRequestError(
            "Nothing was done: give either refund_id or order_id.",
            next_step="Call check_refund again with one of them.",
        )
    answer = _answer(services, await (await services.store()).desk.check(refund_id, order_id))
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


def _answer(services: Services, outcome: Outcome, confirmed: int | None = None) -> RefundAnswer:
    wish, order, refund = outcome.wish, outcome.order, outcome.refund
    settled = outcome.status not in {"unknown", "busy"}
    masking = services.masking
    preview = _preview(outcome, masking)
    shows = outcome.status == "needs_confirmation" and wish is not None
    is_another = shows and confirmed is not None and wish is not None and wish.revision != confirmed
    return RefundAnswer(
        status=outcome.status,
        message=("That preview no longer holds. " if is_another else "") + message(outcome),
        warning=warning(outcome),
        refund_id=wish.refund_id if wish else None,
        revision=wish.revision if wish and shows else None,
        order_id=outcome.order_id,
        amount_in_cents=outcome.amount_in_cents,
        reason=_reason(wish, order, masking) if preview is None else None,
        sent_at=wish.sent_at if wish else None,
        clawver_refund_id=refund.id if refund else (wish.clawver_refund_id if wish else None),
        stripe_refund_id=(refund.stripe_refund_id if refund else None)
        or (wish.stripe_refund_id if wish else None),
        refundable_in_cents=order.refundable_in_cents if order is not None and settled else None,
        preview=preview,
        in_addition_to=list(outcome.earlier),
        check_after_seconds=outcome.check_after_seconds,
        retry_after_seconds=outcome.retry_after_seconds,
        customer_sees_it=CUSTOMER_SEES_IT
        if outcome.status in {"refunded", "already_refunded"}
        else None,
        next_step=next_step(outcome, services.settings),
    )


def _reason(wish: Wish | None, order: Order | None, masking: Masking) -> str | None:
    """Why; nothing where it cannot be told whether it names the customer, and must not."""
    if wish is None or (masking.masked and order is None):
        return None
    return wish.reason if order is None else masking.words(wish.reason, order)


def _preview(outcome: Outcome, masking: Masking) -> RefundPreview | None:
    wish, order = outcome.wish, outcome.order
    if outcome.status != "needs_confirmation" or wish is None or order is None:
        return None
    left = order.refundable_in_cents or 0
    return RefundPreview(
        customer=masking.email(order.customer_email),
        items=item_lines(order),
        reason=masking.words(wish.reason, order),
        total=display(order.total_in_cents),
        refundable=display(left),
        left_after=display(left - wish.amount_in_cents),
    )
