"""What an agent gets: what all answers have in common.

Money stands in cents and in words, times in UTC. Texts that customers or products brought
along stand in fields of their own and never in our sentences. What is not known is left out.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from clawver_orders.models import Item, Order
from clawver_orders.money import display
from clawver_orders.shown import Shown
from clawver_orders.state.ledger import Intent

SANDBOX_NOTICE = "Sandbox store on this machine: no real customer, no real money."
TRACKING_IS_HIDDEN = (
    "The tracking is hidden here (CLAWVER_PII=masked): ask the merchant to give it to the customer."
)
LEDGER_UNREADABLE = (
    "Whether a refund is under way is not known, because the refund ledger cannot be read now: ask a person to "
    "run clawver-orders doctor before anything about money."
)


class Part(BaseModel):
    """A piece of an answer. What is None is left out of what is sent."""

    model_config = ConfigDict(frozen=True)


class Answer(Part):
    """A whole answer."""

    next_step: str
    sandbox: str | None = Field(None, description="Present when this is the sandbox store.")


def in_utc(moment: datetime) -> str:
    """A time as Clawver writes it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    passed = now - moment
    for unit, size in (("days", timedelta(days=1)), ("hours", timedelta(hours=1))):
        if passed >= 2 * size:
            return f"{passed // size} {unit} ago"
    minutes = max(0, passed // timedelta(minutes=1))
    return f"{minutes} minute{'' if minutes == 1 else 's'} ago"


class Tracking(Part):
    """Where a parcel is."""

    carrier: str | None = None
    number: str | None = None
    url: str | None = None


def tracking(order: Order, shown: Shown) -> Tracking | None:
    """Where the parcel of an order is; None before it is shipped."""
    if not (order.carrier or order.tracking_number or order.tracking_url):
        return None
    return Tracking(
        carrier=order.carrier,
        number=shown.detail(order.tracking_number),
        url=shown.detail(order.tracking_url),
    )


def in_one_line(items: tuple[Item, ...]) -> str:
    """At most two items, each in a few words, and how many more there are."""
    words = []
    for item in items[:2]:
        name = item.product_name if len(item.product_name) <= 40 else item.product_name[:39] + "…"
        words.append(f"{item.quantity}× {name}" if item.quantity != 1 else name)
    more = len(items) - 2
    return "; ".join(words) + (f"; {more} more" if more > 0 else "")


def look_first(opened: Intent) -> str:
    """What comes before anything about money on an order with a refund that is not settled."""
    return (
        f"A refund of {display(opened.amount_in_cents)} on this order is not settled yet: call check_refund with "
        f"refund_id {opened.refund_id} before anything about its money."
    )
