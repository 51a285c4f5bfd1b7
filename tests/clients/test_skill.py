"""The Inspector's verifier finds the served skill whole, in each era."""

from pathlib import Path

import pytest
from tests.clients.conftest import Install
from tests.clients.inspector import inspected
from tests.clients.test_clients import CLIENTS


@pytest.mark.clients
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_verifies_the_skill_and_every_file(
    with_node: Install, era: str, tmp_path: Path
) -> None:
    inspector = with_node(CLIENTS["inspector"].packages)
    (report,) = inspected(
        inspector, tmp_path, era, "--method", "skills/list", "--verify", "--require-digests"
    )

    assert report["outcome"] == "verified"
    assert len(report["files"]) == 8
    assert {each["status"] for each in report["files"]} == {"verified"}
