"""What an agent pays to read us, in bytes: `uv run python -m tests.instruments.token_costs`.

Each row stands beside its budget; tests hold them, here nothing passes or fails. A token is four
bytes, which is near enough for comparing. Each answer stands beside what the raw API answers for the
same: the fewest requests by which somebody could do it by hand. A session is what is read before the
first call, and the calls of a task as agents worked it.
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
from clawver_orders.settings import TOOLSETS, Settings
from clawver_sandbox.api import build_app
from clawver_sandbox.serving import running
from clawver_sandbox.shop import Shop

ROOT = Path(__file__).parents[2]
KEY = "claw_sk_live_example_of_token_costs"
"""No test key: with one every answer says so."""
SKILL, PAGE, TOOL, TOOLS = 3_500, 2_500, 1_220, 7_000
"""Budgets in bytes: the skill, a page that it leads to, the definition of a tool, those of all that are
offered by default, with what is still to come."""
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
    budget: float | None = None
    """The most that our answers may take of the raw API's."""


JOBS = (
    Job("the newest 20 orders", (("list_orders", {}),), ("/orders",), budget=0.18),
    Job(
        "one order",
        (("get_order", {"order_id": "ord_mixed"}),),
        ("/orders/ord_mixed",),
        budget=0.60,
    ),
    Job(
        "one order on its way",
        (("get_order", {"order_id": "ord_shirt"}),),
        ("/orders/ord_shirt",),
        budget=0.60,
    ),
    Job(
        "one order that was partly refunded",
        (("get_order", {"order_id": "ord_partly_refunded"}),),
        ("/orders/ord_partly_refunded",),
        budget=0.60,
    ),
    Job(
        "four orders in one call",
        (("get_order", {"order_id": "ord_mixed,ord_shirt,ord_digital,ord_partly_refunded"}),),
        tuple(f"/orders/ord_{each}" for each in ("mixed", "shirt", "digital", "partly_refunded")),
        budget=0.60,
    ),
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
        with running(shop, app=build_app(shop, keys=(KEY,))) as url:
            yield (
                f"{url}/v1",
                Settings(
                    api_key=KEY,
                    api_url=f"{url}/v1",
                    state_dir=Path(folder) / "state",
                    refund_approval="off",
                    requests_per_minute=10**6,
                ),
            )


def by_hand(base: str, job: Job) -> int:
    """Bytes of the raw API's answers."""
    headers = {"Authorization": f"Bearer {KEY}"}
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


async def listed(settings: Settings) -> tuple[dict[str, int], int]:
    """Bytes of tools/list: what a model reads of each tool, and all of everything."""
    async with Client(build_server(settings)) as client:
        tools = [
            tool.model_dump(mode="json", by_alias=True, exclude_none=True)
            for tool in (await client.list_tools()).tools
        ]
    read = {
        tool["name"]: size({key: tool[key] for key in ("name", "description", "inputSchema")})
        for tool in tools
    }
    return read, size(tools)


def reading() -> Iterator[tuple[str, int, int | None]]:
    """What is read before or beside a job: its bytes, and its budget where it has one."""
    with store() as (_, settings):
        read, whole = asyncio.run(listed(settings))
        more, _ = asyncio.run(
            listed(settings.model_copy(update={"toolsets": TOOLSETS, "refund_approval": "agent"}))
        )
        instructions = build_server(settings).instructions or ""
    yield f"tools/list: the {len(read)} tools offered by default", sum(read.values()), TOOLS
    yield "tools/list: the largest tool of all", max(more.values()), TOOL
    yield f"tools/list: all {len(more)} tools", sum(more.values()), None
    yield "tools/list: by default, with output schemas", whole, None
    yield "instructions", len(instructions.encode()), None
    skill = ROOT / "SKILL.md"
    yield "SKILL.md", skill.stat().st_size, SKILL
    first = sum(read.values()) + skill.stat().st_size
    yield "before the first call: SKILL.md and tools", first, SKILL + TOOLS
    for page in sorted((ROOT / "references").glob("*.md")):
        yield page.relative_to(ROOT).as_posix(), page.stat().st_size, PAGE


def jobs() -> Iterator[tuple[Job, int, int]]:
    """Each job with the bytes of our answers and of the raw API's."""
    for job in JOBS:
        with store() as (_, settings):
            ours = asyncio.run(with_tools(settings, job))
        with store() as (base, _):  # a store of its own: a refund happens once
            raw = by_hand(base, job)
        yield job, ours, raw


async def every_order() -> list[float]:
    """What our answer about an order takes of the raw one, for the newest hundred of the sandbox."""
    shares = []
    with store() as (base, settings):
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            Client(build_server(settings)) as client,
            httpx2.AsyncClient(base_url=base, headers=headers, trust_env=False) as http,
        ):
            listed = (await http.get("/orders?limit=100")).json()["data"]["orders"]
            for each in listed:
                raw = await http.get(f"/orders/{each['id']}")
                ours = await client.call_tool("get_order", {"order_id": each["id"]})
                shares.append(len(getattr(ours.content[0], "text", "").encode()) / len(raw.content))
    return shares


def main() -> None:
    """Measure and print."""
    print(f"{'to read':<48}{'bytes':>9}{'budget':>9}{'tokens':>9}")
    for title, count, budget in reading():
        print(f"{title:<48}{count:>9,}{budget or '':>9}{count // 4:>9,}")
    print()
    print(
        f"{'the answers of a job':<48}{'bytes':>9}{'raw':>9}{'ours':>7}{'budget':>8}{'tokens':>9}"
    )
    for job, ours, raw in jobs():
        share = "" if job.budget is None else f"{job.budget:.0%}"
        print(f"{job.title:<48}{ours:>9,}{raw:>9,}{ours / raw:>7.0%}{share:>8}{ours // 4:>9,}")


if __name__ == "__main__":
    main()
