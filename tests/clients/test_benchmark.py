"""The benchmark runs from beginning to end. What it measures, nobody asserts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.leftovers import TEMPORARY

ROOT = Path(__file__).parents[2]


@pytest.mark.clients
def test_the_benchmark_measures_everything_it_names() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--brief"], cwd=ROOT,
        env=os.environ | {"TMPDIR": str(TEMPORARY)},  # where PostgreSQL's own user may look, too
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    for row in (
        "start to tools/list", "call get_order, whole process / a bare", "get_order, 1 at once",
        "get_order, 10 at once", "get_order, 100 at once", "after 100 calls more",
        "after a change of settings", "where nothing is kept", "without early answers",
        "first answer of a tool", "SIGTERM while loading", "refunds check", "list_order_events",
        "refund_order", "check_refund", "4 servers", "server-everything", "mcp-server-fetch", "fastmcp",
    ):  # fmt: skip
        assert row in done.stdout
