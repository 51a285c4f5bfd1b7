"""Whether events arrive on this machine, as an agent gets it."""

from typing import Literal, Self

from anyio import to_thread
from pydantic import Field

from clawver_orders.services import INBOX, Services
from clawver_orders.tools.answers import Part, Past
from clawver_orders.webhooks.inbox import Cause, ReceiverStatus

START = "Ask a person to keep this running on this machine: clawver-orders listen."
LOST: dict[Cause, tuple[str, str]] = {
    "signature": (
        "Requests arrive whose signature does not fit: either somebody is guessing, or the webhook was "
        "registered with another secret than CLAWVER_WEBHOOK_SECRET holds now.",
        "Ask a person to compare them.",
    ),
    "path": (
        "Deliveries come to another path than the listener takes, and are refused.",
        "Ask a person to compare the webhook's address, and what a proxy makes of it, with the address that clawver-orders listen prints.",
    ),
    "method": (
        "Deliveries come by another method than POST, and are refused.",
        "Ask a person what a proxy in front of clawver-orders listen does with them.",
    ),
    "body": (
        "Genuine deliveries come that this version cannot read, and are refused.",
        "Ask a person to update clawver-orders.",
    ),
    "size": (
        "Deliveries come that are too large, and are refused.",
        "Read the orders themselves: list_orders.",
    ),
    "time": (
        "Deliveries come too slowly, and are refused.",
        "Ask a person to check the way from Clawver to clawver-orders listen.",
    ),
    "cut off": (
        "Deliveries are cut off before all of them has come.",
        "Ask a person to check the way from Clawver to clawver-orders listen.",
    ),
    "disk": (
        "Deliveries come that could not be noted.",
        "Ask a person to run clawver-orders doctor.",
    ),
}
"""What is said of deliveries that were refused, by the cause, and what to do."""


class ReceivingDetail(Part):
    """Whether events arrive on this machine."""

    state: Literal["listening", "not_listening", "never_started"]
    last_start: Past | None = None
    last_seen: Past | None = None
    last_delivery: Past | None = None
    refused: list[str] = Field([], description="Lost deliveries, by cause.")
    last_refused: Past | None = None

    @classmethod
    def of(cls, status: ReceiverStatus) -> Self:
        """How the receiver stands, as an agent gets it."""
        return cls(
            state="listening"
            if status.is_listening
            else "never_started"
            if status.started_at is None
            else "not_listening",
            last_start=status.started_at,
            last_seen=status.seen_at,
            last_delivery=status.delivered_at,
            refused=[f"{each.cause}: {each.count}" for each in status.refusals],
            last_refused=max((each.last_at for each in status.refusals), default=None),
        )


async def receiver_status(services: Services) -> ReceiverStatus:
    """How the receiver of this machine stands now."""
    return await to_thread.run_sync(
        (await services.kept(INBOX)).inbox.receiver_status, services.now()
    )


def lost(status: ReceiverStatus) -> str:
    """What was refused after the last delivery that was taken; nothing where nothing was."""
    return " ".join(LOST[each.cause][0] for each in status.lost)


def trouble(status: ReceiverStatus) -> str:
    """What keeps events from arriving, and what to do about it; nothing where they do."""
    if not status.is_listening:
        return f"No events can arrive: nothing listens. {START}"
    if status.lost:
        return " ".join(LOST[status.lost[0].cause])
    return ""
