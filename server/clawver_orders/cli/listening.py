"""What `listen` does, for one store and for several: it tells where it listens, and of each request."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from clawver_orders.cli.line_writer import LineWriter
from clawver_orders.cli.options import MISUSED, say, stop
from clawver_orders.cli.output import Output, encoded
from clawver_orders.cli.tables import row, when
from clawver_orders.errors import ClawverError, SetupError
from clawver_orders.services import opened
from clawver_orders.webhooks.listener import listen
from clawver_orders.webhooks.receiver import HEALTH_PATHS, Handled, Receiver
from clawver_orders.webhooks.several import Receivers

if TYPE_CHECKING:
    from clawver_orders.settings import Settings, Stores


async def listen_to_one(
    settings: "Settings", host: str, port: int, path: str, output: Output
) -> None:
    """Receive the events of a store until the process is told to stop.

    Raises:
        ClawverError: Nothing can be received.
    """
    with LineWriter() as lines:

        def tell(handled: Handled) -> None:
            lines.add(encoded(_as_json(handled)) if output.is_json else _line(handled))

        title = await _title(settings) if settings.webhook_secret else ""

        def ready(url: str) -> None:
            address, health = f"{url}{path}", f"{url}/healthz"
            if output.is_json:
                output.document({"url": address, "health": health, "store": title})
                return
            say(f"Listening for order events at {address} (stop it with Ctrl+C).")
            say(f"Store: {title}\nHealth: {health}")

        receiver = Receiver.of(settings, path=path, tell=tell)
        await listen(receiver, host, port, ready)


async def listen_to_several(
    stores: "Stores", host: str, port: int, path: str, output: Output
) -> None:
    """Receive the events of all stores that can be listened for, until the process is told to stop.

    Raises:
        ClawverError: Nothing can be received of any of them.
    """
    paths = {alias: f"{path.rstrip('/')}/{alias}" for alias in stores}
    if not HEALTH_PATHS.isdisjoint(paths.values()):
        stop("--path / leaves no path for a store called healthz or readyz: take another.", MISUSED)
    with LineWriter() as lines:

        def tell(store: str, handled: Handled) -> None:
            told = {"store": store} | _as_json(handled)
            lines.add(encoded(told) if output.is_json else _line(handled, store))

        receivers = Receivers(tell)
        titles: dict[str, str] = {}
        left_out: dict[str, ClawverError] = {}
        for alias, settings in stores.items():
            try:
                titles[alias] = await _add(receivers, alias, paths[alias], settings)
            except ClawverError as error:
                left_out[alias] = error

        def ready(url: str) -> None:
            left_out.update(receivers.failed)
            taken = [
                {"store": alias, "url": f"{url}{paths[alias]}", "title": title}
                for alias, title in titles.items()
                if alias not in left_out
            ]
            health = f"{url}/healthz"
            if output.is_json:
                others = [{"store": each, "error": str(why)} for each, why in left_out.items()]
                output.document({"stores": taken, "left_out": others, "health": health})
                return
            _tell_of(left_out)
            say("Listening for order events at these addresses (stop it with Ctrl+C).")
            say("\n".join("{store}: {url} {title}".format_map(each) for each in taken))
            say(f"Health: {health}")

        try:
            await listen(receivers, host, port, ready)
        except ClawverError:
            _tell_of(left_out | receivers.failed)
            raise


async def _add(
    receivers: Receivers, alias: str, path: str, settings: "Settings | SetupError"
) -> str:
    """Have the deliveries of a store taken; gives the store as a person knows it."""
    if isinstance(settings, SetupError):
        raise settings
    if not settings.webhook_secret:
        raise SetupError(
            f"The table of the store {alias} names no webhook secret, so no delivery can be verified.",
            next_step="To receive its events, a person sets webhook_secret_env or webhook_secret_file "
            "there, then starts this again.",
        )
    title = await _title(settings)
    receivers.add(alias, path, settings)
    return title


def _tell_of(left_out: Mapping[str, ClawverError]) -> None:
    for alias, why in left_out.items():
        say(f"{alias} is left out. {why}", err=True)


async def _title(settings: "Settings") -> str:
    """The store as a person knows it; it is asked who it is where that was never noted."""
    async with opened(settings) as services:
        return (await services.store()).title


def _line(handled: Handled, store: str = "") -> str:
    said = f"{handled.status}: {handled.reason}" if handled.reason else ""
    words = (
        when(handled.at), f"{handled.result:9}", store, handled.event, handled.order_id, said,
    )  # fmt: skip
    return row([word for word in words if word])


def _as_json(handled: Handled) -> dict[str, object]:
    return asdict(handled) | {"at": handled.at.isoformat(timespec="seconds")}
