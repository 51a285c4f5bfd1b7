"""Every tool with its hints and a good call: the whole surface on one screen."""

from collections.abc import Iterable

from clawver_orders.errors import SetupError
from clawver_orders.settings import Settings
from clawver_orders.tools import (
    customers,
    downloads,
    events,
    orders,
    refunds,
    sizes,
    summary,
    webhooks,
)
from clawver_orders.tools.contract import Hints, Tool

READS = Hints(read_only=True, destructive=False, idempotent=True)
READS_ANEW = Hints(read_only=True, destructive=False, idempotent=False)
MOVES_MONEY = Hints(read_only=False, destructive=True, idempotent=False)
MOVES_MONEY_ONCE = Hints(read_only=False, destructive=True, idempotent=True)
WRITES_ONCE = Hints(read_only=False, destructive=False, idempotent=True)
REMOVES = Hints(read_only=False, destructive=True, idempotent=True)

SURFACE = (
    Tool(orders.list_orders, "List orders", READS, {"status": "shipped", "limit": 5}),
    Tool(orders.get_order, "Get an order", READS, {"order_id": "ord_shirt"}),
    Tool(
        customers.get_order_status,
        "Get an order's status as its customer",
        READS,
        {"order_id": "ord_shirt", "order_status_token": "ost_example_shirt"},
    ),
    Tool(customers.get_receipt, "Get a receipt", READS, {"checkout_id": "chk_mixed"}),
    Tool(
        downloads.generate_download_link,
        "Generate a download link",
        READS_ANEW,
        {"order_id": "ord_digital"},
    ),
    Tool(
        sizes.handle_wrong_size,
        "Handle a wrong size",
        READS,
        {"order_id": "ord_shirt", "wanted_size": "L"},
    ),
    Tool(summary.summarize_orders, "Summarize orders", READS, {}),
    Tool(
        refunds.refund_order,
        "Refund an order",
        MOVES_MONEY,
        {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "One sleeve is torn"},
    ),
    Tool(
        refunds.confirm_refund,
        "Confirm a refund",
        MOVES_MONEY_ONCE,
        {"refund_id": "rfi_example", "revision": 1},
    ),
    Tool(refunds.check_refund, "Check a refund", READS, {"order_id": "ord_shirt"}),
    Tool(
        webhooks.register_webhook,
        "Register a webhook",
        WRITES_ONCE,
        {"url": "https://hooks.example/orders", "events": ["order.paid", "order.refunded"]},
    ),
    Tool(webhooks.list_webhooks, "List webhooks", READS, {}),
    Tool(webhooks.delete_webhook, "Delete a webhook", REMOVES, {"webhook_id": "whk_example"}),
    Tool(events.list_order_events, "List order events", READS, {"event": "order.paid"}),
)
TOOLS = {tool.name: tool for tool in SURFACE}
"""All of them, by name."""


def offered(*, read_only: bool) -> tuple[Tool, ...]:
    """The tools to offer: all of them, or only those that change nothing."""
    return tuple(tool for tool in SURFACE if tool.hints.read_only or not read_only)


def not_offered(name: str, there: Iterable[str], settings: Settings | None = None) -> str:
    """Why a tool cannot be called, and what to do instead: the same words to hosts and on the command line.

    Args:
        name: What was asked for; it is repeated only where it is a name of ours.
        there: The names of the tools that are offered.
        settings: What decided which those are; None where all of them are.
    """
    if settings is not None and name in TOOLS:
        return str(
            SetupError(
                f"{name} is not offered: this server is read-only ({settings.read_only_because}). "
                "Nothing was done.",
                next_step=settings.read_only_remedy,
            )
        )
    return f"There is no such tool, so nothing was done. Call one of: {', '.join(there)}."
