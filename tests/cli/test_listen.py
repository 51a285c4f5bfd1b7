"""What `listen` prints: a line for each delivery and each refusal, which hold nothing up."""

import json
import os
import re
import sys
from pathlib import Path

import httpx2
import pytest
from tests.hosts import wait_for
from tests.webhooks.test_listener import SECRET, Listening, deliver, listening

from clawver_orders.cli import line_writer
from clawver_orders.cli.line_writer import LineWriter
from clawver_orders.webhooks import sign

BODY = b'{"event":"order.paid","data":{"orderId":"ord_1"}}'
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def lines(started: Listening, number: int) -> list[str]:
    assert started.process.stdout is not None
    return [started.process.stdout.readline().rstrip("\n") for _ in range(number)]


def knock(started: Listening) -> None:
    """A delivery, the same again, one about no order, three that are refused, and a look at the health."""
    base = started.url.removesuffix("/webhook")
    deliver(started.url, BODY)
    deliver(started.url, BODY)
    deliver(started.url, b'{"event":"shop.\\u001b[2Jclosed"}')
    deliver(started.url, BODY + b" ", **{"x-claw-signature": sign(BODY, SECRET)})
    deliver(started.url, b"no event")
    deliver(f"{base}/elsewhere", BODY)
    httpx2.get(f"{base}/healthz", trust_env=False)


def test_each_delivery_and_each_refusal_is_a_line(state: dict[str, str]) -> None:
    with listening(state) as started:
        before = lines(started, 2)
        knock(started)
        said = lines(started, 6)

    assert before[0] == "Store: the sandbox"
    assert before[1].startswith("Health: http://127.0.0.1:")
    assert [re.sub(f"^{TIME}  ", "", line) for line in said] == [
        "accepted   order.paid  ord_1",
        "duplicate  order.paid  ord_1",
        "accepted   shop.closed",
        "refused    401: the signature does not fit",
        "refused    400: the body is no event",
        "refused    404: there is nothing here",
    ]
    assert all(re.match(TIME, line) for line in said)


def test_as_json_each_is_a_document(state: dict[str, str]) -> None:
    with listening(state, "--json") as started:
        # its first line, which says where it listens, was read as JSON too
        url = started.url.split('"')[0]
        deliver(url, BODY)
        deliver(url, b"no event")
        accepted, refused = map(json.loads, lines(started, 2))

    assert accepted.pop("at") <= refused.pop("at")
    assert accepted == {
        "result": "accepted", "status": 200, "reason": "", "event": "order.paid", "order_id": "ord_1",
    }  # fmt: skip
    assert refused == {
        "result": "refused", "status": 400, "reason": "the body is no event", "event": "", "order_id": "",
    }  # fmt: skip


def test_a_reader_that_went_away_stops_no_delivery(state: dict[str, str]) -> None:
    with listening(state) as started:
        lines(started, 2)
        assert started.process.stdout is not None
        started.process.stdout.close()
        started.process.stdout = None
        statuses = [deliver(started.url, BODY + b" " * n).status_code for n in range(3)]

    assert statuses == [200] * 3


@pytest.mark.slow
def test_a_reader_that_stalls_stops_no_delivery_and_not_the_end(state: dict[str, str]) -> None:
    with listening(state) as started, httpx2.Client(trust_env=False) as http:
        refused = [http.post(started.url, content=b"x").status_code for _ in range(3000)]
        assert deliver(started.url, BODY).status_code == 200

    assert set(refused) == {401}


class Full:
    """A stdout that is a pipe without room; `read` makes some."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        try:
            while True:
                os.write(self.writing, b"." * 1024)
        except BlockingIOError:
            os.set_blocking(self.writing, True)

    def fileno(self) -> int:
        return self.writing

    def read(self, until: str) -> list[str]:
        text = ""
        while until not in text:
            text += os.read(self.reading, 65536).decode().replace(".", "")
        return text.splitlines()

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


@pytest.mark.skipif(os.name != "posix", reason="fills a pipe of the system")
def test_lines_without_room_are_left_out_where_they_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_writer, "MOST_WAITING", 2)
    full = Full()
    monkeypatch.setattr(sys, "stdout", full)
    with LineWriter() as writer:
        writer.add("first")
        wait_for(writer._lines.empty)  # it is being written, and does not get through
        for number in range(4):
            writer.add(f"line {number}")
        said = full.read("line 1")
        wait_for(writer._lines.empty)
        writer.add("last")
        said += full.read("last")
    full.close()

    assert said == [
        "first", "line 0", "line 1", "Lines that nobody read in time, left out here: 2", "last",
    ]  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="fills a pipe of the system")
def test_the_end_does_not_wait_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "MOST_WAITING", 1)
    full = Full()
    monkeypatch.setattr(sys, "stdout", full)
    with LineWriter() as writer:
        writer.add("first")
        wait_for(writer._lines.empty)
        writer.add("second")

    full.read("second")
    writer._lines.put(None)
    writer._thread.join()
    full.close()


@pytest.mark.parametrize("stdout", [None, Path])
def test_without_a_stdout_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, stdout: object
) -> None:
    monkeypatch.setattr(sys, "stdout", stdout)
    with LineWriter() as writer:
        writer.add("into nowhere")

    assert not writer._thread.is_alive()
