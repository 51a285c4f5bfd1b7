"""Money goes back once, whatever is killed and whatever is lost, with servers of several machines. The store is the judge."""

import queue
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.instruments.crash.host import Answer
from tests.instruments.crash.judge import Judge
from tests.instruments.crash.several import (
    KINDS,
    Fleet,
    Intent,
    Kind,
    Upset,
    broken,
    planned,
    run,
    table,
)
from tests.instruments.crash.test_crash import SEED

from clawver_sandbox.shop import Shop


@pytest.mark.parametrize(
    ("servers", "intents"),
    [
        pytest.param(2, 90, marks=pytest.mark.long),
        pytest.param(3, 60, marks=pytest.mark.long),
    ],
)
def test_nobody_is_refunded_twice_whatever_is_lost_between_machines(
    tmp_path: Path, servers: int, intents: int
) -> None:
    found = run(tmp_path, SEED, range(intents), servers)
    print(f"{table(found, servers)}\nseed {SEED}, {len(found)} intents")

    assert broken(found) == []
    assert {each.upset.kind for each in found} == set(KINDS) == set(get_args(Kind))
    assert sum(each.happened for each in found) > intents // 2
    assert sum(each.killed for each in found) > 0
    assert sum(each.outcome in {"refunded", "twice"} for each in found) > intents // 2


def test_what_happens_to_an_intent_follows_from_its_seed() -> None:
    def plans(seed: int) -> list[Any]:
        return [(Upset.of(seed, n, 3), planned(seed, n)) for n in range(40)]

    assert plans(7) == plans(7)
    assert plans(7) != plans(8)


def test_a_call_without_an_answer_is_a_complaint() -> None:
    class Silent(Fleet):
        def __init__(self) -> None:
            self._machines = []

        def _run(self, *_: object) -> Intent:
            raise queue.Empty

    silent = Silent()
    silent._machines = [type("Gone", (), {"close": lambda _: None})()]

    assert "no answer" in broken([silent.run(1, 0)])[0]


def test_the_table_counts_doubles_and_what_was_lost_or_told_wrong(shop: Shop) -> None:
    judge = Judge(shop, "ord_shirt", 700)
    for _ in range(2):
        shop.refund("ord_shirt", 700, "Smudged")
    judge.hear(Answer({"status": "not_recorded"}), judge.recorded, alone=False)
    judge.hear(Answer({"status": "refunded", "clawver_refund_id": "ref_1"}), [], alone=False)
    upset = Upset.of(1, 0, 2)
    intent = Intent(0, "none", upset, "twice", 1, True, False, ["unknown"], judge.broken)

    [heading, *_, counts] = table([intent], 2).splitlines()

    said = dict(zip(heading.split()[2:], counts.split()[1:], strict=True))
    assert (said["double"], said["lost"], said["wrong"]) == ("2", "0", "2")
