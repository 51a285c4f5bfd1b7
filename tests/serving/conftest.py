"""Servers with early answers and without."""

import pytest
from tests import hosts
from tests.conftest import with_slow


@pytest.fixture(params=with_slow(["early answers"], ["none"]))
def opener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that use it run once with an opener, and once more without."""
    if request.param == "none":
        monkeypatch.setitem(hosts.OPENER, "CLAWVER_OPENER", "off")
