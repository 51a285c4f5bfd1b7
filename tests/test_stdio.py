"""A real server process over stdio, with the frames that a host sends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from clawver_orders.serving.stdio import whole
from clawver_sandbox.shop import API_KEY, Shop

INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "a host", "version": "1"},
}


class Host:
    """Writes and reads lines, as a host does."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def say(self, message: dict[str, Any]) -> None:
        self.say_raw(json.dumps({"jsonrpc": "2.0"} | message).encode())

    def say_raw(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = json.loads(self.process.stdout.readline())
        return heard

    def ask(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        self.say({"id": number, "method": method, "params": params})
        answer = self.hear()
        assert answer["id"] == number
        return answer


@pytest.fixture
def host(store_url: str, tmp_path: Path) -> Iterator[Host]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}
    environment |= {
        "CLAW_API_KEY": API_KEY,
        "CLAWVER_API_URL": f"{store_url}/v1",
        "CLAWVER_STATE_DIR": str(tmp_path / "state"),
        "CLAWVER_LOG_LEVEL": "debug",
        "CLAWVER_REFUND_APPROVAL": "off",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders"],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield Host(process)
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_host_initializes_lists_and_calls(host: Host, shop: Shop) -> None:
    opened = host.ask(1, "initialize", **INITIALIZE)
    host.say({"method": "notifications/initialized"})
    tools = host.ask(2, "tools/list")
    order = host.ask(3, "tools/call", name="get_order", arguments={"order_id": "ord_shirt"})

    assert opened["result"]["serverInfo"]["name"] == "clawver-orders"
    assert len(opened["result"]["instructions"].splitlines()) <= 12
    assert len(tools["result"]["tools"]) == 14
    assert order["result"]["structuredContent"]["order_id"] == "ord_shirt"
    assert shop.requests()[0]["path"] == "/v1/orders/ord_shirt"


def test_nothing_but_the_protocol_is_on_stdout_and_the_end_of_input_ends_it(host: Host) -> None:
    host.ask(1, "initialize", **INITIALIZE)
    host.say({"method": "notifications/initialized"})
    host.ask(2, "tools/call", name="get_order", arguments={"order_id": "../x"})
    host.ask(3, "tools/call", name="get_order", arguments={"order_id": "ord_nobody"})

    said, complaints = host.process.communicate(timeout=20)

    assert said == b""
    assert host.process.returncode == 0
    assert API_KEY.encode() not in complaints


def test_a_refund_over_stdio_reaches_the_store_once(host: Host, shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    host.ask(1, "initialize", **INITIALIZE)
    host.say({"method": "notifications/initialized"})
    wanted = {"order_id": sale, "amount_in_cents": 700, "reason": "Smudged"}
    answers = [host.ask(n, "tools/call", name="refund_order", arguments=wanted) for n in (2, 3)]

    assert [a["result"]["structuredContent"]["status"] for a in answers] == [
        "refunded",
        "already_refunded",
    ]
    assert [cents for order, cents in shop.refunds() if order == sale] == [700]


async def test_the_official_client_works_in_both_eras(era: str, tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "clawver_orders", "serve", "--sandbox", "--read-only"],
        env={"CLAWVER_STATE_DIR": str(tmp_path / "state")},
    )
    async with Client(server, mode=era) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        answer = await client.call_tool("list_orders", {"limit": 1})

    assert "refund_order" not in names
    assert answer.structured_content is not None
    assert "Sandbox" in answer.structured_content["sandbox"]


def test_half_a_character_is_refused_with_an_answer(host: Host, shop: Shop) -> None:
    host.ask(1, "initialize", **INITIALIZE)
    host.say({"method": "notifications/initialized"})
    host.say_raw(
        b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"refund_order","arguments":'
        b'{"order_id":"ord_shirt","amount_in_cents":1,"reason":"half \\ud800"}}}'
    )
    answer = host.hear()

    assert answer["id"] == 2
    assert answer["result"]["isError"] is True
    assert "invisible characters" in answer["result"]["content"][0]["text"]
    assert shop.requests() == []


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (r'"\ud83d\ude00"', r'"\ud83d\ude00"'), (r'"\ud83d"', r'"\ufffd"'), (r'"\ude00\uD83D"', r'"\ufffd\ufffd"'),
        (r'"\\ud83d"', r'"\\ud83d"'), (r'"\\\ud83d"', r'"\\\ufffd"'), (r'"\u00e9"', r'"\u00e9"'),
    ],
)  # fmt: skip
def test_only_lone_halves_are_replaced(line: str, read: str) -> None:
    assert whole(line) == read


def test_a_host_waits_for_no_part_that_only_listens() -> None:
    """`serve` loads nothing of the receiver. (The server under it comes with the SDK itself.)"""
    code = (
        "import sys; from clawver_orders.serving.server import build_server\n"
        "from clawver_orders.settings import Settings\n"
        "import clawver_orders.serving.stdio; build_server(Settings())\n"
        "print(sorted(set(sys.modules) & {'clawver_orders.receiver', 'clawver_orders.listener',"
        " 'clawver_orders.webhook_commands', 'clawver_sandbox'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
