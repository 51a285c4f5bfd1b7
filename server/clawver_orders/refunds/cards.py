"""A refund as a card in the chat shows it: as it is now, and ready for one click. Nothing is sent."""

from dataclasses import replace

from clawver_orders.caller import Caller
from clawver_orders.clawver.client import Clawver
from clawver_orders.refunds.approvals import preview_of, takes_click, warnings
from clawver_orders.refunds.checking import RefundChecks
from clawver_orders.refunds.decision import stands_in_the_way
from clawver_orders.refunds.gathering import Gatherer, Wanted
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.matching import is_declined_often
from clawver_orders.refunds.order_locks import Locks
from clawver_orders.refunds.outcome import Outcome, about
from clawver_orders.refunds.reading import Bounds
from clawver_orders.refunds.records import Actor, Wish
from clawver_orders.settings import Settings


class RefundCards(RefundChecks):
    """Shows refunds on cards.

    Args:
        clawver: The store.
        ledger: Where every refund is noted.
        locks: One for each order.
        settings: Limits and approval.
        bounds: How long each part of a call may take.
    """

    def __init__(
        self,
        clawver: Clawver,
        ledger: Ledger,
        locks: Locks,
        settings: Settings,
        bounds: Bounds,
    ) -> None:
        super().__init__(clawver, ledger, locks, settings, bounds)
        self._gatherer = Gatherer(ledger, self._reader, self._settlement, settings)

    async def on_card(self, caller: Caller, refund_id: str = "", order_id: str = "") -> Outcome:
        """How a refund is now, for a card to show. One that waits is read again, and gets a nonce.

        Where a click would not be enough, or not be possible, it gets none.

        Args:
            caller: The program that shows the card.
            refund_id: The refund; or
            order_id: the order, as in `check`.

        Raises:
            ClawverError: As in `check`.
        """
        outcome = await self.check(refund_id, order_id)
        if outcome.needs is None or outcome.wish is None or self._settings.read_only:
            return outcome
        async with self._locked(outcome.order_id) as busy:
            if busy is not None:
                return busy
            try:
                return await self._read_for_card(outcome, outcome.wish, caller)
            except MovedOnError:
                return await self._busy(outcome.order_id)

    async def _read_for_card(self, outcome: Outcome, wish: Wish, caller: Caller) -> Outcome:
        gathered = await self._gatherer.gather(again(wish), caller)
        order, doubts = gathered.order, gathered.doubts
        if order is None or stands_in_the_way(gathered.case) is not None:
            return outcome
        actor = Actor(caller.client)
        records, wish = await self._ledger.want(
            gathered.records.number,
            wish.order_id,
            wish.amount_in_cents,
            wish.in_addition_to,
            wish.reason,
            preview_of(order, doubts, gathered.grade_needed, gathered.verdict),
            actor,
        )
        may_click = takes_click(wish) and not is_declined_often(records, self._ledger.now())
        return replace(
            about("needs_approval", wish, order),
            was_dismissed=outcome.was_dismissed,
            asking_is_no_use=outcome.asking_is_no_use,
            policy=() if gathered.verdict is None else gathered.verdict.told,
            warnings=tuple(warnings(wish, order, doubts, gathered.verdict)),
            by_card=may_click,
            nonce=await self._ledger.show_card(wish, actor) if may_click else "",
        )


def again(wish: Wish) -> Wanted:
    """The same wish once more."""
    return Wanted(wish.order_id, wish.amount_in_cents, wish.reason, wish.in_addition_to)
