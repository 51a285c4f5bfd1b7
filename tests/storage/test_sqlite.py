"""A file about money is private, whole, and never replaced in silence."""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.processes import Start, mode, names_in

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.history.mirror import Mirror
from clawver_orders.instants import now
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.storage import folders
from clawver_orders.storage import sqlite as module
from clawver_orders.storage.database import ConstraintError
from clawver_orders.storage.pin import Pin
from clawver_orders.storage.sqlite import Schema, SqliteDatabase, kind_of
from clawver_orders.webhooks.changes import Changes
from clawver_orders.webhooks.inbox import Inbox

WORDS = "CREATE TABLE word (text TEXT NOT NULL UNIQUE) STRICT;\n"
COUNTS = (
    "CREATE TABLE count (words INTEGER NOT NULL);\nINSERT INTO count SELECT count(*) FROM word;\n"
)
FIRST = Schema(0x74657374, (WORDS,))
SECOND = Schema(0x74657374, (WORDS, COUNTS))
IN_A_PROCESS = f"""
import sys
from pathlib import Path
from clawver_orders.storage.sqlite import Schema, SqliteDatabase
from clawver_orders.storage.pin import Pin
from clawver_orders.webhooks.changes import Changes
from clawver_orders.webhooks.inbox import Inbox
first = Schema(0x74657374, ({WORDS!r},))
second = Schema(0x74657374, ({WORDS!r}, {COUNTS!r}))
path = Path(sys.argv[1])
def meet(line):
    print(line, flush=True)
    sys.stdin.readline()
"""


def opened(path: Path, schema: Schema = FIRST) -> SqliteDatabase:
    return SqliteDatabase(path, schema, "the test file")


def write(database: SqliteDatabase, *words: str) -> None:
    with database.writing() as connection:
        connection.executemany("INSERT INTO word VALUES (?)", [(word,) for word in words])


def read(database: SqliteDatabase) -> list[str]:
    with database.reading() as connection:
        rows = connection.execute("SELECT text FROM word ORDER BY rowid").fetchall()
    return [row["text"] for row in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "stores" / "shop" / "words.sqlite3"


@pytest.fixture
def filled(path: Path) -> SqliteDatabase:
    """Long enough for several pages."""
    database = opened(path)
    write(database, *(f"{number:04d}" * 20 for number in range(300)))
    return database


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize("texts", [["a\0"], ["one", "\0"]])
def test_a_text_with_a_nul_character_is_refused(path: Path, texts: list[str]) -> None:
    """Other engines cannot hold it, and what one of them keeps another has to take."""
    database = opened(path)

    with pytest.raises(ConstraintError, match="a NUL character"):
        write(database, *texts)
    with pytest.raises(ConstraintError), database.writing() as connection:
        connection.execute("INSERT INTO word VALUES (:text)", {"text": texts[-1]})

    assert read(database) == []
    with database.reading() as connection:
        assert (
            connection.execute("SELECT * FROM word WHERE text = ?", (texts[-1],)).fetchall() == []
        )


# Private


def test_only_its_user_can_see_it_whatever_the_umask(
    umask: None, path: Path, tmp_path: Path
) -> None:
    write(opened(path), "one")

    folders = [each for each in (tmp_path / "state").rglob("*") if each.is_dir()]
    assert {mode(each) for each in [tmp_path / "state", *folders]} == {0o700}
    assert names_in(path.parent) == {"words.sqlite3", "words.made", "words.checked"}
    assert {mode(each) for each in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("which", "wide", "tight"), [("file", 0o644, 0o600), ("folder", 0o755, 0o700)]
)
def test_what_others_can_read_is_closed(path: Path, which: str, wide: int, tight: int) -> None:
    database = opened(path)
    write(database, "one")
    target = path if which == "file" else path.parent
    target.chmod(wide)

    assert read(database) == ["one"]
    assert mode(target) == tight


@pytest.mark.parametrize("which", ["file", "folder"])
@pytest.mark.parametrize("others", [0o020, 0o002])
def test_what_others_can_write_is_refused(path: Path, which: str, others: int) -> None:
    database = opened(path)
    write(database, "one")
    target, right = (path, 0o600) if which == "file" else (path.parent, 0o700)
    target.chmod(right | others)

    with pytest.raises(SetupError, match="must belong to this user alone") as refusal:
        write(database, "two")

    assert f"{target} is not safe to keep the test file in" in refusal.value.happened
    assert f"chmod {right:o} '{target}'" in refusal.value.next_step
    assert mode(target) == right | others
    target.chmod(right)
    assert read(database) == ["one"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take names of text alone")
def test_a_folder_whose_name_is_no_text_will_do(tmp_path: Path) -> None:
    database = opened(tmp_path / os.fsdecode(b"d\xff?#%") / "words.sqlite3")
    write(database, "one")

    assert read(database) == ["one"]


def test_a_link_in_place_of_the_file_is_refused(path: Path) -> None:
    database = opened(path)
    write(database, "one")
    elsewhere = path.rename(path.with_name("elsewhere"))
    path.symlink_to(elsewhere)

    with pytest.raises(SetupError, match="be no link"):
        write(database, "two")

    assert read(opened(elsewhere)) == ["one"]


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(mode=0o700), lambda path: os.mkfifo(path, 0o600)]
)
def test_what_is_no_file_is_refused(path: Path, make: Callable[[Path], None]) -> None:
    write(opened(path), "one")
    path.unlink()
    make(path)

    with pytest.raises(SetupError, match="must belong to this user alone"):
        read(opened(path))


def test_a_link_in_place_of_the_folder_is_refused(path: Path) -> None:
    write(opened(path), "one")
    elsewhere = path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to(elsewhere)

    with pytest.raises(SetupError, match="be no link"):
        write(opened(path), "two")

    assert read(opened(elsewhere / path.name)) == ["one"]


def test_a_link_to_nothing_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    path.symlink_to(tmp_path / "planted")

    with pytest.raises(SetupError, match="be no link"):
        write(opened(path), "one")

    assert not (tmp_path / "planted").exists()


def test_what_belongs_to_somebody_else_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(opened(path), "one")
    monkeypatch.setattr(folders, "_OWNER", lambda: os.geteuid() + 1)

    with pytest.raises(SetupError, match="must belong to this user alone"):
        read(opened(path))


def test_a_folder_above_that_others_may_write_is_refused_as_long_as_they_may(path: Path) -> None:
    database = opened(path)
    write(database, "one")
    above = path.parents[1]
    above.chmod(0o777)

    for each in (database, opened(path)):
        with pytest.raises(SetupError, match="could replace the test file") as refusal:
            write(each, "two")
        with pytest.raises(SetupError, match="could replace the test file"):
            read(each)

    assert f"chmod go-w '{above}'" in refusal.value.next_step
    above.chmod(0o700)
    assert read(database) == ["one"]


def test_nothing_is_noted_below_a_folder_that_others_may_write(path: Path) -> None:
    path.parents[1].mkdir(parents=True)
    path.parents[1].chmod(0o777)

    with pytest.raises(SetupError, match="could replace the test file"):
        write(opened(path), "one")

    assert names_in(path.parent) == set()


def test_where_there_are_no_owners_the_profile_folder_is_trusted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_OWNER", None)
    write(opened(path), "one")
    path.chmod(0o666)

    assert read(opened(path)) == ["one"]
    assert mode(path) == 0o666


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    with pytest.raises(SetupError, match=r"cannot be used \(NotADirectoryError\)") as refusal:
        write(opened(tmp_path / "state" / "stores" / "words.sqlite3"), "one")

    assert str(tmp_path / "state" / "stores") in refusal.value.next_step


def test_a_folder_that_cannot_be_looked_into_is_not_an_empty_one(common_folder: Path) -> None:
    folder = common_folder / "shop"
    database = opened(folder / "words.sqlite3")
    write(database, "one")
    folder.chmod(0)

    assert database.exists
    with pytest.raises(SetupError, match=r"cannot be used \(PermissionError\)"):
        read(database)


# Never replaced


def test_nothing_is_made_before_it_is_needed(path: Path) -> None:
    database = opened(path)

    assert not database.exists
    assert not path.parent.exists()
    write(database, "one")
    assert database.exists


def test_a_file_that_is_gone_is_never_made_anew_in_silence(path: Path) -> None:
    database = opened(path)
    write(database, "one")
    path.unlink()

    for later in (database, opened(path)):
        assert later.exists
        with pytest.raises(SetupError, match=f"is gone: {path}") as refusal:
            write(later, "two")

    assert str(path.with_suffix(".made")) in refusal.value.next_step
    assert not path.exists()


def test_a_file_that_goes_with_its_mark_is_missed_by_whoever_used_it(path: Path) -> None:
    database = opened(path)
    write(database, "one")
    path.unlink()
    path.with_suffix(".made").unlink()

    assert database.exists
    for use in (read, lambda gone: write(gone, "two")):
        with pytest.raises(SetupError, match=f"is gone: {path}"):
            use(database)

    assert not path.exists()


def test_a_file_that_is_gone_begins_anew_where_a_person_wants_that(path: Path) -> None:
    write(opened(path), "one")
    path.unlink()
    path.with_suffix(".made").unlink()

    write(opened(path), "two")

    assert read(opened(path)) == ["two"]


def test_the_mark_of_a_file_is_made_again_where_it_was_lost(path: Path) -> None:
    write(opened(path), "one")
    path.with_suffix(".made").unlink()

    assert opened(path).exists
    assert read(opened(path)) == ["one"]
    assert mode(path.with_suffix(".made")) == 0o600


@pytest.mark.parametrize("is_same_process", [True, False])
@pytest.mark.parametrize("moment", [1, 2])
def test_two_that_begin_at_once_share_one_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, moment: int, is_same_process: bool
) -> None:
    ours = opened(path)
    theirs = ours if is_same_process else opened(path)
    asked: list[Path] = []
    really = module._stands

    def and_then_somebody_else_is_faster(asked_for: Path) -> bool:
        answer = really(asked_for)
        asked.append(asked_for)
        if len(asked) == moment:
            write(theirs, "theirs")
        return answer

    monkeypatch.setattr(module, "_stands", and_then_somebody_else_is_faster)
    write(ours, "ours")

    assert read(opened(path)) == ["theirs", "ours"]
    assert names_in(path.parent) == {"words.sqlite3", "words.made", "words.checked"}


def test_two_processes_that_begin_at_once_share_one_file(path: Path, another: Start) -> None:
    code = """
meet("ready")
with SqliteDatabase(path, first, "the test file").writing() as connection:
    connection.execute("INSERT INTO word VALUES (?)", (sys.argv[2],))
"""
    both = [another(code, path, word, before=IN_A_PROCESS) for word in ("one", "two")]
    for each in both:
        assert each.hear() == "ready"
    for each in both:
        each.go_on()
    for each in both:
        each.end()

    assert sorted(read(opened(path))) == ["one", "two"]


# Whole


def shorten(path: Path, to: int) -> None:
    with path.open("r+b") as file:
        file.truncate(to)


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def other_kind(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE word (text TEXT)")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


def unfinished(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {FIRST.application_id}")
    connection.close()


DAMAGES = {
    "empty": lambda path: shorten(path, 0),
    "cut off": lambda path: shorten(path, 6000),
    "cut at a page": lambda path: shorten(path, 4096 * 3),
    "no header": lambda path: flip(path, 3),
    "first page": lambda path: flip(path, 100),
    "kind of a page": lambda path: flip(path, 4096),
    "cells of a page": lambda path: flip(path, 4096 * 2 + 4),
    "cells of a page that a new word does not touch": lambda path: flip(path, 4096 * 4 + 4),
    "text instead": lambda path: path.write_text(
        "Not a database, but long enough to be one." * 200
    ),
    "another kind": other_kind,
    "unfinished": unfinished,
}


@pytest.mark.parametrize("is_open", [True, False], ids=["while in use", "before"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_is_refused_and_left_as_it_is(
    filled: SqliteDatabase, path: Path, how: str, is_open: bool
) -> None:
    damage: Callable[[Path], object] = DAMAGES[how]
    damage(path)
    os.utime(path, (1, 1))  # some other time than that of the last write, which was just now
    left = path.read_bytes()
    database = filled if is_open else opened(path)

    with pytest.raises(SetupError, match=f"is damaged: {path}") as refusal:
        write(database, "new")

    assert "backup" in refusal.value.next_step
    assert path.read_bytes() == left


def break_rules(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '')")
        connection.execute("PRAGMA writable_schema = RESET")
        connection.execute("UPDATE word SET text = NULL WHERE text = 'two'")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'TEXT', 'TEXT NOT NULL')")
    connection.close()


def test_a_file_that_breaks_its_own_rules_is_damaged(path: Path) -> None:
    write(opened(path), "one", "two")
    break_rules(path)

    with pytest.raises(SetupError, match="is damaged"):
        read(opened(path))


@pytest.mark.parametrize("is_same_process", [True, False])
def test_a_file_that_nobody_touched_since_it_was_found_good_is_not_checked_again(
    path: Path, is_same_process: bool
) -> None:
    """It takes long, and a file that looks as it did holds what it did."""
    reader = opened(path)
    write(reader, "one", "two")
    looks = path.stat()
    break_rules(path)
    os.utime(path, ns=(looks.st_atime_ns, looks.st_mtime_ns))

    assert read(reader if is_same_process else opened(path)) == ["one", None]


@pytest.mark.parametrize("proof", [b"", b"[1, 2", b"3", b'"x"', b"[1, 2, 3, 4]", b"\xff", None])
def test_without_a_proof_that_it_was_found_good_all_of_it_is_checked(
    path: Path, proof: bytes | None
) -> None:
    write(opened(path), "one", "two")
    looks = path.stat()
    break_rules(path)
    os.utime(path, ns=(looks.st_atime_ns, looks.st_mtime_ns))
    kept = path.with_suffix(".checked")
    kept.unlink()
    if proof is not None:
        kept.write_bytes(proof)
        kept.chmod(0o600)

    with pytest.raises(SetupError, match="is damaged"):
        read(opened(path))


def test_a_proof_is_written_only_where_the_file_looks_otherwise(path: Path) -> None:
    write(opened(path), "one")
    proof = path.with_suffix(".checked")
    os.utime(proof, ns=(0, 0))

    assert read(opened(path)) == ["one"]
    assert proof.stat().st_mtime_ns == 0

    write(opened(path), "two")
    assert proof.stat().st_mtime_ns > 0


def test_a_file_that_is_not_checked_whole_has_no_proof(path: Path) -> None:
    mirror = SqliteDatabase(path, FIRST, "the test file", suspicious=False, checked_whole=False)
    write(mirror, "one", "two")
    break_rules(path)

    assert read(mirror) == ["one", None]
    assert not path.with_suffix(".checked").exists()


def test_a_name_that_cannot_be_seen_may_be_taken(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()

    assert opened(tmp_path / "folder" / "words.sqlite3").exists
    assert not opened(tmp_path / "words.sqlite3").exists


def test_a_proof_that_others_may_have_written_counts_for_nothing(path: Path) -> None:
    write(opened(path), "one", "two")
    looks = path.stat()
    break_rules(path)
    os.utime(path, ns=(looks.st_atime_ns, looks.st_mtime_ns))
    path.with_suffix(".checked").chmod(0o666)

    with pytest.raises(SetupError, match="is damaged"):
        read(opened(path))


def test_every_write_waits_for_the_disk(path: Path) -> None:
    write(opened(path), "one")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()

    with opened(path).writing() as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]

    assert found == ["delete", 3, 1]


def test_a_process_that_is_killed_while_writing_leaves_the_file_whole(
    path: Path, another: Start
) -> None:
    write(opened(path), "before")
    process = another(
        """
with SqliteDatabase(path, first, "the test file").writing() as connection:
    connection.execute("PRAGMA cache_size = 2")
    for number in range(2000):
        connection.execute("INSERT INTO word VALUES (?)", (f"{number:04d}" * 20,))
    meet("written, not committed")
""",
        path,
        before=IN_A_PROCESS,
    )
    assert process.hear() == "written, not committed"
    process.kill()
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    assert path.stat().st_size > 50_000

    assert read(opened(path)) == ["before"]
    write(opened(path), "after")
    assert read(opened(path)) == ["before", "after"]


def test_a_transaction_that_fails_keeps_nothing(path: Path) -> None:
    database = opened(path)
    write(database, "one")

    def add_two_and_fail() -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('two')")
            raise KeyError("two")

    with pytest.raises(KeyError):
        add_two_and_fail()
    with pytest.raises(ConstraintError):
        write(database, "three", "one")

    assert read(database) == ["one"]


def test_what_sqlite_rolled_back_by_itself_keeps_nothing(path: Path) -> None:
    database = opened(path)
    write(database, "one")

    def add_the_same_twice() -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('two')")
            connection.execute("INSERT OR ROLLBACK INTO word VALUES ('one')")

    with pytest.raises(ConstraintError):
        add_the_same_twice()

    assert read(database) == ["one"]


# Versions


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    write(opened(path, SECOND), "one")
    left = path.read_bytes()

    with pytest.raises(SetupError, match="newer version of clawver-orders") as refusal:
        write(opened(path), "two")

    assert "update clawver-orders" in refusal.value.next_step
    assert path.read_bytes() == left


def test_an_older_file_is_brought_up_to_date(path: Path) -> None:
    write(opened(path), "one", "two")

    database = opened(path, SECOND)

    with database.reading() as connection:
        assert connection.execute("SELECT words FROM count").fetchall()[0]["words"] == 2
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 2
    assert read(database) == ["one", "two"]


def test_a_new_file_has_its_whole_past_behind_it(path: Path) -> None:
    with opened(path, SECOND).reading() as connection:
        assert connection.execute("SELECT words FROM count").fetchone()["words"] == 0
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 2
        assert connection.execute("PRAGMA application_id").fetchone()[0] == 0x74657374


def test_a_migration_happens_whole_or_not_at_all(path: Path) -> None:
    write(opened(path), "one")
    broken = Schema(
        FIRST.application_id, (WORDS, "CREATE TABLE half (n INTEGER);\nDROP TABLE nowhere;\n")
    )

    with pytest.raises(SetupError, match=r"cannot be written \(SQLITE_ERROR\)"):
        read(opened(path, broken))

    assert read(opened(path)) == ["one"]
    with opened(path).reading() as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        ).fetchall()
    assert [row["name"] for row in tables] == ["word"]


def test_two_processes_that_migrate_at_once_do_it_once(path: Path, another: Start) -> None:
    write(opened(path), "one")
    code = """
meet("ready")
with SqliteDatabase(path, second, "the test file").reading() as connection:
    print(connection.execute("SELECT count(*) FROM count").fetchone()[0])
"""
    both = [another(code, path, before=IN_A_PROCESS) for _ in range(2)]
    for each in both:
        assert each.hear() == "ready"
    for each in both:
        each.go_on()

    assert [each.hear() for each in both] == ["1", "1"]


@pytest.mark.parametrize("reached", [2, 3])
def test_a_migration_that_another_program_ran_first_is_not_run_again(
    path: Path, reached: int
) -> None:
    theirs = Schema(FIRST.application_id, (WORDS, COUNTS, "CREATE TABLE late (n);\n")[:reached])
    write(opened(path), "one")

    class Overtaken(SqliteDatabase):
        def _version(self, connection: sqlite3.Connection) -> int:
            version = super()._version(connection)
            if not connection.in_transaction:
                read(opened(path, theirs))
            return version

    database = Overtaken(path, SECOND, "the test file")
    if reached == SECOND.version:
        assert read(database) == ["one"]
    else:
        with pytest.raises(SetupError, match="newer version"):
            read(database)

    with opened(path, theirs).reading() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == reached


# In the way


def test_a_file_that_another_process_holds_is_said_in_bounded_time(
    path: Path, another: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    database = opened(path)
    write(database, "one")
    process = another(
        """
import sqlite3
connection = sqlite3.connect(path, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
meet("held")
""",
        path,
        before=IN_A_PROCESS,
    )
    assert process.hear() == "held"

    for attempt in (lambda: write(database, "two"), lambda: read(opened(path))):
        with pytest.raises(UnreachableError, match="Another program holds the file") as refusal:
            attempt()
    assert str(path) in refusal.value.next_step

    process.go_on()
    process.end()
    write(database, "three")
    assert read(database) == ["one", "three"]


def test_a_writer_waits_for_its_turn(path: Path, another: Start) -> None:
    write(opened(path), "one")
    process = another(
        """
with SqliteDatabase(path, first, "the test file").writing() as connection:
    meet("held")
    connection.execute("INSERT INTO word VALUES ('theirs')")
""",
        path,
        before=IN_A_PROCESS,
    )
    assert process.hear() == "held"
    process.go_on()
    write(opened(path), "ours")

    assert read(opened(path)) == ["one", "theirs", "ours"]


def test_a_disk_that_is_full_keeps_nothing(path: Path) -> None:
    database = opened(path)
    write(database, "one")

    def write_more_than_fits() -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('two')")
            connection.execute("PRAGMA max_page_count = 4")
            connection.execute("INSERT INTO word VALUES (?)", ("x" * 50_000,))

    with pytest.raises(SetupError, match="The disk is full, so the test file") as refusal:
        write_more_than_fits()

    assert "make room" in refusal.value.next_step
    assert read(database) == ["one"]


def test_a_file_that_may_not_grow_keeps_nothing(path: Path, another: Start) -> None:
    write(opened(path), "one")
    process = another(
        """
import resource, signal
from clawver_orders.errors import SetupError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, resource.RLIM_INFINITY))
try:
    with SqliteDatabase(path, first, "the test file").writing() as connection:
        connection.execute("INSERT INTO word VALUES ('two')")
        connection.execute("INSERT INTO word VALUES (?)", ("x" * 50_000,))
except SetupError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
""",
        path,
        before=IN_A_PROCESS,
    )

    assert "cannot be written (SQLITE_IOERR" in process.hear()
    process.end()
    assert read(opened(path)) == ["one"]


def test_where_nothing_can_be_written_it_can_still_be_read(common_folder: Path) -> None:
    path = common_folder / "shop" / "words.sqlite3"
    database = opened(path)
    write(database, "one")
    path.chmod(0o400)

    for later in (database, opened(path)):
        assert read(later) == ["one"]
        with pytest.raises(SetupError, match=r"cannot be written \(SQLITE_READONLY") as refusal:
            write(later, "two")
    assert f"make {path} writable" in refusal.value.next_step


def test_a_folder_that_cannot_be_written_keeps_nothing(common_folder: Path) -> None:
    path = common_folder / "shop" / "words.sqlite3"
    write(opened(path), "one")
    path.parent.chmod(0o500)

    with pytest.raises(
        SetupError, match=r"cannot be written \(SQLITE_(READONLY_DIRECTORY|CANTOPEN)\)"
    ):
        write(opened(path), "two")

    assert read(opened(path)) == ["one"]


def test_a_name_with_signs_of_an_address_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "100% #1?mode=memory" / "words.sqlite3"

    write(opened(path), "one")

    assert path.is_file()
    assert read(opened(path)) == ["one"]


def test_every_table_of_every_file_takes_only_what_it_was_made_for(tmp_path: Path) -> None:
    """A text where a number of cents belongs is refused by SQLite itself."""
    ledger = Ledger(tmp_path / "ledger.sqlite3", now)
    pin = Pin(tmp_path, now)
    changes = Changes(tmp_path, now)
    inbox = Inbox(tmp_path / "inbox.sqlite3", timedelta(days=1))
    mirror = Mirror(tmp_path / "history.sqlite3", timedelta(days=1))
    parts = (ledger, pin, changes, inbox, mirror)
    for database in (part._database for part in parts):
        with database.writing() as connection:
            kinds = {
                row["name"]: row["strict"]
                for row in connection.execute("PRAGMA table_list")
                if row["type"] == "table" and not row["name"].startswith("sqlite_")
            }
        assert kinds
        assert set(kinds.values()) == {1}, kinds


def test_what_marks_a_file_as_its_kind_is_read_without_opening_it(tmp_path: Path) -> None:
    nothing, text, folder, marked = (
        tmp_path / name for name in ("nothing", "text", "folder", "marked")
    )
    text.write_text("SQLite format 4")
    folder.mkdir()
    with closing(sqlite3.connect(marked)) as file:
        file.execute("PRAGMA application_id = 7")

    assert [kind_of(each) for each in (nothing, text, folder, marked)] == [None, 0, 0, 7]
