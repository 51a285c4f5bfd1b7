"""What hosts can attach to a chat: an order, the open refunds, the pages for agents; and completions."""

import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    TextResourceContents,
)

from clawver_orders import references
from clawver_orders.errors import ClawverError, NotFoundError
from clawver_orders.orders.search import PAGE
from clawver_orders.services import LEDGER, Available, Services, usable
from clawver_orders.text import is_id
from clawver_orders.tools import orders
from clawver_orders.tools.contract import as_text
from clawver_orders.tools.summary import OpenRefund

log = logging.getLogger(__name__)

OPEN_REFUNDS = "clawver://refunds/open"
ORDER = "clawver://orders/{order_id}"
REFERENCE = "clawver://references/{name}"
_ADDRESS = re.compile(r"clawver://(orders|references)/([^/?#]*)")
JSON = "application/json"
MARKDOWN = "text/markdown"
FRESH = timedelta(minutes=1)
"""How long the ids for completions are kept: hosts ask with every key that is pressed."""


def listing() -> ListResourcesResult:
    """What has an address of its own."""
    pages = [
        Resource(
            uri=REFERENCE.format(name=name),
            name=name,
            title=references.title(name),
            description=_when_to_open(name),
            mime_type=MARKDOWN,
        )
        for name in references.names()
    ]
    opened = Resource(
        uri=OPEN_REFUNDS,
        name="open_refunds",
        title="Open refunds",
        description="Refunds whose outcome is not settled yet, from this machine's ledger.",
        mime_type=JSON,
    )
    return ListResourcesResult(resources=[opened, *pages])


def _when_to_open(name: str) -> str:
    """The line under the heading of a page, which begins with "Open this"."""
    return references.read(name).splitlines()[2]


def templates() -> ListResourceTemplatesResult:
    """What has an address for each order and each page."""
    return ListResourceTemplatesResult(
        resource_templates=[
            ResourceTemplate(
                uri_template=ORDER,
                name="order",
                title="An order",
                description="One order as get_order gives it.",
                mime_type=JSON,
            ),
            ResourceTemplate(
                uri_template=REFERENCE,
                name="reference",
                title="A page for agents",
                description="One page about the order desk. The list of resources says when to open which.",
                mime_type=MARKDOWN,
            ),
        ]
    )


async def read(available: Available, uri: str) -> ReadResourceResult:
    """What stands at an address.

    Args:
        available: What is read with; or the error that says why nothing is. The pages for agents need neither.
        uri: The address.

    Raises:
        MCPError: Nothing does, or it cannot be read now; says what to do.
    """
    if uri == OPEN_REFUNDS:
        return _contents(uri, JSON, as_text(await _open_refunds(available)))
    found = _ADDRESS.fullmatch(uri)
    kind, name = (found[1], found[2]) if found else ("", "")
    if kind == "references" and name in references.names():
        return _contents(uri, MARKDOWN, references.read(name))
    if kind == "orders" and is_id(name):
        try:
            services = usable(available)
            answer = await orders.get_order(services, name)
        except NotFoundError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error
        except ClawverError as error:
            raise MCPError(code=INTERNAL_ERROR, message=str(error)) from error
        return _contents(uri, JSON, as_text(_marked(services, answer.said(services.now()))))
    raise MCPError(
        code=INVALID_PARAMS,
        message=f"There is no such resource. Use {OPEN_REFUNDS}, {ORDER}, or {REFERENCE} with one of: "
        f"{', '.join(references.names())}.",
    )


async def _open_refunds(available: Available) -> dict[str, object]:
    try:
        services = usable(available)
        opened = await (await services.kept(LEDGER)).ledger.all_open()
    except ClawverError as error:
        raise MCPError(code=INTERNAL_ERROR, message=str(error)) from error
    rows = [
        OpenRefund.of(wish).said(services.now())
        | {
            "status": wish.status,
            "next_step": f"Call check_refund with refund_id {wish.refund_id}.",
        }
        for wish in opened
    ]
    return _marked(services, {"open_refunds": rows})


def _marked(services: Services, answer: dict[str, object]) -> dict[str, object]:
    notice = services.notice
    return answer | ({"sandbox": notice} if notice else {})


def _contents(uri: str, mime_type: str, text: str) -> ReadResourceResult:
    return ReadResourceResult(
        contents=[TextResourceContents(uri=uri, mime_type=mime_type, text=text)]
    )


class Completions:
    """Suggests order ids and page names while somebody types."""

    def __init__(self) -> None:
        self._ids: tuple[str, ...] = ()
        self._read_at: datetime | None = None

    async def complete(self, services: Available, params: CompleteRequestParams) -> CompleteResult:
        """At most 100 values that begin with what was typed; none where nothing fits."""
        values: Sequence[str] = ()
        if params.argument.name == "order_id" and isinstance(services, Services):
            values = await self._order_ids(services)
        elif isinstance(params.ref, ResourceTemplateReference) and params.ref.uri == REFERENCE:
            values = references.names()
        fitting = [value for value in values if value.startswith(params.argument.value)]
        return CompleteResult(
            completion=Completion(
                values=fitting[:100], total=len(fitting), has_more=len(fitting) > 100
            )
        )

    async def _order_ids(self, services: Services) -> tuple[str, ...]:
        now = services.now()
        if self._read_at is None or not timedelta() <= now - self._read_at < FRESH:
            self._read_at = now
            try:
                page = await services.clawver.orders(limit=PAGE)
                self._ids = tuple(order.id for order in page.orders)
            except ClawverError as error:
                log.info("no order ids to suggest: %s", type(error).__name__)
        return self._ids
