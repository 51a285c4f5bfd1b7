"""The official conformance suite finds nothing wrong but what is written down, with its reason."""

import pytest
from tests.instruments import conformance


@pytest.mark.clients
def test_the_official_suite_fails_only_where_it_is_written_down(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = conformance.main()

    assert not failed, capsys.readouterr().out
