"""Servers with early answers and without."""

import pytest
from tests import hosts
from tests.conftest import with_slow


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without early answers a test is tried with one of its values among the slow ones, and with the others later."""
    seen = set()
    for item in items:
        given = (
            item.callspec.params
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else {}
        )
        if given.get("opener") != "none":
            continue
        test = item.path, item.name.partition("[")[0]
        if test in seen:
            item.own_markers = [each for each in item.own_markers if each.name != "slow"]
            item.add_marker(pytest.mark.long)
        seen.add(test)


@pytest.fixture(params=with_slow(["early answers"], ["none"]))
def opener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that use it run once with an opener, and once more without."""
    if request.param == "none":
        monkeypatch.setitem(hosts.OPENER, "CLAWVER_OPENER", "off")
