"""Tables in PostgreSQL, for servers of several machines that work on one store.

Every transaction that writes begins by changing the one row that stands for all tables of its kind,
in a statement of its own and at READ COMMITTED: so they come one after another, and each sees all
that those before it left. A sum in that same statement, or REPEATABLE READ, would see less.

It also leaves a token of its own. Where the connection is lost while a transaction is being committed,
another one looks for that token: it has to wait for the row until the one in doubt has ended.

Temporary tables come last where a name is looked up, since any user may make some: left out, they would come
first, and take the place of tables that a rule asks (https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH).

Nothing is kept in a session, so that a pooler which gives a connection to somebody else after each
transaction does no harm (https://www.pgbouncer.org/features.html).
"""

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NoReturn

import psycopg
from psycopg import sql

from clawver_orders.errors import ClawverError, SetupError, UnreachableError
from clawver_orders.storage.database import ConstraintError, Result, Value, check_texts
from clawver_orders.storage.postgres_server import PostgresServer

LOCK_SECONDS = 3.0
"""How long to wait for another server that is writing."""
STATEMENT_SECONDS = 5.0
"""How long the database works on one statement."""
IN_DOUBT_SECONDS = 15.0
"""How long to find out whether a transaction was kept whose end was not heard of."""
_PAUSE_SECONDS = 0.2
_TOKENS = 1000
"""So many transactions can come in between until nobody can tell any more."""
_BEGIN = """
BEGIN ISOLATION LEVEL {level};
SET LOCAL search_path TO {schema}, pg_temp;
SET LOCAL lock_timeout TO {lock};
SET LOCAL statement_timeout TO {statement};
SET LOCAL idle_in_transaction_session_timeout TO {idle};
{durability}
"""
_WRITING = "READ COMMITTED READ WRITE"
_READING = "REPEATABLE READ READ ONLY"
_FIRST = {
    _WRITING: """
WITH taken AS (UPDATE store SET seq = seq + 1 RETURNING seq, version),
    noted AS (INSERT INTO written (seq, token) SELECT seq, {token} FROM taken),
    pruned AS (DELETE FROM written WHERE seq <= (SELECT seq FROM taken) - {tokens})
SELECT seq, version, clock_timestamp() FROM taken
""",
    _READING: "SELECT seq, version, clock_timestamp() FROM store",
}
"""How a transaction begins, and its first statement, which waits for those before it."""
_ALONE = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT pg_advisory_xact_lock(hashtext('clawver-orders'));
SELECT 1 FROM pg_namespace WHERE nspname = {schema_name}
"""
"""IF NOT EXISTS would ask what this session remembers, which may be older than its wait."""
_MAKING = """
SET LOCAL search_path TO {schema}, pg_temp;
CREATE TABLE IF NOT EXISTS store (
    is_only BOOLEAN PRIMARY KEY CHECK (is_only), version BIGINT NOT NULL, seq BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS written (seq BIGINT PRIMARY KEY, token TEXT NOT NULL);
INSERT INTO store (is_only, version) VALUES (TRUE, 0) ON CONFLICT DO NOTHING;
SELECT version FROM store FOR UPDATE
"""
_GRANTING = """
GRANT USAGE ON SCHEMA {schema} TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}
"""
_TRIGGER = re.compile(
    r"CREATE TRIGGER (\w+)\s+BEFORE (INSERT|DELETE|UPDATE(?: OF [\w, ]+)?) ON (\w+)\s+"
    r"(?:WHEN (.*?)\s+)?BEGIN SELECT RAISE\(ABORT, '([^']*)'\); END;",
    re.DOTALL,
)
_ON_ITS_WAY = "Repeat the call in a minute. If it stays, a person must look at the database."
_PERSON = "A person must look at the database; its own log says more."
_TROUBLE: dict[str, tuple[type[ClawverError], str, str]] = {
    "55P03": (UnreachableError, "Another server is working on {name}.", _ON_ITS_WAY),
    "57014": (UnreachableError, "The database takes too long for {name}.", _ON_ITS_WAY),
    "25006": (UnreachableError, "The database takes no changes of {name} just now.", _ON_ITS_WAY),
    "53300": (UnreachableError, "The database of {name} takes no more connections.", _ON_ITS_WAY),
    "53100": (
        SetupError,
        "The disk of the database is full, so {name} cannot be written.",
        _PERSON,
    ),
    "28P01": (
        SetupError,
        "The database does not accept the password for {name}.",
        "A person must correct CLAWVER_DATABASE_URL where the server is configured.",
    ),
    "28000": (
        SetupError,
        "The database does not let this user in, so {name} cannot be used.",
        "A person must correct CLAWVER_DATABASE_URL where the server is configured, or let that user in.",
    ),
    "3D000": (
        SetupError,
        "The database of {name} does not exist.",
        "A person must create it, or correct CLAWVER_DATABASE_URL where the server is configured.",
    ),
    "42501": (
        SetupError,
        "The database doesn't let this server work on {name}.",
        "A person must look at the database. Where another user owns the tables, they run "
        "clawver-orders database grant with that user's address.",
    ),
    "42704": (
        SetupError,
        "The database knows no such user.",
        "Create it there, then run this again.",
    ),
}
"""What goes wrong, by PostgreSQL's codes (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""
_UNREACHED = (UnreachableError, "The database of {name} cannot be reached.", _ON_ITS_WAY)
_UNUSABLE = (SetupError, "The tables of {name} in the database cannot be used.", _PERSON)
_IN_DOUBT = (
    UnreachableError,
    "The database was lost while it wrote {name}, so it isn't known whether that was kept.",
    _ON_ITS_WAY,
)
_NEWER = (
    SetupError,
    "The tables of {name} were written by a newer version of clawver-orders.",
    "A person must update clawver-orders here too.",
)

_OWNS = (
    SetupError,
    "This user owns the tables of {name}, or may become their owner. Nothing was granted.",
    "Run this with the address of another user, which is to own the tables, and name the one that servers use.",
)

_OWNED_BY_ANOTHER = (
    SetupError,
    "Another user owns the tables of {name}.",
    "Run this with the address of that user in CLAWVER_DATABASE_URL.",
)


def triggers(rules: str) -> str:
    """Rules of tables as PostgreSQL has them.

    Args:
        rules: Triggers in SQLite's words, each of which refuses a change in one way:
            `BEFORE … WHEN … BEGIN SELECT RAISE(ABORT, '…'); END;`. Anything else is left out.

    Returns:
        A function and a trigger for each of them, by the same name.
    """
    found = []
    for name, event, table, condition, why in _TRIGGER.findall(rules):
        # SQLite learned IS DISTINCT FROM in version 3.39.
        when = re.sub(r"\bIS NOT (?!NULL)", "IS DISTINCT FROM ", condition or "TRUE")
        when = re.sub(r"\bIS (?!NULL|NOT NULL|DISTINCT)", "IS NOT DISTINCT FROM ", when)
        found.append(f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $rule$
BEGIN
    IF {when} THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = '{why}';
    END IF;
    RETURN {"OLD" if event == "DELETE" else "NEW"};
END $rule$;
CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}();
""")
    return "".join(found)


def never_emptied(tables: Iterable[str]) -> str:
    """Triggers that refuse TRUNCATE, which asks no trigger about any row.

    Args:
        tables: The names of the tables.
    """
    refusing = "".join(
        f"CREATE TRIGGER {table}_is_not_emptied BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION no_table_is_emptied();\n"
        for table in tables
    )
    return f"""
CREATE FUNCTION no_table_is_emptied() RETURNS trigger LANGUAGE plpgsql AS $rule$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = 'nothing is emptied';
END $rule$;
{refusing}"""


@lru_cache(maxsize=256)
def _translated(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


class _Connection:
    """One transaction, in the words of every engine."""

    def __init__(self, inner: psycopg.Connection[Any]) -> None:
        self._inner = inner

    def execute(self, statement: str, values: Sequence[Value] = (), /) -> Result:
        check_texts(values)
        try:
            return self._inner.execute(_translated(statement), values)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise ConstraintError(str(error)) from error

    def executemany(self, statement: str, rows: Iterable[Sequence[Value]], /) -> Result:
        cursor = self._inner.cursor()
        every = list(rows)
        for values in every:
            check_texts(values)
        try:
            cursor.executemany(_translated(statement), every)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            raise ConstraintError(str(error)) from error
        return cursor


class PostgresDatabase:
    """The tables of one kind of one store.

    Args:
        server: The database.
        schema: The name of their schema there. It is made when it is first used, and has nothing else in it.
        steps: One script for each version, oldest first.
        name: What a person calls it, as in "the refund ledger".
        may_be_lost: Whether a crash may take what was kept last: then nothing waits for a disk or a standby.
    """

    is_shared = True
    exists = True

    def __init__(
        self,
        server: PostgresServer,
        schema: str,
        steps: tuple[str, ...],
        name: str,
        *,
        may_be_lost: bool = False,
    ) -> None:
        self.schema = schema
        self._server = server
        self._steps = steps
        self._name = name
        self._is_made = False
        self._fixed = {
            "schema": sql.Identifier(schema),
            "schema_name": sql.Literal(schema),
            "lock": sql.Literal(round(LOCK_SECONDS * 1000)),
            "statement": sql.Literal(round(STATEMENT_SECONDS * 1000)),
            "idle": sql.Literal(round(server.deadline_seconds * 1000)),
            "tokens": sql.Literal(_TOKENS),
            "durability": sql.SQL("SET LOCAL synchronous_commit TO off;" if may_be_lost else ""),
        }
        self.clock_ahead = timedelta()
        """How far the clock of the database is ahead of this machine's, as last seen."""

    @contextmanager
    def reading(self) -> Iterator[_Connection]:
        """A connection for looking, which sees one state of everything. Nothing is written."""
        with refusing(self._name):
            self._make()
            with self._server.connection() as inner:
                self._begin(inner, _READING)
                yield _Connection(inner)

    read_or_empty = reading

    @contextmanager
    def writing(self) -> Iterator[_Connection]:
        """One transaction that works alone from its beginning, and is kept at its end.

        Raises:
            SetupError: The tables cannot be used, or are newer than this program. Nothing was kept.
            UnreachableError: The database was not reached, or another server holds the tables. Nothing
                was kept; where that isn't known, it says so.
            ConstraintError: A rule of the schema forbids it. Nothing was kept.
        """
        token, lost = secrets.token_hex(8), None
        with refusing(self._name):
            self._make()
            with self._server.connection() as inner:
                seq = self._begin(inner, _WRITING, token)
                yield _Connection(inner)
                try:
                    _commit(inner)
                except psycopg.OperationalError as error:
                    lost = error
            if lost is not None and not self._was_kept(seq, token, lost):
                raise lost

    def prove(self) -> None:
        """Take the tables for writing and let them go again. They are made where there were none.

        Raises:
            ClawverError: They cannot be used or made.
        """
        with self.writing():
            pass

    def grant(self, user: str) -> None:
        """Let a user read and write the tables, and do nothing else with them. They are made where there were none.

        Args:
            user: The user's name in the database.

        Raises:
            SetupError: There is no such user, or it owns the tables; or this one doesn't own them.
            UnreachableError: The database was not reached, or another server holds the tables.
        """
        self.prove()
        with refusing(self._name), self._server.connection() as inner:
            if self._may_own(inner, user):
                self._say(*_OWNS)
            inner.execute(sql.SQL(_GRANTING).format(user=sql.Identifier(user), **self._fixed))

    def check_owner(self) -> None:
        """Make sure that this user owns the tables, which are made where there were none.

        Raises:
            SetupError: It doesn't, or they cannot be used.
            UnreachableError: The database was not reached.
        """
        self.prove()
        with refusing(self._name), self._server.connection() as inner:
            if not self._may_own(inner, None):
                self._say(*_OWNED_BY_ANOTHER)

    def _may_own(self, inner: psycopg.Connection[Any], user: str | None) -> bool:
        [row] = inner.execute(
            "SELECT pg_has_role(COALESCE(%s, current_user), nspowner, 'MEMBER') AS may_own FROM pg_namespace"
            " WHERE nspname = %s",
            (user, self.schema),
        ).fetchall()
        return bool(row["may_own"])

    def rewrite(self) -> None:
        """Nothing: the database itself reuses the place of deleted rows, as its own settings say."""

    def _begin(self, inner: psycopg.Connection[Any], level: str, token: str = "") -> int:
        script = _BEGIN + _FIRST[level]
        rows = self._last_of(inner, script, level=sql.SQL(level), token=sql.Literal(token))
        row = rows[0] if rows else None
        if row is None or row["version"] < len(self._steps):
            self._say(*_UNUSABLE)
        if row["version"] > len(self._steps):
            self._say(*_NEWER)
        self._compare_clocks(row["clock_timestamp"])
        return int(row["seq"])

    def _compare_clocks(self, at: datetime) -> None:
        self.clock_ahead = self._server.clock_ahead = at - datetime.now(UTC)

    def _was_kept(self, seq: int, token: str, lost: psycopg.Error) -> bool:
        """Whether a transaction was kept: only known while its row is held by another one."""
        until = time.monotonic() + IN_DOUBT_SECONDS
        while time.monotonic() < until:
            try:
                with self._server.connection(is_urgent=True) as inner:
                    self._begin(inner, _WRITING)
                    found = inner.execute(
                        "SELECT 1 FROM written WHERE seq = %s AND token = %s", (seq, token)
                    ).fetchone()
                    if found is not None:
                        _commit(inner)  # it waits for the standbys that the one in doubt waited for
                    return found is not None
            except psycopg.Error:
                time.sleep(_PAUSE_SECONDS)
        return self._say(*_IN_DOUBT, lost)

    def _make(self) -> None:
        """Make what is missing, all of it or nothing."""
        if self._is_made:
            return
        with self._server.connection() as inner:
            if self._noted_version(inner) != len(self._steps):
                self._carry_over(inner)
        self._is_made = True

    def _carry_over(self, inner: psycopg.Connection[Any]) -> None:
        if not self._last_of(inner, _ALONE):
            inner.execute(sql.SQL("CREATE SCHEMA {schema}").format(**self._fixed))
        [(version,)] = self._last_of(inner, _MAKING)
        if version > len(self._steps):
            self._say(*_NEWER)
        for step in self._steps[version:]:
            inner.execute(step.encode())
        inner.execute("UPDATE store SET version = %s", (len(self._steps),))
        _commit(inner)

    def _last_of(
        self, inner: psycopg.Connection[Any], script: str, **more: sql.Composable
    ) -> list[Any]:
        """Run statements at once, each of which sees what is there by then; the rows of the last."""
        cursor = inner.execute(sql.SQL(script).format(**self._fixed, **more))
        while cursor.nextset():
            pass
        return cursor.fetchall()

    def _noted_version(self, inner: psycopg.Connection[Any]) -> int:
        """The version of the tables that are there; 0 where there are none."""
        store = sql.SQL("{schema}.store").format(**self._fixed)
        [(there,)] = inner.execute("SELECT to_regclass(%s)", (store.as_string(inner),)).fetchall()
        if there is None:
            return 0
        words = sql.SQL("SELECT version FROM {store}")
        row = inner.execute(words.format(store=store, **self._fixed)).fetchone()
        return int(row["version"]) if row else 0

    def _say(
        self,
        kind: type[ClawverError],
        happened: str,
        next_step: str,
        cause: psycopg.Error | None = None,
    ) -> NoReturn:
        raise kind(happened.format(name=self._name), next_step=next_step) from cause


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Say in our words what goes wrong with the database.

    Args:
        name: What a person calls that which is kept there.

    Raises:
        SetupError: A person has to look at the database.
        UnreachableError: It was not reached, or was busy. Nothing was kept.
    """
    try:
        yield
    except psycopg.Error as error:
        is_lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        usual = _UNREACHED if is_lost else _UNUSABLE
        kind, happened, next_step = _TROUBLE.get(error.sqlstate or "", usual)
        raise kind(happened.format(name=name), next_step=next_step) from error


def _commit(inner: psycopg.Connection[Any]) -> None:
    """End a transaction. One of which a statement failed is told as undone, and not as an error.

    A server that gives up waiting for its synchronous standbys warns, and calls it a success
    (https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION-HA).

    Raises:
        psycopg.OperationalError: It isn't known whether it is kept where it has to be.
    """
    said: list[str | None] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        said.append(notice.severity_nonlocalized)  # which can only be read now

    inner.add_notice_handler(hear)
    try:
        became = inner.execute("COMMIT").statusmessage
    finally:
        inner.remove_notice_handler(hear)
    if "WARNING" in said:
        raise psycopg.OperationalError
    if became != "COMMIT":
        raise ConstraintError("a statement failed before")
