"""Deliveries over real sockets, between real processes that may be killed at any moment."""

import json
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.cli.test_main import keyless, run
from tests.crowds import crowd_out, is_served_again
from tests.documents.test_references import TEXTS, blocks
from tests.tools.test_tools import rows

from clawver_orders.webhooks import sign
from clawver_orders.webhooks.inbox import INBOX_FILE, Inbox, Query, Received
from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, EVENTS, Shop

SECRET = "whsec_example_0123456789"
ALL = list(EVENTS)


@dataclass
class Listening:
    """A `listen` process."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].split("/")[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=120)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=120)
        return self.process.returncode


def listener(state: dict[str, str], *options: str, to_be_killed: bool = False) -> Listening:
    """Start one, and wait until it answers."""
    inherited = {
        name: value
        for name, value in keyless().items()
        if not (to_be_killed and name.startswith("COVERAGE_"))  # half a measurement is none
    }
    for _ in range(100):
        process = subprocess.Popen(
            [sys.executable, "-m", "clawver_orders", "listen", "--port", "0", *options],
            env=inherited | {"CLAWVER_WEBHOOK_SECRET": SECRET} | state,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://\S+", said)
        if found is not None:
            return Listening(process, found[0])
        # A port that it had before may have gone to somebody else for a moment.
        _, complaints = process.communicate()
        assert "Take another --port" in complaints, (said, complaints)
        threading.Event().wait(0.1)
    raise TimeoutError("the port is taken")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    """The inbox that these processes share, seen from here."""
    folder = tmp_path / "state" / "stores" / "sandbox"
    return Inbox(folder / INBOX_FILE, timedelta(days=30))


@contextmanager
def listening(state: dict[str, str], *options: str) -> Iterator[Listening]:
    started = listener(state, *options)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            assert started.stop() == 0


def test_the_lines_of_the_page_start_a_listener_that_checks_with_the_secret_they_make(
    live: dict[str, str],
) -> None:
    page = blocks(TEXTS["docs/webhooks.md"], "sh")
    (block,) = (each for each in page if "\nclawver-orders listen\n" in each)
    *before, command = block.strip().splitlines()
    ours = shlex.join([sys.executable, "-m", "clawver_orders"])
    lines = [
        *before,
        command.replace("clawver-orders", f"exec {ours}"),
    ]
    with subprocess.Popen(
        ["sh", "-c", "\n".join(lines) + " --port 0"], env=keyless() | live,
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        secret = process.stdout.readline().strip()
        (url,) = re.findall(r"http://\S+", process.stdout.readline())
        body = b'{"event":"order.paid"}'
        codes = [
            deliver(url, body, **{"x-claw-signature": sign(body, each)}).status_code
            for each in (secret, SECRET)
        ]
        process.terminate()

    assert codes == [200, 401]


def received(inbox: Inbox) -> tuple[Received, ...]:
    return inbox.find(Query(limit=100_000), datetime.now(UTC)).events


def wait_until_settled(shop: Shop) -> list[dict[str, Any]]:
    for _ in range(1200):
        if not shop.outbox.unsettled():
            break
        threading.Event().wait(0.05)
    return shop.outbox.deliveries()


def deliver(url: str, body: bytes, **headers: str) -> httpx2.Response:
    signed = {"x-claw-signature": sign(body, SECRET)} | headers
    return httpx2.post(url, content=body, headers=signed, trust_env=False, timeout=30)


def test_from_a_sale_to_an_agents_answer_through_three_processes(
    tmp_path: Path, shop: Shop
) -> None:
    with running(shop) as store_url:
        store = {
            "CLAW_API_KEY": API_KEY,
            "CLAWVER_API_URL": f"{store_url}/v1",
            "CLAWVER_STATE_DIR": str(tmp_path / "state"),
            "CLAWVER_WEBHOOK_SECRET": SECRET,
            "CLAWVER_REFUND_APPROVAL": "agent",
        }
        with listening(store) as started:
            registered = run(
                "call", "register_webhook", f"url={started.url}", "events=order.created,order.paid,order.refunded", **store
            )  # fmt: skip
            sale = shop.sell(total_in_cents=2499)["id"]
            shop.refund(sale, 500, "a flaw")
            states = [each["state"] for each in wait_until_settled(shop)]
            answer = json.loads(
                run("call", "list_order_events", f"order_id={sale}", **store).stdout
            )
            table = run("events", "--order", sale, **store).stdout
        after = json.loads(run("call", "list_order_events", **store).stdout)

    assert registered.returncode == 0, registered.stderr
    assert states == ["delivered"] * 3
    assert sorted(row["event"] for row in rows(answer, "events")) == [
        "order.created",
        "order.paid",
        "order.refunded",
    ]
    assert {row["order_id"] for row in rows(answer, "events")} == {sale}
    assert (answer["complete"], answer["receiving"]["state"]) == (True, "listening")
    assert table.count(sale) == 3
    assert (after["complete"], after["receiving"]["state"]) == (False, "not_listening")
    assert len(after["events"]) == 3


@pytest.mark.parametrize(
    ("count", "kills", "most_waiting"),
    [
        (40, 1, 20),
        pytest.param(150, 3, 40, marks=pytest.mark.slow),
        pytest.param(500, 40, 10, marks=pytest.mark.long),
    ],
)
def test_nothing_that_was_taken_is_lost_when_the_listener_is_killed(
    state: dict[str, str], shop: Shop, inbox: Inbox, count: int, kills: int, most_waiting: int
) -> None:
    """SIGKILL at random points while there is always something to deliver."""
    dice = random.Random(5)  # noqa: S311  # the same moments in every run
    current = [listener(state, to_be_killed=True)]
    port = current[0].port
    shop.add_webhook(current[0].url, ALL, SECRET)

    def keep_killing() -> None:
        for _ in range(kills):
            threading.Event().wait(dice.random() * 0.25)
            current[0].kill()
            current[0] = listener(state, "--port", str(port), to_be_killed=True)

    with running(shop, first_wait_seconds=1.0):
        killer = threading.Thread(target=keep_killing)
        killer.start()
        for number in range(count):
            shop.report("order.paid" if number % 2 else "order.shipped", "ord_digital")
            while killer.is_alive() and shop.outbox.unsettled() > most_waiting:
                threading.Event().wait(0.01)
        killer.join()
        wait_until_settled(shop)
        shop.outbox.resend()  # on a busy machine five tries may all meet a listener that is down
        deliveries = wait_until_settled(shop)
    current[0].stop()
    there = Counter(each.body for each in received(inbox))
    taken = {
        each["body"].encode()
        for each in deliveries
        if any(attempt["status"] == 200 for attempt in each["attempts"])
    }
    interrupted = sum(len(each["attempts"]) > 1 for each in deliveries)

    assert interrupted >= kills // 3  # it was killed when it hurt
    assert taken <= set(there)
    assert set(there.values()) == {1}
    assert set(there) == {each["body"].encode() for each in deliveries}
    assert len(there) == count


@pytest.mark.slow
def test_two_listeners_share_one_inbox(state: dict[str, str], shop: Shop, inbox: Inbox) -> None:
    with listening(state) as one, listening(state) as other, running(shop, first_wait_seconds=0.2):
        for each in (one, other):
            shop.add_webhook(each.url, ALL, SECRET)
        for _ in range(150):
            shop.report("order.paid", "ord_digital")
        deliveries = wait_until_settled(shop)

    assert [each["state"] for each in deliveries] == ["delivered"] * 300
    assert len({each.body for each in received(inbox)}) == len(received(inbox)) == 150


def test_faults_on_the_way_lose_nothing_and_double_nothing(
    state: dict[str, str], shop: Shop, inbox: Inbox
) -> None:
    with listening(state) as started, running(shop, first_wait_seconds=0.05):
        shop.add_webhook(started.url, ALL, SECRET)
        for fault in (
            "drop",
            "lose_answer",
            "delay",
            "duplicate",
            "reorder",
            "wrong_signature",
            "garbage",
        ):
            shop.outbox.add_fault(fault, seconds=0.1)
        for _ in range(30):
            shop.report("order.paid", "ord_digital")
        deliveries = wait_until_settled(shop)
        statuses = {a["fault"]: a["status"] for d in deliveries for a in d["attempts"]}

    assert len(received(inbox)) == 30
    assert (statuses["wrong_signature"], statuses["garbage"], statuses["duplicate"]) == (
        401,
        400,
        200,
    )


def hostile(dice: random.Random, genuine: bytes) -> bytes:
    """One request that must change nothing, as bytes on the line."""
    body = dice.choice(
        [
            dice.randbytes(dice.randrange(200)), b"", b"{}", b'{"event":', genuine, genuine[:-1],
            b"[" * dice.randrange(5000), json.dumps({"event": "\u202eorder.paid", "data": {"orderId": "../x"}}).encode(),
        ]
    )  # fmt: skip
    right = sign(body, SECRET)
    other = sign(body, "whsec_example_of_another")
    signature = dice.choice(
        [other, other.upper(), right[:-1], right[7:], f"{right},{right}", f"sha1={right[7:]}", "sha256=", "", f"{right}0",
         "x" * dice.randrange(9000), f"sha256={'0' * 64}", sign(body + b" ", SECRET)]
    )  # fmt: skip
    method = dice.choice(
        ["POST"] * 8 + ["GET", "PUT", "OPTIONS", "TRACE", "CONNECT", "PoST", "\x00", "POST" * 30]
    )
    path = dice.choice(["/webhook"] * 8 + ["/", "/webhook/", "//webhook", "/WEBHOOK", "/webhook%00", "http://x/webhook", "*", "/" + "a" * 9000])  # fmt: skip
    length = dice.choice([str(len(body))] * 6 + ["0", "-1", "99999999999999999999", "1e3", "ten", str(len(body) + 40), f"{len(body)}\r\nContent-Length: 1"])  # fmt: skip
    lines = [
        f"{method} {path} HTTP/{dice.choice(['1.1'] * 8 + ['1.0', '2.0', '9', 'x'])}",
        f"Host: {dice.choice(['x', '127.0.0.1', '', 'evil.example', 'a' * 300])}",
        f"{dice.choice(['X-Claw-Signature', 'x-claw-signature', 'X_Claw_Signature'])}: {signature}",
        dice.choice([f"Content-Length: {length}"] * 6 + ["Transfer-Encoding: chunked", "Expect: 100-continue", "Content-Encoding: gzip", "Upgrade: websocket\r\nConnection: upgrade", "Transfer-Encoding: chunked\r\nContent-Length: 3"]),
        f"X-{dice.randrange(10)}: {dice.choice(['a', 'b' * 3000, chr(0), 'é', ''])}",
    ]  # fmt: skip
    return (
        dice.choice(["\r\n"] * 9 + ["\n"]).join([*lines, "", ""]).encode("latin-1", "replace")
        + body
    )


def knock(port: int, seed: int) -> str:
    """Send one hostile request and read what comes; gives the status, or how it ended."""
    dice = random.Random(seed)  # noqa: S311  # the same requests in every run
    genuine = b'{"event":"order.paid","data":{"orderId":"ord_hostile"}}'
    said = hostile(dice, genuine)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            if dice.random() < 0.05:
                line.sendall(said[: len(said) // 2])
                return "left half way"
            line.sendall(said)
            if dice.random() < 0.5:
                line.shutdown(socket.SHUT_WR)
            return line.recv(4096)[9:12].decode() or "closed"
    except OSError as error:
        return type(error).__name__


@pytest.mark.parametrize(
    "count",
    [
        60,
        pytest.param(1_000, marks=pytest.mark.slow),
        pytest.param(10_000, marks=pytest.mark.long),
    ],
)
def test_hostile_requests_change_nothing_and_leave_it_serving(
    state: dict[str, str], inbox: Inbox, count: int
) -> None:
    with listening(state) as started:
        before = b'{"event":"order.paid","data":{"orderId":"ord_before"}}'
        after = b'{"event":"order.paid","data":{"orderId":"ord_after"}}'
        assert deliver(started.url, before).status_code == 200
        silent = [socket.create_connection(("127.0.0.1", started.port)) for _ in range(40)]
        slow = [socket.create_connection(("127.0.0.1", started.port)) for _ in range(40)]
        with ThreadPoolExecutor(100) as pool:
            outcomes: Counter[str] = Counter()
            knocks = pool.map(lambda seed: knock(started.port, seed), range(count))
            for number, outcome in enumerate(knocks):
                outcomes[outcome] += 1
                if number % (count // 40) == 0:  # a letter at a time, for as long as they are let
                    for line in slow:
                        with suppress(OSError):
                            line.sendall(
                                b"POST /webhook HTTP/1.1\r\nX-Slow: "[number // (count // 40) :][:1]
                            )
        taken = deliver(started.url, after)
        for line in (*silent, *slow):
            line.settimeout(20)
            with suppress(ConnectionError), line:
                assert line.recv(100)[9:12] in {b"", b"400"}
        started.process.send_signal(signal.SIGTERM)
        out, errors = started.process.communicate(timeout=120)

    assert taken.status_code == 200
    assert {each.body for each in received(inbox)} == {before, after}
    assert {"400", "401", "404", "405"} <= set(outcomes)
    assert not {"200", "500", "timed out"} & set(outcomes), outcomes
    assert SECRET not in out + errors
    assert "hostile" not in out + errors
    assert "Traceback" not in errors, errors[:2000]
    refusals = inbox.receiver_status(datetime.now(UTC)).refusals
    assert sum(each.count for each in refusals) > count // 20


def test_more_connections_than_it_holds_are_turned_away_and_it_recovers(
    state: dict[str, str],
) -> None:
    body = b'{"event":"order.paid"}'
    with listening(state) as started:
        assert crowd_out(started.port).endswith(b"503")
        assert is_served_again(lambda: deliver(started.url, body))


def test_a_connection_is_kept_for_the_next_delivery(state: dict[str, str]) -> None:
    with listening(state) as started, httpx2.Client(trust_env=False) as client:
        for number in range(3):
            body = b'{"event":"order.paid","n":%d}' % number
            headers = {"x-claw-signature": sign(body, SECRET)}
            assert client.post(started.url, content=body, headers=headers).status_code == 200
        pool: Any = client._transport
        assert len(pool._pool.connections) == 1


def test_a_listener_that_is_told_to_stop_says_so_to_the_inbox(
    state: dict[str, str], inbox: Inbox
) -> None:
    for how in (signal.SIGINT, signal.SIGTERM):
        with listening(state) as started:
            assert inbox.receiver_status(datetime.now(UTC)).is_listening
            started.process.send_signal(how)
            _, errors = started.process.communicate(timeout=120)

        assert (started.process.returncode, errors) == (0, "")
        assert not inbox.receiver_status(datetime.now(UTC)).is_listening


def test_a_listener_takes_another_path_and_address(state: dict[str, str]) -> None:
    with listening(state, "--path", "/hooks/orders", "--host", "localhost") as started:
        body = b'{"event":"order.paid"}'
        assert started.url.endswith("/hooks/orders")
        assert deliver(started.url, body).status_code == 200
        assert deliver(started.url.replace("/hooks/orders", "/webhook"), body).status_code == 404


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_a_listener_speaks_ipv6(state: dict[str, str]) -> None:
    with listening(state, "--host", "::1") as started:
        assert started.url.startswith("http://[::1]:")
        assert deliver(started.url, b'{"event":"order.paid"}').status_code == 200


def test_without_a_secret_it_refuses_to_start(state: dict[str, str]) -> None:
    done = run("listen", **state)

    assert done.returncode == 1
    assert done.stderr.startswith("Without CLAWVER_WEBHOOK_SECRET no delivery can be verified")


@pytest.mark.parametrize("path", ["webhook", "/healthz", "/readyz", "/a b", "/a?b", "", "/\n"])
def test_a_path_that_cannot_be_is_misuse(state: dict[str, str], path: str) -> None:
    done = run("listen", "--path", path, **state)

    assert (done.returncode, done.stdout) == (2, "")
    assert "--path must begin with /" in done.stderr


def test_a_port_that_is_taken_is_a_sentence(state: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("listen", "--port", port, **state, CLAWVER_WEBHOOK_SECRET=SECRET)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Port {port} is in use, so nothing was started.")
    assert "Traceback" not in done.stderr


def test_an_inbox_that_cannot_be_opened_is_a_sentence(
    state: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "state" / "stores" / "sandbox" / "inbox.sqlite3"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"no database" * 500)
    path.chmod(0o600)
    done = run("listen", "--port", "0", **state, CLAWVER_WEBHOOK_SECRET=SECRET)

    assert done.returncode == 1
    assert "The file of the inbox of order events is damaged" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_deliveries_wait_while_another_program_holds_the_inbox(
    state: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    import sqlite3
    from contextlib import closing

    body = b'{"event":"order.paid"}'
    path = tmp_path / "state" / "stores" / "sandbox" / "inbox.sqlite3"
    with listening(state) as started:
        with closing(sqlite3.connect(path, isolation_level=None)) as held:
            held.execute("BEGIN EXCLUSIVE")
            refused = deliver(started.url, body)
        taken = deliver(started.url, body)

    assert [refused.status_code, taken.status_code] == [503, 200]
    assert [each.body for each in received(inbox)] == [body]


def test_neither_the_secret_nor_a_delivery_is_logged(state: dict[str, str]) -> None:
    body = b'{"event":"order.paid","data":{"orderId":"ord_1","customer":"a private name"}}'
    with listening(state | {"CLAWVER_LOG_LEVEL": "debug"}) as started:
        deliver(started.url, body)
        deliver(started.url, body, **{"x-claw-signature": sign(body, "whsec_example_of_another")})
        started.process.send_signal(signal.SIGTERM)
        out, errors = started.process.communicate(timeout=120)

    for text in (SECRET, "whsec_", "private", sign(body, SECRET)[7:]):
        assert text not in out + errors
    assert out.count("ord_1") == 1  # in the line of the one that was taken
    assert "ord_1" not in errors
