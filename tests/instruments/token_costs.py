"""What an agent pays to read us, in bytes and tokens: `uv run python -m tests.instruments.token_costs`.

Not a test: nothing here passes or fails. A token is taken as four bytes, which is near enough for
comparing. Each job stands beside what the raw API answers for the same: the fewest requests by
which somebody could do it by hand.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client

from clawver_orders.serving.server import build_server
from clawver_orders.settings import Settings
from clawver_sandbox.serving import running
from clawver_sandbox.shop import API_KEY, Shop

ROOT = Path(__file__).parents[2]
STATUSES = ("pending", "confirmed", "processing", "shipped", "delivered", "cancelled")
REFUND = {"amountInCents": 2499, "reason": "The file was damaged"}


@dataclass(frozen=True)
class Job:
    """Something an agent is often asked to do: our calls, and the requests by hand."""

    title: str
    calls: tuple[tuple[str, dict[str, Any]], ...]
    requests: tuple[str, ...]
    refund: bool = False
    """Whether a refund by hand follows the requests."""


JOBS = (
    Job("the newest 20 orders", (("list_orders", {}),), ("/orders",)),
    Job("one order", (("get_order", {"order_id": "ord_mixed"}),), ("/orders/ord_mixed",)),
    Job(
        "the daily order check",
        (("summarize_orders", {}),),
        tuple(f"/orders?limit=100&status={status}" for status in STATUSES),
    ),
    Job(
        "a customer's parcels, by e-mail address",
        (("list_orders", {"customer_email": "noam@example.com", "status": "shipped"}),),
        ("/orders?limit=100&status=shipped",),
    ),
    Job(
        "a shirt in the wrong size",
        (("handle_wrong_size", {"order_id": "ord_shirt", "wanted_size": "L"}),),
        ("/orders/ord_shirt", "/products/prod_tee"),
    ),
    Job(
        "a full refund",
        (
            ("get_order", {"order_id": "ord_digital"}),
            (
                "refund_order",
                {"order_id": "ord_digital", "amount_in_cents": 2499, "reason": REFUND["reason"]},
            ),
        ),
        ("/orders/ord_digital",),
        refund=True,
    ),
)


def size(value: object) -> int:
    """Bytes of a value as compact JSON."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@contextmanager
def store() -> Iterator[tuple[str, Settings]]:
    """A store that just opened, and the settings of a server for it."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop.open(Path(folder) / "store.sqlite3")
        with running(shop) as url:
            yield (
                f"{url}/v1",
                Settings(
                    api_key=API_KEY,
                    api_url=f"{url}/v1",
                    state_dir=Path(folder) / "state",
                    refund_approval="off",
                    requests_per_minute=10**6,
                ),
            )


def by_hand(base: str, job: Job) -> int:
    """Bytes of the raw API's answers."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    with httpx2.Client(base_url=base, headers=headers, trust_env=False) as http:
        answers = [http.get(path) for path in job.requests]
        if job.refund:
            answers.append(http.post(f"{job.requests[-1]}/refund", json=REFUND))
    assert all(answer.status_code == 200 for answer in answers)
    return sum(len(answer.content) for answer in answers)


async def with_tools(settings: Settings, job: Job) -> int:
    """Bytes of the texts that a model gets from our tools."""
    total = 0
    async with Client(build_server(settings)) as client:
        for name, arguments in job.calls:
            result = await client.call_tool(name, arguments)
            assert not result.is_error
            total += sum(len(getattr(part, "text", "").encode()) for part in result.content)
    return total


async def listed(settings: Settings) -> tuple[int, int]:
    """Bytes of tools/list: what a model reads of it, and all of it."""
    async with Client(build_server(settings)) as client:
        tools = [
            tool.model_dump(mode="json", by_alias=True, exclude_none=True)
            for tool in (await client.list_tools()).tools
        ]
    read = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    return sum(map(size, read)), size(tools)


def reading() -> Iterator[tuple[str, int]]:
    """What is read before or beside a job, and its bytes."""
    with store() as (_, settings):
        read, whole = asyncio.run(listed(settings))
        instructions = build_server(settings).instructions or ""
    yield "tools/list: names, descriptions, input schemas", read
    yield "tools/list: everything, with output schemas", whole
    yield "instructions", len(instructions.encode())
    for page in (ROOT / "SKILL.md", *sorted((ROOT / "references").glob("*.md"))):
        yield page.relative_to(ROOT).as_posix(), page.stat().st_size


def jobs() -> Iterator[tuple[str, int, int]]:
    """Each job with the bytes of our answers and of the raw API's."""
    for job in JOBS:
        with store() as (_, settings):
            ours = asyncio.run(with_tools(settings, job))
        with store() as (base, _):  # a store of its own: a refund happens once
            raw = by_hand(base, job)
        yield job.title, ours, raw


def main() -> None:
    """Measure and print."""
    print(f"{'to read':<48}{'bytes':>9}{'tokens':>9}")
    for title, count in reading():
        print(f"{title:<48}{count:>9,}{count // 4:>9,}")
    print()
    print(
        f"{'the answers of a job':<48}{'bytes':>9}{'tokens':>9}{'raw':>12}{'tokens':>9}{'ours':>7}"
    )
    for title, ours, raw in jobs():
        row = f"{title:<48}{ours:>9,}{ours // 4:>9,}{raw:>12,}{raw // 4:>9,}{ours / raw:>7.0%}"
        print(row)


if __name__ == "__main__":
    main()
