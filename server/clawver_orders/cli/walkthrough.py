"""A walk through the main job: a real MCP client, a real server process, the sandbox store."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from clawver_orders.caller import A_PERSON_TAKES_SECONDS
from clawver_orders.install import installation
from clawver_orders.install.installation import NAME

Say = Callable[[str], None]
WIDTH = 78
THE_PERSON_READS_FOR_SECONDS = A_PERSON_TAKES_SECONDS + 0.2
"""An answer that comes sooner is taken for the program's own."""


async def walk(state_dir: Path, say: Say, heading: Say) -> None:
    """Show the main job, step by step.

    Args:
        state_dir: Where the sandbox store of this walk lives.
        say: Takes a line of text for the reader.
        heading: Takes the line that opens a step.
    """
    command, *arguments = installation.running()
    server = StdioServerParameters(
        command=command,
        args=[*arguments, "serve", "--sandbox"],
        env={"CLAWVER_STATE_DIR": str(state_dir)},
    )

    async def person(
        context: ClientRequestContext,  # noqa: ARG001  # the SDK passes it by name
        params: ElicitRequestParams,
    ) -> ElicitResult:
        """The demo is the host, and plays the person: it shows the question and takes its time."""
        told(["The server asks the person, through the host:"])
        told(params.message.splitlines(), "  | ")
        await anyio.sleep(THE_PERSON_READS_FOR_SECONDS)
        told(["The demo plays the person here, and says yes."])
        return ElicitResult(action="accept", content={"approve": True})

    def told(lines: Sequence[str], indent: str = "  ") -> None:
        for line in lines:
            for part in textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=indent):
                say(part)

    async with Client(server, elicitation_callback=person) as client:
        await _Walk(client, say, heading).all()


def _rows(answer: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    """The rows of a table, each with what is the same in all of them."""
    same = answer.get("in_all_rows", {})
    return [same | dict(zip(answer["columns"], cells, strict=True)) for cells in answer[name]]


class _Walk:
    def __init__(self, client: Client, say: Say, heading: Say) -> None:
        self._client = client
        self._say = say
        self._heading = heading

    async def all(self) -> None:
        await self._tools()
        await self._today()
        await self._one_order()
        await self._download()
        await self._receipt()
        await self._wrong_size()
        await self._refund()
        self._heading("That was the main job")
        self._wrapped("Nothing here was real money.")
        where = "" if installation.PUBLISHED else ", in your copy of the repository"
        for what, words in (
            (f"To install the command{where}:", installation.to_install()),
            ("Then, to see what your host needs to start it:", f"{NAME} config HOST"),
            ("Or, to go on trying without a key:", f"{NAME} call list_orders --sandbox"),
        ):
            self._wrapped(what)
            self._say(f"    {words}")

    def _wrapped(self, text: str, indent: str = "  ") -> None:
        for line in textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent):
            self._say(line)

    async def _call(self, name: str, **arguments: Any) -> Mapping[str, Any]:
        shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        self._wrapped(f"> {name}({shown})")
        result = await self._client.call_tool(name, arguments)
        if result.is_error or result.structured_content is None:
            raise RuntimeError(f"the demo's call of {name} failed: {result.content}")
        answer: Mapping[str, Any] = result.structured_content
        return answer

    async def _tools(self) -> None:
        self._heading("The tools an agent sees")
        for tool in (await self._client.list_tools()).tools:
            changes = (
                "" if tool.annotations and tool.annotations.read_only_hint else "  (changes things)"
            )
            self._say(f"  {tool.name:<24}{tool.title}{changes}")

    async def _today(self) -> None:
        self._heading("Today's orders")
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        listed = await self._call("list_orders", created_after=today)
        for row in _rows(listed, "orders"):
            self._say(
                f"  {row['order_id']:<20}{row['status']:<12}{row['payment_status']:<20}"
                f"{row['total']}"
            )

        summary = await self._call("summarize_orders")
        self._wrapped(
            f"In all {summary['orders']} orders, {summary['sales']} in sales, "
            f"{summary['refunded']} refunded; {len(summary['needs_attention'])} need attention:"
        )
        for row in _rows(summary, "needs_attention")[:3]:
            self._say(f"  {row['order_id']:<24}{row['why']}")

    async def _one_order(self) -> None:
        self._heading("One order in detail, with tracking")
        (order,) = (await self._call("get_order", order_id="ord_shirt"))["orders"]
        for item in order["items"]:
            self._wrapped(f"{item['name']}, {item.get('variant', 'digital')}")
        self._wrapped(f"Status: {order['status']}. Total: {order['total']}.")
        where = order["tracking"]
        self._wrapped(f"{where['carrier']} {where['number']}")
        self._wrapped(where["url"])

    async def _download(self) -> None:
        self._heading("A download link, really fetched")
        link = await self._call("generate_download_link", order_id="ord_digital")
        async with httpx2.AsyncClient(trust_env=False) as http:
            fetched = await http.get(link["download_url"])
        fetched.raise_for_status()
        self._wrapped(
            f"{link['file_name']}, until {link['expires_at']}: fetched "
            f"{len(fetched.content)} bytes."
        )

    async def _receipt(self) -> None:
        self._heading("A receipt")
        receipt = await self._call("get_receipt", checkout_id="chk_digital")
        for line in receipt["items"]:
            self._wrapped(f"{line['name']}: {line['total']}")

    async def _wrong_size(self) -> None:
        self._heading("A wrong size")
        sizes = await self._call("handle_wrong_size", order_id="ord_shirt", wanted_size="L")
        for item in sizes["items"]:
            in_stock = ", ".join(variant for variant, *_ in item["in_stock"])
            self._wrapped(f"Ordered: {item['ordered']}. Wanted: {item['wanted_available']}.")
            self._wrapped(f"In stock too: {in_stock}.")
        self._wrapped(sizes["next_step"])

    async def _refund(self) -> None:
        self._heading("A refund, and the same call once more")
        arguments = {
            "order_id": "ord_shirt",
            "amount_in_cents": 500,
            "reason": "Wrong size, goodwill",
        }
        sent = await self._call("refund_order", **arguments)
        self._told(sent)
        self._wrapped(f"Approved by: {sent['decided_by']}.")
        self._told(await self._call("refund_order", **arguments))

    def _told(self, refund: Mapping[str, Any]) -> None:
        self._wrapped(f"{refund['status']}: {refund['message']}")
