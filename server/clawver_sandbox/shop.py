"""What a Clawver store does, without HTTP, kept in one SQLite file.

Several processes may hold the same shop: every operation is one transaction on a connection of its
own, so nothing is kept in memory and nothing is left open. Nothing is deduplicated either: whoever
refunds twice has paid twice, which is what the other side has to prevent.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import math
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from clawver_sandbox.catalogue import (
    CUSTOMERS,
    OPENING_ORDERS,
    Line,
    Sale,
    Wire,
    place,
    products,
    sales,
    shipment,
    stamp,
)
from clawver_sandbox.deliveries import TABLES as DELIVERY_TABLES
from clawver_sandbox.deliveries import Outbox
from clawver_sandbox.faults import Fault
from clawver_sandbox.figures import PERIODS, analytics, of_product
from clawver_sandbox.past import past_sales, review_of

API_KEY = "claw_sk_test_example_sandbox"
"""The one key a sandbox accepts."""

NAME = "Pixel & Thread"
"""What the store calls itself."""

EVENTS = (
    "order.created",
    "order.paid",
    "order.fulfilled",
    "order.shipped",
    "order.cancelled",
    "order.refunded",
    "order.fulfillment_failed",
    "review.received",
    "review.responded",
)
_STEPS_REPORTED = {
    "confirmed": "order.paid",
    "shipped": "order.shipped",
    "delivered": "order.fulfilled",
}
"""No event is documented for a printed order that goes into production."""
LINK_MINUTES = 60

_LIMITS = ((60.0, 60), (86_400.0, 1_000))  # seconds, requests
_TABLES = {
    "setting": "name TEXT PRIMARY KEY, value TEXT NOT NULL",
    "product": "id TEXT PRIMARY KEY, body TEXT NOT NULL",
    "sale": "id TEXT PRIMARY KEY, placed REAL NOT NULL, body TEXT NOT NULL, "
    "checkout_id TEXT NOT NULL UNIQUE, status_token TEXT NOT NULL, download_tokens TEXT NOT NULL",
    "review": "n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, written REAL NOT NULL, "
    "body TEXT NOT NULL",
    "payout": "n INTEGER PRIMARY KEY, order_id TEXT NOT NULL, amount_in_cents INTEGER NOT NULL",
    "webhook": "n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, "
    "secret TEXT NOT NULL",
    "feedback": "n INTEGER PRIMARY KEY, body TEXT NOT NULL",
    "request": "n INTEGER PRIMARY KEY, body TEXT NOT NULL",
    "fault": "n INTEGER PRIMARY KEY, body TEXT NOT NULL",
    "hit": "at REAL NOT NULL",
    **DELIVERY_TABLES,
}
_STATEMENTS = [
    *(f"CREATE TABLE {table} ({columns})" for table, columns in _TABLES.items()),
    "CREATE INDEX sale_by_age ON sale (placed)",
]
"""What makes the tables, as SQLite keeps it in a file."""
_KIND = {"application_id": 0x636C7362, "user_version": 4}
"""What the header of a file says of it. Where it says something else, the file is not ours."""


class ShopError(Exception):
    """The shop says no, with the code Clawver gives for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Shop:
    """A store: its orders, its money, and the log of who asked for what."""

    def __init__(self, path: Path, now: Callable[[], datetime], seed: int) -> None:
        self._path = path
        self._now = now
        self._seed = seed
        self.outbox = Outbox(self._transaction, now)

    @classmethod
    def open(cls, path: Path, *, now: Callable[[], datetime] | None = None, seed: int = 1) -> Self:
        """Open the store in this file, with the opening catalogue where it is new.

        Args:
            path: The file. It is created for its owner's eyes only, with the folder it lies in.
            now: What time it is; the clock of this machine unless given.
            seed: Which crowd of orders a new store opens with.

        Raises:
            sqlite3.OperationalError: The file cannot be used just now. Nothing was changed.
            sqlite3.DatabaseError: It is damaged, or no store of this version. Nothing was changed.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        shop = cls(path, now or (lambda: datetime.now(UTC)), seed)
        with shop._transaction() as db:
            # Asked inside the transaction: of two processes, one finds the other's work done.
            statements = "SELECT sql FROM sqlite_master WHERE sql <> ''"
            if not db.execute(statements).fetchall():
                for statement in _STATEMENTS:
                    db.execute(statement)
                for name, number in _KIND.items():
                    db.execute(f"PRAGMA {name} = {number}")
                _set(db, "id", f"sbx_{secrets.token_hex(8)}")
                _set(db, "link_secret", secrets.token_hex(32))
                _set(db, "public_url", "http://127.0.0.1:8787")
                shop._fill(db)
            marks = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in _KIND}
            found = {statement for (statement,) in db.execute(statements)}
            if found != set(_STATEMENTS) or marks != _KIND:
                raise sqlite3.DatabaseError("no sandbox store of this version")
        return shop

    def close(self) -> None:
        """Be done with the shop. Nothing is held open in between, so nothing remains to do."""

    def reset(self) -> None:
        """Go back to the opening catalogue: no refunds, no log, no faults, no webhooks."""
        with self._transaction() as db:
            for table in _TABLES.keys() - {"setting"}:
                db.execute(f"DELETE FROM {table}")  # noqa: S608  a name from the table above
            self._fill(db)

    def add_past(self, orders: int) -> int:
        """Have so many orders in all, by adding older ones than the opening catalogue's.

        They are of the year before, so the list reaches few of them. What is there stays.

        Args:
            orders: How many there should be; a store that has more keeps them.

        Returns:
            How many there are.
        """
        with self._transaction() as db:
            first, missing = int(_get(db, "next_number")), orders - _count(db)
            if missing > 0:
                numbers = range(first, first + missing)
                self._add_all(db, past_sales(self._now(), self._seed, numbers))
                _set(db, "next_number", str(numbers.stop))
            return _count(db)

    # What tests and demonstrations arrange and look at

    def sell(
        self,
        *,
        total_in_cents: int = 2499,
        digital: bool = True,
        status: str = "confirmed",
        payment_status: str = "paid",
        order_id: str | None = None,
    ) -> Wire:
        """Add one order, placed now, and return it as Clawver would send it."""
        goods = products()
        line = (
            Line(goods["prod_fonts"], price_in_cents=total_in_cents)
            if digital
            else Line(goods["prod_tee"], "M", price_in_cents=total_in_cents)
        )
        now = self._now()
        given_back = {"refunded": total_in_cents, "partially_refunded": total_in_cents // 2}
        stem = order_id.removeprefix("ord_") if order_id else _random_id()
        sale = place(
            stem,
            [line],
            customer=CUSTOMERS[-1],
            placed=now,
            status=status,
            payment_status=payment_status,
            refunds=[
                (amount, "Arranged", now)
                for state, amount in given_back.items()
                if state == payment_status
            ],
        )
        sale.order["id"] = order_id or sale.order["id"]
        with self._transaction() as db:
            try:
                _add(db, sale)
            except sqlite3.IntegrityError as error:
                raise ShopError("CONFLICT", "There is an order like this already.") from error
            self._report(db, "order.created", sale.order)
            if payment_status != "pending":
                self._report(db, "order.paid", sale.order)
        return sale.order

    def cancel(self, order_id: str) -> Wire:
        """Cancel an order that nobody has begun to fulfil."""
        with self._transaction() as db:
            order = self._sale(db, order_id).order
            if order["status"] not in {"pending", "confirmed"}:
                raise ShopError("CONFLICT", "This order can no longer be cancelled.")
            order["status"] = "cancelled"
            _save(db, order)
            self._report(db, "order.cancelled", order)
        return order

    def report(self, event: str, order_id: str) -> None:
        """Tell the webhooks of an event, whether or not it happened, and whether or not it is known."""
        with self._transaction() as db:
            self._report(db, event, self._sale(db, order_id).order)

    def _report(self, db: sqlite3.Connection, event: str, order: Wire) -> None:
        data = {"orderId": order["id"], **{name: order[name] for name in ("totalInCents", "items")}}
        self.outbox.put(db, event, data)

    def refunds(self) -> list[tuple[str, int]]:
        """Every refund that was asked of this shop and recorded, in order.

        Refunds that the catalogue or ``sell`` brought along are not among them.
        """
        with self._transaction() as db:
            rows = db.execute("SELECT order_id, amount_in_cents FROM payout ORDER BY n")
            return [(order_id, amount) for order_id, amount in rows]

    def checkout_of(self, order_id: str) -> str:
        """The checkout an order came from."""
        with self._transaction() as db:
            return self._sale(db, order_id).checkout_id

    def status_token_of(self, order_id: str) -> str:
        """The token with which a customer may see the order's status."""
        with self._transaction() as db:
            return self._sale(db, order_id).status_token

    def download_tokens_of(self, order_id: str) -> dict[str, str]:
        """The tokens with which a customer may download, by item id."""
        with self._transaction() as db:
            return self._sale(db, order_id).download_tokens

    @property
    def id(self) -> str:
        """Tells this store from every other. A reset does not change it."""
        with self._transaction() as db:
            return _get(db, "id")

    def details(self) -> Wire:
        """The store itself, as its owner sees it."""
        return {"id": f"store_{self.id.removeprefix('sbx_')}", "name": NAME}

    @property
    def public_url(self) -> str:
        """Where the shop can be reached; download links begin with it."""
        with self._transaction() as db:
            return _get(db, "public_url")

    @public_url.setter
    def public_url(self, url: str) -> None:
        with self._transaction() as db:
            _set(db, "public_url", url)

    def advance(self, order_id: str) -> Wire:
        """Move an order one step along its lifecycle."""
        with self._transaction() as db:
            order = self._sale(db, order_id).order
            printed = any(item["productType"] == "print_on_demand" for item in order["items"])
            steps = {"pending": "confirmed", "confirmed": "processing" if printed else "delivered"}
            steps |= {"processing": "shipped", "shipped": "delivered"}
            if order["status"] not in steps:
                raise ShopError("CONFLICT", "This order has reached the end of its way.")
            if order["status"] == "pending":
                order |= {"paymentStatus": "paid", "paidAt": stamp(self._now())}
            order["status"] = steps[order["status"]]
            if order["status"] == "shipped":
                order |= shipment(order_id)
            _save(db, order)
            if order["status"] in _STEPS_REPORTED:
                self._report(db, _STEPS_REPORTED[order["status"]], order)
        return order

    # Requests: the log, the allowance, the faults

    def note_request(self, request: Wire) -> int:
        """Log a request that has arrived; the number is for ``note_status``."""
        with self._transaction() as db:
            row = db.execute("INSERT INTO request (body) VALUES (?)", (json.dumps(request),))
            assert row.lastrowid is not None  # noqa: S101  an INSERT always has one
            return row.lastrowid

    def note_status(self, number: int, status: int) -> None:
        """Log what a request was answered."""
        with self._transaction() as db:
            db.execute(
                "UPDATE request SET body = json_set(body, '$.status', ?) WHERE n = ?",
                (status, number),
            )

    def requests(self) -> list[Wire]:
        """Every request received, in order; ``status`` is None where nothing was answered."""
        with self._transaction() as db:
            return [
                json.loads(body) for (body,) in db.execute("SELECT body FROM request ORDER BY n")
            ]

    def forget_requests(self) -> None:
        """Empty the log."""
        with self._transaction() as db:
            db.execute("DELETE FROM request")

    def seconds_to_wait(self) -> int:
        """Count one request against the allowance; 0 means it is within it."""
        at = self._now().timestamp()
        with self._transaction() as db:
            for window, most in _LIMITS:
                oldest = db.execute(
                    "SELECT at FROM hit WHERE at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",
                    (at - window, most - 1),
                ).fetchone()
                if oldest is not None:
                    wait: int = math.ceil(oldest[0] + window - at)
                    return wait
            db.execute("INSERT INTO hit (at) VALUES (?)", (at,))
        return 0

    def add_fault(
        self,
        name: str,
        *,
        method: str = "*",
        path: str = "",
        times: int = 1,
        seconds: float = 0.0,
        status: int = 500,
        retry_after: int | str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Arrange that the next fitting requests go wrong.

        Args:
            name: One of ``faults.NAMES``.
            method: The HTTP method it applies to, or ``*``.
            path: Found in the request's path, as text or as a regular expression.
            times: How many requests it spoils; -1 spoils all until the faults are cleared.
            seconds: How long the slow, hanging and late ones take.
            status: What the ``status_*`` ones answer.
            retry_after: The Retry-After header of ``rate_limited``: seconds or an HTTP date.
            headers: More headers for the answer, such as the location of ``redirect``.
        """
        fault = Fault(name, method, path, times, seconds, status, retry_after, headers or {})
        with self._transaction() as db:
            db.execute("INSERT INTO fault (body) VALUES (?)", (json.dumps(fault.wire()),))

    def faults(self) -> list[Fault]:
        """The faults still to come, in the order they were arranged."""
        with self._transaction() as db:
            return [fault for _, fault in _faults(db)]

    def clear_faults(self) -> None:
        """Let nothing more go wrong."""
        with self._transaction() as db:
            db.execute("DELETE FROM fault")

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Use up the first fault that fits this request. No other process gets the same one."""
        with self._transaction() as db:
            for number, fault in _faults(db):
                if fault.fits(method, path):
                    if fault.times == 1:
                        db.execute("DELETE FROM fault WHERE n = ?", (number,))
                    elif fault.times > 1:
                        rest = json.dumps({**fault.wire(), "times": fault.times - 1})
                        db.execute("UPDATE fault SET body = ? WHERE n = ?", (rest, number))
                    return fault
        return None

    # What the owner may do

    def order(self, order_id: str) -> Wire:
        """One order."""
        with self._transaction() as db:
            return self._sale(db, order_id).order

    def orders(self) -> list[Wire]:
        """Every order, newest first."""
        return self.newest(None, -1)

    def newest(self, status: str | None, limit: int) -> list[Wire]:
        """The newest orders, in one status where one is given; -1 is no limit."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT body FROM sale WHERE ?1 IS NULL OR json_extract(body, '$.status') = ?1"
                " ORDER BY placed DESC, rowid DESC LIMIT ?2",
                (status, limit),
            )
            return [json.loads(body) for (body,) in rows]

    def product(self, product_id: str) -> Wire:
        """One product."""
        with self._transaction() as db:
            row = db.execute("SELECT body FROM product WHERE id = ?", (product_id,)).fetchone()
        if row is None:
            raise ShopError("RESOURCE_NOT_FOUND", "Product not found.")
        product: Wire = json.loads(row[0])
        return product

    def all_products(self, status: str | None) -> list[Wire]:
        """Everything the store sells, in one status where one is given."""
        with self._transaction() as db:
            rows = db.execute("SELECT body FROM product ORDER BY rowid").fetchall()
        goods = [json.loads(body) for (body,) in rows]
        return [each for each in goods if status in {None, each["status"]}]

    def figures(self, period: str, product_id: str | None = None) -> Wire:
        """The store in numbers, or one product."""
        if period not in PERIODS:
            raise ShopError("VALIDATION_ERROR", f"period must be one of {', '.join(PERIODS)}.")
        orders = self.orders()
        if product_id is not None:
            orders = of_product(orders, self.product(product_id)["id"])
        return analytics(orders, self._now(), PERIODS[period])

    def reviews(self, cursor: str | None, limit: int) -> tuple[list[Wire], str | None]:
        """What customers wrote, newest first, and where the next page begins.

        Args:
            cursor: As the page before gave it.
            limit: The most to give.
        """
        with self._transaction() as db:
            after = ("", ())
            if cursor is not None:
                last = db.execute(
                    "SELECT written, n FROM review WHERE id = ?", (cursor,)
                ).fetchone()
                if last is None:
                    raise ShopError("VALIDATION_ERROR", "cursor is not one of ours.")
                after = ("WHERE (written, n) < (?, ?)", last)
            rows = db.execute(
                f"SELECT body FROM review {after[0]} ORDER BY written DESC, n DESC LIMIT ?",  # noqa: S608
                (*after[1], limit + 1),
            ).fetchall()
        found = [json.loads(body) for (body,) in rows]
        return found[:limit], found[limit - 1]["id"] if len(found) > limit else None

    def refund(self, order_id: str, amount_in_cents: object, reason: object) -> Wire:
        """Give money back and return the order with its new refund."""
        if type(amount_in_cents) is not int or amount_in_cents < 1:
            raise ShopError("VALIDATION_ERROR", "amountInCents must be a positive integer.")
        if not isinstance(reason, str) or not reason.strip():
            raise ShopError("VALIDATION_ERROR", "reason is required.")
        with self._transaction() as db:
            order = self._sale(db, order_id).order
            if order["paymentStatus"] not in {"paid", "partially_refunded"}:
                raise ShopError("CONFLICT", "The payment of this order cannot be refunded.")
            given_back = sum(refund["amountInCents"] for refund in order["refunds"])
            left = order["totalInCents"] - given_back - amount_in_cents
            if left < 0:
                raise ShopError("VALIDATION_ERROR", "amountInCents is more than what is left.")
            order["refunds"].append(
                {
                    "id": f"ref_{_random_id()}",
                    "amountInCents": amount_in_cents,
                    "reason": reason,
                    "stripeRefundId": f"re_{_random_id()}",
                    "createdAt": stamp(self._now()),
                }
            )
            order["paymentStatus"] = "partially_refunded" if left else "refunded"
            _save(db, order)
            db.execute(
                "INSERT INTO payout (order_id, amount_in_cents) VALUES (?, ?)",
                (order_id, amount_in_cents),
            )
            self._report(db, "order.refunded", order)
        return order

    def download(self, order_id: str, item_id: str) -> Wire:
        """A link to an item's file that works for an hour."""
        with self._transaction() as db:
            item = _downloadable(self._sale(db, order_id).order, item_id)
            base = _get(db, "public_url")
            expires = str(int(self._now().timestamp()) + LINK_MINUTES * 60)
            signature = _signature(db, order_id, item_id, expires)
        return {
            "downloadUrl": (
                f"{base}/files/{order_id}/{item_id}?expires={expires}&signature={signature}"
            ),
            "expiresInMinutes": LINK_MINUTES,
            "fileName": f"{item['productId'].removeprefix('prod_')}.zip",
            "fileSizeBytes": len(_content(item["productId"])),
        }

    def file(self, order_id: str, item_id: str, expires: str, signature: str) -> bytes:
        """The file behind a download link."""
        with self._transaction() as db:
            genuine = _signature(db, order_id, item_id, expires)
            if not hmac.compare_digest(genuine.encode(), signature.encode()):
                raise ShopError("FORBIDDEN", "This link is not one of ours.")
            if int(expires) <= self._now().timestamp():
                raise ShopError("FORBIDDEN", "This link has expired.")
            return _content(_item(self._sale(db, order_id).order, item_id)["productId"])

    def add_webhook(self, url: object, events: object, secret: object) -> Wire:
        """Remember where events should go from now on."""
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise ShopError("VALIDATION_ERROR", "url must be an absolute URL.")
        if not isinstance(events, list) or not events or any(e not in EVENTS for e in events):
            raise ShopError("VALIDATION_ERROR", "events must name known events.")
        if not isinstance(secret, str) or len(secret) < 16:
            raise ShopError("VALIDATION_ERROR", "secret must have at least 16 characters.")
        webhook = {
            "id": f"whk_{_random_id()}",
            "url": url,
            "events": events,
            "createdAt": stamp(self._now()),
        }
        with self._transaction() as db:
            db.execute(
                "INSERT INTO webhook (id, body, secret) VALUES (?, ?, ?)",
                (webhook["id"], json.dumps(webhook), secret),
            )
        return webhook

    def webhooks(self) -> list[Wire]:
        """Every webhook, without its secret."""
        with self._transaction() as db:
            return [
                json.loads(body) for (body,) in db.execute("SELECT body FROM webhook ORDER BY n")
            ]

    def remove_webhook(self, webhook_id: str) -> None:
        """Forget a webhook."""
        with self._transaction() as db:
            if not db.execute("DELETE FROM webhook WHERE id = ?", (webhook_id,)).rowcount:
                raise ShopError("RESOURCE_NOT_FOUND", "Webhook not found.")
            self.outbox.forget(db, webhook_id)

    def give_feedback(self, feedback: Wire) -> Wire:
        """Take a report about the platform."""
        for name in ("category", "severity", "title", "description"):
            if not isinstance(feedback.get(name), str) or not feedback[name]:
                raise ShopError("VALIDATION_ERROR", f"{name} is required.")
        taken = {**feedback, "id": f"fbk_{_random_id()}", "createdAt": stamp(self._now())}
        with self._transaction() as db:
            db.execute("INSERT INTO feedback (body) VALUES (?)", (json.dumps(taken),))
        return taken

    # What a customer may do

    def public_order(self, order_id: str, token: str) -> Wire:
        """What the holder of the status token may see of an order."""
        with self._transaction() as db:
            sale = self._sale(db, order_id)
        if token != sale.status_token:
            raise ShopError("FORBIDDEN", "This token does not open this order.")
        order = sale.order
        shown = ["id", "status", "paymentStatus", "totalInCents", "createdAt"]
        shown += ["carrier", "trackingNumber", "trackingUrl"]
        names = ("id", "productName", "productType", "quantity", "variantName")
        return {
            **{name: order[name] for name in shown},
            "items": [{n: item[n] for n in names if n in item} for item in order["items"]],
        }

    def public_download(self, order_id: str, item_id: str, token: str) -> Wire:
        """A download link for the holder of the item's token."""
        with self._transaction() as db:
            sale = self._sale(db, order_id)
        _downloadable(sale.order, item_id)
        if token != sale.download_tokens[item_id]:
            raise ShopError("FORBIDDEN", "This token does not open this download.")
        return self.download(order_id, item_id)

    def receipt(self, checkout_id: str) -> Wire:
        """The receipt of a checkout, with the tokens that open its order."""
        with self._transaction() as db:
            row = db.execute("SELECT id FROM sale WHERE checkout_id = ?", (checkout_id,)).fetchone()
            if row is None:
                raise ShopError("RESOURCE_NOT_FOUND", "Checkout not found.")
            sale = self._sale(db, row[0])
        names = ("id", "productName", "productType", "quantity", "totalInCents", "variantName")
        items = [
            {name: item[name] for name in names if name in item}
            | (
                {"downloadToken": sale.download_tokens[item["id"]]}
                if item["id"] in sale.download_tokens
                else {}
            )
            for item in sale.order["items"]
        ]
        return {
            "checkoutId": checkout_id,
            "orderId": sale.order["id"],
            "orderStatusToken": sale.status_token,
            "customerEmail": sale.order["customerEmail"],
            "totalInCents": sale.order["totalInCents"],
            "items": items,
        }

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything or nothing, and nobody else in between."""
        with contextlib.closing(
            sqlite3.connect(self._path, timeout=30, isolation_level=None)
        ) as db:
            # A sandbox may lose its last second with the power, but not with the process.
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN IMMEDIATE")
            with db:  # commits, or rolls back what an error left half done
                yield db

    def _fill(self, db: sqlite3.Connection) -> None:
        for product_id, product in products().items():
            db.execute("INSERT INTO product VALUES (?, ?)", (product_id, json.dumps(product)))
        self._add_all(db, sales(self._now(), self._seed))
        _set(db, "next_number", str(OPENING_ORDERS))

    def _add_all(self, db: sqlite3.Connection, sold: Iterable[Sale]) -> None:
        """Orders, and what was written about them."""
        for sale in sold:
            _add(db, sale)
            review = review_of(sale.order, self._now())
            if review is not None:
                written = datetime.fromisoformat(review["createdAt"]).timestamp()
                db.execute(
                    "INSERT INTO review (id, written, body) VALUES (?, ?, ?)",
                    (review["id"], written, json.dumps(review)),
                )

    def _sale(self, db: sqlite3.Connection, order_id: str) -> Sale:
        row = db.execute(
            "SELECT body, checkout_id, status_token, download_tokens FROM sale WHERE id = ?",
            (order_id,),
        ).fetchone()
        if row is None:
            raise ShopError("RESOURCE_NOT_FOUND", "Order not found.")
        return Sale(json.loads(row[0]), row[1], row[2], json.loads(row[3]))


def _random_id() -> str:
    return base64.b32encode(secrets.token_bytes(7)).decode().lower()[:10]


def _get(db: sqlite3.Connection, name: str) -> str:
    value: str = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()[0]
    return value


def _set(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))


def _count(db: sqlite3.Connection) -> int:
    found: int = db.execute("SELECT COUNT(*) FROM sale").fetchone()[0]
    return found


def _add(db: sqlite3.Connection, sale: Sale) -> None:
    order = sale.order
    placed = datetime.fromisoformat(order["createdAt"]).timestamp()
    db.execute(
        "INSERT INTO sale VALUES (?, ?, ?, ?, ?, ?)",
        (
            order["id"],
            placed,
            json.dumps(order),
            sale.checkout_id,
            sale.status_token,
            json.dumps(sale.download_tokens),
        ),
    )


def _save(db: sqlite3.Connection, order: Wire) -> None:
    db.execute("UPDATE sale SET body = ? WHERE id = ?", (json.dumps(order), order["id"]))


def _faults(db: sqlite3.Connection) -> list[tuple[int, Fault]]:
    rows = db.execute("SELECT n, body FROM fault ORDER BY n").fetchall()
    return [(number, Fault(**json.loads(body))) for number, body in rows]


def _item(order: Wire, item_id: str) -> dict[str, Any]:
    for item in order["items"]:
        if item["id"] == item_id:
            found: dict[str, Any] = item
            return found
    raise ShopError("RESOURCE_NOT_FOUND", "Item not found.")


def _downloadable(order: Wire, item_id: str) -> dict[str, Any]:
    item = _item(order, item_id)
    if item["productType"] != "digital":
        raise ShopError("VALIDATION_ERROR", "Only digital items can be downloaded.")
    if order["paymentStatus"] not in {"paid", "partially_refunded"}:
        raise ShopError("CONFLICT", "This order is not paid.")
    return item


def _signature(db: sqlite3.Connection, order_id: str, item_id: str, expires: str) -> str:
    text = json.dumps([order_id, item_id, expires]).encode()
    return hmac.new(_get(db, "link_secret").encode(), text, hashlib.sha256).hexdigest()


def _content(product_id: str) -> bytes:
    """The file of a product: a few dozen kB, always the same."""
    digest = hashlib.sha256(product_id.encode()).digest()
    return (digest * 3200)[: 2000 + int.from_bytes(digest[:4]) % 98_000]
