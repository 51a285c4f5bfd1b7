"""What each MCP host wants in order to start this server: what to paste or run, and where.

The store's key is never part of it unless it is handed in. Every host gets its own way to keep a
secret: a question, a reference to the environment, or a placeholder. A placeholder that is left
as it is counts as not set, so the server still starts and says what is missing.
"""

import base64
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from clawver_orders.install.installation import NAME, documented

KEY = "CLAW_API_KEY"
FROM_ENVIRONMENT = "${CLAW_API_KEY}"
_STARTS_WITHIN_SECONDS = 60
"""How long a host should wait for a start: some give up after 5 or 10, and a busy machine takes longer."""
_OPENCODE_REFERENCE = "{env:CLAW_API_KEY}"
_ASKED = "clawver-key"
_ASK = {
    "type": "promptString",
    "id": _ASKED,
    "description": "The key of your Clawver store",
    "password": True,
}


@dataclass(frozen=True)
class Places:
    """Where this machine keeps what belongs to a person."""

    home: Path
    applications: Path


@dataclass(frozen=True)
class Start:
    """How a host starts the server.

    Attributes:
        command: The words of the command; that of the documents where none is given.
        sandbox: On the sandbox store, which needs no key.
        key: The store's key, only when a person asked for it to be written out.
    """

    command: tuple[str, ...] = field(default_factory=documented)
    sandbox: bool = False
    key: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The whole command."""
        return (*self.command, "serve", "--sandbox") if self.sandbox else self.command

    def environment(self, reference: str) -> dict[str, str]:
        """The variables that the host passes on; `reference` is how it names a secret."""
        return {} if self.sandbox else {KEY: self.key or reference}

    def entry(self, reference: str) -> dict[str, Any]:
        """The server as most hosts note it."""
        command, *arguments = self.words
        return {"command": command, "args": arguments, "env": self.environment(reference)}


@dataclass(frozen=True)
class Host:
    """One program that starts MCP servers.

    Attributes:
        name: What a person calls it on the command line.
        title: What it calls itself.
        where: What to do with the text, as a sentence.
        language: What the text is written in.
        text: The text, for a way to start the server.
        key: Where the key goes, as a sentence.
        reference: How it names a secret that is kept elsewhere.
        file: Its configuration, when that is plain JSON with an object `mcpServers`.
        link: An address that installs the server with one click.
    """

    name: str
    title: str
    where: str
    language: str
    text: Callable[[Start], str]
    key: str
    reference: str = FROM_ENVIRONMENT
    file: Callable[[Places], Path] | None = None
    link: Callable[[Start], str] | None = None


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _section(section: str, reference: str = FROM_ENVIRONMENT) -> Callable[[Start], str]:
    return lambda start: _json({section: {NAME: start.entry(reference)}})


def _claude_code(start: Start) -> str:
    words = ["claude", "mcp", "add", "--scope", "user", NAME]
    for name, value in start.environment(FROM_ENVIRONMENT).items():
        words += ["-e", f"{name}={value}"]
    return shlex.join([*words, "--", *start.words])


def _openclaw(start: Start) -> str:
    command, *arguments = start.words
    words = ["openclaw", "mcp", "add", NAME, "--command", command]
    for argument in arguments:
        words.append(f"--arg={argument}" if argument.startswith("-") else "--arg")
        words += [] if argument.startswith("-") else [argument]
    for name, value in start.environment(FROM_ENVIRONMENT).items():
        words += ["--env", f"{name}={value}"]
    return shlex.join([*words, "--connect-timeout", str(_STARTS_WITHIN_SECONDS)])


def _opencode(start: Start) -> str:
    entry = {
        "type": "local",
        "command": list(start.words),
        "environment": start.environment(_OPENCODE_REFERENCE),
        "timeout": 1000 * _STARTS_WITHIN_SECONDS,
    }
    return _json({"mcp": {NAME: entry}})


def _vscode(start: Start) -> str:
    asks = not start.sandbox and start.key is None
    servers = {"servers": {NAME: {"type": "stdio"} | start.entry(f"${{input:{_ASKED}}}")}}
    return _json(({"inputs": [_ASK]} if asks else {}) | servers)


def _codex(start: Start) -> str:
    command, *arguments = (json.dumps(word, ensure_ascii=False) for word in start.words)
    lines = [
        f"[mcp_servers.{NAME}]",
        f"command = {command}",
        f"args = [{', '.join(arguments)}]",
        f"startup_timeout_sec = {_STARTS_WITHIN_SECONDS}",
        "required = true",
    ]
    if start.key is not None and not start.sandbox:
        lines.append(f"env = {{ {KEY} = {json.dumps(start.key)} }}")
    elif not start.sandbox:
        lines.append(f'env_vars = ["{KEY}"]')
    return "\n".join(lines)


def _goose(start: Start) -> str:
    command, *arguments = (json.dumps(word, ensure_ascii=False) for word in start.words)
    written = start.key is not None and not start.sandbox
    lines = [
        "extensions:",
        f"  {NAME}:",
        "    type: stdio",
        f"    name: {NAME}",
        "    description: Orders and refunds of a Clawver store",
        "    enabled: true",
        f"    cmd: {command}",
        f"    args: [{', '.join(arguments)}]",
        f"    env_keys: [{'' if written or start.sandbox else KEY}]",
        f"    envs: {json.dumps({KEY: start.key} if written else {})}",
        "    timeout: 300",
    ]
    return "\n".join(lines)


def _cursor_link(start: Start) -> str:
    entry = json.dumps(start.entry(_CURSOR_REFERENCE), separators=(",", ":")).encode()
    about = {"name": NAME, "config": base64.b64encode(entry).decode()}
    return f"https://cursor.com/en/install-mcp?{urlencode(about)}"


def _vscode_link(start: Start) -> str:
    about = {"name": NAME} | ({} if start.sandbox else {"inputs": _compact([_ASK])})
    about["config"] = _compact(start.entry(f"${{input:{_ASKED}}}"))
    return f"https://insiders.vscode.dev/redirect/mcp/install?{urlencode(about, quote_via=quote)}"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_CURSOR_REFERENCE = "${env:CLAW_API_KEY}"
_REPLACE = "Put your store's key in place of `${CLAW_API_KEY}`."

HOSTS = {
    host.name: host
    for host in (
        Host(
            "claude-desktop",
            "Claude Desktop",
            "Settings > Developer > Edit Config opens `claude_desktop_config.json`: add this, then start Claude again.",
            "json",
            _section("mcpServers"),
            f"{_REPLACE} The bundle that `clawver-orders bundle` writes asks for the key instead, and keeps it in the system's keychain.",
            file=lambda places: places.applications / "Claude" / "claude_desktop_config.json",
        ),
        Host(
            "claude-code",
            "Claude Code",
            "Run this in a terminal.",
            "sh",
            _claude_code,
            "Claude Code reads the key from its own environment: export `CLAW_API_KEY` before you start it.",
        ),
        Host(
            "cursor",
            "Cursor",
            "Add this to `~/.cursor/mcp.json`, or to `.cursor/mcp.json` in a project.",
            "json",
            _section("mcpServers", _CURSOR_REFERENCE),
            "Cursor reads the key from its own environment: set `CLAW_API_KEY` before you start it.",
            reference=_CURSOR_REFERENCE,
            file=lambda places: places.home / ".cursor" / "mcp.json",
            link=_cursor_link,
        ),
        Host(
            "vscode",
            "VS Code",
            "Add this to `.vscode/mcp.json`, or to the file that `MCP: Open User Configuration` opens.",
            "json",
            _vscode,
            "VS Code asks for the key when it first starts the server, and keeps it.",
            reference=f"${{input:{_ASKED}}}",
            link=_vscode_link,
        ),
        Host(
            "codex",
            "Codex",
            "Add this to `~/.codex/config.toml`.",
            "toml",
            _codex,
            "Codex passes the key on from its own environment: export `CLAW_API_KEY` before you start it. `required` makes Codex report a server that doesn't start, instead of going on without its tools.",
        ),
        Host(
            "gemini",
            "Gemini CLI",
            "Add this to `~/.gemini/settings.json`.",
            "json",
            _section("mcpServers"),
            "Gemini CLI reads the key from its own environment: export `CLAW_API_KEY` before you start it. In a folder that it doesn't trust, it lists the server as Disabled.",
            file=lambda places: places.home / ".gemini" / "settings.json",
        ),
        Host(
            "openclaw",
            "OpenClaw",
            "Run this in a terminal.",
            "sh",
            _openclaw,
            "OpenClaw reads the key from the gateway's own environment: set `CLAW_API_KEY` there.",
        ),
        Host(
            "opencode",
            "OpenCode",
            "Add this to `~/.config/opencode/opencode.json`, or to `opencode.json` in a project.",
            "json",
            _opencode,
            "OpenCode reads the key from its own environment: export `CLAW_API_KEY` before you start it.",
            reference=_OPENCODE_REFERENCE,
        ),
        Host(
            "windsurf",
            "Windsurf",
            "Add this to `~/.codeium/windsurf/mcp_config.json`.",
            "json",
            _section("mcpServers", "${env:CLAW_API_KEY}"),
            "Windsurf reads the key from its own environment: set `CLAW_API_KEY` before you start it.",
            reference="${env:CLAW_API_KEY}",
            file=lambda places: places.home / ".codeium" / "windsurf" / "mcp_config.json",
        ),
        Host(
            "zed",
            "Zed",
            "`zed: open settings` opens `settings.json`: add this.",
            "json",
            _section("context_servers"),
            _REPLACE,
        ),
        Host(
            "goose",
            "Goose",
            r"Add this to `~/.config/goose/config.yaml`, on Windows to `%APPDATA%\Block\goose\config\config.yaml`.",
            "yaml",
            _goose,
            "Goose looks for the key in the system's keyring and in its own environment: `goose configure` stores it, or export `CLAW_API_KEY`.",
        ),
        Host(
            "generic",
            "Any other host",
            "Most hosts take this in the JSON file of their MCP servers.",
            "json",
            _section("mcpServers"),
            "Hosts that expand `${…}` read the key from their own environment. In others, replace `${CLAW_API_KEY}` with your store's key.",
        ),
    )
}

ALIASES = {"gemini-cli": "gemini"}
"""Other names that people call a host by."""
