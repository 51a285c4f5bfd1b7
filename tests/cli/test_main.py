"""The command line as people and agents with a shell use it.

Where start-up, streams or the environment of a process matter, the command is a real process.
"""

import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import click
import httpx2
import pytest
from click.testing import CliRunner
from tests.commands import inside
from tests.conftest import Connect
from tests.terminals import at_terminal

from clawver_orders import __version__
from clawver_orders.cli.call import _given
from clawver_orders.cli.main import commands
from clawver_orders.cli.sandbox import _for_a_shell
from clawver_orders.install import installation
from clawver_orders.tools import SURFACE, TOOLS, not_offered
from clawver_orders.tools.contract import Tool
from clawver_sandbox.shop import API_KEY, Shop


def keyless() -> dict[str, str]:
    """The variables of this test without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLAW")}


def run(
    *arguments: str, stdin: str | bytes = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command within this process: what it says, and the exit code it ends with."""
    without: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CLAW")}
    with logs_as_they_were(), signals_as_they_were(seconds=60):
        done = CliRunner(env=without | environment).invoke(
            commands, arguments, input=stdin, prog_name="clawver-orders", catch_exceptions=False
        )
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def run_process(
    *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "clawver_orders", *arguments],
        env=keyless() | environment, input=stdin, capture_output=True, encoding="utf-8",
        timeout=60, check=False,
    )  # fmt: skip


@contextmanager
def logs_as_they_were() -> Iterator[None]:
    """Takes back what a command sets up for the whole process."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    levels = [each.level for each in loggers]
    handlers = loggers[0].handlers[:]
    try:
        yield
    finally:
        loggers[0].handlers[:] = handlers
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


@contextmanager
def signals_as_they_were(*, seconds: float) -> Iterator[None]:
    """Takes back what a command does on Ctrl+C, and ends one that should have ended by itself."""

    def give_up(*_: object) -> None:
        raise TimeoutError("the command did not end")

    interrupted = signal.getsignal(signal.SIGINT)
    has_alarms = hasattr(signal, "SIGALRM")  # Windows has none
    if has_alarms:
        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        if has_alarms:
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, interrupted)


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> dict[str, str]:
    """What points a command at the test's own store."""
    return {
        "CLAW_API_KEY": API_KEY,
        "CLAWVER_API_URL": f"{store_url}/v1",
        "CLAWVER_STATE_DIR": str(tmp_path / "state"),
    }


def test_a_hosts_server_and_a_terminal_look_in_the_same_place(tmp_path: Path) -> None:
    wanted = ("order_id=ord_shirt", "amount_in_cents=500", "reason=Smudged")
    asked = run("call", "refund_order", *wanted, "--sandbox", HOME=str(tmp_path))
    refund_id = json.loads(asked.stdout)["refund_id"]

    moved = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    shown = run("refunds", "show", refund_id, "--sandbox", **moved)

    assert (shown.returncode, shown.stderr) == (0, "")
    assert refund_id in shown.stdout


def test_the_version_and_the_help_are_there() -> None:
    assert run_process("--version").stdout.strip().endswith(__version__)
    text = run("--help").stdout
    for command in ("serve", "call", "demo", "sandbox", "doctor"):
        assert command in text
        assert run(command, "--help").returncode == 0


def paths_of(group: click.Command, *before: str) -> Iterator[tuple[str, ...]]:
    """All commands, with those of the groups."""
    for name, command in inside(group).items():
        yield (*before, name)
        yield from paths_of(command, *before, name)


@pytest.mark.parametrize("words", [(), *paths_of(commands)], ids=" ".join)
def test_each_command_has_its_help_by_the_short_option_too(words: tuple[str, ...]) -> None:
    short, long = run(*words, "-h"), run(*words, "--help")

    assert (short.returncode, short.stderr) == (0, "")
    assert short.stdout == long.stdout
    assert "Usage: clawver-orders" in short.stdout


def test_the_main_help_lists_each_command_once_by_what_it_is_for() -> None:
    _, *sections = re.split(
        r"^(\S.*):\n", run("-h").stdout.partition("exit.\n")[2], flags=re.MULTILINE
    )
    titles, bodies = sections[::2], sections[1::2]
    listed = {
        title: re.findall(r"^  ([a-z]+)", body, re.MULTILINE)
        for title, body in zip(titles, bodies, strict=True)
    }

    assert listed["Refunds"] == ["refunds", "approve", "decline", "board"]
    assert listed["Try it without a key"] == ["demo", "sandbox"]
    assert sorted(chain(*listed.values())) == sorted(inside(commands))
    assert "..." not in "".join(bodies)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_who_types_the_bare_command_is_told_what_to_run(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = at_terminal(environment=keyless() | {"CLAWVER_STATE_DIR": str(state)})
    piped_on = at_terminal(is_piped_on=True, environment=keyless())

    assert done.returncode == piped_on.returncode == 2
    assert done.stdout.startswith("clawver-orders gives AI agents the orders and refunds")
    assert "This is a\nterminal, so nothing was started." in done.stdout
    assert in_one_line(run("-h").stdout) in in_one_line(done.stdout)
    assert not state.exists()
    for command in re.findall("^  clawver-orders ([a-z]+) ", done.stdout, re.MULTILINE):
        assert command in inside(commands)


def test_nothing_changes_for_a_host_that_starts_the_bare_command() -> None:
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
    }  # fmt: skip
    done = run_process(stdin=f"{json.dumps(hello)}\n")

    assert (done.returncode, "terminal" in done.stderr) == (0, False)
    assert json.loads(done.stdout)["result"]["serverInfo"]["version"] == __version__


def help_of(*words: str) -> str:
    """What the help of `call` says, its lines joined."""
    done = CliRunner().invoke(commands, ["call", *words, "--help"], prog_name="clawver-orders")
    assert done.exit_code == 0
    return done.output


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_help_of_call_lists_the_tools_with_their_first_sentence() -> None:
    text = help_of()

    assert "\\b" not in text
    for tool in SURFACE:
        assert f"{tool.name} {tool.summary}" in in_one_line(text)
    assert "clawver-orders call TOOL --help" in text


@pytest.mark.parametrize("tool", SURFACE, ids=lambda tool: str(tool.name))
def test_the_help_of_a_tool_says_what_it_takes_and_shows_a_call_that_works(tool: Tool) -> None:
    text = help_of(tool.name)
    (example,) = re.findall(r"^  clawver-orders (.*)$", text.replace("\\\n", ""), re.MULTILINE)
    command, name, *words, sandbox = shlex.split(example)

    assert in_one_line(tool.description) in in_one_line(text)
    for argument, about in tool.input_schema["properties"].items():
        required = "Required. " if argument in tool.input_schema.get("required", []) else ""
        assert f"{argument} {required}{about.get('description', '')}" in in_one_line(text)
        for value in about.get("enum", []):
            assert value in text
    assert ("It takes none." in text) == (not tool.input_schema["properties"])
    assert (command, name, sandbox) == ("call", tool.name, "--sandbox")
    assert _given(tool, tuple(words), None) == tool.example


def test_the_help_of_a_tool_says_how_to_write_what_is_no_text() -> None:
    listing, webhook = (in_one_line(help_of(name)) for name in ("list_orders", "register_webhook"))

    assert "limit A whole number, 1 to 100. When left out: 20." in listing
    assert "status One of: pending, " in listing
    assert "order_id Required. A text." in in_one_line(help_of("refund_order"))
    assert "A whole number, 1 or more." in in_one_line(help_of("refund_order"))
    assert "A list, with commas in between. One of: order.created, " in webhook


def test_the_help_of_a_tool_needs_no_settings_no_key_and_no_state(tmp_path: Path) -> None:
    broken = {"CLAWVER_READ_ONLY": "${READ_ONLY}", "CLAWVER_STATE_DIR": str(tmp_path / "state")}
    done = run("call", "refund_order", "--help", **broken)

    assert (done.returncode, done.stderr) == (0, "")
    assert "amount_in_cents" in done.stdout
    assert not (tmp_path / "state").exists()


def test_the_help_of_no_tool_says_which_tools_there_are() -> None:
    done = run("call", "no_such_tool", "--help")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{not_offered('no_such_tool', TOOLS)}\n"


def test_a_call_prints_the_answer_as_json(store: dict[str, str], shop: Shop) -> None:
    done = run_process("call", "get_order", "order_id=ord_shirt", **store)

    assert (done.returncode, done.stderr) == (0, "")
    (order,) = json.loads(done.stdout)["orders"]
    assert order["refundable_in_cents"] == shop.order("ord_shirt")["totalInCents"]


def test_numbers_and_lists_are_read_from_words(store: dict[str, str], shop: Shop) -> None:
    sale = shop.sell(total_in_cents=2499)["id"]
    words = (
        "call",
        "refund_order",
        f"order_id={sale}",
        "amount_in_cents=500",
        "reason=Smudged = bad",
    )
    store = store | {"CLAWVER_REFUND_APPROVAL": "off"}
    first = json.loads(run(*words, **store).stdout)
    second = json.loads(run(*words, f"in_addition_to={first['clawver_refund_id']}", **store).stdout)
    both = json.dumps([first["clawver_refund_id"], second["clawver_refund_id"]])
    third = json.loads(run(*words, f"in_addition_to={both}", **store).stdout)

    assert [first["status"], second["status"], third["status"]] == ["refunded"] * 3
    assert shop.order(sale)["refunds"][0]["reason"] == "Smudged = bad"


def test_arguments_may_come_as_one_json_object(store: dict[str, str]) -> None:
    done = run("call", "list_orders", "--arguments", '{"limit": 2, "status": null}', **store)

    assert len(json.loads(done.stdout)["orders"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("no_such_tool",), ("get_order",), ("get_order", "ord_shirt"), ("get_order", "order_id=a/b"),
        ("get_order", "order_id=ord_1", "order_id=ord_2"), ("get_order", "order_id=ord_1", "dry_run=1"),
        ("list_orders", "limit=ten"), ("list_orders", "limit=1.0"), ("list_orders", "limit=" + "9" * 30),
        ("list_orders", "--arguments", "[]"), ("list_orders", "--arguments", "{"), ("list_orders", "limit=1", "--arguments", "{}"),
        ("list_orders", "--arguments", ""),
        ("refund_order", "order_id=ord_shirt", "amount_in_cents=-1", "reason=x"), ("--no-such-option",),
    ],
)  # fmt: skip
def test_a_misused_call_exits_with_2_and_sends_nothing(
    store: dict[str, str], shop: Shop, words: tuple[str, ...]
) -> None:
    done = run("call", *words, **store)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert shop.requests() == []


@pytest.mark.parametrize("tool", ["no_such_tool", "refund_order"])
async def test_a_tool_that_is_not_there_is_answered_as_a_host_is(
    store: dict[str, str], connect: Connect, shop: Shop, tool: str
) -> None:
    done = run_process("call", tool, **store, CLAWVER_READ_ONLY="on")
    async with connect(read_only=True) as client:
        result = await client.call_tool(tool, {})

    assert done.returncode == 2
    assert done.stderr == f"{getattr(result.content[0], 'text', '')}\n"
    assert "nothing was done" in done.stderr.lower()
    assert shop.requests() == []


def test_a_failed_call_exits_with_1(store: dict[str, str]) -> None:
    done = run_process("call", "get_order", "order_id=ord_nobody", **store)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("get_order failed. Clawver knows no order ord_nobody")


def test_a_bad_setting_is_a_sentence(store: dict[str, str]) -> None:
    done = run("call", "list_orders", **store | {"CLAWVER_TIMEOUT_SECONDS": "soon"})

    assert done.returncode == 1
    assert done.stderr.startswith("CLAWVER_TIMEOUT_SECONDS cannot be used")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "change", [{"CLAWVER_READ_ONLY": "${READ_ONLY}"}, {"CLAWVER_READONLY": "on"}]
)
@pytest.mark.parametrize(
    "words",
    [
        ("call", "list_orders"), ("refunds",), ("refunds", "check"), ("approve", "rfi_1", "--yes"), ("decline", "rfi_1"),
        ("listen", "--port", "0"), ("events",), ("webhook", "verify", "--signature", "x"), ("sandbox", "--port", "0"),
        ("serve", "--http", "--port", "0"), ("doctor",),
    ],
)  # fmt: skip
def test_a_setting_that_may_have_been_meant_to_protect_ends_a_command(
    store: dict[str, str], shop: Shop, words: tuple[str, ...], change: dict[str, str]
) -> None:
    done = run(*words, **store | change)

    assert done.returncode == 1
    assert "CLAWVER_READ_ONLY" in (done.stdout if words == ("doctor",) else done.stderr)
    assert "Traceback" not in done.stderr
    assert shop.requests() == []
    assert not Path(store["CLAWVER_STATE_DIR"]).exists()


def test_a_variable_that_is_no_setting_is_warned_of_once(store: dict[str, str]) -> None:
    done = run("call", "list_orders", CLAWVER_VENV="example", **store)

    assert done.returncode == 0
    assert done.stderr.count("CLAWVER_VENV is no setting of this server, so it is ignored.") == 1


def test_who_asks_for_errors_alone_is_not_warned_of_a_variable(store: dict[str, str]) -> None:
    done = run("call", "list_orders", CLAWVER_VENV="example", CLAWVER_LOG_LEVEL="error", **store)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_placeholder_in_place_of_the_key_is_told_of_where_the_key_is_missing(
    store: dict[str, str],
) -> None:
    store["CLAW_API_KEY"] = "${CLAW_API_KEY}"

    for words in (("call", "list_orders"), ("config", "cursor", "--inline-key"), ("doctor",)):
        done = run(*words, **store)

        assert done.returncode == 1
        assert "CLAW_API_KEY holds a placeholder, not a key." in done.stdout + done.stderr


def test_the_doctor_names_variables_that_are_no_settings(store: dict[str, str]) -> None:
    done = run("doctor", CLAWVER_VENV="example", CLAWVER_COLOUR="red", **store)

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "ok  names: No settings of this server, so they are ignored: CLAWVER_VENV, CLAWVER_COLOUR."
        in done.stdout
    )


def test_a_call_on_the_sandbox_needs_no_key_and_no_port(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    sale = ("order_id=ord_shirt", "amount_in_cents=500", "reason=Goodwill")
    agent = {"CLAWVER_STATE_DIR": state, "CLAWVER_REFUND_APPROVAL": "agent"}
    asked = run("call", "refund_order", *sale, "--sandbox", **agent)
    shown = [f"{name}={json.loads(asked.stdout)[name]}" for name in ("refund_id", "revision")]
    done = run("call", "confirm_refund", *shown, "--sandbox", **agent)
    again = run("call", "refund_order", *sale, "--sandbox", **agent)

    assert json.loads(asked.stdout)["status"] == "needs_approval"
    assert json.loads(done.stdout)["status"] == "refunded"
    assert json.loads(again.stdout)["status"] == "already_refunded"
    assert "Sandbox store" in json.loads(again.stdout)["sandbox"]


def test_a_call_imports_no_protocol(store: dict[str, str]) -> None:
    code = (
        "import sys; from clawver_orders.cli.main import commands\n"
        "try: commands(['call', 'get_order', 'order_id=ord_shirt'])\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'mcp', 'mcp_types', 'rich', 'starlette', 'uvicorn', 'clawver_sandbox', 'filelock'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=keyless() | store,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_a_call_loads_the_tool_that_is_called_and_no_other(store: dict[str, str]) -> None:
    code = (
        "import sys; from clawver_orders.cli.main import commands\n"
        "try: commands(['call', 'get_receipt', 'checkout_id=chk_mixed'])\n"
        "except SystemExit: pass\n"
        "print(*{m.rpartition('.')[2] for m in sys.modules if m.startswith('clawver_orders.tools.')})\n"
        "print(*{m.removeprefix('clawver_orders.') for m in sys.modules if m.startswith(('clawver_orders.cli.', 'clawver_orders.refunds.'))})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=keyless() | store, capture_output=True, text=True, check=True,
    )  # fmt: skip
    tools, others = done.stdout.splitlines()[-2:]

    assert set(tools.split()) == {"answers", "arguments", "contract", "customers"}
    assert set(others.split()) == {
        "cli.main", "cli.options", "cli.running", "cli.call", "cli.completion", "cli.output", "cli.tables",
    }  # fmt: skip


def test_reading_an_order_loads_no_ledger_where_nothing_was_refunded(store: dict[str, str]) -> None:
    code = (
        "import sys; from clawver_orders.cli.main import commands\n"
        "try: commands(['call', 'get_order', 'order_id=ord_shirt'])\n"
        "except SystemExit: pass\n"
        "print(*{m for m in sys.modules if m.startswith('clawver_orders.refunds.')})\n"
        "from clawver_orders.clawver.models import Order, Receipt, Webhook\n"
        "print(*(each.__pydantic_complete__ for each in (Order, Receipt, Webhook)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=keyless() | store, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.splitlines()[-2:] == [
        "clawver_orders.refunds.matching",
        "True False False",
    ]


def test_a_plugin_of_another_package_sees_no_order(store: dict[str, str], tmp_path: Path) -> None:
    about = tmp_path / "curious-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: curious\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pydantic]\ncurious = curious\n")
    (tmp_path / "curious.py").write_text("raise SystemExit('loaded')")
    call = [sys.executable, "-m", "clawver_orders", "call", "get_order", "order_id=ord_shirt"]
    there = keyless() | store | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(call, env=there, capture_output=True, text=True, check=False)
    wanted = there | {"PYDANTIC_DISABLE_PLUGINS": ""}
    asked_for = subprocess.run(call, env=wanted, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert asked_for.stderr == "loaded\n"


def test_a_server_loads_a_tool_when_it_is_called_or_described() -> None:
    code = (
        "import sys; from clawver_orders.serving.server import build_server\n"
        "print(*{m.rpartition('.')[2] for m in sys.modules if m.startswith('clawver_orders.tools.')})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.split()) == {"answers", "arguments", "contract"}


def test_the_help_loads_nothing_but_the_commands() -> None:
    code = (
        "import sys; from clawver_orders.cli.main import commands\n"
        "try: commands(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*{m.removeprefix('clawver_orders.cli.') for m in sys.modules if m.startswith('clawver_orders.')})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert set(done.stdout.splitlines()[-1].split()) == {
        "board", "call", "clawver_orders.cli", "completion", "database", "digest", "doctor", "events", "export", "history", "install", "ledger", "main", "options",
        "other_ledgers", "output", "person", "pin", "refunds", "running", "sandbox", "serve", "tables", "webhooks",
    }  # fmt: skip


def test_importing_the_package_does_nothing() -> None:
    code = "import sys; before = set(sys.modules); import clawver_orders; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['clawver_orders']"


@contextmanager
def serving_sandbox(
    state: dict[str, str], *options: str, port: str = "0"
) -> Iterator[dict[str, str]]:
    """A `sandbox` process; gives the variables that it tells people to set."""
    with subprocess.Popen(
        [sys.executable, "-m", "clawver_orders", "sandbox", "--port", port, *options],
        env=keyless() | state | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            said = "".join(process.stdout.readline() for _ in range(3))
            yield dict(re.findall(r"(CLAW\w+)=(\S+)", said))
        finally:
            process.terminate()
            process.communicate(timeout=120)


def test_the_sandbox_serves_one_store_to_everybody(tmp_path: Path) -> None:
    state = {"CLAWVER_STATE_DIR": str(tmp_path / "state")}
    run(
        "call",
        "refund_order",
        "order_id=ord_shirt",
        "amount_in_cents=500",
        "reason=x",
        "--sandbox",
        CLAWVER_REFUND_APPROVAL="off",
        **state,
    )
    with serving_sandbox(state) as told:
        (order,) = json.loads(run("call", "get_order", "order_id=ord_shirt", **told).stdout)[
            "orders"
        ]
        link = json.loads(
            run(
                "call", "generate_download_link", "order_id=ord_digital", "--sandbox", **state
            ).stdout
        )
        fetched = httpx2.get(link["download_url"], trust_env=False)

    assert order["refundable_in_cents"] == 2700
    assert len(fetched.content) == link["file_size_bytes"]


@pytest.mark.slow
def test_the_sandbox_can_have_a_year_of_orders(tmp_path: Path) -> None:
    state = {"CLAWVER_STATE_DIR": str(tmp_path / "state")}

    with serving_sandbox(state, "--orders", "150"):
        first = Shop.open(tmp_path / "state" / "sandbox.sqlite3").orders()
    with serving_sandbox(state, "--orders", "130") as told:
        newest = httpx2.get(
            f"{told['CLAWVER_API_URL']}/orders",
            params={"limit": 100},
            headers={"authorization": f"Bearer {told['CLAW_API_KEY']}"},
            trust_env=False,
        )

    assert len(first) == 150
    assert newest.json()["data"]["orders"] == first[:100]


def test_the_sandbox_tells_each_shell_how_to_set_its_variables() -> None:
    variables = {"CLAWVER_API_URL": "http://127.0.0.1:1/v1", "CLAW_API_KEY": "example"}

    assert _for_a_shell(variables, "linux") == (
        "export CLAWVER_API_URL=http://127.0.0.1:1/v1 CLAW_API_KEY=example"
    )
    assert _for_a_shell(variables, "win32") == (
        '$env:CLAWVER_API_URL = "http://127.0.0.1:1/v1"; $env:CLAW_API_KEY = "example"'
    )


def test_the_sandbox_can_start_again_from_its_catalogue(tmp_path: Path) -> None:
    state = {"CLAWVER_STATE_DIR": str(tmp_path / "state")}
    run(
        "call",
        "refund_order",
        "order_id=ord_shirt",
        "amount_in_cents=500",
        "reason=x",
        "--sandbox",
        CLAWVER_REFUND_APPROVAL="off",
        **state,
    )
    with serving_sandbox(state, "--reset"):
        (order,) = json.loads(
            run("call", "get_order", "order_id=ord_shirt", "--sandbox", **state).stdout
        )["orders"]

    assert order["refundable_in_cents"] == 3200


def test_the_demo_walks_through_the_main_job(tmp_path: Path) -> None:
    done = run_process("demo", TMPDIR=str(tmp_path))

    assert done.returncode == 0, done.stderr
    for heading in (
        "The tools an agent sees", "Today's orders", "One order in detail", "A download link, really fetched",
        "A receipt", "A wrong size", "A refund, and the same call once more",
    ):  # fmt: skip
        assert heading in done.stdout
    assert "fetched 48" in done.stdout
    assert "  | Refund $5.00 on order ord_shirt? Money cannot be called back.\n" in done.stdout
    assert "The demo plays the person here, and says yes." in done.stdout
    assert "Approved by: person by elicitation (chat)." in done.stdout
    assert "refunded: $5.00 was refunded on ord_shirt." in done.stdout
    assert "already_refunded: Nothing was sent" in done.stdout
    assert [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")][-3:] == [
        installation.to_install(),
        "clawver-orders config HOST",
        "clawver-orders call list_orders --sandbox",
    ]
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_finds_a_healthy_installation(store: dict[str, str]) -> None:
    done = run_process("doctor", **store)

    assert done.returncode == 0, done.stdout
    assert {line[:4] for line in done.stdout.splitlines()} == {"ok  "}
    for subject in ("settings", "address", "key", "store", "clock", "state folder"):
        assert f"ok  {subject}: " in done.stdout


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"CLAW_API_KEY": ""}, "BAD key: CLAW_API_KEY is not set."),
        (
            {"CLAW_API_KEY": "claw_sk_test_example_wrong"},
            "BAD store: Clawver does not accept the store's key",
        ),
        ({"CLAW_API_KEY": "short"}, "BAD settings: CLAW_API_KEY cannot be used"),
        ({"CLAWVER_READ_ONLY": "${X}"}, "BAD settings: CLAWVER_READ_ONLY holds a placeholder"),
        ({"CLAWVER_READONLY": "on"}, "BAD settings: CLAWVER_READONLY is no setting of this server"),
        (
            {"CLAWVER_API_URL": "https://evil.example/v1"},
            "BAD settings: CLAWVER_API_URL points at a host",
        ),
        ({"CLAWVER_API_URL": "http://127.0.0.1:1/v1"}, "BAD store: Clawver could not be reached"),
        (
            {"CLAWVER_STATE_DIR": "/proc/nowhere"},
            "BAD state folder: The state folder cannot be written",
        ),
    ],
)
def test_the_doctor_names_what_is_wrong_and_what_to_do(
    store: dict[str, str], change: dict[str, str], says: str
) -> None:
    done = run("doctor", **store | {"CLAWVER_TIMEOUT_SECONDS": "3"} | change)

    assert done.returncode == 1
    assert says in done.stdout
    lines = done.stdout.splitlines()
    assert lines[next(n for n, line in enumerate(lines) if line.startswith("BAD")) + 1].startswith(
        "    "
    )


def test_the_doctor_looks_at_the_sandbox_too(tmp_path: Path) -> None:
    done = run("doctor", "--sandbox", CLAWVER_STATE_DIR=str(tmp_path / "state"))

    assert done.returncode == 0, done.stdout
    assert "The sandbox store on this machine" in done.stdout


@pytest.mark.parametrize(("level", "way"), [("debug", run_process), ("warning", run)])
def test_neither_the_key_nor_a_customers_token_is_logged(
    store: dict[str, str], level: str, way: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    store |= {"CLAWVER_LOG_LEVEL": level}
    receipt = json.loads(way("call", "get_receipt", "checkout_id=chk_digital", **store).stdout)
    token = receipt["order_status_token"]
    said = [
        way(
            "call",
            "get_order_status",
            "order_id=ord_digital",
            f"order_status_token={token}",
            **store,
        ).stderr,
        way("call", "get_order", "order_id=ord_nobody", **store).stderr,
        way(
            "call", "get_order", "order_id=ord_1", **store | {"CLAW_API_KEY": API_KEY + "\n"}
        ).stderr,
    ]

    assert token not in "".join(said)
    assert API_KEY not in "".join(said)


@pytest.mark.parametrize("level", ["warning", "debug"])
def test_a_store_that_cannot_be_reached_is_one_sentence(store: dict[str, str], level: str) -> None:
    nowhere = {"CLAWVER_API_URL": "http://127.0.0.1:1/v1", "CLAWVER_TIMEOUT_SECONDS": "3"}
    done = run("call", "get_order", "order_id=ord_1", **store | nowhere, CLAWVER_LOG_LEVEL=level)

    *chatter, last = done.stderr.splitlines()
    assert done.returncode == 1
    assert last.startswith("get_order failed. Clawver could not be reached: no connection")
    assert bool(chatter) == (level == "debug")


async def test_a_demo_that_fails_says_which_call(tmp_path: Path) -> None:
    from clawver_orders.cli.walkthrough import walk

    shop = Shop.open(tmp_path / "sandbox.sqlite3")
    shop.add_fault("status_before", method="GET", path="/orders", status=401, times=-1)
    shop.close()

    with pytest.RaisesGroup(
        pytest.RaisesExc(RuntimeError, match="call of list_orders failed"), flatten_subgroups=True
    ):
        await walk(tmp_path, lambda _: None, lambda _: None)


@pytest.mark.parametrize(
    "words",
    [
        ("call", "get_order", "order_id=ord_shirt", "--sandbox"),
        ("doctor", "--sandbox"),
        ("sandbox", "--port", "0"),
    ],
)
def test_a_state_folder_that_cannot_be_is_a_sentence(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("x")
    done = run(*words, CLAWVER_STATE_DIR=str(tmp_path / "file" / "state"))

    assert done.returncode == 1
    assert "CLAWVER_STATE_DIR" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_sandbox_says_how_to_start_again_and_does(tmp_path: Path) -> None:
    state = {"CLAWVER_STATE_DIR": str(tmp_path)}
    (tmp_path / "sandbox.sqlite3").write_bytes(b"no database" * 500)
    call = run("call", "get_order", "order_id=ord_shirt", "--sandbox", **state)
    doctor = run("doctor", "--sandbox", **state)
    serving = run("sandbox", "--port", "0", **state)
    with serving_sandbox(state, "--reset") as told:
        again = run("call", "get_order", "order_id=ord_shirt", **told)

    assert "sandbox --reset" in call.stderr
    assert "sandbox --reset" in doctor.stdout
    assert "--reset" in serving.stderr
    assert {call.returncode, doctor.returncode, serving.returncode} == {1}
    assert "Traceback" not in call.stderr + doctor.stderr + serving.stderr
    assert again.returncode == 0


def test_a_defect_of_our_own_is_a_sentence_too(store: dict[str, str]) -> None:
    code = (
        "import clawver_orders.clawver.client as c\n"
        "async def broken(*_): raise ZeroDivisionError('secret detail')\n"
        "c.Clawver.order = broken\n"
        "from clawver_orders.cli.main import main; import sys; sys.argv[1:] = ['call', 'get_order', 'order_id=ord_1']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=keyless() | store,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "clawver-orders call failed because of a defect in this program." in done.stderr
    assert "no money was moved" in done.stderr
    assert "secret detail" not in done.stderr
