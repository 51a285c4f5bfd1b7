"""A real server process over stdio, with the frames that a host sends."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import ResourceTemplateReference
from tests.cli.test_main import keyless
from tests.conftest import slow, with_slow
from tests.hosts import INITIALIZE, MODERN, HostProcess, hosting, patched

from clawver_orders.serving.stdio.framing import LONGEST_LINE
from clawver_orders.tools import SURFACE
from clawver_sandbox.shop import API_KEY, Shop

REPLACED = """
import os, subprocess, sys
import clawver_orders.clawver.client as client
from clawver_orders.errors import NotFoundError
async def order(*_):
    {body}
client.Clawver.order = order
"""
GET_ORDER = {"name": "get_order", "arguments": {"order_id": "ord_shirt"}}

pytestmark = pytest.mark.usefixtures("opener")


@pytest.fixture
def host(live: dict[str, str]) -> Iterator[HostProcess]:
    with hosting(**live, CLAWVER_LOG_LEVEL="debug") as process:
        yield process


def test_a_host_initializes_lists_and_calls(live: dict[str, str], shop: Shop) -> None:
    with hosting(**live | {"CLAWVER_REFUND_APPROVAL": "agent"}) as host:
        opened = host.ask(1, "initialize", **INITIALIZE)
        host.say({"method": "notifications/initialized"})
        tools = host.ask(2, "tools/list")
        order = host.ask(3, "tools/call", name="get_order", arguments={"order_id": "ord_shirt"})

    assert opened["result"]["serverInfo"]["name"] == "clawver-orders"
    assert len(opened["result"]["instructions"].splitlines()) <= 12
    assert [tool["name"] for tool in tools["result"]["tools"]] == [
        tool.name for tool in SURFACE if tool.toolset != "webhooks"
    ]
    assert order["result"]["structuredContent"]["orders"][0]["order_id"] == "ord_shirt"
    assert shop.requests()[0]["path"] == "/v1/orders/ord_shirt"


def test_the_example_of_every_tool_is_a_good_call(live: dict[str, str]) -> None:
    secret = {"CLAWVER_WEBHOOK_SECRET": "example-secret-of-a-test"}
    agent = {"CLAWVER_REFUND_APPROVAL": "agent"}
    with hosting(**live | secret | agent, CLAWVER_WEBHOOK_HOSTS="hooks.example") as host:
        host.ask(1, "initialize", **INITIALIZE)
        host.say({"method": "notifications/initialized"})
        answers = {
            tool.name: host.ask(number, "tools/call", name=tool.name, arguments=tool.example)
            for number, tool in enumerate(SURFACE, 2)
        }

    failed = {
        name: answer["result"] for name, answer in answers.items() if answer["result"]["isError"]
    }
    assert set(failed) == {"confirm_refund"}  # only a preview gives an id that it takes
    assert "refund rfi_example" in failed["confirm_refund"]["content"][0]["text"]


def test_nothing_but_the_protocol_is_on_stdout_and_the_end_of_input_ends_it(
    host: HostProcess,
) -> None:
    host.ask(1, "initialize", **INITIALIZE)
    host.say({"method": "notifications/initialized"})
    host.ask(2, "tools/call", name="get_order", arguments={"order_id": "../x"})
    host.ask(3, "tools/call", name="get_order", arguments={"order_id": "ord_nobody"})

    said, complaints = host.process.communicate(timeout=120)

    assert said == b""
    assert host.process.returncode == 0
    assert API_KEY.encode() not in complaints


def test_a_refund_over_stdio_reaches_the_store_once(host: HostProcess, shop: Shop) -> None:
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


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("CLAWVER_READONLY=on", "Did you mean CLAWVER_READ_ONLY?"),
        slow("CLAWVER_READ_ONLY=${READ_ONLY}", "CLAWVER_READ_ONLY holds a placeholder"),
        slow("CLAWVER_REFUND_APPROVAL=nobody", "CLAWVER_REFUND_APPROVAL cannot be used"),
        slow("CLAWVER_API_URL=https://shop.example/v1", "CLAWVER_API_URL points at a host"),
        slow("CLAW_API_KEY=short", "CLAW_API_KEY cannot be used"),
    ],
)
@pytest.mark.parametrize(
    "about",
    [
        pytest.param({}, id="legacy", marks=pytest.mark.slow),
        pytest.param(MODERN, id="modern"),
    ],
)
def test_settings_that_cannot_be_used_are_the_answer_to_every_call(
    setting: str,
    says: str,
    about: dict[str, object],
    live: dict[str, str],
    shop: Shop,
    tmp_path: Path,
) -> None:
    refund = {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Smudged"}
    name, value = setting.split("=", 1)
    with hosting(**live | {name: value}) as host:
        if not about:
            host.greet()
        tools = host.ask(2, "tools/list", **about)["result"]["tools"]
        calls = [
            host.ask(number, "tools/call", name=name, arguments=arguments, **about)["result"]
            for number, (name, arguments) in enumerate(
                [
                    ("refund_order", refund),
                    ("get_order", {"order_id": "../x"}),
                    ("list_orders", {}),
                ],
                3,
            )
        ]
        stranger = host.ask(9, "tools/call", name="no_such_tool", arguments={}, **about)["result"]
        said, complaints = host.end()

    assert "refund_order" in {tool["name"] for tool in tools}
    for name, call in zip(("refund_order", "get_order", "list_orders"), calls, strict=True):
        text = call["content"][0]["text"]
        assert call["isError"] is True
        assert text.startswith(f"{name} failed. Nothing was done. CLAW")
        assert says in text
        assert text.endswith(" it again.") or "CLAWVER_ALLOW_HOST" in text
    assert "There is no such tool" in stranger["content"][0]["text"]
    assert (said, host.process.returncode) == ([], 0)
    assert "Every call fails until this is corrected: " in complaints
    assert says in complaints
    assert "Traceback" not in complaints
    assert shop.requests() == []
    assert not (tmp_path / "state").exists()


async def test_with_unusable_settings_what_needs_none_is_given_and_the_rest_says_why(
    era: str, tmp_path: Path
) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "clawver_orders"],
        env=keyless() | {"CLAWVER_STATE_DIR": str(tmp_path / "state"), "CLAWVER_READ_ONLY": "${X}"},
    )
    page = ResourceTemplateReference(uri="skill://clawver-orders/references/{name}.md")
    order = ResourceTemplateReference(uri="clawver://orders/{order_id}")
    async with Client(server, mode=era) as client:
        jobs = [prompt.name for prompt in (await client.list_prompts()).prompts]
        addresses = [resource.uri for resource in (await client.list_resources()).resources]
        templates = (await client.list_resource_templates()).resource_templates
        setup = await client.read_resource("skill://clawver-orders/references/setup.md")
        names = await client.complete(page, {"name": "name", "value": "set"})
        ids = await client.complete(order, {"name": "order_id", "value": ""})
        for ask in (
            lambda: client.read_resource("clawver://refunds/open"),
            lambda: client.read_resource("clawver://orders/ord_shirt"),
            lambda: client.get_prompt("resend_download", {"order_id": "ord_shirt"}),
        ):
            with pytest.raises(MCPError, match="CLAWVER_READ_ONLY holds a placeholder"):
                await ask()
        instructions = client.instructions or ""

    assert "handle_refund_request" in jobs
    assert "clawver://refunds/open" in addresses
    assert len(templates) == 2
    assert "# Setup" in getattr(setup.contents[0], "text", "")
    assert (names.completion.values, ids.completion.values) == (["setup"], [])
    assert "CLAWVER_READ_ONLY holds a placeholder" in instructions
    assert not (tmp_path / "state").exists()


def test_a_home_that_cannot_be_found_does_not_stop_the_server() -> None:
    homeless = """
from pathlib import Path
def home(*_):
    raise RuntimeError
Path.home = Path.expanduser = home
"""
    with hosting(*patched(homeless)) as host:
        host.greet()
        answer = host.ask(2, "tools/call", **GET_ORDER)["result"]

    assert answer["isError"] is True
    assert "Set CLAWVER_STATE_DIR to a folder" in answer["content"][0]["text"]


def test_half_a_character_is_refused_with_an_answer(host: HostProcess, shop: Shop) -> None:
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


def test_a_line_that_is_too_long_is_refused_and_the_connection_lives_on(
    host: HostProcess, shop: Shop
) -> None:
    host.greet()
    reason = "x" * LONGEST_LINE
    host.request_refund(2, "ord_shirt", 100)
    first = host.hear()
    wanted = {"order_id": "ord_shirt", "amount_in_cents": 200, "reason": reason}
    host.say(
        {"id": 3, "method": "tools/call", "params": {"name": "refund_order", "arguments": wanted}}
    )
    refused = host.hear()
    after = host.ask(4, "tools/call", **GET_ORDER)

    assert first["result"]["structuredContent"]["status"] == "refunded"
    assert (refused["id"], refused["error"]["code"]) == (3, -32600)
    assert "longer than 4194304 bytes" in refused["error"]["message"]
    assert after["result"]["structuredContent"]["orders"][0]["order_id"] == "ord_shirt"
    assert [cents for _, cents in shop.refunds()].count(200) == 0


def test_the_longest_line_that_fits_is_read(host: HostProcess) -> None:
    host.greet()
    line = b'{"jsonrpc":"2.0","id":2,"method":"ping","params":{"x":"%b"}}'
    host.say_raw(line % (b"x" * (LONGEST_LINE - len(line) + 2)))

    assert host.hear() == {"jsonrpc": "2.0", "id": 2, "result": {}}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads what Linux tells")
def test_a_line_that_is_too_long_is_not_held_in_memory(host: HostProcess) -> None:
    def most_kilobytes() -> int:
        status = Path(f"/proc/{host.process.pid}/status").read_text("utf-8")
        return int(status.split("VmHWM:")[1].split()[0])

    host.greet()
    host.say_raw(b"x" * (LONGEST_LINE + 1))
    host.hear()
    before = most_kilobytes()
    assert host.process.stdin is not None
    for _ in range(100):
        host.process.stdin.write(b"x" * 2_000_000)
    host.say_raw(b"")

    assert host.hear()["error"]["code"] == -32600
    assert most_kilobytes() - before < 8 * 1024


@pytest.mark.parametrize(
    ("line", "request_id", "code"),
    [
        (b"hello", None, -32700), (b'{"id":2,"method":"ping"}', 2, -32600),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                (b'{"jsonrpc":"2.0","id":2,"method":', None, -32700),
                (b'[{"jsonrpc":"2.0","id":2,"method":"ping"}]', None, -32600),
                (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600), (b"\xff\xfe", None, -32700),
            ]
        ),
    ],
)  # fmt: skip
def test_a_line_that_is_no_message_is_answered_with_an_error(
    host: HostProcess, line: bytes, request_id: object, code: int
) -> None:
    host.say_raw(line)
    before = host.hear()
    host.greet()
    host.say_raw(b"")  # an empty line asks for nothing
    host.say_raw(line)
    within = host.hear()

    assert [(each["id"], each["error"]["code"]) for each in (before, within)] == [
        (request_id, code)
    ] * 2
    assert host.ask(3, "ping")["result"] == {}


def test_halves_of_characters_anywhere_in_a_line_are_answered(host: HostProcess) -> None:
    host.greet()
    host.say_raw(b'{"jsonrpc":"2.0","id":"\\ud83d","method":"ping"}')
    odd_id = host.hear()
    host.say_raw(b'{"jsonrpc":"2.0","id":2,"method":"x\\udc00y"}')
    odd_method = host.hear()
    host.say_raw(b'{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"\xed\xa0\xbd"}}')
    odd_name = host.hear()

    assert (odd_id["id"], odd_id["result"]) == ("\ufffd", {})
    assert (odd_method["id"], odd_method["error"]["code"]) == (2, -32601)
    assert "There is no such tool" in odd_name["result"]["content"][0]["text"]


@pytest.mark.parametrize(
    "body",
    with_slow(
        ["return 'half \\ud800'"],
        [
            "raise NotFoundError('half \\ud800', next_step='none')",
            "raise RuntimeError('half \\ud800')",
        ],
    ),
)
def test_halves_of_characters_from_within_are_said_without_them(
    live: dict[str, str], body: str
) -> None:
    with hosting(*patched(REPLACED.format(body=body)), **live) as host:
        host.greet()
        failed = host.ask(2, "tools/call", **GET_ORDER)
        after = host.ask(3, "ping")

    assert failed["result"]["isError"] is True
    assert "\ud800" not in failed["result"]["content"][0]["text"]
    assert after["result"] == {}


def test_halves_of_characters_in_an_error_of_ours_are_replaced(live: dict[str, str]) -> None:
    body = "raise NotFoundError('half \\ud800', next_step='none')"
    with hosting(*patched(REPLACED.format(body=body)), **live) as host:
        host.greet()
        failed = host.ask(2, "tools/call", **GET_ORDER)

    assert failed["result"]["content"][0]["text"] == "get_order failed. half \ufffd none"


def test_whatever_a_tool_prints_stays_off_the_wire(live: dict[str, str]) -> None:
    body = """
    print("printed")
    sys.stdout.flush()
    os.write(1, b"written\\n")
    subprocess.run([sys.executable, "-c", "print('said by a child', input())"], check=False)
    print("printed and not flushed")
    raise ZeroDivisionError
    """
    with hosting(*patched(REPLACED.format(body=body.strip())), **live) as host:
        host.greet()
        failed = host.ask(2, "tools/call", **GET_ORDER)
        after = host.ask(3, "ping")
        said, complaints = host.end()

    assert "because of a defect in this server" in failed["result"]["content"][0]["text"]
    assert after["result"] == {}
    assert said == []
    assert host.process.returncode == 0
    for printed in (
        "printed\n",
        "written\n",
        "EOFError",
        "printed and not flushed\n",
        "ZeroDivisionError",
    ):
        assert printed in complaints


def test_serving_over_stdio_loads_neither_the_http_server_nor_the_sandbox(
    live: dict[str, str],
) -> None:
    tells = "import atexit, json, sys; modules = lambda: [*sys.modules, *(n.split('.')[0] for n in sys.modules)]; atexit.register(lambda: print(json.dumps(modules()), file=sys.stderr))"
    with hosting(*patched(tells), **live) as host:
        host.greet()
        host.ask(2, "tools/list")
        host.ask(3, "tools/call", **GET_ORDER)
        _, complaints = host.end()
    loaded = set(json.loads(complaints.splitlines()[-1]))

    assert "clawver_orders.serving.stdio.run" in loaded
    assert not loaded & {"rich", "uvicorn", "clawver_sandbox", "clawver_orders.serving.http.run"}
    assert not loaded & {"clawver_orders.cli.walkthrough", "clawver_orders.reports.checks"}
