"""The refund desk: check, send once, say what is known. The only caller of `send_refund`.

Nothing here repeats a request. A refund of an amount that the order already carries is
presumed to be a repeat, unless the earlier ones are named.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import anyio

from clawver_orders.client import Clawver
from clawver_orders.errors import (
    ClawverError,
    InvalidRequestError,
    OutcomeUnknownError,
    RefusedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from clawver_orders.models import Order, Refund
from clawver_orders.money import display
from clawver_orders.settings import Settings

NO_MONEY = "No money was moved."


@dataclass(frozen=True)
class Outcome:
    """What became of a request to refund."""

    status: Literal["refunded", "already_refunded", "unknown"]
    order: Order
    """The order as last read: after the refund where its outcome is known."""
    refunds: tuple[Refund, ...]
    """The refunds that Clawver lists for it: one, or none while the outcome is unknown. More than
    one that are new mean that the request was delivered more than once."""


class RefundDesk:
    """Gives money back, at most once for each call.

    Args:
        clawver: The store.
        settings: The limit for a single refund.
    """

    def __init__(self, clawver: Clawver, settings: Settings) -> None:
        self._clawver = clawver
        self._settings = settings

    async def refund(
        self, order_id: str, amount_in_cents: int, reason: str, in_addition_to: Sequence[str]
    ) -> Outcome:
        """Check a refund against the order, then send it exactly once.

        Args:
            order_id: The order.
            amount_in_cents: Whole cents, 1 or more.
            reason: Why, for the customer and for Clawver.
            in_addition_to: The ids of all refunds of this amount that the order already
                carries, when one more is really meant.

        Returns:
            What happened. An unknown outcome is an answer: it must be looked up.

        Raises:
            RefusedError: The order does not allow it; no money was moved.
            InvalidRequestError: The amount or the named refunds do not fit.
        """
        limit = self._settings.refund_limit_in_cents
        if amount_in_cents > limit:
            raise RefusedError(
                f"No money was moved: {display(amount_in_cents)} ({amount_in_cents} cents) is above "
                f"the limit of {display(limit)} ({limit} cents) for a single refund.",
                next_step="Ask a person: only they can raise CLAWVER_REFUND_LIMIT_CENTS.",
            )
        with _money_said_first():
            order = await self._clawver.order(order_id)
        earlier = [each for each in order.refunds or () if each.amount_in_cents == amount_in_cents]
        named = set(in_addition_to)
        if earlier and named != {each.id for each in earlier}:
            return Outcome("already_refunded", order, (earlier[-1],))
        if named and not earlier:
            raise InvalidRequestError(
                f"No money was moved: {order_id} carries no refund of {display(amount_in_cents)} "
                "that this one could be in addition to.",
                next_step="Leave in_addition_to out, or read the refunds with get_order.",
            )
        self._check(order, amount_in_cents)
        return await self._send(order, amount_in_cents, reason)

    def _check(self, order: Order, amount_in_cents: int) -> None:
        left = order.refundable_in_cents
        if left is None:
            raise UnexpectedAnswerError(
                f"No money was moved: {order.id} is partially refunded, but Clawver does not list its refunds.",
                next_step="Tell a person; what is left cannot be known from here.",
            )
        if order.payment_status == "refunded" or (left == 0 and order.refunds):
            raise RefusedError(
                f"No money was moved: {order.id} is already refunded in full.",
                next_step=f"Call get_order with order_id {order.id} to see its refunds.",
            )
        if order.payment_status not in {"paid", "partially_refunded"}:
            raise RefusedError(
                f"No money was moved: {order.id} has no payment that could be given back; its "
                "payment status is neither paid nor partially_refunded.",
                next_step=f"Call get_order with order_id {order.id} to see its payment status.",
            )
        if amount_in_cents > left:
            raise RefusedError(
                f"No money was moved: {order.id} has {display(left)} ({left} cents) left to refund, "
                f"less than {display(amount_in_cents)}.",
                next_step=f"Call refund_order with amount_in_cents {left} or less.",
            )

    async def _send(self, order: Order, amount_in_cents: int, reason: str) -> Outcome:
        # A cancelled call must not leave a request half said.
        with anyio.CancelScope(shield=True):
            try:
                after = await self._clawver.send_refund(order.id, amount_in_cents, reason)
            except OutcomeUnknownError:
                return Outcome("unknown", order, ())
            except UnreachableError as error:
                error.happened = f"{NO_MONEY} {error.happened}"
                raise
            except ClawverError as error:
                # The order allowed it a moment ago: a no is believed when the order agrees.
                if not await self._is_unchanged(order):
                    return Outcome("unknown", order, ())
                error.happened = f"{NO_MONEY} {error.happened}"
                raise
        new = _new_refunds(order, after, amount_in_cents)
        return Outcome("refunded", after, new) if new else Outcome("unknown", order, ())

    async def _is_unchanged(self, order: Order) -> bool:
        """Whether the order still lists the refunds that it listed before."""
        try:
            now = await self._clawver.order(order.id)
        except ClawverError:
            return False
        return now.refunds == order.refunds and now.payment_status == order.payment_status


def _new_refunds(before: Order, after: Order, amount_in_cents: int) -> tuple[Refund, ...]:
    known = {each.id for each in before.refunds or ()}
    return tuple(
        each
        for each in after.refunds or ()
        if each.id not in known and each.amount_in_cents == amount_in_cents
    )


@contextmanager
def _money_said_first() -> Iterator[None]:
    """Let every error begin with what its reader must know before anything else."""
    try:
        yield
    except ClawverError as error:
        error.happened = f"{NO_MONEY} {error.happened}"
        raise
