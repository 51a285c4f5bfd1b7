"""The refund's card in the chat (MCP Apps): where it is, what it is, and who shows it. Standard library only.

The extension `io.modelcontextprotocol/ui`, in its revision 2026-01-26.
"""

from pathlib import Path
from typing import Any

EXTENSION = "io.modelcontextprotocol/ui"
MIME_TYPE = "text/html;profile=mcp-app"
ADDRESS = "ui://clawver-orders/refund-1.html"
"""The number goes up when the card no longer understands the answers of an older server, which keeps its own."""
FOR_CARD = "clawver-orders/card"
"""What the card alone gets is called so in the `_meta` of an answer."""
SHOWN_BY = frozenset({"refund_order", "check_refund"})
"""The tools whose answers the card shows."""
OF_RESOURCE = {"ui": {"prefersBorder": True}}
"""It fetches nothing, so it asks for no exception from the host's content security policy."""
OF_TOOL: dict[str, Any] = {"ui": {"resourceUri": ADDRESS}, "ui/resourceUri": ADDRESS}
OF_BUTTONS: dict[str, Any] = {"ui": {"resourceUri": ADDRESS, "visibility": ["app"]}}
_FILE = Path(__file__).parent / "static" / "refund-1.html"


def shows_cards(extensions: object) -> bool:
    """Whether a client says that it shows cards of this kind.

    Args:
        extensions: What it says of the extensions that it knows.
    """
    about = extensions.get(EXTENSION) if isinstance(extensions, dict) else None
    kinds = about.get("mimeTypes") if isinstance(about, dict) else None
    return isinstance(kinds, list) and MIME_TYPE in kinds


def html() -> str:
    """The card."""
    return _FILE.read_text("utf-8")
