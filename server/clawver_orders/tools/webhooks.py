"""Where Clawver sends events: registering, listing and removing webhooks."""

from typing import Literal

from pydantic import Field

from clawver_orders.addresses import Address, AddressError, address, is_loopback
from clawver_orders.caller import BY_PROGRAM, Caller, Question, Reply
from clawver_orders.clawver.models import Webhook
from clawver_orders.errors import (
    NOTHING_SENT,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SetupError,
)
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_orders.tools.answers import Answer, Part, Past
from clawver_orders.tools.arguments import WebhookEvents, WebhookId, WebhookUrl
from clawver_orders.tools.receiving import START, ReceivingDetail, receiver_status, trouble
from clawver_orders.webhooks.inbox import ReceiverStatus
from clawver_orders.webhooks.signature import EVENTS

QUESTION = "register_webhook"
"""What the question is about, on its way through a host; its number is when it was asked."""
YES_HOLDS_FOR_SECONDS = 600


class WebhookDetail(Part):
    """Where Clawver sends events."""

    webhook_id: str | None = None
    url: str
    events: list[str]
    created_at: Past | None = None
    unexpected_host: bool = Field(description="True unless CLAWVER_WEBHOOK_HOSTS names it.")


class WebhookRegistered(Answer):
    """What became of a registration."""

    status: Literal["registered", "already_registered"]
    message: str
    webhook: WebhookDetail
    same_url: list[str] = Field(description="Other webhooks with this url.")
    receiving: ReceivingDetail


class WebhookList(Answer):
    """All webhooks of the store."""

    webhooks: list[WebhookDetail]
    receiving: ReceivingDetail


class WebhookDeleted(Answer):
    """What became of a removal."""

    status: Literal["deleted", "not_registered"]
    webhook_id: str
    message: str


async def register_webhook(
    services: Services, caller: Caller, url: WebhookUrl, events: WebhookEvents
) -> WebhookRegistered:
    """Have Clawver send the store's events to a web address of the merchant, signed with CLAWVER_WEBHOOK_SECRET.

    Use it only when the merchant names the address. To read what happened use
    list_order_events, to see what is registered list_webhooks. Name only events that are
    wanted, such as order.paid for sales.

    Events hold order data, so only hosts in CLAWVER_WEBHOOK_HOSTS are accepted; while it is
    unset, only urls already registered. If a setting is missing, nothing is registered; the
    error says what a person must set.

    Repeating a call returns the existing webhook. To change events, register the url with the
    new ones and remove the old webhook with delete_webhook; both send until then.
    """
    to = _checked(url, services.settings)
    wanted: list[str] = [name for name in EVENTS if name in events]
    if not services.settings.webhook_secret:
        raise SetupError(
            "Nothing was registered: CLAWVER_WEBHOOK_SECRET is not set.",
            next_step="A person must set it, to a secret of 16 characters or more, here and where "
            "clawver-orders listen runs.",
        )
    allowed = services.settings.webhook_hosts
    if allowed:
        _check_host(to, allowed)
    store = await services.store()
    # Not while others wait: people take their time.
    is_approved = not caller.can_ask or await _show(services, store.title, caller, to, wanted)
    async with services.registering:
        same_url = await _with_url(services, to)
        found = _with_events(same_url, wanted)
        if found is None and not is_approved:  # it was there a moment ago
            raise _nobody_said_yes()
        hook = found or await services.clawver.register_webhook(
            to.url, wanted, services.settings.webhook_secret[0].get_secret_value()
        )
    others = [other.id for other in same_url if other.id and other.id != hook.id]
    status = await receiver_status(services)
    return WebhookRegistered(
        status="already_registered" if found else "registered",
        message=(
            f"{NOTHING_SENT}: this webhook exists. Which secret it was registered with cannot be seen."
            if found
            else "Clawver sends these events from now on."
        ),
        webhook=_detail(hook, services),
        same_url=others,
        receiving=ReceivingDetail.of(status),
        next_step=_after_registering(others, status),
    )


async def _with_url(services: Services, to: Address) -> list[Webhook]:
    """The webhooks of an address. Without the setting nothing new may be named, only what is there."""
    existing = await services.clawver.webhooks()
    same_url = [hook for hook in existing if _one_spelling(hook, services.settings) == to.url]
    if not same_url:
        _check_host(to, services.settings.webhook_hosts)
    return same_url


def _with_events(hooks: list[Webhook], wanted: list[str]) -> Webhook | None:
    return next((hook for hook in hooks if set(hook.events) == set(wanted)), None)


async def _show(
    services: Services, store: str, caller: Caller, to: Address, wanted: list[str]
) -> bool:
    """Let a person see where the events will go: whether they said yes; not asked where they go there.

    Raises:
        RefusedError: They said no, or nothing.
    """
    now = int(services.now().timestamp())
    reply = caller.reply_to(QUESTION)
    if reply in BY_PROGRAM:
        services.own_answers.add(caller.answered_number)
    elif reply is not None and caller.answered_number in services.own_answers:
        reply = reply.after(0.0)  # brought again later, it is no person's either
    if reply is Reply.YES and not 0 <= now - caller.answered_number < YES_HOLDS_FOR_SECONDS:
        reply = None  # they may have changed their mind since
    if reply is None:
        if _with_events(await _with_url(services, to), wanted) is not None:
            return False
        reply = await caller.ask(_question(store, to, wanted, now))
    if reply is Reply.NO:
        raise RefusedError(
            "Nothing was registered: a person said no to this address.",
            next_step="Do not ask again by yourself. Ask the merchant which address and which events they want.",
        )
    if reply is not Reply.YES:
        raise _nobody_said_yes()
    return True


def _nobody_said_yes() -> RefusedError:
    return RefusedError(
        "Nothing was registered: nobody said yes to this address.",
        next_step="Ask the merchant whether they want it, then call register_webhook again with the same "
        "values. If they are shown nothing, they can run clawver-orders call register_webhook in a terminal.",
    )


def _question(store: str, to: Address, wanted: list[str], number: int) -> Question:
    lines = [
        f"Send events of this store to {to.url} from now on?",
        f"Store: {store}",
        f"Events: {', '.join(wanted)}",
        "They hold what customers order. Whoever receives them there can read it.",
    ]
    return Question(
        QUESTION,
        "\n".join(lines),
        yes="Send the events there",
        choice="Yes registers this address. No changes nothing.",
        number=number,
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
    """List all addresses that Clawver sends this store's events to, and whether this machine listens for them.

    Use it before register_webhook, to find the webhook_id for delete_webhook, or when no events
    come. The events themselves are in list_order_events.

    It makes one request and sends no test event: `receiving` says whether `clawver-orders
    listen` runs here, not whether an address can be reached. Where unexpected_host is true, the
    merchant has not named the host in CLAWVER_WEBHOOK_HOSTS: ask about it.
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
            "." if because else "; remove one with delete_webhook."
        )
    else:
        step = trouble(status) or "Call list_order_events to see what has arrived."
    return WebhookList(webhooks=hooks, receiving=ReceivingDetail.of(status), next_step=step)


async def delete_webhook(services: Services, webhook_id: WebhookId) -> WebhookDeleted:
    """Remove a webhook for good: Clawver stops sending events to its address.

    Use it for an address that the merchant no longer wants or never named (unexpected_host in
    list_webhooks), or that register_webhook has replaced. Ask the merchant first: events that
    happen while nothing is registered are never sent later. To change the events of an address,
    call register_webhook first.

    webhook_id is not the url; an unknown id changes nothing and answers `not_registered`.
    """
    try:
        await services.clawver.delete_webhook(webhook_id)
    except NotFoundError:
        return WebhookDeleted(
            status="not_registered",
            webhook_id=webhook_id,
            message=f"Nothing was changed: there is no webhook {webhook_id} in this store.",
            next_step="If another one was meant, call list_webhooks for its id.",
        )
    return WebhookDeleted(
        status="deleted",
        webhook_id=webhook_id,
        message=f"Clawver sends nothing to webhook {webhook_id} any more.",
        next_step="Call list_webhooks to see which ones remain.",
    )


def _checked(url: str, settings: Settings) -> Address:
    try:
        return address(url, is_local_store=_is_local_store(settings))
    except AddressError as error:
        raise InvalidRequestError(
            f"Nothing was registered: url {error}.",
            next_step="Ask the merchant for the public https address of their listener, then call "
            "register_webhook with it.",
        ) from None


def _is_local_store(settings: Settings) -> bool:
    return settings.sandbox or is_loopback(settings.api_host)


def _check_host(to: Address, allowed: tuple[str, ...]) -> None:
    if not to.is_this_machine and to.host not in allowed:
        line = ",".join(sorted({*allowed, to.host} - {""}))
        raise SetupError(
            f"Nothing was registered: {to.host} is not a host that the merchant allows for events.",
            next_step="If a person really wants the store's events sent there, they must set "
            f"CLAWVER_WEBHOOK_HOSTS={line} where this server is configured, and start it again.",
        )


def _one_spelling(hook: Webhook, settings: Settings) -> str:
    """The address of a webhook, spelt as `address` does; as it is where it would not be taken."""
    try:
        return address(hook.url, is_local_store=_is_local_store(settings)).url
    except AddressError:
        return hook.url


def _host(hook: Webhook, settings: Settings) -> str:
    """The host of a registered webhook; nothing where the address would not be taken."""
    try:
        return address(hook.url, is_local_store=_is_local_store(settings)).host
    except AddressError:
        return ""


def _detail(hook: Webhook, services: Services) -> WebhookDetail:
    settings = services.settings
    host = _host(hook, settings)
    local = _is_local_store(settings) and is_loopback(host)
    named = settings.webhook_hosts
    return WebhookDetail(
        webhook_id=hook.id,
        url=hook.url,
        events=list(hook.events),
        created_at=hook.created_at,
        unexpected_host=not local and host not in named,
    )
