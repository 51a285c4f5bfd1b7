"""Servers with state folders of their own that share one database and one store, and want the same refund at once.

Servers are killed and stand still, lines to the database are cut, slow or swallow everything, and the
database itself is restarted.
"""

import contextlib
import queue
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from tests.instruments.crash.agent import Agent
from tests.instruments.crash.gate import Gate
from tests.instruments.crash.host import KillableHost, environment_of, in_terminal
from tests.instruments.crash.judge import Judge
from tests.instruments.crash.line import AtCommit, DatabaseLine
from tests.instruments.crash.run import NO_ANSWER
from tests.instruments.crash.trouble import FAULTS, TIMEOUT_SECONDS, End, Plan, Trouble
from tests.instruments.crash.watch import Point, WatchedShop
from tests.postgres import Cluster, cluster, listening

from clawver_sandbox.serving import running

LANES: tuple[tuple[str, bool], ...] = (("off", False), ("agent", True), ("agent", False))
"""Groups of servers that run side by side, each with a database: what an approval has to prove, and
whether a person sits at the hosts.
"""
VERIFY_SECONDS = 3.0
FIND_OUT_SECONDS = VERIFY_SECONDS + 60
_FAULTS = tuple(fault for fault in FAULTS if not fault.state)

Kind = Literal[
    "none", "cut", "slow", "swallowed", "restarted", "standing still",
    "commit lost", "commit unheard", "commit late", "commit swallowed",
]  # fmt: skip
KINDS: tuple[Kind, ...] = (
    "cut", "commit unheard", "swallowed", "standing still", "commit lost", "restarted", "slow",
    "commit late", "none", "commit swallowed",
)  # fmt: skip
TRANSACTIONS = (
    b"INSERT INTO attempt",
    b"INSERT INTO attempt",
    b"UPDATE attempt",
    b"INSERT INTO wish",
    b"",
)
"""Whose COMMIT is met: mostly that with which a refund is claimed, before it is sent."""
LINES: tuple[Kind, ...] = ("cut", "commit lost", "commit unheard", "commit late")
"""What cuts a line."""
COMMITS: dict[Kind, AtCommit] = {
    "commit lost": "lost", "commit unheard": "unheard", "commit late": "late",
    "commit swallowed": "swallowed",
}  # fmt: skip
SILENCES: tuple[Kind, ...] = ("swallowed", "commit swallowed")
POINTS: tuple[Point | Literal["any time"], ...] = (
    "read", "read", "arrived", "recorded", "answering", "any time",
)  # fmt: skip
SLOW_SECONDS = 0.15
DOWN_SECONDS = 0.5


@dataclass(frozen=True)
class Upset:
    """What happens to the machines and to the database of one intent.

    Args:
        kind: What.
        at: When.
        machine: To which one, where the point doesn't tell.
        seconds: How long it lasts; or at `any time` how long after the beginning.
        kill_at: When a server is killed besides; None for never.
        end: How.
        transaction: Words in the transaction whose COMMIT is met.
    """

    kind: Kind
    at: Point | Literal["any time"]
    machine: int
    seconds: float
    after: float
    kill_at: Point | Literal["any time"] | None
    end: End
    transaction: bytes

    @classmethod
    def of(cls, seed: int, number: int, servers: int) -> "Upset":
        """That of an intent. Kinds take turns."""
        dice = random.Random(f"{seed}:{number}:upset")  # noqa: S311  # chance, not a secret
        kind = KINDS[number % len(KINDS)]
        return cls(
            kind,
            dice.choice(POINTS),
            dice.randrange(servers),
            dice.choice((0.3, 1.5, VERIFY_SECONDS + 3)) if kind == "standing still" else dice.uniform(0.3, 3),
            dice.uniform(0, 0.4),
            dice.choice(POINTS) if kind == "none" or dice.random() < 0.4 else None,
            dice.choices(("SIGKILL", "SIGTERM", "EOF"), (6, 1, 1))[0],
            dice.choice(TRANSACTIONS),
        )  # fmt: skip


@dataclass
class Intent:
    """How one intent ended: a refund that every server was asked for at the same time."""

    number: int
    fault: str
    upset: Upset
    outcome: str
    killed: int
    happened: bool
    """Whether the point came at which the upset was planned."""
    landed_late: bool
    statuses: list[str]
    broken: list[str] = field(default_factory=list)


class Machine:
    """A state folder, a line to the database, and one server after another."""

    def __init__(
        self, number: int, folder: Path, gate: Gate, database: Cluster, approval: str, *, person: bool
    ) -> None:  # fmt: skip
        self.number = number
        self.state = folder / "state"
        self.line = DatabaseLine(database.port)
        self._complaints = folder / "stderr"
        self._person = person
        folder.mkdir(parents=True)
        self._environment = environment_of(
            gate.url,
            self.state,
            REFUND_APPROVAL=approval,
            REFUND_VERIFY_SECONDS=VERIFY_SECONDS,
            TIMEOUT_SECONDS=TIMEOUT_SECONDS,
            DATABASE_URL=f"postgresql://clawver@127.0.0.1:{self.line.port}/postgres?sslmode=disable",
        )
        self._current: KillableHost | None = None
        self._turn = threading.Lock()

    def host(self) -> KillableHost:
        """The server that is alive; a new one on the same state where the last one ended."""
        with self._turn:
            if self._current is None or not self._current.is_alive:
                self._close()
                self._current = KillableHost(
                    self._environment, self._complaints, person=self._person, machine=self.number
                )
            return self._current

    def close(self) -> None:
        """End the server that is there."""
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._current is not None:
            self._current.process.send_signal(signal.SIGCONT)
            self._current.close()
            self._current = None

    def end(self, how: End) -> bool:
        """End the server in one of the ways there are; False where there is none."""
        host = self._current
        if host is None or not host.is_alive:
            return False
        if how == "SIGKILL":
            host.kill()
        elif how == "SIGTERM":
            host.terminate()
        else:
            host.hang_up()
        return True

    def stand_still(self, *, go_on: bool = False) -> None:
        """Stop the server where it is, or let it go on."""
        if self._current is not None:
            self._current.process.send_signal(signal.SIGCONT if go_on else signal.SIGSTOP)

    def resolve(self, refund_id: str, outcome: str) -> None:
        """Somebody says in a terminal what became of a refund."""
        in_terminal(
            self._environment, self.number,
            "refunds", "resolve", refund_id, "--as", outcome, "--because", "The dashboard",
        )  # fmt: skip


class Upsetter:
    """Lets happen what is planned, when the store sees the point that was planned."""

    def __init__(
        self,
        upset: Upset,
        machines: list[Machine],
        database: Cluster,
        shop: WatchedShop,
        order_id: str,
        trouble: Trouble,
    ) -> None:
        self._upset = upset
        self._machines = machines
        self._database = database
        self._shop = shop
        self._order_id = order_id
        self._trouble = trouble
        self._timers: list[threading.Timer] = []
        self._is_over = False
        self._turn = threading.Lock()
        self.happened = False
        self._to_kill = upset.kill_at is not None
        self.killed = 0

    def begin(self) -> None:
        """Set off what waits for no point of the store."""
        what = COMMITS.get(self._upset.kind)
        if what is not None:
            for each in self._machines:
                each.line.at_commit(what, self._upset.transaction)
        if self._upset.at == "any time":
            self._later(self._upset.after, self._happen, self._machines[self._upset.machine])
        if self._upset.kill_at == "any time":
            self._later(self._upset.after, self._kill, self._machines[self._upset.machine])

    def see(self, point: Point) -> None:
        """Called by the store in its own thread: it goes on when this is done."""
        self._trouble.see(point)
        machine = self._machines[self._upset.machine]
        asked = self._shop.asked.get(self._order_id)
        if point != "read" and asked:
            machine = self._machines[int(asked[-1]["reason"].rstrip(")")[-1])]
        if point == self._upset.at:
            self._happen(machine)
        if point == self._upset.kill_at:
            self._kill(machine)

    def end(self) -> None:
        """Let nothing happen any more, and have everything as it was."""
        self._is_over = True
        for timer in self._timers:
            timer.cancel()
            timer.join()
        self.happened |= any(each.line.ended for each in self._machines)
        for each in self._machines:
            each.line.ended = 0
        self._mend()

    def _later(self, seconds: float, work: Callable[..., None], *given: object) -> None:
        timer = threading.Timer(seconds, work, given)
        timer.start()
        self._timers.append(timer)

    def _kill(self, machine: Machine) -> None:
        if self._to_kill and not self._is_over:
            self._to_kill = False
            self.killed += machine.end(self._upset.end)

    def _happen(self, machine: Machine) -> None:
        with self._turn:
            if self.happened or self._is_over or self._upset.kind in COMMITS:
                return
            self.happened = True
        match self._upset.kind:
            case "cut":
                machine.line.cut()
            case "slow":
                machine.line.slow(SLOW_SECONDS)
            case "swallowed":
                machine.line.swallow()
            case "standing still":
                machine.stand_still()
            case "restarted":
                self._database.stop()
        self._later(self._upset.seconds, self._mend)

    def _mend(self) -> None:
        with self._turn:
            if self._upset.kind == "restarted" and self.happened and not self._database.is_up:
                self._database.start()
            for each in self._machines:
                each.line.mend()
                each.stand_still(go_on=True)


class Fleet:
    """A store, a database, and servers that know each other only through those."""

    def __init__(
        self,
        machines: list[Machine],
        shop: WatchedShop,
        gate: Gate,
        database: Cluster,
        approval: str,
    ) -> None:
        self._machines = machines
        self._shop = shop
        self._gate = gate
        self._database = database
        self._approval = approval
        self._url = f"postgresql://clawver@127.0.0.1:{database.port}/postgres?sslmode=disable"

    def close(self) -> None:
        """End all servers."""
        for each in self._machines:
            each.close()

    def run(self, seed: int, number: int) -> Intent:
        """One intent; a call without an answer is a complaint of its own, and the others go on."""
        upset = Upset.of(seed, number, len(self._machines))
        plan = planned(seed, number)
        try:
            return self._run(plan, upset, seed)
        except queue.Empty:
            self.close()
            return Intent(
                number, plan.fault.name, upset, "not known", 0, True, False, [], [NO_ANSWER]
            )

    def _run(self, plan: Plan, upset: Upset, seed: int) -> Intent:
        order = self._shop.sell(total_in_cents=plan.total_in_cents)["id"]
        judge = Judge(
            self._shop,
            order,
            plan.amount_in_cents,
            may_double=plan.may_double(self._approval),
            database_url=self._url,
        )

        def agent(machine: Machine, *, alone: bool = False) -> Agent:
            dice = random.Random(f"{seed}:{plan.number}:{machine.number}:{alone}")  # noqa: S311  # chance
            return Agent(
                machine.host, judge, order, plan.amount_in_cents, dice,
                lambda about: self._resolve(about, judge), mark=machine.number - 1, alone=alone,
            )  # fmt: skip

        agents = [agent(each) for each in self._machines]
        trouble = Trouble(self._shop, self._gate, order, plan)
        for each in self._machines:
            each.host()
        upsetter = Upsetter(upset, self._machines, self._database, self._shop, order, trouble)
        self._shop.watch(order, upsetter.see)
        try:
            trouble.begin()
            upsetter.begin()
            with ThreadPoolExecutor(len(agents)) as pool:
                for done in [pool.submit(each.insist) for each in agents]:
                    done.result()
        finally:
            upsetter.end()
            self._shop.leave(order)
            trouble.end()
        quiet = plan.dice.choice(self._machines)
        last = agent(quiet, alone=True)
        last.find_out(FIND_OUT_SECONDS)
        last.insist_once_more()
        last.find_out(FIND_OUT_SECONDS)
        outcome = judge.close(quiet.state, self._gate.url, quiet.number)
        late = judge.landed_late(quiet.state, self._gate.url, VERIFY_SECONDS, quiet.number)
        statuses = [status for each in (*agents, last) for status in each.statuses]
        return Intent(
            plan.number, plan.fault.name, upset, outcome, upsetter.killed, upsetter.happened, late,
            statuses, judge.broken,
        )  # fmt: skip

    def _resolve(self, refund_id: str, judge: Judge) -> None:
        judge.resolved.add(refund_id)
        self._machines[0].resolve(refund_id, "refunded" if judge.recorded else "not-refunded")


def planned(seed: int, number: int) -> Plan:
    """What goes wrong at the store: nothing in every second intent, else the faults in turn."""
    plan = Plan.of(seed, number)
    fault = _FAULTS[0] if number % 2 else _FAULTS[(number // 2) % len(_FAULTS)]
    room = bool(fault.besides) or fault.is_delivered_twice
    total = plan.dice.randint(1000, 9000)
    return replace(
        plan,
        fault=fault,
        moment="never",
        total_in_cents=total * (1 + room),
        amount_in_cents=plan.dice.choice((total, total // 3, 100)),
        carries=False,
    )


@contextlib.contextmanager
def opened(folder: Path, servers: int, approval: str = "off", *, person: bool = False) -> Iterator[Fleet]:  # fmt: skip
    """A fleet for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    shop = WatchedShop.open(folder / "store.sqlite3")
    with (
        running(shop) as base,
        Gate(int(base.rsplit(":", 1)[1])) as gate,
        cluster(**listening()) as database,
        contextlib.ExitStack() as lines,
    ):
        machines = [
            Machine(n + 1, folder / f"machine{n + 1}", gate, database, approval, person=person)
            for n in range(servers)
        ]
        for each in machines:
            lines.enter_context(each.line)
        fleet = Fleet(machines, shop, gate, database, approval)
        try:
            yield fleet
        finally:
            fleet.close()


def run(folder: Path, seed: int, numbers: range, servers: int) -> list[Intent]:
    """Run intents, several at a time, each lane on a store and a database of its own.

    Args:
        folder: Where everything is kept.
        seed: What the plans follow from.
        numbers: Which intents.
        servers: How many servers are asked at the same time.
    """
    with ThreadPoolExecutor(len(LANES)) as pool:
        parts = [
            pool.submit(_run_lane, folder / f"lane{n}", n, seed, numbers[n :: len(LANES)], servers)
            for n in range(len(LANES))
        ]
        return sorted((each for part in parts for each in part.result()), key=lambda i: i.number)


def _run_lane(folder: Path, lane: int, seed: int, numbers: range, servers: int) -> list[Intent]:
    approval, person = LANES[lane]
    with opened(folder, servers, approval, person=person) as fleet:
        return [fleet.run(seed, number) for number in numbers]


def broken(intents: list[Intent]) -> list[str]:
    """Every promise that was not kept, with the plan that shows it."""
    return [
        f"intent {i.number}, {i.fault}, {i.upset}: {what}; answers {', '.join(i.statuses)}"
        for i in intents
        if not i.landed_late
        for what in i.broken
    ]


def table(intents: list[Intent], servers: int) -> str:
    """What came out, by what was upset."""
    columns = (
        "intents killed cut swallowed restarts still refunded not unknown double lost wrong late"
    )
    lines = [f"{f'{servers} servers':18}" + "".join(f"{name:>10}" for name in columns.split())]
    lines += [_row(kind, [i for i in intents if i.upset.kind == kind]) for kind in KINDS]
    return "\n".join([*lines, _row("all", intents)])


def _row(name: str, intents: list[Intent]) -> str:
    outcomes = Counter(each.outcome for each in intents)
    happened = Counter(each.upset.kind for each in intents if each.happened)
    complaints = [what for each in intents if not each.landed_late for what in each.broken]
    double = sum(what.startswith("refunded twice") for what in complaints)
    lost = sum(
        what.startswith(("the ledger knows", "never settled", "rfi_")) for what in complaints
    )
    counts = (
        len(intents),
        sum(each.killed for each in intents),
        sum(happened[kind] for kind in LINES),
        sum(happened[kind] for kind in SILENCES),
        happened["restarted"],
        happened["standing still"],
        outcomes["refunded"] + outcomes["twice"],
        outcomes["not refunded"],
        sum("unknown" in each.statuses for each in intents),
        double,
        lost,
        len(complaints) - double - lost,
        sum(each.landed_late for each in intents),
    )
    return f"{name:18}" + "".join(f"{count:10}" for count in counts)
