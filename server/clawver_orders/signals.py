"""Hears that the process is told to end. The first signal asks; a second one ends it at once."""

import asyncio
import os
import signal
from typing import NoReturn

# Windows has no way to send SIGTERM from outside; there it is Ctrl+Break, as SIGBREAK.
_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")


async def told_to_stop() -> None:
    """Wait for SIGINT or SIGTERM.

    From then on the next signal has its original meaning, so that whatever hangs can be ended. The
    first process of a container has no such meaning of a signal, and ends itself.
    """
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    signals = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]

    def note(*_: object) -> None:
        for each in signals:
            signal.signal(each, _end if os.getpid() == 1 else signal.SIG_DFL)
        loop.call_soon_threadsafe(heard.set)

    for each in signals:
        try:
            loop.add_signal_handler(each, note)
        except NotImplementedError:  # the event loop of Windows, which a signal wakes all the same
            signal.signal(each, note)
    await heard.wait()


def _end(number: int, _: object) -> NoReturn:
    """As a shell would tell of a process that a signal has ended."""
    os._exit(128 + number)
