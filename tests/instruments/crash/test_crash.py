"""Money goes back once, whatever is killed and whatever is lost. The store is the judge."""

import os
from pathlib import Path

import pytest
from tests.instruments.crash.host import Answer
from tests.instruments.crash.judge import Judge
from tests.instruments.crash.naive import refunded_twice
from tests.instruments.crash.run import broken, run, table
from tests.instruments.crash.trouble import FAULTS, MOMENTS, Plan

from clawver_sandbox.shop import Shop

ROUNDS = 5
SEED = int(os.environ.get("CRASH_SEED", "3"))


@pytest.mark.parametrize(
    ("seed", "iterations"),
    [
        pytest.param(SEED, ROUNDS * len(FAULTS), marks=pytest.mark.slow),
        pytest.param(SEED + 1, 10 * ROUNDS * len(FAULTS), marks=pytest.mark.long),
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


@pytest.mark.slow
def test_a_client_that_posts_again_pays_twice_through_the_same_faults(tmp_path: Path) -> None:
    doubled = refunded_twice(tmp_path, SEED)

    assert {
        "drop after", "hang after", "truncated", "garbage", "bare 200", "late",
        "500 after", "502 after", "503 after", "409 after", "429 after",
    } <= set(doubled)  # fmt: skip


def test_a_plan_follows_from_its_seed() -> None:
    assert [Plan.of(7, n) for n in range(40)] == [Plan.of(7, n) for n in range(40)]
    assert [Plan.of(7, n) for n in range(40)] != [Plan.of(8, n) for n in range(40)]


DENIALS = [
    Answer({"status": "not_recorded"}),
    Answer({"status": "needs_confirmation"}),
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


@pytest.mark.parametrize("status", ["refunded", "already_refunded"])
def test_the_judge_sees_a_refund_that_is_none(shop: Shop, status: str) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    judge.hear(Answer({"status": status, "clawver_refund_id": "ref_1"}), [], alone=True)

    assert len(judge.broken) == 1
    assert judge.broken[0].startswith("said to be refunded, and is not")


def test_the_judge_sees_a_second_refund_and_one_that_the_ledger_forgot(
    shop: Shop, tmp_path: Path
) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    for _ in range(2):
        shop.refund("ord_shirt", 700, "Smudged")
    outcome = judge.close(tmp_path, "http://127.0.0.1:1/v1")

    assert outcome == "refunded"
    assert [complaint.split(":")[0] for complaint in judge.broken] == [
        "refunded twice",
        f"the ledger knows [], the store {judge.recorded}",
    ]


def test_the_judge_sees_an_error_that_says_nothing_about_the_money(shop: Shop) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    judge.hear(Answer(error="refund_order failed. Oops."), [], alone=True)

    assert len(judge.broken) == 1
