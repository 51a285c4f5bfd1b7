"""What kept orders come to, added up by the database from a few numbers of each.

Reading the orders themselves would take longer the more there are: a month of a large store has ten
thousand.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from clawver_orders.clawver.models import Order
from clawver_orders.orders.figures import Batch, products_of
from clawver_orders.orders.search import mailbox, tells
from clawver_orders.storage.database import Connection, Value, insert
from clawver_orders.storage.sql import among

TABLES = """
CREATE TABLE figure (
    key INTEGER PRIMARY KEY,
    mailbox TEXT NOT NULL,
    status TEXT NOT NULL,
    payment_status TEXT NOT NULL,
    currency TEXT NOT NULL,
    was_paid INTEGER NOT NULL CHECK (was_paid IN (0, 1)),
    total INTEGER NOT NULL,
    refunds INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    tells_money INTEGER NOT NULL CHECK (tells_money IN (0, 1)),
    tells_items INTEGER NOT NULL CHECK (tells_items IN (0, 1)),
    as_of REAL NOT NULL
) STRICT;
CREATE TABLE product_line (
    key INTEGER NOT NULL,
    product TEXT NOT NULL,
    name TEXT NOT NULL,
    pieces INTEGER NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (key, product)
) STRICT, WITHOUT ROWID;
"""
TOLD_OF_MONEY = ("payment_status", "refunds")
"""What an order has to tell to be added up."""
By = Literal["day", "week", "product", "customer"]
QUARTER = (15 * 60 * 1000) << 20
"""How far apart the keys are of two orders with a quarter of an hour between them. No day and no week of a time zone begins within one."""


@dataclass(frozen=True)
class Summed:
    """What orders come to."""

    batches: list[Batch] = field(default_factory=list)
    rows: dict[str, list[Batch]] = field(default_factory=lambda: defaultdict(list))
    """The same by day, week, product or customer; nothing where that was not asked for."""
    names: dict[str, str] = field(default_factory=dict)
    """The name of each product, as the newest order has it."""
    as_of: float | None = None
    """The oldest of them was seen then, in seconds since the epoch; None where there is none."""
    untold: int = 0
    """How many of them do not tell what is added up."""


def put(db: Connection, key: int, order: Order, as_of: float) -> None:
    """Keep the numbers of an order of which none are kept."""
    batch = Batch.of(order)
    db.execute(
        "INSERT INTO figure VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            mailbox(order.customer_email or ""),
            batch.status,
            batch.payment_status,
            batch.currency,
            int(batch.was_paid),
            batch.total_in_cents,
            batch.refunds,
            batch.refunded_in_cents,
            int(all(tells(order, each) for each in TOLD_OF_MONEY)),
            int(tells(order, "items")),
            as_of,
        ),
    )
    lines = [
        (key, product, name, each.pieces, each.total_in_cents)
        for product, name, each in products_of(order)
    ]
    insert(db, "product_line", lines)


def put_time(db: Connection, key: int, as_of: float | None) -> None:
    """Keep when the order was last seen as its numbers are."""
    db.execute("UPDATE figure SET as_of = ? WHERE key = ?", (as_of, key))


def remove(db: Connection, key: int) -> None:
    """Delete the numbers of an order."""
    db.execute("DELETE FROM figure WHERE key = ?", (key,))
    db.execute("DELETE FROM product_line WHERE key = ?", (key,))


def summed(
    db: Connection,
    keys: tuple[int, int],
    without: Sequence[str],
    by: By | None,
    name_of: Callable[[int], str],
) -> Summed:
    """Add up the orders of a span.

    Args:
        db: The history.
        keys: The first key of the span, and the first one after it.
        without: The ids of orders that are left out, since others know them better.
        by: What the sums are split by.
        name_of: The name of the day or week of a key.
    """
    # Days are told from each other here: the database knows no calendar of ours.
    quarter = f"CASE WHEN key < 0 THEN -1 ELSE key / {QUARTER} END"
    split = {None: "0", "product": "0", "customer": "mailbox"}.get(by, quarter)
    is_told = "tells_money = 1 AND tells_items = 1" if by == "product" else "tells_money = 1"
    theirs = f"SELECT key FROM known WHERE order_id IN {among(without)}"  # noqa: S608  # marks
    chosen = f"key >= ? AND key < ? AND key NOT IN ({theirs})"
    values: list[Value] = [*keys, *without]
    found = Summed()
    times, untold = [], 0
    for part, status, payment, currency, was_paid, *sums, as_of, not_told in db.execute(
        f"SELECT {split}, status, payment_status, currency, was_paid, COUNT(*),"  # noqa: S608  # words of ours
        " CAST(SUM(total) AS BIGINT), CAST(SUM(refunds) AS BIGINT), CAST(SUM(refunded) AS BIGINT),"
        f" MIN(as_of), SUM(CASE WHEN {is_told} THEN 0 ELSE 1 END) FROM figure WHERE {chosen}"
        " GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
        values,
    ):
        batch = Batch(status, payment, currency, bool(was_paid), *sums)
        found.batches.append(batch)
        if by == "customer":
            found.rows[part].append(batch)
        elif by in {"day", "week"}:
            found.rows[name_of(part * QUARTER)].append(batch)
        times.append(as_of)
        untold += not_told
    if by == "product":
        _add_products(db, found, chosen, values)
    return replace(found, as_of=min(times, default=None), untold=untold)


def _add_products(db: Connection, found: Summed, chosen: str, values: Sequence[Value]) -> None:
    for product, payment, currency, was_paid, orders, total, pieces in db.execute(
        "SELECT product, payment_status, currency, was_paid, COUNT(*),"  # noqa: S608  # words of ours
        " CAST(SUM(product_line.total) AS BIGINT), CAST(SUM(pieces) AS BIGINT)"
        f" FROM figure JOIN product_line USING (key) WHERE {chosen}"
        " GROUP BY 1, 2, 3, 4 ORDER BY MAX(key)",
        values,
    ):
        found.rows[product].append(
            Batch("", payment, currency, bool(was_paid), orders, total, pieces=pieces)
        )
    found.names.update(
        db.execute(
            "SELECT product, name FROM product_line JOIN (SELECT product AS newest_product, MAX(key) AS newest_key"  # noqa: S608
            f" FROM product_line WHERE {chosen} GROUP BY product) AS newest"
            " ON product = newest_product AND key = newest_key",
            values,
        )
    )
