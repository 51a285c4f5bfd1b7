"""The commands that bring the server to where agents live: `config` and `bundle`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clawver_orders.cli.completion import hosts
from clawver_orders.cli.options import FAILED, MISUSED, say, stop
from clawver_orders.cli.output import Output, echo, output_options

if TYPE_CHECKING:
    from clawver_orders.install.hosts import Host, Start

HEADINGS = ("host", "title", "takes --write")


@click.command()
@click.argument("name", metavar="[HOST]", default="", shell_complete=hosts)
@click.option("--sandbox", is_flag=True, help="On the sandbox store: no key, no real money.")
@click.option(
    "--inline-key", is_flag=True, help="Write out the key that CLAW_API_KEY holds right now."
)
@click.option("--write", is_flag=True, help="Show what would change in the host's file.")
@click.option(
    "--yes",
    is_flag=True,
    help="With --write: change it. The old file is kept as a copy, and other entries stay.",
)
@click.option(
    "--file",
    "chosen",
    type=click.Path(path_type=Path),
    help="With --write: this file instead of the host's usual one.",
)
@output_options
def config(
    name: str,
    sandbox: bool,
    inline_key: bool,
    write: bool,
    yes: bool,
    chosen: Path | None,
    form: str | None,
) -> None:
    """Print what a HOST needs to start this server; on stdout only what to paste or run.

    It starts this installation by its full path, whatever folder the host works in. Without a HOST
    it lists the hosts.

    HOST is one of claude-desktop, claude-code, cursor, vscode, codex, gemini, openclaw,
    opencode, windsurf, zed, goose or generic.

    The key is never printed unless --inline-key asks for it: each host keeps it in its own way.

    With --write it shows what would change in the file of claude-desktop, cursor, gemini or
    windsurf; with --write --yes it changes that file.
    """
    if sandbox and inline_key:
        stop("The sandbox needs no key: leave out --inline-key or --sandbox.", MISUSED)
    if (yes or chosen) and not write:
        stop("--yes and --file go with --write.", MISUSED)

    output = Output(form)
    from clawver_orders.install.hosts import ALIASES, HOSTS, Start
    from clawver_orders.install.installation import TemporaryError, lasting

    if not name:
        if sandbox or inline_key or write:
            stop("Which host? Without one the hosts are listed.", MISUSED)
        _list(list(HOSTS.values()), output)
        return
    host = HOSTS.get(ALIASES.get(name, name))
    if host is None:
        stop(f"There is no such host. Hosts: {', '.join(HOSTS)}.", MISUSED)
    try:
        command = lasting()
    except TemporaryError as error:
        stop(str(error), FAILED)
    start = Start(command, sandbox=sandbox, key=_key() if inline_key else None)
    if write:
        _write(host, start, output, yes=yes, chosen=chosen)
        return
    key = "" if sandbox or inline_key else host.key
    link = "" if host.link is None or inline_key else host.link(start)
    if output.is_json:
        about = {"where": host.where, "language": host.language, "text": host.text(start)}
        output.document(_about(host) | about | {"key": key, "link": link})
        return
    say(host.where, err=True)
    echo(host.text(start))
    if key:
        say(key, err=True)
    if link:
        say(f"Or open {link}", err=True)


def _about(host: "Host") -> dict[str, Any]:
    return {"host": host.name, "title": host.title, "can_be_written": host.file is not None}


def _list(hosts: "list[Host]", output: Output) -> None:
    if output.is_json:
        output.document([_about(host) for host in hosts])
        return
    rows = [(host.name, host.title, "yes" if host.file else "") for host in hosts]
    output.table(HEADINGS, rows)


def applications() -> Path:
    """Where programs with a window keep their settings.

    By the rule of those programs: only on Linux do they follow XDG_CONFIG_HOME.
    """
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    from platformdirs import user_config_path

    return user_config_path(roaming=True)


def _key() -> str:
    from clawver_orders.errors import SetupError
    from clawver_orders.settings import Settings

    try:
        settings = Settings.from_environment()
    except SetupError as error:
        stop(str(error), FAILED)
    if settings.api_key is None:
        stop(
            f"CLAW_API_KEY is not set, so there is no key to write out.{settings.key_note}", FAILED
        )
    return settings.api_key.get_secret_value()


def _write(host: "Host", start: "Start", output: Output, *, yes: bool, chosen: Path | None) -> None:
    if host.file is None:
        stop(
            f"{host.title} keeps its servers in a form that is not safe to edit from here. "
            "Without --write this prints what to paste or run.",
            MISUSED,
        )
    from clawver_orders.install import host_files
    from clawver_orders.install.hosts import Places

    path = chosen or host.file(Places(Path.home(), applications()))
    try:
        plan = host_files.plan(path, start.entry(host.reference))
        backup = host_files.apply(plan) if plan.changes and yes else None
    except host_files.UntouchedError as error:
        stop(f"Nothing was changed: {error}", FAILED)
    is_changed = bool(plan.changes) and yes
    if output.is_json:
        told = {"file": str(plan.path), "changed": is_changed, "difference": plan.difference}
        output.document(_about(host) | told | {"backup": None if backup is None else str(backup)})
    elif not plan.changes:
        say(f"{plan.path} has it already.")
    else:
        echo("\n".join(plan.difference or ("(only the key changes)",)))
    if not plan.changes:
        return
    if not is_changed:
        say(f"{plan.path} was not changed. To do it, repeat this with --yes.", err=True)
        return
    say(f"{plan.path} was changed. Start {host.title} again.", err=True)
    if backup is not None:
        say(f"What was there before is in {backup}.", err=True)
    if plan.holds_key:
        say("The store's key is in it, so it is for its owner alone (mode 600).", err=True)
    elif not start.sandbox:
        say(host.key, err=True)


@click.command()
@click.option(
    "--out",
    "folder",
    default="dist",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write them.",
)
@output_options
def bundle(folder: Path, form: str | None) -> None:
    """Write the bundle that Claude Desktop installs when you open it.

    It holds the source of this installation, and asks for the key, who approves, the two limits, and
    whether it is read-only. Once the package is published, server.json is written too: its entry in
    the MCP registry.
    """
    from clawver_orders.install.bundle import write

    try:
        written = write(folder)
    except OSError as error:
        stop(f"{folder} cannot be written ({type(error).__name__}).", FAILED)
    if (output := Output(form)).is_json:
        output.document([str(path) for path in written])
        return
    for path in written:
        echo(str(path))
