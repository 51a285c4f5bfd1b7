"""Every block that a page prints is typed as it stands, or is listed here with the reason.

The lines of one section are typed in one shell, from top to bottom, in a home of their own.
"""

import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cli.test_main import keyless, run
from tests.conftest import slow
from tests.documents.printed import PAGES, ROOT, Block, Section, Shell, Step, sections, steps

from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_sandbox.shop import Shop


@dataclass(frozen=True)
class Elsewhere:
    """Why a line or a block isn't typed here, and the file that runs or reads it instead."""

    file: str
    reason: str


CHECKOUT = Elsewhere("tests/clients/test_checkout.py", "uv fetches packages from an index")
INSTALLATION = Elsewhere("tests/clients/test_running.py", "uv fetches packages from an index")
READ_AS_HOSTS_DO = Elsewhere("tests/install/test_any_folder.py", "a host's file, not a command")
COMPLETION = Elsewhere(
    "tests/cli/test_completion.py", "bash, zsh and fish complete, and sh does not"
)
SCHEDULED = Elsewhere("tests/documents/test_digest.py", "a scheduler reads it, not a shell")
WITH_A_DATABASE = Elsewhere("tests/documents/test_several_machines.py", "it needs a database")
OF_THE_TESTS = Elsewhere(".ci/run", "it runs the tests themselves")
MAKES_DOCUMENTS = Elsewhere("CONTRIBUTING.md", "it changes files of the checkout")
DOCKER = Elsewhere("tests/documents/test_readme.py", "it needs Docker and its registry")
IN_DOCKER = (
    "docker run -it --rm --pull=never -e CLAW_API_KEY -v clawver-orders:/state clawver-orders"
)
LINES = {
    ("README.md", "uv run clawver-orders demo"): CHECKOUT,
    ("README.md", "uv tool install ."): CHECKOUT,
    ("README.md", "python3 -m pip install uv && uv run pytest"): OF_THE_TESTS,
    ("CONTRIBUTING.md", "UPDATE_SURFACE=1 uv run pytest tests/tools/test_surface.py"): MAKES_DOCUMENTS,
    ("CONTRIBUTING.md", "UPDATE_README=1 uv run pytest tests/documents/test_readme.py"): MAKES_DOCUMENTS,
    ("docs/digest.md", 'openclaw cron add --name "Daily order check" --cron "0 8 * * *" --tz "Europe/Berlin" --session isolated --message "Do the daily order check of my store with clawver-orders, and report it. Change nothing and refund nothing."'): SCHEDULED,
    ("docs/docker.md", "docker build -f .docker/Dockerfile -t clawver-orders ."): DOCKER,
    ("docs/docker.md", f"{IN_DOCKER} approve rfi_…"): DOCKER,
    ("docs/docker.md", f"{IN_DOCKER} refunds"): DOCKER,
    ("docs/docker.md", f"{IN_DOCKER} pin"): DOCKER,
    ("docs/http.md", "claude mcp add --scope user --transport http clawver-orders http://127.0.0.1:8788/mcp --header 'Authorization: Bearer ${CLAWVER_HTTP_TOKEN}'"): Elsewhere(
        "tests/clients/test_installs.py", "it needs Claude Code, which comes from a registry"
    ),
    ("docs/hosts.md", "claude mcp add --scope user clawver-orders -e 'CLAW_API_KEY=${CLAW_API_KEY}' -- clawver-orders"): Elsewhere(
        "tests/clients/test_installs.py", "it needs Claude Code, which comes from a registry"
    ),
    ("docs/hosts.md", "openclaw mcp add clawver-orders --command clawver-orders --env 'CLAW_API_KEY=${CLAW_API_KEY}' --connect-timeout 60"): Elsewhere(
        "tests/install/test_any_folder.py", "it needs OpenClaw, which doesn't install beside Node 20"
    ),
    ("docs/terminal.md", 'eval "$(_CLAWVER_ORDERS_COMPLETE=bash_source clawver-orders)"'): COMPLETION,
    ("docs/terminal.md", 'eval "$(_CLAWVER_ORDERS_COMPLETE=zsh_source clawver-orders)"'): COMPLETION,
    ("docs/terminal.md", "_CLAWVER_ORDERS_COMPLETE=fish_source clawver-orders | source"): COMPLETION,
    **{
        ("docs/several-machines.md", line): WITH_A_DATABASE
        for line in (
            "createuser clawver",
            "createdb --owner clawver clawver_orders",
            "createuser clawver_server",
            "clawver-orders database grant clawver_server",
            "clawver-orders ledger move",
            "clawver-orders refunds",
            'pg_dump --format=custom --file="$HOME/clawver-orders.dump" "$CLAWVER_DATABASE_URL"',
            "dropdb clawver_orders",
            'pg_restore --single-transaction --dbname="$CLAWVER_DATABASE_URL" "$HOME/clawver-orders.dump"',
            "clawver-orders doctor",
            "clawver-orders refunds check",
            "export CLAWVER_DATABASE_URL='postgresql://clawver@db.example.com:5432/clawver_orders?sslmode=verify-full'",
            "docker compose -f .docker/compose.yaml up --build",
        )
    },
    ("docs/several-machines.md", "uv tool install '.[postgres]'"): Elsewhere(
        "tests/documents/test_several_machines.py", "uv fetches packages from an index"
    ),
    ("docs/running.md", "git pull"): INSTALLATION,
    ("docs/running.md", "uv tool install ."): INSTALLATION,
    ("docs/running.md", "uv tool uninstall clawver-orders"): INSTALLATION,
}  # fmt: skip
"""Lines that cannot be typed here."""
BLOCKS = {
    ("README.md", "json"): READ_AS_HOSTS_DO,
    ("docs/api-examples.md", "http"): Elsewhere(
        "tests/documents/test_references.py", "requests, not commands: they are sent there"
    ),
    ("docs/digest.md", "ini"): SCHEDULED,
    ("docs/digest.md", "powershell"): SCHEDULED,
    ("docs/digest.md", "text"): SCHEDULED,
    ("docs/digest.md", "xml"): SCHEDULED,
    ("docs/docker.md", "json"): DOCKER,
    ("docs/frameworks.md", "python"): Elsewhere(
        "tests/clients/test_snippets.py", "the frameworks come from a registry"
    ),
    ("docs/frameworks.md", "js"): Elsewhere(
        "tests/clients/test_snippets.py", "the frameworks come from a registry"
    ),
    ("docs/hosts.md", "json"): READ_AS_HOSTS_DO,
    ("docs/hosts.md", "toml"): READ_AS_HOSTS_DO,
    ("docs/hosts.md", "yaml"): READ_AS_HOSTS_DO,
    ("docs/refund-policy.md", "toml"): Elsewhere(
        "tests/refunds/test_policy.py", "a file of the merchant's, not a command"
    ),
    ("docs/setup.md", "json"): READ_AS_HOSTS_DO,
    ("docs/stores.md", "json"): Elsewhere(
        "tests/test_store_file.py", "a host's file, not a command"
    ),
    ("docs/stores.md", "text"): Elsewhere(
        "tests/cli/test_board.py", "what a command prints, on a port of the test's own there"
    ),
    ("docs/stores.md", "toml"): Elsewhere(
        "tests/test_store_file.py", "a file of the merchant's, not a command"
    ),
    ("docs/windows.md", "powershell"): Elsewhere(
        "tests/documents/test_readme.py", "there is no PowerShell; its command is run there"
    ),
}
"""Blocks that are nothing for a POSIX shell, by page and language."""
SECTIONS = sections()
TYPED = [each for each in SECTIONS if any(block.language == "sh" for block in each.blocks)]
STAYS = re.compile(r"clawver-orders (?:serve --http|listen|board|sandbox)\b")
ENDED_BY_SIGNAL = 128 + signal.SIGTERM
PORTS = {"serve --http": 8788, "listen": 8789, "orders sandbox": 8787}


def steps_of(section: Section) -> list[Step]:
    shell = [block.text for block in section.blocks if block.language == "sh"]
    return [step for text in shell for step in steps(text)]


def lines(section: Section) -> list[str]:
    return [step.line for step in steps_of(section)]


@dataclass
class Stage:
    """What a section needs to be there before it is read."""

    home: Path
    environment: dict[str, str]
    shop: Shop

    def wants(self, cents: int) -> dict[str, str]:
        """A refund of a new order as an agent asks for it."""
        order_id = self.shop.sell(total_in_cents=2499)["id"]
        words = (f"order_id={order_id}", f"amount_in_cents={cents}", "reason=Smudged")
        answer: dict[str, str] = json.loads(
            run("call", "refund_order", *words, **self.environment).stdout
        )
        return answer

    def print_again(self, *names: tuple[str, str]) -> None:
        """Type what other sections of the page say comes first."""
        with Shell(self.home, self.environment, is_terminal=False) as shell:
            for section in TYPED:
                for line in lines(section) if section.name in names else ():
                    if (section.page, line) not in LINES:
                        assert shell.typed(line)[0] == 0

    def id_for(self, line: str) -> str:
        """The id of a refund of its own, in the state that a person's command is for."""
        refund_id = self.wants(700)["refund_id"]
        if "resolve" in line:
            self.shop.add_fault("drop_before", method="POST")
            with Shell(self.home, self.environment, is_terminal=True) as shell:
                assert shell.typed(f"clawver-orders approve {refund_id}")[0] == 3
        return refund_id

    def some_history(self) -> None:
        self.wants(700)

    def a_damaged_ledger(self) -> None:
        self.wants(700)
        self.print_again(("docs/running.md", "Back up"))
        (ledger,) = self.home.rglob(LEDGER_FILE)
        ledger.write_bytes(b"damaged")

    def a_copy_from_the_old_machine(self) -> None:
        self.wants(700)
        self.print_again(("docs/running.md", "Back up"), ("docs/running.md", "Uninstall"))

    def filled(self, line: str) -> str:
        """The line with what its words in capitals stand for."""
        values = {"HOST": "generic"}
        if "rfi_…" in line:
            values["rfi_…"] = self.id_for(line)
        for store in self.home.glob(".local/state/clawver-orders/stores/*/live-*"):
            values |= {"ADDRESS": store.parent.name, "live-ID": store.name}
        for word, value in values.items():
            line = re.sub(rf"(?<![\w_]){word}(?!\w)", value, line)
        return line


@dataclass(frozen=True)
class Needs:
    """What has to be there before a section is read.

    Attributes:
        before: What happened until then.
        is_terminal: Whether a person sits at the terminal.
    """

    before: Callable[[Stage], None] | None = None
    is_terminal: bool = False


WITH_A_STORE = {
    ("README.md", "Connect a host"): Needs(),
    ("README.md", "Check it"): Needs(),
    ("README.md", "Tools"): Needs(is_terminal=True),
    ("README.md", "The page in the browser"): Needs(is_terminal=True),
    ("docs/http.md", "Over HTTP"): Needs(),
    ("docs/running.md", "Back up"): Needs(Stage.some_history),
    ("docs/running.md", "Restore a ledger"): Needs(Stage.a_damaged_ledger),
    ("docs/running.md", "Without a backup"): Needs(Stage.a_damaged_ledger),
    ("docs/running.md", "Move to another machine"): Needs(Stage.a_copy_from_the_old_machine),
    ("docs/running.md", "Uninstall"): Needs(Stage.some_history),
    ("docs/webhooks.md", "Set it up"): Needs(),
}
"""The sections for somebody who has a store of their own. All others are typed without a key."""


def wait_for_port(line: str) -> None:
    """The pages name the default ports: another run of the tests may have them for a moment."""
    ports = [port for words, port in PORTS.items() if words in line]
    for _ in range(600):
        with socket.socket() as probe:
            if all(probe.connect_ex(("127.0.0.1", port)) for port in ports):
                return
        threading.Event().wait(0.1)
    raise TimeoutError("another program has the port")


def stop(shell: Shell) -> None:
    """End what goes on until it is stopped; it may not listen for signals yet."""
    code, shown = shell.stopped()
    assert code in {0, ENDED_BY_SIGNAL}, shown


def section_id(section: Section) -> str:
    return f"{section.page}: {section.heading}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    script = Path(sys.executable).with_name("clawver-orders")
    (tmp_path / "bin" / "clawver-orders").symlink_to(script)
    return tmp_path / "home"


@pytest.mark.skipif(os.name != "posix", reason="the lines are those of a POSIX shell")
@pytest.mark.parametrize(
    "section",
    [each if each.page == "references/setup.md" else slow(each) for each in TYPED],
    ids=lambda each: section_id(each),
)
def test_a_section_is_typed_from_top_to_bottom_and_does_what_it_says(
    section: Section, home: Path, live: dict[str, str], shop: Shop
) -> None:
    mine = keyless() | {
        "HOME": str(home), "PATH": f"{home.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "BROWSER": "true",
    }  # fmt: skip
    needs = WITH_A_STORE.get(section.name)
    if needs is not None:
        del live["CLAWVER_STATE_DIR"]
        mine |= live | {"CLAWVER_REFUND_APPROVAL": "chat"}
    stage = Stage(home, mine, shop)
    if needs is not None and needs.before is not None:
        needs.before(stage)
    is_terminal = needs is not None and needs.is_terminal
    with Shell(home, mine, is_terminal=is_terminal) as shell, ExitStack() as running:
        for step in steps_of(section):
            if (section.page, step.line) in LINES:
                continue
            line = stage.filled(step.line)
            if STAYS.search(line):
                running.close()
                wait_for_port(line)
                code, shown = 0, shell.started(line)
                running.callback(stop, shell)
            else:
                code, shown = shell.typed(line)
            assert code == step.exit_code, f"{line}\n{shown}"
            assert [text for text in step.texts if text not in shown] == [], f"{line}\n{shown}"


def is_listed(section: Section, block: Block) -> bool:
    """Whether a test is named for a block that isn't typed."""
    return block.language == "sh" or (section.page, block.language) in BLOCKS


def test_every_block_is_typed_or_listed() -> None:
    missing = [
        (section_id(section), block.language)
        for section in SECTIONS
        for block in section.blocks
        if not is_listed(section, block)
    ]

    assert missing == []
    assert sum(PAGES[page].count("\n```") for page in PAGES) == 2 * sum(
        len(section.blocks) for section in SECTIONS
    )
    assert len(TYPED) > 20


def test_what_is_listed_is_there_and_has_a_file_that_reads_its_page() -> None:
    printed = {(section.page, line) for section in TYPED for line in lines(section)}
    languages = {(section.page, block.language) for section in SECTIONS for block in section.blocks}

    assert set(LINES) <= printed
    assert set(BLOCKS) == {each for each in languages if each[1] != "sh"}
    assert set(WITH_A_STORE) <= {section.name for section in TYPED}
    for (page, _), where in (LINES | BLOCKS).items():
        read = (ROOT / where.file).read_text("utf-8")
        assert where.file in {".ci/run", page} or Path(page).stem.lower() in read.lower()


def test_a_block_that_nobody_types_or_lists_is_found() -> None:
    assert not is_listed(Section("README.md", "Try it", ()), Block("ruby", "puts 1\n"))
    assert not is_listed(Section("README.md", "Try it", ()), Block("", "clawver-orders demo\n"))
