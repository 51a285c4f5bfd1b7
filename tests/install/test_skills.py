"""The published skill of the same name is found: an agent that has it refunds past the ledger."""

from pathlib import Path

import pytest
from tests.cli.test_main import run

from clawver_orders.install.skills import past_the_ledger

OURS = (Path(__file__).parents[2] / "SKILL.md").read_text("utf-8")
PUBLISHED = """---
name: clawver-orders
description: Manage Clawver orders.
---
curl -X POST https://api.clawver.store/v1/orders/{orderId}/refund
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def put(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize(
    "place",
    [
        ".openclaw/skills/clawver-orders", ".openclaw/workspace/skills/orders-2", ".claude/skills/clawver-orders",
        "work/.claude/skills/clawver-orders", "work/skills/clawver-orders",
    ],
)  # fmt: skip
def test_the_published_skill_is_found_where_hosts_look(place: str, home: Path) -> None:
    assert past_the_ledger() == []
    folder = put(home / place, PUBLISHED)

    assert past_the_ledger() == [folder]


@pytest.mark.parametrize(
    "text", [OURS, PUBLISHED.replace("name: clawver-orders", "name: clawver-orders-notes"), ""]
)
def test_this_skill_and_others_are_let_be(text: str, home: Path) -> None:
    put(home / ".openclaw" / "skills" / "clawver-orders", text)

    assert past_the_ledger() == []


def test_one_of_the_name_that_does_not_know_our_tool_is_another(home: Path) -> None:
    folder = put(home / ".agents" / "skills" / "x", "---\nname: 'clawver-orders'\n---\nUse HTTP.\n")

    assert past_the_ledger() == [folder]


def test_what_cannot_be_read_is_passed_over(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".claude" / "skills" / "clawver-orders" / "SKILL.md").mkdir(parents=True)
    assert past_the_ledger() == []

    def nowhere() -> Path:
        raise RuntimeError

    put(home / "work" / "skills" / "x", PUBLISHED)
    monkeypatch.setattr(Path, "home", nowhere)
    assert len(past_the_ledger()) == 1


def test_doctor_says_that_it_refunds_without_the_ledger(home: Path) -> None:
    folder = put(home / ".openclaw" / "skills" / "clawver-orders", PUBLISHED)
    here = {"CLAWVER_STATE_DIR": str(home / "state"), "HOME": str(home)}

    done = run("doctor", "--sandbox", **here)
    assert done.returncode == 1
    assert f"BAD skill: Another skill of this name is in {folder}." in done.stdout
    assert "refunds by itself, without the ledger" in done.stdout

    (folder / "SKILL.md").write_text(OURS, "utf-8")
    assert run("doctor", "--sandbox", **here).returncode == 0
