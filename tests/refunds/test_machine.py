"""An agent that ignores every warning, faults, crashes and restarts, in any order. The store judges.

Hypothesis makes up the stories, the same ones every time; MACHINE_STORIES=500 makes up others. A
failure is told as the shortest one that shows it. Most of them are told with the slow tests.
"""

import asyncio
import os
import re
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import anyio
import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.refunds.room import store_of

from clawver_orders.caller import Caller, Question, Reply, Script
from clawver_orders.clawver.client import Clawver
from clawver_orders.clawver.models import Order
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.transport import Transport
from clawver_orders.errors import ClawverError, UnreachableError
from clawver_orders.refunds.desk import Outcome, RefundDesk
from clawver_orders.refunds.ledger import Trace
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_sandbox.api import build_app
from clawver_sandbox.catalogue import Wire
from clawver_sandbox.shop import API_KEY, Shop

STORIES = int(os.environ.get("MACHINE_STORIES", "60"))
FEW, MANY = 10, 600
SHRINKS = os.environ.get("MACHINE_SHRINKS", "yes") == "yes"
"""Whether a failure is told as short as possible, which takes minutes."""
STEPS = 25
SETTLE_SECONDS = 9.0
FOREIGN_CENTS = 700
AMOUNTS = (FOREIGN_CENTS, 500)

Fault = dict[str, Any]


def post(name: str, status: int = 500) -> Fault:
    return {"name": name, "method": "POST", "status": status}


def reads(name: str, times: int) -> Fault:
    return {"name": name, "method": "GET", "times": times}


FIRST_READ = {"name": "slow", "method": "GET"}
"""Lets the read before the request pass."""
TROUBLE: dict[str, tuple[Fault, ...]] = {
    "none": (),
    "as before": (),
    "lost on its way": (post("drop_before"),),
    "answer lost": (post("drop_after"),),
    "400": (post("status_before", 400),),
    "400 after it was recorded": (post("status_after", 400),),
    "409 after it was recorded": (post("status_after", 409),),
    "503": (post("status_before", 503),),
    "503 after it was recorded": (post("status_after", 503),),
    "garbage": (post("garbage"),),
    "bare 200": (post("bare_success"),),
    "200 without the refund": (post("no_refunds_listed"),),
    "unreadable order": (reads("garbage", 1),),
    "old readings": (reads("stale_read", 5),),
    "answer lost, old readings": (post("drop_after"), FIRST_READ, reads("stale_read", 6)),
    "answer lost, unreadable order": (post("drop_after"), FIRST_READ, reads("garbage", 5)),
    "400, unreadable order": (post("status_before", 400), FIRST_READ, reads("garbage", 5)),
    "it never leaves": (),
    "death before it leaves": (),
    "death while it is on its way": (),
    "death after it was recorded": (),
    "death while looking": (post("drop_after"),),
}


_INTENT = re.compile(r"No money was moved by refund (rfi_\w+)")


class Death(BaseException):
    """The process ends here."""


class Store(Shop):
    """Knows which intent each refund came from."""

    def __init__(self, path: Path, now: Callable[[], datetime], seed: int) -> None:
        super().__init__(path, now, seed)
        self.sent: list[str] = []
        """The intents whose request left, in order."""
        self.paid: dict[str, str] = {}
        """The refunds recorded, and the intent of each."""
        self.wanted: dict[str, tuple[str, int, str]] = {}
        """What each intent's request says."""
        self.trouble = ""
        """What goes wrong in the call that is under way."""
        self.sent_before = 0

    @property
    def has_just_sent(self) -> bool:
        return len(self.sent) > self.sent_before

    def note_request(self, request: Wire) -> int:
        if request["method"] == "POST":
            self.sent.append(request["idempotency_key"])
        return super().note_request(request)

    def refund(self, order_id: str, amount_in_cents: object, reason: object) -> Wire:
        return self.land(self.sent[-1], order_id, amount_in_cents, reason)

    def land(self, intent: str, order_id: str, amount_in_cents: object, reason: object) -> Wire:
        order = super().refund(order_id, amount_in_cents, reason)
        self.paid[order["refunds"][-1]["id"]] = intent
        return order


class Line(Clawver):
    """The way to the store, on which a process can die."""

    store: Store

    async def order(self, order_id: str, *, urgent: bool = False) -> Order:
        if self.store.trouble == "death while looking" and self.store.has_just_sent:
            raise Death
        return await super().order(order_id, urgent=urgent)

    async def send_refund(
        self, order_id: str, amount_in_cents: int, reason: str, refund_id: str
    ) -> Order:
        trouble = self.store.trouble
        if trouble == "it never leaves":
            raise UnreachableError("It never left.", next_step="Repeat it.")
        if trouble == "death before it leaves":
            raise Death
        self.store.wanted[refund_id] = order_id, amount_in_cents, reason
        if trouble == "death while it is on its way":
            self.store.sent.append(refund_id)
            raise Death
        order = await super().send_refund(order_id, amount_in_cents, reason, refund_id)
        if trouble == "death after it was recorded":
            raise Death
        return order


class Person:
    """Sits at a host, and answers in one way."""

    client, is_person, can_ask, person = "host 1", False, True, "person by elicitation"
    answered: str | None = None
    answered_number = 0
    answered_after_seconds = 4.0

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def reply_to(self, refund_id: str) -> Reply | None:  # noqa: ARG002  # the protocol's
        return None

    async def ask(self, question: Question) -> Reply:  # noqa: ARG002  # the protocol's
        return self.reply

    async def progress(self, done: int, total: int) -> None:
        """Nobody wants to know."""


class Story(RuleBasedStateMachine):
    """One order, one ledger, one stubborn agent."""

    template: ClassVar[Path] = Path()
    """A store as it opens."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        (path / "store.sqlite3").write_bytes(self.template.read_bytes())
        self.at, self.up, self.elapsed = datetime(2026, 11, 24, 12, tzinfo=UTC), 5000.0, 0.0
        self.store = Store.open(path / "store.sqlite3", now=lambda: self.at)
        self.state = path / "state"
        self.runner = asyncio.Runner()
        self.open: list[Services] = []
        self.words = 0
        self.wishes: dict[str, tuple[int, frozenset[str]]] = {}
        """What each intent that was sent stood for: the amount, on top of what."""
        self.on_its_way: dict[str, float] = {}
        """Requests that were lost and may still arrive, and when they were sent."""
        self.lost: list[str] = []
        """Requests that did not arrive within the settle window."""
        self.told: dict[int, list[tuple[str, ...]]] = {cents: [()] for cents in AMOUNTS}
        self.intents: list[str] = []

    @initialize(approval=st.sampled_from(["off", "ask", "human"]), carries=st.booleans())
    def begin(self, approval: str, carries: bool) -> None:
        self.order = str(self.store.sell(total_in_cents=10_000)["id"])
        self.approval = approval
        if carries:
            self.store.land("by hand", self.order, FOREIGN_CENTS, "By hand")
        self.start()

    def teardown(self) -> None:
        try:
            if self.open:
                self.settle_and_compare()
        finally:
            self.stop()
            self.runner.close()
            self.folder.cleanup()

    # The agent

    @rule(
        cents=st.sampled_from(AMOUNTS),
        names=st.sampled_from(["none", "as told", "as told before", "a guess"]),
        trouble=st.sampled_from(list(TROUBLE)),
        reply=st.sampled_from([None, None, *Reply]),
    )
    def refund(self, cents: int, names: str, trouble: str, reply: Reply | None) -> None:
        """Ask for it, in other words each time."""
        named = self.named(cents, names)
        caller: Caller = Person(reply) if reply else Script()
        yes = reply is Reply.YES
        self.call(lambda: self.ask_for(self.desk, cents, named, caller), trouble, cents, named, yes)

    @rule(cents=st.sampled_from(AMOUNTS), trouble=st.sampled_from(list(TROUBLE)[:12]))
    def refund_twice_at_once(self, cents: int, trouble: str) -> None:
        """One host sends it twice, or two servers are asked."""
        other = store_of(self.services()).desk
        before = self.begin_call(trouble)
        ends: list[Outcome | ClawverError] = []

        async def one(desk: RefundDesk) -> None:
            try:
                ends.append(await self.ask_for(desk, cents, (), Script()))
            except ClawverError as error:
                ends.append(error)

        async def both() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one, self.desk)
                tasks.start_soon(one, other)

        self.runner.run(both())
        self.end_call(before, cents, frozenset(), yes=False)
        for end in ends:
            self.hear(end, self.store.paid)

    @precondition(lambda self: self.intents)
    @rule(number=st.integers(0, 5), trouble=st.sampled_from(list(TROUBLE)))
    def confirm(self, number: int, trouble: str) -> None:
        intent = self.intent(number)
        self.call(lambda: self.desk.confirm(intent, Script()), trouble)

    @precondition(lambda self: self.intents)
    @rule(number=st.integers(0, 5), trouble=st.sampled_from(list(TROUBLE)))
    def check(self, number: int, trouble: str) -> None:
        intent = self.intent(number)
        self.call(lambda: self.desk.check(intent), trouble)

    @rule()
    def check_order(self) -> None:
        self.call(lambda: self.desk.check(order_id=self.order))

    # People

    @precondition(lambda self: self.intents)
    @rule(
        number=st.integers(0, 5),
        reply=st.sampled_from([Reply.YES, Reply.NO]),
        trouble=st.sampled_from(list(TROUBLE)),
    )
    def approve(self, number: int, reply: Reply, trouble: str) -> None:
        intent, yes = self.intent(number), reply is Reply.YES
        self.call(lambda: self.desk.approve(intent, Person(reply)), trouble, yes=yes)

    @precondition(lambda self: self.intents)
    @rule(number=st.integers(0, 5))
    def decline(self, number: int) -> None:
        intent = self.intent(number)
        self.call(lambda: self.desk.decline(intent, Trace("shell", "a person")))

    @rule()
    def refund_by_hand(self) -> None:
        self.store.land("by hand", self.order, 1, "By hand")

    # The world

    @rule(seconds=st.sampled_from([0.1, 5.0, 10.0, 901.0]))
    def time_passes(self, seconds: float) -> None:
        """No reading is older than this."""
        self.at += timedelta(seconds=seconds)
        self.up += seconds
        self.elapsed += seconds
        self.store.clear_faults()
        for intent, sent in list(self.on_its_way.items()):
            if self.elapsed - sent >= SETTLE_SECONDS:
                del self.on_its_way[intent]
                self.lost.append(intent)

    @rule(reboot=st.booleans())
    def restart(self, reboot: bool) -> None:
        if reboot:
            self.up = 3.0
        self.start()

    @precondition(lambda self: self.on_its_way)
    @rule(number=st.integers(0, 2))
    def arrive_late(self, number: int) -> None:
        """A request that was given up by everybody else reaches the store."""
        intent = list(self.on_its_way)[number % len(self.on_its_way)]
        del self.on_its_way[intent]
        self.store.land(intent, *self.store.wanted[intent])

    @precondition(lambda self: self.lost and not self.on_its_way)
    @rule()
    def arrive_too_late(self) -> None:
        """The same after the settle window: it is found where nobody tried again meanwhile."""
        intent = self.lost.pop()
        if self.store.sent[-1] == intent:
            self.store.land(intent, *self.store.wanted[intent])
            end = self.call(lambda: self.desk.check(intent), "none")
            assert isinstance(end, Outcome)
            assert end.status == "refunded"

    # What must hold

    @invariant()
    def no_intent_is_sent_twice(self) -> None:
        assert [intent for intent, times in Counter(self.store.sent).items() if times > 1] == []

    @invariant()
    def nothing_is_refunded_twice(self) -> None:
        intents = [intent for intent in self.store.paid.values() if intent != "by hand"]
        assert len(set(intents)) == len(intents)
        wishes = Counter(self.wishes[intent] for intent in intents)
        assert [wish for wish, times in wishes.items() if times > 1] == []

    def hear(self, end: Outcome | ClawverError, before: dict[str, str]) -> None:
        """Hold an answer against what the store recorded."""
        if isinstance(end, ClawverError):
            assert end.happened.startswith(
                ("No money was moved", "Nothing was sent", "Refund rfi_")
            ), end.happened
            assert self.store.paid == before, end.happened
            assert not set(_INTENT.findall(end.happened)) & set(self.store.paid.values())
            return
        intent = end.intent.refund_id if end.intent is not None else ""
        if intent and intent not in self.intents:
            self.intents.append(intent)
        if end.earlier and end.amount_in_cents is not None:
            self.told[end.amount_in_cents].append(end.earlier)
        recorded = {
            each["id"]: each["amountInCents"] for each in self.store.order(self.order)["refunds"]
        }
        if end.status in {"refunded", "already_refunded"}:
            noted = end.intent.clawver_refund_id if end.intent is not None else None
            refund = end.refund.id if end.refund is not None else noted
            assert refund is not None
            assert recorded.get(refund) == end.amount_in_cents
            if intent:
                assert self.store.paid[refund] == intent
        elif end.status in {"not_recorded", "declined", "needs_confirmation"}:
            assert intent not in self.store.paid.values()
            assert intent not in self.on_its_way
        if end.status in {"declined", "needs_confirmation"}:
            assert intent not in self.store.sent

    def settle_and_compare(self) -> None:
        """When it is quiet again, the ledger knows what the store knows, and nothing is open."""
        self.on_its_way.clear()
        for _ in range(3):
            self.time_passes(10.0)
            self.runner.run(self.desk.recover())
        self.call(lambda: self.desk.check(order_id=self.order))
        intents = store_of(self.open[-1]).ledger.all()
        ours = {refund: intent for refund, intent in self.store.paid.items() if intent != "by hand"}

        assert {i.clawver_refund_id: i.refund_id for i in intents if i.clawver_refund_id} == ours
        assert [intent.state for intent in intents if intent.is_open] == []

    # Doing it

    @property
    def desk(self) -> RefundDesk:
        return store_of(self.open[0]).desk

    def services(self) -> Services:
        """A server on this ledger."""
        values = Settings(
            sandbox=True, state_dir=self.state, refund_approval=self.approval,
            refund_settle_seconds=SETTLE_SECONDS,
        )  # fmt: skip
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=build_app(self.store)))
        made = Services(values, lambda: self.at, lambda: self.up)
        there = values.model_copy(update={"api_url": "http://127.0.0.1/v1"})
        budget = Budget(Path(":memory:"), 10**6, 10**6, lambda: self.elapsed)
        made._open.push_async_callback(http.aclose)
        made._open.callback(budget.close)
        line = Line(Transport(there, http, fresh=http, budget=budget, api_key=API_KEY))
        line.store = self.store
        made.__dict__["clawver"] = line  # in place of the one that it would make
        self.open.append(made)
        return made

    def start(self) -> None:
        self.stop()
        self.runner.run(store_of(self.services()).desk.recover())

    def stop(self) -> None:
        for each in self.open:
            self.runner.run(each.close())
        self.open.clear()

    def ask_for(
        self, desk: RefundDesk, cents: int, named: tuple[str, ...], caller: Caller
    ) -> Awaitable[Outcome]:
        self.words += 1
        return desk.refund(self.order, cents, f"Torn, said in words {self.words}", named, caller)

    def named(self, cents: int, names: str) -> tuple[str, ...]:
        told = self.told[cents]
        before = told[max(0, len(told) - 2)]
        return {"as told": told[-1], "as told before": before, "a guess": ("ref_x",)}.get(names, ())

    def intent(self, number: int) -> str:
        """Mostly one of the latest."""
        return self.intents[-1 - number % len(self.intents)]

    def call(
        self,
        what: Callable[[], Awaitable[Outcome]],
        trouble: str = "as before",
        cents: int = 0,
        named: tuple[str, ...] = (),
        yes: bool = False,
    ) -> Outcome | ClawverError | None:
        """Call the desk while something goes wrong, and hear what it says."""
        before = self.begin_call(trouble)
        end: Outcome | ClawverError | None = None
        try:
            end = self.runner.run(_awaited(what))
        except ClawverError as error:
            end = error
        except Death:
            pass
        self.end_call(before, cents, frozenset(named), yes=yes)
        if end is None:
            self.start()
        else:
            self.hear(end, before)
        return end

    def begin_call(self, trouble: str) -> dict[str, str]:
        """Arrange what is to go wrong; gives what is recorded now."""
        if trouble != "as before":
            self.store.clear_faults()
        for fault in TROUBLE[trouble]:
            # A reading that hides what was always there is not old, it is false.
            if fault["name"] != "stale_read" or trouble != "old readings" or self.last_is_ours:
                self.store.add_fault(**fault)
        self.store.trouble = trouble
        self.store.sent_before = len(self.store.sent)
        return dict(self.store.paid)

    @property
    def last_is_ours(self) -> bool:
        return bool(self.store.paid) and [*self.store.paid.values()][-1] != "by hand"

    def end_call(
        self, before: dict[str, str], cents: int, named: frozenset[str], *, yes: bool
    ) -> None:
        """Take down what left, what it stood for, and whether it may still arrive."""
        answers = {r["idempotency_key"]: r["status"] for r in self.store.requests()}
        for intent in self.store.sent[self.store.sent_before :]:
            noted = store_of(self.open[0]).ledger.find(intent)
            assert noted is not None
            self.wishes[intent] = noted.amount_in_cents, frozenset(noted.in_addition_to)
            assert not cents or self.wishes[intent] == (cents, named)
            assert yes or self.approval != "human"
            if intent not in self.store.paid.values() and answers.get(intent) != 400:
                self.on_its_way[intent] = self.elapsed
        assert len(self.store.paid) <= len(before) + 1
        self.store.trouble = ""


async def _awaited(what: Callable[[], Awaitable[Outcome]]) -> Outcome:
    return await what()


@pytest.mark.parametrize(
    "stories",
    [
        FEW,
        pytest.param(STORIES, marks=pytest.mark.slow),
        pytest.param(MANY, marks=pytest.mark.long),
    ],
)
def test_whatever_happens_in_whatever_order_money_goes_back_once_and_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stories: int
) -> None:
    monkeypatch.setattr(Story, "template", tmp_path / "store.sqlite3")
    Shop.open(Story.template).close()

    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=stories,
            stateful_step_count=STEPS,
            derandomize="MACHINE_STORIES" not in os.environ,
            database=None,
            deadline=None,
            phases=[Phase.generate, *([Phase.shrink] if SHRINKS else [])],
            suppress_health_check=list(HealthCheck),
        ),
    )
