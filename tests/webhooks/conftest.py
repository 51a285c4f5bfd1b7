"""Where a test keeps events, and changes that wait: in files, and in PostgreSQL."""

from datetime import timedelta
from pathlib import Path

import pytest

from clawver_orders.webhooks.inbox import INBOX_FILE, Inbox

QUICK = {"test_changes.py", "test_inbox.py", "test_several_machines.py"}
"""What is tried in PostgreSQL by the quick run too."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        given = item.callspec.params if hasattr(item, "callspec") else {}
        is_quick = item.path.name in QUICK and len(given) == 1  # one value is like another there
        if given.get("engine") == "postgres" and not is_quick:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def filed(tmp_path: Path) -> Inbox:
    """An inbox in a file, for what is true of files alone."""
    return Inbox(tmp_path / "stores" / INBOX_FILE, timedelta(days=30))


@pytest.fixture
def inbox(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> Inbox:
    path, database = tmp_path / "stores" / INBOX_FILE, None
    if engine == "postgres":
        database = request.getfixturevalue("schemas").database(path, "inbox")
    return Inbox(path, timedelta(days=30), database)
