"""Every refund is noted before the money moves, let go once, and never forgotten."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from tests.processes import Start

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.refunds import ledger as ledger_module
from clawver_orders.refunds.ledger import (
    BY_AGENT,
    LIFETIME,
    DailyLimitError,
    Intent,
    Ledger,
    Moment,
    MovedOnError,
    SeenRefund,
    State,
    Trace,
)
from clawver_orders.storage import database

START = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)
TRACE = Trace("test 1.0", "a person")
IN_A_PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from clawver_orders.refunds.ledger import DailyLimitError, Ledger, Moment, MovedOnError, Trace
ledger, now = Ledger(Path(sys.argv[1])), Moment(datetime.fromisoformat(sys.argv[2]), 1000.0)
def meet(line):
    print(line, flush=True)
    sys.stdin.readline()
"""


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.at = START
        self.up = 1000.0

    def __call__(self) -> Moment:
        return Moment(self.at, self.up)

    def passes(self, **time: float) -> None:
        self.at += timedelta(**time)
        self.up += timedelta(**time).total_seconds()


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop" / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    return Ledger(path)


class Desk:
    """Takes intents to where a test wants them, by the ledger's own doors."""

    def __init__(self, ledger: Ledger, now: Clock) -> None:
        self.ledger = ledger
        self.now = now
        self.count = 0
        self.approver = TRACE

    def previewed(self, order_id: str = "ord_1", cents: int = 500, reason: str = "Torn",
                  named: Sequence[str] = (), seen: str = "paid", needs_person: bool = False,
                 sandbox: str = "") -> Intent:  # fmt: skip
        return self.ledger.preview(
            order_id, cents, reason, named, seen, needs_person, self.now(), TRACE, sandbox
        )

    def at(self, state: State, order_id: str = "ord_1", cents: int = 500) -> Intent:
        intent = self.previewed(order_id, cents)
        for step in {
            "previewed": (),
            "sending": ("sending",),
            "confirmed": ("sending", "confirmed"),
            "failed": ("sending", "failed"),
            "unknown": ("sending", "unknown"),
            "absent": ("sending", "unknown", "absent", "absent"),
            "declined": ("declined",),
            "expired": ("expired",),
        }[state]:
            intent = self.go(step, intent.refund_id)
        return intent

    def go(self, to: str, refund_id: str) -> Intent:
        self.count += 1
        doors: dict[str, Callable[[], Intent]] = {
            "sending": lambda: self.ledger.begin_send(
                refund_id, ["ref_b", "ref_a"], 10_000, self.now(), self.approver
            ),
            "confirmed": lambda: self.ledger.confirm(
                refund_id, f"ref_{self.count}", "re_1", ["ref_x"], self.now(), TRACE
            ),
            "failed": lambda: self.ledger.fail(refund_id, "refused", self.now(), TRACE),
            "unknown": lambda: self.ledger.lose(refund_id, "lost", self.now(), TRACE),
            "absent": lambda: self.ledger.count_absence(refund_id, self.now(), TRACE),
            "declined": lambda: self.ledger.decline(refund_id, self.now(), TRACE),
            "expired": lambda: self.ledger.expire(refund_id, "too late", self.now(), TRACE),
        }
        return doors[to]()


@pytest.fixture
def desk(ledger: Ledger, now: Clock) -> Desk:
    return Desk(ledger, now)


@pytest.fixture
def by_hand(desk: Desk, path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody who works on the file itself, past all doors."""
    desk.previewed("ord_of_hand")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


# Looking


def test_looking_makes_no_file(ledger: Ledger, now: Clock, path: Path) -> None:
    assert ledger.find("rfi_1") is None
    assert ledger.of_order("ord_1") == ledger.all() == ()
    assert ledger.history("rfi_1") == ()
    assert ledger.claimed(["ref_1"]) == {}
    assert ledger.spent_in_cents(now()) == 0
    assert not ledger.exists
    assert not path.parent.exists()


def test_a_ledger_that_is_gone_is_not_an_empty_one(ledger: Ledger, desk: Desk, path: Path) -> None:
    desk.previewed()
    path.unlink()

    assert ledger.exists
    with pytest.raises(SetupError, match="The file of the refund ledger is gone"):
        ledger.of_order("ord_1")


def test_a_ledger_is_proven_by_taking_it_for_writing(
    ledger: Ledger, desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.prove()
    assert not path.parent.exists()

    desk.previewed()
    ledger.prove()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnreachableError):
            ledger.prove()


def test_a_wish_is_noted_whole(ledger: Ledger, desk: Desk) -> None:
    intent = desk.previewed("ord_1", 500, "Torn", ["ref_b", "ref_a"], "paid", True)

    assert intent.refund_id.startswith("rfi_")
    assert len(intent.refund_id) == 20
    assert intent == Intent(
        refund_id=intent.refund_id,
        order_id="ord_1",
        amount_in_cents=500,
        reason="Torn",
        in_addition_to=("ref_a", "ref_b"),
        seen="paid",
        needs_person=True,
        state="previewed",
        created_at=START,
        expires_at=START + timedelta(minutes=15),
    )
    assert ledger.find(intent.refund_id) == intent
    assert not intent.is_open


def test_intents_are_listed_in_their_order(ledger: Ledger, desk: Desk, now: Clock) -> None:
    first = desk.at("confirmed", cents=100)
    second = desk.at("unknown", cents=200)
    now.passes(seconds=1)
    other = desk.at("sending", "ord_2", 300)
    last = desk.at("previewed", cents=400)

    assert ledger.of_order("ord_1") == (first, second, last)
    assert ledger.of_order("ord_2") == (other,)
    assert ledger.all() == (last, other, second, first)
    assert ledger.all_open() == (other, second)
    assert ledger.all_open("ord_1") == (second,)
    assert ledger.all_open("ord_3") == ()
    assert [each.is_open for each in ledger.all()] == [False, True, True, False]


def test_refunds_that_belong_to_an_intent_are_known(ledger: Ledger, desk: Desk, now: Clock) -> None:
    one, two = desk.at("sending"), desk.at("sending", "ord_2")
    ledger.confirm(one.refund_id, "ref_1", None, [], now(), TRACE)
    ledger.confirm(two.refund_id, "ref_2", None, [], now(), TRACE)

    assert ledger.claimed(["ref_1", "ref_3", "it's"]) == {"ref_1": one.refund_id}
    assert ledger.claimed([]) == {}
    assert ledger.claimed(["ref_2", "ref_1"]) == {"ref_1": one.refund_id, "ref_2": two.refund_id}


# Previews


def test_the_same_wish_is_the_same_intent_while_it_can_be_approved(
    ledger: Ledger, desk: Desk, now: Clock
) -> None:
    first = desk.previewed(named=["ref_a", "ref_b"])
    now.passes(minutes=14, seconds=59)

    again = desk.previewed(named=["ref_b", "ref_a"])

    assert again == first
    assert [event.event for event in ledger.history(first.refund_id)] == ["previewed"]


@pytest.mark.parametrize(
    "changed",
    [{"reason": "Too small"}, {"named": ["ref_1"]}, {"seen": "refunded"}, {"needs_person": True}],
)
def test_another_wish_for_the_same_amount_takes_the_place_of_the_first(
    ledger: Ledger, desk: Desk, changed: dict[str, object]
) -> None:
    first = desk.previewed()

    second = desk.previewed(**changed)  # type: ignore[arg-type]  # by name

    assert second.refund_id != first.refund_id
    assert [each.state for each in ledger.of_order("ord_1")] == ["expired", "previewed"]
    assert ledger.history(first.refund_id)[-1].detail == "taken over by another preview"


def test_the_same_wish_after_its_time_is_a_new_intent(
    ledger: Ledger, desk: Desk, now: Clock
) -> None:
    first = desk.previewed()
    now.passes(minutes=15)

    second = desk.previewed()

    assert second.refund_id != first.refund_id
    assert [each.state for each in ledger.of_order("ord_1")] == ["expired", "previewed"]
    assert ledger.history(first.refund_id)[-1].detail == "not approved in time"


def test_other_orders_and_amounts_are_other_wishes(ledger: Ledger, desk: Desk) -> None:
    three = desk.previewed(), desk.previewed("ord_2"), desk.previewed(cents=501)

    assert len({each.refund_id for each in three}) == 3
    assert {each.state for each in ledger.all()} == {"previewed"}


@pytest.mark.parametrize("state", sorted(set(get_args(State)) - {"previewed"}))
def test_what_is_past_its_preview_is_left_alone_by_a_new_wish(
    ledger: Ledger, desk: Desk, state: State
) -> None:
    first = desk.at(state)

    second = desk.previewed()

    assert second.refund_id != first.refund_id
    assert ledger.find(first.refund_id) == first


# States

LEADS_TO = {
    "previewed": {"sending", "declined", "expired"},
    "sending": {"confirmed", "failed", "unknown"},
    "unknown": {"confirmed", "absent"},
    "absent": {"confirmed"},
    "failed": {"confirmed"},
    "expired": {"declined"},
}


@pytest.mark.parametrize("to", sorted(set(get_args(State)) - {"previewed"}))
@pytest.mark.parametrize("state", get_args(State))
def test_a_state_follows_only_from_those_before_it(
    ledger: Ledger, desk: Desk, state: State, to: State
) -> None:
    intent = desk.at(state)
    history = ledger.history(intent.refund_id)

    if to in LEADS_TO.get(state, set()):
        moved = desk.go(to, intent.refund_id)
        moved = desk.go(to, intent.refund_id) if to == "absent" else moved
        assert moved.state == to
        assert ledger.history(intent.refund_id)[-1].state == to
    elif to == "declined":
        said = desk.go(to, intent.refund_id)
        added = ledger.history(intent.refund_id)[len(history) :]
        assert replace(said, doubted=0) == replace(intent, doubted=0)
        assert (said.doubted > said.approved) is (state in {"failed", "declined", "absent"})
        assert [(event.event, event.state) for event in added] == (
            [("declined", state)] if state == "failed" else []
        )
    else:
        with pytest.raises(MovedOnError):
            desk.go(to, intent.refund_id)
        assert ledger.find(intent.refund_id) == intent
        assert ledger.history(intent.refund_id) == history


@pytest.mark.parametrize("state", ["sending", "confirmed", "unknown", "absent", "failed"])
def test_a_no_to_what_no_person_approved_is_noted_and_changes_nothing_else(
    ledger: Ledger, desk: Desk, state: State
) -> None:
    desk.approver = Trace("test 1.0", BY_AGENT)
    intent = desk.at(state)
    said = desk.go("declined", intent.refund_id)

    assert replace(said, doubted=0) == replace(intent, doubted=0)
    assert (said.approved, said.state) == (0, state)
    assert said.doubted == ledger.history(intent.refund_id)[-1].number > intent.doubted


@pytest.mark.parametrize("to", sorted(set(get_args(State)) - {"previewed"}))
def test_what_was_never_wished_goes_nowhere(ledger: Ledger, desk: Desk, to: State) -> None:
    desk.previewed()

    with pytest.raises(MovedOnError):
        desk.go(to, "rfi_unknown")

    assert ledger.find("rfi_unknown") is None


def test_what_is_known_of_a_refund_is_kept(desk: Desk, now: Clock) -> None:
    intent = desk.previewed()
    now.passes(minutes=1)

    sending = desk.go("sending", intent.refund_id)
    assert sending.is_open
    assert sending.baseline == {"ref_a", "ref_b"}
    assert (sending.sent_at, sending.sent_uptime) == (START + timedelta(minutes=1), 1060.0)

    unknown = desk.go("unknown", intent.refund_id)
    assert unknown.is_open
    assert (unknown.absent_reads, unknown.absent_uptime) == (0, None)

    now.passes(minutes=20)
    once = desk.go("absent", intent.refund_id)
    assert (once.state, once.absent_reads, once.absent_uptime) == ("unknown", 1, 2260.0)

    now.passes(minutes=1)
    twice = desk.go("absent", intent.refund_id)
    assert (twice.state, twice.absent_reads, twice.absent_uptime) == ("absent", 2, 2320.0)
    assert not twice.is_open

    found = desk.go("confirmed", intent.refund_id)
    assert (found.clawver_refund_id, found.stripe_refund_id) == ("ref_5", "re_1")
    assert found.surplus == ("ref_x",)
    assert found.baseline == sending.baseline
    assert found.sent_at == sending.sent_at


# The trail


def test_everything_that_happens_is_written_down(ledger: Ledger, desk: Desk, now: Clock) -> None:
    intent = desk.previewed()
    now.passes(seconds=1)
    ledger.note(intent.refund_id, "asked", now(), Trace("host 2"))
    ledger.note(intent.refund_id, "answered", now(), TRACE, "yes")
    for step in ("sending", "unknown", "absent", "absent", "confirmed"):
        desk.go(step, intent.refund_id)
    desk.previewed("ord_2")

    history = ledger.history(intent.refund_id)

    assert [(event.event, event.state, event.detail) for event in history] == [
        ("previewed", "previewed", ""),
        ("asked", "previewed", ""),
        ("answered", "previewed", "yes"),
        ("sending", "sending", "approved by a person"),
        ("unknown", "unknown", "lost"),
        ("not listed", "unknown", "after the settle window"),
        ("not listed", "unknown", "after the settle window"),
        ("absent", "absent", "not listed, twice"),
        ("confirmed", "confirmed", "listed as ref_5"),
    ]
    assert [event.at for event in history] == [START] + [START + timedelta(seconds=1)] * 8
    assert {event.process for event in history} == {os.getpid()}
    assert [event.who for event in history] == ["a person", ""] + ["a person"] * 7
    assert [event.client for event in history] == ["test 1.0", "host 2"] + ["test 1.0"] * 7


@pytest.mark.parametrize(
    ("to", "detail"),
    [("failed", "refused"), ("declined", "declined by a person"), ("expired", "too late")],
)
def test_every_end_says_why(ledger: Ledger, desk: Desk, to: State, detail: str) -> None:
    intent = desk.at(to)

    assert ledger.history(intent.refund_id)[-1].detail == detail


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE history SET who = 'nobody'",
        "UPDATE history SET at = 0",
        "DELETE FROM history",
        "DELETE FROM intent",
    ],
)
def test_the_past_cannot_be_edited(by_hand: sqlite3.Connection, ledger: Ledger, edit: str) -> None:
    (intent,) = ledger.all()
    history = ledger.history(intent.refund_id)

    with pytest.raises(sqlite3.IntegrityError, match=r"only added to|no refund is lost"):
        by_hand.execute(edit)

    assert ledger.all() == (intent,)
    assert ledger.history(intent.refund_id) == history


# Refunds that were seen

ONE, TWO = SeenRefund("ref_1", 700, "re_1"), SeenRefund("ref_2", 900)


def test_what_was_seen_of_an_order_is_only_added_to(ledger: Ledger, desk: Desk) -> None:
    desk.previewed()
    ledger.add_seen("ord_1", [ONE])
    ledger.add_seen("ord_1", [SeenRefund("ref_1", 1), TWO])
    ledger.add_seen("ord_2", [TWO])

    assert ledger.seen("ord_1") == (ONE, TWO)
    assert ledger.seen("ord_2") == (TWO,)
    assert ledger.seen("ord_3") == ()


def test_what_a_sandbox_listed_counts_until_it_starts_again(ledger: Ledger, desk: Desk) -> None:
    desk.previewed()
    marked = replace(ONE, sandbox="sbx_a")
    ledger.add_seen("ord_1", [ONE])
    ledger.add_seen("ord_1", [marked])
    assert ledger.seen("ord_1") == (ONE, marked)

    ledger.forget("sbx_a")

    assert ledger.seen("ord_1") == (ONE,)


def test_what_a_real_store_listed_cannot_be_taken_back(
    by_hand: sqlite3.Connection, ledger: Ledger
) -> None:
    ledger.add_seen("ord_1", [ONE])
    ledger.add_seen("ord_1", [replace(TWO, sandbox="sbx_a")])

    for edit in (
        "DELETE FROM seen_refund WHERE sandbox = ''",
        "UPDATE seen_refund SET amount_in_cents = 1",
        "UPDATE seen_refund SET sandbox = ''",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            by_hand.execute(edit)
    ledger.forget("sbx_a")

    assert ledger.seen("ord_1") == (ONE,)


def test_a_line_of_the_history_whose_refund_is_missing_is_kept_too(
    by_hand: sqlite3.Connection,
) -> None:
    by_hand.execute(
        "INSERT INTO history (refund_id, at, process, event, state, who, client, detail)"
        " VALUES ('rfi_gone', 0, 0, '', 'sending', '', '', '')"
    )

    with pytest.raises(sqlite3.IntegrityError, match="only added to"):
        by_hand.execute("DELETE FROM history WHERE refund_id = 'rfi_gone'")


def test_nothing_was_seen_by_a_ledger_that_was_never_made(ledger: Ledger, path: Path) -> None:
    assert ledger.seen("ord_1") == ()
    assert not path.exists()


def test_a_ledger_of_the_first_version_is_carried_over_whole(
    ledger: Ledger, desk: Desk, path: Path, tmp_path: Path
) -> None:
    intent = desk.at("confirmed")
    history = ledger.history(intent.refund_id)
    old = tmp_path / "old" / path.name
    old.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(old)) as made:
        made.executescript(ledger_module._SCHEMA.steps[0])
        made.execute("PRAGMA application_id = 0x636C7672")
        made.execute("PRAGMA user_version = 1")
        made.execute("ATTACH ? AS new", (str(path),))
        for table in ("intent", "history"):
            columns = [row[1] for row in made.execute(f"PRAGMA main.table_info({table})")]
            names = ", ".join(columns)
            made.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")  # noqa: S608  # names of the schema
        made.commit()
    old.chmod(0o600)

    carried = Ledger(old)

    assert carried.all() == (intent,)
    assert carried.history(intent.refund_id) == history
    assert carried.forget(None) == 1  # it is not known to be a sandbox's, so it stays


# Forgetting, when a sandbox store starts again


def test_only_the_refunds_of_the_sandbox_that_starts_again_are_forgotten(
    ledger: Ledger, desk: Desk
) -> None:
    real = desk.at("confirmed", "ord_1", 100)
    theirs = [desk.previewed(f"ord_{number}", sandbox="sbx_a") for number in range(3)]
    desk.go("confirmed", desk.go("sending", theirs[0].refund_id).refund_id)
    desk.go("sending", theirs[1].refund_id)
    other = desk.previewed("ord_1", 200, sandbox="sbx_b")
    before = ledger.history(real.refund_id), ledger.history(other.refund_id)

    assert ledger.forget("sbx_a") == 2

    assert ledger.all() == (other, real)
    assert (ledger.history(real.refund_id), ledger.history(other.refund_id)) == before
    assert [ledger.history(each.refund_id) for each in theirs] == [()] * 3
    assert ledger.forget(None) == 1
    assert ledger.all() == (real,)


def test_nothing_is_forgotten_where_nothing_was_noted(ledger: Ledger, path: Path) -> None:
    assert ledger.forget(None) == 0
    assert not path.parent.exists()


def test_no_refund_goes_over_to_another_store(
    by_hand: sqlite3.Connection, desk: Desk, ledger: Ledger
) -> None:
    desk.previewed("ord_2", sandbox="sbx_a")
    before = ledger.all()

    for sandbox in ("sbx_a", "", "sbx_b"):
        with pytest.raises(sqlite3.IntegrityError, match="a refund stays that of its store"):
            by_hand.execute("UPDATE intent SET sandbox = ?", (sandbox,))

    assert ledger.all() == before


def test_the_same_wish_for_another_store_is_another_intent(ledger: Ledger, desk: Desk) -> None:
    first = desk.previewed(sandbox="sbx_a")
    again = desk.previewed(sandbox="sbx_a")
    other = desk.previewed()

    assert again == first
    assert (first.sandbox, other.sandbox) == ("sbx_a", "")
    assert [each.state for each in ledger.all()] == ["previewed", "expired"]


# What the file itself refuses


@pytest.mark.parametrize(
    "edit",
    [
        "amount_in_cents = 0",
        "amount_in_cents = -1",
        "needs_person = 2",
        "state = 'else'",
        "state = 'sending'",  # without the refunds that were there before
        "state = 'absent'",
        "clawver_refund_id = 'ref_1'",  # not confirmed
        "amount_in_cents = 'much'",
        "order_id = NULL",
    ],
)
def test_what_makes_no_sense_is_refused_by_the_file(by_hand: sqlite3.Connection, edit: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        by_hand.execute(f"UPDATE intent SET {edit}")  # noqa: S608  # words of this test


def test_a_line_of_the_history_belongs_to_an_intent(
    by_hand: sqlite3.Connection,
) -> None:
    by_hand.execute("PRAGMA foreign_keys = ON")

    for refund_id, state in (("rfi_1", "sending"), ("rfi_of_hand", "else")):
        with pytest.raises(sqlite3.IntegrityError):
            by_hand.execute(
                "INSERT INTO history (refund_id, at, process, event, state, who, client, detail)"
                " VALUES (?, 0, 0, '', ?, '', '', '')",
                (refund_id, state),
            )


def test_a_line_of_the_history_is_typed(by_hand: sqlite3.Connection, ledger: Ledger) -> None:
    (intent,) = ledger.all()

    with pytest.raises(sqlite3.IntegrityError):
        by_hand.execute(
            "INSERT INTO history (refund_id, at, process, event, state, who, client, detail)"
            " VALUES (?, 'noon', 0, '', 'sending', '', '', '')",
            (intent.refund_id,),
        )


def test_the_file_says_what_it_is(by_hand: sqlite3.Connection) -> None:
    """A later version finds the ledgers of this one by these numbers."""
    header = [
        by_hand.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    ]

    assert header == [0x636C7672, 2]


@pytest.mark.parametrize("first", ["sending", "unknown"])
@pytest.mark.parametrize("second", ["sending", "unknown"])
def test_the_file_refuses_a_second_open_refund_of_an_order(
    by_hand: sqlite3.Connection, desk: Desk, first: State, second: State
) -> None:
    desk.at(first, cents=500)
    waiting = desk.previewed(cents=600)

    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        by_hand.execute(
            "UPDATE intent SET state = ?, baseline = '[]' WHERE refund_id = ?",
            (second, waiting.refund_id),
        )


def test_the_file_refuses_a_second_intent_for_one_refund(
    by_hand: sqlite3.Connection, desk: Desk
) -> None:
    first, second = desk.at("confirmed"), desk.at("confirmed", "ord_2")

    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        by_hand.execute(
            "UPDATE intent SET clawver_refund_id = ? WHERE refund_id = ?",
            (first.clawver_refund_id, second.refund_id),
        )


# Letting the money go


@pytest.mark.parametrize("state", ["sending", "unknown"])
def test_an_order_has_one_open_refund(ledger: Ledger, desk: Desk, state: State) -> None:
    desk.at(state, cents=500)
    waiting = desk.previewed(cents=600)

    with pytest.raises(MovedOnError):
        desk.go("sending", waiting.refund_id)

    assert ledger.find(waiting.refund_id) == waiting
    assert desk.at("sending", "ord_2").state == "sending"


@pytest.mark.parametrize("state", ["confirmed", "failed", "absent"])
def test_an_order_whose_refund_is_settled_can_have_another(desk: Desk, state: State) -> None:
    desk.at(state, cents=500)

    assert desk.at("sending", cents=600).state == "sending"


def test_a_refund_of_clawver_belongs_to_one_intent(ledger: Ledger, desk: Desk, now: Clock) -> None:
    one, two = desk.at("sending"), desk.at("unknown", "ord_2")
    ledger.confirm(one.refund_id, "ref_1", None, [], now(), TRACE)

    with pytest.raises(MovedOnError):
        ledger.confirm(two.refund_id, "ref_1", None, [], now(), TRACE)

    assert ledger.find(two.refund_id) == two


def test_a_preview_can_be_sent_for_fifteen_minutes_and_no_longer(
    ledger: Ledger, desk: Desk, now: Clock
) -> None:
    assert timedelta(minutes=15) == LIFETIME
    intent, other = desk.previewed(), desk.previewed("ord_2")

    now.passes(minutes=14, seconds=59.9)
    assert desk.go("sending", intent.refund_id).state == "sending"
    now.passes(seconds=0.1)
    with pytest.raises(MovedOnError):
        desk.go("sending", other.refund_id)

    assert ledger.find(other.refund_id) == other


def test_the_limit_of_a_day_can_be_reached_and_not_passed(
    ledger: Ledger, desk: Desk, now: Clock
) -> None:
    desk.at("confirmed", "ord_1", 600)
    fits, too_much = desk.previewed("ord_2", 400), desk.previewed("ord_3", 401)

    with pytest.raises(DailyLimitError) as refusal:
        ledger.begin_send(too_much.refund_id, [], 1000, now(), TRACE)
    assert refusal.value.spent_in_cents == 600
    assert ledger.find(too_much.refund_id) == too_much

    assert ledger.begin_send(fits.refund_id, [], 1000, now(), TRACE).state == "sending"
    assert ledger.spent_in_cents(now()) == 1000


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("sending", 500), ("unknown", 500), ("confirmed", 500), ("absent", 500),
        ("previewed", 0), ("failed", 0), ("declined", 0), ("expired", 0),
    ],
)  # fmt: skip
def test_what_may_have_moved_counts_for_a_day(
    ledger: Ledger, desk: Desk, now: Clock, state: State, counts: int
) -> None:
    desk.at(state)

    assert ledger.spent_in_cents(now()) == counts
    now.passes(hours=23, minutes=59, seconds=59)
    assert ledger.spent_in_cents(now()) == counts
    now.passes(seconds=1)
    assert ledger.spent_in_cents(now()) == 0


def test_a_clock_that_was_put_back_lets_no_more_go(ledger: Ledger, desk: Desk, now: Clock) -> None:
    desk.at("confirmed")
    now.passes(days=-30)

    assert ledger.spent_in_cents(now()) == 500


def test_two_processes_cannot_both_fit_under_the_limit(
    ledger: Ledger, desk: Desk, now: Clock, path: Path, another: Start
) -> None:
    code = """
for line in sys.argv[3:]:
    meet("ready")
    try:
        print(ledger.begin_send(line, [], 1000, now, Trace("racer")).state, flush=True)
    except DailyLimitError as error:
        print(f"limit at {error.spent_in_cents}", flush=True)
"""
    rounds = 4
    pairs = [
        (desk.previewed(f"ord_{n}", 600), desk.previewed(f"ord_x{n}", 600)) for n in range(rounds)
    ]
    both = [
        another(
            code,
            path,
            START.isoformat(),
            *(pair[side].refund_id for pair in pairs),
            before=IN_A_PROCESS,
        )
        for side in (0, 1)
    ]
    for pair in pairs:
        assert [each.hear() for each in both] == ["ready", "ready"]
        for each in both:
            each.go_on()

        assert sorted(each.hear() for each in both) == ["limit at 600", "sending"]
        (sent,) = [each for each in pair if _state(ledger, each) == "sending"]
        ledger.fail(sent.refund_id, "the next round", now(), TRACE)


def test_two_processes_cannot_both_refund_an_order(
    ledger: Ledger, desk: Desk, now: Clock, path: Path, another: Start
) -> None:
    code = """
for line in sys.argv[3:]:
    meet("ready")
    try:
        print(ledger.begin_send(line, [], 10_000, now, Trace("racer")).state, flush=True)
    except MovedOnError:
        print("taken", flush=True)
"""
    rounds = 4
    pairs = [(desk.previewed(cents=10 + n), desk.previewed(cents=20 + n)) for n in range(rounds)]
    both = [
        another(
            code,
            path,
            START.isoformat(),
            *(pair[side].refund_id for pair in pairs),
            before=IN_A_PROCESS,
        )
        for side in (0, 1)
    ]
    for pair in pairs:
        assert [each.hear() for each in both] == ["ready", "ready"]
        for each in both:
            each.go_on()

        assert sorted(each.hear() for each in both) == ["sending", "taken"]
        (sent,) = [each for each in pair if _state(ledger, each) == "sending"]
        ledger.fail(sent.refund_id, "the next round", now(), TRACE)


def test_the_same_preview_is_sent_by_one_of_two_processes(
    ledger: Ledger, desk: Desk, path: Path, another: Start
) -> None:
    code = """
meet("ready")
try:
    print(ledger.begin_send(sys.argv[3], [], 10_000, now, Trace("racer")).state, flush=True)
except MovedOnError:
    print("taken", flush=True)
"""
    intent = desk.previewed()
    both = [
        another(code, path, START.isoformat(), intent.refund_id, before=IN_A_PROCESS)
        for _ in range(2)
    ]
    assert [each.hear() for each in both] == ["ready", "ready"]
    for each in both:
        each.go_on()

    assert sorted(each.hear() for each in both) == ["sending", "taken"]
    assert [event.event for event in ledger.history(intent.refund_id)] == ["previewed", "sending"]


def test_a_process_that_is_killed_before_its_commit_has_let_nothing_go(
    ledger: Ledger, desk: Desk, path: Path, another: Start
) -> None:
    intent = desk.previewed()
    process = another(
        """
note = Ledger._note
def stop_here(self, *arguments):
    note(self, *arguments)
    meet("noted, not committed")
Ledger._note = stop_here
ledger.begin_send(sys.argv[3], [], 10_000, now, Trace("victim"))
""",
        path,
        START.isoformat(),
        intent.refund_id,
        before=IN_A_PROCESS,
    )
    assert process.hear() == "noted, not committed"
    process.kill()

    assert ledger.find(intent.refund_id) == intent
    assert [event.event for event in ledger.history(intent.refund_id)] == ["previewed"]
    assert desk.go("sending", intent.refund_id).state == "sending"


def _state(ledger: Ledger, intent: Intent) -> State:
    found = ledger.find(intent.refund_id)
    assert found is not None
    return found.state
