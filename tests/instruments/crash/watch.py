"""A store that tells what just happened to an order, before it goes on."""

import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal

from clawver_sandbox.catalogue import Wire
from clawver_sandbox.shop import Shop, ShopError

BY_HAND = "Refunded in the dashboard"
"""Why somebody refunds elsewhere."""
SHORT_BY_CENTS = 1
"""How much less is recorded where another amount is."""

Point = Literal["read", "arrived", "recorded", "answering"]
_ORDER = re.compile(r"/v1/orders/([^/]+)(/refund)?\Z")


class WatchedShop(Shop):
    """Calls whoever watches an order at each point, in the store's own thread.

    The points: an order is `read`, a refund has `arrived`, it is `recorded`, its answer is about
    to be written (`answering`).
    """

    def __init__(self, path: Path, now: Callable[[], datetime], seed: int) -> None:
        super().__init__(path, now, seed)
        self._watchers: dict[str, Callable[[Point], None]] = {}
        self._posts: dict[int, str] = {}
        self._guard = threading.Lock()
        self.short: set[str] = set()
        """The orders for which less is recorded than was asked."""
        self.asked: dict[str, list[Wire]] = {}
        """The bodies of the requests for refunds that arrived, by order."""

    def watch(self, order_id: str, tell: Callable[[Point], None]) -> None:
        """Tell somebody what happens to this order from now on."""
        self._watchers[order_id] = tell

    def leave(self, order_id: str) -> None:
        """Tell nobody any more."""
        self._watchers.pop(order_id, None)

    def _tell(self, order_id: str, point: Point) -> None:
        watcher = self._watchers.get(order_id)
        if watcher is not None:
            watcher(point)

    def note_request(self, request: Wire) -> int:
        number = super().note_request(request)
        found = _ORDER.fullmatch(request["path"])
        if found is not None and found[2]:
            self._posts[number] = found[1]
            self.asked.setdefault(found[1], []).append(json.loads(request["body"]))
            self._tell(found[1], "arrived")
        elif found is not None:
            self._tell(found[1], "read")
        return number

    def note_status(self, number: int, status: int) -> None:
        super().note_status(number, status)
        if number in self._posts:
            self._tell(self._posts.pop(number), "answering")

    def refund(self, order_id: str, amount_in_cents: object, reason: object) -> Wire:
        if order_id in self.short and isinstance(amount_in_cents, int):
            amount_in_cents -= SHORT_BY_CENTS
        order = super().refund(order_id, amount_in_cents, reason)
        self._tell(order_id, "recorded")
        return order

    def lands(self, order_id: str, amount_in_cents: int, reason: str) -> None:
        """Record a refund that no request brought just now, where that much is left."""
        with suppress(ShopError):
            super().refund(order_id, amount_in_cents, reason)


def until(what: Callable[[], bool], seconds: float = 20.0, every: float = 0.01) -> bool:
    """Wait for something that happens in another process; False when it never did."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
