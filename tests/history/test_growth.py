"""What is looked for in the history takes as many steps among many orders as among few."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.instruments.benchmarks.growth import fill_mirror
from tests.refunds.test_growth import Steps

from clawver_orders.history.mirror import Mirror, Sought
from clawver_orders.history.summing import By
from clawver_orders.instants import Instant
from clawver_orders.settings import Settings
from clawver_orders.storage import scopes

NOW = Instant(datetime(2026, 11, 24, 12, tzinfo=UTC), time.monotonic(), "this start")
FEW, MANY = 600, 3000
YEAR = timedelta(days=365)
SPLIT: tuple[By | None, ...] = (None, "day", "product", "customer")
CUSTOMER = "buyer.000010@example.com"
LOOKED_FOR = {
    "a page": Sought(),
    "a page of the middle": Sought(created_before=NOW.at - timedelta(days=180)),
    "an unknown word": Sought(search="nobody@example.com"),
    "a customer": Sought(customer_email=CUSTOMER),
    "a customer's orders of a status": Sought(customer_email=CUSTOMER, status="delivered"),
    "a customer's orders with a common word": Sought(customer_email=CUSTOMER, search="buyer"),
    "an e-mail address": Sought(search=CUSTOMER),
    "an address of a status": Sought(search=CUSTOMER, status="delivered", payment_status="paid"),
    "an address with a short word": Sought(search=f"{CUSTOMER} ng"),
    "a tracking number": Sought(search="SBX000000040"),
    "a part of an id": Sought(search="rd_0000040"),
    "a common word": Sought(search="example"),
    "two letters": Sought(search="ng"),
    "two letters and a common word": Sought(search="ng moon"),
    "two letters in a script without blanks": Sought(search="王伟"),
    "a status": Sought(status="delivered"),
    "a common word in a span": Sought(
        search="moon", created_after=NOW.at - timedelta(days=182), created_before=NOW.at - timedelta(days=180)
    ),
}  # fmt: skip


def test_orders_are_found_in_as_many_steps_among_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = []
    for count in (FEW, MANY):
        settings = Settings(sandbox=True, state_dir=tmp_path / str(count))
        fill_mirror(settings, count, NOW)
        scope = scopes.known(settings)
        assert scope is not None
        mirrors.append(Mirror.of(settings, scope))

    steps, taken = Steps(monkeypatch), []
    for mirror, count in zip(mirrors, (FEW, MANY), strict=True):
        mirror.extent()
        steps.taken()
        each = {}
        for name, sought in LOOKED_FOR.items():
            mirror.find(sought, 10)
            each[name] = steps.taken()
        begin = NOW.at - 40 * (YEAR / count)
        for by in SPLIT:
            mirror.summed(begin, NOW.at, ["ord_0000003"], by, lambda moment: f"{moment:%Y-%m-%d}")
            each[f"sums of 40 orders by {by}"] = steps.taken()
        taken.append(each)

    few, many = taken
    assert {
        name: (few[name], many[name]) for name in few if many[name] > 1.5 * few[name] + 50
    } == {}
