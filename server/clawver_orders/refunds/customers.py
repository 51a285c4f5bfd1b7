"""How often a customer was refunded: what Clawver listed, as the order history has it, and the ledger.

The history decides about no money: what it tells can put a refund outside the merchant's rules, and
what it can't tell does too.
"""

from collections.abc import Sequence
from datetime import timedelta

from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError
from clawver_orders.history.mirror import Mirror, Sought
from clawver_orders.instants import seconds_by_clock
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.policy import CustomerRefunds
from clawver_orders.refunds.records import MAY_HAVE_MOVED
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.storage.sql import marks

MOST_ORDERS = 2000
"""More orders of one customer are not counted: they would keep a call waiting."""


def refunds_of_customer(
    settings: Settings, ledger: Ledger, order: Order, days: int
) -> CustomerRefunds:
    """The refunds of the customer of an order in the days before now. It reads files.

    Args:
        settings: Whether there is an order history.
        ledger: Of the store.
        order: The order, as it was read for this refund. Its own refunds count as it lists them.
        days: How many days.

    Raises:
        ClawverError: The ledger can't be read.
    """
    if not order.customer_email:
        return CustomerRefunds(unknown="Clawver doesn't say whose order it is.")
    if not settings.history:
        return CustomerRefunds(
            unknown="CLAWVER_HISTORY is off. The merchant can remove that setting, or the rule."
        )
    try:
        scope = scopes.known(settings) or scopes.Scope(ledger.folder, "a store without a note")
        mirror = Mirror.of(settings, scope)
        if mirror.forgets(order.customer_email):
            return CustomerRefunds(
                unknown="this customer's orders were deleted from the order history (clawver-orders forget)."
            )
        kept = mirror.find(Sought(customer_email=order.customer_email), MOST_ORDERS + 1)
        extent = mirror.extent()
    except (ClawverError, ValueError):
        return CustomerRefunds(
            unknown="the order history cannot be read. "
            "The merchant can run clawver-orders doctor, which says why."
        )
    if len(kept) > MOST_ORDERS:
        return CustomerRefunds(
            unknown=f"this customer has more than {MOST_ORDERS} orders, too many to count."
        )
    orders = [order, *(each.order for each in kept if each.order.id != order.id)]
    found = _listed(ledger, orders, days) | _sent(ledger, [each.id for each in orders], days)
    return CustomerRefunds(count=len(found), since=extent.began_at, thin=extent.thin)


def _listed(ledger: Ledger, orders: Sequence[Order], days: int) -> set[tuple[str, str]]:
    """The refunds that Clawver lists, by order and id: an id may be one within its order alone. One that doesn't tell its time counts."""
    since = ledger.now().at - timedelta(days=days)
    return {
        (order.id, each.id)
        for order in orders
        for each in order.refunds or ()
        if each.created_at is None or each.created_at > since
    }


def _sent(ledger: Ledger, order_ids: Sequence[str], days: int) -> set[tuple[str, str]]:
    """What was sent from here and may have moved money, by its order and Clawver's id, where that is known."""
    where = f"WHERE order_id IN ({marks(order_ids)})"
    with ledger.noticing() as rows:
        now = rows.now
        numbers = f"SELECT sent_number AS number FROM attempt {where}"  # noqa: S608  # words of ours
        looks = rows.looks(numbers, *order_ids)
        attempts = [a for wish in rows.wishes(where, *order_ids) for a in wish.attempts]
    return {
        (each.order_id, each.clawver_refund_id or f"{each.refund_id} {each.revision}")
        for each in attempts
        if (each.status in MAY_HAVE_MOVED or each.is_provisional)
        and seconds_by_clock(each.sent, now, looks.first(each.sent_number, now))
        < timedelta(days=days).total_seconds()
    }
