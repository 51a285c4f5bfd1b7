"""The request allowance is one for all processes, and a part of it is kept for refunds."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest
from tests.processes import Start, mode

from clawver_orders.clawver import request_budget
from clawver_orders.clawver.request_budget import Budget
from clawver_orders.errors import RateLimitedError

NOON = 1_795_521_600.0


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def now() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "shop" / "requests.sqlite3"


async def taken(budget: Budget, *, urgent: bool, at_most: int = 100) -> int:
    """How many requests it gives without waiting."""

    async def would_wait(_: float) -> None:
        raise TimeoutError

    with closing(budget), pytest.MonkeyPatch.context() as changes:
        changes.setattr(anyio, "sleep", would_wait)
        for count in range(at_most):
            try:
                await budget.take(urgent=urgent)
            except (RateLimitedError, TimeoutError):
                return count
    return at_most


@pytest.mark.parametrize(
    ("per_minute", "per_day", "gives", "gives_where_urgent"),
    [(12, 1000, 10, 12), (1000, 12, 10, 12), (60, 90, 50, 60), (6, 6, 5, 6), (11, 1000, 10, 11)],
)
async def test_a_sixth_is_kept_back_for_what_is_urgent(
    path: Path, now: Clock, per_minute: int, per_day: int, gives: int, gives_where_urgent: int
) -> None:
    budget = Budget(path, per_minute, per_day, now)

    assert await taken(budget, urgent=False) == gives
    assert await taken(budget, urgent=True) == gives_where_urgent - gives
    assert await taken(budget, urgent=False) == 0


async def test_those_who_come_at_once_are_taken_together_and_never_too_many(
    path: Path, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(path, 30, 1000, now)
    transactions: list[int] = []
    decide = budget._seconds_to_wait

    def counted(urgent: Sequence[bool]) -> list[float]:
        transactions.append(len(urgent))
        return decide(urgent)

    monkeypatch.setattr(budget, "_seconds_to_wait", counted)
    given: list[bool] = []

    async def ask(*, urgent: bool) -> None:
        try:
            await budget.take(urgent=urgent)
        except RateLimitedError:
            return
        given.append(urgent)

    with closing(budget):
        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(partial(ask, urgent=number % 2 == 1))

    assert sum(transactions) == 60
    assert len(transactions) <= 3
    assert (len(given), given.count(False) <= 25) == (30, True)


async def test_who_gives_up_waiting_for_a_turn_takes_nothing_of_the_allowance(
    path: Path, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget(path, 6, 1000, now)
    decide, may_go_on = budget._seconds_to_wait, threading.Event()

    def slow(urgent: Sequence[bool]) -> list[float]:
        may_go_on.wait(5)
        return decide(urgent)

    monkeypatch.setattr(budget, "_seconds_to_wait", slow)
    with closing(budget):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(budget.take, urgent=True))
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.05):
                await budget.take(urgent=True)
            may_go_on.set()
        for _ in range(5):
            await budget.take(urgent=True)
        with pytest.raises(RateLimitedError):
            await budget.take(urgent=True)


async def test_a_minute_that_is_over_counts_no_more(path: Path, now: Clock) -> None:
    budget = Budget(path, 6, 1000, now)
    assert await taken(budget, urgent=True) == 6

    now.at += 59.99
    assert await taken(budget, urgent=True) == 0
    now.at = NOON + 60

    assert await taken(budget, urgent=True) == 6


async def test_a_day_that_is_over_counts_no_more(path: Path, now: Clock) -> None:
    budget = Budget(path, 1000, 6, now)
    assert await taken(budget, urgent=True) == 6

    now.at += 86_400 - 11
    with pytest.raises(RateLimitedError) as refusal:
        await budget.take(urgent=True)
    assert refusal.value.seconds == 11
    now.at += 11

    assert await taken(budget, urgent=True) == 6


async def test_whoever_cannot_wait_is_told_how_long(
    path: Path, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anyio, "sleep", lambda _: pytest.fail("it waited"))
    budget = Budget(path, 6, 1000, now)
    await taken(budget, urgent=True)
    now.at += 49.5

    with pytest.raises(RateLimitedError) as refusal:
        await budget.take(urgent=True)

    assert refusal.value.seconds == 11
    assert refusal.value.happened == (
        "The request budget for this store (6 a minute, 1000 a day) is used up, so nothing was sent."
        " Nothing was changed."
    )
    assert refusal.value.next_step == "Wait 11 seconds, then repeat the same call."
    budget.close()


async def test_a_short_wait_is_waited(
    path: Path, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now.at += seconds

    monkeypatch.setattr(anyio, "sleep", sleep)
    budget = Budget(path, 6, 1000, now)
    for _ in range(6):
        await budget.take(urgent=True)
        now.at += 1
    now.at = NOON + 50

    for _ in range(3):
        await budget.take(urgent=True)

    assert waits == [10, 1, 1]
    budget.close()


async def test_waiting_is_bounded_where_the_clock_stands_still(
    path: Path, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep)
    budget = Budget(path, 6, 1000, now)
    await taken(budget, urgent=True)
    now.at += 56

    with pytest.raises(RateLimitedError) as refusal:
        await budget.take(urgent=True)

    assert waits == [4, 4]
    assert refusal.value.seconds == 4
    budget.close()


async def test_a_turn_that_is_all_but_there_is_waited_for(
    path: Path, now: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now.at = NOON + 60

    monkeypatch.setattr(anyio, "sleep", sleep)
    budget = Budget(path, 6, 1000, now)
    for _ in range(6):
        await budget.take(urgent=True)
    now.at = NOON + 59.9999

    await budget.take(urgent=True)

    assert waits == [0.001]
    budget.close()


async def test_a_clock_that_is_put_back_takes_nothing_away(path: Path, now: Clock) -> None:
    budget = Budget(path, 6, 1000, now)
    await taken(budget, urgent=True)
    now.at -= 3600

    assert await taken(budget, urgent=True) == 6


async def test_what_is_older_than_a_day_is_forgotten(path: Path, now: Clock) -> None:
    budget = Budget(path, 6, 1000, now)
    await taken(budget, urgent=True)
    now.at += 86_400
    await budget.take(urgent=True)
    budget.close()

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT at FROM request").fetchall() == [(now.at,)]


async def test_two_processes_share_one_allowance(path: Path, now: Clock, another: Start) -> None:
    process = another(
        """
import sys
from pathlib import Path
import anyio
from clawver_orders.clawver.request_budget import Budget
budget = Budget(Path(sys.argv[1]), 12, 1000, lambda: float(sys.argv[2]))
async def take():
    for _ in range(4):
        await budget.take(urgent=False)
anyio.run(take)
print("took 4", flush=True)
sys.stdin.readline()
""",
        path,
        NOON,
    )
    assert process.hear() == "took 4"

    assert await taken(Budget(path, 12, 1000, now), urgent=False) == 6
    assert await taken(Budget(path, 12, 1000, now), urgent=True) == 2


async def test_the_file_is_private(path: Path, now: Clock) -> None:
    await taken(Budget(path, 6, 6, now), urgent=False)

    assert mode(path) == 0o600
    assert {mode(path.parent), mode(path.parent.parent)} == {0o700}


def no_folder(path: Path) -> None:
    path.parent.parent.mkdir()
    path.parent.write_text("a file")


def no_database(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("not a database" * 1000)


def another_table(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE request (n)")


def link(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(path.parent / "nowhere" / "requests.sqlite3")


@pytest.mark.parametrize("damage", [no_folder, no_database, another_table, link])
async def test_where_the_file_cannot_be_used_a_process_counts_for_itself(
    path: Path, now: Clock, damage: Callable[[Path], None]
) -> None:
    damage(path)
    first, second = Budget(path, 6, 1000, now), Budget(path, 6, 1000, now)
    for each in (first, second):
        for _ in range(5):
            await each.take(urgent=False)
        with pytest.raises(RateLimitedError):
            await each.take(urgent=False)
        each.close()


def overwrite(path: Path) -> None:
    path.write_bytes(b"\xff" * 50_000)


async def test_a_file_that_is_damaged_in_use_does_not_end_the_work(path: Path, now: Clock) -> None:
    budget = Budget(path, 6, 1000, now)
    await budget.take(urgent=False)
    overwrite(path)

    for _ in range(5):
        await budget.take(urgent=False)
    with pytest.raises(RateLimitedError):
        await budget.take(urgent=False)
    budget.close()


def noted(path: Path) -> int:
    """How many requests the shared file counts."""
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM request").fetchone()
    return int(count)


async def test_while_another_program_holds_the_file_only_that_request_is_counted_alone(
    path: Path, now: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget(path, 6, 1000, now)
    await budget.take(urgent=False)
    longest, last = 0.0, anyio.current_time()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        begun = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: budget.take(urgent=False))
            while anyio.current_time() < begun + 0.9 * request_budget._BUSY_SECONDS:
                await anyio.sleep(0.01)
                longest = max(longest, anyio.current_time() - last)
                last = anyio.current_time()
        waited = anyio.current_time() - begun
        holder.execute("ROLLBACK")
    assert waited >= 0.9 * request_budget._BUSY_SECONDS
    assert longest < 0.5 * request_budget._BUSY_SECONDS  # others went on meanwhile
    assert [record.getMessage() for record in caplog.records] == [
        "the request allowance cannot be shared now (OperationalError): a request counts for this "
        "process alone"
    ]
    assert noted(path) == 1

    await budget.take(urgent=False)
    assert noted(path) == 2
    assert len(caplog.records) == 1
    budget.close()


async def test_many_requests_of_one_process_at_once_are_each_counted(
    path: Path, now: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget(path, 60, 1000, now)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(lambda: budget.take(urgent=False))

    assert noted(path) == 20
    assert caplog.records == []
    budget.close()


async def test_a_budget_that_was_closed_can_be_used_again(path: Path, now: Clock) -> None:
    budget = Budget(path, 6, 1000, now)
    budget.close()
    await budget.take(urgent=True)
    budget.close()

    assert await taken(budget, urgent=True) == 5


async def test_what_can_wait_takes_half_of_the_allowance_and_never_waits(
    path: Path, now: Clock
) -> None:
    spare = Budget(path, 12, 1000, now, spare=True)

    assert await taken(spare, urgent=False) == 6
    assert await taken(spare, urgent=True) == 0
    with pytest.raises(RateLimitedError) as raised:
        await spare.take(urgent=False)
    assert 0 < raised.value.seconds <= 60
    assert await taken(Budget(path, 12, 1000, now), urgent=False) == 4
    assert await taken(Budget(path, 12, 1000, now), urgent=True) == 2


async def test_many_requests_at_once_wait_for_the_file_in_one_thread(
    path: Path, now: Clock
) -> None:
    before = set(threading.enumerate())
    with closing(Budget(path, 60, 1000, now)) as budget:
        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(partial(budget.take, urgent=True))

    assert len(set(threading.enumerate()) - before) <= 1
