"""What is for one user alone: how it is told from what is not, and how it comes to be."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.processes import mode, names_in

from clawver_orders.storage import folders
from clawver_orders.storage.folders import is_open_to_others, is_safe, made_whole, make_private


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "words"
    file.touch(mode=0o600)
    return file


def is_safe_file(path: Path) -> bool:
    return is_safe(path.lstat(), stat.S_ISREG)


def test_two_that_make_a_folder_at_once_do_not_fail_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "above" / "folder"
    make_private(folder)
    monkeypatch.setattr(Path, "exists", lambda each: each != folder)

    make_private(folder)

    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)


@pytest.mark.parametrize(
    ("permissions", "safe", "open_to_others"),
    [(0o600, True, False), (0o644, True, True), (0o601, True, True), (0o620, False, True), (0o602, False, True)],
)  # fmt: skip
def test_what_others_may_do_decides(
    path: Path, permissions: int, safe: bool, open_to_others: bool
) -> None:
    path.chmod(permissions)

    assert is_safe_file(path) is safe
    assert is_open_to_others(path.lstat()) is open_to_others


def linked(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


@pytest.mark.parametrize("replace", [linked, a_folder])
def test_a_link_and_another_kind_are_not_safe(path: Path, replace: Callable[[Path], None]) -> None:
    replace(path)

    assert not is_safe_file(path)


def test_what_belongs_to_somebody_else_is_not_safe(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_OWNER", lambda: os.geteuid() + 1)

    assert not is_safe_file(path)


def test_where_there_are_no_owners_only_the_kind_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_OWNER", None)
    path.chmod(0o666)

    assert is_safe_file(path)
    assert not is_open_to_others(path.lstat())
    assert not is_safe(path.parent.lstat(), stat.S_ISREG)


def test_a_file_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "words"
    with made_whole(target) as draft:
        assert mode(draft) == 0o600
        draft.write_text("whole")
        assert not target.exists()

    assert target.read_text() == "whole"
    assert names_in(tmp_path) == {"words"}


def test_the_file_of_whoever_was_faster_stays(path: Path) -> None:
    path.write_text("theirs")
    with made_whole(path) as draft:
        draft.write_text("ours")

    assert path.read_text() == "theirs"
    assert names_in(path.parent) == {"words"}


def test_what_cannot_be_finished_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), made_whole(tmp_path / "words"):
        raise OSError("full")

    assert names_in(tmp_path) == set()
