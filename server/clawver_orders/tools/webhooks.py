"""Where Clawver sends events: registering, listing and removing webhooks."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from clawver_orders.addresses import AddressError, address, is_loopback
from clawver_orders.caller import Caller, Grade
from clawver_orders.clawver.models import Webhook
from clawver_orders.errors import NOTHING_SENT
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_orders.tools.answers import Answer, Part, Past
from clawver_orders.tools.approving import changed
from clawver_orders.tools.arguments import WebhookEvents, WebhookId, WebhookUrl
from clawver_orders.tools.receiving import START, ReceivingDetail, receiver_status, trouble
from clawver_orders.webhooks.desk import (
    NOTHING_DONE,
    TOOL,
    Changed,
    checked,
    command,
    is_local_store,
)
from clawver_orders.webhooks.inbox import ReceiverStatus
from clawver_orders.webhooks.signature import EVENTS

_REGISTERED: dict[str, Literal["registered", "already_registered"]] = {
    "done": "registered",
    "needless": "already_registered",
}
_ABOUT = {"register": "this address", "delete": "removing this webhook"}
_WHO: dict[Grade, str] = {
    "setting": "",
    "agent": "No person answered the question. ",
    "chat": "Only a person can approve it. ",
    "console": "Only a person at the merchant's machine can approve it. ",
    "pin": "Only the merchant can approve it, with their PIN. It must never be typed in a chat. ",
}


class WebhookDetail(Part):
    """Where Clawver sends events."""

    webhook_id: str | None = None
    url: str
    events: list[str]
    created_at: Past | None = None
    unexpected_host: bool = Field(description="True unless CLAWVER_WEBHOOK_HOSTS names it.")


class WebhookRegistered(Answer):
    """What became of a registration."""

    status: Literal["registered", "already_registered", "needs_approval"]
    message: str
    webhook: WebhookDetail
    same_url: list[str] = Field(description="Other webhooks with this url.")
    receiving: ReceivingDetail
    needs: Grade | None = None
    approve_at: str | None = None
    decided_by: str | None = None


class WebhookList(Answer):
    """All webhooks of the store."""

    webhooks: list[WebhookDetail]
    receiving: ReceivingDetail


class WebhookDeleted(Answer):
    """What became of a removal."""

    status: Literal["deleted", "not_registered", "needs_approval"]
    webhook_id: str
    message: str
    needs: Grade | None = None
    approve_at: str | None = None
    decided_by: str | None = None


async def register_webhook(
    services: Services, caller: Caller, url: WebhookUrl, events: WebhookEvents
) -> WebhookRegistered:
    """Have Clawver send the store's events to a web address of the merchant, signed with CLAWVER_WEBHOOK_SECRET.

    Only when the merchant names the address: events hold order data. A host that
    CLAWVER_WEBHOOK_HOSTS does not name is an error that says what a person must set. Repeating
    a call returns the existing webhook. To change events register the url with the new ones,
    then delete_webhook the old one.
    """
    to = checked(url, services.settings)
    wanted: list[str] = [name for name in EVENTS if name in events]
    told = await changed(
        services, caller, lambda store: store.webhooks.register(to, wanted, caller)
    )
    hook = told.hook or Webhook(url=to.url, events=tuple(wanted))
    others = [other.id for other in told.others if other.id and other.id != hook.id]
    status = await receiver_status(services)
    waits = await _waiting(services, told)
    return WebhookRegistered(
        status="needs_approval" if waits else _REGISTERED[told.status],
        message=waits.message
        if waits
        else f"{NOTHING_SENT}: this webhook exists. Which secret it was registered with cannot be seen."
        if told.status == "needless"
        else "Clawver sends these events from now on.",
        webhook=_detail(hook, services),
        same_url=others,
        receiving=ReceivingDetail.of(status),
        needs=waits and waits.needs,
        approve_at=waits and waits.approve_at,
        decided_by=_decided_by(told),
        next_step=waits.next_step if waits else _after_registering(others, status),
    )


def _after_registering(others: list[str], status: ReceiverStatus) -> str:
    if others:
        return (
            "This url is registered more than once; if the new one replaces the others, call "
            f"delete_webhook with webhook_id {others[0]}."
        )
    if not status.is_listening:
        return f"Nothing on this machine receives events yet. {START}"
    return "Call list_order_events to see what arrives."


async def list_webhooks(services: Services) -> WebhookList:
    """List the addresses that Clawver sends this store's events to, and whether this machine listens.

    Use it before register_webhook, to find a webhook_id, or when no events come; the events are
    in list_order_events. It changes and sends nothing. `receiving` says whether `clawver-orders
    listen` runs here, not whether an address can be reached. Where unexpected_host is true,
    ask the merchant; delete_webhook only what they don't want.
    """
    hooks = [_detail(hook, services) for hook in await services.clawver.webhooks()]
    status = await receiver_status(services)
    because = services.settings.read_only_because
    if not hooks and because:
        step = f"No webhook is registered, and none can be registered here ({because})."
    elif not hooks:
        step = "No webhook is registered: call register_webhook with an address from the merchant."
    elif any(hook.unexpected_host for hook in hooks):
        step = "Ask the merchant about each webhook with unexpected_host" + (
            "." if because else "; remove with delete_webhook only what they don't want."
        )
    else:
        step = trouble(status) or "Call list_order_events to see what has arrived."
    return WebhookList(webhooks=hooks, receiving=ReceivingDetail.of(status), next_step=step)


async def delete_webhook(
    services: Services, caller: Caller, webhook_id: WebhookId
) -> WebhookDeleted:
    """Remove a webhook for good: Clawver stops sending events to its address.

    Ask the merchant first: what happens while nothing is registered is never sent later. To
    change the events of an address call register_webhook first. An unknown id changes nothing
    and answers `not_registered`.
    """
    told = await changed(services, caller, lambda store: store.webhooks.delete(webhook_id, caller))
    if told.status == "needless":
        return WebhookDeleted(
            status="not_registered",
            webhook_id=webhook_id,
            message=f"Nothing was changed: there is no webhook {webhook_id} in this store.",
            next_step="If another one was meant, call list_webhooks for its id.",
        )
    waits = await _waiting(services, told)
    if waits:
        return WebhookDeleted(
            status="needs_approval",
            webhook_id=webhook_id,
            message=waits.message,
            needs=waits.needs,
            approve_at=waits.approve_at,
            next_step=waits.next_step,
        )
    return WebhookDeleted(
        status="deleted",
        webhook_id=webhook_id,
        message=f"Clawver sends nothing to webhook {webhook_id} any more.",
        decided_by=_decided_by(told),
        next_step="Call list_webhooks to see which ones remain.",
    )


@dataclass(frozen=True)
class _Waits:
    """What is said of a change that waits for approval."""

    message: str
    needs: Grade
    approve_at: str | None
    next_step: str


async def _waiting(services: Services, told: Changed) -> _Waits | None:
    """What is said of a change that waits; None where it doesn't."""
    change = told.change
    if told.status != "needs_approval" or change is None:
        return None
    action, needs = change.wanted.action, change.grade_needed
    page = await services.page_of(f"webhook/{change.change_id}")
    run = command(change.wanted, services.settings)
    where = f"{f'open {page}, or ' if page else ''}run in a terminal: `{run}`"
    again = f"call {TOOL[action]} again with the same values"
    if told.was_asked:
        why = f"nobody said yes to {_ABOUT[action]}"
        step = f"Ask the merchant whether they want it, then {again}. If they are shown nothing, they can {where}."
    else:
        why = "it waits for approval"
        step = f"{_WHO[needs]}Ask them to {where}. Once they have decided, {again}."
    return _Waits(f"{NOTHING_DONE[action]}: {why}.", needs, page, step)


def _decided_by(told: Changed) -> str | None:
    return f"{told.approval.who} ({told.approval.grade})" if told.approval else None


def _host(hook: Webhook, settings: Settings) -> str:
    """The host of a registered webhook; nothing where the address would not be taken."""
    try:
        return address(hook.url, is_local_store=is_local_store(settings)).host
    except AddressError:
        return ""


def _detail(hook: Webhook, services: Services) -> WebhookDetail:
    settings = services.settings
    host = _host(hook, settings)
    local = is_local_store(settings) and is_loopback(host)
    named = settings.webhook_hosts
    return WebhookDetail(
        webhook_id=hook.id,
        url=hook.url,
        events=list(hook.events),
        created_at=hook.created_at,
        unexpected_host=not local and host not in named,
    )
