"""The installed command, driven by every client that people use, without any model.

The first runs with the quick tests, the second with the slow ones. The others are marked `clients`:
each is installed from the registries into an environment of its own, which `.ci/run` does.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.cli.test_board import board
from tests.clients.command import INSTALLED, on_path_late
from tests.clients.conftest import Install
from tests.clients.refund import refund
from tests.clients.talk import Talk, talking
from tests.conftest import Configure, leading_to
from tests.hosts import starting
from tests.web.visitor import PIN, decide

from clawver_orders.services import opened
from clawver_orders.settings import Settings
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
        starts_anew: Whether it starts the server again for each call.
    """

    driver: tuple[str, ...]
    packages: tuple[str, ...] = ()
    starts_anew: bool = False


@dataclass(frozen=True)
class Driver:
    """What runs a client, and where."""

    command: list[str]
    folder: Path
    starts_anew: bool = False


CLIENTS = {
    "mcp 2, auto": Client(("mcp2.py", "auto")),
    "mcp 2, legacy": Client(("mcp2.py", "legacy")),
    "mcp 1": Client(("mcp1.py",), ("mcp<2",)),
    "fastmcp": Client(("fastmcp_client.py",), ("fastmcp",)),
    "langchain-mcp-adapters": Client(
        ("langchain.py",), ("langchain-mcp-adapters",), starts_anew=True
    ),
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
    "inspector": Client(
        ("inspector.mjs",), ("@modelcontextprotocol/inspector@2",), starts_anew=True
    ),
}


def marks(name: str, client: Client) -> list[pytest.MarkDecorator]:
    """When a client is driven: the first of them with the quick tests."""
    if client.packages:
        return [pytest.mark.clients]
    return [] if name == "mcp 2, auto" else [pytest.mark.slow]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(client, id=name, marks=marks(name, client)) for name, client in CLIENTS.items()
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
    command = [str(environment.interpreter), str(DRIVERS / file), *told]
    return Driver(command, environment.folder, client.starts_anew)


@contextmanager
def connected(driver: Driver, state: Path, store_url: str, approval: str) -> Iterator[Talk]:
    """A client that is connected as the command itself says that hosts should."""
    printed = subprocess.run(
        [INSTALLED, "config", "generic"], capture_output=True, text=True, check=True
    ).stdout
    entry: dict[str, Any] = json.loads(printed)["mcpServers"]["clawver-orders"]
    assert entry["env"] == {"CLAW_API_KEY": "${CLAW_API_KEY}"}
    entry["env"] = {
        "CLAW_API_KEY": API_KEY,
        "CLAWVER_API_URL": f"{store_url}/v1",
        "CLAWVER_STATE_DIR": str(state),
        "CLAWVER_REFUND_APPROVAL": approval,
        "CLAWVER_OPENER": "strict",
    }
    with starting(INSTALLED, **entry["env"]) as host:  # so that the client is answered early
        host.greet()
        host.process.communicate(timeout=120)
    with talking(driver.command, entry, driver.folder) as talk:
        yield talk


@pytest.fixture
def talk(driver: Driver, store_url: str, tmp_path: Path) -> Iterator[Talk]:
    """A client of a server that takes an agent's own word."""
    with connected(driver, tmp_path / "state", store_url, "agent") as talk:
        yield talk


@pytest.mark.clients
def test_a_client_waits_for_a_server_that_starts_late(driver: Driver, tmp_path: Path) -> None:
    on_path_late(tmp_path)
    entry = {
        "command": str(tmp_path / "clawver-orders"),
        "args": ["serve", "--sandbox"],
        "env": {"CLAWVER_STATE_DIR": str(tmp_path / "state"), "PATH": os.environ["PATH"]},
    }
    with talking(driver.command, entry, driver.folder) as talk:
        assert "refund_order" in talk.tools()


def test_a_client_does_the_main_job(talk: Talk, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]

    assert talk.tools() == [tool.name for tool in SURFACE if tool.toolset != "webhooks"]
    assert len(talk.call("list_orders").data["orders"]) == 20
    nulls = talk.call("list_orders", status=None, product=None, created_after=None, limit=None)
    assert len(nulls.data["orders"]) == 20
    assert talk.call("get_order", order_id=sale).data["orders"][0]["refundable_in_cents"] == 2499

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
    assert talk.call("get_order", order_id=sale).data["orders"][0]["refundable_in_cents"] == 1799


def test_a_person_decides_on_the_page_that_a_client_names(
    driver: Driver, configure: Configure, store_url: str, shop: Shop, tmp_path: Path
) -> None:
    """No client here shows a form, so its agent hands the person a link, and asks what became of it.

    A server that ends with its call can show no page: then the link leads to the one that the person
    has started at login.
    """
    settings = configure(api_key=API_KEY, state_dir=tmp_path / "state")
    sale = shop.sell(total_in_cents=2499)["id"]
    anyio.run(set_pin, settings)
    persons = {"CLAW_API_KEY": API_KEY, "CLAWVER_REFUND_APPROVAL": "chat"}

    with (
        board(leading_to(store_url, tmp_path / "state") | persons, "--port", "0")
        if driver.starts_anew
        else nullcontext(),
        connected(driver, tmp_path / "state", store_url, "chat") as talk,
    ):
        names = talk.tools()
        wish = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
        asked = talk.call("refund_order", **wish).data
        before = list(shop.refunds())
        anyio.run(decide, asked["approve_at"], "approve")
        told = talk.call("check_refund", refund_id=asked["refund_id"]).data
        again = talk.call("refund_order", **wish).data

    assert "confirm_refund" not in names
    assert (asked["status"], asked["needs"]) == ("needs_approval", "chat")
    assert asked["approve_at"] in asked["next_step"]
    assert (sale, 700) not in before
    assert told["status"] == "refunded"
    assert again["status"] == "already_refunded"
    assert [cents for order, cents in shop.refunds() if order == sale] == [700]


async def set_pin(settings: Settings) -> None:
    async with opened(settings) as services:
        (await services.store()).pin.set(PIN, None)
