"""What an agent reads keeps its budgets, and the table of token costs can be printed."""

import pytest
from tests.instruments import token_costs


def test_the_table_names_every_page_and_every_job(capsys: pytest.CaptureFixture[str]) -> None:
    token_costs.main()
    said = capsys.readouterr().out

    for page in (token_costs.ROOT / "references").glob("*.md"):
        assert f"references/{page.name}" in said
    assert len(token_costs.JOBS) >= 9
    for job in token_costs.JOBS:
        assert job.title in said


def test_what_is_read_before_a_call_keeps_its_budget() -> None:
    over = {
        title: count
        for title, count, budget in token_costs.reading()
        if budget is not None and count > budget
    }

    assert over == {}


def test_answers_keep_their_share_of_the_raw_ones() -> None:
    costs = [(job, ours / raw) for job, ours, raw in token_costs.jobs()]

    assert {job.title for job, share in costs if job.budget and share > job.budget} == set()
    assert sum(job.budget is not None for job, _ in costs) == 5
    (daily,) = [share for job, share in costs if job.title == "the daily order check"]
    assert daily <= 0.02


async def test_no_order_of_the_sandbox_costs_much_more_than_the_usual_one() -> None:
    shares = await token_costs.every_order()

    assert len(shares) >= 100
    assert max(shares) <= 0.65
    assert sum(shares) / len(shares) <= 0.55
