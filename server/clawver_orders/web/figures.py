"""The figures of the last days as bars: what each shows, and how high it is. No I/O."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from clawver_orders.days import Calendar, next_day
from clawver_orders.money import display
from clawver_orders.orders.figures import Figures, figures
from clawver_orders.reports.digest import WentBack
from clawver_orders.tools.spans import KnownSums

DAYS = 14
_STEP, _WIDTH, _HIGHEST, _BASE = 20, 16, 60, 68
"""In units of the drawing: from one bar to the next, and the size of one."""


@dataclass(frozen=True)
class Bar:
    """One day in a chart."""

    x: int
    y: int
    height: int
    says: str
    is_today: bool


@dataclass(frozen=True)
class Chart:
    """One thing that is counted, day by day."""

    name: str
    total: str
    most: str
    """The highest day, with its value; nothing where all are nothing."""
    cells: tuple[str, ...]
    """What each day has, oldest first."""
    bars: tuple[Bar, ...]
    before: str = ""
    """What the days before came to, as far as that is known."""


@dataclass(frozen=True)
class LastDays:
    """The figures of the last days."""

    days: tuple[str, ...]
    charts: tuple[Chart, ...]
    notes: tuple[str, ...]
    """What is not in them, a sentence each."""

    @property
    def span(self) -> str:
        """Its first and its last day."""
        return f"{self.days[0]} to {self.days[-1]}"


def last_days(
    sums: KnownSums,
    before: KnownSums,
    refunds: Sequence[WentBack],
    calendar: Calendar,
    today: date,
) -> LastDays:
    """The figures of the last days, up to today.

    Args:
        sums: What the orders of these days come to, split by day.
        before: What those of as many days before come to.
        refunds: The refunds that were made on these days.
        calendar: Whose days are meant.
        today: The last of them.
    """
    days = [next_day(today, n - DAYS + 1) for n in range(DAYS)]
    by_day = {day: figures(sums.sums.rows.get(day.isoformat(), [])) for day in days}
    whole, earlier = figures(sums.sums.batches), figures(before.sums.batches)
    currency = whole.sums[0].currency
    went_back: dict[str, Counter[date]] = defaultdict(Counter)
    for each in refunds:
        went_back[each.currency][calendar.day_of(each.at)] += each.amount_in_cents

    def money(cents: int) -> str:
        return display(cents, currency)

    at_least = "" if before.is_complete else "at least "
    earlier_sales = earlier.in_currency(currency).sales_in_cents
    return LastDays(
        days=tuple(named(day) for day in days),
        charts=(
            _chart(
                "Orders",
                {day: each.orders for day, each in by_day.items()},
                str,
                f"{at_least}{earlier.orders}",
            ),
            _chart(
                "Sales",
                {day: each.in_currency(currency).sales_in_cents for day, each in by_day.items()},
                money,
                f"{at_least}{money(earlier_sales)}",
            ),
            _chart("Refunds", {day: went_back[currency][day] for day in days}, money),
        ),
        notes=tuple(_notes(sums, whole, went_back, currency)),
    )


def named(day: date) -> str:
    """A day as a chart names it."""
    return f"{day.day} {day:%b}"


def _chart(
    name: str, values: Mapping[date, int], say: Callable[[int], str], before: str = ""
) -> Chart:
    today = max(values)
    most = max(values.values())
    cells = tuple(say(each) for each in values.values())
    bars = []
    for n, (day, value) in enumerate(values.items()):
        if not value:
            continue
        height = max(1, round(value * _HIGHEST / most))
        label = "Today so far" if day == today else named(day)
        bars.append(
            Bar(n * _STEP + 2, _BASE - height, height, f"{label}: {say(value)}", day == today)
        )
    highest = next(day for day, value in values.items() if value == most)
    when = "today so far" if highest == today else named(highest)
    total = say(sum(values.values()))
    return Chart(name, total, f"{say(most)}, {when}" if most else "", cells, tuple(bars), before)


def _notes(
    sums: KnownSums, whole: Figures, went_back: Mapping[str, Counter[date]], currency: str
) -> list[str]:
    """What the bars don't show."""
    notes = [
        f"Not in the bars of sales, in another currency: {_orders(each.paid_orders)}, "
        f"{display(each.sales_in_cents, each.currency)}."
        for each in whole.sums[1:]
    ]
    notes += [
        f"Not in the bars of refunds, in another currency: {display(days.total(), each)}."
        for each, days in went_back.items()
        if each != currency and days
    ]
    if whole.unsummed:
        notes.append(f"Not in the sales, in an unknown currency: {_orders(whole.unsummed)}.")
    if sums.sums.untold:
        notes.append(
            f"Clawver doesn't tell the payment or the refunds of {_orders(sums.sums.untold)}."
        )
    return notes


def _orders(count: int) -> str:
    return f"{count} order{'' if count == 1 else 's'}"
