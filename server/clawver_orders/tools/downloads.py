"""Download links for digital items."""

from datetime import datetime, timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, WithJsonSchema

from clawver_orders.addresses import is_loopback
from clawver_orders.clawver.models import Download, Item, Order
from clawver_orders.errors import InvalidRequestError, RefusedError
from clawver_orders.services import Services
from clawver_orders.tools.answers import LINES_SHOWN, Answer, InWords, among_readable, in_utc
from clawver_orders.tools.arguments import DownloadToken, ItemId, OrderId


def _until(moment: datetime, now: datetime) -> str:
    minutes = round((moment - now) / timedelta(minutes=1))
    return f"{in_utc(moment)}, in {minutes} minute{'' if minutes == 1 else 's'}"


Future = Annotated[
    datetime,
    WithJsonSchema({"type": "string"}),
    InWords(lambda moment, now, _: _until(moment, now)),
]
"""A time to come, sent as `2026-11-24T09:30Z, in 60 minutes`."""


class DownloadLink(Answer):
    """A signed link that works for whoever holds it, until it expires."""

    order_id: str
    item_id: str
    name: str | None = None
    download_url: str
    unexpected_host: bool | None = Field(
        None, description="The link leaves Clawver's own domain: show it to the merchant first."
    )
    file_name: str | None = None
    file_size_bytes: int | None = None
    expires_at: Future | None = None

    @classmethod
    def of(
        cls,
        link: Download,
        order_id: str,
        item_id: str,
        name: str | None,
        now: datetime,
        *,
        unexpected_host: bool,
        sandbox: bool,
    ) -> Self:
        """The link as an agent gets it."""
        minutes = link.expires_in_minutes
        return cls(
            order_id=order_id,
            item_id=item_id,
            name=name,
            download_url=link.download_url,
            unexpected_host=unexpected_host or None,
            file_name=link.file_name,
            file_size_bytes=link.file_size_bytes,
            expires_at=None if minutes is None else now + timedelta(minutes=minutes),
            next_step="Give it to the customer of this order and to nobody else."
            + (" It opens while clawver-orders sandbox runs." if sandbox else ""),
        )


async def generate_download_link(
    services: Services, order_id: OrderId, item_id: ItemId = "", download_token: DownloadToken = ""
) -> DownloadLink:
    """Make a link to one digital item of a paid order, for a customer who lost theirs.

    It works for whoever holds it until expires_at: give it to that customer only. Nothing is
    sent or changed. Without item_id, an order with several downloads is an error that lists
    them. Printed items, unpaid and fully refunded orders are errors. For what was bought use
    get_order.
    """
    clawver = services.clawver
    name = None
    if download_token:
        if not item_id:
            raise InvalidRequestError(
                "A download token opens one item, and none was named. Nothing was sent.",
                next_step="Pass item_id too; get_receipt shows it beside the token.",
            )
        link = await clawver.customer_download(order_id, item_id, download_token)
    else:
        item_id, name = _to_download(await clawver.order(order_id), item_id)
        link = await clawver.download(order_id, item_id)
    host = urlsplit(link.download_url).hostname or ""
    return DownloadLink.of(
        link,
        order_id,
        item_id,
        name,
        services.now(),
        sandbox=services.settings.sandbox,
        unexpected_host=not (
            host == "clawver.store"
            or host.endswith(".clawver.store")
            or host == services.settings.api_host
            or (services.settings.sandbox and is_loopback(host))
        ),
    )


def _to_download(order: Order, item_id: str) -> tuple[str, str]:
    """The id and the name of the item to download, of an order whose files may be handed out."""
    item = _digital_item(order, item_id)
    if order.is_refunded:
        raise RefusedError(
            f"{order.id} is refunded in full, so its files are not handed out any more.",
            next_step=f"Call get_order with order_id {order.id} to see its refunds.",
        )
    if not order.is_paid:
        raise RefusedError(
            f"{order.id} is not paid, so its files cannot be downloaded.",
            next_step=f"Call get_order with order_id {order.id} to see its payment status.",
        )
    if item.id is None:
        raise RefusedError(
            f"Clawver gives the digital item of {order.id} no id that can be read, so no link can be "
            "asked for.",
            next_step="Tell the merchant, who can look at the order in Clawver's dashboard.",
        )
    return item.id, item.product_name


def _some(ids: list[str]) -> str:
    more = f" and {len(ids) - LINES_SHOWN} more" if len(ids) > LINES_SHOWN else ""
    return f"{', '.join(ids[:LINES_SHOWN])}{more}" if ids else "none"


def _digital_item(order: Order, item_id: str) -> Item:
    """The item that was named, or the only digital one."""
    items = order.items or ()
    digital = [item for item in items if item.is_digital]
    ids = _some([item.id for item in digital if item.id])
    if item_id:
        named = next((item for item in items if item.id == item_id), None)
        if named is None:
            raise InvalidRequestError(
                f"{order.id} has no item {item_id}; its digital items are: {ids}.",
                next_step="Call generate_download_link again with one of them as item_id.",
            )
        if named.is_printed:
            raise RefusedError(
                f"Item {item_id} is printed and shipped, so there is nothing to download.",
                next_step=f"Call get_order with order_id {order.id} to see where it stands.",
            )
        return named
    if len(digital) == 1:
        return digital[0]
    if digital:
        raise InvalidRequestError(
            f"{order.id} has several digital items: {ids}.",
            next_step="Call generate_download_link again with one of them as item_id; get_order "
            "shows their names.",
        )
    raise RefusedError(
        f"{order.id} has no digital item{among_readable(order)}, so there is nothing to download.",
        next_step=f"Call get_order with order_id {order.id} to see where it stands.",
    )
