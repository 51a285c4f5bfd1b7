"""The installed command, driven by every client that people use, without any model.

The first two run with the quick tests. The others are marked `clients`: each is installed from
the registries into an environment of its own, which `.ci/run` does.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.clients.command import INSTALLED
from tests.clients.conftest import Install
from tests.clients.refund import refund
from tests.clients.talk import Talk, talking

from clawver_orders.tools import SURFACE
from clawver_sandbox.shop import API_KEY, Shop

DRIVERS = Path(__file__).parent / "drivers"
TYPESCRIPT = "@modelcontextprotocol/sdk/client"


@dataclass(frozen=True)
class Client:
    """A client and what it needs.

    Attributes:
        driver: Its file in `drivers/`, and what that is told.
        packages: What is installed for it; nothing when this environment has it.
    """

    driver: tuple[str, ...]
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Driver:
    """What runs a client, and where."""

    command: list[str]
    folder: Path


CLIENTS = {
    "mcp 2, auto": Client(("mcp2.py", "auto")),
    "mcp 2, legacy": Client(("mcp2.py", "legacy")),
    "mcp 1": Client(("mcp1.py",), ("mcp<2",)),
    "fastmcp": Client(("fastmcp_client.py",), ("fastmcp",)),
    "langchain-mcp-adapters": Client(("langchain.py",), ("langchain-mcp-adapters",)),
    "openai-agents": Client(("openai_agents.py",), ("openai-agents",)),
    "pydantic-ai": Client(("pydantic_ai_toolset.py",), ("pydantic-ai-slim[mcp]",)),
    "typescript 1": Client(
        ("typescript.mjs", f"{TYPESCRIPT}/index.js", f"{TYPESCRIPT}/stdio.js"),
        ("@modelcontextprotocol/sdk@1",),
    ),
    "typescript 2": Client(
        ("typescript.mjs", "@modelcontextprotocol/client", "@modelcontextprotocol/client/stdio"),
        ("@modelcontextprotocol/client@2",),
    ),
    "inspector": Client(("inspector.mjs",), ("@modelcontextprotocol/inspector@2",)),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(client, id=name, marks=[pytest.mark.clients] if client.packages else [])
        for name, client in CLIENTS.items()
    ],
)
def driver(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    with_python: Install,
    with_node: Install,
) -> Driver:
    """What runs a client, in an environment that has it."""
    client: Client = request.param
    file, *told = client.driver
    if not client.packages:
        return Driver(
            [sys.executable, str(DRIVERS / file), *told], tmp_path_factory.mktemp("client")
        )
    environment = (with_node if file.endswith(".mjs") else with_python)(client.packages)
    return Driver([str(environment.interpreter), str(DRIVERS / file), *told], environment.folder)


@pytest.fixture
def talk(driver: Driver, store_url: str, tmp_path: Path) -> Iterator[Talk]:
    """A client that is connected as the command itself says that hosts should."""
    printed = subprocess.run(
        [INSTALLED, "config", "generic"], capture_output=True, text=True, check=True
    ).stdout
    entry: dict[str, Any] = json.loads(printed)["mcpServers"]["clawver-orders"]
    assert entry["env"] == {"CLAW_API_KEY": "${CLAW_API_KEY}"}
    entry["env"] = {
        "CLAW_API_KEY": API_KEY,
        "CLAWVER_API_URL": f"{store_url}/v1",
        "CLAWVER_STATE_DIR": str(tmp_path / "state"),
    }
    with talking(driver.command, entry, driver.folder) as talk:
        yield talk


def test_a_client_does_the_main_job(talk: Talk, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]

    assert talk.tools() == [tool.name for tool in SURFACE]
    assert len(talk.call("list_orders").data["orders"]) == 20
    nulls = talk.call("list_orders", status=None, product=None, created_after=None, limit=None)
    assert len(nulls.data["orders"]) == 20
    assert talk.call("get_order", order_id=sale).data["refundable_in_cents"] == 2499

    rejected = talk.call("get_order", order_id="../x")
    assert rejected.failed
    assert "get_order failed. Nothing was done: order_id must be" in rejected.text
    unknown = talk.call("no_such_tool")
    assert unknown.failed
    assert "no_such_tool" in unknown.text or "no such tool" in unknown.text
    too_much = talk.call("refund_order", order_id=sale, amount_in_cents=99999, reason="Smudged")
    assert too_much.failed
    assert "No money was moved" in too_much.text

    assert refund(talk, sale, 700)["status"] == "refunded"
    assert [cents for order, cents in shop.refunds() if order == sale] == [700]
    assert talk.call("get_order", order_id=sale).data["refundable_in_cents"] == 1799
