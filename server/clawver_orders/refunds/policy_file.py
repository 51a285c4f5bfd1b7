"""The file with the merchant's refund policy, which no tool can reach: `CLAWVER_REFUND_POLICY` names it.

It is read for every refund, so a change holds at once. While it can't be used, nothing is refunded.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from clawver_orders.clawver.models import Order
from clawver_orders.errors import ClawverError
from clawver_orders.settings import Settings
from clawver_orders.storage.database import off_thread

if TYPE_CHECKING:
    from clawver_orders.refunds.ledger import Ledger
    from clawver_orders.refunds.policy import Policy, PolicyVerdict

LARGEST_FILE_IN_BYTES = 256 * 1024


def read_policy(path: Path) -> "Policy":
    """The rules of a file.

    Args:
        path: The file.

    Raises:
        SetupError: It can't be read, or holds what is no rule. It names the line where it can.
    """
    from clawver_orders.refunds.policy import policy_of, unusable  # few have a policy

    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE_IN_BYTES + 1)
    except OSError as error:
        raise unusable(f"it cannot be read ({type(error).__name__})") from error
    if len(raw) > LARGEST_FILE_IN_BYTES:
        raise unusable("it is larger than 256 KiB")
    return policy_of(raw)


async def verdict_of(
    settings: Settings, ledger: "Ledger", order: Order | None, amount_in_cents: int
) -> "PolicyVerdict | ClawverError | None":
    """What the merchant's refund policy says of a refund, or why there is no such refund.

    Args:
        settings: Which file has the policy.
        ledger: Of the store, with what was sent and the current time.
        order: The order; None where it couldn't be read.
        amount_in_cents: How much is to go back.

    Returns:
        None where no policy is set, or there is nothing to judge.
    """
    if settings.refund_policy is None or order is None:
        return None
    try:
        policy = await to_thread.run_sync(read_policy, settings.refund_policy)
        limit = policy.rules.max_refunds_per_customer
        if limit is None:
            return policy.judge(order, amount_in_cents, ledger.now().at)
        from clawver_orders.refunds.customers import refunds_of_customer  # few have that rule

        counted = await off_thread(lambda: refunds_of_customer(settings, ledger, order, limit.days))
        return policy.judge(order, amount_in_cents, ledger.now().at, counted)
    except ClawverError as error:
        return error
