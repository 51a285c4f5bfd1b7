"""Iterations side by side, each on an order of its own, and the table of what came out."""

import asyncio
import contextlib
import queue
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from tests.instruments.crash.agent import Agent
from tests.instruments.crash.gate import Gate
from tests.instruments.crash.host import Answer, KillableHost, environment_of, in_terminal
from tests.instruments.crash.judge import Judge, ledger_file
from tests.instruments.crash.trouble import MOMENTS, TIMEOUT_SECONDS, VERIFY_SECONDS, Plan, Trouble
from tests.instruments.crash.watch import Point, WatchedShop
from tests.web.visitor import Visitor

from clawver_orders.instants import now
from clawver_orders.storage.pin import Pin
from clawver_sandbox.serving import running

LANES: tuple[tuple[str, bool], ...] = (
    ("off", False),
    ("agent", True),
    ("off", False),
    ("agent", False),
    ("console", False),
)
"""Servers that run side by side: what an approval has to prove, and whether a person sits at the host."""
PIN = "example-of-a-merchant"
FIND_OUT_SECONDS = VERIFY_SECONDS + 60
"""How long a refund may stay open."""
NO_ANSWER = "a call got no answer within a minute, so nothing was judged"


@dataclass
class Result:
    """How an iteration ended."""

    plan: Plan
    outcome: str
    ended: bool
    """Whether the server was ended in it."""
    landed_late: bool
    statuses: list[str]
    broken: list[str] = field(default_factory=list)


class Lane:
    """A store, a line to it, a ledger, and one server after another.

    Args:
        folder: Where all of it is kept.
        approval: Who approves refunds.
        person: Whether a person sits at the host.
    """

    def __init__(self, folder: Path, shop: WatchedShop, gate: Gate, approval: str, *, person: bool):
        self._shop = shop
        self._gate = gate
        self._state = folder / "state"
        self._complaints = folder / "stderr"
        self._person = person
        self._approval = approval
        self._machine = 0
        self._decisions = 0
        self._copy = folder / "copy"
        self._environment = environment_of(
            gate.url,
            self._state,
            REFUND_APPROVAL=approval,
            REFUND_VERIFY_SECONDS=VERIFY_SECONDS,
            TIMEOUT_SECONDS=TIMEOUT_SECONDS,
        )
        self.current: KillableHost | None = None
        """The server that was started last."""

    def host(self) -> KillableHost:
        """The server that is alive; a new one on the same state where the last one ended."""
        if self.current is None or not self.current.is_alive:
            self.close()
            self.current = KillableHost(
                self._environment, self._complaints, person=self._person, machine=self._machine
            )
        return self.current

    def close(self) -> None:
        """End the server that is there."""
        if self.current is not None:
            self.current.close()
            self.current = None

    def run(self, plan: Plan) -> Result:
        """One iteration: trouble, then quiet, then the judgement."""
        order = self._shop.sell(
            total_in_cents=plan.total_in_cents,
            payment_status="partially_refunded" if plan.carries else "paid",
        )["id"]
        amount = plan.total_in_cents // 5 if plan.carries else plan.amount_in_cents
        judge = Judge(
            self._shop,
            order,
            amount,
            may_double=plan.may_double(self._approval),
            is_restored=plan.fault.state == "restored",
            may_arrive=plan.fault.state != "",
        )
        agent = Agent(
            self.host,
            judge,
            order,
            amount,
            plan.dice,
            lambda about: self._resolve(about, judge),
            self._decide if self._approval == "console" else None,
        )
        trouble = Trouble(self._shop, self._gate, order, plan)
        self.host()
        reaper = _Reaper(self, plan, trouble)
        self._shop.watch(order, reaper.see)
        try:
            trouble.begin()
            reaper.begin()
            if plan.fault.state == "restored" and self._ledger.exists():
                shutil.copyfile(self._ledger, self._copy)
            agent.insist()
            if plan.fault.state:
                self._change_state(plan, trouble, judge)
                agent.insist()
        finally:
            reaper.end()
            self._shop.leave(order)
            trouble.end()
        agent.find_out(FIND_OUT_SECONDS)
        agent.insist_once_more()
        agent.find_out(FIND_OUT_SECONDS)
        outcome = judge.close(self._state, self._gate.url, self._machine)
        # On another machine the window begins again.
        late = plan.fault.state == "" and judge.landed_late(
            self._state, self._gate.url, VERIFY_SECONDS, self._machine
        )
        return Result(plan, outcome, reaper.ended, late, agent.statuses, judge.broken)

    @property
    def _ledger(self) -> Path:
        return ledger_file(self._state, self._gate.url)

    def _change_state(self, plan: Plan, trouble: Trouble, judge: Judge) -> None:
        """Go on with the state folder on another machine, or with the ledger as it was before."""
        self.close()
        trouble.change(judge.given_up(self._state, self._gate.url, self._machine))
        if plan.fault.state == "moved":
            self._machine += 1
        elif self._copy.exists():
            shutil.copyfile(self._copy, self._ledger)
            if self._approval == "off":  # nobody else would wait
                trouble.arrive()
                time.sleep(VERIFY_SECONDS)

    def _decide(self, answer: Answer) -> None:
        """The merchant approves: on the page, which may end with the server, or in a terminal."""
        refund_id, page = answer.says["refund_id"], answer.says.get("approve_at")
        self._decisions += 1
        if page is None or self._decisions % 2:
            in_terminal(self._environment, self._machine, "approve", refund_id)
            return
        kept = Pin(self._ledger.parent, now)
        if not kept.is_set:
            kept.set(PIN, None)
        with contextlib.suppress(httpx2.HTTPError, IndexError):  # it ended, or has no such button
            asyncio.run(_approve_on_page(page))

    def _resolve(self, refund_id: str, judge: Judge) -> None:
        """Somebody looks in the dashboard, and says in a terminal what became of a refund."""
        judge.resolved.add(refund_id)
        outcome = "refunded" if judge.recorded else "not-refunded"
        in_terminal(
            self._environment, self._machine,
            "refunds", "resolve", refund_id, "--as", outcome, "--because", "The dashboard",
        )  # fmt: skip


async def _approve_on_page(url: str) -> None:
    address, _, refund = url.partition("/refund/")
    visitor = Visitor(address)
    try:
        await visitor.sign_in(PIN, f"refund/{refund}")
        await visitor.press("approve")
    finally:
        await visitor.http.aclose()


class _Reaper:
    """Ends the server when the plan says so.

    Args:
        lane: Knows which server is alive.
        plan: When, and how.
        trouble: Sees everything first.
    """

    def __init__(self, lane: Lane, plan: Plan, trouble: Trouble) -> None:
        self._lane = lane
        self._plan = plan
        self._trouble = trouble
        self._steps = list(MOMENTS[plan.moment])
        self._timer = threading.Timer(plan.delay, self._reap)
        self._timer.name = "reaper"
        self.ended = False

    def begin(self) -> None:
        """Set off what waits for no point."""
        if self._plan.moment == "any time":
            self._timer.start()

    def see(self, point: Point) -> None:
        """Called by the store in its own thread: it goes on when this is done."""
        self._trouble.see(point)
        if not self._steps or self._steps[0][0] != point:
            return
        _, ends = self._steps.pop(0)
        if ends:
            self._reap()
        elif self._plan.moment == "mid-answer":
            self._timer.start()

    def end(self) -> None:
        """End nothing any more."""
        self._steps.clear()
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()

    def _reap(self) -> None:
        host = self._lane.current
        if host is None:
            return
        self.ended = True
        if self._plan.end == "SIGKILL" or self._plan.moment == "recovery":
            host.kill()
        elif self._plan.end == "SIGTERM":
            host.terminate()
        else:
            host.hang_up()


def run(folder: Path, seed: int, numbers: range) -> list[Result]:
    """Run iterations, several at a time, each lane on a store of its own.

    Args:
        folder: Where everything is kept.
        seed: What the plans follow from.
        numbers: Which iterations.
    """
    with ThreadPoolExecutor(len(LANES)) as pool:
        parts = [
            pool.submit(_run_lane, folder / f"lane{lane}", lane, seed, numbers[lane :: len(LANES)])
            for lane in range(len(LANES))
        ]
        return sorted((r for part in parts for r in part.result()), key=lambda r: r.plan.number)


def _run_lane(folder: Path, lane: int, seed: int, numbers: range) -> list[Result]:
    approval, person = LANES[lane]
    with opened(folder, approval, person=person) as at_work:
        return [judged(at_work, Plan.of(seed, number)) for number in numbers]


def judged(lane: Lane, plan: Plan) -> Result:
    """One iteration; a call without an answer is a complaint of its own, and the others go on."""
    try:
        return lane.run(plan)
    except queue.Empty:
        lane.close()
        return Result(
            plan, "not known", ended=False, landed_late=False, statuses=[], broken=[NO_ANSWER]
        )


@contextlib.contextmanager
def opened(folder: Path, approval: str = "off", *, person: bool = False) -> Iterator[Lane]:
    """A lane for as long as the block lasts."""
    shop = WatchedShop.open(folder / "store.sqlite3")
    with running(shop) as base, Gate(int(base.rsplit(":", 1)[1])) as gate:
        lane = Lane(folder, shop, gate, approval, person=person)
        try:
            yield lane
        finally:
            lane.close()


def table(results: list[Result]) -> str:
    """What came out, by fault."""
    lines = [
        f"{'fault':26}{'runs':>6}{'ended':>7}{'refunded':>10}{'not':>6}{'twice':>7}{'late':>6}{'broken':>8}  answers"
    ]
    for name in dict.fromkeys(result.plan.fault.name for result in results):
        of_fault = [result for result in results if result.plan.fault.name == name]
        lines.append(_row(name, of_fault))
    return "\n".join([*lines, _row("all", results)])


def _row(name: str, results: list[Result]) -> str:
    outcomes = Counter(result.outcome for result in results)
    answers = Counter(status for result in results for status in result.statuses)
    said = ", ".join(f"{status} {count}" for status, count in answers.most_common())
    return (
        f"{name:26}{len(results):6}{sum(r.ended for r in results):7}{outcomes['refunded']:10}"
        f"{outcomes['not refunded']:6}{outcomes['twice']:7}{sum(r.landed_late for r in results):6}"
        f"{sum(bool(r.broken) for r in results):8}  {said}"
    )


def broken(results: list[Result]) -> list[str]:
    """Every promise that was not kept, with the plan that shows it."""
    return [
        f"iteration {r.plan.number}, {r.plan.fault.name}, {r.plan.end} {r.plan.moment}: {what}"
        for r in results
        if not r.landed_late
        for what in r.broken
    ]
