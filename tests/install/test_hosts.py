"""What every host is told, read back in that host's own format."""

import base64
import json
import shlex
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from clawver_orders.install.hosts import HOSTS, Host, Places, Start
from clawver_orders.install.installation import documented
from clawver_orders.settings import Settings

KEY = "claw_sk_example_of_hosts"
ALL = [pytest.param(host, id=name) for name, host in HOSTS.items()]
SECTIONS = {"vscode": "servers", "zed": "context_servers"}


def understood(host: Host, text: str) -> tuple[list[str], dict[str, str]]:
    """The command and its variables as the host itself would read them."""
    if host.name == "claude-code":
        words = shlex.split(text)
        before, command = words[: words.index("--")], words[words.index("--") + 1 :]
        assert before[:6] == ["claude", "mcp", "add", "--scope", "user", "clawver-orders"]
        assert before[6::2] == ["-e"] * len(before[7::2])
        return command, dict(pair.split("=", 1) for pair in before[7::2])
    if host.name == "openclaw":
        words = shlex.split(text)
        assert words[:4] == ["openclaw", "mcp", "add", "clawver-orders"]
        return openclaw(words[4:])
    if host.name == "codex":
        entry = tomllib.loads(text)["mcp_servers"]["clawver-orders"]
        passed_on = dict.fromkeys(entry.get("env_vars", ()), "from the environment")
        return [entry["command"], *entry["args"]], entry.get("env", {}) | passed_on
    if host.name == "goose":
        entry = yaml.safe_load(text)["extensions"]["clawver-orders"]
        assert (entry["type"], entry["enabled"]) == ("stdio", True)
        kept = dict.fromkeys(entry["env_keys"], "from the keyring")
        return [entry["cmd"], *entry["args"]], entry["envs"] | kept
    whole = json.loads(text)
    if host.name == "opencode":
        entry = whole["mcp"]["clawver-orders"]
        assert entry["type"] == "local"
        return entry["command"], entry["environment"]
    entry = whole[SECTIONS.get(host.name, "mcpServers")]["clawver-orders"]
    return [entry["command"], *entry["args"]], entry["env"]


def openclaw(words: list[str]) -> tuple[list[str], dict[str, str]]:
    given: dict[str, list[str]] = {
        "--command": [],
        "--arg": [],
        "--env": [],
        "--connect-timeout": [],
    }
    waiting = list(words)
    while waiting:
        option, joined, value = waiting.pop(0).partition("=")
        given[option].append(value if joined else waiting.pop(0))
    return given["--command"] + given["--arg"], dict(v.split("=", 1) for v in given["--env"])


@pytest.mark.parametrize("host", ALL)
@pytest.mark.parametrize(
    "command",
    [
        ("clawver-orders",),
        (r"C:\Users\Zoë Q\python.exe", "-E", "-P", "-m", "clawver_orders"),
        ("/opt/it's here/uvx", "--from", "/home/ada/my checkout", "clawver-orders"),
    ],
)
def test_a_host_reads_back_the_command_and_how_to_find_the_key(
    host: Host, command: tuple[str, ...]
) -> None:
    words, environment = understood(host, host.text(Start(command)))

    assert words == list(command)
    assert list(environment) == ["CLAW_API_KEY"]


@pytest.mark.parametrize("host", ALL)
def test_on_the_sandbox_no_key_is_asked_for(host: Host) -> None:
    text = host.text(Start(sandbox=True))

    assert understood(host, text) == ([*documented(), "serve", "--sandbox"], {})
    assert "CLAW_API_KEY" not in text
    assert "inputs" not in text


@pytest.mark.parametrize("host", ALL)
def test_a_key_is_written_out_only_when_it_is_handed_in(host: Host) -> None:
    _, environment = understood(host, host.text(Start(key=KEY)))

    assert environment == {"CLAW_API_KEY": KEY}
    assert KEY not in host.text(Start(key=KEY, sandbox=True))


@pytest.mark.parametrize("host", ALL)
def test_a_reference_that_nobody_resolved_counts_as_not_set(host: Host) -> None:
    _, environment = understood(host, host.text(Start()))

    if host.name not in {"codex", "goose"}:  # these leave the variable out
        assert environment == {"CLAW_API_KEY": host.reference}
    assert Settings.from_environment({"CLAW_API_KEY": host.reference}).api_key is None


def test_vs_code_asks_for_the_key_and_hides_what_is_typed() -> None:
    (question,) = json.loads(HOSTS["vscode"].text(Start()))["inputs"]

    assert question["password"] is True
    assert f"${{input:{question['id']}}}" == HOSTS["vscode"].reference
    assert "inputs" not in json.loads(HOSTS["vscode"].text(Start(key=KEY)))


def asked(link: str) -> dict[str, Any]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


@pytest.mark.parametrize("start", [Start(), Start(sandbox=True)], ids=["live", "sandbox"])
def test_the_install_links_carry_the_same_as_the_text(start: Start) -> None:
    cursor, vscode = HOSTS["cursor"], HOSTS["vscode"]
    assert cursor.link is not None
    assert vscode.link is not None
    in_cursor, in_vscode = asked(cursor.link(start)), asked(vscode.link(start))
    whole = json.loads(vscode.text(start))

    assert json.loads(base64.b64decode(in_cursor["config"])) == start.entry(cursor.reference)
    assert json.loads(in_vscode["config"]) == start.entry(vscode.reference)
    assert json.loads(in_vscode.get("inputs", "null")) == whole.get("inputs")
    assert in_cursor["name"] == in_vscode["name"] == "clawver-orders"


def test_hosts_that_wait_a_short_time_are_told_to_wait_longer() -> None:
    codex = tomllib.loads(HOSTS["codex"].text(Start()))["mcp_servers"]["clawver-orders"]

    assert (codex["startup_timeout_sec"], codex["required"]) == (60, True)
    assert HOSTS["openclaw"].text(Start()).endswith(" --connect-timeout 60")
    opencode = json.loads(HOSTS["opencode"].text(Start()))["mcp"]["clawver-orders"]
    assert opencode["timeout"] == 60_000


def test_the_files_are_where_the_hosts_look() -> None:
    places = Places(Path("/home/ada"), Path("/home/ada/.config"))

    assert {host.name: str(host.file(places)) for host in HOSTS.values() if host.file} == {
        "claude-desktop": "/home/ada/.config/Claude/claude_desktop_config.json",
        "cursor": "/home/ada/.cursor/mcp.json",
        "gemini": "/home/ada/.gemini/settings.json",
        "windsurf": "/home/ada/.codeium/windsurf/mcp_config.json",
    }
