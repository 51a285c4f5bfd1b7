"""A ledger by itself, a time that passes when it is told to, and wishes as far as a test wants them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clawver_orders.caller import WAITS, Approval, Grade
from clawver_orders.instants import Instant
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.records import Actor, Limits, Preview, SeenRefund, Sent, Status, Wish

START = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)
ACTOR = Actor("test 1.0", "a person")
AGENT = Approval("agent", "confirm_refund", "agent by confirm_refund")
PERSON = Approval("chat", "form", "person by elicitation")
IN_TERMINAL = Approval("console", "terminal", "person in the terminal")
IN_A_FILE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
"""Marks what only a file can do, or can be done to."""
IN_POSTGRES = pytest.mark.parametrize("engine", ["postgres"], indirect=True)
"""Marks what is about those tables alone."""
ONE, TWO = SeenRefund("ref_1", 700, "re_1"), SeenRefund("ref_2", 900)


class Clock:
    """The time of a machine."""

    def __init__(self) -> None:
        self.at = START
        self.up = 1000.0
        self.boot = "this start"

    def __call__(self) -> Instant:
        return Instant(self.at, self.up, self.boot)

    def passes(self, **time: float) -> None:
        self.at += timedelta(**time)
        self.up += timedelta(**time).total_seconds()


class Book:
    """A ledger, through its own doors."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = Clock()
        self.ledger = Ledger(path, self.now)
        self.elsewhere = ""
        """What another process has to run first, so that its ledger is this one."""

    async def number(self, order_id: str = "ord_1") -> int:
        return (await self.ledger.of_order(order_id)).number

    async def found(self, wish: Wish) -> Wish:
        found = await self.ledger.find(wish.refund_id)
        assert found is not None
        return found

    async def wants(self, order_id: str = "ord_1", cents: int = 500, reason: str = "Torn",
                    named: Sequence[str] = (), shown: str = "paid", needed: Grade = "agent",
                    sandbox: str = "") -> Wish:  # fmt: skip
        _, wish = await self.ledger.want(
            await self.number(order_id), order_id, cents, named, reason,
            Preview(shown, needed, sandbox), ACTOR,
        )  # fmt: skip
        return wish

    async def sends(self, wish: Wish, approval: Approval = AGENT, limit: int = 10**6,
                    instead_of: str | None = None, number: int | None = None) -> Wish:  # fmt: skip
        return await self.ledger.begin_send(
            await self.number(wish.order_id) if number is None else number, wish, approval, None,
            ["ref_b", "ref_a"], START + timedelta(seconds=2), Limits(limit), "test 1.0", instead_of,
        )  # fmt: skip

    async def becomes(self, wish: Wish, to: Sent) -> Wish:
        """What became of its last attempt."""
        attempt = wish.attempts[-1]
        if to == "refunded":
            its_own = f"ref_{wish.refund_id}"
            return await self.ledger.claim(attempt, its_own, "re_1", ["ref_x"], ACTOR)
        return await self.ledger.move(attempt, to, f"because of {to}", ACTOR)

    async def at(self, status: Status, order_id: str = "ord_1", cents: int = 500,
                 approval: Approval = AGENT, sandbox: str = "") -> Wish:  # fmt: skip
        wish = await self.wants(order_id, cents, sandbox=sandbox)
        if status == "declined":
            return await self.ledger.decline(wish.refund_id, PERSON, "test 1.0")
        if status == "expired":
            self.now.passes(seconds=WAITS.total_seconds())
            return await self.found(wish)
        if status == "waiting":
            return wish
        wish = await self.sends(wish, approval)
        steps: dict[str, tuple[Sent, ...]] = {
            "sending": (), "unknown": ("unknown",), "not_recorded": ("unknown", "not_recorded"),
        }  # fmt: skip
        for step in steps.get(status, (status,)):
            wish = await self.becomes(wish, step)
        return wish

    async def trail(self, wish: Wish) -> list[tuple[str, str]]:
        return [(line.event, line.detail) for line in await self.ledger.history(wish.refund_id)]
