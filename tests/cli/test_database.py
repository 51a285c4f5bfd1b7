"""Giving the servers a user of the database that can't change the rules of the ledger."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from tests.cli.test_main import run
from tests.postgres import Cluster, cluster, listening

from clawver_sandbox.shop import Shop

REFUND = ("refund_order", "order_id=ord_shirt", "amount_in_cents=500", "reason=Torn")


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    with cluster(**listening(), fsync="on") as made:
        with psycopg.connect(made.url, autocommit=True) as superuser:
            superuser.execute("CREATE ROLE ada LOGIN; CREATE ROLE bob LOGIN")
        yield made


@pytest.fixture
def address(own: Cluster) -> Iterator[str]:
    """A database for one test, which belongs to ada; the address lacks the user."""
    with psycopg.connect(own.url, autocommit=True) as superuser:
        superuser.execute("CREATE DATABASE orders OWNER ada")
        yield f"127.0.0.1:{own.port}/orders?sslmode=disable"
        superuser.execute("DROP DATABASE orders WITH (FORCE)")


def as_user(name: str, address: str) -> dict[str, str]:
    return {"CLAWVER_DATABASE_URL": f"postgresql://{name}@{address}"}


def test_servers_work_with_tables_whose_rules_they_cannot_change(
    live: dict[str, str], shop: Shop, address: str
) -> None:
    ada, bob = (live | as_user(name, address) for name in ("ada", "bob"))
    granted, again = (run("database", "grant", "bob", **ada) for _ in range(2))

    assert granted.returncode == 0, granted.stderr
    assert granted.stdout.splitlines()[1] == (
        "This user may read and write its tables in the database, and not change their rules: bob"
    )
    assert (granted.returncode, again.returncode) == (0, 0), again.stderr
    assert json.loads(run("call", *REFUND, **bob).stdout)["status"] == "refunded"
    for words in (
        ("refunds", "check"),
        ("sync",),
        ("events",),
        ("call", "list_orders"),
        ("doctor",),
    ):
        done = run(*words, **bob)
        assert done.returncode == 0, (words, done.stderr)
    assert shop.refunds() == [("ord_shirt", 500)]
    with psycopg.connect(f"postgresql://bob@{address}", autocommit=True) as server:
        tables = server.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname LIKE 'clawver%'"
        ).fetchall()
        assert {str(name).partition(".")[2] for (name,) in tables} > {
            "attempt",
            "pin",
            "request",
            "event",
        }
        for (name,) in tables:
            for change in (
                f"ALTER TABLE {name} DISABLE TRIGGER USER",
                f"DROP TABLE {name}",
                f"TRUNCATE {name}",
                f"CREATE TABLE {name}_2 ()",
                f"CREATE TRIGGER mine BEFORE INSERT ON {name} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    server.execute(change.encode())
        [attempt] = [name for (name,) in tables if name.endswith(".attempt")]
        with pytest.raises(psycopg.IntegrityError):
            server.execute(f"UPDATE {attempt} SET amount_in_cents = 1".encode())  # noqa: S608  # the name of a table


def test_a_table_that_a_server_made_for_itself_is_asked_by_no_rule(
    live: dict[str, str], address: str
) -> None:
    """Anybody may make temporary tables, and PostgreSQL looks there first where nothing says otherwise."""
    ada, bob = (live | as_user(name, address) for name in ("ada", "bob"))
    assert run("database", "grant", "bob", **ada).returncode == 0
    refund_id = json.loads(run("call", *REFUND, **bob).stdout)["refund_id"]
    with psycopg.connect(f"postgresql://bob@{address}", autocommit=True) as server:
        [(schema,)] = server.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'attempt'"
        ).fetchall()
        server.execute("CREATE TEMPORARY TABLE wish (refund_id TEXT, revision BIGINT)")
        server.execute("INSERT INTO wish VALUES (%s, 999)", (refund_id,))
        with pytest.raises(psycopg.IntegrityError, match="no longer shown"):
            server.execute(
                f"INSERT INTO {schema}.decision (subject, revision, verdict, grade, channel, who, client, made, number)"  # noqa: S608  # the name of a schema
                " VALUES (%s, 999, 'approve', 'pin', '', '', '', '', 1)".encode(),
                (refund_id,),
            )


def test_refunds_are_moved_by_the_owner_alone(live: dict[str, str], address: str) -> None:
    ada, bob = (live | as_user(name, address) for name in ("ada", "bob"))
    assert run("call", *REFUND, **live).returncode == 0
    assert run("database", "grant", "bob", **ada).returncode == 0

    refused, still = run("ledger", "move", **bob), run("refunds", **live)
    moved = run("ledger", "move", **ada)

    assert refused.stderr == (
        "Another user owns the tables of the refund ledger. Run this with the address of that user in "
        "CLAWVER_DATABASE_URL.\n"
    )
    assert (refused.returncode, still.returncode, moved.returncode) == (1, 0, 0)
    assert json.loads(run("call", *REFUND, **bob).stdout)["status"] == "already_refunded"


def test_a_server_without_tables_says_who_can_make_them(live: dict[str, str], address: str) -> None:
    done = run("call", *REFUND, **live | as_user("bob", address))

    assert done.returncode == 1
    assert "Nothing was sent." in done.stderr
    assert "The database doesn't let this server work on the list of stores." in done.stderr
    assert "clawver-orders database grant with that user's address." in done.stderr


def test_the_doctor_says_whether_the_server_could_change_the_rules(
    live: dict[str, str], address: str
) -> None:
    ada, bob = (live | as_user(name, address) for name in ("ada", "bob"))
    assert run("database", "grant", "bob", **ada).returncode == 0
    says = "The user of this server owns the tables"

    assert says in run("doctor", **ada).stdout
    assert says not in run("doctor", **bob).stdout


@pytest.mark.parametrize(
    ("by", "to", "says"),
    [
        (
            "ada",
            "nobody_there",
            "The database knows no such user. Create it there, then run this again.\n",
        ),
        (
            "ada",
            "ada",
            "This user owns the tables of the list of stores, or may become their owner. Nothing was granted. "
            "Run this with the address of another user, which is to own the tables, and name the one that servers "
            "use.\n",
        ),
        (
            "bob",
            "ada",
            "The database doesn't let this server work on the list of stores. A person must look at the database. "
            "Where another user owns the tables, they run clawver-orders database grant with that user's address.\n",
        ),
    ],
)
def test_what_cannot_be_granted_is_said(
    live: dict[str, str], address: str, by: str, to: str, says: str
) -> None:
    done = run("database", "grant", to, **live | as_user(by, address))

    assert done.returncode == 1
    assert done.stderr.endswith(says)


def test_without_a_database_nothing_is_granted(live: dict[str, str]) -> None:
    done = run("database", "grant", "bob", **live)

    assert done.returncode == 1
    assert done.stderr == (
        "CLAWVER_DATABASE_URL is not set, so nothing was granted. Set it to the database, with the user who is to "
        "own the tables. Then run this again.\n"
    )


def test_it_tells_programs_who_got_what(live: dict[str, str], shop: Shop, address: str) -> None:
    done = run("database", "grant", "bob", "--json", **live | as_user("ada", address))

    told = json.loads(done.stdout)
    assert told["user"] == "bob"
    assert shop.details()["id"] in told["store"]


def test_the_group_says_what_it_has() -> None:
    assert "let USER read and write them" in run("database", "--help").stdout
