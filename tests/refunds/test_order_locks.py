"""One at a time works on an order, on the whole machine."""

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio.lowlevel
import pytest
from filelock import FileLock
from tests.processes import Start, mode, names_in

from clawver_orders.errors import SetupError, UnreachableError
from clawver_orders.refunds import order_locks
from clawver_orders.refunds.order_locks import OrderBusyError, OrderLocks, check_still_alone
from clawver_orders.storage.folders import make_private

IN_A_PROCESS = """
import sys
from pathlib import Path
import anyio
from clawver_orders.refunds.order_locks import OrderLocks
async def hold():
    async with OrderLocks(Path(sys.argv[1])).held("ord_1", 0):
        print("held", flush=True)
        sys.stdin.readline()
anyio.run(hold)
print("free", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "locks"


async def is_free(folder: Path, order_id: str = "ord_1", wait_seconds: float = 0) -> bool:
    with suppress(OrderBusyError):
        async with OrderLocks(folder).held(order_id, wait_seconds):
            return True
    return False


async def test_another_process_keeps_an_order_and_gives_it_back(
    folder: Path, another: Start
) -> None:
    process = another(IN_A_PROCESS, folder)
    assert process.hear() == "held"

    assert not await is_free(folder)
    assert await is_free(folder, "ord_2")
    process.go_on()
    assert process.hear() == "free"
    assert await is_free(folder)


async def test_a_lock_goes_when_its_process_is_killed(folder: Path, another: Start) -> None:
    process = another(IN_A_PROCESS, folder)
    assert process.hear() == "held"

    process.kill()

    assert await is_free(folder)


async def test_whoever_waits_gets_the_order_when_it_is_free(folder: Path, another: Start) -> None:
    process = another(IN_A_PROCESS, folder)
    assert process.hear() == "held"
    async with anyio.create_task_group() as tasks:
        answers: list[bool] = []

        async def wait() -> None:
            answers.append(await is_free(folder, wait_seconds=20))

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert answers == []
        process.go_on()

    assert answers == [True]


@pytest.mark.parametrize(
    ("is_held", "seconds", "may_go"), [(True, 15, True), (True, 15.1, False), (False, 0, False)]
)
async def test_what_was_noted_long_ago_or_without_a_lock_is_not_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, is_held: bool, seconds: float, may_go: bool
) -> None:
    locks = OrderLocks(folder)
    assert await locks.still_held("ord_1")

    async def still_held(order_id: str) -> bool:
        return is_held

    monkeypatch.setattr(locks, "still_held", still_held)
    monkeypatch.setattr(order_locks, "seconds_since_boot", lambda: 100.0 + seconds)
    if may_go:
        await check_still_alone(locks, "ord_1", 100.0)
    else:
        with pytest.raises(UnreachableError, match="stood still, or lost the lock"):
            await check_still_alone(locks, "ord_1", 100.0)


async def test_waiting_is_bounded(folder: Path) -> None:
    async with OrderLocks(folder).held("ord_1", 0):
        with anyio.fail_after(5):
            assert not await is_free(folder, wait_seconds=0.05)


@pytest.mark.parametrize("shared", [True, False], ids=["one object", "two objects"])
async def test_two_tasks_of_one_process_work_on_an_order_one_by_one(
    folder: Path, shared: bool
) -> None:
    locks = OrderLocks(folder)
    inside: list[int] = []
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        async with (locks if shared else OrderLocks(folder)).held("ord_1", 20):
            inside.append(number)
            most = max(most, len(inside))
            await anyio.lowlevel.checkpoint()
            inside.remove(number)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(work, number)

    assert most == 1


async def test_a_lock_goes_when_its_work_fails_or_is_cancelled(folder: Path) -> None:
    locks = OrderLocks(folder)
    with pytest.raises(KeyError):
        async with locks.held("ord_1", 0):
            raise KeyError
    assert await is_free(folder)

    with anyio.move_on_after(0):
        async with locks.held("ord_1", 0):
            await anyio.sleep_forever()
    assert await is_free(folder)


async def test_every_lock_is_given_back_at_once_and_not_by_chance(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FileLock] = []  # kept, because a lock that nobody holds on to lets go by itself
    really = order_locks._file_lock

    def make(path: Path) -> FileLock:
        made.append(really(path))
        return made[-1]

    monkeypatch.setattr(order_locks, "_file_lock", make)
    async with OrderLocks(folder).held("ord_1", 0):
        assert [lock.is_locked for lock in made] == [False, False, True]

    assert [lock.is_locked for lock in made] == [False, False, False]


async def test_a_probe_that_fails_gives_its_locks_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[FileLock] = []

    def make(path: Path) -> FileLock:
        made.append(a_lock_that_lets_everybody_in(path))
        return made[-1]

    monkeypatch.setattr(order_locks, "_file_lock", make)
    with pytest.raises(SetupError):
        OrderLocks(folder).prove()

    assert [lock.is_locked for lock in made] == [False, False]


async def test_lock_files_stay_and_are_private(folder: Path) -> None:
    async with OrderLocks(folder).held("ord_1", 0):
        pass

    assert names_in(folder) == {"order-ord_1.lock"}
    assert mode(folder / "order-ord_1.lock") == 0o600
    assert {mode(folder), mode(folder.parent)} == {0o700}


def no_lock_at_all(path: Path) -> FileLock:
    raise NotImplementedError


def a_lock_that_fails(path: Path) -> FileLock:
    raise OSError


def a_lock_that_lets_everybody_in(path: Path) -> FileLock:
    a_lock_that_lets_everybody_in.count += 1  # type: ignore[attr-defined]  # a counter of its own
    return FileLock(f"{path}-{a_lock_that_lets_everybody_in.count}")  # type: ignore[attr-defined]


a_lock_that_lets_everybody_in.count = 0  # type: ignore[attr-defined]  # a counter of its own


@pytest.mark.parametrize("lock", [a_lock_that_lets_everybody_in, no_lock_at_all, a_lock_that_fails])
async def test_locks_that_do_not_lock_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, lock: Callable[[Path], FileLock]
) -> None:
    locks = OrderLocks(folder)
    with monkeypatch.context() as broken:
        broken.setattr(order_locks, "_file_lock", lock)
        for _ in range(2):
            with pytest.raises(SetupError, match="File locks do not work") as refusal:
                async with locks.held("ord_1", 0):
                    pytest.fail("it was let in")
    assert "CLAWVER_STATE_DIR" in refusal.value.next_step

    async with locks.held("ord_1", 0):  # mended meanwhile
        assert not await is_free(folder)


def test_a_system_without_locks_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "there is no such thing here")

    monkeypatch.setattr("fcntl.flock", missing)

    with pytest.raises(SetupError, match="File locks do not work"):
        OrderLocks(folder).prove()


def test_locks_are_proven_once_and_leave_no_probe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = OrderLocks(folder)
    locks.prove()
    assert names_in(folder) == set()
    monkeypatch.setattr(order_locks, "_excludes", lambda *_: pytest.fail("proven again"))

    locks.prove()


def test_two_that_prove_at_once_do_not_fail_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = order_locks._excludes

    def while_another_one_does(first: FileLock, second: FileLock) -> bool:
        monkeypatch.setattr(order_locks, "_excludes", really)
        first.acquire()
        try:
            OrderLocks(folder).prove()
        finally:
            first.release()
        return really(first, second)

    monkeypatch.setattr(order_locks, "_excludes", while_another_one_does)

    OrderLocks(folder).prove()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    with pytest.raises(SetupError, match=r"cannot be made \(Not a directory\)"):
        OrderLocks(tmp_path / "state" / "locks").prove()


def test_a_disk_that_cannot_be_written_is_not_told_as_locks_that_do_not_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(order_locks, "make_private", refuse)

    with pytest.raises(SetupError, match=r"cannot be made \(Read-only file") as refusal:
        OrderLocks(folder).prove()
    assert f"make {folder} writable" in refusal.value.next_step


def test_a_lock_of_a_kind_that_this_system_has_not_is_no_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(order_locks, "_excludes", missing)

    with pytest.raises(SetupError, match="File locks do not work"):
        OrderLocks(folder).prove()


async def test_a_lock_that_cannot_be_made_is_said(folder: Path) -> None:
    planted = folder / "order-ord_1.lock"
    make_private(planted)

    with pytest.raises(SetupError, match="The lock of order ord_1 cannot be used") as refusal:
        async with OrderLocks(folder).held("ord_1", 0):
            pytest.fail("it was let in")

    assert str(planted) in refusal.value.next_step


def plant(link: Path, target: Path) -> None:
    make_private(link.parent)
    link.symlink_to(target)


async def test_a_lock_file_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    plant(folder / "order-ord_1.lock", tmp_path / "planted")

    with pytest.raises(SetupError, match="The lock of order ord_1 cannot be used"):
        async with OrderLocks(folder).held("ord_1", 0):
            pytest.fail("it was let in")

    assert "planted" not in names_in(tmp_path)


@pytest.mark.parametrize("length", [1, 200, 201, 255])
async def test_the_id_of_an_order_stands_in_the_name_of_its_lock_as_far_as_it_fits(
    folder: Path, length: int
) -> None:
    locks, order_id = OrderLocks(folder), "o" * length
    async with locks.held(order_id, 0):
        names = names_in(folder)
        with pytest.raises(OrderBusyError):
            async with OrderLocks(folder).held(order_id, 0):
                raise AssertionError

    (name,) = names
    assert (name == f"order-{order_id}.lock") is (length <= 200)
    assert len(name) <= 211
