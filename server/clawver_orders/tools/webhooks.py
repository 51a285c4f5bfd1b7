"""Hearing of events: where Clawver sends them, and what has arrived."""

from datetime import datetime

from clawver_orders.addresses import Address, AddressError, address, is_loopback
from clawver_orders.approvals import BY_PROGRAM, Caller, Question, Reply
from clawver_orders.errors import (
    NOTHING_SENT,
    ClawverError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SetupError,
)
from clawver_orders.models import Webhook
from clawver_orders.reconciling import Looked, look_where_events_say
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_orders.settling import off_thread
from clawver_orders.state.inbox import Page, Query, Received, Standing
from clawver_orders.tools.answers import (
    EVENT_COLUMNS,
    EventList,
    LookedDetail,
    ReceivingDetail,
    WebhookDeleted,
    WebhookDetail,
    WebhookList,
    WebhookRegistered,
    ago,
    in_utc,
)
from clawver_orders.tools.arguments import (
    Before,
    EventLimit,
    EventName,
    EventOrderId,
    Since,
    WebhookEvents,
    WebhookId,
    WebhookUrl,
    event_number,
    moment,
)
from clawver_orders.webhooks import EVENTS

START = "Ask a person to keep this running on this machine: clawver-orders listen."
QUESTION = "register_webhook"
"""What the question is about, on its way through a host; its number is when it was asked."""
YES_HOLDS_FOR_SECONDS = 600
SECRETS_DIFFER = (
    "Requests arrive whose signature does not fit: either somebody is guessing, or the webhook was "
    "registered with another secret than CLAWVER_WEBHOOK_SECRET holds now."
)


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
    # Not while others wait: people take their time.
    is_approved = not caller.can_ask or await _show(services, caller, to, wanted)
    async with services.registering:
        same_url = await _with_url(services, to)
        found = _with_events(same_url, wanted)
        if found is None and not is_approved:  # it was there a moment ago
            raise _nobody_said_yes()
        hook = found or await services.clawver.register_webhook(
            to.url, wanted, services.settings.webhook_secret[0].get_secret_value()
        )
    others = [other.id for other in same_url if other.id != hook.id]
    standing = await _standing(services)
    return WebhookRegistered(
        status="already_registered" if found else "registered",
        message=(
            f"{NOTHING_SENT}: this webhook exists. Which secret it was registered with cannot be seen."
            if found
            else "Clawver sends these events from now on."
        ),
        webhook=_detail(hook, services),
        same_url=others,
        receiving=_receiving(standing, services.now()),
        next_step=_after_registering(others, standing),
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


async def _show(services: Services, caller: Caller, to: Address, wanted: list[str]) -> bool:
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
        reply = await caller.ask(_question(services.settings, to, wanted, now))
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


def _question(settings: Settings, to: Address, wanted: list[str], number: int) -> Question:
    lines = [
        f"Send events of this store to {to.url} from now on?",
        f"Store: {settings.store_name}",
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


def _after_registering(others: list[str], standing: Standing) -> str:
    if others:
        return (
            "This url is registered more than once; if the new one replaces the others, call "
            f"delete_webhook with webhook_id {others[0]}."
        )
    if not standing.is_listening:
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
    standing = await _standing(services)
    if not hooks and services.settings.read_only:
        step = "No webhook is registered, and none can be registered here (CLAWVER_READ_ONLY)."
    elif not hooks:
        step = "No webhook is registered: call register_webhook with an address from the merchant."
    elif any(hook.unexpected_host for hook in hooks):
        step = "Ask the merchant about each webhook with unexpected_host" + (
            "." if services.settings.read_only else "; remove one with delete_webhook."
        )
    else:
        step = _trouble(standing) or "Call list_order_events to see what has arrived."
    return WebhookList(
        webhooks=hooks, receiving=_receiving(standing, services.now()), next_step=step
    )


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


async def list_order_events(
    services: Services,
    since: Since = "",
    before: Before = "",
    order_id: EventOrderId = "",
    event: EventName = "any",
    limit: EventLimit = 50,
) -> EventList:
    """List the events that Clawver reported to this machine, newest first: orders paid, shipped, refunded, reviews.

    Use it to learn what happened since the last look. For how an order stands now use
    get_order, for all orders list_orders.

    It knows only what arrived while `clawver-orders listen` ran here, for 30 days; when
    `receiving` says that it does not run, ask a person to start it. Reading takes none of the
    store's requests, as a rule.

    Filters combine. For what is new, pass the last answer's `newest` as since; for the rest of
    a list that was cut, pass its `older` as before.
    """
    query = Query(
        after=event_number(since) or 0,
        since=moment(since) if since and event_number(since) is None else None,
        before=event_number(before),
        order_id=order_id,
        name="" if event == "any" else event,
        limit=limit,
    )
    now = services.now()
    standing = await _standing(services)
    if max(query.after, query.before or 0) > standing.last_number:
        raise InvalidRequestError(
            "Nothing was read: no event with that id ever arrived here.",
            next_step="Call list_order_events without since and before, and go on from its newest.",
        )
    page = await off_thread(services.inbox.find, query, now)
    why = await off_thread(_why_incomplete, services, query, page, standing)
    try:
        checked = await look_where_events_say(services)
    except ClawverError:  # what has arrived can be read all the same
        checked = ()
        not_looked = "Reported refunds could not be looked up: see clawver-orders doctor."
        why = f"{why} {not_looked}" if why else not_looked
    newest = max([standing.last_number, *(found.number for found in page.events)])
    return EventList(
        columns=list(EVENT_COLUMNS),
        events=[_row(found, now) for found in page.events],
        complete=why is None,
        why_incomplete=why,
        newest=f"evt_{newest}" if query.before is None else None,
        older=f"evt_{page.events[-1].number}" if page.has_more else None,
        receiving=_receiving(standing, now),
        refunds_checked=[LookedDetail.of(each.intent, each.status) for each in checked],
        next_step=_about_money(checked) + _after_events(query, page, standing),
    )


def _about_money(checked: tuple[Looked, ...]) -> str:
    """What comes before anything else: a refund that was waited for is settled."""
    settled = [each.intent.refund_id for each in checked if each.status not in {"unknown", "busy"}]
    if not settled:
        return ""
    return f"Tell the person what became of refund {', '.join(settled)}: see refunds_checked. "


def _after_events(query: Query, page: Page, standing: Standing) -> str:
    if query.name and not page.events and query.name not in EVENTS:
        return f"Clawver has no event of that name; there are: {', '.join(EVENTS)}."
    trouble = _trouble(standing)
    if trouble:
        return trouble
    if page.has_more:
        return f"For the older ones call list_order_events again with before evt_{page.events[-1].number}."
    order_id = next((found.order_id for found in page.events if found.order_id), None)
    if order_id:
        return f"See how an order stands now with get_order, such as order_id {order_id}."
    return "Nothing to do; call list_order_events later with since set to newest."


def _trouble(standing: Standing) -> str:
    """What keeps events from arriving, and what to do about it; nothing where they do."""
    if not standing.is_listening:
        return f"No events can arrive: nothing listens. {START}"
    if standing.refused_at and (
        standing.delivered_at is None or standing.delivered_at < standing.refused_at
    ):
        return f"{SECRETS_DIFFER} Ask a person to compare them."
    return ""


def _why_incomplete(services: Services, query: Query, page: Page, standing: Standing) -> str | None:
    reasons = []
    if page.has_more:
        reasons.append(
            f"Only the newest {len(page.events)} that match are listed; older says how to go on."
        )
    too_early = query.since is not None and query.since < services.inbox.kept_since(services.now())
    if too_early or 0 < query.after < standing.forgotten:
        reasons.append(f"Events are kept for {services.settings.inbox_days} days.")
    since = query.since or _arrival(services, query.after)
    if standing.started_at and since and since < standing.started_at:
        reasons.append("The listener began after that; what was sent while none ran is missed.")
    if standing.refused_at and (
        standing.delivered_at is None or standing.delivered_at < standing.refused_at
    ):
        reasons.append(SECRETS_DIFFER)
    if standing.started_at is None:
        reasons.append("Nothing has ever listened here, so nothing could arrive.")
    elif not standing.is_listening:
        reasons.append("Nothing listens now, so what the store sends is missed.")
    return " ".join(reasons) or None


def _arrival(services: Services, number: int) -> datetime | None:
    """When an event arrived here, while it is kept."""
    query = Query(after=number - 1, before=number + 1, limit=1)
    events = services.inbox.find(query, services.now()).events if number else ()
    return events[0].received_at if events else None


def _row(found: Received, now: datetime) -> list[str]:
    return [
        f"evt_{found.number}",
        found.name,
        found.order_id or "",
        in_utc(found.at) if found.at else "",
        ago(found.at, now) if found.at else "",
        in_utc(found.received_at),
        ago(found.received_at, now),
    ]


async def _standing(services: Services) -> Standing:
    return await off_thread(services.inbox.standing, services.now())


def _receiving(standing: Standing, now: datetime) -> ReceivingDetail:
    started, seen = standing.started_at, standing.seen_at
    delivered, refused = standing.delivered_at, standing.refused_at
    return ReceivingDetail(
        state="listening"
        if standing.is_listening
        else "never_started"
        if started is None
        else "not_listening",
        last_start=in_utc(started) if started else None,
        last_start_ago=ago(started, now) if started else None,
        last_seen=in_utc(seen) if seen else None,
        last_seen_ago=ago(seen, now) if seen else None,
        last_delivery=in_utc(delivered) if delivered else None,
        last_delivery_ago=ago(delivered, now) if delivered else None,
        refused=standing.refused,
        last_refused=in_utc(refused) if refused else None,
        last_refused_ago=ago(refused, now) if refused else None,
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
        created_at=in_utc(hook.created_at) if hook.created_at else None,
        created_ago=ago(hook.created_at, services.now()) if hook.created_at else None,
        unexpected_host=not local and host not in named,
    )
