"""Orders and records by hand: what the rules about them are asked about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from clawver_orders.caller import Grade
from clawver_orders.clawver.models import Order, Refund
from clawver_orders.instants import Instant
from clawver_orders.refunds.records import Attempt, Decision, OrderRecords, Wish

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
INSTANT = Instant(NOW, 5000.0, "this start")
LATER = Instant(NOW, 10**6, "this start")
"""The same time of a machine that has run for long."""


def order(**fields: Any) -> Order:
    values = {"id": "ord_1", "status": "shipped", "totalInCents": 2499, "createdAt": NOW}
    return Order.model_validate(values | {"paymentStatus": "paid"} | fields)


def wish(refund_id: str) -> Wish:
    return Wish(
        refund_id, "ord_1", 500, "Torn", (), revision=1, grade_needed="agent", shown="paid",
        created_at=NOW, previewed=INSTANT, status="unknown",
    )  # fmt: skip


def attempt(reason: str = "Torn", **fields: Any) -> Attempt:
    values: dict[str, Any] = {
        "refund_id": "rfi_1", "revision": 1, "amount_in_cents": 500,
        "refunds_before": frozenset({"ref_0"}), "sent": INSTANT, "sent_by_server": None,
        "status": "unknown",
    }  # fmt: skip
    return Attempt(order_id="ord_1", reason=reason, **values | fields)


def records_of(*wishes: Wish, **fields: Any) -> OrderRecords:
    return OrderRecords("ord_1", wishes, 1, **fields)


def ago(**time: float) -> Instant:
    """So long before `LATER`."""
    passed = timedelta(**time)
    return Instant(NOW - passed, 10**6 - passed.total_seconds(), "this start")


def refund(ref: str = "ref_1", cents: int = 500, **fields: Any) -> Refund:
    return Refund.model_validate({"id": ref, "amountInCents": cents} | fields)


def made(verdict: Any, number: int, when: Instant = LATER, grade: Grade = "chat") -> Decision:
    return Decision("rfi_1", number, verdict, grade, "form", "a person", "host 1", when, number)
