"""A ledger that cannot be trusted lets no money go, is never begun anew, and stops nothing else."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import KEY, Configure, folder_of, with_slow
from tests.instruments.crash.host import Answer, KillableHost, environment_of
from tests.instruments.crash.watch import Point, WatchedShop

from clawver_sandbox.shop import Shop

Start = Callable[..., KillableHost]
PAGE = 4096
_IS_ROOT = os.geteuid() == 0
_OBEY_MODES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if _IS_ROOT else ()
"""Root may write what is read-only; without these capabilities it may not."""
_OWN_DISK = ("unshare", "--mount", "sh", "-c",
             'mount -t tmpfs -o size=600k,mode=0700 tmpfs "$CLAWVER_STATE_DIR" && exec "$@"', "sh")  # fmt: skip
"""A disk of its own, which nobody else can see and which is gone with the process."""


@pytest.fixture
def shop(tmp_path: Path) -> WatchedShop:
    return WatchedShop.open(tmp_path / "store.sqlite3")


@pytest.fixture
def ledger(configure: Configure) -> Path:
    return folder_of(configure()) / "ledger.sqlite3"


@pytest.fixture
def start(store_url: str, tmp_path: Path) -> Iterator[Start]:
    hosts: list[KillableHost] = []
    (tmp_path / "state").mkdir(mode=0o700)

    def one_more(*before: str, **more: str) -> KillableHost:
        state = tmp_path / "state"
        settings = environment_of(f"{store_url}/v1", state, REFUND_VERIFY_SECONDS=3, **more)
        settings["CLAW_API_KEY"] = KEY
        hosts.append(KillableHost(settings, tmp_path / "stderr", before=before))
        return hosts[-1]

    yield one_more
    for host in hosts:
        host.close()


def refund(host: KillableHost, arguments: dict[str, Any]) -> Answer:
    answer = host.call("refund_order", **arguments)
    assert answer is not None
    return answer


def can_read(host: KillableHost) -> bool:
    answer = host.call("get_order", order_id="ord_shirt")
    return answer is not None and answer.says["orders"][0]["order_id"] == "ord_shirt"


def nothing_was_sent(answer: Answer) -> bool:
    """All that can be said without the ledger: the same may have been refunded before."""
    return answer.error.startswith("refund_order failed. Nothing was sent. ")


def wanted(shop: Shop) -> dict[str, Any]:
    return {
        "order_id": shop.sell(total_in_cents=2499)["id"],
        "amount_in_cents": 700,
        "reason": "Smudged",
    }


def posts(shop: Shop) -> int:
    return [request["method"] for request in shop.requests()].count("POST")


# What can happen to a file


def _deleted(ledger: Path) -> None:
    ledger.unlink()


def _emptied(ledger: Path) -> None:
    ledger.write_bytes(b"")


def _cut_in_the_middle(ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size // 2)


def _cut_after_its_first_page(ledger: Path) -> None:
    os.truncate(ledger, PAGE)


def _cut_within_a_page(ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size - PAGE // 2)


def _overwritten(ledger: Path) -> None:
    ledger.write_bytes(b"something else entirely" * 4000)


def _flipped(page: int, byte: int) -> Callable[[Path], None]:
    def flip(ledger: Path) -> None:
        with ledger.open("r+b") as file:
            file.seek((page - 1) * PAGE + (100 if page == 1 else 0) + byte)
            (found,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([found ^ 0x04]))

    return flip


def _of_a_newer_version(ledger: Path) -> None:
    _run_on(ledger, "PRAGMA user_version = 99")


def _of_another_program(ledger: Path) -> None:
    _run_on(ledger, "PRAGMA application_id = 1")


def _run_on(ledger: Path, statement: str) -> None:
    connection = sqlite3.connect(ledger)
    connection.execute(statement)
    connection.commit()
    connection.close()


def _linked(ledger: Path) -> None:
    ledger.rename(ledger.parent / "elsewhere.sqlite3")
    ledger.symlink_to(ledger.parent / "elsewhere.sqlite3")


def _linked_to_nothing(ledger: Path) -> None:
    ledger.unlink()
    ledger.symlink_to(ledger.parent / "nothing")


def _a_folder(ledger: Path) -> None:
    ledger.unlink()
    ledger.mkdir()


def _writable_for_all(ledger: Path) -> None:
    ledger.chmod(0o666)


def _in_a_folder_writable_for_all(ledger: Path) -> None:
    ledger.parent.chmod(0o777)


def _below_a_folder_writable_for_all(ledger: Path) -> None:
    ledger.parents[1].chmod(0o777)


def _of_another_user(ledger: Path) -> None:
    os.chown(ledger, 65534, 65534)


DAMAGE: dict[str, Callable[[Path], None]] = {
    "deleted": _deleted,
    "emptied": _emptied,
    "cut in the middle": _cut_in_the_middle,
    "cut after its first page": _cut_after_its_first_page,
    "cut within a page": _cut_within_a_page,
    "overwritten": _overwritten,
    # Byte 0 of a page's header is its kind, bytes 3 and 4 are how many rows it holds.
    **{f"page {page} of another kind": _flipped(page, 0) for page in (1, 2, 3, 4, 5)},
    **{f"page {page} with fewer or more rows": _flipped(page, 4) for page in (2, 3, 4, 5, 6)},
    "of a newer version": _of_a_newer_version,
    "of another program": _of_another_program,
    "a link": _linked,
    "a link to nothing": _linked_to_nothing,
    "a folder": _a_folder,
    "writable for all": _writable_for_all,
    "in a folder writable for all": _in_a_folder_writable_for_all,
    "below a folder writable for all": _below_a_folder_writable_for_all,
    **({"of another user": _of_another_user} if _IS_ROOT else {}),
}


AT_A_START = (
    "overwritten", "deleted", "emptied", "cut in the middle", "page 4 of another kind",
    "page 5 with fewer or more rows", "of a newer version", "a link to nothing", "writable for all",
)  # fmt: skip
"""A new server reads the file no otherwise: the rest of the damage it would see too."""


@contextmanager
def put_back_afterwards(ledger: Path) -> Iterator[None]:
    """A backup of the whole folder, restored by whoever found out."""
    backup = ledger.parent.with_name("backup")
    shutil.copytree(ledger.parent, backup)
    yield
    ledger.parents[1].chmod(0o700)
    while backup.exists():
        with suppress(OSError):  # the server put a file of its own there meanwhile
            shutil.rmtree(ledger.parent, ignore_errors=True)
            backup.rename(ledger.parent)


def looks(ledger: Path) -> object:
    """All that can be seen of a file."""
    try:
        found = ledger.lstat()
    except FileNotFoundError:
        return None
    content = ledger.read_bytes() if ledger.is_file() else None
    return found.st_ino, found.st_mode, found.st_uid, content


def refusals(
    host: KillableHost, shop: WatchedShop, ledger: Path, *wishes: dict[str, Any]
) -> list[str]:
    """What a server does wrong while its ledger cannot be trusted: nothing, in the best of cases."""
    looked, sent = looks(ledger), posts(shop)
    answers = [refund(host, wish) for wish in wishes]
    wrong = [str(answer) for answer in answers if not nothing_was_sent(answer)]
    wrong += [f"no way out: {each}" for each in answers if "A person must" not in each.error]
    if not can_read(host):
        wrong.append("an order could not be read")
    if posts(shop) != sent:
        wrong.append("something was sent")
    if looks(ledger) != looked:
        wrong.append("the file was touched")
    return wrong


@pytest.mark.slow
def test_a_ledger_that_is_damaged_under_a_server_lets_no_money_go_until_it_is_put_back(
    start: Start, shop: WatchedShop, ledger: Path
) -> None:
    host, first = start(), wanted(shop)
    assert refund(host, first).status == "refunded"
    wrong: dict[str, list[str]] = {}
    for name, damage in DAMAGE.items():
        assert refund(host, wanted(shop)).status == "refunded"
        with put_back_afterwards(ledger):
            damage(ledger)
            with suppress(
                FileNotFoundError
            ):  # some other time than that of the last write, just now
                os.utime(ledger, (1, 1), follow_symlinks=False)
            wrong[name] = refusals(host, shop, ledger, wanted(shop), first, wanted(shop))
        assert refund(host, first).status == "already_refunded"

    assert {name: what for name, what in wrong.items() if what} == {}
    assert refund(host, wanted(shop)).status == "refunded"


@pytest.mark.parametrize("damage", with_slow(AT_A_START[:1], AT_A_START[1:]))
def test_a_server_that_finds_a_damaged_ledger_lets_no_money_go(
    start: Start, shop: WatchedShop, ledger: Path, damage: str
) -> None:
    first, host = wanted(shop), start()
    assert refund(host, first).status == "refunded"
    host.kill()
    DAMAGE[damage](ledger)
    ended = looks(ledger)
    servers = [start() for _ in range(1 + (damage == "deleted"))]
    wrong = [refusals(host, shop, ledger, wanted(shop), first) for host in servers]

    assert wrong == [[]] * len(servers)
    assert looks(ledger) == ended
    assert shop.refunds() == [(first["order_id"], 700)]


@pytest.mark.slow
def test_a_ledger_that_somebody_else_holds_lets_no_money_go(
    start: Start, shop: WatchedShop, ledger: Path
) -> None:
    host = start()
    refund(host, wanted(shop))
    with held_by_another(ledger):
        refused = refund(host, wanted(shop))
        assert can_read(host)
        assert posts(shop) == 1
    after = refund(host, wanted(shop))

    assert nothing_was_sent(refused)
    assert "Another program holds the file of the refund ledger" in refused.error
    assert after.status == "refunded"


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another(ledger: Path) -> Iterator[None]:
    """Another process has the file for itself."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(ledger)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield
        other.communicate()


# Disks


@pytest.mark.slow
@pytest.mark.skipif(_IS_ROOT and shutil.which("setpriv") is None, reason="root can write anything")
@pytest.mark.parametrize("what", with_slow(["both"], ["the file", "its folder"]))
def test_a_ledger_that_is_read_only_lets_no_money_go(
    start: Start, shop: WatchedShop, ledger: Path, what: str
) -> None:
    first = refund(start(), wanted(shop))
    modes = {"the file": (0o400, 0o700), "its folder": (0o600, 0o500), "both": (0o400, 0o500)}
    file_mode, folder_mode = modes[what]
    content = ledger.read_bytes()
    ledger.chmod(file_mode)
    ledger.parent.chmod(folder_mode)
    try:
        host = start(*_OBEY_MODES)
        refused = [refund(host, wanted(shop)) for _ in range(2)]
        assert can_read(host)
    finally:
        ledger.parent.chmod(0o700)

    assert first.status == "refunded"
    assert all(nothing_was_sent(answer) for answer in refused), refused
    assert ledger.read_bytes() == content
    assert posts(shop) == 1


@pytest.mark.slow
def test_a_server_that_may_write_no_more_lets_no_money_go(start: Start, shop: WatchedShop) -> None:
    host = start()
    first = refund(host, wanted(shop))
    with no_room_for(host):
        refused = [refund(host, wanted(shop)) for _ in range(2)]
        assert can_read(host)
    after = refund(host, wanted(shop))

    assert all(nothing_was_sent(answer) for answer in refused), refused
    assert (first.status, after.status) == ("refunded", "refunded")
    assert posts(shop) == 2


@contextmanager
def no_room_for(host: KillableHost) -> Iterator[None]:
    """No file that this process writes may hold a byte."""
    _limit(host, 0)
    try:
        yield
    finally:
        _limit(host, resource.RLIM_INFINITY)


def _limit(host: KillableHost, most: int) -> None:
    resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("drop_before", "unknown"),
        pytest.param("", "refunded", marks=pytest.mark.slow),
        pytest.param("drop_after", "refunded", marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_fills_up_after_the_request_left_hides_nothing(
    start: Start, shop: WatchedShop, fault: str, status: str
) -> None:
    host = start()
    refund(host, wanted(shop))
    arguments = wanted(shop)
    if fault:
        shop.add_fault(fault, method="POST")
    shop.watch(arguments["order_id"], _at("arrived", lambda: _limit(host, 0)))
    told = refund(host, arguments)
    _limit(host, resource.RLIM_INFINITY)
    again = refund(host, arguments)

    assert told.status == status
    assert "ledger could not be written" in told.says["warning"]
    assert again.status == ("already_refunded" if status == "refunded" else "unknown")
    assert "warning" not in again.says
    assert posts(shop) == 2


def _at(point: Point, what: Callable[[], None]) -> Callable[[Point], None]:
    def tell(seen: Point) -> None:
        if seen == point:
            what()

    return tell


def _has_own_disks() -> bool:
    if not _IS_ROOT or shutil.which("unshare") is None:
        return False
    with suppress(OSError, subprocess.SubprocessError):
        trial = [*_OWN_DISK, "true"]
        return (
            subprocess.run(
                trial, env=os.environ | {"CLAWVER_STATE_DIR": "/mnt"}, check=False, timeout=10,
                stderr=subprocess.DEVNULL,
            ).returncode == 0
        )  # fmt: skip
    return False


@pytest.mark.skipif(not _has_own_disks(), reason="only root can mount a disk to fill")
def test_a_disk_that_is_really_full_lets_no_money_go_and_hides_nothing(
    start: Start, shop: WatchedShop, tmp_path: Path
) -> None:
    # The history writes at moments of its own, and what it gives back could be what the ledger needs.
    host = start(*_OWN_DISK, HISTORY="off")
    disk = Path(f"/proc/{host.process.pid}/root{tmp_path}/state")
    first = refund(host, wanted(shop))
    ballast = disk / "ballast"
    _fill(ballast)
    refused = [refund(host, wanted(shop)) for _ in range(2)]
    assert can_read(host)
    ballast.unlink()

    arguments = wanted(shop)
    shop.watch(arguments["order_id"], _at("arrived", lambda: _fill(ballast)))
    told = refund(host, arguments)
    ballast.unlink()
    again = refund(host, arguments)

    assert first.status == "refunded"
    assert all(nothing_was_sent(answer) for answer in refused), refused
    assert "The disk is full, so the refund ledger cannot be written" in refused[0].error
    assert told.status == "refunded"
    assert "ledger could not be written" in told.says["warning"]
    assert again.status == "already_refunded"
    assert posts(shop) == 2


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 512):
            pass
