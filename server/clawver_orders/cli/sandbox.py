"""The sandbox store in a terminal: serving it, and a walk through the main job on it."""

import sys
from contextlib import closing
from pathlib import Path

import click

from clawver_orders.cli.options import FAILED, settings_or_stop, stop


@click.command()
@click.option(
    "--port",
    default=8787,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 picks a free one.",
)
@click.option(
    "--reset",
    is_flag=True,
    help="Start again from the opening catalogue, and forget the refunds made on this sandbox store.",
)
def sandbox(port: int, reset: bool) -> None:
    """Serve the sandbox store on this machine, for people, browsers and tests."""
    settings = settings_or_stop(sandbox=True)
    import errno

    from clawver_orders.errors import SetupError
    from clawver_orders.sandbox_store import open_sandbox, reset_sandbox
    from clawver_sandbox.serving import listen as listen_on
    from clawver_sandbox.serving import serve as serve_store
    from clawver_sandbox.shop import API_KEY

    def ready(url: str) -> None:
        click.echo(f"A Clawver store is open at {url}/v1 (stop it with Ctrl+C). To use it:")
        variables = {"CLAWVER_API_URL": f"{url}/v1", "CLAW_API_KEY": API_KEY}
        click.echo(f"  {_for_a_shell(variables, sys.platform)}")
        click.echo(f"Faults: {url}/_sandbox/faults  Requests: {url}/_sandbox/requests")

    try:
        listener = listen_on(port)  # before anything is changed
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        stop(
            f"Port {port} {'is in use' if taken else f'cannot be opened ({error.strerror})'}, so the "
            "sandbox was not started. Nothing was changed or deleted. Choose another port with --port"
            f"{', or stop the program that uses this one' if taken else ''}.",
            FAILED,
        )
    with listener:
        try:
            for said in reset_sandbox(settings) if reset else ():
                click.echo(said, err=True)
            shop = open_sandbox(settings)
        except SetupError as error:
            stop(str(error), FAILED)
        serve_store(shop, listener, on_ready=ready)


def _for_a_shell(variables: dict[str, str], platform: str) -> str:
    """The line that sets variables in the shell of a platform: PowerShell on Windows."""
    if platform == "win32":
        return "; ".join(f'$env:{name} = "{value}"' for name, value in variables.items())
    return "export " + " ".join(f"{name}={value}" for name, value in variables.items())


@click.command()
def demo() -> None:
    """Walk through the main job on a sandbox store, with a real MCP client."""
    import tempfile

    import anyio

    from clawver_orders.cli.walkthrough import walk
    from clawver_orders.sandbox_store import SANDBOX_FILE
    from clawver_sandbox.serving import running
    from clawver_sandbox.shop import Shop

    def heading(line: str) -> None:
        click.echo()
        click.secho(line, bold=True)

    with (
        tempfile.TemporaryDirectory(prefix="clawver-orders-demo-") as folder,
        closing(Shop.open(Path(folder) / SANDBOX_FILE)) as shop,
        running(shop),
    ):
        anyio.run(walk, Path(folder), click.echo, heading)
