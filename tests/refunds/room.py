"""A desk, the store across the wire within this process, and time that passes when it is told to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from clawver_orders.caller import Approval, Grade, PageOpener, Question, Reply, Script
from clawver_orders.errors import ClawverError
from clawver_orders.instants import Instant
from clawver_orders.orders.privacy import Masking
from clawver_orders.refunds.desk import RefundDesk
from clawver_orders.refunds.order_locks import Locks
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.reading import Bounds
from clawver_orders.refunds.records import Actor, Attempt, Wish
from clawver_orders.sandbox_store import SANDBOX_FILE
from clawver_orders.services import Services, Store
from clawver_orders.settings import Settings
from clawver_sandbox.shop import Shop

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
QUICK = Bounds(lock=0.05, read=5.0, send=5.0, look=5.0)
ACTOR = Actor("another process", "somebody")
IN_TERMINAL = Approval("console", "terminal", "person in the terminal")
REASON = "Torn"
"""Why, unless a test says otherwise: what lands late carries the same reason."""
PERSON = "person by elicitation"


class AskingHost:
    """A program through which a person can be asked, who answers as told."""

    client = "host 1"
    is_person = False
    person = PERSON
    grade: Grade = "chat"
    channel = "form"
    opener: PageOpener | None = None
    card: dict[str, object] | None = None
    answered_after_seconds = 4.0

    def __init__(
        self,
        *replies: Reply,
        brought: Reply | None = None,
        can_ask: bool = True,
        meanwhile: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.replies = list(replies)
        self.brought = brought
        self.can_ask = can_ask
        self.meanwhile = meanwhile
        self.questions: list[Question] = []
        self.answered: str | None = None
        self.answered_number = 0
        self.answered_revision = 0

    def reply_to(self, refund_id: str) -> Reply | None:
        if self.brought is not None:
            self.meanwhile(refund_id)
        return self.brought

    async def ask(self, question: Question) -> Reply:
        self.questions.append(question)
        self.meanwhile(question.about)
        return self.replies.pop(0)

    async def progress(self, done: int, total: int) -> None:
        """A refund says nothing on its way."""


class Left(Exception):  # noqa: N818  # no error: the call ended with its question
    """The host went away with the question, and comes back with another call."""


class Modern(AskingHost):
    """A host that ends the call with the question, and brings the answer along with the next one."""

    def __init__(
        self, answered: str | None = None, brought: Reply | None = None, number: int = 0
    ) -> None:
        super().__init__(brought=brought)
        self.answered = answered
        self.answered_number = number
        self.answered_revision = 1

    def reply_to(self, refund_id: str) -> Reply | None:
        return self.brought if refund_id == self.answered else None

    async def ask(self, question: Question) -> Reply:
        raise Left(question.about, question.number)


class Terminal(AskingHost):
    """A person in the terminal."""

    is_person = True
    grade: Grade = "console"
    channel = "terminal"


class Room:
    """A desk, the store across the wire, and the time."""

    def __init__(self, state: Path) -> None:
        self.at = START
        self.up = 5000.0
        self.boot = "this start"
        self.verify_seconds = 9.0  # short, so that looking takes no time
        self.state = state
        self.shop = Shop.open(state / SANDBOX_FILE, now=lambda: self.at)
        self.order_id: str = self.sell(2499)
        self.parts = self.services()
        store = store_of(self.parts)
        self.ledger = store.ledger
        self.locks: Locks = store.locks
        self.question_number = 0

    def services(self, **changed: Any) -> Services:
        values: dict[str, Any] = {
            "sandbox": True, "state_dir": self.state, "requests_per_minute": 10**6,
            "requests_per_day": 10**6, "refund_approval": "off",
        }  # fmt: skip
        return Services(
            Settings(**values | changed), lambda: self.at, lambda: self.up, lambda: self.boot
        )

    def desk(self, bounds: Bounds = QUICK, **changed: Any) -> RefundDesk:
        verifying = {"refund_verify_seconds": self.verify_seconds}
        values = self.parts.settings.model_copy(update=verifying | changed)
        return RefundDesk(
            self.parts.clawver, self.ledger, self.locks, values, store="a store", still_opens=checkpoint,
            masking=Masking(), bounds=bounds,
        )  # fmt: skip

    def sell(self, cents: int, **how: Any) -> str:
        return str(self.shop.sell(total_in_cents=cents, **how)["id"])

    def now(self) -> Instant:
        return Instant(self.at, self.up, self.boot)

    def passes(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.up += seconds

    def refund(self, cents: int = 700, caller: Any = None, order_id: str = "", reason: str = REASON,
               named: Any = (), **changed: Any) -> Any:  # fmt: skip
        return self.desk(**changed).refund(
            order_id or self.order_id, cents, reason, named, caller or Script()
        )

    async def lost(self, cents: int = 700, order_id: str = "", named: Any = ()) -> Wish:
        """A refund whose request came to nothing, and nobody knows."""
        self.shop.add_fault("drop_before", method="POST")
        outcome = await self.refund(cents, order_id=order_id, named=named)
        assert outcome.status == "unknown"
        return wish_of(outcome)

    async def not_recorded(self, cents: int = 700, named: Any = ()) -> Wish:
        """One that did not show in time."""
        wish = await self.lost(cents, named=named)
        for _ in range(2):
            self.passes(self.verify_seconds + 1)
            outcome = await self.desk().check(wish.refund_id)
        assert outcome.status == "not_recorded"
        return wish_of(outcome)

    async def asked(self, cents: int = 700, reason: str = REASON) -> str:
        """The id of a refund about which a person is being asked."""
        with pytest.raises(Left) as left:
            await self.refund(cents, Modern(), reason=reason, refund_approval="agent")
        refund_id, self.question_number = left.value.args
        return str(refund_id)

    async def waiting(self, cents: int = 700, **changed: Any) -> Wish:
        """A preview."""
        return wish_of(await self.refund(cents, **{"refund_approval": "agent"} | changed))

    async def refused(self, cents: int = 700, status: int = 400, **changed: Any) -> Wish:
        """One that Clawver refused a moment ago."""
        self.shop.add_fault("status_before", method="POST", status=status)
        with pytest.raises(ClawverError):
            await self.refund(cents, **changed)
        wishes = (await self.ledger.of_order(self.order_id)).wishes
        return next(wish for wish in reversed(wishes) if wish.amount_in_cents == cents)

    def lands(self, cents: int = 700, reason: str = REASON) -> str:
        """A refund that shows on the order now, as what was lost on the way does, and its id."""
        self.shop.refund(self.order_id, cents, reason)
        return self.listed()[-1]

    def given_back(self) -> list[int]:
        return [cents for order, cents in self.shop.refunds() if order == self.order_id]

    def posts(self) -> int:
        return sum(request["method"] == "POST" for request in self.shop.requests())

    def gets(self) -> int:
        return sum(request["method"] == "GET" for request in self.shop.requests())

    def listed(self, order_id: str = "") -> tuple[str, ...]:
        """The ids of the refunds that the store knows."""
        return tuple(each["id"] for each in self.shop.order(order_id or self.order_id)["refunds"])

    async def trail(self, wish: Wish) -> list[tuple[str, str, str]]:
        history = await self.ledger.history(wish.refund_id)
        return [(event.event, event.who, event.detail) for event in history]

    async def found(self, wish: Wish) -> Wish:
        found = await self.ledger.find(wish.refund_id)
        assert found is not None
        return found


def store_of(services: Services) -> Store:
    """What is kept of the sandbox store, which nobody has to ask who it is."""
    store = services.known_store()
    assert store is not None
    return store


def wish_of(outcome: Outcome) -> Wish:
    assert outcome.wish is not None
    return outcome.wish


def attempt_of(wish: Wish) -> Attempt:
    """The last one."""
    return wish.attempts[-1]


def hide_ledger(room: Room) -> None:
    folder = room.parts.settings.origin_dir
    (folder / "ledger.sqlite3").rename(folder / "elsewhere")
