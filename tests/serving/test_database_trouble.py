"""What an agent hears where the database that several machines share cannot be used: nothing was sent, and reading goes on."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from mcp import Client
from tests.conftest import Configure, Connect
from tests.instruments.crash.line import DatabaseLine
from tests.postgres import Cluster, cluster, listening
from tests.tools.test_tools import call, failure

from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.order_locks_postgres import PostgresOrderLocks
from clawver_orders.services import Services
from clawver_orders.storage import engine, postgres, postgres_server, scopes
from clawver_orders.storage.postgres_server import PostgresServer
from clawver_sandbox.shop import Shop

PASSWORD = "password_example"  # of the test's own cluster
SALE = {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Torn"}
OWNER = "clawver"
ROLES = f"""
CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE idler NOLOGIN PASSWORD '{PASSWORD}';
CREATE ROLE crowd LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0;
REVOKE CREATE ON DATABASE postgres FROM PUBLIC;
"""
LET_IN = """
local all all trust
host all clawver 127.0.0.1/32 trust
host all ada,idler,crowd 127.0.0.1/32 scram-sha-256
"""
Hand = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that these tests may break. Only its owner comes in without a password."""
    with cluster(**listening()) as made:
        with psycopg.connect(made.url, autocommit=True) as owner:
            owner.execute(ROLES.encode())
        (made.folder / "data" / "pg_hba.conf").write_text(LET_IN)
        made.stop("fast")
        made.start()
        yield made


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Servers are known by their addresses: those of a test go with it."""
    yield
    engine._server.cache_clear()


@pytest.fixture
def line(own: Cluster) -> Iterator[DatabaseLine]:
    with DatabaseLine(own.port) as made:
        yield made


def at(own: Cluster, who: str = OWNER, database: str = "postgres", more: str = "") -> str:
    return f"postgresql://{who}@127.0.0.1:{own.port}/{database}?sslmode=disable{more}"


@pytest.fixture
def hand(own: Cluster) -> Iterator[Hand]:
    """Somebody who works on the database with another program."""
    with psycopg.connect(own.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def schema(configure: Configure, shop: Shop) -> str:
    return scopes.schema_of(configure(), "live", shop.details()["id"])


async def nothing_is_sent(client: Client, shop: Shop, says: str) -> str:
    """A refund is an error that says so, and orders are read."""
    error = await failure(client, "refund_order", **SALE)
    assert "Nothing was sent. " in error
    assert says in error
    assert PASSWORD not in error
    assert "ord_shirt" in str(await call(client, "get_order", order_id="ord_shirt"))
    assert (await call(client, "list_orders"))["orders"]
    assert shop.refunds() == []
    return error


# At the start

CORRECT = "A person must correct CLAWVER_DATABASE_URL where the server is configured"
AT_START: dict[str, tuple[Callable[[Cluster], str], str]] = {
    "nobody listens": (
        lambda _: "postgresql://ada@127.0.0.1:1/postgres",
        "The database of the list of stores cannot be reached. Repeat the call in a minute.",
    ),
    "another password": (
        lambda own: at(own, "ada:other_example"),
        f"The database does not accept the password for the list of stores. {CORRECT}.",
    ),
    "no password": (
        lambda own: at(own, "ada"),
        "The database does not accept the password for the list of stores.",
    ),
    "a role that may not log in": (
        lambda own: at(own, f"idler:{PASSWORD}"),
        f"The database does not let this user in, so the list of stores cannot be used. {CORRECT}, or let that user in.",
    ),
    "a role that is not let in": (
        lambda own: at(own, "stranger"),
        "The database does not let this user in",
    ),
    "no such database": (
        lambda own: at(own, database="nothing"),
        "The database of the list of stores does not exist. A person must create it, or correct CLAWVER_DATABASE_URL",
    ),
    "too many connections": (
        lambda own: at(own, f"crowd:{PASSWORD}"),
        "The database of the list of stores takes no more connections. Repeat the call in a minute.",
    ),
    "read-only": (
        lambda own: at(own, more="&options=-c%20default_transaction_read_only%3Don"),
        "The database takes no changes of the list of stores just now. Repeat the call in a minute.",
    ),
    "no right to make a schema": (
        lambda own: at(own, f"ada:{PASSWORD}"),
        "The database doesn't let this server work on the list of stores. A person must look at the database",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", AT_START)
async def test_a_database_that_lets_nobody_in_keeps_refunds_back(
    what: str, own: Cluster, connect: Connect, shop: Shop
) -> None:
    url, says = AT_START[what]
    async with connect(database_url=url(own)) as client:
        first = await nothing_is_sent(client, shop, says)
        again = await nothing_is_sent(client, shop, says)

    assert first == again


async def test_an_outage_is_remembered_by_what_only_reads(
    own: Cluster, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []
    connected = psycopg.connect

    def counted(*given: Any, **named: Any) -> object:
        tried.append(given)
        return connected(*given, **named)

    monkeypatch.setattr(psycopg, "connect", counted)
    monkeypatch.setattr(postgres_server, "OUTAGE_SECONDS", 3600.0)
    async with connect(database_url=at(own, database="nothing")) as client:
        await call(client, "get_order", order_id="ord_shirt")
        before = len(tried)
        for _ in range(2):
            await call(client, "get_order", order_id="ord_shirt")

    assert before
    assert len(tried) == before


# Later


@pytest.fixture
def tables(own: Cluster, configure: Configure, shop: Shop, schema: str) -> Iterator[str]:
    """The name of a schema in which the store's ledger is, made by a server of this version."""
    settings = configure(database_url=at(own))
    scope = scopes.note(settings, shop.details()["id"], shop.details()["name"])
    Ledger.of(settings, scope, Services(settings).instant).begin()
    yield f"{schema}_ledger"
    with psycopg.connect(own.url) as owner:
        owner.execute(f'DROP SCHEMA "{schema}_ledger" CASCADE'.encode())


def raising(schema: str, work: str) -> bytes:
    """Has every wish that is noted do something else first."""
    return f"""
CREATE FUNCTION "{schema}".trouble() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {work}; RETURN NEW; END $$;
CREATE TRIGGER trouble BEFORE INSERT ON "{schema}".wish
FOR EACH ROW EXECUTE FUNCTION "{schema}".trouble();
""".encode()


LATER = {
    "full": (
        "RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'could not extend file'",
        "The disk of the database is full, so the refund ledger cannot be written. A person must look",
    ),
    "slow": (
        "PERFORM pg_sleep(20)",
        "The database takes too long for the refund ledger. Repeat the call in a minute.",
    ),
    "out of memory": (
        "RAISE EXCEPTION USING ERRCODE = 'out_of_memory', MESSAGE = 'out of memory'",
        "The database of the refund ledger cannot be reached. Repeat the call in a minute.",
    ),
}


@pytest.mark.parametrize("what", LATER)
async def test_a_refund_that_cannot_be_noted_is_not_sent(
    what: str, own: Cluster, tables: str, hand: Hand, connect: Connect, shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(postgres, "STATEMENT_SECONDS", 0.5)
    work, says = LATER[what]
    hand.execute(raising(tables, work))
    async with connect(database_url=at(own)) as client:
        await nothing_is_sent(client, shop, says)


async def test_tables_of_a_newer_version_are_left_alone(
    own: Cluster, tables: str, hand: Hand, connect: Connect, shop: Shop
) -> None:
    hand.execute(f'UPDATE "{tables}".store SET version = 99'.encode())  # noqa: S608  # words of ours
    async with connect(database_url=at(own)) as client:
        await nothing_is_sent(
            client,
            shop,
            "The tables of the refund ledger were written by a newer version of clawver-orders. "
            "A person must update clawver-orders here too.",
        )


async def test_a_ledger_that_another_server_holds_is_waited_for_and_left(
    own: Cluster, tables: str, connect: Connect, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 0.2)
    with psycopg.connect(own.url) as holding:
        holding.execute(f'UPDATE "{tables}".store SET seq = seq'.encode())  # noqa: S608  # words of ours
        async with connect(database_url=at(own)) as client:
            await nothing_is_sent(client, shop, "Another server is working on the refund ledger.")


async def test_an_order_that_another_server_works_on_is_busy(
    own: Cluster, tables: str, schema: str, connect: Connect, shop: Shop
) -> None:
    other = PostgresServer(at(own))
    async with (
        PostgresOrderLocks(other, schema).held("ord_shirt", 0),
        connect(database_url=at(own)) as client,
    ):
        answer = await call(client, "refund_order", **SALE)
        order = await call(client, "get_order", order_id="ord_shirt")
    other.close()

    assert answer["status"] == "busy"
    assert "ord_shirt" in str(order)
    assert shop.refunds() == []


@pytest.mark.slow
@pytest.mark.parametrize("when", ["from the beginning", "later"])
async def test_a_database_that_swallows_everything_is_not_waited_for(
    when: str, own: Cluster, tables: str, line: DatabaseLine, connect: Connect, shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(PostgresServer.__init__, "__defaults__", (1.0,))
    monkeypatch.setattr(postgres_server, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(postgres_server, "OUTAGE_SECONDS", 3600.0)
    url = f"postgresql://{OWNER}@127.0.0.1:{line.port}/postgres?sslmode=disable"
    async with connect(database_url=url) as client:
        if when == "later":
            await call(client, "list_orders")
        line.swallow()
        await nothing_is_sent(client, shop, "The database of the ")
    line.mend()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["immediate", "fast"])
async def test_a_database_that_is_gone_for_a_while_is_used_again(
    how: str, own: Cluster, tables: str, connect: Connect, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(postgres_server, "OUTAGE_SECONDS", 0.0)
    async with connect(database_url=at(own)) as client:
        assert (await call(client, "refund_order", **SALE))["status"] == "refunded"
        own.stop(how)
        try:
            error = await failure(client, "refund_order", **SALE | {"amount_in_cents": 600})
            assert "ord_shirt" in str(await call(client, "get_order", order_id="ord_shirt"))
        finally:
            own.start()
        again = await call(client, "refund_order", **SALE | {"amount_in_cents": 600})

    assert "Nothing was sent. The database of the locks of orders cannot be reached." in error
    assert again["status"] == "refunded"
    assert shop.refunds() == [("ord_shirt", 500), ("ord_shirt", 600)]
