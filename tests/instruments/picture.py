"""Draws the picture of the README: a refund, from a real run on the sandbox store.

`uv run python -m tests.instruments.picture` writes it again. A real MCP client asks, a real
terminal approves; only the random id of the refund is left out.
"""

import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import anyio
from mcp import Client, StdioServerParameters
from tests.terminals import at_terminal

FILE = Path(__file__).parents[2] / "docs" / "refund.svg"
TITLE = (
    "An agent asks for a refund, it waits, the merchant approves it in a terminal, it is sent once"
)
WISH = {"order_id": "ord_shirt", "amount_in_cents": 500, "reason": "Smudged print"}
ASKED = "Refund five dollars on ord_shirt, the print was smudged."
COLUMNS = 88
NAME = 9
_ID = re.compile(r"rfi_[0-9a-f]{16}")


@dataclass(frozen=True)
class Line:
    """A line of the picture: who says it, in which style, and what."""

    who: str
    style: str
    text: str


async def played(state: Path) -> list[Line]:
    """Play the refund, and give what everybody said.

    Args:
        state: A folder for the state of the sandbox store.
    """
    variables = {"CLAWVER_STATE_DIR": str(state), "PATH": os.environ["PATH"]}
    server = StdioServerParameters(
        command=sys.executable,
        args=["-E", "-P", "-m", "clawver_orders", "serve", "--sandbox"],
        env=variables,
    )
    lines = [Line("You", "plain", ASKED)]
    async with Client(server) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            lines.append(Line("Agent", "call", f"{tool}({given})"))
            answer: dict[str, Any] | None = (
                await client.call_tool(tool, arguments)
            ).structured_content
            assert answer is not None
            style = "waits" if answer["status"] == "needs_approval" else "done"
            lines.append(Line("Server", style, f"{answer['status']}: {answer['message']}"))
            return answer

        refund_id = (await call("refund_order", **WISH))["refund_id"]
        words = ["approve", refund_id, "--sandbox"]
        lines.append(Line("Terminal", "typed", f"$ clawver-orders {' '.join(words)}"))
        done = await anyio.to_thread.run_sync(
            lambda: at_terminal(*words, answers=["y"], environment=variables | {"NO_COLOR": "1"})
        )
        # What a line says of its progress is gone again when it says what came of it.
        lines_left = [each.rpartition("\r")[2] for each in done.stdout.split("\n")]
        said = [each for each in lines_left if each.strip()]
        outcome = next(i for i, each in enumerate(said) if each.startswith(refund_id))
        lines += [Line("", "plain", each) for each in said[:outcome]]
        lines.append(Line("", "done", said[outcome]))
        await call("check_refund", refund_id=refund_id)
        await call("refund_order", **WISH)
    return [Line(each.who, each.style, _ID.sub("rfi_…", each.text)) for each in lines]


def _rows(lines: list[Line]) -> Iterator[Line | None]:
    """The lines as they fit, and nothing where another speaker begins."""
    for number, line in enumerate(lines):
        if number and line.who:
            yield None
        for part, text in enumerate(textwrap.wrap(line.text, COLUMNS - NAME)):
            yield Line(line.who if part == 0 else "", line.style, text)


STYLE = """
  .paper { fill: #ffffff; stroke: #d0d7de } text { fill: #1f2328 } .who { fill: #59636e }
  .call { fill: #0969da } .typed { font-weight: bold } .waits { fill: #9a6700 } .done { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } .who { fill: #9198a1 }
    .call { fill: #58a6ff } .waits { fill: #d29922 } .done { fill: #3fb950 }
  }
"""
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
LEFT, TOP, LETTER, ROW, GAP = 20, 34, 8.43, 20, 8
"""In pixels, for a font of 14."""


def drawn(lines: list[Line]) -> str:
    """The picture, in both colour schemes."""
    parts, y = [], TOP
    for row in _rows(lines):
        if row is None:
            y += GAP
            continue
        if row.who:
            parts.append(f'<text class="who" x="{LEFT}" y="{y}">{row.who}</text>')
        x = round(LEFT + NAME * LETTER)
        parts.append(f'<text class="{row.style}" x="{x}" y="{y}">{escape(row.text)}</text>')
        y += ROW
    width, height = round(2 * LEFT + COLUMNS * LETTER), y
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img" font-family="{FONT}" font-size="14">',
            f"<title>{TITLE}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


async def picture() -> str:
    """Play the refund in a folder that is thrown away, and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        return drawn(await played(Path(folder) / "state"))


if __name__ == "__main__":
    FILE.write_text(anyio.run(picture), "utf-8")
