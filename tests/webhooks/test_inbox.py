"""What arrived is remembered once, and for as long as the merchant wants."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clawver_orders.errors import SetupError
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import SILENT_AFTER, Delivery, Inbox, Query

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MONTH = timedelta(days=30)


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "stores" / "inbox.sqlite3", MONTH)


def delivery(number: int = 1, name: str = "order.paid", at: datetime = NOON) -> Delivery:
    body = f'{{"event":"{name}","timestamp":"2026-11-24T11:00:00Z","data":{{"orderId":"ord_{number}"}}}}'
    return Delivery(body.encode(), parse(body.encode()), at)


def numbers(inbox: Inbox, now: datetime = NOON, **wanted: object) -> list[int]:
    return [each.number for each in inbox.find(Query(**wanted), now).events]  # type: ignore[arg-type]


def test_what_is_noted_is_there_byte_for_byte(inbox: Inbox) -> None:
    given = delivery()
    assert inbox.note("r", [given]) == [True]
    (found,) = inbox.find(Query(), NOON).events

    assert found.body == given.body
    assert (found.number, found.name, found.order_id) == (1, "order.paid", "ord_1")
    assert (found.at, found.received_at) == (NOON - timedelta(hours=1), NOON)


def test_a_repeat_is_stored_once_even_within_one_transaction(inbox: Inbox) -> None:
    assert inbox.note("r", [delivery(), delivery(), delivery(2)]) == [True, False, True]
    assert inbox.note("other", [delivery(at=NOON + MONTH)]) == [False]
    assert numbers(inbox) == [2, 1]


def test_a_repeat_is_known_even_when_its_event_is_forgotten(inbox: Inbox) -> None:
    inbox.note("r", [delivery()])
    later = NOON + MONTH + timedelta(seconds=1)
    inbox.heartbeat("r", later, 0, None)

    assert inbox.note("r", [delivery(at=later)]) == [False]
    assert numbers(inbox, later) == []


def test_events_are_found_by_all_that_can_be_asked(inbox: Inbox) -> None:
    for number, name in enumerate(("order.paid", "order.shipped", "order.paid", "x.y"), start=1):
        inbox.note("r", [delivery(number % 3, name, NOON + timedelta(minutes=number))])

    assert numbers(inbox) == [4, 3, 2, 1]
    assert numbers(inbox, name="order.paid") == [3, 1]
    assert numbers(inbox, order_id="ord_1") == [4, 1]
    assert numbers(inbox, order_id="ord_1", name="x.y") == [4]
    assert numbers(inbox, after=2) == [4, 3]
    assert numbers(inbox, before=3) == [2, 1]
    assert numbers(inbox, after=1, before=4) == [3, 2]
    assert numbers(inbox, since=NOON + timedelta(minutes=3)) == [4, 3]
    assert numbers(inbox, since=NOON - 10 * MONTH) == [4, 3, 2, 1]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
def test_pages_join_up_to_the_whole(inbox: Inbox, limit: int) -> None:
    inbox.note("r", [delivery(number) for number in range(7)])
    seen: list[int] = []
    before = None
    while True:
        page = inbox.find(Query(limit=limit, before=before), NOON)
        seen += [each.number for each in page.events]
        if not page.has_more:
            break
        before = page.events[-1].number

    assert seen == [7, 6, 5, 4, 3, 2, 1]


def test_what_is_too_old_goes_and_leaves_nothing_on_the_disk(inbox: Inbox, tmp_path: Path) -> None:
    inbox.note("r", [delivery(1), delivery(2, at=NOON + timedelta(days=1))])
    path = tmp_path / "stores" / "inbox.sqlite3"
    assert b"ord_1" in path.read_bytes()
    now = NOON + MONTH + timedelta(seconds=1)

    assert numbers(inbox, now) == [2]  # not to be seen, even before it is deleted
    assert b"ord_1" in path.read_bytes()
    inbox.heartbeat("r", now, 0, None)

    assert b"ord_1" not in path.read_bytes()
    assert numbers(inbox, NOON) == [2]


def test_looking_makes_no_file(inbox: Inbox, tmp_path: Path) -> None:
    assert numbers(inbox) == []
    assert inbox.receiver_status(NOON).started_at is None
    assert list(tmp_path.iterdir()) == []


def test_numbers_go_on_after_everything_was_forgotten(inbox: Inbox) -> None:
    inbox.note("r", [delivery(1), delivery(2)])
    later = NOON + 2 * MONTH
    inbox.heartbeat("r", later, 0, None)
    inbox.note("r", [delivery(3, at=later)])

    assert numbers(inbox, later) == [3]
    assert inbox.receiver_status(later).last_number == 3


def test_the_standing_tells_listening_from_silence_and_from_never(inbox: Inbox) -> None:
    inbox.start("first", NOON)
    assert inbox.receiver_status(NOON + SILENT_AFTER).is_listening
    assert not inbox.receiver_status(NOON + SILENT_AFTER + timedelta(seconds=1)).is_listening
    inbox.heartbeat("first", NOON + timedelta(minutes=5), 3, NOON + timedelta(minutes=4))
    inbox.heartbeat("first", NOON + timedelta(minutes=6), 2, NOON + timedelta(minutes=5))
    inbox.note("first", [delivery(at=NOON + timedelta(minutes=7))])
    standing = inbox.receiver_status(NOON + timedelta(minutes=7))

    assert standing.started_at == NOON
    assert standing.seen_at == standing.delivered_at == NOON + timedelta(minutes=7)
    assert (standing.refused, standing.refused_at) == (5, NOON + timedelta(minutes=5))
    assert (standing.is_listening, standing.last_number) == (True, 1)
    inbox.stop("first", NOON + timedelta(minutes=7))
    assert not inbox.receiver_status(NOON + timedelta(minutes=7)).is_listening


def test_of_two_receivers_one_is_enough(inbox: Inbox) -> None:
    inbox.start("first", NOON)
    inbox.start("second", NOON + timedelta(seconds=1))
    inbox.stop("second", NOON + timedelta(seconds=2))

    assert inbox.receiver_status(NOON + timedelta(seconds=3)).is_listening
    assert inbox.receiver_status(NOON + timedelta(seconds=3)).started_at == NOON + timedelta(
        seconds=1
    )


def test_the_last_receiver_is_remembered_however_long_ago(inbox: Inbox) -> None:
    inbox.start("first", NOON)
    inbox.start("second", NOON + timedelta(days=1))
    inbox.heartbeat("second", NOON + 3 * MONTH, 0, None)
    inbox.note("second", [delivery(1, at=NOON + 9 * MONTH)])

    assert inbox.receiver_status(NOON + 9 * MONTH).started_at == NOON + timedelta(days=1)


def test_it_is_for_its_owner_only(inbox: Inbox, tmp_path: Path) -> None:
    inbox.note("r", [delivery()])

    assert stat.S_IMODE((tmp_path / "stores").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "stores" / "inbox.sqlite3").stat().st_mode) == 0o600


def test_a_damaged_inbox_is_not_replaced_in_silence(inbox: Inbox, tmp_path: Path) -> None:
    inbox.note("r", [delivery()])
    path = tmp_path / "stores" / "inbox.sqlite3"
    path.write_bytes(b"no database" * 500)
    other = Inbox(path, MONTH)

    for use in (lambda: other.note("r", [delivery(2)]), lambda: other.find(Query(), NOON)):
        with pytest.raises(SetupError, match="inbox of order events is damaged"):
            use()
    assert path.read_bytes().startswith(b"no database")


def test_a_large_inbox_is_not_read_through_whenever_another_listener_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    real = sqlite3.connect

    def connect(*given: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*given, **named)
        connection.set_trace_callback(said.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    one, other = (Inbox(tmp_path / "stores" / "inbox.sqlite3", MONTH) for _ in range(2))
    for number in range(5):
        one.note("r", [delivery(number)])
        other.note("s", [delivery(number, "order.shipped")])

    assert sum("integrity_check" in each for each in said) == 2
    assert len(numbers(one)) == 10


def test_a_failed_transaction_keeps_nothing(inbox: Inbox, tmp_path: Path) -> None:
    inbox.note("r", [delivery(1)])
    broken = Delivery(b"x", parse(b'{"event":"x"}'), None)  # type: ignore[arg-type]  # breaks half way

    with pytest.raises(AttributeError):
        inbox.note("r", [delivery(2), broken])
    assert numbers(inbox) == [1]
    with closing(sqlite3.connect(tmp_path / "stores" / "inbox.sqlite3")) as db:
        assert db.execute("SELECT COUNT(*) FROM digest").fetchone() == (1,)


NOTE = """
import sys
from datetime import timedelta
from pathlib import Path
from clawver_orders.webhooks.inbox import Inbox
sys.path.insert(0, sys.argv[2])
from tests.webhooks.test_inbox import delivery
inbox = Inbox(Path(sys.argv[1]), timedelta(days=30))
print(sum(inbox.note(sys.argv[3], [delivery(n)])[0] for n in range(40)))
"""


def test_two_processes_share_one_inbox(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite3"
    root = str(Path(__file__).parents[2])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", NOTE, str(path), root, name], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}, text=True,
        )
        for name in ("one", "other")
    ]  # fmt: skip
    new = [int(process.communicate(timeout=60)[0]) for process in both]

    assert sum(new) == 40
    assert sorted(each.order_id or "" for each in Inbox(path, MONTH).find(Query(), NOON).events) == sorted(f"ord_{n}" for n in range(40))  # fmt: skip
