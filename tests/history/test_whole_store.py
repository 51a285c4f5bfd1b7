"""A store with a year of 2,000 orders, of which Clawver lists a few hundred, from end to end."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_main import keyless
from tests.history.test_syncing import reachable
from tests.spreadsheets import cells, needs_spreadsheet

from clawver_orders.money import display
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery, Inbox
from clawver_sandbox.shop import Shop

ORDERS = 2000
WAS_PAID = {"paid", "partially_refunded", "refunded"}
FREELY = {"CLAWVER_REQUESTS_PER_MINUTE": "100000", "CLAWVER_REQUESTS_PER_DAY": "100000"}


def command(state: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "clawver_orders", *words],
        env=keyless() | state | FREELY, capture_output=True, encoding="utf-8", timeout=500, check=True,
    )  # fmt: skip
    return done.stdout or done.stderr


def call(state: dict[str, str], *words: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(command(state, "call", *words))
    return answer


def report(inbox: Inbox, event: str, orders: Sequence[dict[str, Any]]) -> None:
    """Events about orders, as somebody has them who has listened for a year."""
    bodies = [f'{{"event":"{event}","data":{{"orderId":"{each["id"]}"}}}}' for each in orders]
    now = datetime.now(UTC)
    inbox.note("r", [Delivery(each.encode(), parse(each.encode()), now) for each in bodies])


def orders_of(answer: dict[str, Any]) -> list[str]:
    return [row[answer["columns"].index("order_id")] for row in answer["orders"]]


def day_of(orders: Sequence[dict[str, Any]], order_id: str) -> str:
    return next(str(each["createdAt"])[:10] for each in orders if each["id"] == order_id)


def bytes_of(folder: Path) -> bytes:
    """All that the files of a store have, but for the sandbox itself, which plays Clawver."""
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


@pytest.mark.slow
@needs_spreadsheet
def test_a_year_of_orders_is_kept_found_summed_exported_and_forgotten(
    state: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    store = Shop.open(Path(state["CLAWVER_STATE_DIR"]) / "sandbox.sqlite3")
    store.add_past(ORDERS)
    everything = store.orders()
    report(inbox, "order.paid", everything)
    listed = reachable(store)
    by_customer: dict[str, list[dict[str, Any]]] = {}
    by_name: dict[str, set[str]] = {}
    for each in everything:
        by_customer.setdefault(each["customerEmail"], []).append(each)
        by_name.setdefault((each["shippingAddress"] or {}).get("name", ""), set()).add(each["id"])
    # Somebody in another script, of whom Clawver lists nothing, and whose name is theirs alone.
    email, name, theirs = next(
        (email, name, ids)
        for email, orders in by_customer.items()
        if not (ids := {one["id"] for one in orders}) & listed
        for name, named in by_name.items()
        if "\u0400" <= name[:1] <= "\u9fff" and named <= ids
    )

    # Everything is kept, and Clawver counts the same.
    synced = command(state, "sync")
    assert f": {ORDERS}." in synced
    assert "match Clawver's own count" in synced

    # One is found by a part of its name, and so is its customer.
    found = call(state, "list_orders", f"search={name[:-1]}", "limit=100")
    assert by_name[name] <= set(orders_of(found))
    customer = call(state, "get_customer", f"customer_email={email}")
    assert customer["orders"] == len(theirs)
    assert set(orders_of(call(state, "list_orders", f"customer_email={email}", "limit=100"))) == theirs  # fmt: skip
    (one,) = call(state, "get_order", f"order_id={min(theirs)}", "include=timeline")["orders"]
    at, what, _ = one["timeline"][0]
    assert (at[:10], what) == (day_of(everything, one["order_id"]), "created")

    # The figures of a month that Clawver no longer lists are those of its orders.
    days = sorted(str(each["createdAt"])[:10] for each in everything)
    begin, end = days[ORDERS // 4], days[ORDERS // 3]
    placed = [each for each in everything if begin <= str(each["createdAt"])[:10] < end]
    for by in ("day", "product"):
        span = (f"created_after={begin}", f"created_before={end}")
        sums = call(state, "summarize_orders", *span, f"by={by}")
        assert sums["orders"] == len(placed) > ORDERS // 20
        assert sums["refunds"] == sum(len(each["refunds"]) for each in placed)
    assert sum(int(row[2]) for row in sums["rows"]) == sum(
        item["quantity"]
        for each in placed
        if each["paymentStatus"] not in {"pending", "failed"}
        for item in each["items"]
    )

    # A month that Clawver's lists no longer reach is added up.
    until = datetime.now(UTC).replace(day=1) - timedelta(days=75)
    first, last = (f"{month:%Y-%m}-01" for month in (until - timedelta(days=31), until))
    of_month = [each for each in everything if first <= each["createdAt"] < last]
    assert not {each["id"] for each in of_month if each["status"] == "delivered"} & listed
    paid = [each for each in of_month if each["paymentStatus"] in WAS_PAID]
    sums = call(state, "summarize_orders", f"created_after={first}", f"created_before={last}")
    assert (sums["orders"], sums["paid_orders"]) == (len(of_month), len(paid))
    assert sums["sales"] == display(sum(each["totalInCents"] for each in paid))
    assert sums["refunded"] == display(
        sum(refund["amountInCents"] for each in of_month for refund in each["refunds"])
    )

    # The export has all of it, and a spreadsheet opens it and calculates nothing.
    path = tmp_path / "orders.csv"
    command(state, "export", "orders", "--bom", "--output", str(path))
    with path.open(encoding="utf-8-sig", newline="") as file:
        exported = {row["order_id"]: row for row in csv.DictReader(file)}
    assert exported.keys() == {each["id"] for each in everything}
    assert sum(int(row["total_in_cents"]) for row in exported.values()) == sum(
        each["totalInCents"] for each in everything
    )
    sheet = cells(path, tmp_path)
    assert len(sheet) == 1 + ORDERS
    assert not [cell for row in sheet for cell in row if cell[1]]
    assert {row[0][0] for row in sheet[1:]} == exported.keys()
    people = command(state, "export", "customers", "--format", "jsonl").splitlines()
    counts = {row["customer_email"]: row["orders"] for row in map(json.loads, people)}
    assert counts == {address: len(orders) for address, orders in by_customer.items()}

    # A forgotten customer is in no file, and stays away when the store tells of them again.
    folder = Path(state["CLAWVER_STATE_DIR"]) / "stores"
    before = bytes_of(folder)
    assert email.encode() in before
    assert name.encode() in before
    command(state, "forget", email)
    report(inbox, "order.fulfilled", by_customer[email])
    synced = command(state, "sync")
    after = bytes_of(folder).lower()
    assert f": {ORDERS - len(theirs)}." in synced
    assert email.encode() not in after
    assert name.lower().encode() not in after
    assert not theirs & set(orders_of(call(state, "list_orders", f"search={name[:-1]}", "limit=100")))  # fmt: skip
    assert email not in command(state, "export", "customers")
