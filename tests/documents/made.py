"""What documents show of the code, made from it: the text that belongs in each of their places."""

import json
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

from clawver_orders.install import installation
from clawver_orders.install.hosts import HOSTS, Host, Start
from clawver_orders.setting_names import VARIABLES
from clawver_orders.settings import Settings
from clawver_orders.tools import SURFACE

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def section(host: Host) -> str:
    return (
        f"## {host.title}\n\n{host.where}\n{host.key}\n\n"
        f"```{host.language}\n{host.text(Start())}\n```\n"
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
        f"In the same folder:\n\n{block}\n\n"
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
    "refund_approval": "How a refund has to be approved: `off`, `agent`, `chat`, `console` or `pin`. Take `console` or `pin` when an agent works alone.",
    "refund_limit_in_cents": "The most a single refund may be.",
    "refund_daily_limit_in_cents": "The most that may go back in 24 hours.",
    "read_only": "Switch it on for an agent that only answers questions.",
    "pii": "Take `masked` when answers pass through places that should not see customers' details.",
    "state_dir": "Where the refund ledger lives. Keep it on a local disk and in the backup.",
}
"""The settings of docs/setup.md, with what its reader has to decide about each."""


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


def key_in_yaml() -> str:
    """The key as the front matter of a skill declares it: a skill uses no other variable."""
    about = json.dumps(Settings.model_fields["api_key"].description)
    return f"      - name: {VARIABLES['api_key']}\n        required: false\n        description: {about}\n"


def install_words() -> str:
    """What a person types to install it, in the middle of a sentence."""
    words = f"`{installation.to_install()}`"
    return (
        words
        if installation.PUBLISHED
        else f"In the folder of your copy of the repository, {words}"
    )


NOT_PUBLISHED = (
    "It is on no package index: never install a package of that name from one, because it would be "
    "somebody else's and get the store's key.\n"
)


def where_from(sentence: str) -> str:
    """A sentence that holds only while the package is on no index."""
    return "" if installation.PUBLISHED else sentence


def skill_metadata() -> str:
    """What OpenClaw is told: the key, and once published how the command is installed."""
    needs = "    requires:\n      anyBins:\n        - clawver-orders\n"
    if installation.PUBLISHED is None:
        return f"{key_in_yaml()}{needs}"
    package = f"{installation.NAME}=={installation.PUBLISHED}"
    way = f"    install:\n      - kind: uv\n        package: {package}\n"
    return f"{key_in_yaml()}{needs}{way}"


def skill_install() -> str:
    words = f"`{installation.to_install()}`"
    if installation.PUBLISHED:
        return f"Without the tools a person runs {words}: [setup](references/setup.md).\n"
    return (
        f"Without the tools: a person installs `clawver-orders` from its repository ({words}); it is on "
        "no package index. See [setup](references/setup.md).\n"
    )


def shown_command() -> str:
    """What the blocks of docs/hosts.md start, as its first lines say."""
    shown = (
        f"`{' '.join(installation.documented())}`" if installation.PUBLISHED else "the bare name"
    )
    return (
        "`clawver-orders config HOST` prints the block of one host with the full path of the installed "
        f"command. Use that path: the blocks below show {shown}.\n"
    )


def plugin_command() -> str:
    """How the plugin of the marketplace starts the server."""
    command, *arguments = (
        installation.documented()
        if installation.PUBLISHED
        else ("uvx", "--from", "${CLAUDE_PLUGIN_ROOT}", installation.NAME)
    )
    return (
        f'          "command": {json.dumps(command)},\n          "args": {json.dumps(arguments)},\n'
    )


def update() -> str:
    """The commands that update what is installed."""
    if installation.PUBLISHED:
        return f"```sh\n{installation.to_install()}\nclawver-orders --version\n```\n"
    return (
        "[Back up](#back-up) first. Then, in the folder you installed from:\n\n"
        f"```sh\ngit pull\n{installation.to_install()}\nclawver-orders --version\n```\n"
    )


def try_it() -> str:
    if installation.PUBLISHED:
        return f"```sh\n{' '.join(installation.documented())} demo\n```\n"
    return (
        "Get a copy of this repository with `git clone ADDRESS`, open a terminal in its folder, and run:\n\n"
        "```sh\nuv run clawver-orders demo\n```\n"
    )


def standard() -> str:
    return f"```json\n{HOSTS['generic'].text(Start())}\n```\n"


def for_the_sandbox() -> str:
    return f"```json\n{HOSTS['generic'].text(Start(sandbox=True))}\n```\n"


def made() -> dict[str, str]:
    """What is made of the README and of the page of hosts, by the name of its markers."""
    return {
        "buttons": buttons(),
        "try": try_it(),
        "install": install(),
        "standard": standard(),
        "hosts": "\n".join(section(host) for host in HOSTS.values() if host.name != "generic"),
        "settings": settings(),
        "tools": tools(),
    }


Parts = dict[tuple[str, str], str]


def documents() -> dict[Path, Parts]:
    """What is made of each document, by what stands before and after it."""
    marked = {name: (f"<!-- {name} -->\n", f"<!-- /{name} -->\n") for name in made()}
    not_published = where_from(NOT_PUBLISHED)
    return {
        README: {marked[name]: part for name, part in made().items() if name != "hosts"},
        ROOT / "SKILL.md": {
            ("    envVars:\n", "---\n"): skill_metadata(),
            ("[errors](references/errors.md).\n", "Never call"): skill_install(),
        },
        ROOT / "SECURITY.md": {
            ("as `clawver-orders config` prints it.\n", "- Keep"): where_from(
                "- Never install a package of this name from an index: it would be somebody else's.\n"
            )
        },
        ROOT / ".claude-plugin" / "marketplace.json": {
            ('        "orders": {\n', '          "env": {'): plugin_command()
        },
        ROOT / "references" / "setup.md": {
            ("never in a conversation.\n", "`clawver-orders config HOST`"): (
                f"{install_words()} installs the command. {not_published}".rstrip() + "\n"
            )
        },
        ROOT / "docs" / "setup.md": {
            ("## Install it\n\n", "If the shell"): (
                f"{install_words()} puts the command `clawver-orders` on the PATH; "
                "[uv](https://docs.astral.sh/uv/getting-started/installation/) has to be there first.\n"
            ),
            ("silently downgrade theirs.\n", "\n## Connect a host"): not_published,
            ("full path as `command`:\n\n", "\nHosts that"): standard(),
            ("without a key:\n\n", "\nA `PYTHONPATH`"): for_the_sandbox(),
            (table(("variable", "default", "decide")), "\n"): settings_to_decide(),
        },
        ROOT / "docs" / "running.md": {("## Update\n\n", "\nThen restart"): update()},
        ROOT / "docs" / "hosts.md": {
            ("an MCP host to the server.\n\n", "Desktop apps"): shown_command(),
            marked["hosts"]: made()["hosts"],
        },
    }


def as_made(path: Path) -> str:
    """A document with everything in it that is made."""
    fresh = path.read_text("utf-8")
    for (opening, closing), content in documents()[path].items():
        before, found, rest = fresh.partition(opening)
        _, ended, after = f"\n{rest}".partition(f"\n{closing}")
        assert found, opening
        assert ended, closing
        fresh = f"{before}{opening}{content}{closing}{after}"
    return fresh
