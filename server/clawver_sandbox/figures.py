"""What a store says of itself in numbers. Which orders Clawver counts is not documented: here, the paid ones."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from clawver_sandbox.catalogue import Wire

PERIODS = {"7d": 7, "30d": 30, "90d": 90, "all": None}
"""How many days each of them goes back; None is all of them."""
_PAID = frozenset({"paid", "partially_refunded", "refunded"})
_TOP = 5


def analytics(orders: Iterable[Wire], now: datetime, days: int | None) -> Wire:
    """The figures of a store, from its orders.

    Args:
        orders: All of them.
        now: The end of the period.
        days: How long the period is; None is all the time.
    """
    paid = [each for each in orders if each["paymentStatus"] in _PAID]
    in_time = [each for each in paid if days is None or _is_within(each, now, days)]
    revenue = sum(each["totalInCents"] - _given_back(each) for each in in_time)
    fees = sum(each["platformFeeInCents"] for each in in_time)
    views = 40 * len(in_time)
    return {
        "summary": {
            "totalRevenue": revenue,
            "totalOrders": len(in_time),
            "averageOrderValue": revenue // len(in_time) if in_time else 0,
            "netRevenue": revenue - fees,
            "platformFees": fees,
            "storeViews": views,
            "productViews": 3 * views,
            "conversionRate": 2.5 if views else 0,
        },
        "topProducts": _top(in_time),
        "recentOrdersCount": sum(_is_within(each, now, 7) for each in paid),
    }


def of_product(orders: Iterable[Wire], product_id: str) -> list[Wire]:
    """The orders in which a product is."""
    return [each for each in orders if any(i["productId"] == product_id for i in each["items"])]


def _top(orders: Sequence[Wire]) -> list[Wire]:
    revenue: Counter[str] = Counter()
    names: dict[str, Any] = {}
    for item in (item for order in orders for item in order["items"]):
        revenue[item["productId"]] += item["totalInCents"]
        names[item["productId"]] = item["productName"]
    return [
        {"productId": product_id, "name": names[product_id], "revenueInCents": cents}
        for product_id, cents in revenue.most_common(_TOP)
    ]


def _is_within(order: Wire, now: datetime, days: int) -> bool:
    return datetime.fromisoformat(order["createdAt"]) > now - timedelta(days=days)


def _given_back(order: Wire) -> int:
    return sum(refund["amountInCents"] for refund in order["refunds"])
