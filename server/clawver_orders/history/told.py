"""How much of a store is known here, in a sentence or two. No I/O."""

from clawver_orders.days import Calendar
from clawver_orders.history.mirror import Extent


def told(extent: Extent, calendar: Calendar) -> str:
    """How many orders are kept and since when, and what Clawver's own count says about that.

    Clawver does not document which orders it counts. So its count can show that some are missing,
    and agreement is called that and no more.

    Args:
        extent: How much is kept.
        calendar: Its days are named.
    """
    if extent.began_at is None:
        return "No orders are kept here yet."
    thin = f", {extent.thin} of them without details" if extent.thin else ""
    due = extent.due - extent.thin
    late = f", {due} to be read again" if due > 0 else ""
    kept = (
        f"Orders kept here since {calendar.day_of(extent.began_at)}: {extent.orders}{thin}{late}."
    )
    if extent.counted is None or extent.counted_at is None or extent.paid_then is None:
        return kept
    day, paid = calendar.day_of(extent.counted_at), extent.paid_then
    missing = extent.counted - paid
    if not missing:
        return f"{kept} {paid} paid ones match Clawver's own count of {day}."
    if missing < 0:
        return f"{kept} Clawver counted fewer orders on {day} than are kept here as paid."
    return (
        f"{kept} Orders missing here by Clawver's own count of {day}: {missing}. Clawver no longer "
        "lists them, so each is found by its id alone."
    )
