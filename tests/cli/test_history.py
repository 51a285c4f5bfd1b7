"""The order history in a terminal."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.test_main import keyless, run
from tests.terminals import at_terminal

from clawver_orders.history.mirror import HISTORY_FILE, Mirror, Sought
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import Delivery, Inbox
from clawver_sandbox.shop import Shop

FOLDER = Path("stores") / "sandbox"
FREELY = {"CLAWVER_REQUESTS_PER_MINUTE": "100000", "CLAWVER_REQUESTS_PER_DAY": "100000"}


@pytest.fixture
def store(state: dict[str, str]) -> Shop:
    return Shop.open(Path(state["CLAWVER_STATE_DIR"]) / "sandbox.sqlite3")


def mirror(state: dict[str, str]) -> Mirror:
    path = Path(state["CLAWVER_STATE_DIR"]) / FOLDER / HISTORY_FILE
    return Mirror(path, timedelta(days=400))


def sync(state: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "sync"],
        env=keyless() | state | FREELY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_sync_says_what_is_known_and_whether_clawver_agrees(
    state: dict[str, str], store: Shop
) -> None:
    done = run("sync", **state)

    paid = store.figures("all")["summary"]["totalOrders"]
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("Store: the sandbox\nOrders kept here since ")
    assert f"{paid} paid ones match Clawver's own count of " in done.stdout


def test_a_sync_that_uses_up_its_share_says_when_to_go_on(
    state: dict[str, str], store: Shop
) -> None:
    store.add_fault("page_thin", path="/orders$", times=-1)
    store.add_fault("garbage", path="/orders/", times=1)

    done = run("sync", CLAWVER_REQUESTS_PER_DAY="40", **state)

    assert done.returncode == 1
    assert "Orders that cannot be read: 1." in done.stdout
    assert "Run it again in 24 hours: it goes on where it ended." in done.stderr


def test_nothing_is_asked_where_nothing_is_kept(state: dict[str, str]) -> None:
    done = run("sync", CLAWVER_HISTORY="off", **state)

    assert (done.returncode, done.stdout) == (1, "")
    assert "CLAWVER_HISTORY is off" in done.stderr
    assert not (Path(state["CLAWVER_STATE_DIR"]) / FOLDER).exists()


@pytest.mark.slow
def test_at_a_terminal_a_sync_shows_how_far_it_is(state: dict[str, str], store: Shop) -> None:
    done = at_terminal("sync", environment=keyless() | state)

    assert done.returncode == 0
    assert "Reading orders" in done.stdout
    assert "100%" in done.stdout


@pytest.mark.slow
def test_a_sync_that_is_killed_leaves_what_it_read_and_the_next_one_reads_the_rest(
    state: dict[str, str], store: Shop
) -> None:
    store.add_fault("page_thin", path="/orders$", times=-1)
    store.add_fault("hang_after", path="/ord_mixed$", seconds=600)

    first = sync(state)
    while not any(each["path"].endswith("/ord_mixed") for each in store.requests()):
        assert first.poll() is None
    while mirror(state).extent().thin == 120:  # what was read is kept a moment later
        assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    known = mirror(state).extent()
    store.forget_requests()
    run("sync", **state, **FREELY)

    read = [each["path"] for each in store.requests() if each["path"].startswith("/v1/orders/")]
    assert 0 < known.thin < 120
    assert known.thin <= len(read) <= known.thin + 1
    assert mirror(state).extent().thin == 0
    assert len(mirror(state).find(Sought(), 1000)) == 120


@pytest.mark.slow
def test_of_two_that_sync_one_does_it_and_the_other_says_so(
    state: dict[str, str], store: Shop
) -> None:
    store.add_fault("hang_after", path="/orders$", seconds=600)

    first = sync(state)
    while not store.requests():
        assert first.poll() is None
    second = run("sync", **state)
    first.kill()
    first.communicate(timeout=60)
    third = run("sync", **state)

    assert second.returncode == 1
    assert second.stderr == "Another sync of this store is running. Nothing was done.\n"
    assert third.returncode == 0


@pytest.mark.slow
def test_what_one_process_reads_another_finds(state: dict[str, str], store: Shop) -> None:
    both = [sync(state), sync(state)]
    found = run("call", "get_order", "order_id=ord_shirt", **state)
    codes = {each.wait(60) for each in both}
    for each in both:
        each.communicate()

    assert json.loads(found.stdout)["orders"][0]["order_id"] == "ord_shirt"
    assert 0 in codes
    assert len(mirror(state).find(Sought(), 1000)) == 120


def test_a_customer_is_forgotten_with_orders_and_events_and_not_synced_again(
    state: dict[str, str], store: Shop, inbox: Inbox
) -> None:
    run("sync", **state)
    bodies = [
        b'{"event":"order.paid","data":{"orderId":"ord_shirt"}}',
        b'{"event":"review.received","data":{"reviewerEmail":"Noam@example.com"}}',
        b'{"event":"order.paid","data":{"orderId":"ord_mixed"}}',
    ]
    inbox.note("r", [Delivery(body, parse(body), datetime.now(UTC)) for body in bodies])
    theirs = [each["id"] for each in store.orders() if each["customerEmail"] == "noam@example.com"]

    done = run("forget", " Noam@Example.com ", **state)
    run("sync", **state)
    again = run("forget", "noam@example.com", "--json", **state)

    assert f"Deleted: {len(theirs)} orders, 2 events." in done.stdout
    assert "What stays: the refund ledger" in done.stdout
    assert "check the spelling" not in done.stdout
    assert json.loads(again.stdout) == {"store": "the sandbox", "orders": 0, "events": 0}
    folder = Path(state["CLAWVER_STATE_DIR"]) / FOLDER
    content = b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file()).lower()
    assert b"noam@example.com" not in content
    assert "נועם".encode() not in content
    assert len(mirror(state).find(Sought(), 1000)) == 120 - len(theirs)


@pytest.mark.parametrize("email", ["noam", "noam@exa\nmple.com", "Noam <noam@example.com>"])
def test_what_is_no_address_deletes_nothing(state: dict[str, str], email: str) -> None:
    done = run("forget", email, **state)

    assert done.returncode == 2
    assert "Nothing was deleted." in done.stderr


def test_an_address_of_which_no_order_is_kept_may_be_misspelled(state: dict[str, str]) -> None:
    done = run("forget", "naom@example.com", **state)

    assert done.returncode == 0
    assert (
        "Deleted: 0 orders, 0 events.\nNo order of this address is kept here: check the spelling.\n"
        in done.stdout
    )
    assert "Nothing of this address is kept from now on." in done.stdout
