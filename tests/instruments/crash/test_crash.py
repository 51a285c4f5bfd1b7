"""Money goes back once, whatever is killed and whatever is lost. The store is the judge."""

import os
import queue
from pathlib import Path

import pytest
from tests.instruments.crash.host import Answer
from tests.instruments.crash.judge import Judge
from tests.instruments.crash.naive import refunded_twice
from tests.instruments.crash.run import Lane, Result, broken, judged, opened, run, table
from tests.instruments.crash.trouble import FAULTS, MOMENTS, Plan
from tests.instruments.crash.watch import BY_HAND

from clawver_sandbox.shop import Shop

ROUNDS = 4
SEED = int(os.environ.get("CRASH_SEED", "3"))


@pytest.mark.parametrize(
    ("seed", "iterations"),
    [
        pytest.param(SEED, ROUNDS * len(FAULTS), marks=pytest.mark.slow),
        pytest.param(SEED + 1, 8 * ROUNDS * len(FAULTS), marks=pytest.mark.long),
    ],
)
def test_nobody_is_refunded_twice_whatever_crashes(
    tmp_path: Path, seed: int, iterations: int
) -> None:
    results = run(tmp_path, seed, range(iterations))
    print(f"{table(results)}\nseed {seed}, {len(results)} iterations")

    assert broken(results) == []
    assert len(results) == iterations >= 150
    assert {result.plan.fault for result in results} == set(FAULTS)
    assert {result.plan.moment for result in results} == set(MOMENTS)
    assert sum(result.ended for result in results) > iterations // 4
    assert sum(result.outcome == "refunded" for result in results) > iterations // 2
    doubled = {result.plan.fault.name for result in results if result.outcome == "twice"}
    assert {"delivered twice", "both listed, stale reads"} <= doubled


@pytest.mark.slow
def test_a_client_that_posts_again_pays_twice_through_the_same_faults(tmp_path: Path) -> None:
    doubled = refunded_twice(tmp_path, SEED)

    assert {
        "drop after", "hang after", "truncated", "garbage", "bare 200", "late",
        "500 after", "502 after", "503 after", "409 after", "429 after",
        "400, lands late", "403, lands late", "404, lands late", "429, lands late",
        "400 after, stale reads", "drop before, moved", "drop before, restored",
    } <= set(doubled)  # fmt: skip


def test_a_plan_follows_from_its_seed() -> None:
    assert [Plan.of(7, n) for n in range(40)] == [Plan.of(7, n) for n in range(40)]
    assert [Plan.of(7, n) for n in range(40)] != [Plan.of(8, n) for n in range(40)]


DENIALS = [
    Answer({"status": "not_recorded"}),
    Answer({"status": "needs_approval"}),
    Answer({"status": "declined"}),
    Answer(error="refund_order failed. No money was moved. Clawver did not answer."),
]


@pytest.mark.parametrize("denial", DENIALS)
def test_the_judge_sees_a_refund_that_is_denied(shop: Shop, denial: Answer) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    judge.hear(denial, judge.recorded, alone=True)
    assert judge.broken == []

    shop.refund("ord_shirt", 700, "Smudged")
    judge.hear(denial, judge.recorded, alone=False)
    judge.hear(denial, [], alone=True)

    assert len(judge.broken) == 2
    assert all(
        complaint.startswith("said not to be refunded, and is") for complaint in judge.broken
    )


@pytest.mark.parametrize("denial", DENIALS)
def test_the_judge_blames_nobody_for_what_arrived_after_the_order_was_read(
    shop: Shop, denial: Answer
) -> None:
    judge = Judge(shop, "ord_shirt", 700, may_arrive=True)
    shop.refund("ord_shirt", 700, "Smudged")
    judge.hear(denial, [], alone=True)
    assert judge.broken == []

    judge.hear(denial, judge.recorded, alone=True)
    assert len(judge.broken) == 1


@pytest.mark.parametrize("status", ["refunded", "already_refunded"])
def test_the_judge_sees_a_refund_that_is_none(shop: Shop, status: str) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    judge.hear(Answer({"status": status, "clawver_refund_id": "ref_1"}), [], alone=True)

    assert len(judge.broken) == 1
    assert judge.broken[0].startswith("said to be refunded, and is not")


def test_the_judge_takes_a_refusal_for_no_denial(shop: Shop) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    refused = "Clawver refused this refund, and the order does not list it so far"
    shop.refund("ord_shirt", 700, "Smudged")
    judge.hear(Answer(error=f"refund_order failed. {refused}: $7.00 on ord_shirt."), [], alone=True)
    judge.hear(Answer({"status": "declined", "message": f"{refused}: declined."}), [], alone=True)

    assert judge.broken == []


def test_the_judge_sees_a_double_that_may_be_and_is_not_told(shop: Shop, tmp_path: Path) -> None:
    told, untold = (Judge(shop, "ord_shirt", 700, may_double=True) for _ in range(2))
    for _ in range(2):
        shop.refund("ord_shirt", 700, "Smudged")
    told.hear(
        Answer(
            {
                "status": "refunded",
                "clawver_refund_id": told.recorded[0],
                "warning": f"2 refunds are new: {', '.join(told.recorded)}.",
            }
        ),
        [],
        alone=True,
    )
    for judge in (told, untold):
        assert judge.close(tmp_path, "http://127.0.0.1:1/v1") == "twice"

    assert [complaint.split(",")[0] for complaint in told.broken + untold.broken] == [
        "the ledger knows []",
        "refunded twice",
        "the ledger knows []",
    ]


def test_the_judge_tells_what_somebody_refunded_elsewhere_from_what_was_asked_for(
    shop: Shop,
) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    shop.refund("ord_shirt", 700, BY_HAND)
    (elsewhere,) = judge.by_hand
    for status in ("already_refunded", "refunded"):
        answer = Answer({"status": status, "clawver_refund_id": elsewhere})
        judge.hear(answer, judge.recorded, alone=True)

    assert judge.recorded == []
    assert len(judge.broken) == 1


@pytest.mark.parametrize(
    ("fault", "off", "agent"),
    [
        ("400 before", False, False),
        ("400 after, stale reads", True, False),
        ("429, lands late", True, False),
        ("400 before, moved", True, False),
        ("drop before, moved", False, False),
        ("drop before, restored", False, False),
        ("delivered twice", True, True),
    ],
)
def test_only_what_remains_possible_may_pay_twice(fault: str, off: bool, agent: bool) -> None:
    plan = next(plan for n in range(len(FAULTS)) if (plan := Plan.of(1, n)).fault.name == fault)

    assert (plan.may_double("off"), plan.may_double("agent")) == (off, agent)


def test_the_judge_sees_a_second_refund_and_one_that_the_ledger_forgot(
    shop: Shop, tmp_path: Path
) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    for _ in range(2):
        shop.refund("ord_shirt", 700, "Smudged")
    outcome = judge.close(tmp_path, "http://127.0.0.1:1/v1")

    assert outcome == "twice"
    assert [complaint.split(":")[0] for complaint in judge.broken] == [
        "refunded twice",
        f"the ledger knows [], the store {judge.recorded}",
    ]


def test_the_judge_sees_an_error_that_says_nothing_about_the_money(shop: Shop) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    judge.hear(Answer(error="refund_order failed. Oops."), [], alone=True)

    assert len(judge.broken) == 1


class Silent(Lane):
    """A lane in which a call gets no answer."""

    def __init__(self, other: Lane) -> None:
        self.__dict__ = other.__dict__

    def run(self, plan: Plan) -> Result:
        raise queue.Empty(plan)


@pytest.mark.slow
def test_a_call_without_an_answer_is_a_complaint_and_the_others_go_on(tmp_path: Path) -> None:
    plans = [Plan.of(7, number) for number in range(2)]
    with opened(tmp_path) as lane:
        results = [judged(Silent(lane), plans[0]), judged(lane, plans[1])]

    assert [each.plan for each in results] == plans
    assert len(broken(results)) == 1
    assert "no answer" in broken(results)[0]
