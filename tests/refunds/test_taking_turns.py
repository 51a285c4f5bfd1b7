"""Two machines work on one ledger in turn, and neither knows how long the other one is up."""

from datetime import timedelta
from typing import Any

import pytest
from tests.refunds.book import AGENT, IN_POSTGRES
from tests.refunds.room import ACTOR, Room, attempt_of, wish_of

from clawver_orders.instants import Instant
from clawver_orders.refunds.customers import _sent
from clawver_orders.refunds.ledger import Ledger
from clawver_orders.refunds.ledger_file import LEDGER_FILE
from clawver_orders.refunds.matching import doubts_of
from clawver_orders.refunds.records import Limits, Looks, Preview, Wish

WINDOW = 90.0
PAUSE = WINDOW / 60
DAY, YEARS = timedelta(days=1), timedelta(days=5 * 365)
PAIRS = pytest.mark.parametrize(("sender", "other"), [("old", "young"), ("young", "old")])


class Turns:
    """Machines with a state folder of their own: one is up for ten days, the other for five minutes."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.database: Any = room.ledger._database
        self.up = {"old": 864_000.0, "young": 300.0, "ada-laptop": 5000.0}
        self.ledgers = {
            name: Ledger(room.state / name / LEDGER_FILE, room.now, self.database)
            for name in self.up
        }
        self.works_for = 0
        room.verify_seconds = WINDOW
        self.take("old")

    @property
    def ledger(self) -> Ledger:
        return self.room.ledger

    def take(self, name: str) -> None:
        """It is this machine's turn."""
        self.room.boot, self.room.up, self.room.ledger = name, self.up[name], self.ledgers[name]

    def passes(self, seconds: float) -> None:
        for name in self.up:
            self.up[name] += seconds
        self.room.passes(seconds)

    async def work(self, name: str) -> None:
        """Something that has nothing to do with the refund."""
        self.take(name)
        self.works_for += 1
        order_id = f"ord_{self.works_for}"
        await self.ledger.want(0, order_id, 100, [], "Torn", Preview("", "agent"), ACTOR)

    async def leave(self) -> Wish:
        """Note that a refund is sent, and die."""
        wish = await self.room.waiting()
        number = (await self.ledger.of_order(wish.order_id)).number
        return await self.ledger.begin_send(
            number, wish, AGENT, None, [], None, Limits(10**6), "host 1"
        )

    async def check(self, wish: Wish) -> tuple[str, int]:
        """How it stands, and how many reads did not list it when its window was over."""
        found = wish_of(await self.room.desk().check(wish.refund_id))
        return found.status, attempt_of(found).reads_after_window

    async def looks(self) -> list[tuple[str, int]]:
        """What is kept of all looks."""
        with self.ledger.read_or_empty() as rows:
            found = rows.connection.execute("SELECT boot, number FROM look ORDER BY boot, number")
            return [(boot, number) for boot, number in found]


@pytest.fixture
def turns(room: Room) -> Turns:
    return Turns(room)


# The verification window


@PAIRS
async def test_what_a_server_left_is_believed_missing_by_the_other_machine(
    turns: Turns, sender: str, other: str
) -> None:
    """Neither the long uptime of one nor the turns of both change when that is."""
    await turns.work(other)
    turns.passes(3600)  # it knew the ledger long before
    turns.take(sender)
    wish = await turns.leave()
    turns.passes(5)
    turns.take(other)
    seen = [await turns.check(wish)]
    for seconds in (44, 45, 1, PAUSE - 0.5, 0.5):
        turns.passes(seconds)
        await turns.work(sender)
        turns.take(other)
        seen.append(await turns.check(wish))

    assert seen == [
        ("unknown", 0), ("unknown", 0), ("unknown", 0), ("unknown", 1), ("unknown", 1), ("not_recorded", 2),
    ]  # fmt: skip


@PAIRS
async def test_whoever_looks_for_the_first_time_after_the_window_goes_by_when_it_saw_the_line(
    turns: Turns, sender: str, other: str
) -> None:
    """What it notes itself, that the sender is gone, is no new look."""
    turns.take(sender)
    wish = await turns.leave()
    await turns.work(other)
    turns.passes(WINDOW)
    await turns.work(sender)
    turns.take(other)

    assert await turns.check(wish) == ("unknown", 1)
    turns.passes(PAUSE)
    assert await turns.check(wish) == ("not_recorded", 2)


@PAIRS
@pytest.mark.parametrize("jump", [DAY, -DAY, YEARS, -YEARS])
async def test_a_clock_that_is_set_shortens_no_window_of_another_machine(
    turns: Turns, sender: str, other: str, jump: timedelta
) -> None:
    """Its own uptime doesn't agree, and what the other one's says is nothing to it."""
    turns.take(sender)
    wish = await turns.leave()
    turns.passes(5)
    turns.take(other)
    assert await turns.check(wish) == ("unknown", 0)
    turns.room.at += jump
    for passed, reads in ((WINDOW - 1, 0), (1, 1)):
        turns.passes(passed)
        await turns.work(sender)
        turns.take(other)
        assert await turns.check(wish) == ("unknown", reads)


@PAIRS
async def test_an_uptime_that_runs_ahead_shortens_no_window_of_another_machine(
    turns: Turns, sender: str, other: str
) -> None:
    """The clock doesn't agree."""
    turns.take(sender)
    wish = await turns.leave()
    turns.passes(5)
    turns.take(other)
    assert await turns.check(wish) == ("unknown", 0)
    turns.up[other] += 9e6
    for passed, reads in ((WINDOW - 6, 0), (1, 1)):
        turns.passes(passed)
        turns.take(other)
        assert await turns.check(wish) == ("unknown", reads)


@IN_POSTGRES
async def test_the_clock_of_the_database_counts_and_not_that_of_a_machine(turns: Turns) -> None:
    turns.take("young")
    wish = await turns.leave()
    turns.take("old")
    assert await turns.check(wish) == ("unknown", 0)
    turns.room.at += YEARS
    turns.database.clock_ahead = -YEARS
    turns.up["old"] += 9e6
    turns.take("old")
    assert await turns.check(wish) == ("unknown", 0)
    turns.database.clock_ahead = timedelta()
    turns.passes(PAUSE)
    assert await turns.check(wish) == ("unknown", 1)


async def test_lines_that_the_other_machine_adds_to_the_order_extend_no_window(
    turns: Turns,
) -> None:
    wish = await turns.leave()
    turns.take("young")
    seen = [await turns.check(wish)]
    for _ in range(3):
        turns.passes(WINDOW / 3)
        turns.take("old")
        await turns.ledger.note_reported(attempt_of(wish), 7, ACTOR)
        turns.take("young")
        seen.append(await turns.check(wish))

    assert seen == [("unknown", 0)] * 3 + [("unknown", 1)]


async def test_a_read_of_one_machine_and_one_of_the_other_are_far_enough_apart(
    turns: Turns,
) -> None:
    wish = await turns.leave()
    turns.take("young")
    await turns.check(wish)
    turns.passes(WINDOW)
    turns.take("old")
    assert await turns.check(wish) == ("unknown", 1)
    turns.room.at += DAY
    turns.take("young")

    assert await turns.check(wish) == ("unknown", 1)
    turns.passes(PAUSE)
    assert await turns.check(wish) == ("not_recorded", 2)


async def test_state_that_moves_to_and_fro_counts_from_when_it_was_there_with_the_line(
    turns: Turns,
) -> None:
    """What a machine saw before says nothing of what the other one noted since."""
    await turns.work("old")
    turns.passes(WINDOW)
    turns.take("young")
    turns.room.at -= DAY  # its clock was behind
    wish = await turns.leave()
    turns.room.at += DAY
    turns.take("old")

    assert await turns.check(wish) == ("unknown", 0)
    turns.passes(WINDOW - 1)
    assert await turns.check(wish) == ("unknown", 0)
    turns.passes(1)
    assert await turns.check(wish) == ("unknown", 1)


async def test_what_was_refused_a_moment_ago_stays_that_however_often_they_take_turns(
    turns: Turns,
) -> None:
    turns.take("young")
    await turns.room.refused()
    await turns.work("old")
    turns.room.at += YEARS

    async def kinds() -> list[str]:
        turns.take("old")
        records = await turns.ledger.of_order(turns.room.order_id)
        return [each.kind for each in doubts_of(records, turns.room.now(), WINDOW)]

    for passed, expected in ((WINDOW - 1, ["refused"]), (1, [])):
        turns.passes(passed)
        await turns.work("young")
        assert await kinds() == expected


async def test_an_older_copy_is_in_doubt_for_a_window_on_the_other_machine(turns: Turns) -> None:
    """[A14] It counts from when that one saw that it was noticed, whatever was noted since."""
    await turns.work("young")
    turns.passes(WINDOW)
    await turns.work("old")
    turns.ledger._keep_number(turns.ledger.kept_number() + 5)
    await turns.work("old")
    turns.take("young")
    turns.room.at += YEARS

    async def kinds() -> list[str]:
        records = await turns.ledger.of_order("ord_1")
        return [each.kind for each in doubts_of(records, turns.room.now(), WINDOW)]

    assert await kinds() == ["restored"]
    for passed, expected in ((WINDOW - 1, ["restored"]), (1, [])):
        turns.passes(passed)
        await turns.work("old")
        turns.take("young")
        assert await kinds() == expected


# The day's limit, and declines


@PAIRS
async def test_what_the_other_machine_sent_in_the_future_counts_for_a_day(
    turns: Turns, sender: str, other: str
) -> None:
    """[A15] It counts from when it was first seen, and not from the last turn."""
    turns.take(sender)
    wish = await turns.leave()
    turns.take(other)
    turns.room.at -= YEARS
    await turns.ledger.latest(1)
    spent = []
    for hours in (12, 11.9, 0.1):
        turns.passes(hours * 3600)
        await turns.work(sender)
        turns.take(other)
        sent = _sent(turns.ledger, [wish.order_id], days=1)
        spent.append((await turns.ledger.spent_in_cents(), len(sent)))

    assert spent == [(700, 1), (700, 1), (0, 0)]


async def test_what_was_declined_on_the_other_machine_counts_for_a_day(turns: Turns) -> None:
    wish = await turns.room.waiting()
    await turns.ledger.decline(wish.refund_id, AGENT, "host 1")
    turns.take("young")
    turns.room.at -= YEARS
    await turns.ledger.latest(1)
    kinds = []
    for hours in (23.9, 0.1):
        turns.passes(hours * 3600)
        await turns.work("old")
        turns.take("young")
        records = await turns.ledger.of_order(wish.order_id)
        kinds.append([each.kind for each in doubts_of(records, turns.room.now(), WINDOW)])

    assert kinds == [["declined"], []]


# What is kept of it


async def test_one_machine_keeps_one_look(turns: Turns) -> None:
    for _ in range(3):
        await turns.work("old")
        turns.passes(DAY.total_seconds())

    assert await turns.looks() == [("old", 3)]


async def test_looks_go_after_two_days_but_for_the_newest_of_them(turns: Turns) -> None:
    """So what was seen longer ago still counts as seen for so long."""
    for day in range(6):
        turns.passes(DAY.total_seconds() if day else 0)
        await turns.work("old")
        await turns.work("young")

    assert await turns.looks() == [
        ("old", 7), ("old", 9), ("old", 11), ("young", 8), ("young", 10), ("young", 12),
    ]  # fmt: skip
    with turns.ledger.read_or_empty() as rows:
        looks = rows.looks("SELECT number FROM history WHERE number = ?", 1)
    before = turns.room.now()
    then = Instant(before.at - DAY * 2, before.uptime - 2 * DAY.total_seconds(), "young")
    assert looks == Looks(((8, then),))


async def test_what_a_start_that_is_over_saw_goes_after_a_month(turns: Turns) -> None:
    await turns.work("ada-laptop")
    turns.passes(DAY.total_seconds() * 20)
    await turns.work("old")
    turns.passes(DAY.total_seconds() * 10 + 1)
    await turns.work("young")
    assert await turns.looks() == [("old", 2), ("young", 3)]

    turns.take("ada-laptop")  # it runs all the same
    await turns.ledger.latest(1)
    assert await turns.looks() == [("ada-laptop", 3), ("old", 2), ("young", 3)]


async def test_a_restart_that_has_no_name_looks_again(turns: Turns) -> None:
    """Elsewhere than on Linux each start of a machine has the machine's name."""
    wish = await turns.leave()
    turns.take("ada-laptop")
    assert await turns.check(wish) == ("unknown", 0)
    turns.up["ada-laptop"] = 4990.0
    turns.take("ada-laptop")
    assert await turns.check(wish) == ("unknown", 0)
    number = (await turns.ledger.of_order(wish.order_id)).number
    assert await turns.looks() == [("ada-laptop", number), ("old", number - 1)]
    turns.passes(WINDOW - 1)
    assert await turns.check(wish) == ("unknown", 0)
    turns.passes(1)

    assert await turns.check(wish) == ("unknown", 1)


async def test_looking_alone_notes_what_was_seen_and_nothing_else(turns: Turns) -> None:
    await turns.work("old")
    turns.take("young")
    for _ in range(2):
        turns.passes(1)
        await turns.ledger.latest(1)

    assert await turns.looks() == [("old", 1), ("young", 1)]
    records = await turns.ledger.of_order("ord_1")
    seen = turns.room.now()
    first = Instant(seen.at - timedelta(seconds=1), seen.uptime - 1, "young")
    assert records.looks.first(1, seen) == first
    assert records.looks.first(2, seen) == seen
