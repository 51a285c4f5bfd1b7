"""Every tool with its hints and a good call: the whole surface on one screen.

A tool's own module is loaded when it is called or described, so one call loads one tool.
"""

from collections.abc import Iterable

from clawver_orders.errors import RefusedError, SetupError
from clawver_orders.services import may_have_events
from clawver_orders.settings import TOOLSETS, Settings
from clawver_orders.tools.contract import Hints, Tool

READS = Hints(read_only=True, destructive=False, idempotent=True)
READS_ANEW = Hints(read_only=True, destructive=False, idempotent=False)
MOVES_MONEY = Hints(read_only=False, destructive=True, idempotent=False)
MOVES_MONEY_ONCE = Hints(read_only=False, destructive=True, idempotent=True)
WRITES_ONCE = Hints(read_only=False, destructive=False, idempotent=True)
REMOVES = Hints(read_only=False, destructive=True, idempotent=True)

SURFACE = (
    Tool(
        "listing:list_orders", "List orders", READS, {"status": "shipped", "limit": 5}, always=True
    ),
    Tool("orders:get_order", "Get an order", READS, {"order_id": "ord_shirt"}, always=True),
    Tool(
        "customers:get_order_status",
        "Get an order's status as its customer",
        READS,
        {"order_id": "ord_shirt", "order_status_token": "ost_example_shirt"},
    ),
    Tool(
        "customers:get_receipt", "Get a receipt", READS, {"checkout_id": "chk_mixed"}, always=True
    ),
    Tool(
        "downloads:generate_download_link",
        "Generate a download link",
        READS_ANEW,
        {"order_id": "ord_digital"},
        always=True,
    ),
    Tool(
        "sizes:handle_wrong_size",
        "Handle a wrong size",
        READS,
        {"order_id": "ord_shirt", "wanted_size": "L"},
        always=True,
    ),
    Tool("summary:get_customer", "Get a customer", READS, {"customer_email": "noam@example.com"}),
    Tool("summary:summarize_orders", "Summarize orders", READS, {}, for_all=True),
    Tool(
        "refunds:refund_order",
        "Refund an order",
        MOVES_MONEY,
        {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "One sleeve is torn"},
        "refunds",
        always=True,
    ),
    Tool(
        "refunds:confirm_refund",
        "Confirm a refund",
        MOVES_MONEY_ONCE,
        {"refund_id": "rfi_example", "revision": 1},
        "refunds",
        always=True,
    ),
    Tool(
        "refunds:check_refund",
        "Check a refund",
        READS,
        {"order_id": "ord_shirt"},
        "refunds",
        always=True,
    ),
    Tool(
        "webhooks:register_webhook",
        "Register a webhook",
        WRITES_ONCE,
        {"url": "https://hooks.example/orders", "events": ["order.paid", "order.refunded"]},
        "webhooks",
    ),
    Tool("webhooks:list_webhooks", "List webhooks", READS, {}, "webhooks"),
    Tool(
        "webhooks:delete_webhook",
        "Delete a webhook",
        REMOVES,
        {"webhook_id": "whk_example"},
        "webhooks",
    ),
    Tool(
        "events:list_order_events", "List order events", READS, {"event": "order.paid"}, "webhooks"
    ),
)
TOOLS = {tool.name: tool for tool in SURFACE}
"""All of them, by name."""


FOR_CARDS = Tool(
    "cards:decide_refund",
    "Decide about a refund",
    MOVES_MONEY_ONCE,
    {"refund_id": "rfi_example", "revision": 1, "approve": True, "nonce": "example"},
    "refunds",
    always=True,
)
"""The tool behind a card's buttons: offered beside the others, and only to programs that show cards."""


def for_cards(settings: Settings | SetupError) -> tuple[Tool, ...]:
    """The tools that a card in the chat calls and no model: none on a read-only server."""
    is_offered = isinstance(settings, SetupError) or _works(FOR_CARDS, settings)
    return (FOR_CARDS,) if is_offered else ()


def permitted(settings: Settings) -> tuple[Tool, ...]:
    """The tools that may be called.

    Returns:
        Those that can work: on a read-only server the ones that change nothing, and `confirm_refund`
        only where an agent's word can be enough.
    """
    return tuple(tool for tool in SURFACE if _works(tool, settings))


def _works(tool: Tool, settings: Settings) -> bool:
    if tool.name == "confirm_refund" and settings.refund_grade != "agent":
        return False
    return tool.hints.read_only or not settings.read_only


def offered(settings: Settings) -> tuple[Tool, ...]:
    """The tools that a host lists: of those that may be called, the ones that can be of use.

    Events arrive only with a secret, and the tools for webhooks cost an agent as much to read as
    half of the others.
    """
    chosen = settings.toolsets
    if not chosen:
        has_events = bool(settings.webhook_secret) or may_have_events(settings)
        chosen = TOOLSETS if has_events else ("orders", "refunds")
    return tuple(t for t in permitted(settings) if t.always or t.toolset in chosen)


def not_offered(name: str, there: Iterable[str], settings: Settings | None = None) -> str:
    """Why a tool cannot be called, and what to do instead: the same words to hosts and on the command line.

    Args:
        name: What was asked for; it is repeated only where it is a name of ours.
        there: The names of the tools that are offered.
        settings: What decided which those are; None where all of them are.
    """
    if name == FOR_CARDS.name and (settings is None or not settings.read_only):
        error: SetupError | RefusedError = RefusedError(
            f"{name} works only from a refund's card, in a host that shows one. Nothing was done.",
            next_step="Call check_refund: its next_step says how a person approves the refund.",
        )
        return str(error)
    if settings is None or name not in {*TOOLS, FOR_CARDS.name}:
        return f"There is no such tool, so nothing was done. Call one of: {', '.join(there)}."
    tool = TOOLS.get(name, FOR_CARDS)
    if settings.read_only and not tool.hints.read_only:
        error = SetupError(
            f"{name} is not offered: this server is read-only ({settings.read_only_because}). "
            "Nothing was done.",
            next_step=settings.read_only_remedy,
        )
    elif tool not in permitted(settings):
        error = RefusedError(
            f"{name} is not offered, because it can approve nothing here "
            f"({settings.called('refund_approval')} is {settings.refund_approval}). Nothing was sent.",
            next_step="Call check_refund with that refund_id: its next_step says what to do.",
        )
    else:
        error = SetupError(
            f"{name} is not offered: its toolset is left out here. Nothing was done.",
            next_step="A person can set CLAWVER_TOOLSETS=all where this server is configured, and start it again.",
        )
    return str(error)
