"""Orders of the sandbox store in shapes that Clawver may send one day."""

import json
from typing import Any

from clawver_sandbox.shop import Shop


def amend(shop: Shop, order_id: str, **fields: Any) -> None:
    """Change fields of an order, as the wire names them."""
    order = shop.order(order_id) | fields
    with shop._transaction() as db:
        db.execute("UPDATE sale SET body = ? WHERE id = ?", (json.dumps(order), order_id))
