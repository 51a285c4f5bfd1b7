"""Giving money back."""

from clawver_orders.money import display
from clawver_orders.refunds import Outcome
from clawver_orders.services import Services
from clawver_orders.tools.answers import RefundAnswer
from clawver_orders.tools.arguments import AmountInCents, InAdditionTo, OrderId, Reason

CUSTOMER_SEES_IT = "in 1 to 5 business days, through Stripe"


async def refund_order(
    services: Services,
    order_id: OrderId,
    amount_in_cents: AmountInCents,
    reason: Reason,
    in_addition_to: InAdditionTo = [],  # noqa: B006  # a default that hosts can read; never changed
) -> RefundAnswer:
    """Give the customer of a paid order money back, all of it or a part. It cannot be undone.

    Read the order with get_order first, tell the merchant amount and reason, and wait for a yes.
    One request is sent and never repeated. status says what happened: refunded;
    already_refunded when the order has a refund of this amount, so this call is taken for a
    repeat and sends nothing; unknown when the answer was lost: look with get_order, do not call
    again. An error means that no money was moved. The order's fulfilment does not change.
    """
    outcome = await services.desk.refund(order_id, amount_in_cents, reason, in_addition_to)
    order = outcome.order
    known = outcome.status != "unknown"
    left = order.refundable_in_cents if known else None
    refund = outcome.refunds[0] if outcome.refunds else None
    return RefundAnswer(
        status=outcome.status,
        message=_message(outcome, amount_in_cents),
        order_id=order_id,
        amount_in_cents=amount_in_cents,
        amount=display(amount_in_cents),
        clawver_refund_id=refund.id if refund else None,
        stripe_refund_id=refund.stripe_refund_id if refund else None,
        warning=_warning(outcome),
        refundable_in_cents=left,
        refundable=None if left is None else display(left),
        in_addition_to=[r.id for r in order.refunds or () if r.amount_in_cents == amount_in_cents]
        if known
        else [],
        customer_sees_it=CUSTOMER_SEES_IT if known else None,
        next_step=_next_step(outcome, amount_in_cents),
    )


def _message(outcome: Outcome, amount_in_cents: int) -> str:
    amount = display(amount_in_cents)
    if outcome.status == "refunded":
        return f"{amount} was refunded on {outcome.order.id}."
    if outcome.status == "already_refunded":
        return f"Nothing was sent: {outcome.order.id} already has a refund of {amount}."
    return f"It is not known whether {amount} was refunded on {outcome.order.id}."


def _warning(outcome: Outcome) -> str | None:
    if len(outcome.refunds) < 2:
        return None
    ids = ", ".join(refund.id for refund in outcome.refunds)
    return (
        f"{len(outcome.refunds)} refunds of this amount are new on the order: {ids}. The request may "
        "have been delivered more than once on the way; tell the merchant at once."
    )


def _next_step(outcome: Outcome, amount_in_cents: int) -> str:
    order_id = outcome.order.id
    if outcome.status == "refunded":
        return "Tell the customer the amount and when it arrives. Do not call refund_order again for this."
    if outcome.status == "already_refunded":
        return (
            "Take this as done. Only if the merchant wants a further refund of the same amount, call "
            f"refund_order again with order_id {order_id}, amount_in_cents {amount_in_cents} and the "
            "in_addition_to given here."
        )
    return (
        "Do not repeat this call. Tell the person that it is being verified, wait a few minutes, then "
        f"call get_order with order_id {order_id} and look for a new refund of "
        f"{display(amount_in_cents)}."
    )
