"""What happened to an order and when, as far as Clawver, the refund ledger, events and the history tell."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from anyio import to_thread

from clawver_orders.clawver.models import Order, Review
from clawver_orders.errors import ClawverError
from clawver_orders.history.knowledge import Noticed
from clawver_orders.money import display
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.records import Wish
from clawver_orders.services import INBOX, LEDGER, Services
from clawver_orders.tools.answers import in_utc, parcel
from clawver_orders.tools.reviews import in_a_cell
from clawver_orders.webhooks.inbox import Query, Received

MOST_MOMENTS = 40
"""The most of what happened to an order that an answer has."""
_TOLD_BY_ORDER = {"order.created": "created_at", "order.paid": "paid_at"}
"""Events of which the order itself tells the time."""
_FIELDS = {"status": "status", "paymentStatus": "payment_status"}
"""The fields whose changes are noticed, as answers call them."""


@dataclass(frozen=True)
class Moment:
    """Something that happened to an order."""

    until: datetime
    """When it happened; where that is not known, when it was seen to have happened."""
    what: str
    detail: str = ""
    """More about it, in words of ours."""
    quoted: str = ""
    """What others wrote about it: a customer, an agent, or the store."""
    after: datetime | None = None
    """Where it was only noticed: when it had not happened yet."""

    @property
    def cells(self) -> list[str]:
        """It as a row: when, what, and more about it, which may be a text of others."""
        when = in_utc(self.until)
        if self.after is not None:
            before = in_utc(self.after)
            if before == when:
                before, when = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (self.after, self.until))
            when = f"seen between {before} and {when}"
        return [when, self.what, ": ".join(filter(None, (self.detail, self.quoted)))]


@dataclass
class Sources:
    """What is known of an order beside the order itself."""

    wishes: Sequence[Wish] = ()
    events: Sequence[Received] = ()
    changes: Sequence[Noticed] = ()
    reviews: Sequence[Review] = ()
    unreadable: list[str] = field(default_factory=list)
    """Which of them could not be read."""


async def sources_of(services: Services, order: Order, reviews: Iterable[Review]) -> Sources:
    """Read what is kept on this machine of an order. Asks the store at most who it is, and never raises.

    Args:
        services: What tools work with.
        order: The order.
        reviews: Those that may be of it.
    """
    found = Sources(reviews=[each for each in reviews if each.order_id == order.id])
    try:
        ledger = (await services.kept(LEDGER)).ledger
        found.wishes = (await ledger.of_order(order.id)).wishes
    except ClawverError:
        found.unreadable.append("the refund ledger")
    try:
        inbox, now = (await services.kept(INBOX)).inbox, services.now()
        query = Query(order_id=order.id, limit=MOST_MOMENTS)
        found.events = (await to_thread.run_sync(inbox.find, query, now)).events
    except ClawverError:
        found.unreadable.append("order events")
    try:
        mirror = await services.history()
        if mirror is not None:
            found.changes = await to_thread.run_sync(mirror.changes, order.id, MOST_MOMENTS)
    except ClawverError:
        found.unreadable.append("the history")
    return found


def timeline(order: Order, sources: Sources, masking: Masking) -> tuple[list[list[str]], int]:
    """What happened to an order, oldest first, and how much older is left out.

    Args:
        order: The order as it stands now.
        sources: What else is known of it.
        masking: How its customer is shown.
    """
    moments = moments_of(order, sources, masking)
    left_out = max(0, len(moments) - MOST_MOMENTS)
    return [moment.cells for moment in moments[left_out:]], left_out


def moments_of(order: Order, sources: Sources, masking: Masking) -> list[Moment]:
    """All that happened to an order, oldest first.

    Args:
        order: The order as it stands now.
        sources: What else is known of it.
        masking: How its customer is shown.
    """
    moments = [
        *_of_order(order),
        *_refunds(order, sources.wishes, masking),
        *_approvals(sources.wishes),
        *_events(order, sources.events, masking),
        *_changes(order, sources, masking),
        *_reviews(order, sources.reviews, masking),
    ]
    return sorted(moments, key=lambda moment: moment.until)


def undated(order: Order) -> str:
    """What is in no timeline: refunds whose time Clawver does not tell. Nothing where there are none."""
    amounts = [each.amount_in_cents for each in order.refunds or () if each.created_at is None]
    if not amounts:
        return ""
    total = display(sum(amounts), order.currency)
    return f"Clawver does not tell when these refunds of {order.id} were made: {len(amounts)}, {total}."


def _of_order(order: Order) -> Iterator[Moment]:
    if order.created_at:
        yield Moment(order.created_at, "created")
    if order.paid_at:
        yield Moment(order.paid_at, "paid")


def _refunds(order: Order, wishes: Sequence[Wish], masking: Masking) -> Iterator[Moment]:
    ours = {
        each
        for wish in wishes
        for each in (wish.clawver_refund_id, *wish.unexpected_refunds)
        if each is not None
    }
    is_certain = not any(wish.is_open for wish in wishes)
    for refund in order.refunds or ():
        if refund.created_at:
            elsewhere = "" if refund.id in ours or not is_certain else ", not by this server"
            amount = display(refund.amount_in_cents, order.currency)
            reason = masking.words(refund.reason, order)
            yield Moment(refund.created_at, f"refunded{elsewhere}", amount, reason)


def _approvals(wishes: Sequence[Wish]) -> Iterator[Moment]:
    """Who decided about refunds, and what became of those that Clawver does not list."""
    for wish in wishes:
        amount = display(wish.amount_in_cents)
        for each in wish.decisions:
            verdict = "declined" if each.verdict == "decline" else "approved"
            by = f"{amount} by {each.who}, grade {each.grade}, through {each.channel}"
            yield Moment(each.made.at, f"refund {verdict}", by)
        for attempt in wish.attempts:
            if attempt.status != "refunded":
                yield Moment(attempt.sent.at, "refund sent", f"{amount}, now {attempt.status}")


def _events(order: Order, events: Sequence[Received], masking: Masking) -> Iterator[Moment]:
    told = set()
    for event in events:
        known = _TOLD_BY_ORDER.get(event.name)
        if (event.name, event.at) in told or (known and getattr(order, known)):
            continue
        told.add((event.name, event.at))
        detail = parcel(order, masking) if event.name == "order.shipped" else ""
        yield Moment(event.at or event.received_at, event.name, quoted=detail)


def _changes(order: Order, sources: Sources, masking: Masking) -> Iterator[Moment]:
    """Changes that were only noticed: those of which nothing else tells the time."""
    told = {event.name.partition(".")[2] for event in sources.events}
    told |= {"paid"} if order.paid_at else set()
    told |= {"refunded", "partially_refunded"} if order.refunds else set()
    for change in reversed(sources.changes):
        if change.became in told:
            continue
        more = parcel(order, masking) if change.became == "shipped" else ""
        yield Moment(
            datetime.fromtimestamp(change.until, UTC),
            _FIELDS[change.what],
            quoted=", ".join(filter(None, (change.became, more))),
            after=datetime.fromtimestamp(change.after, UTC),
        )


def _reviews(order: Order, reviews: Sequence[Review], masking: Masking) -> Iterator[Moment]:
    for review in reviews:
        if review.created_at:
            yield Moment(review.created_at, "review", quoted=in_a_cell(review, order, masking))
        answer = review.response
        if answer and answer.created_at:
            yield Moment(answer.created_at, "review answered")
