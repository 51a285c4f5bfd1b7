"""What a shell offers after Tab: hosts, tools, and ids from the files of this machine, never from the network.

click makes the script of each shell, and completes commands and options by itself.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from clawver_orders.refunds.records import Wish

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def hosts(_: click.Context, __: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """The hosts that `config` knows."""
    from clawver_orders.install.hosts import HOSTS

    return _items([(host.name, host.title) for host in HOSTS.values()], incomplete)


def tools(_: click.Context, __: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """The tools that `call` takes."""
    from clawver_orders.tools import SURFACE

    return _items([(tool.name, tool.title) for tool in SURFACE], incomplete)


def refund_ids(*statuses: str) -> Complete:
    """The refunds in the ledger of the store, newest first.

    Args:
        statuses: Only those that stand so; all when left out.
    """

    def complete(
        context: click.Context, _: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        from clawver_orders.money import display

        return _items(
            [
                (
                    wish.refund_id,
                    f"{display(wish.amount_in_cents)} on {wish.order_id} ({wish.status})",
                )
                for wish in _wishes(context)
                if not statuses or wish.status in statuses
            ],
            incomplete,
        )

    return complete


def order_ids(
    context: click.Context, _: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    """The orders of the refunds in the ledger of the store."""
    named = dict.fromkeys(wish.order_id for wish in _wishes(context))
    return _items([(order_id, "") for order_id in named], incomplete)


def _items(found: list[tuple[str, str]], incomplete: str) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(value, help=about or None)
        for value, about in found
        if value.startswith(incomplete)
    ]


_MOST = 1000
"""How many refunds a shell offers; nobody types the id of one that is older."""


def _wishes(context: click.Context) -> "tuple[Wish, ...]":
    """What is in the ledger, newest first; nothing where it cannot be told without asking Clawver.

    An error here has nobody to hear of it: it would stand in the middle of what somebody types.
    """
    import anyio

    from clawver_orders.errors import ClawverError
    from clawver_orders.instants import now
    from clawver_orders.refunds.ledger import Ledger
    from clawver_orders.settings import Settings
    from clawver_orders.storage import scopes

    try:
        decided: dict[str, Any] = {"sandbox": True} if context.params.get("sandbox") else {}
        settings = Settings.from_environment(**decided)
        scope = scopes.known(settings)
        if scope is None:
            return ()
        ledger = Ledger.of(settings, scope, now)
        return anyio.run(ledger.latest, _MOST) if ledger.exists else ()
    except (ClawverError, OSError):
        return ()
