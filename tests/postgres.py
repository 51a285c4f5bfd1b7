"""A PostgreSQL cluster for the tests of one process: made when it is first asked for, and gone at the end.

It belongs to a user that isn't root, as the server demands, and listens on a socket in its own folder;
on a port of this machine only where a test asks for one.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
from filelock import FileLock
from tests.leftovers import RUN, TEMPORARY

from clawver_orders.history import mirror_postgres
from clawver_orders.refunds import ledger_postgres
from clawver_orders.settings import Settings
from clawver_orders.storage import engine, scopes
from clawver_orders.storage.postgres import PostgresDatabase
from clawver_orders.storage.postgres_server import PostgresServer
from clawver_orders.webhooks import changes_postgres, inbox_postgres

REQUIRED = "POSTGRES_IS_REQUIRED"
"""Makes it a failure that there are no binaries."""
SETTINGS = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "shared_buffers": "16MB", "max_wal_size": "64MB", "autovacuum": "off", "max_connections": "60",
    "dynamic_shared_memory_type": "mmap", "timezone": "UTC",
}  # fmt: skip


@cache
def binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: Debian keeps them off the PATH."""
    found = [Path(path).resolve().parent for path in (shutil.which("initdb"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((each for each in found if (each / "pg_ctl").is_file()), None)


def user() -> str | None:
    """Who has to run the server where this process is root; None where it isn't."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd  # which Windows has not

    names = {each.pw_name for each in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Cluster:
    """A server of the tests' own, which can be stopped and started."""

    def __init__(self, folder: Path, bin_folder: Path, changed: Mapping[str, str] | None = None):
        self.folder = folder
        self._bin = bin_folder
        self._user = user()
        self._settings = SETTINGS | dict(changed or {})

    def make(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "-D", self.folder / "data", "-U", "clawver", "-A", "trust", "-N", "-E", "UTF8",
                  "--locale=C.UTF-8")  # fmt: skip
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())
            settings.write(f"unix_socket_directories = '{self.folder}'\n")

    @property
    def url(self) -> str:
        port = f"&port={self._settings['port']}" if "port" in self._settings else ""
        return f"postgresql:///postgres?host={quote(str(self.folder))}&user=clawver{port}"

    @property
    def port(self) -> int:
        """Where it listens on this machine, if it was made to."""
        return int(self._settings["port"])

    def start(self) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-m", how, "-w", "stop")

    @property
    def is_up(self) -> bool:
        """Whether it was started and not stopped since."""
        return (self.folder / "data" / "postmaster.pid").exists()

    def _run(self, program: str, *arguments: object) -> None:
        before = ["setpriv", f"--reuid={self._user}", "--clear-groups"] if self._user else []
        command = [*before, str(self._bin / program), *map(str, arguments)]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(
            command, check=True, cwd="/", env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def listening() -> dict[str, str]:
    """What has a server listen on a free port of this machine too, and keep all that it said was kept."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return {"listen_addresses": "127.0.0.1", "port": port, "synchronous_commit": "on"}


@contextmanager
def cluster(**changed: str) -> Iterator[Cluster]:
    """A server of the test's own.

    Args:
        changed: Settings of PostgreSQL in place of the usual ones.
    """
    found = binaries()
    if found is None:
        missing()
    folder = Path(tempfile.mkdtemp(prefix=f"{RUN}-pg-", dir=TEMPORARY))
    try:
        made = Cluster(folder, found, changed)
        made.make()
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def shared(given: str | None) -> Iterator[str]:
    """The URL of a server that all processes of this run share, and that the last of them stops.

    Args:
        given: One that may be used in place of it. Its user owns everything there.
    """
    if given:
        yield given
        return
    found = binaries()
    if found is None:
        missing()
    folder, lock = TEMPORARY / f"{RUN}-pg", FileLock(TEMPORARY / f"{RUN}-pg.lock")
    users = folder / "users"
    made: Cluster
    with lock:
        is_first = not folder.exists()
        if is_first:
            folder.mkdir(0o700)
        made = Cluster(folder, found)
        if is_first:
            made.make()
            made.start()
            users.mkdir()
        (users / str(os.getpid())).touch()
    try:
        yield made.url
    finally:
        with lock:
            (users / str(os.getpid())).unlink()
            if not list(users.iterdir()):
                made.stop()
                shutil.rmtree(folder)
                Path(lock.lock_file).unlink()


def missing() -> NoReturn:
    why = "no initdb and pg_ctl: install PostgreSQL, or name a database for the tests in CLAWVER_TEST_DATABASE_URL"
    if os.environ.get(REQUIRED):
        pytest.fail(why)
    pytest.skip(why)


IN_A_PROCESS = """
from clawver_orders.refunds import ledger_file
from clawver_orders.refunds.ledger_postgres import STEPS
from clawver_orders.settings import Settings
from clawver_orders.storage import engine, scopes
from clawver_orders.storage.postgres import PostgresDatabase
from clawver_orders.storage.postgres_server import PostgresServer
PostgresDatabase._compare_clocks = lambda *_: None
def in_postgres(*_):
    return PostgresDatabase(PostgresServer({url!r}), {schema!r}, STEPS, "the refund ledger")
ledger_file.SqliteDatabase = in_postgres
"""
"""What another process runs first to have its ledger there. The time is the test's."""


PARTS = {
    "ledger": (ledger_postgres.STEPS, "the refund ledger"),
    "inbox": (inbox_postgres.STEPS, "the inbox of order events"),
    "history": (mirror_postgres.STEPS, "the order history"),
    "webhooks": (changes_postgres.STEPS, "the changes of webhooks"),
}
"""The tables of a store by their kind, and what a person calls them."""
COUNTED = {"last_line", "last_event"}
"""Tables with one row that counts."""


class Schemas:
    """Schemas of a database, one for each file of a test, which are emptied and used again.

    Making the tables takes ten times as long as emptying them.
    """

    def __init__(self, url: str) -> None:
        self.server = PostgresServer(url)
        self.url = url
        self._free: dict[str, list[str]] = {part: [] for part in PARTS}
        self._others: list[str] = []
        self._used: dict[Path, PostgresDatabase] = {}
        self._parts: dict[str, str] = {}

    def database(self, path: Path, part: str = "ledger") -> PostgresDatabase:
        """Where the tables are that would be in this file."""
        if path not in self._used:
            free, (steps, name) = self._free[part], PARTS[part]
            schema = free.pop() if free else f"test_{os.getpid()}_{secrets.token_hex(4)}"
            self._used[path] = PostgresDatabase(self.server, schema, steps, name)
            self._parts[schema] = part
        return self._used[path]

    def another(self) -> str:
        """The name of a schema for anything else, which is not there yet."""
        self._others.append(f"test_{os.getpid()}_{secrets.token_hex(4)}")
        return self._others[-1]

    def are_used_by(self, settings: Settings, store_id: str) -> None:
        """Note which schemas servers with these settings make."""
        for kind, whose in (
            ("live", store_id),
            ("key", settings.key_dir.name),
            ("servers", ""),
            ("address", ""),
        ):
            begins = scopes.schema_of(settings, kind, whose)
            self._others += [f"{begins}_{part.key}" for part in engine.PARTS]

    def machine(self, configure: Any, folder: Path, store_id: str) -> Any:
        """Makes settings of machines by their names: each has a folder of its own, and all have one database."""

        def of(name: str, **changed: Any) -> Settings:
            made: Settings = configure(state_dir=folder / name, database_url=self.url, **changed)
            self.are_used_by(made, store_id)
            return made

        return of

    def elsewhere(self, path: Path) -> str:
        """What another process runs first to have that ledger."""
        return IN_A_PROCESS.format(url=self.url, schema=self.database(path).schema)

    def empty(self) -> None:
        """Take what a test left away, past all rules: no role but the owner of all can do that."""
        with self.server.connection() as connection:
            connection.execute("SET session_replication_role = replica")
            for each in self._used.values():
                name = each.schema
                found = connection.execute(
                    "SELECT tablename FROM pg_tables WHERE schemaname = %s"
                    " AND tablename NOT IN ('store', 'written')",
                    (name,),
                ).fetchall()
                tables = [
                    f'UPDATE "{name}".{row["tablename"]} SET number = 0'  # noqa: S608  # words of ours
                    if row["tablename"] in COUNTED
                    else f'DELETE FROM "{name}".{row["tablename"]}'  # noqa: S608
                    for row in found
                ]
                if tables:
                    connection.execute(";".join(tables).encode())
                connection.execute(
                    "SELECT setval(pg_class.oid::regclass, 1, false) FROM pg_class"
                    " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
                    " WHERE relkind = 'S' AND nspname = %s",
                    (name,),
                )
                self._free[self._parts[name]].append(name)
            connection.execute("SET session_replication_role = origin")
        self._used.clear()

    def drop(self) -> None:
        with self.server.connection() as connection:
            for name in (*self._parts, *self._others):
                connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())
