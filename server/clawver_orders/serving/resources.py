"""What hosts can attach to a chat: an order, the open refunds, the files of the skill; and completions."""

import logging
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

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

from clawver_orders import skill
from clawver_orders.errors import ClawverError, NotFoundError
from clawver_orders.services import LEDGER, Services, usable
from clawver_orders.serving import card, skills
from clawver_orders.serving.choosing import Opened, only
from clawver_orders.text import is_id
from clawver_orders.tools.contract import as_text

log = logging.getLogger(__name__)

OPEN_REFUNDS = "clawver://refunds/open"
ORDER = "clawver://orders/{order_id}"
_ORDER = re.compile(r"clawver://orders/([^/?#]*)")
JSON = "application/json"
MARKDOWN = "text/markdown"
FRESH = timedelta(minutes=1)
"""How long the ids for completions are kept: hosts ask with every key that is pressed."""


def listing(*, with_card: bool, of_store: bool) -> ListResourcesResult:
    """What has an address of its own.

    Args:
        with_card: Whether the client shows cards: to anybody else that one would be of no use.
        of_store: Whether there is one store, whose refunds and card these are.
    """
    main = Resource(
        uri=skills.MAIN,
        name=skills.FRONT_MATTER["name"],
        title=skill.title(skill.MAIN),
        description=skills.FRONT_MATTER["description"],
        mime_type=MARKDOWN,
    )
    pages = [
        Resource(
            uri=skills.REFERENCE.format(name=name),
            name=name,
            title=skill.title(skill.reference(name)),
            description=_when_to_open(name),
            mime_type=MARKDOWN,
        )
        for name in skill.references()
    ]
    opened = Resource(
        uri=OPEN_REFUNDS,
        name="open_refunds",
        title="Open refunds",
        description="Refunds whose outcome is not known yet, from this machine's ledger.",
        mime_type=JSON,
    )
    cards = [
        Resource(
            uri=card.ADDRESS,
            name="refund_card",
            title="Refund card",
            description="Shows a refund, and takes one click.",
            mime_type=card.MIME_TYPE,
            _meta=card.OF_RESOURCE,
        )
    ]
    theirs = [opened, *(cards if with_card else [])] if of_store else []
    return ListResourcesResult(resources=[*theirs[:1], main, *pages, *theirs[1:]])


def _when_to_open(name: str) -> str:
    """The line under the heading of a reference, which begins with "Open this"."""
    return skill.read(skill.reference(name)).splitlines()[2]


def templates(*, of_store: bool) -> ListResourceTemplatesResult:
    """What has an address for each order and each reference.

    Args:
        of_store: Whether there is one store, whose orders these are.
    """
    order = ResourceTemplate(
        uri_template=ORDER,
        name="order",
        title="An order",
        description="One order as get_order gives it.",
        mime_type=JSON,
    )
    reference = ResourceTemplate(
        uri_template=skills.REFERENCE,
        name="reference",
        title="A reference of the skill",
        description="One reference of the skill. The list of resources says when to open which.",
        mime_type=MARKDOWN,
    )
    return ListResourceTemplatesResult(
        resource_templates=[order, reference] if of_store else [reference]
    )


async def read(stores: Opened, uri: str) -> ReadResourceResult:
    """The text at an address.

    Args:
        stores: What is read with; or the error that says why nothing is. The skill needs neither.
        uri: The address.

    Raises:
        MCPError: Nothing does, or it cannot be read now; says what to do.
    """
    if uri == OPEN_REFUNDS:
        return _contents(uri, JSON, as_text(await _open_refunds(stores)))
    if uri == card.ADDRESS:
        return _contents(uri, card.MIME_TYPE, card.html(), card.OF_RESOURCE)
    path = uri.removeprefix(skills.FOLDER)
    if path != uri and path in skill.files():
        return _contents(uri, MARKDOWN, skill.read(path))
    found = _ORDER.fullmatch(uri)
    if found and is_id(found[1]):
        from clawver_orders.tools.orders import get_order

        try:
            services = usable(only(stores))
            answer = await get_order(services, found[1])
        except NotFoundError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error
        except ClawverError as error:
            raise MCPError(code=INTERNAL_ERROR, message=str(error)) from error
        return _contents(uri, JSON, as_text(_marked(services, answer.said(services.now()))))
    raise MCPError(
        code=INVALID_PARAMS,
        message=f"There is no such resource. Use {OPEN_REFUNDS}, {ORDER}, {skills.MAIN}, or "
        f"{skills.REFERENCE} with one of: {', '.join(skill.references())}.",
    )


async def _open_refunds(stores: Opened) -> dict[str, object]:
    try:
        services = usable(only(stores))
        opened = await (await services.kept(LEDGER)).ledger.all_open()
    except ClawverError as error:
        raise MCPError(code=INTERNAL_ERROR, message=str(error)) from error
    from clawver_orders.tools.summary import OpenRefund

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


def _contents(
    uri: str, mime_type: str, text: str, meta: dict[str, Any] | None = None
) -> ReadResourceResult:
    return ReadResourceResult(
        contents=[TextResourceContents(uri=uri, mime_type=mime_type, text=text, _meta=meta)]
    )


class Completions:
    """Suggests order ids and names of references while somebody types."""

    def __init__(self) -> None:
        self._ids: tuple[str, ...] = ()
        self._read_at: datetime | None = None

    async def complete(self, stores: Opened, params: CompleteRequestParams) -> CompleteResult:
        """At most 100 values that begin with what was typed; none where nothing fits, or which store is not known."""
        values: Sequence[str] = ()
        services = stores.get("")
        if params.argument.name == "order_id" and isinstance(services, Services):
            values = await self._order_ids(services)
        elif (
            isinstance(params.ref, ResourceTemplateReference) and params.ref.uri == skills.REFERENCE
        ):
            values = skill.references()
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
                page = await services.clawver.page_of_orders()
                self._ids = tuple(order.id for order in page.orders)
            except ClawverError as error:
                log.info("no order ids to suggest: %s", type(error).__name__)
        return self._ids
