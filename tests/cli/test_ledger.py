"""Moving the refunds of a machine from the terminal."""

import json
from pathlib import Path

import pytest
from tests.cli.test_main import run
from tests.conftest import KEY
from tests.postgres import Schemas

from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop

REFUND = ("refund_order", "order_id=ord_shirt", "amount_in_cents=500", "reason=Torn")


@pytest.fixture
def shared(live: dict[str, str], shop: Shop, schemas: Schemas) -> dict[str, str]:
    """What points a command at the shop, and at a database."""
    settings = Settings(api_key=KEY, api_url=live["CLAWVER_API_URL"])
    schemas.are_used_by(settings, shop.details()["id"])
    return live | {"CLAWVER_DATABASE_URL": schemas.url}


def test_refunds_are_moved_once(live: dict[str, str], shared: dict[str, str], shop: Shop) -> None:
    assert run("call", *REFUND, **live).returncode == 0

    moved, again = run("ledger", "move", **shared), run("ledger", "move", **shared)

    [file] = Path(live["CLAWVER_STATE_DIR"]).rglob("ledger.sqlite3")
    assert moved.stdout.splitlines()[1] == (
        f"Refunds moved into the database: 1. {file} is kept, and no longer used."
    )
    assert again.stdout.splitlines()[1] == (
        f"Its refunds were moved before. {file} is kept, and no longer used."
    )
    assert (moved.returncode, again.returncode) == (0, 0)
    assert json.loads(run("call", *REFUND, **shared).stdout)["status"] == "already_refunded"
    assert shop.refunds() == [("ord_shirt", 500)]


def test_a_machine_without_refunds_has_nothing_to_move(shared: dict[str, str], shop: Shop) -> None:
    done = run("ledger", "move", **shared)
    told = json.loads(run("ledger", "move", "--json", **shared).stdout)

    assert done.stdout.splitlines()[1] == (
        "This machine has no refund ledger of it. There was nothing to move."
    )
    assert told["refunds_moved"] == 0
    assert told["file"] is None
    assert shop.details()["id"] in told["store"]


def test_without_a_database_it_says_what_is_missing(live: dict[str, str]) -> None:
    done = run("ledger", "move", **live)

    assert done.returncode == 1
    assert done.stderr == (
        "CLAWVER_DATABASE_URL is not set, so nothing was moved. Set it to the database that is to have the "
        "refunds, then run this again.\n"
    )


def test_the_group_says_what_it_has() -> None:
    assert "Move this machine's refunds into the database" in run("ledger", "--help").stdout
