"""Where the tables are that a setting puts into a database, and what a person hears where it can't be used."""

import builtins
import subprocess
import sys
from typing import Any

import pytest
from tests.cli.test_main import keyless
from tests.conftest import KEY
from tests.postgres import Schemas

from clawver_orders.errors import SetupError
from clawver_orders.settings import Settings
from clawver_orders.storage import engine, scopes

URL = "postgresql://clawver:password_example@127.0.0.1:1/orders"


def settings(url: str = URL, **more: Any) -> Settings:
    return Settings(api_key=KEY, database_url=url, **more)


def test_a_process_that_needs_no_database_loads_no_driver(state: dict[str, str]) -> None:
    words = ["clawver-orders", "call", "get_order", "order_id=ord_shirt", "--sandbox"]
    code = (
        f"import sys\nsys.argv = {words}\nfrom clawver_orders.__main__ import main\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    environment = keyless() | state | {"CLAWVER_DATABASE_URL": URL}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert "ord_shirt" in done.stdout
    assert "clawver_orders.storage.engine" in done.stderr.split()
    assert "psycopg" not in done.stderr.split()


def test_without_the_setting_nothing_is_in_a_database() -> None:
    assert engine.server_of(Settings(api_key=KEY)) is None
    assert engine.tables_of(Settings(api_key=KEY), "schema", engine.BUDGET) is None


def test_the_sandbox_stays_in_files() -> None:
    assert engine.server_of(settings(sandbox=True)) is None


def test_a_process_has_one_server_for_all_its_tables() -> None:
    first = engine.server_of(settings())

    assert first is engine.server_of(settings(refund_limit_in_cents=100))
    assert first is not engine.server_of(settings(f"{URL}2"))


def test_tables_are_those_of_the_schema(schemas: Schemas) -> None:
    tables = engine.tables_of(settings(schemas.url), schemas.another(), engine.BUDGET)

    assert tables is not None
    with tables.writing() as connection:
        connection.execute("INSERT INTO request (at) VALUES (?)", (1.0,))
    with tables.reading() as connection:
        assert [*connection.execute("SELECT at FROM request").fetchone()] == [1.0]


def test_what_is_kept_of_a_store_is_apart_by_its_kind(schemas: Schemas) -> None:
    """Two kinds may have tables and rules of one name: refunds and webhooks both have decisions."""
    one = settings(schemas.url)
    schemas.are_used_by(one, "store_1")
    whose = scopes.schema_of(one, "live", "store_1")
    every = [engine.tables_of(one, whose, part) for part in engine.PARTS]

    for tables in every:
        assert tables is not None
        tables.prove()
    refunds, webhooks = engine.LEDGER, engine.CHANGES
    one_kind, other = (every[engine.PARTS.index(part)] for part in (refunds, webhooks))
    assert one_kind is not None
    assert other is not None
    with one_kind.writing(), other.writing():
        pass  # neither waits for the other


def test_without_the_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def none_of_it(name: str, *more: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ModuleNotFoundError
        return imported(name, *more)

    monkeypatch.setattr(builtins, "__import__", none_of_it)
    monkeypatch.delitem(sys.modules, "psycopg", raising=False)

    with pytest.raises(SetupError) as raised:
        engine.server_of(settings(f"{URL}3"))

    assert str(raised.value) == (
        "CLAWVER_DATABASE_URL names a PostgreSQL database, and its driver cannot be loaded "
        "(ModuleNotFoundError). A person must install it with clawver-orders[postgres]."
    )


def test_an_address_that_postgresql_does_not_understand_is_not_repeated() -> None:
    with pytest.raises(SetupError, match="PostgreSQL does not understand it") as raised:
        engine.server_of(settings("postgresql://ada:password_example@one:none/orders?what=ever"))

    assert "password_example" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    ["mysql://one/orders", "postgresql:// one/orders", "postgresql://", "host=one dbname=orders"],
)
def test_an_address_of_anything_else_is_refused(url: str) -> None:
    with pytest.raises(SetupError) as raised:
        Settings.from_environment({"CLAW_API_KEY": KEY, "CLAWVER_DATABASE_URL": url})

    assert str(raised.value).startswith(
        "CLAWVER_DATABASE_URL cannot be used: must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
    )


def test_the_password_stands_in_no_repr() -> None:
    assert "password_example" not in repr(settings())


def test_stores_have_schemas_of_their_own() -> None:
    one = settings()
    elsewhere = settings(api_url="http://127.0.0.1:1/v1")
    names = {
        scopes.schema_of(where, kind, whose)
        for where in (one, elsewhere)
        for kind in ("live", "test")
        for whose in ("store_1", "store_2", "x" * 60, "x" * 61)
    }

    assert len(names) == 16
    assert all(len(f"{name}_{kind.key}") <= 63 for name in names for kind in engine.PARTS)
    assert scopes.schema_of(one, "live", "store_1").startswith("clawver_live_store_1_")
