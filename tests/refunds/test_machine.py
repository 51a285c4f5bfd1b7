"""An agent that ignores every warning, faults, crashes and restarts, in any order. The store judges.

Hypothesis makes up the stories, the same ones every time; MACHINE_STORIES=500 makes up others. A
failure is told as the shortest one that shows it. Most of them are told with the slow tests.

What is held against the store, whatever happens:

- Nothing is sent again that the order lists, or whose outcome is not known.
- What Clawver refused may still take effect within the verification window, and an older copy of
  the ledger doesn't know what was sent since. Only then can the same refund be paid twice: where
  approval is off, or where a person approved who was told of just that. This stands in the list of
  what remains possible, and it is told as soon as an order shows it.
- What a person declined is not sent within a day, unless a person at a terminal reopened it; any
  other amount only by a person who was told. After two declines no form asks about that order.
- No answer says that money was moved that was not, or that none was that was or still may be.
- When it is quiet again, the ledger knows what the store knows. What it can't know it still calls
  unknown, until a person says what became of it.
"""

import asyncio
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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
    rule,
    run_state_machine_as_test,
)
from tests.refunds.machine_world import (
    BY_HAND,
    ODD,
    REFUSING,
    SIMPLE,
    TROUBLE,
    VERIFY_SECONDS,
    Death,
    Key,
    Line,
    Person,
    Sending,
    Store,
    Terminal,
)
from tests.refunds.room import store_of

from clawver_orders.caller import Approval, Caller, Grade, Reply, Script
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.clawver.transport import Transport
from clawver_orders.errors import NO_MONEY_MOVED, NOTHING_SENT, ClawverError
from clawver_orders.refunds.desk import RefundDesk
from clawver_orders.refunds.outcome import NOT_LISTED_SO_FAR, Outcome, message
from clawver_orders.refunds.records import Actor, Wish
from clawver_orders.services import Services
from clawver_orders.settings import Settings
from clawver_sandbox.api import build_app
from clawver_sandbox.shop import API_KEY, Shop

STORIES = int(os.environ.get("MACHINE_STORIES", "30"))
FEW, MANY = 5, 600
SHRINKS = os.environ.get("MACHINE_SHRINKS", "yes") == "yes"
"""Whether a failure is told as short as possible, which takes minutes."""
STEPS = 30
FIRST_CENTS, MORE_CENTS = 500, 10
"""The first amount that is wanted, and how much more each further one is."""
DAY = 86400.0
NO_LIMIT, DAILY_LIMIT = 10**6, 3000
PIN_ABOVE = 1500
_DENIED = re.compile(r"No money was moved(?: by refund (rfi_\w+)|.*\(refund (rfi_\w+)\))")

IN_TERMINAL = Approval("console", "terminal", "person in the terminal")
TROUBLES = st.one_of(
    st.just("none"),
    st.sampled_from(REFUSING),
    st.sampled_from(ODD),
    st.sampled_from(list(TROUBLE)),
)
REPLIES = st.one_of(st.none(), st.just(Reply.YES), st.sampled_from(list(Reply)))
AMOUNTS = st.sampled_from(["the same", "the same", "the one before", "a new one"])
NUMBERS = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4])
HAPPENS = (
    "a refund by hand", "the same by hand", "start", "reboot", "move", "clock ahead", "clock behind",
    "copy", "restore", "restore",
)  # fmt: skip
Step = tuple[str, dict[str, Any]]


def steps(what: str, /, **how: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(what), st.fixed_dictionaries(how))


_REFUND = steps(
    "refund",
    amount=AMOUNTS,
    names=st.sampled_from(["none", "none", "as told", "as told", "before", "a guess"]),
    trouble=TROUBLES,
    reply=REPLIES,
    goes_on=st.sampled_from([True, True, False]),
)
_CONFIRM = steps(
    "confirm",
    number=NUMBERS,
    older=st.sampled_from([0, 0, 0, 1]),
    trouble=TROUBLES,
    reply=REPLIES,
)
_APPROVE = steps(
    "approve",
    number=NUMBERS,
    reply=st.sampled_from([Reply.YES, Reply.YES, Reply.NO]),
    trouble=TROUBLES,
    tty=st.sampled_from([True, True, False]),
    pin=st.booleans(),
    less=st.sampled_from([False, False, True]),
)
_TIME = steps(
    "time_passes",
    seconds=st.sampled_from([0.1, 5.0, 10.0, 10.0, 901.0, 100_000.0]),
    looks=st.booleans(),
)
_HAPPENS = steps("happens", what=st.sampled_from(HAPPENS))
_ARRIVE = steps("arrive", number=st.integers(0, 2))
STEP = st.one_of(
    _REFUND, _REFUND, _REFUND, _REFUND, _REFUND, _CONFIRM, _APPROVE, _APPROVE, _TIME, _TIME, _HAPPENS, _ARRIVE, _ARRIVE,
    steps("refund_twice_at_once", amount=AMOUNTS, trouble=st.sampled_from(SIMPLE)),
    steps("check", number=st.integers(-1, 5), trouble=TROUBLES),
    steps("say", number=NUMBERS, resolves=st.sampled_from([False, True])),
)  # fmt: skip
REFUSAL, OLDER_COPY, DECLINED = (
    "That request could still take effect",
    "an older copy of itself",
    "A person declined",
)
"""What a person is told who is asked."""


@dataclass
class Decline:
    """What a person declined."""

    key: Key
    at: float
    is_reopened: bool = False


@dataclass
class Copy:
    """The ledger's file as it was, and what had happened until then."""

    file: Path
    sent: int
    declines: int


@dataclass
class Ask:
    """A call, and how things stood when it began."""

    wanted: Key | None
    """The refund that it is for, where that is known."""
    reopens: Key | None
    """What a person at a terminal approves with it."""
    before: dict[str, Sending | None]
    """What was recorded."""
    declined: frozenset[Key]
    told: str = ""
    """What a person was told who said yes."""
    grade: Grade = "agent"
    """What a yes through its caller proves."""


class Story(RuleBasedStateMachine):
    """One order, one ledger, one stubborn agent."""

    template: ClassVar[Path] = Path()
    """A store as it opens."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        (path / "store.sqlite3").write_bytes(self.template.read_bytes())
        self.at, self.up, self.boot = datetime(2026, 11, 24, 12, tzinfo=UTC), 5000.0, 1
        self.clock = timedelta()
        """By how much this machine's clock is wrong."""
        self.store = Store.open(path / "store.sqlite3", now=lambda: self.at)
        self.state = path / "state"
        self.runner = asyncio.Runner()
        self.open: list[Services] = []
        self.words = 0
        self.judged = 0
        """How many of the requests that left were judged."""
        self.cents = FIRST_CENTS
        self.told: dict[int, list[tuple[str, ...]]] = defaultdict(lambda: [()])
        self.shown: dict[str, int] = {}
        """The revision of each refund that was shown last."""
        self.declines: list[Decline] = []
        self.without_pin: list[Sending] = []
        self.settled_declines = 0
        """How many of them a person was told of who approved something since."""
        self.copy: Copy | None = None
        self.resolved: set[str] = set()

    @initialize(
        approval=st.sampled_from(["off", "agent", "agent", "chat", "console"]),
        carries=st.booleans(),
        daily_limit=st.sampled_from([NO_LIMIT, DAILY_LIMIT]),
        pin_above=st.sampled_from([None, None, PIN_ABOVE]),
    )
    def begin(self, approval: str, carries: bool, daily_limit: int, pin_above: int | None) -> None:
        self.order = str(self.store.sell(total_in_cents=50_000)["id"])
        self.approval, self.daily_limit, self.pin_above = approval, daily_limit, pin_above
        if carries:
            self.store.land(None, self.order, self.cents, BY_HAND)
        self.start()

    def teardown(self) -> None:
        try:
            if self.open:
                self.settle_and_compare()
        finally:
            self.stop()
            self.runner.close()
            self.folder.cleanup()

    @rule(step=STEP)
    def step(self, step: Step) -> None:
        """One rule for all of it: so each story has some of everything."""
        what, how = step
        getattr(self, what)(**how)

    # The agent

    def refund(
        self, amount: str, names: str, trouble: str, reply: Reply | None, goes_on: bool
    ) -> None:
        """Ask for it, in other words each time; perhaps confirm it whatever the answer says."""
        cents = self.wanted(amount)
        named = self.named(cents, names)
        caller: Caller = Person(reply) if reply else Script()
        end = self.call(
            lambda: self.ask_for(self.desk, cents, named, caller),
            trouble,
            caller,
            (cents, frozenset(named)),
        )
        if goes_on and isinstance(end, Outcome) and end.status == "needs_approval":
            self.confirm(0, 0, trouble, reply)

    def refund_twice_at_once(self, amount: str, trouble: str) -> None:
        """One host sends it twice, or two servers are asked."""
        cents = self.wanted(amount)
        other = store_of(self.services()).desk
        ask = self.begin_call(trouble, (cents, frozenset()))
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
        self.end_call(ask)
        for end in ends:
            self.hear(end, alone=False)

    def confirm(self, number: int, older: int, trouble: str, reply: Reply | None) -> None:
        if self.shown:
            refund_id = self.refund_id(number)
            revision = max(1, self.shown[refund_id] - older)
            caller: Caller = Person(reply) if reply else Script()
            self.call(lambda: self.desk.confirm(refund_id, revision, caller), trouble, caller)

    def check(self, number: int, trouble: str) -> None:
        """One of the refunds, or the order."""
        if number < 0 or not self.shown:
            self.call(lambda: self.desk.check(order_id=self.order), trouble)
        else:
            refund_id = self.refund_id(number)
            self.call(lambda: self.desk.check(refund_id), trouble)

    # People

    def approve(
        self, number: int, reply: Reply, trouble: str, tty: bool, less: bool, pin: bool
    ) -> None:
        """In a terminal, by a person or a program, with the PIN or without; perhaps a part of it."""
        if self.shown:
            refund_id, caller = self.refund_id(number), Terminal(reply, tty=tty, pin=pin)
            approved = self.approved(refund_id, less)
            part = approved[0] if approved and less else None
            self.call(
                lambda: self.desk.approve(refund_id, caller, part),
                trouble,
                caller,
                reopens=approved if tty else None,
            )

    def approved(self, refund_id: str, less: bool) -> Key | None:
        """What is approved with a refund, or with a part of it."""
        wish = self.found(refund_id)
        if wish is None:
            return None
        if less:
            return wish.amount_in_cents // 2, frozenset()
        again = (refund_id,) if wish.status == "not_recorded" else ()
        return wish.amount_in_cents, frozenset((*wish.in_addition_to, *again))

    def say(self, number: int, resolves: bool) -> None:
        """Decline it; or say what became of it."""
        if self.shown:
            refund_id = self.refund_id(number)
            if resolves:
                self.say_what_became_of(refund_id)
            else:
                self.call(lambda: self.desk.decline(refund_id, IN_TERMINAL, "shell"))

    # The world

    def time_passes(self, seconds: float, looks: bool) -> None:
        """Perhaps until it is certain what became of everything."""
        self.passes(seconds)
        for _ in range(2 if looks else 0):
            self.call(lambda: self.desk.check(order_id=self.order))
            self.passes(1.0)

    def passes(self, seconds: float) -> None:
        """No reading is older than this."""
        self.at += timedelta(seconds=seconds)
        self.up += seconds
        self.store.elapsed += seconds
        self.store.clear_faults()

    def happens(self, what: str) -> None:
        match what:
            case "a refund by hand":
                self.store.land(None, self.order, 1, BY_HAND)
            case "the same by hand":
                self.store.land(None, self.order, self.cents, BY_HAND)
            case "clock ahead" | "clock behind":
                self.clock = timedelta(hours=1 if what == "clock ahead" else -1)
            case "copy" | "restore":
                self.copy_or_restore(is_copy=what == "copy")
            case _:
                self.boot += what != "start"
                self.up = {"reboot": 3.0, "move": self.up + 10 * DAY}.get(what, self.up)
                self.start()

    def copy_or_restore(self, *, is_copy: bool) -> None:
        """The ledger's file alone, as it is; or as it was then."""
        if is_copy and self.ledger_file.exists():
            copied = shutil.copy2(self.ledger_file, Path(self.folder.name) / "copy")
            self.copy = Copy(Path(copied), len(self.store.sent), len(self.declines))
        elif self.copy is not None and not is_copy:
            shutil.copyfile(self.copy.file, self.ledger_file)
            for sending in self.store.sent[self.copy.sent :]:
                sending.forgotten = True
            del self.declines[self.copy.declines :]
            self.settled_declines = min(self.settled_declines, len(self.declines))
            self.start()

    def arrive(self, number: int) -> None:
        """A request takes effect: one that was refused or given up, or one that did already."""
        if waiting := self.store.on_its_way():
            self.store.arrives(waiting[number % len(waiting)], self.order)
        elif delivered := self.delivered():
            self.store.arrives(delivered[-1], self.order)
        elif too_late := self.too_late():
            self.arrive_too_late(*too_late)

    def arrive_too_late(self, sending: Sending) -> None:
        """After the window it is found where nobody tried again meanwhile."""
        self.store.arrives(sending, self.order)
        end = self.call(lambda: self.desk.check(sending.refund_id), "none")
        assert isinstance(end, Outcome)
        assert end.status == "refunded"

    def delivered(self) -> list[Sending]:
        return [
            each
            for each in self.store.sent
            if self.store.landed(each) and self.store.is_young(each) and not each.is_odd
        ]

    def too_late(self) -> list[Sending]:
        """The last request, where it was lost and nothing else happened on the order since."""
        return [
            each
            for each in self.store.sent[-1:]
            if not (each.is_refused or each.forgotten or self.store.landed(each))
            and not self.store.on_its_way()
            and self.is_recent(each.at)  # after a day nothing is taken for it any more
            and each.refund_id not in self.resolved
        ]

    # What must hold

    @invariant()
    def no_refund_is_paid_twice(self) -> None:
        """Every request that left since was one that may: see `judge`."""
        assert self.judged == len(self.store.sent)

    def judge(self, sending: Sending, ask: Ask) -> None:
        """Hold a request that left against all that left before."""
        is_off = self.approval == "off"
        assert ask.told or self.approval not in {"chat", "console"}
        assert ask.grade in {"console", "pin"} or self.approval != "console"
        assert ask.wanted is None or sending.key == ask.wanted
        for earlier in self.store.sent[: self.store.sent.index(sending)]:
            landed = earlier in ask.before.values()
            may_show = self.store.is_young(earlier) and (not landed or self.store.has_hidden)
            if not landed and not earlier.is_refused and not earlier.forgotten:
                assert not may_show, "sent while another is open"
                assert earlier.key != sending.key, "sent again after it was lost"
            if earlier.key == sending.key:
                assert may_show or not landed, "sent again, and the order lists it"
            if may_show and (not landed or earlier.key == sending.key):
                warned = OLDER_COPY if earlier.forgotten else REFUSAL
                assert is_off or warned in ask.told or OLDER_COPY in ask.told
        self.judge_declines(sending, ask)
        self.judge_limit(sending)
        self.judge_pin(sending, ask)

    def judge_declines(self, sending: Sending, ask: Ask) -> None:
        recent = [each for each in self.declines if self.is_recent(each.at)]
        assert sending.key == ask.reopens or not [
            each for each in recent if each.key == sending.key and not each.is_reopened
        ]
        if any(self.is_recent(each.at) for each in self.declines[self.settled_declines :]):
            assert self.approval == "off" or DECLINED in ask.told

    def judge_limit(self, sending: Sending) -> None:
        """What was sent within a day and moved money, or may still, stays below the limit."""
        spent = sum(
            each.cents
            for each in self.store.sent[: self.store.sent.index(sending) + 1]
            if self.is_recent(each.at)
            and not each.forgotten
            and (self.store.landed(each) or self.store.is_young(each))
        )
        assert spent <= self.daily_limit

    def judge_pin(self, sending: Sending, ask: Ask) -> None:
        """What went out on the order without the PIN, whenever that was, stays below the limit for it."""
        if self.pin_above is not None and ask.grade != "pin":
            sent = [*self.without_pin, sending]
            counts = (s for s in sent if not s.forgotten and (self.store.landed(s) or s is sending))
            assert sum(each.cents for each in counts) <= self.pin_above
        if ask.grade != "pin":
            self.without_pin.append(sending)

    def is_recent(self, at: float) -> bool:
        """Whether it is certain that it is less than a day ago: clocks may be wrong by an hour."""
        return self.store.elapsed - at < DAY - 4000

    def judge_questions(self, caller: Caller) -> None:
        """After two declines no form asks about the order."""
        if isinstance(caller, Person) and caller.texts and not caller.is_person:
            assert len([each for each in self.declines if self.is_recent(each.at)]) < 2

    def hear(self, end: Outcome | ClawverError, *, alone: bool = True) -> None:
        """Hold an answer against what the store recorded.

        Args:
            end: The answer.
            alone: Whether no other call was on its way.
        """
        if isinstance(end, ClawverError):
            self.hear_error(end.happened, alone=alone)
            return
        refund_id = end.wish.refund_id if end.wish is not None else ""
        if end.wish is not None:
            self.shown.pop(refund_id, None)
            self.shown[refund_id] = end.wish.revision
        if end.earlier and end.amount_in_cents is not None:
            self.told[end.amount_in_cents].append(end.earlier)
        if end.status in {"refunded", "already_refunded"}:
            self.hear_refunded(end)
        elif end.status in {"not_recorded", "declined", "needs_approval"}:
            self.hear_denial(refund_id, message(end))

    def hear_error(self, happened: str, *, alone: bool) -> None:
        known = (NO_MONEY_MOVED, NOTHING_SENT, NOT_LISTED_SO_FAR)
        assert happened.startswith(known), happened
        for sending in self.store.sent[self.store.sent_before :] if alone else ():
            is_sure = not happened.startswith(NOT_LISTED_SO_FAR)
            assert not self.store.landed(sending) or (not is_sure and self.store.has_hidden)
        for by, of in _DENIED.findall(happened):
            self.hear_denial(by or of, happened)

    def hear_refunded(self, end: Outcome) -> None:
        recorded = {
            each["id"]: each["amountInCents"] for each in self.store.order(self.order)["refunds"]
        }
        wish = end.wish
        is_resolved = wish is not None and wish.refund_id in self.resolved
        noted = wish.clawver_refund_id if wish is not None else None
        refund = end.refund.id if end.refund is not None else noted
        if refund is None:
            assert is_resolved
            return
        assert refund in recorded
        assert is_resolved or recorded[refund] == end.amount_in_cents
        if wish is not None and not is_resolved:
            self.is_of(refund, wish)

    def hear_denial(self, refund_id: str, happened: str) -> None:
        """None of its requests took effect; and none can, where no money was moved."""
        for sending in self.store.sent:
            if sending.refund_id == refund_id and not sending.forgotten:
                is_sure = happened.startswith((NO_MONEY_MOVED, "Clawver lists no refund"))
                may_be_hidden = not is_sure and self.store.has_hidden
                assert may_be_hidden or self.is_told_of_another(sending)
                assert not (is_sure and self.store.is_young(sending)), happened

    def is_told_of_another(self, sending: Sending) -> bool:
        """Whether all that came of a request is told of one that was sent in the very same words."""
        reasons = {
            attempt.clawver_refund_id: attempt.reason
            for wish in self.wishes()
            for attempt in wish.attempts
        }
        return all(reasons.get(each) == sending.reason for each in self.store.landed(sending))

    def is_of(self, refund: str, wish: Wish) -> None:
        """Whether a refund belongs to a wish: it was sent for it, or in the very same words."""
        sending = self.store.paid[refund]
        assert sending is not None
        reasons = {attempt.reason for attempt in wish.attempts}
        assert sending.refund_id == wish.refund_id or sending.reason in reasons

    def settle_and_compare(self) -> None:
        """When it is quiet again, the ledger knows what the store knows, and nothing is open."""
        ends: list[Outcome] = []
        for _ in range(3):
            self.passes(10.0)
            for wish in self.wishes():
                end = self.call(self.checking(wish), "none")
                ends += [end] if isinstance(end, Outcome) else []
        for wish in self.wishes():
            if wish.is_open:
                self.nothing_explains_what_is_new(wish)
                self.say_what_became_of(wish.refund_id)
        wishes = self.wishes()
        claims = {
            attempt.clawver_refund_id: wish
            for wish in wishes
            for attempt in wish.attempts
            if attempt.clawver_refund_id
        }
        said = {each for end in ends for each in (*end.unexpected_refunds, *end.unexpected_beside)}
        noted = {each for wish in wishes for each in wish.unexpected_refunds}

        assert [wish for wish in wishes if wish.is_open] == []
        twice: dict[Key, list[str]] = defaultdict(list)
        for refund, sending in self.store.paid.items():
            if sending is None or sending.refund_id in self.resolved:
                continue
            assert sending.forgotten or refund in {*claims, *noted}
            twice[sending.key] += [] if sending.forgotten else [refund]
        for refund, wish in claims.items():
            if wish.refund_id not in self.resolved:
                self.is_of(refund, wish)
        for refunds in twice.values():
            assert len(said.intersection(refunds)) >= len(refunds) - 1, "paid twice, and not told"

    def nothing_explains_what_is_new(self, wish: Wish) -> None:
        """What stays unknown does so because of a refund that may be this one or not."""
        (attempt,) = [each for each in wish.attempts if each.is_open]
        new = [refund for refund in self.store.paid if refund not in attempt.refunds_before]
        assert new

    # Doing it

    @property
    def desk(self) -> RefundDesk:
        return store_of(self.open[0]).desk

    @property
    def ledger_file(self) -> Path:
        return store_of(self.open[0]).scope.folder / "ledger.sqlite3"

    def services(self) -> Services:
        """A server on this ledger."""
        values = Settings(
            sandbox=True, state_dir=self.state, refund_approval=self.approval,
            refund_verify_seconds=VERIFY_SECONDS, refund_daily_limit_in_cents=self.daily_limit,
            refund_pin_above_in_cents=self.pin_above,
        )  # fmt: skip
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=build_app(self.store)))
        made = Services(
            values, lambda: self.at + self.clock, lambda: self.up, lambda: f"boot {self.boot}"
        )
        there = values.model_copy(update={"api_url": "http://127.0.0.1/v1"})
        budget = Budget(Path(":memory:"), 10**6, 10**6, lambda: self.store.elapsed)
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

    def found(self, refund_id: str) -> Wish | None:
        return self.runner.run(store_of(self.open[0]).ledger.find(refund_id))

    def wishes(self) -> tuple[Wish, ...]:
        return self.runner.run(store_of(self.open[0]).ledger.latest(1000))

    def checking(self, wish: Wish) -> Callable[[], Awaitable[Outcome]]:
        return lambda: self.desk.check(wish.refund_id)

    def ask_for(
        self, desk: RefundDesk, cents: int, named: tuple[str, ...], caller: Caller
    ) -> Awaitable[Outcome]:
        self.words += 1
        return desk.refund(self.order, cents, f"Torn, said in words {self.words}", named, caller)

    def wanted(self, amount: str) -> int:
        self.cents += MORE_CENTS if amount == "a new one" else 0
        return self.cents - (MORE_CENTS if amount == "the one before" else 0)

    def named(self, cents: int, names: str) -> tuple[str, ...]:
        told = self.told[cents]
        before = told[max(0, len(told) - 2)]
        return {"as told": told[-1], "before": before, "a guess": ("ref_x",)}.get(names, ())

    def refund_id(self, number: int) -> str:
        """Mostly one of the latest."""
        known = list(self.shown)
        return known[-1 - number % len(known)]

    def call(
        self,
        what: Callable[[], Awaitable[Outcome]],
        trouble: str = "as before",
        caller: Caller | None = None,
        wanted: Key | None = None,
        reopens: Key | None = None,
    ) -> Outcome | ClawverError | None:
        """Call the desk while something goes wrong, and hear what it says."""
        ask = self.begin_call(trouble, wanted, reopens)
        end: Outcome | ClawverError | None = None
        try:
            end = self.runner.run(_awaited(what))
        except ClawverError as error:
            end = error
        except Death:
            pass
        if isinstance(caller, Person):
            ask.told, ask.grade = caller.told, caller.grade
            self.judge_questions(caller)
        self.end_call(ask)
        if end is None:
            self.start()
        else:
            self.hear(end)
        return end

    def begin_call(self, trouble: str, wanted: Key | None, reopens: Key | None = None) -> Ask:
        """Arrange what is to go wrong."""
        if trouble != "as before":
            self.store.clear_faults()
        for fault in TROUBLE[trouble]:
            self.store.add_fault(**fault)
        self.store.trouble = trouble
        self.store.has_hidden = False
        self.store.sent_before = len(self.store.sent)
        return Ask(wanted, reopens, dict(self.store.paid), self.declined())

    def end_call(self, ask: Ask) -> None:
        """Take down what left and what was declined, and judge it."""
        for sending in self.store.sent[self.store.sent_before :]:
            wish = self.found(sending.refund_id)
            assert wish is not None
            sending.named = frozenset(wish.in_addition_to)
            self.judge(sending, ask)
            self.judged += 1
        now = self.declined()
        for decline in self.declines:
            if decline.key == ask.reopens and decline.key not in now:
                decline.is_reopened = True
        self.declines += [Decline(key, self.store.elapsed) for key in now - ask.declined]
        if ask.told and self.store.has_just_sent:
            self.settled_declines = len(self.declines)
        self.store.trouble = ""

    def declined(self) -> frozenset[Key]:
        """What the ledger calls declined."""
        return frozenset(
            (wish.amount_in_cents, frozenset(wish.in_addition_to))
            for wish in self.wishes()
            if wish.status == "declined"
        )

    def say_what_became_of(self, refund_id: str) -> None:
        """Somebody looked in Clawver's dashboard."""
        sent = [each for each in self.store.sent if each.refund_id == refund_id][-1:]
        if any(self.store.is_young(each) for each in sent):
            return  # they wait until everything is certain to show
        was_refunded = any(self.store.landed(each) for each in sent)
        actor = Actor("shell", "person in the terminal")
        wish = self.found(refund_id)
        if wish is not None and wish.is_open:
            self.resolved.add(refund_id)
        self.call(
            lambda: self.desk.resolve(
                refund_id, was_refunded=was_refunded, because="The dashboard", actor=actor
            )
        )


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
