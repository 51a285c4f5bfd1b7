"""The key of a store: one for all its processes, and nobody else's."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.processes import Start, mode, names_in

from clawver_orders.storage.keys import kept_key

MAKES_A_KEY = """
import sys, pathlib
from clawver_orders.storage.keys import kept_key
print("ready", flush=True)
sys.stdin.readline()
print(kept_key(pathlib.Path(sys.argv[1])).hex(), flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "stores" / "one" / "questions.key"


def test_it_is_made_once_and_for_this_user_alone(file: Path) -> None:
    key = kept_key(file)

    assert len(key) == 32
    assert kept_key(file) == key
    assert names_in(file.parent) == {"questions.key"}
    assert (mode(file), mode(file.parent), mode(file.parent.parent)) == (0o600, 0o700, 0o700)
    assert kept_key(file.with_name("another.key")) != key


def test_processes_that_begin_together_have_one_key(file: Path, another: Start) -> None:
    others = [another(MAKES_A_KEY, file) for _ in range(4)]
    assert [other.hear() for other in others] == ["ready"] * 4
    for other in others:
        other.go_on()

    assert {other.hear() for other in others} == {kept_key(file).hex()}
    assert names_in(file.parent) == {"questions.key"}


def test_whoever_is_slower_takes_the_key_of_the_faster(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faster = []
    link = os.link

    def late(draft: Path, path: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        faster.append(kept_key(path))
        link(draft, path)

    monkeypatch.setattr(os, "link", late)

    assert [kept_key(file)] == faster
    assert names_in(file.parent) == {"questions.key"}


def a_link(file: Path) -> None:
    file.with_name("elsewhere").write_bytes(b"k" * 32)
    file.with_name("elsewhere").chmod(0o600)
    file.symlink_to(file.with_name("elsewhere"))


def a_link_to_nothing(file: Path) -> None:
    file.symlink_to(file.with_name("elsewhere"))


def open_to_others(file: Path) -> None:
    file.write_bytes(b"k" * 32)
    file.chmod(0o640)


def too_short(file: Path) -> None:
    file.write_bytes(b"k" * 31)
    file.chmod(0o600)


def too_long(file: Path) -> None:
    file.write_bytes(b"k" * 33)
    file.chmod(0o600)


def a_folder(file: Path) -> None:
    file.mkdir(mode=0o700)


def in_a_folder_of_everybody(file: Path) -> None:
    too_short(file)
    file.write_bytes(b"k" * 32)
    file.parent.chmod(0o777)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other ways to share and to link")
@pytest.mark.parametrize(
    "unsafe",
    [a_link, a_link_to_nothing, open_to_others, too_short, too_long, a_folder, in_a_folder_of_everybody],
)  # fmt: skip
def test_what_is_not_safe_is_neither_used_nor_replaced(
    unsafe: Callable[[Path], None], file: Path
) -> None:
    file.parent.mkdir(parents=True, mode=0o700)
    unsafe(file)
    before = names_in(file.parent)

    with pytest.raises(OSError, match=r".") as refused:
        kept_key(file)

    assert names_in(file.parent) == before
    assert "k" * 31 not in str(refused.value)
