"""Whether events arrive on this machine, as an agent gets it."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field

from clawver_orders.services import Services
from clawver_orders.settling import off_thread
from clawver_orders.state.inbox import Standing
from clawver_orders.tools.answers import Part, ago, in_utc

START = "Ask a person to keep this running on this machine: clawver-orders listen."
SECRETS_DIFFER = (
    "Requests arrive whose signature does not fit: either somebody is guessing, or the webhook was "
    "registered with another secret than CLAWVER_WEBHOOK_SECRET holds now."
)


class ReceivingDetail(Part):
    """Whether events arrive on this machine."""

    state: Literal["listening", "not_listening", "never_started"]
    last_start: str | None = None
    last_start_ago: str | None = None
    last_seen: str | None = None
    last_seen_ago: str | None = None
    last_delivery: str | None = None
    last_delivery_ago: str | None = None
    refused: int = Field(description="Requests whose signature did not fit: nothing was stored.")
    last_refused: str | None = None
    last_refused_ago: str | None = None

    @classmethod
    def of(cls, status: Standing, now: datetime) -> Self:
        """How the receiver stands, as an agent gets it."""
        started, seen = status.started_at, status.seen_at
        delivered, refused = status.delivered_at, status.refused_at
        return cls(
            state="listening"
            if status.is_listening
            else "never_started"
            if started is None
            else "not_listening",
            last_start=in_utc(started) if started else None,
            last_start_ago=ago(started, now) if started else None,
            last_seen=in_utc(seen) if seen else None,
            last_seen_ago=ago(seen, now) if seen else None,
            last_delivery=in_utc(delivered) if delivered else None,
            last_delivery_ago=ago(delivered, now) if delivered else None,
            refused=status.refused,
            last_refused=in_utc(refused) if refused else None,
            last_refused_ago=ago(refused, now) if refused else None,
        )


async def receiver_status(services: Services) -> Standing:
    """How the receiver of this machine stands now."""
    return await off_thread(services.inbox.standing, services.now())


def secrets_differ(status: Standing) -> bool:
    """Whether what arrived last was refused, because its signature did not fit."""
    return status.refused_at is not None and (
        status.delivered_at is None or status.delivered_at < status.refused_at
    )


def trouble(status: Standing) -> str:
    """What keeps events from arriving, and what to do about it; nothing where they do."""
    if not status.is_listening:
        return f"No events can arrive: nothing listens. {START}"
    if secrets_differ(status):
        return f"{SECRETS_DIFFER} Ask a person to compare them."
    return ""
