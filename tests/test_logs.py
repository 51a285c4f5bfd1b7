"""What is said on stderr names no secret."""

import logging

import pytest
from tests.conftest import Connect

from clawver_orders.logs import set_up
from clawver_sandbox.shop import Shop

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


def test_keys_and_tokens_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug")

    logging.getLogger("x").info(
        "GET /public?token=example-secret&a=1 with Bearer claw_sk_live_example_key"
    )

    said = capsys.readouterr().err
    assert said == "INFO x: GET /public?token=…&a=1 with Bearer …\n"


def test_a_traceback_shows_where_and_never_what(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("warning")
    try:
        int("a customer's words")
    except ValueError:
        logging.getLogger("x").exception("It failed")

    said = capsys.readouterr().err
    assert "ValueError, raised in:" in said
    assert "test_logs.py" in said
    assert "customer's words" not in said


def test_whole_addresses_are_not_logged_even_when_everything_else_is() -> None:
    set_up("debug")

    assert not logging.getLogger("httpx2").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
async def test_repeated_attempts_are_told_to_who_debugs_alone(
    connect: Connect, shop: Shop, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    set_up(level)
    shop.add_fault("drop_before", method="GET")
    async with connect() as client:
        result = await client.call_tool("get_order", {"order_id": "ord_shirt"})

    assert not result.is_error
    assert len(shop.requests()) == 2
    assert ("a read is repeated" in capsys.readouterr().err) == (level == "debug")
