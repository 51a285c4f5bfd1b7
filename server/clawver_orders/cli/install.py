"""The commands that bring the server to where agents live: `config` and `bundle`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from clawver_orders.install.hosts import Host, Start


@click.command()
@click.argument("name", metavar="HOST")
@click.option("--sandbox", is_flag=True, help="On the sandbox store: no key, no real money.")
@click.option(
    "--inline-key", is_flag=True, help="Write out the key that CLAW_API_KEY holds right now."
)
@click.option("--write", is_flag=True, help="Edit the host's file; shows what would change.")
@click.option("--yes", is_flag=True, help="With --write: do it.")
@click.option(
    "--file",
    "chosen",
    type=click.Path(path_type=Path),
    help="With --write: this file instead of the host's usual one.",
)
def config(
    name: str,
    sandbox: bool,
    inline_key: bool,
    write: bool,
    yes: bool,
    chosen: Path | None,
) -> None:
    """Print what a HOST needs to start this server; on stdout only what to paste or run.

    It starts this installation by its full path, whatever folder the host works in.

    HOST is one of claude-desktop, claude-code, cursor, vscode, codex, gemini, openclaw,
    windsurf, zed, goose or generic.

    The key is never printed unless --inline-key asks for it: each host keeps it in its own way.
    With --write the file of claude-desktop, cursor, gemini or windsurf is edited instead; what
    else is in it stays as it is.
    """
    if sandbox and inline_key:
        raise click.UsageError("The sandbox needs no key: leave out --inline-key or --sandbox.")
    if (yes or chosen) and not write:
        raise click.UsageError("--yes and --file go with --write.")

    from clawver_orders.install.hosts import HOSTS, Start
    from clawver_orders.install.installation import TemporaryError, lasting

    host = HOSTS.get(name)
    if host is None:
        raise click.UsageError(f"There is no such host. Hosts: {', '.join(HOSTS)}.")
    try:
        command = lasting()
    except TemporaryError as error:
        raise click.ClickException(str(error)) from None
    start = Start(command, sandbox=sandbox, key=_key() if inline_key else None)
    if write:
        _write(host, start, yes=yes, chosen=chosen)
        return
    click.echo(host.where, err=True)
    click.echo(host.text(start))
    if not sandbox and not inline_key:
        click.echo(host.key, err=True)
    if host.link is not None and not inline_key:
        click.echo(f"Or open {host.link(start)}", err=True)


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
        raise click.ClickException(str(error)) from None
    if settings.api_key is None:
        raise click.ClickException(
            f"CLAW_API_KEY is not set, so there is no key to write out.{settings.key_note}"
        )
    return settings.api_key.get_secret_value()


def _write(host: "Host", start: "Start", *, yes: bool, chosen: Path | None) -> None:
    if host.file is None:
        raise click.UsageError(
            f"{host.title} keeps its servers in a form that is not safe to edit from here. "
            "Without --write this prints what to paste or run."
        )
    from clawver_orders.install import host_files
    from clawver_orders.install.hosts import Places

    path = chosen or host.file(Places(Path.home(), applications()))
    try:
        plan = host_files.plan(path, start.entry(host.reference))
        if not plan.changes:
            click.echo(f"{plan.path} has it already.")
            return
        for line in plan.difference or ("(only the key changes)",):
            click.echo(line)
        if not yes:
            click.echo(f"{plan.path} was not changed. To do it, repeat this with --yes.", err=True)
            return
        backup = host_files.apply(plan)
    except host_files.UntouchedError as error:
        raise click.ClickException(f"Nothing was changed: {error}") from None
    click.echo(f"{plan.path} was changed. Start {host.title} again.", err=True)
    if backup is not None:
        click.echo(f"What was there before is in {backup}.", err=True)
    if not start.sandbox and start.key is None:
        click.echo(host.key, err=True)


@click.command()
@click.option(
    "--out",
    "folder",
    default="dist",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write them.",
)
def bundle(folder: Path) -> None:
    """Write the bundle that Claude Desktop installs with one click.

    It holds the source of this installation and asks for every setting. Once the package is
    published, server.json is written too: its entry in the MCP registry.
    """
    from clawver_orders.install.bundle import write

    try:
        written = write(folder)
    except OSError as error:
        raise click.ClickException(
            f"{folder} cannot be written ({type(error).__name__})."
        ) from None
    for path in written:
        click.echo(path)
