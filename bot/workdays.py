"""China's working days, with the holidays and the days made up for them.

Source: chinesecalendar, which follows the State Council's yearly notices; single days may be corrected by a table. A
year without a notice yet counts Monday to Friday, provisionally.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import chinese_calendar

LOCAL = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, kw_only=True)
class Workdays:
    """The calendar with corrected days: date → whether people work then."""

    corrected: Mapping[date, bool] = field(default_factory=dict)

    def is_known(self, day: date) -> bool:
        """Whether it is settled if people work on the day."""
        return day in self.corrected or is_known(day)

    def is_workday(self, day: date) -> bool:
        known = self.corrected.get(day)
        return is_workday(day) if known is None else known

    def on_or_before(self, day: date) -> date:
        """The last working day up to a day."""
        while not self.is_workday(day):
            day -= timedelta(days=1)
        return day

    def shifted(self, day: date, count: int) -> date:
        """The working day that comes so many working days after a day, or before it when negative."""
        one = timedelta(days=1 if count > 0 else -1)
        left = abs(count)
        while left:
            day += one
            left -= self.is_workday(day)
        return day

    def between(self, start: date, end: date) -> int:
        """How many working days lie after `start` up to `end`; 0 when `end` is not later."""
        days = (end - start).days
        return sum(self.is_workday(start + timedelta(days=number)) for number in range(1, days + 1))


def is_known(day: date) -> bool:
    """Whether the holidays of the day's year have been announced."""
    try:
        chinese_calendar.is_workday(day)
    except NotImplementedError:
        return False
    return True


def is_workday(day: date) -> bool:
    """Whether people work on a day; Monday to Friday where the holidays are not announced."""
    if not is_known(day):
        return day.weekday() < 5
    return bool(chinese_calendar.is_workday(day))


def after(now: datetime, days: int) -> datetime:
    """The end, in China, of the working day that comes so many working days after the day of `now`."""
    day = Workdays().shifted(now.astimezone(LOCAL).date(), days)
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=LOCAL)
