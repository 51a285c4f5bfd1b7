"""The inbox and signatures in a terminal."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.test_main import keyless, run, run_process

from clawver_orders.webhooks import BODY_LIMIT_IN_BYTES, parse, sign
from clawver_orders.webhooks.inbox import Delivery, Inbox, RefusedDeliveries

SECRET = "whsec_example_0123456789"
BODY = b'{"event":"order.paid","data":{"orderId":"ord_1"}}'


def arrive(inbox: Inbox, number: int, name: str = "order.paid", days_ago: float = 0) -> None:
    body = json.dumps(
        {
            "event": name,
            "timestamp": "2026-03-14T15:09:26.535Z",
            "data": {"orderId": f"ord_{number}"},
        }
    ).encode()
    at = datetime.now(UTC) - timedelta(days=days_ago)
    inbox.note("r", [Delivery(body, parse(body), at)])


def test_the_inbox_is_a_table(state: dict[str, str], inbox: Inbox) -> None:
    empty = run("events", **state)
    arrive(inbox, 1)
    arrive(inbox, 22, "order.shipped")
    lines = run_process("events", **state).stdout.splitlines()

    assert empty.stdout.splitlines() == [
        "Store: the sandbox",
        "No events.",
        "Nothing has ever listened here. Start it with: clawver-orders listen",
    ]
    assert lines[0] == "Store: the sandbox"
    assert lines[1].split("  ")[0] == "event id"
    assert [line.split()[:5] for line in lines[2:4]] == [
        ["evt_2", "order.shipped", "ord_22", "2026-03-14", "15:09:26"],
        ["evt_1", "order.paid", "ord_1", "2026-03-14", "15:09:26"],
    ]
    assert lines[4].startswith("Somebody listens; last start ")
    assert len({line.index("2026") for line in lines[2:4]}) == 1


def test_the_table_can_be_narrowed(state: dict[str, str], inbox: Inbox) -> None:
    arrive(inbox, 1, days_ago=3)
    arrive(inbox, 2, "order.shipped")
    arrive(inbox, 3)

    def ids(*options: str) -> list[str]:
        done = run("events", "--json", *options, **state)
        assert done.returncode == 0, done.stderr
        return [each["event_id"] for each in json.loads(done.stdout)]

    assert ids() == ["evt_3", "evt_2", "evt_1"]
    assert ids("--since", "evt_1") == ["evt_3", "evt_2"]
    assert ids("--since", (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")) == [
        "evt_3",
        "evt_2",
    ]
    assert ids("--order", "ord_2") == ["evt_2"]
    assert ids("--event", "order.paid", "--limit", "1") == ["evt_3"]
    assert "There are older ones: raise --limit." in run("events", "--limit", "1", **state).stdout


def test_as_json_it_carries_the_verified_body(state: dict[str, str], inbox: Inbox) -> None:
    arrive(inbox, 1)
    body = b'{"event":"a.\\u202e\\u001b[2Jb"}'
    inbox.note("r", [Delivery(body, parse(body), datetime.now(UTC))])
    odd, paid = json.loads(run("events", "--json", **state).stdout)
    table = run("events", **state).stdout

    masked = json.loads(run("events", "--json", CLAWVER_PII="masked", **state).stdout)

    assert [each.get("body") for each in masked] == [None, None]
    assert set(paid) == {"event_id", "event", "order_id", "happened_at", "received_at", "body"}
    assert paid["body"]["data"] == {"orderId": "ord_1"}
    assert (odd["event"], odd["order_id"], odd["happened_at"]) == ("a.b", None, None)
    assert "\x1b" not in table


def test_what_was_refused_and_who_stopped_is_said(state: dict[str, str], inbox: Inbox) -> None:
    now = datetime.now(UTC)
    inbox.start("r", now)
    inbox.heartbeat(
        "r", now, [RefusedDeliveries("signature", 3, now), RefusedDeliveries("path", 1, now)]
    )
    inbox.stop("r", now)

    said = run("events", **state).stdout
    assert "Nothing listens now; last start " in said
    assert "last delivery none yet. Refused, by the cause: path 1, signature 3." in said


def test_a_since_that_is_none_is_misuse(state: dict[str, str]) -> None:
    done = run("events", "--since", "tomorrow", **state)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--since takes a day, a UTC time, or an event id")


def test_a_damaged_inbox_is_a_sentence(state: dict[str, str], inbox: Inbox, tmp_path: Path) -> None:
    arrive(inbox, 1)
    (tmp_path / "state" / "stores" / "sandbox" / "inbox.sqlite3").write_bytes(b"no database" * 500)
    done = run("events", **state)

    assert done.returncode == 1
    assert done.stderr.startswith("The file of the inbox of order events is damaged")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_arrives_can_be_followed(state: dict[str, str], inbox: Inbox, as_json: bool) -> None:
    for number in range(1, 4):
        arrive(inbox, number)
    options = ["--follow", "--limit", "2", *(["--json"] if as_json else [])]
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "events", *options],
        env=keyless() | state, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as following:  # fmt: skip
        assert following.stdout is not None
        first = following.stdout.readline() if not as_json else ""
        lines = [following.stdout.readline() for _ in range(2)]
        arrive(inbox, 4)
        arrive(inbox, 5)
        lines += [following.stdout.readline() for _ in range(2)]
        following.send_signal(signal.SIGINT)
        _, errors = following.communicate(timeout=120)

    ids = [json.loads(line)["event_id"] if as_json else line.split()[0] for line in lines]
    assert first == ("" if as_json else "Store: the sandbox\n")
    assert ids == ["evt_2", "evt_3", "evt_4", "evt_5"]
    assert "Traceback" not in errors


def check(signature: str, body: bytes, secret: str = SECRET) -> subprocess.CompletedProcess[str]:
    words = ("webhook", "verify", "--signature", signature)
    return run(*words, stdin=body, CLAWVER_WEBHOOK_SECRET=secret)


CASES: dict[str, tuple[str, bytes, int, str]] = {
    "genuine": (sign(BODY, SECRET), BODY, 0, "Genuine: order.paid about ord_1.\n"),
    "without an order": (sign(b'{"event":"x"}', SECRET), b'{"event":"x"}', 0, "Genuine: x.\n"),
    "a line break too many": (sign(BODY, SECRET), BODY + b"\n", 1, "Not genuine: the signature"),
    "another secret": (sign(BODY, "whsec_example_of_another"), BODY, 1, "Not genuine"),
    "no signature": ("sha256=", BODY, 1, "Not genuine"),
    "no event": (sign(b"[]", SECRET), b"[]", 1, "Genuine, but malformed"),
    "too large": ("x", b"x" * (BODY_LIMIT_IN_BYTES + 1), 1, "Not taken: the body is larger"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_delivery_can_be_checked_by_hand(case: str) -> None:
    signature, body, code, says = CASES[case]
    done = check(signature, body)

    assert done.returncode == code
    assert (done.stdout if code == 0 else done.stderr).startswith(says)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_while_a_secret_is_replaced_both_are_tried() -> None:
    words = ("webhook", "verify", "--signature", sign(BODY, SECRET))
    both = f"whsec_example_9876543210 {SECRET}"
    done = run_process(*words, stdin=BODY.decode(), CLAWVER_WEBHOOK_SECRET=both)

    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_secret_nothing_can_be_checked() -> None:
    done = check("x", BODY, "")

    assert done.returncode == 1
    assert "Set CLAWVER_WEBHOOK_SECRET" in done.stderr
