"""What waits for an approval, and what the file itself refuses whoever writes it."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.postgres import Schemas

from clawver_orders.caller import GRADES, Approval, Grade, Reply
from clawver_orders.instants import Instant
from clawver_orders.storage.database import ConstraintError
from clawver_orders.storage.postgres import PostgresDatabase
from clawver_orders.storage.sql import as_text
from clawver_orders.webhooks import changes as changes_module
from clawver_orders.webhooks.changes import (
    CHANGES_FILE,
    IN_PROGRESS_SECONDS,
    Change,
    Changes,
    OvertakenError,
    WantedChange,
)

WANTED = WantedChange("register", "https://hooks.example/", ("order.paid",))
CHAT = Approval("chat", "form", "person by elicitation")
CONSOLE = Approval("console", "terminal", "person in the terminal")


class Book:
    """The changes of one store, and clocks that a test can move."""

    def __init__(self, folder: Path, shared: PostgresDatabase | None = None) -> None:
        self.at, self.up, self.boot = datetime(2026, 11, 24, tzinfo=UTC), 5000.0, "this start"
        self.shared, self.folder, self.file = shared, folder, folder / CHANGES_FILE
        self.changes = self.again()

    def again(self) -> Changes:
        """The same, as another process sees it."""
        clock = lambda: Instant(self.at, self.up, self.boot)  # noqa: E731
        return Changes(self.folder, clock, self.shared)

    def passes(self, **span: float) -> None:
        self.at += timedelta(**span)
        self.up += timedelta(**span).total_seconds()

    def want(
        self, needed: Grade = "chat", wanted: WantedChange = WANTED, *, is_person: bool = False
    ) -> Change:
        return self.changes.want(wanted, needed, "host 1", is_person=is_person)

    def now(self, change: Change) -> Change:
        found = self.changes.find(change.change_id)
        assert found is not None
        return found

    def says(self, change: Change, number: int, reply: Reply, after: float = 4.0) -> Reply | None:
        return self.changes.answer(change.change_id, number, reply, after, CHAT, "host 1")

    def write(self, *statements: str) -> None:
        """Change what is kept past all rules of the program."""
        if self.shared is not None:
            with self.shared.writing() as shared:
                for each in statements:
                    shared.execute(each)
            return
        with sqlite3.connect(self.file) as rows:
            for each in statements:
                rows.execute(each)
        rows.close()


@pytest.fixture
def book(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> Book:
    folder, shared = tmp_path / "store", None
    if engine == "postgres":
        shared = request.getfixturevalue("schemas").database(folder / CHANGES_FILE, "webhooks")
    return Book(folder, shared)


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    book = Book(tmp_path / "store")

    assert book.changes.waiting() == ()
    assert book.changes.find("wch_1") is None
    assert not book.file.exists()


def test_the_same_again_is_the_same_change(book: Book) -> None:
    first, second = book.want(), book.want()
    other = book.want(wanted=replace(WANTED, events=("order.paid", "order.shipped")))

    assert second == first
    assert first.change_id.startswith("wch_")
    assert (first.status, first.revision, first.wanted) == ("waiting", 1, WANTED)
    assert book.changes.waiting() == (other, first)


def test_another_grade_is_another_revision(book: Book) -> None:
    first = book.want()
    second = book.want("pin")

    assert (second.change_id, second.revision) == (first.change_id, 2)
    assert second.grade_needed == "pin"
    with pytest.raises(OvertakenError):
        book.changes.begin(first, CHAT, "host 1", None)


def test_an_approval_begins_it_once(book: Book) -> None:
    change = book.want()
    book.changes.begin(change, CHAT, "host 1", None)
    with pytest.raises(OvertakenError):
        book.changes.begin(change, CONSOLE, "a terminal", None)
    begun = book.want()
    book.changes.end(change, is_done=True)
    done = book.now(change)

    assert (begun.status, begun.revision) == ("begun", 1)
    assert (done.status, [each.approval for each in done.decisions]) == ("done", [CHAT])
    assert book.want().revision == 2


@pytest.mark.parametrize("needed", GRADES)
@pytest.mark.parametrize("given", GRADES)
def test_what_does_not_suffice_is_refused(book: Book, needed: Grade, given: Grade) -> None:
    change = book.want(needed)
    approval = Approval(given, "form", "somebody")
    if GRADES.index(given) >= GRADES.index(needed):
        book.changes.begin(change, approval, "host 1", None)
    else:
        with pytest.raises(ConstraintError, match="nothing is changed without an approval"):
            book.changes.begin(change, approval, "host 1", None)
        assert (book.now(change).status, book.now(change).decisions) == ("waiting", ())


def test_what_was_begun_and_never_ended_failed(book: Book) -> None:
    change = book.want()
    book.changes.begin(change, CHAT, "host 1", None)
    book.passes(seconds=IN_PROGRESS_SECONDS - 1)
    assert book.now(change).status == "begun"
    book.passes(seconds=1)

    assert book.now(change).status == "failed"
    assert (book.want().status, book.want().revision) == ("waiting", 2)


def test_it_waits_for_72_hours(book: Book) -> None:
    change = book.want()
    book.passes(hours=71.9)
    assert book.now(change).status == "waiting"
    book.passes(hours=0.1)
    assert book.now(change).status == "expired"
    assert book.changes.waiting() == ()
    with pytest.raises(OvertakenError):
        book.changes.begin(change, CHAT, "host 1", None)
    with pytest.raises(OvertakenError):
        book.changes.ask(change, "form", "host 1")

    assert (book.want().status, book.want().revision) == ("waiting", 2)


# Answers.


def test_an_answer_counts_for_15_minutes(book: Book) -> None:
    change = book.want()
    numbers = [book.changes.ask(change, "form", "host 1") for _ in range(2)]
    book.passes(minutes=14, seconds=59)
    assert book.says(change, numbers[0], Reply.YES) is Reply.YES
    book.passes(seconds=1)

    assert book.says(change, numbers[1], Reply.YES) is None


def test_an_answer_to_another_revision_counts_no_more_but_a_no_does(book: Book) -> None:
    change = book.want()
    number = book.changes.ask(change, "form", "host 1")
    book.want("console")

    assert book.says(change, number, Reply.YES) is None
    assert book.says(change, number, Reply.NO) is Reply.NO
    assert book.now(change).status == "declined"


@pytest.mark.parametrize("number", [0, 2])
def test_an_answer_to_no_question_counts_for_nothing(book: Book, number: int) -> None:
    change = book.want()
    book.changes.ask(change, "form", "host 1")

    assert book.says(change, number, Reply.NO) is None
    assert book.now(change).status == "waiting"


@pytest.mark.parametrize("own", [Reply.HOST_YES, Reply.HOST_NO])
def test_what_the_host_answered_by_itself_is_no_persons_later(book: Book, own: Reply) -> None:
    change = book.want()
    number = book.changes.ask(change, "form", "host 1")
    book.says(change, number, own, 0.2)

    assert book.says(change, number, Reply.YES) is Reply.HOST_YES
    assert book.says(change, number, Reply.NO) is Reply.HOST_NO
    assert book.now(change).status == "waiting"


# Declines.


def test_a_decline_holds_for_24_hours_and_a_person_may_ask_again(book: Book) -> None:
    change = book.want()
    book.changes.decline(change.change_id, CONSOLE, "a terminal")
    book.passes(hours=23.9)
    assert (book.want().status, book.want("pin").revision) == ("declined", 1)
    assert book.want(is_person=True).status == "waiting"
    book.changes.decline(change.change_id, CONSOLE, "a terminal")
    book.passes(hours=24)

    assert (book.want().status, book.want().revision) == ("waiting", 3)


def test_setting_the_clock_ends_no_decline(book: Book) -> None:
    change = book.want()
    book.changes.decline(change.change_id, CONSOLE, "a terminal")
    book.at += timedelta(days=30)

    assert book.want().status == "declined"


def test_a_decline_of_what_failed_counts_and_of_what_is_over_changes_nothing(book: Book) -> None:
    change = book.want()
    book.changes.begin(change, CHAT, "host 1", None)
    assert book.changes.decline(change.change_id, CONSOLE, "a terminal").status == "begun"
    book.changes.end(change, is_done=False)
    failed = book.changes.decline(change.change_id, CONSOLE, "a terminal")
    again = book.changes.decline(change.change_id, CONSOLE, "a terminal")

    assert (failed.status, failed.revision) == ("declined", 2)
    assert again == failed
    with pytest.raises(OvertakenError):
        book.changes.decline("wch_none", CONSOLE, "a terminal")


@pytest.mark.parametrize("uptime", [60.0, 500_000.0])
def test_a_decline_on_another_machine_holds_too(book: Book, uptime: float) -> None:
    change = book.want()
    book.changes.decline(change.change_id, CONSOLE, "a terminal")
    book.passes(hours=1)
    book.boot, book.up = "another machine", uptime

    status = book.again().want(WANTED, "chat", "host 1", is_person=False).status

    began_before = book.shared is None and uptime > 86_400  # a file has one machine
    assert status == ("waiting" if began_before else "declined")


@pytest.mark.parametrize("ahead", [0.5, 9.5])
def test_what_another_machine_noted_a_little_ahead_is_not_over(book: Book, ahead: float) -> None:
    change = book.want()
    book.at, book.boot = book.at - timedelta(seconds=ahead), "another machine"
    assert book.now(change).status == "waiting"
    book.at -= timedelta(seconds=10)

    assert book.now(change).status == "expired"


def test_what_an_earlier_version_noted_stays_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replace(changes_module._SCHEMA, steps=changes_module._SCHEMA.steps[:1])
    with monkeypatch.context() as earlier:
        earlier.setattr(changes_module, "_SCHEMA", first)
        old = Book(tmp_path / "store")
        since = as_text(Instant(old.at, old.up, old.boot))
        with old.changes._database.writing() as rows:
            for change_id, url in (("wch_2", "https://b.example/"), ("wch_1", WANTED.url)):
                rows.execute(
                    "INSERT INTO change VALUES (?, 'register', ?, '[\"order.paid\"]', '', 1, 'chat', 'host', ?)",
                    (change_id, url, since),
                )

    book = Book(tmp_path / "store")

    assert [each.change_id for each in book.changes.waiting()] == ["wch_1", "wch_2"]
    assert book.want().change_id == "wch_1"
    with pytest.raises(sqlite3.IntegrityError, match="a change stays what it is"):
        book.write("UPDATE change SET number = 9")


# What the tables refuse.

BEGUN = "INSERT INTO carried_out VALUES ('{id}', 1, 'begun', '[0, 0, \"\"]')"
DECIDED = (
    "INSERT INTO decision VALUES"
    " ('{id}', {revision}, '{verdict}', 'pin', 'page', 'x', 'y', '[0, 0, \"\"]', NULL)"
)


def decided(verdict: str = "approve", revision: int = 1) -> Callable[[str], str]:
    return lambda change_id: DECIDED.format(id=change_id, revision=revision, verdict=verdict)


def said(text: str) -> Callable[[str], str]:
    return lambda change_id: text.format(id=change_id)


DECLINED, APPROVED = decided("decline"), decided()


@pytest.mark.parametrize(
    ("before", "statement", "why"),
    [
        ([], said(BEGUN), "nothing is changed without an approval"),
        ([DECLINED], said(BEGUN), "nothing is changed without an approval"),
        ([APPROVED, said("UPDATE change SET revision = 2")], said(BEGUN), "nothing is changed without"),
        ([APPROVED], said(BEGUN.replace("'begun'", "'done'")), "nothing is changed without an approval"),
        ([APPROVED, said(BEGUN)], said(BEGUN), "begun already"),
        ([APPROVED, said(BEGUN)], said("DELETE FROM carried_out"), "what came of it is kept"),
        ([APPROVED, said(BEGUN), said("UPDATE carried_out SET progress = 'failed'")],
         said("UPDATE carried_out SET progress = 'begun'"), "what came of it is kept"),
        ([APPROVED, said(BEGUN)], said("UPDATE carried_out SET begun = '[9, 0, \"\"]'"), "what came of it"),
        ([DECLINED], APPROVED, "a decision is kept"),
        ([DECLINED], said("UPDATE decision SET verdict = 'approve'"), "a decision is kept"),
        ([DECLINED], said("DELETE FROM decision"), "a decision is kept"),
        ([], decided(revision=2), "that revision is no longer current"),
        ([said("UPDATE change SET revision = 2")], decided(), "that revision is no longer current"),
        ([], said("UPDATE change SET url = 'https://evil.example/'"), "a change stays what it is"),
        ([], said("UPDATE change SET grade_needed = 'agent'"), "what needs another grade is a new revision"),
        ([], said("UPDATE change SET revision = 0"), "what needs another grade is a new revision"),
        ([], said("DELETE FROM change"), "a change is kept"),
        ([], said("INSERT INTO change SELECT 'wch_x', action, url, events, webhook_id, 1, 'agent', client, since,"
                  " number + 1 FROM change"), "a change stays what it is"),
        ([], said("INSERT INTO change SELECT 'wch_x', action, url || 'x', events, webhook_id, 1, 'agent', client,"
                  " since, number FROM change"), "a change stays what it is"),
        ([], said("UPDATE change SET number = 9"), "a change stays what it is"),
    ],
)  # fmt: skip
def test_the_tables_refuse(
    book: Book,
    before: list[Callable[[str], str]],
    statement: Callable[[str], str],
    why: str,
) -> None:
    change = book.want("console")
    book.write(*(each(change.change_id) for each in before))
    ways = [""] if book.shared else ["", " OR REPLACE"]
    for way in ways:
        with pytest.raises((ConstraintError, sqlite3.IntegrityError), match=why):
            book.write(statement(change.change_id).replace("INSERT", f"INSERT{way}"))


@pytest.mark.parametrize("table", ["change", "question", "decision", "carried_out"])
def test_no_table_of_a_database_is_emptied_at_once(
    schemas: Schemas, tmp_path: Path, table: str
) -> None:
    book = Book(tmp_path, schemas.database(tmp_path / CHANGES_FILE, "webhooks"))
    book.want()

    with pytest.raises(ConstraintError, match="nothing is emptied"):
        book.write(f"TRUNCATE {table} CASCADE")
    schemas.empty()
