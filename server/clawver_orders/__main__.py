"""Runs the command: what is installed as `clawver-orders`, and `python -E -P -m clawver_orders`."""

import atexit
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawver_orders.serving.stdio.early import Early


def main() -> None:
    """Run the command. A host is listened to at once.

    While the command is still being read, Ctrl+C ends it without a word.
    """
    atexit.register(gc.freeze)  # a last look at all that was imported takes longer than all else
    if sys.argv[1:2] == ["call"]:
        gc.disable()  # it is over before there is anything to collect
    # Plugins see all that is validated, and looking for one reads the metadata of every package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    early = _listen(sys.argv[1:])
    from clawver_orders.cli.main import main as run

    if is_heard and early is None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run(early)


def _listen(words: list[str]) -> "Early | None":
    if words and words[0] != "serve":
        return None
    from clawver_orders.serving.stdio.early import listen_early

    return listen_early(words)


if __name__ == "__main__":
    main()
