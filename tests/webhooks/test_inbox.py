"""What arrived is remembered once, and for as long as the merchant wants."""

import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from clawver_orders.errors import SetupError
from clawver_orders.webhooks import inbox as inbox_module
from clawver_orders.webhooks import parse
from clawver_orders.webhooks.inbox import SILENT_AFTER, Delivery, Inbox, Query, RefusedDeliveries

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MONTH = timedelta(days=30)


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
    assert [each.order_id for each in inbox.find(Query(), NOON).events] == ["ord_2", "ord_1"]
    assert inbox.note("other", [delivery(at=NOON + MONTH)]) == [False]
    assert numbers(inbox) == [2, 1]


def test_a_repeat_is_known_even_when_its_event_is_forgotten(inbox: Inbox) -> None:
    inbox.note("r", [delivery()])
    later = NOON + MONTH + timedelta(seconds=1)
    inbox.heartbeat("r", later)

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


def test_what_is_too_old_goes_and_leaves_nothing_on_the_disk(filed: Inbox, tmp_path: Path) -> None:
    filed.note("r", [delivery(1), delivery(2, at=NOON + timedelta(days=1))])
    path = tmp_path / "stores" / "inbox.sqlite3"
    assert b"ord_1" in path.read_bytes()
    now = NOON + MONTH + timedelta(seconds=1)

    assert numbers(filed, now) == [2]  # not to be seen, even before it is deleted
    assert b"ord_1" in path.read_bytes()
    filed.heartbeat("r", now)

    assert b"ord_1" not in path.read_bytes()
    assert numbers(filed, NOON) == [2]


@pytest.mark.parametrize(
    ("text", "is_theirs"),
    [
        ("ria@example.com", True), ("RIA@Example.com", True), ("write to ria@example.com.", True),
        ("Ria <ria@example.com>", True), ("'ria@example.com'", True), ("mailto:ria@example.com?", True),
        ("\nria@example.com\n", True), ("(ria@example.com)", True), ("-ria@example.com", True),
        ("maria@example.com", False), ("ana.ria@example.com", False), ("ana-ria@example.com", False),
        ("a+ria@example.com", False), ("d'ria@example.com", False), ("éria@example.com", False),
        ("ria@example.com.br", False), ("ria@example.community", False), ("ria@example.com-x.org", False),
        ("ria@examplexcom", False), ("ria", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("shape", ['{"email":%s}', '{"lines":[1,[%s,null]]}', "{%s:true}"])
def test_only_events_of_a_whole_address_are_forgotten(
    inbox: Inbox, text: str, shape: str, *, is_theirs: bool
) -> None:
    escaped = "".join(f"\\u{ord(c):04x}" for c in text)
    inbox.note(
        "r",
        [
            Delivery(body, parse(body), NOON)
            for word in (json.dumps(text), f'"{escaped}"')
            for body in [b'{"event":"review.received","data":%b}' % (shape % word).encode()]
        ],
    )

    assert inbox.forget([], "ria@example.com") == (2 if is_theirs else 0)
    assert len(numbers(inbox)) == (0 if is_theirs else 2)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["forget", "start"])
@pytest.mark.parametrize("seed", range(8))
def test_rows_that_sqlite_has_moved_leave_nothing_either(
    filed: Inbox, tmp_path: Path, seed: int, way: str
) -> None:
    chance = random.Random(seed)  # noqa: S311  # no secret
    for start in range(0, 300, 20):
        some = []
        for number in range(start, start + 20):
            who = "olga" if chance.random() < 0.8 else "ada"
            data = {"email": f"{who}@example.com", "note": "x" * chance.randint(1, 300)}
            body = json.dumps({"event": f"review.{number}", "data": data}).encode()
            days = 20 if who == "olga" else 1
            some.append(Delivery(body, parse(body), NOON - timedelta(days=days)))
        filed.note("r", some)

    if way == "forget":
        filed.forget([], "olga@example.com")
    else:
        filed.start("r", NOON + timedelta(days=15))

    assert b"olga" not in (tmp_path / "stores" / "inbox.sqlite3").read_bytes()
    assert len(numbers(filed, limit=300)) == inbox_rows(tmp_path) > 0


def inbox_rows(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "stores" / "inbox.sqlite3")) as db:
        (count,) = db.execute("SELECT COUNT(*) FROM event WHERE INSTR(body, 'ada@')").fetchone()
        return int(count)


def test_looking_makes_no_file(filed: Inbox, tmp_path: Path) -> None:
    assert numbers(filed) == []
    assert filed.receiver_status(NOON).started_at is None
    assert list(tmp_path.iterdir()) == []


def test_numbers_go_on_after_everything_was_forgotten(inbox: Inbox) -> None:
    inbox.note("r", [delivery(1), delivery(2)])
    later = NOON + 2 * MONTH
    inbox.heartbeat("r", later)
    inbox.note("r", [delivery(3, at=later)])

    assert numbers(inbox, later) == [3]
    assert inbox.receiver_status(later).last_number == 3


def test_the_standing_tells_listening_from_silence_and_from_never(inbox: Inbox) -> None:
    inbox.start("first", NOON)
    assert inbox.receiver_status(NOON + SILENT_AFTER).is_listening
    assert not inbox.receiver_status(NOON + SILENT_AFTER + timedelta(seconds=1)).is_listening
    inbox.heartbeat("first", NOON + timedelta(minutes=5), [RefusedDeliveries("path", 3, NOON)])
    inbox.note("first", [delivery(at=NOON + timedelta(minutes=7))])
    standing = inbox.receiver_status(NOON + timedelta(minutes=7))

    assert standing.started_at == NOON
    assert standing.seen_at == standing.delivered_at == NOON + timedelta(minutes=7)
    assert (standing.is_listening, standing.last_number) == (True, 1)
    inbox.stop("first", NOON + timedelta(minutes=7))
    assert not inbox.receiver_status(NOON + timedelta(minutes=7)).is_listening


def test_what_was_refused_is_counted_by_its_cause_over_all_receivers(inbox: Inbox) -> None:
    def at(minutes: int) -> datetime:
        return NOON + timedelta(minutes=minutes)

    inbox.start("first", NOON)
    inbox.heartbeat(
        "first",
        at(5),
        [RefusedDeliveries("path", 3, at(4)), RefusedDeliveries("signature", 1, at(1))],
    )
    inbox.heartbeat("first", at(6), [RefusedDeliveries("path", 2, at(3))])
    inbox.heartbeat("other", at(6), [RefusedDeliveries("signature", 1, at(6))])
    everything = (RefusedDeliveries("signature", 2, at(6)), RefusedDeliveries("path", 5, at(4)))
    assert inbox.receiver_status(at(6)).refusals == inbox.receiver_status(at(6)).lost == everything
    inbox.note("first", [delivery(at=at(5))])

    assert inbox.receiver_status(at(6)).refusals == everything
    assert inbox.receiver_status(at(6)).lost == everything[:1]
    inbox.heartbeat("last", at(6) + MONTH)
    left = (RefusedDeliveries("signature", 1, at(6)),)  # the first receiver is forgotten
    assert inbox.receiver_status(at(6) + MONTH).refusals == left
    inbox.heartbeat("last", at(8) + MONTH)
    assert inbox.receiver_status(at(8) + MONTH).refusals == ()


def test_what_an_earlier_version_counted_was_refused_for_its_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stores" / "inbox.sqlite3"
    first = replace(inbox_module._SCHEMA, steps=inbox_module._SCHEMA.steps[:1])
    with monkeypatch.context() as earlier:
        earlier.setattr(inbox_module, "_SCHEMA", first)
        old = Inbox(path, MONTH)
        with old._database.writing() as db:
            db.execute(
                "INSERT INTO receiver VALUES ('r', 0, ?, NULL, NULL, ?, 7)", [NOON.timestamp()] * 2
            )
            db.execute(
                "INSERT INTO receiver VALUES ('s', 0, ?, NULL, NULL, NULL, 0)", [NOON.timestamp()]
            )

    assert Inbox(path, MONTH).receiver_status(NOON).refusals == (
        RefusedDeliveries("signature", 7, NOON),
    )


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
    inbox.heartbeat("second", NOON + 3 * MONTH)
    inbox.note("second", [delivery(1, at=NOON + 9 * MONTH)])

    assert inbox.receiver_status(NOON + 9 * MONTH).started_at == NOON + timedelta(days=1)


def test_it_is_for_its_owner_only(filed: Inbox, tmp_path: Path) -> None:
    filed.note("r", [delivery()])

    assert stat.S_IMODE((tmp_path / "stores").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "stores" / "inbox.sqlite3").stat().st_mode) == 0o600


def test_a_damaged_inbox_is_not_replaced_in_silence(filed: Inbox, tmp_path: Path) -> None:
    filed.note("r", [delivery()])
    path = tmp_path / "stores" / "inbox.sqlite3"
    path.write_bytes(b"no database" * 500)
    other = Inbox(path, MONTH)

    for use in (lambda: other.note("r", [delivery(2)]), lambda: other.find(Query(), NOON)):
        with pytest.raises(SetupError, match="inbox of order events is damaged"):
            use()
    assert path.read_bytes().startswith(b"no database")


def test_a_large_inbox_is_never_read_through(
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

    assert not any("integrity_check" in each for each in said)
    assert len(numbers(one)) == 10


def test_a_failed_transaction_keeps_nothing(inbox: Inbox) -> None:
    inbox.note("r", [delivery(1)])
    broken = Delivery(b"x", parse(b'{"event":"x"}'), None)  # type: ignore[arg-type]  # breaks half way

    with pytest.raises(TypeError):
        inbox.note("r", [delivery(2), broken])
    assert inbox.note("r", [delivery(2)]) == [True]
    assert numbers(inbox) == [2, 1]


def test_who_follows_the_numbers_misses_none_of_two_who_write(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, is_numbered = Event(), Event()
    add = Inbox._add

    def slowly(of: Inbox, connection: Any, deliveries: Sequence[Delivery]) -> None:
        add(of, connection, deliveries)
        if deliveries[0].event.order_id == "ord_1":
            is_numbered.set()
            may_end.wait(60)

    monkeypatch.setattr(Inbox, "_add", slowly)
    seen: list[int] = []

    def follow() -> None:
        seen.extend(sorted(numbers(inbox, after=max(seen, default=0))))

    with ThreadPoolExecutor(2) as writers:
        slow = writers.submit(inbox.note, "one", [delivery(1)])
        is_numbered.wait(60)
        quick = writers.submit(inbox.note, "other", [delivery(2)])
        wait([quick], 0.2)  # if it could, it would be first
        follow()
        may_end.set()
        wait([slow, quick])
        follow()

    assert (slow.result(), quick.result(), seen) == ([True], [True], [1, 2])


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
