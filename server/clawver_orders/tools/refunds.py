"""Giving money back: asking for it, confirming it, finding out what became of it."""

from typing import Annotated

from pydantic import Field

from clawver_orders.caller import Caller, Grade
from clawver_orders.clawver.models import Order
from clawver_orders.errors import InvalidRequestError
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.approvals import MOST_ITEMS, item_lines, quoted
from clawver_orders.refunds.outcome import Outcome, RefundStatus, message, next_step, warning
from clawver_orders.refunds.records import Wish
from clawver_orders.services import Services
from clawver_orders.tools.answers import Answer, Money, Part, Past, ago
from clawver_orders.tools.approving import decided, for_card
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

CUSTOMER_SEES_IT = "1 to 5 business days after it was sent, through Stripe"


class RefundPreview(Part):
    """What a person needs to know before they say yes."""

    customer: str | None = None
    items: list[str]
    reason: str
    total: Money
    earlier_refunds: list[str] = Field([], description="What went back before, and why.")
    refundable: Money
    left_after: Money


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
    amount: Money | None = None
    reason: str | None = None
    sent_at: Past | None = None
    clawver_refund_id: str | None = None
    stripe_refund_id: str | None = None
    refundable: Money | None = Field(None, description="What is left on the order.")
    refundable_in_cents: int | None = None
    preview: RefundPreview | None = None
    needs: Grade | None = Field(
        None,
        description="Who approves: agent (your confirm_refund, once the merchant agreed), chat (a person, through "
        "the host), console (a person at the merchant's machine), pin (the merchant's PIN).",
    )
    approve_at: str | None = Field(None, description="The page on which a person can approve it.")
    decided_by: str | None = Field(
        None, description="Who approved or declined it, and what that proves."
    )
    in_addition_to: list[str] = Field(
        [],
        description="What to pass as in_addition_to for a deliberate further refund of this amount, once "
        "its outcome is known. Of a preview, what it was made with.",
    )
    check_after_seconds: int | None = None
    retry_after_seconds: int | None = Field(None, description="Seconds until `agent` may suffice.")
    customer_sees_it: str | None = None


async def refund_order(
    services: Services,
    caller: Caller,
    order_id: OrderId,
    amount_in_cents: AmountInCents,
    reason: Reason,
    in_addition_to: InAdditionTo = [],  # noqa: B006  # a default that hosts can read; never changed
) -> RefundAnswer:
    """Give money back on a paid order. It cannot be undone, and does not cancel the order.

    Read get_order first; the merchant decides. Their settings say whether it is sent at once or a
    person is asked. `needs_approval`: nothing moved; show the preview and follow next_step.
    `already_refunded`: nothing sent. `unknown` or no answer: check_refund, never this again.
    """
    outcome = await decided(
        services,
        caller,
        lambda store: store.desk.refund(order_id, amount_in_cents, reason, in_addition_to, caller),
    )
    answer = answer_of(services, outcome)
    if outcome.status == "busy" and outcome.amount_in_cents not in {None, amount_in_cents}:
        wanted = f"this one of {display(amount_in_cents)}, which this call did not begin"
        again = f"refund_order again with amount_in_cents {amount_in_cents}"
        return _after_another(answer, wanted, again)
    return answer


async def confirm_refund(
    services: Services, caller: Caller, refund_id: RefundId, revision: Revision
) -> RefundAnswer:
    """Send the refund of a `needs_approval` preview. It cannot be undone.

    Only after the merchant, not the customer, saw that very preview and said yes; for another
    amount use refund_order. A preview over 15 minutes old or outdated is answered by a new one to show.
    What was sent is not sent again. `unknown` or no answer: check_refund.
    """
    outcome = await decided(
        services, caller, lambda store: store.desk.confirm(refund_id, revision, caller)
    )
    answer = answer_of(services, outcome, confirmed=revision)
    if outcome.status == "busy" and answer.refund_id not in {None, refund_id}:
        wanted = f"{refund_id}, which this call did not send"
        again = f"confirm_refund again with refund_id {refund_id} and revision {revision}"
        return _after_another(answer, wanted, again)
    return answer


async def check_refund(
    services: Services,
    caller: Caller,
    refund_id: RefundIdOrNothing = "",
    order_id: OrderIdOrNothing = "",
) -> RefundAnswer:
    """Find out what became of a refund by reading its order. It never sends one.

    Use it after `unknown`, `busy` (another call was at work) or no answer; for refunds made
    elsewhere get_order. Give one id. By order_id it is the open refund, else the latest: see
    that its amount and sent_at are the ones you mean. `refunded`: Clawver lists it. `unknown`:
    ask again after check_after_seconds. `not_recorded`: not listed in time, so a person decides
    about another try.
    """
    if bool(refund_id) == bool(order_id):
        raise InvalidRequestError(
            "Nothing was done: give either refund_id or order_id.",
            next_step="Call check_refund again with one of them.",
        )
    desk = (await services.store()).desk
    if caller.card is None:
        outcome = await desk.check(refund_id, order_id)
    else:
        outcome = await for_card(services, caller, await desk.on_card(caller, refund_id, order_id))
    answer = answer_of(services, outcome)
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
        f"That is another refund than {wanted}. When its outcome is known, read get_order; call {again} if it is "
        "still wanted."
    )
    return answer.model_copy(update={"next_step": f"{answer.next_step} {later}"})


def answer_of(services: Services, outcome: Outcome, confirmed: int | None = None) -> RefundAnswer:
    """The answer about an outcome.

    Args:
        services: What it works with.
        outcome: What became of the refund.
        confirmed: The revision of the preview that was confirmed, where one was.
    """
    wish, order, refund = outcome.wish, outcome.order, outcome.refund
    settled = outcome.status not in {"unknown", "busy"}
    left = order.refundable_in_cents if order is not None and settled else None
    masking = services.masking
    preview = _preview(outcome, masking)
    shows = outcome.status == "needs_approval" and wish is not None
    is_another = shows and confirmed is not None and wish is not None and wish.revision != confirmed
    return RefundAnswer(
        status=outcome.status,
        message=("That preview no longer holds. " if is_another else "") + message(outcome),
        warning=warning(outcome),
        refund_id=wish.refund_id if wish else None,
        revision=wish.revision if wish and shows else None,
        order_id=outcome.order_id,
        amount=outcome.amount_in_cents,
        reason=_reason(wish, order, masking) if preview is None else None,
        sent_at=wish.sent_at if wish else None,
        clawver_refund_id=refund.id if refund else (wish.clawver_refund_id if wish else None),
        stripe_refund_id=(refund.stripe_refund_id if refund else None)
        or (wish.stripe_refund_id if wish else None),
        refundable=left,
        refundable_in_cents=left or None,
        preview=preview,
        needs=outcome.needs,
        approve_at=outcome.approve_at,
        decided_by=_decided_by(wish),
        in_addition_to=list(outcome.earlier),
        check_after_seconds=outcome.check_after_seconds,
        retry_after_seconds=outcome.retry_after_seconds,
        customer_sees_it=CUSTOMER_SEES_IT
        if outcome.status in {"refunded", "already_refunded"} and not outcome.is_in_doubt
        else None,
        next_step=next_step(outcome, services.settings),
    )


def _decided_by(wish: Wish | None) -> str | None:
    decision = wish.decision if wish else None
    return f"{decision.who} ({decision.grade})" if decision else None


def _reason(wish: Wish | None, order: Order | None, masking: Masking) -> str | None:
    """Why; nothing where it cannot be told whether it names the customer, and must not."""
    if wish is None or (masking.masked and order is None):
        return None
    return wish.reason if order is None else masking.words(wish.reason, order)


def _preview(outcome: Outcome, masking: Masking) -> RefundPreview | None:
    wish, order = outcome.wish, outcome.order
    if outcome.status != "needs_approval" or wish is None or order is None:
        return None
    left = order.refundable_in_cents or 0
    return RefundPreview(
        customer=masking.email(order.customer_email),
        items=item_lines(order),
        reason=masking.words(wish.reason, order),
        total=order.total_in_cents,
        earlier_refunds=_earlier(order, masking),
        refundable=left,
        left_after=left - wish.amount_in_cents,
    )


def _earlier(order: Order, masking: Masking) -> list[str]:
    """What went back on the order before, with the reasons in quotes; the newest ten."""
    newest = sorted(order.refunds or (), key=lambda refund: refund.age_order, reverse=True)
    lines = [
        f"{display(each.amount_in_cents)}: {quoted(masking.words(each.reason, order))}"
        for each in newest[:MOST_ITEMS]
    ]
    more = len(newest) - len(lines)
    return [*lines, f"and {more} more"] if more else lines
