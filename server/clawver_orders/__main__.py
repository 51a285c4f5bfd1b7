"""Runs the command: what is installed as `clawver-orders`, and `python -E -P -m clawver_orders`."""

import signal


def main() -> None:
    """Run the command. While it is still being read, Ctrl+C ends it without a word."""
    is_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_heard:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from clawver_orders.cli.main import main as run

    if is_heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
