"""Refunds where something stands between the server and its database: a pooler, or a standby that took over."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from tests.conftest import Configure, Connect
from tests.instruments.crash.line import DatabaseLine
from tests.postgres import Cluster, cluster, listening, user
from tests.refunds.test_several_machines import refund
from tests.tools.test_tools import call

from clawver_orders.errors import ClawverError
from clawver_orders.refunds.order_locks import OrderBusyError
from clawver_orders.refunds.order_locks_postgres import PostgresOrderLocks
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.services import Services, opened
from clawver_orders.settings import Settings
from clawver_orders.storage import postgres, postgres_server
from clawver_orders.storage.postgres_server import PostgresServer
from clawver_sandbox.shop import Shop

pytestmark = pytest.mark.slow
SALE = {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Torn"}


@pytest.fixture
def own() -> Iterator[Cluster]:
    with cluster(**listening(), wal_level="replica", max_wal_senders="4", hot_standby="on") as made:
        yield made


def at(*ports: int, database: str = "postgres") -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://clawver@{hosts}/{database}?sslmode=disable"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until_it_takes(url: str) -> None:
    for _ in range(1200):
        with suppress(psycopg.Error), psycopg.connect(url, connect_timeout=5):
            return
        time.sleep(0.1)
    pytest.fail(f"nothing listens at {url}")


# A pooler, which gives a connection to somebody else after each transaction


@pytest.fixture
def pooler(own: Cluster) -> Iterator[str]:
    """pgbouncer with two connections to the database for everybody: its address."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("needs pgbouncer")
    port, folder = free_port(), own.folder / "pooler"
    folder.mkdir()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={own.port} user=clawver\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = 5\nlogfile =\n"
    )
    if runs_as := user():
        shutil.chown(folder, runs_as)
    before = ["setpriv", f"--reuid={runs_as}", "--clear-groups"] if runs_as else []
    with subprocess.Popen(
        [*before, program, "-q", str(settings)], cwd="/", stderr=subprocess.DEVNULL
    ) as process:
        wait_until_it_takes(at(port))
        yield at(port)
        process.terminate()


async def test_refunds_work_through_a_pooler(
    pooler: str, own: Cluster, configure: Configure, shop: Shop, tmp_path: Path
) -> None:
    found: list[Outcome] = []

    async def work(services: Services, cents: int) -> None:
        with suppress(ClawverError):
            found.append(await refund(services, cents))

    names = ("one", "two", "three")
    every = [configure(state_dir=tmp_path / name, database_url=pooler) for name in names]
    async with opened(every[0]) as one, opened(every[1]) as two, opened(every[2]) as three:
        first = await refund(one, 300)
        async with anyio.create_task_group() as tasks:
            for each in (one, two, three, one, two, three):
                tasks.start_soon(work, each, 500)
        again = [await refund(each, 500) for each in (one, two, three)]

    assert first.status == "refunded"
    assert {each.status for each in again} == {"already_refunded"}
    assert sorted(cents for _, cents in shop.refunds()) == [300, 500]


async def test_an_order_is_kept_through_a_pooler_and_given_back(pooler: str) -> None:
    servers = [PostgresServer(pooler) for _ in range(2)]
    one, two = (PostgresOrderLocks(each, "a store") for each in servers)
    for _ in range(3):
        async with one.held("ord_1", 0):
            assert await one.still_held("ord_1")
            with pytest.raises(OrderBusyError):
                async with two.held("ord_1", 0):
                    pass
        async with two.held("ord_1", 0):
            pass
    for each in servers:
        each.close()


# A standby that takes over, and doesn't know what was sent last


@contextmanager
def following(own: Cluster, through: int) -> Iterator[Cluster]:
    """A standby of a server, which hears of changes through this port, and says nothing back for them to wait for."""
    standby = Cluster.__new__(Cluster)
    vars(standby).update(vars(own))
    standby.folder = own.folder / "standby"
    standby.folder.mkdir()
    if runs_as := user():
        shutil.chown(standby.folder, runs_as)
    data = standby.folder / "data"
    own._run("pg_basebackup", "-D", data, "-h", "127.0.0.1", "-p", through, "-U", "clawver", "-R")
    port = free_port()
    standby._settings = own._settings | {"port": str(port)}
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(f"port = {port}\nunix_socket_directories = '{standby.folder}'\n")
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()


async def test_a_standby_that_lags_and_takes_over_has_nothing_sent_twice(
    own: Cluster, configure: Configure, connect: Connect, shop: Shop, tmp_path: Path
) -> None:
    def machine(name: str, **changed: Any) -> Settings:
        url = at(own.port, standby.port)
        made: Settings = configure(state_dir=tmp_path / name, database_url=url, **changed)
        return made

    with DatabaseLine(own.port) as line, following(own, line.port) as standby:
        async with opened(machine("one")) as services:
            first = await refund(services, 300)
        with psycopg.connect(own.url, autocommit=True) as primary:
            [(now,)] = primary.execute("SELECT pg_current_wal_lsn()").fetchall()
        with psycopg.connect(at(standby.port), autocommit=True) as follower:
            heard = "SELECT pg_last_wal_replay_lsn() >= %s"
            while not follower.execute(heard, (now,)).fetchall()[0][0]:
                await anyio.sleep(0.05)
        with (
            pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
            psycopg.connect(at(standby.port), autocommit=True) as follower,
        ):
            follower.execute("CREATE TABLE anything ()")
        line.swallow()  # from now on the standby hears of nothing
        async with opened(machine("one")) as services:
            second = await refund(services, 500)
        shop.add_fault("stale_read", times=-1)  # Clawver doesn't list it yet
        own.stop()
        standby._run("pg_ctl", "-D", standby.folder / "data", "-w", "promote")
        wait_until_it_takes(f"{at(standby.port)}&target_session_attrs=read-write")
        there = {"state_dir": tmp_path / "one", "database_url": at(own.port, standby.port)}
        async with connect(refund_approval="agent", **there) as client:
            shown = await call(client, "refund_order", **SALE)
            told = {each: shown[each] for each in ("refund_id", "revision")}
            again = await call(client, "confirm_refund", **told)
        line.mend()
        own.start()

    assert (first.status, second.status) == ("refunded", "refunded")
    assert (shown["status"], again["status"]) == ("needs_approval", "needs_approval")
    assert again["next_step"].startswith("Only a person can approve this one")
    assert shop.refunds() == [("ord_shirt", 300), ("ord_shirt", 500)]


@pytest.mark.parametrize("ends", ["nothing", "pg_cancel_backend(pid)", "pg_terminate_backend(pid)"])
async def test_nothing_is_sent_on_what_no_synchronous_standby_has(
    ends: str, own: Cluster, configure: Configure, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose wait for its standbys is ended calls that a success with a warning, or hangs up."""
    monkeypatch.setattr(postgres_server, "DEADLINE_SECONDS", 3.0)
    monkeypatch.setattr(postgres_server, "OUTAGE_SECONDS", 0.0)
    monkeypatch.setattr(postgres, "IN_DOUBT_SECONDS", 6.0)
    is_over = threading.Event()

    def wants(name: str) -> None:
        with psycopg.connect(own.url, autocommit=True) as owner:
            owner.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
            owner.execute("SELECT pg_reload_conf()")

    def end_waits() -> None:
        with psycopg.connect(own.url, autocommit=True) as owner:
            while not is_over.wait(0.05):
                owner.execute(
                    f"SELECT {ends} FROM pg_stat_activity WHERE wait_event = 'SyncRep'".encode()  # noqa: S608  # words of ours
                )

    async with opened(configure(database_url=at(own.port))) as services:
        first = await refund(services, 100)
        wants("gone")
        ender = threading.Thread(target=end_waits)
        if ends != "nothing":
            ender.start()
        try:
            with pytest.raises(ClawverError) as refused:
                await refund(services, 200)
        finally:
            is_over.set()
            if ends != "nothing":
                ender.join()
            wants("")
        second = await refund(services, 300)

    assert (first.status, second.status) == ("refunded", "refunded")
    assert "Nothing was sent." in str(refused.value)
    assert "so it isn't known whether that was kept" in str(refused.value)
    assert shop.refunds() == [("ord_shirt", 100), ("ord_shirt", 300)]


# A password that is changed while servers run


async def test_a_server_takes_a_new_password_with_its_next_connection(
    own: Cluster, configure: Configure, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "OUTAGE_SECONDS", 0.0)
    passwords = tmp_path / "passwords"
    monkeypatch.setenv("PGPASSFILE", str(passwords))

    def write(password: str) -> None:
        passwords.write_text(f"*:*:*:ada:{password}\n")
        passwords.chmod(0o600)

    rules = own.folder / "data" / "pg_hba.conf"
    rules.write_text(f"host all ada 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    with psycopg.connect(own.url, autocommit=True) as owner:
        owner.execute("CREATE ROLE ada LOGIN PASSWORD 'first_example'")
        owner.execute("GRANT CREATE ON DATABASE postgres TO ada; SELECT pg_reload_conf()")
        write("first_example")
        url = at(own.port).replace("clawver@", "ada@")
        async with opened(configure(database_url=url)) as services:
            first = await refund(services, 100)
            owner.execute("ALTER ROLE ada PASSWORD 'second_example'")
            owner.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'ada'"
            )
            with pytest.raises(ClawverError) as refused:
                await refund(services, 300)
            write("second_example")
            second = await refund(services, 300)

    assert (first.status, second.status) == ("refunded", "refunded")
    assert "Nothing was sent." in str(refused.value)
    assert "The database does not accept the password" in str(refused.value)
    assert "example" not in str(refused.value)
    assert shop.refunds() == [("ord_shirt", 100), ("ord_shirt", 300)]
