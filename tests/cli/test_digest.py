"""The digest in a terminal."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.test_main import run


def test_a_day_is_told_in_each_form(state: dict[str, str]) -> None:
    text = run("digest", **state)
    markdown = run("digest", "--format", "markdown", **state)
    document = run("digest", "--format", "json", "--since", "today", CLAWVER_TIME_ZONE="Asia/Tokyo", **state)  # fmt: skip

    assert (text.returncode, markdown.returncode, document.returncode) == (0, 0, 0)
    assert text.stdout.startswith("Store: the sandbox\nFrom ")
    assert "\nStuck: " in text.stdout
    assert markdown.stdout.startswith("# Digest of the sandbox\n\nFrom ")
    assert "\n## Stuck\n" in markdown.stdout
    found = json.loads(document.stdout)
    assert (found["store"], found["time_zone"]) == ("the sandbox", "Asia/Tokyo")
    assert found["since"].endswith("T15:00:00Z")


def test_it_begins_with_yesterday(state: dict[str, str]) -> None:
    found = json.loads(run("digest", "--format", "json", **state).stdout)

    yesterday = datetime.fromisoformat(found["now"]).astimezone(UTC) - timedelta(days=1)
    assert found["since"] == f"{yesterday.date()}T00:00:00Z"


def test_where_clawver_could_not_be_asked_the_exit_code_says_so(state: dict[str, str]) -> None:
    done = run("digest", CLAWVER_REQUESTS_PER_MINUTE="6", **state)

    assert done.returncode == 1
    assert "How much is known: Clawver could not be asked." in done.stdout


@pytest.mark.parametrize("since", ["last week", "2999-01-01", ""])
def test_what_is_no_time_that_has_begun_is_refused(state: dict[str, str], since: str) -> None:
    done = run("digest", "--since", since, **state)

    assert (done.returncode, done.stdout) == (2, "")
    assert "that has begun. Nothing was asked." in done.stderr
