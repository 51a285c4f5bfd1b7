"""What is said of a tool that is not there: the same words to hosts and on the command line."""

from collections.abc import Iterable

from clawver_orders.errors import SetupError
from clawver_orders.tools import TOOLS


def why(name: str, offered: Iterable[str]) -> str:
    """Why a tool cannot be called, and what to do instead.

    Args:
        name: What was asked for; it is repeated only where it is a name of ours.
        offered: The tools that are there.
    """
    if name in TOOLS:
        return str(
            SetupError(
                f"{name} is not offered, because CLAWVER_READ_ONLY is set. Nothing was done.",
                next_step="A person can unset CLAWVER_READ_ONLY where this is configured.",
            )
        )
    return f"There is no such tool, so nothing was done. Call one of: {', '.join(offered)}."
