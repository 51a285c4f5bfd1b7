"""Whether what has to be kept can be kept, asked by strangers."""

import errno
import os
from pathlib import Path

import anyio
import pytest

from clawver_orders.errors import ClawverError, SetupError, UnreachableError
from clawver_orders.storage.folders import try_writing
from clawver_orders.storage.readiness import Readiness


async def test_nothing_is_left_of_what_was_tried(tmp_path: Path) -> None:
    assert await Readiness(lambda: try_writing(tmp_path / "state")).trouble() == ""
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"),
        (errno.EROFS, "the disk is read-only"), (errno.EACCES, "this user may not write there"),
        (errno.EPERM, "this user may not write there"), (errno.EIO, "it cannot be written"),
        (None, "it cannot be written"),
    ],
)  # fmt: skip
async def test_the_kind_of_trouble_is_told_and_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    number: int | None, says: str,
) -> None:  # fmt: skip
    def fail(_: int) -> None:
        raise OSError(number, "x", str(tmp_path)) if number else OSError()

    monkeypatch.setattr(os, "fsync", fail)

    assert await Readiness(lambda: try_writing(tmp_path)).trouble() == says
    assert "the state folder cannot be written" in caplog.text
    assert str(tmp_path) not in caplog.text


async def test_many_who_ask_have_the_disk_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(os, "fsync", tried.append)
    ready = Readiness(lambda: try_writing(tmp_path))
    async with anyio.create_task_group() as strangers:
        for _ in range(50):
            strangers.start_soon(ready.trouble)
    assert len(tried) == 1


@pytest.mark.parametrize("began", [0.0, 1000.0])
async def test_an_answer_holds_for_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: float
) -> None:
    tried: list[int] = []
    monkeypatch.setattr(os, "fsync", tried.append)
    ready = Readiness(lambda: try_writing(tmp_path))

    seen = []
    for passed in (0, 4.9, 5, 9.9, 10):
        monkeypatch.setattr(anyio, "current_time", lambda passed=passed: began + passed)
        await ready.trouble()
        seen.append(len(tried))

    assert seen == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (None, ""),
        (UnreachableError, "the database cannot be reached, or is busy"),
        (SetupError, "the database cannot be used"),
    ],
)
async def test_what_is_wrong_with_a_database_is_told_by_its_kind(
    caplog: pytest.LogCaptureFixture, error: type[ClawverError] | None, says: str
) -> None:
    def prove() -> None:
        if error is not None:
            raise error("The database at db.example is away.", next_step="Wait.")

    assert await Readiness(prove).trouble() == says
    assert ("the database cannot be written" in caplog.text) is bool(says)
    assert "db.example" not in caplog.text
