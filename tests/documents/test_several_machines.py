"""The commands of the page for several machines, typed as they stand, with a PostgreSQL server of the test's own."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from tests.documents.test_references import TEXTS, blocks, section
from tests.documents.test_running import Machine
from tests.postgres import Cluster, binaries, cluster

from clawver_sandbox.shop import Shop

ROOT = Path(__file__).parents[2]
PAGE = TEXTS["docs/several-machines.md"]
COMPOSE = ROOT / ".docker" / "compose.yaml"


def block(heading: str, number: int = 0) -> str:
    return blocks(section(PAGE, heading), "sh")[number]


@pytest.fixture
def own() -> Iterator[Cluster]:
    with cluster(fsync="on", synchronous_commit="on", full_page_writes="on") as made:
        yield made


@pytest.fixture
def machine(live: dict[str, str], own: Cluster, tmp_path: Path) -> Machine:
    """A machine on which the database is set up as the page says, but for its address."""
    found = binaries()
    assert found is not None
    home = tmp_path / "home"
    home.mkdir()
    server = {"PGHOST": str(own.folder), "PGUSER": "clawver", "PGDATABASE": "postgres"}
    variables = live | server | {"CLAWVER_STATE_DIR": str(home / "state")}
    made = Machine(home, variables)
    done = made.typed(
        f"PATH={found}:$PATH\n{block('Set it up').replace('createuser clawver', 'true')}"
    )
    assert done.returncode == 0, done.stderr
    variables["CLAWVER_DATABASE_URL"] = f"postgresql://clawver@/clawver_orders?host={own.folder}"
    return made


def with_programs(lines: str) -> str:
    return f"PATH={binaries()}:$PATH\n{lines}"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the lines are those of a POSIX shell")
def test_refunds_move_and_come_back_from_a_backup(machine: Machine, shop: Shop) -> None:
    in_files = {**machine.variables, "CLAWVER_DATABASE_URL": ""}
    first = Machine(machine.home, in_files).wants(100)
    moved = machine.typed(block("Move from files"))
    backed_up = machine.typed(with_programs(block("Back up")))
    second = machine.wants(200)
    restored = machine.typed(with_programs(block("Restore")))

    assert first["status"] == "refunded"
    assert "Refunds moved into the database: 1." in moved.stdout
    assert first["refund_id"] in moved.stdout
    assert second["status"] == "refunded"
    for done in (moved, backed_up, restored):
        assert done.returncode == 0, done.stderr
    again = machine.wants(100)
    assert again["status"] == "already_refunded"
    # The second one is not in the copy: it is not sent once more on the word of the copy.
    assert machine.wants(200, "chat")["status"] != "refunded"
    assert shop.refunds() == [("ord_shirt", 100), ("ord_shirt", 200)]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the lines are those of a POSIX shell")
def test_servers_get_a_user_of_their_own(machine: Machine, shop: Shop) -> None:
    granted = machine.typed(with_programs(block("Two users in the database")))
    assert granted.returncode == 0, granted.stderr
    owner = machine.variables["CLAWVER_DATABASE_URL"]
    server = owner.replace("clawver@", "clawver_server@")

    machine.variables["CLAWVER_DATABASE_URL"] = server
    assert machine.wants(100)["status"] == "refunded"
    assert machine.wants(100)["status"] == "already_refunded"
    with (
        psycopg.connect(server, autocommit=True) as rows,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        rows.execute(
            "DO $$ BEGIN EXECUTE (SELECT format('ALTER TABLE %I.attempt DISABLE TRIGGER USER', schemaname)"
            " FROM pg_tables WHERE tablename = 'attempt'); END $$"
        )
    assert shop.refunds() == [("ord_shirt", 100)]


def test_the_extra_that_is_installed_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert f"'.[{next(iter(project['optional-dependencies']))}]'" in block("Set it up", 1)


def test_the_address_that_is_printed_can_be_used() -> None:
    from psycopg.conninfo import conninfo_to_dict

    [address] = re.findall(r"CLAWVER_DATABASE_URL='([^']*)'", PAGE)
    assert conninfo_to_dict(address)["dbname"] == "clawver_orders"
    from clawver_orders.settings import Settings

    named = {"CLAW_API_KEY": "claw_sk_live_example_1", "CLAWVER_DATABASE_URL": address}
    assert Settings.from_environment(named).has_database


def test_the_compose_file_starts_what_the_page_says() -> None:
    services = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    servers = [each for name, each in services.items() if name.startswith("orders-")]

    assert set(services) == {"database", "orders-1", "orders-2", "proxy"}
    for each in servers:
        assert each["command"][:3] == ["serve", "--http", "--host"]
        assert each["environment"]["CLAWVER_DATABASE_URL"].startswith("postgresql://clawver:")
    wanted = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text("utf-8")))
    assert all(f"`{name}`" in section(PAGE, "Behind a load balancer") for name in wanted)
    assert services["proxy"]["ports"] == ["127.0.0.1:8788:8788"]
    upstreams = re.findall(r"server (orders-\d):8788", (ROOT / ".docker/nginx.conf").read_text())
    assert upstreams == ["orders-1", "orders-2"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="it is a script for a POSIX shell")
def test_the_database_of_the_compose_file_belongs_to_no_superuser(own: Cluster) -> None:
    database = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["database"]
    script = (COMPOSE.parent / "database.sh").read_text("utf-8")
    assert "./database.sh:/docker-entrypoint-initdb.d/database.sh:ro" in database["volumes"]
    assert {*database["environment"]} == {"POSTGRES_PASSWORD", "SERVER_PASSWORD", "PGUSER"}
    as_here = script.replace("ROLE clawver ", "ROLE ada ").replace("OWNER clawver;", "OWNER ada;")
    server = {"PGHOST": str(own.folder), "PGUSER": "clawver", "SERVER_PASSWORD": "it's an example"}
    subprocess.run(
        ["sh", "-c", as_here],
        env={"PATH": f"{binaries()}:{os.environ['PATH']}"} | server,
        check=True,
    )

    with psycopg.connect(f"postgresql://ada@/clawver_orders?host={own.folder}") as rows:
        found = rows.execute(
            "SELECT rolsuper, pg_get_userbyid(datdba) FROM pg_roles, pg_database"
            " WHERE rolname = current_user AND datname = current_database()"
        ).fetchall()
    assert found == [(False, "ada")]


def test_docker_understands_the_compose_file() -> None:
    programs = (["docker", "compose"], ["docker-compose"])
    found = [each for each in programs if shutil.which(each[0]) and _runs([*each, "version"])]
    if not found:
        pytest.skip("needs docker compose")
    given = dict.fromkeys(
        ("CLAW_API_KEY", "CLAWVER_HTTP_TOKEN", "POSTGRES_PASSWORD"), "example_of_16_or_more"
    )
    command = [*found[0], "-f", str(COMPOSE), "config", "--quiet"]

    assert _runs(command, **given)
    assert not _runs(command)


def _runs(command: list[str], **variables: str) -> bool:
    environment = {"PATH": os.environ["PATH"]} | variables
    return (
        subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    )
