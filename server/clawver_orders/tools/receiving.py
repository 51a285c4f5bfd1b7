"""Whether events arrive on this machine, as an agent gets it."""

from typing import Literal, Self

from anyio import to_thread
from pydantic import Field

from clawver_orders.services import INBOX, Services
from clawver_orders.tools.answers import Part, Past
from clawver_orders.webhooks.inbox import ReceiverStatus

START = "Ask a person to keep this running on this machine: clawver-orders listen."
SECRETS_DIFFER = (
    "Requests arrive whose signature does not fit: either somebody is guessing, or the webhook was "
    "registered with another secret than CLAWVER_WEBHOOK_SECRET holds now."
)


class ReceivingDetail(Part):
    """Whether events arrive on this machine."""

    state: Literal["listening", "not_listening", "never_started"]
    last_start: Past | None = None
    last_seen: Past | None = None
    last_delivery: Past | None = None
    refused: int = Field(description="Requests whose signature did not fit: nothing was stored.")
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
            refused=status.refused,
            last_refused=status.refused_at,
        )


async def receiver_status(services: Services) -> ReceiverStatus:
    """How the receiver of this machine stands now."""
    return await to_thread.run_sync(
        (await services.kept(INBOX)).inbox.receiver_status, services.now()
    )


def secrets_differ(status: ReceiverStatus) -> bool:
    """Whether what arrived last was refused, because its signature did not fit."""
    return status.refused_at is not None and (
        status.delivered_at is None or status.delivered_at < status.refused_at
    )


def trouble(status: ReceiverStatus) -> str:
    """What keeps events from arriving, and what to do about it; nothing where they do."""
    if not status.is_listening:
        return f"No events can arrive: nothing listens. {START}"
    if secrets_differ(status):
        return f"{SECRETS_DIFFER} Ask a person to compare them."
    return ""
