"""What happens in a shop is signed and sent, until somebody says yes."""

import hashlib
import hmac
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from clawver_sandbox.deliveries import DeliveryFault
from clawver_sandbox.serving import running
from clawver_sandbox.shop import EVENTS, Shop, ShopError

from .conftest import Clock

SECRET = "whsec_example_0123456789"


class Hearer:
    """Somebody who registered: what was heard, and what will be answered."""

    def __init__(self) -> None:
        self.heard: list[tuple[str | None, bytes]] = []
        self.answers: list[int] = []
        self.more = threading.Condition()
        self.url = ""

    def hear(self, signature: str | None, body: bytes) -> int:
        with self.more:
            self.heard.append((signature, body))
            self.more.notify_all()
            return self.answers.pop(0) if self.answers else 200

    def wait_for(self, number: int) -> list[dict[str, Any]]:
        """What the first so many bodies say."""
        with self.more:
            assert self.more.wait_for(lambda: len(self.heard) >= number, timeout=20), self.heard
        return [json.loads(body) for _, body in self.heard]

    def names(self, number: int) -> list[str]:
        return [str(body["event"]) for body in self.wait_for(number)]


@pytest.fixture
def hearer() -> Iterator[Hearer]:
    listening = Hearer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(listening.hear(self.headers["x-claw-signature"], body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield listening
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def delivering(shop: Shop) -> Iterator[None]:
    with running(shop, first_wait_seconds=10):
        yield


def settled(shop: Shop) -> list[dict[str, Any]]:
    """The deliveries once none of them is under way."""
    for _ in range(400):
        if not shop.outbox.unsettled():
            return shop.outbox.deliveries()
        threading.Event().wait(0.05)
    raise AssertionError(shop.outbox.deliveries())


def tried(shop: Shop, times: int) -> list[dict[str, Any]]:
    """The tries of the only delivery, once there are so many."""
    for _ in range(400):
        (delivery,) = shop.outbox.deliveries()
        if len(delivery["attempts"]) >= times:
            return list(delivery["attempts"])
        threading.Event().wait(0.05)
    raise AssertionError(shop.outbox.deliveries())


def test_a_sale_and_its_steps_are_reported(shop: Shop, hearer: Hearer) -> None:
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    printed = shop.sell(digital=False, status="pending", payment_status="pending")["id"]
    for _ in range(4):
        shop.advance(printed)
    shop.refund(printed, 100, "a flaw")
    other = shop.sell()["id"]
    shop.cancel(other)
    with delivering(shop):
        said = hearer.wait_for(8)
        settled(shop)

    said.sort(key=lambda body: str(body["timestamp"]))
    assert [(body["event"], body["data"]["orderId"]) for body in said] == [
        ("order.created", printed), ("order.paid", printed), ("order.shipped", printed),
        ("order.fulfilled", printed), ("order.refunded", printed), ("order.created", other),
        ("order.paid", other), ("order.cancelled", other),
    ]  # fmt: skip
    assert set(said[0]) == {"event", "timestamp", "data"}
    assert said[0]["data"]["items"] == shop.order(printed)["items"]
    assert len({body["timestamp"] for body in said}) == 8


def test_a_delivery_is_signed_with_the_webhooks_secret(shop: Shop, hearer: Hearer) -> None:
    shop.add_webhook(hearer.url, ["order.created"], SECRET)
    shop.sell()
    with delivering(shop):
        hearer.wait_for(1)

    ((signature, body),) = hearer.heard
    assert signature == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def test_only_what_was_asked_for_is_sent_and_to_each_who_asked(shop: Shop, hearer: Hearer) -> None:
    shop.add_webhook(hearer.url, ["order.refunded"], SECRET)
    shop.add_webhook(hearer.url, ["order.refunded", "order.paid"], SECRET)
    shop.refund("ord_digital", 100, "a flaw")
    with delivering(shop):
        settled(shop)

    assert hearer.names(2) == ["order.refunded"] * 2


def test_what_happened_before_anybody_registered_is_not_sent(shop: Shop, hearer: Hearer) -> None:
    shop.refund("ord_digital", 100, "a flaw")
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)

    assert shop.outbox.deliveries() == []


def test_a_delivery_is_tried_five_times_with_a_wait_that_doubles(
    shop: Shop, hearer: Hearer, clock: Clock
) -> None:
    hearer.answers = [500, 404, 302, 503, 500, 500]
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    with delivering(shop):
        for tries, wait in enumerate((10, 20, 40, 80), start=1):
            tried(shop, tries)
            clock.pass_by(seconds=wait - 1)
            threading.Event().wait(0.15)
            assert len(hearer.heard) == tries
            clock.pass_by(seconds=1)
        (delivery,) = settled(shop)

    assert delivery["state"] == "given_up"
    assert [each["status"] for each in delivery["attempts"]] == [500, 404, 302, 503, 500]
    assert len({body for _, body in hearer.heard}) == 1


def test_what_was_given_up_can_be_sent_again(shop: Shop, hearer: Hearer) -> None:
    hearer.answers = [500] * 5
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    with running(shop, first_wait_seconds=0) as base:
        assert settled(shop)[0]["state"] == "given_up"
        httpx2.post(f"{base}/_sandbox/deliveries/resend")
        hearer.wait_for(6)
        (delivery,) = settled(shop)

    assert (delivery["state"], delivery["attempts"][-1]["status"]) == ("delivered", 200)


def test_a_listener_that_is_not_there_is_tried_again(
    shop: Shop, hearer: Hearer, clock: Clock
) -> None:
    shop.add_webhook("http://127.0.0.1:9/hook", list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    with delivering(shop):
        (attempt,) = tried(shop, 1)

    assert (attempt["status"], attempt["problem"]) == (None, "ConnectError")
    assert shop.outbox.deliveries()[0]["state"] == "waiting"


def test_nothing_is_ever_sent_to_another_machine(shop: Shop) -> None:
    shop.add_webhook("https://hooks.example/x", list(EVENTS), SECRET)
    shop.add_webhook("http://192.0.2.1/x", list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    with running(shop, first_wait_seconds=0):
        deliveries = settled(shop)

    assert {each["problem"] for d in deliveries for each in d["attempts"]} == {
        "not on this machine"
    }


def test_what_was_not_delivered_is_sent_after_a_restart(
    shop: Shop, hearer: Hearer, clock: Clock, tmp_path: Path
) -> None:
    hearer.answers = [503]
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    with delivering(shop):
        tried(shop, 1)
    clock.pass_by(seconds=10)
    again = Shop.open(tmp_path / "shop.sqlite3", now=clock)
    with delivering(again):
        (delivery,) = settled(again)

    assert [each["status"] for each in delivery["attempts"]] == [503, 200]


def test_a_delivery_that_was_under_way_when_the_process_died_is_sent_again(
    shop: Shop, hearer: Hearer, clock: Clock
) -> None:
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    assert len(shop.outbox.take(8, 10)) == 1  # and then nothing more is heard of whoever took it
    with delivering(shop):
        threading.Event().wait(0.15)
        assert hearer.heard == []
        clock.pass_by(seconds=10)
        (delivery,) = settled(shop)

    assert delivery["state"] == "delivered"


def test_a_delivery_that_is_cut_short_by_the_end_is_noted(shop: Shop, hearer: Hearer) -> None:
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.outbox.add_fault("delay", seconds=600)
    shop.report("order.paid", "ord_digital")
    with delivering(shop):
        while shop.outbox.faults():
            threading.Event().wait(0.02)

    (delivery,) = shop.outbox.deliveries()
    assert (delivery["state"], delivery["attempts"][0]["problem"]) == ("waiting", "interrupted")


def test_what_is_left_is_not_sent_to_a_webhook_that_was_removed(shop: Shop, hearer: Hearer) -> None:
    webhook = shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    shop.remove_webhook(webhook["id"])

    assert shop.outbox.deliveries() == []


def test_a_file_that_is_locked_is_looked_at_later(
    shop: Shop, hearer: Hearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.report("order.paid", "ord_digital")
    take, refusals = shop.outbox.take, [sqlite3.OperationalError("locked")] * 2

    def sometimes(most: int, lease_seconds: float) -> Any:
        if refusals:
            raise refusals.pop()
        return take(most, lease_seconds)

    monkeypatch.setattr(shop.outbox, "take", sometimes)
    with delivering(shop):
        settled(shop)

    assert hearer.names(1) == ["order.paid"]


@pytest.mark.parametrize(
    ("fault", "heard", "noted"),
    [
        ("drop", 1, [(None, "dropped", "drop"), (200, None, None)]),
        ("lose_answer", 2, [(200, "answer lost", "lose_answer"), (200, None, None)]),
        ("duplicate", 2, [(200, None, "duplicate")]),
        ("delay", 1, [(200, None, "delay")]),
    ],
)
def test_faults_of_the_line(
    shop: Shop, hearer: Hearer, fault: str, heard: int, noted: list[tuple[object, ...]]
) -> None:
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.outbox.add_fault(fault, seconds=0.1)
    shop.report("order.paid", "ord_digital")
    with running(shop, first_wait_seconds=0):
        (delivery,) = settled(shop)

    assert hearer.names(heard) == ["order.paid"] * heard
    assert [(e["status"], e["problem"], e["fault"]) for e in delivery["attempts"]] == noted


def test_a_reordered_delivery_comes_after_the_next(shop: Shop, hearer: Hearer) -> None:
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.outbox.add_fault("reorder", event="order.created")
    shop.sell()
    with delivering(shop):
        settled(shop)

    assert hearer.names(2) == ["order.paid", "order.created"]


@pytest.mark.parametrize("fault", ["wrong_signature", "garbage"])
def test_faults_of_the_sender_are_followed_by_the_real_delivery(
    shop: Shop, hearer: Hearer, fault: str
) -> None:
    hearer.answers = [401]
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    shop.outbox.add_fault(fault)
    shop.report("order.paid", "ord_digital")
    with running(shop, first_wait_seconds=0):
        settled(shop)
    (first_signature, first), (second_signature, second) = hearer.heard

    genuine = [
        signature == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        for signature, body in hearer.heard
    ]
    assert genuine == [fault == "garbage", True]
    assert (first == second) is (fault == "wrong_signature")
    assert first_signature != second_signature


def test_faults_fit_an_event_and_are_used_up(shop: Shop) -> None:
    shop.add_webhook("http://127.0.0.1:9/hook", list(EVENTS), SECRET)
    shop.outbox.add_fault("drop", event="order.paid", times=2)
    shop.outbox.add_fault("garbage", event="order.refunded", times=-1)
    shop.report("order.created", "ord_digital")
    for _ in range(3):
        shop.report("order.paid", "ord_digital")
    shop.report("order.refunded", "ord_digital")
    taken = shop.outbox.take(8, 10)

    assert [due.fault and due.fault.name for due in taken] == [
        None,
        "drop",
        "drop",
        None,
        "garbage",
    ]
    assert [fault["name"] for fault in shop.outbox.faults()] == ["garbage"]


@pytest.mark.parametrize(
    "wrong", [{"name": "melt"}, {"name": "drop", "times": "1"}, {"name": "delay", "seconds": True}, {"name": "drop", "event": 7}],
)  # fmt: skip
def test_a_fault_that_makes_no_sense_is_refused(
    tester: httpx2.Client, wrong: dict[str, Any]
) -> None:
    assert tester.post("/delivery-faults", json=wrong).status_code == 400
    with pytest.raises(ValueError, match=r"fault|number|text"):
        DeliveryFault(**wrong)


def test_deliveries_and_their_faults_are_seen_and_arranged_over_http(
    shop: Shop, tester: httpx2.Client, owner: httpx2.Client, hearer: Hearer
) -> None:
    registered = {"url": hearer.url, "events": ["order.paid", "order.cancelled"], "secret": SECRET}
    owner.post("/webhooks", json=registered)
    tester.post("/delivery-faults", json={"name": "delay", "seconds": 0.01})
    arranged = tester.get("/delivery-faults").json()["data"]["faults"]
    cleared = tester.delete("/delivery-faults").json()["data"]["faults"]
    sale = tester.post("/orders", json={}).json()["data"]["order"]["id"]
    tester.post(f"/orders/{sale}/cancel")
    tester.post("/events", json={"event": "order.paid", "order_id": "ord_digital"})
    settled(shop)
    listed = tester.get("/deliveries")

    assert [fault["name"] for fault in arranged] == ["delay"]
    assert cleared == []
    assert sorted(hearer.names(3)) == ["order.cancelled", "order.paid", "order.paid"]
    assert [d["state"] for d in listed.json()["data"]["deliveries"]] == ["delivered"] * 3
    assert SECRET not in listed.text


def test_an_order_on_its_way_cannot_be_cancelled(shop: Shop) -> None:
    with pytest.raises(ShopError, match="no longer"):
        shop.cancel("ord_digital")


SELL = """
import pathlib, sys
from clawver_sandbox.shop import Shop
shop = Shop.open(pathlib.Path(sys.argv[1]))
for _ in range(20):
    shop.report("order.paid", "ord_digital")
"""


def test_two_processes_report_and_nothing_is_said_twice(tmp_path: Path, hearer: Hearer) -> None:
    path = tmp_path / "both.sqlite3"
    shop = Shop.open(path)
    shop.add_webhook(hearer.url, list(EVENTS), SECRET)
    with running(shop), running(Shop.open(path)):
        sellers = [subprocess.Popen([sys.executable, "-c", SELL, str(path)]) for _ in range(2)]
        assert [process.wait(timeout=60) for process in sellers] == [0, 0]
        hearer.wait_for(40)
        settled(shop)

    assert len(hearer.heard) == len(set(hearer.heard)) == 40
