"""Clawver's HTTP API, one method per endpoint, no policy.

Each method names its path and reads the answer into a record of `models`; `transport` sends the
request. `Clawver.send_refund` is the one method that moves money, and only `refunds.settlement`
calls it.

The facts about the API are those of https://docs.clawver.store/agent-api.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from clawver_orders.clawver.models import (
    Download,
    Order,
    OrderPage,
    Product,
    Receipt,
    Record,
    Review,
    StoreDetails,
    Webhook,
)
from clawver_orders.clawver.transport import (
    LargeAnswerError,
    Response,
    Subject,
    Transport,
    unexpected,
    unknown,
)
from clawver_orders.errors import (
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    UnexpectedAnswerError,
)
from clawver_orders.text import is_id

FIND_ORDER = "Find the order with list_orders, or with get_receipt and its checkout id."
COMPARE_ORDER = "Read the order with get_order and compare it with what was asked."
LIST_WEBHOOKS = "Call list_webhooks to see what is registered."
FIND_CHECKOUT = (
    "Check the checkout id in the customer's confirmation, since no call lists them, or find the "
    "order with list_orders."
)

REPEAT_ONCE = "Repeat the call once; if it stays, tell a person."
FIND_ITEM = "Take the ids of the order's items from get_order, or from get_receipt."
ORDERS = Subject("orders", find="", look=REPEAT_ONCE)
WEBHOOKS = Subject("webhooks", find="", look=REPEAT_ONCE)
REVIEWS = Subject("reviews", find="", look=REPEAT_ONCE)
STORE = Subject("the store of this key", find="", look=REPEAT_ONCE)
NEW_WEBHOOK = Subject("webhooks", find=LIST_WEBHOOKS, look=LIST_WEBHOOKS)
PAGE = 100
"""The most orders that a list is asked for; Clawver documents no maximum."""
SMALLEST_PAGE = 13
"""Where a page of so few orders is too much, something else is wrong."""
R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Seen:
    """An order as Clawver has just sent it."""

    order_id: str
    sent: dict[str, Any] | None
    """None where Clawver said that there is no such order."""
    source: Literal["list", "read"]
    asked_at: datetime
    sandbox: str
    """The id of the sandbox store that sent it; nothing where a real one did."""


class Clawver:
    """The API of one store.

    Args:
        transport: Sends the requests, with the key where a method does not say otherwise.
        seen: Told of every order that the store's owner reads. It must not raise, and wait for nothing.
    """

    def __init__(self, transport: Transport, seen: Callable[[Seen], None] = lambda _: None) -> None:
        self._transport = transport
        self._seen = seen
        self.page = PAGE
        """The most orders that a list is asked for."""

    async def server_time(self) -> datetime | None:
        """Ask for a single order: shows that the store answers, takes the key, and what time it has.

        Returns:
            The time of the server's `Date` header in UTC; None where there is none to read.
        """
        reply = await self._transport.read("/orders", ORDERS, params={"limit": "1"})
        _data(reply, ORDERS)
        return reply.date

    async def store_details(self) -> StoreDetails:
        """The store that the key opens. Asked for with the part of the allowance kept for refunds."""
        reply = await self._transport.read("/stores/me", STORE, urgent=True)
        data = _data(reply, STORE)
        inner = data.get("store")
        return _record(StoreDetails, inner if isinstance(inner, dict) else data, STORE)

    async def counted_orders(self) -> int | None:
        """How many orders Clawver counts in all; None where it does not say. Which ones it counts is not documented."""
        reply = await self._transport.read("/stores/me/analytics", STORE, params={"period": "all"})
        figures = _data(reply, STORE).get("analytics")
        summary = figures.get("summary") if isinstance(figures, dict) else None
        counted = summary.get("totalOrders") if isinstance(summary, dict) else None
        return counted if type(counted) is int and 0 <= counted < 2**53 else None

    async def page_of_orders(self, status: str | None = None, most: int = PAGE) -> OrderPage:
        """As many of the newest orders as one list gives; where that is too much, half of it.

        Args:
            status: Only orders in this status.
            most: The most orders that are wanted.
        """
        while True:
            asked = min(self.page, most)
            try:
                return await self.orders(status=status, limit=asked)
            except (RefusedError, LargeAnswerError):
                if asked <= SMALLEST_PAGE:
                    raise
                self.page = min(self.page, asked // 2)  # it will be too much the next time too

    async def orders(self, *, status: str | None = None, limit: int) -> OrderPage:
        """The newest orders, at most `limit`, only those in `status` where one is given."""
        params = {"limit": str(limit)} | ({"status": status} if status else {})
        asked_at = self._transport.now()
        reply = await self._transport.read("/orders", ORDERS, params=params)
        data = _data(reply, ORDERS)
        page = _record(OrderPage, reply.body, ORDERS)
        readable = {order.id for order in page.orders}
        for row in data["orders"]:
            if isinstance(row, dict) and row.get("id") in readable:
                self._seen(Seen(row["id"], row, "list", asked_at, reply.sandbox))
        return page

    async def order(self, order_id: str, *, urgent: bool = False) -> Order:
        """One order with everything that Clawver knows of it.

        Args:
            order_id: The order.
            urgent: Use the part of the request allowance that is kept back for refunds.

        Raises:
            NotFoundError: There is no such order in this store.
        """
        path = f"/orders/{_in_path(order_id)}"
        asked_at = self._transport.now()
        try:
            reply = await self._transport.read(path, _order(order_id), urgent=urgent)
        except NotFoundError:
            self._seen(Seen(order_id, None, "read", asked_at, ""))
            raise
        order = _same_order(reply, order_id)
        self._seen(Seen(order_id, reply.body["data"]["order"], "read", asked_at, reply.sandbox))
        return order

    async def customer_order(self, order_id: str, token: str) -> Order:
        """The order as its customer may see it. The key stays here.

        Raises:
            RefusedError: The token does not open this order.
        """
        path = f"/orders/{_in_path(order_id)}/public"
        reply = await self._transport.read(
            path, _order(order_id), params={"token": token}, with_key=False
        )
        return _same_order(reply, order_id)

    async def download(self, order_id: str, item_id: str) -> Download:
        """A time-limited link to a digital item, asked for as the store's owner."""
        path = f"/orders/{_in_path(order_id)}/download/{_in_path(item_id)}"
        subject = _item(order_id, item_id)
        reply = await self._transport.read(path, subject)
        return _record(Download, _data(reply, subject), subject)

    async def customer_download(self, order_id: str, item_id: str, token: str) -> Download:
        """A time-limited link to a digital item, asked for as its customer. The key stays here."""
        path = f"/orders/{_in_path(order_id)}/download/{_in_path(item_id)}/public"
        subject = _item(order_id, item_id)
        reply = await self._transport.read(path, subject, params={"token": token}, with_key=False)
        return _record(Download, _data(reply, subject), subject)

    async def receipt(self, checkout_id: str) -> Receipt:
        """The receipt of a checkout. The key stays here."""
        subject = Subject(f"checkout {checkout_id}", find=FIND_CHECKOUT, look=COMPARE_ORDER)
        path = f"/checkout/{_in_path(checkout_id)}/receipt"
        reply = await self._transport.read(path, subject, with_key=False)
        data = _data(reply, subject)
        inner = data.get("receipt")
        receipt = _record(Receipt, inner if isinstance(inner, dict) else data, subject)
        if receipt.checkout_id not in {None, checkout_id}:
            raise unexpected(f"Clawver answered with another receipt than that of {subject.name}.")
        return receipt

    async def reviews(self, cursor: str = "") -> tuple[tuple[Review, ...], str]:
        """A page of what customers wrote, and the cursor of the next page; that is empty behind the last one.

        Args:
            cursor: That of the page before.
        """
        params = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
        reply = await self._transport.read("/stores/me/reviews", REVIEWS, params=params)
        rows = _data(reply, REVIEWS).get("reviews")
        if not isinstance(rows, list):
            raise unexpected("Clawver's list of reviews cannot be read.")
        pages = reply.body.get("pagination")
        following = (
            pages.get("cursor") if isinstance(pages, dict) and pages.get("hasMore") else None
        )
        read = tuple(_record(Review, each, REVIEWS) for each in rows if isinstance(each, dict))
        return read, following if isinstance(following, str) and len(following) <= 1000 else ""

    async def product(self, product_id: str) -> Product:
        """One product with its variants."""
        subject = Subject(f"product {product_id}", find=FIND_ORDER, look=COMPARE_ORDER)
        reply = await self._transport.read(f"/products/{_in_path(product_id)}", subject)
        return _record(Product, _data(reply, subject).get("product"), subject)

    async def webhooks(self) -> tuple[Webhook, ...]:
        """All registered receivers of events."""
        reply = await self._transport.read("/webhooks", WEBHOOKS)
        listed = _data(reply, WEBHOOKS).get("webhooks")
        if not isinstance(listed, list):
            raise unexpected("Clawver's list of webhooks cannot be read.")
        return tuple(_record(Webhook, each, WEBHOOKS) for each in listed)

    async def register_webhook(self, url: str, events: list[str], secret: str) -> Webhook:
        """Register a receiver of events. Sent once, whatever happens."""
        body = {"url": url, "events": events, "secret": secret}
        reply = await self._transport.write("POST", "/webhooks", NEW_WEBHOOK, body)
        try:
            hook = _record(Webhook, _data(reply, NEW_WEBHOOK).get("webhook"), NEW_WEBHOOK)
        except UnexpectedAnswerError as error:
            raise unknown(NEW_WEBHOOK, reply) from error  # it was sent
        if hook.id is None:
            raise unknown(NEW_WEBHOOK, reply)
        return hook

    async def delete_webhook(self, webhook_id: str) -> None:
        """Remove a receiver of events. Sent once, whatever happens.

        Raises:
            NotFoundError: There is no such webhook in this store.
        """
        path = f"/webhooks/{_in_path(webhook_id)}"
        subject = Subject(f"webhook {webhook_id}", find=LIST_WEBHOOKS, look=LIST_WEBHOOKS)
        await self._transport.write("DELETE", path, subject)

    async def send_refund(
        self, order_id: str, amount_in_cents: int, reason: str, refund_id: str
    ) -> Order:
        """Give money back. Sends at most one request, whatever happens, on a connection of its own.

        Only `refunds.settlement` calls this.

        Args:
            order_id: The order.
            amount_in_cents: Whole cents, 1 or more.
            reason: Why; Clawver requires one.
            refund_id: The intent; it travels as `Idempotency-Key`. Clawver documents no such header:
                it is harmless today, and of use on the day it is honoured.

        Returns:
            The order as it stands afterwards, with its refunds.

        Raises:
            UnreachableError: The request never left; no money was moved.
            RefusedError: Clawver said no; no money was moved.
            OutcomeUnknownError: Anything else: it may have happened.
        """
        body = {"amountInCents": amount_in_cents, "reason": reason}
        path = f"/orders/{_in_path(order_id)}/refund"
        subject = _order(order_id)
        asked_at = self._transport.now()
        reply = await self._transport.write("POST", path, subject, body, idempotency_key=refund_id)
        try:
            order = _same_order(reply, order_id)
        except Exception as error:  # a clear yes is a record that can be read
            raise unknown(subject, reply) from error  # it was sent, whatever came back
        self._seen(Seen(order_id, reply.body["data"]["order"], "read", asked_at, reply.sandbox))
        return order


def _order(order_id: str) -> Subject:
    return Subject(f"order {order_id}", find=FIND_ORDER, look=COMPARE_ORDER)


def _item(order_id: str, item_id: str) -> Subject:
    name = f"item {item_id} of order {order_id}"
    return Subject(name, find=FIND_ITEM, look=COMPARE_ORDER)


def _in_path(value: str) -> str:
    """An id as a path segment. What is no id never becomes part of a path."""
    if not is_id(value):
        raise InvalidRequestError(
            "An id has characters that no id has. Nothing was sent.",
            next_step="Copy the id from list_orders or get_order.",
        )
    return quote(value, safe="")


def _same_order(reply: Response, order_id: str) -> Order:
    """The order of an answer, which must be the one that was asked for."""
    subject = _order(order_id)
    order = _record(Order, _data(reply, subject).get("order"), subject)
    if order.id != order_id:
        raise unexpected(f"Clawver answered with another order than {order_id}.")
    return order.model_copy(update={"sandbox": reply.sandbox, "answered_at": reply.date})


def _data(reply: Response, subject: Subject) -> dict[str, Any]:
    """The `data` of a successful answer."""
    if isinstance(reply.body, dict) and reply.body.get("success") is True:
        data = reply.body.get("data")
        if isinstance(data, dict):
            return data
    raise unexpected(f"Clawver's answer about {subject.name} cannot be read.{reply.request_id}")


def _record(kind: type[R], value: object, subject: Subject) -> R:
    """A record, made of a part of an answer."""
    try:
        return kind.model_validate(value)
    except (ValidationError, RecursionError):
        # The cause repeats what the network sent, so it stays out of the chain.
        raise unexpected(f"Clawver's answer about {subject.name} cannot be read.") from None
