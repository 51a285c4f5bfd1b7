"""What is said on stderr, with secrets masked.

httpx2 logs whole addresses, and an address may carry a customer's token; so its chatter stays
off, and whatever is said passes a filter that masks keys and tokens.
"""

import logging
import re
import sys
import traceback
from pathlib import PurePath
from typing import Any

_SECRETS = re.compile(r"(claw_sk_|token=|whsec_|Bearer )[^\s\"'&]+", re.IGNORECASE)


class _RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _SECRETS.sub(r"\1…", super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the name is logging's
        """Only where it happened: a message may hold what a customer or the network sent."""
        kind, _, trace = ei
        places = [
            f"  {frame.name} ({PurePath(frame.filename).name}:{frame.lineno})"
            for frame in traceback.extract_tb(trace)
        ]
        return "\n".join([f"{kind.__name__}, raised in:", *places])


def set_up(level: str) -> None:
    """Send log lines to stderr.

    Args:
        level: `debug`, `info`, `warning` or `error`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx2", "httpcore2", "httpcore", "asyncio", "mcp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
