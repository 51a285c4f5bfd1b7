"""What everybody writes first: post, and post again when no good answer comes."""

import time
from collections import Counter
from pathlib import Path

import httpx2
from tests.instruments.crash.gate import Gate
from tests.instruments.crash.trouble import FAULTS, LATE_SECONDS, Plan, Trouble
from tests.instruments.crash.watch import WatchedShop

from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY

TRIES = 3


def refunded_twice(folder: Path, seed: int) -> list[str]:
    """Send one refund through each fault.

    Args:
        folder: Where the store is kept.
        seed: What the plans follow from.

    Returns:
        The faults through which the customer was paid more than once.
    """
    shop = WatchedShop.open(folder / "store.sqlite3")
    faults: dict[str, str] = {}
    with running(shop) as base, Gate(int(base.rsplit(":", 1)[1])) as gate:
        for number in range(len(FAULTS)):
            plan = Plan.of(seed, number)
            order = shop.sell(total_in_cents=plan.total_in_cents)["id"]
            trouble = Trouble(shop, gate, order, plan)
            shop.watch(order, trouble.see)
            trouble.begin()
            _insist(f"{gate.url}/orders/{order}/refund")
            trouble.change(set())
            trouble.arrive()
            trouble.end()
            faults[order] = plan.fault.name
        time.sleep(LATE_SECONDS)  # for what the store records late
    paid = Counter(order for order, _ in shop.refunds())
    return [fault for order, fault in faults.items() if paid[order] > 1]


def _insist(url: str) -> None:
    headers = {"authorization": f"Bearer {API_KEY}"}
    body = {"amountInCents": 100, "reason": "Smudged"}
    for _ in range(TRIES):
        try:
            answer = httpx2.post(url, json=body, headers=headers, timeout=0.3, trust_env=False)
            if answer.status_code < 400 and answer.json()["data"]["order"]["refunds"]:
                return
        except (httpx2.TransportError, ValueError, KeyError, TypeError):
            continue  # no answer that can be understood: surely it did not work
