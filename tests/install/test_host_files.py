"""A host's own file: changed in one place, kept as it was beside, or left alone."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from clawver_orders.install.host_files import UntouchedError, apply, plan

ENTRY: dict[str, Any] = {
    "command": "uvx",
    "args": ["clawver-orders"],
    "env": {"CLAW_API_KEY": "${CLAW_API_KEY}"},
}
BEFORE = b'{\r\n  "mcpServers": {\r\n    "other": {"env": {"TOKEN": "example-secret"}}\r\n  }\r\n}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mcp.json"
    path.write_bytes(BEFORE)
    path.chmod(0o640)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_planning_changes_nothing(file: Path) -> None:
    planned = plan(file, ENTRY)

    assert planned.changes
    assert file.read_bytes() == BEFORE
    assert names(file.parent) == ["mcp.json"]


def test_the_entry_is_added_and_the_file_before_is_kept_beside(file: Path) -> None:
    backup = apply(plan(file, ENTRY))

    assert backup == file.with_name("mcp.json.before-clawver-orders")
    assert backup.read_bytes() == BEFORE
    assert file.read_bytes().startswith(BEFORE.removesuffix(b"\r\n  }\r\n}"))
    assert json.loads(file.read_bytes())["mcpServers"]["clawver-orders"] == ENTRY
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, backup)} == {0o640}
    assert names(file.parent) == ["mcp.json", "mcp.json.before-clawver-orders"]


def test_a_file_with_the_key_is_for_its_owner_alone(file: Path) -> None:
    planned = plan(file, ENTRY | {"env": {"CLAW_API_KEY": "claw_sk_example_of_files"}})
    backup = apply(planned)

    assert planned.holds_key
    assert backup is not None
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, backup)} == {0o600}
    assert plan(file, ENTRY).holds_key  # it stays there
    assert not plan(file.with_name("other.json"), ENTRY).holds_key


def test_the_files_stay_with_their_owner(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, *who: given.append((path.suffix, *who)))
    really = Path.stat

    def of_another(path: Path, **how: bool) -> os.stat_result:
        found = really(path, **how)
        return os.stat_result((*found[:4], 54321, 54322, *found[6:])) if path == file else found

    monkeypatch.setattr(Path, "stat", of_another)
    apply(plan(file, ENTRY))

    assert [each[1:] for each in given] == [(54321, 54322)] * 2


def test_the_same_again_is_no_change(file: Path) -> None:
    apply(plan(file, ENTRY))

    assert not plan(file, ENTRY).changes


def test_an_older_backup_is_never_overwritten(file: Path) -> None:
    for number in range(3):
        apply(plan(file, ENTRY | {"args": [str(number)]}))

    first, second = (file.with_name(f"mcp.json.before-clawver-orders{end}") for end in ("", "-2"))
    assert first.read_bytes() == BEFORE
    assert json.loads(second.read_bytes())["mcpServers"]["clawver-orders"]["args"] == ["0"]
    assert len(names(file.parent)) == 4


def test_what_a_person_added_to_the_entry_stays(file: Path) -> None:
    theirs = {
        "command": "old", "args": ["old"], "disabled": True,
        "env": {"CLAW_API_KEY": "claw_sk_example_written", "CLAWVER_READ_ONLY": "on"},
    }  # fmt: skip
    file.write_text(json.dumps({"mcpServers": {"clawver-orders": theirs}}), "utf-8")

    planned = plan(file, ENTRY)

    assert json.loads(planned.after)["mcpServers"]["clawver-orders"] == theirs | {
        "command": "uvx",
        "args": ["clawver-orders"],
    }
    assert "claw_sk_example" not in "".join(planned.difference)


def test_an_entry_of_a_server_elsewhere_becomes_one_of_this_machine(file: Path) -> None:
    theirs = {
        "type": "http", "url": "https://orders.example/?token=example-1", "timeout": 60,
        "serverUrl": "https://orders.example/?token=example-2", "httpUrl": "https://example.example",
        "headers": {"Authorization": "Bearer example-3"}, "command": "example-4", "args": ["example-5"],
    }  # fmt: skip
    file.write_text(json.dumps({"mcpServers": {"clawver-orders": theirs}}), "utf-8")

    planned = plan(file, ENTRY)

    assert json.loads(planned.after)["mcpServers"]["clawver-orders"] == ENTRY | {"timeout": 60}
    assert not any("example" in line for line in planned.difference)
    assert '-    "url": "(not shown)",' in planned.difference
    assert '     "timeout": "(not shown)",' in planned.difference
    assert '+    "command": "uvx",' in planned.difference


def test_what_says_that_it_is_of_this_machine_stays(file: Path) -> None:
    file.write_text(json.dumps({"mcpServers": {"clawver-orders": {"type": "stdio"}}}), "utf-8")

    after = json.loads(plan(file, ENTRY).after)

    assert after["mcpServers"]["clawver-orders"] == {"type": "stdio"} | ENTRY


def test_a_key_that_is_handed_in_replaces_the_one_that_stands_there(file: Path) -> None:
    for key in ("claw_sk_example_first", "claw_sk_example_second"):
        apply(plan(file, ENTRY | {"env": {"CLAW_API_KEY": key}}))

    entry = json.loads(file.read_bytes())["mcpServers"]["clawver-orders"]
    assert entry["env"] == {"CLAW_API_KEY": "claw_sk_example_second"}


def test_the_difference_shows_our_entry_and_no_secret(file: Path) -> None:
    written = plan(file, ENTRY | {"env": {"CLAW_API_KEY": "claw_sk_example_written"}})
    apply(written)
    changed = plan(file, ENTRY | {"args": ["clawver-orders", "serve", "--sandbox"], "env": {}})

    assert '+    "command": "uvx",' in written.difference
    assert '+      "CLAW_API_KEY": "(the key)"' in written.difference
    assert '+      "serve",' in changed.difference
    assert '     "command": "uvx",' in changed.difference
    assert not any("example" in line for line in written.difference + changed.difference)


def test_a_file_that_is_not_there_yet_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "mcp.json"

    assert apply(plan(file, ENTRY)) is None
    assert json.loads(file.read_bytes()) == {"mcpServers": {"clawver-orders": ENTRY}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert names(file.parent) == ["mcp.json"]


def test_a_link_stays_a_link(file: Path) -> None:
    link = file.with_name("link.json")
    link.symlink_to(file)

    apply(plan(link, ENTRY))

    assert link.is_symlink()
    assert json.loads(file.read_bytes())["mcpServers"]["clawver-orders"] == ENTRY


def test_the_mark_that_windows_editors_leave_stays(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf{}")

    apply(plan(file, ENTRY))

    assert json.loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    assert file.read_bytes().startswith(b"\xef\xbb\xbf{")


@pytest.mark.parametrize(
    "content",
    [
        b"{", b'{"mcpServers": []}', b"\xff\xfe{}", b'{"mcpServers": {"clawver-orders": 1}}',
        b'{"mcpServers": {"clawver-orders": {"env": 1}}}', b"// a comment\n{}", b"{}{}",
        b'{"mcpServers": {"clawver-orders": {"env": {"A": "half \\ud83d"}}}}',
    ],
)  # fmt: skip
def test_a_broken_file_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    with pytest.raises(UntouchedError, match=r"mcp\.json"):
        plan(file, ENTRY)
    assert file.read_bytes() == content


def test_what_is_not_a_file_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UntouchedError, match="is not a file"):
        plan(tmp_path, ENTRY)
    with pytest.raises(UntouchedError, match="cannot be read"):
        plan(tmp_path / ("x" * 300), ENTRY)


def test_a_file_that_changed_meanwhile_is_left_alone(file: Path) -> None:
    planned = plan(file, ENTRY)
    file.write_bytes(b"{}")

    with pytest.raises(UntouchedError, match="changed meanwhile"):
        apply(planned)
    assert file.read_bytes() == b"{}"
    assert names(file.parent) == ["mcp.json"]


def test_a_write_that_fails_leaves_the_file_and_no_leftovers(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(file, ENTRY)

    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(UntouchedError, match="cannot be written"):
        apply(planned)
    assert file.read_bytes() == BEFORE
    assert names(file.parent) == ["mcp.json", "mcp.json.before-clawver-orders"]


def test_the_new_content_is_on_the_disk_before_the_file_is_replaced(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        done.append("sync")
        real_sync(descriptor)

    def replace(fresh: Path, target: Path) -> Path:
        done.append("replace")
        return real_replace(fresh, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)

    apply(plan(file, ENTRY))

    assert done == ["sync", "sync", "replace"]
