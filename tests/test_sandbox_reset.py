"""A sandbox that starts again has forgotten the refunds of the orders that are gone."""

from pathlib import Path
from typing import Any

import pytest

from clawver_orders.approvals import Script
from clawver_orders.errors import SetupError
from clawver_orders.services import opened, reset_sandbox
from clawver_orders.settings import Settings
from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, Shop


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def settings_for(state: Path, **changed: Any) -> Settings:
    values: dict[str, Any] = {"state_dir": state, "refund_approval": "off", "api_key": API_KEY}
    return Settings(**values | changed)


async def refund(settings: Settings) -> str:
    async with opened(settings) as services:
        return (await services.desk.refund("ord_shirt", 500, "Torn", [], Script())).status


async def noted(settings: Settings) -> int:
    async with opened(settings) as services:
        return len(services.ledger.all())


def stores(state: Path) -> set[str]:
    return {each.name for each in (state / "stores").iterdir()}


async def test_the_same_refund_is_possible_again_on_a_sandbox_that_starts_again(
    state: Path,
) -> None:
    sandbox = settings_for(state, sandbox=True)
    assert await refund(sandbox) == "refunded"
    assert await refund(sandbox) == "already_refunded"

    reset_sandbox(sandbox, 0)

    assert await noted(sandbox) == 0
    assert await refund(sandbox) == "refunded"


async def test_the_address_that_is_served_again_is_forgotten_and_others_are_not(
    state: Path,
) -> None:
    folders = {
        settings_for(state, api_url=f"http://{host}/v1").store_dir
        for host in ("127.0.0.1:8787", "localhost:8787", "[::1]:8787", "127.0.0.1:8788")
    }
    for folder in folders:
        folder.mkdir(parents=True)
    assert len(folders) == 2
    settings_for(state).store_dir.mkdir()
    settings_for(state, sandbox=True).store_dir.mkdir()

    reset_sandbox(settings_for(state, sandbox=True), 8787)

    assert stores(state) == {"http+localhost+8788", "https+api.clawver.store+443"}


async def test_a_refund_over_the_served_address_is_forgotten_with_its_order(state: Path) -> None:
    sandbox = settings_for(state, sandbox=True)
    reset_sandbox(sandbox, 0)
    shop = Shop.open(state / "sandbox.sqlite3")
    with running(shop) as url:
        served = settings_for(state, api_url=f"{url}/v1")
        assert await refund(served) == "refunded"
        reset_sandbox(sandbox, int(url.rpartition(":")[2]))

        assert await noted(served) == 0
        assert await refund(served) == "refunded"
    shop.close()


async def test_a_port_that_is_picked_later_forgets_nothing_else(state: Path) -> None:
    folder = settings_for(state, api_url="http://127.0.0.1:8787/v1").store_dir
    folder.mkdir(parents=True)

    reset_sandbox(settings_for(state, sandbox=True), 0)

    assert stores(state) == {folder.name}


async def test_a_damaged_sandbox_starts_again_too(state: Path) -> None:
    sandbox = settings_for(state, sandbox=True)
    await refund(sandbox)
    damage(state)
    with pytest.raises(SetupError, match="The sandbox store cannot be opened"):
        await refund(sandbox)

    reset_sandbox(sandbox, 0)

    assert await refund(sandbox) == "refunded"


def damage(state: Path) -> None:
    (state / "sandbox.sqlite3").write_text("not a database")
