"""Tables that several machines share: one writer at a time, and no doubt about what was kept."""

import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.postgres import Cluster, Schemas, cluster

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.storage import postgres, postgres_server
from clawver_orders.storage.database import ConstraintError, Database
from clawver_orders.storage.postgres import PostgresDatabase, never_emptied, triggers
from clawver_orders.storage.postgres_server import PostgresServer

WORDS = "CREATE TABLE word (text TEXT NOT NULL UNIQUE, number BIGINT NOT NULL DEFAULT 0);\n"
COUNTS = (
    "CREATE TABLE count (words BIGINT NOT NULL);\nINSERT INTO count SELECT count(*) FROM word;\n"
)
Serve = Callable[..., PostgresServer]


@pytest.fixture
def schema(schemas: Schemas) -> str:
    return schemas.another()


@pytest.fixture
def database(schemas: Schemas, schema: str) -> PostgresDatabase:
    return opened(schemas.server, schema)


@pytest.fixture
def other(schemas: Schemas, schema: str, serve: Serve) -> PostgresDatabase:
    """The same tables, from another process as it were."""
    return opened(serve(schemas.url), schema)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes connections to a server of their own, and leaves none open."""
    made: list[PostgresServer] = []

    def to(url: str, **how: float) -> PostgresServer:
        made.append(PostgresServer(url, **how))
        return made[-1]

    yield to
    for each in made:
        each.close()


def opened(server: PostgresServer, schema: str, *more: str) -> PostgresDatabase:
    return PostgresDatabase(server, schema, (WORDS, *more), "the test tables")


def write(database: Database, *words: str) -> None:
    with database.writing() as connection:
        connection.executemany("INSERT INTO word (text) VALUES (?)", [(word,) for word in words])


def read(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row["text"] for row in connection.execute("SELECT * FROM word ORDER BY text")]


# Transactions


def test_what_is_written_is_read(database: PostgresDatabase) -> None:
    assert database.exists
    assert read(database) == []
    write(database, "one", "two")

    assert read(database) == ["one", "two"]
    with database.read_or_empty() as connection:
        found = connection.execute("SELECT text, number FROM word WHERE text = ?", ("one",))
        row = found.fetchone()
    assert (row["text"], row["number"], list(row)) == ("one", 0, ["one", 0])
    database.prove()


def test_a_table_that_somebody_left_in_the_session_is_not_taken_for_one_of_ours(
    database: PostgresDatabase, schemas: Schemas
) -> None:
    """A pooler gives our sessions to others, and theirs to us."""
    write(database, "one")
    with schemas.server.connection() as connection:
        connection.execute("CREATE TEMPORARY TABLE word (text TEXT)")
    try:
        assert read(database) == ["one"]
        write(database, "two")
        assert read(database) == ["one", "two"]
    finally:
        with schemas.server.connection() as connection:
            connection.execute("DROP TABLE pg_temp.word")


def test_a_transaction_that_fails_keeps_nothing(database: PostgresDatabase) -> None:
    write(database, "one")

    def add_two_and_fail() -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('two')")
            raise KeyError

    with pytest.raises(KeyError):
        add_two_and_fail()
    with pytest.raises(ConstraintError):
        write(database, "three", "one")
    with pytest.raises(ConstraintError), database.writing() as connection:
        connection.execute("INSERT INTO word VALUES ('four', ?)", ("many",))

    assert read(database) == ["one"]


def test_a_transaction_goes_on_after_no_error(database: PostgresDatabase) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK then, which is no error to it."""

    def go_on() -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('one')")
            with suppress(ConstraintError):
                connection.execute("INSERT INTO word VALUES ('one')")

    with pytest.raises(ConstraintError, match="failed before"):
        go_on()
    assert read(database) == []


@pytest.mark.parametrize("texts", [["a\0"], ["one", "\0"]])
def test_a_text_with_a_nul_character_is_refused(
    database: PostgresDatabase, texts: list[str]
) -> None:
    with pytest.raises(ConstraintError, match="a NUL character"):
        write(database, *texts)
    with pytest.raises(ConstraintError), database.writing() as connection:
        connection.execute("INSERT INTO word VALUES (?)", (texts[-1],))

    assert read(database) == []


def test_nothing_is_written_by_looking(database: PostgresDatabase) -> None:
    with (
        pytest.raises(UnreachableError, match="takes no changes of the test tables"),
        database.reading() as connection,
    ):
        connection.execute("INSERT INTO word VALUES ('one')")


def test_what_is_looked_at_is_of_one_time(
    database: PostgresDatabase, other: PostgresDatabase
) -> None:
    with database.reading() as connection:
        before = connection.execute("SELECT * FROM word").fetchall()
        write(other, "one")
        assert connection.execute("SELECT * FROM word").fetchall() == before == []

    assert read(database) == ["one"]


def test_a_writer_waits_for_the_one_before_it_and_sees_what_that_wrote(
    database: PostgresDatabase, other: PostgresDatabase
) -> None:
    """A sum of what was there when it began to wait would overspend a limit."""
    seen: list[int] = []
    database.prove()

    def count_and_write() -> None:
        with other.writing() as connection:
            seen.append(len(connection.execute("SELECT * FROM word").fetchall()))

    second = threading.Thread(target=count_and_write)
    with database.writing() as connection:
        connection.execute("INSERT INTO word VALUES ('one')")
        second.start()
        wait_for(lambda: waiting(database) == 1)
        assert not seen
    second.join()

    assert seen == [1]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def waiting(database: PostgresDatabase) -> int:
    """How many transactions wait for a lock in this schema."""
    with database.reading() as connection:
        [(count,)] = connection.execute(
            "SELECT COUNT(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE NOT granted AND query LIKE '%' || ? || '%'",
            (f'"{database.schema}"',),
        ).fetchall()
    return int(count)


def test_a_writer_that_waits_too_long_says_so(
    database: PostgresDatabase, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.05)
    late = opened(schemas.server, database.schema)
    late.prove()
    with (
        database.writing(),
        pytest.raises(UnreachableError, match="Another server is working on the test tables"),
    ):
        late.prove()


# What is made, once


def test_a_newer_version_carries_over_what_is_there(
    schemas: Schemas, database: PostgresDatabase
) -> None:
    write(database, "one", "two")
    newer = opened(schemas.server, database.schema, COUNTS)

    with newer.reading() as connection:
        assert [list(row) for row in connection.execute("SELECT * FROM count")] == [[2]]
    for late in (
        database,
        opened(schemas.server, database.schema),
    ):  # which knew it, and which didn't
        with pytest.raises(SetupError, match="written by a newer version"):
            read(late)
        with pytest.raises(SetupError, match="written by a newer version"):
            write(late, "three")
    assert read(newer) == ["one", "two"]


def test_a_version_that_fails_leaves_the_one_before_it(
    schemas: Schemas, database: PostgresDatabase
) -> None:
    write(database, "one")
    broken = opened(schemas.server, database.schema, COUNTS + "SELECT nonsense;")

    with pytest.raises(SetupError, match="the test tables in the database cannot be used"):
        broken.prove()

    assert read(database) == ["one"]
    opened(schemas.server, database.schema, COUNTS).prove()


def test_two_that_begin_at_once_make_the_tables_once(
    database: PostgresDatabase, other: PostgresDatabase
) -> None:
    both = [threading.Thread(target=write, args=each) for each in ((database, "a"), (other, "b"))]
    for each in both:
        each.start()
    for each in both:
        each.join()

    assert read(database) == ["a", "b"]


def test_a_schema_that_another_made_while_this_waited_is_seen(
    database: PostgresDatabase, schemas: Schemas
) -> None:
    """What a session knows of names is as old as its last lock of a table: PostgreSQL remembers too
    that there was no such schema, and making it again would fail.
    """
    opened(schemas.server, schemas.another()).prove()  # the session has locked tables before
    making = threading.Thread(target=write, args=(database, "one"))
    with psycopg.connect(schemas.url) as first:
        first.execute("SELECT pg_advisory_xact_lock(hashtext('clawver-orders'))")
        making.start()
        asks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: first.execute(asks).fetchone() is not None)
        first.execute(f'CREATE SCHEMA "{database.schema}"'.encode())
    making.join()

    assert read(database) == ["one"]


def test_tables_that_are_gone_are_not_made_again_in_silence(
    schemas: Schemas, database: PostgresDatabase
) -> None:
    write(database, "one")
    with schemas.server.connection() as connection:
        connection.execute(f'DROP SCHEMA "{database.schema}" CASCADE'.encode())

    for use in (read, write):
        with pytest.raises(SetupError, match="cannot be used"):
            use(database)
    with schemas.server.connection() as connection:
        connection.execute(f'CREATE SCHEMA "{database.schema}"'.encode())
        connection.execute(
            f'CREATE TABLE "{database.schema}".store (version BIGINT, seq BIGINT)'.encode()
        )
    with pytest.raises(SetupError, match="cannot be used"):
        read(database)


# Whether a transaction was kept whose end was not heard of


class Between:
    """Stands between a client and the server, and does as told with the end of a transaction."""

    def __init__(self, cluster: Cluster, folder: Path, how: str) -> None:
        self.how = how
        self._mute: set[socket.socket] = set()
        self._answered = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.url = re.sub(r"host=[^&]*", f"host={folder}", cluster.url)
        self._server = str(cluster.folder / ".s.PGSQL.5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._begin(self._accept)

    def _begin(self, work: Callable[..., None], *given: object) -> None:
        self._threads.append(threading.Thread(target=work, args=given, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._sockets += [client, server]
                self._begin(self._ask, client, server)
                self._begin(self._answer, client, server)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while words := client.recv(65536):
                if b"COMMIT\0" in words and self.how:
                    self._end(client, server, words)
                    break
                server.sendall(words)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while words := server.recv(65536):
                self._answered.set()
                if client not in self._mute:
                    client.sendall(words)
            client.shutdown(socket.SHUT_RDWR)

    def _end(self, client: socket.socket, server: socket.socket, words: bytes) -> None:
        how, self.how = self.how, ""
        self._mute.add(client)
        self._answered.clear()
        if how == "kept, and not answered":
            server.sendall(words)
            self._answered.wait()
        client.shutdown(socket.SHUT_RDWR)
        if how == "kept a moment later":
            time.sleep(0.5)
            server.sendall(words)
            self._answered.wait()

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in (self._listener, *self._sockets):
            each.close()


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that a test may break."""
    with cluster() as made:
        yield made


@pytest.fixture
def between(own: Cluster) -> Iterator[Callable[[str], Between]]:
    made: list[Between] = []
    folder = Path(tempfile.mkdtemp(dir=own.folder))

    def stand(how: str) -> Between:
        made.append(Between(own, folder, how))
        return made[-1]

    yield stand
    for each in made:
        each.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "is_kept"),
    [("kept, and not answered", True), ("kept a moment later", True), ("lost", False)],
)
def test_it_is_found_out_whether_a_transaction_was_kept(
    serve: Serve, between: Callable[[str], Between], how: str, is_kept: bool
) -> None:
    """A look that waits for nobody sees nothing, and the row lands after it."""
    proxy = between("")
    server = serve(proxy.url)
    database = opened(server, re.sub("[^a-z]", "_", how))
    write(database, "before")
    proxy.how = how

    if is_kept:
        write(database, "one")
    else:
        with pytest.raises(UnreachableError, match="The database of the test tables cannot be"):
            write(database, "one")

    assert read(database) == ["before", "one"][: 1 + is_kept]


@pytest.mark.slow
def test_where_it_cannot_be_found_out_it_is_said(
    serve: Serve, own: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "IN_DOUBT_SECONDS", 0.3)
    server = serve(own.url)
    database = opened(server, "in_doubt")
    database.prove()

    def write_while_it_ends() -> None:
        with database.writing() as connection:
            connection.execute("INSERT INTO word VALUES ('one')")
            own.stop()

    with pytest.raises(UnreachableError, match="isn't known whether that was kept"):
        write_while_it_ends()
    own.start()

    assert read(opened(serve(own.url), "in_doubt")) == []


# A server that is not there, or does not answer


@pytest.mark.slow
def test_a_server_that_comes_back_is_used_again(serve: Serve, own: Cluster) -> None:
    server = serve(own.url)
    database = opened(server, "comes_back")
    write(database, "one")
    own.stop("fast")
    with pytest.raises(
        UnreachableError, match=r"The database of the test tables cannot be reached"
    ):
        read(database)
    own.start()
    server._down_until = 0.0

    assert read(database) == ["one"]


def test_a_connection_that_the_server_closed_is_not_used(
    database: PostgresDatabase, schemas: Schemas
) -> None:
    write(database, "one")
    with schemas.server.connection() as connection:
        pid = connection.info.backend_pid
    with psycopg.connect(schemas.url, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    assert read(database) == ["one"]


def test_a_connection_that_was_idle_for_long_is_not_used(
    database: PostgresDatabase, schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    with schemas.server.connection() as connection:
        before = connection.info.backend_pid
    monkeypatch.setattr(postgres_server, "IDLE_SECONDS", 0.0)

    with schemas.server.connection() as connection:
        assert connection.info.backend_pid != before


def test_an_outage_is_remembered_for_a_while(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    connect = psycopg.connect

    def counted(*given: Any, **named: Any) -> object:
        tried.append(given)
        return connect(*given, **named)

    monkeypatch.setattr(psycopg, "connect", counted)
    server = serve(f"postgresql:///none?host={tmp_path}")
    database = opened(server, "none")
    for _ in range(3):
        with pytest.raises(UnreachableError, match="cannot be reached"):
            read(database)
    assert len(tried) == 1

    server._down_until = 0.0
    with pytest.raises(UnreachableError):
        read(database)
    assert len(tried) == 2


def test_a_server_that_takes_no_changes_is_not_reached(serve: Serve, schemas: Schemas) -> None:
    sign = "&" if "?" in schemas.url else "?"
    server = serve(f"{schemas.url}{sign}options=-c%20default_transaction_read_only%3Don")

    with pytest.raises(UnreachableError, match="takes no changes of the test tables just now"):
        read(opened(server, "read_only"))


def test_an_answer_that_does_not_come_is_not_waited_for(
    serve: Serve, schemas: Schemas, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg alone would wait for ever where a packet is swallowed."""
    opened(schemas.server, schema).prove()
    server = serve(schemas.url, deadline_seconds=0.5)
    database = opened(server, schema)
    began = time.monotonic()

    with (
        pytest.raises(UnreachableError, match="cannot be reached"),
        database.reading() as connection,
    ):
        connection.execute("SELECT pg_sleep(4)")

    assert time.monotonic() - began < 3
    assert time.monotonic() < server._down_until


def test_the_database_gives_up_a_statement_by_itself(
    schemas: Schemas, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 0.05)
    database = opened(schemas.server, schema)

    with (
        pytest.raises(UnreachableError, match="takes too long for the test tables"),
        database.reading() as connection,
    ):
        connection.execute("SELECT pg_sleep(4)")


def test_no_more_connections_are_made_than_a_server_is_given(
    serve: Serve, schemas: Schemas, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "MOST_CONNECTIONS", 1)
    server = serve(schemas.url, deadline_seconds=0.2)
    database = opened(server, schema)
    database.prove()

    with (
        database.reading(),
        pytest.raises(UnreachableError, match="takes no more connections"),
    ):
        read(database)


# Time, and rules


def test_the_clock_of_the_database_counts(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Behind:
        def now(self, zone: tzinfo) -> datetime:
            return datetime.now(zone) - timedelta(hours=1)

    assert database.clock_ahead == timedelta()
    monkeypatch.setattr(postgres, "datetime", Behind())

    read(database)

    assert abs(database.clock_ahead - timedelta(hours=1)) < timedelta(seconds=30)


RULES = """
CREATE TRIGGER short_words BEFORE INSERT ON word
WHEN NEW.text IS NOT (SELECT text FROM word WHERE text IS NEW.text) AND length(NEW.text) > 3
    AND NEW.text IS NOT NULL AND NOT NEW.number IS NULL
BEGIN SELECT RAISE(ABORT, 'that is long'); END;
CREATE TRIGGER numbers_grow
BEFORE UPDATE OF number ON word
WHEN NEW.number < OLD.number
BEGIN SELECT RAISE(ABORT, 'that is less'); END;
CREATE TRIGGER words_stay BEFORE DELETE ON word
BEGIN SELECT RAISE(ABORT, 'words stay'); END;
CREATE TRIGGER only_sqlite BEFORE INSERT ON word
BEGIN SELECT RAISE(IGNORE); END;
"""


def test_rules_are_carried_over_from_sqlite(schemas: Schemas, schema: str) -> None:
    database = opened(schemas.server, schema, triggers(RULES) + never_emptied(["word"]))
    write(database, "one")

    for work, why in (
        ("INSERT INTO word VALUES ('seven')", "that is long"),
        ("UPDATE word SET number = -1", "that is less"),
        ("DELETE FROM word", "words stay"),
        ("TRUNCATE word", "nothing is emptied"),
    ):
        with pytest.raises(ConstraintError, match=why), database.writing() as connection:
            connection.execute(work)
    with database.writing() as connection:
        connection.execute("UPDATE word SET number = 1, text = 'much longer'")
    assert read(database) == ["much longer"]
