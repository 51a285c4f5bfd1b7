"""Clocks that are set, machines that start again, state that moves, and ledgers that come back."""

import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from tests.conftest import with_slow
from tests.refunds.book import IN_A_FILE, START, Book
from tests.refunds.room import REASON, Room, store_of, wish_of

from clawver_orders.caller import Script
from clawver_orders.refunds.ledger import DailyLimitError, Ledger
from clawver_orders.refunds.ledger_rows import Rows
from clawver_orders.refunds.ledger_wishes import MovedOnError
from clawver_orders.refunds.matching import doubts_of
from clawver_orders.refunds.outcome import Outcome
from clawver_orders.refunds.records import OrderRecords, Wish
from clawver_orders.storage import sqlite

WINDOW = 90.0  # with 900, the reads of one call would be a second apart
DAY, YEARS = timedelta(days=1), timedelta(days=5 * 365)
JUMPS = [timedelta(0), DAY, -DAY, YEARS, -YEARS]


@pytest.fixture
def waits(room: Room) -> Room:
    """A room with a verification window that can be waited for."""
    room.verify_seconds = WINDOW
    return room


async def checked(room: Room, wish: Wish) -> str:
    """How a refund stands, after two looks that are far enough apart to be believed."""
    for _ in range(2):
        status = (await room.desk().check(wish.refund_id)).status
        room.passes(WINDOW / 60)
    return status


def moves(room: Room, boot: str = "another machine", up: float = 9e6) -> None:
    """The state goes to another machine, or this one starts again."""
    room.boot, room.up = boot, up


# The verification window


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_clock_that_is_set_shortens_no_window(waits: Room, jump: timedelta) -> None:
    wish = await waits.lost()
    waits.passes(5)
    waits.at += jump

    assert await checked(waits, wish) == "unknown"
    waits.passes(WINDOW)
    assert await checked(waits, wish) == "not_recorded"


async def test_an_uptime_that_runs_ahead_of_the_clock_shortens_no_window(waits: Room) -> None:
    """[A4] As in two containers of one machine that count otherwise."""
    wish = await waits.lost()
    waits.passes(10)
    waits.up = 9e6

    assert await checked(waits, wish) == "unknown"
    waits.passes(WINDOW)
    assert await checked(waits, wish) == "not_recorded"


@pytest.mark.parametrize("up", with_slow([20.0], [9e6]))
@pytest.mark.parametrize("jump", JUMPS)
async def test_another_start_waits_as_long_as_if_it_had_just_been_sent(
    waits: Room, jump: timedelta, up: float
) -> None:
    """[A4] The uptime of another machine, or of this one before it started again, says nothing."""
    wish = await waits.lost()
    waits.passes(10)
    moves(waits, up=up)
    waits.at += jump

    assert await checked(waits, wish) == "unknown"
    waits.passes(WINDOW - 10)
    assert await checked(waits, wish) == "unknown"
    waits.passes(WINDOW)
    assert await checked(waits, wish) == "not_recorded"


async def test_another_start_waits_no_less_than_the_clock_says(waits: Room) -> None:
    """It may have been looked at long ago, as far as its uptime goes."""
    wish = await waits.lost()
    moves(waits)
    assert await checked(waits, wish) == "unknown"
    waits.up += WINDOW

    assert await checked(waits, wish) == "unknown"


async def test_state_that_comes_back_counts_from_when_it_came_back(waits: Room) -> None:
    """This machine knew the ledger long before the refund was sent elsewhere."""
    await waits.waiting(cents=300)
    waits.passes(WINDOW * 10)
    here = waits.boot, waits.up
    moves(waits, "the other", 50.0)
    waits.at -= DAY  # its clock was behind
    wish = await waits.lost()
    waits.at += DAY
    moves(waits, *here)

    assert await checked(waits, wish) == "unknown"
    waits.passes(WINDOW)
    assert await checked(waits, wish) == "not_recorded"


async def test_another_process_of_the_same_start_goes_on_counting(waits: Room) -> None:
    wish = await waits.lost()
    waits.passes(WINDOW)
    waits.ledger = Ledger(store_of(waits.parts).scope.folder / "ledger.sqlite3", waits.now)

    assert await checked(waits, wish) == "not_recorded"


async def test_what_was_refused_a_moment_ago_stays_that_on_another_machine(waits: Room) -> None:
    """[A1] In the window, any refund of that order needs a person."""
    await waits.refused()
    moves(waits)
    waits.at += YEARS

    first = wish_of(await waits.refund(300, refund_approval="agent"))
    assert first.grade_needed == "chat"
    waits.passes(WINDOW)
    second = wish_of(await waits.refund(300, refund_approval="agent"))
    assert (second.grade_needed, second.revision) == ("agent", 2)


# Previews


async def confirmed(room: Room, wish: Wish) -> Outcome:
    outcome: Outcome = await room.desk(refund_approval="agent").confirm(
        wish.refund_id, wish.revision, Script()
    )
    return outcome


@pytest.mark.parametrize("jump", [timedelta(0), -DAY, timedelta(minutes=-15), -YEARS])
async def test_a_preview_is_not_confirmed_later_because_the_clock_went_back(
    room: Room, jump: timedelta
) -> None:
    """[A15]"""
    wish = await room.waiting()
    room.passes(15 * 60)
    room.at += jump

    assert (await confirmed(room, wish)).status == "needs_approval"
    assert room.posts() == 0
    assert (await confirmed(room, wish)).status == "refunded"  # it was shown again


async def test_a_preview_is_not_confirmed_later_because_the_clock_went_ahead(room: Room) -> None:
    wish = await room.waiting()
    room.at += DAY

    assert (await confirmed(room, wish)).status == "needs_approval"


@pytest.mark.parametrize(("back", "status"), [(0, "refunded"), (60, "needs_approval")])
async def test_a_preview_of_before_a_restart_is_confirmed_by_the_clock(
    room: Room, back: float, status: str
) -> None:
    """What lies in its future was shown nobody knows when."""
    wish = await room.waiting()
    moves(room, "after a restart", 30.0)
    room.at += timedelta(seconds=40 - back)

    assert (await confirmed(room, wish)).status == status


@pytest.mark.parametrize("jump", [-YEARS, -DAY])
async def test_a_wish_waits_no_longer_because_the_clock_went_back(
    book: Book, jump: timedelta
) -> None:
    wish = await book.wants()
    book.now.passes(hours=72)
    book.now.at += jump

    assert (await book.found(wish)).status == "expired"


# The day's limit


async def spent_after(
    book: Book, jump: timedelta, hours: float, boot: str = "", up: float = 0.0
) -> int:
    await book.at("refunded")
    book.now.at += jump
    if boot:
        book.now.boot, book.now.up = boot, up
    await book.ledger.latest(1000)  # from here on it's known
    book.now.passes(hours=hours)
    return await book.ledger.spent_in_cents()


@pytest.mark.parametrize("jump", JUMPS)
async def test_no_clock_gives_the_days_limit_anew_or_keeps_it_for_years(
    book: Book, jump: timedelta
) -> None:
    """[A15] The uptime counts."""
    assert await spent_after(book, jump, 23.99) == 500
    book.now.passes(hours=0.01)
    assert await book.ledger.spent_in_cents() == 0


@pytest.mark.parametrize("up", [30.0, 9e6])
@pytest.mark.parametrize("jump", [-DAY, -YEARS])
async def test_what_was_sent_in_the_future_counts_for_a_day_from_the_first_look(
    book: Book, jump: timedelta, up: float
) -> None:
    """[A15] A clock that was ahead for a while blocks nothing for years."""
    assert await spent_after(book, jump, 23.99, "another start", up) == 500
    book.now.passes(hours=0.01)
    assert await book.ledger.spent_in_cents() == 0
    book.now.passes(hours=1)  # the clock may come to where the refund was sent only now
    assert await book.ledger.spent_in_cents() == 0


async def test_after_a_restart_the_clock_counts(book: Book) -> None:
    assert await spent_after(book, timedelta(0), 23.99, "another start", 30.0) == 500
    book.now.passes(hours=0.01)
    assert await book.ledger.spent_in_cents() == 0


async def test_a_limit_that_is_reached_is_reached_whatever_the_clock_says(book: Book) -> None:
    await book.at("refunded", cents=900)
    wish = await book.wants("ord_2", 200)
    for jump in JUMPS:
        book.now.at = START + jump
        with pytest.raises((DailyLimitError, MovedOnError)) as refusal:
            await book.sends(await book.wants("ord_2", 200), limit=1000)
        assert refusal.type is DailyLimitError
    assert (await book.found(wish)).attempts == ()


# Declines


@pytest.mark.parametrize("jump", JUMPS)
async def test_a_decline_counts_for_a_day_whatever_the_clock_says(
    book: Book, jump: timedelta
) -> None:
    await book.at("declined")

    async def kinds() -> list[str]:
        found = doubts_of(await book.ledger.of_order("ord_1"), book.now(), WINDOW)
        return [doubt.kind for doubt in found]

    book.now.passes(hours=23.99)
    book.now.at += jump
    assert await kinds() == ["declined"]
    book.now.passes(hours=0.01)
    assert await kinds() == []


# A ledger that comes back


@contextmanager
def copied(ledger: Path) -> Iterator[None]:
    """Keep a copy of the file, and put it back at the end of the block."""
    copy = ledger.with_name("a backup")
    shutil.copy2(ledger, copy)
    yield
    shutil.copy2(copy, ledger)


async def records_of(book: Book, order_id: str = "ord_1") -> OrderRecords:
    return await Ledger(book.path, book.now).of_order(order_id)


def kinds_of(records: OrderRecords, book: Book) -> list[str]:
    return [doubt.kind for doubt in doubts_of(records, book.now(), WINDOW)]


@IN_A_FILE
async def test_an_older_copy_of_the_ledger_is_noticed(book: Book) -> None:
    """[A14]"""
    await book.at("waiting")
    with copied(book.path):
        lost = await book.at("unknown", "ord_2")
        assert (await records_of(book)).restored is None

    records = await records_of(book)
    assert records.restored == book.now()
    assert kinds_of(records, book) == ["restored"]
    assert await book.ledger.find(lost.refund_id) is None
    book.now.passes(seconds=WINDOW - 1)
    assert kinds_of(await records_of(book, "ord_2"), book) == ["restored"]
    book.now.passes(seconds=1)
    assert kinds_of(await records_of(book), book) == []


@IN_A_FILE
async def test_a_process_that_runs_on_notices_too(book: Book) -> None:
    await book.at("waiting")
    with copied(book.path):
        await book.at("unknown", "ord_2")

    noticed = book.now()
    assert (await book.ledger.of_order("ord_1")).restored == noticed
    book.now.passes(seconds=5)
    await book.wants("ord_3")
    assert (await book.ledger.of_order("ord_1")).restored == noticed


@IN_A_FILE
async def test_an_older_copy_is_noticed_where_nothing_can_be_written(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    await book.at("waiting")
    with copied(book.path):
        await book.at("unknown", "ord_2")
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(book.path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            book.now.passes(seconds=WINDOW)
            assert (await book.ledger.of_order("ord_1")).restored == book.now()


async def test_a_line_that_is_kept_and_not_yet_committed_makes_no_older_copy(book: Book) -> None:
    """Its number lies beside the file a moment before others can read it, and they read just then."""
    await book.at("waiting")
    reader, is_kept, is_read = Ledger(book.path, book.now), threading.Event(), threading.Event()
    looks, keep = [reader.is_older], book.ledger._keep_number
    writer = threading.Thread(target=lambda: anyio.run(book.wants, "ord_2"))

    def kept(number: int, digest: str = "") -> None:
        keep(number, digest)
        is_kept.set()
        is_read.wait(60)

    def look(rows: Rows) -> bool:
        found = looks[0](rows)
        if not writer.is_alive():
            writer.start()
            is_kept.wait(60)
        return found

    await reader.of_order("ord_1")
    book.ledger.__dict__["_keep_number"] = kept
    reader.__dict__["is_older"] = look
    records = await reader.of_order("ord_1")
    is_read.set()
    writer.join()

    assert records.restored is None


@IN_A_FILE
async def test_a_copy_that_is_put_back_twice_is_noticed_twice(book: Book) -> None:
    await book.at("waiting")
    with copied(book.path):
        await book.at("unknown", "ord_2")
    await records_of(book)
    with copied(book.path):
        book.now.passes(seconds=WINDOW)
        assert kinds_of(await records_of(book), book) == []
        await book.at("unknown", "ord_3")

    records = await records_of(book)
    assert records.restored == book.now()
    assert kinds_of(records, book) == ["restored"]


@IN_A_FILE
@pytest.mark.parametrize("more", [0, 5])
async def test_an_older_copy_is_noticed_though_others_went_on_from_it(
    book: Book, more: int
) -> None:
    """Servers of other machines write as many lines before this one looks, or more."""
    await book.at("waiting")
    mark = book.path.with_suffix(".number")
    with copied(book.path):
        await book.at("unknown", "ord_2")
        own = mark.read_text("ascii")
    mark.unlink()
    for number in range(int(own[:20]) - await book.number() + more):
        await book.wants(f"ord_{number + 3}")
    mark.write_text(own, "ascii")

    assert kinds_of(await records_of(book), book) == ["restored"]
    book.now.passes(seconds=WINDOW)
    await book.wants("ord_1", cents=300)
    assert kinds_of(await records_of(book), book) == []


@IN_A_FILE
async def test_the_very_same_copy_is_noticed_again(book: Book, tmp_path: Path) -> None:
    """Nothing was noted since it was put back first, but that it was."""
    await book.at("waiting")
    shutil.copy2(book.path, tmp_path / "a backup")
    await book.at("unknown", "ord_2")
    for _ in range(3):
        shutil.copy2(tmp_path / "a backup", book.path)
        book.now.passes(seconds=WINDOW * 2)
        assert kinds_of(await records_of(book), book) == ["restored"]


@IN_A_FILE
async def test_what_comes_after_it_is_numbered_above_all_that_was_ever_noted(book: Book) -> None:
    await book.at("waiting")
    with copied(book.path):
        last = (await book.ledger.history((await book.at("refunded", "ord_2")).refund_id))[-1]

    wish = await book.wants("ord_3")

    (line,) = await book.ledger.history(wish.refund_id)
    assert line.number == last.number + 1
    assert (await book.sends(wish)).status == "sending"


@IN_A_FILE
async def test_a_ledger_that_was_begun_anew_is_an_older_copy_too(book: Book) -> None:
    await book.at("unknown")
    for name in ("ledger.sqlite3", "ledger.made"):
        (book.path.parent / name).unlink()
    anew = Ledger(book.path, book.now)

    records = await anew.of_order("ord_1")
    assert (records.wishes, records.restored) == ((), book.now())
    assert not anew.exists
    book.ledger = anew
    await book.wants("ord_2")
    book.now.passes(seconds=WINDOW - 1)
    assert kinds_of(await records_of(book), book) == ["restored"]
    book.now.passes(seconds=1)
    assert kinds_of(await records_of(book), book) == []


def as_folder(mark: Path) -> None:
    mark.unlink()
    mark.mkdir()


@pytest.mark.parametrize(
    ("spoil", "is_kept_again"),
    [
        (lambda mark: mark.unlink(), True),
        (lambda mark: mark.write_bytes(b""), True),
        (lambda mark: mark.write_bytes(b"\xff" * 64), True),
        (
            lambda mark: mark.write_text("a number, or some other words that are longer than one"),
            True,
        ),
        (lambda mark: mark.write_text("9" * 40), True),
        (lambda mark: mark.write_text(f"{2**62 + 1:020d}"), True),
        (lambda mark: mark.write_text("-5"), True),
        (as_folder, False),
    ],
)
async def test_a_number_that_cannot_be_read_keeps_no_refund_back(
    book: Book, spoil: Callable[[Path], None], is_kept_again: bool
) -> None:
    mark = book.path.with_suffix(".number")
    book.ledger.begin()  # nothing is in it yet
    mark.parent.mkdir(0o700, exist_ok=True)
    mark.touch()
    spoil(mark)
    assert (await records_of(book)).restored is None
    mark.rmdir() if mark.is_dir() else mark.unlink(missing_ok=True)
    await book.at("refunded")
    spoil(mark)

    assert (await records_of(book)).restored is None
    last = await book.at("refunded", "ord_2")
    if is_kept_again:
        number = (await book.ledger.history(last.refund_id))[-1].number
        assert re.fullmatch(
            f"{number:020d} [0-9a-f]{{64}}", book.path.with_suffix(".number").read_text()
        )
        assert book.ledger.kept_number() == number


async def test_nothing_is_kept_of_what_was_undone(book: Book) -> None:
    await book.at("unknown")
    with pytest.raises(MovedOnError):
        await book.sends(await book.wants(cents=600))

    assert book.ledger.kept_number() == await book.number()


async def test_a_sandbox_that_starts_again_is_no_older_copy(book: Book) -> None:
    await book.at("refunded", sandbox="sbx_a")
    book.ledger.forget(None)

    assert (await records_of(book)).restored is None
    await book.wants()
    assert (await records_of(book)).restored is None


@IN_A_FILE
async def test_a_restored_ledger_needs_a_person_for_one_window(waits: Room) -> None:
    """[A14] A refund that it doesn't know of may be on its way: here it is, and lands late."""
    ledger = store_of(waits.parts).scope.folder / "ledger.sqlite3"
    shown = await waits.waiting(300)
    with copied(ledger):
        await waits.lost()

    wish = wish_of(await waits.refund(700, refund_approval="agent"))
    assert wish.grade_needed == "chat"
    assert (await confirmed(waits, wish)).status == "needs_approval"
    assert (await confirmed(waits, shown)).status == "needs_approval"
    assert waits.posts() == 1
    waits.passes(WINDOW)
    again = wish_of(await waits.refund(700, refund_approval="agent"))
    assert again.grade_needed == "agent"
    assert (await confirmed(waits, again)).status == "refunded"


@IN_A_FILE
async def test_a_restored_ledger_needs_a_person_for_as_long_on_another_machine(waits: Room) -> None:
    await waits.waiting(300)
    with copied(store_of(waits.parts).scope.folder / "ledger.sqlite3"):
        await waits.lost()
    await waits.ledger.latest(1000)
    moves(waits)
    waits.at += YEARS

    assert wish_of(await waits.refund(300, refund_approval="agent")).grade_needed == "chat"
    waits.passes(WINDOW)
    assert wish_of(await waits.refund(300, refund_approval="agent")).grade_needed == "agent"


@IN_A_FILE
async def test_what_a_restored_ledger_forgot_is_told_by_the_order_once_it_landed(
    waits: Room,
) -> None:
    await waits.waiting(300)
    with copied(store_of(waits.parts).scope.folder / "ledger.sqlite3"):
        await waits.lost()
    shown = wish_of(await waits.refund(700, refund_approval="agent"))
    waits.shop.refund(waits.order_id, 700, REASON)

    outcome = await waits.desk(refund_approval="agent").check(shown.refund_id)

    assert shown.grade_needed == "chat"
    assert outcome.status == "already_refunded"
