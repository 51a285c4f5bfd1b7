"""What a shell offers after Tab, asked as each shell asks: real shells, and click's own protocol."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from tests.cli.test_main import keyless, paths_of, run
from tests.conftest import KEY, with_slow
from tests.documents.test_references import TEXTS, blocks, section

from clawver_orders.cli.main import commands
from clawver_orders.install.hosts import HOSTS
from clawver_orders.tools import SURFACE
from clawver_sandbox.shop import Shop

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the lines are those of a POSIX shell")
SHELLS = ("bash", "zsh", "fish")
LINES = {
    shell: line
    for shell in SHELLS
    for line in blocks(section(TEXTS["docs/terminal.md"], "Complete commands with Tab"), "sh")
    if f"={shell}_source" in line
}
"""What the page has each shell run when it starts."""
ASKS = {
    "bash": (
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n'
        '_clawver_orders_completion clawver-orders; printf "%s\\n" "${COMPREPLY[@]}"'
    ),
    "zsh": (
        'words=("$@"); CURRENT=$#\n'
        "_describe() { print -l -- ${(@)${(P)3}%%:*} }; compadd() { print -l -- ${(P)@[-1]} }\n"
        "_clawver_orders_completion"
    ),
    "fish": 'complete -C "$argv" | string replace -r "\\t.*" ""',
}
"""Asks a shell what it would offer, as its own machinery does."""
BEFORE = {"bash": "", "zsh": "compdef() { : }\n", "fish": ""}


def environment(**more: str) -> dict[str, str]:
    scripts = Path(sys.executable).parent
    return keyless() | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"} | more


def offered(shell: str, *words: str, **more: str) -> list[str]:
    """What a shell offers for the last of these words, once it ran the line of the page."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    typed = [" ".join(words)] if shell == "fish" else list(words)
    done = subprocess.run(
        [shell, "-c", f"{BEFORE[shell]}{LINES[shell]}\n{ASKS[shell]}", *([] if shell == "fish" else [shell]), *typed],
        env=environment(**more), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return sorted(filter(None, done.stdout.splitlines()))


def answered(*words: str, protocol: str = "bash", **more: str) -> list[str]:
    """The same by the protocol that the script of a shell speaks with the command."""
    asked = {
        "_CLAWVER_ORDERS_COMPLETE": f"{protocol}_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "clawver_orders"],
        env=environment(**more) | asked, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


def values(*words: str, **more: str) -> list[str]:
    """What is offered for the last of these words, asked for within this process."""
    *before, incomplete = words
    without: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CLAW")}
    with CliRunner(env=without | more).isolation():
        complete = ShellComplete(commands, {}, "clawver-orders", "_CLAWVER_ORDERS_COMPLETE")
        return [each.value for each in complete.get_completions(before, incomplete)]


@pytest.fixture
def store(live: dict[str, str]) -> dict[str, str]:
    return live | {"CLAWVER_REFUND_APPROVAL": "agent"}


def wanted(store: dict[str, str], order_id: str, cents: int = 700) -> str:
    words = (f"order_id={order_id}", f"amount_in_cents={cents}", "reason=Smudged")
    return str(json.loads(run("call", "refund_order", *words, **store).stdout)["refund_id"])


def test_the_page_has_a_line_for_each_shell() -> None:
    assert list(LINES) == list(SHELLS)


@pytest.mark.parametrize("shell", with_slow(["bash"], ["zsh", "fish"]))
def test_a_real_shell_completes_commands_and_ids(
    store: dict[str, str], shop: Shop, shell: str
) -> None:
    sale = str(shop.sell(total_in_cents=2499)["id"])
    refund_id = wanted(store, sale)
    asked = len(shop.requests())

    assert offered(shell, "clawver-orders", "ref") == ["refunds"]
    assert offered(shell, "clawver-orders", "approve", "rfi_", **store) == [refund_id]
    assert offered(shell, "clawver-orders", "config", "claude-") == [
        "claude-code",
        "claude-desktop",
    ]
    assert len(shop.requests()) == asked


def test_each_command_and_subcommand_is_offered() -> None:
    for path in paths_of(commands):
        assert path[-1] in values(*path)


def test_hosts_and_tools_are_offered() -> None:
    assert values("config", "") == list(HOSTS)
    assert values("call", "") == [tool.name for tool in SURFACE]
    assert values("call", "get_r") == ["get_receipt"]


def test_the_refunds_are_offered_that_a_command_can_do_something_about(
    store: dict[str, str], shop: Shop
) -> None:
    sale, other = (str(shop.sell(total_in_cents=2499)["id"]) for _ in range(2))
    done, waiting = wanted(store, sale), wanted(store, other)
    run("approve", done, "--yes", **store)
    asked = len(shop.requests())

    assert values("approve", "", **store) == values("decline", "", **store) == [waiting]
    assert values("refunds", "show", "", **store) == [waiting, done]
    assert values("refunds", "resolve", "", **store) == []
    assert values("events", "--order", "", **store) == [other, sale]
    assert values("events", "--order", other[:-1], **store) == [other]
    assert f"$7.00 on {other} (waiting)" in answered(
        "clawver-orders", "approve", "", protocol="zsh", **store
    )
    assert len(shop.requests()) == asked


def test_those_of_the_sandbox_are_offered_after_its_option(store: dict[str, str]) -> None:
    state = {"CLAWVER_STATE_DIR": store["CLAWVER_STATE_DIR"], "CLAWVER_SANDBOX": "on"}
    refund_id = wanted(state | {"CLAWVER_REFUND_APPROVAL": "agent"}, "ord_shirt")

    assert values("approve", "--sandbox", "", **store) == [refund_id]
    assert values("approve", "", **store) == []


@pytest.mark.parametrize(
    "change",
    [
        {},  # a store that was never met, so its ledger is not known
        {"CLAW_API_KEY": ""},
        {"CLAWVER_READ_ONLY": "${X}"},
        {"CLAWVER_STATE_DIR": "/proc/nowhere"},
        {"CLAWVER_SANDBOX": "on"},  # whose ledger is not there yet
    ],
)
def test_where_the_ledger_cannot_be_read_nothing_is_offered_and_nothing_made(
    store: dict[str, str], shop: Shop, change: dict[str, str]
) -> None:
    assert values("approve", "", **store | change) == []
    assert shop.requests() == []
    assert not Path(store["CLAWVER_STATE_DIR"]).exists()


def test_a_damaged_ledger_is_not_complained_of_in_the_middle_of_a_line(
    store: dict[str, str],
) -> None:
    wanted(store, "ord_shirt")
    (ledger,) = Path(store["CLAWVER_STATE_DIR"]).rglob("ledger.sqlite3")
    ledger.write_bytes(b"no database" * 500)

    assert values("approve", "", **store) == []
    assert KEY not in "".join(values("", **store))


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_names_the_command(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clawver_orders"],
        env=environment(_CLAWVER_ORDERS_COMPLETE=f"{shell}_source"),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0
    assert re.search(rf"_CLAWVER_ORDERS_COMPLETE={shell}_complete", done.stdout)
    assert "clawver-orders" in done.stdout
