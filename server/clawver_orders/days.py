"""Days as the merchant means them: in a time zone, where a day has 23, 24 or 25 hours. No I/O.

Times stay in UTC. A day or a week is the span from its first moment up to that of the next one.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

DAYS_OF_A_WEEK = 7


@dataclass(frozen=True)
class Calendar:
    """The days of a time zone.

    Args:
        name: The zone's IANA name, such as Europe/Berlin.
        zone: Its rules.
    """

    name: str
    zone: tzinfo

    def day_of(self, moment: datetime) -> date:
        """The day on which something happened.

        Args:
            moment: A time with an offset.
        """
        try:
            return moment.astimezone(self.zone).date()
        except OverflowError:  # at both ends of what a date can be
            return moment.date()

    def begin_of(self, day: date) -> datetime:
        """The first moment of a day, in UTC.

        Where the clock is put forward at midnight, that is when the new time begins.
        """
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  # the zone follows
        try:
            return midnight.replace(tzinfo=self.zone).astimezone(UTC)
        except OverflowError:
            return midnight.replace(tzinfo=UTC)

    def end_of(self, day: date) -> datetime:
        """The first moment of the day that follows, in UTC."""
        return datetime.max.replace(tzinfo=UTC) if day == date.max else self.begin_of(next_day(day))

    def span_before(self, begin: datetime, end: datetime) -> tuple[datetime, datetime]:
        """The span before a span, as long as it: so many days earlier at the same time of day.

        One that does not begin with a day ends where the other begins.

        Args:
            begin: Its first moment.
            end: When it ends, later than that; in the middle of a day where it is not over yet.
        """
        try:
            first = self.day_of(begin)
            if self.begin_of(first) != begin:
                return begin - (end - begin), begin
            last = self.day_of(end)
            days = (last - first).days + (self.begin_of(last) != end)
            return self._earlier(begin, days), self._earlier(end, days)
        except OverflowError:  # there is no time before
            return datetime.min.replace(tzinfo=UTC), begin

    def _earlier(self, moment: datetime, days: int) -> datetime:
        """The same time of day, so many days earlier."""
        local = moment.astimezone(self.zone) - timedelta(days=days)
        return local.astimezone(UTC)


def next_day(day: date, days: int = 1) -> date:
    """The day so many days later."""
    return day + timedelta(days=days)


def monday_of(day: date) -> date:
    """The Monday on which the week of a day begins (ISO 8601)."""
    return day - timedelta(days=day.weekday())


IN_UTC = Calendar("UTC", UTC)
