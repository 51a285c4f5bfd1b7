"""The sandbox store in a terminal: serving it, and a walk through the main job on it."""

import sys
from contextlib import closing
from pathlib import Path

import click

from clawver_orders.cli.options import FAILED, say, settings_or_stop, show_progress, stop
from clawver_orders.cli.output import Output, echo, output_options


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
@click.option(
    "--orders",
    type=click.IntRange(1, 100_000),
    help="Start with this many orders over one year, most too old for Clawver's list.",
)
@output_options
def sandbox(port: int, reset: bool, orders: int | None, form: str | None) -> None:
    """Serve the sandbox store on this machine, for people, browsers and tests."""
    output = Output(form)
    settings = settings_or_stop(sandbox=True)
    import errno

    from clawver_orders.errors import SetupError
    from clawver_orders.sandbox_store import open_sandbox, reset_sandbox
    from clawver_sandbox.serving import listen as listen_on
    from clawver_sandbox.serving import serve as serve_store
    from clawver_sandbox.shop import API_KEY

    def ready(url: str) -> None:
        variables = {"CLAWVER_API_URL": f"{url}/v1", "CLAW_API_KEY": API_KEY}
        faults, requests = f"{url}/_sandbox/faults", f"{url}/_sandbox/requests"
        if output.is_json:
            output.document({"variables": variables, "faults": faults, "requests": requests})
            return
        say(f"A Clawver store is open at {url}/v1 (stop it with Ctrl+C). To use it:")
        echo(f"  {_for_a_shell(variables, sys.platform)}")  # whole, so that it can be pasted
        say(f"Faults: {faults}\nRequests: {requests}")

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
    show_progress("Opening the store")
    with listener:
        try:
            for said in reset_sandbox(settings) if reset else ():
                say(said, err=True)
            shop = open_sandbox(settings)
        except SetupError as error:
            stop(str(error), FAILED)
        if orders is not None and (there := shop.add_past(orders)) != orders:
            say(f"The store has {there} orders; --reset takes it back to its first 120.", err=True)
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

    output = Output(None)

    def heading(line: str) -> None:
        say("")
        output.heading(line)
        show_progress("Working")

    with (
        tempfile.TemporaryDirectory(prefix="clawver-orders-demo-") as folder,
        closing(Shop.open(Path(folder) / SANDBOX_FILE)) as shop,
        running(shop),
    ):
        show_progress("Working")
        anyio.run(walk, Path(folder), say, heading)
