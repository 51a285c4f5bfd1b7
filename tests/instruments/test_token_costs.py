"""The table of token costs can be printed, and tells what it should."""

import pytest
from tests.instruments import token_costs


def test_the_table_names_every_page_and_every_job(capsys: pytest.CaptureFixture[str]) -> None:
    token_costs.main()
    said = capsys.readouterr().out

    for page in (token_costs.ROOT / "references").glob("*.md"):
        assert f"references/{page.name}" in said
    assert len(token_costs.JOBS) == 6
    for job in token_costs.JOBS:
        assert job.title in said


def test_lists_and_figures_cost_a_fraction_of_the_raw_answers() -> None:
    costs = {title: ours / raw for title, ours, raw in token_costs.jobs()}

    assert costs["the newest 20 orders"] <= 0.25
    assert costs["the daily order check"] <= 0.05
