"""What the doctor says of the database that several machines share."""

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.conftest import KEY
from tests.postgres import Cluster, Schemas, binaries, cluster, listening

from clawver_orders.reports.checks import Finding, examine
from clawver_orders.settings import Settings
from clawver_orders.storage import engine, scopes
from clawver_orders.storage.postgres_server import Facts, PostgresServer

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SAFE = Facts("db.example", "17.2", (), 0, 0, owns=False)
WELL = Finding("database", True, "PostgreSQL 17.2 on db.example answers and takes changes.")


async def findings(tmp_path: Path, url: str, *subjects: str) -> list[Finding]:
    """What is found out without a key, on a machine that has met one store."""
    state = tmp_path / "state"
    scopes.note(Settings(state_dir=state, api_key=KEY), "store_1", "Ada's")
    given = {"CLAWVER_STATE_DIR": str(state), "CLAWVER_DATABASE_URL": url}
    found = await examine(given, lambda: NOW)
    return [each for each in found if each.subject in (subjects or {"database"})]


async def test_a_database_that_forgets_in_a_crash_is_a_finding(
    tmp_path: Path, schemas: Schemas
) -> None:
    """That of the tests does."""
    if "host=/" not in schemas.url:
        pytest.skip("a database was named for the tests")
    schemas.are_used_by(Settings(state_dir=tmp_path / "state", api_key=KEY), "store_1")
    well, forgets, *_ = await findings(tmp_path, schemas.url)

    assert well.is_fine
    assert well.says.startswith("PostgreSQL ")
    assert well.says.endswith(" on this machine answers and takes changes.")
    assert forgets == Finding(
        "database",
        False,
        "Off there: fsync, synchronous_commit. After a crash it can forget refunds that were noted.",
        "A person must switch that on in the database.",
    )


@pytest.mark.parametrize(
    ("facts", "more"),
    [
        (SAFE, []),
        (
            Facts("db.example", "17.2", (), 2, 0, owns=False),
            [
                Finding(
                    "database",
                    False,
                    "Not synchronous: 2 of its replicas. After a failover to one, refunds that were noted can "
                    "be forgotten.",
                    "A person must name the replicas in synchronous_standby_names, and set synchronous_commit "
                    "to on.",
                )
            ],
        ),
        (
            Facts("db.example", "17.2", (), 0, 1, owns=False),
            [
                Finding(
                    "database",
                    True,
                    "It has replicas, and doesn't tell this user whether they are synchronous.",
                    "A person can let it tell: GRANT pg_read_all_stats TO its user.",
                )
            ],
        ),
        (
            Facts("db.example", "17.2", (), 0, 0, owns=True),
            [
                Finding(
                    "database",
                    True,
                    "The user of this server owns the tables, so anybody with its password can switch off the "
                    "ledger's rules.",
                    "A person can give the servers a user of their own: clawver-orders database grant USER",
                )
            ],
        ),
    ],
)
async def test_each_fact_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: Facts, more: list[Finding]
) -> None:
    monkeypatch.setattr(PostgresServer, "facts", lambda _: facts)
    found = await findings(tmp_path, "postgresql://ada:password_example@127.0.0.1:1/orders")

    assert found == [WELL, *more]


async def test_a_database_that_is_not_reached_is_said_once_for_all_that_needs_it(
    tmp_path: Path,
) -> None:
    url = "postgresql://ada:password_example@127.0.0.1:1/orders"
    found = await findings(tmp_path, url, "database", "locks", "ledger")

    assert [(each.subject, each.is_fine) for each in found] == [("database", False)]
    assert found[0].says == "The database of this server's tables cannot be reached."
    assert found[0].next_step == (
        "Try again in a minute. If it stays, a person must look at the database."
    )
    assert not any("example" in f"{each.says}{each.next_step}" for each in found)


async def test_without_the_setting_nothing_is_said(tmp_path: Path) -> None:
    found = await examine({"CLAWVER_STATE_DIR": str(tmp_path / "state")}, lambda: NOW)

    assert "database" not in {each.subject for each in found}


# What a real one says of its replicas


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with cluster(**listening(), fsync="on", max_wal_senders="4", wal_level="replica") as made:
        with psycopg.connect(made.url, autocommit=True) as owner:
            owner.execute("CREATE ROLE ada LOGIN; GRANT CREATE ON DATABASE postgres TO ada")
        yield made


@pytest.fixture
def follower(own: Cluster, tmp_path: Path) -> Iterator[None]:
    """A program that receives what is written, as a replica does."""
    found = binaries()
    assert found is not None
    folder = tmp_path / "received"
    folder.mkdir()
    program = found / "pg_receivewal"
    command = [str(program), "-D", str(folder), "-h", "127.0.0.1", "-p", str(own.port), "-U", "clawver"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        with psycopg.connect(own.url, autocommit=True) as owner:
            wait_for(lambda: _followers(owner) == 1)
        yield
        process.terminate()


def _followers(owner: "psycopg.Connection[tuple[int]]") -> int:
    row = owner.execute(
        "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait_for(what: Callable[[], bool]) -> None:
    for _ in range(2000):
        if what():
            return
        time.sleep(0.01)
    pytest.fail("it never happened")


def of(own: Cluster, who: str = "clawver", more: str = "") -> Facts:
    server = PostgresServer(
        f"postgresql://{who}@127.0.0.1:{own.port}/postgres?sslmode=disable{more}"
    )
    try:
        return server.facts()
    finally:
        server.close()


@pytest.mark.slow
def test_a_replica_that_may_lag_is_seen(own: Cluster, follower: None) -> None:
    host, version, *rest = vars(of(own)).values()

    assert (host, rest) == ("127.0.0.1", [(), 1, 0, False])
    assert version[0].isdigit()
    assert " " not in version
    assert of(own, "ada").hidden == 1
    local = of(own, "ada", "&options=-c%20synchronous_commit%3Dlocal")
    assert (local.lagging, local.hidden) == (1, 0)


@pytest.mark.slow
def test_a_database_without_replicas_keeps_what_it_says(own: Cluster) -> None:
    assert vars(of(own)) | {"version": ""} == vars(Facts("127.0.0.1", "", (), 0, 0, owns=False))


def test_the_facts_of_files_are_none(tmp_path: Path) -> None:
    assert engine.facts_of(Settings(state_dir=tmp_path, api_key=KEY)) is None
