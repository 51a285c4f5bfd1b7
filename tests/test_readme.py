"""What the README shows of hosts is what the command prints; `UPDATE_README=1` writes it anew."""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from tests.test_cli import run

from clawver_orders import installation
from clawver_orders.cli import commands
from clawver_orders.hosts import HOSTS, Host, Start
from clawver_orders.settings import VARIABLES, Settings
from clawver_orders.tools import SURFACE

FILE = Path(__file__).parent.parent / "README.md"
ORDER = [
    "See it work", "Install", "Connect a host", "Settings", "Tools", "Safety", "Order events", "Over HTTP", "The sandbox",
    "Windows and Docker", "Agent frameworks", "Troubleshooting", "Develop",
]  # fmt: skip


def fold(host: Host) -> str:
    return (
        f"<details>\n<summary>{host.title}</summary>\n\n{host.where}\n\n"
        f"```{host.language}\n{host.text(Start())}\n```\n\n{host.key}\n\n</details>"
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
    return "\n\n".join(parts)


def install() -> str:
    """How the command gets onto a machine."""
    if installation.PUBLISHED is not None:
        return f"```sh\nuv tool install clawver-orders=={installation.PUBLISHED}\n```"
    return (
        "In a checkout of this repository:\n\n```sh\nuv tool install .\n```\n\n"
        "The package is on no package index yet. Don't install anything of this name from one."
    )


def table(*rows: tuple[str, ...]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (rows[0], ("---",) * len(rows[0]), *rows[1:])]
    return "\n".join(lines)


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


def default(field: str) -> str:
    value = Settings.model_fields[field].default
    if field == "state_dir":
        return FOLDERS
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{value}`" if value else "\u2013"


def meaning(field: str) -> str:
    """What a setting is for, with what is to be typed marked as such."""
    about = Settings.model_fields[field]
    words = ["serve --http", *(tool.name for tool in SURFACE)]
    words += get_args(about.annotation) if get_origin(about.annotation) is Literal else []
    return re.sub(rf"\b({'|'.join(words)})\b", r"`\1`", str(about.description))


def settings() -> str:
    rows = [(f"`{name}`", default(field), meaning(field)) for field, name in VARIABLES.items()]
    return table(("variable", "default", "meaning"), *rows)


def made() -> dict[str, str]:
    """The parts that are made, by the name of their markers."""
    return {
        "buttons": buttons(),
        "install": install(),
        "standard": f"```json\n{HOSTS['generic'].text(Start())}\n```",
        "hosts": "\n".join(fold(host) for host in HOSTS.values() if host.name != "generic"),
        "settings": settings(),
        "tools": tools(),
    }


def test_the_made_parts_are_as_the_command_prints_them() -> None:
    text = FILE.read_text("utf-8")
    fresh = text
    for name, content in made().items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, found, rest = fresh.partition(opening)
        assert found, name
        lines = f"{content}\n" if content else ""
        fresh = f"{before}{opening}{lines}{closing}{rest.split(closing, 1)[1]}"
    if os.environ.get("UPDATE_README"):
        FILE.write_text(fresh, "utf-8")

    assert FILE.read_text("utf-8") == fresh


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
