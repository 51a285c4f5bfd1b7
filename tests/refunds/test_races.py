"""Two servers, two calls, or a host that leaves in the middle: money goes back once, and is noted.

Real server processes over stdio; what the store recorded is the judge.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.conftest import Configure, folder_of, with_slow
from tests.instruments.crash.host import Answer, Call, KillableHost, environment_of
from tests.instruments.crash.watch import Point, WatchedShop, until

from clawver_orders.caller import Approval, Script
from clawver_orders.instants import now
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.refunds.order_locks import OrderLocks
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import Actor, Wish
from clawver_orders.services import opened
from clawver_orders.settings import Settings

Start = Callable[..., KillableHost]
IN_FLIGHT: tuple[Point, ...] = ("arrived", "recorded", "answering")


@pytest.fixture
def shop(tmp_path: Path) -> WatchedShop:
    return WatchedShop.open(tmp_path / "store.sqlite3")


@pytest.fixture
def start(store_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts servers that share one ledger, and ends them all."""
    hosts: list[KillableHost] = []

    def one_more(**changed: object) -> KillableHost:
        chosen: dict[str, object] = {"REFUND_VERIFY_SECONDS": 3} | changed
        settings = environment_of(f"{store_url}/v1", tmp_path / "state", **chosen)
        hosts.append(KillableHost(settings, tmp_path / "stderr"))
        return hosts[-1]

    yield one_more
    for host in hosts:
        host.close()


@pytest.fixture
def states(store_url: str, tmp_path: Path) -> Callable[[str], list[str]]:
    """What the ledger says of an order, without any server."""
    settings = Settings(api_url=f"{store_url}/v1", state_dir=tmp_path / "state")

    def found(order: str) -> list[str]:
        with Ledger(folder_of(settings) / LEDGER_FILE, now).read_or_empty() as rows:
            return [wish.status for wish in rows.wishes("WHERE order_id = ?", order)]

    return found


def sold(shop: WatchedShop) -> str:
    return str(shop.sell(total_in_cents=2499)["id"])


def wanted(order: str, **more: Any) -> dict[str, Any]:
    return {"order_id": order, "amount_in_cents": 700, "reason": "Smudged"} | more


def given_back(shop: WatchedShop, order: str) -> list[int]:
    return [cents for each, cents in shop.refunds() if each == order]


def heard(*calls: Call) -> list[Answer]:
    answers = [call.wait() for call in calls]
    assert None not in answers
    return [answer for answer in answers if answer is not None]


def at(shop: WatchedShop, order: str, point: Point, what: Callable[[], None]) -> threading.Event:
    """Do something once, when the store sees this point; tells when it is done."""
    done = threading.Event()

    def tell(seen: Point) -> None:
        if seen == point and not done.is_set():
            what()
            done.set()

    shop.watch(order, tell)
    return done


# Two at once


@pytest.mark.parametrize("count", with_slow([10], [40]))
def test_two_servers_asked_for_the_same_refund_at_once_send_it_once(
    start: Start, shop: WatchedShop, states: Callable[[str], list[str]], count: int
) -> None:
    first, second = start(), start()
    orders = [sold(shop) for _ in range(count)]
    for _ in range(20):
        pairs = [
            (first.start("refund_order", **wanted(order)),
             second.start("refund_order", **wanted(order, reason="Print smudged")))
            for order in orders
        ]  # fmt: skip
        answers = [answer for pair in pairs for answer in heard(*pair)]
        assert all(has_said_what_became_of_it(answer) for answer in answers)
        if {answer.status for answer in answers} == {"already_refunded"}:
            break
    else:
        pytest.fail("both servers are still busy with some of the orders")

    assert Counter(shop.refunds()) == Counter((order, 700) for order in orders)
    assert [states(order) for order in orders] == [["refunded"]] * len(orders)


def has_said_what_became_of_it(answer: Answer) -> bool:
    """With so many at once, some wait too long for the order or for the ledger: they may try again."""
    done = answer.status in {"refunded", "already_refunded", "busy"}
    return done or answer.error.startswith("refund_order failed. Nothing was sent. Another program")


@pytest.mark.parametrize("times", with_slow([1], [3]))
def test_a_server_that_acts_on_an_old_reading_sends_nothing(
    start: Start, shop: WatchedShop, times: int
) -> None:
    """One reads, and its answer takes its time; the other could refund in between."""
    hosts = [start(), start()]
    for _ in range(times):
        order = sold(shop)
        shop.add_fault("slow", method="GET", path=f"{order}$", seconds=0.8)
        slow = hosts[0].start("refund_order", **wanted(order))
        assert until(lambda: not shop.faults())
        fast = hosts[1].start("refund_order", **wanted(order))
        answers = heard(slow, fast)

        assert given_back(shop, order) == [700]
        assert [answer.status for answer in answers] == ["refunded", "already_refunded"]


@pytest.mark.slow
def test_one_host_that_sends_a_call_twice_within_a_moment_is_paid_for_once(
    start: Start, shop: WatchedShop, states: Callable[[str], list[str]]
) -> None:
    host = start()
    orders = [sold(shop) for _ in range(20)]
    for order in orders:
        calls = [host.start("refund_order", **wanted(order)) for _ in range(2)]
        answers = heard(*calls)

        assert sorted(answer.status for answer in answers) == ["already_refunded", "refunded"]
        assert {answer.says["clawver_refund_id"] for answer in answers} == {
            shop.order(order)["refunds"][0]["id"]
        }
    assert Counter(shop.refunds()) == Counter((order, 700) for order in orders)


def test_a_confirmation_that_arrives_twice_at_two_servers_sends_once(
    start: Start, shop: WatchedShop
) -> None:
    hosts = [start(REFUND_APPROVAL="agent"), start(REFUND_APPROVAL="agent")]
    for _ in range(5):
        order = sold(shop)
        preview = hosts[0].call("refund_order", **wanted(order))
        assert preview is not None
        assert preview.status == "needs_approval"
        shown = {"refund_id": preview.says["refund_id"], "revision": preview.says["revision"]}
        calls = [host.start("confirm_refund", **shown) for host in hosts for _ in range(2)]
        statuses = Counter(answer.status for answer in heard(*calls))

        assert given_back(shop, order) == [700]
        assert set(statuses) == {"refunded", "already_refunded"}


@pytest.fixture
def locks_do_not_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def not_held(*_: object) -> Any:
        yield

    monkeypatch.setattr(OrderLocks, "held", not_held)


@pytest.mark.parametrize("amounts", [(700, 700), (700, 800)])
async def test_the_ledger_refuses_a_second_open_refund_even_where_locks_do_not_lock(
    configure: Configure,
    shop: WatchedShop,
    monkeypatch: pytest.MonkeyPatch,
    locks_do_not_lock: None,
    amounts: tuple[int, int],
) -> None:
    """Both have read the order before either has sent: only the file is left to say no."""
    order = sold(shop)
    settings = configure(refund_verify_seconds=3, refund_approval="agent")
    async with opened(settings) as services:
        shown = [
            await (await services.store()).desk.refund(order, n, "Smudged", (), Script())
            for n in amounts
        ]
    wishes = [outcome.wish for outcome in shown if outcome.wish is not None]
    ready: list[int] = []
    both_are_ready = anyio.Event()
    begin = Ledger.begin_send

    async def begin_together(self: Ledger, *given: Any) -> Any:
        ready.append(1)
        if len(ready) == 2:
            both_are_ready.set()
        with anyio.fail_after(20):
            await both_are_ready.wait()
        return await begin(self, *given)

    monkeypatch.setattr(Ledger, "begin_send", begin_together)
    shop.add_fault("hang_before", method="POST", seconds=0.5)
    statuses: list[str] = []

    async def confirm(wish: Wish) -> None:
        async with opened(settings) as services:
            outcome = await (await services.store()).desk.confirm(
                wish.refund_id, wish.revision, Script()
            )
            statuses.append(outcome.status)

    async with anyio.create_task_group() as tasks:
        for wish in wishes:
            tasks.start_soon(confirm, wish)

    assert len(ready) == 2
    assert [request["method"] for request in shop.requests()].count("POST") == 1
    assert sorted(statuses) == ["busy", "unknown"]


# Locks that somebody deleted


def delete_locks(state: Path) -> None:
    """As a program that tidies up does. A lock on a file that is gone keeps nobody out."""
    files = list(state.rglob("order-*.lock"))
    assert files
    for each in files:
        each.unlink()


@pytest.mark.parametrize("cents", [700, 800])
async def test_a_call_whose_lock_was_deleted_sends_nothing_after_another_one_did(
    configure: Configure,
    shop: WatchedShop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cents: int,
) -> None:
    """One has decided and is about to send; the other finds no lock and does all of its refund."""
    order = sold(shop)
    begin = Ledger.begin_send
    others: list[Outcome] = []
    settings = configure(refund_verify_seconds=3, refund_approval="off")

    async def after_another(self: Ledger, *given: Any) -> Any:
        monkeypatch.setattr(Ledger, "begin_send", begin)
        delete_locks(tmp_path / "state")
        async with opened(settings) as services:
            others.append(
                await (await services.store()).desk.refund(order, cents, "Smudged", (), Script())
            )
        return await begin(self, *given)

    monkeypatch.setattr(Ledger, "begin_send", after_another)
    async with opened(settings) as services:
        late = await (await services.store()).desk.refund(order, 700, "Smudged", (), Script())
        again = await (await services.store()).desk.refund(order, 700, "Smudged", (), Script())

    assert (others[0].status, late.status) == ("refunded", "busy")
    assert again.status == ("already_refunded" if cents == 700 else "refunded")
    assert given_back(shop, order) == ([700] if cents == 700 else [800, 700])


async def test_a_call_whose_lock_was_deleted_sends_nothing_that_was_declined_meanwhile(
    configure: Configure, shop: WatchedShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order = sold(shop)
    begin = Ledger.begin_send
    settings = configure(refund_approval="off")

    async def after_a_decline(self: Ledger, number: int, wish: Any, *given: Any) -> Any:
        delete_locks(tmp_path / "state")
        async with opened(settings) as services:
            by = Approval("console", "terminal", "person in the terminal")
            await (await services.store()).desk.decline(wish.refund_id, by, "a terminal")
        return await begin(self, number, wish, *given)

    monkeypatch.setattr(Ledger, "begin_send", after_a_decline)
    async with opened(settings) as services:
        late = await (await services.store()).desk.refund(order, 700, "Smudged", (), Script())
        again = await (await services.store()).desk.refund(order, 700, "Smudged", (), Script())

    assert (late.status, again.status) == ("busy", "declined")
    assert given_back(shop, order) == []


async def test_an_attempt_that_another_call_took_for_one_without_an_owner_is_still_noted(
    configure: Configure, shop: WatchedShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other one finds no lock while the request is on its way."""
    order = sold(shop)
    settings = configure(refund_verify_seconds=60, refund_approval="off")
    shop.add_fault("slow", method="POST", seconds=0.5)
    shop.add_fault("slow", method="GET", times=1)
    shop.add_fault("stale_read", method="GET", times=1)  # that of the other one
    told: dict[str, Outcome] = {}

    async def refund() -> None:
        async with opened(settings) as services:
            told["first"] = await (await services.store()).desk.refund(
                order, 700, "Smudged", (), Script()
            )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refund)
        while "POST" not in [request["method"] for request in shop.requests()]:
            await anyio.sleep(0.01)
        delete_locks(tmp_path / "state")
        async with opened(settings) as services:
            told["other"] = await (await services.store()).desk.refund(
                order, 700, "Smudged", (), Script()
            )

    assert (told["other"].status, told["first"].status) == ("unknown", "refunded")
    assert not told["first"].unwritten
    assert given_back(shop, order) == [700]


@pytest.mark.parametrize("what", ["check", "resolve"])
async def test_finding_out_beside_another_call_is_busy_where_locks_do_not_lock(
    configure: Configure,
    shop: WatchedShop,
    monkeypatch: pytest.MonkeyPatch,
    locks_do_not_lock: None,
    what: str,
) -> None:
    """Both read the order, and the other one notes what became of it first."""
    order = sold(shop)
    settings = configure(refund_verify_seconds=60, refund_approval="off")
    shop.add_fault("drop_before", method="POST")
    claim = Ledger.claim

    async def after_another(self: Ledger, *given: Any) -> Any:
        monkeypatch.setattr(Ledger, "claim", claim)
        async with opened(settings) as other:
            checked = await (await other.store()).desk.check(order_id=order)
            assert checked.status == "refunded"
        return await claim(self, *given)

    async with opened(settings) as services:
        lost = await (await services.store()).desk.refund(order, 700, "Smudged", (), Script())
        assert lost.wish is not None
        shop.refund(order, 700, "Smudged")
        monkeypatch.setattr(Ledger, "claim", after_another)
        refund_id = lost.wish.refund_id
        told = (
            await (await services.store()).desk.check(refund_id)
            if what == "check"
            else await (await services.store()).desk.resolve(
                refund_id, was_refunded=False, because="x", actor=Actor("a terminal")
            )
        )
        again = await (await services.store()).desk.check(refund_id)

    assert (told.status, again.status) == ("busy", "refunded")
    assert given_back(shop, order) == [700]


@pytest.mark.slow
@pytest.mark.parametrize("times", with_slow([1], [3]))
def test_two_servers_whose_lock_files_are_deleted_under_a_working_call_refund_once(
    start: Start, shop: WatchedShop, tmp_path: Path, times: int
) -> None:
    """The first one has read the order; its answer takes its time, and the other one refunds.

    What the first one says depends on how far the other one is: that it is at work, that its request is
    on its way, or that it is done.
    """
    hosts = [start(), start()]
    for _ in range(times):
        order = sold(shop)
        shop.add_fault("slow", method="GET", path=f"{order}$", seconds=1.5)
        slow = hosts[0].start("refund_order", **wanted(order))
        assert until(lambda: not shop.faults())
        delete_locks(tmp_path / "state")
        fast = hosts[1].call("refund_order", **wanted(order))
        (answer,) = heard(slow)

        assert fast is not None
        said = {fast.status, answer.status}
        assert "refunded" in said  # the first one's too, where the other one is slower to start
        assert said - {"refunded"} <= {"already_refunded", "busy", "unknown"}
        assert len(said) == 2
        assert given_back(shop, order) == [700]


# A host that leaves


@pytest.mark.slow
@pytest.mark.parametrize("point", with_slow(["recorded"], ["read", "arrived", "answering"]))
def test_a_call_that_is_cancelled_in_flight_is_finished_and_noted(
    start: Start, shop: WatchedShop, states: Callable[[str], list[str]], point: Point
) -> None:
    host, order = start(), sold(shop)
    shop.add_fault("slow", method="POST", seconds=0.4)
    calls: list[Call] = []
    cancelled = at(shop, order, point, lambda: host.cancel(calls[0]))
    calls.append(host.start("refund_order", **wanted(order)))
    assert cancelled.wait(20)

    if point in IN_FLIGHT:
        assert until(lambda: states(order) == ["refunded"])
        assert given_back(shop, order) == [700]
    again = host.call("refund_order", **wanted(order, reason="Print smudged"))

    assert again is not None
    assert again.status in {"refunded", "already_refunded"}
    assert given_back(shop, order) == [700]


@pytest.mark.slow
def test_a_cancelled_call_whose_answer_is_lost_is_noted_as_unknown(
    start: Start, shop: WatchedShop, states: Callable[[str], list[str]]
) -> None:
    host, order = start(), sold(shop)
    shop.add_fault("hang_before", method="POST", seconds=0.4)
    calls: list[Call] = []
    cancelled = at(shop, order, "arrived", lambda: host.cancel(calls[0]))
    calls.append(host.start("refund_order", **wanted(order)))

    assert cancelled.wait(20)
    assert until(lambda: states(order) == ["unknown"])


@pytest.mark.slow
@pytest.mark.parametrize("point", with_slow(["arrived"], ["recorded", "answering"]))
def test_a_host_that_hangs_up_in_flight_leaves_a_refund_that_is_noted(
    start: Start, shop: WatchedShop, states: Callable[[str], list[str]], point: Point
) -> None:
    host, order = start(), sold(shop)
    shop.add_fault("slow", method="POST", seconds=0.4)
    gone = at(shop, order, point, host.hang_up)
    host.start("refund_order", **wanted(order))
    assert gone.wait(20)

    assert host.process.wait(20) == 0
    assert states(order) == ["refunded"]
    again = start().call("refund_order", **wanted(order))
    assert again is not None
    assert again.status == "already_refunded"
    assert given_back(shop, order) == [700]


@pytest.mark.slow
@pytest.mark.parametrize("point", with_slow(["arrived"], ["read", "recorded", "answering"]))
def test_a_server_that_is_told_to_go_in_flight_loses_track_of_nothing(
    start: Start, shop: WatchedShop, states: Callable[[str], list[str]], point: Point
) -> None:
    host, order = start(), sold(shop)
    shop.add_fault("slow", method="POST", seconds=0.4)
    told = at(shop, order, point, host.terminate)
    host.start("refund_order", **wanted(order))
    assert told.wait(20)
    host.process.wait(20)

    after = start()
    if point != "read":
        assert until(lambda: states(order) == ["refunded"])  # looked up at the start, unasked
    again = after.call("refund_order", **wanted(order))
    assert again is not None
    assert again.status == ("refunded" if point == "read" else "already_refunded")
    assert given_back(shop, order) == [700]


# One more, on purpose


@pytest.mark.slow
def test_a_further_refund_succeeds_when_it_is_named_and_only_then(
    start: Start, shop: WatchedShop
) -> None:
    hosts, order = [start(), start()], sold(shop)
    first = hosts[0].call("refund_order", **wanted(order))
    unnamed = hosts[1].call("refund_order", **wanted(order, reason="One more, please"))
    assert first is not None
    assert unnamed is not None
    named = unnamed.says["in_addition_to"]
    guessed = hosts[1].call("refund_order", **wanted(order, in_addition_to=["ref_guessed"]))
    too_many = hosts[1].call("refund_order", **wanted(order, in_addition_to=[*named, "ref_more"]))

    assert guessed is not None
    assert too_many is not None
    assert {answer.status for answer in (unnamed, guessed, too_many)} == {"already_refunded"}
    assert given_back(shop, order) == [700]

    # Both servers, twice each: it is meant once.
    calls = [host.start("refund_order", **wanted(order, in_addition_to=named))
             for host in hosts for _ in range(2)]  # fmt: skip
    statuses = Counter(answer.status for answer in heard(*calls))
    assert statuses == {"refunded": 1, "already_refunded": 3}
    replay = hosts[0].call("refund_order", **wanted(order, in_addition_to=named))

    assert replay is not None
    assert replay.status == "already_refunded"
    assert given_back(shop, order) == [700, 700]


@pytest.mark.slow
def test_a_further_refund_that_never_arrived_is_not_told_as_done(
    start: Start, shop: WatchedShop
) -> None:
    host, order = start(REFUND_VERIFY_SECONDS=0.5), sold(shop)
    first = host.call("refund_order", **wanted(order))
    assert first is not None
    shop.add_fault("drop_before", method="POST")
    more = wanted(order, in_addition_to=first.says["in_addition_to"])
    lost = host.call("refund_order", **more)
    assert lost is not None
    assert lost.status == "unknown"

    def status() -> str:
        answer = host.call("check_refund", refund_id=lost.says["refund_id"])
        assert answer is not None
        return answer.status

    assert until(lambda: status() == "not_recorded", every=0.1)
    again = host.call("refund_order", **more)

    assert again is not None
    assert again.status == "not_recorded"
    assert again.says["refund_id"] == lost.says["refund_id"]
    assert set(again.says["in_addition_to"]) == {
        first.says["clawver_refund_id"],
        lost.says["refund_id"],
    }
    assert given_back(shop, order) == [700]


# The limit


def test_two_servers_at_once_stay_under_the_daily_limit(start: Start, shop: WatchedShop) -> None:
    hosts = [start(REFUND_DAILY_LIMIT_CENTS=2000) for _ in range(2)]
    orders = [sold(shop) for _ in range(12)]
    # What was sent counts before it is answered.
    shop.add_fault("slow", method="POST", seconds=0.3, times=-1)
    calls = [hosts[n % 2].start("refund_order", **wanted(order)) for n, order in enumerate(orders)]
    answers = heard(*calls)

    assert len(shop.refunds()) == 2
    assert Counter(answer.status for answer in answers) == {"refunded": 2, "error": 10}
    for answer in answers:
        if answer.status == "error":
            assert answer.error.startswith("refund_order failed. No money was moved: $14.00")
            assert "CLAWVER_REFUND_DAILY_LIMIT_CENTS" in answer.error
