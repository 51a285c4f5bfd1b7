"""What documents show of the code is made from it; `UPDATE_README=1` writes it anew."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from tests.cli.test_main import run

from clawver_orders.cli.main import commands
from clawver_orders.install import installation
from clawver_orders.install.hosts import HOSTS, Host, Start
from clawver_orders.settings import VARIABLES, Settings
from clawver_orders.tools import SURFACE

ROOT = Path(__file__).parents[2]
FILE = ROOT / "README.md"
ORDER = [
    "See it work", "Install", "Connect a host", "Settings", "Tools", "Safety", "Order events", "Over HTTP", "The sandbox",
    "Windows and Docker", "Agent frameworks", "Troubleshooting", "Develop",
]  # fmt: skip


def fold(host: Host) -> str:
    return (
        f"<details>\n<summary>{host.title}</summary>\n\n{host.where}\n\n"
        f"```{host.language}\n{host.text(Start())}\n```\n\n{host.key}\n\n</details>\n"
    )


def button(host: Host, picture: str) -> str:
    assert host.link is not None
    live, sandbox = host.link(Start()), host.link(Start(sandbox=True))
    return f"[![Add to {host.title}]({picture})]({live}) [or to try, on the sandbox]({sandbox})"


def buttons() -> str:
    """One-click installs, and the line that the MCP registry looks for: once published."""
    if installation.PUBLISHED is None:
        return ""
    badge = "https://img.shields.io/badge/VS_Code-add-0098FF"
    parts = [
        button(HOSTS["cursor"], "https://cursor.com/deeplink/mcp-install-dark.svg"),
        button(HOSTS["vscode"], badge),
    ]
    if installation.REGISTRY_NAME:
        parts.append(f"<!-- mcp-name: {installation.REGISTRY_NAME} -->")
    return "\n\n".join(parts) + "\n"


def install() -> str:
    """How the command gets onto a machine."""
    block = f"```sh\n{installation.to_install()}\n```"
    if installation.PUBLISHED is not None:
        return f"{block}\n"
    return (
        f"In a checkout of this repository:\n\n{block}\n\n"
        "The package is on no package index yet. Don't install anything of this name from one.\n"
    )


def lines(*rows: tuple[str, ...]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table(*rows: tuple[str, ...]) -> str:
    return lines(rows[0], ("---",) * len(rows[0]), *rows[1:])


def tools() -> str:
    rows = [
        (f"`{tool.name}`", tool.summary, "no" if tool.hints.read_only else "yes")
        for tool in SURFACE
    ]
    return table(("tool", "what it does", "changes anything"), *rows)


FOLDERS = (
    r"`~/.local/state/clawver-orders`; on macOS `~/Library/Application Support/clawver-orders`, "
    r"on Windows `%LOCALAPPDATA%\clawver-orders`"
)


DECIDE_FIRST = {
    "api_key": "Which store. Without it the server starts and lists its tools, and every call says what to set.",
    "refund_approval": "Who says yes to a refund: `ask`, `human` or `off`. Take `human` when an agent works alone.",
    "refund_limit_in_cents": "The most a single refund may be.",
    "refund_daily_limit_in_cents": "The most that may go back in 24 hours.",
    "read_only": "Switch it on for an agent that only answers questions.",
    "pii": "Take `masked` when answers pass through places that should not see customers' details.",
    "state_dir": "Where the refund ledger lives. Keep it on a local disk and in the backup.",
}
"""The settings of references/setup.md, with what its reader has to decide about each."""


def default(field: str, nothing: str = "\u2013") -> str:
    value = Settings.model_fields[field].default
    if field == "state_dir":
        return FOLDERS
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{value}`" if value else nothing


def meaning(field: str) -> str:
    """What a setting is for, with what is to be typed marked as such."""
    about = Settings.model_fields[field]
    words = ["serve --http", *(tool.name for tool in SURFACE)]
    words += get_args(about.annotation) if get_origin(about.annotation) is Literal else []
    return re.sub(rf"\b({'|'.join(words)})\b", r"`\1`", str(about.description))


def settings() -> str:
    rows = [(f"`{name}`", default(field), meaning(field)) for field, name in VARIABLES.items()]
    return table(("variable", "default", "meaning"), *rows)


def settings_to_decide() -> str:
    return lines(
        *(
            (f"`{VARIABLES[field]}`", default(field, "not set"), decide)
            for field, decide in DECIDE_FIRST.items()
        )
    )


def settings_in_yaml() -> str:
    """The variables as the front matter of a skill declares them."""
    return "".join(
        f"      - name: {name}\n        required: false\n        description: {json.dumps(about)}\n"
        for field, name in VARIABLES.items()
        for about in [Settings.model_fields[field].description]
    )


def made() -> dict[str, str]:
    """The parts of the README that are made, by the name of their markers."""
    return {
        "buttons": buttons(),
        "install": install(),
        "standard": f"```json\n{HOSTS['generic'].text(Start())}\n```\n",
        "hosts": "".join(fold(host) for host in HOSTS.values() if host.name != "generic"),
        "settings": settings(),
        "tools": tools(),
    }


def documents() -> dict[Path, dict[tuple[str, str], str]]:
    """What is made of each document, by what stands before and after it."""
    marked = {(f"<!-- {name} -->\n", f"<!-- /{name} -->\n"): part for name, part in made().items()}
    return {
        FILE: marked,
        ROOT / "SKILL.md": {("    envVars:\n", "    requires:\n"): settings_in_yaml()},
        ROOT / "references" / "setup.md": {
            (table(("variable", "default", "decide")), "\n"): settings_to_decide()
        },
    }


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.name))
def test_the_made_parts_are_as_the_code_says(path: Path) -> None:
    fresh = path.read_text("utf-8")
    for (opening, closing), content in documents()[path].items():
        before, found, rest = fresh.partition(opening)
        _, ended, after = f"\n{rest}".partition(f"\n{closing}")
        assert found, opening
        assert ended, closing
        fresh = f"{before}{opening}{content}{closing}{after}"
    if os.environ.get("UPDATE_README") and fresh != path.read_text("utf-8"):
        # In one step: other tests read the file at the same time.
        draft = path.with_name(f"{path.name}.draft")
        draft.write_text(fresh, "utf-8")
        draft.replace(path)

    assert path.read_text("utf-8") == fresh


def test_the_chapters_are_in_the_order_that_readers_expect() -> None:
    text = FILE.read_text("utf-8")

    assert re.findall("^## (.+)$", text, re.MULTILINE) == ORDER
    assert text.index("Ask your agent things like") < text.index("<!-- buttons -->")
    assert text.index("<!-- buttons -->") < text.index("## See it work")


def test_the_options_that_are_named_exist() -> None:
    chapter = FILE.read_text("utf-8").split("## Connect a host")[1].split("\n## ")[0]
    known = {option for each in commands.commands["config"].params for option in each.opts}

    prose = re.sub(r"```.*?```", "", chapter, flags=re.DOTALL)
    assert set(re.findall(r"`(--[a-z-]+)`", prose)) <= known
    market = json.loads((FILE.parent / ".claude-plugin" / "marketplace.json").read_text("utf-8"))
    (plugin,) = market["plugins"]
    assert "`/plugin marketplace add ./`" in prose
    assert f"`/plugin install {plugin['name']}@{market['name']}`" in prose
    written = re.search(r"edits the file of (.*?):", prose)
    assert written is not None
    assert set(re.split(", | or ", written[1])) == {h.title for h in HOSTS.values() if h.file}


def test_docker_gets_what_the_image_needs() -> None:
    chapter = FILE.read_text("utf-8").split("## Windows and Docker")[1].split("\n## ")[0]
    found = re.search(r"```json\n(.*?)```", chapter, re.DOTALL)
    assert found is not None
    entry = json.loads(found[1])["mcpServers"]["clawver-orders"]
    dockerfile = (FILE.parent / ".docker" / "Dockerfile").read_text("utf-8")
    build = re.search(r"docker build .*", chapter)
    assert build is not None

    assert entry["command"] == "docker"
    assert entry["args"][:4] == ["run", "-i", "--rm", "--pull=never"]
    assert entry["args"][4:6] == ["-e", VARIABLES["api_key"]]
    volume = entry["args"][entry["args"].index("-v") + 1].split(":")[1]
    assert f"{VARIABLES['state_dir']}={volume}" in dockerfile
    assert f"VOLUME {volume}" in dockerfile
    words = shlex.split(build[0])
    assert words[words.index("-t") + 1] == entry["args"][-1]
    assert (FILE.parent / words[words.index("-f") + 1]).is_file()


def test_windows_is_told_what_its_shell_wants(tmp_path: Path) -> None:
    chapter = FILE.read_text("utf-8").split("## Windows and Docker")[1].split("\n## ")[0]
    found = re.search(r"```powershell\n\$env:(\w+) = \"(\w+)\"\nclawver-orders (.*)\n```", chapter)

    assert found is not None
    done = run(*shlex.split(found[3]), HOME=str(tmp_path), **{found[1]: found[2]})
    assert (done.returncode, done.stderr) == (0, "")
    assert found[1] in VARIABLES.values()
    assert "PowerShell 7" in chapter


@pytest.mark.parametrize("name", ["CLAWVER_READ_ONLY", "CLAWVER_LOG_LEVEL", "CLAW_API_KEY"])
def test_troubleshooting_names_real_settings(name: str) -> None:
    chapter = FILE.read_text("utf-8").split("## Troubleshooting")[1].split("\n## ")[0]

    assert name in chapter
    assert set(re.findall(r"CLAW[A-Z_]+", chapter)) <= set(VARIABLES.values())
