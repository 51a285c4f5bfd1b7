"""Whether anything gets slower as a store grows: the same calls over few rows and over many.

The files are made by the product, and filled with its own statements, many rows at a time.
"""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from clawver_orders.history.knowledge import Sighting
from clawver_orders.history.mirror import Mirror
from clawver_orders.instants import Instant
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes
from clawver_orders.webhooks.inbox import Inbox

FEW, MANY_EVENTS, MANY_REFUNDS, MANY_ORDERS = 1000, 1_000_000, 100_000, 100_000
REFUND_ID = f"rfi_{500:026}"
"""One of the refunds."""
NAMES = ("order.created", "order.paid", "order.shipped", "order.delivered", "order.refunded")
_BODY = json.dumps(
    {"event": "order.paid", "data": {"orderId": "ord_0000000", "totalInCents": 2499}}
).encode()


def fill(settings: Settings, events: int, refunds: int, now: Instant) -> None:
    """Give a store's folder so many events, of the last 20 days, and refunds, of the last 1,000."""
    scope = scopes.known(settings)
    assert scope is not None
    Inbox.of(settings, scope).open()
    _fill_inbox(scope.folder / "inbox.sqlite3", events, now)
    ledger = Ledger(scope.folder / LEDGER_FILE, lambda: now)
    ledger.begin()
    _fill_ledger(scope.folder / LEDGER_FILE, refunds, now)
    ledger.begin()  # it is checked once, as after any change by something else


def _fill_inbox(path: Path, count: int, now: Instant) -> None:
    begin = (now.at - timedelta(days=20)).timestamp()
    step = timedelta(days=20).total_seconds() / count
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO event (name, order_id, at, received_at, body) VALUES (?, ?, ?, ?, ?)",
            (
                (
                    NAMES[n % len(NAMES)],
                    f"ord_{n // 5:07}",
                    begin + n * step,
                    begin + n * step,
                    _BODY,
                )
                for n in range(count)
            ),
        )
        connection.execute("UPDATE last_event SET number = ?", (count,))


def _fill_ledger(path: Path, count: int, now: Instant) -> None:
    """Refunds of the past, each with its decision, its attempt and two lines of history."""
    begin = (now.at - timedelta(days=1000)).timestamp()
    step = timedelta(days=997).total_seconds() / count
    rows = [(f"rfi_{n:026}", f"ord_{n:07}", begin + n * step) for n in range(count)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO wish VALUES (?, ?, 500, '[]', '', 'Smudged', 1, 'chat', '[]', ?, ?, ?, ?)",
            (
                (key, order, at, json.dumps([at, 0.0, "before"]), at, n)
                for n, (key, order, at) in enumerate(rows, 1)
            ),
        )
        connection.executemany(
            "INSERT INTO decision (subject, revision, verdict, grade, channel, who, client, made, number)"
            " VALUES (?, 1, 'approve', 'chat', 'form', 'a person', 'a host', ?, 1)",
            ((key, json.dumps([at, 0.0, "before"])) for key, _, at in rows),
        )
        connection.executemany(
            "INSERT INTO attempt (refund_id, revision, order_id, amount_in_cents, reason, refunds_before,"
            " sent_at, sent_uptime, sent_boot, status, number) VALUES (?, 1, ?, 500, 'Smudged', '[]', ?, 0, 'before', 'sending', 1)",
            rows,
        )
        connection.execute(
            "UPDATE attempt SET status = 'refunded', clawver_refund_id = 'ref_' || id WHERE status = 'sending'"
        )
        connection.executemany(
            "INSERT INTO history (refund_id, order_id, at, process, event, who, client, detail)"
            " VALUES (?, ?, ?, 1, 'refunded', '', '', '')",
            rows,
        )
        connection.execute("UPDATE last_line SET number = (SELECT MAX(number) FROM history)")


FAMILIES = ("Ng", "Kettering", "Okafor", "Lindqvist", "王伟")
PRODUCTS = ("Star map tee", "Moon mug 11 oz", "Ocean print")


def fill_mirror(settings: Settings, count: int, now: Instant) -> None:
    """Give a store's history so many orders of the last year, four of each customer."""
    scope = scopes.known(settings)
    assert scope is not None
    mirror = Mirror.of(settings, scope)
    step = timedelta(days=365) / count
    for first in range(0, count, 1000):
        numbers = range(first, min(first + 1000, count))
        placed = ((n, now.at - n * step) for n in numbers)
        sent = [_order(n, at.isoformat()) for n, at in placed]
        mirror.note([Sighting(o["id"], o, "read", now.at.timestamp()) for o in sent], now.at)


def _order(number: int, at: str) -> dict[str, Any]:
    customer = number // 4
    return {
        "id": f"ord_{number:07}",
        "status": "cancelled" if number % 100 == 7 else "delivered",
        "paymentStatus": "refunded" if number % 20 == 7 else "paid",
        "totalInCents": 2499,
        "createdAt": at,
        "customerEmail": f"buyer.{customer:06}@example.com",
        "items": [{"id": "item_1", "productName": PRODUCTS[number % 3], "quantity": 1}],
        "shippingAddress": {"name": f"Given{customer % 97} {FAMILIES[number % len(FAMILIES)]}"},
        "trackingNumber": f"SBX{number:09}",
        "refunds": [],
    }
