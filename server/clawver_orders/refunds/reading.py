"""Reads orders, with all their refunds that were ever seen."""

import logging
from dataclasses import dataclass

import anyio

from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.errors import ClawverError, UnreachableError
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.matching import united
from clawver_orders.refunds.records import SeenRefund

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bounds:
    """How long each part of a call may take at most, in seconds: all of it less than 45."""

    lock: float = 2.0
    read: float = 8.0
    send: float = 18.0
    look: float = 6.0

    @property
    def call(self) -> float:
        """All of a call: the lock is taken, and the order read, once more after a person was asked."""
        return 2 * (self.lock + self.read) + self.send + self.look


BOUNDS = Bounds()


class OrderReader:
    """Reads orders within the time that a call may take.

    Args:
        clawver: The store.
        ledger: Where every refund that was ever listed is noted.
        bounds: How long each part of a call may take.
    """

    def __init__(self, clawver: Clawver, ledger: Ledger, bounds: Bounds) -> None:
        self._clawver = clawver
        self._ledger = ledger
        self._bounds = bounds

    async def read(self, order_id: str, *, urgent: bool = False) -> Order:
        """The order as it is now.

        Raises:
            ClawverError: It cannot be read, in the time that a call may take for it; or the ledger
                cannot, which holds what was seen.
        """
        return await self._remembered(await self._fresh(order_id, urgent=urgent))

    async def read_or_error(self, order_id: str) -> Order | ClawverError:
        """The same; or why the store does not show the order.

        Raises:
            ClawverError: The ledger cannot be used.
        """
        try:
            order = await self._fresh(order_id)
        except ClawverError as error:
            return error
        return await self._remembered(order)

    async def read_urgent(self, order_id: str) -> Order | None:
        """The order where it can be read, for finding out; the allowance keeps a reserve for it."""
        try:
            order = await self._fresh(order_id, urgent=True)
        except ClawverError:
            return None
        return await self.remembered_if_possible(order)

    async def _fresh(self, order_id: str, *, urgent: bool = False) -> Order:
        with anyio.move_on_after(self._bounds.read):
            return await self._clawver.order(order_id, urgent=urgent)
        raise UnreachableError(
            "Clawver did not answer in time. Nothing was changed.",
            next_step="Repeat the call in a minute.",
        )

    async def _remembered(self, order: Order) -> Order:
        """Note the refunds that an answer lists, and add those that an earlier one did.

        Raises:
            ClawverError: The ledger cannot be used.
        """
        if not order.refunds and not self._ledger.exists:
            return order
        seen = await self._ledger.seen(order.id)
        noted = {each.clawver_refund_id for each in seen if each.sandbox == order.sandbox}
        new = [
            SeenRefund(
                refund.id,
                refund.amount_in_cents,
                refund.stripe_refund_id,
                refund.reason,
                refund.created_at,
                order.sandbox,
            )
            for refund in order.refunds or ()
            if refund.id not in noted
        ]
        if new:
            await self._ledger.add_seen(order.id, new)
        older = {
            each.clawver_refund_id: Refund(
                id=each.clawver_refund_id,
                amount_in_cents=each.amount_in_cents,
                stripe_refund_id=each.stripe_refund_id,
                reason=each.reason,
                created_at=each.created_at,
            )
            for each in seen
        }
        return united(order, older.values())

    async def remembered_if_possible(self, order: Order) -> Order:
        """The same once money may be on its way: what an answer says counts without the ledger too."""
        try:
            return await self._remembered(order)
        except ClawverError as error:
            log_unwritten("the refunds of an order", error)
            return order


def log_unwritten(what: str, error: Exception) -> None:
    """Say that something could not be noted; a trace would show what the ledger holds."""
    log.error("the ledger could not note %s: %s", what, type(error).__name__)
